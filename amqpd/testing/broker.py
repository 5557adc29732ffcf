"""A broker within the caller's trio run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import quote

import trio

from amqpd.app import Node
from amqpd.broker.commands import Command, DeleteVHost, PutPermission, PutUser, PutVHost
from amqpd.config import Settings, Sources, load
from amqpd.config.kinds import Value

HOST: Final = "127.0.0.1"
SOURCE: Final = "test"

# A test's broker goes at once, and is only blocked when the test says so.
DEFAULTS: Final[dict[str, Value]] = {
    "listeners": [f"{HOST}:0"],
    "shutdown_timeout": 1000,
    "login_delay_after": 0,
    "password_hashing": "sha256",  # nothing is kept, and a test should not wait for argon2
    "vm_memory_high_watermark": 2**62,
}


def settings_for(options: dict[str, Value]) -> Settings:
    """A test's settings; `options` are settings by name, `__` for the dot in it. Raises ConfigError."""
    given = {name.replace("__", "."): value for name, value in options.items()}
    return load(Sources(options={**DEFAULTS, **given}, options_place="option of a test's broker"))


class Broker:
    """A running broker. Its methods must be called from its own trio run."""

    def __init__(self, node: Node) -> None:
        self.node: Final = node
        self.host: Final = HOST
        addresses = [address for address in node.addresses if not address.startswith("unix:")]
        sockets = [address for address in node.addresses if address.startswith("unix:")]
        self.port: Final = int(addresses[0].rpartition(":")[2]) if addresses else 0
        self.unix_path: Final = sockets[0].removeprefix("unix:") if sockets else ""
        self.user: Final = node.settings.text("default_user")
        self.password: Final = node.settings.text("default_pass")

    @property
    def url(self) -> str:
        """The AMQP URL of the virtual host `/`."""
        return self.url_of("/")

    def url_of(self, vhost: str) -> str:
        """The AMQP URL of a virtual host."""
        user, password = quote(self.user, safe=""), quote(self.password, safe="")
        return f"amqp://{user}:{password}@{self.host}:{self.port}/{quote(vhost, safe='')}"

    def add_vhost(self, name: str) -> str:
        """Add a virtual host; returns its URL."""
        users = [command.name for command in self.node.accounts.snapshot() if isinstance(command, PutUser)]
        self._define(PutVHost(name), *(self._everything(user, name) for user in users))
        return self.url_of(name)

    def remove_vhost(self, name: str) -> None:
        """Delete a virtual host with all that is in it, and close its connections."""
        self._define(DeleteVHost(name))

    def add_user(self, name: str, password: str, tags: Sequence[str] = ()) -> None:
        """Add a user who may do everything in every virtual host there is, or change a password."""
        permissions = [self._everything(name, vhost) for vhost in self.node.broker.vhosts]
        self._define(self.node.rules.put_user(name, password, tags), *permissions)

    def set_permissions(self, user: str, configure: str, write: str, read: str, vhost: str = "/") -> None:
        """What a user may do in a virtual host, as three regular expressions. Raises DefinitionError."""
        self._define(PutPermission(user, vhost, configure, write, read))

    def _everything(self, user: str, vhost: str) -> PutPermission:
        return PutPermission(user, vhost, ".*", ".*", ".*")

    def _define(self, *commands: Command) -> None:
        with self.node.driver.round():
            for command in commands:
                self.node.definitions.apply(command)

    def raise_alarm(self, resource: str = "memory") -> None:
        """Raise the alarm `memory` or `disk`: connections that publish are blocked until it is cleared."""
        with self.node.driver.round():
            self.node.broker.alarms.raise_for(resource, SOURCE)

    def clear_alarm(self, resource: str = "memory") -> None:
        """Clear an alarm that was raised here."""
        with self.node.driver.round():
            self.node.broker.alarms.clear_for(resource, SOURCE)

    def close_connections(self, reason: str = "closed by a test") -> int:
        """Close every connection as an operator would (320); returns how many there were."""
        sessions = list(self.node.hub.sessions)
        with self.node.driver.round():
            for session in sessions:
                self.node.hub.close(session, reason)
        return len(sessions)

    def drop_connections(self) -> int:
        """Cut every connection without a word, as a failing network does; returns how many there were."""
        sessions = list(self.node.hub.sessions)
        for session in sessions:
            session.abort()
        return len(sessions)

    def connection_count(self) -> int:
        """How many connections are open."""
        return self.node.broker.connection_count()

    def message_count(self, queue: str, vhost: str = "/") -> int:
        """How many messages are ready in a queue. Raises KeyError where there is none of that name."""
        return self.node.broker.vhosts[vhost].queues[queue].ready_count()


@asynccontextmanager
async def open_broker(**options: Value) -> AsyncIterator[Broker]:
    """A broker for the time of the block, on a free port of 127.0.0.1.

    `options` are settings, as in `heartbeat=0`, with `__` for the dot in a name. Raises ConfigError.
    """
    node = Node(settings_for(options))
    async with trio.open_nursery() as nursery:
        await nursery.start(node.run)
        try:
            yield Broker(node)
        finally:
            node.stop()
