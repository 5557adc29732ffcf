"""Copies files into a new backup, step by step, and writes its manifest.

What is all zeros in a file is left out where the file system can do that. After a failure `abandon` removes what was
written, so that a disk that is full is not left so. Blocks; a node that runs calls each step in a thread.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from amqpd.errors import StorageError
from amqpd.maintenance.keeping import sync_file, sync_folder
from amqpd.maintenance.manifest import NAME, Entry, Manifest
from amqpd.store.files import failure

CHUNK: Final = 1 << 20
STEP: Final = 16 << 20  # bytes, about

_ZEROS: Final = bytes(CHUNK)
WHOLE: Final = -1


class Source:
    """What goes into a file `name` of the backup: the first `length` bytes of `path`, or all; or `data`.

    Behind `length` the copy has zeros, as far as the file at `path` goes.
    """

    def __init__(self, name: str, path: Path | None, length: int = WHOLE, data: bytes = b"", cut: bool = False) -> None:
        """`cut`: the copy ends at `length`."""
        self.name: Final = name
        self.path: Final = path
        self.length: Final = length
        self.data: Final = data
        self.cut: Final = cut


class Target:
    """The directory of a new backup; made, and empty. Raises StorageError."""

    def __init__(self, path: Path) -> None:
        self.path: Final = path
        self._made: Final = not path.exists()
        try:
            path.mkdir(mode=0o700, exist_ok=True)
            there = os.listdir(path)
        except OSError as error:
            raise StorageError(f"{path} cannot be used for a backup: {error.strerror}") from error
        if there:
            raise StorageError(f"{path} is not empty: name a directory that is not there yet")

    def abandon(self) -> None:
        """Remove what was written, as far as that is possible."""
        for name in os.listdir(self.path) if self.path.is_dir() else ():
            place = self.path / name
            if place.is_dir():
                shutil.rmtree(place, ignore_errors=True)
            else:
                place.unlink(missing_ok=True)
        if self._made and self.path.is_dir():
            self.path.rmdir()


class Copier:
    """Copies `sources` into `target`. Files that are `present` there already get into the manifest, too."""

    def __init__(self, target: Target, sources: Sequence[Source], present: Sequence[str]) -> None:
        self.bytes = 0
        self.entries: Final[list[Entry]] = []
        self._target: Final = target
        self._sources: Final = [Source(name, None) for name in present] + list(sources)
        self._present: Final = frozenset(present)
        self._folders: Final[set[Path]] = {target.path}
        self._file: FileCopy | None = None

    def step(self) -> bool:
        """Copy some more. False when all is copied, and on disk. Raises StorageError."""
        if self._file is None:
            if not self._sources:
                return False
            source = self._sources.pop(0)
            if source.name in self._present:
                self._take_present(source.name)
                return True
            path = self._target.path / source.name
            self._make_folder(path.parent)
            self._file = FileCopy(source, path)
        if not self._file.step():
            self._add(self._file.finish())
            self._file = None
        return True

    def _add(self, entry: Entry) -> None:
        self.entries.append(entry)
        self.bytes += entry.size

    def _take_present(self, name: str) -> None:
        path = self._target.path / name
        try:
            sync_file(path)
            self._add(Entry(name, path.stat().st_size, digest_of(path)))
        except OSError as error:
            raise failure(error, "read", str(path)) from error

    def _make_folder(self, path: Path) -> None:
        if path in self._folders:
            return
        self._make_folder(path.parent)
        try:
            path.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise failure(error, "make", str(path)) from error
        self._folders.add(path)

    def complete(self, manifest: Manifest) -> None:
        """Write the manifest: from now on it is a backup. Raises StorageError."""
        if self._file is not None or self._sources:
            raise ValueError("not all is copied yet")
        for folder in sorted(self._folders, reverse=True):
            sync_folder(folder)
        path = self._target.path / f"{NAME}.new"
        try:
            path.touch(0o600)
            path.write_bytes(manifest.encode())
            sync_file(path)
            path.rename(self._target.path / NAME)
        except OSError as error:
            raise failure(error, "write", str(path)) from error
        sync_folder(self._target.path)
        sync_folder(self._target.path.parent)

    def close(self) -> None:
        """Close the file in hand."""
        if self._file is not None:
            self._file.close()
            self._file = None


class FileCopy:
    """Of one file. With `dense` zeros are written, too, so that no space is wanting for them later."""

    def __init__(self, source: Source, path: Path, dense: bool = False) -> None:
        self._source: Final = source
        self._path: Final = path
        self._dense: Final = dense
        self._digest: Final = hashlib.sha256()
        self._done = 0
        self._from = -1
        self._to = -1
        try:
            if source.path is not None:
                self._from = os.open(source.path, os.O_RDONLY | os.O_CLOEXEC)
            self._to = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            self._size = len(source.data) if source.path is None else os.fstat(self._from).st_size
        except OSError as error:
            self.close()
            raise failure(error, "copy", str(source.path or path)) from error
        if source.cut and self._size < source.length:
            self.close()
            raise StorageError(f"{source.path} was cut: it has {self._size} bytes, and had {source.length}")
        if source.cut:
            self._size = source.length

    def step(self) -> bool:
        """Copy some more; whether there is more left. Raises StorageError."""
        try:
            goal = self._done + STEP
            while self._done < min(goal, self._size):
                self._copy_chunk()
        except OSError as error:
            raise failure(error, f"write, as a copy of {self._source.name}", str(self._path)) from error
        return self._done < self._size

    def _copy_chunk(self) -> None:
        size = min(CHUNK, self._size - self._done)
        data = self._read(size)
        self._digest.update(data)
        if self._dense or data != _ZEROS[:size]:
            view = memoryview(data)
            at = self._done
            while view:
                written = os.pwrite(self._to, view, at)
                view = view[written:]
                at += written
        self._done += size

    def _read(self, size: int) -> bytes:
        source = self._source
        if source.path is None:
            return source.data[self._done : self._done + size]
        wanted = size if source.length == WHOLE else max(0, min(size, source.length - self._done))
        data = os.pread(self._from, wanted, self._done) if wanted else b""
        if len(data) < wanted:
            raise StorageError(f"{source.path} became shorter while it was copied")
        return data.ljust(size, b"\0")

    def finish(self) -> Entry:
        """All is copied: have it on disk. Raises StorageError."""
        try:
            if os.fstat(self._to).st_size < self._size:
                os.ftruncate(self._to, self._size)
            os.fsync(self._to)
        except OSError as error:
            raise failure(error, "sync", str(self._path)) from error
        finally:
            self.close()
        return Entry(self._source.name, self._size, self._digest.hexdigest())

    def close(self) -> None:
        """Close both files."""
        for descriptor in (self._from, self._to):
            if descriptor >= 0:
                os.close(descriptor)
        self._from = self._to = -1


def digest_of(path: Path) -> str:
    """The SHA-256 of a file. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
