"""pika's SelectConnection: everything in callbacks, one event loop per scenario, as in pika's own long examples."""

import functools
from collections.abc import Callable
from typing import Any

import pika
from pika.channel import Channel
from pika.spec import Basic

from suites.harness import CheckFailed, Proxy, Suite

suite = Suite("pika-select")
REPLY_TO = "amq.rabbitmq.reply-to"


class Program:
    """A connection with one channel whose loop runs until `done()`, or for ten seconds at most."""

    def __init__(
        self, on_channel: Callable[["Program", Channel], None], url: str | None = None, **options: Any
    ) -> None:
        self._on_channel = on_channel
        self._parameters = pika.URLParameters(url or suite.url)
        for name, value in options.items():
            setattr(self._parameters, name, value)
        self._failure: BaseException | None = None
        self._finished = False
        self.on_lost: Callable[[], None] | None = None
        self.connection = self._connect(None)

    def _connect(self, loop: Any) -> pika.SelectConnection:
        return pika.SelectConnection(
            self._parameters,
            on_open_callback=self._on_open,
            on_open_error_callback=lambda _, error: self.fail(error),
            on_close_callback=self._on_closed,
            custom_ioloop=loop,
        )

    def _on_open(self, connection: pika.SelectConnection) -> None:
        connection.add_on_connection_blocked_callback(lambda *_: self.fail(CheckFailed("blocked without an alarm")))
        connection.channel(on_open_callback=lambda channel: self._on_channel(self, channel))

    def _on_closed(self, connection: pika.SelectConnection, reason: BaseException) -> None:
        if self._finished or self._failure:
            connection.ioloop.stop()
        elif self.on_lost:
            self.on_lost()
        else:
            self.fail(reason)

    def reconnect(self) -> None:
        """Connect again, on the same loop."""
        self.connection = self._connect(self.connection.ioloop)

    def later(self, delay_s: float, action: Callable[[], object]) -> None:
        self.connection.ioloop.call_later(delay_s, action)

    def done(self) -> None:
        """Close the connection and stop."""
        self._finished = True
        self.connection.close()

    def fail(self, error: BaseException) -> None:
        self._failure = self._failure or error
        self.connection.ioloop.stop()

    def run(self) -> None:
        """Run the loop to its end. Raises what a callback raised, or CheckFailed when it takes too long."""
        self.later(10, lambda: self.fail(CheckFailed("not done within 10 s")))
        self.connection.ioloop.start()
        if self._failure:
            raise self._failure


@suite.scenario()
def topology_then_traffic() -> None:
    """Exchange, queue, binding, consumer and message, each declared in the callback of the one before."""
    exchange = suite.unique("chain")
    got: list[bytes] = []

    def on_channel(program: Program, channel: Channel) -> None:
        def declared(_: object) -> None:
            channel.queue_declare("", exclusive=True, callback=queue_declared)

        def queue_declared(frame: Any) -> None:
            bound = functools.partial(consume, frame.method.queue)
            channel.queue_bind(frame.method.queue, exchange, "key", callback=bound)

        def consume(queue: str, _: object) -> None:
            channel.basic_consume(queue, on_message, auto_ack=True, callback=publish)

        def publish(_: object) -> None:
            for number in range(3):
                channel.basic_publish(exchange, "key", str(number).encode())

        def on_message(_: Channel, method: Basic.Deliver, properties: pika.BasicProperties, body: bytes) -> None:
            got.append(body)
            if len(got) == 3:
                program.done()

        channel.exchange_declare(exchange, "direct", auto_delete=True, callback=declared)

    Program(on_channel).run()
    suite.equal("messages", got, [b"0", b"1", b"2"])


@suite.scenario()
def without_waiting() -> None:
    """The same with nowait: no answers, but everything happens in order."""
    exchange, queue = suite.unique("nowait-x"), suite.unique("nowait-q")
    got: list[bytes] = []

    def on_channel(program: Program, channel: Channel) -> None:
        def on_message(_: Channel, method: Basic.Deliver, properties: pika.BasicProperties, body: bytes) -> None:
            got.append(body)
            channel.basic_cancel(method.consumer_tag)
            channel.queue_unbind(queue, exchange, "k")
            channel.queue_delete(queue, callback=lambda _: program.done())

        channel.exchange_declare(exchange, "direct", auto_delete=True)
        channel.queue_declare(queue, exclusive=True)
        channel.queue_bind(queue, exchange, "k")
        channel.basic_consume(queue, on_message, auto_ack=True)
        channel.basic_publish(exchange, "k", b"arrived")

    Program(on_channel).run()
    suite.equal("message", got, [b"arrived"])


@suite.scenario()
def confirmed_publishing() -> None:
    """A thousand messages; every sequence number is settled once, singly or as part of a multiple ack."""
    total = 1000
    settled: list[int] = []
    counts: list[int] = []

    def on_channel(program: Program, channel: Channel) -> None:
        outstanding: set[int] = set()

        def on_confirm(frame: Any) -> None:
            tag, multiple = frame.method.delivery_tag, frame.method.multiple
            settled_now = {number for number in outstanding if number <= tag} if multiple else {tag}
            settled.extend(sorted(settled_now))
            outstanding.difference_update(settled_now)
            if not outstanding:
                channel.queue_declare(queue, passive=True, callback=counted)

        def counted(frame: Any) -> None:
            counts.append(frame.method.message_count)
            program.done()

        def publish(_: object) -> None:
            outstanding.update(range(1, total + 1))
            for number in outstanding:
                channel.basic_publish("", queue, str(number).encode(), pika.BasicProperties(delivery_mode=2))

        queue = suite.unique("confirmed")
        channel.queue_declare(queue, exclusive=True, callback=lambda _: channel.confirm_delivery(on_confirm, publish))

    Program(on_channel).run()
    suite.equal("each number once", sorted(settled), list(range(1, total + 1)))
    suite.equal("all in the queue", counts, [total])


@suite.scenario()
def nacks_and_returns() -> None:
    """What a full queue refuses is nacked; what cannot be routed comes back before its ack."""
    events: list[tuple[str, Any]] = []

    def on_channel(program: Program, channel: Channel) -> None:
        def on_confirm(frame: Any) -> None:
            kind = frame.method.NAME.lower()
            events.append((kind, frame.method.delivery_tag))
            if frame.method.delivery_tag == 3:
                program.done()

        def on_return(_: Channel, method: Basic.Return, properties: pika.BasicProperties, body: bytes) -> None:
            events.append(("returned", (method.reply_code, method.reply_text, method.routing_key, body)))

        def ready(_: object) -> None:
            channel.basic_publish("", queue, b"fits")
            program.later(0.2, lambda: channel.basic_publish("", queue, b"does not"))
            program.later(0.4, lambda: channel.basic_publish("", "nowhere", b"back", mandatory=True))

        queue = suite.unique("full")
        channel.add_on_return_callback(on_return)
        arguments = {"x-max-length": 1, "x-overflow": "reject-publish"}
        channel.queue_declare(
            queue, exclusive=True, arguments=arguments, callback=lambda _: channel.confirm_delivery(on_confirm, ready)
        )

    Program(on_channel).run()
    returned = ("returned", (312, "NO_ROUTE", "nowhere", b"back"))
    suite.equal("events", events, [("basic.ack", 1), ("basic.nack", 2), returned, ("basic.ack", 3)])


@suite.scenario()
def consumer_with_prefetch() -> None:
    """Never more than three unacknowledged; cancelled by the consumer at the end, which is confirmed."""
    in_work: list[int] = []
    peak: list[int] = []
    cancelled: list[str] = []

    def on_channel(program: Program, channel: Channel) -> None:
        def on_message(_: Channel, method: Basic.Deliver, properties: pika.BasicProperties, body: bytes) -> None:
            in_work.append(method.delivery_tag)
            peak.append(len(in_work))
            program.later(0.02, functools.partial(finish, method))

        def finish(method: Basic.Deliver) -> None:
            in_work.remove(method.delivery_tag)
            channel.basic_ack(method.delivery_tag)
            if method.delivery_tag == 20:
                channel.basic_cancel(method.consumer_tag, callback=on_cancelled)

        def on_cancelled(frame: Any) -> None:
            cancelled.append(frame.method.consumer_tag)
            program.done()

        def start(_: object) -> None:
            channel.basic_consume(queue, on_message, consumer_tag="prefetching")
            for number in range(20):
                channel.basic_publish("", queue, str(number).encode())

        queue = suite.unique("prefetched")
        channel.queue_declare(queue, exclusive=True)
        channel.basic_qos(prefetch_count=3, callback=start)

    Program(on_channel).run()
    suite.equal("messages", len(peak), 20)
    suite.equal("most at a time", max(peak), 3)
    suite.equal("cancelled", cancelled, ["prefetching"])


@suite.scenario()
def cancelled_by_the_broker() -> None:
    """The queue is deleted under a consumer, which hears of it and consumes from another one."""
    events: list[str] = []

    def on_channel(program: Program, channel: Channel) -> None:
        def on_cancel(frame: Any) -> None:
            events.append(f"cancelled {frame.method.consumer_tag}")
            channel.queue_declare(suite.unique("second"), exclusive=True)
            channel.basic_consume(suite.unique("second"), on_message, auto_ack=True)
            channel.basic_publish("", suite.unique("second"), b"went on")

        def on_message(_: Channel, method: Basic.Deliver, properties: pika.BasicProperties, body: bytes) -> None:
            events.append(body.decode())
            program.done()

        def delete(_: object) -> None:
            channel.queue_delete(suite.unique("first"))

        channel.add_on_cancel_callback(on_cancel)
        channel.queue_declare(suite.unique("first"), exclusive=True)
        channel.basic_consume(suite.unique("first"), on_message, consumer_tag="tag", callback=delete)

    Program(on_channel).run()
    suite.equal("events", events, ["cancelled tag", "went on"])


@suite.scenario()
def channel_closed_by_the_broker() -> None:
    """The error is told to the channel; a new one on the same connection works."""
    events: list[Any] = []
    missing = suite.unique("missing")

    def on_channel(program: Program, channel: Channel) -> None:
        def on_closed(_: Channel, error: Any) -> None:
            events.append((error.reply_code, error.reply_text))
            program.connection.channel(on_open_callback=on_second)

        def on_second(second: Channel) -> None:
            second.queue_declare("", exclusive=True, callback=lambda _: program.done())

        channel.add_on_close_callback(on_closed)
        channel.queue_declare(missing, passive=True)
        for _ in range(100):  # what is sent before the close arrives is thrown away
            channel.basic_publish("", missing, b"x" * 1000)

    Program(on_channel).run()
    suite.equal("error", events, [(404, f"NOT_FOUND - no queue '{missing}' in vhost '/'")])


@suite.scenario()
def get_recover_transactions() -> None:
    """The rarer methods: basic.get and its empty answer, basic.recover, tx.*, channel.flow, purge."""
    events: list[Any] = []

    def on_channel(program: Program, channel: Channel) -> None:
        queue = suite.unique("rare")

        def on_empty(_: object) -> None:
            events.append("empty")
            channel.tx_select(callback=selected)

        def selected(_: object) -> None:
            channel.basic_publish("", queue, b"rolled back")
            channel.tx_rollback(callback=rolled_back)

        def rolled_back(_: object) -> None:
            channel.basic_publish("", queue, b"committed")
            channel.tx_commit(callback=lambda _: channel.basic_get(queue, on_got))

        def on_got(_: Channel, method: Basic.GetOk, properties: pika.BasicProperties, body: bytes) -> None:
            events.append((body, method.redelivered, method.message_count))
            if method.redelivered:
                channel.flow(True, callback=on_flow)
            else:
                channel.basic_recover(requeue=True, callback=lambda _: channel.basic_get(queue, on_got))

        def on_flow(active: bool) -> None:
            events.append(active)
            channel.queue_purge(queue, callback=purged)

        def purged(frame: Any) -> None:
            events.append(frame.method.message_count)
            program.done()

        channel.add_callback(on_empty, [Basic.GetEmpty])
        channel.queue_declare(
            queue, exclusive=True, callback=lambda _: channel.basic_get(queue, lambda *_: events.append("not empty"))
        )

    Program(on_channel).run()
    suite.equal("events", events, ["empty", (b"committed", False, 0), (b"committed", True, 0), True, 0])


@suite.scenario()
def direct_reply_to() -> None:
    """Client and server on one loop, two channels."""
    answers: dict[str, bytes] = {}

    def on_channel(program: Program, server: Channel) -> None:
        queue = suite.unique("rpc")

        def serve(_: Channel, method: Basic.Deliver, properties: pika.BasicProperties, body: bytes) -> None:
            reply = pika.BasicProperties(correlation_id=properties.correlation_id)
            server.basic_publish("", properties.reply_to, body[::-1], reply)
            server.basic_ack(method.delivery_tag)

        def ask(client: Channel) -> None:
            client.basic_consume(REPLY_TO, on_answer, auto_ack=True)
            for text in ("abc", "level", "xyz"):
                asked = pika.BasicProperties(reply_to=REPLY_TO, correlation_id=text)
                client.basic_publish("", queue, text.encode(), asked)

        def on_answer(_: Channel, method: Basic.Deliver, properties: pika.BasicProperties, body: bytes) -> None:
            answers[properties.correlation_id] = body
            if len(answers) == 3:
                program.done()

        server.queue_declare(queue, exclusive=True)
        server.basic_consume(queue, serve, callback=lambda _: program.connection.channel(on_open_callback=ask))

    Program(on_channel).run()
    suite.equal("answers", answers, {"abc": b"cba", "level": b"level", "xyz": b"zyx"})


@suite.scenario()
def flood() -> None:
    """Five thousand small messages and four of 1 MiB, consumed on the connection that publishes them, in order."""
    total = 5000
    got: list[bytes] = []
    big = [bytes([number]) * (1 << 20) for number in range(4)]

    def on_channel(program: Program, channel: Channel) -> None:
        queue = suite.unique("flood")

        def on_message(_: Channel, method: Basic.Deliver, properties: pika.BasicProperties, body: bytes) -> None:
            got.append(body)
            if len(got) == total + len(big):
                program.done()

        def publish(_: object) -> None:
            for number in range(total):
                channel.basic_publish("", queue, str(number).encode())
            for body in big:
                channel.basic_publish("", queue, body)

        channel.queue_declare(queue, exclusive=True)
        channel.basic_consume(queue, on_message, auto_ack=True, callback=publish)

    Program(on_channel).run()
    suite.check("small ones in order", got[:total] == [str(number).encode() for number in range(total)])
    suite.check("large ones unchanged", got[total:] == big)


@suite.scenario()
def reconnecting_consumer() -> None:
    """The network breaks; on_close_callback connects again on the same loop; the unacknowledged come again."""
    queue = suite.unique("reconnect")
    got: list[tuple[bytes, bool]] = []
    with Proxy(suite.url) as proxy:

        def on_channel(program: Program, channel: Channel) -> None:
            program.on_lost = lambda: program.later(0.1, program.reconnect)

            def on_message(_: Channel, method: Basic.Deliver, properties: pika.BasicProperties, body: bytes) -> None:
                got.append((body, method.redelivered))
                if len(got) == 3:
                    program.later(0.05, proxy.cut)
                if len(got) == 6:
                    channel.basic_ack(method.delivery_tag, multiple=True)
                    channel.queue_delete(queue, callback=lambda _: program.done())

            channel.queue_declare(queue, durable=True)
            if not got:
                for number in range(3):
                    channel.basic_publish("", queue, str(number).encode())
            channel.basic_consume(queue, on_message)

        Program(on_channel, proxy.url).run()
        suite.equal("connections", proxy.accepted, 2)
    expected = [(str(number).encode(), again) for again in (False, True) for number in range(3)]
    suite.equal("messages", got, expected)


@suite.scenario()
def heartbeats() -> None:
    """Idle with a heartbeat of one second for more than three of them."""
    alive: list[bool] = []

    def on_channel(program: Program, channel: Channel) -> None:
        def still_there(_: object) -> None:
            alive.append(True)
            program.done()

        program.later(3.5, lambda: channel.queue_declare("", exclusive=True, callback=still_there))

    Program(on_channel, heartbeat=1).run()
    suite.equal("alive", alive, [True])


@suite.scenario()
def login_refused() -> None:
    errors: list[BaseException] = []

    def unexpected(program: Program, channel: Channel) -> None:
        program.fail(CheckFailed("the connection opened"))

    try:
        Program(unexpected, credentials=pika.PlainCredentials("guest", "wrong")).run()
    except pika.exceptions.AMQPConnectionError as error:
        errors.append(error)
    suite.contains("error", repr(errors), "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN")


if __name__ == "__main__":
    suite.main()
