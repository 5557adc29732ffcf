"""A part of all orders of events of a small group, in a process of its own with the interpreted core.

More of them: tools/raft explore --seconds S.
"""

import subprocess
import sys

import pytest
from simulation.command import TESTS

STATES = 12_000  # a number, not a time: the same run on every machine
PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from simulation import mutation
mutation.install(mutation.mutants()[sys.argv[2]] if sys.argv[2] else None)
from simulation import exploration
from simulation.checker import Violation
for bounds in (exploration.SMALL, exploration.FULL):
    try:
        found = exploration.explore(bounds, float("inf"), most=int(sys.argv[3]))
    except Violation as violation:
        print("violation", violation.rule)
        sys.exit(0)
    print(found)
    print("states", found.states, found.complete)
"""


def explore(mutant: str = "") -> list[list[str]]:
    """The lines of words that the child prints."""
    command = [sys.executable, "-c", PROGRAM, str(TESTS), mutant, str(STATES)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=TESTS.parent)
    print(done.stdout)
    return [line.split() for line in done.stdout.splitlines()]


def test_no_order_of_events_violates_anything():
    lines = explore()
    assert not [line for line in lines if line[0] == "violation"], lines
    states = sum(int(line[1]) for line in lines if line[0] == "states")
    assert states >= 2 * STATES


@pytest.mark.parametrize(
    ("mutant", "rule"),
    [
        ("votes-twice", "R8"),
        ("vote-without-the-log", "R4"),
        ("own-answers-count-at-once", "R7"),
        ("appends-without-term-check", "R9"),
    ],
)
def test_exploration_notices_a_bug(mutant, rule):
    assert explore(mutant)[-1] == ["violation", rule]
