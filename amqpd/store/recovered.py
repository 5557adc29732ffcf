"""What a node finds when it starts: the store's answer to "which messages are there"."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from amqpd.ranges import Ranges
from amqpd.store.contents import Contents, LogKey, entries
from amqpd.store.files import Files
from amqpd.store.scan import JournalFile, Torn
from amqpd.store.segmentscan import RecoveredPage


class Recovered:
    """Of each log, by (identity, level): what is settled, whether all of it is gone, what was delivered before.

    `clean`: the last run ended orderly, and nothing was begun since. `highest` is the highest index in any record or
    page of a log. `torn` is where a write was cut off. Whatever stands on a page may be in the journal, too.
    """

    def __init__(
        self,
        contents: Contents,
        pages: list[RecoveredPage],
        highest: dict[LogKey, int],
        labels: dict[LogKey, bytes],
        directory: Files,
        files: list[JournalFile],
        torn: list[Torn],
    ) -> None:
        """`highest` and `labels`: of the pages, which the journal's are added to."""
        self.clean: Final = contents.clean
        self.pages: Final = pages
        self.settled: Final[dict[LogKey, Ranges]] = {}
        self.forgotten: Final[set[LogKey]] = set()
        self.marks: Final[dict[LogKey, int]] = {}
        self.highest: Final = highest
        self.labels: Final = labels
        self.torn: Final = torn
        self._directory: Final = directory
        self._files: Final = files
        for key, log in contents.logs.items():
            if log.settled.count():
                self.settled[key] = log.settled
            if log.forgotten:
                self.forgotten.add(key)
            if log.mark >= 0:
                self.marks[key] = log.mark
            if log.highest >= 0:
                highest[key] = max(log.highest, highest.get(key, -1))
            labels[key] = log.label

    def entries(self) -> Iterator[tuple[list[tuple[bytes, int, int]], bytes]]:
        """Every message in the journal, in order: its logs as (identity, level, index), and what was stored.

        Reads the files again, with bounded memory; before the first of them is freed. Blocks. Raises StorageError.
        """
        return entries(self._directory, self._files)
