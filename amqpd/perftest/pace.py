"""Rates as times at which something is due, and values that change while a run goes on.

What is due has its own time, whether or not anybody was able to do it then. A message carries the time at which it was
due, so that a broker (or this program) that falls behind is seen in the latencies, and does not hide it by slowing down
those who measure. All times are nanoseconds of one clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

SECOND: Final = 1_000_000_000
NEVER: Final = 2**63 - 1


class Steps:
    """A value that holds for some seconds, then the next one, and so on around. One value alone holds for ever."""

    def __init__(self, steps: Sequence[tuple[float, float]]) -> None:
        """`steps` are values and seconds, at least one."""
        self._values: Final = [value for value, _seconds in steps]
        self._ends: Final[list[int]] = []
        end = 0
        for _value, seconds in steps:
            end += int(seconds * SECOND)
            self._ends.append(end)
        self._round: Final = end
        self.constant: Final = len(steps) == 1

    def at(self, elapsed: int) -> tuple[float, int]:
        """The value `elapsed` ns after the beginning, and how long from the beginning it holds."""
        if self.constant:
            return self._values[0], NEVER
        rounds, within = divmod(elapsed, self._round)
        for value, end in zip(self._values, self._ends, strict=True):
            if within < end:
                return value, rounds * self._round + end
        raise AssertionError("the last step ends with the round")

    def highest(self) -> float:
        """The highest value."""
        return max(self._values)


def constant(value: float) -> Steps:
    """A value that does not change."""
    return Steps([(value, 1)])


class Pace:
    """When each of a sequence of things is due, at so many a second. Rate 0: nothing is.

    Where the rate changes, counting begins anew: what was due before and not done is not made up for.
    """

    def __init__(self, rates: Steps, start: int) -> None:
        self._rates: Final = rates
        self._origin: Final = start  # of the steps
        self._begin = start  # of what holds now
        self._rate, until = rates.at(0)
        self._until = start + until if until != NEVER else NEVER
        self._done = 0

    def due(self, now: int, most: int) -> list[int]:
        """The times, not after `now`, of the next things that are due: at most `most`. They count as done."""
        while now >= self._until:
            self._begin = self._until
            self._rate, until = self._rates.at(self._begin - self._origin)
            self._until = self._origin + until
            self._done = 0
        if self._rate == 0 or now < self._begin:
            return []
        count = min(int((now - self._begin) * self._rate / SECOND) + 1 - self._done, most)
        first = self._done
        self._done += max(count, 0)
        begin, rate = self._begin, self._rate
        return [begin + int(number * SECOND / rate) for number in range(first, self._done)]

    def next_at(self) -> int:
        """When the next one is due."""
        if self._rate == 0:
            return self._until
        return min(self._begin + int(self._done * SECOND / self._rate) + 1, self._until)
