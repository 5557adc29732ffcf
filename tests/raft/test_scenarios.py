"""The directed scenarios of tests/simulation/scenarios.py, each on its own; and that a scenario can fail."""

import pytest
from simulation.checker import Violation
from simulation.play import Unmet, play
from simulation.scenarios import OPEN, SCENARIOS


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.xfail(reason=OPEN[name], strict=True)) if name in OPEN else name
        for name in SCENARIOS
    ],
)
def test_scenario(name):
    play(SCENARIOS[name])


@pytest.mark.parametrize(
    "lie",
    [
        "expect 1 role=follower",
        "expect 1 commit=7",
        "expect sent 1>2 snapshot",
        "expect no sent 1>2 append",
        "expect sent 7 times 1>2 append",
        "deliver 1>2 append",
        "expect refused",
        "expect answer no",
        "expect 2 damaged=yes",
    ],
)
def test_a_scenario_that_lies_fails(lie):
    with pytest.raises((Unmet, ValueError)):
        play(f"group 1 2 3\nelect 1\npropose 1 a\nsettle\n{lie}\n")


def test_a_forged_majority_is_noticed():
    text = "group 1 2 3\nelect 1\npropose 1 a\ncomplete 1 9\nforge 2>1 ack term=1 index=2\n"
    with pytest.raises(Violation, match="R7"):
        play(text)
