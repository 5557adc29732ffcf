"""One connection to a broker, driven frame by frame; everything that arrives becomes a line of the case's transcript.

Blocking, one thread, a timeout on every wait. Reads like a play:

    c.send("queue.declare", queue=q, passive=True)
    c.refused(404, f"NOT_FOUND - no queue '{q}' in vhost '/'")

Lines are `LABEL CHANNEL < METHOD fields` for what the broker sent, `>` for what the case sent. A line starting with
`!` says that an expectation stated in the case was not met. `Stop` ends a case early, because nothing sensible can
follow; the transcript up to there is its result.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from . import codec, render

PATIENCE_S = 8.0
"""How long to wait for what must come."""
SILENCE_S = 0.15
"""How long to wait for what must not come."""

ALL_CAPABILITIES = (
    "publisher_confirms",
    "basic.nack",
    "consumer_cancel_notify",
    "connection.blocked",
    "authentication_failure_close",
)


class Stop(Exception):
    """The case cannot go on; its transcript says why."""


@dataclass(frozen=True)
class Address:
    """Where a broker listens and how to log in: an `amqp://user:password@host:port/vhost` URL, taken apart."""

    host: str
    port: int
    user: str
    password: str
    vhost: str

    @classmethod
    def parse(cls, url: str) -> Address:
        parts = urlsplit(url)
        if parts.scheme != "amqp" or not parts.hostname:
            raise ValueError(f"not an amqp:// URL: {url}")
        user, password = unquote(parts.username or "guest"), unquote(parts.password or "guest")
        return cls(parts.hostname, parts.port or 5672, user, password, unquote(parts.path[1:]) or "/")


@dataclass
class Event:
    """A frame received: a method with its content, or `heartbeat`, `protocol-header`, `closed`, `undecodable`."""

    name: str
    channel: int = 0
    fields: dict[str, Any] = field(default_factory=dict)
    properties: dict[str, Any] = field(default_factory=dict)
    body: bytes = b""
    body_frames: list[int] = field(default_factory=list)
    has_content: bool = False

    def __str__(self) -> str:
        shown = f"{self.name}{render.show_fields(self.fields)}"
        return shown + render.show_content(self.properties, self.body, self.body_frames) if self.has_content else shown


def plain(user: str, password: str) -> bytes:
    return f"\0{user}\0{password}".encode()


class Client:
    """A connection; `channel` is where methods go unless another one is named."""

    def __init__(self, address: Address, label: str, note: Callable[[str], None]) -> None:
        self.address = address
        self.label = label
        self.channel = 1
        self.tune: dict[str, Any] = {}
        self._note = note
        self._data = bytearray()
        self._pending: dict[int, Event] = {}
        self._sizes: dict[int, int] = {}
        self._seqno = 0
        self._unsettled: set[int] = set()
        self._over = False
        self._socket = socket.create_connection((address.host, address.port), timeout=PATIENCE_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    # -- sending ------------------------------------------------------------------------------------------------------
    def raw(self, data: bytes) -> None:
        """Bytes as they are.

        A peer that has gone is no error here: what follows will read the end of the connection.
        """
        try:
            self._socket.settimeout(PATIENCE_S)
            self._socket.sendall(data)
        except OSError:
            pass

    def frame(self, kind: int, payload: bytes, channel: int | None = None, end: int = codec.FRAME_END) -> None:
        self.raw(codec.frame(kind, self._on(channel), payload, end))

    def send(self, name: str, channel: int | None = None, **fields: Any) -> None:
        """A method, recorded; a field name that is a Python word takes a trailing underscore."""
        fields = {key.rstrip("_"): value for key, value in fields.items()}
        if name == "confirm.select":
            self._seqno = self._seqno or 1
        shown = "".join(f" {key}={value!r}" for key, value in fields.items() if key != "client_properties")
        self._line(self._on(channel), ">", name + shown)
        self._send(name, self._on(channel), fields)

    def publish(
        self, exchange: str, key: str | bytes, body: bytes = b"", channel: int | None = None, **options: Any
    ) -> None:
        """basic.publish with its content; options are `mandatory`, `immediate` and message properties."""
        bits: dict[str, bool] = {bit: options.pop(bit, False) for bit in ("mandatory", "immediate")}
        number = self._on(channel)
        if self._seqno:
            self._unsettled.add(self._seqno)
            self._seqno += 1
        method = codec.method_payload("basic.publish", {"exchange": exchange, "routing_key": key, **bits})
        out = codec.frame(codec.FRAME_METHOD, number, method)
        out += codec.frame(codec.FRAME_HEADER, number, codec.header_payload(len(body), options))
        step = (self.tune.get("frame_max") or 131072) - 8
        for at in range(0, len(body), step):
            out += codec.frame(codec.FRAME_BODY, number, body[at : at + step])
        self.raw(out)

    # -- receiving ----------------------------------------------------------------------------------------------------
    def next(self, timeout_s: float = PATIENCE_S) -> Event | None:
        """The next event, contents put together; None when nothing came in time. Not recorded."""
        deadline = time.monotonic() + timeout_s
        while True:
            event = self._take()
            if event is not None:
                return event
            if self._over:
                return Event("closed")
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            self._socket.settimeout(left)
            try:
                data = self._socket.recv(262144)
            except TimeoutError:
                return None
            except OSError:
                data = b""
            self._over = not data
            self._data += data

    def until(self, *names: str, timeout_s: float = PATIENCE_S) -> Event:
        """Record everything up to and including the first event of these names.

        Raises Stop if it cannot come any more.
        """
        while True:
            event = self.next(timeout_s)
            if event is None:
                self._note(f"! {self.label} nothing came, waiting for {' or '.join(names)}")
                raise Stop
            self.record(event)
            if event.name in names:
                return event
            if event.name in ("closed", "channel.close", "connection.close", "undecodable"):
                self._note(f"! {self.label} waiting for {' or '.join(names)}")
                raise Stop

    def until_quietly(self, name: str) -> Event:
        """The next event of this name, unrecorded; anything else is recorded.

        For what comes in an order that is nobody's promise.
        """
        while True:
            event = self.next()
            if event is not None and event.name == name:
                return event
            self.record(event or Event("undecodable", fields={"instead_of": name}))
            if event is None or event.name in ("closed", "channel.close", "connection.close", "undecodable"):
                raise Stop

    def record(self, event: Event) -> None:
        if event.name in ("closed", "heartbeat", "protocol-header", "undecodable"):
            self._note(f"{self.label} < {event}")
        else:
            self._line(event.channel, "<", str(event))

    def quiet(self, seconds: float = SILENCE_S) -> None:
        """Record whatever comes in that time: normally nothing."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            event = self.next(left)
            if event is not None:
                self.record(event)
                if event.name == "closed":
                    return

    # -- scenes -------------------------------------------------------------------------------------------------------
    def call(self, name: str, channel: int | None = None, **fields: Any) -> Event:
        """Send a method and record up to its reply."""
        self.send(name, channel, **fields)
        return self.until("basic.get-ok", "basic.get-empty") if name == "basic.get" else self.until(name + "-ok")

    def do(self, name: str, channel: int | None = None, **fields: Any) -> Event:
        """Like `call`, but neither the method nor its reply is recorded: for the scenery. What comes in between is."""
        number = self._on(channel)
        self._send(name, number, {key.rstrip("_"): value for key, value in fields.items()})
        if name == "confirm.select":
            self._seqno = 1
        reply = name + "-ok"
        while True:
            event = self.next()
            if event is not None and event.name == reply and event.channel == number:
                return event
            self.record(event or Event("undecodable", fields={"instead_of": reply}))
            if event is None or event.name in ("closed", "channel.close", "connection.close"):
                self._note(f"! {self.label} {name} failed")
                raise Stop

    def ask(self, name: str, **fields: Any) -> str:
        """Send a method and return the name of whatever comes next, both unrecorded."""
        self._send(name, self.channel, fields)
        event = self.next()
        return event.name if event else "nothing"

    def queue(self, name: str, channel: int | None = None, **fields: Any) -> str:
        """Declare a queue quietly (exclusive unless said otherwise) and return its name."""
        fields.setdefault("exclusive", not fields.get("durable"))
        return str(self.do("queue.declare", channel, queue=name, **fields).fields["queue"])

    def exchange(self, name: str, type_: str, **fields: Any) -> str:
        self.do("exchange.declare", exchange=name, type=type_, **fields)
        return name

    def bind(self, queue: str, exchange: str, key: str = "", **arguments: object) -> None:
        self.do("queue.bind", queue=queue, exchange=exchange, routing_key=key, arguments=arguments)

    def sync(self, channel: int | None = None) -> None:
        """A round trip through the channel: whatever it had to answer before has been recorded after this."""
        self.do("channel.flow", channel, active=True)

    def settle(self, channel: int | None = None) -> None:
        """A round trip through the channel, then a moment's silence: for the proof that nothing more is delivered."""
        self.sync(channel)
        self.quiet()

    def get(self, queue: str, channel: int | None = None, no_ack: bool = True) -> Event:
        return self.call("basic.get", channel, queue=queue, no_ack=no_ack)

    def deliveries(self, count: int) -> list[Event]:
        """Record up to and including that many deliveries."""
        return [self.until("basic.deliver") for _ in range(count)]

    def drain(self, *queues: str) -> None:
        """Record every message of each queue in order, until it is empty."""
        for queue in queues:
            while self.get(queue).name == "basic.get-ok":
                pass

    def do_get(self, queue: str, no_ack: bool = True) -> Event:
        """basic.get, unrecorded. It passes through the queue behind every earlier publish of this channel."""
        self._send("basic.get", self.channel, {"queue": queue, "no_ack": no_ack})
        while True:
            event = self.next() or Event("undecodable", fields={"instead_of": "basic.get-ok"})
            if event.name in ("basic.get-ok", "basic.get-empty"):
                return event
            self.record(event)
            if event.name in ("undecodable", "closed", "channel.close", "connection.close"):
                raise Stop

    def bodies(self, *queues: str) -> list[list[str]]:
        """Take everything from the queues; one short line for each: bodies only."""
        found = []
        for queue in queues:
            bodies = []
            while (event := self.do_get(queue)).name == "basic.get-ok":
                bodies.append(event.body.decode("latin-1"))
            self._note(f"{self.label} queue {queue} held [{', '.join(bodies)}]")
            found.append(bodies)
        return found

    def count(self, queue: str) -> None:
        """Record the counts a passive declare shows.

        RabbitMQ's queues answer it ahead of publishes still on their way: see `await_count`.
        """
        self.call("queue.declare", queue=queue, passive=True)

    def await_get(self, queue: str, timeout_s: float = 4.0) -> Event:
        """Record the first message of a queue that gets one some time soon."""
        event = self._await(queue, True, timeout_s)
        self.record(event)
        return event

    def await_get_unacked(self, queue: str, timeout_s: float = 4.0) -> Event:
        """The first message of a queue that gets one some time soon, unrecorded and to be settled."""
        return self._await(queue, False, timeout_s)

    def _await(self, queue: str, no_ack: bool, timeout_s: float) -> Event:
        deadline = time.monotonic() + timeout_s
        while (event := self.do_get(queue, no_ack)).name != "basic.get-ok":
            if time.monotonic() > deadline:
                self._note(f"! {self.label} queue {queue} stayed empty")
                raise Stop
            time.sleep(0.01)
        return event

    def await_count(self, queue: str, count: int, timeout_s: float = 4.0) -> None:
        """Wait until a queue holds that many ready messages, and record how many it held last."""
        deadline = time.monotonic() + timeout_s
        found = -1
        while found != count and time.monotonic() < deadline:
            found = self.do("queue.declare", queue=queue, passive=True).fields["message_count"]
            if found != count:
                time.sleep(0.01)
        self._note(f"{self.label} queue {queue} holds {found}")

    def confirms(self, *returned: int) -> None:
        """Read until every publish since confirm.select is settled; `returned` are those due to come back first.

        How a broker coalesces acks depends on timing, so they are recorded as two sorted lists, after
        everything else that came.
        """
        acked: set[int] = set()
        nacked: set[int] = set()
        awaited = list(returned)
        while self._unsettled:
            event = self.next()
            if event is None or event.name not in ("basic.ack", "basic.nack"):
                event = event or Event("undecodable", fields={"instead_of": f"confirms of {sorted(self._unsettled)}"})
                self.record(event)
                if event.name == "basic.return" and awaited and awaited.pop(0) not in self._unsettled:
                    self._note(f"! {self.label} confirmed before it was returned")
                if event.name in ("undecodable", "closed", "channel.close", "connection.close"):
                    raise Stop
                continue
            tag = event.fields["delivery_tag"]
            settled = {n for n in self._unsettled if n <= tag} if event.fields["multiple"] else {tag} & self._unsettled
            if tag not in settled:
                self._note(f"! {self.label} settled {tag}, which was not outstanding")
            if event.name == "basic.nack" and not event.fields["requeue"]:
                self._note(f"! {self.label} a nack without requeue")
            (acked if event.name == "basic.ack" else nacked).update(settled)
            self._unsettled -= settled
        self._note(f"{self.label} confirms: acked {sorted(acked)} nacked {sorted(nacked)}")

    def refused(self, code: int, text: str, channel: int | None = None) -> None:
        """The channel is closed with exactly this; the case answers close-ok."""
        event = self.until("channel.close")
        self._expect(event, code, text)
        self._send("channel.close-ok", self._on(channel), {})

    def died(self, code: int, text: str) -> None:
        """The connection is closed with exactly this; the case answers close-ok and sees the socket go."""
        event = self.until("connection.close")
        self._expect(event, code, text)
        self._send("connection.close-ok", 0, {})
        self.until("closed")

    # -- connection and channels --------------------------------------------------------------------------------------
    def handshake(
        self,
        capabilities: tuple[str, ...] = ALL_CAPABILITIES,
        login: tuple[str, str] | None = None,
        vhost: str | None = None,
        tune_ok: Mapping[str, int] | None = None,
        properties: Mapping[str, object] | None = None,
    ) -> Client:
        """Header to open-ok, unrecorded unless it fails."""
        user, password = login or (self.address.user, self.address.password)
        client = {"product": "compare", "capabilities": dict.fromkeys(capabilities, True), **(properties or {})}
        self.raw(b"AMQP\0\0\x09\x01")
        self.expect_quietly("connection.start")
        self._send(
            "connection.start-ok",
            0,
            {"client_properties": client, "mechanism": "PLAIN", "response": plain(user, password), "locale": "en_US"},
        )
        self.tune = dict(self.expect_quietly("connection.tune").fields, **(tune_ok or {"heartbeat": 0}))
        self._send("connection.tune-ok", 0, self.tune)
        self._send("connection.open", 0, {"virtual_host": vhost or self.address.vhost})
        self.expect_quietly("connection.open-ok")
        return self

    def open(self, *channels: int) -> Client:
        """Open these channels, unrecorded."""
        for channel in channels or (self.channel,):
            self.do("channel.open", channel)
        return self

    def reopen(self) -> None:
        """Answer the server's channel.close and open the channel again, unrecorded."""
        self._send("channel.close-ok", self.channel, {})
        self.open()

    def expect_quietly(self, name: str) -> Event:
        event = self.next()
        if event is None or event.name != name:
            self.record(event or Event("undecodable", fields={"instead_of": name}))
            raise Stop
        return event

    def close(self) -> None:
        """Close properly and unrecorded; used when what happens after the close matters."""
        self.do("connection.close", 0, reply_code=200, reply_text="bye")
        self.drop()

    def drop(self) -> None:
        """Just close the socket."""
        self._over = True
        self._socket.close()

    # -- inside -------------------------------------------------------------------------------------------------------
    def _on(self, channel: int | None) -> int:
        return self.channel if channel is None else channel

    def _line(self, channel: int, direction: str, text: str) -> None:
        self._note(f"{self.label} {channel} {direction} {text}")

    def _send(self, name: str, channel: int, fields: Mapping[str, Any]) -> None:
        self.raw(codec.frame(codec.FRAME_METHOD, channel, codec.method_payload(name, fields)))

    def _expect(self, event: Event, code: int, text: str) -> None:
        if (event.fields["reply_code"], event.fields["reply_text"]) != (code, text):
            self._note(f"! expected {code} {render.quote(text)}")

    def _take(self) -> Event | None:
        """One event out of the bytes received, None while it is incomplete."""
        while True:
            if self._data[:4] == b"AMQP" and len(self._data) >= 8:
                event = Event("protocol-header", fields={"bytes": self._data[:8].hex(" ")})
                del self._data[:8]
                return event
            if len(self._data) < 7:
                return None
            kind, channel, size = struct.unpack(">BHI", self._data[:7])
            if len(self._data) < size + 8:
                return None
            payload, end = bytes(self._data[7 : 7 + size]), self._data[7 + size]
            del self._data[: size + 8]
            try:
                if end != codec.FRAME_END:
                    raise codec.Malformed(f"frame end {end:#x}")
                event_or_none = self._feed(kind, channel, payload)
            except (codec.Malformed, struct.error) as reason:
                self._over = True
                return Event(
                    "undecodable", channel, {"reason": str(reason), "type": kind, "payload": payload[:64].hex(" ")}
                )
            if event_or_none is not None:
                return event_or_none

    def _feed(self, kind: int, channel: int, payload: bytes) -> Event | None:
        if kind == codec.FRAME_HEARTBEAT:
            return Event("heartbeat", channel, {"channel": channel, "size": len(payload)})
        pending = self._pending.get(channel)
        if kind == codec.FRAME_METHOD:
            if pending:
                raise codec.Malformed("a method inside a content")
            name, fields = codec.decode_method(payload)
            event = Event(name, channel, fields, has_content=name in codec.WITH_CONTENT)
            if not event.has_content:
                return event
            self._pending[channel] = event
            return None
        if pending is None:
            raise codec.Malformed(f"frame of type {kind} without a method")
        if kind == codec.FRAME_HEADER:
            self._sizes[channel], pending.properties = codec.decode_header(payload)
        elif kind == codec.FRAME_BODY:
            pending.body += payload
            pending.body_frames.append(len(payload))
        else:
            raise codec.Malformed(f"frame of type {kind}")
        if len(pending.body) < self._sizes[channel]:
            return None
        return self._pending.pop(channel)
