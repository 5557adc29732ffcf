"""rabbitmqctl's names for what amqpctl can do, so that scripts carry over. They are hidden from the help.

Most are the same command under another name. A list has rabbitmqctl's columns unless others are named, and is of the
virtual host `/` unless another is.
"""

from __future__ import annotations

import copy
from functools import partial
from typing import Final

import click

from amqpd.cli import ctlnode
from amqpd.cli.ctlaccess import user_limit_clear
from amqpd.cli.ctlbase import Node, command, in_vhost, json_object, main
from amqpd.cli.ctllists import LISTS, rows_of
from amqpd.cli.ctltopology import vhost_limit_clear

SAME: Final = {
    "add_user": "user add",
    "delete_user": "user delete",
    "change_password": "user set-password",
    "clear_password": "user clear-password",
    "set_user_tags": "user set-tags",
    "authenticate_user": "user authenticate",
    "set_permissions": "permission set",
    "clear_permissions": "permission clear",
    "set_topic_permissions": "topic-permission set",
    "clear_topic_permissions": "topic-permission clear",
    "clear_user_limits": "user-limit clear",
    "add_vhost": "vhost add",
    "update_vhost_metadata": "vhost set",
    "delete_vhost": "vhost delete",
    "clear_vhost_limits": "vhost-limit clear",
    "set_policy": "policy set",
    "clear_policy": "policy clear",
    "set_operator_policy": "operator-policy set",
    "clear_operator_policy": "operator-policy clear",
    "set_parameter": "parameter set",
    "clear_parameter": "parameter clear",
    "set_global_parameter": "global-parameter set",
    "clear_global_parameter": "global-parameter clear",
    "delete_queue": "queue delete",
    "purge_queue": "queue purge",
    "export_definitions": "definitions export",
    "import_definitions": "definitions import",
    "shutdown": "stop",
}

# The list, and the columns that rabbitmqctl shows.
LISTED: Final = {
    "list_users": ("users", "user tags"),
    "list_permissions": ("permissions", "user configure write read"),
    "list_topic_permissions": ("topic-permissions", "user exchange write read"),
    "list_user_limits": ("user-limits", "user name value"),
    "list_vhosts": ("vhosts", "name"),
    "list_vhost_limits": ("vhost-limits", "vhost name value"),
    "list_policies": ("policies", "vhost name pattern apply-to definition priority"),
    "list_operator_policies": ("operator-policies", "vhost name pattern apply-to definition priority"),
    "list_parameters": ("parameters", "component name value"),
    "list_global_parameters": ("global-parameters", "name value"),
    "list_exchanges": ("exchanges", "name type"),
    "list_queues": ("queues", "name messages"),
    "list_bindings": (
        "bindings",
        "source_name source_kind destination_name destination_kind routing_key arguments",
    ),
    "list_connections": ("connections", "user peer_host peer_port state"),
    "list_channels": ("channels", "name user consumer_count messages_unacknowledged"),
    "list_consumers": (
        "consumers",
        "queue_name channel consumer_tag ack_required prefetch_count active arguments",
    ),
}
_ALL_VHOSTS: Final = ("connections", "channels")

hidden = partial(command, hidden=True)


def _find(path: str) -> click.Command:
    found: click.Command = main
    for name in path.split():
        assert isinstance(found, click.Group)
        found = found.commands[name]
    return found


def add_same() -> None:
    """Add what is the same under another name. The others are added when this is imported."""
    for name, path in SAME.items():
        alias = copy.copy(_find(path))
        alias.name, alias.hidden = name, True
        main.add_command(alias)


def _add_list(name: str, what: str, usual: str) -> None:
    @hidden(name)
    @click.argument("columns", nargs=-1, metavar="[COLUMN]...")
    @click.option("-p", "--vhost", metavar="NAME")
    @click.option("--user", metavar="NAME")
    def listed(node: Node, columns: tuple[str, ...], vhost: str | None, user: str | None) -> object:
        """The list."""
        by = LISTS[what]
        if "vhost" in by and what not in _ALL_VHOSTS:
            vhost = vhost or "/"
        return rows_of(node, what, columns or tuple(usual.split()), vhost, user)


for _name, (_what, _usual) in LISTED.items():
    _add_list(_name, _what, _usual)


@hidden("list_user_permissions")
@click.argument("user")
def list_user_permissions(node: Node, user: str) -> object:
    """A user's permissions."""
    return rows_of(node, "permissions", ("vhost", "configure", "write", "read"), user=user)


@hidden("list_user_topic_permissions")
@click.argument("user")
def list_user_topic_permissions(node: Node, user: str) -> object:
    """A user's topic permissions."""
    return rows_of(node, "topic-permissions", ("vhost", "exchange", "write", "read"), user=user)


@hidden("set_user_limits")
@click.argument("user")
@click.argument("definition", callback=json_object)
def set_user_limits(node: Node, user: str, definition: dict[str, object]) -> object:
    """Limits as a JSON object; others stay."""
    for name, value in definition.items():
        node.order("PutUserLimit", user=user, name=name, value=value)
    if not definition:
        user_limit_clear(node, user, "all")
    return {}


@hidden("set_vhost_limits")
@in_vhost
@click.argument("definition", callback=json_object)
def set_vhost_limits(node: Node, vhost: str, definition: dict[str, object]) -> object:
    """Limits as a JSON object, instead of those that are there."""
    for name, value in definition.items():
        node.order("PutVHostLimit", vhost=vhost, name=name, value=value)
    for row in node.list("vhost-limits", vhost=vhost):
        if row["name"] not in definition:
            vhost_limit_clear(node, vhost, str(row["name"]))
    return {}


@hidden("close_connection")
@click.argument("name")
@click.argument("reason")
def close_connection(node: Node, name: str, reason: str) -> object:
    """Close one; NAME is what `amqpctl list connections` shows."""
    return ctlnode.close_connection(node, name, reason)


@hidden("close_all_connections")
@click.option("-p", "--vhost", metavar="NAME")
@click.option("--global", "everywhere", is_flag=True)
@click.argument("reason")
def close_all_connections(node: Node, vhost: str | None, everywhere: bool, reason: str) -> object:
    """Close those to a virtual host, or all."""
    return ctlnode.close_all_connections(node, None if everywhere else vhost or "/", None, reason)


@hidden("close_all_user_connections")
@click.argument("user")
@click.argument("reason")
def close_all_user_connections(node: Node, user: str, reason: str) -> object:
    """Close a user's."""
    return ctlnode.close_all_connections(node, None, user, reason)


@hidden("trace_on")
@in_vhost
def trace_on(node: Node, vhost: str) -> object:
    """Turn the firehose on."""
    return ctlnode.trace(node, "on", vhost)


@hidden("trace_off")
@in_vhost
def trace_off(node: Node, vhost: str) -> object:
    """Turn the firehose off."""
    return ctlnode.trace(node, "off", vhost)
