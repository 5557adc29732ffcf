"""What the domain asks of the outside. Implementations live in the rooms above or beside it.

`DeliverySink` is a channel as queues and consumers see it; `Owner` a connection as exclusive queues see it; `Transport`
the socket below it; `Authenticator` decides who it is; `Catalogue` keeps durable definitions; `Journal` and `Pages`
keep messages. All are synchronous.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from mypy_extensions import mypyc_attr

from amqpd.wire.primitives import BytesWriter

if TYPE_CHECKING:
    from amqpd.broker.commands import Command
    from amqpd.broker.consumers import Consumer
    from amqpd.broker.message import Message
    from amqpd.broker.queues.contract import Queue
    from amqpd.ranges import Ranges


class Owner:
    """A connection as the domain knows it: it owns exclusive queues, and has bytes to send at the end of a round."""

    def __init__(self) -> None:
        self.owned: Final[dict[str, Queue]] = {}

    def flush(self) -> None:
        """Send what can be sent."""
        raise NotImplementedError

    def access_changed(self, user: str | None) -> None:
        """What `user`, or anybody with None, may do is another thing now."""
        raise NotImplementedError

    def yield_turn(self) -> None:
        """Stop acting on what was received after the current frame, and go on when others have had their turn."""
        raise NotImplementedError

    def disk_caught_up(self) -> None:
        """It had published more than the disk could take, and may go on."""
        raise NotImplementedError


class Certificate:
    """What a client's certificate, which has been verified, says of its owner.

    `distinguished_name` is printed as RabbitMQ does (RFC 4514); `alternative_names` are pairs of type (dns, email, uri,
    ip) and value, in the certificate's order.
    """

    def __init__(
        self, distinguished_name: str, common_name: str, alternative_names: Sequence[tuple[str, str]]
    ) -> None:
        self.distinguished_name: Final = distinguished_name
        self.common_name: Final = common_name
        self.alternative_names: Final = alternative_names


class Peer:
    """Where a connection comes from. `address` is the client's IP address, and "" on a UNIX socket.

    `tls` is the version of TLS in use, or "". `certificate` is there where the client showed one.
    """

    def __init__(
        self, address: str, from_loopback: bool, tls: str = "", certificate: Certificate | None = None
    ) -> None:
        self.address: Final = address
        self.from_loopback: Final = from_loopback
        self.tls: Final = tls
        self.certificate: Final = certificate


class Question:
    """What a user wants to do. `vhost` is always there.

    `kind` is vhost (to enter it), queue or exchange (`name`, and `permission` configure, write or read), or topic
    (`name` is the exchange, `permission` write or read, for `routing_key`).
    """

    def __init__(self, kind: str, vhost: str, name: str = "", permission: str = "", routing_key: str = "") -> None:
        self.kind: Final = kind
        self.vhost: Final = vhost
        self.name: Final = name
        self.permission: Final = permission
        self.routing_key: Final = routing_key


ALLOWED: Final = 1
REFUSED: Final = 0
PENDING: Final = -1


@mypyc_attr(allow_interpreted_subclasses=True)
class Authority:
    """Decides what one user may do. The broker asks once and remembers; `access_changed` has it ask again."""

    def hold_ms(self) -> int:
        """How long a connection may remember what was allowed, or -1: until `access_changed` says otherwise."""
        return -1

    def check(self, user: User, question: Question) -> int:
        """ALLOWED, REFUSED, or PENDING where the answer must be fetched first: then `fetch` is called. Never blocks."""
        raise NotImplementedError

    def fetch(self, user: User, question: Question, answered: Callable[[], None]) -> None:
        """Find the answer that `check` pends for; then call `answered`, within a round, never before returning.

        The answer must stay until the check that follows at once. Where there is none to be had, it is REFUSED.
        """
        raise NotImplementedError


class User:
    """Who is logged in. `limits` (max-connections, max-channels) is the live table of that user's limits.

    `peer` is where this login came from. `valid_until_ms` is the time of day at which the credentials run out, or -1.
    """

    def __init__(
        self,
        name: str,
        tags: frozenset[str],
        authority: Authority,
        limits: dict[str, int] | None = None,
        peer: Peer | None = None,
        valid_until_ms: int = -1,
    ) -> None:
        self.name: Final = name
        self.tags: Final = tags
        self.authority: Final = authority
        self.limits: Final = limits if limits is not None else {}
        self.peer: Final = peer
        self.valid_until_ms = valid_until_ms


class LoginRefused(Exception):
    """The credentials are wrong, or not allowed from there. The text is for the log, never for the client."""

    def __init__(self, user: str, reason: str) -> None:
        super().__init__(reason)
        self.user = user
        self.reason = reason


@mypyc_attr(allow_interpreted_subclasses=True)
class Login:
    """An attempt to log in, as the authenticator gets it: it calls `succeed` or `refuse`, once, now or later.

    Later means within a round of its own (`Driver.round`); the connection waits, and may be gone by then, which is no
    error.
    """

    def __init__(self, mechanism: str, response: bytes, peer: Peer) -> None:
        self.mechanism: Final = mechanism
        self.response: Final = response
        self.peer: Final = peer

    def succeed(self, user: User) -> None:
        """The client is `user`."""
        raise NotImplementedError

    def refuse(self, refusal: LoginRefused) -> None:
        """The client is not let in."""
        raise NotImplementedError


@mypyc_attr(allow_interpreted_subclasses=True)
class Authenticator:
    """Decides who a client is."""

    def mechanisms(self, peer: Peer) -> list[str]:
        """The SASL mechanisms offered to that peer, in the order of the offer."""
        raise NotImplementedError

    def login(self, attempt: Login) -> None:
        """Have `attempt` succeed or be refused. Raises HandshakeFailure where its response has not the form."""
        raise NotImplementedError

    def renew(self, user: User, secret: bytes) -> bool:
        """Whether `secret` is a good new secret for a connection of `user`, whose `valid_until_ms` it may move."""
        raise NotImplementedError


@mypyc_attr(allow_interpreted_subclasses=True)
class Transport:
    """The socket below a connection. None of these blocks. After `abort` a flush has nothing to do."""

    def flush(self) -> None:
        """Bytes were written to the connection's buffer: send what the socket takes."""
        raise NotImplementedError

    def resume(self) -> None:
        """The connection, which had paused, reads again."""
        raise NotImplementedError

    def close(self) -> None:
        """Send what is left, then close."""
        raise NotImplementedError

    def abort(self) -> None:
        """Close at once."""
        raise NotImplementedError


class DeliverySink:
    """Where a consumer's messages go: a channel."""

    def accepts(self, consumer: Consumer) -> bool:
        """Whether `consumer` may be given a message now. After False the sink wakes it when that changes."""
        raise NotImplementedError

    def overflowing(self) -> bool:
        """Whether so much waits for the client already that what need not be delivered is not."""
        raise NotImplementedError

    def deliver(self, consumer: Consumer, message: Message, position: int, redelivered: bool) -> None:
        """Write a deliver; remember it until it is acknowledged, unless the consumer takes without acknowledging."""
        raise NotImplementedError

    def consumer_cancelled(self, consumer: Consumer) -> None:
        """The queue ended this consumer: forget it and tell the client."""
        raise NotImplementedError

    def stored(self, first: int, last: int) -> None:
        """Publishes `first` to `last` of this channel are on disk, and can be confirmed."""
        raise NotImplementedError


@mypyc_attr(allow_interpreted_subclasses=True)
class Catalogue:
    """Where durable definitions are kept. This one keeps them nowhere: the node's memory is all there is.

    The broker applies a change to its memory and calls `record`. Commands are numbered as they come. An answer that
    depends on commands waits for them: `settle`, once for the method that asked. `muted` is set while what was stored
    is read back.

    A command can be held back by a fence, and those after it with it, until what must be on disk before is there.
    """

    def __init__(self) -> None:
        self.muted = False
        self.recorded = 0  # the number of the last command
        self.stored = 0  # the number of the last command that is on disk
        self.needed = 0  # the number of the last command that the method in hand depends on
        self._fenced = 0  # the number of the last command that was held back by a fence
        self._fences: Final[deque[int]] = deque()  # what is stored ends before these

    def record(self, command: Command) -> None:
        """Note a change that was made."""
        if self.muted:
            return
        self.recorded += 1
        self.needed = self.recorded
        self.keep(command)

    def depend(self) -> None:
        """The answer in hand says that something is there which may not be on disk yet."""
        self.needed = self.recorded

    def begin(self) -> None:
        """Another method is in hand, which depends on nothing so far."""
        self.needed = self.stored

    def keep(self, command: Command) -> None:
        """Store a command, later. For implementations that do, and that count `stored`."""
        self.stored = self.recorded

    def fence(self) -> bool:
        """Hold the last command back that the method in hand depends on, until `lift`. False where nothing was done,
        since it is held back already, or stored."""
        if self.needed <= self.stored or self.needed == self._fenced:
            return False
        self._fenced = self.needed
        self._fences.append(self.first_with(self.needed))
        return True

    def lift(self) -> None:
        """What the oldest fence held back can be stored."""
        self._fences.popleft()

    def first_with(self, number: int) -> int:
        """The first of those commands that are stored together with that one, or not at all."""
        return number

    def storable(self) -> int:
        """The number of the last command that may be stored."""
        return self._fences[0] - 1 if self._fences else self.recorded

    def hold(self) -> None:
        """Store nothing until `release`: what comes meanwhile belongs together, and is stored as one or not at all."""

    def release(self) -> None:
        """The counterpart of `hold`."""

    def settle(self, stored: Callable[[], None]) -> bool:
        """True when all that the method in hand depends on is stored. Else False; `stored` is called once it is."""
        return self.needed <= self.stored


# -- the message store (`amqpd.store`; the words are explained in docs/storage.md)


@mypyc_attr(allow_interpreted_subclasses=True)
class Job:
    """Something that blocks. `run` is called in a worker's thread, `finish` afterwards in a round."""

    def run(self) -> None:
        """Do it. Raises StorageError; StorageFullError where it has not begun, and can be tried again."""
        raise NotImplementedError

    def finish(self) -> None:
        """It was done."""
        raise NotImplementedError

    def found_no_room(self) -> None:
        """`run` raised StorageFullError, and will be called again. In the caller's thread, within a round."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Worker:
    """Runs jobs in their order, one at a time, in a thread of its own."""

    def submit(self, job: Job) -> None:
        """Have `job` run. Does not block."""
        raise NotImplementedError


@mypyc_attr(allow_interpreted_subclasses=True)
class Batch(Job):
    """Records that reach the disk together or not at all. `size` in bytes as they stand in the file."""

    def __init__(self, sequence: int, size: int) -> None:
        self.sequence: Final = sequence
        self.size = size


@mypyc_attr(allow_interpreted_subclasses=True)
class Journal:
    """The node's write-ahead log. Records are gathered in `out` and sealed as a batch.

    `file` is the number of the file in which the batch that is gathered will stand, `records` how many it has. `begin`
    must be called before the first record of a batch, which is when `records` is 0.
    """

    def __init__(self) -> None:
        self.out = BytesWriter()
        self.file = 0
        self.records = 0

    def begin(self) -> None:
        """Choose the file of the next batch."""
        raise NotImplementedError

    def group(self, ref: int, identity: bytes, level: int, label: bytes) -> None:
        """Say which log `ref` means. Due once in each file, before the first use."""
        raise NotImplementedError

    def entry(self, ref: int, index: int, term: int, size: int) -> None:
        """A message; the caller writes exactly `size` bytes of it into `out` then."""
        raise NotImplementedError

    def entry_in_many(self, refs: list[int], indexes: list[int], term: int, size: int) -> None:
        """The same, where several logs have the message."""
        raise NotImplementedError

    def settle(self, ref: int, ranges: list[int]) -> None:
        """Messages are gone for good: first index, last index, first, last, and so on."""
        raise NotImplementedError

    def forget(self, ref: int) -> None:
        """A whole log is gone."""
        raise NotImplementedError

    def mark(self, ref: int, index: int) -> None:
        """What is below `index` has been delivered before. For an orderly stop."""
        raise NotImplementedError

    def stop(self) -> None:
        """The last record of an orderly stop."""
        raise NotImplementedError

    def seal(self) -> Batch | None:
        """What was gathered, to be written; None where nothing was."""
        raise NotImplementedError

    def oldest(self) -> int:
        """The number of the oldest file in use."""
        raise NotImplementedError

    def surplus(self) -> bool:
        """Whether the journal is larger than it should be: its oldest file is to be freed."""
        raise NotImplementedError

    def free(self, file: int) -> Job:
        """Nothing in `file`, the oldest and not the present one, is needed any more."""
        raise NotImplementedError

    def prepare(self) -> Job | None:
        """Make the files that will be needed next; None where they are there."""
        raise NotImplementedError


@mypyc_attr(acyclic=True)
class Page:
    """A run of messages that were written together, by their positions `first` to `last`.

    `count` messages with `size` bytes of bodies, `persistent` of them persistent, of which `live` are not settled.
    `kept`: a queue will read it again, so what is transient in it counts too. `payload` is there until the page is
    written, or when it was read ahead. `settled` are the positions that are gone. `offset_ms` was the time of day minus
    the broker's when its messages were encoded. `earlier`: a node's life before this one wrote it, and what is
    transient in it is gone.
    """

    __slots__ = (
        "count",
        "earlier",
        "file",
        "first",
        "kept",
        "last",
        "length",
        "live",
        "offset",
        "offset_ms",
        "payload",
        "persistent",
        "settled",
        "size",
    )

    def __init__(self, first: int, last: int, count: int, size: int, persistent: int) -> None:
        self.first = first
        self.last = last
        self.count = count
        self.size = size
        self.persistent = persistent
        self.live = persistent
        self.kept = False
        self.payload: bytes | None = None
        self.settled: Ranges | None = None
        self.file = 0
        self.offset = 0
        self.length = 0
        self.offset_ms = 0
        self.earlier = False


@mypyc_attr(allow_interpreted_subclasses=True)
class Pages:
    """Where pages are. `pending` bytes are taken and not written yet; of `used` bytes in files `dead` are of no use."""

    def __init__(self) -> None:
        self.pending = 0
        self.used = 0
        self.dead = 0

    def write(self, page: Page, identity: bytes, level: int, label: bytes, index: bytes, payload: bytes) -> None:
        """Take a page: `index` is of `amqpd.pageindex`, and in `payload` four bytes of size precede each message."""
        raise NotImplementedError

    def read(self, page: Page) -> bytes:
        """The payload. Blocks where it was not read ahead. Raises StorageError."""
        raise NotImplementedError

    def fetch(self, page: Page) -> None:
        """Read a page ahead."""
        raise NotImplementedError

    def settle(self, page: Page, first: int, last: int, count: int) -> None:
        """What stands at `first` to `last`, `count` persistent messages, is gone, or has another home, for good."""
        raise NotImplementedError

    def drop(self, page: Page) -> None:
        """All of a page is gone."""
        raise NotImplementedError

    def sync(self, done: Callable[[], None]) -> None:
        """Have everything that was taken so far on disk, and then what was settled; `done` in a round after that."""
        raise NotImplementedError

    def tidy(self) -> None:
        """Begin to win space back, where that is worth it."""
        raise NotImplementedError
