"""A broker within the caller's trio run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import quote

import trio

from amqpd.app import Node
from amqpd.config import Settings, Sources, load
from amqpd.config.kinds import Value

HOST: Final = "127.0.0.1"
SOURCE: Final = "test"

# A test's broker goes at once, and is only blocked when the test says so.
DEFAULTS: Final[dict[str, Value]] = {
    "listeners": [f"{HOST}:0"],
    "shutdown_timeout": 1000,
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
        with self.node.driver.round():
            self.node.broker.add_vhost(name)
        return self.url_of(name)

    def remove_vhost(self, name: str) -> None:
        """Delete a virtual host with all that is in it, and close its connections."""
        with self.node.driver.round():
            self.node.hub.remove_vhost(name)

    def add_user(self, name: str, password: str) -> None:
        """Add a user, or change a password."""
        self.node.users.add(name, password)

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
