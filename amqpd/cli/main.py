"""`amqpd`: start a node, look at its configuration and its disk (`store`), put load on any broker (`bench`).

What a command needs is imported when it runs: `amqpd --version` must not wait for trio.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from amqpd.cli.bench import bench
from amqpd.cli.store import store
from amqpd.errors import AmqpdError, ConfigError

if TYPE_CHECKING:
    from amqpd.config import Settings, Sources

FAILED = 1


class ServeByDefault(click.Group):
    """`amqpd --listen ...` is `amqpd serve --listen ...`, and `amqpd --help` shows the options of both."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ("--help", "--version")):
            args = ["serve", *args]
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_options(ctx, formatter)
        with formatter.section("Options of serve, which is what `amqpd` does without a command"):
            records = [parameter.get_help_record(ctx) for parameter in self.commands["serve"].params]
            formatter.write_dl([record for record in records if record is not None])


def _print_version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from amqpd.runtime import build

        click.echo(build.described())
        ctx.exit()


@click.group(cls=ServeByDefault)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version, and whether the message path is compiled or interpreted.",
)
def main() -> None:
    """amqpd, an AMQP 0-9-1 broker that RabbitMQ's clients take for RabbitMQ."""


main.add_command(bench)
main.add_command(store)


def _sources(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say what the settings are."""
    options = (
        click.option(
            "--listen",
            multiple=True,
            metavar="HOST:PORT",
            help="Where to listen; also [IPV6]:PORT or unix:PATH. May be repeated.  [default: 0.0.0.0:5672]",
        ),
        click.option("--data-dir", metavar="DIR", help="The node's own directory.  [default: ./amqpd-data]"),
        click.option(
            "--config",
            "file",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="Settings: in TOML, or as RabbitMQ's FILE.conf, or a directory of those.  [default: $AMQPD_CONFIG]",
        ),
        click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="One setting. May be repeated."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _load(
    listen: tuple[str, ...], data_dir: str | None, file: Path | None, assignments: tuple[str, ...]
) -> tuple[Settings, Sources]:
    """The settings that the options, the environment and the file give; ends the program if they are wrong."""
    import os

    from amqpd.config import Sources, load

    options: dict[str, object] = {}
    if listen:
        options["listeners"] = list(listen)
    if data_dir is not None:
        options["data_dir"] = data_dir
    sources = Sources(file, os.environ, assignments, options)
    try:
        return load(sources), sources
    except ConfigError as error:
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    for line in message.splitlines():
        click.echo(f"amqpd: {line}", err=True)
    sys.exit(FAILED)


def _echo_warnings(settings: Settings) -> None:
    for line in settings.warnings:
        click.echo(f"amqpd: warning: {line}", err=True)


@main.command()
@_sources
def serve(listen: tuple[str, ...], data_dir: str | None, file: Path | None, assignments: tuple[str, ...]) -> None:
    """Start a node and run it until SIGTERM or SIGINT."""
    gc.disable()  # until the node is there (garbage.tune): what is imported and restored stays, and it takes a tenth
    settings, sources = _load(listen, data_dir, file, assignments)
    from amqpd import app

    try:
        app.serve(settings, sources)
    except (AmqpdError, OSError) as error:
        _fail(str(error))


@main.group()
def config() -> None:
    """Look at the configuration without starting a node."""


@config.command()
@_sources
def show(listen: tuple[str, ...], data_dir: str | None, file: Path | None, assignments: tuple[str, ...]) -> None:
    """Print every setting and where it comes from, as a TOML file; `#` marks those that have their defaults."""
    from amqpd.config.reference import as_toml

    settings, _sources = _load(listen, data_dir, file, assignments)
    _echo_warnings(settings)
    click.echo(as_toml(settings), nl=False)


@config.command()
@_sources
def check(listen: tuple[str, ...], data_dir: str | None, file: Path | None, assignments: tuple[str, ...]) -> None:
    """Say whether settings and certificates are right: exit code 0, or 1 and what is wrong where."""
    settings, _sources = _load(listen, data_dir, file, assignments)
    _echo_warnings(settings)
    if settings.names("tls_listeners"):
        from amqpd.server.contexts import TlsContexts

        try:
            TlsContexts(settings)
        except ConfigError as error:
            _fail(str(error))
    click.echo("the configuration is fine")
