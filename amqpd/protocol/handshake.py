"""From the protocol header to connection.open, and the methods of channel 0 (specification 2.2.4).

Which method is expected in which state stands in one table. A peer that fails before the connection is open hears
nothing: its socket is dropped after a pause, so that guessing is slow (RabbitMQ: rabbit_reader).
"""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from amqpd import __version__
from amqpd.broker.limits import MAX_CHANNELS, MAX_CONNECTIONS
from amqpd.broker.ports import LoginRefused, User
from amqpd.errors import ACCESS_REFUSED, ConnectionFault, HandshakeFailure, not_allowed
from amqpd.protocol import access, faults, notices, states
from amqpd.wire import methods, tables
from amqpd.wire.frames import METHOD, PROTOCOL_HEADER, write_frame
from amqpd.wire.primitives import Reader, as_text
from amqpd.wire.tables import Table

if TYPE_CHECKING:
    from amqpd.protocol.connection import Connection

log = logging.getLogger("amqpd.connection")

SILENT_PAUSE_MS: Final = 3000
_MATTERING: Final = ("authentication_failure_close", "connection.blocked", "consumer_cancel_notify")
_CAPABLE: Final[dict[frozenset[str], frozenset[str]]] = {}  # the sets of them that were seen, for all connections
RABBITMQ_VERSION: Final = "4.3.0"  # whose behaviour this is; clients switch on product and version
_CAPABILITIES: Final = (
    "publisher_confirms",
    "exchange_exchange_bindings",
    "basic.nack",
    "consumer_cancel_notify",
    "connection.blocked",
    "consumer_priorities",
    "authentication_failure_close",
    "per_consumer_qos",
    "direct_reply_to",
)
_ACCEPTED_HEADERS: Final = (PROTOCOL_HEADER, b"AMQP\x01\x01\x00\x09")


def server_properties(cluster_name: str) -> Table:
    """What connection.start says of this server. `product` and `version` are RabbitMQ's: clients switch on them."""
    capabilities: Table = [(name, tables.boolean(True)) for name in _CAPABILITIES]
    return [
        ("capabilities", tables.subtable(capabilities)),
        ("cluster_name", tables.longstr(cluster_name)),
        ("copyright", tables.longstr("The amqpd developers")),
        ("information", tables.longstr(f"amqpd {__version__}, licensed under the Apache License 2.0")),
        ("platform", tables.longstr(f"Python {platform.python_version()}")),
        ("product", tables.longstr("RabbitMQ")),
        ("version", tables.longstr(RABBITMQ_VERSION)),
    ]


def protocol_header(connection: Connection, data: bytes) -> int:
    """The first 8 bytes; returns how many were used. Whoever speaks something else is told what this side speaks."""
    if len(data) < len(PROTOCOL_HEADER):
        return 0
    header = data[:8]
    if header not in _ACCEPTED_HEADERS:
        connection.touch()
        connection.out.write(PROTOCOL_HEADER)
        log.warning("refused: unknown protocol header %s", header.hex(" "), extra=connection.log_fields(0))
        connection.finish()
        return len(data)
    connection.state = states.AWAIT_START_OK
    mechanisms = " ".join(connection.authenticator.mechanisms(connection.peer))
    start = methods.connection_start(server_properties(connection.broker.cluster_name()), mechanisms, "en_US")
    connection.touch()
    write_frame(connection.out, METHOD, 0, start)
    return 8


def refuse(connection: Connection, reason: str) -> None:
    """Fail the handshake silently."""
    log.error("handshake failed: %s", reason, extra=connection.log_fields(0))
    connection.refused(SILENT_PAUSE_MS)


def connection_method(connection: Connection, method: int, reader: Reader) -> None:
    """Act on a method of channel 0. Raises ConnectionFault, HandshakeFailure, MalformedError."""
    state = connection.state
    handler = _HANDLERS.get((state, method))
    if handler is not None:
        handler(connection, reader)
    elif state == states.CLOSING:
        return
    elif state < states.AWAIT_OPEN:
        raise HandshakeFailure(f"{methods.NAMES.get(method, str(method))} in state {states.STATE_NAMES[state]}")
    elif method not in methods.NAMES:
        raise faults.unimplemented()
    else:
        raise faults.channel_error(f"unexpected method in connection state {states.STATE_NAMES[state]}")


def _start_ok(connection: Connection, reader: Reader) -> None:
    raw = reader.longstr()
    properties = tables.decode_table(raw)
    mechanism = reader.text()
    response = reader.longstr()
    reader.shortstr()  # locale: en_US is all there is, and RabbitMQ takes any
    reader.finish()
    connection.introduction = raw
    capabilities = tables.lookup(properties, "capabilities")
    if capabilities is not None and isinstance(capabilities.value, list) and capabilities.kind == tables.TABLE:
        said = dict(capabilities.value)
        found = frozenset([name for name in _MATTERING if name in said and said[name].value is True])
        connection.capabilities = _CAPABLE.setdefault(found, found)
    connection.log_in(mechanism, response)


def logged_in(connection: Connection) -> None:
    """The client is who it says it is: go on with connection.tune."""
    assert connection.user is not None
    notices.login(connection, connection.user.name, connection.mechanism, True)
    connection.state = states.AWAIT_TUNE_OK
    limits = connection.broker.limits
    connection.send(0, methods.connection_tune(limits.channel_max, limits.frame_max, limits.heartbeat_s))


def login_refused(connection: Connection, mechanism: str, refusal: LoginRefused) -> None:
    """The client is not let in; it is told so if it can take that."""
    log.error(
        "%s login refused: user '%s' - %s", mechanism, refusal.user, refusal.reason, extra=connection.log_fields(0)
    )
    notices.login(connection, refusal.user, mechanism, False)
    if "authentication_failure_close" not in connection.capabilities:
        connection.refused(SILENT_PAUSE_MS)
        return
    connection.method = 0
    connection.fail(
        ConnectionFault(
            ACCESS_REFUSED,
            f"Login was refused using authentication mechanism {mechanism}. For details see the broker logfile.",
        )
    )


def _tune_ok(connection: Connection, reader: Reader) -> None:
    channel_max = reader.short()
    frame_max = reader.long()
    heartbeat_s = reader.short()
    reader.finish()
    limits = connection.broker.limits
    _check_tuned("channel_max", channel_max, 1, limits.channel_max)
    _check_tuned("frame_max", frame_max, limits.frame_min, limits.frame_max)
    connection.channel_max = channel_max
    connection.frame_max = frame_max
    connection.state = states.AWAIT_OPEN
    connection.start_heartbeat(heartbeat_s)


def _check_tuned(name: str, value: int, lowest: int, highest: int) -> None:
    if value == 0:
        raise not_allowed(f"negotiated {name} = 0 (no limit) is higher than the maximum allowed value ({highest})")
    if value < lowest:
        raise not_allowed(f"negotiated {name} = {value} is lower than the minimum allowed value ({lowest})")
    if value > highest:
        raise not_allowed(f"negotiated {name} = {value} is higher than the maximum allowed value ({highest})")


def _open(connection: Connection, reader: Reader) -> None:
    name = reader.text()
    reader.shortstr()
    reader.octet()
    reader.finish()
    user = connection.user
    assert user is not None
    _check_connection_limits(connection, user, name)
    check_vhost_access(user, name)
    vhost = connection.broker.vhosts[name]
    connection.running(vhost)
    connection.send(0, methods.CONNECTION_OPEN_OK_PAYLOAD)
    fields = connection.log_fields(0)
    title = tables.lookup(connection.client_properties(), "connection_name")
    shown = f" ({as_text(title.raw())})" if title is not None and title.kind == tables.LONGSTR else ""
    log.info("connection opened%s", shown, extra=fields)


def _check_connection_limits(connection: Connection, user: User, name: str) -> None:
    """The limits of the node, the vhost and the user, in RabbitMQ's order. Raises 530, also for a missing vhost."""
    broker = connection.broker
    if 0 < broker.limits.connection_max <= broker.connection_count():
        raise not_allowed(f"connection refused: node connection limit ({broker.limits.connection_max}) is reached")
    vhost = broker.vhosts.get(name)
    if vhost is None:
        raise not_allowed(f"vhost {name} not found")
    limit = vhost.limits.get(MAX_CONNECTIONS, -1)
    if 0 <= limit <= vhost.connection_count():
        raise not_allowed(
            f"access to vhost '{name}' refused for user '{user.name}': connection limit ({limit}) is reached"
        )
    limit = user.limits.get(MAX_CONNECTIONS, -1)
    if 0 <= limit <= broker.usage(user.name).connections:
        raise not_allowed(
            f"connection refused for user '{user.name}': user connection limit ({limit}) is reached"
        )


def check_vhost_access(user: User, name: str) -> None:
    """Refuse a vhost in which the user has no permissions. Raises 530, AnswerPending."""
    if not access.may_enter(user, name):
        raise not_allowed(f"access to vhost '{name}' refused for user '{user.name}'")


def check_channel_limits(connection: Connection, user: User) -> None:
    """The limits of the user and the node on channels. Raises 530."""
    broker = connection.broker
    limit = user.limits.get(MAX_CHANNELS, -1)
    subject = f"for user '{user.name}' has reached the maximum allowed user limit of {limit}"
    reached = 0 <= limit <= broker.usage(user.name).channels
    if not reached:
        limit = broker.limits.channel_max_per_node
        subject = f"on node '{broker.name}' has reached the maximum allowed limit of {limit}"
        reached = 0 < limit <= broker.channels
    if reached:
        connection.method = 0
        raise not_allowed(f"number of channels opened {subject}")


def _close(connection: Connection, reader: Reader) -> None:
    connection.closed_by_client()


def _close_ok(connection: Connection, reader: Reader) -> None:
    connection.finish()


def _update_secret(connection: Connection, reader: Reader) -> None:
    secret = reader.longstr()
    reader.shortstr()  # the reason, for people
    reader.finish()
    assert connection.user is not None
    if not connection.authenticator.renew(connection.user, secret):
        raise not_allowed("New secret was refused by one of the backends")
    connection.renewed()
    connection.send(0, methods.CONNECTION_UPDATE_SECRET_OK_PAYLOAD)


# (state, method) -> what is done. What is not here is refused by `connection_method`.
_HANDLERS: Final[dict[tuple[int, int], Callable[[Connection, Reader], None]]] = {
    (states.AWAIT_START_OK, methods.CONNECTION_START_OK): _start_ok,
    (states.AWAIT_TUNE_OK, methods.CONNECTION_TUNE_OK): _tune_ok,
    (states.AWAIT_OPEN, methods.CONNECTION_OPEN): _open,
    (states.RUNNING, methods.CONNECTION_CLOSE): _close,
    (states.CLOSING, methods.CONNECTION_CLOSE): _close,
    (states.CLOSING, methods.CONNECTION_CLOSE_OK): _close_ok,
    (states.RUNNING, methods.CONNECTION_UPDATE_SECRET): _update_secret,
}
