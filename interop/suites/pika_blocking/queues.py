"""Queues as such: names, lifetimes, ownership, equivalence, basic.get, delete and purge."""

import re

from pika.exceptions import ChannelClosedByBroker

from suites.harness import wait_until
from suites.pika_blocking.client import Inbox, connect, publish, ready, refused, suite


def exists(queue: str) -> bool:
    """Asks on a connection of its own."""
    with connect() as connection:
        try:
            connection.channel().queue_declare(queue, passive=True)
        except ChannelClosedByBroker as error:
            return error.reply_code != 404
        return True


@suite.scenario()
def server_named() -> None:
    with connect() as connection:
        channel = connection.channel()
        names = {channel.queue_declare("", exclusive=True).method.queue for _ in range(3)}
        suite.equal("three different names", len(names), 3)
        suite.check("their form", all(re.fullmatch(r"amq\.gen-[A-Za-z0-9_-]{22}", name) for name in names), names)
        refused(
            connection,
            403,
            "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'",
            lambda ch: ch.queue_declare("amq.mine"),
        )


@suite.scenario()
def exclusive_queue() -> None:
    """It belongs to one connection, all of whose channels may use it, and goes with it."""
    queue = suite.unique("mine")
    text = (
        f"RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{queue}' in vhost '/'. It could be "
        "originally declared on another connection or the exclusive property value does not match that of the original "
        "declaration."
    )
    with connect() as other:
        owner = connect()
        owner.channel().queue_declare(queue, exclusive=True)
        owner.channel().basic_publish("", queue, b"x")
        suite.equal("another channel of the owner", owner.channel().basic_get(queue)[2], b"x")
        refused(other, 405, text, lambda ch: ch.queue_declare(queue, exclusive=True))
        refused(other, 405, text, lambda ch: ch.queue_declare(queue, passive=True))
        refused(other, 405, text, lambda ch: ch.basic_get(queue))
        refused(other, 405, text, lambda ch: ch.basic_consume(queue, print))
        refused(other, 405, text, lambda ch: ch.queue_delete(queue))
        owner.close()
        refused(
            other, 404, f"NOT_FOUND - no queue '{queue}' in vhost '/'", lambda ch: ch.queue_declare(queue, passive=True)
        )


@suite.scenario()
def auto_delete_queue() -> None:
    """It goes with its last consumer, and not before it had one."""
    queue = suite.unique("auto")
    with connect() as connection:
        channel = connection.channel()
        channel.queue_declare(queue, auto_delete=True, durable=True)
        publish(channel, queue, range(2))
        channel.basic_get(queue, auto_ack=True)
        suite.check("basic.get is no consumer", exists(queue))
        one, two = Inbox(channel, queue), Inbox(channel, queue)
        channel.basic_cancel(one.tag)
        suite.check("one consumer is left", exists(queue))
        channel.basic_cancel(two.tag)
        suite.check("none is left", not exists(queue))
        channel.queue_declare(queue, auto_delete=True, durable=True)
        Inbox(connection.channel(), queue)._channel.close()
        wait_until("gone with the channel", lambda: not exists(queue))
        suite.check("a closed channel counts as cancelled", not exists(queue))


@suite.scenario()
def expiring_queue() -> None:
    """x-expires removes a queue that nobody uses."""
    queue = suite.unique("lease")
    with connect() as connection:
        channel = connection.channel()
        channel.queue_declare(queue, durable=True, arguments={"x-expires": 500})
        tag = channel.basic_consume(queue, print)
        connection.sleep(1.2)
        suite.check("a consumer keeps it", ready(channel, queue) == 0)
        channel.basic_cancel(tag)
        connection.sleep(1.5)
        refused(connection, 404, f"no queue '{queue}'", lambda ch: ch.queue_declare(queue, passive=True))
        refused(
            connection,
            406,
            "PRECONDITION_FAILED - invalid arg 'x-expires'",
            lambda ch: ch.queue_declare(queue, arguments={"x-expires": 0}),
        )


@suite.scenario()
def basic_get() -> None:
    with connect() as connection:
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        suite.equal("empty", channel.basic_get(queue), (None, None, None))
        publish(channel, queue, range(3), content_type="text/plain")
        method, properties, body = channel.basic_get(queue)
        suite.equal(
            "first",
            (method.delivery_tag, method.redelivered, method.exchange, method.routing_key, method.message_count, body),
            (1, False, "", queue, 2, b"0"),
        )
        suite.equal("its property", properties.content_type, "text/plain")
        method, _, body = channel.basic_get(queue, auto_ack=True)
        suite.equal("second", (method.delivery_tag, method.message_count, body), (2, 1, b"1"))
        refused(connection, 404, "NOT_FOUND - no queue 'nowhere' in vhost '/'", lambda ch: ch.basic_get("nowhere"))


@suite.scenario()
def counts_purge_delete() -> None:
    queue = suite.unique("counted")
    with connect() as connection:
        channel = connection.channel()
        channel.queue_declare(queue, durable=True)
        publish(channel, queue, range(5))
        channel.basic_get(queue)
        declared = channel.queue_declare(queue, durable=True).method
        suite.equal("ready messages, consumers", (declared.message_count, declared.consumer_count), (4, 0))
        suite.equal("purged", channel.queue_purge(queue).method.message_count, 4)
        publish(channel, queue, range(2))
        refused(
            connection,
            406,
            f"PRECONDITION_FAILED - queue '{queue}' in vhost '/' not empty",
            lambda ch: ch.queue_delete(queue, if_empty=True),
        )
        tag = channel.basic_consume(queue, lambda *_: None)
        suite.equal("a consumer", channel.queue_declare(queue, passive=True).method.consumer_count, 1)
        refused(
            connection,
            406,
            f"PRECONDITION_FAILED - queue '{queue}' in vhost '/' in use",
            lambda ch: ch.queue_delete(queue, if_unused=True),
        )
        channel.basic_cancel(tag)
        channel.basic_recover(requeue=True)
        suite.equal("deleted", channel.queue_delete(queue).method.message_count, 3)
        suite.equal("deleting what is not there is fine", channel.queue_delete(queue).method.message_count, 0)


@suite.scenario()
def redeclaration() -> None:
    """An equal redeclaration is a no-op, another one names the difference."""
    queue = suite.unique("redeclared")
    of = f"for queue '{queue}' in vhost '/'"
    with connect() as connection:
        channel = connection.channel()
        channel.queue_declare(queue, durable=True, arguments={"x-message-ttl": 60000})
        suite.equal(
            "equal", channel.queue_declare(queue, durable=True, arguments={"x-message-ttl": 60000}).method.queue, queue
        )
        suite.equal("passive", channel.queue_declare(queue, passive=True).method.queue, queue)
        for text, options in (
            (f"inequivalent arg 'durable' {of}: received 'false' but current is 'true'", {"durable": False}),
            (f"inequivalent arg 'auto_delete' {of}: received 'true' but current is 'false'", {"auto_delete": True}),
            (
                f"inequivalent arg 'x-message-ttl' {of}: received '1000' but current is '60000'",
                {"arguments": {"x-message-ttl": 1000}},
            ),
            (
                f"inequivalent arg 'x-message-ttl' {of}: received none but current is the value '60000' of type ",
                {"arguments": None},
            ),
            (
                f"inequivalent arg 'x-max-length' {of}: received the value '5' of type ",
                {"arguments": {"x-message-ttl": 60000, "x-max-length": 5}},
            ),
        ):
            properties = {"durable": True, "arguments": {"x-message-ttl": 60000}, **options}
            refused(
                connection,
                406,
                f"PRECONDITION_FAILED - {text}",
                lambda ch, declared=properties: ch.queue_declare(queue, **declared),
            )
        channel.queue_delete(queue)
