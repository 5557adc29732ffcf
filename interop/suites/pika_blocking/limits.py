"""Message TTL, queue length, priorities: what a queue does by its arguments."""

import pika

from suites.harness import wait_until
from suites.pika_blocking.client import connect, drain, expect_ready, publish, ready, refused, suite


@suite.scenario()
def message_ttl() -> None:
    with connect() as connection:
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True, arguments={"x-message-ttl": 100}).method.queue
        channel.confirm_delivery()
        publish(channel, queue, range(3))
        suite.equal("three", ready(channel, queue), 3)
        wait_until("expired", lambda: ready(channel, queue) == 0, lambda: connection.sleep(0.02))
        suite.equal("nothing to get", channel.basic_get(queue)[0], None)
        plain = channel.queue_declare("", exclusive=True).method.queue
        publish(channel, plain, ["long"])
        publish(channel, plain, ["short"], expiration="1")
        connection.sleep(0.1)
        suite.equal("behind a live message", drain(channel, plain), ["long"])
        publish(channel, plain, ["now or never"], expiration="0")
        suite.equal("expiration 0 without a consumer", drain(channel, plain), [])
        seen: list[bytes] = []
        channel.basic_consume(plain, lambda ch, method, properties, body: seen.append(body), auto_ack=True)
        publish(channel, plain, ["now"], expiration="0")
        wait_until("delivered at once", lambda: seen, lambda: connection.process_data_events(0.05))
        suite.equal("expiration 0 with a consumer", seen, [b"now"])
        for text, value in (("no_integer", "soon"), ("{value_negative,-1}", "-1"), ('{leftover_string,"s"}', "10s")):
            refused(
                connection,
                406,
                f"PRECONDITION_FAILED - invalid expiration '{value}': {text}",
                lambda ch, bad=value: publish(ch, plain, ["x"], expiration=bad),
            )


@suite.scenario()
def max_length() -> None:
    with connect() as connection:
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True, arguments={"x-max-length": 3}).method.queue
        publish(channel, queue, range(6))
        suite.equal("the newest three", drain(channel, queue), ["3", "4", "5"])
        by_bytes = channel.queue_declare("", exclusive=True, arguments={"x-max-length-bytes": 10}).method.queue
        publish(channel, by_bytes, ["aaaa", "bbbb", "cccc"])
        suite.equal("the newest ten bytes", drain(channel, by_bytes), ["bbbb", "cccc"])
        none = channel.queue_declare("", exclusive=True, arguments={"x-max-length": 0}).method.queue
        publish(channel, none, ["x"])
        expect_ready("length 0", channel, none, 0)
        refused(
            connection,
            406,
            "PRECONDITION_FAILED - invalid arg 'x-max-length' for queue",
            lambda ch: ch.queue_declare("", arguments={"x-max-length": -1}),
        )


@suite.scenario()
def priorities() -> None:
    """Highest first, first come first served within one; above the maximum counts as the maximum, none as 0."""
    with connect() as connection:
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True, arguments={"x-max-priority": 5}).method.queue
        for number, priority in enumerate((0, 3, None, 5, 3, 9, 1)):
            channel.basic_publish("", queue, f"{number}:{priority}".encode(), pika.BasicProperties(priority=priority))
        expect_ready("count over all levels", channel, queue, 7)
        method, properties, _ = channel.basic_get(queue)
        suite.equal("as published", properties.priority, 5)
        channel.basic_nack(method.delivery_tag)
        suite.equal("order", drain(channel, queue), ["3:5", "5:9", "1:3", "4:3", "6:1", "0:0", "2:None"])
        for bad in (256, -1):
            refused(
                connection,
                406,
                "PRECONDITION_FAILED - invalid arg 'x-max-priority' for queue",
                lambda ch, value=bad: ch.queue_declare("", arguments={"x-max-priority": value}),
            )
