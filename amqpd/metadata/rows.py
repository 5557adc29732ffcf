"""Commands as rows: which table keeps what a command puts, and what SQL a command is.

Does not open, commit or check anything. A column and the field that it keeps have the same name, so one description
serves both ways; what is special about a command stands below, by name. Parameters are always bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields
from itertools import groupby
from typing import Any, Final

from sqlalchemy import Connection, Delete, Executable, Select, Table, bindparam, delete, select
from sqlalchemy.dialects.sqlite import Insert, insert

from amqpd.broker import commands as c
from amqpd.metadata import schema
from amqpd.metadata.arguments import canonical

Parameters = dict[str, Any]


class Kind:
    """One kind of thing: its table, the command that makes one and the command that removes one."""

    def __init__(self, table: Table, put: type[c.Command], remove: type[c.Command]) -> None:
        self.table: Final = table
        self.put: Final = put
        self.remove: Final = remove
        self.columns: Final = _names(put)

    def rows(self) -> Select[Any]:
        """All rows, as the fields of `put`, in the order of the primary key."""
        return select(*(self.table.c[name] for name in self.columns)).order_by(*self.table.primary_key.columns)

    def upsert(self) -> Insert:
        """Make a row, or replace it. (To delete and insert it would take along what belongs to it.)"""
        statement = insert(self.table)
        rest = [column.name for column in self.table.columns if not column.primary_key]
        return statement.on_conflict_do_update(
            index_elements=list(self.table.primary_key.columns),
            set_={name: statement.excluded[name] for name in rest},
        )

    def delete(self) -> Delete:
        """Remove the row with the fields of `remove`."""
        names = _names(self.remove)
        if self.table is schema.bindings:
            names = tuple("arguments_key" if name == "arguments" else name for name in names)
        return _delete(self.table, **{name: name for name in names})


def _names(kind: type[c.Command]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def _delete(table: Table, **parameters: str) -> Delete:
    """Remove the rows in which each of these columns has the value of the parameter that is named."""
    return delete(table).where(*(table.c[column] == bindparam(name) for column, name in parameters.items()))


# In an order in which all can be put: first what others belong to.
KINDS: Final = (
    Kind(schema.vhosts, c.PutVHost, c.DeleteVHost),
    Kind(schema.users, c.PutUser, c.DeleteUser),
    Kind(schema.permissions, c.PutPermission, c.DeletePermission),
    Kind(schema.topic_permissions, c.PutTopicPermission, c.DeleteTopicPermission),
    Kind(schema.exchanges, c.PutExchange, c.DeleteExchange),
    Kind(schema.queues, c.PutQueue, c.DeleteQueue),
    Kind(schema.bindings, c.PutBinding, c.DeleteBinding),
    Kind(schema.policies, c.PutPolicy, c.DeletePolicy),
    Kind(schema.global_parameters, c.PutGlobalParameter, c.DeleteGlobalParameter),
    Kind(schema.parameters, c.PutParameter, c.DeleteParameter),
    Kind(schema.vhost_limits, c.PutVHostLimit, c.DeleteVHostLimit),
    Kind(schema.user_limits, c.PutUserLimit, c.DeleteUserLimit),
)
_BINDINGS_FROM: Final = _delete(schema.bindings, vhost="vhost", source="name")
_BINDINGS_TO: Final = _delete(schema.bindings, vhost="vhost", destination_type="destination_type", destination="name")
_TAKEN_ALONG: Final[dict[type[c.Command], tuple[Executable, ...]]] = {
    c.DeleteExchange: (_BINDINGS_FROM, _BINDINGS_TO),
    c.DeleteQueue: (_BINDINGS_TO,),
}
# What a kind of command does to the database, statement by statement.
_STATEMENTS: Final[dict[type[c.Command], tuple[Executable, ...]]] = {
    **{kind.put: (kind.upsert(),) for kind in KINDS},
    **{kind.remove: (*_TAKEN_ALONG.get(kind.remove, ()), kind.delete()) for kind in KINDS},
}
_ALL_TOPIC_PERMISSIONS: Final = (_delete(schema.topic_permissions, user="user", vhost="vhost"),)


def execute(connection: Connection, commands: Iterable[c.Command]) -> None:
    """Carry out `commands`, in their order. Neighbours of one kind are one statement with many parameters."""
    for statements, batch in groupby(commands, _statements):
        parameters = [_parameters(command) for command in batch]
        for statement in statements:
            connection.execute(statement, parameters)


def read(connection: Connection, kind: Kind) -> Iterator[c.Command]:
    """What is in the table of `kind`, as commands. Raises ValueError or TypeError where a row cannot be one."""
    put = kind.put
    for row in connection.execute(kind.rows()):
        yield put(*row)


def _statements(command: c.Command) -> tuple[Executable, ...]:
    if isinstance(command, c.DeleteTopicPermission) and command.exchange is None:
        return _ALL_TOPIC_PERMISSIONS
    return _STATEMENTS[type(command)]


def _parameters(command: c.Command) -> Parameters:
    parameters = {name: getattr(command, name) for name in _names(type(command))}
    if isinstance(command, (c.PutBinding, c.DeleteBinding)):
        parameters["arguments_key"] = canonical(command.arguments)
    elif isinstance(command, c.DeleteExchange):
        parameters["destination_type"] = "exchange"
    elif isinstance(command, c.DeleteQueue):
        parameters["destination_type"] = "queue"
    return parameters
