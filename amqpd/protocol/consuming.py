"""basic.*, but for publishing: qos, consume, cancel, get, and how deliveries are settled."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from amqpd.broker import arguments as names
from amqpd.broker.consumers import Consumer
from amqpd.broker.reply_to import PSEUDO_QUEUE
from amqpd.broker.timers import Timer
from amqpd.errors import not_allowed, not_found, not_implemented, precondition_failed
from amqpd.protocol import notices
from amqpd.protocol.access import READ, check_queue
from amqpd.protocol.transactions import ACK, DISCARD, REJECT, REQUEUE
from amqpd.wire import methods, tables
from amqpd.wire.primitives import Reader

if TYPE_CHECKING:
    from amqpd.broker.message import Unacked
    from amqpd.broker.queues.contract import Queue
    from amqpd.protocol.channel import Channel

SETTLED_AT_ONCE: Final = 2000
"""Deliveries; more that are settled together, outside of transactions, are settled one part after the other."""


def basic_qos(channel: Channel, reader: Reader) -> None:
    """basic.qos: for consumers to come or, with global, for the channel as a whole."""
    size = reader.long()
    count = reader.short()
    shared = reader.octet() & 1
    reader.finish()
    if size:
        raise not_implemented(f"prefetch_size!=0 ({size})")
    channel.send(methods.BASIC_QOS_OK_PAYLOAD)
    if not shared:
        channel.prefetch = count
    channel.share_prefetch(count if shared else 0)  # a limit per consumer ends the one they share (RabbitMQ)
    channel.wake_consumers()


def basic_consume(channel: Channel, reader: Reader) -> None:
    """basic.consume. consume-ok comes before the first delivery."""
    reader.short()
    queue_name = reader.text()
    tag = reader.text()
    bits = reader.octet()
    arguments = channel.vhost.broker.tables.read(reader)
    reader.finish()
    queue_name = queue_name or last_queue(channel)
    no_ack = bits & 2 != 0
    exclusive = bits & 4 != 0
    nowait = bits & 8 != 0
    limit = channel.vhost.broker.limits.consumers_per_channel
    if tag in channel.consumers:
        raise not_allowed(f"attempt to reuse consumer tag '{tag}'")
    if 0 < limit <= len(channel.consumers):
        raise not_allowed(f"reached maximum ({limit}) of consumers per channel")
    if queue_name == PSEUDO_QUEUE:
        _consume_replies(channel, tag, no_ack, nowait, arguments)
        return
    if queue_name in channel.vhost.reply_queues:
        subject = channel.vhost.reply_queues[queue_name].described()
        raise precondition_failed(f"only creator channel may consume from {subject}")
    queue = find_queue(channel, queue_name)
    names.check_consumer(arguments, queue.described())
    consumer = Consumer(
        tag or channel.vhost.broker.unique_name("amq.ctag"),
        queue,
        channel,
        no_ack,
        exclusive,
        0 if no_ack else channel.prefetch,
        names.integer(arguments, names.CONSUMER_PRIORITY, 0),
        arguments,
    )
    queue.consume(consumer)
    _consuming(channel, consumer, nowait)
    queue.dispatch()


def _consume_replies(channel: Channel, tag: str, no_ack: bool, nowait: bool, arguments: tables.Table) -> None:
    """The pseudo-queue of direct reply-to (RabbitMQ: direct-reply-to.md)."""
    if not no_ack:
        raise precondition_failed("reply consumer cannot acknowledge")
    if channel.reply_queue is not None:
        raise precondition_failed("reply consumer already set")
    broker = channel.vhost.broker
    queue = channel.vhost.create_reply_queue()
    consumer = Consumer(tag or broker.unique_name("amq.ctag"), queue, channel, True, False, 0, 0, arguments)
    queue.consume(consumer)
    channel.reply_queue = queue
    _consuming(channel, consumer, nowait)


def _consuming(channel: Channel, consumer: Consumer, nowait: bool) -> None:
    channel.consumers[consumer.tag] = consumer
    if not nowait:
        channel.send(methods.tagged(methods.BASIC_CONSUME_OK, consumer.tag))
    notices.consumer_added(channel, consumer)


def basic_cancel(channel: Channel, reader: Reader) -> None:
    """basic.cancel: what the consumer has not acknowledged stays outstanding. An unknown tag is no error."""
    tag = reader.text()
    nowait = reader.octet() & 1
    reader.finish()
    consumer = channel.consumers.get(tag)
    if consumer is not None:
        channel.cancel(consumer)
    if not nowait:
        channel.send(methods.tagged(methods.BASIC_CANCEL_OK, tag))
    if consumer is not None:
        consumer.queue.dispatch()


def basic_get(channel: Channel, reader: Reader) -> None:
    """basic.get."""
    reader.short()
    queue = find_queue(channel, reader.text())
    no_ack = reader.octet() & 1
    reader.finish()
    fetched = queue.fetch(not no_ack)
    if fetched is None:
        channel.send(methods.BASIC_GET_EMPTY_PAYLOAD)
        return
    message = fetched.message
    tag = channel.next_tag()
    answer = methods.basic_get_ok(tag, fetched.redelivered, message.address[:-1], fetched.remaining)
    channel.write_content(answer, message)
    if not no_ack:
        channel.remember(tag, message, queue, None, fetched.position)
    if channel.vhost.tracing:
        channel.trace(queue, message, fetched.redelivered)


def find_queue(channel: Channel, name: str) -> Queue:
    """The queue to read from: of that name or, without one, the last declared on the channel. Raises 403, 404, 405."""
    name = name or last_queue(channel)
    check_queue(channel, name, READ)
    return channel.vhost.queue(name, channel.connection)


def last_queue(channel: Channel) -> str:
    """The name of the queue that was declared last on the channel. Raises 404."""
    if not channel.last_queue:
        raise not_found("no previously declared queue")
    return channel.last_queue


# -- settling


def acknowledge(channel: Channel, tag: int, multiple: bool) -> None:
    """basic.ack on its fast way: one delivery, no transaction."""
    if multiple or channel.publisher.transaction is not None:
        _settle_tags(channel, ACK, tag, multiple)
        return
    unacked = channel.deliveries.take(tag)
    if unacked is None:
        raise _unknown(tag)
    unacked.queue.acknowledge(unacked)
    channel.settled(unacked)
    consumer = unacked.consumer
    if consumer is not None and not consumer.waiting and channel.shared_prefetch == 0:
        unacked.queue.wake(consumer)
        unacked.queue.dispatch()
    if channel.shared_prefetch != 0:
        channel.wake_consumers()


def basic_ack(channel: Channel, reader: Reader) -> None:
    """basic.ack of a form that the channel did not recognise at once."""
    tag = reader.longlong()
    bits = reader.octet()
    reader.finish()
    acknowledge(channel, tag, bits & 1 == 1)


def basic_nack(channel: Channel, reader: Reader) -> None:
    """basic.nack (RabbitMQ: nack.md)."""
    tag = reader.longlong()
    bits = reader.octet()
    reader.finish()
    _settle_tags(channel, REQUEUE if bits & 2 else REJECT, tag, bits & 1 == 1)


def basic_reject(channel: Channel, reader: Reader) -> None:
    """basic.reject."""
    tag = reader.longlong()
    bits = reader.octet()
    reader.finish()
    _settle_tags(channel, REQUEUE if bits & 1 else DISCARD, tag, False)


def basic_recover(channel: Channel, reader: Reader) -> None:
    """basic.recover: everything outstanding returns to its queues; recover-ok precedes what is delivered again."""
    _check_requeue(reader)
    channel.send(methods.BASIC_RECOVER_OK_PAYLOAD)
    settle_many(channel, REQUEUE, channel.deliveries.take_all())


def basic_recover_async(channel: Channel, reader: Reader) -> None:
    """basic.recover-async: the same without an answer."""
    _check_requeue(reader)
    settle_many(channel, REQUEUE, channel.deliveries.take_all())


def _check_requeue(reader: Reader) -> None:
    requeue = reader.octet() & 1
    reader.finish()
    if not requeue:
        raise not_implemented("requeue=false")


def _settle_tags(channel: Channel, how: int, tag: int, multiple: bool) -> None:
    unacked: list[Unacked] | None
    if multiple:
        unacked = channel.deliveries.take_up_to(tag)
    else:
        one = channel.deliveries.take(tag)
        unacked = [one] if one is not None else None
    if unacked is None:
        raise _unknown(tag)
    transaction = channel.publisher.transaction
    if transaction is not None:
        transaction.settle(how, unacked)
    else:
        settle_many(channel, how, unacked)


def settle_many(channel: Channel, how: int, unacked: list[Unacked]) -> None:
    """Settle deliveries that no transaction holds together: very many in parts."""
    if len(unacked) > SETTLED_AT_ONCE:
        Settling(channel, how, unacked).go_on()
    else:
        settle(channel, how, unacked)


def _unknown(tag: int) -> Exception:
    return precondition_failed(f"unknown delivery tag {tag & 0xFFFF_FFFF_FFFF_FFFF}")


def settle(channel: Channel, how: int, settled: list[Unacked]) -> None:
    """Carry out what was said of deliveries that were taken from the channel."""
    waiting = _hand_back(channel, how, settled)
    wake(waiting)
    if how == REQUEUE:
        _dispatch([unacked.queue for unacked in settled])
    if channel.shared_prefetch:
        channel.wake_consumers()


def wake(consumers: Iterable[Consumer]) -> None:
    """Let consumers take messages again: all of them first, so that the one whose turn it is gets the first."""
    queues: list[Queue] = []
    for consumer in consumers:
        if not consumer.waiting:
            consumer.queue.wake(consumer)
            queues.append(consumer.queue)
    _dispatch(queues)


def release(channel: Channel, doomed: list[Consumer], unacked: list[Unacked]) -> None:
    """A channel, which accepts nothing more, ends: its consumers go, then what it holds returns to the queues.

    In this order an auto-delete queue is gone before its messages could return (RabbitMQ).
    """
    for consumer in doomed:
        consumer.queue.cancel(consumer)
    if len(unacked) > SETTLED_AT_ONCE:
        Settling(channel, REQUEUE, unacked).go_on()
        unacked = []
    _hand_back(channel, REQUEUE, unacked)
    _dispatch([consumer.queue for consumer in doomed] + [entry.queue for entry in unacked])


def _hand_back(channel: Channel, how: int, settled: list[Unacked]) -> dict[Consumer, None]:
    """Tell the queues; returns the consumers that have credit again."""
    consumers: dict[Consumer, None] = {}
    for unacked in settled:
        if how == ACK:
            unacked.queue.acknowledge(unacked)
        elif how == REQUEUE:
            unacked.queue.requeue(unacked)
        else:
            unacked.queue.reject(unacked, how == DISCARD)
        channel.settled(unacked)
        if unacked.consumer is not None:
            consumers[unacked.consumer] = None
    return consumers


def _dispatch(queues: list[Queue]) -> None:
    """Each of them once."""
    for queue in dict.fromkeys(queues):
        queue.dispatch()


class Settling(Timer):
    """Very many deliveries that are settled together: SETTLED_AT_ONCE of them now, more a moment later.

    So that nobody else waits for all of them. A queue gives nothing to consumers before it has back everything that
    returns, or what is still on its way would be overtaken. A node that stops meanwhile keeps what is not settled yet.
    """

    def __init__(self, channel: Channel, how: int, unacked: list[Unacked]) -> None:
        super().__init__()
        self._channel: Final = channel
        self._how: Final = how
        self._unacked: Final = unacked
        self._queues: Final[dict[Queue, None]] = {}  # to which something returns
        self._waiting: Final[dict[Consumer, None]] = {}
        unacked.reverse()  # the next one is the last

    def go_on(self) -> None:
        """Settle some."""
        broker = self._channel.vhost.broker
        letters = broker.letters_waiting()
        if letters == 0 or letters + SETTLED_AT_ONCE <= broker.limits.dead_letters_max:
            self._settle_some()
        if self._unacked:
            broker.timers.schedule(self, broker.now_ms + 1)
        else:
            self._finish()

    def fire(self, now_ms: int) -> None:
        self.go_on()

    def _settle_some(self) -> None:
        some = self._unacked[-SETTLED_AT_ONCE:]
        del self._unacked[-SETTLED_AT_ONCE:]
        some.reverse()
        if self._how == REQUEUE:
            for queue in dict.fromkeys([entry.queue for entry in some]):
                if queue not in self._queues:
                    self._queues[queue] = None
                    queue.returning += 1
        self._waiting.update(_hand_back(self._channel, self._how, some))

    def _finish(self) -> None:
        for queue in self._queues:
            queue.returning -= 1
        wake(self._waiting)
        _dispatch(list(self._queues))
        if self._channel.shared_prefetch:
            self._channel.wake_consumers()
