"""Definitions files: imported as a whole or not at all, exported, and loaded when a node starts.

    bytes --read--> commands with places --hash passwords--> --try on a copy of the node--> carried out, stored as one

Everything up to the last step happens in a thread beside the broker; it costs the time and memory of making the node's
definitions once more. A single problem anywhere, and nothing is done. The last step takes turns with what clients want,
who may see a part of it before the rest is there; on disk it is one transaction. What clients change between the trial
and its end may still get in the way of some of it: those few are warnings.

Limits: one import at a time; the sizes that `metadata.document` sets.

Source: RabbitMQ, definitions.md; rabbit_definitions.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import trio

from amqpd import __version__
from amqpd.auth.rules import PasswordRules
from amqpd.broker import commands as c
from amqpd.errors import ConfigError, DefinitionError
from amqpd.server.changes import Changes

if TYPE_CHECKING:
    from amqpd.metadata.document import Reading

log = logging.getLogger("amqpd.definitions")

# Kept as a global parameter that exports leave out, as they do with all whose names begin with "internal".
DIGEST_NAME: Final = "internal_imported_definitions"
CLUSTER_NAME: Final = "cluster_name"
_KINDS: Final[dict[type[c.Command], str]] = {
    c.PutVHost: "vhosts",
    c.PutUser: "users",
    c.PutUserLimit: "user limits",
    c.PutPermission: "permissions",
    c.PutTopicPermission: "topic permissions",
    c.PutGlobalParameter: "global parameters",
    c.PutParameter: "parameters",
    c.PutPolicy: "policies",
    c.PutExchange: "exchanges",
    c.PutQueue: "queues",
    c.PutBinding: "bindings",
    c.PutVHostLimit: "vhost limits",
}


@dataclass(frozen=True)
class File:
    """What is imported. `name` is for what is said of it, and may be ""."""

    name: str
    data: bytes = field(repr=False)


@dataclass
class Outcome:
    """What an import did: how many of each kind, or that it was `skipped`. With `problems` nothing was done.

    Problems and warnings are texts that begin with the place that they are about.
    """

    counts: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    skipped: bool = False

    def told(self) -> str:
        """The counts as a text."""
        return ", ".join(f"{number} {kind}" for kind, number in self.counts.items()) or "nothing"


@dataclass
class _Plan:
    """What is to be carried out, with the place that each command comes from."""

    commands: list[c.Command] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def add(self, command: c.Command, place: str) -> None:
        """One more command."""
        self.commands.append(command)
        self.places.append(place)


class Importer:
    """Imports and exports definitions."""

    def __init__(self, changes: Changes, rules: PasswordRules) -> None:
        self._changes: Final = changes
        self._rules: Final = rules
        self._turn: Final = trio.Lock()

    async def run(self, files: Sequence[File], vhost: str | None, skip_if_unchanged: bool) -> Outcome:
        """Import files as one. With `vhost`, all that is in them goes there (it must be there).

        `skip_if_unchanged`: nothing is done if the last import that said so had the same bytes. Raises DefinitionError
        where there is no such vhost.
        """
        async with self._turn:
            definitions = self._changes.definitions
            if vhost is not None and vhost not in definitions.broker.vhosts:
                raise DefinitionError(f"vhost '{vhost}' does not exist")
            digest = await trio.to_thread.run_sync(_digest, files, vhost) if skip_if_unchanged else ""
            if digest and definitions.broker.global_parameters.get(DIGEST_NAME) == digest:
                return Outcome(skipped=True)
            present = list(definitions.snapshot())
            plan = await trio.to_thread.run_sync(self._plan, files, vhost, present)
            if plan.problems:
                return Outcome(problems=plan.problems, warnings=plan.warnings)
            counts = Counter(_KINDS[type(command)] for command in plan.commands)
            if digest:
                plan.add(c.PutGlobalParameter(DIGEST_NAME, digest), DIGEST_NAME)
            for position, text in await self._changes.make_all(plan.commands):
                plan.warnings.append(f"{plan.places[position]}: {text}")
            return Outcome(dict(counts), warnings=plan.warnings)

    # -- in a thread

    def _plan(self, files: Sequence[File], vhost: str | None, present: list[c.Command]) -> _Plan:
        """Read and try everything. Looks at nothing that may change meanwhile."""
        from amqpd.metadata.document import read

        plan = _Plan()
        default_queue_type = self._changes.definitions.broker.limits.default_queue_type
        for file in files:
            reading = read(file.data, vhost, [*present, *plan.commands], default_queue_type)
            self._take(plan, reading, f"{file.name}: " if file.name else "")
        if not plan.problems:
            self._try(plan, present)
        return plan

    def _take(self, plan: _Plan, reading: Reading, before: str) -> None:
        """Add what one file says."""
        plan.problems += _texts(reading.problems, reading.more_problems, before)
        plan.warnings += _texts(reading.warnings, reading.more_warnings, before)
        for position, (command, path) in enumerate(zip(reading.commands, reading.paths, strict=True)):
            password = reading.passwords.get(position)
            if password is not None:
                assert isinstance(command, c.PutUser)
                command = self._with_password(plan, command, password, before + path)
            plan.add(command, before + path)

    def _with_password(self, plan: _Plan, command: c.PutUser, password: str, place: str) -> c.PutUser:
        """Hash a password, unless nothing will be done anyway: it takes long, and there may be many."""
        trio.from_thread.check_cancelled()
        try:
            if not plan.problems:
                return self._rules.put_user(command.name, password, command.tags)
            self._rules.check(password)
        except DefinitionError as error:
            plan.problems.append(f"{place}.password: {error}")
        return command

    def _try(self, plan: _Plan, present: list[c.Command]) -> None:
        scratch = self._changes.definitions.scratch(present)
        for command, place in zip(plan.commands, plan.places, strict=True):
            try:
                scratch.apply(command)
            except DefinitionError as error:
                plan.problems.append(f"{place}: {_line(str(error))}")

    # -- export

    async def export(self, vhost: str | None) -> bytes:
        """All definitions, or those of one vhost, as JSON. Raises DefinitionError where there is no such vhost."""
        broker = self._changes.definitions.broker
        commands = list(self._changes.definitions.snapshot())
        name = broker.global_parameters.get(CLUSTER_NAME, broker.name)
        return await trio.to_thread.run_sync(_export, commands, vhost, str(name))


def _export(commands: list[c.Command], vhost: str | None, cluster_name: str) -> bytes:
    from amqpd.metadata.document import document_from

    document = document_from(commands, vhost, cluster_name=cluster_name, product_version=__version__)
    return json.dumps(document).encode()


def _texts(found: Sequence[object], more: int, before: str) -> list[str]:
    texts = [before + str(one) for one in found]
    return [*texts, f"{before}and {more} more"] if more else texts


def _line(text: str) -> str:
    """A text of several lines as one."""
    return ": ".join(line for line in text.split("\n\n") if line).replace("\n", "; ")


def _digest(files: Sequence[File], vhost: str | None) -> str:
    digest = hashlib.sha256()
    for part in (json.dumps(vhost).encode(), *(file.data for file in files)):
        digest.update(b"%d " % len(part))
        digest.update(part)
    return digest.hexdigest()


# -- when a node starts


async def load_definitions(importer: Importer, path: Path, skip_if_unchanged: bool) -> None:
    """Import what the setting `load_definitions` names: a file, or a directory's *.json in the order of their names.

    All of them are one import. Raises ConfigError, with every problem, and then nothing was imported.
    """
    try:
        files = await trio.to_thread.run_sync(_files, path)
    except OSError as error:
        raise ConfigError(f"load_definitions: {error.filename or path} cannot be read: {error.strerror}") from None
    outcome = await importer.run(files, None, skip_if_unchanged)
    if outcome.problems:
        problems = "\n".join(outcome.problems)
        raise ConfigError(f"load_definitions: {path}: nothing was imported, for these problems:\n{problems}")
    for warning in outcome.warnings:
        log.warning("%s", warning)
    if outcome.skipped:
        log.info("definitions of %s are the same as at their last import: left out", path)
    else:
        log.info("definitions of %s imported: %s", path, outcome.told())


def _files(path: Path) -> list[File]:
    if not path.is_dir():
        return [File(path.name, path.read_bytes())]
    return [File(file.name, file.read_bytes()) for file in sorted(path.glob("*.json"))]
