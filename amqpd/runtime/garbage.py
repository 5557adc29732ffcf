"""The garbage collector of a node's process, so that it never keeps everybody waiting.

A collection takes as long as there are objects to look at: 10 ms for 30,000 to 60,000. A node with 100,000 queues has a
million that are there to stay. Therefore collections come often, so that each has little that is new to look at, and
what has survived a full one that took long is frozen: it is never looked at again.

That is right because nothing that lives long needs the collector: connections, channels and queues undo the cycles of
references in which they stand when they end, and are freed at once (tests/protocol/test_freed.py). What does need it,
an exception with its traceback for instance, does not live long. Where full collections are short nothing is frozen.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Final

THRESHOLDS: Final = (2000, 2, 1)
"""New objects before a collection of the young; those before one of the middle; those before a full one. So one looks
at 2000, at 6000 or at 18,000 objects."""

LONG_S: Final = 0.002


class Freezer:
    """Freezes what survived a full collection that took longer than LONG_S. `clock` in seconds."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter, freeze: Callable[[], None] = gc.freeze) -> None:
        self._clock: Final = clock
        self._freeze: Final = freeze
        self._began = 0.0

    def collected(self, phase: str, details: dict[str, int]) -> None:
        """A callback of `gc.callbacks`."""
        if phase == "start":
            self._began = self._clock()
        elif details["generation"] == 2 and self._clock() - self._began > LONG_S:
            self._freeze()


def tune() -> None:
    """Collect as described from now on. What is there now stays, and is frozen. For a process that is one node."""
    gc.freeze()
    gc.callbacks.append(Freezer().collected)
    gc.set_threshold(*THRESHOLDS)
    gc.enable()
