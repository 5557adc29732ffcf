"""A plugin that times what keeps a node's event loop busy: collections of garbage, and steps of tasks.

A node that is started with `plugins=pausewatch` and this directory in its PYTHONPATH notes the longest of each, and at
each SIGUSR1 writes them as one JSON object to the file that PAUSEWATCH names and begins anew. A step is what happens
between two checkpoints: its length is how long everybody else waits. It is told twice: by the clock, and in CPU time of
the thread, which other processes on the same machine cannot lengthen, and which waiting for the disk does not show.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import time
from types import FrameType
from typing import Any

import trio


class Watch(trio.abc.Instrument):
    """The longest pauses since `reset`, in seconds."""

    def __init__(self) -> None:
        self.reset()
        self._step = (0.0, 0.0)
        self._collection = (0.0, 0.0)

    def reset(self) -> None:
        """Begin anew."""
        self.step_s = 0.0
        self.step_cpu_s = 0.0
        self.step_task = ""
        self.collection_s = [0.0, 0.0, 0.0]
        self.collections = [0, 0, 0]

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._step = (time.perf_counter(), time.thread_time())

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        began, began_cpu = self._step
        self.step_s = max(self.step_s, time.perf_counter() - began)
        cpu = time.thread_time() - began_cpu
        if cpu > self.step_cpu_s:
            self.step_cpu_s = cpu
            self.step_task = task.name

    def collected(self, phase: str, details: dict[str, int]) -> None:
        """A callback of `gc`: in CPU time."""
        if phase == "start":
            self._collection = (time.thread_time(), 0.0)
            return
        generation = details["generation"]
        self.collections[generation] += 1
        self.collection_s[generation] = max(self.collection_s[generation], time.thread_time() - self._collection[0])

    def report(self, number: int, frame: FrameType | None) -> None:
        """Write what was seen, whole or not at all, and begin anew."""
        path = os.environ["PAUSEWATCH"]
        figures = {
            "step_ms": round(self.step_s * 1000, 3),
            "step_cpu_ms": round(self.step_cpu_s * 1000, 3),
            "step_task": self.step_task,
            "gc_ms": [round(seconds * 1000, 3) for seconds in self.collection_s],
            "gc_count": self.collections,
        }
        self.reset()
        with open(path + ".new", "w") as file:
            json.dump(figures, file)
        os.replace(path + ".new", path)


def on_start(broker: Any) -> None:
    """Watch from now on."""
    watch = Watch()
    gc.callbacks.append(watch.collected)
    trio.lowlevel.add_instrument(watch)
    signal.signal(signal.SIGUSR1, watch.report)
