"""How often which latency occurred, in bounded memory: buckets that grow with the value.

Values below 2 * STEPS have a bucket each. Above, every doubling is cut in STEPS buckets, so that a bucket is never
wider than a STEPS-th of what is in it: with 128, what is read out is at most 0.8 % below what was put in. Minimum,
maximum and sum are exact. The unit is the caller's.

Invariant: `count` is the sum of all buckets; there are never more than BUCKETS of them.
"""

from __future__ import annotations

from typing import Final

STEP_BITS: Final = 7
STEPS: Final = 1 << STEP_BITS
VALUE_MAX: Final = 2**63 - 1
BUCKETS: Final = (63 - STEP_BITS + 1) * STEPS


def bucket_of(value: int) -> int:
    """The bucket of a value from 0 to VALUE_MAX."""
    if value < 2 * STEPS:
        return value
    shift = value.bit_length() - STEP_BITS - 1
    return (shift << STEP_BITS) + (value >> shift)


def lowest_of(bucket: int) -> int:
    """The lowest value of a bucket: the inverse of `bucket_of`."""
    if bucket < 2 * STEPS:
        return bucket
    shift = (bucket >> STEP_BITS) - 1
    return ((bucket & (STEPS - 1)) + STEPS) << shift


class Histogram:
    """Values from 0 on. What is below 0 counts as 0, what is above VALUE_MAX as that."""

    def __init__(self) -> None:
        self.count = 0
        self.total = 0
        self.lowest = VALUE_MAX
        self.highest = 0
        self._buckets: Final[dict[int, int]] = {}

    def record(self, value: int, times: int = 1) -> None:
        """Put in a value, `times` times (at least once)."""
        value = min(max(value, 0), VALUE_MAX)
        bucket = bucket_of(value)
        self._buckets[bucket] = self._buckets.get(bucket, 0) + times
        self.count += times
        self.total += value * times
        self.lowest = min(self.lowest, value)
        self.highest = max(self.highest, value)

    def add(self, other: Histogram) -> None:
        """Put in everything that is in another one."""
        for bucket, times in other._buckets.items():
            self._buckets[bucket] = self._buckets.get(bucket, 0) + times
        self.count += other.count
        self.total += other.total
        self.lowest = min(self.lowest, other.lowest)
        self.highest = max(self.highest, other.highest)

    def clear(self) -> None:
        """Forget everything."""
        self._buckets.clear()
        self.count = 0
        self.total = 0
        self.lowest = VALUE_MAX
        self.highest = 0

    @property
    def minimum(self) -> int:
        """The lowest value, or 0 if there is none."""
        return self.lowest if self.count else 0

    @property
    def mean(self) -> float:
        """The average, or 0 if there is nothing."""
        return self.total / self.count if self.count else 0.0

    def quantiles(self, *shares: float) -> list[int]:
        """For each share from 0 to 1, in rising order, the value that this share of all does not exceed; 0 if empty."""
        found: list[int] = []
        buckets = sorted(self._buckets.items())
        place = 0
        seen = 0
        for share in shares:
            wanted = max(1, -int(-share * self.count // 1))
            while place < len(buckets) and seen + buckets[place][1] < wanted:
                seen += buckets[place][1]
                place += 1
            value = lowest_of(buckets[place][0]) if place < len(buckets) else self.highest
            found.append(min(max(value, self.minimum), self.highest))
        return found
