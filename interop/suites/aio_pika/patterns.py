"""aio-pika's own patterns: RPC, Master and Worker, pools of connections and channels; and RPC by direct reply-to."""

import asyncio

from aio_pika import Message
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractRobustConnection
from aio_pika.exceptions import MessageProcessError
from aio_pika.patterns import RPC, JsonMaster
from aio_pika.patterns.master import NackMessage, RejectMessage
from aio_pika.pool import Pool

from suites.aio_pika.client import Inbox, connect, open_channel, suite, text
from suites.harness import wait_until_async


async def multiply(*, x: int, y: int) -> int:
    return x * y


async def fail() -> None:
    raise ValueError("on the other side")


async def dawdle() -> str:
    await asyncio.sleep(0.6)
    return "late"


@suite.scenario()
async def rpc() -> None:
    """RPC.create declares a headers exchange for expired calls: results, exceptions, unknown methods, time-outs."""
    async with open_channel() as server_channel, open_channel() as client_channel:
        server, client = await RPC.create(server_channel), await RPC.create(client_channel)
        await server_channel.set_qos(prefetch_count=1)
        names = {function: suite.unique(function.__name__) for function in (multiply, fail, dawdle)}
        for function, name in names.items():
            await server.register(name, function, auto_delete=True)
        calls = (client.call(names[multiply], {"x": n, "y": n}) for n in range(20))
        suite.equal("squares", await asyncio.gather(*calls), [n * n for n in range(20)])
        try:
            await client.call(names[fail])
        except ValueError as error:
            suite.equal("the server's exception", str(error), "on the other side")
        else:
            suite.check("ValueError", False)
        try:
            await client.call(suite.unique("unknown"))
        except MessageProcessError as error:
            suite.contains("unknown method", error, "Message has been returned")
        else:
            suite.check("MessageProcessError", False)
        first = asyncio.ensure_future(client.call(names[dawdle]))
        await asyncio.sleep(0.1)
        try:
            await client.call(names[dawdle], expiration=0.2)
        except TimeoutError as error:
            suite.contains("expired behind the first", error, "Message timed-out")
        else:
            suite.check("TimeoutError", False)
        suite.equal("the first", await first, "late")
        await client.close()
        await server.close()


@suite.scenario()
async def direct_reply_to() -> None:
    async with open_channel() as server, open_channel() as client:
        requests = await server.declare_queue(suite.unique("requests"), exclusive=True)

        async def answer(message: AbstractIncomingMessage) -> None:
            async with message.process():
                reply = Message(message.body.upper(), correlation_id=message.correlation_id)
                await server.default_exchange.publish(reply, message.reply_to or "")

        await requests.consume(answer)
        replies = await client.get_queue("amq.rabbitmq.reply-to", ensure=False)
        inbox = Inbox(acknowledge=False)
        await replies.consume(inbox, no_ack=True)
        for word in ("one", "two"):
            question = text(word, reply_to="amq.rabbitmq.reply-to", correlation_id=word)
            await client.default_exchange.publish(question, requests.name)
        suite.equal("answers", await inbox.wait(2), ["ONE", "TWO"])
        suite.equal("correlation", [message.correlation_id for message in inbox.messages], ["one", "two"])


@suite.scenario()
async def master_and_workers() -> None:
    """JsonMaster: tasks by proxy; a worker may nack, which requeues, or reject, which drops."""
    async with open_channel() as producing, open_channel() as working:
        await working.set_qos(prefetch_count=4)
        done: list[int] = []
        attempts: dict[int, int] = {}

        async def work(*, number: int) -> None:
            attempts[number] = attempts.get(number, 0) + 1
            if number == 3 and attempts[number] == 1:
                raise NackMessage(requeue=True)
            if number == 5:
                raise RejectMessage(requeue=False)
            done.append(number)

        name = suite.unique("work").replace(".", "_").replace("-", "_")
        worker = await JsonMaster(working).create_worker(name, work, auto_delete=True)
        master = JsonMaster(producing)
        for number in range(8):
            await getattr(master.proxy, name)(number=number)
        await wait_until_async("seven tasks", lambda: len(done) == 7)
        suite.equal("done", sorted(done), [0, 1, 2, 3, 4, 6, 7])
        suite.equal("attempts", attempts, {number: 2 if number == 3 else 1 for number in range(8)})
        await worker.close()


@suite.scenario()
async def pools() -> None:
    """Connections and channels from pools, as web services publish."""
    async with Pool(connect, max_size=2) as connections:

        async def new_channel() -> AbstractChannel:
            async with connections.acquire() as connection:
                opened: AbstractRobustConnection = connection
                return await opened.channel()

        async with Pool(new_channel, max_size=10) as channels:
            name = suite.unique("pooled")

            async def publish(number: int) -> None:
                async with channels.acquire() as channel:
                    await channel.default_exchange.publish(text(number), name)

            async with open_channel() as channel:
                queue = await channel.declare_queue(name)
                await asyncio.gather(*map(publish, range(100)))
                bodies = [int((await queue.get(no_ack=True)).body) for _ in range(100)]
                suite.equal("a hundred messages", sorted(bodies), list(range(100)))
                await queue.delete()
