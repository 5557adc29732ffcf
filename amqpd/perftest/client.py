"""One connection as a client, sans-I/O: bytes in, bytes out.

`start` gives the first bytes to send. `feed` takes what was read; what is to be sent is in `out`. Replies go to the
call that waits for them, everything else to the agent of its channel: deliveries in runs, confirms, returns. A broker
that closes a channel or the connection, or that breaks the protocol, ends in RunError: there is no channel of a load
test that could do without.

Bodies are not kept: of a message, all that is of interest is its delivery tag and the time in it. That stands in the
body after four bytes, as PerfTest writes it, or in the header `timestamp`.

Invariants: at most one call waits on each channel. Not kept: more than one incomplete frame.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from amqpd.errors import MalformedError
from amqpd.perftest import requests
from amqpd.perftest.deliveries import STAMP_HEADER, STAMPED_BODY, UNSTAMPED, Deliveries
from amqpd.perftest.faults import RunError
from amqpd.perftest.texts import Address
from amqpd.wire import content, frames, methods, tables
from amqpd.wire.primitives import Reader, read_i32_be, read_i64_be

FRAME_MAX: Final = 131_072  # what is asked for where the broker sets no limit, and what is accepted of any broker
FRAME_MIN: Final = 4096
CHANNEL_MAX: Final = 65_535

_PROPERTIES: Final = (
    ("product", tables.longstr("amqpd bench")),
    ("platform", tables.longstr("Python")),
    (
        "capabilities",
        tables.subtable(
            [
                (name, tables.boolean(True))
                for name in (
                    "publisher_confirms",
                    "basic.nack",
                    "consumer_cancel_notify",
                    "connection.blocked",
                    "authentication_failure_close",
                )
            ]
        ),
    ),
)


def _nothing() -> None:
    pass


class Agent:
    """Who uses a channel. Synchronous: what it wants to send it gives to the client that calls it."""

    def deliver(self, tags: list[int], stamps: list[int]) -> None:
        """Messages with these delivery tags, and the times that were in them (UNSTAMPED where there was none)."""

    def confirmed(self, tag: int, multiple: bool, positive: bool) -> None:
        """basic.ack or basic.nack"""

    def returned(self) -> None:
        """A message came back."""

    def committed(self) -> None:
        """tx.commit-ok"""


class Call:
    """A request that waits for its answer. `done` is called, once, when there is one or it cannot come any more."""

    def __init__(self, answer: int, done: Callable[[], None]) -> None:
        self.answer: Final = answer
        self.arguments: bytes | None = None
        self.done: Final = done


class _Content:
    """A message that is arriving. `tag` is 0 for one that comes back."""

    __slots__ = ("left", "size", "stamp", "tag")

    def __init__(self, tag: int) -> None:
        self.tag: Final = tag
        self.size = 0
        self.left = -1  # bytes of the body that are still to come; -1 before the header
        self.stamp = UNSTAMPED


class Client:
    """`heartbeat` in seconds and `frame_max` in bytes are what is asked for; 0 leaves them to the broker.

    `external`: log in by certificate (SASL EXTERNAL). `when_open` is called once when the login is done: `heartbeat`,
    `frame_max` and `channel_max` are then what was agreed upon.
    """

    def __init__(
        self, address: Address, name: str, heartbeat: int = 0, frame_max: int = 0, external: bool = False
    ) -> None:
        self.address: Final = address
        self.heartbeat = heartbeat
        self.frame_max = frame_max
        self.channel_max = CHANNEL_MAX
        self.out: list[bytes | bytearray] = []
        self.unsent = 0  # bytes in `out`
        self.blocked: str | None = None  # why the broker takes no publishes at the moment
        self.open = False
        self.when_open: Callable[[], None] = _nothing
        self.closed = False  # in order, by us
        self._external: Final = external
        self._name: Final = name
        self._agents: Final[dict[int, Agent]] = {}
        self._calls: Final[dict[int, Call]] = {}
        self._contents: Final[dict[int, _Content]] = {}
        self._deliveries: Final = Deliveries()
        self._gathered_for = 0  # the channel of these
        self._tags: list[int] = []
        self._stamps: list[int] = []
        self._rest = b""

    # -- out

    def send(self, data: bytes | bytearray) -> None:
        """Put bytes into `out`."""
        self.out.append(data)
        self.unsent += len(data)

    def take(self) -> list[bytes | bytearray]:
        """What is to be sent; it is the caller's then."""
        taken, self.out = self.out, []
        self.unsent = 0
        return taken

    def start(self) -> None:
        """Begin: the protocol header."""
        self.send(frames.PROTOCOL_HEADER)

    def attach(self, channel: int, agent: Agent) -> None:
        """What comes for a channel goes to this agent."""
        self._agents[channel] = agent

    def call(self, channel: int, request: bytes, answer: int, done: Callable[[], None]) -> Call:
        """Send a request; the method with number `answer` ends the call."""
        assert channel not in self._calls
        call = Call(answer, done)
        self._calls[channel] = call
        self.send(request)
        return call

    # -- in

    def feed(self, data: bytes) -> None:
        """Act on what was read. Raises RunError."""
        if self._rest:
            data = self._rest + data
        pos = 0
        end = len(data)
        while end - pos >= frames.HEADER_SIZE:
            size: int = read_i32_be(data, pos + 3)
            after = pos + size + frames.OVERHEAD
            if not 0 <= size <= max(self.frame_max, FRAME_MAX):
                raise RunError(self._nonsense(data, pos, size))
            if after > end:
                break
            if data[after - 1] != frames.END:
                raise RunError(f"{self.address.place} sent a frame without its end")
            pos = self._frame(data, pos, after, end)
        self._hand_over()
        self._rest = data[pos:]

    def _nonsense(self, data: bytes, pos: int, size: int) -> str:
        if data[pos : pos + 4] == b"AMQP":
            return f"{self.address.place} does not speak AMQP 0-9-1"
        if not self.open and data[pos] > frames.HEARTBEAT:
            return f"{self.address.place} does not speak AMQP"
        return f"{self.address.place} sent a frame of {size} bytes, more than was agreed upon"

    def _frame(self, data: bytes, pos: int, after: int, end: int) -> int:
        """Act on a frame, and on as many as follow it that are of the same kind. Returns where the next one begins."""
        kind = data[pos]
        channel = data[pos + 1] << 8 | data[pos + 2]
        try:
            if kind == frames.METHOD:
                number: int = read_i32_be(data, pos + 7)
                if number == methods.BASIC_DELIVER:
                    return self._delivery(data, pos, after, end, channel)
                self._method(channel, number, data, pos + 11, after - 1)
            elif kind == frames.HEADER:
                self._header(channel, data, pos + 7, after - 1)
            elif kind == frames.BODY:
                self._body(channel, data, pos + 7, after - 1)
            elif kind != frames.HEARTBEAT:
                raise RunError(f"{self.address.place} does not speak AMQP")
        except (MalformedError, IndexError) as error:
            raise RunError(f"{self.address.place} sent what is not AMQP 0-9-1: {error}") from None
        return after

    # -- contents

    def _delivery(self, data: bytes, pos: int, after: int, end: int, channel: int) -> int:
        if self._gathered_for != channel:
            self._hand_over()
            self._gathered_for = channel
        following = self._deliveries.take(data, pos, after, end, self._tags, self._stamps)
        if following > pos:
            return following
        tag_at = pos + 12 + data[pos + 11]
        self._contents[channel] = _Content(read_i64_be(data, tag_at))
        return after

    def _hand_over(self) -> None:
        """Give an agent the messages that were gathered for it."""
        if self._tags:
            tags, stamps = self._tags, self._stamps
            self._tags, self._stamps = [], []
            self._agent(self._gathered_for).deliver(tags, stamps)

    def _header(self, channel: int, data: bytes, pos: int, end: int) -> None:
        arriving = self._contents.get(channel)
        if arriving is None or arriving.left >= 0:
            raise RunError(f"{self.address.place} sent a content header that nothing announced")
        arriving.size = arriving.left = read_i64_be(data, pos + 4)
        if data[pos + content.FLAGS_OFFSET] & content.HEADERS >> 8:
            headers = content.inspect(data, pos, end).headers
            if headers is not None:
                arriving.stamp = stamp_in(headers)
        if arriving.left == 0:
            self._arrived(channel, arriving)

    def _body(self, channel: int, data: bytes, pos: int, end: int) -> None:
        arriving = self._contents.get(channel)
        if arriving is None or arriving.left < end - pos:
            raise RunError(f"{self.address.place} sent a body that is longer than it said")
        first = arriving.left == arriving.size
        if first and arriving.stamp == UNSTAMPED and end - pos >= STAMPED_BODY:
            arriving.stamp = read_i64_be(data, pos + 4)
        arriving.left -= end - pos
        if arriving.left == 0:
            self._arrived(channel, arriving)

    def _arrived(self, channel: int, arrived: _Content) -> None:
        del self._contents[channel]
        if arrived.tag:
            if self._gathered_for != channel:
                self._hand_over()
                self._gathered_for = channel
            self._tags.append(arrived.tag)
            self._stamps.append(arrived.stamp)
        else:
            self._agent(channel).returned()

    def _agent(self, channel: int) -> Agent:
        agent = self._agents.get(channel)
        if agent is None:
            raise RunError(f"{self.address.place} sent something on channel {channel}, which is not open")
        return agent

    # -- methods

    def _method(self, channel: int, number: int, data: bytes, pos: int, end: int) -> None:
        call = self._calls.get(channel)
        if call is not None and call.answer == number:
            del self._calls[channel]
            call.arguments = data[pos:end]
            if number == methods.CONNECTION_CLOSE_OK:
                self.closed = True
            call.done()
        elif number == methods.BASIC_ACK or number == methods.BASIC_NACK:
            bits = data[pos + 8]
            self._agent(channel).confirmed(read_i64_be(data, pos), bits & 1 == 1, number == methods.BASIC_ACK)
        elif number == methods.BASIC_RETURN:
            self._contents[channel] = _Content(0)
        elif number == methods.TX_COMMIT_OK:
            self._agent(channel).committed()
        else:
            self._other_method(channel, number, Reader(data, pos, end))

    def _other_method(self, channel: int, number: int, reader: Reader) -> None:
        if number == methods.CONNECTION_START:
            self._start(reader)
        elif number == methods.CONNECTION_TUNE:
            self._tune(reader)
        elif number == methods.CONNECTION_OPEN_OK:
            self.open = True
            self.when_open()
        elif number == methods.CONNECTION_CLOSE or number == methods.CHANNEL_CLOSE:
            code, text = reader.short(), reader.shortstr().decode("utf-8", "replace")
            raise RunError(f"{self.address.place} {_closed(number)}: {code} {text}")
        elif number == methods.CONNECTION_BLOCKED:
            self.blocked = reader.shortstr().decode("utf-8", "replace")
        elif number == methods.CONNECTION_UNBLOCKED:
            self.blocked = None
        elif number == methods.BASIC_CANCEL:
            raise RunError(f"{self.address.place} cancelled a consumer: its queue is gone")
        elif number != methods.CONNECTION_UPDATE_SECRET_OK:
            name = methods.NAMES.get(number, "an unknown method")
            raise RunError(f"{self.address.place} sent {name}, which was not asked for")

    def _start(self, reader: Reader) -> None:
        reader.skip(2)
        tables.read_table(reader)
        offered = reader.longstr().decode("utf-8", "replace").split()
        mechanism = "EXTERNAL" if self._external else "PLAIN"
        if mechanism not in offered:
            raise RunError(f"{self.address.place} offers no login with {mechanism}, only {', '.join(offered)}")
        properties = [*_PROPERTIES, ("connection_name", tables.longstr(self._name))]
        response = b"" if self._external else requests.plain(self.address.user, self.address.password)
        self.send(requests.start_ok(properties, mechanism, response))

    def _tune(self, reader: Reader) -> None:
        self.channel_max = min(reader.short() or CHANNEL_MAX, CHANNEL_MAX)
        offered = reader.long() or FRAME_MAX
        self.frame_max = max(min(offered, self.frame_max or FRAME_MAX), FRAME_MIN)
        self.heartbeat = min(reader.short(), self.heartbeat) if self.heartbeat else 0
        self.send(requests.tune_ok(self.channel_max, self.frame_max, self.heartbeat))
        self.send(requests.open_vhost(self.address.vhost))


def stamp_in(headers: bytes) -> int:
    """The time in a table of headers (without the length before it), or UNSTAMPED. Raises MalformedError."""
    for key, start, end in tables.entries(headers):
        if key == STAMP_HEADER:
            field = tables.decode_table(headers[start:end])[0][1]
            return field.integer() if field.is_integer else UNSTAMPED
    return UNSTAMPED


def _closed(number: int) -> str:
    return "closed the connection" if number == methods.CONNECTION_CLOSE else "refused"
