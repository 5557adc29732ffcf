"""The files of a node as its tools see them. Opens for reading, and makes nothing.

    DATA_DIR/amqpd.lock            held by the node while it runs
    DATA_DIR/definitions.sqlite    definitions
    DATA_DIR/messages/             the message store (amqpd.store.opening)

A backup is such a directory, too, with a manifest.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

from amqpd.errors import ConfigError, StorageError
from amqpd.store.cipher import Cipher
from amqpd.store.files import DiskFiles, Files
from amqpd.store.format import FIRST, JOURNAL, LAST, NODE, SECTOR, SEGMENT, check_version, decode_header
from amqpd.store.inventory import INVENTORY
from amqpd.store.opening import JOURNAL_DIRECTORY, NEW_NODE_NAME, NODE_NAME, SEGMENT_DIRECTORY

DATABASE: Final = "definitions.sqlite"
MESSAGES: Final = "messages"
LOCK: Final = "amqpd.lock"


class NodeDirectory:
    """A data directory, or its `messages`, which is where error messages point to. Raises StorageError.

    `running`: a node uses it. Where none does, none can start until `close`.
    """

    def __init__(self, path: Path, key_file: str = "") -> None:
        """Raises ConfigError for a key file that cannot be used."""
        if path.name == MESSAGES and not (path / MESSAGES).is_dir() and (path.parent / MESSAGES).is_dir():
            path = path.parent
        self.path: Final = path
        self.messages: Final = path / MESSAGES
        self.database: Final = path / DATABASE
        if not path.is_dir():
            raise StorageError(f"{path}: there is no such directory")
        if not self.messages.is_dir() and not self.database.exists():
            raise StorageError(f"{path} is no data directory: it has neither {DATABASE} nor {MESSAGES}")
        self.cipher: Final = Cipher(key_file) if key_file else None
        self._lock = -1
        self.running: Final = not self._take()

    def _take(self) -> bool:
        """Whether no node runs; the lock is ours then. A directory without that file never had a node, or is a copy."""
        try:
            descriptor = os.open(self.path / LOCK, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return True
        except OSError as error:
            raise StorageError(f"{self.path / LOCK} cannot be opened: {error.strerror}") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._lock = descriptor
        return True

    def must_be_stopped(self) -> None:
        """Raises ConfigError where a node runs."""
        if self.running:
            raise ConfigError(f"{self.path} is in use by a node: stop it first (`amqpctl stop`)")

    def close(self) -> None:
        """Let a node have it."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    # -- the message store

    def has_messages(self) -> bool:
        """Whether there is a message store, made to its end at least once, or the remains of one."""
        if not self.messages.is_dir() or ((self.messages / NEW_NODE_NAME).exists() and not self._is_made()):
            return False
        return any((self.messages / name).exists() for name in (NODE_NAME, JOURNAL_DIRECTORY, SEGMENT_DIRECTORY))

    def _is_made(self) -> bool:
        return (self.messages / NODE_NAME).exists()

    def files(self) -> Files:
        """The directory of the message store."""
        return DiskFiles(self.messages)

    def part(self, name: str) -> Files | None:
        """One of its directories; None where it is missing."""
        path = self.messages / name
        return DiskFiles(path) if path.is_dir() else None

    def node_id(self) -> tuple[bytes, str]:
        """Which node the messages belong to, and what is wrong with the file that says so, if anything.

        Then it is what the headers of other files say, and b"" where there are none. Raises VersionError.
        """
        path = self.messages / NODE_NAME
        problem = "is missing; it says which node this is"
        if path.exists():
            header = decode_header(_first_sector(path), NODE)
            if header is not None:
                check_version(header, str(path))
                return header.node_id, ""
            problem = "is damaged; it says which node this is"
        return self._named_elsewhere(), problem

    def _named_elsewhere(self) -> bytes:
        counts: dict[bytes, int] = {}
        for directory in (JOURNAL_DIRECTORY, SEGMENT_DIRECTORY):
            folder = self.messages / directory
            for path in sorted(folder.iterdir()) if folder.is_dir() else ():
                sector = _first_sector(path)
                for magic in (JOURNAL, SEGMENT, FIRST, LAST, INVENTORY):
                    header = decode_header(sector, magic)
                    if header is not None:
                        counts[header.node_id] = counts.get(header.node_id, 0) + 1
        return max(counts, key=counts.__getitem__) if counts else b""


def _first_sector(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(SECTOR)
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}") from None
