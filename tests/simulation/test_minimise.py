"""A failing run is shortened to what it takes to fail."""

import subprocess
import sys

from simulation.command import TESTS
from simulation.minimise import shortest

PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from simulation import mutation
mutation.install(mutation.mutants()["vote-without-the-log"])
from simulation import minimise
sys.exit(minimise.show(0))
"""


def test_nothing_is_left_that_could_go():
    def fails(trace):
        return trace.index("c") + 1 if "a" in trace and "c" in trace[trace.index("a") :] else 0

    assert shortest(list("xxaxxxbxxcxx"), fails) == ["a", "c"]


def test_a_failing_seed_shows_a_short_trace():
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(TESTS)], capture_output=True, text=True, cwd=TESTS.parent)
    assert done.returncode == 1, done.stderr
    first, *events, last = done.stdout.splitlines()
    assert first.startswith("seed 0, ")
    assert "R4" in first
    assert last.startswith(f"{len(events)} of ")
    assert 0 < len(events) < 40
