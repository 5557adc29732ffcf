"""Histories of commands, and the plainest model of what is there after them: a dict.

Everything happens within a few names, so that commands meet: put twice, delete what others belong to, put again.
"""

import dataclasses
from collections.abc import Iterable, Iterator
from itertools import product
from random import Random

from amqpd.broker import commands as c
from amqpd.wire.tables import Field, longstr

NAMES = ("", "a", "ä")
VHOSTS = ("/", "v")
USERS = ("u", "w")
A, B = ("a", longstr("1")), ("b", Field(ord("t"), True))


def _pool() -> Iterator[c.Command]:
    """Every command that a history can have."""
    for name, text in product(VHOSTS, NAMES):
        yield from (c.PutVHost(name, text, (text,)), c.DeleteVHost(name))
    for user, text in product(USERS, NAMES):
        yield from (c.PutUser(user, text, "md5", (text,)), c.DeleteUser(user))
        yield from (c.PutUserLimit(user, text, 0), c.PutUserLimit(user, text, -1), c.DeleteUserLimit(user, text))
    for user, vhost, name in product(USERS, VHOSTS, NAMES):
        yield from (c.PutPermission(user, vhost, name, name, ".*"), c.DeletePermission(user, vhost))
        yield from (c.PutTopicPermission(user, vhost, name, "", name), c.PutTopicPermission(user, vhost, name, "x", ""))
        yield from (c.DeleteTopicPermission(user, vhost, name), c.DeleteTopicPermission(user, vhost, None))
    for vhost, name in product(VHOSTS, NAMES):
        yield from _in(vhost, name)
        for operator in (False, True):
            yield c.PutPolicy(vhost, name, ".*", {"p": [name]}, priority=1, operator=operator)
            yield c.PutPolicy(vhost, name, "^x", {}, operator=operator)
            yield c.DeletePolicy(vhost, name, operator)
    for vhost, source, kind, name, arguments in product(
        VHOSTS, NAMES, ("queue", "exchange"), NAMES, ([], [A], [A, B], [B, A], [A, A])
    ):
        yield c.PutBinding(vhost, source, kind, name, name, arguments)
        yield c.DeleteBinding(vhost, source, kind, name, name, arguments)


def _in(vhost: str, name: str) -> Iterator[c.Command]:
    yield from (c.PutExchange(vhost, name, "topic"), c.PutExchange(vhost, name, "direct", arguments=[A, B]))
    yield from (c.PutQueue(vhost, name), c.PutQueue(vhost, name, "quorum", arguments=[B]))
    yield from (c.DeleteExchange(vhost, name), c.DeleteQueue(vhost, name))
    yield from (c.PutParameter(vhost, name, name, name), c.PutParameter(vhost, name, name, None))
    yield from (c.DeleteParameter(vhost, name, name), c.DeleteGlobalParameter(name))
    yield from (c.PutGlobalParameter(name, [vhost]), c.PutGlobalParameter(name, {"a": 1.5}))
    yield from (c.PutVHostLimit(vhost, name, 1), c.PutVHostLimit(vhost, name, 2), c.DeleteVHostLimit(vhost, name))


POOL = list(_pool())
BEGINNING = [*(c.PutVHost(name) for name in VHOSTS), *(c.PutUser(name, "", "md5") for name in USERS)]


class Model:
    """What is there, by the docstring of broker.commands and nothing else."""

    def __init__(self) -> None:
        self.things: dict[object, c.Command] = {}

    def takes(self, command: c.Command) -> bool:
        """Whether whoever checks commands would let it pass: its vhost and its user are there."""
        there = [("VHost", getattr(command, "vhost", None)), ("User", getattr(command, "user", None))]
        return all(name is None or (kind, name) in self.things for kind, name in there)

    def apply(self, command: c.Command) -> None:
        kind = type(command).__name__
        if kind.startswith("Put"):
            self.things[identity(command)] = command
            return
        if isinstance(command, c.DeleteTopicPermission) and command.exchange is None:
            self._remove(c.PutTopicPermission, user=command.user, vhost=command.vhost)
            return
        self.things.pop(identity(command), None)
        if isinstance(command, c.DeleteVHost):
            self._remove(c.Command, vhost=command.name)
        elif isinstance(command, c.DeleteUser):
            self._remove(c.Command, user=command.name)
        elif isinstance(command, c.DeleteExchange):
            self._remove(c.PutBinding, vhost=command.vhost, source=command.name)
            self._remove(c.PutBinding, vhost=command.vhost, destination_type="exchange", destination=command.name)
        elif isinstance(command, c.DeleteQueue):
            self._remove(c.PutBinding, vhost=command.vhost, destination_type="queue", destination=command.name)

    def _remove(self, kind: type[c.Command], **fields: str) -> None:
        for key, thing in list(self.things.items()):
            if isinstance(thing, kind) and all(getattr(thing, name, None) == fields[name] for name in fields):
                del self.things[key]

    def shown(self) -> list[str]:
        return sorted(map(repr, self.things.values()))


def identity(command: c.Command) -> tuple[object, ...]:
    """The same for the commands that put, replace and delete a thing."""
    kind = type(command).__name__.removeprefix("Put").removeprefix("Delete")
    names = [field.name for field in dataclasses.fields(getattr(c, f"Delete{kind}"))]
    values = (getattr(command, name) for name in names)
    return kind, *(repr(sorted(value, key=str)) if isinstance(value, list) else value for value in values)


def batches(seed: int) -> Iterator[list[c.Command]]:
    """A history without end, the same for the same seed."""
    random, model = Random(seed), Model()
    yield checked(BEGINNING, model)
    while True:
        yield checked((random.choice(POOL) for _ in range(random.randrange(30))), model)


def checked(commands: Iterable[c.Command], model: Model) -> list[c.Command]:
    """Those of `commands` that can be carried out one after another, and `model` after them."""
    passed = []
    for command in commands:
        if model.takes(command):
            model.apply(command)
            passed.append(command)
    return passed
