"""kombu, as used without Celery: producers, consumers, SimpleQueue, ConsumerMixin, retries over a bad network."""

import threading
import time
from typing import Any

import amqp.exceptions
from kombu import Connection, Consumer, Exchange, Message, Producer, Queue
from kombu.mixins import ConsumerMixin
from kombu.pools import producers

from suites.harness import Proxy, Suite, wait_until

suite = Suite("kombu")


def connect(url: str | None = None, **options: Any) -> Connection:
    return Connection(url or suite.url, connect_timeout=5, **options)


def drain(connection: Connection, received: list[Any], count: int) -> None:
    """Drain events until `count` messages are there."""

    def pump() -> None:
        try:
            connection.drain_events(timeout=0.2)
        except TimeoutError:
            return

    wait_until(f"{count} messages", lambda: len(received) >= count, pump)


def private_queue(base: str, exchange: Exchange, key: str = "", **options: Any) -> Queue:
    return Queue(suite.unique(base), exchange, routing_key=key, **{"auto_delete": True, "durable": True, **options})


@suite.scenario()
def produce_and_consume() -> None:
    """A topic exchange and two queues, declared by the consumers; JSON bodies; acknowledged by hand."""
    exchange = Exchange(suite.unique("media"), "topic", durable=True, auto_delete=True)
    videos, everything = private_queue("videos", exchange, "video.*"), private_queue("all", exchange, "#")
    got: list[tuple[str, Any, str]] = []

    def keep(name: str) -> Any:
        def on_message(body: Any, message: Message) -> None:
            got.append((name, body, message.delivery_info["routing_key"]))
            message.ack()

        return on_message

    with (
        connect() as connection,
        Consumer(connection.channel(), [videos], callbacks=[keep("videos")], prefetch_count=2),
        Consumer(connection.channel(), [everything], callbacks=[keep("all")], accept=["json"]),
    ):
        producer = Producer(connection, exchange, serializer="json")
        producer.publish({"name": "ünï", "size": 1}, routing_key="video.new")
        producer.publish({"name": "song", "size": 2}, routing_key="audio.new", compression="zlib")
        drain(connection, got, 3)
    first = ("videos", {"name": "ünï", "size": 1}, "video.new")
    suite.equal("videos", [entry for entry in got if entry[0] == "videos"], [first])
    bodies = [entry[1] for entry in got if entry[0] == "all"]
    suite.equal("all", bodies, [{"name": "ünï", "size": 1}, {"name": "song", "size": 2}])


@suite.scenario()
def simple_queue() -> None:
    with connect() as connection:
        options = {"queue_opts": {"auto_delete": True}, "exchange_opts": {"auto_delete": True}}
        with connection.SimpleQueue(suite.unique("simple"), **options) as queue:
            for number in range(5):
                queue.put({"number": number})
            wait_until("the size", lambda: queue.qsize() == 5)
            suite.equal("size", queue.qsize(), 5)
            first = queue.get(timeout=5)
            first.requeue()
            numbers = []
            for _ in range(5):
                message = queue.get(timeout=5)
                numbers.append(message.payload["number"])
                message.ack()
            suite.equal("each once after a requeue", sorted(numbers), [0, 1, 2, 3, 4])
            try:
                queue.get(block=False)
            except queue.Empty:
                suite.check("empty", True)
            else:
                suite.check("empty", False)


@suite.scenario()
def confirmed_and_returned() -> None:
    """confirm_publish waits for each ack; a mandatory message without a route comes to on_return."""
    returned: list[tuple[int, str, str]] = []

    def on_return(error: Any, exchange: str, key: str, message: Any) -> None:
        returned.append((error.reply_code, exchange, key))

    with connect(transport_options={"confirm_publish": True}) as connection:
        channel = connection.channel()
        queue = Queue(suite.unique("confirmed"), channel=channel, durable=True, exclusive=True)
        queue.declare()
        producer = Producer(channel, on_return=on_return)
        for number in range(20):
            producer.publish(str(number), routing_key=queue.name, retry=True, timeout=5)
            suite.equal("there as soon as confirmed", queue.queue_declare(passive=True).message_count, number + 1)
        producer.publish("back", routing_key="nowhere", mandatory=True, timeout=5)
        wait_until("returned", lambda: returned, lambda: drain_once(connection))
        suite.equal("returned", returned, [(312, "", "nowhere")])


def drain_once(connection: Connection) -> None:
    try:
        connection.drain_events(timeout=0.1)
    except TimeoutError:
        return


@suite.scenario()
def queue_arguments() -> None:
    """kombu's own names for x- arguments: expires, message_ttl, max_length, max_priority; and dead letters."""
    with connect() as connection:
        channel = connection.channel()
        dead = Queue(suite.unique("dead"), channel=channel, exclusive=True)
        dead.declare()
        arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead.name}
        queue = Queue(
            suite.unique("limited"),
            channel=channel,
            exclusive=True,
            expires=60,
            message_ttl=0.2,
            max_length=3,
            max_priority=5,
            queue_arguments=arguments,
        )
        queue.declare()
        producer = Producer(channel)
        for priority in (1, 5, 3):
            producer.publish(priority, routing_key=queue.name, priority=priority)
        order = [queue.get(no_ack=True).payload for _ in range(3)]
        suite.equal("by priority", order, [5, 3, 1])
        producer.publish("late", routing_key=queue.name)
        wait_until("a dead letter", lambda: dead.queue_declare(passive=True).message_count == 1)
        letter = dead.get(no_ack=True)
        suite.equal("letter", (letter.payload, letter.headers["x-death"][0]["reason"]), ("late", "expired"))
        producer.publish("bad", routing_key=queue.name)
        queue.get().reject()
        wait_until("another", lambda: dead.queue_declare(passive=True).message_count == 1)
        suite.equal("reason", dead.get(no_ack=True).headers["x-death"][0]["reason"], "rejected")


@suite.scenario()
def headers_fanout_and_e2e() -> None:
    with connect() as connection:
        channel = connection.channel()
        front = Exchange(suite.unique("front"), "headers", auto_delete=True)(channel)
        back = Exchange(suite.unique("back"), "fanout", auto_delete=True)(channel)
        front.declare()
        back.declare()
        back.bind_to(front, arguments={"x-match": "all", "kind": "report"})
        queues = [Queue(suite.unique(f"copy{n}"), back, exclusive=True)(channel) for n in range(2)]
        for queue in queues:
            queue.declare()
        producer = Producer(channel, front)
        producer.publish("yes", headers={"kind": "report"})
        producer.publish("no", headers={"kind": "other"})
        suite.equal("a copy each", [queue.get(no_ack=True).payload for queue in queues], ["yes", "yes"])
        suite.equal("nothing else", [queue.get(no_ack=True) for queue in queues], [None, None])


@suite.scenario()
def prefetch_and_requeue() -> None:
    with connect() as connection:
        channel = connection.channel()
        queue = Queue(suite.unique("prefetch"), channel=channel, exclusive=True)
        queue.declare()
        producer = Producer(channel)
        for number in range(5):
            producer.publish(number, routing_key=queue.name)
        got: list[Message] = []
        consumer = Consumer(channel, [queue], on_message=got.append, prefetch_count=2)
        with consumer:
            drain(connection, got, 2)
            drain_once(connection)
            suite.equal("two at a time", [message.payload for message in got], [0, 1])
            got[0].requeue()
            drain(connection, got, 3)
            suite.equal("the requeued first", (got[2].payload, got[2].delivery_info["redelivered"]), (0, True))
            for expected in (2, 3, 4):
                got[-1].ack()
                drain(connection, got, len(got) + 1)
                suite.equal("next", got[-1].payload, expected)


@suite.scenario()
def consumer_mixin_over_a_bad_network() -> None:
    """A ConsumerMixin service in a thread, a producer with a retry policy, and a network that breaks under both."""
    queue = Queue(suite.unique("service"), durable=True)
    got: list[int] = []
    with Proxy(suite.url) as proxy:

        class Service(ConsumerMixin):
            def __init__(self) -> None:
                self.connection = connect(proxy.url, heartbeat=2)

            def get_consumers(self, consumer: Any, channel: Any) -> list[Consumer]:
                return [consumer([queue], callbacks=[self.on_message], prefetch_count=1)]

            def on_message(self, body: int, message: Message) -> None:
                got.append(body)
                message.ack()

        service = Service()
        thread = threading.Thread(target=service.run, daemon=True)
        thread.start()
        policy = {"interval_start": 0.1, "interval_step": 0.1, "interval_max": 0.5, "max_retries": 20}
        with producers[connect(proxy.url, transport_options={"confirm_publish": True})].acquire(block=True) as producer:
            for number in range(10):
                if number in (3, 7):
                    proxy.cut()
                producer.publish(number, routing_key=queue.name, declare=[queue], retry=True, retry_policy=policy)
        wait_until("all messages", lambda: set(got) == set(range(10)), timeout_s=20)
        suite.equal("all messages", sorted(set(got)), list(range(10)))
        suite.check("it connected again", proxy.accepted > 2, proxy.accepted)
        service.should_stop = True
        thread.join(10)
    with connect() as connection:
        queue(connection.channel()).delete()


@suite.scenario()
def errors_and_heartbeats() -> None:
    with connect(heartbeat=1) as connection:
        connection.ensure_connection(timeout=5)
        started = time.monotonic()
        while time.monotonic() - started < 3.5:
            connection.heartbeat_check()
            try:
                connection.drain_events(timeout=0.25)
            except TimeoutError:
                continue
        suite.check("alive after three idle intervals", connection.connected)
        channel = connection.channel()
        try:
            channel.queue_declare(suite.unique("missing"), passive=True)
        except amqp.exceptions.NotFound as error:
            suite.contains("text", error, f"NOT_FOUND - no queue '{suite.unique('missing')}' in vhost '/'")
        else:
            suite.check("NotFound", False)
        suite.check("a new channel", connection.channel().is_open)
        properties = connection.connection.server_properties
        suite.equal("product", properties["product"], "RabbitMQ")
        suite.check("connection.blocked", properties["capabilities"]["connection.blocked"])
    try:
        connect(suite.url.replace("guest:guest", "guest:wrong")).connect()
    except amqp.exceptions.AccessRefused as error:
        suite.contains("wrong password", error, "ACCESS_REFUSED - Login was refused using authentication mechanism")
    else:
        suite.check("AccessRefused", False)


@suite.scenario()
def large_and_binary() -> None:
    with connect() as connection:
        channel = connection.channel()
        queue = Queue(suite.unique("данные"), channel=channel, exclusive=True)
        queue.declare()
        body = bytes(range(256)) * 4096
        Producer(channel).publish(
            body, routing_key=queue.name, content_type="application/data", content_encoding="binary"
        )
        message = queue.get(no_ack=True)
        suite.check("1 MiB", bytes(message.body) == body, len(message.body))
        suite.equal("type", (message.content_type, message.content_encoding), ("application/data", "binary"))


@suite.scenario()
def transactions() -> None:
    """py-amqp's channel under kombu: tx.select, commit, rollback."""
    with connect() as connection:
        channel, other = connection.channel(), connection.channel()
        queue = Queue(suite.unique("tx"), channel=other, exclusive=True)
        queue.declare()
        channel.tx_select()
        producer = Producer(channel)
        producer.publish("one", routing_key=queue.name)
        suite.equal("before", queue.get(no_ack=True), None)
        channel.tx_commit()
        suite.equal("after", queue.get(no_ack=True).payload, "one")
        producer.publish("two", routing_key=queue.name)
        channel.tx_rollback()
        suite.equal("rolled back", queue.get(no_ack=True), None)


if __name__ == "__main__":
    suite.main()
