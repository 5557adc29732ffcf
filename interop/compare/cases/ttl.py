"""Section 10: message TTL, per message and per queue."""

from __future__ import annotations

import time
from typing import Any

from ..bench import Bench, case, rows


@rows(
    "10 {0}",
    [
        ("queue TTL", {"x-message-ttl": 60}, {}),
        ("message expiration", {}, {"expiration": "60"}),
        ("both, the queue's is smaller", {"x-message-ttl": 60}, {"expiration": "60000"}),
        ("both, the message's is smaller", {"x-message-ttl": 60000}, {"expiration": "60"}),
    ],
)
def expires(b: Bench, _: str, arguments: dict[str, Any], properties: dict[str, Any]) -> None:
    c = b.channel()
    q = c.queue(b.q(), arguments=arguments)
    c.publish("", q, b"1", **properties)
    time.sleep(0.4)
    c.count(q)
    c.get(q)


@rows(
    "10 {0} not yet over",
    [("queue TTL", {"x-message-ttl": 60000}, {}), ("message expiration", {}, {"expiration": "60000"})],
)
def lives(b: Bench, _: str, arguments: dict[str, Any], properties: dict[str, Any]) -> None:
    c = b.channel()
    q = c.queue(b.q(), arguments=arguments)
    c.publish("", q, b"1", **properties)
    c.get(q)


@rows(
    "10 TTL 0 from the {0}, {1}",
    [
        (where, who)
        for where in ("queue", "message")
        for who in ("nobody waiting", "a consumer waiting", "a consumer without credit")
    ],
)
def zero(b: Bench, where: str, who: str) -> None:
    c = b.channel()
    q = c.queue(b.q(), arguments={"x-message-ttl": 0} if where == "queue" else {})
    properties: dict[str, Any] = {} if where == "queue" else {"expiration": "0"}
    if who != "nobody waiting":
        c.do("basic.qos", prefetch_count=1)
        c.do("basic.consume", queue=q, consumer_tag="t")
    if who == "a consumer without credit":
        c.publish("", q, b"first", **properties)
        c.deliveries(1)
    c.publish("", q, b"1", **properties)
    if who == "a consumer waiting":
        c.deliveries(1)
    c.settle()
    c.get(q)


@case("10 only the head expires: an expired message behind a live one is counted and never delivered")
def head(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q())
    c.publish("", q, b"lives", expiration="60000")
    c.publish("", q, b"expires", expiration="20")
    c.await_count(q, 2)
    time.sleep(0.2)
    c.count(q)
    c.drain(q)


@case("10 an expired head makes way for what lives")
def head_expires(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q())
    c.publish("", q, b"expires", expiration="20")
    c.publish("", q, b"lives")
    time.sleep(0.2)
    c.drain(q)


@case("10 a message delivered and requeued after its TTL expires")
def requeued(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q(), arguments={"x-message-ttl": 100})
    c.publish("", q, b"1")
    c.get(q, no_ack=False)
    time.sleep(0.3)
    c.send("basic.nack", delivery_tag=1, requeue=True)
    c.sync()
    c.await_count(q, 0)
    c.get(q)


@case("10 a message outstanding does not expire")
def outstanding(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q(), arguments={"x-message-ttl": 50})
    c.publish("", q, b"1")
    c.get(q, no_ack=False)
    time.sleep(0.2)
    c.send("basic.ack", delivery_tag=1)
    c.sync()


@case("10 the expiration property is delivered as it was")
def delivered(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q())
    c.publish("", q, b"1", expiration="0060000")
    c.get(q)


@case("10 TTL counts from the arrival in each queue")
def per_queue(b: Bench) -> None:
    c = b.channel()
    x = c.exchange(b.x(), "fanout")
    q, r = c.queue(b.q("q"), arguments={"x-message-ttl": 50}), c.queue(b.q("r"))
    c.bind(q, x)
    c.bind(r, x)
    c.publish(x, "k", b"1")
    c.await_count(r, 1)
    time.sleep(0.2)
    c.bodies(q, r)
