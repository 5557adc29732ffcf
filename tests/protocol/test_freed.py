"""What ends is freed by its reference counts alone: long-lived objects are not looked at by the garbage collector."""

import gc
from contextlib import contextmanager

import pytest
from harness import World, m, publish
from keeping import Kept


def ends(world, client):
    client >> m("connection.close")
    client << m("connection.close-ok")
    client.lose()


def is_lost(world, client):
    client.lose()


def is_thrown_out(world, client):
    client.connection.close(320, "enough", 0)
    client.lose()


def says_nothing_more(world, client):
    world.pass_ms(60_000)
    client.lose()


@contextmanager
def by_reference_counts(*names):
    """Nothing of those names that was made within is there afterwards, though no collection was done."""
    gc.collect()
    gc.disable()
    try:
        before = alive(names)
        yield
        assert alive(names) == before
    finally:
        gc.enable()


def alive(names):
    return sorted(type(found).__name__ for found in gc.get_objects() if type(found).__name__ in names)


def use(client):
    """Everything that a connection can hold."""
    client >> m("confirm.select")
    client << m("confirm.select-ok")
    client >> m("queue.declare", queue="mine", exclusive=True, arguments={"x-consumer-timeout": 30_000})
    client << m("queue.declare-ok", queue="mine")
    client >> m("basic.consume", queue="mine", consumer_tag="c")
    client << m("basic.consume-ok")
    client.send(publish(b"kept", "mine"))
    client << m("basic.deliver")
    client << m("basic.ack")
    client >> m("basic.consume", queue="amq.rabbitmq.reply-to", no_ack=True, consumer_tag="r")
    client << m("basic.consume-ok")
    other = client.on(client.number + 1)
    other >> m("tx.select")
    other << m("tx.select-ok")
    other.send(publish(b"never committed", "mine"))
    other >> m("basic.get", queue="mine")
    other << m("basic.get-empty")


CONNECTIONS = ("Connection", "Channel", "Publisher", "Heartbeat", "Deadline", "Answers", "AckTimeout", "Consumer")


@pytest.mark.parametrize("end", [ends, is_lost, is_thrown_out, says_nothing_more])
def test_a_connection(end):
    world = World()
    with by_reference_counts(*CONNECTIONS):
        client = world.client(channels=(1, 2), heartbeat=10)
        use(client)
        end(world, client)
        world.wires.clear()
        del client
        world.pass_ms(60_000)  # a timer that was cancelled is forgotten when it would have been due


def test_a_channel():
    world = World()
    client = world.client(channels=(1,))
    with by_reference_counts("Channel", "Publisher", "AckTimeout", "Consumer"):
        for number in (2, 3):
            client.on(number) >> m("channel.open")
            client.on(number) << m("channel.open-ok")
        use(client.on(2))
        client.on(2) >> m("channel.close")
        client.on(2) << m("channel.close-ok")
        client.on(3) >> m("channel.close")
        client.on(3) << m("channel.close-ok")
        world.pass_ms(60_000)


ASKED = {
    "x-message-ttl": 60_000,
    "x-expires": 600_000,
    "x-max-length": 2,
    "x-max-priority": 3,
    "x-dead-letter-exchange": "amq.direct",
}
QUEUES = ("ClassicQueue", "ReadyList", "Back", "ExpiryTimer", "UnusedTimer", "SurplusTimer", "Pager", "Binding")


def use_queue(client, durable):
    """Everything that a queue can hold."""
    client >> m("queue.declare", queue="q", durable=durable, arguments=ASKED)
    client << m("queue.declare-ok")
    client >> m("queue.bind", queue="q", exchange="amq.topic", routing_key="a.*.b.#")
    client << m("queue.bind-ok")
    client.send(*[publish(b"x", "q", delivery_mode=2, priority=number) for number in range(4)])
    client >> m("basic.get", queue="q")
    client << m("basic.get-ok")
    client >> m("basic.consume", queue="q", no_ack=True)
    client << m("basic.consume-ok")
    client << m("basic.deliver")
    client.send(publish(b"y", "q"))
    client << m("basic.deliver")


def test_a_queue():
    world = World()
    client = world.client()
    with by_reference_counts(*QUEUES):
        use_queue(client, False)
        client >> m("queue.delete", queue="q")
        client << m("basic.cancel")
        client << m("queue.delete-ok")
        client >> m("basic.ack", delivery_tag=1)
        world.pass_ms(700_000)


def test_a_durable_queue():
    kept = Kept()
    client = kept.world.client()
    with by_reference_counts(*QUEUES):
        use_queue(client, True)
        kept.rest()
        client >> m("queue.delete", queue="q")
        client << m("basic.cancel")
        kept.rest()
        client << m("queue.delete-ok")
        client >> m("basic.ack", delivery_tag=1)
        kept.rest()
        kept.world.pass_ms(700_000)
        kept.rest()
