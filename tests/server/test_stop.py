"""How a node ends, and that coming and going leaves nothing behind."""

import gc
import os
from collections import Counter

import pytest
import trio
from harness import PROTOCOL_HEADER, m, publish
from peer import Peer, until

from amqpd.testing import open_broker


async def test_clients_are_told_and_waited_for():
    async with open_broker() as broker:
        peer = await Peer.connect(broker)
        broker.node.stop()
        close = await peer.expect("connection.close")
        assert close.reply_code == 320
        assert close.reply_text == "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'"
        assert broker.node.hub.sessions
        await peer.send(m("connection.close-ok"), 0)
        assert await peer.ended() == []
        await peer.stream.aclose()


async def test_nobody_is_let_in_any_more():
    async with open_broker() as broker:
        peer = await Peer.connect(broker)
        broker.node.stop()
        await peer.expect("connection.close")
        with trio.socket.socket() as late, pytest.raises(ConnectionRefusedError):
            await late.connect((broker.host, broker.port))
        await peer.send(m("connection.close-ok"), 0)
        assert await peer.ended() == []
        await peer.stream.aclose()


async def test_clients_that_do_not_answer_are_waited_for_in_vain_no_longer_than_that(autojump_clock):
    async with open_broker(shutdown_timeout=5000) as broker:
        waiting, open_ = await Peer.dial(broker), await Peer.connect(broker)
        start = trio.current_time()
        broker.node.stop()
        assert await waiting.ended() == []
        assert await open_.ended() == ["connection.close"]
        assert 4.9 <= trio.current_time() - start <= 5.1


async def test_a_client_that_was_refused_is_not_waited_for(autojump_clock):
    """It hears nothing for three seconds, so that guessing is slow; a stop does not wait for that."""
    async with open_broker() as broker:
        peer = await Peer.dial(broker)
        await peer.stream.send_all(PROTOCOL_HEADER)
        await peer.expect("connection.start")
        await peer.send(m("connection.start-ok", mechanism="NONSENSE", response=b"", locale="en_US"), 0)
        await trio.sleep(1)
        start = trio.current_time()
        broker.node.stop()
        assert await peer.ended() == []
        assert trio.current_time() == start
        await peer.stream.aclose()


async def churn(broker, times):
    """Everything that a client can leave behind, and every way to go."""
    for number in range(times):
        peer = await Peer.connect(broker, heartbeat=60)
        queue = (await peer.call(m("queue.declare", exclusive=True))).queue
        await peer.call(m("queue.bind", queue=queue, exchange="amq.topic", routing_key=f"key.{number}"))
        await peer.call(m("channel.open"), channel=2)
        await peer.call(m("basic.consume", queue=queue), channel=2)
        await peer.call(m("confirm.select"))
        await peer.send(publish(b"x" * 100, f"key.{number}", "amq.topic"))
        assert {(await peer.next()).name, (await peer.next()).name} == {"basic.deliver", "basic.ack"}
        if number % 3 == 0:
            await peer.stream.send_all(m("connection.close", reply_code=200).frames(0))
            await peer.ended()
        await peer.stream.aclose()
    await until(lambda: not broker.node.hub.sessions)


def amqpd_objects():
    gc.collect()
    kinds = (type(thing) for thing in gc.get_objects())
    return Counter(kind.__qualname__ for kind in kinds if str(kind.__module__).startswith("amqpd"))


async def test_churn_leaves_nothing_behind():
    async with open_broker() as broker:
        await churn(broker, 10)  # what is made once is made
        descriptors, objects = len(os.listdir("/dev/fd")), amqpd_objects()
        timers = len(broker.node.broker.timers)
        await churn(broker, 60)
        assert amqpd_objects() - objects == Counter()
        assert len(os.listdir("/dev/fd")) == descriptors
        assert len(broker.node.broker.timers) == timers
        assert broker.node.broker.vhosts["/"].queues == {}
        assert not broker.node.hub.parked


async def test_connections_cost_no_task():
    async with open_broker() as broker:
        peers = [await Peer.connect(broker)]
        tasks = trio.lowlevel.current_statistics().tasks_living
        peers += [await Peer.connect(broker, heartbeat=60) for _ in range(20)]
        assert trio.lowlevel.current_statistics().tasks_living == tasks
        for peer in peers:
            await peer.close()
