"""Sorted, disjoint ranges of indexes: which messages of a log are gone.

Both ends of a range belong to it. Ranges that touch are one. Finding a place is a binary search; most calls come at the
end or at the beginning and cost next to nothing.

Invariants: `firsts` and `lasts` have the same length; firsts[i] <= lasts[i] < firsts[i + 1] - 1.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Final


class Ranges:
    """A set of indexes (int >= 0)."""

    __slots__ = ("_count", "firsts", "lasts")

    def __init__(self) -> None:
        self.firsts: Final[list[int]] = []
        self.lasts: Final[list[int]] = []
        self._count = 0

    def contains(self, index: int) -> bool:
        """Whether `index` is there."""
        place = bisect_right(self.firsts, index) - 1
        return place >= 0 and index <= self.lasts[place]

    def __contains__(self, index: int) -> bool:
        return self.contains(index)

    def __bool__(self) -> bool:
        return self._count > 0

    def count(self) -> int:
        """How many indexes there are."""
        return self._count

    def add(self, first: int, last: int) -> int:
        """Put in all from `first` to `last`, first <= last. Returns how many of them were not there."""
        lasts = self.lasts
        if not lasts or first > lasts[-1] + 1:
            self.firsts.append(first)
            lasts.append(last)
            self._count += last - first + 1
            return last - first + 1
        # The ranges from `low` up to, without, `high` touch the new one and become part of it.
        low = bisect_left(lasts, first - 1)
        high = bisect_right(self.firsts, last + 1)
        size = last - first + 1
        for place in range(low, high):
            size -= max(0, min(last, lasts[place]) - max(first, self.firsts[place]) + 1)
        if low < high:
            first = min(first, self.firsts[low])
            last = max(last, lasts[high - 1])
        self.firsts[low:high] = [first]
        lasts[low:high] = [last]
        self._count += size
        return size

    def discard(self, first: int, last: int) -> int:
        """Take out all from `first` to `last`. Returns how many of them were there."""
        firsts = self.firsts
        lasts = self.lasts
        low = bisect_left(lasts, first)
        high = bisect_right(firsts, last)
        if low >= high:
            return 0
        size = 0
        for place in range(low, high):
            size += min(last, lasts[place]) - max(first, firsts[place]) + 1
        new_firsts: list[int] = []
        new_lasts: list[int] = []
        if firsts[low] < first:
            new_firsts.append(firsts[low])
            new_lasts.append(first - 1)
        if lasts[high - 1] > last:
            new_firsts.append(last + 1)
            new_lasts.append(lasts[high - 1])
        firsts[low:high] = new_firsts
        lasts[low:high] = new_lasts
        self._count -= size
        return size

    def count_between(self, first: int, last: int) -> int:
        """How many there are from `first` to `last`."""
        size = 0
        for place in range(bisect_left(self.lasts, first), bisect_right(self.firsts, last)):
            size += min(last, self.lasts[place]) - max(first, self.firsts[place]) + 1
        return size

    def spans(self) -> list[tuple[int, int]]:
        """Every range as (first, last)."""
        return list(zip(self.firsts, self.lasts, strict=True))

    def spans_between(self, first: int, last: int) -> list[tuple[int, int]]:
        """Every range as far as it is from `first` to `last`."""
        found: list[tuple[int, int]] = []
        for place in range(bisect_left(self.lasts, first), bisect_right(self.firsts, last)):
            found.append((max(first, self.firsts[place]), min(last, self.lasts[place])))
        return found

    def copy(self) -> Ranges:
        """Another one with the same indexes."""
        found = Ranges()
        found.update(self)
        return found

    def gaps(self, first: int, last: int) -> list[tuple[int, int]]:
        """What is not there of `first` to `last`, as ranges."""
        found: list[tuple[int, int]] = []
        for place in range(bisect_left(self.lasts, first), bisect_right(self.firsts, last)):
            if self.firsts[place] > first:
                found.append((first, self.firsts[place] - 1))
            first = self.lasts[place] + 1
        if first <= last:
            found.append((first, last))
        return found

    def update(self, other: Ranges) -> None:
        """Put in all that `other` has."""
        for place in range(len(other.firsts)):
            self.add(other.firsts[place], other.lasts[place])
