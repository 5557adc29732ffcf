"""Keeps what a repair changes: `messages/damaged-N`, laid out as `messages` is. Blocks; raises StorageError."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from amqpd.errors import StorageError
from amqpd.store.files import failure

PREFIX: Final = "damaged-"


class Keeping:
    """A new directory in `messages`, made when the first file comes."""

    def __init__(self, messages: Path) -> None:
        self._messages: Final = messages
        number = 1
        while (path := messages / f"{PREFIX}{number}").exists():
            number += 1
        self.path: Final = path

    def _folder(self, part: str) -> Path:
        folder = self.path / part
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise failure(error, "make", str(folder)) from error
        return folder

    def copy(self, part: str, name: str) -> None:
        """Keep a copy of a file as it is now, unless there is one already."""
        target = self._folder(part) / name
        source = self._messages / part / name
        if target.exists():
            return
        made = target.with_name(f"{name}.tmp")
        try:
            shutil.copyfile(source, made)
            sync_file(made)
            made.rename(target)
        except OSError as error:
            raise StorageError(f"{source} cannot be copied to {target}: {error.strerror}; it is as it was") from error
        sync_folder(target.parent)

    def move(self, part: str, name: str) -> None:
        """Have a file, or a whole directory, here and no longer there."""
        target = self._folder(part) / name
        source = self._messages / part / name
        try:
            source.rename(target)
        except OSError as error:
            raise failure(error, "move", str(source)) from error
        sync_folder(target.parent)
        sync_folder(source.parent)


def sync_file(path: Path) -> None:
    """Have a file's bytes on disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Have the names in a folder on disk. Raises StorageError."""
    try:
        sync_file(path)
    except OSError as error:
        raise failure(error, "sync", str(path)) from error
