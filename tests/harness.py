"""Plays with a broker, without sockets and without a clock.

    world = World()
    client = world.client()                       # handshake done, channel 1 open
    client >> m("queue.declare", queue="q")       # what the client sends
    client << m("queue.declare-ok", queue="q")    # what must come next, exactly that method with those fields
    world.pass_ms(500)                            # time passes only here
    client.quiet()                                # and nothing else came

Bytes go in by `Connection.feed` and come out by a Transport of our own. The codec below is the tests' own: strict in
what it takes from the server (lengths, order of contents, unknown bits), and free to send nonsense. It shares no code
with amqpd.wire, so that a mistake there cannot hide here.

Nothing here replaces a part of amqpd but the ports that are made for it: the plays run interpreted and compiled.
"""

from __future__ import annotations

import copy
import struct
from collections import deque
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from amqpd.broker.commands import Command
from amqpd.broker.limits import Limits
from amqpd.broker.node import Broker
from amqpd.broker.ports import (
    ALLOWED,
    PENDING,
    REFUSED,
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
from amqpd.wire import tables

METHOD, HEADER, BODY, HEARTBEAT, END = 1, 2, 3, 8, 0xCE
PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
CAPABILITIES = ("consumer_cancel_notify", "connection.blocked", "authentication_failure_close", "basic.nack")
EPOCH_MS = 1_700_000_000_000  # the time of day when a world begins

# -- the catalogue of methods: name -> class, method, arguments. `?` is a bit.

_METHODS = """
10.10 connection.start version_major:octet version_minor:octet server_properties:table mechanisms:longstr \
locales:longstr
10.11 connection.start-ok client_properties:table mechanism:short response:longstr locale:short
10.20 connection.secure challenge:longstr
10.21 connection.secure-ok response:longstr
10.30 connection.tune channel_max:u16 frame_max:u32 heartbeat:u16
10.31 connection.tune-ok channel_max:u16 frame_max:u32 heartbeat:u16
10.40 connection.open virtual_host:short reserved_1:short reserved_2:?
10.41 connection.open-ok reserved_1:short
10.50 connection.close reply_code:u16 reply_text:short class_id:u16 method_id:u16
10.51 connection.close-ok
10.60 connection.blocked reason:short
10.61 connection.unblocked
10.70 connection.update-secret new_secret:longstr reason:short
10.71 connection.update-secret-ok
20.10 channel.open reserved_1:short
20.11 channel.open-ok reserved_1:longstr
20.20 channel.flow active:?
20.21 channel.flow-ok active:?
20.40 channel.close reply_code:u16 reply_text:short class_id:u16 method_id:u16
20.41 channel.close-ok
30.10 access.request realm:short exclusive:? passive:? active:? write:? read:?
30.11 access.request-ok ticket:u16
40.10 exchange.declare ticket:u16 exchange:short type:short passive:? durable:? auto_delete:? internal:? nowait:? \
arguments:table
40.11 exchange.declare-ok
40.20 exchange.delete ticket:u16 exchange:short if_unused:? nowait:?
40.21 exchange.delete-ok
40.30 exchange.bind ticket:u16 destination:short source:short routing_key:short nowait:? arguments:table
40.31 exchange.bind-ok
40.40 exchange.unbind ticket:u16 destination:short source:short routing_key:short nowait:? arguments:table
40.51 exchange.unbind-ok
50.10 queue.declare ticket:u16 queue:short passive:? durable:? exclusive:? auto_delete:? nowait:? arguments:table
50.11 queue.declare-ok queue:short message_count:u32 consumer_count:u32
50.20 queue.bind ticket:u16 queue:short exchange:short routing_key:short nowait:? arguments:table
50.21 queue.bind-ok
50.30 queue.purge ticket:u16 queue:short nowait:?
50.31 queue.purge-ok message_count:u32
50.40 queue.delete ticket:u16 queue:short if_unused:? if_empty:? nowait:?
50.41 queue.delete-ok message_count:u32
50.50 queue.unbind ticket:u16 queue:short exchange:short routing_key:short arguments:table
50.51 queue.unbind-ok
60.10 basic.qos prefetch_size:u32 prefetch_count:u16 global_:?
60.11 basic.qos-ok
60.20 basic.consume ticket:u16 queue:short consumer_tag:short no_local:? no_ack:? exclusive:? nowait:? arguments:table
60.21 basic.consume-ok consumer_tag:short
60.30 basic.cancel consumer_tag:short nowait:?
60.31 basic.cancel-ok consumer_tag:short
60.40 basic.publish ticket:u16 exchange:short routing_key:short mandatory:? immediate:?
60.50 basic.return reply_code:u16 reply_text:short exchange:short routing_key:short
60.60 basic.deliver consumer_tag:short delivery_tag:u64 redelivered:? exchange:short routing_key:short
60.70 basic.get ticket:u16 queue:short no_ack:?
60.71 basic.get-ok delivery_tag:u64 redelivered:? exchange:short routing_key:short message_count:u32
60.72 basic.get-empty reserved_1:short
60.80 basic.ack delivery_tag:u64 multiple:?
60.90 basic.reject delivery_tag:u64 requeue:?
60.100 basic.recover-async requeue:?
60.110 basic.recover requeue:?
60.111 basic.recover-ok
60.120 basic.nack delivery_tag:u64 multiple:? requeue:?
85.10 confirm.select nowait:?
85.11 confirm.select-ok
90.10 tx.select
90.11 tx.select-ok
90.20 tx.commit
90.21 tx.commit-ok
90.30 tx.rollback
90.31 tx.rollback-ok
"""

SPEC: dict[str, tuple[int, int, list[tuple[str, str]]]] = {}
NAMES: dict[tuple[int, int], str] = {}
for _line in _METHODS.strip().splitlines():
    _numbers, _name, *_arguments = _line.split()
    _class_id, _method_id = (int(number) for number in _numbers.split("."))
    SPEC[_name] = (_class_id, _method_id, [tuple(argument.rsplit(":", 1)) for argument in _arguments])  # type: ignore[misc]
    NAMES[_class_id, _method_id] = _name

PROPERTIES = (
    ("content_type", "short"),
    ("content_encoding", "short"),
    ("headers", "table"),
    ("delivery_mode", "octet"),
    ("priority", "octet"),
    ("correlation_id", "short"),
    ("reply_to", "short"),
    ("expiration", "short"),
    ("message_id", "short"),
    ("timestamp", "u64"),
    ("type", "short"),
    ("user_id", "short"),
    ("app_id", "short"),
    ("cluster_id", "short"),
)
_NUMBERS = {"octet": ">B", "u16": ">H", "u32": ">I", "u64": ">Q"}
_TAGGED = {
    "t": ">?", "b": ">b", "B": ">B", "s": ">h", "u": ">H", "I": ">i", "i": ">I", "l": ">q", "L": ">q", "f": ">f",
    "d": ">d", "T": ">Q",
}  # fmt: skip


class Typed(NamedTuple):
    """A table value with its type letter, where Python's type does not say it."""

    tag: str
    value: Any


# -- encoding


def raw(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")


def short(text: str | bytes) -> bytes:
    return bytes([len(raw(text))]) + raw(text)


def longstr(text: str | bytes) -> bytes:
    return struct.pack(">I", len(raw(text))) + raw(text)


def typed(value: Any) -> Typed:
    """Python's types as clients send them: str S, int I or l, float d, bool t, bytes x, None V, list A, dict F."""
    if isinstance(value, Typed):
        return value
    if isinstance(value, bool):
        return Typed("t", value)
    if isinstance(value, int):
        return Typed("I" if -(2**31) <= value < 2**31 else "l", value)
    tags: dict[type, str] = {str: "S", float: "d", bytes: "x", type(None): "V", list: "A", dict: "F"}
    return Typed(tags[type(value)], value)


def encode_value(value: Any) -> bytes:
    tag, value = typed(value)
    if tag in "Sx":
        out = longstr(value)
    elif tag == "V":
        out = b""
    elif tag == "A":
        out = longstr(b"".join(encode_value(item) for item in value))
    elif tag == "F":
        out = encode_table(value)
    elif tag == "D":
        out = struct.pack(">BI", *value)
    else:
        out = struct.pack(_TAGGED[tag], value)
    return tag.encode() + out


def encode_table(pairs: dict[Any, Any] | list[tuple[Any, Any]]) -> bytes:
    items = pairs.items() if isinstance(pairs, dict) else pairs
    return longstr(b"".join(short(key) + encode_value(value) for key, value in items))


def encode_arguments(arguments: list[tuple[str, str]], values: dict[str, Any]) -> bytes:
    out = bytearray()
    bits = -1  # index of the next free bit of the last octet
    for name, kind in arguments:
        value = values.pop(name, "" if kind in ("short", "longstr") else {} if kind == "table" else 0)
        if kind == "?":
            if not 0 <= bits < 8:
                out.append(0)
                bits = 0
            out[-1] |= bool(value) << bits
            bits += 1
            continue
        bits = -1
        out += encode_field(kind, value)
    assert not values, f"no such arguments: {values}"
    return bytes(out)


def encode_field(kind: str, value: Any) -> bytes:
    if kind == "short":
        return short(value)
    if kind == "longstr":
        return longstr(value)
    if kind == "table":
        return encode_table(value)
    return struct.pack(_NUMBERS[kind], value)


def frame(kind: int, channel: int, payload: bytes, end: int = END) -> bytes:
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + bytes([end])


def content_header(size: int, properties: dict[str, Any] | None = None, class_id: int = 60, weight: int = 0) -> bytes:
    """The payload of a content header frame."""
    properties = dict(properties or {})
    flags, out = 0, b""
    for index, (name, kind) in enumerate(PROPERTIES):
        if name in properties:
            flags |= 0x8000 >> index
            out += encode_field(kind, properties.pop(name))
    assert not properties, f"no such properties: {properties}"
    return struct.pack(">HHQH", class_id, weight, size, flags) + out


@dataclass
class Method:
    """A method, sent or expected. In an expectation only the fields that were given count; so with the content."""

    name: str
    fields: dict[str, Any]
    body: bytes | None = None
    properties: dict[str, Any] | None = None
    step: int = 131_064  # bytes of body for each frame sent

    def frames(self, channel: int) -> bytes:
        class_id, method_id, arguments = SPEC[self.name]
        payload = struct.pack(">HH", class_id, method_id) + encode_arguments(arguments, dict(self.fields))
        out = frame(METHOD, channel, payload)
        if self.body is not None:
            out += frame(HEADER, channel, content_header(len(self.body), self.properties))
            for start in range(0, len(self.body), self.step):
                out += frame(BODY, channel, self.body[start : start + self.step])
        return out


def m(name: str, **fields: Any) -> Method:
    assert name in SPEC, name
    return Method(name, fields)


def publish(
    body: bytes = b"", routing_key: str | bytes = "q", exchange: str = "", mandatory: bool = False, **properties: Any
) -> Method:
    """basic.publish with its content; keywords are message properties."""
    fields = {"exchange": exchange, "routing_key": routing_key, "mandatory": mandatory}
    return Method("basic.publish", fields, body, properties)


def deliver(body: bytes, **fields: Any) -> Method:
    """An expected basic.deliver."""
    return Method("basic.deliver", fields, body)


def ids(name: str | None) -> tuple[int, int]:
    """Class and method id, as a close names them; 0, 0 for None."""
    return SPEC[name][:2] if name is not None else (0, 0)


# -- decoding, strictly


class Cursor:
    def __init__(self, data: bytes) -> None:
        self.data, self.pos = data, 0

    def take(self, size: int) -> bytes:
        assert self.pos + size <= len(self.data), f"{size} bytes expected at {self.pos} of {self.data!r}"
        self.pos += size
        return self.data[self.pos - size : self.pos]

    def number(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def field(self, kind: str) -> Any:
        if kind == "short":
            return self.take(self.number(">B")).decode("utf-8", "surrogateescape")
        if kind == "longstr":
            return self.take(self.number(">I"))
        if kind == "table":
            return decode_table(self.field("longstr"))
        return self.number(_NUMBERS[kind])

    def value(self) -> Typed:
        tag = self.take(1).decode()
        if tag in "Sx":
            payload = self.field("longstr")
            return Typed(tag, payload.decode("utf-8", "surrogateescape") if tag == "S" else payload)
        if tag == "A":
            inner = Cursor(self.field("longstr"))
            items = []
            while inner.pos < len(inner.data):
                items.append(inner.value())
            return Typed(tag, items)
        if tag == "F":
            return Typed(tag, self.field("table"))
        if tag == "V":
            return Typed(tag, None)
        if tag == "D":
            return Typed(tag, struct.unpack(">BI", self.take(5)))
        return Typed(tag, self.number(_TAGGED[tag]))

    def done(self) -> None:
        assert self.pos == len(self.data), f"{len(self.data) - self.pos} bytes too many in {self.data!r}"


def decode_table(data: bytes) -> list[tuple[str, Typed]]:
    cursor, pairs = Cursor(data), []
    while cursor.pos < len(data):
        key = cursor.field("short")
        pairs.append((key, cursor.value()))
    return pairs


def plain(value: Any) -> Any:
    """A decoded table or value without its type letters."""
    if isinstance(value, Typed):
        return plain(value.value)
    if isinstance(value, list) and all(isinstance(item, tuple) and not isinstance(item, Typed) for item in value):
        return {key: plain(item) for key, item in value} if value else value
    return [plain(item) for item in value] if isinstance(value, list) else value


@dataclass
class Event:
    """What the server sent: a method (with its content), or a heartbeat, or a protocol header."""

    channel: int
    name: str
    fields: dict[str, Any] = field(default_factory=dict)
    body: bytes | None = None
    properties: dict[str, Any] = field(default_factory=dict)
    missing: int = 0

    def __getattr__(self, name: str) -> Any:
        try:
            return self.fields[name]
        except KeyError:
            raise AttributeError(name) from None

    @property
    def headers(self) -> dict[str, Any]:
        """The headers property without type letters."""
        return plain(self.properties.get("headers", [])) or {}


def decode_method(channel: int, payload: bytes) -> Event:
    cursor = Cursor(payload)
    name = NAMES[cursor.number(">H"), cursor.number(">H")]
    fields: dict[str, Any] = {}
    bits, octet = 8, 0
    for argument, kind in SPEC[name][2]:
        if kind == "?":
            if bits == 8:
                bits, octet = 0, cursor.number(">B")
            fields[argument] = bool(octet >> bits & 1)
            bits += 1
        else:
            bits = 8
            fields[argument] = cursor.field(kind)
    cursor.done()
    return Event(channel, name, fields)


def decode_header(event: Event, payload: bytes) -> None:
    cursor = Cursor(payload)
    assert (cursor.number(">H"), cursor.number(">H")) == (60, 0)
    event.missing = cursor.number(">Q")
    flags = cursor.number(">H")
    assert not flags & 1  # would announce a second word of flags
    for index, (name, kind) in enumerate(PROPERTIES):
        if flags & 0x8000 >> index:
            event.properties[name] = cursor.field(kind)
    cursor.done()
    event.body = b""


class Decoder:
    """Frames to events. A content must follow its method at once, in frames no longer than `frame_max`."""

    def __init__(self) -> None:
        self.frame_max = 8192
        self.events: deque[Event] = deque()
        self._rest = b""
        self._due: Event | None = None  # a method that waits for its content
        self.sizes: list[int] = []  # payload sizes of the last content's body frames

    def feed(self, data: bytes) -> None:
        data = self._rest + data
        while data[:4] == b"AMQP":
            self.events.append(Event(0, "protocol-header", {"header": data[:8]}))
            data = data[8:]
        while len(data) >= 7:
            kind, channel, size = struct.unpack(">BHI", data[:7])
            assert size + 8 <= self.frame_max, f"a frame of {size + 8} bytes, {self.frame_max} were agreed"
            if len(data) < size + 8:
                break
            assert data[size + 7] == END
            self._frame(kind, channel, data[7 : size + 7])
            data = data[size + 8 :]
        self._rest = data

    def _frame(self, kind: int, channel: int, payload: bytes) -> None:
        due = self._due
        if due is None:
            if kind == HEARTBEAT:
                assert (channel, payload) == (0, b"")
                self.events.append(Event(0, "heartbeat"))
                return
            assert kind == METHOD, f"frame type {kind} out of turn"
            event = decode_method(channel, payload)
            if event.name in ("basic.deliver", "basic.get-ok", "basic.return"):
                self._due = event
            else:
                self.events.append(event)
            return
        assert channel == due.channel, "contents of two channels are interleaved"
        if due.body is None:
            assert kind == HEADER
            decode_header(due, payload)
            self.sizes = []
        else:
            assert kind == BODY
            assert 0 < len(payload) <= due.missing
            due.body += payload
            due.missing -= len(payload)
            self.sizes.append(len(payload))
        if due.missing == 0:
            self.events.append(due)
            self._due = None


# -- the ports


class Everything(Authority):
    """Everybody may do everything, but for what `refused` names: (kind, name, permission) or (.., routing key).

    What `unknown` names has to be fetched first: `answer` is when that is done.
    """

    def __init__(self) -> None:
        self.refused: set[tuple[str, ...]] = set()
        self.unknown: set[tuple[str, ...]] = set()
        self.asked: list[tuple[str, ...]] = []
        self.waiting: list[tuple[tuple[str, ...], Any]] = []

    def check(self, user: User, question: Question) -> int:
        key = (question.kind, question.name, question.permission, question.routing_key)
        while key and key[-1] == "":
            key = key[:-1]
        self.asked.append(key)
        if key in self.unknown:
            return PENDING
        return REFUSED if key in self.refused else ALLOWED

    def fetch(self, user: User, question: Question, answered: Any) -> None:
        self.waiting.append((self.asked[-1], answered))

    def answer(self) -> None:
        """All that was to be fetched is there."""
        waiting, self.waiting = self.waiting, []
        for key, answered in waiting:
            self.unknown.discard(key)
            answered()


class Users(Authenticator):
    """guest, alice and bob with their own names as passwords; boss may speak in anybody's name.

    While `slow`, nobody is let in before `decide`.
    """

    def __init__(self) -> None:
        self.authority = Everything()
        self.limits: dict[str, dict[str, int]] = {}
        self.valid_until_ms = -1
        self.slow = False
        self.waiting: list[Login] = []

    def mechanisms(self, peer: Peer) -> list[str]:
        return ["AMQPLAIN", "ANONYMOUS", "PLAIN"]

    def _user(self, name: str, tags: frozenset[str], peer: Peer) -> User:
        limits = self.limits.setdefault(name, {})
        return User(name, tags, self.authority, limits, peer, self.valid_until_ms)

    def login(self, attempt: Login) -> None:
        if attempt.mechanism not in self.mechanisms(attempt.peer):
            raise HandshakeFailure("unknown mechanism")
        malformed = not attempt.response.startswith(b"\0") or attempt.response.count(b"\0") != 2
        if attempt.mechanism != "ANONYMOUS" and malformed:
            raise HandshakeFailure("malformed response")
        if self.slow:
            self.waiting.append(attempt)
        else:
            self._decide(attempt)

    def decide(self) -> None:
        """Answer those who wait."""
        waiting, self.waiting = self.waiting, []
        for attempt in waiting:
            self._decide(attempt)

    def _decide(self, attempt: Login) -> None:
        if attempt.mechanism == "ANONYMOUS":
            attempt.succeed(self._user("guest", frozenset(), attempt.peer))
            return
        _identity, name, password = attempt.response.decode().split("\0")
        if name not in ("guest", "alice", "bob", "boss") or password != name:
            attempt.refuse(LoginRefused(name, "invalid credentials"))
        elif name == "guest" and not attempt.peer.from_loopback:
            attempt.refuse(LoginRefused(name, "can only connect via localhost"))
        else:
            tags = frozenset({"impersonator"} if name == "boss" else ())
            attempt.succeed(self._user(name, tags, attempt.peer))

    def renew(self, user: User, secret: bytes) -> bool:
        return secret != b"bad"


class Wire(Transport):
    """A socket. While `slow`, the peer takes nothing: what is flushed waits in `unsent`."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.connection: Connection = None  # type: ignore[assignment]
        self.decoder = Decoder()
        self.output = b""  # everything ever sent
        self.slow = False
        self.waiting = b""  # taken from the connection, not taken by the peer
        self.incoming = b""  # sent by the peer, not yet read
        self.resumed = False
        self.ended = ""  # "close" or "abort"

    def flush(self) -> None:
        self.waiting += b"".join(self.connection.take_chunks())
        if self.ended == "abort":
            self.waiting = b""  # there is nobody to send it to
        if self.slow:
            self.connection.unsent = len(self.waiting)
        else:
            self._deliver()

    def _deliver(self) -> None:
        data, self.waiting = self.waiting, b""
        self.output += data
        self.decoder.feed(data)

    def drain(self, size: int | None = None) -> None:
        """The peer takes `size` bytes, or everything that waits; then it is sent more, if there is more."""
        size = len(self.waiting) if size is None else size
        taken, self.waiting = self.waiting[:size], self.waiting[size:]
        self.output += taken
        self.decoder.feed(taken)
        self.connection.unsent = len(self.waiting)
        self.world.settle()

    def resume(self) -> None:
        self.resumed = True

    def close(self) -> None:
        self.ended = self.ended or "close"

    def abort(self) -> None:
        self.ended = "abort"


class SlowCatalogue(Catalogue):
    """Stores nothing until `store` is called, as a disk would take its time."""

    def __init__(self) -> None:
        super().__init__()
        self.commands: list[Command] = []
        self.callbacks: list[tuple[int, Any]] = []
        self.instant = False

    def keep(self, command: Command) -> None:
        self.commands.append(command)
        if self.instant:
            self.stored = self.recorded

    def settle(self, stored: Any) -> bool:
        if self.needed <= self.stored:
            return True
        self.callbacks.append((self.needed, stored))
        return False

    def store(self) -> None:
        """Everything recorded so far and not held back is stored, in order."""
        self.stored = self.storable()
        callbacks, self.callbacks = self.callbacks, []
        for needed, callback in callbacks:
            if needed <= self.stored:
                callback()
            else:
                self.callbacks.append((needed, callback))


# -- the play


class World:
    """A broker, its clock, and whoever is connected to it. Keywords set limits."""

    def __init__(self, catalogue: Catalogue | None = None, types: Any = None, **limits: Any) -> None:
        chosen = Limits()
        for name, value in limits.items():
            assert hasattr(chosen, name), name
            setattr(chosen, name, value)
        self._random = 0
        self.now_ms = 1000
        self.broker = Broker(chosen, catalogue or Catalogue(), self._bytes, "rabbit@test", types)
        self.broker.add_vhost("/")
        self.broker.offset_ms = EPOCH_MS - self.now_ms
        self.broker.at(self.now_ms)
        self.wires: list[Wire] = []
        self.users = Users()
        self.broker.alarms.subscribe(self._alarms_changed)

    @property
    def vhost(self) -> Any:
        return self.broker.vhosts["/"]

    def _bytes(self, size: int) -> bytes:
        self._random += 1
        return self._random.to_bytes(size, "big")

    def connect(self, loopback: bool = True) -> Client:
        """A socket on which nothing was said yet."""
        wire = Wire(self)
        name = f"127.0.0.1:{40001 + len(self.wires)} -> 127.0.0.1:5672"
        peer = Peer("127.0.0.1" if loopback else "192.0.2.1", loopback)
        wire.connection = Connection(self.broker, self.users, wire, name, peer)
        self.wires.append(wire)
        return Client(self, wire)

    def client(
        self,
        *,
        capabilities: tuple[str, ...] = CAPABILITIES,
        user: str = "guest",
        vhost: str = "/",
        heartbeat: int = 0,
        frame_max: int = 131_072,
        channel_max: int = 2047,
        channels: tuple[int, ...] = (1,),
    ) -> Client:
        """A connection in use, with `channels` open."""
        client = self.connect()
        client >> PROTOCOL_HEADER
        client << m("connection.start")
        client.start_ok(user, capabilities)
        client << m("connection.tune")
        client >> m("connection.tune-ok", channel_max=channel_max, frame_max=frame_max, heartbeat=heartbeat)
        client.wire.decoder.frame_max = frame_max
        client >> m("connection.open", virtual_host=vhost)
        client << m("connection.open-ok")
        for number in channels:
            client.on(number) >> m("channel.open")
            client.on(number) << m("channel.open-ok")
        return client

    def _alarms_changed(self) -> None:
        for wire in self.wires:
            wire.connection.alarms_changed()

    def alarm(self, resource: str = "memory", source: str = "node") -> None:
        """A resource runs low."""
        self.broker.alarms.raise_for(resource, source)
        self.settle()

    def all_clear(self, resource: str = "memory", source: str = "node") -> None:
        """It does no longer."""
        self.broker.alarms.clear_for(resource, source)
        self.settle()

    def settle(self) -> None:
        """The end of a round, and whatever rounds follow from it."""
        self.broker.flush()
        while True:
            resumed = [wire for wire in self.wires if wire.resumed]
            drained = [wire for wire in self.wires if wire.connection.congested and not wire.waiting]
            if not resumed and not drained:
                return
            for wire in drained:
                wire.connection.drained(self.now_ms)
            for wire in resumed:
                wire.resumed = False
                wire.connection.feed(b"", self.now_ms)
                if wire.incoming and not wire.connection.paused:
                    data, wire.incoming = wire.incoming, b""
                    wire.connection.feed(data, self.now_ms)
            self.broker.flush()

    def pass_ms(self, ms: int) -> None:
        """Time passes: whatever is due on the way happens at its time."""
        end_ms = self.now_ms + ms
        while True:
            due_ms = self.broker.timers.next_due_ms()
            if due_ms < 0 or due_ms > end_ms:
                break
            self.now_ms = max(self.now_ms, due_ms)
            self.broker.tick(self.now_ms)
            self.settle()
        self.now_ms = end_ms
        self.broker.tick(end_ms)
        self.settle()


class Client:
    """One side of a play. `number` is the channel it speaks on; `on(n)` is the same client on another."""

    def __init__(self, world: World, wire: Wire) -> None:
        self.world, self.wire, self.number = world, wire, 1

    def on(self, number: int) -> Client:
        other = copy.copy(self)
        other.number = number
        return other

    @property
    def connection(self) -> Connection:
        return self.wire.connection

    # -- what it says

    def __rshift__(self, said: Method | bytes) -> Client:
        if isinstance(said, Method):
            said = said.frames(0 if said.name.startswith("connection.") else self.number)
        return self.feed(said)

    def feed(self, *chunks: bytes) -> Client:
        """Bytes, one read for each chunk, in one round."""
        wire = self.wire
        for chunk in chunks:
            if wire.connection.paused or wire.incoming:
                wire.incoming += chunk
            elif not wire.ended:
                wire.connection.feed(chunk, self.world.now_ms)
        self.world.settle()
        return self

    def send(self, *said: Method) -> Client:
        """Several methods in one read."""
        return self.feed(b"".join(method.frames(self.number) for method in said))

    def start_ok(self, user: str = "guest", capabilities: tuple[str, ...] = CAPABILITIES, **fields: Any) -> None:
        properties = {"product": "play", "capabilities": dict.fromkeys(capabilities, True)}
        fields = {"mechanism": "PLAIN", "response": f"\0{user}\0{user}", "locale": "en_US", **fields}
        self >> m("connection.start-ok", **{"client_properties": properties, **fields})

    def lose(self) -> None:
        """The socket is gone."""
        self.connection.lost(self.world.now_ms)
        self.wire.ended = "lost"
        self.world.settle()

    # -- what it hears

    def next(self) -> Event:
        assert self.wire.decoder.events, "nothing came"
        return self.wire.decoder.events.popleft()

    def heard(self) -> list[Event]:
        """Everything that came and was not looked at."""
        events = list(self.wire.decoder.events)
        self.wire.decoder.events.clear()
        return events

    def __lshift__(self, expected: Method) -> Event:
        event = self.next()
        assert event.name == expected.name, f"{expected} expected, {event} came"
        assert event.channel == (0 if event.name.startswith("connection.") else self.number), event
        heard = {name: event.fields[name] for name in expected.fields}
        assert heard == expected.fields, f"{expected.fields} expected, {heard} came"
        if expected.body is not None:
            assert event.body == expected.body, f"{expected.body!r} expected, {event.body!r} came"
        for name, value in (expected.properties or {}).items():
            assert event.properties[name] == value
        return event

    def expect(self, name: str, **fields: Any) -> Event:
        return self << m(name, **fields)

    def call(self, name: str, **fields: Any) -> Event:
        """Send a method and return its answer, the only thing that may come."""
        self >> m(name, **fields)
        event = self << m(name + "-ok")
        self.quiet()
        return event

    def quiet(self) -> None:
        assert not self.wire.decoder.events, list(self.wire.decoder.events)

    def channel_closed(self, code: int, text: str, failed: str | None) -> None:
        """The server closes the channel, in these words, and nothing else came; the client agrees."""
        class_id, method_id = ids(failed)
        self.expect("channel.close", reply_code=code, reply_text=text, class_id=class_id, method_id=method_id)
        self.quiet()
        self >> m("channel.close-ok")
        self.quiet()

    def connection_closed(self, code: int, text: str, failed: str | None) -> None:
        """The server closes the connection, in these words, and nothing else came; the client agrees."""
        class_id, method_id = ids(failed)
        self.expect("connection.close", reply_code=code, reply_text=text, class_id=class_id, method_id=method_id)
        self.quiet()
        assert self.wire.ended == ""
        self >> m("connection.close-ok")
        self.quiet()
        assert self.wire.ended == "close"

    def reopen(self) -> Client:
        """Channel once more, after an error."""
        self.call("channel.open")
        return self

    # -- what tests do all the time

    def declare(self, queue: str = "q", arguments: Any = None, **flags: Any) -> Event:
        return self.call("queue.declare", queue=queue, arguments=arguments or {}, **flags)

    def exchange(self, name: str = "x", kind: str = "direct", arguments: Any = None, **flags: Any) -> Event:
        return self.call("exchange.declare", exchange=name, type=kind, arguments=arguments or {}, **flags)

    def bind(self, queue: str, exchange: str, key: str = "", arguments: Any = None) -> Event:
        return self.call("queue.bind", queue=queue, exchange=exchange, routing_key=key, arguments=arguments or {})

    def consume(self, queue: str = "q", tag: str = "t", arguments: Any = None, **flags: Any) -> Event:
        """The consume-ok; deliveries may follow it."""
        self >> m("basic.consume", queue=queue, consumer_tag=tag, arguments=arguments or {}, **flags)
        return self << m("basic.consume-ok")

    def qos(self, count: int, shared: bool = False) -> None:
        self.call("basic.qos", prefetch_count=count, global_=shared)

    def get(self, queue: str = "q", no_ack: bool = True) -> Event | None:
        """The message that basic.get brings, or None."""
        self >> m("basic.get", queue=queue, no_ack=no_ack)
        event = self.next()
        assert event.name in ("basic.get-ok", "basic.get-empty"), event
        return event if event.name == "basic.get-ok" else None

    def drain(self, queue: str = "q") -> list[bytes]:
        """The bodies of everything in a queue; it is empty afterwards."""
        bodies = []
        while (event := self.get(queue)) is not None:
            bodies.append(event.body)
        return bodies

    def counts(self, queue: str = "q") -> tuple[int, int]:
        """Ready messages and consumers, by a passive declare."""
        event = self.call("queue.declare", queue=queue, passive=True)
        return event.message_count, event.consumer_count

    def exists(self, queue: str) -> bool:
        return queue in self.world.broker.vhosts["/"].queues

    def bodies(self) -> list[bytes]:
        """The bodies of the deliveries that came, and nothing else came."""
        events = self.heard()
        assert all(event.name == "basic.deliver" for event in events), events
        return [event.body for event in events]


def fields_of(pairs: dict[str, Any]) -> tables.Table:
    """A table as amqpd's own functions take it."""
    return tables.decode_table(encode_table(pairs)[4:])


class Flushing:
    """A broker with a flush of the test's own. Compiled, a broker's methods cannot be replaced."""

    def __init__(self, broker, flush):
        self._broker = broker
        self.flush = flush

    def __getattr__(self, name):
        return getattr(self._broker, name)
