"""From a seed that fails to the shortest trace that fails in the same way.

A trace is replayed without the swarm: an event that is not possible any more (a message that was never sent, a node
that is down) is left out. Parts of it are taken away, half of it first, then smaller ones, as long as the same rule
is violated (delta debugging). Failures to get on (L) and histories without an order (X) cannot be shortened so: they
are about the whole run.
"""

from simulation.checker import Violation
from simulation.swarm import Swarm
from simulation.world import Operation, World

from amqpd.raft.messages import Members

REPLAYS_MAX = 3000
WHOLE_RUN = ("L", "X")


def replay(trace: list[tuple], members: Members, knobs: dict, seed: int, lazy_apply: bool) -> tuple[str, int]:
    """Let the events happen again. Returns the violation, or "", and how many events it took."""
    world = World(members, knobs, seed, lazy_apply)
    sent: set[str] = set()
    world.on_send = lambda message: sent.add(repr(message))
    for place, (name, member, *arguments) in enumerate(trace):
        if name != "create" and member not in world.nodes:
            continue
        if name == "deliver" and repr(arguments[0]) not in sent:
            continue
        if name == "operate":
            old = arguments[0]
            arguments = [Operation(old.name, old.register, old.kind, old.argument, old.expected, world.events)]
        try:
            world.do(name, member, *arguments)
        except Violation as violation:
            return str(violation), place + 1
    return "", len(trace)


def shortest(trace: list[tuple], fails) -> list[tuple]:
    """`trace` without what can go, as far as `REPLAYS_MAX` replays find out. `fails(trace)` returns how many events a
    failing trace took, 0 if it does not fail."""
    replays = 0
    size = len(trace) // 2
    while size and replays < REPLAYS_MAX:
        place = 0
        while place < len(trace) and replays < REPLAYS_MAX:
            shorter = trace[:place] + trace[place + size :]
            replays += 1
            taken = fails(shorter)
            if taken:
                trace = shorter[:taken]
            else:
                place += size
        size //= 2
    return trace


def minimal(swarm: Swarm, rule: str) -> list[tuple]:
    """The shortest trace of a swarm that has failed by `rule`; empty if replaying it does not fail."""
    world = swarm.world

    def fails(trace: list[tuple]) -> int:
        text, taken = replay(trace, world.founding, world.knobs, world.seed, world.lazy_apply)
        return taken if text.startswith(rule + ":") else 0

    trace = world.trace or []
    return shortest(trace, fails) if fails(trace) else []


def show(seed: int) -> int:
    """Run a seed; print the shortest trace if it fails. Returns the exit code."""
    swarm = Swarm(seed, record=True)
    try:
        world = swarm.run()
    except Violation as violation:
        print(f"seed {seed}, {swarm.world.founding!r}, {swarm.world.knobs}: {violation}")
        trace = [] if violation.rule in WHOLE_RUN else minimal(swarm, violation.rule)
        for name, member, *arguments in trace:
            print(f"  {name} {member} {' '.join(repr(argument) for argument in arguments)}".rstrip())
        print(f"{len(trace)} of {len(swarm.world.trace or [])} events")
        return 1
    print(f"seed {seed} holds: {world.events} events, {world.checker.elections} elections")
    return 0
