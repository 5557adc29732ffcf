"""A broker in a thread of its own, for tests that know nothing of trio."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Final, TypeVar

import trio

from amqpd.app import Node, error_in
from amqpd.config.kinds import Value
from amqpd.testing.broker import Broker, settings_for

T = TypeVar("T")

START_TIMEOUT_S: Final = 30.0


class ThreadedBroker:
    """A running broker. Its methods can be called from any thread but its own; they block until they are done."""

    def __init__(self, broker: Broker, token: trio.lowlevel.TrioToken, thread: threading.Thread) -> None:
        self._broker: Final = broker
        self._token: Final = token
        self._thread: Final = thread
        self.host: Final = broker.host
        self.port: Final = broker.port
        self.unix_path: Final = broker.unix_path
        self.user: Final = broker.user
        self.password: Final = broker.password
        self.url: Final = broker.url

    def _do(self, function: Callable[..., T], *arguments: object) -> T:
        return trio.from_thread.run_sync(function, *arguments, trio_token=self._token)

    def url_of(self, vhost: str) -> str:
        """The AMQP URL of a virtual host."""
        return self._broker.url_of(vhost)

    def add_vhost(self, name: str) -> str:
        """Add a virtual host; returns its URL."""
        return self._do(self._broker.add_vhost, name)

    def remove_vhost(self, name: str) -> None:
        """Delete a virtual host with all that is in it, and close its connections."""
        self._do(self._broker.remove_vhost, name)

    def add_user(self, name: str, password: str, tags: Sequence[str] = ()) -> None:
        """Add a user who may do everything in every virtual host there is, or change a password."""
        self._do(self._broker.add_user, name, password, tags)

    def set_permissions(self, user: str, configure: str, write: str, read: str, vhost: str = "/") -> None:
        """What a user may do in a virtual host, as three regular expressions. Raises DefinitionError."""
        self._do(self._broker.set_permissions, user, configure, write, read, vhost)

    def raise_alarm(self, resource: str = "memory") -> None:
        """Raise the alarm `memory` or `disk`: connections that publish are blocked until it is cleared."""
        self._do(self._broker.raise_alarm, resource)

    def clear_alarm(self, resource: str = "memory") -> None:
        """Clear an alarm that was raised here."""
        self._do(self._broker.clear_alarm, resource)

    def close_connections(self, reason: str = "closed by a test") -> int:
        """Close every connection as an operator would (320); returns how many there were."""
        return self._do(self._broker.close_connections, reason)

    def drop_connections(self) -> int:
        """Cut every connection without a word, as a failing network does; returns how many there were."""
        return self._do(self._broker.drop_connections)

    def connection_count(self) -> int:
        """How many connections are open."""
        return self._do(self._broker.connection_count)

    def message_count(self, queue: str, vhost: str = "/") -> int:
        """How many messages are ready in a queue. Raises KeyError where there is none of that name."""
        return self._do(self._broker.message_count, queue, vhost)

    def stop(self) -> None:
        """End it: clients are told. May be called more than once."""
        try:
            self._do(self._broker.node.stop)
        except trio.RunFinishedError:
            pass
        self._thread.join()


async def _serve(node: Node, started: Callable[[tuple[Broker, trio.lowlevel.TrioToken]], None]) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(node.run)
        started((Broker(node), trio.lowlevel.current_trio_token()))


def start_broker(**options: Value) -> ThreadedBroker:
    """Start a broker; `stop` must be called. See `run_broker`."""
    outcome: SimpleQueue[tuple[Broker, trio.lowlevel.TrioToken] | BaseException] = SimpleQueue()
    node = Node(settings_for(options))

    def run() -> None:
        try:
            trio.run(_serve, node, outcome.put)
        except BaseException as error:  # handed to whoever waits, in another thread
            outcome.put(error)

    thread = threading.Thread(target=run, name="amqpd", daemon=True)
    thread.start()
    answer = outcome.get(timeout=START_TIMEOUT_S)
    if isinstance(answer, BaseExceptionGroup):
        raise error_in(answer) or answer
    if isinstance(answer, BaseException):
        raise answer
    broker, token = answer
    return ThreadedBroker(broker, token, thread)


@contextmanager
def run_broker(**options: Value) -> Iterator[ThreadedBroker]:
    """A broker in a thread of its own for the time of the block, on a free port of 127.0.0.1.

    `options` are settings, as in `heartbeat=0`, with `__` for the dot in a name. Raises ConfigError. Blocks for some
    milliseconds to start, and to stop until clients have closed, at most for `shutdown_timeout`.
    """
    broker = start_broker(**options)
    try:
        yield broker
    finally:
        broker.stop()
