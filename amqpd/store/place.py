"""One file of the journal, from the writer's side: how it comes to be, its header, and how it goes.

    zeroed          a file of zeros, under a temporary name, with all of it on disk
    spare-K.jrn     zeroed, or used before: at hand for the next number
    N.jrn           prepared: renamed to the next number, the directory synced; its header is not (yet) of that number
    N.jrn           counted: `last` says on disk that there is such a file
    N.jrn           in use: the header was written with the first batch, in one sync
    spare-K.jrn     freed: `first` says so on disk before the name changes

A file has its number only when it has its full size on disk: one that is shorter than its header says was cut. It takes
a batch only when `last` counts it: one that is missing was lost (`amqpd.store.bounds`).
"""

from __future__ import annotations

from typing import Final

from amqpd.errors import StorageFullError
from amqpd.store.bounds import LAST_NAME, write_bound
from amqpd.store.cipher import PLAIN, SALT_SIZE, Cipher, Lock
from amqpd.store.files import File, Files
from amqpd.store.format import JOURNAL, FileHeader, mark_of, number_in

SUFFIX: Final = ".jrn"
TEMPORARY: Final = ".tmp"

ZEROED_AT_ONCE: Final = 4 << 20
"""Bytes of zeros between two syncs, so that a batch of somebody who waits does not queue behind a whole file's."""


def name_of(number: int) -> str:
    """The name of the journal's file of that number."""
    return f"{number:020d}{SUFFIX}"


def number_of(name: str) -> int:
    """The reverse; 0 where `name` is another one's."""
    return number_in(name, SUFFIX)


def spare_name(number: int) -> str:
    """The name of a spare."""
    return f"spare-{number}{SUFFIX}"


def spare_number(name: str) -> int:
    """The reverse; 0 where `name` is not a spare's."""
    digits = name.removeprefix("spare-").removesuffix(SUFFIX)
    return int(digits) if digits.isascii() and digits.isdigit() and name == spare_name(int(digits)) else 0


def make_zeroed(files: Files, name: str, size: int) -> None:
    """Make a file of `size` zeros, on disk but for its name. StorageFullError leaves nothing of it. Blocks."""
    file = files.create(name)
    try:
        for end in range(ZEROED_AT_ONCE, size, ZEROED_AT_ONCE):
            file.extend(end)
            file.sync()
        file.extend(size)
        file.sync()
    except StorageFullError:
        file.close()
        files.remove(name)
        raise
    file.close()


class Place:
    """A file of the journal. `end` is where the next batch will stand, 0 before the first; `size` the file's, planned.

    `begun`: its first batch is on disk. `source` is the name of what it is made of, "" where it has to be made of
    nothing; `offered` is a spare that turned up while there was no space for that.
    """

    def __init__(self, files: Files, node_id: bytes, number: int, size: int, source: str = "") -> None:
        self._files: Final = files
        self._node_id: Final = node_id
        self.number: Final = number
        self.name: Final = name_of(number)
        self.mark: Final = mark_of(node_id, number)
        self.source = source
        self.offered = ""
        self.size = size
        self.zeroed: Final = size
        self.end = 0
        self.begun = False
        self.file: File | None = None
        self.lock: Lock | None = None
        self._named = False
        self._key_id = PLAIN
        self._salt = bytes(SALT_SIZE)

    def key(self, cipher: Cipher | None, salt: bytes) -> None:
        """Have it encrypted with the current key, if any. Due before the first batch."""
        self._salt = salt
        if cipher is not None:
            self._key_id = cipher.current
            self.lock = cipher.lock(cipher.current, salt, self.name)

    def header(self, sequence: int, chain: int) -> FileHeader:
        """The header that is written with the first batch, number `sequence`, after one with the crc `chain`."""
        return FileHeader(
            JOURNAL, self._node_id, self.number, sequence, chain, self.zeroed, self._key_id, self._salt
        )

    def make(self) -> File:
        """Have it there under its name, counted, and open. After a StorageFullError it can be called again. Blocks."""
        if not self._named:
            if not self.source:
                name = self.offered
                if not name:
                    name = f"new-{self.number}{TEMPORARY}"
                    make_zeroed(self._files, name, self.zeroed)
                self.source = name
            self._files.rename(self.source, self.name)
            self._named = True
        self._files.sync()
        return self.count()

    def count(self) -> File:
        """Have `last` say on disk that it is there, which it is, and open it. Blocks."""
        write_bound(self._files, LAST_NAME, self._node_id, self.number)
        self.file = self._files.open(self.name)
        return self.file

    def close(self) -> None:
        """Close the file."""
        if self.file is not None:
            self.file.close()
            self.file = None
            self._named = False  # a batch that comes too late shall fail to make it, rather than open it
