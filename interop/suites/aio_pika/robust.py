"""connect_robust when the network breaks: exchanges, queues, bindings and consumers come back by themselves."""

import asyncio
from typing import Any

import aio_pika
from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel

from suites.aio_pika.client import Inbox, connect, send, suite, text
from suites.harness import Proxy, wait_until_async


async def publish_until_taken(channel: AbstractChannel, exchange: Any, key: str, body: str) -> None:
    """A robust connection does not repeat a publish that failed; its user does, until the channel is back."""
    for _ in range(100):
        try:
            await exchange.publish(text(body), key, timeout=2)
        except (aio_pika.exceptions.AMQPError, ConnectionError, RuntimeError, TimeoutError):
            await asyncio.sleep(0.1)
        else:
            return
    raise TimeoutError(f"could not publish {body}")


@suite.scenario(60)
async def topology_comes_back() -> None:
    """An exclusive and an auto-delete queue, a binding, a consumer: all gone with the connection, all restored."""
    with Proxy(suite.url) as proxy:
        async with await connect(proxy.url) as connection:
            reconnected: list[bool] = []
            connection.reconnect_callbacks.add(lambda *_: reconnected.append(True))
            channel = await connection.channel()
            await channel.set_qos(prefetch_count=5)
            exchange = await channel.declare_exchange(suite.unique("robust"), ExchangeType.TOPIC, auto_delete=True)
            queue = await channel.declare_queue(suite.unique("robust"), exclusive=True, auto_delete=True)
            await queue.bind(exchange, "a.*")
            inbox = Inbox()
            await queue.consume(inbox)
            await exchange.publish(text("before"), "a.b")
            await inbox.wait(1)
            for cut in (1, 2):
                proxy.cut()
                await wait_until_async("reconnected", lambda count=cut: len(reconnected) == count)
                await publish_until_taken(channel, exchange, "a.b", f"after cut {cut}")
                await inbox.wait(1 + cut)
            suite.equal("messages", inbox.bodies, ["before", "after cut 1", "after cut 2"])
            suite.equal("connections", proxy.accepted, 3)


@suite.scenario(60)
async def unacknowledged_come_again() -> None:
    name = suite.unique("again")
    with Proxy(suite.url) as proxy:
        async with await connect() as safe, await connect(proxy.url) as connection:
            producer = await safe.channel()
            queue = await producer.declare_queue(name, durable=True)
            channel = await connection.channel()
            await channel.set_qos(prefetch_count=3)
            inbox = Inbox(acknowledge=False)
            await (await channel.declare_queue(name, durable=True)).consume(inbox)
            await send(producer, queue, *range(3))
            await inbox.wait(3)
            proxy.cut()
            await inbox.wait(6)
            suite.equal("twice, in order", inbox.bodies, ["0", "1", "2", "0", "1", "2"])
            suite.equal("redelivered", [message.redelivered for message in inbox.messages], [False] * 3 + [True] * 3)
            for message in inbox.messages[3:]:
                await message.ack()
            await channel.close()
            suite.equal("left", (await queue.delete()).message_count, 0)


@suite.scenario(60)
async def iterator_goes_on() -> None:
    """`async for` over a queue lives through a cut."""
    name = suite.unique("iterated")
    with Proxy(suite.url) as proxy:
        async with await connect() as safe, await connect(proxy.url) as connection:
            producer = await safe.channel()
            queue = await producer.declare_queue(name, durable=True)
            await send(producer, queue, "one")
            channel = await connection.channel()
            bodies = []
            async with (await channel.get_queue(name)).iterator(timeout=20) as messages:
                async for message in messages:
                    bodies.append(message.body)
                    await message.ack()
                    if len(bodies) == 2:
                        break
                    await asyncio.sleep(0.1)  # the ack is on its way before the connection breaks
                    proxy.cut()
                    await send(producer, queue, "two")
            suite.equal("both", bodies, [b"one", b"two"])
            await channel.close()
            await queue.delete()


@suite.scenario()
async def cancelled_consumer() -> None:
    """The queue is deleted under a consumer of a plain connection, which is told so."""
    async with await aio_pika.connect(suite.url) as connection, await connect() as other:
        channel = await connection.channel()
        name = suite.unique("deleted")
        queue = await channel.declare_queue(name)
        told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        underlay = await channel.get_underlay_channel()
        underlay.on_consumer_cancel_callbacks.add(lambda frame: told.set_result(frame.consumer_tag))
        tag = await queue.consume(Inbox())
        await (await other.channel()).queue_delete(name)
        suite.equal("told which", await asyncio.wait_for(told, 10), tag)


@suite.scenario()
async def heartbeats() -> None:
    """An idle connection with a heartbeat of one second."""
    async with await connect(f"{suite.url}?heartbeat=1") as connection:
        channel = await connection.channel()
        lost: list[object] = []
        connection.close_callbacks.add(lambda *reason: lost.append(reason))
        await asyncio.sleep(4)
        suite.equal("never lost", lost, [])
        suite.check("alive", await channel.declare_queue(exclusive=True))
