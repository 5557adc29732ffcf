"""A block of seeds of the simulated group, the coverage that they have, and every seed that ever found something.

More of them: tools/raft simulate --seeds N. One of them: tools/raft seed N.
"""

import pytest
from simulation import swarm
from simulation.checker import Violation

SEEDS = 300
# Per thousand events. Below them, the faults no longer meet anything worth testing.
FLOORS = {
    "elections": 0.6,
    "overwritten": 0.1,
    "snapshots": 0.2,
    "changes": 1.0,
    "crashes": 0.4,
    "messages": 400.0,
}
# Seeds that once found something, in the core or in the simulation itself, and what that was.
REGRESSIONS = {
    10: "a forwarded proposal that the network brought twice took effect twice",
    40: "a copy of a disk that was made while its node ran passed for the disk",
    59: "a lost snapshot that nobody reported kept its follower waiting",
    13094: "an older copy of a leader's disk passed, as what the leader counted itself was not remembered",
    13495: "an empty disk passed where a member was alone",
    13048: "a long way to catch up passed for standing still",
    347: "a removed leader left members behind that waited for its vote for ever",
    232: "entries that a snapshot had overtaken were applied in the configuration behind it",
}


def test_seeds_and_their_coverage():
    coverage = swarm.Coverage()
    for seed in range(SEEDS):
        try:
            swarm.run(seed, coverage)
        except Violation as violation:
            pytest.fail(f"seed {seed}: {violation} (tools/raft seed {seed} shows the shortest trace)")
    print(coverage)
    low = {name: coverage.per_thousand(name) for name, floor in FLOORS.items() if coverage.per_thousand(name) < floor}
    assert not low, f"coverage fell: {low}; {coverage}"


@pytest.mark.parametrize("seed", REGRESSIONS)
def test_regression(seed):
    swarm.run(seed)


def test_a_seed_gives_the_same_run_each_time():
    traces = []
    for _ in range(2):
        one = swarm.Swarm(7, record=True)
        one.run()
        traces.append([(event[0], event[1], repr(event[2:])) for event in one.world.trace if event[0] != "operate"])
    assert traces[0] == traces[1]
