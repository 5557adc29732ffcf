"""What SQLite can say, and what it means for a node.

At start everything is a ConfigError, a refusal that names the file and what to do. Later it is one of

    MetadataBusy     no space, or somebody else writes: the same commands can be applied later
    MetadataBroken   the disk, the file or its place is not what it was: nothing can be stored any more

After either, nothing of the commands is in the database. Texts hold what SQLite says of itself, never the values of a
statement: password hashes are among them.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from amqpd.errors import AmqpdError, ConfigError, StorageError, StorageFullError

_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_READ_ONLY: Final = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM})
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_FORMAT})

RESTORE: Final = "put a copy in its place, or move it away: the node then begins with an empty one"


class MetadataBusy(StorageFullError):
    """The definitions cannot be stored now. Nothing of them was; trying again later may do."""


class MetadataBroken(StorageError):
    """The definitions can no longer be stored. Nothing of the last ones was; the node has to stop."""


def refusal(error: BaseException | None, path: Path) -> ConfigError:
    """Why the database at `path` is not used."""
    code = _primary(error)
    if _without_space(error):
        return ConfigError(f"{path} cannot be used: no space is left on its file system ({error}); free some")
    if code == sqlite3.SQLITE_NOTADB:
        return no_database(path)
    if code in _DAMAGED:
        return damaged(path, str(error))
    if code in _BUSY:
        return ConfigError(f"{path} is locked by another process; end that one (`fuser {path}` names it)")
    if code in _READ_ONLY:
        return unwritable(path, str(error))
    if code == sqlite3.SQLITE_ERROR:  # a table or column that is not there, most of all
        return altered(path, str(error))
    if code == sqlite3.SQLITE_IOERR:
        return ConfigError(f"{path} cannot be used: {error}; look after the disk")
    return ConfigError(f"{path} cannot be used: {error}; look after the disk, or {RESTORE}")


def no_database(path: Path) -> ConfigError:
    """The file is something else, or its beginning is overwritten."""
    return ConfigError(f"{path} is not a SQLite database; {RESTORE}")


def damaged(path: Path, detail: str) -> ConfigError:
    """The file is a database, and is not sound."""
    return ConfigError(f"{path} is damaged ({detail}); {RESTORE}")


def unwritable(path: Path, detail: str | None) -> ConfigError:
    """The file, or the folder it is in, is read-only for this process."""
    return ConfigError(
        f"{path} cannot be written to ({detail}); give it and its folder to the user who runs the node, on a file "
        "system that can be written to"
    )


def altered(path: Path, detail: str) -> ConfigError:
    """The file is one of ours, and holds what no amqpd left there."""
    return ConfigError(f"{path} was changed by something else than amqpd ({detail}); {RESTORE}")


def failure(error: BaseException | None, path: Path) -> AmqpdError | ValueError:
    """What to raise for an error while commands were applied to the database at `path`.

    A ValueError is for a command that should not have come: one for a vhost or user that is not there.
    """
    code = _primary(error)
    if _without_space(error):
        return MetadataBusy(f"{path}: no space is left to store definitions ({error})")
    if code in _BUSY:
        return MetadataBusy(f"{path}: another process is writing to the definitions ({error})")
    if code == sqlite3.SQLITE_CONSTRAINT:
        return ValueError(f"{path}: a command for what is not there ({error})")
    return MetadataBroken(f"{path}: definitions can no longer be stored ({error})")


def _without_space(error: BaseException | None) -> bool:
    # SQLITE_IOERR_SHMSIZE: no space for the file that SQLite shares among processes, beside the database.
    return _primary(error) == sqlite3.SQLITE_FULL or _code(error) == sqlite3.SQLITE_IOERR_SHMSIZE


def _primary(error: BaseException | None) -> int:
    """SQLite's result code without its details (SQLite, rescode.html), or -1 where the error is not SQLite's."""
    code = _code(error)
    return code & 0xFF if code >= 0 else -1


def _code(error: BaseException | None) -> int:
    return getattr(error, "sqlite_errorcode", -1)
