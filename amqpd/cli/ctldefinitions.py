"""`amqpctl definitions`: RabbitMQ's definitions files out of a node, and into it."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

import click

from amqpd.cli.ctlbase import REFUSED, Node, command, end, main, warn

IMPORT_TIMEOUT_S = 3600.0  # passwords in clear take a while, each
STANDARD = "-"


@main.group()
def definitions() -> None:
    """Export and import definitions: everything but messages, as RabbitMQ's JSON."""


@command("export", definitions)
@click.argument("file", default=STANDARD)
@click.option("-p", "--vhost", metavar="NAME", help="Only the definitions of this virtual host.")
def export(node: Node, file: str, vhost: str | None) -> object:
    """Write definitions to FILE, which only its owner can read, or to standard output.

    They hold the hashes of passwords.
    """
    document = node.ask("export", vhost=vhost)
    if file == STANDARD:
        click.echo(json.dumps(document, indent=2))
    else:
        text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        try:
            _write(Path(file), text.encode())
        except OSError as error:
            end(REFUSED, f"{file}: {error.strerror}")
    return {}


def _write(path: Path, data: bytes) -> None:
    """Write a file for its owner only; what was there stays until all of it is written. Raises OSError."""
    if path.exists() and not path.is_file():  # a pipe, a terminal
        path.write_bytes(data)
        return
    path = path.resolve()
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


@command("import", definitions)
@click.argument("file", default=STANDARD)
@click.option("-p", "--vhost", metavar="NAME", help="Import into this virtual host, which must be there.")
@click.option("--skip-if-unchanged", is_flag=True, help="Do nothing if the last such import had the same file.")
def import_(node: Node, file: str, vhost: str | None, skip_if_unchanged: bool) -> object:
    """Import definitions from FILE, or from standard input: all of them, or none and the reasons why."""
    try:
        data = sys.stdin.buffer.read() if file == STANDARD else Path(file).read_bytes()
    except OSError as error:
        end(REFUSED, f"{file}: {error.strerror}")
    if not data:
        end(REFUSED, f"{file}: it is empty")
    request = {"command": "import", "vhost": vhost, "skip_if_unchanged": skip_if_unchanged}
    answer = node.send(request, data, IMPORT_TIMEOUT_S)
    for text in answer["warnings"]:
        warn(text)
    if answer["skipped"]:
        warn("the definitions are the same as at their last import: left out")
    return answer["imported"]
