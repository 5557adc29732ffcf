"""Certificates made for a test run, and clients with TLS: on a real socket, and in memory.

    async with open_broker(**pki.options()) as broker:
        peer = await TlsPeer.connect(broker)
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import ClassVar

import trio
import trustme
from peer import READ_SIZE, Peer

from amqpd.config import Settings
from amqpd.server.contexts import TlsContexts
from amqpd.server.tls import Tls

LOCALHOST = "127.0.0.1"


class Pki:
    """An authority, with what it has issued in files. `host` names the node."""

    host = "broker.example"

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ca = trustme.CA()
        self.ca_file = self.write("ca.pem", self.ca.cert_pem.bytes())
        self.server_file = self.issue("server.pem", self.host, LOCALHOST)

    def write(self, name: str, data: bytes) -> str:
        path = self.directory / name
        path.write_bytes(data)
        return str(path)

    def issue(self, name: str, *identities: str, ca: trustme.CA | None = None, **options: object) -> str:
        """A file with a certificate and its key."""
        issued = (ca or self.ca).issue_cert(*identities, **options)
        return self.write(name, issued.private_key_and_cert_chain_pem.bytes())

    def options(self, **more: object) -> dict[str, object]:
        """Settings of a broker with a plain listener and one with TLS; `more` are ssl_options."""
        given = {"certfile": self.server_file, "cacertfile": self.ca_file, **more}
        return {
            "listeners": [f"{LOCALHOST}:0"],
            "tls_listeners": [f"{LOCALHOST}:0"],
            **{f"ssl_options__{name}": value for name, value in given.items()},
        }

    def contexts(self, **more: object) -> TlsContexts:
        """A node's rules, without a node."""
        return TlsContexts(self.settings(**more))

    def settings(self, **more: object) -> Settings:
        return Settings({name.replace("__", "."): value for name, value in self.options(**more).items()})

    def client(self, certificate: str = "") -> ssl.SSLContext:
        """What a client needs that believes this authority, and shows a certificate."""
        context = ssl.create_default_context(cafile=self.ca_file)
        if certificate:
            context.load_cert_chain(certificate)
        return context


class MemoryClient:
    """A client without a socket: what it sends gathers in `output`, what it gets goes into `received`."""

    def __init__(
        self, context: ssl.SSLContext, host: str | None = Pki.host, session: ssl.SSLSession | None = None
    ) -> None:
        self.received, self.output = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.ssl = context.wrap_bio(self.received, self.output, server_hostname=host, session=session)

    def handshake(self) -> bool:
        """Go on with the handshake; whether it is done."""
        try:
            self.ssl.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def read(self) -> bytes:
        """All that has come."""
        data = b""
        while True:
            try:
                data += self.ssl.read(READ_SIZE)
            except ssl.SSLWantReadError:
                return data


def shake_hands(client: MemoryClient, server: Tls) -> None:
    """Both sides' handshake, and what the server still has to send afterwards."""
    server_done = client_done = False
    while not (server_done and client_done):
        client_done = client.handshake()
        if not server_done:
            server_done = server.handshake(client.output.read())
        client.received.write(server.take_output())


def tls_port(broker) -> int:
    (address,) = [address for address in broker.node.addresses if address.startswith("tls:")]
    return int(address.rpartition(":")[2])


class TlsStream:
    """trio's TLS stream, with what tests do to the socket below. One that is `strict` waits for the other's goodbye."""

    def __init__(
        self, stream: trio.SocketStream, context: ssl.SSLContext, host: str = Pki.host, strict: bool = False
    ) -> None:
        self.lenient = not strict
        self.socket = stream.socket
        self.setsockopt = stream.setsockopt
        self.tls = trio.SSLStream(stream, context, server_hostname=host, https_compatible=not strict)
        self.send_all = self.tls.send_all

    async def receive_some(self, size: int) -> bytes:
        try:
            return await self.tls.receive_some(size)
        except trio.BrokenResourceError as error:
            if self.lenient and isinstance(error.__cause__, ssl.SSLEOFError):
                return b""
            raise

    async def aclose(self) -> None:
        await self.tls.aclose()


class TlsPeer(Peer):
    """A client that speaks TLS with the broker's TLS listener. `context` is the client's own rules."""

    context: ClassVar[ssl.SSLContext]  # a test run's default: set by the fixture `pki`

    @classmethod
    async def dial(
        cls, broker, receive_buffer: int = 0, context: ssl.SSLContext | None = None, host: str = Pki.host
    ) -> TlsPeer:
        sock = trio.socket.socket()
        if receive_buffer:
            sock.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, receive_buffer)
        await sock.connect((LOCALHOST, tls_port(broker)))
        stream = TlsStream(trio.SocketStream(sock), context or cls.context, host)
        peer = cls(stream)
        await stream.tls.do_handshake()
        return peer
