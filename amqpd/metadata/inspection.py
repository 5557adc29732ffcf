"""Whether a file is a definitions database that this program can use. Asks, and changes nothing.

Works on the plain driver, before SQLAlchemy: what is refused here may be anything. Raises ConfigError or sqlite3.Error;
blocks on disk.
"""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path
from typing import Final

from amqpd.errors import ConfigError
from amqpd.metadata import faults, schema

MAGIC: Final = b"SQLite format 3\0"  # the page size follows, two bytes (SQLite, fileformat2.html 1.3)


def check_file(path: Path) -> None:
    """Raises ConfigError where `path` is no file, not a database by its first bytes, or cannot be written to."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise ConfigError(f"{path} is not a file, but a database should be there; move it away")
        with path.open("r+b") as file:
            header = file.read(18)
    except OSError as error:
        raise faults.unwritable(path, error.strerror) from None
    if not header:
        raise ConfigError(f"{path} is empty, which a database never is; {faults.RESTORE}")
    if len(header) < 18 or not header.startswith(MAGIC):
        raise faults.no_database(path)
    page_size = int.from_bytes(header[16:], "big")
    # SQLite fills a page that lacks its end with zeros, and may find nothing wrong with that.
    if page_size > 1 and found.st_size % page_size and not _log(path, "-wal").exists():
        raise faults.damaged(path, "its end is missing")


def check_alone(path: Path) -> None:
    """Raises ConfigError where a database is missing and its log is not: SQLite would take it for that of another."""
    for suffix in ("-wal", "-journal"):
        log = _log(path, suffix)
        if log.exists():
            raise ConfigError(
                f"{log} is there without {path.name}, which it is a part of; put that back, or move {log.name} away as "
                "well"
            )


def revision(file: sqlite3.Connection, path: Path) -> str:
    """The revision of the schema, which is not newer than the program. Raises ConfigError, sqlite3.Error."""
    if _number(file, "PRAGMA application_id") != schema.APPLICATION_ID:
        raise ConfigError(
            f"{path} is a SQLite database, but not one of amqpd's; move it away, or name another data directory"
        )
    rows = file.execute("SELECT version_num FROM alembic_version").fetchall()
    found = str(rows[0][0]) if len(rows) == 1 else ""
    if len(found) != len(schema.REVISION) or not found.isdecimal() or int(found) == 0:
        raise faults.altered(path, f"its schema is of no known revision: {found!r}")
    if found > schema.REVISION:
        raise ConfigError(
            f"{path} has the schema {found}, and this version of amqpd knows those up to {schema.REVISION}; run the "
            f"newer version that it was used with, or {faults.RESTORE}"
        )
    return found


def check_sound(file: sqlite3.Connection, path: Path) -> None:
    """Read everything. Raises ConfigError, sqlite3.Error where it does not hang together."""
    (verdict,) = file.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise faults.damaged(path, str(verdict).removeprefix("*** in database main ***").strip())


def check_columns(file: sqlite3.Connection, path: Path) -> None:
    """Raises ConfigError where something that `schema` has is not there. What is there besides disturbs nobody."""
    sql = "SELECT t.name, c.name FROM sqlite_master AS t JOIN pragma_table_info(t.name) AS c WHERE t.type = 'table'"
    there = set(file.execute(sql).fetchall())
    for table in schema.METADATA.sorted_tables:
        missing = [column.name for column in table.columns if (table.name, column.name) not in there]
        if missing:
            raise faults.altered(path, f"its table {table.name} lacks {', '.join(missing)}")
    if _number(file, "SELECT count(*) FROM state") != 1:
        raise faults.altered(path, "its table state has no row")


def _log(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _number(file: sqlite3.Connection, sql: str) -> int:
    (value,) = file.execute(sql).fetchone()
    return int(value)
