"""`amqpctl list`, and the `list` of each noun."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import click

from amqpd.cli.ctlbase import USAGE, F, Node, Rows, command, end

# The lists, and the columns by which their rows can be chosen.
LISTS: Final[dict[str, tuple[str, ...]]] = {
    "connections": ("vhost", "user"),
    "channels": ("vhost", "user"),
    "queues": ("vhost",),
    "exchanges": ("vhost",),
    "bindings": ("vhost",),
    "consumers": ("vhost",),
    "vhosts": (),
    "users": ("user",),
    "permissions": ("vhost", "user"),
    "topic-permissions": ("vhost", "user"),
    "policies": ("vhost",),
    "operator-policies": ("vhost",),
    "parameters": ("vhost",),
    "global-parameters": (),
    "vhost-limits": ("vhost",),
    "user-limits": ("user",),
    "failed-logins": (),
}


def rows_of(node: Node, what: str, columns: tuple[str, ...], vhost: str | None = None, user: str | None = None) -> Rows:
    """Rows with these columns, or with all."""
    rows = node.list(what, vhost=vhost, user=user)
    if not columns or not rows:
        return rows
    unknown = [column for column in columns if column not in rows[0]]
    if unknown:
        end(USAGE, f"{what} have no column {unknown[0]!r}; they have {', '.join(rows[0])}")
    return [{column: row[column] for column in columns} for row in rows]


def _options(*chosen_by: str) -> Callable[[F], F]:
    """The columns, and by what rows are chosen."""

    def decorate(function: F) -> F:
        if "user" in chosen_by:
            function = click.option("--user", metavar="NAME", help="Only what is this user's.")(function)
        if "vhost" in chosen_by:
            function = click.option("-p", "--vhost", metavar="NAME", help="Only what is in it.")(function)
        return click.argument("columns", nargs=-1, metavar="[COLUMN]...")(function)

    return decorate


@command("list")
@click.argument("what", type=click.Choice(list(LISTS)))
@_options("vhost", "user")
def list_(node: Node, what: str, columns: tuple[str, ...], vhost: str | None, user: str | None) -> object:
    """List what the node has: all columns, or those that are named."""
    return rows_of(node, what, columns, vhost, user)


def list_of(group: click.Group, what: str) -> None:
    """Give a noun its `list`."""

    @command("list", group)
    @_options(*LISTS[what])
    def listed(
        node: Node, columns: tuple[str, ...], vhost: str | None = None, user: str | None = None
    ) -> object:
        """The same as `amqpctl list`."""
        return rows_of(node, what, columns, vhost, user)
