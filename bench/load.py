"""One run of amqpload against one node: build the program, run it, take its figures.

What the flags and figures mean: README.md. A run whose messages were lost, doubled or out of order is no error here:
its figures say so in "ok", and whoever asked decides.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.node import Node

__all__ = ["AMQPLOAD", "Figures", "LoadError", "build", "find", "run", "start"]

DIRECTORY = Path(__file__).resolve().parent / "amqpload"
AMQPLOAD = DIRECTORY / "build" / "amqpload"
TIMEOUT_S = 120.0
COMPLAINT_SHOWN = 400

Figures = dict[str, Any]


class LoadError(Exception):
    """amqpload could not be built, or ended without figures."""


def build() -> Path:
    """Make amqpload if it is older than its source; seconds. Raises LoadError, which says what is missing."""
    try:
        done = subprocess.run(["make", "-s", "-C", DIRECTORY], capture_output=True, text=True, timeout=TIMEOUT_S)
    except OSError as error:
        raise LoadError(f"amqpload cannot be built: {error}") from None
    if done.returncode:
        raise LoadError(done.stderr.strip())
    return AMQPLOAD


def run(node: Node, options: str | Sequence[str], timeout_s: float = TIMEOUT_S) -> Figures:
    """Run amqpload against `node` and return what it printed; blocks until it has ended.

    A complaint on its stderr is in "complaint". Raises LoadError if there are no figures: it could not connect, was
    refused, or took longer than `timeout_s`.
    """
    return start(node, options).figures(timeout_s)


class Running:
    """A run that has been started. `figures` must be called once."""

    def __init__(self, node: Node, words: list[str], watched: list[str]) -> None:
        self._node = node
        self._words = words
        self._watched = watched
        self._cpu_s = node.cpu_s()
        self._process = subprocess.Popen(
            [str(AMQPLOAD), "--port", str(node.port), *words, *watched, "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def figures(self, timeout_s: float = TIMEOUT_S) -> Figures:
        """As `run` returns and raises."""
        try:
            printed, complained = self._process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            raise LoadError(f"{' '.join(self._words)}: no end within {timeout_s:.0f} s") from None
        finally:
            if self._process.returncode is None:
                self._process.kill()
                self._process.communicate()
        complaint = complained.strip()[-COMPLAINT_SHOWN:]
        try:
            figures: Figures = json.loads(printed)
        except ValueError:
            reason = complaint or f"ended with code {self._process.returncode}"
            raise LoadError(f"{' '.join(self._words)}: {reason}") from None
        if complaint:
            figures["complaint"] = complaint
        if not self._watched:
            _add_cpu(figures, self._node.cpu_s() - self._cpu_s)
        return figures


def start(node: Node, options: str | Sequence[str]) -> Running:
    """Start a run against `node`, while others go on."""
    watched = ["--broker-pid", str(node.pid)] if os.path.isdir("/proc/self") else []
    return Running(node, options.split() if isinstance(options, str) else list(options), watched)


def _add_cpu(figures: Figures, cpu_s: float) -> None:
    """Where amqpload cannot look at processes: the node's CPU time around the whole run, logins included."""
    figures["broker_cpu_s"] = cpu_s
    for figure, count in (("published", "published"), ("delivered", "consumed")):
        if figures.get(count):
            figures[f"broker_cpu_us_per_{figure}"] = cpu_s * 1e6 / figures[count]


def find(figures: Figures, path: str) -> float | None:
    """The figure at "name" or "name/percentile"; None if the run has none."""
    value: Any = figures
    for part in path.split("/"):
        value = value.get(part) if isinstance(value, dict) else None
    return float(value) if isinstance(value, int | float) else None
