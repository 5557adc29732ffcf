"""Every method but the few on a message's way: numbers, names, and the frames' payloads that a server sends.

pamqp supplies the catalogue (which methods exist, what they are called) and the replies that have no names or tables
in them. Whatever carries a name or a table is built here, because pamqp refuses to marshal names that RabbitMQ
accepts, and cannot send a table back as it came (docs/decisions/codec.md). Arguments that arrive are read by
`primitives.Reader` where they are acted on.

A payload is what stands between a frame's header and its end octet: class, method, arguments. None of this validates
what a caller passes.
"""

from __future__ import annotations

from typing import Final

from pamqp import base, commands, frame

from amqpd.wire import tables
from amqpd.wire.primitives import BytesWriter, as_bytes, shortstr, write_i64_be, write_u16, write_u32

CONNECTION: Final = 10
CHANNEL: Final = 20
ACCESS: Final = 30
EXCHANGE: Final = 40
QUEUE: Final = 50
BASIC: Final = 60
CONFIRM: Final = 85
TX: Final = 90

CONNECTION_START: Final = CONNECTION << 16 | 10
CONNECTION_START_OK: Final = CONNECTION << 16 | 11
CONNECTION_SECURE_OK: Final = CONNECTION << 16 | 21
CONNECTION_TUNE: Final = CONNECTION << 16 | 30
CONNECTION_TUNE_OK: Final = CONNECTION << 16 | 31
CONNECTION_OPEN: Final = CONNECTION << 16 | 40
CONNECTION_OPEN_OK: Final = CONNECTION << 16 | 41
CONNECTION_CLOSE: Final = CONNECTION << 16 | 50
CONNECTION_CLOSE_OK: Final = CONNECTION << 16 | 51
CONNECTION_BLOCKED: Final = CONNECTION << 16 | 60
CONNECTION_UNBLOCKED: Final = CONNECTION << 16 | 61
CONNECTION_UPDATE_SECRET: Final = CONNECTION << 16 | 70
CONNECTION_UPDATE_SECRET_OK: Final = CONNECTION << 16 | 71
CHANNEL_OPEN: Final = CHANNEL << 16 | 10
CHANNEL_OPEN_OK: Final = CHANNEL << 16 | 11
CHANNEL_FLOW: Final = CHANNEL << 16 | 20
CHANNEL_FLOW_OK: Final = CHANNEL << 16 | 21
CHANNEL_CLOSE: Final = CHANNEL << 16 | 40
CHANNEL_CLOSE_OK: Final = CHANNEL << 16 | 41
ACCESS_REQUEST: Final = ACCESS << 16 | 10
ACCESS_REQUEST_OK: Final = ACCESS << 16 | 11
EXCHANGE_DECLARE: Final = EXCHANGE << 16 | 10
EXCHANGE_DECLARE_OK: Final = EXCHANGE << 16 | 11
EXCHANGE_DELETE: Final = EXCHANGE << 16 | 20
EXCHANGE_DELETE_OK: Final = EXCHANGE << 16 | 21
EXCHANGE_BIND: Final = EXCHANGE << 16 | 30
EXCHANGE_BIND_OK: Final = EXCHANGE << 16 | 31
EXCHANGE_UNBIND: Final = EXCHANGE << 16 | 40
EXCHANGE_UNBIND_OK: Final = EXCHANGE << 16 | 51
QUEUE_DECLARE: Final = QUEUE << 16 | 10
QUEUE_DECLARE_OK: Final = QUEUE << 16 | 11
QUEUE_BIND: Final = QUEUE << 16 | 20
QUEUE_BIND_OK: Final = QUEUE << 16 | 21
QUEUE_PURGE: Final = QUEUE << 16 | 30
QUEUE_PURGE_OK: Final = QUEUE << 16 | 31
QUEUE_DELETE: Final = QUEUE << 16 | 40
QUEUE_DELETE_OK: Final = QUEUE << 16 | 41
QUEUE_UNBIND: Final = QUEUE << 16 | 50
QUEUE_UNBIND_OK: Final = QUEUE << 16 | 51
BASIC_QOS: Final = BASIC << 16 | 10
BASIC_QOS_OK: Final = BASIC << 16 | 11
BASIC_CONSUME: Final = BASIC << 16 | 20
BASIC_CONSUME_OK: Final = BASIC << 16 | 21
BASIC_CANCEL: Final = BASIC << 16 | 30
BASIC_CANCEL_OK: Final = BASIC << 16 | 31
BASIC_PUBLISH: Final = BASIC << 16 | 40
BASIC_RETURN: Final = BASIC << 16 | 50
BASIC_DELIVER: Final = BASIC << 16 | 60
BASIC_GET: Final = BASIC << 16 | 70
BASIC_GET_OK: Final = BASIC << 16 | 71
BASIC_GET_EMPTY: Final = BASIC << 16 | 72
BASIC_ACK: Final = BASIC << 16 | 80
BASIC_REJECT: Final = BASIC << 16 | 90
BASIC_RECOVER_ASYNC: Final = BASIC << 16 | 100
BASIC_RECOVER: Final = BASIC << 16 | 110
BASIC_RECOVER_OK: Final = BASIC << 16 | 111
BASIC_NACK: Final = BASIC << 16 | 120
CONFIRM_SELECT: Final = CONFIRM << 16 | 10
CONFIRM_SELECT_OK: Final = CONFIRM << 16 | 11
TX_SELECT: Final = TX << 16 | 10
TX_SELECT_OK: Final = TX << 16 | 11
TX_COMMIT: Final = TX << 16 | 20
TX_COMMIT_OK: Final = TX << 16 | 21
TX_ROLLBACK: Final = TX << 16 | 30
TX_ROLLBACK_OK: Final = TX << 16 | 31


def _wire_name(name: str) -> str:
    """`Queue.DeclareOk` as the specification writes it: `queue.declare-ok`."""
    head, _, tail = name.partition(".")
    words = "".join("-" + letter.lower() if letter.isupper() else letter for letter in tail)
    return head.lower() + "." + words.lstrip("-")


# Method number -> name. RabbitMQ's own connection.update-secret is newer than pamqp's catalogue in some versions.
NAMES: Final[dict[int, str]] = {
    **{index: _wire_name(str(vars(command)["name"])) for index, command in commands.INDEX_MAPPING.items()},
    CONNECTION_UPDATE_SECRET: "connection.update-secret",
    CONNECTION_UPDATE_SECRET_OK: "connection.update-secret-ok",
    ACCESS_REQUEST: "access.request",
    ACCESS_REQUEST_OK: "access.request-ok",
}


def _fixed(command: base.Frame) -> bytes:
    return frame.marshal(command, 0)[7:-1]


CHANNEL_OPEN_OK_PAYLOAD: Final = CHANNEL_OPEN_OK.to_bytes(4, "big") + bytes(4)  # pamqp insists on "0", not ""
CHANNEL_CLOSE_OK_PAYLOAD: Final = _fixed(commands.Channel.CloseOk())
CHANNEL_FLOW_OK_PAYLOAD: Final = _fixed(commands.Channel.FlowOk(active=True))
CONNECTION_OPEN_OK_PAYLOAD: Final = _fixed(commands.Connection.OpenOk())
CONNECTION_CLOSE_OK_PAYLOAD: Final = _fixed(commands.Connection.CloseOk())
CONNECTION_UNBLOCKED_PAYLOAD: Final = _fixed(commands.Connection.Unblocked())
CONNECTION_UPDATE_SECRET_OK_PAYLOAD: Final = CONNECTION_UPDATE_SECRET_OK.to_bytes(4, "big")
ACCESS_REQUEST_OK_PAYLOAD: Final = ACCESS_REQUEST_OK.to_bytes(4, "big") + b"\x00\x01"
EXCHANGE_DECLARE_OK_PAYLOAD: Final = _fixed(commands.Exchange.DeclareOk())
EXCHANGE_DELETE_OK_PAYLOAD: Final = _fixed(commands.Exchange.DeleteOk())
EXCHANGE_BIND_OK_PAYLOAD: Final = _fixed(commands.Exchange.BindOk())
EXCHANGE_UNBIND_OK_PAYLOAD: Final = _fixed(commands.Exchange.UnbindOk())
QUEUE_BIND_OK_PAYLOAD: Final = _fixed(commands.Queue.BindOk())
QUEUE_UNBIND_OK_PAYLOAD: Final = _fixed(commands.Queue.UnbindOk())
BASIC_QOS_OK_PAYLOAD: Final = _fixed(commands.Basic.QosOk())
BASIC_GET_EMPTY_PAYLOAD: Final = _fixed(commands.Basic.GetEmpty())
BASIC_RECOVER_OK_PAYLOAD: Final = _fixed(commands.Basic.RecoverOk())
CONFIRM_SELECT_OK_PAYLOAD: Final = _fixed(commands.Confirm.SelectOk())
TX_SELECT_OK_PAYLOAD: Final = _fixed(commands.Tx.SelectOk())
TX_COMMIT_OK_PAYLOAD: Final = _fixed(commands.Tx.CommitOk())
TX_ROLLBACK_OK_PAYLOAD: Final = _fixed(commands.Tx.RollbackOk())


def _begin(method: int) -> BytesWriter:
    out = BytesWriter()
    write_u32(out, method)
    return out


def connection_start(server_properties: tables.Table, mechanisms: str, locales: str) -> bytes:
    """connection.start for protocol 0-9."""
    out = _begin(CONNECTION_START)
    out.write(b"\x00\x09")
    out.write(tables.encode_table(server_properties))
    for text in (mechanisms, locales):
        raw = as_bytes(text)
        write_u32(out, len(raw))
        out.write(raw)
    return out.getvalue()


def connection_tune(channel_max: int, frame_max: int, heartbeat: int) -> bytes:
    """connection.tune; `heartbeat` in seconds."""
    return _fixed(commands.Connection.Tune(channel_max, frame_max, heartbeat))


def connection_blocked(reason: str) -> bytes:
    """connection.blocked."""
    return CONNECTION_BLOCKED.to_bytes(4, "big") + shortstr(reason)


def close(method: int, code: int, text: str, failed: int) -> bytes:
    """connection.close or channel.close; `failed` is the number of the method that failed, or 0."""
    out = _begin(method)
    write_u16(out, code)
    out.write(shortstr(text))
    write_u32(out, failed)
    return out.getvalue()


def queue_declare_ok(name: str, messages: int, consumers: int) -> bytes:
    """queue.declare-ok."""
    out = _begin(QUEUE_DECLARE_OK)
    out.write(shortstr(name))
    write_u32(out, messages)
    write_u32(out, consumers)
    return out.getvalue()


def counted(method: int, messages: int) -> bytes:
    """queue.purge-ok or queue.delete-ok."""
    out = _begin(method)
    write_u32(out, messages)
    return out.getvalue()


def tagged(method: int, consumer_tag: str) -> bytes:
    """basic.consume-ok or basic.cancel-ok."""
    return method.to_bytes(4, "big") + shortstr(consumer_tag)


def basic_cancel(consumer_tag: str) -> bytes:
    """basic.cancel from the server: no answer is expected."""
    return BASIC_CANCEL.to_bytes(4, "big") + shortstr(consumer_tag) + b"\x01"


def basic_return(code: int, text: str, address: bytes) -> bytes:
    """basic.return; `address` is exchange and routing key as two short strings."""
    return BASIC_RETURN.to_bytes(4, "big") + code.to_bytes(2, "big") + shortstr(text) + address


def basic_get_ok(tag: int, redelivered: bool, address: bytes, remaining: int) -> bytes:
    """basic.get-ok; `address` is exchange and routing key as two short strings."""
    out = _begin(BASIC_GET_OK)
    write_i64_be(out, tag)
    out.append(1 if redelivered else 0)
    out.write(address)
    write_u32(out, remaining)
    return out.getvalue()
