"""exchange.* and queue.*: arguments are read, names cleaned, and the vhost is asked.

Permissions are asked for in RabbitMQ's order, before anything is done (`access`).
Everything here answers through `Connection.reply`, which waits where a durable definition must be stored first.
CR and LF are removed from names in declare, bind, unbind and delete, and nowhere else (RabbitMQ).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from amqpd.broker.arguments import DEAD_LETTER_EXCHANGE, NAME_PREFIX
from amqpd.broker.policykeys import ALTERNATE_EXCHANGE
from amqpd.broker.reply_to import PREFIX, PSEUDO_QUEUE
from amqpd.broker.routing import described_queue
from amqpd.broker.vhost import check_not_system, check_owner, check_reserved
from amqpd.errors import access_refused, not_found, precondition_failed
from amqpd.protocol.access import CONFIGURE, READ, WRITE, check_any, check_exchange, check_queue, check_topic
from amqpd.protocol.consuming import find_queue, last_queue
from amqpd.wire import methods, tables
from amqpd.wire.primitives import Reader
from amqpd.wire.tables import Table

if TYPE_CHECKING:
    from amqpd.protocol.channel import Channel

_MAX_PREFIX = 64


def _clean(name: str) -> str:
    return name.replace("\r", "").replace("\n", "") if "\r" in name or "\n" in name else name


def _check_not_default(name: str) -> None:
    if not name:
        raise access_refused("operation not permitted on the default exchange")


def _answer(channel: Channel, nowait: bool, payload: bytes) -> None:
    channel.connection.reply(channel.number, b"" if nowait else payload)


def exchange_declare(channel: Channel, reader: Reader) -> None:
    """exchange.declare, also passive."""
    reader.short()
    name = _clean(reader.text())
    type_name = reader.text()
    bits = reader.octet()
    arguments = channel.vhost.broker.tables.read(reader)
    reader.finish()
    if bits & 1:
        _check_not_default(name)
        check_any(channel, "exchange", name)
        channel.vhost.exchange(name)
    else:
        _check_exchange_declare(channel, name, type_name, arguments)
        channel.vhost.declare_exchange(
            name, type_name, bits & 2 != 0, bits & 4 != 0, bits & 8 != 0, arguments
        )
    _answer(channel, bits & 16 != 0, methods.EXCHANGE_DECLARE_OK_PAYLOAD)


def _check_exchange_declare(channel: Channel, name: str, type_name: str, arguments: Table) -> None:
    """Configure the exchange; a new one with an alternate exchange must be read from, the alternate written to."""
    channel.vhost.broker.exchange_types.check(type_name)
    _check_not_default(name)
    check_exchange(channel, name, CONFIGURE)
    if name in channel.vhost.exchanges:
        return
    check_reserved("exchange", name)
    alternate = tables.lookup(arguments, ALTERNATE_EXCHANGE)
    if alternate is not None and alternate.kind == tables.LONGSTR:
        check_exchange(channel, name, READ)
        check_exchange(channel, alternate.text(), WRITE)


def exchange_delete(channel: Channel, reader: Reader) -> None:
    """exchange.delete."""
    reader.short()
    name = _clean(reader.text())
    bits = reader.octet()
    reader.finish()
    _check_not_default(name)
    check_not_system(name, channel.vhost.name)
    check_exchange(channel, name, CONFIGURE)
    channel.vhost.delete_exchange(name, bits & 1 != 0)
    _answer(channel, bits & 2 != 0, methods.EXCHANGE_DELETE_OK_PAYLOAD)


def exchange_bind(channel: Channel, reader: Reader) -> None:
    """exchange.bind."""
    _exchange_binding(channel, reader, True)


def exchange_unbind(channel: Channel, reader: Reader) -> None:
    """exchange.unbind."""
    _exchange_binding(channel, reader, False)


def _exchange_binding(channel: Channel, reader: Reader, binding: bool) -> None:
    reader.short()
    destination_name = _clean(reader.text())
    source_name = _clean(reader.text())
    key = reader.text()
    nowait = reader.octet() & 1 != 0
    arguments = channel.vhost.broker.tables.read(reader)
    reader.finish()
    vhost = channel.vhost
    check_exchange(channel, destination_name, WRITE)
    _check_not_default(destination_name)
    _check_source(channel, source_name, key)
    if binding:
        source = vhost.exchange(source_name)
        vhost.bind(source, vhost.exchange(destination_name), key, arguments, channel.connection)
    else:
        vhost.unbind(source_name, vhost.exchanges.get(destination_name), key, arguments)
    _answer(channel, nowait, methods.EXCHANGE_BIND_OK_PAYLOAD if binding else methods.EXCHANGE_UNBIND_OK_PAYLOAD)


def _check_source(channel: Channel, name: str, key: str) -> None:
    """Whether the user may bind to and unbind from an exchange, by that key."""
    _check_not_default(name)
    check_exchange(channel, name, READ)
    check_topic(channel, channel.vhost.exchanges.get(name), key, READ)


def queue_declare(channel: Channel, reader: Reader) -> None:
    """queue.declare, also passive, also of a reply consumer's name."""
    reader.short()
    name = _clean(reader.text())
    bits = reader.octet()
    arguments = channel.vhost.broker.tables.read(reader)
    reader.finish()
    vhost = channel.vhost
    nowait = bits & 16 != 0
    if name.startswith(PSEUDO_QUEUE):
        if name != PSEUDO_QUEUE and name not in vhost.reply_queues:
            raise not_found(f"no {described_queue(name, vhost.name)}")
        channel.last_queue = name
        _answer(channel, nowait, methods.queue_declare_ok(name, 0, 1))
        return
    if bits & 1:
        check_any(channel, "queue", name)
        queue = vhost.queue(name, channel.connection)
        queue.touch()
    else:
        if not name:
            # Kept while a permission is fetched: with another name each time the question would be a new one for ever.
            name = channel.made_name = channel.made_name or vhost.broker.unique_name(_prefix(arguments))
        else:
            check_reserved("queue", name)
        _check_queue_declare(channel, name, arguments)
        channel.made_name = ""
        queue = vhost.declare_queue(
            name, bits & 2 != 0, bits & 4 != 0, bits & 8 != 0, arguments, channel.connection
        )
    channel.last_queue = name
    _answer(channel, nowait, methods.queue_declare_ok(name, queue.ready_count(), queue.consumer_count()))


def _check_queue_declare(channel: Channel, name: str, arguments: Table) -> None:
    """Configure the queue; a new one with a dead-letter exchange must be read from, the exchange written to."""
    check_queue(channel, name, CONFIGURE)
    exchange = tables.lookup(arguments, DEAD_LETTER_EXCHANGE)
    if exchange is not None and exchange.kind == tables.LONGSTR and name not in channel.vhost.queues:
        check_queue(channel, name, READ)
        check_exchange(channel, exchange.text(), WRITE)


def _prefix(arguments: Table) -> str:
    """What a server-named queue's name begins with (RabbitMQ 4.3: x-name-prefix)."""
    field = tables.lookup(arguments, NAME_PREFIX)
    if field is None or field.kind != tables.LONGSTR or not field.raw():
        return "amq.gen"
    prefix = _clean(field.text())
    if len(field.raw()) > _MAX_PREFIX:
        raise precondition_failed(f"Queue name prefix '{prefix}' exceeds the {_MAX_PREFIX}-byte limit")
    return prefix


def queue_bind(channel: Channel, reader: Reader) -> None:
    """queue.bind."""
    reader.short()
    queue_name = reader.text()
    source_name = _clean(reader.text())
    key = reader.text()
    nowait = reader.octet() & 1 != 0
    arguments = channel.vhost.broker.tables.read(reader)
    reader.finish()
    queue_name, key = _names(channel, queue_name, key)
    _check_bindable(channel, queue_name, source_name, key)
    source = channel.vhost.exchange(source_name)
    queue = channel.vhost.existing_queue(queue_name)
    channel.vhost.bind(source, queue, key, arguments, channel.connection)
    _answer(channel, nowait, methods.QUEUE_BIND_OK_PAYLOAD)


def queue_unbind(channel: Channel, reader: Reader) -> None:
    """queue.unbind: what is not there is no error."""
    reader.short()
    queue_name = reader.text()
    source_name = _clean(reader.text())
    key = reader.text()
    arguments = channel.vhost.broker.tables.read(reader)
    reader.finish()
    queue_name, key = _names(channel, queue_name, key)
    _check_bindable(channel, queue_name, source_name, key)
    queue = channel.vhost.queues.get(queue_name)
    if queue is not None and channel.vhost.is_bound(source_name, queue, key, arguments):
        check_owner(queue, channel.connection)
    channel.vhost.unbind(source_name, queue, key, arguments)
    _answer(channel, False, methods.QUEUE_UNBIND_OK_PAYLOAD)


def _names(channel: Channel, queue_name: str, key: str) -> tuple[str, str]:
    """No queue means the last that was declared; with no key either, its name is the key too.

    A name of CR and LF alone is none, but does not mean that either.
    """
    if queue_name:
        return _clean(queue_name), key
    name = last_queue(channel)
    return name, key or name


def _check_bindable(channel: Channel, queue_name: str, source_name: str, key: str) -> None:
    if queue_name.startswith(PREFIX):
        raise access_refused("cannot bind or unbind to a volatile (direct reply-to) queue")
    check_queue(channel, queue_name, WRITE)
    _check_source(channel, source_name, key)


def queue_purge(channel: Channel, reader: Reader) -> None:
    """queue.purge."""
    reader.short()
    name = reader.text()
    nowait = reader.octet() & 1 != 0
    reader.finish()
    queue = find_queue(channel, name)
    changes = channel.vhost.broker.changes()
    count = queue.purge()
    if not nowait:
        channel.connection.reply_after(changes, channel.number, methods.counted(methods.QUEUE_PURGE_OK, count))


def queue_delete(channel: Channel, reader: Reader) -> None:
    """queue.delete: a queue that is not there is no error."""
    reader.short()
    name = _clean(reader.text() or last_queue(channel))
    bits = reader.octet()
    reader.finish()
    vhost = channel.vhost
    check_queue(channel, name, CONFIGURE)
    queue = vhost.queues.get(name)
    count = 0
    if queue is not None:
        check_owner(queue, channel.connection)
        count = vhost.delete_queue(queue, bits & 1 != 0, bits & 2 != 0)
    _answer(channel, bits & 4 != 0, methods.counted(methods.QUEUE_DELETE_OK, count))
