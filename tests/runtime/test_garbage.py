"""What the garbage collector looks at (runtime.garbage)."""

import subprocess
import sys

import pytest

from amqpd.runtime.garbage import LONG_S, Freezer


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def frozen_by(generation, seconds):
    clock, frozen = Clock(), []
    freezer = Freezer(clock, lambda: frozen.append(True))
    freezer.collected("start", {"generation": generation})
    clock.now += seconds
    freezer.collected("stop", {"generation": generation, "collected": 0, "uncollectable": 0})
    return bool(frozen)


@pytest.mark.parametrize(
    ("generation", "seconds", "frozen"),
    [(2, LONG_S * 2, True), (2, LONG_S / 2, False), (1, LONG_S * 2, False), (0, LONG_S * 2, False)],
)
def test_what_a_long_full_collection_left_is_frozen(generation, seconds, frozen):
    assert frozen_by(generation, seconds) == frozen


def test_a_tuned_process():
    """In a process of its own: it is for a whole process."""
    program = """
import gc
from amqpd.runtime import garbage
garbage.LONG_S = -1.0
gc.disable()
garbage.tune()
there = gc.get_freeze_count()
assert there > 1000 and gc.isenabled()
kept = [[] for _ in range(100_000)]
assert gc.get_freeze_count() > there + 50_000
class Knot: pass
for _ in range(10_000):
    knot = Knot()
    knot.me = knot
assert len([found for found in gc.get_objects() if isinstance(found, Knot)]) < 5000
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
