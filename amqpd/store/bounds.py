"""Which files a journal has: `first` is the number of the oldest one in use, `last` the highest that a file ever got.

Without them nobody would notice that the oldest files, or the newest ones, are lost. `first` says that a file is not in
use any more before its name goes; `last` that there is one when its name is on disk, and before anything is in it. So a
number from `first` to `last` without a file is damage, at any time.

Each has two sectors, file headers with the number. Numbers are written in turn, n to sector n % 2, and in place, which
takes no space: a write that is torn leaves the other sector, which names the number before.

Everything but `encode_bound` blocks and raises StorageError.
"""

from __future__ import annotations

from typing import Final

from amqpd.store.files import Files
from amqpd.store.format import FIRST, LAST, SECTOR, FileHeader, decode_header

FIRST_NAME: Final = "first"
LAST_NAME: Final = "last"
BOUNDS: Final = (FIRST_NAME, LAST_NAME)


def encode_bound(name: str, node_id: bytes, number: int) -> bytes:
    """The contents of `first` or `last` with a `number` from 1."""
    older = FileHeader(_magic(name), node_id, number - 1).encode()
    newer = FileHeader(_magic(name), node_id, number).encode()
    return older + newer if number % 2 else newer + older


def make_bounds(files: Files, node_id: bytes) -> None:
    """Make both for a new journal, which is to have file 1 before anybody relies on it. On disk when this returns."""
    for name in BOUNDS:
        file = files.create(name)
        file.write(0, [encode_bound(name, node_id, 1)])
        file.sync()
        file.close()
    files.sync()


def write_bound(files: Files, name: str, node_id: bytes, number: int) -> None:
    """Have it on disk that `first` or `last` is `number`, where it was one less. Can be done again.

    A number one less than it was is written where that one's sector was torn: it makes it valid, and changes nothing.
    """
    file = files.open(name)
    try:
        file.write(number % 2 * SECTOR, [FileHeader(_magic(name), node_id, number).encode()])
        file.sync()
    finally:
        file.close()


def read_bound(files: Files, name: str) -> list[FileHeader]:
    """What its sectors say, as far as they are valid: the lower number first. The file must be there."""
    file = files.open(name, False)
    data = file.read(0, 2 * SECTOR)
    file.close()
    found = [decode_header(sector, _magic(name)) for sector in (data[:SECTOR], data[SECTOR:])]
    return sorted((header for header in found if header is not None), key=_number)


def _number(header: FileHeader) -> int:
    return header.number


def _magic(name: str) -> bytes:
    return FIRST if name == FIRST_NAME else LAST
