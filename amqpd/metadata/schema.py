"""The tables of the definitions database, as `docs/definitions-database.md` describes them to people who query it.

The tables here are those of `REVISION`. Whoever changes them writes a migration, raises `REVISION` and the page; tests
hold the three together. A column is named as the field of the command that it keeps (broker.commands).

Rows belong to their vhost and their user, and go with them: the database sees to that. Bindings go with their ends by
order (`rows`), because an end can be an exchange that every vhost has by itself, and those are not kept.
"""

from __future__ import annotations

import json
from typing import Final

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    TypeDecorator,
)

from amqpd.metadata import arguments
from amqpd.wire.tables import Table as Arguments

REVISION: Final = "0002"  # of the newest migration; revisions are numbers of four digits
APPLICATION_ID: Final = 0x616D_7170  # "amqp": marks a SQLite file as ours


class ArgumentsText(TypeDecorator[Arguments]):
    """An AMQP table as `arguments` writes it."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Arguments | None, dialect: Dialect) -> str | None:
        return None if value is None else arguments.encode(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Arguments | None:
        return None if value is None else arguments.decode(value)


class JsonText(TypeDecorator[object]):
    """What JSON can carry, null included, which is the text `null`. Text stays readable where it is Unicode."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: object | None, dialect: Dialect) -> str | None:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        return text if text.isascii() or _is_unicode(text) else json.dumps(value, separators=(",", ":"))

    def process_result_value(self, value: str | None, dialect: Dialect) -> object | None:
        return None if value is None else json.loads(value)


class ObjectText(TypeDecorator[dict[str, object]]):
    """A JSON object."""

    impl = JsonText
    cache_ok = True

    def process_result_value(self, value: object | None, dialect: Dialect) -> dict[str, object] | None:
        if not isinstance(value, dict):
            raise ValueError(f"no object: {value}")
        return value


class NamesText(TypeDecorator[tuple[str, ...]]):
    """A list of names, in JSON."""

    impl = JsonText
    cache_ok = True

    def process_result_value(self, value: object | None, dialect: Dialect) -> tuple[str, ...] | None:
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            raise ValueError(f"no list of names: {value}")
        return tuple(value)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can name and UTF-8 cannot
        return False
    return True


METADATA: Final = MetaData(
    naming_convention={  # every constraint has a name, so that a migration can speak of it
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


def _table(name: str, *columns: Column[object] | Index) -> Table:
    """A table that is its primary key's index: what belongs together is read in one go, in its order."""
    return Table(name, METADATA, *columns, sqlite_with_rowid=False)


def _text(name: str, key: bool = False) -> Column[object]:
    return Column(name, Text, primary_key=key, nullable=False)


def _flag(name: str) -> Column[object]:
    return Column(name, Boolean, nullable=False)


def _arguments(name: str = "arguments", key: bool = False) -> Column[object]:
    return Column(name, ArgumentsText, primary_key=key, nullable=False)


def _vhost() -> Column[object]:
    return Column("vhost", Text, ForeignKey("vhosts.name", ondelete="CASCADE"), primary_key=True, nullable=False)


def _user() -> Column[object]:
    return Column("user", Text, ForeignKey("users.name", ondelete="CASCADE"), primary_key=True, nullable=False)


vhosts: Final = _table(
    "vhosts",
    _text("name", key=True),
    _text("description"),
    Column("tags", NamesText, nullable=False),
    _text("default_queue_type"),
)
users: Final = _table(
    "users",
    _text("name", key=True),
    _text("password_hash"),
    _text("hashing_algorithm"),
    Column("tags", NamesText, nullable=False),
)
permissions: Final = _table(
    "permissions",
    _user(),
    _vhost(),
    _text("configure"),
    _text("write"),
    _text("read"),
)
topic_permissions: Final = _table(
    "topic_permissions",
    _user(),
    _vhost(),
    _text("exchange", key=True),
    _text("write"),
    _text("read"),
)
exchanges: Final = _table(
    "exchanges",
    _vhost(),
    _text("name", key=True),
    _text("type"),
    _flag("durable"),
    _flag("auto_delete"),
    _flag("internal"),
    _arguments(),
)
queues: Final = _table(
    "queues",
    _vhost(),
    _text("name", key=True),
    _text("type"),
    _flag("durable"),
    _flag("auto_delete"),
    _arguments(),
    Column("identity", LargeBinary, nullable=False),
)
bindings: Final = _table(
    "bindings",
    _vhost(),
    _text("source", key=True),
    _text("destination_type", key=True),
    _text("destination", key=True),
    _text("routing_key", key=True),
    _arguments("arguments_key", key=True),  # in the order of their names: what makes it the same binding
    _arguments(),
    Index(None, "vhost", "destination_type", "destination"),
)
policies: Final = _table(
    "policies",
    _vhost(),
    Column("operator", Boolean, primary_key=True, nullable=False),
    _text("name", key=True),
    _text("pattern"),
    Column("definition", ObjectText, nullable=False),
    _text("apply_to"),
    Column("priority", Integer, nullable=False),
)
parameters: Final = _table(
    "parameters",
    _vhost(),
    _text("component", key=True),
    _text("name", key=True),
    Column("value", JsonText, nullable=False),
)
global_parameters: Final = _table(
    "global_parameters",
    _text("name", key=True),
    Column("value", JsonText, nullable=False),
)
vhost_limits: Final = _table(
    "vhost_limits",
    _vhost(),
    _text("name", key=True),
    Column("value", Integer, nullable=False),
)
user_limits: Final = _table(
    "user_limits",
    _user(),
    _text("name", key=True),
    Column("value", Integer, nullable=False),
)
state: Final = Table(
    "state",
    METADATA,
    Column("id", Integer, CheckConstraint("id = 1", name="one_row"), primary_key=True),
    Column("sequence", Integer, nullable=False),  # the number of the last command that is in here
)
alembic_version: Final = Table(
    "alembic_version",  # Alembic's own, in the form that it gives it
    METADATA,
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
