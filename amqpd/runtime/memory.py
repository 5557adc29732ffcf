"""The memory watch: how much this process uses, how much it may use, and the alarm between the two.

The limit is the container's (cgroup v2 or v1) where that is lower than the machine's memory: a share of the wrong
number would let the kernel kill the node before the alarm.
"""

from __future__ import annotations

import logging
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

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


def total_bytes(root: Path = Path("/")) -> int:
    """How much memory this process can have at most. `root` is where /proc and /sys are looked for."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [limit for limit in _cgroup_limits(root) if 0 < limit < _UNLIMITED]
    return min([machine, *limits])


def _cgroup_limits(root: Path) -> list[int]:
    """The limits of this process's cgroup and of those above it, in both versions of cgroups."""
    found = []
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    for line in lines:
        _number, controllers, path = line.split(":", 2)
        if controllers == "":
            base, name = root / "sys/fs/cgroup", "memory.max"
        elif "memory" in controllers.split(","):
            base, name = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        group = base / path.lstrip("/")
        # Within a container the path is often the host's, and not there: the mount's root is the container's group.
        for folder in (group, *group.parents):
            found.append(_number_in(folder / name))
            if folder == base:
                break
    return found


def _number_in(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # not there, or "max"
        return 0


def watermark_bytes(watermark: float, total: int) -> int:
    """The setting `vm_memory_high_watermark` in bytes: up to 1.0 it is a share of `total`."""
    return watermark if isinstance(watermark, int) else int(watermark * total)


async def watch(driver: Driver, high_bytes: int, used: Callable[[], int] = resident_bytes) -> None:
    """Raise the memory alarm above `high_bytes` and clear it below CLEAR_SHARE of that, until cancelled."""
    alarms = driver.broker.alarms
    raised = False
    while True:
        now = used()
        if not raised and now > high_bytes:
            raised = True
            log.warning("memory: %d bytes used, watermark %d: publishers are blocked", now, high_bytes)
            with driver.round():
                alarms.raise_for(MEMORY, SOURCE)
        elif raised and now <= high_bytes * CLEAR_SHARE:
            raised = False
            log.warning("memory: %d bytes used, watermark %d: publishers go on", now, high_bytes)
            with driver.round():
                alarms.clear_for(MEMORY, SOURCE)
        await trio.sleep(INTERVAL_S)
