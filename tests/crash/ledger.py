"""What the broker says to the journal, noted down batch by batch: the truth that a recovery must tell.

`Ledger` stands between the keeper and the real journal and passes everything on. It remembers every message that was
entered into a log, in which batch, and in which batch it was settled; so `state(n)` is what the disk must hold when it
holds the batches up to `n`, and nothing else may come out of a recovery that ends there.

It also sees to the rules of the journal's user: a log is introduced in each file before it is used there, a message has
a position of its own, and what is settled was entered.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from amqpd.broker.message import Message
from amqpd.broker.node import Broker
from amqpd.broker.persistence.encoding import Decoder
from amqpd.broker.ports import Batch, Job, Journal

NEVER = 1 << 60
BODY = re.compile(rb"<(\d{6})>")

Place = tuple[bytes, int, int]  # identity of the queue, level, position


class Violation(BaseException):
    """A rule was broken; `rule` is a short name for which. Not an Exception: no code under test may take it for one."""

    def __init__(self, rule: str, text: str) -> None:
        super().__init__(text)
        self.rule = rule

    def __str__(self) -> str:
        return f"{self.rule}: {self.args[0]}"


def number_of(message: Message) -> int:
    """The number that a history gave to a message."""
    found = BODY.match(message.body())
    if found is None:
        raise Violation("content", f"a body that nobody published: {message.body()[:40]!r}")
    return int(found[1])


def root_of(message: Message, queue: str) -> str:
    """The queue where its life began: a dead letter's first one."""
    annotations = message.annotations
    return annotations.first.queue if annotations is not None and annotations.first is not None else queue


@dataclass
class Copy:
    """A message in a log. `entered` and `settled` are batches; `wall_ms` when it came there."""

    place: Place
    message: Message
    number: int
    root: str
    wall_ms: int
    entered: int = NEVER
    settled: int = NEVER

    def live(self, batch: int) -> bool:
        return self.entered <= batch < self.settled


@dataclass
class Gathered:
    """What the batch that is gathered says."""

    entries: list[tuple[list[Place], int, int]] = field(default_factory=list)
    settles: list[tuple[bytes, int, list[int]]] = field(default_factory=list)
    forgets: list[tuple[bytes, int]] = field(default_factory=list)
    stop: bool = False


class Ledger(Journal):
    """`queues` names queues by their identity; `last` is the batch with which the node's life began, -1 if unknown.

    `sealed` is the last batch, `synced` the last that is known to be on disk; `stopped` is the one that ends the node's
    life. `first` is the first that was sealed here.
    """

    def __init__(self, inner: Journal, broker: Broker, queues: dict[bytes, str], last: int = -1) -> None:
        super().__init__()
        self.inner, self.broker, self.queues = inner, broker, queues
        self.copies: dict[Place, Copy] = {}
        self.sealed = last
        self.synced = last
        self.first = -1
        self.stopped = NEVER
        self._refs: dict[int, tuple[bytes, int]] = {}
        self._announced: set[tuple[int, int]] = set()
        self._now = Gathered()
        self._take()

    # -- what is there

    def state(self, batch: int) -> dict[Place, Copy]:
        """What the disk holds with the batches up to `batch`."""
        return {place: copy for place, copy in self.copies.items() if copy.live(batch)}

    def rewind(self, batch: int) -> None:
        """A crash has left everything up to `batch`: what came behind it never was."""
        self.sealed = self.synced = batch
        for place, copy in list(self.copies.items()):
            if copy.entered > batch:
                del self.copies[place]
            elif copy.settled > batch:
                copy.settled = NEVER
        if self.stopped > batch:
            self.stopped = NEVER
        self._now = Gathered()

    def base(self, copies: dict[Place, Copy]) -> None:
        """What an earlier life has left."""
        for place, copy in copies.items():
            kept = Copy(place, copy.message, copy.number, copy.root, copy.wall_ms, entered=-1)
            self.copies[place] = kept

    # -- the journal

    def _take(self) -> None:
        self.out, self.file, self.records = self.inner.out, self.inner.file, self.inner.records

    def _log(self, ref: int) -> tuple[bytes, int]:
        if (self.file, ref) not in self._announced:
            raise Violation("group", f"log {ref} is used in file {self.file} before it was introduced there")
        return self._refs[ref]

    def begin(self) -> None:
        assert self.records == 0
        self.inner.begin()
        self._take()

    def group(self, ref: int, identity: bytes, level: int, label: bytes) -> None:
        self._refs[ref] = (identity, level)
        self._announced.add((self.file, ref))
        self.inner.group(ref, identity, level, label)
        self._take()

    def _enter(self, refs: list[int], indexes: list[int], size: int) -> None:
        self._take()
        places = []
        for ref, index in zip(refs, indexes, strict=True):
            places.append((*self._log(ref), index))
        self._now.entries.append((places, len(self.out), size))

    def entry(self, ref: int, index: int, term: int, size: int) -> None:
        self.inner.entry(ref, index, term, size)
        self._enter([ref], [index], size)

    def entry_in_many(self, refs: list[int], indexes: list[int], term: int, size: int) -> None:
        self.inner.entry_in_many(refs, indexes, term, size)
        self._enter(refs, indexes, size)

    def settle(self, ref: int, ranges: list[int]) -> None:
        self._now.settles.append((*self._log(ref), list(ranges)))
        self.inner.settle(ref, ranges)
        self._take()

    def forget(self, ref: int) -> None:
        self._now.forgets.append(self._log(ref))
        self.inner.forget(ref)
        self._take()

    def mark(self, ref: int, index: int) -> None:
        self._log(ref)
        self.inner.mark(ref, index)
        self._take()

    def stop(self) -> None:
        self.inner.stop()
        self._now.stop = True
        self._take()

    def seal(self) -> Batch | None:
        data = self.inner.out.getvalue()
        batch = self.inner.seal()
        self._take()
        if batch is None:
            return None
        if self.sealed >= 0 and batch.sequence != self.sealed + 1:
            raise Violation("sequence", f"batch {batch.sequence} follows {self.sealed}")
        self.sealed = batch.sequence
        if self.first < 0:
            self.first = batch.sequence
        self._note(data, batch.sequence)
        return batch

    def _note(self, data: bytes, batch: int) -> None:
        now, self._now = self._now, Gathered()
        if now.stop:
            self.stopped = batch
        decoder = Decoder(self.broker.now_ms)
        for places, start, size in now.entries:
            message = decoder.decode(data, start, start + size, self.broker.offset_ms)
            wall_ms = message.arrived_ms + self.broker.offset_ms
            for place in places:
                if place in self.copies:
                    raise Violation("position", f"{self.told(place)} is used twice")
                root = root_of(message, self.queues.get(place[0], "?"))
                self.copies[place] = Copy(place, message, number_of(message), root, wall_ms, entered=batch)
        for identity, level, ranges in now.settles:
            for first, last in zip(ranges[::2], ranges[1::2], strict=True):
                if first > last:
                    raise Violation("range", f"{self.told((identity, level, first))} to {last} is settled")
                for place, copy in self.copies.items():
                    if place[0] == identity and place[1] == level and first <= place[2] <= last:
                        copy.settled = min(copy.settled, batch)
        for identity, level in now.forgets:
            for place, copy in self.copies.items():
                if place[0] == identity and place[1] == level:
                    copy.settled = min(copy.settled, batch)

    def told(self, place: Place) -> str:
        """A place in words."""
        return f"{self.queues.get(place[0], place[0].hex())}[{place[1]}] {place[2]}"

    def oldest(self) -> int:
        return self.inner.oldest()

    def surplus(self) -> bool:
        return self.inner.surplus()

    def free(self, file: int) -> Job:
        return self.inner.free(file)

    def prepare(self) -> Job | None:
        return self.inner.prepare()
