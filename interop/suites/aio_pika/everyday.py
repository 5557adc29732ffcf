"""Consumers, iterators, exchanges, confirms, dead letters: what every aio-pika service does."""

import asyncio
from datetime import UTC, datetime, timedelta

import aio_pika
from aio_pika import ExchangeType
from aio_pika.exceptions import DeliveryError, PublishError, QueueEmpty

from suites.aio_pika.client import Inbox, connect, open_channel, send, suite, text


@suite.scenario()
async def work_queue() -> None:
    """Two workers with prefetch 1; the busy one keeps its single task, the other does the rest."""
    async with await connect() as connection:
        channel = await connection.channel()
        name = suite.unique("tasks")
        queue = await channel.declare_queue(name, durable=True)
        busy_channel, free_channel = await connection.channel(), await connection.channel()
        for worker in (busy_channel, free_channel):
            await worker.set_qos(prefetch_count=1)
        busy, free = Inbox(acknowledge=False), Inbox()
        await (await busy_channel.get_queue(name)).consume(busy)
        await send(channel, queue, "long", delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await busy.wait(1)
        await (await free_channel.get_queue(name)).consume(free)
        await send(channel, queue, *range(8), delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        suite.equal("the free worker's", await free.wait(8), [str(n) for n in range(8)])
        suite.equal("the busy worker's", busy.bodies, ["long"])
        await busy_channel.close()
        suite.equal("handed over", (await free.wait(9))[-1], "long")
        suite.check("redelivered", free.messages[-1].redelivered)
        suite.equal("left", (await queue.delete(if_unused=False)).message_count, 0)


@suite.scenario()
async def iterator_and_process() -> None:
    """`async for` with message.process(): acknowledged on success, rejected or requeued on an exception."""
    async with open_channel() as channel:
        dead = await channel.declare_queue(exclusive=True)
        arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead.name}
        queue = await channel.declare_queue(exclusive=True, arguments=arguments)
        await send(channel, queue, "good", "bad", "again", "last")
        seen: list[tuple[str, bool]] = []
        async with queue.iterator(timeout=10) as messages:
            async for message in messages:
                try:
                    async with message.process(requeue=message.body == b"again" and not message.redelivered):
                        seen.append((message.body.decode(), bool(message.redelivered)))
                        if message.body == b"bad" or (message.body == b"again" and not message.redelivered):
                            raise ValueError("as planned")
                except ValueError:
                    continue
                if len(seen) == 5:
                    break
        expected = [("good", False), ("bad", False), ("again", False), ("last", False), ("again", True)]
        suite.equal("each once, one twice", sorted(seen), sorted(expected))
        letter = await dead.get()
        suite.equal("rejected", (letter.body, letter.headers["x-death"][0]["reason"]), (b"bad", "rejected"))


@suite.scenario()
async def get_and_fail() -> None:
    async with open_channel() as channel:
        queue = await channel.declare_queue(exclusive=True)
        suite.equal("nothing", await queue.get(fail=False), None)
        try:
            await queue.get()
        except QueueEmpty:
            suite.check("QueueEmpty", True)
        else:
            suite.check("QueueEmpty", False)
        await send(channel, queue, "a", "b", "c")
        first, second = await queue.get(), await queue.get()
        suite.equal("counts", (first.message_count, second.message_count), (2, 1))
        await second.nack(requeue=True)
        await first.reject(requeue=True)
        await asyncio.sleep(0.1)
        again = [await queue.get(no_ack=True) for _ in range(3)]
        suite.equal("in their old order", [message.body for message in again], [b"a", b"b", b"c"])
        suite.equal("redelivered", [message.redelivered for message in again], [True, True, False])


@suite.scenario()
async def exchanges() -> None:
    """One exchange of each type with one queue each, and one bound to another."""
    async with open_channel() as channel:
        declared = {}
        for kind in (ExchangeType.FANOUT, ExchangeType.DIRECT, ExchangeType.TOPIC, ExchangeType.HEADERS):
            declared[kind] = await channel.declare_exchange(suite.unique(kind.value), kind, auto_delete=True)
        bindings = {
            ExchangeType.FANOUT: ("", None, "any", None),
            ExchangeType.DIRECT: ("error", None, "error", None),
            ExchangeType.TOPIC: ("*.error.#", None, "disk.error.full.now", None),
            ExchangeType.HEADERS: ("", {"x-match": "all", "level": 5}, "any", {"level": 5, "more": "x"}),
        }
        for kind, (pattern, arguments, key, headers) in bindings.items():
            queue = await channel.declare_queue(exclusive=True)
            await queue.bind(declared[kind], pattern, arguments=arguments)
            await declared[kind].publish(text(kind.value, headers=headers), key)
            message = await queue.get()
            suite.equal(f"through {kind.value}", (message.body.decode(), message.routing_key), (kind.value, key))
            await message.ack()
            if kind is not ExchangeType.FANOUT:
                declared[kind] = await channel.get_exchange(suite.unique(kind.value))
                await declared[kind].publish(text("no"), "no match", mandatory=False)
                suite.equal("nothing else", await queue.get(fail=False), None)
        behind = await channel.declare_queue(exclusive=True)
        await behind.bind(declared[ExchangeType.DIRECT], "deep.key")
        await declared[ExchangeType.DIRECT].bind(declared[ExchangeType.TOPIC], "deep.*")
        await declared[ExchangeType.TOPIC].publish(text("e2e"), "deep.key")
        suite.equal("topic to direct to queue", (await behind.get(no_ack=True)).body, b"e2e")
        await declared[ExchangeType.DIRECT].unbind(declared[ExchangeType.TOPIC], "deep.*")


@suite.scenario()
async def confirms_and_returns() -> None:
    async with await connect() as connection:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        queue = await channel.declare_queue(exclusive=True)
        publishing = (channel.default_exchange.publish(text(n), queue.name) for n in range(200))
        acks = await asyncio.gather(*publishing)
        suite.equal("acks", {type(ack).__name__ for ack in acks}, {"Ack"})
        suite.equal("tags", sorted({ack.delivery_tag for ack in acks})[-1], 200)
        declared = (await (await connection.channel()).get_queue(queue.name)).declaration_result
        suite.equal("there", declared.message_count, 200)
        try:
            await channel.default_exchange.publish(text("lost"), "nowhere")
        except PublishError as error:
            suite.equal("returned", (error.message.delivery.reply_code, error.message.body), (312, b"lost"))
        else:
            suite.check("PublishError", False)
        limits = {"x-max-length": 1, "x-overflow": "reject-publish"}
        full = await channel.declare_queue(exclusive=True, arguments=limits)
        await send(channel, full, "fits")
        try:
            await send(channel, full, "does not")
        except DeliveryError as error:
            suite.contains("nack", repr(error), "Nack")
        else:
            suite.check("DeliveryError", False)
        unconfirmed = await connection.channel(publisher_confirms=False)
        suite.equal("no confirm", await unconfirmed.default_exchange.publish(text("x"), queue.name), None)


@suite.scenario()
async def transactions() -> None:
    async with await connect() as connection:
        channel = await connection.channel(publisher_confirms=False)
        other = await connection.channel()
        queue = await other.declare_queue(exclusive=True)
        async with channel.transaction():
            await channel.default_exchange.publish(text("committed"), queue.name)
            suite.equal("not yet", await queue.get(fail=False), None)
        suite.equal("committed", (await queue.get(no_ack=True)).body, b"committed")
        transaction = channel.transaction()
        await transaction.select()
        await channel.default_exchange.publish(text("rolled back"), queue.name)
        await transaction.rollback()
        suite.equal("rolled back", await queue.get(fail=False), None)


@suite.scenario()
async def dead_letters_and_ttl() -> None:
    async with open_channel() as channel:
        exchange = await channel.declare_exchange(suite.unique("dlx"), ExchangeType.TOPIC, auto_delete=True)
        dead = await channel.declare_queue(exclusive=True)
        await dead.bind(exchange, "#")
        arguments = {"x-dead-letter-exchange": exchange.name, "x-message-ttl": 5000, "x-max-length": 2}
        queue = await channel.declare_queue(exclusive=True, arguments=arguments)
        inbox = Inbox()
        await dead.consume(inbox)
        await send(channel, queue, "expires", expiration=timedelta(milliseconds=50))
        await inbox.wait(1)
        await send(channel, queue, "pushed out", "kept", "kept too")
        await inbox.wait(2)
        await (await queue.get()).reject(requeue=False)
        suite.equal("letters", await inbox.wait(3), ["expires", "pushed out", "kept"])
        deaths = [message.headers["x-death"][0] for message in inbox.messages]
        suite.equal("reasons", [death["reason"] for death in deaths], ["expired", "maxlen", "rejected"])
        suite.equal("from", {(death["queue"], death["count"]) for death in deaths}, {(queue.name, 1)})
        suite.equal("original expiration", deaths[0]["original-expiration"], "50")
        suite.equal("now without", inbox.messages[0].expiration, None)
        first = [message.headers["x-first-death-reason"] for message in inbox.messages]
        suite.equal("x-first-death-reason", first, ["expired", "maxlen", "rejected"])


@suite.scenario()
async def content() -> None:
    """Headers of all types, all properties, 1 MiB. (Queue names in other scripts are refused by pamqp.)"""
    async with open_channel() as channel:
        queue = await channel.declare_queue(exclusive=True)
        headers = {"ü": "ö", "int": -1, "big": 2**40, "float": 0.25, "yes": True, "none": None, "list": [1, "a", [2]]}
        headers |= {"table": {"deep": {"deeper": 1}}, "bytes": bytearray(b"\x00\xff")}
        sent = aio_pika.Message(
            bytes(range(256)) * 4096,
            headers=headers,
            content_type="application/octet-stream",
            content_encoding="identity",
            delivery_mode=2,
            priority=3,
            correlation_id="c",
            reply_to="r",
            message_id="m",
            timestamp=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            type="t",
            user_id="guest",
            app_id="a",
        )
        await channel.default_exchange.publish(sent, queue.name)
        got = await queue.get(no_ack=True)
        suite.check("1 MiB", got.body == sent.body)
        suite.equal("queue", got.routing_key, queue.name)
        for name in ("headers", "content_type", "content_encoding", "delivery_mode", "priority", "correlation_id"):
            suite.equal(name, getattr(got, name), getattr(sent, name))
        for name in ("reply_to", "message_id", "timestamp", "type", "user_id", "app_id"):
            suite.equal(name, getattr(got, name), getattr(sent, name))


@suite.scenario()
async def priorities_and_single_active() -> None:
    async with await connect() as connection:
        channel = await connection.channel()
        ranked = await channel.declare_queue(exclusive=True, arguments={"x-max-priority": 10})
        for priority in (1, 8, 3, 8):
            await send(channel, ranked, priority, priority=priority)
        bodies = [(await ranked.get(no_ack=True)).body for _ in range(4)]
        suite.equal("highest first", bodies, [b"8", b"8", b"3", b"1"])
        single = await channel.declare_queue(exclusive=True, arguments={"x-single-active-consumer": True})
        first_channel, first, second = await connection.channel(), Inbox(False), Inbox()
        await (await first_channel.get_queue(single.name)).consume(first)
        await single.consume(second)
        await send(channel, single, "a", "b")
        suite.equal("the first", await first.wait(2), ["a", "b"])
        suite.equal("not the second", second.bodies, [])
        await first_channel.close()
        suite.equal("then the second", await second.wait(2), ["a", "b"])


@suite.scenario()
async def errors() -> None:
    async with await connect() as connection:
        channel = await connection.channel()
        missing = suite.unique("missing")
        for action, kind, part in (
            (
                lambda ch: ch.get_queue(missing),
                "ChannelNotFoundEntity",
                f"NOT_FOUND - no queue '{missing}' in vhost '/'",
            ),
            (lambda ch: ch.get_exchange(missing), "ChannelNotFoundEntity", f"no exchange '{missing}' in vhost '/'"),
            (lambda ch: ch.declare_queue("amq.mine"), "ChannelAccessRefused", "contains reserved prefix 'amq.*'"),
            (
                lambda ch: ch.declare_exchange("amq.topic", "fanout"),
                "ChannelPreconditionFailed",
                "inequivalent arg 'type'",
            ),
        ):
            failing = await connection.channel()
            try:
                await action(failing)
            except aio_pika.exceptions.AMQPError as error:
                suite.equal("kind", type(error).__name__, kind)
                suite.contains("text", repr(error), part)
            else:
                suite.check(part, False)
        suite.check("a bystander", await channel.declare_queue(exclusive=True))
    try:
        await aio_pika.connect(suite.url.replace("guest:guest", "guest:wrong"), timeout=10)
    except aio_pika.exceptions.AMQPError as error:
        suite.contains("wrong password", repr(error), "ACCESS_REFUSED - Login was refused")
    else:
        suite.check("wrong password", False)
