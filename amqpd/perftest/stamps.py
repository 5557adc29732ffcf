"""The time that a message carries: in nanoseconds of a clock of this machine, or in milliseconds of the day's time.

The first is exact, and other programs on this machine read the same clock (PerfTest, too). The second is for producers
and consumers on different machines, as good as their clocks agree.
"""

from __future__ import annotations

from typing import Final

MILLISECOND: Final = 1_000_000


class Stamps:
    """`epoch` is the time of day, in ns, when the clock that this program measures with stood at 0."""

    def __init__(self, use_millis: bool, epoch: int) -> None:
        self.use_millis: Final = use_millis
        self._offset: Final = epoch if use_millis else 0
        self._unit: Final = MILLISECOND if use_millis else 1

    def of(self, moment: int) -> int:
        """What stands in a message for this moment."""
        return (moment + self._offset) // self._unit

    def since(self, stamp: int, now: int) -> int:
        """Nanoseconds from then to now; below 0 if `stamp` is later, which clocks that disagree can make it."""
        return (self.of(now) - stamp) * self._unit
