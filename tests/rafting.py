"""A few members of one group, driven by hand: what unit tests of the Raft core share.

Writes are durable when the test says so (`sync`), messages arrive when the test delivers them; `settle` does both for
everybody until nothing is left.
"""

import random
from collections.abc import Callable

from amqpd.raft.config import Config
from amqpd.raft.group import Group
from amqpd.raft.memory import MemoryLog
from amqpd.raft.messages import CHANGE, Append, Entry, Members, Message, ReadState, Snapshot

GROUP = b"a group of tests"


def entries(*terms: int, start: int = 1) -> list[Entry]:
    """Entries with these terms, from index `start` on."""
    return [Entry(term, start + place, 0, f"{term}/{start + place}".encode()) for place, term in enumerate(terms)]


def message(kind: int, sender: int, to: int, term: int, **fields: object) -> Message:
    """A message with the fields that count."""
    made = Message(kind, GROUP, sender, to, term)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


class SlowLog(MemoryLog):
    """Storage that has to read its entries first, until it is told that they are there."""

    loaded = False

    def entries(self, low: int, high: int, max_bytes: int) -> list[Entry]:
        return super().entries(low, high, max_bytes) if self.loaded else []


class Node:
    """One member with its storage. `out` are messages on their way; `unsynced` writes that are not durable yet."""

    def __init__(
        self, member: int, members: Members, log: MemoryLog | None = None, applied: int = 0, **knobs: object
    ) -> None:
        self.log = log or MemoryLog()
        knobs = {"strict_changes": False, **knobs}
        config = Config(GROUP, member, **knobs)
        rng: Callable[[int], int] = random.Random(member).randrange
        self.group = Group(config, self.log.hard_state, members, self.log, applied, rng)
        self.out: list[Message] = []
        self.unsynced: list[Append] = []
        self.applied: list[Entry] = []
        self.reads: list[ReadState] = []

    def take(self) -> bool:
        """Take what is ready: send what may go, apply what may be applied, leave the writes. Whether there was any."""
        ready = self.group.ready()
        if ready is None:
            return False
        self.out.extend(ready.messages)
        self.reads.extend(ready.reads)
        if ready.append is not None:
            self.unsynced.append(ready.append)
        if ready.committed:
            self.applied.extend(ready.committed)
            self.group.applied_to(ready.committed[-1].index)
        return True

    def sync(self, writes: int = -1) -> None:
        """Make the oldest writes durable (all, if not said otherwise)."""
        count = len(self.unsynced) if writes < 0 else writes
        for write in self.unsynced[:count]:
            self.log.write(write)
            self.out.extend(write.after_durable)
            self.group.storage_done(write.token)
        del self.unsynced[:count]

    def run(self) -> None:
        """Take and sync until nothing is left."""
        while self.take() or self.unsynced:
            self.sync()

    def crash(self, **knobs: object) -> "Node":
        """The member as it comes back with what was durable."""
        node = Node(self.group.member, self.group.members(), self.log, self.group.applied, **knobs)
        node.applied = self.applied
        return node

    def payloads(self) -> list[bytes]:
        """What was applied, without the empty entries of new leaders and changes of members."""
        return [entry.payload for entry in self.applied if entry.payload and entry.kind != CHANGE]


class Team:
    """Members 1 to n, or those that `members` names."""

    def __init__(self, size: int = 3, members: Members | None = None, **knobs: object) -> None:
        self.members = members or Members(tuple(range(1, size + 1)))
        self.nodes: dict[int, Node] = {}
        self.knobs = knobs
        for member in sorted({*self.members.voters, *self.members.outgoing, *self.members.learners}):
            self.nodes[member] = Node(member, self.members, **knobs)

    def __getitem__(self, member: int) -> Group:
        return self.nodes[member].group

    def add(self, member: int, members: Members | None = None) -> Node:
        """A new member, which knows how the group began."""
        self.nodes[member] = Node(member, self.members if members is None else members, **self.knobs)
        return self.nodes[member]

    def deliver(self, *to: int, lose: Callable[[Message], bool] | None = None) -> int:
        """Deliver what is on its way to these members (to all if none is named). Returns how many there were."""
        delivered = 0
        for node in list(self.nodes.values()):
            mine = [each for each in node.out if not to or each.to in to]
            node.out = [each for each in node.out if to and each.to not in to]
            for each in mine:
                delivered += 1
                if each.to in self.nodes and not (lose and lose(each)):
                    self.nodes[each.to].group.step(each)
        return delivered

    def settle(self, *only: int, lose: Callable[[Message], bool] | None = None) -> None:
        """Let everybody, or these members alone, work until nothing is left."""
        for _ in range(1000):
            for member, node in self.nodes.items():
                if not only or member in only:
                    node.run()
            delivered = self.deliver(*only, lose=lose)
            if not delivered and not any(self[member].dirty for member in only or self.nodes):
                return
        raise AssertionError("the members never come to rest")

    def elect(self, member: int) -> Group:
        """Let `member` win an election, and everybody know."""
        self[member].campaign()
        self.settle()
        assert self[member].lead == member
        return self[member]

    def tick(self, member: int, times: int) -> None:
        """Let time pass for one member."""
        for _ in range(times):
            self[member].tick()

    def snapshot(self, member: int, keep: int = 0) -> Snapshot:
        """Snapshot a member where it stands, and compact its log."""
        group = self[member]
        made = Snapshot(group.applied, group.term_at(group.applied), group.members(), b"image")
        self.nodes[member].log.compact(made, keep)
        return made
