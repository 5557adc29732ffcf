"""A backup becomes the data directory of a node: under another path, on another machine, if need be.

Everything is verified before the first byte is written, and once more when it is there. While that goes on the
directory has a file `restoring`, and no node starts on it (`amqpd.runtime.datadir`).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from amqpd.errors import StorageError
from amqpd.maintenance.copying import FileCopy, Source, digest_of
from amqpd.maintenance.keeping import sync_folder
from amqpd.maintenance.manifest import Manifest, load
from amqpd.runtime.datadir import RESTORING
from amqpd.store.files import failure

_NOT_OURS: Final = frozenset({"lost+found"})
"""What an empty file system has."""


def restore(backup: Path, data_dir: Path) -> Manifest:
    """Make `data_dir`, which must be empty or missing. Blocks. Raises StorageError, VersionError."""
    manifest = load(backup)
    _must_be_empty(data_dir)
    _verify(backup, manifest)
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        (data_dir / RESTORING).touch(0o600)
    except OSError as error:
        raise failure(error, "write", str(data_dir)) from error
    sync_folder(data_dir)
    folders = {data_dir}
    for entry in manifest.entries:
        path = data_dir / entry.name
        _make_folder(path.parent, folders)
        copy = FileCopy(Source(entry.name, backup / entry.name), path, dense=True)
        try:
            while copy.step():
                pass
            copy.finish()
        finally:
            copy.close()
    for folder in folders:
        sync_folder(folder)
    _verify(data_dir, manifest)
    (data_dir / RESTORING).unlink()
    sync_folder(data_dir)
    return manifest


def _must_be_empty(data_dir: Path) -> None:
    try:
        there = set(os.listdir(data_dir)) - _NOT_OURS
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageError(f"{data_dir} cannot be used: {error.strerror}") from None
    if there == {RESTORING} or RESTORING in there:
        raise StorageError(f"{data_dir} has what is left of a restore that was interrupted: empty it first")
    if there:
        raise StorageError(f"{data_dir} is not empty: a backup is restored into an empty or a new directory")


def _verify(directory: Path, manifest: Manifest) -> None:
    """Raises StorageError where a file is not the one that was backed up."""
    for entry in manifest.entries:
        path = directory / entry.name
        try:
            size = path.stat().st_size
            digest = digest_of(path) if size == entry.size else ""
        except OSError as error:
            raise StorageError(f"{path} cannot be read: {error.strerror}; the backup is not complete") from None
        if size != entry.size:
            raise StorageError(f"{path} has {size} bytes, and had {entry.size} when backed up: use another backup")
        if digest != entry.digest:
            raise StorageError(f"{path} is not what was backed up (its SHA-256 is another): use another backup")


def _make_folder(path: Path, folders: set[Path]) -> None:
    if path in folders:
        return
    _make_folder(path.parent, folders)
    try:
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise failure(error, "make", str(path)) from error
    folders.add(path)
