"""The disk watch: how much is free where the data directory is, how much must be, and the alarm between the two.

It looks more often the nearer the limit is, as if the disk were filled at FAST_RATE, and while the alarm is raised only
now and then, so that it does not flutter. Rule and figures are RabbitMQ's (disk-alarms.md, rabbit_disk_monitor).

How much is free comes in through a function. It is called in trio's thread: statvfs(2) reads nothing from the disk.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

import trio

from amqpd.broker.alarms import DISK
from amqpd.errors import StorageError
from amqpd.runtime.driver import Driver
from amqpd.runtime.memory import available, shown

log = logging.getLogger("amqpd.node")

INTERVAL_MIN_S: Final = 0.1
INTERVAL_MAX_S: Final = 10.0
FAST_RATE: Final = 250_000_000  # bytes a second
SOURCE: Final = "free space"


class DiskWatch:
    """Raises the disk alarm while less than `limit_bytes` are free. `free_bytes` is what the last look found.

    `free` says how many bytes an unprivileged writer has; it raises StorageError where nobody knows.
    """

    def __init__(self, limit: float, free: Callable[[], int], root: Path = Path("/")) -> None:
        self._free: Final = free
        self._root: Final = root
        self._changed = trio.Event()
        self._unknown = False
        self.free_bytes = 0
        self.limit_bytes = 0
        self.raised = False
        self.configure(limit)

    def configure(self, limit: float) -> None:
        """Obey the setting `disk_free_limit`: a float is a share of the memory that is available, else it is bytes.

        What this comes to is logged. May be called while the watch runs, which looks at once then.
        """
        if isinstance(limit, int):
            self.limit_bytes = limit
            log.info("disk free limit %s", shown(limit))
        else:
            total, source = available(self._root)
            self.limit_bytes = int(limit * total)
            log.info("disk free limit %s: %s of %s (%s)", shown(self.limit_bytes), limit, shown(total), source)
        self._changed.set()

    async def run(self, driver: Driver) -> None:
        """The task, until cancelled."""
        while True:
            self._changed = trio.Event()
            self._look(driver)
            with trio.move_on_after(self._interval_s()):
                await self._changed.wait()

    def _look(self, driver: Driver) -> None:
        try:
            self.free_bytes = self._free()
        except StorageError as error:
            if not self._unknown:
                log.warning("how much of the disk is free is not known, and the disk alarm stays as it is: %s", error)
            self._unknown = True
            return
        self._unknown = False
        if self.raised == (self.free_bytes < self.limit_bytes):
            return
        self.raised = not self.raised
        what = "publishers are blocked" if self.raised else "publishers go on"
        log.warning("disk: %d bytes free, limit %d: %s", self.free_bytes, self.limit_bytes, what)
        with driver.round() as broker:
            if self.raised:
                broker.alarms.raise_for(DISK, SOURCE)
            else:
                broker.alarms.clear_for(DISK, SOURCE)

    def _interval_s(self) -> float:
        """Half the time in which the rest could be filled."""
        if self.raised or self._unknown:
            return INTERVAL_MAX_S
        rest_s = 2 * (self.free_bytes - self.limit_bytes) / FAST_RATE
        return max(INTERVAL_MIN_S, min(INTERVAL_MAX_S, rest_s))
