"""Every state of three members within small bounds, and that nothing was left out; in processes of their own, with the
interpreted core.

Greater bounds: tools/raft explore long.
"""

import os
import subprocess
import sys

import pytest
from simulation.command import TESTS

pytestmark = pytest.mark.skipif(
    os.environ.get("AMQPD_EXPECT") == "compiled", reason="works on the source in either half: once is enough"
)

EXPLORE = """
from simulation import exploration
from simulation.checker import Violation
bounds = exploration.Bounds("test", **eval(sys.argv[3]))
try:
    found = exploration.explore(bounds)
except Violation as violation:
    print("violation", violation.rule)
else:
    print("complete" if found.complete else "cut", found.states, found.edges, found.dropped)
"""

# The same without reductions: nothing happens at once, no message is dropped, nobody is renamed.
PLAINLY = '''
from simulation import exploration
from simulation.moves import bits

class Plain(exploration.Search):
    def _saturated(self, state):
        return state
    def _canonical(self, state):
        return state, 0
    def _visit(self, state, number):
        super()._visit(state, number)
        for who, inbox in zip(state.members, state.inboxes):
            for moves in (self.moves.other(who), *(self.moves.deliver(who, place) for place in bits(inbox))):
                for move in moves:
                    if move.after == who and move.seen is None:  # only says something
                        inboxes = tuple(said | more for said, more in zip(state.inboxes, move.sent))
                        self._add(exploration.State(state.members, inboxes, state.ghost), number, (move, 1, 0))

bounds = exploration.Bounds("test", **eval(sys.argv[3]))
reduced = exploration.Search(bounds)
reduced.run(float("inf"))
plain = Plain(bounds)
plain.moves = reduced.moves
plain.run(float("inf"))
def groups(search):
    """Members and what was seen, whatever the members are called."""
    shown = [reduced._canonical(exploration.State(members, (0, 0, 0), ghost))[0] for members, ghost in search.known]
    return {(state.members, state.ghost) for state in shown}

print("same" if groups(plain) == groups(reduced) else "different", reduced.states, plain.states)
'''


def run(program: str, bounds: dict, mutant: str = "") -> list[str]:
    """The words that the program prints last."""
    install = (
        "import sys; sys.path.insert(0, sys.argv[1]); from simulation import mutation; "
        "mutation.install(mutation.mutants()[sys.argv[2]] if sys.argv[2] else None)\n"
    )
    command = [sys.executable, "-c", install + program, str(TESTS), mutant, repr(bounds)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=TESTS.parent)
    print(done.stdout)
    return done.stdout.split()


@pytest.mark.parametrize(
    ("bounds", "states"),
    [
        ({"terms": 2, "entries": 1, "crashes": 1}, 3000),
        ({"terms": 1, "entries": 1, "writes": 1}, 300),
        ({"terms": 2, "entries": 1, "beats": True}, 500),
        ({"terms": 1, "entries": 1, "timeouts": True, "crashes": 1}, 3000),
    ],
    ids=["crash", "pipelined", "heartbeats", "timeouts"],
)
def test_no_order_of_events_violates_anything(bounds, states):
    outcome, visited, _, dropped = run(EXPLORE, bounds)
    assert outcome == "complete"
    assert int(visited) >= states
    assert int(dropped) > 100


@pytest.mark.parametrize(
    "bounds",
    [{"terms": 1, "entries": 1}, {"terms": 1, "entries": 1, "crashes": 1}, {"terms": 2, "entries": 0}],
    ids=["plain", "crash", "terms"],
)
def test_the_reductions_leave_nothing_out(bounds):
    outcome, visited, plainly = run(PLAINLY, bounds)
    assert outcome == "same"
    assert int(plainly) > 3 * int(visited)


@pytest.mark.parametrize(
    ("mutant", "rules", "bounds"),
    [
        ("vote-before-it-is-durable", {"R9"}, {"terms": 1, "entries": 1}),
        ("vote-forgotten-at-restart", {"R8"}, {"terms": 1, "entries": 1, "crashes": 1}),
        ("term-forgotten-at-restart", {"R9"}, {"terms": 1, "entries": 1, "crashes": 1}),
        ("votes-twice", {"R1", "R8"}, {"terms": 1, "entries": 1}),
        ("vote-without-the-log", {"R4"}, {"terms": 2, "entries": 1}),
        ("entries-are-not-synced", {"R9"}, {"terms": 1, "entries": 1}),
        ("leader-counts-itself-early", {"R7"}, {"terms": 1, "entries": 1, "writes": 1}),
        ("own-answers-count-at-once", {"R7"}, {"terms": 1, "entries": 1, "writes": 1}),
        ("ack-of-repeated-entries-at-once", {"R9"}, {"terms": 1, "entries": 1, "writes": 1}),
        ("unsynced-entries-are-applied", {"R6"}, {"terms": 1, "entries": 2}),
        ("answers-without-term-check", {"C8", "R7"}, {"terms": 2, "entries": 2}),
        ("appends-without-term-check", {"C8", "R9"}, {"terms": 2, "entries": 1}),
    ],
)
def test_exploration_notices_a_bug(mutant, rules, bounds):
    outcome, rule = run(EXPLORE, bounds, mutant)
    assert outcome == "violation"
    assert rule in rules
