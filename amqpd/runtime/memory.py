"""The memory watch: how much this process uses, how much it may use, and the alarm between the two.

The limit is the container's (cgroup v2 or v1) where that is lower than the machine's memory: a share of the wrong
number would let the kernel kill the node before the alarm. What was found is logged, with the file that said so.

Sources: cgroup v2, cgroup-v2.rst "Memory" (memory.max kills, memory.high slows a process down until it stands still);
cgroup v1, memory.rst (memory.limit_in_bytes).
"""

from __future__ import annotations

import logging
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import trio

from amqpd.broker.alarms import MEMORY
from amqpd.runtime.driver import Driver

log = logging.getLogger("amqpd.node")

INTERVAL_S: Final = 1.0
CLEAR_SHARE: Final = 0.95  # of the watermark: the alarm must not flutter
SOURCE: Final = "watermark"

_UNLIMITED: Final = 2**60  # cgroup v1 says "no limit" by a number about as great as this


def resident_bytes() -> int:
    """How much memory this process holds now; where the system does not say, the most it ever held."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024  # bytes there, KiB elsewhere


class Available(NamedTuple):
    """How much memory this process can have at most, and who says so."""

    total: int
    source: str


def available(root: Path = Path("/")) -> Available:
    """The least of the machine's memory and the limits of this process's groups. `root` is where /proc and /sys are.

    Reads a few files of the kernel's.
    """
    machine = Available(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), "this machine")
    return min([machine, *_cgroup_limits(root)])


def _cgroup_limits(root: Path) -> list[Available]:
    """The limits of this process's cgroup and of those above it, in both versions of cgroups."""
    found = []
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    for line in lines:
        _number, controllers, path = line.split(":", 2)
        if controllers == "":
            version, base, names = "v2", root / "sys/fs/cgroup", ["memory.max", "memory.high"]
        elif "memory" in controllers.split(","):
            version, base, names = "v1", root / "sys/fs/cgroup/memory", ["memory.limit_in_bytes"]
        else:
            continue
        group = base / path.lstrip("/")
        # Within a container the path is often the host's, and not there: the mount's root is the container's group.
        for folder in (group, *group.parents):
            for name in names:
                limit = _number_in(folder / name)
                if 0 < limit < _UNLIMITED:
                    found.append(Available(limit, f"cgroup {version} {folder / name}"))
            if folder == base:
                break
    return found


def _number_in(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # not there, or "max"
        return 0


def shown(size: int) -> str:
    """A number of bytes for people."""
    for unit, scale in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}".replace(".0 ", " ")
    return f"{size} bytes"


class MemoryWatch:
    """Raises the memory alarm above the watermark, and clears it below CLEAR_SHARE of that.

    `used` says how many bytes the process has now.
    """

    def __init__(self, watermark: float, used: Callable[[], int] = resident_bytes, root: Path = Path("/")) -> None:
        self._used: Final = used
        self._root: Final = root
        self.high_bytes = 0
        self.configure(watermark)

    def configure(self, watermark: float) -> None:
        """Obey the setting `vm_memory_high_watermark`: up to 1.0 it is a share of what is available, else bytes.

        What this comes to is logged. May be called while the watch runs.
        """
        total, source = available(self._root)
        if isinstance(watermark, int):
            self.high_bytes = watermark
            log.info("memory watermark %s, of %s (%s)", shown(watermark), shown(total), source)
        else:
            self.high_bytes = int(watermark * total)
            log.info("memory watermark %s: %s of %s (%s)", shown(self.high_bytes), watermark, shown(total), source)

    async def run(self, driver: Driver) -> None:
        """The task, until cancelled."""
        alarms = driver.broker.alarms
        raised = False
        while True:
            now = self._used()
            if not raised and now > self.high_bytes:
                raised = True
                log.warning("memory: %d bytes used, watermark %d: publishers are blocked", now, self.high_bytes)
                with driver.round():
                    alarms.raise_for(MEMORY, SOURCE)
            elif raised and now <= self.high_bytes * CLEAR_SHARE:
                raised = False
                log.warning("memory: %d bytes used, watermark %d: publishers go on", now, self.high_bytes)
                with driver.round():
                    alarms.clear_for(MEMORY, SOURCE)
            await trio.sleep(INTERVAL_S)
