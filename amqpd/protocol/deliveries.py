"""The deliveries of a channel that wait for their acknowledgement, by delivery tag.

Tags grow, so the entries stand in a list in order of tags. Settled ones stay as holes until the head passes them or
they outnumber the rest: a lookup is one index where tags are consecutive, a binary search where they are not.

Invariant: `count` entries of `_entries[_head:]` are not settled, and `_entries[_head]`, if any, is one of them.
"""

from __future__ import annotations

from amqpd.broker.message import Unacked

_COMPACT_AT = 64


class Deliveries:
    """Outstanding deliveries. Tags begin at 1; 0 stands for "all" where `multiple` is set."""

    def __init__(self) -> None:
        self._entries: list[Unacked] = []
        self._head = 0
        self.count = 0

    def add(self, unacked: Unacked) -> None:
        """A new delivery; its tag is greater than all before."""
        self._entries.append(unacked)
        self.count += 1

    def take(self, tag: int) -> Unacked | None:
        """Remove and return the delivery `tag`; None if it is unknown or settled."""
        index = self._find(tag)
        if index < 0:
            return None
        unacked = self._entries[index]
        self._settle(unacked)
        self._tidy()
        return unacked

    def take_up_to(self, tag: int) -> list[Unacked] | None:
        """Remove and return all deliveries up to `tag`, in order; None if `tag` is unknown or settled."""
        index = len(self._entries) - 1 if tag == 0 else self._find(tag)
        if index < 0:
            return [] if tag == 0 else None
        taken: list[Unacked] = []
        for at in range(self._head, index + 1):
            unacked = self._entries[at]
            if not unacked.settled:
                self._settle(unacked)
                taken.append(unacked)
        self._head = index + 1
        self._tidy()
        return taken

    def take_all(self) -> list[Unacked]:
        """Remove and return everything, in order."""
        taken = self.take_up_to(0)
        assert taken is not None
        return taken

    def take_of(self, consumer: object) -> list[Unacked]:
        """Remove and return one consumer's deliveries, in order."""
        taken = [unacked for unacked in self.outstanding() if unacked.consumer is consumer]
        for unacked in taken:
            self._settle(unacked)
        self._tidy()
        return taken

    def restore(self, taken: list[Unacked]) -> None:
        """Put back what was taken: outstanding as before."""
        entries = self.outstanding() + taken
        for unacked in taken:
            unacked.settled = False
        entries.sort(key=lambda unacked: unacked.tag)
        self._entries = entries
        self._head = 0
        self.count = len(entries)

    def outstanding(self) -> list[Unacked]:
        """Everything that waits, in order of tags."""
        return [unacked for unacked in self._entries[self._head :] if not unacked.settled]

    def _settle(self, unacked: Unacked) -> None:
        unacked.settled = True
        self.count -= 1

    def _find(self, tag: int) -> int:
        """The index of the delivery `tag` if it is outstanding, else -1."""
        entries = self._entries
        head = self._head
        size = len(entries)
        if head >= size:
            return -1
        index = head + tag - entries[head].tag
        if index < head:
            return -1
        if index >= size or entries[index].tag != tag:
            index = self._search(tag)
        if index < 0 or entries[index].settled:
            return -1
        return index

    def _search(self, tag: int) -> int:
        low = self._head
        high = len(self._entries)
        while low < high:
            middle = (low + high) // 2
            if self._entries[middle].tag < tag:
                low = middle + 1
            else:
                high = middle
        return low if low < len(self._entries) and self._entries[low].tag == tag else -1

    def _tidy(self) -> None:
        entries = self._entries
        if self.count == 0:
            entries.clear()
            self._head = 0
            return
        head = self._head
        while entries[head].settled:
            head += 1
        self._head = head
        if len(entries) > _COMPACT_AT and len(entries) > 2 * self.count:
            self._entries = [unacked for unacked in entries[head:] if not unacked.settled]
            self._head = 0
