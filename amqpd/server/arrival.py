"""What comes before AMQP: the PROXY header of a trusted proxy, the TLS handshake, and then the session begins.

Clients that need neither never come here. An arrival has `handshake_timeout` for all of it; the connection that follows
has that time again, for its own handshake. It holds a read of at most READ_MAX bytes, or a PROXY header of at most 64
KiB, and what OpenSSL takes of a handshake, some 100 KiB at worst. `handshake_max` counts it.

A step of a TLS handshake costs up to a millisecond or so of CPU, and everybody else waits for it. So only
STEPS_AT_ONCE of them are done before all other tasks have had their turn.
"""

from __future__ import annotations

import logging
import socket
from typing import TYPE_CHECKING, Final

import trio

from amqpd.broker.ports import Certificate, Peer
from amqpd.server.endpoints import is_loopback
from amqpd.server.proxy import Header, ProxyError, parse
from amqpd.server.tls import NotTlsError, TlsError

if TYPE_CHECKING:
    from amqpd.server.hub import Hub
    from amqpd.server.tls import Tls

log = logging.getLogger("amqpd.connection")

READ_MAX: Final = 16_384  # bytes; what a handshake needs, and no more, is kept for those who never finish it
STEPS_AT_ONCE: Final = 8


class _Gone(Exception):
    """The client closed its socket, or the network failed."""


class Arrival:
    """`sock` is non-blocking, and closed where no session begins. `run` must be started exactly once.

    `proxied` is whether a PROXY header must come first; `tls` is there on a listener with TLS.
    """

    def __init__(self, hub: Hub, sock: socket.socket, name: str, peer: Peer, proxied: bool, tls: Tls | None) -> None:
        self.hub: Final = hub
        self.sock: Final = sock
        self.name = name
        self.peer = peer
        self._proxied: Final = proxied
        self._tls: Final = tls
        self._awaited = "PROXY header" if proxied else "TLS handshake"
        self._heard = False  # anything at all
        self._received = b""  # and not yet used
        self._scope: Final = trio.CancelScope(
            deadline=trio.current_time() + hub.broker.limits.handshake_timeout_ms / 1000
        )

    def abort(self) -> None:
        """Close at once."""
        self._scope.cancel()

    async def run(self) -> None:
        """Let the client in, or send it away. Raises nothing but Cancelled."""
        welcome = False
        try:
            with self._scope:
                welcome = await self._welcome()
            if self._scope.cancelled_caught and trio.current_time() >= self._scope.deadline:
                log.warning("refused: no %s within handshake_timeout", self._awaited, extra=self._log_fields())
        finally:
            if welcome:
                self.hub.begin(self.sock, self.name, self.peer, self._tls, self._received)
            else:
                self.sock.close()
            self.hub.forget_arrival(self)

    def _log_fields(self) -> dict[str, object]:
        return {"connection": self.name, "channel": 0, "vhost": "", "user": ""}

    async def _welcome(self) -> bool:
        """Whether this client is let in. That it is not was logged."""
        try:
            if self._proxied:
                await self._proxy_header()
            if self._tls is not None:
                await self._handshake(self._tls)
        except ProxyError as error:
            log.error("refused: a trusted proxy sent no PROXY header: %s", error, extra=self._log_fields())
        except NotTlsError:
            log.warning("refused: the client does not use TLS, and this listener does", extra=self._log_fields())
        except TlsError as error:
            log.error("TLS handshake failed: %s", error, extra=self._log_fields())
        except _Gone:
            if self._heard:  # else it was a port scan, or a load balancer's way to see whether we live
                log.info("the client has gone before the %s was done", self._awaited, extra=self._log_fields())
        else:
            return True
        return False

    # -- PROXY protocol

    async def _proxy_header(self) -> None:
        while (header := parse(self._received)) is None:
            self._received += await self._receive()
        self._received = self._received[header.size :]
        self._heard = False  # of the client
        self._believe(header)

    def _believe(self, header: Header) -> None:
        if header.local:
            return
        if not header.client:  # the client can be anywhere
            self.peer = Peer(self.peer.address, False)
            return
        self.name = f"{header.client} -> {header.destination}"
        # Through a proxy on this machine others come in as well; and what is local to a proxy elsewhere is not here.
        local = self.peer.from_loopback and header.address != "" and is_loopback(header.address)
        self.peer = Peer(header.address, local)

    # -- TLS

    async def _handshake(self, tls: Tls) -> None:
        self._awaited = "TLS handshake"
        try:
            done = False
            while not done:
                received = self._received or await self._receive()
                self._received = b""
                async with self.hub.handshake_steps:
                    done = tls.handshake(received)
                await self._send(tls.take_output())
            # A client need not wait for our last message before it goes on.
            self._received = bytes(self.hub.view[: tls.decrypt(b"", self.hub.view)])
            certificate = _certificate(tls)
        except TlsError:
            self._offer(tls.take_output())  # the alert, so that the client knows why
            raise
        self.peer = Peer(self.peer.address, self.peer.from_loopback, tls.version, certificate)

    # -- the socket

    async def _receive(self) -> bytes:
        """Wait for bytes. Raises _Gone."""
        while True:
            await trio.lowlevel.wait_readable(self.sock)
            try:
                data = self.sock.recv(READ_MAX)
            except (BlockingIOError, InterruptedError):
                continue
            except OSError:
                raise _Gone from None
            if not data:
                raise _Gone
            self._heard = True
            return data

    async def _send(self, data: bytes) -> None:
        """Send all of it. Raises _Gone."""
        while (sent := self._offer(data)) < len(data):
            if sent < 0:
                raise _Gone
            data = data[sent:]
            await trio.lowlevel.wait_writable(self.sock)

    def _offer(self, data: bytes) -> int:
        """Offer bytes to the socket; returns how many it took, or -1 where it is broken."""
        try:
            return self.sock.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError:
            return -1


def _certificate(tls: Tls) -> Certificate | None:
    """What the client's certificate says, if it has shown one. Raises TlsError."""
    der = tls.certificate
    if der is None:
        return None
    from amqpd.server.certificates import client_certificate  # only where there is TLS

    try:
        return client_certificate(der)
    except ValueError as error:
        raise TlsError(f"the client's certificate cannot be read: {error}") from None
