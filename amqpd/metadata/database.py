"""The database file: made where it is missing, refused where it cannot be used, migrated where it is old.

Invariants: one process writes (`hold`). The file is the owner's alone. Nothing is ever overwritten: a database is made
beside its place and moved there, and before a migration a copy is kept. A commit is on disk when it returns.

One connection serves all threads, one at a time. Everything blocks on disk.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, StaticPool, create_engine, event, insert
from sqlalchemy.exc import DBAPIError

from amqpd.errors import AmqpdError, ConfigError, StorageError
from amqpd.metadata import faults, inspection, schema
from amqpd.metadata.hold import Hold

log = logging.getLogger("amqpd.metadata")

BUSY_TIMEOUT_S: Final = 0.5  # how long to wait for somebody who writes and should not
MODE: Final = 0o600  # password hashes are in there
# A log that grew while somebody read for long is cut to this size afterwards, in bytes.
LOG_SIZE_KEPT: Final = 16 * 1024 * 1024

_PRAGMAS: Final = (
    "PRAGMA journal_mode = WAL",  # readers and the writer do not wait for each other, where the file system has that
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    f"PRAGMA journal_size_limit = {LOG_SIZE_KEPT}",
)


class Database:
    """The open database. Raises ConfigError."""

    def __init__(self, path: Path) -> None:
        self.path: Final = path
        self._hold: Final = Hold(path)
        try:
            if not os.path.lexists(path):
                _create(path)
            self._connection: Final = _open(path)
            self._place: Final = _place(path)
        except BaseException:
            self._hold.close()
            raise

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A consistent view. Raises ConfigError."""
        try:
            with self._connection.begin():
                yield self._connection
        except DBAPIError as error:
            raise faults.refusal(error.orig, self.path) from error

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction, all or nothing. Raises MetadataBusy, MetadataBroken."""
        if _place(self.path) != self._place:  # SQLite itself would go on writing to a file that nobody finds again
            raise faults.MetadataBroken(f"{self.path} was moved or removed while the node runs; stop it, put it back")
        try:
            with self._connection.begin():
                yield self._connection
        except DBAPIError as error:
            raise faults.failure(error.orig, self.path) from error

    def copy(self, path: Path) -> None:
        """A copy in the new file `path`. Raises StorageError; what is left there then is the caller's to remove."""
        file = self._connection.connection.driver_connection
        assert isinstance(file, sqlite3.Connection)
        try:
            _touch(path)
            with closing(_connect(path)) as target:
                file.backup(target)
        except (OSError, sqlite3.Error) as error:
            raise StorageError(f"{self.path} cannot be copied to {path}: {error}; the database is as it was") from error

    def close(self) -> None:
        """Close the file, then let another process have it. More than once is nothing."""
        self._connection.close()
        self._connection.engine.dispose()
        self._hold.close()


def _place(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_dev, found.st_ino


def _connect(path: Path) -> sqlite3.Connection:
    """Open a file that is there. Transactions are begun by order, never by the driver."""
    uri = f"{path.absolute().as_uri()}?mode=rw"
    return sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)


def _engine(file: sqlite3.Connection) -> Engine:
    """SQLAlchemy on one connection. Whoever begins will write, and takes the lock at once."""
    engine = create_engine("sqlite://", creator=lambda: file, poolclass=StaticPool, hide_parameters=True)
    event.listen(engine, "begin", _begin)
    return engine


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _create(path: Path) -> None:
    """Make an empty database beside its place, and move it there when it is complete."""
    inspection.check_alone(path)
    new = path.with_name(f"{path.name}.new")
    try:
        new.unlink(missing_ok=True)
        _touch(new)
        _fill(new)
        new.rename(path)
        _sync_folder(path)
    except OSError as error:
        raise faults.unwritable(path, error.strerror) from None
    except DBAPIError as error:
        raise faults.refusal(error.orig, path) from None


def _touch(path: Path) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, MODE))


def _fill(path: Path) -> None:
    engine = _engine(_connect(path))
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql(f"PRAGMA application_id = {schema.APPLICATION_ID}")
            schema.METADATA.create_all(connection, checkfirst=False)
            connection.execute(insert(schema.alembic_version).values(version_num=schema.REVISION))
            connection.execute(insert(schema.state).values(id=1, sequence=0))
    finally:
        engine.dispose()


def _sync_folder(path: Path) -> None:
    """Have the folder's entry of `path` on disk (fsync(2))."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _open(path: Path) -> Connection:
    """Connect to the file, checked, with the newest schema, and not locked by anybody. Raises ConfigError."""
    inspection.check_file(path)
    try:
        with ExitStack() as undo:
            file = undo.enter_context(closing(_connect(path)))
            found = inspection.revision(file, path)
            inspection.check_sound(file, path)
            _make_private(path)
            for pragma in _PRAGMAS:
                file.execute(pragma)
            file.execute("BEGIN IMMEDIATE")
            file.execute("ROLLBACK")
            connection = undo.enter_context(_engine(file).connect())
            if found != schema.REVISION:
                _migrate(connection, file, path, found)
            inspection.check_columns(file, path)
            undo.pop_all()
            return connection
    except sqlite3.Error as error:
        raise faults.refusal(error, path) from None


def _make_private(path: Path) -> None:
    if path.stat().st_mode & 0o077:
        try:
            path.chmod(MODE)
        except OSError as error:
            raise ConfigError(
                f"{path} holds password hashes, is open to others, and cannot be closed to them ({error.strerror}); "
                "give it to the user who runs the node"
            ) from None


def _migrate(connection: Connection, file: sqlite3.Connection, path: Path, found: str) -> None:
    """From revision `found` to the newest, in one transaction, after a copy was made. Both are the same connection."""
    from amqpd.metadata import migrations  # slow to import, seldom needed

    copy = _keep_copy(file, path, found)
    log.warning("migrating %s from schema %s to %s; a copy is in %s", path, found, schema.REVISION, copy)
    file.execute("PRAGMA foreign_keys = OFF")  # a table that is copied and dropped must not take rows along
    try:
        with connection.begin():
            migrations.upgrade(connection, schema.REVISION)
            if orphan := connection.exec_driver_sql("PRAGMA foreign_key_check").first():
                raise AmqpdError(f"rows of {orphan[0]} have lost what they belong to")
    except Exception as error:  # whatever a migration raises, nothing of it may stay
        copy.unlink()
        reason = error.orig if isinstance(error, DBAPIError) else error
        raise ConfigError(
            f"{path} could not be migrated from schema {found} to {schema.REVISION} ({reason}); nothing was changed: "
            "go on with the version of amqpd that it was used with, and report this"
        ) from error
    file.execute("PRAGMA foreign_keys = ON")


def _keep_copy(file: sqlite3.Connection, path: Path, found: str) -> Path:
    """A copy of the database, on disk, under a name that tells its schema and is not in use."""
    stem = f"{path.name}.schema-{found}"
    number = 1
    while (copy := path.with_name(stem if number == 1 else f"{stem}-{number}")).exists():
        number += 1
    try:
        _touch(copy)
        with closing(_connect(copy)) as target:
            file.backup(target)
        _sync_folder(path)
    except (OSError, sqlite3.Error) as error:
        copy.unlink(missing_ok=True)
        raise ConfigError(
            f"{path} must be migrated to schema {schema.REVISION}, and cannot be copied before ({error}); make space "
            "beside it"
        ) from None
    return copy
