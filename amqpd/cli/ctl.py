"""`amqpctl`: ask a running node, over its control socket, and tell it what to do.

Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 no node runs there. Blocking and small: imports no trio.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NoReturn

import click

REFUSED: Final = 1
NOT_RUNNING: Final = 3
TIMEOUT_S: Final = 30.0
DEFAULT_DATA_DIR: Final = "amqpd-data"
SOCKET_NAME: Final = "amqpd.sock"

LISTS: Final = ("connections", "channels", "queues", "exchanges", "bindings", "consumers", "vhosts")


class Node:
    """A running node, as its control socket."""

    def __init__(self, data_dir: Path) -> None:
        self.path: Final = data_dir / SOCKET_NAME

    def ask(self, command: str, **details: object) -> Any:
        """The result of a command. Blocks. Ends the program, with a message, where there is none."""
        request = json.dumps({"command": command, **details}).encode() + b"\n"
        answer: Any = None
        try:
            answer = self._exchange(request)
        except (FileNotFoundError, ConnectionRefusedError):
            _end(NOT_RUNNING, f"no node runs with the data directory {self.path.parent} (see --data-dir)")
        except (OSError, ValueError) as error:
            _end(REFUSED, f"{self.path}: {error}")
        if not answer["ok"]:
            _end(REFUSED, answer["error"])
        return answer["result"]

    def _exchange(self, request: bytes) -> Any:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(TIMEOUT_S)
            sock.connect(str(self.path))
            sock.sendall(request)
            with sock.makefile("rb") as lines:
                return json.loads(lines.readline())


def _end(code: int, message: str) -> NoReturn:
    click.echo(f"amqpctl: {message}", err=True)
    sys.exit(code)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False) if value else ""
    return str(value)


def _print_table(rows: list[dict[str, object]]) -> None:
    if not rows:
        return
    cells = [list(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _print(result: object, form: str) -> None:
    if form == "json":
        click.echo(json.dumps(result, indent=2, ensure_ascii=False))
    elif isinstance(result, list):
        _print_table(result)
    elif isinstance(result, dict):
        width = max(map(len, result), default=0)
        for name, value in result.items():
            click.echo(f"{name.ljust(width)}  {_cell(value)}".rstrip())


def _common(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that stand before a command's name as well as after it."""
    options = (
        click.option(
            "--data-dir",
            type=click.Path(path_type=Path),
            metavar="DIR",
            help="The data directory of the node that is meant.  [default: $AMQPD_DATA_DIR, else ./amqpd-data]",
        ),
        click.option("--format", "form", type=click.Choice(["table", "json"]), help="How to print.  [default: table]"),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group()
@_common
@click.pass_context
def main(ctx: click.Context, data_dir: Path | None, form: str | None) -> None:
    """Ask a running amqpd node, and tell it what to do.

    Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 no node runs there.
    """
    ctx.obj = (data_dir or Path(os.environ.get("AMQPD_DATA_DIR") or DEFAULT_DATA_DIR), form or "table")


def _command(
    name: str, group: click.Group = main
) -> Callable[[Callable[..., object]], Callable[..., object]]:
    """Make a function a command: it gets the node and its parameters, and what it returns is printed."""

    def decorate(function: Callable[..., object]) -> Callable[..., object]:
        @_common
        @click.pass_context
        def run(ctx: click.Context, /, data_dir: Path | None, form: str | None, **parameters: object) -> None:
            default_dir, default_form = ctx.obj
            _print(function(Node(data_dir or default_dir), **parameters), form or default_form)

        run.__doc__ = function.__doc__
        run.__click_params__ = [*getattr(function, "__click_params__", []), *run.__click_params__]  # type: ignore[attr-defined]
        group.command(name)(run)
        return function

    return decorate


_reason = click.option("--reason", default="closed by an operator", help="What the client is told.")


@_command("status")
def status(node: Node) -> object:
    """The node's version, listeners, memory, alarms and totals."""
    return node.ask("status")


@_command("list")
@click.argument("what", type=click.Choice(LISTS))
def list_(node: Node, what: str) -> object:
    """List what the node has."""
    return node.ask("list", what=what)


@main.group()
def alarm() -> None:
    """Raise and clear resource alarms: while one is on, connections that publish are blocked."""


@_command("set", alarm)
@click.argument("resource", type=click.Choice(["memory", "disk"]))
def alarm_set(node: Node, resource: str) -> object:
    """Raise an alarm, until it is cleared in the same way."""
    return node.ask("alarm", resource=resource, on=True)


@_command("clear", alarm)
@click.argument("resource", type=click.Choice(["memory", "disk"]))
def alarm_clear(node: Node, resource: str) -> object:
    """Clear an alarm that was raised here. One that the node itself raised stays."""
    return node.ask("alarm", resource=resource, on=False)


@_command("trace")
@click.argument("switch", type=click.Choice(["on", "off"]))
@click.option("--vhost", default="/", metavar="NAME", help="Whose messages to trace.  [default: /]")
def trace(node: Node, switch: str, vhost: str) -> object:
    """Turn the firehose on or off: copies of all messages go to the exchange amq.rabbitmq.trace."""
    return node.ask("trace", on=switch == "on", vhost=vhost)


@main.group()
def vhost() -> None:
    """Add and delete virtual hosts."""


@_command("add", vhost)
@click.argument("name")
def vhost_add(node: Node, name: str) -> object:
    """Add a virtual host."""
    return node.ask("vhost", action="add", name=name)


@_command("delete", vhost)
@click.argument("name")
def vhost_delete(node: Node, name: str) -> object:
    """Delete a virtual host with all that is in it, and close its connections."""
    return node.ask("vhost", action="delete", name=name)


@_command("close-connection")
@click.argument("name")
@_reason
def close_connection(node: Node, name: str, reason: str) -> object:
    """Close the connection of that name (see `amqpctl list connections`)."""
    return node.ask("close-connection", name=name, reason=reason)


@_command("close-all-connections")
@_reason
def close_all_connections(node: Node, reason: str) -> object:
    """Close every connection."""
    return node.ask("close-all-connections", reason=reason)


@_command("stop")
def stop(node: Node) -> object:
    """Stop the node: its clients are told, and it ends."""
    return node.ask("stop")
