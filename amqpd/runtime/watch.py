"""Notices that files have changed, by looking at them now and then.

A look is one stat(2) for each file: modification time, size and inode, of what a symbolic link leads to, so that the
swap of a mounted volume (Kubernetes) is a change as well as an editor's rename. It happens in a thread, because a file
may lie where that takes long. Why this and no library: docs/decisions/watching-files.md.

Invariant: nothing is kept but the last look. A file that comes, goes, or is written is one change, however long that
takes, provided that two looks SETTLE_S apart agree in the end.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import trio

log = logging.getLogger("amqpd.node")

SETTLE_S: Final = 0.2  # a file that is being written is left alone for that long
SETTLES_MAX: Final = 25  # and for so many times at most: it may be a log
OFF_S: Final = 5.0  # between looks at the interval, while that is 0

Files = Callable[[], Iterable[Path]]
Look = dict[Path, tuple[int, int, int, int] | None]


def look_at(files: Iterable[Path]) -> Look:
    """How the files are now; None for one that is not there, or cannot be looked at. Blocks."""
    found: Look = {}
    for path in files:
        try:
            status = os.stat(path)
        except (OSError, ValueError):  # ValueError: no name of a file
            found[path] = None
        else:
            found[path] = (status.st_mtime_ns, status.st_size, status.st_ino, status.st_dev)
    return found


async def watch(files: Files, interval_s: Callable[[], float], changed: Callable[[], None]) -> None:
    """Call `changed` whenever one of `files` has changed, until cancelled.

    Both are asked before each look: they may change as well. An interval of 0 is no watching.
    """
    last: Look = {}
    while True:
        now = await _look(files)
        different = _different(last, now)
        if different:
            now = await _settled(files, now)
            log.info("changed: %s", ", ".join(map(str, different)))
            changed()
        last = now
        while not interval_s():
            last = {}  # what changes meanwhile is not waited for
            await trio.sleep(OFF_S)
        await trio.sleep(interval_s())


def _different(last: Look, now: Look) -> list[Path]:
    """What is not as it was; a file that is new among those to watch has not changed."""
    return [path for path in now if path in last and now[path] != last[path]]


async def _settled(files: Files, now: Look) -> Look:
    for _ in range(SETTLES_MAX):
        await trio.sleep(SETTLE_S)
        before, now = now, await _look(files)
        if now == before:
            break
    return now


async def _look(files: Files) -> Look:
    return await trio.to_thread.run_sync(look_at, list(files()), abandon_on_cancel=True)
