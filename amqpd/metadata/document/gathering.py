"""What a reading gathers: commands with their places, in an order in which they can be applied, and what is known.

The functions that read the objects of a document (`access`, `topology`, `policies`) are given a `Gathering` and an
`Item`. They ask it for what an object refers to, and put their commands into it.

Does not know the document's form.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from amqpd.broker.commands import (
    Command,
    PutBinding,
    PutExchange,
    PutGlobalParameter,
    PutParameter,
    PutPermission,
    PutPolicy,
    PutQueue,
    PutTopicPermission,
    PutUser,
    PutUserLimit,
    PutVHost,
    PutVHostLimit,
)
from amqpd.broker.limits import VHOST_LIMITS
from amqpd.metadata.document.checks import Findings, Item, Problem, Trail, path_of, shown
from amqpd.metadata.document.values import normal, table_of
from amqpd.wire.tables import Table, encode_table

# The order in which commands can be applied. Limits of vhosts come last: they hold from then on, not for the file.
ORDER: Final[tuple[type[Command], ...]] = (
    PutVHost,
    PutUser,
    PutUserLimit,
    PutPermission,
    PutExchange,
    PutTopicPermission,
    PutGlobalParameter,
    PutPolicy,
    PutParameter,
    PutQueue,
    PutBinding,
    PutVHostLimit,
)
# What makes two commands speak of the same thing. A binding's arguments are added to that.
_IDENTITY: Final[dict[type[Command], tuple[str, ...]]] = {
    PutVHost: ("name",),
    PutUser: ("name",),
    PutUserLimit: ("user", "name"),
    PutPermission: ("user", "vhost"),
    PutExchange: ("vhost", "name"),
    PutTopicPermission: ("user", "vhost", "exchange"),
    PutGlobalParameter: ("name",),
    PutPolicy: ("vhost", "name", "operator"),
    PutParameter: ("vhost", "component", "name"),
    PutQueue: ("vhost", "name"),
    PutBinding: ("vhost", "source", "destination_type", "destination", "routing_key"),
    PutVHostLimit: ("vhost", "name"),
}
Identity = tuple[object, ...]


@dataclass
class Reading:
    """What a document says. With `problems` nothing of it is to be applied.

    `paths` goes with `commands`: where each came from. `passwords` has the passwords that the document gives in clear,
    by the position of their user's command, which until it is replaced says that the user has no password. `more_...`
    count what was too much to be listed.
    """

    commands: list[Command] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    more_problems: int = 0
    more_warnings: int = 0
    passwords: dict[int, str] = field(default_factory=dict, repr=False)


def identity_of(command: Command) -> Identity:
    """What a `Put...` command is about: two with the same identity cannot both be. `normal` ones are compared."""
    kind = type(command)
    identity: Identity = (kind, *[getattr(command, name) for name in _IDENTITY[kind]])
    if isinstance(command, PutBinding) and command.arguments:
        return (*identity, encode_table(command.arguments))
    return identity


class Present:
    """What the node has, to be looked up by what an export and import would make of it."""

    def __init__(self, commands: Iterable[Command]) -> None:
        self.vhosts: Final[dict[str, PutVHost]] = {}
        self.users: Final[set[str]] = set()
        self._commands: Final[dict[Identity, Command]] = {}
        for command in commands:
            if isinstance(command, PutVHost):
                self.vhosts[command.name] = command
            elif isinstance(command, PutUser):
                self.users.add(command.name)
            elif isinstance(command, PutBinding):
                self._commands[identity_of(normal(command))] = command
            elif isinstance(command, PutExchange | PutQueue):
                self._commands[identity_of(command)] = command

    def has(self, kind: type[Command], vhost: str, name: str) -> bool:
        """Whether there is such a queue or exchange."""
        return (kind, vhost, name) in self._commands

    def instead_of(self, command: Command) -> Command:
        """The command that is there and means the same, or `command`."""
        there = self._commands.get(identity_of(command)) if self._commands else None
        return there if there is not None and normal(there) == command else command


class Gathering:
    """One reading. `vhost` is the one that is read into, None for a whole node's document.

    `vhosts` (with their default queue types), `users` and `exchanges` are those that may be referred to; `left_out` are
    queues that were not taken. `version` is the RabbitMQ that wrote the document, "" where it does not say.
    `hides_internal`: it has no internal exchanges, but may have bindings to them.
    """

    def __init__(
        self, vhost: str | None, present: Iterable[Command], default_queue_type: str, version: str, hides_internal: bool
    ) -> None:
        self.findings: Final = Findings()
        self.vhost: Final = vhost
        self.present: Final = Present(present)
        self.default_queue_type: Final = default_queue_type
        self.version: Final = version
        self.hides_internal: Final = hides_internal
        self.vhosts: Final = {name: there.default_queue_type for name, there in self.present.vhosts.items()}
        self.users: Final = set(self.present.users)
        self.exchanges: Final[set[tuple[str, str]]] = set()
        self.left_out: Final[set[tuple[str, str]]] = set()
        self.passwords: Final[dict[str, str]] = {}
        self.limits_of_vhosts: Final[list[tuple[str, Item]]] = []
        self._found: Final[dict[type[Command], list[tuple[Command, Trail]]]] = {kind: [] for kind in ORDER}
        self._seen: Final[dict[Identity, tuple[Command, Trail]]] = {}
        self._homeless: Final[list[Trail]] = []

    def put(self, command: Command, item: Item, *steps: str) -> None:
        """Take a command that stands in `item`, unless something is wrong there. The same twice must be the same."""
        if item.bad:
            return
        trail = (*item.trail, *steps)
        identity = identity_of(command)
        first = self._seen.get(identity)
        if first is None:
            self._seen[identity] = (command, trail)
            self._found[type(command)].append((self.present.instead_of(command), trail))
        elif first[0] != command:
            self.findings.problem(trail, f"is another definition of what {path_of(first[1])} defines")

    def put_limits(
        self, limits: Item, known: tuple[str, ...], make: type[PutVHostLimit] | type[PutUserLimit], subject: str
    ) -> None:
        """Take the limits of a user or vhost."""
        for name in limits.values:
            if name in known:
                self.put(make(subject, name, limits.integer(name)), limits, name)
            else:
                limits.wrong(name, f"is no limit; {' and '.join(known)} are")

    def has_limits(self, vhost: str) -> bool:
        """Whether limits of that vhost were put."""
        return any((PutVHostLimit, vhost, name) in self._seen for name in VHOST_LIMITS)

    # -- what objects refer to

    def vhost_of(self, item: Item) -> str:
        """The vhost that an object is in. One that names none is remembered: a whole file of them is one mistake."""
        if self.vhost is not None:
            return self.vhost
        if "vhost" not in item.values:
            item.bad = True
            self._homeless.append(item.trail)
            return ""
        return self.known_vhost(item, item.name("vhost"), "vhost")

    def known_vhost(self, item: Item, name: str, key: str) -> str:
        """`name`, which stands at `key` and must be a vhost."""
        if name and name not in self.vhosts:
            item.wrong(key, f"there is no vhost '{shown(name)}' on the node, and none in the file")
        return name

    def user_of(self, item: Item) -> str:
        """The user whom an object is about."""
        name = item.name("user")
        if name and name not in self.users:
            item.wrong("user", f"there is no user '{shown(name)}' on the node, and none in the file")
        return name

    def arguments_of(self, item: Item) -> Table:
        """The object's arguments."""
        values = item.item("arguments").values
        if not values:
            return []
        before = self.findings.count
        table = table_of(values, (*item.trail, "arguments"), self.findings)
        item.bad |= self.findings.count > before
        return table

    # -- the outcome

    def reading(self) -> Reading:
        """All that was gathered, in order."""
        if self._homeless:
            self._report_homeless()
        findings = self.findings
        reading = Reading(
            problems=findings.problems,
            warnings=findings.warnings,
            more_problems=findings.more_problems,
            more_warnings=findings.more_warnings,
        )
        for kind in ORDER:
            for command, trail in self._found[kind]:
                if isinstance(command, PutUser) and self.passwords.get(command.name):
                    reading.passwords[len(reading.commands)] = self.passwords[command.name]
                reading.commands.append(command)
                reading.paths.append(path_of(trail))
        return reading

    def _report_homeless(self) -> None:
        others = len(self._homeless) - 1
        also = f", nor have {others} other objects" if others else ""
        self.findings.problem(
            self._homeless[0],
            f'has no "vhost"{also}: these are the definitions of one vhost, which can be imported into a vhost only',
        )
