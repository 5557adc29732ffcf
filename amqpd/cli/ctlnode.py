"""`amqpctl status`, `alarm`, `trace`, `backup`, `config`, `stop`, and what closes connections."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from amqpd.cli.ctlbase import Node, command, in_vhost, main

BACKUP_TIMEOUT_S: Final = 86_400.0

_reason = click.option("--reason", default="closed by an operator", help="What the client is told.")
_resource = click.argument("resource", type=click.Choice(["memory", "disk"]))


@command("status")
def status(node: Node) -> object:
    """The node's version, listeners, memory, alarms and totals."""
    return node.ask("status")


@main.group()
def alarm() -> None:
    """Raise and clear resource alarms: while one is on, connections that publish are blocked."""


@command("set", alarm)
@_resource
def alarm_set(node: Node, resource: str) -> object:
    """Raise an alarm, until it is cleared in the same way."""
    return node.ask("alarm", resource=resource, on=True)


@command("clear", alarm)
@_resource
def alarm_clear(node: Node, resource: str) -> object:
    """Clear an alarm that was raised here. One that the node itself raised stays."""
    return node.ask("alarm", resource=resource, on=False)


@command("trace")
@click.argument("switch", type=click.Choice(["on", "off"]))
@in_vhost
def trace(node: Node, switch: str, vhost: str) -> object:
    """Turn the firehose on or off: copies of all messages go to the exchange amq.rabbitmq.trace."""
    return node.ask("trace", on=switch == "on", vhost=vhost)


@command("close-connection")
@click.argument("name")
@_reason
def close_connection(node: Node, name: str, reason: str) -> object:
    """Close the connection of that name (see `amqpctl list connections`)."""
    return node.ask("close-connection", name=name, reason=reason)


@command("close-all-connections")
@click.option("-p", "--vhost", metavar="NAME", help="Only those to this virtual host.")
@click.option("--user", metavar="NAME", help="Only those of this user.")
@_reason
def close_all_connections(node: Node, vhost: str | None, user: str | None, reason: str) -> object:
    """Close every connection."""
    return node.ask("close-all-connections", reason=reason, vhost=vhost, user=user)


@command("backup")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
def backup(node: Node, directory: Path) -> object:
    """Back up definitions and messages, as they are in one moment, to the new directory DIR.

    The node writes it, and goes on meanwhile. `amqpd store restore` makes a data directory of it. Keys of encrypted
    messages are not in it: keep them elsewhere.
    """
    return node.send({"command": "backup", "path": str(directory.absolute())}, b"", BACKUP_TIMEOUT_S)


@main.group()
def config() -> None:
    """Have the node obey a configuration that has changed."""


@command("reload", config)
def config_reload(node: Node) -> object:
    """Read the configuration again, as on SIGHUP; the node's log says what has changed."""
    return node.ask("reload")


@command("stop")
def stop(node: Node) -> object:
    """Stop the node: its clients are told, and it ends."""
    return node.ask("stop")
