"""A failing run is shortened to what it takes to fail."""

import subprocess
import sys

import pytest
from simulation.command import TESTS
from simulation.minimise import shortest

PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from simulation import mutation
mutation.install(mutation.mutants()[sys.argv[2]])
from simulation import minimise, swarm
for seed in range(300):
    try:
        swarm.run(seed)
    except Exception as error:
        if getattr(error, "rule", "") == sys.argv[3]:
            sys.exit(minimise.show(seed))
"""
# A mutant, the rule by which a seed fails, and how many events the shortest trace may have.
FAILURES = (
    ("vote-without-the-log", "R4", 60),
    ("read-before-own-commit", "X", 120),
    ("joint-configuration-is-not-left", "L", 60),
)


def test_nothing_is_left_that_could_go():
    def fails(trace):
        failing = "a" in trace and "c" in trace[trace.index("a") :]
        return trace[: trace.index("c", trace.index("a")) + 1] if failing else None

    assert shortest(list("xxaxxxbxxcxx"), fails) == ["a", "c"]


@pytest.mark.parametrize(("mutant", "rule", "most"), FAILURES)
def test_a_failing_seed_shows_a_short_trace(mutant, rule, most):
    arguments = [sys.executable, "-c", PROGRAM, str(TESTS), mutant, rule]
    done = subprocess.run(arguments, capture_output=True, text=True, cwd=TESTS.parent)
    assert done.returncode == 1, done.stderr
    first, *events, last = done.stdout.splitlines()
    assert f": {rule}: " in first
    assert last.startswith(f"{len(events)} of ")
    assert 0 < len(events) < most
