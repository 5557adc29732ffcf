"""Connections and channels: what is negotiated, how errors look, heartbeats, threads, reconnecting."""

import threading
import time
from collections.abc import Callable

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import (
    AMQPConnectionError,
    ConnectionClosedByBroker,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
    StreamLostError,
)
from pika.spec import Basic

from suites.harness import Proxy, wait_until
from suites.pika_blocking.client import Inbox, connect, drain, expect_ready, publish, ready, refused, suite

CAPABILITIES = (
    "publisher_confirms",
    "exchange_exchange_bindings",
    "basic.nack",
    "consumer_cancel_notify",
    "connection.blocked",
    "consumer_priorities",
    "authentication_failure_close",
    "per_consumer_qos",
    "direct_reply_to",
)


@suite.scenario()
def negotiation() -> None:
    with connect() as connection:
        implementation = connection._impl
        properties = implementation.server_properties
        suite.equal("product", properties["product"], "RabbitMQ")
        suite.check("version", int(properties["version"].split(".")[0]) >= 4, properties["version"])
        for name in CAPABILITIES:
            suite.check(f"capability {name}", properties["capabilities"].get(name) is True)
        tuned = implementation.params
        suite.equal(
            "channel_max, frame_max, heartbeat",
            (tuned.channel_max, tuned.frame_max, tuned.heartbeat),
            (2047, 131072, 60),
        )
        connection.add_on_connection_blocked_callback(lambda *_: None)
        connection.add_on_connection_unblocked_callback(lambda *_: None)
        connection.update_secret("guest", "rotation")
        suite.check("alive after update-secret", connection.channel().is_open)


@suite.scenario()
def login_errors() -> None:
    parameters = pika.URLParameters(suite.url)
    for error, text, options in (
        (
            ProbableAuthenticationError,
            "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN",
            {"credentials": pika.PlainCredentials("guest", "wrong")},
        ),
        (ProbableAccessDeniedError, "NOT_ALLOWED - vhost no-such-vhost not found", {"virtual_host": "no-such-vhost"}),
    ):
        try:
            connect(**options).close()
        except AMQPConnectionError as refusal:
            suite.check(f"{error.__name__}", isinstance(refusal, error), repr(refusal))
            suite.contains("text", repr(refusal), text)
        else:
            suite.check(f"{options} are refused", False)
    suite.check("the right ones are not", connect(credentials=parameters.credentials).is_open)


@suite.scenario()
def channel_errors() -> None:
    """An error closes its channel, whose number can be used again; the others and the connection live on."""
    with connect() as connection:
        bystander = connection.channel()
        queue = bystander.queue_declare("", exclusive=True).method.queue
        for _ in range(3):
            refused(
                connection,
                404,
                "NOT_FOUND - no queue 'missing' in vhost '/'",
                lambda ch: ch.queue_declare("missing", passive=True),
            )
        publish(bystander, queue, ["1"])

        def ack_twice(channel: BlockingChannel) -> None:
            tag = channel.basic_get(queue)[0].delivery_tag
            channel.basic_ack(tag)
            channel.basic_ack(tag)

        refused(connection, 406, "PRECONDITION_FAILED - unknown delivery tag 1", ack_twice)
        suite.check("the bystander", ready(bystander, queue) == 0)
        again = connection.channel(channel_number=9)
        again.close()
        suite.check("reopened", connection.channel(channel_number=9).is_open)
        many = [connection.channel() for _ in range(100)]
        for index, channel in enumerate(many):
            publish(channel, queue, [index])
        suite.equal("a hundred channels", sorted(drain(bystander, queue), key=int), [str(n) for n in range(100)])


@suite.scenario()
def connection_errors() -> None:
    def immediate(channel: BlockingChannel) -> None:
        channel._impl._send_method(
            Basic.Publish(exchange="", routing_key="x", immediate=True), (pika.BasicProperties(), b"x")
        )

    def prefetch_size(channel: BlockingChannel) -> None:
        channel.basic_qos(prefetch_size=1)

    def tag_twice(channel: BlockingChannel) -> None:
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel._impl._send_method(Basic.Consume(queue=queue, consumer_tag="t"))
        channel._impl._send_method(Basic.Consume(queue=queue, consumer_tag="t"))

    cases: tuple[tuple[int, str, Callable[[BlockingChannel], None]], ...] = (
        (540, "NOT_IMPLEMENTED - immediate=true", immediate),
        (540, "NOT_IMPLEMENTED - prefetch_size!=0 (1)", prefetch_size),
        (530, "NOT_ALLOWED - attempt to reuse consumer tag 't'", tag_twice),
    )
    for code, text, action in cases:
        connection = connect()
        try:
            channel = connection.channel()
            action(channel)
            channel.queue_declare("", exclusive=True)  # a round trip on the channel that made the error
        except ConnectionClosedByBroker as error:
            suite.equal("code and text", (error.reply_code, error.reply_text), (code, text))
        else:
            suite.check(text, False, "the connection stays open")


@suite.scenario()
def heartbeats() -> None:
    """An idle connection with a heartbeat of 1 s lives on; one whose program does not answer is dropped."""
    with connect(heartbeat=1) as connection, connect() as other:
        connection.sleep(4.5)
        suite.check("idle but alive", connection.channel().is_open)
        queue = suite.unique("dead")
        dead = connect(heartbeat=1)
        dead.channel().queue_declare(queue, exclusive=True)
        refused(other, 405, "RESOURCE_LOCKED", lambda ch: ch.queue_declare(queue, passive=True))
        started = time.monotonic()

        def gone() -> bool:
            channel = other.channel()
            try:
                channel.queue_declare(queue, passive=True)
            except pika.exceptions.ChannelClosedByBroker as error:
                return bool(error.reply_code == 404)
            return False

        wait_until("a silent client is dropped", gone, lambda: connection.sleep(0.1))
        suite.check("but not at once", time.monotonic() - started > 1.0, time.monotonic() - started)
        try:
            dead.channel()
        except AMQPConnectionError:
            suite.check("the silent client finds out", dead.is_closed)
        else:
            suite.check("the silent client's connection is closed", False)


@suite.scenario()
def threads() -> None:
    """Long work in threads, acknowledged through add_callback_threadsafe; meanwhile heartbeats go on."""
    with connect(heartbeat=1) as connection:
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.basic_qos(prefetch_count=4)
        done: list[bytes] = []

        def work(tag: int, body: bytes) -> None:
            time.sleep(0.3)

            def finish() -> None:
                channel.basic_ack(tag)
                done.append(body)
                if len(done) == 12:
                    channel.stop_consuming()

            connection.add_callback_threadsafe(finish)

        channel.basic_consume(
            queue,
            lambda ch, method, properties, body: threading.Thread(
                target=work, args=(method.delivery_tag, body)
            ).start(),
        )
        publish(channel, queue, range(12))
        channel.start_consuming()
        suite.equal("all done", sorted(done, key=int), [str(n).encode() for n in range(12)])
        expect_ready("all acknowledged", channel, queue, 0)


@suite.scenario()
def lost_connection() -> None:
    """The network breaks: the client sees StreamLostError, connects again, gets what it had not acknowledged."""
    queue = suite.unique("survives")
    with Proxy(suite.url) as proxy, connect() as direct:
        channel = direct.channel()
        channel.queue_declare(queue, durable=True)
        publish(channel, queue, range(3), delivery_mode=2)
        connection = connect(proxy.url)
        first = Inbox(connection.channel(), queue, auto_ack=False)
        first.wait(3)
        proxy.cut()
        try:
            connection.process_data_events(5)
        except (StreamLostError, AMQPConnectionError) as error:
            suite.check("StreamLostError", isinstance(error, StreamLostError), repr(error))
        with connect(proxy.url) as again:
            second = Inbox(again.channel(), queue, auto_ack=False)
            suite.equal("all three again", second.wait(3), ["0", "1", "2"])
            suite.check("redelivered", all(delivery.method.redelivered for delivery in second.deliveries))
            second.ack_all()
        suite.equal("done", channel.queue_delete(queue).method.message_count, 0)
