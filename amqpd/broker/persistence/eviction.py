"""Keeps the memory of waiting messages within its budget: those of the longest queues go to disk.

First everything but the heads of queues, whose consumers want them next; then, where many short queues are too much
together, the heads as well. A round moves a little at a time, so that nobody waits long. It begins when the budget is
used up, and goes on until a part of it is free: so pages are not the small change of every round.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from amqpd.broker.node import Broker
    from amqpd.broker.queues.ready import ReadyList

HEAD_KEPT: Final = 262_144  # bytes at the head of a queue that stay as long as others have more to give
_AT_ONCE: Final = 1_048_576  # bytes
_TRIED_AT_ONCE: Final = 1000  # queues
_ENOUGH: Final = 0.75  # of the budget
_RESCAN_MS: Final = 100


class Evictor:
    """Pages out what is too much, a step in each round that finds it `due`."""

    def __init__(self, broker: Broker) -> None:
        self._evicting = False
        self._broker: Final = broker
        self._longest: list[ReadyList] = []  # the longest last
        self._keep = HEAD_KEPT
        self._rescan_ms = 0

    def due(self) -> bool:
        """Whether there is too much in memory, or was a moment ago."""
        if self._broker.footprint.bytes > self._broker.limits.message_memory:
            self._evicting = True
        return self._evicting

    def step(self) -> bool:
        """Page something out. Whether there is more to page out in the next round."""
        broker = self._broker
        enough = int(broker.limits.message_memory * _ENOUGH)
        freed = 0
        tried = 0
        while broker.footprint.bytes > enough and freed < _AT_ONCE and tried < _TRIED_AT_ONCE:
            if not self._longest and not self._search():
                self._evicting = False
                return False
            level = self._longest[len(self._longest) - 1]
            bytes_out = level.page_out(self._keep, _AT_ONCE - freed)
            if bytes_out == 0:
                self._longest.pop()
            freed += bytes_out
            tried += 1
        self._evicting = broker.footprint.bytes > enough
        return self._evicting

    def _search(self) -> bool:
        """Look for queues that have something in memory. All of them are looked at, hence not often."""
        broker = self._broker
        if broker.now_ms < self._rescan_ms:
            return False
        self._rescan_ms = broker.now_ms + _RESCAN_MS
        self._keep = HEAD_KEPT
        self._longest = self._longer_than(HEAD_KEPT)
        if not self._longest:
            self._keep = 0
            self._longest = self._longer_than(0)
        self._longest.sort(key=_resident)
        return bool(self._longest)

    def _longer_than(self, size: int) -> list[ReadyList]:
        found: list[ReadyList] = []
        for vhost in self._broker.vhosts.values():
            for queue in vhost.queues.values():
                for level in queue.ready_lists():
                    if level.resident > size:
                        found.append(level)
        return found


def _resident(level: ReadyList) -> int:
    return level.resident
