"""Files that forget what is written to them, below a real message store: what is left of a commit is its CPU time.

They know their sizes and their first KEPT bytes, which is all that a store reads of files that it has made itself. What
else is read raises BenchError: a benchmark that goes to the disk does not measure what it says. Nothing blocks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from amqpd.broker.ports import Job, Worker
from amqpd.store.files import File, Files
from bench.client import BenchError

KEPT = 4096


class Sheet:
    """What a file is, whatever its name."""

    def __init__(self) -> None:
        self.head = bytearray(KEPT)
        self.size = 0


class PaperFile(File):
    """An open file."""

    def __init__(self, path: str, sheet: Sheet) -> None:
        super().__init__(path)
        self._sheet = sheet

    def read(self, offset: int, size: int) -> bytes:
        end = min(offset + size, self._sheet.size)
        if end > KEPT:
            raise BenchError(f"{self.path}: {size} bytes at {offset} were forgotten")
        return bytes(self._sheet.head[offset:end])

    def write(self, offset: int, parts: Sequence[bytes]) -> None:
        if offset < KEPT:
            data = b"".join(parts)[: KEPT - offset]
            self._sheet.head[offset : offset + len(data)] = data
        self.extend(offset + sum([len(part) for part in parts]))

    def extend(self, size: int) -> None:
        self._sheet.size = max(self._sheet.size, size)

    def sync(self) -> None:
        """Nothing is kept, so nothing is to be synced."""

    def size(self) -> int:
        return self._sheet.size

    def truncate(self, size: int) -> None:
        self._sheet.size = size

    def close(self) -> None:
        """Nothing is open."""


class PaperFiles(Files):
    """A directory."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._sheets: dict[str, Sheet] = {}
        self._directories: dict[str, PaperFiles] = {}

    def names(self) -> list[str]:
        return sorted([*self._sheets, *self._directories])

    def create(self, name: str) -> File:
        self._sheets[name] = Sheet()
        return self.open(name)

    def open(self, name: str, writable: bool = True) -> File:
        return PaperFile(f"{self.path}/{name}", self._sheets[name])

    def rename(self, old: str, new: str) -> None:
        self._sheets[new] = self._sheets.pop(old)

    def remove(self, name: str) -> None:
        del self._sheets[name]

    def sync(self) -> None:
        """Nothing is kept."""

    def directory(self, name: str) -> Files:
        return self._directories.setdefault(name, PaperFiles(f"{self.path}/{name}"))

    def free_bytes(self) -> int:
        return 1 << 40


class Hand(Worker):
    """Runs jobs where it is asked to, in the caller's thread: their CPU time is the caller's too."""

    def __init__(self) -> None:
        self.jobs: deque[Job] = deque()

    def submit(self, job: Job) -> None:
        self.jobs.append(job)

    def work(self) -> None:
        """Run and finish everything that waits."""
        while self.jobs:
            job = self.jobs.popleft()
            job.run()
            job.finish()
