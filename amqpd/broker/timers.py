"""Everything that is due at a time, in one heap: TTLs, expiries, heartbeats, time-outs.

Does not read a clock: `run(now_ms)` is told the time and `next_due_ms` says when it wants to be called. A timer fires
once; firing it again takes another `schedule`.

Invariant: a timer stands in the heap at most once with its current due time; entries that were cancelled or moved are
recognised by their due time and dropped when they surface, and the heap is rebuilt when those outnumber the live ones.
"""

from __future__ import annotations

import heapq
from typing import Final

from mypy_extensions import mypyc_attr

IDLE: Final = -1


@mypyc_attr(allow_interpreted_subclasses=True)
class Timer:
    """Something that is due. Subclasses say what happens."""

    def __init__(self) -> None:
        self.due_ms = IDLE

    def fire(self, now_ms: int) -> None:
        """Called once, at or after the due time."""
        raise NotImplementedError


class Timers:
    """The heap. All times in ms on the caller's clock."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Timer]] = []
        self._order = 0
        self._live = 0

    def __len__(self) -> int:
        return self._live

    def schedule(self, timer: Timer, due_ms: int) -> None:
        """(Re)schedule `timer`."""
        if timer.due_ms == due_ms:
            return
        if timer.due_ms == IDLE:
            self._live += 1
        timer.due_ms = due_ms
        self._order += 1
        heapq.heappush(self._heap, (due_ms, self._order, timer))
        if len(self._heap) > 64 and len(self._heap) > 4 * self._live:
            self._rebuild()

    def cancel(self, timer: Timer) -> None:
        """Make `timer` idle; nothing happens if it was."""
        if timer.due_ms != IDLE:
            timer.due_ms = IDLE
            self._live -= 1

    def next_due_ms(self) -> int:
        """When `run` should be called next, or IDLE."""
        heap = self._heap
        while heap and heap[0][2].due_ms != heap[0][0]:
            heapq.heappop(heap)
        return heap[0][0] if heap else IDLE

    def run(self, now_ms: int) -> None:
        """Fire everything due by `now_ms`, in order of due times."""
        while True:
            due_ms = self.next_due_ms()
            if due_ms == IDLE or due_ms > now_ms:
                return
            timer = heapq.heappop(self._heap)[2]
            timer.due_ms = IDLE
            self._live -= 1
            timer.fire(now_ms)

    def _rebuild(self) -> None:
        seen: set[int] = set()
        live: list[tuple[int, int, Timer]] = []
        for entry in self._heap:
            timer = entry[2]
            if timer.due_ms == entry[0] and id(timer) not in seen:
                seen.add(id(timer))
                live.append(entry)
        heapq.heapify(live)
        self._heap = live
