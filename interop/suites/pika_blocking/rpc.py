"""Remote procedure calls: with a reply queue of one's own, and by direct reply-to."""

import threading
import uuid

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.spec import Basic

from suites.harness import wait_until
from suites.pika_blocking.client import Inbox, connect, refused, suite

REPLY_TO = "amq.rabbitmq.reply-to"


class Server:
    """Answers in a thread and on a connection of its own, in upper case, until the block ends."""

    def __init__(self, queue: str) -> None:
        self._queue = queue
        self._connection = connect()
        self._channel = self._connection.channel()
        self._channel.queue_declare(queue, auto_delete=True, durable=True)
        self._channel.basic_qos(prefetch_count=1)
        self._channel.basic_consume(queue, self._answer)
        self._thread = threading.Thread(target=self._channel.start_consuming, daemon=True)

    def __enter__(self) -> "Server":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.add_callback_threadsafe(self._channel.stop_consuming)
        self._thread.join(10)
        self._connection.close()

    @staticmethod
    def _answer(channel: BlockingChannel, method: Basic.Deliver, properties: pika.BasicProperties, body: bytes) -> None:
        channel.basic_publish(
            "", properties.reply_to, body.upper(), pika.BasicProperties(correlation_id=properties.correlation_id)
        )
        channel.basic_ack(method.delivery_tag)


@suite.scenario()
def reply_queue() -> None:
    queue = suite.unique("rpc")
    with Server(queue), connect() as connection:
        channel = connection.channel()
        replies = channel.queue_declare("", exclusive=True).method.queue
        inbox = Inbox(channel, replies)
        calls = [str(uuid.uuid4()) for _ in range(5)]
        for call in calls:
            channel.basic_publish(
                "", queue, f"call {call}".encode(), pika.BasicProperties(reply_to=replies, correlation_id=call)
            )
        suite.equal("answers", inbox.wait(5), [f"call {call}".upper() for call in calls])
        suite.equal("correlation", [delivery.properties.correlation_id for delivery in inbox.deliveries], calls)


@suite.scenario()
def direct_reply_to() -> None:
    queue = suite.unique("direct-rpc")
    with Server(queue), connect() as connection:
        channel = connection.channel()
        inbox = Inbox(channel, REPLY_TO)
        for number in range(5):
            channel.basic_publish(
                "",
                queue,
                f"call {number}".encode(),
                pika.BasicProperties(reply_to=REPLY_TO, correlation_id=str(number)),
            )
        suite.equal("answers", inbox.wait(5), [f"CALL {number}" for number in range(5)])
        method = inbox.deliveries[0].method
        suite.equal("exchange", method.exchange, "")
        suite.check("key", method.routing_key.startswith(f"{REPLY_TO}."), method.routing_key)
        suite.equal("tags", [delivery.method.delivery_tag for delivery in inbox.deliveries], [1, 2, 3, 4, 5])


@suite.scenario()
def reply_address() -> None:
    """Each client channel has an address of its own, which the server can ask for, and which dies with the channel."""
    with connect() as connection, connect() as other:
        server = other.channel()
        queue = server.queue_declare("", exclusive=True).method.queue
        refused(
            connection,
            406,
            "PRECONDITION_FAILED - fast reply consumer does not exist",
            lambda ch: ch.basic_publish("", "anything", b"", pika.BasicProperties(reply_to=REPLY_TO)),
        )
        refused(
            connection,
            406,
            "PRECONDITION_FAILED - reply consumer cannot acknowledge",
            lambda ch: ch.basic_consume(REPLY_TO, print),
        )
        client = connection.channel()
        inbox = Inbox(client, REPLY_TO)
        client.basic_publish("", queue, b"?", pika.BasicProperties(reply_to=REPLY_TO))
        requests = Inbox(server, queue)
        requests.wait(1)
        address = requests.deliveries[0].properties.reply_to
        suite.check("rewritten", address.startswith(f"{REPLY_TO}."), address)
        declared = server.queue_declare(address, passive=True).method
        suite.equal("is it there", (declared.message_count, declared.consumer_count), (0, 1))
        server.basic_publish("", address, b"!")
        suite.equal("answer", inbox.wait(1), ["!"])
        client.close()
        server.basic_publish("", address, b"too late")
        pending: list[str] = []
        wait_until("gone", lambda: pending or not alive(other, address), lambda: other.process_data_events(0.05))
        suite.check("late answers do no harm", server.is_open)


def alive(connection: pika.BlockingConnection, address: str) -> bool:
    """Whether a reply address still has its consumer."""
    channel = connection.channel()
    try:
        channel.queue_declare(address, passive=True)
    except pika.exceptions.ChannelClosedByBroker:
        return False
    channel.close()
    return True
