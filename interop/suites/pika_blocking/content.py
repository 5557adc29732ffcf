"""What is carried: properties and headers of every type, large bodies, names in any script."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pika

from suites.pika_blocking.client import Inbox, connect, publish, refused, suite


@suite.scenario()
def properties_and_headers() -> None:
    """Every property and every type of header value comes out as it went in."""
    with connect() as connection:
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        headers: dict[str, Any] = {
            "text": "ünïcode",
            "bytes": b"\x00\xff",
            "true": True,
            "false": False,
            "small": -1,
            "long": 2**40,
            "none": None,
            "decimal": Decimal("1.25"),
            "when": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            "list": [1, "two", [3], {"four": None}],
            "table": {"deep": {"deeper": {"deepest": "bottom"}}},
            "empty": {},
            "": "no name",
        }
        sent = pika.BasicProperties(
            content_type="application/json",
            content_encoding="gzip",
            headers=headers,
            delivery_mode=2,
            priority=4,
            correlation_id="c",
            reply_to="r",
            expiration="60000",
            message_id="m",
            timestamp=1_700_000_000,
            type="t",
            user_id="guest",
            app_id="a",
            cluster_id="k",
        )
        channel.basic_publish("", queue, b"body", sent)
        got = channel.basic_get(queue, auto_ack=True)[1]
        for name in sent.__dict__:
            suite.equal(name, getattr(got, name), getattr(sent, name))
        channel.basic_publish("", queue, b"")
        _, bare, body = channel.basic_get(queue, auto_ack=True)
        suite.equal(
            "nothing stays nothing",
            (bare.headers, bare.content_type, bare.delivery_mode, body),
            (None, None, None, b""),
        )
        refused(
            connection,
            406,
            "PRECONDITION_FAILED - user_id property set to 'bob' but authenticated user was 'guest'",
            lambda ch: publish(ch, queue, ["x"], user_id="bob"),
        )


@suite.scenario(60)
def large_messages() -> None:
    """1 MiB in frames of 128 KiB and in frames of 8 KiB, and all sizes around the border of one frame."""
    for frame_max in (131072, 8192):
        with connect(frame_max=frame_max) as connection:
            channel = connection.channel()
            queue = channel.queue_declare("", exclusive=True).method.queue
            inbox = Inbox(channel, queue)
            payload = frame_max - 8
            bodies = [
                bytes([size % 251]) * size for size in (0, 1, payload - 1, payload, payload + 1, 2 * payload, 1 << 20)
            ]
            for body in bodies:
                channel.basic_publish("", queue, body)
            inbox.wait(len(bodies))
            for sent, got in zip(bodies, inbox.deliveries, strict=True):
                suite.check(f"{len(sent)} bytes in frames of {frame_max}", sent == got.body, len(got.body))
    with connect() as connection:
        big = connection.channel()
        queue = big.queue_declare("", exclusive=True).method.queue
        body = bytes(range(256)) * (8 << 12)  # 8 MiB
        big.confirm_delivery()
        big.basic_publish("", queue, body)
        suite.check("8 MiB", big.basic_get(queue, auto_ack=True)[2] == body)


@suite.scenario()
def unicode_names() -> None:
    queue, exchange, key = suite.unique("очередь-キュー-🐰"), suite.unique("échange"), "ключ.键.🔑"
    with connect() as connection:
        channel = connection.channel()
        channel.exchange_declare(exchange, "topic", auto_delete=True)
        suite.equal("declared", channel.queue_declare(queue, exclusive=True).method.queue, queue)
        channel.queue_bind(queue, exchange, "ключ.*.🔑")
        channel.basic_publish(exchange, key, "тело 🥕".encode())
        method, _, body = channel.basic_get(queue, auto_ack=True)
        suite.equal("delivered", (method.exchange, method.routing_key, body.decode()), (exchange, key, "тело 🥕"))
        long_name = "я" * 127
        suite.equal("254 bytes", channel.queue_declare(long_name, exclusive=True).method.queue, long_name)
        refused(connection, 404, "no queue 'нет' in vhost '/'", lambda ch: ch.queue_declare("нет", passive=True))
