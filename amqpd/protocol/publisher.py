"""The publishing side of a channel: contents are assembled, routed by a cache, and handed to their queues.

The usual publish (method, header and body in one read) is `on_publish`, `_complete` and `_hand_out`, without any
decoding: properties are stepped over (`content.glance`). What asks the broker for something, such as an expiration,
costs more (`_inspected`).

Order of the checks on a publish is RabbitMQ's (rabbit_channel, basic.publish; `behaviour.md` section 6).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from amqpd.broker import events
from amqpd.broker.arguments import expiry_problem
from amqpd.broker.limits import HARD_MESSAGE_LIMIT
from amqpd.broker.message import NEVER, Annotations, Message
from amqpd.broker.reply_to import PSEUDO_QUEUE
from amqpd.errors import (
    FRAME_ERROR,
    NO_ROUTE,
    REPLY_NAMES,
    ConnectionFault,
    MalformedError,
    ProtocolError,
    access_refused,
    not_implemented,
    precondition_failed,
)
from amqpd.protocol import faults
from amqpd.protocol.access import WRITE, AnswerPending, check_exchange, check_topic
from amqpd.protocol.confirms import Confirms
from amqpd.protocol.passage import add_piece
from amqpd.protocol.transactions import Transaction
from amqpd.wire import content, frames, methods, tables
from amqpd.wire.frames import BODY, END, HEADER, METHOD, OVERHEAD
from amqpd.wire.primitives import BytesWriter, Reader, as_bytes, as_text, read_i16_be, read_i32_be, read_i64_be

if TYPE_CHECKING:
    from amqpd.broker.queues.contract import Queue
    from amqpd.broker.routing import Route
    from amqpd.protocol.channel import Channel

_NOTHING: Final = 0
_HEADER_DUE: Final = 1
_BODY_DUE: Final = 2
_BASIC_WORD: Final = content.CLASS_BASIC << 16  # class 60, weight 0
_MINIMAL: Final = 14  # bytes of a content header without properties
_SMALLEST_ARGUMENTS: Final = 3  # two empty names and the bits


class Publisher:
    """`confirms` and `transaction` are None until their select."""

    __deletable__ = ["_channel"]

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._connection: Final = channel.connection
        self._vhost: Final = channel.vhost
        self._broker: Final = channel.vhost.broker
        self._alarms: Final = channel.vhost.broker.alarms
        self._keeper: Final = channel.vhost.broker.keeper
        self._number: Final = channel.number
        self._signed_number: Final = channel.number if channel.number <= 0x7FFF else channel.number - 0x1_0000
        self._max_size: Final = channel.vhost.broker.limits.max_message_size
        self._routes: Final = channel.vhost.member(channel.user).routes
        self.confirms: Confirms | None = None
        self.transaction: Transaction | None = None
        self._state = _NOTHING
        self._arguments = b""
        self._parts: list[bytes] = []  # header frame and body frames, as they came
        self._header_size = 0
        self._frames = 0  # of the body
        self._size = 0
        self._missing = 0

    # -- a content is assembled

    @property
    def assembling(self) -> bool:
        """Whether a method was received whose content is not complete."""
        return self._state != _NOTHING

    def on_publish(self, data: bytes, pos: int, after: int, end: int) -> int:
        """basic.publish in `data[pos:after]`; takes its content too where that is complete. Returns where to go on."""
        arguments = data[pos + 13 : after - 1]
        if end - after >= _MINIMAL + OVERHEAD and data[after] == HEADER and not self._alarms.active:
            header_size: int = read_i32_be(data, after + 3)
            header_end = after + header_size + OVERHEAD
            if (
                header_size >= _MINIMAL
                and header_end <= end
                and data[header_end - 1] == END
                and read_i16_be(data, after + 1) == self._signed_number
                and read_i32_be(data, after + 7) == _BASIC_WORD
            ):
                size: int = read_i64_be(data, after + 11)
                body_end = header_end + size + OVERHEAD if size else header_end
                if size == 0 or (
                    0 < size < end - header_end
                    and body_end <= end
                    and data[header_end] == BODY
                    and read_i32_be(data, header_end + 3) == size
                    and read_i16_be(data, header_end + 1) == self._signed_number
                    and data[body_end - 1] == END
                    and size <= self._connection.frame_max
                ):
                    self._connection.resume_at(body_end)
                    self._complete(arguments, data[after:body_end], header_size, size)
                    return body_end
        self._arguments = arguments
        self._state = _HEADER_DUE
        return after

    def on_header(self, frame: bytes) -> None:
        """A content header frame, whole."""
        if self._state == _NOTHING:
            raise faults.expected_method()
        if self._state == _BODY_DUE:
            raise self.out_of_turn()
        if len(frame) < 12 + OVERHEAD:
            raise faults.unknown_frame(HEADER, frame[7:-1])
        word: int = read_i32_be(frame, 7)
        if word & 0xFFFF:
            raise faults.expected_header("non content header frame")
        if word != _BASIC_WORD:
            raise faults.expected_header(f"one for class {(word >> 16) & 0xFFFF}")
        size: int = read_i64_be(frame, 11)
        size &= 0xFFFF_FFFF_FFFF_FFFF
        if size > HARD_MESSAGE_LIMIT:
            raise faults.body_over_limit(size, HARD_MESSAGE_LIMIT)
        if len(frame) < _MINIMAL + OVERHEAD:
            raise _undecodable("no property flags")
        self._check_size(size)
        self._parts = [frame]
        self._header_size = len(frame) - OVERHEAD
        self._frames = 0
        self._size = size
        self._missing = size
        if size == 0:
            self._assembled()
        else:
            self._state = _BODY_DUE

    def expects_body(self, size: int) -> bool:
        """Whether a body frame with a payload of `size` bytes may come now."""
        return self._state == _BODY_DUE and 0 < size <= self._missing

    def on_body(self, pieces: list[bytes], size: int) -> None:
        """A body frame with a payload of `size` bytes, in as many pieces as it came in."""
        if self._state == _NOTHING:
            raise faults.expected_method()
        if self._state == _HEADER_DUE:
            raise self.out_of_turn()
        if size > self._missing:
            raise faults.body_too_long()
        if size:
            for piece in pieces:
                add_piece(self._parts, piece)
            self._frames += 1
            self._missing -= size
        if self._missing == 0:
            self._assembled()

    def _assembled(self) -> None:
        size = self._size
        frame = b"".join(self._parts)
        self.forget()
        frame_max = self._connection.frame_max
        if self._frames > 1 + size // (frame_max - OVERHEAD):
            # Many small frames would cost every consumer what they cost here: make the fewest of them.
            frame = frames.build_content(self._number, frames.header_of(frame), frames.body_of(frame), frame_max)
        self._complete(self._arguments, frame, self._header_size, size)

    def out_of_turn(self) -> ConnectionFault:
        """The fault of a method that arrives while a content is due."""
        if self._state == _HEADER_DUE:
            return faults.expected_header("non content header frame")
        return faults.expected_body()

    def forget(self) -> None:
        """Drop what was assembled so far."""
        self._state = _NOTHING
        self._parts = []

    def end(self) -> None:
        """The channel is closed: let go of it (see `connectiontimer`). Must be called once."""
        del self._channel

    def _check_size(self, size: int) -> None:
        if size > self._max_size:
            raise precondition_failed(f"message size {size} is larger than configured max size {self._max_size}")

    # -- a message is complete

    def _complete(self, arguments: bytes, frame: bytes, header_size: int, size: int) -> None:
        """Route and hand out a content; `frame` begins with its header frame, of `header_size` bytes of payload."""
        if size > self._max_size:
            self._check_size(size)
        route = self._routes.get(arguments)
        if route is None:
            route = self._resolve_or_wait(arguments, frame, header_size)
            if route is None:
                return
        flags: int = read_i16_be(frame, 7 + content.FLAGS_OFFSET)
        persistent = False
        priority = -1
        if flags == content.DELIVERY_MODE and header_size == _MINIMAL + 1:
            persistent = frame[7 + _MINIMAL] == 2
        elif flags != 0 or header_size != _MINIMAL:
            said = content.glance(frame, 7, 7 + header_size)
            if said < 0:
                self._inspect_or_wait(route, arguments, frame, header_size, size)
                return
            persistent = said & 1 != 0
            priority = (said >> 1) - 1
        message = Message(
            route.address, frame, self._number, size, persistent, priority, NEVER, self._broker.now_ms, None
        )
        if route.keyed:
            self._hand_out(route.queues, message, route.mandatory)
        else:
            self._hand_out(self._walk(route, message), message, route.mandatory)

    def _resolve_or_wait(self, arguments: bytes, frame: bytes, header_size: int) -> Route | None:
        """The route, or None where the publish has to wait for a permission."""
        try:
            return self._resolve(arguments, frame, header_size)
        except AnswerPending as pending:
            self._wait(pending, arguments, frame)
            return None

    def _inspect_or_wait(self, route: Route, arguments: bytes, frame: bytes, header_size: int, size: int) -> None:
        try:
            self._inspected(route, frame, header_size, size)
        except AnswerPending as pending:
            self._wait(pending, arguments, frame)

    def _wait(self, pending: AnswerPending, arguments: bytes, frame: bytes) -> None:
        """Nobody knows yet whether the user may: come back to this publish when somebody does."""
        again = BytesWriter()
        frames.write_frame(again, METHOD, self._number, _PUBLISH + arguments)
        self._connection.ask(pending, again.getvalue() + frame)

    def _resolve(self, arguments: bytes, frame: bytes, header_size: int) -> Route:
        """The route of a publish's arguments: exchange, routing key, bits. Raises ProtocolError, AnswerPending."""
        if len(arguments) < _SMALLEST_ARGUMENTS:
            raise faults.cannot_decode(b"\0\0" + arguments, MalformedError())
        reader = Reader(arguments, 0, len(arguments))
        try:
            exchange_name = as_text(reader.shortstr())
            key = as_text(reader.shortstr())
            bits = reader.octet()
            reader.finish()
        except MalformedError as error:
            raise faults.cannot_decode(b"\0\0" + arguments, error) from None
        if bits & 2:
            raise not_implemented("immediate=true")
        check_exchange(self._channel, exchange_name, WRITE)
        exchange = self._vhost.exchange(exchange_name)
        if exchange.internal:
            raise access_refused(f"cannot publish to internal {exchange.described()}")
        try:
            check_topic(self._channel, exchange, key, WRITE)
        except ProtocolError:
            _Properties(self._channel, key, frame, header_size)  # what is wrong with these is said first
            raise
        route = self._vhost.route_for(exchange, key, bool(bits & 1), arguments[:-1] + bytes([END]))
        if route.keyed:
            if len(self._routes) >= self._broker.limits.route_cache_size:
                self._routes.clear()
            self._routes[arguments] = route
        return route

    def _walk(self, route: Route, message: Message) -> list[Queue]:
        return self._vhost.route(route.exchange, message.keys, message)

    def _inspected(self, route: Route, frame: bytes, header_size: int, size: int) -> None:
        """A message whose properties may ask for something."""
        properties = _Properties(self._channel, route.key, frame, header_size)
        seen = properties.seen
        annotations = properties.annotations
        if annotations is not None:
            for key in annotations.keys:
                check_topic(self._channel, route.exchange, key, WRITE)
        if seen.user_id is not None:
            self._channel.check_user_id(seen.user_id)
        if properties.changes or seen.unused_flag:
            frame = self._edited(frame, header_size, properties.changes)
        message = Message(
            route.address,
            frame,
            self._number,
            size,
            seen.persistent,
            seen.priority,
            properties.expiration_ms,
            self._broker.now_ms,
            annotations,
        )
        if route.keyed and annotations is None:
            self._hand_out(route.queues, message, route.mandatory)
        else:
            self._hand_out(self._walk(route, message), message, route.mandatory)

    def _edited(self, frame: bytes, header_size: int, changes: dict[int, bytes]) -> bytes:
        properties = content.split(frame[7 : 7 + header_size])
        properties.update(changes)
        body = frames.body_of(frame)
        return frames.build_content(self._number, content.join(len(body), properties), body, self._connection.frame_max)

    # -- a message goes out

    def _hand_out(self, queues: list[Queue], message: Message, mandatory: bool) -> None:
        transaction = self.transaction
        if transaction is not None:
            transaction.publish(queues, message, mandatory)
        else:
            keeper = self._keeper
            confirms = self.confirms
            if confirms is None:
                self.enqueue(queues, message, mandatory)
            else:
                changes = keeper.changes if keeper is not None else 0
                accepted = self.enqueue(queues, message, mandatory)
                number = confirms.begin()
                if keeper is not None and keeper.changes != changes and accepted:
                    keeper.confirm(self._channel, number)
                else:
                    if not confirms.pending:
                        self._connection.confirming.append(self._channel)
                    confirms.resolve(number, accepted)
            if keeper is not None and keeper.slow:
                self._connection.outran_disk(keeper)

    def enqueue(self, queues: list[Queue], message: Message, mandatory: bool) -> bool:
        """Give a message to its queues, or return it to the client; False if one of them refused it."""
        if self._vhost.tracing:
            self._trace(queues, message)
        if len(queues) == 1:
            return queues[0].publish(message)
        accepted = True
        for queue in queues:
            if not queue.publish(message):
                accepted = False
        self._broker.spend(len(queues))
        if mandatory and not queues:
            self._channel.write_content(
                methods.basic_return(NO_ROUTE, REPLY_NAMES[NO_ROUTE], message.address[:-1]), message
            )
        return accepted

    def _trace(self, queues: list[Queue], message: Message) -> None:
        names = [queue.name for queue in queues]
        events.trace_publish(
            self._vhost, message, names, self._connection.name, self._number, self._channel.user.name
        )


_PUBLISH: Final = methods.BASIC_PUBLISH.to_bytes(4, "big") + b"\0\0"  # the method and its reserved field
_PSEUDO_QUEUE: Final = as_bytes(PSEUDO_QUEUE)


class _Properties:
    """What the properties of a message ask for; `changes` are those under which it is passed on.

    Raises ProtocolError, in RabbitMQ's order: the reply queue, the expiration, CC and BCC.
    """

    __slots__ = ("annotations", "changes", "expiration_ms", "seen")

    def __init__(self, channel: Channel, key: str, frame: bytes, header_size: int) -> None:
        try:
            seen = content.inspect(frame, 7, 7 + header_size)
            if seen.headers is not None:
                tables.validate(seen.headers)
        except MalformedError as error:
            raise _undecodable(str(error)) from None
        self.seen: Final = seen
        self.changes: Final[dict[int, bytes]] = {}
        if seen.reply_to == _PSEUDO_QUEUE:
            name = channel.reply_name()
            self.changes[content.REPLY_TO] = bytes([len(name)]) + name
        self.expiration_ms: Final = NEVER if seen.expiration is None else parse_expiration(seen.expiration)
        raw = seen.headers
        self.annotations: Final = self._copies(key, raw) if raw is not None and b"CC" in raw else None

    def _copies(self, key: str, raw: bytes) -> Annotations | None:
        """The keys that CC and BCC add; BCC itself is not to be seen (RabbitMQ: sender-selected.md)."""
        headers = tables.decode_table(raw)
        for name in ("CC", "BCC"):
            field = tables.lookup(headers, name)
            if field is not None and field.kind != tables.ARRAY:
                raise precondition_failed(
                    f'invalid message: {{unacceptable_type_in_header,"{name}",{field.type_name}}}'
                )
        copies = _names_in(headers, "CC")
        hidden = _names_in(headers, "BCC")
        if tables.lookup(headers, "BCC") is not None:
            kept = b"".join([raw[start:stop] for name, start, stop in tables.entries(raw) if name != b"BCC"])
            self.changes[content.HEADERS] = len(kept).to_bytes(4, "big") + kept
        if not copies and not hidden:
            return None
        return Annotations([key, *copies, *hidden], hidden, [], None, False)


def _undecodable(reason: str) -> ConnectionFault:
    """501: a content header is not of its form (RabbitMQ crashes there, with 541)."""
    return ConnectionFault(FRAME_ERROR, f"cannot decode content header: {reason}")


def parse_expiration(raw: bytes) -> int:
    """A message's expiration in ms. Raises ChannelError 406 in RabbitMQ's words (rabbit_basic:parse_expiration/1)."""
    text = raw.decode("utf-8", "replace")
    digits = 1 if text[:1] in ("+", "-") else 0
    end = digits
    while end < len(text) and text[end] in "0123456789":
        end += 1
    problem = ""
    value = 0
    if end == digits:
        problem = "no_integer"
    elif end < len(text):
        problem = f'{{leftover_string,"{text[end:]}"}}'
    else:
        value = int(text)
        problem = expiry_problem(value)
    if problem:
        raise precondition_failed(f"invalid expiration '{text}': {problem}")
    return value


def _names_in(headers: tables.Table, name: str) -> list[str]:
    """The strings of an array header such as CC; other elements are skipped."""
    field = tables.lookup(headers, name)
    if field is None:
        return []
    return [item.text() for item in field.items() if item.kind == tables.LONGSTR]
