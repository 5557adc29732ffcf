"""How fast this machine is just now: the CPU time of work that never changes, to divide other figures by.

Two loops of about the same length. One is plain Python (calls, attributes, a dict, slices of bytes, a list), which is
what the broker does where it is interpreted, and much of what it does where it is compiled. The other copies bytes in
pieces as large as reads and writes are, always to the same place: what an allocator makes of large pieces depends on
what was there before. A figure that is divided by their time says the same on a fast machine and on a
slow one, under a fast Python and a slow one, but for some ten percent.

Invariant: the loops are never changed. Whoever changes them has to record all relative figures anew.
"""

from __future__ import annotations

from time import process_time
from typing import Final

STEPS: Final = 4000
COPIES: Final = 256
PIECE: Final = 65_536
UNIT: Final = 1000
"""Relative figures are in thousandths of the loops' time."""


class Counter:
    """Something with an attribute and a method."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0

    def add(self, size: int) -> None:
        """Count."""
        self.count += size


def interpret() -> int:
    """The first loop; the result is always the same."""
    data = bytes(range(256)) * 4
    table: dict[bytes, Counter] = {}
    taken: list[bytes] = []
    for step in range(STEPS):
        start = step & 0xFF
        key = data[start : start + 8]
        counter = table.get(key)
        if counter is None:
            counter = Counter()
            table[key] = counter
        counter.add(len(key))
        taken.append(key)
    return sum([counter.count for counter in table.values()]) + len(b"".join(taken))


def copy() -> int:
    """The second one."""
    source = memoryview(bytes(2 * PIECE))
    into = memoryview(bytearray(PIECE))
    size = 0
    for step in range(COPIES):
        into[:] = source[step : step + PIECE]
        size += len(into)
    return size


def calibrate() -> float:
    """Run both; the CPU seconds that they took. A millisecond or two."""
    started = process_time()
    interpret()
    copy()
    return process_time() - started


def relative(seconds: float, calibration: float) -> float:
    """`seconds` in units of the calibration that was measured beside it."""
    return seconds * UNIT / calibration
