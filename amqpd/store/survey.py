"""The first pass over a journal, and what is said where something of it is damaged. Changes nothing."""

from __future__ import annotations

from typing import Final

from amqpd.errors import DamagedError
from amqpd.ranges import Ranges
from amqpd.store.cipher import Cipher
from amqpd.store.contents import Contents
from amqpd.store.files import Files
from amqpd.store.place import name_of
from amqpd.store.reading import FoundBatch
from amqpd.store.scan import Damage, Scan, Torn

MOST_NAMED: Final = 20
"""Places, logs and ranges that a text about damage names."""


class DamageReport:
    """Gathers what is wrong, and what that concerns, while batches go to `contents`."""

    def __init__(self, contents: Contents) -> None:
        self._contents: Final = contents
        self.count = 0
        self._places: Final[list[str]] = []  # not the damages themselves, whose remains may be very large
        self.concerned: Final[dict[str, Ranges]] = {}

    def add(self, damage: Damage) -> None:
        """There is a damaged place at this point of the journal."""
        self._merge_gaps()
        self.count += 1
        if self.count <= MOST_NAMED:
            self._places.append(str(damage))
        self._merge(self._contents.concerned(damage))

    def _merge_gaps(self) -> None:
        if self.count:
            self._merge(self._contents.gaps())

    def _merge(self, found: dict[str, Ranges]) -> None:
        for name, indexes in found.items():
            self.concerned.setdefault(name, Ranges()).update(indexes)

    def error(self, directory: str) -> DamagedError:
        """What to raise at the end, about the message store in `directory`."""
        self._merge_gaps()
        self._contents.note()
        places = "; ".join(self._places)
        hidden = self.count - MOST_NAMED
        more = f"; and {hidden} more places" if hidden > 0 else ""
        return DamagedError(f"{places}{more}. {self._names()} {go_on(directory)}")

    def _names(self) -> str:
        if not self.concerned:
            return "Which queues that concerns cannot be told."
        names = sorted(self.concerned)
        texts = [f"{name}{messages_named(self.concerned[name])}" for name in names[:MOST_NAMED]]
        hidden = len(names) - MOST_NAMED
        return f"Concerned, at least: {', '.join(texts)}{f', and {hidden} more' if hidden > 0 else ''}."


def go_on(directory: str) -> str:
    """What an operator can do about damage."""
    return (
        "Nothing was changed. Put the directory back from a backup, or have the node start without what is lost: "
        f"`amqpd store repair {directory}`"
    )


def read_journal(
    files: Files, node_id: bytes, cipher: Cipher | None, store_path: str
) -> tuple[Scan, Contents, list[Torn]]:
    """The first pass over the journal in `files`: changes nothing. Blocks.

    Raises DamagedError with everything that is wrong, KeyMissingError, VersionError, StorageError.
    """
    scan = Scan(files, node_id, cipher)
    contents = Contents()
    report = DamageReport(contents)
    torn: list[Torn] = []
    for event in scan.events():
        if isinstance(event, FoundBatch):
            contents.add(event, f"{files.path}/{name_of(event.number)}")
        elif isinstance(event, Damage):
            report.add(event)
        else:
            torn.append(event)
    if report.count:
        raise report.error(store_path)
    return scan, contents, torn


def messages_named(ranges: Ranges) -> str:
    """Which messages, in words: nothing for none, and not all of very many."""
    spans = ranges.spans()
    if not spans:
        return ""
    texts = [str(first) if first == last else f"{first} to {last}" for first, last in spans[:MOST_NAMED]]
    return f" (messages {', '.join(texts)}{' and more' if len(spans) > MOST_NAMED else ''})"
