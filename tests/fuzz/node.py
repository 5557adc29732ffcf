"""A broker with clients but without sockets: bytes go in, answers come out, time is a number.

Does what the server does around the core, in its order: feed, flush, hand on, tell of connections that ended.
"""

from fuzz.codec import Decoder, Method, handshake

from amqpd.broker.limits import Limits
from amqpd.broker.node import Broker
from amqpd.broker.ports import (
    ALLOWED,
    Authenticator,
    Authority,
    Catalogue,
    Login,
    LoginRefused,
    Peer,
    Question,
    Transport,
    User,
)
from amqpd.errors import HandshakeFailure
from amqpd.protocol.connection import Connection

ROUNDS_MAX = 200  # more than that to come to rest is an endless loop


class Anything(Authority):
    """Whoever is in may do everything."""

    def check(self, user: User, question: Question) -> int:
        return ALLOWED


class Plain(Authenticator):
    """Lets `guest` in, whatever the password."""

    def mechanisms(self, peer: Peer) -> list[str]:
        return ["PLAIN"]

    def login(self, attempt: Login) -> None:
        parts = attempt.response.split(b"\0")
        if len(parts) != 3:
            raise HandshakeFailure("not of the form of PLAIN")
        if parts[1] == b"guest":
            attempt.succeed(User("guest", frozenset(), Anything()))
        else:
            attempt.refuse(LoginRefused(parts[1].decode("utf-8", "replace"), "who?"))

    def renew(self, user: User, secret: bytes) -> bool:
        return secret != b"bad"


class Socket(Transport):
    """A client's end: `inbox` holds what it received. While not `reading`, bytes wait in `pending` as in a socket."""

    def __init__(self) -> None:
        self.connection: Connection
        self.decoder = Decoder()
        self.inbox: list[Method] = []
        self.raw = b""
        self.pending = b""
        self.reading = True
        self.ended = ""
        self.gone = False
        self.wants_resume = False

    def flush(self) -> None:
        self.pending += b"".join(self.connection.take_chunks())
        if self.reading:
            self.raw += self.pending
            self.inbox += self.decoder.take(self.pending)
            self.pending = b""
        self.connection.unsent = len(self.pending)

    def resume(self) -> None:
        self.wants_resume = True

    def close(self) -> None:
        self.ended = self.ended or "close"

    def abort(self) -> None:
        self.ended = "abort"

    def taken(self) -> list[Method]:
        """What has arrived since the last call."""
        taken, self.inbox = self.inbox, []
        self.raw = b""
        return taken


class Node:
    """A broker and the sockets that are connected to it. Random bytes are counted up: every run is the same."""

    def __init__(self, **limits: int) -> None:
        self._random = 0
        settings = Limits()
        for name, value in limits.items():
            assert hasattr(settings, name)
            setattr(settings, name, value)
        self.broker = Broker(settings, Catalogue(), self._bytes, "fuzz")
        self.broker.add_vhost("/")
        self.broker.alarms.subscribe(self._alarms_changed)
        self.sockets: list[Socket] = []
        self.now_ms = 0

    def _bytes(self, size: int) -> bytes:
        self._random += 1
        return self._random.to_bytes(size, "big")

    def _alarms_changed(self) -> None:
        for connection in list(self.broker.connections):
            assert isinstance(connection, Connection)
            connection.alarms_changed()

    @property
    def vhost(self):
        return self.broker.vhosts["/"]

    def connect(self) -> Socket:
        """A socket before the protocol header."""
        socket = Socket()
        socket.connection = Connection(self.broker, Plain(), socket, "peer", Peer("127.0.0.1", True))
        self.sockets.append(socket)
        return socket

    def open(self, frame_max: int = 131_072, capabilities: bytes = b"", heartbeat: int = 0) -> Socket:
        """A socket after connection.open-ok."""
        socket = self.connect()
        self.send(socket, handshake(frame_max=frame_max, capabilities=capabilities, heartbeat=heartbeat))
        assert [method.name for method in socket.taken()] == [
            "connection.start",
            "connection.tune",
            "connection.open-ok",
        ]
        socket.decoder.frame_max = frame_max
        return socket

    def send(self, socket: Socket, *data: bytes) -> list[Method]:
        """Feed, flush, and come to rest; what that client received."""
        for piece in data:
            if not socket.gone:
                socket.connection.feed(piece, self.now_ms)
        self.rest()
        return socket.inbox

    def wait(self, ms: int) -> None:
        """Let time pass."""
        self.now_ms += ms
        self.broker.tick(self.now_ms)
        self.rest()

    def lose(self, socket: Socket) -> None:
        """The socket breaks."""
        if not socket.gone:
            socket.gone = True
            self.sockets.remove(socket)
            socket.connection.lost(self.now_ms)
        self.rest()

    def rest(self) -> None:
        """Do what is to be done until nothing is."""
        for _ in range(ROUNDS_MAX):
            self.broker.flush()
            if not self._busy():
                return
        raise AssertionError("does not come to rest")

    def _busy(self) -> bool:
        busy = False
        for socket in list(self.sockets):
            if socket.ended:
                if socket.ended == "close":
                    socket.reading = True
                    socket.flush()
                socket.gone = busy = True
                self.sockets.remove(socket)
                socket.connection.lost(self.now_ms)
                continue
            if socket.wants_resume:
                socket.wants_resume = False
                socket.connection.feed(b"", self.now_ms)
                busy = True
            if socket.reading and socket.connection.congested:
                socket.flush()
                socket.connection.drained(self.now_ms)
                busy = True
        return busy
