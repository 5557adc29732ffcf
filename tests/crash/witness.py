"""What the clients of a server know, and what follows of it for what has to be there after a restart.

A *copy* is a message in a queue; a dead letter is a copy of its own, with the queue that it comes from. A *unit* has to
be done as a whole or not at all: a message for all its queues, a transaction with what it publishes and settles.
Between two looks at all queues clients only narrow down what can be: what was confirmed must be there, unless somebody
settled it; what a committed transaction settled must be gone. A look decides the rest, for ever.

Invariant: after `look` the copies in `copies` are exactly those that are on the server's disk.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from crash.ledger import Violation

DEAD = "dead"  # the queue of all dead letters

KEPT, LEFT, GONE = "kept", "left", "gone"


class Key(NamedTuple):
    queue: str
    publisher: int
    number: int
    origin: str = ""  # of a dead letter: the queue that it was in


@dataclass(eq=False)
class Copy:
    """`certain`: it is stored, so that somebody must have settled it where it is not found. `settled`: KEPT; LEFT when
    a client has settled it, which may come true or not; GONE when it may not be there: settled for certain, refused, or
    not even tried. `by`: the unit that settles it, if one does. `fresh`: its first delivery has not been seen, the one
    without the redelivered flag; what comes over two connections may be seen in another order than it was sent."""

    key: Key
    crc: int
    persistent: bool
    priority: int
    certain: bool = False
    settled: str = GONE
    by: Unit | None = None
    delivered: bool = False
    fresh: bool = True
    rejected: bool = False  # settled in a way that makes a dead letter of it, if its queue has a place for those


@dataclass(eq=False)
class Unit:
    adds: list[Copy] = field(default_factory=list)
    removes: list[Copy] = field(default_factory=list)


class Seen(NamedTuple):
    """A copy as it was delivered."""

    key: Key
    crc: int
    redelivered: bool


class Witness:
    """`dying`: the queues whose dead letters go to DEAD."""

    def __init__(self, dying: frozenset[str]) -> None:
        self.dying = dying
        self.copies: dict[Key, Copy] = {}
        self.units: list[Unit] = []
        self.counts: Counter[str] = Counter()
        self.violations: list[str] = []

    def _broken(self, rule: str, text: object) -> None:
        self.violations.append(str(Violation(rule, str(text))))

    # -- what clients say

    def published(self, keys: list[Key], crc: int, persistent: bool, priority: int) -> list[Copy]:
        """Sent to all these queues, as a part of a unit that is not tried yet."""
        copies = [Copy(key, crc, persistent, priority) for key in keys]
        self.copies.update((copy.key, copy) for copy in copies)
        self.counts["published"] += 1
        return copies

    def trying(self, unit: Unit) -> None:
        """It may happen from now on."""
        self.units.append(unit)
        for copy in unit.adds:
            copy.settled = KEPT
        for copy in unit.removes:
            if copy.settled == KEPT:
                copy.settled, copy.by = LEFT, unit

    def done(self, unit: Unit) -> None:
        """It has happened, and is on disk: confirmed, or committed."""
        for copy in unit.adds:
            copy.certain = copy.persistent
        for copy in unit.removes:
            copy.settled = GONE
        self.counts["committed" if unit.removes else "confirmed"] += 1

    def refused(self, unit: Unit) -> None:
        """A nack, or a rollback: it has not happened, and never will."""
        for copy in unit.adds:
            copy.settled = GONE
        self.counts["refused"] += 1

    def delivered(self, seen: Seen, last: dict[tuple[int, int], int]) -> Copy | None:
        """To a consumer, which keeps `last` for the order. Returns the copy, None for one that nobody knows."""
        self.counts["deliveries"] += 1
        copy = self._known(seen)
        if copy is None:
            return None
        if copy.settled == GONE:
            self._broken("settled", f"{copy.key} is delivered again after it was settled for certain")
        if not seen.redelivered:
            if not copy.fresh:
                self._broken("flag", f"{copy.key} is delivered a second time, without the redelivered flag")
            if copy.key.queue != DEAD:
                self._check_next(copy, last)
            copy.fresh = False
        copy.delivered = True
        return copy

    def settle(self, copy: Copy, rejected: bool) -> None:
        """An ack, or a reject that does not requeue, was sent."""
        copy.settled, copy.rejected, copy.by = LEFT, rejected, None
        self.counts["settled"] += 1

    def _known(self, seen: Seen) -> Copy | None:
        copy = self.copies.get(seen.key)
        if copy is None and seen.key.queue == DEAD and seen.key.origin in self.dying:
            source = self.copies.get(Key(seen.key.origin, seen.key.publisher, seen.key.number))
            if source is not None:
                copy = Copy(seen.key, source.crc, source.persistent, source.priority, settled=KEPT)
                self.copies[seen.key] = copy
        if copy is None:
            self._broken("invented", seen.key)
            return None
        if copy.crc != seen.crc:
            self._broken("content", f"{copy.key} has another body")
        return copy

    def purged(self, queue: str) -> None:
        """purge-ok: what was in the queue is gone, on disk as well. Nobody publishes to it or consumes from it."""
        for copy in self.copies.values():
            if copy.key.queue == queue:
                copy.settled = GONE

    # -- a look at everything

    def look(self, queues: dict[str, list[Seen]], crashed: bool | None) -> None:
        """All that is in all queues, after a restart. `crashed`: not after an orderly stop; None if only a start was
        killed after that, which may or may not have got so far that it counts."""
        found: dict[Key, Copy] = {}
        for name, all_seen in queues.items():
            for seen in all_seen:
                copy = self._known(seen)
                if copy is None:
                    continue
                if seen.key in found:
                    self._broken("twice", f"{seen.key} is there twice")
                found[seen.key] = copy
                self._look_at(copy, seen, crashed)
            self._check_order(name, [copy for seen in all_seen if (copy := found.get(seen.key)) is not None])
        for copy in self.copies.values():
            self._account(copy, found)
        for unit in self.units:
            self._check_unit(unit, found)
        self.units.clear()
        self.copies = found
        for copy in found.values():
            copy.certain, copy.settled, copy.by, copy.rejected = True, KEPT, None, False
            copy.delivered, copy.fresh = True, False
        self.counts["found"] += len(found)

    def _look_at(self, copy: Copy, seen: Seen, crashed: bool | None) -> None:
        if copy.settled == GONE:
            self._broken("settled", f"{copy.key} is back after it was settled for certain")
        if not copy.persistent:
            self._broken("transient", f"{copy.key} is transient, and back")
        if crashed and not seen.redelivered and copy.key.queue != DEAD:
            self._broken("flag", f"{copy.key} may have been delivered before the crash, and is not flagged")
        if crashed is False and seen.redelivered and not copy.delivered and copy.key.queue != DEAD:  # a rejected one is
            self._broken("flag", f"{copy.key} is flagged, and nobody got it")
        if not seen.redelivered and copy.delivered and (copy.certain or copy.key.queue != DEAD or crashed is False):
            self._broken("flag", f"{copy.key} was delivered, and is not flagged")

    def _check_order(self, name: str, copies: list[Copy]) -> None:
        """Of one publisher and priority, in the order in which they were published. Dead letters come as they died."""
        if name == DEAD:
            return
        last: dict[tuple[int, int], int] = {}
        for copy in copies:
            self._check_next(copy, last)

    def _check_next(self, copy: Copy, last: dict[tuple[int, int], int]) -> None:
        line = copy.key.publisher, copy.priority
        if last.get(line, -1) >= copy.key.number:
            self._broken("order", f"{copy.key} is behind {last[line]} of the same publisher")
        last[line] = copy.key.number

    def _account(self, copy: Copy, found: dict[Key, Copy]) -> None:
        """Somebody has it, or has settled it."""
        key = copy.key
        letter = Key(DEAD, key.publisher, key.number, key.queue)
        if key in found and letter in found:
            self._broken("doubled", f"{key} is there, and its dead letter as well")
        if key in found or letter in found or not copy.certain:
            return
        after = self.copies.get(letter)
        if after is not None and after.settled != KEPT:
            return
        if copy.settled == KEPT or (copy.rejected and key.queue in self.dying):
            self._broken("lost", f"{key} was {'rejected' if copy.rejected else 'confirmed'}, and is nowhere")

    def _check_unit(self, unit: Unit, found: dict[Key, Copy]) -> None:
        """All of it or nothing, as far as nobody else has had a hand in it."""
        fates: set[bool] = set()
        for copy in unit.adds:
            if copy.persistent and copy.settled == KEPT:
                letter = Key(DEAD, copy.key.publisher, copy.key.number, copy.key.queue)
                after = self.copies.get(letter)
                if after is None or after.settled == KEPT:
                    fates.add(copy.key in found or letter in found)
        for copy in unit.removes:
            if copy.by is unit and copy.certain and copy.settled == LEFT:
                fates.add(copy.key not in found)
        if len(fates) > 1:
            names = [copy.key for copy in (*unit.adds, *unit.removes)]
            self._broken("torn", f"only a part has happened of {names[:6]}")
