"""Bugs put into the core are noticed: all of them by the directed scenarios, and some by the simulation alone.

The list: tests/raft/mutants/mutants.toml. All of them in all ways, with time: tools/raft mutants.
"""

import os

import pytest
from simulation import command, mutation

pytestmark = pytest.mark.skipif(
    os.environ.get("AMQPD_EXPECT") == "compiled", reason="works on the source in either half: once is enough"
)

RULES = {f"C{number}" for number in range(1, 14)}
# Found by random faults within a few seeds, each by another invariant; without the scenarios' help.
SIMULATED = (
    "vote-before-it-is-durable",
    "ack-of-repeated-entries-at-once",
    "unsynced-entries-are-applied",
    "appends-without-agreement",
    "vote-without-the-log",
    "votes-twice",
    "changes-on-changes",
    "half-is-a-majority",
    "snapshot-brings-no-members",
    "read-without-a-quorum",
)
BUDGET_S = 20.0


def survivors(names, way):
    results = list(command.Hunt(list(names), [way], BUDGET_S).results())
    assert [result["name"] for result in results] == list(names)
    return [result["name"] for result in results if not result["by"]]


def test_each_rule_is_broken_by_a_mutant():
    listed = mutation.mutants().values()
    assert not RULES - {mutant.rule for mutant in listed}
    assert len(listed) >= 25


def test_scenarios_notice_every_mutant():
    assert not survivors(mutation.mutants(), "scenarios")


def test_simulation_notices_mutants_by_itself():
    assert not survivors(SIMULATED, "simulation")


def test_a_mutant_whose_lines_are_gone_is_an_error():
    mutant = mutation.Mutant("stale", "C1", "core.py", "no such line", "another")
    with pytest.raises(mutation.Misfit, match="0 times in core"):
        mutant.applied((mutation.SOURCE / "core.py").read_text())
