"""What clients know, and what therefore must be true of every disk that a crash can leave.

A *token* is a message on its way from one queue, its root: (number, root). Dead-lettering moves it; it never becomes
two. Clients know which tokens they were promised (`promised`: confirmed, or committed), which they asked to be gone
(`final`), and of which they were told so (`never`: acknowledged in a transaction that was answered).

`check` holds what a recovery found against that, and against the ledger's state at one batch, which it must be exactly:
but for what a queue lets go when it starts, since it is overdue or there is too much of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from crash.ledger import Copy, Place, Violation
from crash.node import Found
from harness import Event

Token = tuple[int, str]


@dataclass(frozen=True)
class Facts:
    """What is fixed of a queue: `target` is the queue to which its dead letters go, "" where they are gone."""

    name: str
    max_length: int = -1
    ttl_ms: int = -1
    target: str = ""
    highest: int = 0


@dataclass
class Sent:
    """A message as it was published."""

    number: int
    body: bytes
    persistent: bool
    priority: int
    ttl_ms: int


@dataclass
class Group:
    """What one transaction does: all of it, or nothing. What it refuses leaves the queue with that identity."""

    publishes: list[Token] = field(default_factory=list)
    acks: list[Token] = field(default_factory=list)
    refused: list[tuple[bytes, Token]] = field(default_factory=list)


class Book:
    """`queues` are the facts of all queues that there can be. `flagged` are deliveries that were made: of a token in a
    queue (identity, token); `marked` tokens are redelivered wherever they go."""

    def __init__(self, queues: dict[str, Facts]) -> None:
        self.queues = queues
        self.sent: dict[int, Sent] = {}
        self.promised: set[Token] = set()
        self.final: dict[Token, str] = {}
        self.never: set[Token] = set()
        self.flagged: set[tuple[bytes, Token]] = set()
        self.marked: set[Token] = set()
        self.groups: list[Group] = []

    # -- what happens

    def asked(self, token: Token, why: str) -> None:
        """Somebody asked for it to be gone, or something entitled the broker to let it go."""
        self.final.setdefault(token, why)

    def publish(self, number: int, body: bytes, persistent: bool, priority: int, ttl_ms: int) -> None:
        self.sent[number] = Sent(number, body, persistent, priority, ttl_ms)

    def delivered(self, identity: bytes, token: Token, queue: str, event: Event) -> None:
        """A client has got a message. Raises Violation."""
        sent = self.sent.get(token[0])
        if sent is None or sent.body != event.body:
            raise Violation("content", f"{token} from {queue}: nobody published that")
        if token in self.never:
            raise Violation("never", f"{token} is delivered from {queue}, and its settling was committed")
        if not identity:
            return
        if not event.redelivered and (identity, token) in self.flagged:
            raise Violation("redelivered", f"{token} comes from {queue} once more, and does not say so")
        self.flagged.add((identity, token))

    def may_leave(self, copy: Copy | Found, queues: dict[bytes, str], wall_ms: int) -> bool:
        """Whether its queue may let it go though no client asked for that."""
        return self.queues[queues[copy.place[0]]].max_length >= 0 or self._overdue(copy, queues, wall_ms)

    def deadline_ms(self, copy: Copy | Found, queue: str) -> int:
        """When a copy is overdue (time of day), or -1."""
        own, ttl = copy.message.expiration_ms, self.queues[queue].ttl_ms
        least = min([each for each in (own, ttl) if each >= 0], default=-1)
        return copy.wall_ms + least if least >= 0 else -1

    def recovered(self, found: list[Found]) -> None:
        """A node goes on with what it found: what nobody knew is known now."""
        there = {(each.number, each.root) for each in found}
        for token in there:
            self.final.pop(token, None)
        for token in self.promised - there:
            self.final.setdefault(token, "gone when the node started")
        self.promised = self.promised | there
        self.never -= there
        self.groups = []
        self.flagged = {(each.place[0], (each.number, each.root)) for each in found if each.redelivered}
        # A rejection that the crash undid has left no mark.
        self.marked = {(each.number, each.root) for each in found if each.message.redelivered}

    # -- what must be true

    def check(
        self,
        found: list[Found],
        state: dict[Place, Copy],
        queues: dict[bytes, str],
        clean: bool,
        wall_ms: int,
        entered: set[Token] | None = None,
    ) -> None:
        """Raises Violation where a recovery is not what it must be. `queues` are those that were defined.

        `entered` are the tokens that the journal had at any time; without them, promises are not looked at.
        """
        state = {place: copy for place, copy in state.items() if place[0] in queues}
        self._order(found, queues)
        if entered is not None:
            self._promises(found, state, queues, wall_ms, entered)
        self._exact(found, state, queues, wall_ms)
        for each in found:
            copy = state.get(each.place)
            if copy is not None:
                self._same(each, copy, queues, clean)
            self._body(each)

    def _order(self, found: list[Found], queues: dict[bytes, str]) -> None:
        last: dict[bytes, tuple[int, int]] = {}
        seen: set[tuple[bytes, Token]] = set()
        for each in found:
            identity, level, position = each.place
            key = (-level, position)
            if identity in last and key <= last[identity]:
                raise Violation("order", f"{each.number} in {queues[identity]} at {level}, {position}: behind its time")
            last[identity] = key
            there = (identity, (each.number, each.root))
            if there in seen:
                raise Violation("twice", f"{each.number} is twice in {queues[identity]}")
            seen.add(there)

    def _overdue(self, copy: Copy | Found, queues: dict[bytes, str], wall_ms: int) -> bool:
        return 0 <= self.deadline_ms(copy, queues[copy.place[0]]) <= wall_ms

    def _too_many(self, found: list[Found], state: dict[Place, Copy], queues: dict[bytes, str]) -> set[Place]:
        """What queues had to let go when they started because it was more than they may have: from the head."""
        dropped: set[Place] = set()
        for identity, name in queues.items():
            most = self.queues[name].max_length if name in self.queues else -1
            if most < 0:
                continue
            new = sum(1 for each in found if each.place[0] == identity and each.place not in state)
            had = sorted((-level, position) for owner, level, position in state if owner == identity)
            surplus = max(len(had) + new - most, 0)
            dropped.update((identity, -level, position) for level, position in had[:surplus])
        return dropped

    def _exact(
        self, found: list[Found], state: dict[Place, Copy], queues: dict[bytes, str], wall_ms: int
    ) -> None:
        there = {each.place for each in found}
        dropped = self._too_many(found, state, queues)
        moved: dict[Token, str] = {}
        for place, copy in state.items():
            if place in there:
                continue
            token = (copy.number, copy.root)
            name = queues[place[0]]
            if place not in dropped and not self._overdue(copy, queues, wall_ms):
                raise Violation("lost", f"{token} is not in {name} at {place[1:]}, where the journal had it")
            moved[token] = self.queues[name].target
        for each in found:
            token = (each.number, each.root)
            if each.place in state:
                continue
            if token not in moved:
                raise Violation("invented", f"{token} is in {queues[each.place[0]]} at {each.place[1:]}")
            moved.pop(token)
        for token, target in moved.items():
            if target in queues.values() and self.queues[target].max_length < 0 and self.queues[target].ttl_ms < 0:
                raise Violation("lost", f"{token}, a dead letter, is not in {target}")

    def _promises(
        self,
        found: list[Found],
        state: dict[Place, Copy],
        queues: dict[bytes, str],
        wall_ms: int,
        entered: set[Token],
    ) -> None:
        there = {(each.number, each.root) for each in found}
        leaving = set()  # what a queue may have let go when it started
        for copy in state.values():
            if self.may_leave(copy, queues, wall_ms):
                leaving.add((copy.number, copy.root))
        for token in sorted(self.promised - there - leaving):
            if token not in self.final:
                raise Violation("promise", f"{token} was confirmed and is gone")
        for token in sorted(self.never & there):
            raise Violation("never", f"{token} is back, whose settling was committed")
        places = {(each.place[0], (each.number, each.root)) for each in found}
        for group in self.groups:
            done = [token in there for token in group.publishes if token not in self.final and token not in leaving]
            done += [
                token not in there
                for token in group.acks
                if token in entered and token not in leaving and self.final.get(token) != "deleted"
            ]
            done += [
                (identity, token) not in places
                for identity, token in group.refused
                if identity in queues and token in entered and token not in leaving and token not in self.final
            ]
            if any(done) and not all(done):
                raise Violation("atomic", f"half a transaction: {group}")

    def _same(self, each: Found, copy: Copy, queues: dict[bytes, str], clean: bool) -> None:
        """What was found at a place is what was put there."""
        token = (each.number, each.root)
        name = queues[each.place[0]]
        before, after = copy.message, each.message
        if before.content != after.content or before.address != after.address:
            raise Violation("content", f"{token} in {name} is another message than was put there")
        if before.priority != after.priority or before.expiration_ms != after.expiration_ms:
            raise Violation("properties", f"{token} in {name}: priority or expiration is another")
        if each.wall_ms != copy.wall_ms:
            raise Violation("time", f"{token} in {name} arrived at {each.wall_ms}, not {copy.wall_ms}")
        if before.redelivered != after.redelivered:
            raise Violation("redelivered", f"{token} in {name} was marked as redelivered, or is, not both")
        if deaths_of(before) != deaths_of(after):
            raise Violation("deaths", f"{token} in {name}: {deaths_of(after)}, not {deaths_of(before)}")
        flagged = not clean or (each.place[0], token) in self.flagged or token in self.marked
        if each.redelivered != flagged:
            raise Violation("redelivered", f"{token} in {name} is {'not ' if flagged else ''}redelivered, and should")

    def _body(self, each: Found) -> None:
        sent = self.sent.get(each.number)
        if sent is None or sent.body != each.message.body():
            raise Violation("content", f"{each.number}: nobody published that")
        if not sent.persistent:
            raise Violation("transient", f"{each.number} is not persistent, and is there")
        if sent.priority != each.message.priority:
            raise Violation("properties", f"{each.number} has priority {each.message.priority}")


def deaths_of(message: object) -> list[tuple[str, str, int]]:
    """The history of a message in short."""
    annotations = getattr(message, "annotations", None)
    if annotations is None:
        return []
    return [(death.queue, death.reason, death.count) for death in annotations.deaths]
