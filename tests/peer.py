"""A client on a real socket, for tests of the shell: the harness's codec over trio.

    async with open_broker() as broker:
        peer = await Peer.connect(broker)           # the handshake is done, channel 1 is open
        await peer.send(publish(b"hi"))
        assert (await peer.next()).name == "..."
"""

from __future__ import annotations

import socket
from typing import ClassVar

import trio
from harness import PROTOCOL_HEADER, Decoder, Event, Method, m

READ_SIZE = 65_536


async def until(condition, every: float = 0.001) -> None:
    """Let everybody else go on until `condition` holds; `every` is how much time passes in between."""
    with trio.fail_after(20 + 1000 * every):
        while not condition():  # noqa: ASYNC110  (the broker has no events for what tests look at)
            await trio.sleep(every)


class Peer:
    left: ClassVar[list[Peer]] = []  # for `hang_up_all`, after a test

    def __init__(self, stream: trio.SocketStream) -> None:
        self.left.append(self)
        self.stream = stream
        self.decoder = Decoder()
        self.decoder.frame_max = 131_072

    @classmethod
    async def dial(cls, broker, receive_buffer: int = 0) -> Peer:
        """A socket on which nothing was said yet."""
        if broker.unix_path:
            return cls(await trio.open_unix_socket(broker.unix_path))
        sock = trio.socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer:  # must be set before connecting
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await sock.connect((broker.host, broker.port))
        return cls(trio.SocketStream(sock))

    @classmethod
    async def connect(cls, broker, *, vhost: str = "/", heartbeat: int = 0, receive_buffer: int = 0) -> Peer:
        peer = await cls.dial(broker, receive_buffer)
        await peer.handshake(vhost, heartbeat)
        return peer

    async def handshake(self, vhost: str = "/", heartbeat: int = 0) -> None:
        """Log in as guest and open channel 1."""
        await self.stream.send_all(PROTOCOL_HEADER)
        await self.expect("connection.start")
        start_ok = m(
            "connection.start-ok",
            client_properties={"capabilities": {"authentication_failure_close": True, "connection.blocked": True}},
            mechanism="PLAIN",
            response=b"\0guest\0guest",
            locale="en_US",
        )
        await self.send(start_ok, 0)
        await self.expect("connection.tune")
        await self.send(m("connection.tune-ok", channel_max=2047, frame_max=131_072, heartbeat=heartbeat), 0)
        await self.call(m("connection.open", virtual_host=vhost), channel=0)
        await self.call(m("channel.open"))

    async def send(self, method: Method, channel: int = 1) -> None:
        await self.stream.send_all(method.frames(channel))

    async def next(self) -> Event:
        """What comes next. Raises EndOfStream when the server closes, BrokenResourceError when it resets."""
        while not self.decoder.events:
            data = await self.stream.receive_some(READ_SIZE)
            if not data:
                raise trio.EndOfChannel
            self.decoder.feed(data)
        return self.decoder.events.popleft()

    async def expect(self, name: str) -> Event:
        event = await self.next()
        assert event.name == name, event
        return event

    async def call(self, method: Method, channel: int = 1) -> Event:
        """Send a method and return its -ok."""
        await self.send(method, channel)
        return await self.expect(method.name + "-ok")

    async def ended(self) -> list[str]:
        """Read on until the server has closed the socket in an orderly way; the names of what came before."""
        names = []
        while True:
            try:
                names.append((await self.next()).name)
            except trio.EndOfChannel:
                return names

    async def close(self) -> None:
        """The orderly end."""
        await self.call(m("connection.close", reply_code=200), channel=0)
        await self.stream.aclose()

    @classmethod
    def hang_up_all(cls) -> None:
        """Close the sockets that a test has left open."""
        while cls.left:
            descriptor = cls.left.pop().stream.socket.detach()
            if descriptor >= 0:
                socket.close(descriptor)


# -- logins


async def log_in(broker, user, password):
    """A client that has said who it is, and waits for the answer."""
    peer = await Peer.dial(broker)
    await peer.stream.send_all(PROTOCOL_HEADER)
    await peer.expect("connection.start")
    capabilities = {"capabilities": {"authentication_failure_close": True}}
    response = f"\0{user}\0{password}".encode()
    start_ok = m("connection.start-ok", client_properties=capabilities, mechanism="PLAIN", response=response, locale="")
    await peer.send(start_ok, 0)
    return peer


async def refused(peer):
    """The client is told that it is not let in, and takes it well."""
    assert (await peer.expect("connection.close")).reply_code == 403
    await peer.send(m("connection.close-ok"), 0)
    assert await peer.ended() == []
    await peer.stream.aclose()


async def admitted(peer):
    """The client is let in, and has seen enough."""
    await peer.expect("connection.tune")
    await peer.stream.aclose()
