"""The hold that one process has on the definitions database: a second one that would write is refused.

Readers are not kept out; SQLite lets them read while the node writes. The lock is on a file beside the database,
because SQLite keeps locks of its own on the database file, and closing any descriptor of that file would drop them
(fcntl(2)).
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

from amqpd.errors import ConfigError

SUFFIX: Final = ".lock"


class Hold:
    """Taken until `close`, or until the process ends. Raises ConfigError. The file stays, as that of the directory."""

    def __init__(self, database: Path) -> None:
        path = database.with_name(database.name + SUFFIX)
        try:
            self._lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigError(
                f"{database}: the folder cannot be written to ({path.name}: {error.strerror}); give it, with all that "
                "is in it, to the user who runs the node"
            ) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(self._lock, 32).decode("ascii", "replace").strip()
            os.close(self._lock)
            raise ConfigError(
                f"{database} is in use by another node (process {holder or 'unknown'}); stop that one first"
            ) from None
        try:
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            os.close(self._lock)
            raise ConfigError(f"{path} cannot be written to: {error.strerror}; make space for the database") from None

    def close(self) -> None:
        """Let another have it. More than once is nothing."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
