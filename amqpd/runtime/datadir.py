"""The node's own directory, and the lock that keeps a second node out of it. Blocks for a moment on disk."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

from amqpd.errors import ConfigError

LOCK_NAME: Final = "amqpd.lock"
CONTROL_NAME: Final = "amqpd.sock"
RESTORING: Final = "restoring"
"""There while a backup is restored into the directory (`amqpd.maintenance.restore`)."""


class DataDir:
    """The directory, made where it is missing, and locked until `close`. Raises ConfigError.

    The lock is the kernel's, so it goes with the process, however that ended. The file holds the process's id, for
    people; it stays behind, because removing it would race with the next node.
    """

    def __init__(self, path: Path) -> None:
        self.path: Final = path
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock: Final = os.open(path / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigError(f"data_dir: {path} cannot be used: {error.strerror}") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(self._lock, 32).decode("ascii", "replace").strip()
            os.close(self._lock)
            raise ConfigError(
                f"data_dir: {path} is in use by another node (process {holder or 'unknown'}); "
                "give each node its own with --data-dir"
            ) from None
        if (path / RESTORING).exists():
            os.close(self._lock)
            raise ConfigError(
                f"data_dir: {path} has only a part of a backup, because `amqpd store restore` was interrupted; empty "
                "it, and restore again"
            )
        self.new: Final = os.listdir(path) == [LOCK_NAME]  # no node has been here
        try:
            os.ftruncate(self._lock, 0)
            os.write(self._lock, f"{os.getpid()}\n".encode())
        except OSError as error:
            os.close(self._lock)
            raise ConfigError(f"data_dir: {path} cannot be written to: {error.strerror}") from None

    @property
    def control_path(self) -> Path:
        """Where the control socket is."""
        return self.path / CONTROL_NAME

    def close(self) -> None:
        """Let another node have it."""
        os.close(self._lock)
