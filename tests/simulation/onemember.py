"""What one event makes of one member: all of its host, and the invariants that can be seen in one member alone.

A step depends on the member and the event only, and the rest of the group notices nothing of it but the messages that
are sent and the few facts in `Step`. So exploration has to make each of them once, in however many states of the group
the same member meets the same event.

Checked in every step: R2 (a leader only appends), R6 (commit and applied never go back, what is applied is durable), R8
(one vote in a term, across crashes) and R9 (what is answered is synced, and the term on the disk never goes back). The
other rules compare members: `exploration.py`.

With `atomic` writes, a write is complete before the next event, unless a crash comes in between; else each completion
is an event of its own.
"""

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field

from simulation.checker import Violation
from simulation.disk import Disk, DiskError
from simulation.statecopy import copy_of, frozen, renamed

from amqpd.raft import messages as m
from amqpd.raft.config import Config
from amqpd.raft.faults import InvariantError
from amqpd.raft.group import Group
from amqpd.raft.states import LEADER

GROUP = b"an explored group"[:16]
MEMBERS = m.Members((1, 2, 3))
TURNS_MAX = 100
WIDE = 16  # a window of more messages than this is never full within the bounds of an exploration


def latest(bound: int) -> int:
    """In the place of randomness: no timeout ends by itself, since campaigns are events here."""
    return bound - 1


class Member:
    """A member and its disk. `promised`: the last term in which it voted, and for whom, as others were told.
    `mortal`: it can still crash."""

    __slots__ = ("disk", "group", "mortal", "promised")

    def __init__(self, config: Config, mortal: bool) -> None:
        self.disk = Disk()
        self.mortal = mortal
        self.promised = m.HardState()
        self.start(config)

    def start(self, config: Config) -> None:
        """Run on what is synced; the machine begins anew."""
        self.group = Group(config, self.disk.synced.hard, MEMBERS, self.disk.written, 0, latest)

    def copy(self) -> "Member":
        return copy_of(self, {})

    def key(self):
        """Equal for members that will do the same for ever."""
        return frozen(self)

    def renamed(self, names: dict[int, int], configs: dict[int, Config]) -> "Member":
        return renamed(self, names, configs, {})

    def log(self) -> tuple[tuple[int, bytes], ...]:
        """Terms and payloads, from index 1."""
        return tuple((entry.term, entry.payload) for entry in self.group.entries_between(1, self.group.last_index()))


@dataclass
class Step:
    """What a member is after an event, and what others can notice of it."""

    member: Member
    name: str
    sent: list[m.Message] = field(default_factory=list)
    elected: list[tuple[int, tuple]] = field(default_factory=list)  # the term, and the log
    committed: list[tuple] = field(default_factory=list)  # index, entry's term, term, leads, durable here
    crashed: bool = False
    log: tuple = ()
    term: int = 0
    leads: bool = False
    commit: int = 0

    def fork(self) -> "Step":
        """The same up to here."""
        return Step(self.member.copy(), self.name, self.sent.copy(), self.elected.copy(), self.committed.copy(),
                    self.crashed, self.log, self.term, self.leads, self.commit)  # fmt: skip

    # The host.

    def pump(self) -> None:
        """Do what the group wants done, but complete no write."""
        self.observe()
        group = self.member.group
        disk = self.member.disk
        for _ in range(TURNS_MAX):
            ready = group.ready()
            if ready is None:
                return
            if ready.append is not None:
                disk.submit(ready.append)
            for message in ready.messages:
                self.send(message)
            if ready.committed:
                self.apply(ready.committed)
            self.observe()
        raise Violation("L", f"{group.member} is never done")

    def complete(self) -> None:
        """The oldest write is complete."""
        disk = self.member.disk
        before = disk.synced.hard.term
        append = disk.complete()
        if disk.synced.hard.term < before:
            raise Violation("R9", f"{self.member.group.member} writes term {disk.synced.hard.term} after {before}")
        for message in append.after_durable:
            self.send(message)
        self.member.group.storage_done(append.token)
        self.pump()

    def crash(self, survivors: int) -> None:
        """Lose what is not synced but for `survivors` records, and start again."""
        self.crashed = True
        self.name += f" crash {survivors}" if self.name != "crash" else f" {survivors}"
        member = self.member
        config = member.group.config
        member.disk.crash(survivors)
        member.mortal = False
        member.start(config)
        self.begin()
        self.term = max(self.term, member.disk.synced.hard.term)
        self.pump()
        while member.disk.pending:
            self.complete()

    def begin(self) -> None:
        """What is so now is not a change."""
        group = self.member.group
        self.log = self.member.log()
        self.term = group.term
        self.leads = group.role == LEADER
        self.commit = group.commit

    # Invariants.

    def observe(self) -> None:
        """After a call to the group."""
        group = self.member.group
        who = group.member
        term = group.term
        if term < self.term:
            raise Violation("R9", f"{who} went from term {self.term} back to {term}")
        leads = group.role == LEADER
        log = self.member.log()
        if leads and self.leads and term == self.term and log[: len(self.log)] != self.log:
            raise Violation("R2", f"{who} leads in term {term} and changed {self.log} to {log}")
        if leads and not (self.leads and term == self.term):
            self.elected.append((term, log))
        commit = group.commit
        if commit < self.commit:
            raise Violation("R6", f"{who} moved its commit index from {self.commit} back to {commit}")
        for index in range(self.commit + 1, commit + 1):
            entry_term = group.term_at(index)
            durable = self.member.disk.synced.term(index) == entry_term
            self.committed.append((index, entry_term, term, leads or self.leads, durable))
        self.term, self.leads, self.log, self.commit = term, leads, log, commit

    def apply(self, entries: list[m.Entry]) -> None:
        """Apply `entries`, which were handed out."""
        group = self.member.group
        disk = self.member.disk.synced
        index = group.applied
        for entry in entries:
            index += 1
            if entry.index != index or index > group.commit:
                raise Violation("R6", f"{group.member} applies {entry!r} as {index}, commit index {group.commit}")
            if disk.term(index) != entry.term:
                raise Violation("R6", f"{group.member} applied {entry!r}, but {disk.term(index)} is synced")
        group.applied_to(index)
        self.observe()

    def send(self, message: m.Message) -> None:
        """`message` goes out."""
        disk = self.member.disk.synced
        kind = message.kind
        if kind == m.APPEND_REPLY and not message.rejected:
            if message.term > disk.hard.term or message.index > disk.last_index():
                raise Violation("R9", f"{message!r}, but {disk.hard!r} and a log of {disk.log} is synced")
        elif kind == m.VOTE or (kind == m.VOTE_REPLY and not message.rejected):
            choice = message.sender if kind == m.VOTE else message.to
            promised = self.member.promised
            if message.term == promised.term and choice != promised.vote:
                raise Violation("R8", f"{message!r}, but it voted for {promised.vote} in that term")
            if disk.hard.term < message.term or (disk.hard.term == message.term and disk.hard.vote != choice):
                raise Violation("R9", f"{message!r}, but {disk.hard!r} is synced")
            if message.term > promised.term:
                self.member.promised = m.HardState(message.term, choice)
        self.sent.append(message)


def normal(member: Member) -> Member:
    """`member`, with what has no consequences any more set to one value, so that more states are equal.

    * What only leaders look at, and `_reset` makes anew before anybody leads: progress, bytes under way.
    * The window of appends, where it is too wide to be ever full here.
    * Who leads, for a follower that has voted: only who has not voted, or protects a leader, asks for that.
    * Ticks: nobody campaigns by them here, and a leader's check may come at any time. What counts is whether a leader
      was silent for an election timeout, where that is asked for.
    * What a disk has not synced, when no crash can come any more; and records of writes that wrote nothing.
    """
    group = member.group
    disk = member.disk
    config = group.config
    leads = group.role == LEADER
    for progress in group.tracker.progress.values():
        if not leads:
            progress.reset(0, 1)
        if not config.check_quorum:
            progress.active = False
        if progress.inflights.max_messages > WIDE:
            progress.inflights.clear()
        progress.version = -1
    if not leads:
        group.uncommitted_bytes = 0
        if group.vote != m.NOBODY and not config.check_quorum:
            group.lead = group.told_lead = m.NOBODY
    silent = not leads and config.check_quorum and group.lead and group.elapsed_ticks >= config.election_ticks
    group.elapsed_ticks = config.election_ticks if silent else 0
    group.heartbeat_elapsed_ticks = 0
    if not member.mortal:
        for append in disk.loose:
            disk.synced.write(append)
        disk.loose.clear()
    disk.loose = [append for append in disk.loose if append.hard_state is not None or append.entries]
    if member.promised.term < disk.synced.hard.term:
        member.promised = m.HardState()
    return member


@contextmanager
def watched(member: Member):
    """Whatever the member or its disk cannot go on with is a violation."""
    try:
        yield
    except InvariantError as error:
        raise Violation("C", f"{member.group.member} stopped itself: {error}") from error
    except DiskError as error:
        raise Violation("D", f"{member.group.member}: {error}") from error


def steps(member: Member, name: str, event: Callable[[Group], object], atomic: bool) -> list[Step]:
    """All that `event`, a call on a group, can make of `member`: the plain course first, then those in which it crashes
    on the way. Raises Violation."""
    with watched(member):
        step = Step(member.copy(), name)
        step.begin()
        torn: list[Step] = []
        event(step.member.group)
        step.pump()
        pending = step.member.disk.pending
        while pending and (atomic or harmless(pending[0])):
            if member.mortal and not harmless(pending[0]):
                torn += crashes(step, step.member.disk.at_risk())
            step.complete()
        return [step, *torn]


def harmless(append: m.Append) -> bool:
    """Whether the completion of this write, the oldest, does nothing but let messages go: then it may be at once, since
    later would only mean that they are there later."""
    return not (append.sync or append.own or append.last_index or append.entries)


def crashes(step: Step, ways: int) -> list[Step]:
    """`step`, and then a crash that 0, 1, ... of the unsynced writes survive."""
    found = []
    for survivors in range(ways):
        torn = step.fork()
        torn.crash(survivors)
        found.append(torn)
    return found


def killed(member: Member) -> list[Step]:
    """All ways in which `member` can crash between two events. Raises Violation."""
    with watched(member):
        step = Step(member.copy(), "crash")
        step.begin()
        return crashes(step, member.disk.at_risk() + 1)


def completed(member: Member) -> list[Step]:
    """The oldest write of `member` is complete. Raises Violation."""
    with watched(member):
        step = Step(member.copy(), "complete")
        step.begin()
        step.complete()
        while step.member.disk.pending and harmless(step.member.disk.pending[0]):
            step.complete()
        return [step]
