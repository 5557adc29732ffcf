"""A block of seeds of the simulated group, the coverage that they have, and every seed that ever found something.

More of them: tools/raft simulate --seeds N. One of them: tools/raft seed N.
"""

import pytest
from simulation import swarm
from simulation.checker import Violation

SEEDS = 300
# Seeds that once found something, in the core or in the simulation itself, and what that was. EARLY ones are of the
# time when a swarm had no upheavals and no strays, and are run so.
EARLY = {
    10: "a forwarded proposal that the network brought twice took effect twice",
    40: "a copy of a disk that was made while its node ran passed for the disk",
    59: "a lost snapshot that nobody reported kept its follower waiting",
    13094: "an older copy of a leader's disk passed, as what the leader counted itself was not remembered",
    13495: "an empty disk passed where a member was alone",
    13048: "a long way to catch up passed for standing still",
    347: "a removed leader left members behind that waited for its vote for ever",
    232: "entries that a snapshot had overtaken were applied in the configuration behind it",
    3004590: "an entry that rotted below a snapshot left a log that ended before it",
    3007202: "what a disk had acknowledged before it rotted did not count for a majority",
    3007555: "as 3004590",
}
REGRESSIONS = {
    66: "a member that joined late, with an old program, kept the version of the machine down",
    1004109: "orders to hand over, one after the other, put off the check of the quorum",
    1114311: "twenty elections in a row that nobody won passed for a group that cannot elect",
    469: "a new voter that had long been silent as a learner was taken for a lost majority",
}


def test_seeds_and_their_coverage():
    coverage = swarm.Coverage()
    for seed in range(SEEDS):
        try:
            swarm.run(seed, coverage)
        except Violation as violation:
            pytest.fail(f"seed {seed}: {violation} (tools/raft seed {seed} shows the shortest trace)")
    print(coverage)
    assert not coverage.low(), f"coverage fell; {coverage}"


@pytest.mark.parametrize("seed", EARLY)
def test_early_regression(seed):
    swarm.run(seed, early=True)


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
