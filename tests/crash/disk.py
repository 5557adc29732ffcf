"""A disk in memory that knows what a crash would leave of it.

It stands below `amqpd.store.files` in the place of a real one. What a program sees is the *live* state; what is sure to
be there after a crash is the *synced* one. Between them is `pending`, a list in the order in which things were done:
sectors of 512 bytes, sizes of files, and changes of directories. `File.sync` makes a file's own part of it durable,
`Files.sync` a directory's; nothing else does, not even one the other: a file that was synced in a directory that was
not can be gone.

A crash image is a disk on which some of what was pending happened and the rest did not (`image`, `images`): any subset,
since a kernel writes back what it likes, when it likes. Only two things are kept to: of one sector's contents the later
one wins, and a change of a directory does not happen without the earlier ones that concern the same names (file systems
keep a journal of those). A torn write is nothing special: its sectors are pending one by one.

Faults: `plan` has one operation fail (no space, an error, half a write), `capacity` makes the disk small, and `flip`,
`cut` and `lose` damage what is at rest.

Deterministic: no clock, no randomness but what is passed in.
"""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable, Iterable, Iterator, Sequence

from amqpd.errors import StorageError, StorageFullError
from amqpd.store.files import File, Files

SECTOR = 512


class Crash(BaseException):
    """The machine stops. Not an Exception: nothing that a program catches."""


class Content:
    """What a file holds, whatever its names. `live` as it is read, `synced` as it is on the platter."""

    def __init__(self, data: bytes = b"") -> None:
        self.live = bytearray(data)
        self.synced = bytearray(data)

    def twin(self) -> Content:
        return Content(bytes(self.synced))


class Folder:
    """What a directory holds: names of files and directories."""

    def __init__(self) -> None:
        self.live: dict[str, Content | Folder] = {}
        self.synced: dict[str, Content | Folder] = {}


class Sector:
    """A sector of a file was written."""

    def __init__(self, content: Content, start: int, data: bytes) -> None:
        self.content, self.start, self.data = content, start, data

    def apply(self, content: Content) -> None:
        synced = content.synced
        room = len(synced) - self.start  # what lies beyond the end of the file is lost
        if room > 0:
            data = self.data[:room]
            synced[self.start : self.start + len(data)] = data


class Size:
    """A file got longer or shorter."""

    def __init__(self, content: Content, size: int) -> None:
        self.content, self.size = content, size

    def apply(self, content: Content) -> None:
        resize(content.synced, self.size)


class Entry:
    """A directory changed: `names` are set, or gone where they are None."""

    def __init__(self, folder: Folder, names: dict[str, Content | Folder | None]) -> None:
        self.folder, self.names = folder, names

    def apply(self, folder: Folder, twins: dict[Content | Folder, Content | Folder]) -> None:
        for name, target in self.names.items():
            if target is None:
                folder.synced.pop(name, None)
            else:
                folder.synced[name] = twins[target]


Pending = Sector | Size | Entry


def resize(data: bytearray, size: int) -> None:
    if size < len(data):
        del data[size:]
    else:
        data.extend(bytes(size - len(data)))


class Fault:
    """What becomes of one operation: `code` is an errno; of a write the first `part` of its bytes are written."""

    def __init__(self, code: int, part: float = 0.0) -> None:
        self.code, self.part = code, part


class Disk:
    """The machine's disk. `operations` counts what changes it or syncs it; `before` is called ahead of each.

    `before(kind, path)` sees the disk as it is after all earlier operations, and may raise Crash, after which nothing
    works any more. Kinds: create, rename, remove, mkdir, write, extend, truncate, sync, sync-directory.
    `plan(kind, path)` says what is to go wrong; it is asked about reads too, which are counted apart.
    """

    def __init__(self, capacity: int = 1 << 40) -> None:
        self.root = Folder()
        self.pending: list[Pending] = []
        self.operations = 0
        self.reads = 0
        self.capacity = capacity
        self.before: Callable[[str, str], None] = lambda kind, path: None
        self.plan: Callable[[str, str], Fault | None] = lambda kind, path: None
        self.dead = False

    def files(self, path: str = "disk") -> MemoryFiles:
        """The root, as a directory called `path`."""
        return MemoryFiles(self, self.root, path)

    # -- operations

    def operation(self, kind: str, path: str) -> Fault | None:
        """Count one; returns what is to go wrong with it. Raises Crash."""
        self.alive()
        try:
            self.before(kind, path)
        except Crash:
            self.dead = True
            raise
        self.alive()
        self.operations += 1
        fault = self.plan(kind, path)
        if fault is not None and (fault.part == 0.0 or (kind != "write" and kind != "extend")):
            raise failure(kind, path, fault.code)
        return fault

    def alive(self) -> None:
        """Raises Crash when the machine has stopped."""
        if self.dead:
            raise Crash

    def resize(self, content: Content, size: int) -> None:
        resize(content.live, size)
        self.pending.append(Size(content, size))

    def put(self, content: Content, offset: int, data: bytes) -> None:
        """Write bytes, sector by sector, the file growing with them where it has to."""
        at = offset
        end = offset + len(data)
        while at < end:
            start = at - at % SECTOR
            stop = min(start + SECTOR, end)
            if stop > len(content.live):
                self.resize(content, stop)
            content.live[at:stop] = data[at - offset : stop - offset]
            self.pending.append(Sector(content, start, bytes(content.live[start : start + SECTOR])))
            at = stop

    def change(self, folder: Folder, names: dict[str, Content | Folder | None]) -> None:
        for name, target in names.items():
            if target is None:
                folder.live.pop(name, None)
            else:
                folder.live[name] = target
        self.pending.append(Entry(folder, names))

    def sync(self, content: Content) -> None:
        rest: list[Pending] = []
        for change in self.pending:
            if isinstance(change, Entry) or change.content is not content:
                rest.append(change)
            else:
                change.apply(content)
        self.pending = rest
        assert content.synced == content.live

    def sync_folder(self, folder: Folder) -> None:
        folder.synced = dict(folder.live)
        self.pending = [each for each in self.pending if not (isinstance(each, Entry) and each.folder is folder)]

    # -- what is there

    def used(self) -> int:
        return sum(len(content.live) for _, content in self.walk())

    def walk(self, folder: Folder | None = None, path: str = "") -> Iterator[tuple[str, Content]]:
        """All files with their paths below the root, as a program sees them."""
        for name, target in sorted((folder or self.root).live.items()):
            if isinstance(target, Folder):
                yield from self.walk(target, path + name + "/")
            else:
                yield path + name, target

    def state(self) -> dict[str, bytes]:
        """Every file's bytes by its path."""
        return {path: bytes(content.live) for path, content in self.walk()}

    # -- crash images

    def image(self, kept: Iterable[int]) -> Disk:
        """The disk after a crash that let those of `pending` happen, by their places, as far as that is possible.

        A change of a directory whose predecessors did not happen does not happen either.
        """
        chosen = set(kept)
        disk = Disk(self.capacity)
        twins: dict[Content | Folder, Content | Folder] = {}
        self._twin(self.root, disk.root, twins)
        missing: set[tuple[Folder, str]] = set()
        for place, change in enumerate(self.pending):
            if isinstance(change, Entry):
                keys = {(change.folder, name) for name in change.names}
                if place not in chosen or keys & missing:
                    missing |= keys
                    continue
                for target in change.names.values():
                    self._adopt(target, twins)
                folder = twins.get(change.folder)
                if isinstance(folder, Folder):
                    change.apply(folder, twins)
            elif place in chosen:
                content = self._adopt(change.content, twins)
                assert isinstance(content, Content)
                change.apply(content)
        disk.settle()
        return disk

    def _adopt(
        self, target: Content | Folder | None, twins: dict[Content | Folder, Content | Folder]
    ) -> Content | Folder | None:
        if target is None:
            return None
        if target in twins:
            return twins[target]
        if isinstance(target, Content):
            twins[target] = target.twin()
            return twins[target]
        into = Folder()
        self._twin(target, into, twins)
        return into

    def _twin(self, folder: Folder, into: Folder, twins: dict[Content | Folder, Content | Folder]) -> None:
        """Make `into` what is synced of `folder`."""
        twins[folder] = into
        for name, target in folder.synced.items():
            twin = self._adopt(target, twins)
            assert twin is not None
            into.synced[name] = twin

    def settle(self, folder: Folder | None = None) -> None:
        """What is synced is all there is: a machine that has just started."""
        folder = folder or self.root
        folder.live = dict(folder.synced)
        for target in folder.live.values():
            if isinstance(target, Folder):
                self.settle(target)
            else:
                target.live = bytearray(target.synced)
        self.pending = []

    def copy(self) -> Disk:
        """A disk with everything that this one shows, all of it synced."""
        return self.image(range(len(self.pending)))

    def choices(self, rng: random.Random, limit: int) -> Iterator[tuple[str, list[int]]]:
        """Ways to choose of what is pending, at most `limit`, each with a name: the telling ones first.

        All, none, everything but directories, nothing but directories; each prefix, each single one alone or alone
        missing, as many as there is room for; random subsets for the rest.
        """
        count = len(self.pending)
        entries = [place for place, each in enumerate(self.pending) if isinstance(each, Entry)]
        others = [place for place in range(count) if not isinstance(self.pending[place], Entry)]
        ways: list[tuple[str, list[int]]] = [("all", list(range(count)))]
        if count:
            ways.append(("none", []))
        if entries and others:
            ways += [("no directories", others), ("directories only", entries)]
        singles = [(f"first {place}", list(range(place))) for place in range(1, count)]
        if count > 1:
            for place in range(count):
                singles.append((f"only {place}", [place]))
                singles.append((f"all but {place}", [each for each in range(count) if each != place]))
        room = max(limit - len(ways), 0)
        if len(singles) > room:
            singles = rng.sample(singles, (room + 1) // 2)
        ways += singles
        yield from ways[:limit]
        seen = {tuple(each) for _, each in ways}
        for number in range(limit - len(ways)):
            share = rng.random()
            kept = tuple(place for place in range(count) if rng.random() < share)
            if kept not in seen:
                seen.add(kept)
                yield f"random {number}: {list(kept)}", list(kept)

    def images(self, rng: random.Random, limit: int) -> Iterator[tuple[str, Disk]]:
        """Crash images, at most `limit`, with the names of their choices."""
        for name, kept in self.choices(rng, limit):
            yield name, self.image(kept)

    # -- damage at rest

    def at(self, path: str) -> tuple[Folder, str]:
        """Where a path below the root stands."""
        *folders, name = path.split("/")
        folder = self.root
        for each in folders:
            inner = folder.live[each]
            assert isinstance(inner, Folder)
            folder = inner
        return folder, name

    def content(self, path: str) -> Content:
        folder, name = self.at(path)
        content = folder.live[name]
        assert isinstance(content, Content)
        return content

    def flip(self, path: str, offset: int, bit: int = 0) -> None:
        """One bit of a file turned over."""
        content = self.content(path)
        content.live[offset] ^= 1 << bit
        content.synced[offset] = content.live[offset]

    def cut(self, path: str, size: int) -> None:
        """A file lost its end."""
        content = self.content(path)
        del content.live[size:]
        del content.synced[size:]

    def lose(self, path: str) -> None:
        """A file is not there any more."""
        folder, name = self.at(path)
        del folder.live[name]
        folder.synced.pop(name, None)


def failure(kind: str, path: str, code: int) -> StorageError:
    """The error of an operation, as `amqpd.store.files` tells it."""
    text = f"{path}: {kind}: {errno.errorcode[code]} ({os.strerror(code)}); an injected fault"
    return StorageFullError(text) if code in (errno.ENOSPC, errno.EDQUOT) else StorageError(text)


class MemoryFile(File):
    """An open file. It stays usable while it has another name, or none."""

    def __init__(self, disk: Disk, content: Content, path: str, writable: bool) -> None:
        super().__init__(path)
        self.disk, self.held, self.writable = disk, content, writable
        self.closed = False

    def _use(self, write: bool = False) -> None:
        assert not self.closed, f"{self.path} is closed"
        assert self.writable or not write, f"{self.path} was opened for reading"
        self.disk.alive()

    def _grown(self, size: int) -> None:
        growth = size - len(self.held.live)
        if growth > 0 and self.disk.used() + growth > self.disk.capacity:
            raise failure("write", self.path, errno.ENOSPC)

    def read(self, offset: int, size: int) -> bytes:
        self._use()
        self.disk.reads += 1
        fault = self.disk.plan("read", self.path)
        if fault is not None:
            raise failure("read", self.path, fault.code)
        return bytes(self.held.live[offset : offset + size])

    def write(self, offset: int, parts: Sequence[bytes]) -> None:
        self._use(True)
        fault = self.disk.operation("write", self.path)
        data = b"".join(parts)
        if fault is not None:
            self.disk.put(self.held, offset, data[: int(len(data) * fault.part)])
            raise failure("write", self.path, fault.code)
        self._grown(offset + len(data))
        self.disk.put(self.held, offset, data)

    def extend(self, size: int) -> None:
        self._use(True)
        present = len(self.held.live)
        fault = self.disk.operation("extend", self.path)
        if fault is not None:
            # It went half the way and was truncated back.
            self.disk.resize(self.held, present + int((size - present) * fault.part))
            self.disk.resize(self.held, present)
            raise failure("extend", self.path, fault.code)
        self._grown(size)
        if size > present:
            if size - present > SECTOR:
                self.disk.resize(self.held, present + (size - present) // 2)
            self.disk.resize(self.held, size)

    def sync(self) -> None:
        self._use()
        fault = self.disk.operation("sync", self.path)
        if fault is not None:
            raise failure("sync", self.path, fault.code)
        self.disk.sync(self.held)

    def size(self) -> int:
        self._use()
        return len(self.held.live)

    def truncate(self, size: int) -> None:
        self._use(True)
        self.disk.operation("truncate", self.path)
        self.disk.resize(self.held, size)

    def close(self) -> None:
        self.closed = True


class MemoryFiles(Files):
    """A directory."""

    def __init__(self, disk: Disk, folder: Folder, path: str) -> None:
        super().__init__(path)
        self.disk, self.folder = disk, folder

    def _full(self, name: str) -> str:
        assert name.strip("/") == name != "", name
        return f"{self.path}/{name}"

    def _missing(self, kind: str, name: str) -> StorageError:
        return failure(kind, self._full(name), errno.ENOENT)

    def names(self) -> list[str]:
        return sorted(self.folder.live)

    def create(self, name: str) -> File:
        path = self._full(name)
        self.disk.operation("create", path)
        if name in self.folder.live:
            raise failure("create", path, errno.EEXIST)
        if self.disk.used() >= self.disk.capacity:
            raise failure("create", path, errno.ENOSPC)
        content = Content()
        self.disk.change(self.folder, {name: content})
        return MemoryFile(self.disk, content, path, True)

    def open(self, name: str, writable: bool = True) -> File:
        content = self.folder.live.get(name)
        if not isinstance(content, Content):
            raise self._missing("open", name)
        self.disk.alive()
        return MemoryFile(self.disk, content, self._full(name), writable)

    def rename(self, old: str, new: str) -> None:
        self._full(new)
        self.disk.operation("rename", self._full(old))
        target = self.folder.live.get(old)
        if target is None:
            raise self._missing("rename", old)
        self.disk.change(self.folder, {old: None, new: target})

    def remove(self, name: str) -> None:
        self.disk.operation("remove", self._full(name))
        if not isinstance(self.folder.live.get(name), Content):
            raise self._missing("remove", name)
        self.disk.change(self.folder, {name: None})

    def sync(self) -> None:
        self.disk.operation("sync-directory", self.path)
        self.disk.sync_folder(self.folder)

    def directory(self, name: str) -> Files:
        target = self.folder.live.get(name)
        if target is None:
            self.disk.operation("mkdir", self._full(name))
            target = Folder()
            self.disk.change(self.folder, {name: target})
        assert isinstance(target, Folder)
        return MemoryFiles(self.disk, target, self._full(name))

    def free_bytes(self) -> int:
        return max(self.disk.capacity - self.disk.used(), 0)
