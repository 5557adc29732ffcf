"""All orders of events of a small group, as far as time allows: each state is visited once.

Three members, bounded terms and entries. From each state: any member campaigns, the leader proposes, any message on
its way is delivered (one that never is, is lost; the order is free), any write completes, and one member crashes and
comes back, with or without what it had not synced. R1 to R10 hold after each step.

Sound reductions: equal states are visited once (numbers of writes do not count: nothing depends on them); two equal
messages on their way are one, as the other may be lost; and the first to campaign is member 1, since at the beginning
all are alike. There are no ticks, so pre-votes and the check of the quorum, which live from time, are off.

Needs the interpreted core, whose objects can be copied (`mutation.install(None)` gives it).
"""

import time
from collections import deque
from dataclasses import dataclass
from random import Random
from types import MethodType

from simulation.checker import Checker, Violation
from simulation.disk import DiskError
from simulation.host import Node
from simulation.world import World

from amqpd.raft import messages as m
from amqpd.raft.config import Config
from amqpd.raft.faults import InvariantError
from amqpd.raft.states import LEADER

SHARED = (int, str, bytes, float, bool, type(None), m.Entry, m.HardState, m.Members, m.Snapshot, m.Message, Config)
# What nothing depends on: names of writes, counters, and what belongs to the world around.
SKIPPED = {"token", "last_token", "dropped", "world", "knobs", "founding", "config", "rng", "view", "frozen", "_view"}
KNOBS = {"election_ticks": 10, "pre_vote": False, "check_quorum": False}
RECENT = 64  # two times in three the next state is one of the latest so many, else any: deep and wide


@dataclass(frozen=True)
class Bounds:
    """How far to go. `campaigns` in all; `atomic`: writes complete at once, so that only messages have orders."""

    name: str
    campaigns: int
    terms: int
    entries: int
    crashes: int
    atomic: bool


SMALL = Bounds("small", campaigns=2, terms=2, entries=2, crashes=0, atomic=True)
FULL = Bounds("full", campaigns=6, terms=3, entries=3, crashes=1, atomic=False)


@dataclass(frozen=True)
class Explored:
    """What came of it."""

    bounds: Bounds
    states: int
    steps: int
    deepest: int
    complete: bool
    seconds: float

    def __str__(self) -> str:
        how = "all of them" if self.complete else "until its budget was spent"
        return (
            f"explored {self.states} states ({self.bounds.name}: {self.bounds.campaigns} campaigns, "
            f"{self.bounds.terms} terms, {self.bounds.entries} entries, {self.bounds.crashes} crashes) "
            f"by {self.steps} steps, {self.deepest} deep, {how}, "
            f"{self.states / max(self.seconds, 0.001):.0f} a second"
        )


def copy_of(thing, memo: dict):
    """A copy of everything that can change; what cannot is shared."""
    kind = type(thing)
    if kind in SHARED_KINDS:
        return thing
    known = memo.get(id(thing))
    if known is not None:
        return known
    if kind is list:
        result = memo[id(thing)] = []
        result.extend([copy_of(each, memo) for each in thing])
    elif kind is dict:
        result = memo[id(thing)] = {}
        for key, value in thing.items():
            result[key] = copy_of(value, memo)
    elif kind is deque:
        result = memo[id(thing)] = deque(copy_of(each, memo) for each in thing)
    elif kind is set:
        result = memo[id(thing)] = set(thing)
    elif kind is tuple:
        result = tuple(copy_of(each, memo) for each in thing)
    elif kind is MethodType:
        result = MethodType(thing.__func__, copy_of(thing.__self__, memo))
    elif callable(thing):
        result = thing
    else:
        result = memo[id(thing)] = kind.__new__(kind)
        for name in names_of(kind, thing):
            setattr(result, name, copy_of(getattr(thing, name), memo))
    return result


SHARED_KINDS = frozenset(SHARED)
NAMES: dict[type, tuple[str, ...]] = {}


def names_of(kind: type, thing) -> tuple[str, ...]:
    """The attributes of objects of this kind."""
    names = NAMES.get(kind)
    if names is None:
        slots = [name for base in kind.__mro__ for name in getattr(base, "__slots__", ())]
        names = NAMES[kind] = tuple(slots) if slots else tuple(vars(thing))
    return names


def frozen(thing):
    """`thing` as something that can be compared and hashed."""
    kind = type(thing)
    if kind is int or kind is bytes or kind is bool or kind is str or thing is None:
        return thing
    if kind is list or kind is tuple or kind is deque:
        return tuple([frozen(each) for each in thing])
    if kind is dict:
        return tuple([(key, frozen(value)) for key, value in sorted(thing.items())])
    if kind is set:
        return tuple(sorted(thing))
    if callable(thing):
        return None
    return tuple([frozen(getattr(thing, name)) for name in names_of(kind, thing) if name not in SKIPPED])


class State:
    """A world, the messages on their way (by what they say), and how it was reached."""

    __slots__ = ("campaigns", "crashes", "depth", "how", "keys", "pool", "world")

    def __init__(self, world: World) -> None:
        self.world = world
        self.pool: dict[tuple, m.Message] = {}
        self.keys: dict[int, tuple] = {}
        self.campaigns = 0
        self.crashes = 0
        self.depth = 0
        self.how: tuple = ()

    def key(self) -> int:
        """What makes two states the same."""
        checker = self.world.checker
        seen = (frozen(checker.committed), frozen(checker.leaders), frozen(checker.votes))
        return hash((tuple(sorted(self.keys.items())), frozenset(self.pool), self.campaigns, self.crashes, seen))

    def after(self, member: int, name: str, *arguments) -> "State":
        """The state behind one event of `member`; everything that the event does not touch is shared."""
        old = self.world
        world = World.__new__(World)
        world.__dict__.update(old.__dict__)
        node = old.nodes[member]
        memo = {id(node.world): world}
        world.nodes = dict(old.nodes)
        copied = world.nodes[member] = copy_of(node, memo)
        checker = Checker.__new__(Checker)
        checker.__dict__.update(old.checker.__dict__)
        for field in ("disks", "leaders", "votes", "entries", "configurations"):
            setattr(checker, field, dict(getattr(checker, field)))
        for field in ("committed", "applied", "order"):
            setattr(checker, field, list(getattr(checker, field)))
        checker.disks[member] = copied.disk.synced
        world.checker = checker
        state = State(world)
        state.pool = dict(self.pool)
        state.keys = dict(self.keys)
        state.campaigns = self.campaigns + (name == "campaign")
        state.crashes = self.crashes
        state.depth = self.depth + 1
        state.how = (self.how, (name, member, *arguments))
        world.on_send = state.take
        if name == "deliver":
            del state.pool[frozen(arguments[0])]
        getattr(world, name)(member, *arguments)
        return state

    def take(self, message: m.Message) -> None:
        self.pool[frozen(message)] = message

    def path(self) -> list[tuple]:
        """The events that lead here."""
        events = []
        how = self.how
        while how:
            how, event = how
            events.append(event)
        return events[::-1]


def beginning() -> State:
    """Three members that have just started."""
    world = World(m.Members((1, 2, 3)), KNOBS)
    world.rng = lambda bound: 0
    world.identity_checked = False
    state = State(world)
    world.on_send = state.take
    for member in (1, 2, 3):
        world.create(member)
        state.keys[member] = frozen_node(world.nodes[member])
    return state


def frozen_node(node: Node) -> int:
    return hash(frozen(node))


def events_of(state: State, bounds: Bounds) -> list[tuple]:
    """What may happen next, as (member, event, arguments)."""
    events: list[tuple] = []
    for message in state.pool.values():
        events.append((message.to, "deliver", message))
    for member, node in state.world.nodes.items():
        group = node.group
        if node.disk.pending:
            events.append((member, "complete", 1))
        if group.role == LEADER:
            if group.last_index() < bounds.entries:
                events.append((member, "propose", [b"x"]))
        elif group.term < bounds.terms and state.campaigns < bounds.campaigns and (state.depth or member == 1):
            events.append((member, "campaign"))
        if state.crashes < bounds.crashes and state.depth:
            events.append((member, "crash", 0))
            if node.disk.at_risk():
                events.append((member, "crash", node.disk.at_risk()))
    return events


def follow(state: State, event: tuple, bounds: Bounds) -> State:
    """One step; a crash is followed by the restart, an atomic write by its completion. Raises Violation."""
    member = event[0]
    try:
        after = state.after(member, *event[1:])
        node = after.world.nodes[member]
        if event[1] == "crash":
            after.crashes += 1
            after.world.restart(member)
        while bounds.atomic and node.disk.pending:
            after.world.complete(member, len(node.disk.pending))
    except Violation as violation:
        raise Violation(violation.rule, f"{violation} after {[*state.path(), event]}") from violation
    except (InvariantError, DiskError) as error:
        raise Violation("C", f"{error} after {[*state.path(), event]}") from error
    after.keys[member] = frozen_node(node)
    return after


def explore(bounds: Bounds, seconds: float, seed: int = 0, most: int = 10**9) -> Explored:
    """Visit states until all or `most` are visited, or `seconds` of CPU are over.

    With the same seed they are visited in the same order. Raises Violation, with the events before it.
    """
    rng = Random(seed)
    begun = time.process_time()
    start = beginning()
    visited = {start.key()}
    waiting = [start]
    steps = 0
    deepest = 0
    while waiting and len(visited) < most and time.process_time() - begun < seconds:
        place = rng.randrange(max(len(waiting) - RECENT, 0) if steps % 3 else 0, len(waiting))
        waiting[place], waiting[-1] = waiting[-1], waiting[place]
        state = waiting.pop()
        deepest = max(deepest, state.depth)
        for event in events_of(state, bounds):
            steps += 1
            after = follow(state, event, bounds)
            key = after.key()
            if key not in visited:
                visited.add(key)
                waiting.append(after)
    return Explored(bounds, len(visited), steps, deepest, not waiting, time.process_time() - begun)
