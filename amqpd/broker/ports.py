"""What the domain asks of the outside. Implementations live in the rooms above or beside it.

`DeliverySink` is a channel as queues and consumers see it; `Owner` a connection as exclusive queues see it; `Transport`
the socket below it; `Authenticator` decides who it is; `Catalogue` keeps durable definitions. All are synchronous.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from mypy_extensions import mypyc_attr

if TYPE_CHECKING:
    from amqpd.broker.consumers import Consumer
    from amqpd.broker.message import Message
    from amqpd.broker.queues.contract import Queue


class Owner:
    """A connection as the domain knows it: it owns exclusive queues, and has bytes to send at the end of a round."""

    def __init__(self) -> None:
        self.owned: Final[dict[str, Queue]] = {}

    def flush(self) -> None:
        """Send what can be sent."""
        raise NotImplementedError


    def yield_turn(self) -> None:
        """Stop acting on what was received after the current frame, and go on when others have had their turn."""
        raise NotImplementedError


class User:
    """Who is logged in."""

    def __init__(self, name: str, tags: frozenset[str]) -> None:
        self.name: Final = name
        self.tags: Final = tags


class LoginRefused(Exception):
    """The credentials are wrong, or not allowed from there. The text is for the log, never for the client."""

    def __init__(self, user: str, reason: str) -> None:
        super().__init__(reason)
        self.user = user
        self.reason = reason


@mypyc_attr(allow_interpreted_subclasses=True)
class Authenticator:
    """Decides who a client is."""

    def mechanisms(self) -> list[str]:
        """The SASL mechanisms offered, in the order of the offer."""
        raise NotImplementedError

    def login(self, mechanism: str, response: bytes, from_loopback: bool) -> User:
        """The user that `response` proves. Raises LoginRefused, or HandshakeFailure where it has not the form."""
        raise NotImplementedError

    def renew(self, user: User, secret: bytes) -> bool:
        """Whether `secret` is a good new secret for a connection of `user`."""
        raise NotImplementedError


@mypyc_attr(allow_interpreted_subclasses=True)
class Transport:
    """The socket below a connection. None of these blocks. After `abort` a flush has nothing to do."""

    def flush(self) -> None:
        """Bytes were written to the connection's buffer: send what the socket takes."""
        raise NotImplementedError

    def resume(self) -> None:
        """The connection, which had paused, reads again."""
        raise NotImplementedError

    def close(self) -> None:
        """Send what is left, then close."""
        raise NotImplementedError

    def abort(self) -> None:
        """Close at once."""
        raise NotImplementedError


class DeliverySink:
    """Where a consumer's messages go: a channel."""

    def accepts(self, consumer: Consumer) -> bool:
        """Whether `consumer` may be given a message now. After False the sink wakes it when that changes."""
        raise NotImplementedError

    def overflowing(self) -> bool:
        """Whether so much waits for the client already that what need not be delivered is not."""
        raise NotImplementedError

    def deliver(self, consumer: Consumer, message: Message, position: int, redelivered: bool) -> None:
        """Write a deliver; remember it until it is acknowledged, unless the consumer takes without acknowledging."""
        raise NotImplementedError

    def consumer_cancelled(self, consumer: Consumer) -> None:
        """The queue ended this consumer: forget it and tell the client."""
        raise NotImplementedError


@mypyc_attr(allow_interpreted_subclasses=True)
class Catalogue:
    """Where durable definitions are kept. This one keeps them nowhere: the node's memory is all there is.

    The broker applies a change to its memory, calls `record` for each durable definition that it touched, and then
    `settle` once for the method that asked for it.
    """

    def record(self, action: str, subject: object) -> None:
        """Note a change: `action` is declared or deleted; `subject` an Exchange, Queue, Binding or VHost."""

    def settle(self, stored: Callable[[], None]) -> bool:
        """True when everything recorded so far is stored. Else False, and `stored` is called once it is."""
        return True
