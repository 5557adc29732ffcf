"""Frees the oldest file of the journal: whatever in it is alive moves to pages, in small steps.

A move goes through stages, and waits in between for the disk:

    written   every batch of the file is on disk: what is alive in it is known, and can be on a page
    moved     it is; what was settled meanwhile is in the batch that is gathered, or in earlier ones
    settled   that batch is on disk, and the pages have been told what it says of them, as all before it
    synced    pages, and what was settled on them, are on disk: nothing needs the file any more

A log whose queue is being deleted is waited for: until that is stored a crash brings the queue back.

In steady traffic messages die young, nothing is left to move, and a file costs one sync of segment files.

Invariant: while a move is under way no other begins; files are freed in their order.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from amqpd.broker.persistence.keeper import Keeper
    from amqpd.broker.persistence.log import Log

_WRITING: Final = 0
_MOVING: Final = 1
_SETTLING: Final = 2
_SYNCING: Final = 3
_DONE: Final = 4

_AT_ONCE: Final = 2_097_152  # bytes of messages in a round
_LOG_COST: Final = 4096  # bytes, so that logs without messages count too


class Move:
    """Of `file`, in which the `logs` have something, and no batch after `last` stands."""

    def __init__(self, keeper: Keeper, file: int, logs: list[Log], last: int) -> None:
        self.file: Final = file
        self._keeper: Final = keeper
        self._logs: Final = deque(logs)
        self._stage = _WRITING
        self._needed = last  # the batch that has to be on disk for the next stage
        self._below = -1  # of the first log: what stands below this position is in the file, or was
        self._lent = False  # whether what waits in the first log has been moved, and what is lent is next

    @property
    def done(self) -> bool:
        """Whether nothing needs the file any more."""
        return self._stage == _DONE

    def advance(self) -> bool:
        """Go on as far as the disk allows, but for a limit. Whether there is more to do in the next round."""
        keeper = self._keeper
        if self._stage == _WRITING and keeper.committed_to >= self._needed:
            self._stage = _MOVING
        if self._stage == _MOVING:
            self._step()
            if self._logs:
                return not self._logs[0].leaving()
            self._stage = _SETTLING
            self._needed = keeper.gathered()
        if self._stage == _SETTLING and keeper.committed_to >= self._needed and keeper.told():
            self._stage = _SYNCING
            keeper.segments.sync(self._synced)
        return False

    def _step(self) -> None:
        spent = 0
        while self._logs and spent < _AT_ONCE and not self._logs[0].leaving():
            spent += _LOG_COST + self._move(self._logs[0])

    def _move(self, log: Log) -> int:
        """Move some of a log; the next one's turn comes when nothing is left. Returns the bytes."""
        if not log.gone:
            if self._below < 0:
                self._below = log.begin_move(self.file)
            if not self._lent:
                moved = log.move_ready(self._below)
                if moved:
                    return moved
                self._lent = True
                log.begin_move_lent(self._below)
            moved = log.move_lent()
            if moved:
                return moved
        self._logs.popleft()
        self._below = -1
        self._lent = False
        return 0

    def _synced(self) -> None:
        self._stage = _DONE
