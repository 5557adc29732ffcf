"""One run of `amqpd bench`: starts it, prints its lines, and writes its files.

Blocks until the run has ended. Raises OptionError and RunError; of a run that failed on its way, what was counted is
shown before.
"""

from __future__ import annotations

import resource
import ssl
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any, Final

import click
import trio

from amqpd.cli.benchoptions import options
from amqpd.perftest import plot, report
from amqpd.perftest.faults import OptionError, RunError
from amqpd.perftest.figures import Interval
from amqpd.perftest.options import Options
from amqpd.perftest.run import Run

INTERVALS_MAX: Final = 100_000  # kept for JSON and a plot: more than a day of seconds
STDOUT: Final = Path("-")
OTHER_FILES: Final = 64  # that a process has open besides its connections


def run(values: Mapping[str, Any]) -> None:
    """A run with the values of the command line."""
    chosen = options(values, datetime.now())
    form = report.Form(
        id=chosen.id,
        publishes=chosen.producers > 0,
        consumes=chosen.consumers > 0,
        confirms=chosen.confirm > 0,
        mandatory=chosen.mandatory,
        millis=chosen.use_millis,
        legacy=values["legacy_metrics"],
        compact=values["metrics_format"] == "compact",
    )
    if values["plot"] is not None:
        plot.check(values["plot"])
    tls = _tls(chosen, values)
    _allow_connections(chosen.producers + chosen.consumers)
    with ExitStack() as files:
        table = _table(files, values["output_file"], form)
        _check_json(values["json"])
        output = Output(form, table, values["json"], values["plot"])
        output.follow(Run(chosen, tls, Random(), output.seen, output.said))


class Output:
    """What a run says, and where it goes."""

    def __init__(self, form: report.Form, table: report.Csv | None, json: Path | None, picture: Path | None) -> None:
        self._form: Final = form
        self._table: Final = table
        self._json: Final = json
        self._picture: Final = picture
        self._quiet: Final = json == STDOUT
        self._keeps: Final = json is not None or picture is not None
        self._intervals: Final[list[Interval]] = []
        self._left_out = 0

    def follow(self, run: Run) -> None:
        """Make the run, and show it from its first line to its summary."""
        if report.heading(self._form):
            self._say(report.heading(self._form))
        try:
            trio.run(run.run)
        finally:
            if run.began:
                self._end(run)
            elif run.reason:
                self._say(f"test stopped ({run.reason})")

    def seen(self, interval: Interval) -> None:
        """An interval is over."""
        self._say(report.line(self._form, interval))
        if self._table is not None:
            try:
                self._table.add(interval)
            except OSError as error:
                raise RunError(f"--output-file: {error.strerror}") from None
        if self._keeps and len(self._intervals) < INTERVALS_MAX:
            self._intervals.append(interval)
        elif self._keeps:
            self._left_out += 1

    def said(self, text: str) -> None:
        """Something that a person should know."""
        click.echo(f"amqpd bench: {text}", err=True)

    def _say(self, text: str) -> None:
        if not self._quiet:
            click.echo(text)

    def _end(self, run: Run) -> None:
        summary = run.figures.summary()
        self._say(f"test stopped ({run.reason or 'failed'})")
        for text in report.summary_lines(self._form, summary):
            self._say(text)
        if self._json is not None:
            document = report.as_json(self._form, run.reason or "failed", summary, self._intervals, self._left_out)
            if self._quiet:
                click.echo(document, nl=False)
            else:
                _write(self._json, document)
        if self._picture is not None:
            plot.draw(self._picture, self._form, self._intervals)


def _allow_connections(count: int) -> None:
    """Let this process open as many sockets as it needs. Raises OptionError where the system does not allow it."""
    needed = count + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or needed <= soft:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    except (ValueError, OSError):
        raise OptionError(
            f"--producers and --consumers: {count} connections need {needed} open files, and the system allows {hard}"
        ) from None


def _tls(chosen: Options, values: Mapping[str, Any]) -> ssl.SSLContext | None:
    wanted = any(address.tls for address in chosen.addresses)
    given = [f"--{name}" for name in ("cacert", "cert", "key", "insecure") if values[name]]
    if given and not wanted:
        raise OptionError(f"{given[0]}: only with --uri amqps://...")
    if values["sasl_external"] and not values["cert"]:
        raise OptionError("--sasl-external: needs --cert")
    if values["key"] and not values["cert"]:
        raise OptionError("--key: needs --cert")
    if not wanted:
        return None
    try:
        context = ssl.create_default_context(cafile=values["cacert"])
        if values["cert"]:
            context.load_cert_chain(values["cert"], values["key"])
    except (ssl.SSLError, OSError) as error:
        raise OptionError(f"--cacert, --cert, --key: {error}") from None
    if values["insecure"]:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _table(files: ExitStack, path: Path | None, form: report.Form) -> report.Csv | None:
    if path is None:
        return None
    try:
        return report.Csv(files.enter_context(path.open("w", encoding="utf-8", newline="")), form)
    except OSError as error:
        raise OptionError(f"--output-file: {path}: {error.strerror}") from None


def _check_json(path: Path | None) -> None:
    """A file that cannot be written is known before the run, not after it."""
    if path is not None and path != STDOUT:
        _write(path, "", OptionError)


def _write(path: Path, text: str, failure: type[RunError] = RunError) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise failure(f"--json: {path}: {error.strerror}") from None
