"""The store of definitions: read once when a node starts, then told every change, in order.

It keeps what commands say and knows nothing of what they mean. The number of the last command that it has is stored in
the same transaction as the command: whoever has a log of commands knows from it where to go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sqlalchemy import bindparam, select, update

from amqpd.broker.commands import Command
from amqpd.metadata import faults, rows, schema
from amqpd.metadata.database import Database

NAME: Final = "definitions.sqlite"

_SEQUENCE: Final = select(schema.state.c.sequence)
_ADVANCE: Final = update(schema.state).values(sequence=bindparam("number"))


class Store:
    """The database at `path`, which is made or migrated. Raises ConfigError. Every method blocks on disk.

    One thread at a time calls it, not always the same.
    """

    def __init__(self, path: Path) -> None:
        self._database: Final = Database(path)
        try:
            with self._database.reading() as connection:
                self._sequence: int = connection.execute(_SEQUENCE).scalar_one()
        except BaseException:
            self.close()
            raise

    @property
    def path(self) -> Path:
        """Where the database is."""
        return self._database.path

    @property
    def fresh(self) -> bool:
        """True as long as nothing was ever stored: also after a first start that failed."""
        return self._sequence == 0

    @property
    def sequence(self) -> int:
        """The number of the last command that is stored; 0 is none."""
        return self._sequence

    def load(self) -> list[Command]:
        """The state, as commands that can be carried out in this order. Raises ConfigError."""
        commands: list[Command] = []
        with self._database.reading() as connection:
            for kind in rows.KINDS:
                try:
                    commands.extend(rows.read(connection, kind))
                except (TypeError, ValueError) as error:
                    raise faults.altered(self.path, f"in its table {kind.table.name}: {error}") from None
        return commands

    def apply(self, commands: Sequence[Command], sequence: int) -> None:
        """Store `commands`, of which the last has the number `sequence`, all or none; on disk when this returns.

        Raises MetadataBusy, MetadataBroken. Raises ValueError, which is the caller's error, where the number is not
        beyond that of the last call, or where a command is for a vhost or user that is not there.
        """
        if sequence <= self._sequence:
            raise ValueError(f"commands up to {sequence}, after those up to {self._sequence}")
        with self._database.writing() as connection:
            rows.execute(connection, commands)
            connection.execute(_ADVANCE, {"number": sequence})
        self._sequence = sequence

    def copy(self, path: Path) -> None:
        """A copy of the database in the new file `path`, as it is now. Raises StorageError."""
        self._database.copy(path)

    def close(self) -> None:
        """Close the database. More than once is nothing."""
        self._database.close()
