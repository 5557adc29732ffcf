"""What each member can do next, made once and then looked up: members and messages are numbers here.

A member is a number in `members`, what has been said to it is a set of messages: bits of an integer, by their place
in `messages[member]`. `moves(n, inbox)` is all that member `n` can do when it can hear any message of `inbox`.

Not here: states of the whole group, and how they are searched (`exploration.py`, which also says why all this is
sound).
"""

from itertools import permutations
from typing import NamedTuple

from simulation.checker import Violation
from simulation.onemember import GROUP, Member, Step, completed, killed, normal, steps
from simulation.statecopy import frozen, renamed

from amqpd.raft import messages as m
from amqpd.raft.config import Config
from amqpd.raft.group import Group
from amqpd.raft.states import FOLLOWER, LEADER, ROLE_NAMES

MEMBERS = (1, 2, 3)
RENAMINGS = tuple(dict(zip((0, *MEMBERS), (0, *order), strict=True)) for order in permutations(MEMBERS))
"""All ways to call the members otherwise; the first one leaves them as they are."""
REPLIES = (m.VOTE_REPLY, m.APPEND_REPLY, m.HEARTBEAT_REPLY)
# With pre-vote and check-quorum, these matter also in a later term: their senders get an answer, or a no counts.
HEARD_WHEN_OLDER = (m.APPEND, m.HEARTBEAT, m.PRE_VOTE, m.PRE_VOTE_REPLY)
AFTER_A_CRASH = 1 << 40


class Move(NamedTuple):
    """A member becomes `after`; `sent` is what it says to members 1, 2 and 3; `seen` are elections and commits."""

    after: int
    sent: tuple[int, int, int]
    seen: tuple[tuple, tuple] | None
    event: object  # a message that arrives, or a name
    name: str
    crashed: bool


def bits(mask: int):
    """The numbers of the bits that are set."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


class Moves:
    """Everything that the members were found to be and to say, within `bounds` (`exploration.Bounds`)."""

    def __init__(self, bounds) -> None:
        self.bounds = bounds
        knobs = {"pre_vote": bounds.timeouts, "check_quorum": bounds.timeouts}
        self.configs = {member: Config(GROUP, member, **knobs, **dict(bounds.knobs)) for member in MEMBERS}
        self.made = 0
        # By number of a member's state.
        self.members: list[Member] = []
        self.numbers: dict[object, int] = {}
        self.who: list[int] = []
        self.logs: list[tuple] = []
        self.synced: list[tuple] = []  # terms
        self.terms: list[int] = []  # on the disk
        self.following: list[bool] = []  # in that term
        self.leading: list[int] = []  # the term, 0: does not lead
        self.ranks: list[int] = []
        self.renamings: list[tuple[int, ...] | None] = []
        # By member, and number of a message.
        self.messages: dict[int, list[m.Message]] = {member: [] for member in MEMBERS}
        self.places: dict[int, dict[object, int]] = {member: {} for member in MEMBERS}
        self.older: dict[int, list[int]] = {member: [0] * (bounds.terms + 3) for member in MEMBERS}
        self.replies: dict[int, list[int]] = {member: [0] * (bounds.terms + 3) for member in MEMBERS}
        # What was looked up before.
        self.deliveries: dict[tuple[int, int], list[Move]] = {}
        self.others: dict[int, list[Move]] = {}
        self.found: dict[tuple[int, int], tuple[tuple[int, int, int], list[Move]]] = {}
        self.immortal: dict[int, int] = {}
        self.said: dict[tuple[int, int, int], int] = {}
        self.masks: dict[int, int] = {}

    def founders(self) -> tuple[int, int, int]:
        """Three members that have just started."""
        numbers = []
        for member in MEMBERS:
            founder = Member(self.configs[member], self.bounds.crashes > 0)
            founder.group.ready()
            numbers.append(self.number(founder))
        return numbers[0], numbers[1], numbers[2]

    # Numbers.

    def number(self, member: Member) -> int:
        """The number of a member's state."""
        key = normal(member).key()
        known = self.numbers.get(key)
        if known is not None:
            return known
        number = self.numbers[key] = len(self.members)
        self.members.append(member)
        group = member.group
        self.who.append(group.member)
        self.logs.append(member.log())
        self.synced.append(tuple(entry.term for entry in member.disk.synced.log))
        self.terms.append(member.disk.synced.hard.term)
        self.following.append(group.role == FOLLOWER and group.term == self.terms[-1])
        self.leading.append(group.term if group.role == LEADER else 0)
        self.ranks.append(rank(member))
        self.renamings.append(None)
        return number

    def place(self, message: m.Message) -> int:
        """The number of a message, among those to the same member."""
        to = message.to
        key = frozen(message)
        known = self.places[to].get(key)
        if known is not None:
            return known
        number = self.places[to][key] = len(self.messages[to])
        self.messages[to].append(message)
        if not self.bounds.timeouts or message.kind not in HEARD_WHEN_OLDER:
            for term in range(message.term + 1, len(self.older[to])):
                self.older[to][term] |= 1 << number
        if message.kind in REPLIES:
            self.replies[to][message.term] |= 1 << number
        return number

    def alive(self, number: int, inbox: int) -> int:
        """`inbox` without what member `number` will never listen to: messages of a term that is over, and answers to
        one that follows, and so can not lead in the same term."""
        who = self.who[number]
        term = self.terms[number]
        inbox &= ~self.older[who][term]
        if self.following[number]:
            inbox &= ~self.replies[who][term]
        return self.masks.setdefault(inbox, inbox)

    # Moves.

    def _move(self, step: Step, event: object) -> Move:
        sent = [0, 0, 0]
        for message in step.sent:
            sent[message.to - 1] |= 1 << self.place(message)
        seen = (tuple(step.elected), tuple(step.committed)) if step.elected or step.committed else None
        after = self.number(step.member)
        return Move(after, (sent[0], sent[1], sent[2]), seen, event, step.name, step.crashed)

    def _moves(self, number: int, event: object, call) -> list[Move]:
        self.made += 1
        name = event if isinstance(event, str) else "deliver"
        return [self._move(each, event) for each in steps(self.members[number], name, call, not self.bounds.writes)]

    def deliver(self, number: int, place: int) -> list[Move]:
        """What becomes of member `number` when it gets a message."""
        known = self.deliveries.get((number, place))
        if known is None:
            message = self.messages[self.who[number]][place]
            known = self.deliveries[number, place] = self._moves(number, message, lambda group: group.step(message))
        return known

    def other(self, number: int) -> list[Move]:
        """What may happen to member `number` without a message."""
        known = self.others.get(number)
        if known is not None:
            return known
        bounds = self.bounds
        member = self.members[number]
        group = member.group
        found: list[Move] = []
        pending = len(member.disk.pending)
        if pending:
            found += [self._move(step, "complete") for step in completed(member)]
        if pending > bounds.writes:
            pass
        elif group.role == LEADER:
            if group.last_index() < bounds.entries:
                found += self._moves(number, "propose", lambda group: group.propose([b"x"]))
            if bounds.beats:
                found += self._moves(number, "beat", Group.tick)
            if bounds.timeouts:
                found += self._moves(number, "timeout", silence)
        else:
            if group.term < bounds.terms:
                found += self._moves(number, "campaign", Group.campaign)
            if bounds.timeouts and group.lead and group.elapsed_ticks < group.config.election_ticks:
                found += self._moves(number, "timeout", silence)
        if member.mortal:
            found += [self._move(step, "crash") for step in killed(member)]
        self.others[number] = found
        return found

    def moves(self, number: int, inbox: int) -> tuple[tuple[int, int, int], list[Move]]:
        """What member `number` says without changing, and all moves that change it."""
        known = self.found.get((number, inbox))
        if known is not None:
            return known
        said = [0, 0, 0]
        different: dict[tuple, Move] = {}
        held_up = len(self.members[number].disk.pending) > self.bounds.writes
        deliveries = [] if held_up else [self.deliver(number, place) for place in bits(inbox)]
        for moves in (*deliveries, self.other(number)):
            for move in moves:
                if move.after == number and move.seen is None:
                    for place in range(3):
                        said[place] |= move.sent[place]
                else:
                    different.setdefault((move.after, move.sent, move.seen), move)
        result = self.found[number, inbox] = ((said[0], said[1], said[2]), list(different.values()))
        return result

    def calm(self, number: int) -> int:
        """The same member when no crash can come any more."""
        known = self.immortal.get(number)
        if known is None:
            member = self.members[number].copy()
            member.mortal = False
            known = self.immortal[number] = self.number(member)
        return known

    # Symmetry.

    def renamed(self, number: int) -> tuple[int, ...]:
        """The same member's state under each of RENAMINGS."""
        known = self.renamings[number]
        if known is None:
            others = [self.number(self.members[number].renamed(names, self.configs)) for names in RENAMINGS[1:]]
            known = self.renamings[number] = (number, *others)
        return known

    def renamed_inbox(self, renaming: int, member: int, inbox: int) -> int:
        """What was said to `member`, as it was said under RENAMINGS[renaming]."""
        known = self.said.get((renaming, member, inbox))
        if known is None:
            known = 0
            for place in bits(inbox):
                message = renamed(self.messages[member][place], RENAMINGS[renaming], self.configs, {})
                known |= 1 << self.place(message)
            known = self.masks.setdefault(known, known)
            self.said[renaming, member, inbox] = known
        return known

    # What the rules for dropping messages say, tried.

    def try_dropped(self) -> int:
        """Deliver every message to every member that `alive` would keep it from. Returns how many there were. Raises
        Violation if one of them does anything."""
        tried = 0
        for number in range(len(self.members)):
            everything = (1 << len(self.messages[self.who[number]])) - 1
            dropped = everything & ~self.alive(number, everything)
            member = self.members[number].copy()
            group = member.group
            before = member.key()
            what = f"{ROLE_NAMES[group.role]} {group.member} of term {group.term}"
            for place in bits(dropped):
                tried += 1
                message = self.messages[self.who[number]][place]
                group.step(message)
                if group.ready() is not None:
                    raise Violation("C8", f"{what} acts on {message!r}, which should be over")
            if member.key() != before:
                raise Violation("C8", f"{what} is changed by messages that should be over")
        return tried


def silence(group: Group) -> None:
    """An election timeout passes, and nothing arrives."""
    for _ in range(group.config.election_ticks):
        group.tick()


def rank(member: Member) -> int:
    """Higher for a member that is farther on its way: no event but a refused append lowers it. Only a hint which state
    to take first."""
    group = member.group
    disk = member.disk.synced
    last_term = group.term_at(group.last_index())
    role = 2 if group.role == LEADER else 1 if group.role == FOLLOWER and group.vote else 0
    found = ((group.term * 4 + role) * 8 + last_term) * 8 + group.last_index()
    found = (found * 8 + group.commit) * 8 + disk.last_index()
    found *= 256
    if role == 2:
        for progress in group.tracker.progress.values():
            found += 8 * progress.match + 2 * progress.next + 2 * progress.sent_commit + bool(progress.state)
    return found + (0 if member.mortal else AFTER_A_CRASH)
