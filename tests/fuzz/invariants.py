"""What must be true of a broker that is at rest, read from its own structures."""

from collections import Counter

from amqpd.broker.queues.classic import ClassicQueue
from amqpd.protocol.channel import Channel
from amqpd.protocol.connection import Connection
from amqpd.protocol.states import RUNNING


def check(broker) -> None:
    """Everything below, for every vhost."""
    channels = _channels(broker)
    outstanding, held = Counter(), Counter()
    for channel in channels:
        _check_channel(channel)
        for unacked in _unsettled(channel):
            outstanding[unacked.queue] += 1
            held[unacked.consumer] += 1
    for vhost in broker.vhosts.values():
        for name, queue in vhost.queues.items():
            assert queue.name == name
            assert not queue.deleted
            assert isinstance(queue, ClassicQueue)
            _check_counts(queue, outstanding[queue])
            _check_consumers(queue, held)
            _check_owner(queue, broker)
        _check_places(vhost, channels)
        _check_bindings(vhost)
    broker.flush()
    assert broker.touched == []


def _channels(broker) -> list[Channel]:
    found: list[Channel] = []
    for connection in broker.connections:
        assert isinstance(connection, Connection)
        assert connection.state == RUNNING
        found += connection.channels.values()
    return found


def _unsettled(channel) -> list:
    transaction = channel.publisher.transaction
    waiting = [] if transaction is None else [u for settlement in transaction.settlements for u in settlement.unacked]
    return channel.deliveries.outstanding() + waiting


def _check_channel(channel) -> None:
    outstanding = channel.deliveries.outstanding()
    assert channel.deliveries.count == len(outstanding)
    tags = [unacked.tag for unacked in outstanding]
    assert tags == sorted(set(tags))
    if channel.closing:
        assert not channel.consumers
        assert not outstanding
    for tag, consumer in channel.consumers.items():
        assert consumer.tag == tag
        assert consumer.sink is channel
        assert not consumer.cancelled
        assert not consumer.queue.deleted
        if isinstance(consumer.queue, ClassicQueue):
            assert consumer in consumer.queue.consumers.all


def _check_counts(queue, outstanding: int) -> None:
    waiting = [message for level in queue.levels for message in level.messages()]
    assert [level.priority for level in queue.levels] == sorted({0, *(level.priority for level in queue.levels)})
    assert queue.ready_messages == len(waiting) == sum(len(level) for level in queue.levels)
    assert queue.ready_bytes == sum(message.size for message in waiting)
    assert queue.unacked_messages == outstanding, (
        f"{queue.name}: {queue.unacked_messages} unacked, channels hold {outstanding}"
    )
    settings = queue.settings
    if settings.max_length >= 0 and settings.overflow == "drop-head":
        assert queue.ready_messages <= settings.max_length
    for level in queue.levels:
        messages = level.messages()
        assert len({id(message) for message in messages}) == len(messages), "a message twice in one queue"


def _check_consumers(queue, held: Counter) -> None:
    for consumer in queue.consumers.all:
        assert consumer.sink.consumers.get(consumer.tag) is consumer, f"{consumer.tag} is unknown to its channel"
        assert not consumer.sink.closing
        assert consumer.unacked == held[consumer]
        if consumer.prefetch:
            assert consumer.unacked <= consumer.prefetch
        if queue.ready_messages and consumer.active:
            assert not consumer.sink.accepts(consumer), f"{queue.name} has messages, and {consumer.tag} waits for some"
    if queue.consumers.single_active and queue.consumers.all:
        assert sum(consumer.active for consumer in queue.consumers.all) == 1


def _check_owner(queue, broker) -> None:
    if queue.owner is not None:
        assert queue.owner in broker.connections
        assert queue.owner.owned[queue.name] is queue


def _check_places(vhost, channels) -> None:
    for name, queue in vhost.reply_queues.items():
        assert queue.name == name
        assert any(channel.reply_queue is queue for channel in channels)


def _check_bindings(vhost) -> None:
    for exchange in vhost.exchanges.values():
        for binding in exchange.outgoing:
            destination = binding.destination
            there = vhost.queues if isinstance(destination, ClassicQueue) else vhost.exchanges
            assert there[destination.name] is destination, "a binding to what is gone"
            assert destination.incoming[binding.identity] is binding
    for destination in [*vhost.queues.values(), *vhost.exchanges.values()]:
        for binding in destination.incoming.values():
            assert binding in vhost.exchanges[binding.source.name].outgoing
            assert vhost.exchanges[binding.source.name] is binding.source


def check_empty(broker) -> None:
    """After every connection has gone: nothing of theirs is left but what was declared to stay."""
    check(broker)
    assert not broker.connections
    for vhost in broker.vhosts.values():
        assert not vhost.reply_queues
        for queue in vhost.queues.values():
            assert queue.owner is None, f"{queue.name} is exclusive to a connection that is gone"
            assert not queue.consumers.all
            assert queue.unacked_messages == 0


def check_timers(broker) -> None:
    """After `check_empty`: the timers that are left are queues', and go with them."""
    for vhost in list(broker.vhosts.values()):
        for queue in list(vhost.queues.values()):
            vhost.remove_queue(queue)
    broker.flush()
    assert len(broker.timers) == 0, "a timer of nobody's"
