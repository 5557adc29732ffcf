"""What the domain asks of the outside. Implementations live in the rooms above or beside it.

`DeliverySink` is a channel as queues and consumers see it; `Owner` a connection as exclusive queues see it; `Transport`
the socket below it; `Authenticator` decides who it is; `Catalogue` keeps durable definitions. All are synchronous.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from mypy_extensions import mypyc_attr

if TYPE_CHECKING:
    from amqpd.broker.commands import Command
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

    def access_changed(self, user: str | None) -> None:
        """What `user`, or anybody with None, may do is another thing now."""
        raise NotImplementedError

    def yield_turn(self) -> None:
        """Stop acting on what was received after the current frame, and go on when others have had their turn."""
        raise NotImplementedError


class Certificate:
    """What a client's certificate, which has been verified, says of its owner.

    `distinguished_name` is printed as RabbitMQ does (RFC 4514); `alternative_names` are pairs of type (dns, email, uri,
    ip) and value, in the certificate's order.
    """

    def __init__(
        self, distinguished_name: str, common_name: str, alternative_names: Sequence[tuple[str, str]]
    ) -> None:
        self.distinguished_name: Final = distinguished_name
        self.common_name: Final = common_name
        self.alternative_names: Final = alternative_names


class Peer:
    """Where a connection comes from. `address` is the client's IP address, and "" on a UNIX socket.

    `tls` is the version of TLS in use, or "". `certificate` is there where the client showed one.
    """

    def __init__(
        self, address: str, from_loopback: bool, tls: str = "", certificate: Certificate | None = None
    ) -> None:
        self.address: Final = address
        self.from_loopback: Final = from_loopback
        self.tls: Final = tls
        self.certificate: Final = certificate


class Question:
    """What a user wants to do. `vhost` is always there.

    `kind` is vhost (to enter it), queue or exchange (`name`, and `permission` configure, write or read), or topic
    (`name` is the exchange, `permission` write or read, for `routing_key`).
    """

    def __init__(self, kind: str, vhost: str, name: str = "", permission: str = "", routing_key: str = "") -> None:
        self.kind: Final = kind
        self.vhost: Final = vhost
        self.name: Final = name
        self.permission: Final = permission
        self.routing_key: Final = routing_key


ALLOWED: Final = 1
REFUSED: Final = 0
PENDING: Final = -1


@mypyc_attr(allow_interpreted_subclasses=True)
class Authority:
    """Decides what one user may do. The broker asks once and remembers; `access_changed` has it ask again."""

    def hold_ms(self) -> int:
        """How long a connection may remember what was allowed, or -1: until `access_changed` says otherwise."""
        return -1

    def check(self, user: User, question: Question) -> int:
        """ALLOWED, REFUSED, or PENDING where the answer must be fetched first: then `fetch` is called. Never blocks."""
        raise NotImplementedError

    def fetch(self, user: User, question: Question, answered: Callable[[], None]) -> None:
        """Find the answer that `check` pends for; then call `answered`, within a round, never before returning.

        The answer must stay until the check that follows at once. Where there is none to be had, it is REFUSED.
        """
        raise NotImplementedError


class User:
    """Who is logged in. `limits` (max-connections, max-channels) is the live table of that user's limits.

    `peer` is where this login came from. `valid_until_ms` is the time of day at which the credentials run out, or -1.
    """

    def __init__(
        self,
        name: str,
        tags: frozenset[str],
        authority: Authority,
        limits: dict[str, int] | None = None,
        peer: Peer | None = None,
        valid_until_ms: int = -1,
    ) -> None:
        self.name: Final = name
        self.tags: Final = tags
        self.authority: Final = authority
        self.limits: Final = limits if limits is not None else {}
        self.peer: Final = peer
        self.valid_until_ms = valid_until_ms


class LoginRefused(Exception):
    """The credentials are wrong, or not allowed from there. The text is for the log, never for the client."""

    def __init__(self, user: str, reason: str) -> None:
        super().__init__(reason)
        self.user = user
        self.reason = reason


@mypyc_attr(allow_interpreted_subclasses=True)
class Login:
    """An attempt to log in, as the authenticator gets it: it calls `succeed` or `refuse`, once, now or later.

    Later means within a round of its own (`Driver.round`); the connection waits, and may be gone by then, which is no
    error.
    """

    def __init__(self, mechanism: str, response: bytes, peer: Peer) -> None:
        self.mechanism: Final = mechanism
        self.response: Final = response
        self.peer: Final = peer

    def succeed(self, user: User) -> None:
        """The client is `user`."""
        raise NotImplementedError

    def refuse(self, refusal: LoginRefused) -> None:
        """The client is not let in."""
        raise NotImplementedError


@mypyc_attr(allow_interpreted_subclasses=True)
class Authenticator:
    """Decides who a client is."""

    def mechanisms(self, peer: Peer) -> list[str]:
        """The SASL mechanisms offered to that peer, in the order of the offer."""
        raise NotImplementedError

    def login(self, attempt: Login) -> None:
        """Have `attempt` succeed or be refused. Raises HandshakeFailure where its response has not the form."""
        raise NotImplementedError

    def renew(self, user: User, secret: bytes) -> bool:
        """Whether `secret` is a good new secret for a connection of `user`, whose `valid_until_ms` it may move."""
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

    The broker applies a change to its memory and calls `record`. Commands are numbered as they come. An answer that
    depends on commands waits for them: `settle`, once for the method that asked. `muted` is set while what was stored
    is read back.
    """

    def __init__(self) -> None:
        self.muted = False
        self.recorded = 0  # the number of the last command
        self.stored = 0  # the number of the last command that is on disk
        self.needed = 0  # the number of the last command that the method in hand depends on

    def record(self, command: Command) -> None:
        """Note a change that was made."""
        if self.muted:
            return
        self.recorded += 1
        self.needed = self.recorded
        self.keep(command)

    def depend(self) -> None:
        """The answer in hand says that something is there which may not be on disk yet."""
        self.needed = self.recorded

    def begin(self) -> None:
        """Another method is in hand, which depends on nothing so far."""
        self.needed = self.stored

    def keep(self, command: Command) -> None:
        """Store a command, later. For implementations that do, and that count `stored`."""
        self.stored = self.recorded

    def hold(self) -> None:
        """Store nothing until `release`: what comes meanwhile belongs together, and is stored as one or not at all."""

    def release(self) -> None:
        """The counterpart of `hold`."""

    def settle(self, stored: Callable[[], None]) -> bool:
        """True when all that the method in hand depends on is stored. Else False; `stored` is called once it is."""
        return self.needed <= self.stored
