"""One member of a group under the scenarios' host: its disk, its machine, and what a call changed in it.

The disk is a list of entries behind a snapshot; the machine only remembers the configuration. Writes and applied
entries are the scenario's to release (`cluster.py`).
"""

from __future__ import annotations

from collections.abc import Callable

from raft.etcd import notation

from amqpd.raft.config import Config
from amqpd.raft.group import Group
from amqpd.raft.messages import CHANGE, Append, Entry, HardState, Message, Snapshot
from amqpd.raft.messages import Change as MemberChange
from amqpd.raft.view import LogView


class Disk(LogView):
    """What is written. Behind `base` (index and term of the entry before the first) stand `log`'s entries."""

    def __init__(self, start: Snapshot) -> None:
        self.base = start.index
        self.base_term = start.term
        self.log: list[Entry] = []
        self.hard_state = HardState(0, 0, start.index)
        self.latest = start

    def first_index(self) -> int:
        return self.base + 1

    def last_index(self) -> int:
        return self.base + len(self.log)

    def term(self, index: int) -> int:
        if index == self.base:
            return self.base_term
        return self.log[index - self.base - 1].term if self.base < index <= self.last_index() else -1

    def entries(self, low: int, high: int, max_bytes: int) -> list[Entry]:
        found: list[Entry] = []
        size = 0
        for entry in self.log[low - self.base - 1 : high - self.base - 1]:
            size += len(entry.payload)
            if found and size > max_bytes:
                break
            found.append(entry)
        return found

    def snapshot(self) -> Snapshot | None:
        return self.latest if self.latest.index else None

    def write(self, write: Append) -> None:
        """Snapshot, entries, hard state. Raises AssertionError where the core breaks its promise about the three."""
        if write.snapshot is not None:
            self.latest = write.snapshot
            self.base, self.base_term, self.log = write.snapshot.index, write.snapshot.term, []
        replaced = 0
        for entry in write.entries:
            assert self.base < entry.index <= self.last_index() + 1, f"{entry} leaves a gap behind {self.last_index()}"
            if entry.index <= self.last_index():
                replaced = replaced or entry.index
                del self.log[entry.index - self.base - 1 :]
            self.log.append(entry)
        assert write.truncate_from == replaced, f"replaced from {replaced}, announced was {write.truncate_from}"
        if write.hard_state is not None:
            self.hard_state = write.hard_state

    def compact(self, index: int) -> None:
        """Drop entries up to `index`, whose term stays known."""
        base_term = self.term(index)
        del self.log[: index - self.base]
        self.base, self.base_term = index, base_term


class State:
    """What can be seen of a member at one moment."""

    def __init__(self, group: Group) -> None:
        self.role = group.role
        self.term = group.term
        self.vote = group.vote
        self.lead = group.lead
        self.commit = group.commit
        self.applied = group.applied
        self.applying = group.applying
        self.configuration = notation.configuration(group.members())
        self.first = group.first_index()
        self.last = group.last_index()
        self.terms = {index: group.term_at(index) for index in range(self.first - 1, self.last + 1)}
        self.voters = {who for who in group.tracker.ids if group.tracker.is_voter(who)}
        self.answers = list(group.after_durable)
        self.offsets = [group.log.offset, group.log.offset_handed, len(group.log.unstable)]
        self.unstable = [(entry.term, entry.index) for entry in group.log.unstable]
        self.progress = {who: notation.progress(one) for who, one in group.tracker.progress.items()}
        self.match = {who: one.match for who, one in group.tracker.progress.items()}
        self.votes = dict(group.tracker.votes)
        self.transferring_to = group.transferring_to
        self.elapsed = group.elapsed_ticks
        self.promotable = group.promotable()

    def same(self, other: State) -> bool:
        """Whether nothing is different."""
        return vars(self) == vars(other)


class Change:
    """What one step of a scenario did to one member.

    The state before and after, and all configurations and roles between, in order. `heard`: the messages that the step
    brought, own answers included; `write`: the write that it finished, and `kept_unstable` whether that left the
    unstable entries as they were; `refused`: what was proposed and refused. A member that was just made has nothing
    before: it is `born`, and both states are the same.
    """

    def __init__(self, member: Member, before: State | None) -> None:
        self.member = member
        self.after = State(member.group)
        self.born = before is None
        self.before = before or self.after
        self.configurations = list(member.configurations)
        self.roles = list(member.roles)
        self.heard = member.heard
        self.write = member.write
        self.refused = member.refused
        self.kept_unstable = member.kept_unstable


class Write:
    """A write that was handed out. `others`: the messages that leave when it is durable. `until`: the last token that
    is complete together with it."""

    def __init__(self, append: Append) -> None:
        self.append = append
        self.others = append.after_durable
        self.until = append.token

    @property
    def replies(self) -> bool:
        """Whether the append thread has something to vouch for: unstable entries, or a snapshot."""
        return self.append.last_index > 0 or self.append.snapshot is not None


class Member:
    """A member with its disk. Whoever calls its group does so through `observed`."""

    def __init__(self, config: Config, start: Snapshot, rng: Callable[[int], int]) -> None:
        self.id = config.member
        self.config = config
        self.disk = Disk(start)
        self.group = Group(config, self.disk.hard_state, start.members, self.disk, start.index, rng)
        self.writes: list[Write] = []
        self.open: list[Write] = []
        self.applies: list[list[Entry]] = []
        self.told = self.disk.hard_state
        self.configurations: list[str] = []
        self.roles: list[tuple[int, int]] = []
        self.forget([])
        self.look()

    def forget(self, heard: list[Message]) -> None:
        """Forget what happened before this step."""
        self.configurations.clear()
        self.roles.clear()
        self.heard = heard
        self.write: Append | None = None
        self.refused: MemberChange | bytes | None = None
        self.kept_unstable = False

    def observed(self, call: Callable[[], object], heard: list[Message] | None = None) -> Change:
        """Make `call` and tell what it changed."""
        before = State(self.group)
        self.forget(heard or [])
        call()
        self.look()
        return Change(self, before)

    def look(self) -> None:
        """Note role, term and configuration, where they changed."""
        role = (self.group.role, self.group.term)
        if not self.roles or self.roles[-1] != role:
            self.roles.append(role)

    def apply(self, entries: list[Entry]) -> None:
        """Apply entries one by one, so that each configuration is seen."""
        for entry in entries:
            self.group.applied_to(entry.index)
            if entry.kind == CHANGE:
                self.configurations.append(notation.configuration(self.group.members()))
            self.look()
            self.disk.latest = Snapshot(entry.index, entry.term, self.group.members())

    def complete(self, write: Write) -> None:
        """Tell the group that a write is durable."""
        before = State(self.group)
        self.write = write.append
        self.heard = write.append.own
        self.group.storage_done(write.until)
        self.kept_unstable = State(self.group).unstable == before.unstable
        self.look()
