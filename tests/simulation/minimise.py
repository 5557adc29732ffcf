"""From a seed that fails to the shortest trace that fails in the same way.

A trace is replayed without the swarm's choices. An event that is not possible any more (a message of a kind that was
not sent, a node that is down) is left out; where a message has become another one, that is delivered. Parts of the
trace are taken away, half of it first, then smaller ones, as long as the same rule is violated (delta debugging).

Two rules are about the whole run. Where the group did not get on at the end (L), what is shortened is the trace up to
there; after it everything is healed again, by the swarm's own hand. Where clients' answers have no order (X), they are
looked at behind the last event.
"""

from simulation.checker import Violation
from simulation.host import GROUP
from simulation.linearizability import TooHard, linearizable
from simulation.swarm import Swarm
from simulation.world import Operation, World

from amqpd.raft.messages import Message

REPLAYS_MAX = 3000
REPLAYED_EVENTS_MAX = 3_000_000


def nothing(*_: object) -> None:
    """What is said here is not heard."""


class Post:
    """Which messages were sent, by what they say and by their link and kind."""

    def __init__(self) -> None:
        self.exact: dict[str, Message] = {}
        self.latest: dict[tuple[int, int, int], Message] = {}

    def take(self, message: Message) -> None:
        self.exact[repr(message)] = message
        self.latest[message.sender, message.to, message.kind] = message

    def find(self, message: Message) -> Message | None:
        """The message that stands for `message` in this replay. Strays come from nobody here."""
        if message.group != GROUP:
            return message
        return self.exact.get(repr(message)) or self.latest.get((message.sender, message.to, message.kind))


def replay(failed: Swarm, trace: list[tuple], rule: str) -> tuple[str, list[tuple]]:
    """Let the events of a failed run happen again. Returns the violation, or "", and the events up to it."""
    swarm = Swarm(failed.seed, early=failed.early)
    swarm.heap.clear()
    swarm.newest_build = failed.newest_build
    world = swarm.world
    post = Post()
    heard = (world.on_send, world.on_write, world.on_apply)
    world.on_send = post.take
    world.on_write = world.on_apply = nothing
    history: list[Operation] = []
    events: list[tuple] = []
    for name, member, *arguments in trace:
        if member not in world.nodes and name not in ("create", "rebuild"):
            continue
        if name == "deliver":
            message = post.find(arguments[0])
            if message is None:
                continue
            arguments = [message]
        if name == "operate":
            old = arguments[0]
            arguments = [Operation(old.name, old.register, old.kind, old.argument, old.expected, world.events)]
            history.append(arguments[0])
        events.append((name, member, *arguments))
        try:
            world.do(name, member, *arguments)
        except Violation as violation:
            return str(violation), events
    if rule == "L":
        world.on_send, world.on_write, world.on_apply = heard
        return get_on(swarm), events
    return disorder(world, history) if rule == "X" else "", events


def get_on(swarm: Swarm) -> str:
    """Heal what a replay has left. The violation, or "" if the group gets on."""
    world = swarm.world
    try:
        for member, node in world.nodes.items():
            swarm.at(0, "clock", member)
            if node.group is not None and node.disk.pending:
                world.do("complete", member, len(node.disk.pending))
        swarm.heal()
    except Violation as violation:
        return str(violation)
    return ""


def disorder(world: World, history: list[Operation]) -> str:
    """The violation of clients' expectations, or ""."""
    for operation in history:
        operation.place = world.places.get(operation.name, operation.place)
    try:
        return "" if linearizable(history) else f"X: {len(history)} operations have no order"
    except TooHard:
        return ""


def shortest(trace: list[tuple], fails, most: int = REPLAYS_MAX) -> list[tuple]:
    """`trace` without what can go, as far as `most` replays find out. `fails(trace)` returns what happened in it up to
    the failure, None if it does not fail."""
    replays = 0
    size = len(trace) // 2
    while size and replays < most:
        before = len(trace)
        place = 0
        while place < len(trace) and replays < most:
            replays += 1
            failed = fails(trace[:place] + trace[place + size :])
            if failed is not None:
                trace = failed
            else:
                place += size
        if size > 1 or len(trace) == before:
            size //= 2
    return trace


def minimal(swarm: Swarm, rule: str) -> list[tuple]:
    """The shortest trace of a swarm that has failed by `rule`; empty if replaying it does not fail."""

    def fails(trace: list[tuple]) -> list[tuple] | None:
        text, events = replay(swarm, trace, rule)
        return events if text.startswith(rule + ":") else None

    trace = swarm.world.trace or []
    if rule == "L":
        trace = trace[: swarm.healed_from]
    if fails(trace) is None:
        return []
    # What is left to be healed takes about as long as the run did, each time.
    return shortest(trace, fails, min(REPLAYS_MAX, REPLAYED_EVENTS_MAX // (len(trace) + 1) + 100))


def show(seed: int, early: bool = False) -> int:
    """Run a seed; print the shortest trace if it fails. Returns the exit code."""
    swarm = Swarm(seed, record=True, early=early)
    try:
        world = swarm.run()
    except Violation as violation:
        print(f"seed {seed}, {swarm.world.founding!r}, {swarm.world.knobs}: {violation}")
        trace = minimal(swarm, violation.rule)
        for name, member, *arguments in trace:
            print(f"  {name} {member} {' '.join(repr(argument) for argument in arguments)}".rstrip())
        print(f"{len(trace)} of {len(swarm.world.trace or [])} events")
        return 1
    print(f"seed {seed} holds: {world.events} events, {world.checker.elections} elections")
    return 0
