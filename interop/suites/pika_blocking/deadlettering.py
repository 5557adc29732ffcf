"""Dead letters: why they died, what they carry, and the retry loops people build from them."""

from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel

from suites.harness import wait_until
from suites.pika_blocking.client import Inbox, connect, drain, expect_ready, publish, ready, suite


def with_morgue(channel: BlockingChannel, **arguments: Any) -> tuple[str, str, str]:
    """A queue whose dead letters go through an exchange to a second queue; returns queue, exchange, second queue."""
    exchange = suite.unique("dlx")
    channel.exchange_declare(exchange, "fanout", auto_delete=True, durable=True)
    morgue: str = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(morgue, exchange)
    declared = {
        "x-dead-letter-exchange": exchange,
        **{name.replace("_", "-"): value for name, value in arguments.items()},
    }
    queue: str = channel.queue_declare("", exclusive=True, arguments=declared).method.queue
    return queue, exchange, morgue


def entry(properties: pika.BasicProperties, number: int = 0) -> tuple[Any, ...]:
    """One x-death entry without its time."""
    death = properties.headers["x-death"][number]
    return death["reason"], death["queue"], death["exchange"], death["routing-keys"], death["count"]


@suite.scenario()
def rejected() -> None:
    with connect() as connection:
        channel = connection.channel()
        queue, exchange, morgue = with_morgue(channel)
        publish(channel, queue, ["bad"], headers={"trace": 7}, message_id="m1", delivery_mode=2)
        channel.basic_reject(channel.basic_get(queue)[0].delivery_tag, requeue=False)
        inbox = Inbox(channel, morgue)
        inbox.wait(1)
        method, properties = inbox.deliveries[0].method, inbox.deliveries[0].properties
        suite.equal("delivered as", (method.exchange, method.routing_key), (exchange, queue))
        suite.equal("x-death", [entry(properties)], [("rejected", queue, "", [queue], 1)])
        suite.equal("entries", len(properties.headers["x-death"]), 1)
        suite.check("time", properties.headers["x-death"][0]["time"].year > 2000)
        suite.equal(
            "x-first-death-*, x-last-death-*",
            {k: v for k, v in properties.headers.items() if k.startswith(("x-f", "x-l"))},
            {
                f"x-{which}-death-{what}": value
                for which in ("first", "last")
                for what, value in (("reason", "rejected"), ("queue", queue), ("exchange", ""))
            },
        )
        suite.equal(
            "own properties stay",
            (properties.headers["trace"], properties.message_id, properties.delivery_mode),
            (7, "m1", 2),
        )


@suite.scenario()
def expired() -> None:
    """By the message's expiration, which is then kept only in x-death; by the queue's TTL, whichever is shorter."""
    with connect() as connection:
        channel = connection.channel()
        queue, _, morgue = with_morgue(channel, x_message_ttl=60_000, x_dead_letter_routing_key="late")
        publish(channel, queue, ["short"], expiration="50")
        inbox = Inbox(channel, morgue)
        inbox.wait(1)
        method, properties = inbox.deliveries[0].method, inbox.deliveries[0].properties
        suite.equal("key", method.routing_key, "late")
        suite.equal("x-death", entry(properties), ("expired", queue, "", [queue], 1))
        suite.equal("original-expiration", properties.headers["x-death"][0]["original-expiration"], "50")
        suite.equal("expiration is taken off", properties.expiration, None)
        by_queue, _, second = with_morgue(channel, x_message_ttl=50)
        publish(channel, by_queue, range(3), expiration="60000")
        late = Inbox(channel, second)
        suite.equal("in order", late.wait(3), ["0", "1", "2"])
        suite.equal("x-death", entry(late.deliveries[0].properties), ("expired", by_queue, "", [by_queue], 1))


@suite.scenario()
def pushed_out() -> None:
    """drop-head dead-letters the oldest, reject-publish-dlx the newest."""
    with connect() as connection:
        channel = connection.channel()
        for overflow, kept, dead in (
            ("drop-head", ["2", "3"], ["0", "1"]),
            ("reject-publish-dlx", ["0", "1"], ["2", "3"]),
        ):
            queue, _, morgue = with_morgue(channel, x_max_length=2, x_overflow=overflow)
            publish(channel, queue, range(4))
            inbox = Inbox(channel, morgue)
            suite.equal(f"{overflow}: dead", inbox.wait(2), dead)
            suite.equal("x-death", entry(inbox.deliveries[0].properties), ("maxlen", queue, "", [queue], 1))
            suite.equal(f"{overflow}: kept", drain(channel, queue), kept)


@suite.scenario()
def retry_loop() -> None:
    """work -> rejected -> wait queue -> expired -> work: the counts in x-death grow, the latest death comes first."""
    with connect() as connection:
        channel = connection.channel()
        work, wait = suite.unique("work"), suite.unique("wait")
        channel.queue_declare(
            work, exclusive=True, arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": wait}
        )
        channel.queue_declare(
            wait,
            exclusive=True,
            arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": work, "x-message-ttl": 50},
        )
        publish(channel, work, ["job"], headers={"x-mine": "kept"})
        inbox = Inbox(channel, work, auto_ack=False)
        for attempt in range(1, 4):
            inbox.wait(attempt)
            if attempt < 3:
                channel.basic_nack(inbox.deliveries[-1].method.delivery_tag, requeue=False)
        properties = inbox.deliveries[-1].properties
        suite.equal("latest", entry(properties), ("expired", wait, "", [wait], 2))
        suite.equal("before it", entry(properties, 1), ("rejected", work, "", [work], 2))
        suite.equal("entries", len(properties.headers["x-death"]), 2)
        suite.equal("first death", properties.headers["x-first-death-reason"], "rejected")
        suite.equal("last death", properties.headers["x-last-death-reason"], "expired")
        suite.equal("own header", properties.headers["x-mine"], "kept")
        inbox.ack_all()


@suite.scenario()
def automatic_cycle() -> None:
    """A message that would come back to a queue without anybody having rejected it is dropped."""
    with connect() as connection:
        channel = connection.channel()
        queue = suite.unique("ring")
        channel.queue_declare(
            queue,
            exclusive=True,
            arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": queue, "x-message-ttl": 30},
        )
        channel.confirm_delivery()
        publish(channel, queue, ["spinning"])
        wait_until("the message is gone", lambda: ready(channel, queue) == 0, lambda: connection.sleep(0.02))
        connection.sleep(0.2)
        expect_ready("and stays so", channel, queue, 0)


@suite.scenario()
def no_dead_letters() -> None:
    """Purge, delete and a missing dead-letter exchange make none; nor does an acknowledged message."""
    with connect() as connection:
        channel = connection.channel()
        queue, _, morgue = with_morgue(channel)
        publish(channel, queue, range(4))
        channel.basic_get(queue, auto_ack=True)
        channel.basic_ack(channel.basic_get(queue)[0].delivery_tag)
        suite.equal("purged", channel.queue_purge(queue).method.message_count, 2)
        publish(channel, queue, ["x"])
        channel.queue_delete(queue)
        suite.equal("no letter", drain(channel, morgue), [])
        lost = channel.queue_declare(
            "", exclusive=True, arguments={"x-dead-letter-exchange": suite.unique("missing")}
        ).method.queue
        publish(channel, lost, ["x"])
        channel.basic_reject(channel.basic_get(lost)[0].delivery_tag, requeue=False)
        expect_ready("the channel survives a missing exchange", channel, lost, 0)
