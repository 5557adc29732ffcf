"""A broker without sockets and without a clock, and those who are connected to it: what the core alone costs.

    core = Core()
    session = core.connect()
    session.call(client.declare_queue(1, "q", False))
    seconds = core.play([[(session, data)], ...])     # the CPU time of these rounds
    session.look()                                    # what came: the numbers of methods, the last confirm

A round is what the server does between two flushes: some reads, one flush, whatever became due. A millisecond passes
with each. What is sent is prepared before, what comes is looked at afterwards; in between there is the broker's work
and nothing else. With `store` there is a message store as well, on paper (`bench.paper`), whose jobs are done at once.

Invariant: BenchError when a connection or channel was closed, or is left with something unsent or unread.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from time import process_time
from typing import Final

from amqpd.auth.accounts import Accounts
from amqpd.auth.internal import InternalAuthority
from amqpd.broker import commands
from amqpd.broker.limits import Limits
from amqpd.broker.node import Broker
from amqpd.broker.persistence.keeper import Keeper
from amqpd.broker.ports import Authenticator, Authority, Catalogue, Login, Peer, Transport, User
from amqpd.protocol.connection import Connection
from amqpd.server.definitions import Definitions
from amqpd.store.opening import open_store
from amqpd.store.options import StoreOptions
from amqpd.wire import frames, methods, tables
from amqpd.wire.primitives import shortstr
from bench import client
from bench.client import BenchError
from bench.paper import Hand, PaperFiles

READ_SIZE: Final = 65_536  # bytes that the server reads at once
FRAME_MAX: Final = 131_072
START_MS: Final = 1000
WALL_MS: Final = 1_700_000_000_000

_CLOSED: Final = (methods.CONNECTION_CLOSE, methods.CHANNEL_CLOSE)


class Admits(Authenticator):
    """Lets everybody in who is an account, and asks for no password; permissions are the node's own."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts: Final = accounts
        self._authority: Final[Authority] = InternalAuthority(accounts)

    def mechanisms(self, peer: Peer) -> list[str]:
        return ["PLAIN"]

    def login(self, attempt: Login) -> None:
        name = attempt.response.split(b"\0")[1].decode()
        account = self._accounts.find(name)
        if account is None:
            raise BenchError(f"there is no user {name}")
        attempt.succeed(User(name, frozenset(account.tags), self._authority, account.limits, attempt.peer))

    def renew(self, user: User, secret: bytes) -> bool:
        return True


class Core:
    """One node with the vhost `/` and the user guest, who may do everything."""

    def __init__(self, *, store: bool = False) -> None:
        self._random = 0
        self.now_ms = START_MS
        self.hand: Final = Hand()
        self.resumed: Final[list[Session]] = []
        self.sessions: Final[list[Session]] = []
        self.broker: Final = Broker(Limits(), Catalogue(), self._bytes, "rabbit@bench")
        self.broker.offset_ms = WALL_MS - self.now_ms
        if store:
            self._keep()
        accounts = Accounts(self.broker.vhosts)
        self.definitions: Final = Definitions(self.broker, accounts)
        self.authenticator: Final = Admits(accounts)
        self.apply(commands.PutVHost("/"))
        self.add_user("guest", ".*")

    def _keep(self) -> None:
        store = open_store(PaperFiles("paper"), self._bytes, StoreOptions(), self.hand)
        self.broker.keeper = Keeper(self.broker, store.journal, store.segments, store.pages, self.hand, self.hand)
        self.hand.work()

    def _bytes(self, size: int) -> bytes:
        self._random += 1
        return self._random.to_bytes(size, "big")

    def apply(self, *orders: commands.Command) -> None:
        """Carry out what an operator wants."""
        for order in orders:
            self.definitions.apply(order)

    def add_user(self, name: str, pattern: str) -> None:
        """A user who may do with everything whose name has `pattern` in it what there is to do."""
        self.apply(
            commands.PutUser(name, "", commands.SHA256), commands.PutPermission(name, "/", pattern, pattern, pattern)
        )

    def connect(self, channels: int = 1, user: str = "guest") -> Session:
        """A connection with channels 1 to `channels` open."""
        session = Session(self, user)
        self.sessions.append(session)
        for number in range(1, channels + 1):
            session.call(client.open_channel(number))
        return session

    def play(self, rounds: Iterable[Sequence[tuple[Session, bytes]]]) -> float:
        """Feed each session what it reads in each round; returns the CPU seconds that all of it took."""
        broker, hand, resumed = self.broker, self.hand, self.resumed
        timers, jobs = broker.timers, hand.jobs
        now_ms = self.now_ms
        ready = [[(session.connection, data) for session, data in reads] for reads in rounds]
        started = process_time()
        for reads in ready:
            now_ms += 1
            for connection, data in reads:
                connection.feed(data, now_ms)
            broker.flush()
            while jobs or resumed or 0 <= timers.next_due_ms() <= now_ms:
                hand.work()
                if resumed:
                    self._resume(now_ms)
                broker.tick(now_ms)
                broker.flush()
        seconds = process_time() - started
        self.now_ms = now_ms
        for session in self.sessions:
            session.check()
        return seconds

    def _resume(self, now_ms: int) -> None:
        """Whoever had done enough for a turn, waited for the disk or was sent too much at once goes on."""
        sessions = self.resumed.copy()
        self.resumed.clear()
        for session in sessions:
            session.connection.drained(now_ms)
            session.connection.feed(b"", now_ms)


class Session(Transport):
    """A connection of `user` and what it was sent. `received` counts methods by number; `confirmed` is the last tag."""

    def __init__(self, core: Core, user: str) -> None:
        self.core: Final = core
        self.heard: Final[list[bytes]] = []
        self.received: Final[dict[int, int]] = {}
        self.confirmed = 0
        self.ended = False
        peer = Peer("127.0.0.1", True)
        self.connection: Final = Connection(core.broker, core.authenticator, self, "bench", peer)
        self._shake_hands(user)

    def _shake_hands(self, user: str) -> None:
        login = tables.encode_table([]) + shortstr("PLAIN")
        login += len(user + user + "..").to_bytes(4, "big") + f"\0{user}\0{user}".encode() + shortstr("en_US")
        tune = (2047).to_bytes(2, "big") + FRAME_MAX.to_bytes(4, "big") + b"\0\0"
        self.call(frames.PROTOCOL_HEADER)
        self.call(client.method(0, methods.CONNECTION_START_OK, login))
        self.call(client.method(0, methods.CONNECTION_TUNE_OK, tune))
        self.call(client.method(0, methods.CONNECTION_OPEN, shortstr("/") + b"\0\0"))
        if methods.CONNECTION_OPEN_OK not in self.received:
            raise BenchError(f"{user} was not let in")

    # -- what the broker asks of a socket

    def flush(self) -> None:
        self.heard.extend(self.connection.take_chunks())
        if self.connection.congested:
            self.core.resumed.append(self)

    def resume(self) -> None:
        self.core.resumed.append(self)

    def close(self) -> None:
        self.ended = True

    def abort(self) -> None:
        self.ended = True

    # -- around what is measured

    def call(self, data: bytes) -> None:
        """Send something in a round of its own, and look at what comes. Raises BenchError."""
        self.core.play([[(self, data)]])
        self.look()

    def look(self) -> None:
        """Count what was received since the last look. Raises BenchError where something was closed."""
        data = b"".join(self.heard)
        self.heard.clear()
        pos = 0
        while pos < len(data):
            after = pos + int.from_bytes(data[pos + 3 : pos + 7], "big") + frames.OVERHEAD
            if data[pos] == frames.METHOD:
                self._count(int.from_bytes(data[pos + 7 : pos + 11], "big"), data[pos + 11 : after - 1])
            pos = after

    def _count(self, number: int, arguments: bytes) -> None:
        if number in _CLOSED:
            raise BenchError(f"the broker closed: {arguments[3 : 3 + arguments[2]].decode('utf-8', 'replace')}")
        self.received[number] = self.received.get(number, 0) + 1
        if number == methods.BASIC_ACK:
            self.confirmed = int.from_bytes(arguments[:8], "big")

    def check(self) -> None:
        """Raise BenchError where the broker does not go on with this connection: then less was measured than sent."""
        connection = self.connection
        if self.ended or connection.paused or connection.congested:
            self.look()
            raise BenchError("a connection has ended, or waits for something that does not come")
