"""The only module of the store that touches the operating system: a directory of files.

`File` and `Files` say what the store needs; `DiskFile` and `DiskFiles` do it on a disk. Tests put their own below the
store, with sectors that can get lost. Nothing here knows what is in a file.

Every failure is a StorageError with a text for the operator: which file, what failed, the errno, what to do. For want
of space it is a StorageFullError: the same call can be made again. After any other error of a write or a sync nothing
is known about what is on disk, and a later sync that succeeds proves nothing: the node has to stop.

Everything blocks.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from amqpd.errors import StorageError, StorageFullError

ZEROS: Final = bytes(1 << 20)

MOST_PARTS: Final = 1024
"""Buffers that one pwritev takes (IOV_MAX on Linux and macOS)."""


class File:
    """An open file. Offsets and sizes are in bytes."""

    def __init__(self, path: str) -> None:
        self.path: Final = path

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset`; fewer only at the end of the file."""
        raise NotImplementedError

    def write(self, offset: int, parts: Sequence[bytes]) -> None:
        """Write all of `parts`, one behind the other, from `offset`."""
        raise NotImplementedError

    def extend(self, size: int) -> None:
        """Write zeros from the present end up to `size`. After a StorageFullError the file is as it was."""
        raise NotImplementedError

    def sync(self) -> None:
        """Have all that was written on disk, and the file's size (fdatasync)."""
        raise NotImplementedError

    def size(self) -> int:
        """The present size."""
        raise NotImplementedError

    def truncate(self, size: int) -> None:
        """Cut what is behind `size`."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the file; again does nothing."""
        raise NotImplementedError


class Files:
    """A directory. What changes names is on disk after `sync` only."""

    def __init__(self, path: str) -> None:
        self.path: Final = path

    def names(self) -> list[str]:
        """What is in there, sorted."""
        raise NotImplementedError

    def create(self, name: str) -> File:
        """A new, empty file. It must not be there."""
        raise NotImplementedError

    def open(self, name: str, writable: bool = True) -> File:
        """A file that is there."""
        raise NotImplementedError

    def rename(self, old: str, new: str) -> None:
        """Give a file another name; what had that name is gone."""
        raise NotImplementedError

    def remove(self, name: str) -> None:
        """Remove a file."""
        raise NotImplementedError

    def sync(self) -> None:
        """Have the names on disk (fsync of the directory)."""
        raise NotImplementedError

    def directory(self, name: str) -> Files:
        """A directory in this one, made where it is missing."""
        raise NotImplementedError

    def free_bytes(self) -> int:
        """What an ordinary user can still write."""
        raise NotImplementedError


ADVICE: Final[dict[int, str]] = {
    errno.ENOSPC: "free space on that file system, or give the data directory a larger one",
    errno.EDQUOT: "the quota of the user who runs the node is used up: raise it, or free space",
    errno.EIO: "the disk failed: see the kernel's log (dmesg), check and if need be replace the disk, then start the "
    "node again; what was confirmed before was on that disk",
    errno.EROFS: "the file system is read-only, which a kernel does after errors of a disk, too: see the kernel's log "
    "(dmesg), mount it writable, then start the node again",
    errno.EACCES: "give the data directory and all in it to the user who runs the node",
    errno.EPERM: "give the data directory and all in it to the user who runs the node, and take away what protects it "
    "(`lsattr`)",
    errno.ENOENT: "something other than the node removed it: put it back from a backup, or start with another data "
    "directory",
    errno.EEXIST: "something other than the node put it there: move it away",
    errno.EMFILE: "the node has too many open files: raise its limit (`ulimit -n`, LimitNOFILE)",
    errno.ENFILE: "this machine has too many open files: raise fs.file-max",
    errno.EFBIG: "the file is larger than the limit for the node (`ulimit -f`, LimitFSIZE) or the file system allows",
    errno.ENOTDIR: "a directory is expected there: move away what is in its place",
    errno.EISDIR: "a file is expected there: move away what is in its place",
}


def failure(error: OSError, action: str, path: str) -> StorageError:
    """What to raise where the operating system refused to `action` the file at `path`."""
    code = error.errno if error.errno is not None else 0
    name = errno.errorcode.get(code, str(code))
    advice = ADVICE.get(code, "look after the disk and its file system, then start the node again")
    text = f"{path}: cannot {action}: {name} ({os.strerror(code)}); {advice}"
    if code == errno.ENOSPC or code == errno.EDQUOT:
        return StorageFullError(text)
    return StorageError(text)


class DiskFile(File):
    """A file of the operating system."""

    def __init__(self, path: str, descriptor: int) -> None:
        super().__init__(path)
        self._descriptor = descriptor

    def read(self, offset: int, size: int) -> bytes:
        try:
            data = os.pread(self._descriptor, size, offset)
            while len(data) < size:  # a single read ends early at 2 GiB, or by a signal
                more = os.pread(self._descriptor, size - len(data), offset + len(data))
                if not more:
                    break
                data += more
        except OSError as error:
            raise failure(error, "read", self.path) from error
        return data

    def write(self, offset: int, parts: Sequence[bytes]) -> None:
        try:
            written = os.pwritev(self._descriptor, parts, offset) if len(parts) <= MOST_PARTS else 0
            if written != sum(map(len, parts)):
                self._write_rest(offset, parts, written)
        except OSError as error:
            raise failure(error, "write", self.path) from error

    def _write_rest(self, offset: int, parts: Sequence[bytes], written: int) -> None:
        for part in parts:
            if written >= len(part):
                written -= len(part)
                offset += len(part)
                continue
            view = memoryview(part)[written:]
            offset += written
            written = 0
            while view:
                size = os.pwrite(self._descriptor, view, offset)
                offset += size
                view = view[size:]

    def extend(self, size: int) -> None:
        before = self.size()
        end = before
        try:
            while end < size:
                end += os.pwrite(self._descriptor, ZEROS[: min(len(ZEROS), size - end)], end)
        except OSError as error:
            problem = failure(error, "make longer", self.path)
            if isinstance(problem, StorageFullError):
                self.truncate(before)
            raise problem from error

    def sync(self) -> None:
        try:
            _sync_data(self._descriptor)
        except OSError as error:
            # Never a StorageFullError: what a sync that failed has left is unknown, so nothing can be tried again.
            raise StorageError(str(failure(error, "sync", self.path))) from error

    def size(self) -> int:
        try:
            return os.fstat(self._descriptor).st_size
        except OSError as error:
            raise failure(error, "look at", self.path) from error

    def truncate(self, size: int) -> None:
        try:
            os.ftruncate(self._descriptor, size)
        except OSError as error:
            raise failure(error, "truncate", self.path) from error

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            try:
                os.close(descriptor)
            except OSError as error:
                raise failure(error, "close", self.path) from error


class DiskFiles(Files):
    """A directory of the operating system, which is made where it is missing, for the node's user alone."""

    def __init__(self, path: str | Path) -> None:
        super().__init__(str(path))
        try:
            os.makedirs(self.path, 0o700, exist_ok=True)
        except OSError as error:
            raise failure(error, "make", self.path) from error

    def _path(self, name: str) -> str:
        return os.path.join(self.path, name)

    def names(self) -> list[str]:
        try:
            return sorted(os.listdir(self.path))
        except OSError as error:
            raise failure(error, "list", self.path) from error

    def create(self, name: str) -> File:
        path = self._path(name)
        try:
            return DiskFile(path, os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        except OSError as error:
            raise failure(error, "create", path) from error

    def open(self, name: str, writable: bool = True) -> File:
        path = self._path(name)
        try:
            return DiskFile(path, os.open(path, os.O_RDWR if writable else os.O_RDONLY))
        except OSError as error:
            raise failure(error, "open", path) from error

    def rename(self, old: str, new: str) -> None:
        path = self._path(old)
        try:
            os.rename(path, self._path(new))
        except OSError as error:
            raise failure(error, f"rename to {new}", path) from error

    def remove(self, name: str) -> None:
        path = self._path(name)
        try:
            os.unlink(path)
        except OSError as error:
            raise failure(error, "remove", path) from error

    def sync(self) -> None:
        try:
            descriptor = os.open(self.path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise StorageError(str(failure(error, "sync", self.path))) from error

    def directory(self, name: str) -> Files:
        path = self._path(name)
        missing = not os.path.isdir(path)
        found = DiskFiles(path)
        if missing:
            self.sync()
        return found

    def free_bytes(self) -> int:
        try:
            found = os.statvfs(self.path)
        except OSError as error:
            raise failure(error, "look at", self.path) from error
        return found.f_bavail * found.f_frsize


if sys.platform == "darwin":  # which has no fdatasync, and whose fsync leaves the data in the drive's cache
    import fcntl

    def _sync_data(descriptor: int) -> None:
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)

else:
    _sync_data: Final = os.fdatasync
