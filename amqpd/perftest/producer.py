"""One channel that publishes: how many messages now, what they look like, and which of them are confirmed.

`publish` gives the bytes of as many messages as may go out now: within the limit, the window of confirms, the
transaction, what is due by the rate, and one batch. Where that is none, `next_at` says when to ask again: at a time,
or not before something has come (`wake` is called then).

A message carries the time at which it was due. Without a rate that is the time at which it was made; so it is where a
message is late by no more than a timer is: LATE_MAX.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from amqpd.perftest import requests
from amqpd.perftest.batches import Field, stamped, u32s, u64s
from amqpd.perftest.client import Agent
from amqpd.perftest.deliveries import STAMP_HEADER, STAMPED_BODY
from amqpd.perftest.figures import Instruments
from amqpd.perftest.pace import NEVER, Pace, Steps
from amqpd.wire import content, frames, methods, tables

BATCH_BYTES: Final = 65_536
BATCH_MAX: Final = 1000  # messages
TEMPLATES_MAX: Final = 64
RANDOM_KEY_BYTES: Final = 36
LATE_MAX: Final = 2_000_000  # ns; timers are good for a millisecond, and that is not the broker's fault
_U32: Final = 0xFFFF_FFFF


@dataclass(frozen=True)
class Publishing:
    """What a producer's channel is to do.

    `bodies`: contents of files, used in turn; without them bodies are zeros, `sizes` bytes long. `confirm` is how many
    messages may be unconfirmed, 0 for no confirms; `limit` how many to send, 0 for no limit; `keys` how many random
    routing keys there are, 0 if the key is fixed, -1 for a new one for each message.
    """

    exchange: str
    key: str
    sizes: Steps
    rates: Steps | None = None
    bodies: Sequence[bytes] = ()
    properties: dict[int, bytes] = field(default_factory=dict)
    headers: tables.Table = field(default_factory=list)
    keys: int = 0
    mandatory: bool = False
    confirm: int = 0
    tx: int = 0
    limit: int = 0


class Template:
    """A message, and where in it the things stand that differ from message to message. -1: nowhere."""

    def __init__(self, plan: Publishing, channel: int, body: bytes, in_header: bool, frame_max: int) -> None:
        key = b"\0" * RANDOM_KEY_BYTES if plan.keys else plan.key.encode()
        method = requests.publish(channel, plan.exchange.encode(), key, plan.mandatory)
        properties = dict(plan.properties)
        headers = list(plan.headers)
        if in_header:
            headers.insert(0, (STAMP_HEADER.decode(), tables.long(0)))
        if headers:
            properties[content.HEADERS] = tables.encode_table(headers)
        header = content.join(len(body), properties)
        before = sum(len(properties.get(bit, b"")) for bit in (content.CONTENT_TYPE, content.CONTENT_ENCODING))
        self.data: Final = method + frames.build_content(channel, header, body, frame_max)
        self.key_at: Final = requests.key_place(plan.exchange.encode()) if plan.keys else -1
        self.number_at: Final = -1 if in_header else len(method) + len(header) + frames.OVERHEAD + 7
        in_table = len(method) + 7 + 14 + before + 4 + 1 + len(STAMP_HEADER) + 1
        self.stamp_at: Final = in_table if in_header else self.number_at + 4


class Producer(Agent):
    """`wake` is called when something has come for which it may have waited. `begin` comes first."""

    def __init__(
        self, plan: Publishing, channel: int, frame_max: int, instruments: Instruments, wake: Callable[[], None]
    ) -> None:
        self.next_at = 0
        self.count = 0  # messages published
        self._plan: Final = plan
        self._channel: Final = channel
        self._frame_max: Final = frame_max
        self._figures: Final = instruments.figures
        self._stamps: Final = instruments.stamps
        self._clock: Final = instruments.clock
        self._random: Final = instruments.random
        self._wake: Final = wake
        self._pace: Pace | None = None
        self._start = 0
        self._templates: Final[dict[int, Template]] = {}
        self._unconfirmed: Final[dict[int, int]] = {}  # publishing number -> when it was due
        self._lowest = 1  # no smaller publishing number is unconfirmed
        self._in_tx = 0
        self._committing = False
        self._keys: Final = [self._random_key() for _ in range(plan.keys)] if plan.keys > 0 else []

    def begin(self, start: int) -> None:
        """From when on rates and sizes are counted, and the first message is due."""
        self._start = self.next_at = start
        if self._plan.rates is not None:
            self._pace = Pace(self._plan.rates, start)

    @property
    def finished(self) -> bool:
        """Everything is sent, confirmed and committed."""
        limit = self._plan.limit
        return 0 < limit <= self.count and not (self._unconfirmed or self._in_tx or self._committing)

    @property
    def starved(self) -> bool:
        """It waits for the broker: for confirms or the answer to a commit."""
        plan = self._plan
        sent_all = 0 < plan.limit <= self.count
        return self._committing or (bool(self._unconfirmed) and (sent_all or len(self._unconfirmed) >= plan.confirm))

    def publish(self, now: int) -> bytes | bytearray:
        """Messages to send now, as frames; empty if there are none."""
        if now < self._start:
            self.next_at = self._start
            return b""
        template = self._template(now)
        dues = self._due(now, self._room(template))
        if not dues:
            return b""
        data = stamped(template.data, len(dues), self._fields(template, dues))
        if self._plan.confirm:
            first = self.count + 1
            self._unconfirmed.update(zip(range(first, first + len(dues)), dues, strict=True))
        self.count += len(dues)
        self._figures.sent += len(dues)
        self._figures.last_sent = now
        if self._plan.tx:
            data += self._commit(len(dues))
        if self.count == self._plan.limit:
            self.next_at = NEVER
        return data

    def _room(self, template: Template) -> int:
        """How many messages may go out, the rate aside."""
        plan = self._plan
        if self._committing:
            return 0
        room = max(1, min(BATCH_MAX, BATCH_BYTES // len(template.data)))
        if len(plan.bodies) > 1:
            room = 1
        if plan.limit:
            room = min(room, plan.limit - self.count)
        if plan.confirm:
            room = min(room, plan.confirm - len(self._unconfirmed))
        if plan.tx:
            room = min(room, plan.tx - self._in_tx)
        return room

    def _due(self, now: int, room: int) -> list[int]:
        if room <= 0:
            self.next_at = NEVER
            return []
        if self._pace is None:
            self.next_at = now
            return [now] * room
        dues = self._pace.due(now, room)
        self.next_at = self._pace.next_at()
        return [now if now - due <= LATE_MAX else due for due in dues]

    def _commit(self, count: int) -> bytes:
        plan = self._plan
        self._in_tx += count
        if self._in_tx < plan.tx and self.count != plan.limit:
            return b""
        self._in_tx = 0
        self._committing = True
        self.next_at = NEVER
        return requests.tx(self._channel, methods.TX_COMMIT)

    # -- what a message looks like

    def _template(self, now: int) -> Template:
        plan = self._plan
        if plan.bodies:
            which = self.count % len(plan.bodies)
            body = plan.bodies[which]
        else:
            size, _until = plan.sizes.at(max(now - self._start, 0))
            which = int(size)
            body = b""
        template = self._templates.get(which)
        if template is None:
            if len(self._templates) >= TEMPLATES_MAX:
                self._templates.clear()
            in_header = bool(plan.bodies) or which < STAMPED_BODY
            template = Template(plan, self._channel, body if plan.bodies else bytes(which), in_header, self._frame_max)
            self._templates[which] = template
        return template

    def _fields(self, template: Template, dues: list[int]) -> list[Field]:
        stamps = self._stamps
        fields: list[Field] = [(template.stamp_at, 8, u64s(stamps.of(due) for due in dues))]
        if template.number_at >= 0:
            fields.append((template.number_at, 4, u32s(n & _U32 for n in range(self.count, self.count + len(dues)))))
        if template.key_at >= 0:
            keys = self._keys
            chosen = self._random.choices(keys, k=len(dues)) if keys else [self._random_key() for _ in dues]
            fields.append((template.key_at, RANDOM_KEY_BYTES, b"".join(chosen)))
        return fields

    def _random_key(self) -> bytes:
        """As long as a UUID, and as unlikely to be drawn twice."""
        return f"{self._random.getrandbits(4 * RANDOM_KEY_BYTES):0{RANDOM_KEY_BYTES}x}".encode()

    # -- what comes back

    def confirmed(self, tag: int, multiple: bool, positive: bool) -> None:
        unconfirmed = self._unconfirmed
        if not multiple:
            due = unconfirmed.pop(tag, None)
            dues = [] if due is None else [due]
        else:
            found = (unconfirmed.pop(number, None) for number in range(self._lowest, tag + 1))
            dues = [due for due in found if due is not None]
            self._lowest = max(self._lowest, tag + 1)
        if positive:
            self._figures.confirmed += len(dues)
            now = self._clock()
            for due, times in Counter(dues).items():
                self._figures.confirm.record(self._stamps.since(self._stamps.of(due), now), times)
        else:
            self._figures.nacked += len(dues)
        self._wake()

    def returned(self) -> None:
        self._figures.returned += 1

    def committed(self) -> None:
        self._committing = False
        self._wake()
