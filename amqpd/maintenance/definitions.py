"""The definitions database, read without the node: whether it is sound, which queues there are, a copy of it.

Reads only, with SQLite's own means, also while the node runs. Blocks.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from amqpd.errors import ConfigError, StorageError

BUSY_S: Final = 5.0
_MOST_PROBLEMS: Final = 20


class Definitions:
    """What the database has. `queues`: names (VHOST/QUEUE) by identity; None where it is too old to have them."""

    def __init__(self, path: Path) -> None:
        self.path: Final = path
        self.there: Final = path.exists()
        self.revision = ""
        self.queues: dict[bytes, str] | None = None
        self.problems: Final[list[str]] = []


def read(path: Path, running: bool) -> Definitions:
    """Verify all of it. Damage is in the result. Raises StorageError where the file cannot be opened."""
    found = Definitions(path)
    if not found.there:
        return found
    try:
        with _connected(path, running) as file:
            rows = file.execute(f"PRAGMA integrity_check({_MOST_PROBLEMS})").fetchall()
            found.problems.extend(str(row[0]) for row in rows if row[0] != "ok")
            orphan = file.execute("PRAGMA foreign_key_check").fetchone()
            if orphan is not None:
                found.problems.append(f"rows of its table {orphan[0]} have lost what they belong to")
            _read_queues(found, file)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_CANTOPEN:
            raise StorageError(f"{path} cannot be opened: {error}") from None
        found.problems.append(str(error))
    except ConfigError as error:
        found.problems.append(str(error))
    return found


def _read_queues(found: Definitions, file: sqlite3.Connection) -> None:
    from amqpd.metadata import inspection, schema  # SQLAlchemy takes long to import

    found.revision = inspection.revision(file, found.path)
    if found.revision == schema.REVISION:
        inspection.check_columns(file, found.path)
    columns = {row[1] for row in file.execute("PRAGMA table_info(queues)")}
    if "identity" in columns:
        rows = file.execute("SELECT vhost, name, identity FROM queues").fetchall()
        found.queues = {bytes(identity): f"{vhost}/{name}" for vhost, name, identity in rows}


def copy(path: Path, target: Path, running: bool) -> None:
    """A copy of the database in one moment, on disk. Raises StorageError."""
    try:
        with _connected(path, running) as file, closing(sqlite3.connect(target)) as made:
            file.backup(made)
    except sqlite3.Error as error:
        raise StorageError(f"{path} cannot be copied to {target}: {error}") from None


@contextmanager
def _connected(path: Path, running: bool) -> Iterator[sqlite3.Connection]:
    """The database, for reading. Where nobody writes, and no log is left to look into, nothing is made beside it."""
    log = path.with_name(f"{path.name}-wal")
    untouched = not running and not (log.exists() and log.stat().st_size)
    uri = f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if untouched else ''}"
    with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_S)) as file:
        yield file
