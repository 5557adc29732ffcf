"""Methods that open, close and switch a channel: channel.*, access.request, confirm.select, tx.*."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amqpd.errors import not_implemented, precondition_failed
from amqpd.protocol import consuming, faults
from amqpd.protocol.confirms import Confirms
from amqpd.protocol.transactions import Transaction
from amqpd.wire import methods
from amqpd.wire.primitives import Reader

if TYPE_CHECKING:
    from amqpd.protocol.channel import Channel


def channel_open(channel: Channel, reader: Reader) -> None:
    """The channel is open already."""
    raise faults.channel_error("second 'channel.open' seen")


def channel_flow(channel: Channel, reader: Reader) -> None:
    """channel.flow: this side does not stop delivering on request (RabbitMQ: 540)."""
    active = reader.octet() & 1
    reader.finish()
    if not active:
        raise not_implemented("active=false")
    channel.send(methods.CHANNEL_FLOW_OK_PAYLOAD)


def channel_close(channel: Channel, reader: Reader) -> None:
    """channel.close: everything is released before close-ok."""
    reader.short()
    reader.shortstr()
    reader.long()
    reader.finish()
    channel.terminate()
    channel.connection.forget_channel(channel)
    channel.send(methods.CHANNEL_CLOSE_OK_PAYLOAD)


def access_request(channel: Channel, reader: Reader) -> None:
    """access.request: realms are long gone, everybody gets ticket 1."""
    channel.send(methods.ACCESS_REQUEST_OK_PAYLOAD)


def confirm_select(channel: Channel, reader: Reader) -> None:
    """confirm.select: from now on publishes are numbered and answered."""
    nowait = reader.octet() & 1
    reader.finish()
    publisher = channel.publisher
    if publisher.transaction is not None:
        raise precondition_failed("cannot switch from tx to confirm mode")
    if publisher.confirms is None:
        publisher.confirms = Confirms()
    if not nowait:
        channel.send(methods.CONFIRM_SELECT_OK_PAYLOAD)


def tx_select(channel: Channel, reader: Reader) -> None:
    """tx.select: from now on publishes and acknowledgements wait for a commit."""
    reader.finish()
    publisher = channel.publisher
    if publisher.confirms is not None:
        raise precondition_failed("cannot switch from confirm to tx mode")
    if publisher.transaction is None:
        publisher.transaction = Transaction()
    channel.send(methods.TX_SELECT_OK_PAYLOAD)


def tx_commit(channel: Channel, reader: Reader) -> None:
    """tx.commit: publish first, then settle. All of it is one round's, so it reaches the disk whole or not at all."""
    reader.finish()
    transaction = _transaction(channel)
    broker = channel.vhost.broker
    changes = broker.changes()
    broker.begin_transaction()
    try:
        complete = _carry_out(channel, transaction)
    finally:
        broker.end_transaction()
    if not complete:
        raise precondition_failed("partial tx completion")
    channel.connection.reply_after(changes, channel.number, methods.TX_COMMIT_OK_PAYLOAD)


def _carry_out(channel: Channel, transaction: Transaction) -> bool:
    """Whether every queue took what was published."""
    complete = True
    for publish in transaction.take_published():
        queues = [queue for queue in publish.queues if not queue.deleted]
        unroutable = not publish.queues and publish.mandatory
        if not channel.publisher.enqueue(queues, publish.message, unroutable):
            complete = False
    for settlement in transaction.take_settlements():
        consuming.settle(channel, settlement.how, settlement.unacked)
    return complete


def tx_rollback(channel: Channel, reader: Reader) -> None:
    """tx.rollback: publishes are forgotten, deliveries are outstanding again."""
    reader.finish()
    transaction = _transaction(channel)
    transaction.take_published()
    channel.deliveries.restore(transaction.take_unsettled())
    channel.send(methods.TX_ROLLBACK_OK_PAYLOAD)


def _transaction(channel: Channel) -> Transaction:
    transaction = channel.publisher.transaction
    if transaction is None:
        raise precondition_failed("channel is not transactional")
    return transaction
