"""pika's AsyncioConnection in asyncio programs: callbacks turned into futures, handlers as tasks, a reconnect loop."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import pika
from pika.adapters.asyncio_connection import AsyncioConnection
from pika.channel import Channel
from pika.spec import Basic

from suites.harness import Proxy, Suite, wait_until_async

suite = Suite("pika-asyncio")
REPLY_TO = "amq.rabbitmq.reply-to"

Handler = Callable[[Basic.Deliver, pika.BasicProperties, bytes], Awaitable[None]]


class Session:
    """A connection and one channel, for `async with`; what asyncio applications build around pika."""

    def __init__(self, url: str | None = None, **options: Any) -> None:
        self._parameters = pika.URLParameters(url or suite.url)
        for name, value in options.items():
            setattr(self._parameters, name, value)
        self._tasks: set[asyncio.Task[None]] = set()
        self.lost: asyncio.Future[BaseException]
        self.connection: AsyncioConnection
        self.channel: Channel

    async def __aenter__(self) -> "Session":
        loop = asyncio.get_running_loop()
        opened: asyncio.Future[AsyncioConnection] = loop.create_future()
        self.lost = loop.create_future()
        self.connection = AsyncioConnection(
            self._parameters,
            on_open_callback=opened.set_result,
            on_open_error_callback=lambda _, error: opened.set_exception(as_exception(error)),
            on_close_callback=lambda _, reason: self.lost.set_result(reason),
        )
        await opened
        self.channel = await self.new_channel()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.connection.is_open:
            self.connection.close()
        await asyncio.wait_for(self.lost, 10)

    async def new_channel(self) -> Channel:
        opened: asyncio.Future[Channel] = asyncio.get_running_loop().create_future()
        self.connection.channel(on_open_callback=opened.set_result)
        return await opened

    async def call(self, method: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Call a method of a channel and wait for its answer; returns the answer's method."""
        answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        method(*arguments, callback=answered.set_result, **options)
        return (await asyncio.wait_for(answered, 10)).method

    async def consume(self, channel: Channel, queue: str, handler: Handler, **options: Any) -> str:
        """Start a consumer that handles each message in a task of its own; returns its tag."""

        def on_message(_: Channel, method: Basic.Deliver, properties: pika.BasicProperties, body: bytes) -> None:
            task = asyncio.ensure_future(handler(method, properties, body))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        tag: str = (await self.call(channel.basic_consume, queue, on_message, **options)).consumer_tag
        return tag


def as_exception(error: object) -> BaseException:
    return error if isinstance(error, BaseException) else RuntimeError(str(error))


class Confirms:
    """Publishing that can be awaited: one future for each sequence number."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[bool]] = {}

    async def select(self) -> "Confirms":
        selected: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._channel.confirm_delivery(self._on_confirm, callback=selected.set_result)
        await asyncio.wait_for(selected, 10)
        return self

    def _on_confirm(self, frame: Any) -> None:
        tag, acked = frame.method.delivery_tag, isinstance(frame.method, Basic.Ack)
        numbers = [n for n in self._waiting if n <= tag] if frame.method.multiple else [tag]
        for number in numbers:
            self._waiting.pop(number).set_result(acked)

    def publish(self, exchange: str, key: str, body: bytes, **properties: Any) -> "asyncio.Future[bool]":
        """True when acknowledged, False when refused."""
        confirmed: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting[next(self._numbers)] = confirmed
        self._channel.basic_publish(exchange, key, body, pika.BasicProperties(**properties))
        return confirmed


@suite.scenario()
async def awaited_confirms() -> None:
    async with Session() as session:
        channel = session.channel
        queue = (await session.call(channel.queue_declare, "", exclusive=True)).queue
        confirms = await Confirms(await session.new_channel()).select()
        acks = await asyncio.gather(
            *(confirms.publish("", queue, str(n).encode(), delivery_mode=2) for n in range(300))
        )
        suite.equal("all acknowledged", acks, [True] * 300)
        suite.equal("all there", (await session.call(channel.queue_declare, queue, passive=True)).message_count, 300)
        limits = {"x-max-length": 1, "x-overflow": "reject-publish"}
        full = (await session.call(channel.queue_declare, "", exclusive=True, arguments=limits)).queue
        outcome = await asyncio.gather(*(confirms.publish("", full, b"x") for _ in range(3)))
        suite.equal("a full queue", outcome, [True, False, False])


@suite.scenario()
async def handlers_in_tasks() -> None:
    """Ten messages are worked on at once and acknowledged out of order; the next follow as there is room."""
    async with Session() as session:
        channel = session.channel
        queue = (await session.call(channel.queue_declare, "", exclusive=True)).queue
        running, peak, finished = 0, 0, []

        async def handle(method: Basic.Deliver, properties: pika.BasicProperties, body: bytes) -> None:
            nonlocal running, peak
            running += 1
            peak = max(peak, running)
            await asyncio.sleep(0.05 - 0.004 * (int(body) % 10))
            running -= 1
            finished.append(int(body))
            channel.basic_ack(method.delivery_tag)

        await session.call(channel.basic_qos, prefetch_count=10)
        await session.consume(channel, queue, handle)
        for number in range(40):
            channel.basic_publish("", queue, str(number).encode())
        await wait_until_async("forty messages", lambda: len(finished) == 40)
        suite.equal("each once", sorted(finished), list(range(40)))
        suite.equal("at a time", peak, 10)
        suite.check("out of order", finished != sorted(finished))
        suite.equal("nothing left", (await session.call(channel.queue_delete, queue)).message_count, 0)


@suite.scenario()
async def concurrent_rpc() -> None:
    """Fifty calls at once over direct reply-to; the server answers in any order."""
    async with Session() as backend, Session() as frontend:
        server, client = backend.channel, frontend.channel
        queue = suite.unique("rpc")
        await backend.call(server.queue_declare, queue, exclusive=True)
        calls: dict[str, asyncio.Future[bytes]] = {}

        async def serve(method: Basic.Deliver, properties: pika.BasicProperties, body: bytes) -> None:
            await asyncio.sleep(0.02 if int(body) % 2 else 0)
            reply = pika.BasicProperties(correlation_id=properties.correlation_id)
            server.basic_publish("", properties.reply_to, str(int(body) ** 2).encode(), reply)
            server.basic_ack(method.delivery_tag)

        async def answered(method: Basic.Deliver, properties: pika.BasicProperties, body: bytes) -> None:
            calls.pop(properties.correlation_id).set_result(body)

        def ask(number: int) -> "asyncio.Future[bytes]":
            answer = calls[str(number)] = asyncio.get_running_loop().create_future()
            asked = pika.BasicProperties(reply_to=REPLY_TO, correlation_id=str(number))
            client.basic_publish("", queue, str(number).encode(), asked)
            return answer

        await backend.consume(server, queue, serve)
        await frontend.consume(client, REPLY_TO, answered, auto_ack=True)
        answers = await asyncio.wait_for(asyncio.gather(*map(ask, range(50))), 10)
        suite.equal("squares", [int(answer) for answer in answers], [n * n for n in range(50)])


@suite.scenario()
async def publish_subscribe_with_topics() -> None:
    exchange = suite.unique("events")
    async with Session() as session:
        channel = session.channel
        await session.call(channel.exchange_declare, exchange, "topic", auto_delete=True)
        inboxes: dict[str, list[str]] = {"order.*": [], "#.failed": [], "#": []}
        for pattern, inbox in inboxes.items():

            async def keep(
                method: Basic.Deliver, properties: pika.BasicProperties, body: bytes, inbox: list[str] = inbox
            ) -> None:
                inbox.append(method.routing_key)

            queue = (await session.call(channel.queue_declare, "", exclusive=True)).queue
            await session.call(channel.queue_bind, queue, exchange, pattern)
            await session.consume(channel, queue, keep, auto_ack=True)
        keys = ["order.new", "order.payment.failed", "job.failed", "order.failed"]
        for key in keys:
            channel.basic_publish(exchange, key, b"")
        await wait_until_async("all four in '#'", lambda: len(inboxes["#"]) == 4)
        await wait_until_async("three failures", lambda: len(inboxes["#.failed"]) == 3)
        suite.equal("#", inboxes["#"], keys)
        suite.equal("#.failed", inboxes["#.failed"], keys[1:])
        suite.equal("order.*", inboxes["order.*"], ["order.new", "order.failed"])


@suite.scenario()
async def dead_letters() -> None:
    async with Session() as session:
        channel = session.channel
        morgue = (await session.call(channel.queue_declare, "", exclusive=True)).queue
        arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": morgue, "x-message-ttl": 5000}
        queue = (await session.call(channel.queue_declare, "", exclusive=True, arguments=arguments)).queue
        letters: list[tuple[pika.BasicProperties, bytes]] = []

        async def reject_odd(method: Basic.Deliver, properties: pika.BasicProperties, body: bytes) -> None:
            if int(body) % 2:
                channel.basic_nack(method.delivery_tag, requeue=False)
            else:
                channel.basic_ack(method.delivery_tag)

        async def keep(method: Basic.Deliver, properties: pika.BasicProperties, body: bytes) -> None:
            letters.append((properties, body))

        await session.consume(channel, queue, reject_odd)
        await session.consume(channel, morgue, keep, auto_ack=True)
        for number in range(6):
            channel.basic_publish("", queue, str(number).encode())
        await wait_until_async("three letters", lambda: len(letters) == 3)
        suite.equal("bodies", sorted(body for _, body in letters), [b"1", b"3", b"5"])
        death = letters[0][0].headers["x-death"][0]
        suite.equal("x-death", (death["reason"], death["queue"], death["count"]), ("rejected", queue, 1))


@suite.scenario()
async def large_message() -> None:
    async with Session() as session:
        channel = session.channel
        queue = (await session.call(channel.queue_declare, "", exclusive=True)).queue
        got: list[bytes] = []

        async def keep(method: Basic.Deliver, properties: pika.BasicProperties, body: bytes) -> None:
            got.append(body)

        await session.consume(channel, queue, keep, auto_ack=True)
        body = bytes(range(256)) * 4096
        channel.basic_publish("", queue, body)
        await wait_until_async("1 MiB", lambda: got)
        suite.check("1 MiB unchanged", got == [body])


@suite.scenario()
async def reconnecting() -> None:
    """A worker that connects again in a loop, as services do; no message is lost, none acknowledged comes back."""
    queue = suite.unique("reconnect")
    finished: list[str] = []
    seen: list[str] = []
    with Proxy(suite.url) as proxy:

        async def serve(session: Session) -> None:
            channel = session.channel

            async def handle(method: Basic.Deliver, properties: pika.BasicProperties, body: bytes) -> None:
                seen.append(body.decode())
                if len(seen) == 6:
                    proxy.cut()
                elif channel.is_open:
                    channel.basic_ack(method.delivery_tag)
                    finished.append(body.decode())

            await session.call(channel.basic_qos, prefetch_count=1)
            await session.consume(channel, queue, handle)
            while not session.lost.done() and len(finished) < 10:
                await asyncio.sleep(0.02)

        async def worker() -> None:
            while len(finished) < 10:
                async with Session(proxy.url) as session:
                    await serve(session)

        async with Session() as producer:
            await producer.call(producer.channel.queue_declare, queue, durable=True)
            for number in range(10):
                producer.channel.basic_publish("", queue, str(number).encode())
            await asyncio.wait_for(worker(), 15)
            left = (await producer.call(producer.channel.queue_delete, queue)).message_count
    suite.equal("all done, in order", finished, [str(number) for number in range(10)])
    suite.equal("one of them came twice", len(seen), 11)
    suite.equal("left over", left, 0)
    suite.equal("connections of the worker", proxy.accepted, 2)


@suite.scenario()
async def heartbeats_and_errors() -> None:
    async with Session(heartbeat=1) as session:
        await asyncio.sleep(3.5)
        suite.check("alive after three idle intervals", session.connection.is_open)
        closed: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        doomed = await session.new_channel()
        doomed.add_on_close_callback(lambda _, error: closed.set_result(error))
        doomed.basic_publish(suite.unique("no-such-exchange"), "", b"")
        error = await asyncio.wait_for(closed, 10)
        text = f"NOT_FOUND - no exchange '{suite.unique('no-such-exchange')}' in vhost '/'"
        suite.equal("error", (error.reply_code, error.reply_text), (404, text))
        suite.check("the connection lives", (await session.new_channel()).is_open)


if __name__ == "__main__":
    suite.main()
