"""The record of repairs: `DATA_DIR/repairs.log`, and what of it the node has not said in its own log yet.

Both are written before a repair changes anything. Blocks.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from amqpd.errors import StorageError
from amqpd.maintenance.keeping import sync_folder
from amqpd.store.files import failure

LOG: Final = "repairs.log"
UNSEEN: Final = "repairs.unseen"

_MOST: Final = 1 << 20  # bytes of it that the node reads


def note(data_dir: Path, time: str, lines: Sequence[str]) -> None:
    """Add lines, each with the time before it. They are on disk when this returns. Raises StorageError."""
    text = "".join(f"{time} {line}\n" for line in lines).encode("utf-8", "backslashreplace")
    for name in (LOG, UNSEEN):
        path = data_dir / name
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                os.write(descriptor, text)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise failure(error, "write", str(path)) from error
    sync_folder(data_dir)


def unseen(data_dir: Path) -> list[str]:
    """What was repaired since the node ran last. Raises StorageError."""
    path = data_dir / UNSEEN
    try:
        with path.open("rb") as file:
            return file.read(_MOST).decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}") from None


def seen(data_dir: Path) -> None:
    """It has been said. Raises StorageError."""
    path = data_dir / UNSEEN
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise failure(error, "remove", str(path)) from error
