"""A host in memory: many groups on one node, driven as a real host drives them, with a log that is lost at the end.

For tests and for measuring what the core costs. Work is done in rounds (`work`): whatever was touched since the last
one is asked for its `Ready`, all writes of a round are one batch, and when that is "durable" its messages go out. A
group that nothing happened to is not looked at, however many there are.

Not here: sockets, disks, and time: `tick` is called, and messages are carried, by whoever uses it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from mypy_extensions import mypyc_attr

from amqpd.raft.config import Config
from amqpd.raft.faults import RaftError
from amqpd.raft.group import Group
from amqpd.raft.log import UNKNOWN
from amqpd.raft.machine import Applied, Applier, Effect, Machine
from amqpd.raft.messages import Append, Entry, HardState, Members, Message, ReadState, Snapshot
from amqpd.raft.states import LEADER
from amqpd.raft.view import LogView


@mypyc_attr(allow_interpreted_subclasses=True)
class MemoryLog(LogView):
    """Storage of one group: a snapshot, the entries behind it, and the hard state."""

    def __init__(self) -> None:
        self._before = 0
        self._before_term = 0
        self._entries: list[Entry] = []
        self._snapshot: Snapshot | None = None
        self.hard_state = HardState()

    def first_index(self) -> int:
        return self._before + 1

    def last_index(self) -> int:
        return self._before + len(self._entries)

    def term(self, index: int) -> int:
        place = index - self._before - 1
        if 0 <= place < len(self._entries):
            return self._entries[place].term
        return self._before_term if place == -1 else UNKNOWN

    def entries(self, low: int, high: int, max_bytes: int) -> list[Entry]:
        start = low - self._before - 1
        stop = min(high - self._before - 1, len(self._entries))
        end = start
        size = 0
        while end < stop:
            size += len(self._entries[end].payload)
            if size > max_bytes and end > start:
                break
            end += 1
        return self._entries[start:end]

    def snapshot(self) -> Snapshot | None:
        return self._snapshot

    def write(self, append: Append) -> None:
        """Carry out one write."""
        if append.snapshot is not None:
            self._snapshot = append.snapshot
            self._before = append.snapshot.index
            self._before_term = append.snapshot.term
            self._entries = []
        if append.entries:
            place = append.entries[0].index - self._before - 1
            if place < len(self._entries):
                del self._entries[place:]
            self._entries.extend(append.entries)
        if append.hard_state is not None:
            self.hard_state = append.hard_state

    def compact(self, snapshot: Snapshot, keep: int) -> None:
        """Take `snapshot` as the newest, and drop the entries before it but the last `keep`."""
        self._snapshot = snapshot
        upto = max(snapshot.index - keep, self._before)
        if upto > self._before:
            self._before_term = self.term(upto)
            del self._entries[: upto - self._before]
            self._before = upto


class Replica:
    """A group with its storage and its machine, and what came out of it that nobody fetched yet."""

    def __init__(self, group: Group, log: MemoryLog, applier: Applier) -> None:
        self.group: Final = group
        self.log: Final = log
        self.applier: Final = applier
        self.applied: list[Applied] = []
        self.reads: list[ReadState] = []
        self.waiting = False


class MemoryHost:
    """The groups of one node. `replicas` are by group id; `dropped` counts messages for groups that are not here."""

    def __init__(self) -> None:
        self.replicas: Final[dict[bytes, Replica]] = {}
        self.dropped = 0
        self._touched: list[Replica] = []

    def add(
        self,
        config: Config,
        members: Members,
        machine: Machine,
        rng: Callable[[int], int],
        log: MemoryLog | None = None,
    ) -> Group:
        """Take in a group; with `log` one that was here before. Raises RaftError if it is here already."""
        if config.group in self.replicas:
            raise RaftError("the group is here already")
        storage = MemoryLog() if log is None else log
        applier = Applier(machine)
        snapshot = storage.snapshot()
        if snapshot is not None:
            applier.restore(snapshot)
            members = snapshot.members
        group = Group(config, storage.hard_state, members, storage, applier.applied, rng)
        group.require_version(applier.version)
        replica = Replica(group, storage, applier)
        self.replicas[config.group] = replica
        self._touch(replica)
        return group

    def remove(self, group_id: bytes) -> MemoryLog:
        """Let a group go, as at an orderly end. Returns its storage. Raises KeyError if it is not here."""
        replica = self.replicas.pop(group_id)
        if replica.waiting:
            self._touched.remove(replica)
        return replica.log

    def _touch(self, replica: Replica) -> None:
        if not replica.waiting:
            replica.waiting = True
            self._touched.append(replica)

    def tick(self) -> None:
        """Let one tick pass in all groups."""
        for replica in self.replicas.values():
            replica.group.tick()
            if replica.group.dirty:
                self._touch(replica)

    def receive(self, messages: list[Message]) -> None:
        """Take in messages for any of the groups."""
        for message in messages:
            replica = self.replicas.get(message.group)
            if replica is None:
                self.dropped += 1
                continue
            replica.group.step(message)
            self._touch(replica)

    def propose(self, group_id: bytes, payloads: list[bytes]) -> int:
        """As `Group.propose`. Raises KeyError if the group is not here."""
        replica = self.replicas[group_id]
        self._touch(replica)
        return replica.group.propose(payloads)

    def order(self, group_id: bytes) -> Group:
        """A group for any other order; it is looked at in the next round. Raises KeyError if it is not here."""
        replica = self.replicas[group_id]
        self._touch(replica)
        return replica.group

    def work(self) -> list[Message]:
        """One round. Returns what is to be sent; call again until there is nothing and no round is due (`idle`)."""
        touched = self._touched
        self._touched = []
        outgoing: list[Message] = []
        written: list[tuple[Replica, Append]] = []
        for replica in touched:
            replica.waiting = False
            self._take_ready(replica, outgoing, written)
        for replica, append in written:
            self._complete(replica, append)
            outgoing.extend(append.after_durable)
        for replica in touched:
            if replica.group.dirty:
                self._touch(replica)
        return outgoing

    def idle(self) -> bool:
        """Whether no group waits for a round."""
        return not self._touched

    def _take_ready(self, replica: Replica, outgoing: list[Message], written: list[tuple[Replica, Append]]) -> None:
        group = replica.group
        ready = group.ready()
        if ready is None:
            return
        outgoing.extend(ready.messages)
        replica.reads.extend(ready.reads)
        if ready.append is not None:
            replica.log.write(ready.append)
            written.append((replica, ready.append))
        if ready.soft_state is not None and ready.soft_state.role == LEADER:
            replica.applier.lead()
        if ready.committed:
            replica.applied.extend(replica.applier.apply(ready.committed, group.role == LEADER))
            group.require_version(replica.applier.version)
            group.applied_to(replica.applier.applied)

    def _complete(self, replica: Replica, append: Append) -> None:
        if append.snapshot is not None:
            replica.applier.restore(append.snapshot)
            replica.group.require_version(replica.applier.version)
        replica.group.storage_done(append.token)

    def take_applied(self, group_id: bytes) -> list[Applied]:
        """The replies since the last call. Raises KeyError if the group is not here."""
        replica = self.replicas[group_id]
        applied = replica.applied
        replica.applied = []
        return applied

    def take_reads(self, group_id: bytes) -> list[ReadState]:
        """The reads that were confirmed since the last call. Raises KeyError if the group is not here."""
        replica = self.replicas[group_id]
        reads = replica.reads
        replica.reads = []
        return reads

    def take_effects(self, group_id: bytes) -> list[Effect]:
        """The effects since the last call. Raises KeyError if the group is not here."""
        return self.replicas[group_id].applier.take_effects()

    def take_snapshot(self, group_id: bytes, keep: int) -> Snapshot:
        """Snapshot a group where it stands, and drop its log before that but the last `keep` entries.

        Raises KeyError if it is not here, RaftError while it installs its leader's snapshot: configuration and machine
        are not of the same moment then. After the next round they are.
        """
        replica = self.replicas[group_id]
        if replica.group.installing:
            raise RaftError("a snapshot of the leader's is being installed: take one after the next round")
        index = replica.group.applied
        snapshot = Snapshot(
            index, replica.group.term_at(index), replica.group.members(), replica.applier.snapshot()
        )
        replica.log.compact(snapshot, keep)
        return snapshot
