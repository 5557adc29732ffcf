"""What keeps the journal in files: jobs for the background, each of which ends with the directory synced.

After a StorageFullError each can be run again; meanwhile the journal lives on what is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from amqpd.broker.ports import Job
from amqpd.store.bounds import FIRST_NAME, write_bound
from amqpd.store.files import Files
from amqpd.store.place import TEMPORARY, Place, make_zeroed, spare_name

if TYPE_CHECKING:
    from amqpd.store.journal import Journal


class Prepare(Job):
    """Have the next file there under its number."""

    def __init__(self, journal: Journal, place: Place) -> None:
        self._journal: Final = journal
        self._place: Final = place

    def run(self) -> None:
        self._place.make()

    def finish(self) -> None:
        self._journal.prepared(self._place)


class MakeSpare(Job):
    """Have another spare, of zeros. There need not be one when enough were freed while there was no space for it."""

    def __init__(self, journal: Journal, files: Files, spare: int, size: int) -> None:
        self._journal: Final = journal
        self._files: Final = files
        self._spare: Final = spare
        self._size: Final = size
        self._zeroed = False
        self._needless = False

    def run(self) -> None:
        name = spare_name(self._spare)
        made = f"{name}{TEMPORARY}"
        if not self._zeroed:
            if self._journal.enough_spares():
                self._needless = True
                return
            make_zeroed(self._files, made, self._size)
            self._zeroed = True
        self._files.rename(made, name)
        self._files.sync()

    def finish(self) -> None:
        self._journal.spare_made(0 if self._needless else self._spare)


class RemoveSpare(Job):
    """Give the room of spare number `spare` to others."""

    def __init__(self, files: Files, spare: int) -> None:
        self._files: Final = files
        self._spare: Final = spare

    def run(self) -> None:
        self._files.remove(spare_name(self._spare))
        self._files.sync()

    def finish(self) -> None:
        pass


class Free(Job):
    """Take the oldest file out of use: it becomes spare number `spare`, or goes where that is 0."""

    def __init__(self, journal: Journal, files: Files, node_id: bytes, place: Place, spare: int, size: int) -> None:
        self._journal: Final = journal
        self._files: Final = files
        self._node_id: Final = node_id
        self._place: Final = place
        self._spare: Final = spare
        self._size: Final = size

    def run(self) -> None:
        place = self._place
        write_bound(self._files, FIRST_NAME, self._node_id, place.number + 1)
        if self._spare == 0:
            self._files.remove(place.name)
        else:
            if place.size > self._size:
                file = self._files.open(place.name)
                file.truncate(self._size)
                file.sync()
                file.close()
            self._files.rename(place.name, spare_name(self._spare))
        self._files.sync()

    def finish(self) -> None:
        if self._spare:
            self._journal.spare_freed(self._spare)
