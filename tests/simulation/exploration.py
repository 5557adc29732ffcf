"""Every state that three members can get into, within bounds: each one is visited, and R1 to R9 hold in all of them.

The real core and its disk make every step (`onemember.py`). What may happen, in any order: a member campaigns, a leader
proposes, any message ever sent arrives (never, once, or again), and as far as the bounds allow, a member crashes
(between two events or in the middle of one, losing any part of what it has not synced) and starts again, a leader sends
heartbeats, a leader is not heard of for a while, a write is complete later than the next event. Members and entries do
not change (R10 has nothing to say), and there are no snapshots.

Why a finished search means that no order of events was left out:

* **The network only grows.** What was said stays in the state. To lose a message is not to deliver it. So a state with
  the same members and more messages can do all that the one with fewer can, which need not be visited (`_known`).
* **What changes nothing happens at once.** If a member answers a message and is the same as before, the state with
  the answer can do more than the one without (`_saturated`).
* **What nobody listens to is dropped** (`Moves.alive`): messages of a term that the disk of the receiver has left, and
  answers to one that follows in their term. That nothing comes of them is tried at the end, with every member and every
  message that were found: `Moves.try_dropped`.
* **All members are alike.** Of the six states that differ only in the members' names, one is visited (`_canonical`).
* **What is dead is not told apart** (`onemember.normal`): a follower's last thoughts as a leader, for example.
* **A step is made once.** What a member does depends on itself and the event alone, so it is looked up the next time.

Where bounds end, nothing is assumed: a member does not campaign beyond the last term, does not propose when its log is
full, and if it is elected with a full log (its first entry is one too many), that is checked, and what follows is not.

What the group as a whole has to remember besides, since rules ask for it: who led in which term (R1), and what was
committed, in which term (R4, R5, R7). Needs the interpreted core (`statecopy.py`).
"""

import time
from array import array
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import NamedTuple

from simulation.checker import Violation
from simulation.moves import MEMBERS, RENAMINGS, Move, Moves
from simulation.statecopy import renamed

Three = tuple[int, int, int]
ORDERS = tuple(tuple(sorted(range(3), key=lambda place, names=names: names[place + 1])) for names in RENAMINGS)
"""By renaming: whose place is the first, second and third then."""


@dataclass(frozen=True)
class Bounds:
    """How far to go: `terms`; `entries` in a log; `crashes` of any member. `writes`: so many may wait for their
    completion while something else happens; 0: writes are atomic, but for a crash. `timeouts`: pre-vote and
    check-quorum are on, and silence for an election timeout is an event. `knobs` go to Config."""

    name: str
    terms: int
    entries: int
    crashes: int = 0
    beats: bool = False
    timeouts: bool = False
    writes: int = 0
    knobs: tuple[tuple[str, int], ...] = ()

    def __str__(self) -> str:
        also = [f"{self.crashes or 'no'} crash{'es' if self.crashes > 1 else ''}"]
        also += ["heartbeats"] * self.beats + ["pre-vote and check-quorum"] * self.timeouts
        also += [f"{self.writes + 1} writes under way"] * bool(self.writes)
        also += [f"{name} {value}" for name, value in self.knobs]
        return f"{self.name}: {self.terms} terms, {self.entries} entries, {', '.join(also)}"


class Ghost(NamedTuple):
    """What was seen in the group: by term, who led; by index, the committed entry's term and the term it was committed
    in; and how many crashes are left."""

    leaders: tuple[int, ...]
    committed: tuple[tuple[int, int], ...]
    crashes: int


class State(NamedTuple):
    """The group: its members and what was said to each (`moves.py`), and what was seen."""

    members: Three
    inboxes: Three
    ghost: Ghost


@dataclass(frozen=True)
class Explored:
    """What came of it. `complete`: no state was left to visit; else time was over. `edges`: steps out of the bounds.
    `made`: steps of single members that the core made; `dropped`: messages tried that should do nothing."""

    bounds: Bounds
    states: int
    steps: int
    deepest: int
    edges: int
    members: int
    made: int
    messages: int
    dropped: int
    complete: bool
    seconds: float

    def __str__(self) -> str:
        return (
            f"{'explored all of' if self.complete else 'NOT FINISHED'} {self.bounds}: "
            f"{self.states} states, {self.steps} steps, {self.edges} beyond the bounds, {self.deepest} deep, "
            f"{self.members} states of members, {self.messages} messages, {self.made} steps of members, "
            f"{self.dropped} dropped messages tried, {self.seconds:.0f} s"
        )


class Search:
    """One search."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.moves = Moves(bounds)
        self.known: dict[tuple[Three, Ghost], list[Three]] = {}
        self.waiting: list[tuple] = []
        self.agreeing: set[tuple[tuple, tuple]] = set()
        self.ghosts: dict[Ghost, Ghost] = {}
        self.states = 0
        self.steps = 0
        self.edges = 0
        # By number of a state, in the order of finding: how it was reached.
        self.depths = array("H")
        self.parents = array("L")
        self.events: list[tuple[Move | None, int, int]] = []  # a move, of which member, and the renaming after it

    def run(self, seconds: float) -> Explored:
        """Visit all states, or as many as the CPU time is enough for. Raises Violation, with the events before it."""
        begun = time.process_time()
        leaders = (0,) * (self.bounds.terms + 1)
        state = State(self.moves.founders(), (0, 0, 0), Ghost(leaders, (), self.bounds.crashes))
        self._add(state, 0, (None, 0, 0))
        while self.waiting and time.process_time() - begun < seconds:
            _, _, number, state = heappop(self.waiting)
            if state.inboxes in self.known[state.members, state.ghost]:
                self._visit(state, number)
        dropped = self.moves.try_dropped()
        messages = sum(len(each) for each in self.moves.messages.values())
        return Explored(self.bounds, self.states, self.steps, max(self.depths), self.edges, len(self.moves.members),
                        self.moves.made, messages, dropped, not self.waiting, time.process_time() - begun)  # fmt: skip

    def _visit(self, state: State, number: int) -> None:
        self.states += 1
        for member in MEMBERS:
            try:
                moves = self.moves.moves(state.members[member - 1], state.inboxes[member - 1])[1]
            except Violation as violation:
                raise self._told(violation, number) from violation
            for move in moves:
                self.steps += 1
                try:
                    after = self._after(state, member, move)
                except Violation as violation:
                    last = self._add_event(number, (move, member, 0))
                    raise self._told(violation, last) from violation
                if after is not None:
                    self._add(after, number, (move, member, 0))

    def _after(self, state: State, member: int, move: Move) -> State | None:
        """The state behind a move; None if that is out of the bounds."""
        table = self.moves
        members = list(state.members)
        members[member - 1] = move.after
        ghost = state.ghost
        if move.crashed:
            ghost = ghost._replace(crashes=ghost.crashes - 1)
            if not ghost.crashes:
                members = [table.calm(number) for number in members]
        if move.seen is not None:
            ghost = self._seen(members, member, move.seen, ghost)
        log = table.logs[move.after]
        for other in MEMBERS:
            if other != member:
                self._compare(log, table.logs[members[other - 1]])
        if len(log) > self.bounds.entries:
            self.edges += 1
            return None
        inboxes = [inbox | sent for inbox, sent in zip(state.inboxes, move.sent, strict=True)]
        return State((members[0], members[1], members[2]), (inboxes[0], inboxes[1], inboxes[2]), ghost)

    # What was seen in the group.

    def _seen(self, members: list[int], member: int, seen: tuple[tuple, tuple], ghost: Ghost) -> Ghost:
        """The ghost after elections and commits of `member`. Raises Violation."""
        leaders, committed, crashes = ghost
        elected, commits = seen
        for index, entry_term, term, leads, durable in commits:
            if index <= len(committed):
                known, since = committed[index - 1]
                if known != entry_term:
                    raise Violation("R5", f"{member} committed {entry_term}/{index}, others {known}/{index}")
                committed = (*committed[: index - 1], (known, min(term, since)), *committed[index:])
                continue
            self._commits(members, member, (index, entry_term, term, leads, durable))
            committed = (*committed, (entry_term, term))
        for term, log in elected:
            if leaders[term] not in (0, member):
                raise Violation("R1", f"{leaders[term]} and {member} both lead in term {term}")
            leaders = (*leaders[:term], member, *leaders[term + 1 :])
            for place, (entry_term, since) in enumerate(committed):
                if since < term and (place >= len(log) or log[place][0] != entry_term):
                    raise Violation("R4", f"{member} leads in term {term} without {entry_term}/{place + 1}")
        return Ghost(leaders, committed, crashes)

    def _commits(self, members: list[int], member: int, commit: tuple) -> None:
        """`member` is the first to commit an entry. Raises Violation if it should not."""
        index, entry_term, term, leads, durable = commit
        if not leads:
            raise Violation("R7", f"{member} committed {entry_term}/{index} and is no leader; no leader has")
        table = self.moves
        have = int(durable)
        for other, number in zip(MEMBERS, members, strict=True):
            if other == member:
                continue
            synced = table.synced[number]
            have += index <= len(synced) and synced[index - 1] == entry_term
            log = table.logs[number]
            if table.leading[number] > term and (index > len(log) or log[index - 1][0] != entry_term):
                raise Violation("R4", f"{other} leads in term {table.leading[number]} without {entry_term}/{index}")
        if have * 2 < len(MEMBERS):
            raise Violation("R7", f"{member} committed {entry_term}/{index}; that is not on a majority's disks")

    def _compare(self, one: tuple, other: tuple) -> None:
        """R3. Raises Violation."""
        if (one, other) in self.agreeing:
            return
        for place in range(min(len(one), len(other)) - 1, -1, -1):
            if one[place][0] == other[place][0]:
                if one[: place + 1] != other[: place + 1]:
                    raise Violation("R3", f"{one} and {other} agree in entry {place + 1}, and not before")
                break
        self.agreeing.add((one, other))

    # States.

    def _add(self, state: State, parent: int, event: tuple[Move | None, int, int]) -> None:
        """Remember to visit `state`, if no state that can do as much is known."""
        try:
            state = self._saturated(state)
        except Violation as violation:
            last = self._add_event(parent, event)
            raise self._told(violation, last) from violation
        state, renaming = self._canonical(state)
        if self._known(state):
            return
        number = self._add_event(parent, (*event[:2], renaming))
        ranks = self.moves.ranks
        one, two, three = state.members
        heappush(self.waiting, (ranks[one] + ranks[two] + ranks[three], -number, number, state))

    def _add_event(self, parent: int, event: tuple[Move | None, int, int]) -> int:
        number = len(self.depths)
        self.depths.append(self.depths[parent] + 1 if number else 0)
        self.parents.append(parent)
        self.events.append(event)
        return number

    def _saturated(self, state: State) -> State:
        """`state` after all that only adds messages."""
        moves = self.moves.moves
        alive = self.moves.alive
        one, two, three = state.members
        first, second, third = state.inboxes
        while True:
            inboxes = alive(one, first), alive(two, second), alive(three, third)
            (_, said12, said13), _ = moves(one, inboxes[0])
            (said21, _, said23), _ = moves(two, inboxes[1])
            (said31, said32, _), _ = moves(three, inboxes[2])
            first = inboxes[0] | said21 | said31
            second = inboxes[1] | said12 | said32
            third = inboxes[2] | said13 | said23
            if inboxes == (alive(one, first), alive(two, second), alive(three, third)):
                return State(state.members, inboxes, state.ghost)

    def _canonical(self, state: State) -> tuple[State, int]:
        """The one of six states that stands for all of them, and by which renaming."""
        table = self.moves
        one, two, three = (table.renamed(number) for number in state.members)
        best: Three | None = None
        ways: list[int] = []
        for way, (first, second, third) in enumerate(ORDERS):
            variants = (one[way], two[way], three[way])
            members = (variants[first], variants[second], variants[third])
            if best is None or members < best:
                best = members
                ways = [way]
            elif members == best:
                ways.append(way)
        if ways == [0]:
            return State(state.members, state.inboxes, self._one(state.ghost)), 0
        found: list[tuple[Three, Ghost, int]] = []
        for way in ways:
            first, second, third = ORDERS[way]
            said = [table.renamed_inbox(way, member, state.inboxes[member - 1]) for member in MEMBERS]
            names = RENAMINGS[way]
            ghost = state.ghost._replace(leaders=tuple(names[leader] for leader in state.ghost.leaders))
            found.append(((said[first], said[second], said[third]), ghost, way))
        inboxes, ghost, way = min(found)
        return State(best or state.members, inboxes, self._one(ghost)), way

    def _one(self, ghost: Ghost) -> Ghost:
        return self.ghosts.setdefault(ghost, ghost)

    def _known(self, state: State) -> bool:
        """Whether a state with the same members, and all of its messages, is known; else now it is, in the place of
        those that it stands for."""
        one, two, three = state.inboxes
        known = self.known.setdefault((state.members, state.ghost), [])
        fewer = False
        for first, second, third in known:
            if first | one == first and second | two == second and third | three == third:
                return True
            fewer = fewer or (first | one == one and second | two == two and third | three == three)
        if fewer:
            known[:] = [each for each in known if any(old & ~new for old, new in zip(each, state.inboxes, strict=True))]
        known.append(state.inboxes)
        return False

    def _told(self, violation: Violation, number: int) -> Violation:
        """`violation`, with the events that lead to it."""
        text = str(violation).removeprefix(f"{violation.rule}: ")
        path, names = self.path(number)
        called = "" if names == RENAMINGS[0] else f" (where 1, 2, 3 are {names[1]}, {names[2]}, {names[3]})"
        return Violation(violation.rule, f"{text}{called} after {path}")

    def path(self, number: int) -> tuple[str, dict[int, int]]:
        """The events that lead to a state, but for answers that changed nobody; and how the members of that state were
        called at the beginning."""
        events: list[tuple[Move | None, int, int]] = []
        while number:
            events.append(self.events[number])
            number = self.parents[number]
        names = RENAMINGS[0]
        lines = []
        # Each state has names of its own: `names` leads from them to those of the beginning.
        for move, member, renaming in reversed(events):
            if move is not None:
                event = move.event
                what = "" if isinstance(event, str) else f" {renamed(event, names, self.moves.configs, {})!r}"
                lines.append(f"{names[member]} {move.name}{what}")
            names = {new: names[old] for old, new in RENAMINGS[renaming].items()}
        return "; ".join(lines) or "nothing", names


SMALL = Bounds("small", terms=2, entries=2, crashes=1)
QUICK = (
    SMALL,
    Bounds("pipelined", terms=2, entries=1, writes=1),
    Bounds("heartbeats", terms=2, entries=2, beats=True),
    Bounds("timeouts", terms=1, entries=1, crashes=1, timeouts=True),
)
"""Half a minute together."""
LONG = (
    Bounds("full", terms=3, entries=3, crashes=1),
    # Figure 8 needs a fourth term, and entries that arrive one by one.
    Bounds("overwritten", terms=4, entries=2, knobs=(("max_message_bytes", 1),)),
    Bounds("pipelined-crash", terms=2, entries=1, crashes=1, writes=1),
    Bounds("duels", terms=2, entries=1, timeouts=True),
)
"""Some minutes, most of them for the first."""
BOUNDS = {bounds.name: bounds for bounds in (*QUICK, *LONG)}


def explore(bounds: Bounds, seconds: float = float("inf")) -> Explored:
    """Visit every state within `bounds`, or as many as `seconds` of CPU allow. Raises Violation, with the events before
    it."""
    return Search(bounds).run(seconds)
