"""`amqpd store`: check, dump, repair, back up and restore what a node has on disk.

Exit codes: 0 done, or sound; 1 damaged, or refused; 2 it cannot be read, or is in use. What a command needs is imported
when it runs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar

import click

from amqpd.errors import AmqpdError
from amqpd.text import one_line

if TYPE_CHECKING:
    from amqpd.maintenance.directory import NodeDirectory

DAMAGED = 1
REFUSED = 1
UNREADABLE = 2

F = TypeVar("F", bound=Callable[..., object])


@click.group()
def store() -> None:
    """Check, dump, repair, back up and restore what a node has on disk.

    DIR is a node's data directory, or a backup. Exit codes: 0 done, or sound; 1 damaged, or refused; 2 it cannot be
    read, or is in use.
    """


def _directory(function: F) -> F:
    """The directory that is meant, and the keys with which it is encrypted."""
    option = click.option(
        "--key-file", default="", metavar="FILE", help="The keys, where messages are encrypted (encryption.key_file)."
    )
    return click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))(option(function))


def _form(function: F) -> F:
    return click.option(
        "--format", "form", type=click.Choice(["text", "json"]), default="text", help="How to print.  [default: text]"
    )(function)


@contextmanager
def _opened(path: Path, key_file: str, code: int = UNREADABLE) -> Iterator[NodeDirectory]:
    """The directory; ends the program with `code` where it cannot be read. Who reads our output may go away."""
    from amqpd.maintenance.directory import NodeDirectory

    try:
        directory = NodeDirectory(path, key_file)
        try:
            yield directory
            sys.stdout.flush()
        finally:
            directory.close()
    except BrokenPipeError:
        _forget_output()
    except (AmqpdError, OSError) as error:
        _end(code, str(error))


def _forget_output() -> None:
    """Nobody reads any more, and that is no mistake (`... | head`)."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _end(code: int, message: str) -> NoReturn:
    click.echo(f"amqpd: {one_line(message)}", err=True)
    sys.exit(code)


@store.command()
@_directory
@_form
def check(directory: Path, key_file: str, form: str) -> None:
    """Read everything in DIR, verify it, and say what is there.

    Changes nothing. On a running node, too.
    """
    from amqpd.cli import storereport
    from amqpd.maintenance.checking import check

    with _opened(directory, key_file) as opened:
        checked = check(opened)
        if form == "json":
            click.echo(json.dumps(storereport.as_object(checked), indent=2))
        else:
            for line in storereport.as_lines(checked):
                click.echo(line)
    if checked.damages:
        sys.exit(DAMAGED)


@store.command()
@_directory
@click.option("--queue", metavar="VHOST/NAME", help="Only what is of this queue; one of vhost / is //NAME.")
@click.option("--body-bytes", default=64, type=click.IntRange(0), help="Bytes of each body to show.  [default: 64]")
@_form
def dump(directory: Path, key_file: str, queue: str | None, body_bytes: int, form: str) -> None:
    """Print what is in DIR, in order: records of the journal, then segments, with their messages.

    Of JSON each line is an object.
    """
    from amqpd.maintenance.dumping import Dump, as_json, as_text

    with _opened(directory, key_file) as opened:
        shown = as_json if form == "json" else as_text
        for line in Dump(opened, queue, body_bytes).lines():
            sys.stdout.write(shown(line) + "\n")


@store.command()
@_directory
@click.option("--accept-loss", is_flag=True, help="Do it. What is lost is recorded in DIR/repairs.log.")
def repair(directory: Path, key_file: str, accept_loss: bool) -> None:
    """Have a node start again whose message store is damaged.

    Says what would be lost, and does nothing without --accept-loss. With it what is damaged is cut out, and kept in
    messages/damaged-N; what is whole stays. The node must be stopped.
    """
    from amqpd.maintenance.repair import Repair

    with _opened(directory, key_file) as opened:
        found = Repair(opened)
        for damage in found.definitions:
            click.echo(f"amqpd: warning: not repaired, put back a copy: {damage}", err=True)
        if not found.damages and not found.interrupted:
            click.echo("no messages are damaged: there is nothing to repair")
            return
        if accept_loss:
            for line in found.run(_now()):
                click.echo(line)
            return
        if found.interrupted:
            click.echo("a repair was interrupted, and can be finished")
        for damage in found.damages:
            click.echo(f"would be given up: {damage}")
        _end(REFUSED, "nothing was changed; --accept-loss does it (first think of a backup: `amqpd store restore`)")


@store.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("backup", metavar="BACKUP", type=click.Path(path_type=Path))
def backup(directory: Path, backup: Path) -> None:
    """Back up a stopped node to the new directory BACKUP: definitions and messages.

    For a running one: `amqpctl backup`. Keys of encrypted messages are not in it: keep them elsewhere.
    """
    from amqpd.maintenance.backup import back_up

    with _opened(directory, "", REFUSED) as opened:
        manifest = back_up(opened, backup, _now())
        click.echo(f"{len(manifest.entries)} files, {sum(entry.size for entry in manifest.entries)} bytes: {backup}")


@store.command()
@click.argument("backup", metavar="BACKUP", type=click.Path(path_type=Path))
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
def restore(backup: Path, directory: Path) -> None:
    """Make the data directory DIR, which must be empty or missing, of a backup.

    Everything is verified before and after. A node that is started on it has what the other one had.
    """
    from amqpd.maintenance.restore import restore

    try:
        manifest = restore(backup, directory)
    except (AmqpdError, OSError) as error:
        _end(REFUSED, str(error))
    click.echo(f"{len(manifest.entries)} files of {manifest.time} are restored to {directory}")


def _now() -> str:
    from datetime import datetime

    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
