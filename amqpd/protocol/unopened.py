"""Frames that are not for an open channel: channel 0, a channel to be opened, or any before the connection is open.

Rare, all of them. The walk over frames (`connection`) comes here with what it cannot give to a channel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from amqpd.errors import HandshakeFailure, MalformedError, not_allowed
from amqpd.protocol import faults, handshake, notices
from amqpd.protocol.access import AnswerPending
from amqpd.protocol.channel import Channel
from amqpd.protocol.states import AWAIT_OPEN, CLOSED, CLOSING, REFUSED, RUNNING, STATE_NAMES
from amqpd.wire import methods
from amqpd.wire.frames import BODY, HEADER, HEARTBEAT, METHOD, write_frame
from amqpd.wire.primitives import BytesWriter, Reader, read_i32_be

if TYPE_CHECKING:
    from amqpd.protocol.connection import Connection


def other_frame(connection: Connection, kind: int, number: int, payload: bytes) -> None:
    """Act on a frame, or discard it, as the connection's state has it. Raises ConnectionFault, HandshakeFailure."""
    state = connection.state
    if state == REFUSED or state == CLOSED:
        return
    if number == 0 and kind == METHOD:
        _connection_method(connection, payload)
    elif state == CLOSING:
        return
    elif number == 0 and kind == HEARTBEAT:
        if payload:
            raise faults.unknown_frame(kind, payload)
    elif state < AWAIT_OPEN:
        raise HandshakeFailure(f"{faults.described_frame(kind, payload)} in state {STATE_NAMES[state]}")
    elif number == 0 or state != RUNNING or kind not in (METHOD, HEADER, BODY):
        raise strange_frame(kind, payload)
    elif kind != METHOD:
        raise faults.expected_method()
    else:
        _method_on_closed_channel(connection, number, payload)


def strange_frame(kind: int, payload: bytes) -> Exception:
    """The fault of a frame that has no place on its channel."""
    if kind in (METHOD, HEADER, BODY, HEARTBEAT):
        return faults.unexpected_frame(kind, payload)
    return faults.unknown_frame(kind, payload)


def _method_on_closed_channel(connection: Connection, number: int, payload: bytes) -> None:
    if len(payload) < 4:
        raise faults.unknown_frame(METHOD, payload)
    method: int = read_i32_be(payload, 0)
    connection.method = method
    if method == methods.CHANNEL_OPEN:
        _open_channel(connection, number)
    elif method not in methods.NAMES:
        raise faults.unimplemented()
    else:
        raise faults.channel_error("expected 'channel.open'")


def _connection_method(connection: Connection, payload: bytes) -> None:
    if len(payload) < 4:
        raise faults.unknown_frame(METHOD, payload)
    method: int = read_i32_be(payload, 0)
    connection.method = method
    try:
        handshake.connection_method(connection, method, Reader(payload, 4, len(payload)))
    except AnswerPending as pending:
        frame = BytesWriter()
        write_frame(frame, METHOD, 0, payload)
        connection.ask(pending, frame.getvalue())
    except MalformedError as error:
        if connection.state < AWAIT_OPEN:
            raise HandshakeFailure(f"{methods.NAMES.get(method, 'method')} is malformed") from None
        raise faults.cannot_decode(payload[4:], error) from None


def _open_channel(connection: Connection, number: int) -> None:
    open_channels = len(connection.channels)
    if open_channels >= connection.channel_max:
        connection.method = 0
        raise not_allowed(
            f"number of channels opened ({open_channels}) has reached the negotiated channel_max "
            f"({connection.channel_max})"
        )
    vhost, user = connection.vhost, connection.user
    assert vhost is not None and user is not None
    handshake.check_channel_limits(connection, user)
    channel = Channel(connection, vhost, user, number)
    connection.channels[number] = channel
    connection.broker.usage(user.name).channels += 1
    connection.broker.channels += 1
    notices.channel_opened(channel)
    connection.send(number, methods.CHANNEL_OPEN_OK_PAYLOAD)
