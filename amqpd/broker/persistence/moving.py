"""Frees the oldest file of the journal: whatever in it is alive moves to pages, in small steps.

The file is freed once three things are on disk: the pages; the settle records of what was not moved because it had just
been settled; and, in the pages' files, what the file's own settle records said of older pages. In steady traffic
messages die young, nothing is left to move, and a file costs one fdatasync of segment files.

Invariant: while a move is under way no other begins; files are freed in their order.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from amqpd.broker.persistence.keeper import Keeper
    from amqpd.broker.persistence.log import Log

_READY: Final = 0
_LENT: Final = 1

_LOGS_AT_ONCE: Final = 500


class Move:
    """Of `file`, in which the `logs` have something."""

    def __init__(self, keeper: Keeper, file: int, logs: list[Log]) -> None:
        self.file: Final = file
        self._keeper: Final = keeper
        self._logs: Final = deque(logs)
        self._below = -1
        self._phase = _READY
        self._needed = -1  # the batch that must be on disk, once all is moved
        self._synced = False

    def going_on(self) -> bool:
        """Whether there is something left to move."""
        return self._needed < 0

    def step(self) -> None:
        """Move some of it."""
        for _ in range(_LOGS_AT_ONCE):
            if not self._logs:
                self._moved()
                return
            if self._step(self._logs[0]):
                return

    def _step(self, log: Log) -> bool:
        """Whether that was enough work for now."""
        if log.gone:
            self._next()
            return False
        if self._below < 0:
            self._below = log.begin_move(self.file)
        if self._phase == _READY:
            if log.move_ready(self._below):
                return True
            self._phase = _LENT
            log.begin_move_lent(self._below)
        if log.move_lent():
            return True
        self._next()
        return False

    def _next(self) -> None:
        self._logs.popleft()
        self._below = -1
        self._phase = _READY

    def _moved(self) -> None:
        self._needed = self._keeper.gathered()
        self._keeper.segments.sync(self._pages_synced)

    def _pages_synced(self) -> None:
        self._synced = True

    def done(self, committed: int) -> bool:
        """Whether the file can be freed, now that batch `committed` is on disk."""
        return self._synced and 0 <= self._needed <= committed
