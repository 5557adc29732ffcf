"""Results as JSON lines in bench/results/: one object for each run, {"series", "case", "kind", "figures"}.

A case is replaced as a whole when it is measured again, so that what stands side by side was measured side by side.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable
from pathlib import Path

from bench.load import Figures

__all__ = ["DIRECTORY", "Results", "machine"]

DIRECTORY = Path(__file__).resolve().parent / "results"


class Results:
    """The file of one series. Every call reads or writes the whole of it: it has hundreds of lines, not more."""

    def __init__(self, series: str, directory: Path = DIRECTORY) -> None:
        self.series = series
        self._path = directory / f"{series}.jsonl"

    def lines(self) -> list[Figures]:
        """All that was found so far, oldest first; empty if there is no file."""
        if not self._path.exists():
            return []
        return [json.loads(line) for line in self._path.read_text().splitlines() if line]

    def forget(self, case: str) -> None:
        """Take out what was found for a case."""
        self._write(line for line in self.lines() if line["case"] != case)

    def add(self, case: str, kind: str, figures: Figures) -> None:
        """Write one more line."""
        self._path.parent.mkdir(exist_ok=True)
        with self._path.open("a") as file:
            file.write(json.dumps({"series": self.series, "case": case, "kind": kind, "figures": figures}) + "\n")

    def of(self, case: str, kind: str) -> list[Figures]:
        """The figures of each run of a case."""
        return [line["figures"] for line in self.lines() if line["case"] == case and line["kind"] == kind]

    def _write(self, lines: Iterable[Figures]) -> None:
        kept = "".join(json.dumps(line) + "\n" for line in lines)
        if self._path.exists():
            self._path.write_text(kept)


def machine() -> Figures:
    """What the figures were found on, without what would name the machine."""
    return {
        "cores": os.cpu_count(),
        "cpu": _first("/proc/cpuinfo", "model name") or platform.processor() or platform.machine(),
        "memory_gib": round(int((_first("/proc/meminfo", "MemTotal") or "0 kB").split()[0]) / 2**20),
        "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def _first(file: str, key: str) -> str | None:
    """The value of the first "key: value" line."""
    try:
        with open(file) as lines:
            return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(key)), None)
    except OSError:
        return None
