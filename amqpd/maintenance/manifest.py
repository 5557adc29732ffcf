"""The manifest of a backup: which files it has, how long they are, and their checksums.

It is written last. A directory without one is a backup that was interrupted, or none.
"""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Final

from amqpd import __version__
from amqpd.errors import StorageError, VersionError

NAME: Final = "manifest.json"
FORMAT: Final = "amqpd backup"
VERSION: Final = 1

_LARGEST: Final = 64 << 20
_DIGEST_SIZE: Final = 64  # hexadecimal digits of SHA-256


class Entry:
    """A file: its name below the directory, its size in bytes, and its SHA-256."""

    def __init__(self, name: str, size: int, digest: str) -> None:
        self.name: Final = name
        self.size: Final = size
        self.digest: Final = digest


class Manifest:
    """`node` is the id of the node's messages ("" without any), `time` the moment that the backup shows."""

    def __init__(self, node: str, time: str, entries: list[Entry], online: bool) -> None:
        self.node: Final = node
        self.time: Final = time
        self.entries: Final = entries
        self.online: Final = online

    def encode(self) -> bytes:
        """The file's contents."""
        return json.dumps(
            {
                "format": FORMAT,
                "version": VERSION,
                "amqpd": __version__,
                "node": self.node,
                "time": self.time,
                "online": self.online,
                "files": [{"name": each.name, "size": each.size, "sha256": each.digest} for each in self.entries],
            },
            indent=1,
        ).encode()


def load(backup: Path) -> Manifest:
    """The manifest of a backup. Raises StorageError where it has none, VersionError for one of a later format."""
    path = backup / NAME
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST)
    except FileNotFoundError:
        raise StorageError(
            f"{backup} is no backup, or one that was interrupted: it has no {NAME}, which is written last"
        ) from None
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}") from None
    try:
        return _parsed(path, json.loads(data))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise StorageError(f"{path} is damaged ({error!r}): use another backup") from None


def _parsed(path: Path, found: dict[str, object]) -> Manifest:
    if found["format"] != FORMAT:
        raise ValueError("its format is another")
    if found["version"] != VERSION:
        raise VersionError(f"{path} has version {found['version']}, and this amqpd knows {VERSION}: use a newer one")
    files = found["files"]
    if not isinstance(files, list):
        raise TypeError("files is no list")
    entries = [_entry(each) for each in files]
    return Manifest(str(found["node"]), str(found["time"]), entries, found["online"] is True)


def _entry(found: dict[str, object]) -> Entry:
    name, size, digest = found["name"], found["size"], found["sha256"]
    if not isinstance(name, str) or not isinstance(size, int) or not isinstance(digest, str):
        raise TypeError("a file's entry")
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or PurePosixPath(name).is_absolute() or name == NAME:
        raise ValueError(f"a file is called {name!r}")  # nothing outside the directory is touched
    if size < 0 or len(digest) != _DIGEST_SIZE:
        raise ValueError(f"the size or checksum of {name!r}")
    return Entry(name, size, digest)
