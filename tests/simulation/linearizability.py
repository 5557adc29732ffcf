"""Whether a history of operations on registers could have happened one after the other.

Each operation takes effect at one moment between its call and its answer; one without an answer may take effect at any
time after its call, or never. The search (Wing and Gong) tries operations in an order that their times allow, and never
visits the same set of operations with the same value twice (Lowe). Registers are independent, so each is searched
alone. Where an operation's `place` is known (the index at which the log has it), the search tries that order first:
that decides how long it takes, never what it finds.

Raises TooHard after `STEPS_MAX` steps, which a history of a few dozen operations never needs.
"""

from collections.abc import Iterable

from simulation.world import FOREVER, Operation

STEPS_MAX = 300_000


class TooHard(Exception):
    """The history has too many operations at the same time."""


def effect(operation: Operation, value: str) -> str | None:
    """The register's value after `operation`, or None if it cannot have had its result at `value`."""
    known = operation.returned != FOREVER
    if operation.kind == "w":
        return operation.argument
    if operation.kind == "c":
        if value == operation.expected:
            return operation.argument if not known or operation.result == "ok" else None
        return value if not known or operation.result == "no" else None
    return value if not known or operation.result == value else None


def linearizable(history: Iterable[Operation]) -> bool:
    """Whether all operations that may have happened fit into one order."""
    registers: dict[str, list[Operation]] = {}
    for operation in history:
        # One that was refused did not happen; one that only reads and got no answer tells nothing.
        if operation.returned < 0 or (operation.returned == FOREVER and operation.kind in "ri"):
            continue
        registers.setdefault(operation.register, []).append(operation)
    return all(_fits(sorted(operations, key=lambda one: one.invoked)) for operations in registers.values())


def _fits(operations: list[Operation]) -> bool:
    """Depth first, over sets of operations done (a bit for each) and the value that they left."""
    must = 0
    for place, operation in enumerate(operations):
        if operation.returned != FOREVER:
            must |= 1 << place
    seen: set[tuple[int, str]] = set()
    stack = [(0, "")]
    steps = 0
    while stack:
        done, value = stack.pop()
        if done & must == must:
            return True
        steps += 1
        if steps > STEPS_MAX:
            raise TooHard(f"{len(operations)} operations")
        # Whoever was called after another one had its answer comes after it.
        limit = FOREVER
        for place, operation in enumerate(operations):
            if operation.invoked >= limit:
                break
            if not done >> place & 1:
                limit = min(limit, operation.returned)
        ready = []
        for place, operation in enumerate(operations):
            if operation.invoked >= limit:
                break
            if done >> place & 1:
                continue
            after = effect(operation, value)
            if after is None:
                continue
            state = (done | 1 << place, after)
            if state not in seen:
                seen.add(state)
                ready.append((operation.place, place, state))
        ready.sort(reverse=True)
        stack.extend(state for _, _, state in ready)
    return False
