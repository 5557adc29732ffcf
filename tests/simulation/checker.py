"""The invariants R1 to R10 of a Raft group, looked at from outside after every event.

Knows nothing of how the core works: only roles, terms, logs and what is on the disks. Each check looks at what one
event changed, so its cost does not grow with the run.

    R1   one leader in a term                               R6   commit and applied never go back; applied is durable
    R2   a leader only appends to its log                   R7   what is committed is synced on a majority
    R3   same index and term: same entry, same prefix       R8   one vote in a term, across crashes
    R4   a leader has what was committed in terms before    R9   a term (and an ack) is synced before it is answered
    R5   the same is applied everywhere                     R10  one change at a time; majorities before and after meet
"""

from itertools import combinations

from simulation.disk import Image

from amqpd.raft import messages as m
from amqpd.raft.states import LEADER


class Violation(Exception):
    """An invariant does not hold. `rule` is R1 to R10, D or S for the host's, L for liveness, X for linearizability."""

    def __init__(self, rule: str, text: str) -> None:
        super().__init__(f"{rule}: {text}")
        self.rule = rule


def quorums_meet(one: m.Members, other: m.Members) -> bool:
    """Whether any quorum of `one` shares a member with any quorum of `other`."""
    return all(set(left) & set(right) for left in _quorums(one) for right in _quorums(other))


def _quorums(members: m.Members) -> list[tuple[int, ...]]:
    """All smallest sets that decide."""
    first = list(combinations(members.voters, len(members.voters) // 2 + 1))
    if not members.outgoing:
        return first
    second = list(combinations(members.outgoing, len(members.outgoing) // 2 + 1))
    return [one + other for one in first for other in second]


class Seen:
    """What a member looked like after its last event."""

    __slots__ = ("applied", "changes", "commit", "end", "leads", "term")

    def __init__(self) -> None:
        self.term = 0
        self.leads = False
        self.commit = 0
        self.applied = 0
        self.end = 0  # the log's last index when this member became leader, or appended since
        self.changes: list[int] = []  # indexes of changes in the leader's log that it has not applied


class Checker:
    """Everything that was ever seen in one group."""

    def __init__(self, disks: dict[int, Image], founding: m.Members) -> None:
        self.disks = disks  # synced images, by member; the world keeps it up to date
        self.leaders: dict[int, tuple[int, int]] = {}  # by term: member and incarnation
        self.votes: dict[tuple[int, int], int] = {}  # by member and term
        self.entries: dict[tuple[int, int], tuple[int, int, bytes]] = {}  # by index and term: what, and the term before
        self.committed: list[tuple[int, int]] = [(0, 0)]  # by index: the entry's term, and the term it was committed in
        self.applied: list[tuple[int, int]] = [(0, 0)]  # by index: the entry's term, and the machine's state
        self.configurations: dict[int, m.Members] = {0: founding}  # by index of the change
        self.order: list[int] = [0]
        self.elections = 0
        self.met: set[tuple] = set()

    # A member's state.

    def observe(self, node) -> None:
        """After a call to the group of `node`."""
        group = node.group
        seen = node.seen
        term = group.term
        if term < seen.term:
            raise Violation("R9", f"{node.member} went from term {seen.term} back to {term}")
        commit = group.commit
        leads = group.role == LEADER
        if leads and (not seen.leads or term != seen.term):
            self._elected(node, group, term)
        if commit != seen.commit:
            if commit < seen.commit:
                raise Violation("R6", f"{node.member} moved its commit index from {seen.commit} back to {commit}")
            self._advanced(node, group, term, commit, leads or seen.leads)
            seen.commit = commit
        seen.leads = leads
        seen.term = term

    def _elected(self, node, group, term: int) -> None:
        who = (node.member, node.incarnation)
        if self.leaders.setdefault(term, who) != who:
            raise Violation("R1", f"{self.leaders[term][0]} and {node.member} both lead in term {term}")
        if node.group.damaged:
            raise Violation("S", f"{node.member} leads and is damaged")
        self.elections += 1
        index = len(self.committed) - 1
        while index > 0 and self.committed[index][1] >= term:
            index -= 1
        if index > 0 and group.term_at(index) != self.committed[index][0]:
            if index >= group.first_index() or group.commit < index:
                raise Violation(
                    "R4",
                    f"{node.member} leads in term {term} without entry {self.committed[index][0]}/{index}, "
                    f"which was committed in term {self.committed[index][1]}",
                )
        seen = node.seen
        seen.end = 0
        entries = group.entries_between(group.applied + 1, group.last_index())
        seen.changes = [entry.index for entry in entries if entry.kind == m.CHANGE]

    def _advanced(self, node, group, term: int, commit: int, leads: bool) -> None:
        known = len(self.committed) - 1
        for index in range(max(node.seen.commit + 1, group.first_index()), min(commit, known) + 1):
            if group.term_at(index) != self.committed[index][0]:
                others = self.committed[index][0]
                raise Violation("R5", f"{node.member} committed {index} of {group.term_at(index)}, others of {others}")
        if commit <= known:
            return
        if not leads:
            raise Violation("R7", f"{node.member} committed {commit} and is no leader; leaders are at {known}")
        entry_term = group.term_at(commit)
        if not self._durable(group.members(), commit, entry_term):
            raise Violation(
                "R7", f"{node.member} committed {entry_term}/{commit} in term {term}; that is not on a majority's disks"
            )
        for index in range(known + 1, commit + 1):
            self.committed.append((group.term_at(index), term))

    def _durable(self, members: m.Members, index: int, term: int) -> bool:
        return self._on_majority(members.voters, index, term) and (
            not members.outgoing or self._on_majority(members.outgoing, index, term)
        )

    def _on_majority(self, voters: tuple[int, ...], index: int, term: int) -> bool:
        have = 0
        for voter in voters:
            disk = self.disks.get(voter)
            if disk is not None and (disk.term(index) == term or index < disk.start):
                have += 1
        return have > len(voters) // 2

    # What a member does.

    def writes(self, node, append: m.Append) -> None:
        """`append` was handed out; the image does not have it yet."""
        entries = append.entries
        if not entries:
            return
        seen = node.seen
        first = entries[0].index
        if append.snapshot is not None:
            before = append.snapshot.term if first == append.snapshot.index + 1 else -1
        else:
            before = node.disk.written.term(first - 1)
        if seen.leads and node.group.role == LEADER and node.group.term == seen.term:
            if seen.end and first <= seen.end:
                raise Violation("R2", f"{node.member} leads in term {seen.term} and replaces its entry {first}")
            seen.end = entries[-1].index
        for entry in entries:
            key = (entry.index, entry.term)
            what = (before, entry.kind, entry.payload)
            if self.entries.setdefault(key, what) != what:
                raise Violation("R3", f"{node.member} has {what} at {key}, others {self.entries[key]}")
            before = entry.term
            if entry.kind == m.CHANGE and seen.leads:
                if entry.index not in seen.changes:
                    seen.changes.append(entry.index)
                if len(seen.changes) > 1:
                    raise Violation("R10", f"{node.member} leads with changes under way at {seen.changes}")

    def sends(self, node, message: m.Message, waited: bool) -> None:
        """`message` goes out; `waited` if it was held back until a write was durable."""
        kind = message.kind
        disk = node.disk.synced
        if kind == m.APPEND_REPLY:
            if not message.rejected:
                if message.term > disk.hard.term:
                    raise Violation("R9", f"{message!r}, but only term {disk.hard.term} is synced")
                if message.index > disk.last_index():
                    raise Violation("R9", f"{message!r}, but the log is synced up to {disk.last_index()}")
                if node.group.damaged:
                    raise Violation("S", f"{message!r} of a damaged replica")
        elif kind == m.VOTE or (kind == m.VOTE_REPLY and not message.rejected):
            choice = message.sender if kind == m.VOTE else message.to
            if self.votes.setdefault((message.sender, message.term), choice) != choice:
                raise Violation(
                    "R8", f"{message!r}, but it voted for {self.votes[message.sender, message.term]} in that term"
                )
            if disk.hard.term < message.term or (disk.hard.term == message.term and disk.hard.vote != choice):
                raise Violation("R9", f"{message!r}, but {disk.hard!r} is synced")
            if node.group.damaged:
                raise Violation("S", f"{message!r} of a damaged replica")
        elif kind == m.PRE_VOTE_REPLY and not message.rejected and node.group.damaged:
            raise Violation("S", f"{message!r} of a damaged replica")

    # For the checker of conduct (`conduct.py`); nothing here.

    def takes(self, node, message: m.Message) -> tuple | None:
        """`message` is about to be given to the group of `node`: what `took` will want to know."""

    def took(self, node, message: m.Message, before: tuple | None) -> None:
        """The group of `node` has taken `message`; nothing of what came of it has been done."""

    def ticked(self, node) -> None:
        """A tick has passed for `node`."""

    def proposed(self, node, payloads: list[bytes], waiting: int, answer: int) -> None:
        """`payloads` were proposed to `node`, when so many bytes waited, and that was the answer."""

    def applies(self, node, entry: m.Entry, state: int) -> None:
        """`node` applied `entry`, and its machine is at `state` now."""
        index = entry.index
        seen = node.seen
        if index != seen.applied + 1:
            raise Violation("R6", f"{node.member} applied {index} after {seen.applied}")
        seen.applied = index
        if index > seen.commit:
            raise Violation("R6", f"{node.member} applied {index}, but is committed up to {seen.commit}")
        if node.disk.synced.term(index) != entry.term:
            raise Violation("R6", f"{node.member} applied {entry!r}, but {node.disk.synced.term(index)} is synced")
        what = (entry.term, state)
        if index < len(self.applied):
            if self.applied[index] != what:
                raise Violation("R5", f"{node.member} applied {entry!r}, others {self.applied[index]}")
        else:
            self.applied.append(what)

    def restores(self, node, snapshot: m.Snapshot, state: int) -> None:
        """`node` has a machine made of `snapshot`."""
        node.seen.applied = snapshot.index
        if snapshot.index >= len(self.applied) or self.applied[snapshot.index] != (snapshot.term, state):
            raise Violation("R5", f"{node.member} restored {snapshot!r}, which nobody has applied")

    def installed(self, node, snapshot: m.Snapshot) -> None:
        """The group of `node` knows that `snapshot` is installed."""
        if node.group.applied == snapshot.index and not node.group.members().same(snapshot.members):
            raise Violation("R5", f"{node.member} has {node.group.members()!r} behind {snapshot!r}")

    def reconfigures(self, node, index: int, members: m.Members) -> None:
        """`members` hold for `node` since it applied the change at `index`."""
        known = self.configurations.get(index)
        if known is not None:
            if not known.same(members):
                raise Violation("R5", f"{node.member} has {members!r} since {index}, others {known!r}")
            return
        before = self.configurations[self.order[-1]]
        key = (before.voters, before.outgoing, members.voters, members.outgoing)
        if key not in self.met:
            if not quorums_meet(before, members):
                raise Violation("R10", f"majorities of {before!r} and {members!r} need not meet")
            self.met.add(key)
        self.configurations[index] = members
        self.order.append(index)
