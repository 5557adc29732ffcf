"""What every command of `amqpctl` shares: the node that it asks, the options, and how an answer is printed.

Blocking and small: imports no trio.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

import click

from amqpd.text import one_line

REFUSED: Final = 1
USAGE: Final = 2
NOT_RUNNING: Final = 3
TIMEOUT_S: Final = 60.0  # without a byte of an answer
DEFAULT_DATA_DIR: Final = "amqpd-data"
SOCKET_NAME: Final = "amqpd.sock"

Rows = list[dict[str, object]]
F = TypeVar("F", bound=Callable[..., object])


class Node:
    """A running node, as its control socket."""

    def __init__(self, data_dir: Path) -> None:
        self.path: Final = data_dir / SOCKET_NAME

    def ask(self, command: str, **details: object) -> Any:
        """The result of a command; details that are None are left out. Blocks.

        Ends the program, with a message, where there is none.
        """
        return self.send({"command": command, **details}, b"", TIMEOUT_S)

    def send(self, request: Mapping[str, object], body: bytes, timeout_s: float) -> Any:
        """The same for a request that a `body` may follow."""
        details = {key: value for key, value in request.items() if value is not None}
        if body:
            details["size"] = len(body)
        answer: Any = None
        try:
            answer = self._exchange(json.dumps(details).encode() + b"\n" + body, timeout_s)
        except (FileNotFoundError, ConnectionRefusedError):
            end(NOT_RUNNING, f"no node runs with the data directory {self.path.parent} (see --data-dir)")
        except (OSError, ValueError) as error:
            end(REFUSED, f"{self.path}: {error}")
        if not answer["ok"]:
            for detail in answer.get("details", ()):
                click.echo(f"amqpctl: {detail}", err=True)
            end(REFUSED, answer["error"])
        return answer["result"]

    def order(self, order: str, **fields: object) -> Any:
        """Have one order carried out (see `amqpd.server.orders`)."""
        answer = self.ask("apply", order={"order": order, **fields})
        if "warning" in answer:
            warn(answer["warning"])
        return {}

    def list(self, what: str, vhost: str | None = None, user: str | None = None) -> Rows:
        """Rows of a list: all, or those of a vhost or a user."""
        found: Rows = self.ask("list", what=what, vhost=vhost, user=user)
        return found

    def _exchange(self, request: bytes, timeout_s: float) -> Any:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(timeout_s)
            sock.connect(str(self.path))
            try:
                sock.sendall(request)
            except BrokenPipeError:
                pass  # it is refused before all of it was read: the answer says why
            with sock.makefile("rb") as lines:
                line = lines.readline()
        if not line:
            raise OSError("the node ended the conversation without an answer")
        return json.loads(line)


def end(code: int, message: str) -> NoReturn:
    """End the program."""
    lines = [one_line(line) for line in message.split("\n")]  # RabbitMQ's texts have several
    click.echo("amqpctl: " + "\n".join(lines), err=True)
    sys.exit(code)


def warn(message: str) -> None:
    """Say something that is no answer."""
    click.echo(f"amqpctl: warning: {message}", err=True)


# -- printing


@dataclass(frozen=True)
class Form:
    """How to print. `quiet`: only what was asked for, not what was done."""

    json: bool = False
    headers: bool = True
    quiet: bool = False


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (dict, list)):
        return one_line(json.dumps(value, ensure_ascii=False)) if value else ""
    return one_line(str(value))


def _print_table(rows: Rows, headers: bool) -> None:
    if not rows:
        return
    cells = [[_cell(value) for value in row.values()] for row in rows]
    if headers:
        cells.insert(0, list(rows[0]))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _print(result: object, form: Form) -> None:
    if form.json:
        click.echo(json.dumps(result, indent=2))
    elif isinstance(result, list):
        _print_table(result, form.headers)
    elif isinstance(result, dict):
        width = max(map(len, result), default=0)
        for name, value in result.items():
            click.echo(f"{name.ljust(width)}  {_cell(value)}".rstrip())


# -- commands


def _common(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that stand before a command's name as well as after it."""
    options = (
        click.option(
            "--data-dir",
            type=click.Path(path_type=Path),
            metavar="DIR",
            help="The data directory of the node that is meant.  [default: $AMQPD_DATA_DIR, else ./amqpd-data]",
        ),
        click.option(
            "--format",
            "--formatter",
            "form",
            type=click.Choice(["table", "json"]),
            help="How to print.  [default: table]",
        ),
        click.option("--no-table-headers", is_flag=True, help="Print tables without the names of their columns."),
        click.option("-q", "--quiet", is_flag=True, help="Print what was asked for, but not what was done."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group()
@_common
@click.pass_context
def main(ctx: click.Context, data_dir: Path | None, form: str | None, no_table_headers: bool, quiet: bool) -> None:
    """Ask a running amqpd node, and tell it what to do.

    Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 no node runs there.
    """
    directory = data_dir or Path(os.environ.get("AMQPD_DATA_DIR") or DEFAULT_DATA_DIR)
    ctx.obj = (directory, Form(form == "json", not no_table_headers, quiet))


def command(name: str, group: click.Group = main, **settings: Any) -> Callable[[F], F]:
    """Make a function a command: it gets the node and its parameters, and what it returns is printed.

    A list is always printed, and so is what a command returns that begins with `status`.
    """

    def decorate(function: F) -> F:
        @_common
        @click.pass_context
        def run(
            ctx: click.Context,
            /,
            data_dir: Path | None,
            form: str | None,
            no_table_headers: bool,
            quiet: bool,
            **parameters: object,
        ) -> None:
            directory, default = ctx.obj
            chosen = Form(
                form == "json" if form else default.json,
                default.headers and not no_table_headers,
                default.quiet or quiet,
            )
            result = function(Node(data_dir or directory), **parameters)
            if isinstance(result, list) or name == "status" or not chosen.quiet:
                _print(result, chosen)

        run.__doc__ = function.__doc__
        run.__click_params__ = [*getattr(function, "__click_params__", []), *run.__click_params__]  # type: ignore[attr-defined]
        group.command(name, **settings)(run)
        return function

    return decorate


def in_vhost(function: F) -> F:
    """The option that says in which virtual host."""
    option = click.option("-p", "--vhost", default="/", metavar="NAME", help="In which virtual host.  [default: /]")
    return option(function)


def json_value(ctx: click.Context, parameter: click.Parameter, text: str) -> object:
    """A parameter's callback: the value of its JSON, which no error repeats: there may be a password in it."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise click.BadParameter(f"it is not JSON: {error}", ctx, parameter) from None


def json_object(ctx: click.Context, parameter: click.Parameter, text: str) -> object:
    """The same for what must be an object."""
    value = json_value(ctx, parameter, text)
    if not isinstance(value, dict):
        raise click.BadParameter("it is JSON, and no object", ctx, parameter)
    return value


def tags_of(text: str | None) -> list[str] | None:
    """Tags with commas between them; None stays."""
    return None if text is None else [tag.strip() for tag in text.split(",") if tag.strip()]
