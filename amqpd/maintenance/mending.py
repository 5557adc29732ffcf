"""Gives up what is damaged in segment files: a VOID block takes its place, and what is sound stays where it is.

A file that is missing, or whose header is lost, is taken out of the inventory. Where the inventory itself is lost it is
made anew from the files that are there, each up to its last sound block; what had been settled and removed may come
back by that.

Every step can be done again: after an interruption the next repair goes on. Blocks. Raises StorageError.
"""

from __future__ import annotations

from typing import Final

from amqpd.errors import DamagedError
from amqpd.maintenance.keeping import Keeping
from amqpd.store import inventory
from amqpd.store.blocks import void_head
from amqpd.store.cipher import Cipher
from amqpd.store.files import File, Files
from amqpd.store.format import FileHeader, number_in
from amqpd.store.opening import SEGMENT_DIRECTORY
from amqpd.store.pagefiles import PageFile, lock_of
from amqpd.store.segmentscan import (
    DAMAGED,
    SUFFIX,
    Problem,
    name_of,
    open_header,
    pieces,
    read_all,
)

_ROUNDS: Final = 3
"""How often all is read again: what was hidden behind a damage may be damaged, too."""


class Mender:
    """Of the segments in `files`. What is changed is copied to `keeping` before."""

    def __init__(self, files: Files, node_id: bytes, cipher: Cipher | None, keeping: Keeping) -> None:
        self._files: Final = files
        self._node_id: Final = node_id
        self._cipher: Final = cipher
        self._keeping: Final = keeping

    def mend(self) -> None:
        """Do it. Afterwards nothing is damaged."""
        listed = self._listed()
        for _ in range(_ROUNDS):
            problems = read_all(self._files, self._node_id, self._cipher, listed, True).problems
            if not problems:
                break
            for problem in problems:
                self._mend(problem, listed)
        self._replace(listed)

    def _replace(self, listed: dict[int, int]) -> None:
        inventory.replace(self._files, inventory.encode(self._node_id, sorted(listed.items())))

    def _listed(self) -> dict[int, int]:
        """What the inventory says, or what it may have said."""
        try:
            found = inventory.load(self._files)
        except DamagedError:
            self._keeping.copy(SEGMENT_DIRECTORY, inventory.NAME)
            found = None
        if found is not None and found[0] == self._node_id:
            return found[1]
        listed: dict[int, int] = {}
        for name in self._files.names():
            number = number_in(name, SUFFIX)
            if number:
                size = self._sound_size(number, name)
                if size:
                    listed[number] = size
                else:
                    self._keeping.move(SEGMENT_DIRECTORY, name)
        self._replace(listed)
        return listed

    def _sound_size(self, number: int, name: str) -> int:
        """Up to where a file has sound blocks; 0 where it has no header, or no block."""
        handle = self._files.open(name, writable=False)
        try:
            header = open_header(handle, number, self._node_id)
            if header is None:
                return 0
            end = 0
            for piece in pieces(self._page_file(header, handle), handle, handle.size(), True):
                if piece.kind != DAMAGED:
                    end = piece.offset + piece.length
            return end
        finally:
            handle.close()

    def _page_file(self, header: FileHeader, handle: File) -> PageFile:
        return PageFile(name_of(header.number), handle.path, header, lock_of(header, self._cipher, handle.path))

    def _mend(self, problem: Problem, listed: dict[int, int]) -> None:
        name = name_of(problem.number)
        if problem.length == 0:
            listed.pop(problem.number, None)
            # The inventory first: a file that is listed and not there would be damage once more.
            self._replace(listed)
            if name in self._files.names():
                self._keeping.move(SEGMENT_DIRECTORY, name)
            return
        self._keeping.copy(SEGMENT_DIRECTORY, name)
        handle = self._files.open(name)
        try:
            if problem.piece is None:
                handle.extend(listed[problem.number])
            else:
                header = open_header(handle, problem.number, self._node_id)
                assert header is not None
                seed = self._page_file(header, handle).seed
                handle.write(problem.offset, [void_head(seed, problem.offset, problem.length)])
            handle.sync()
        finally:
            handle.close()
