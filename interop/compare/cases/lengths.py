"""Section 11: length limits: by count and bytes, drop-head, reject-publish, reject-publish-dlx."""

from __future__ import annotations

from typing import Any

from ..bench import Bench, case, rows
from ..client import Client


def publish(c: Client, q: str, *bodies: str, **properties: Any) -> None:
    for body in bodies:
        c.publish("", q, body.encode(), **properties)


@rows("11 x-max-length {0}", [(0,), (1,), (3,)])
def max_length(b: Bench, limit: int) -> None:
    c = b.channel()
    q = c.queue(b.q(), arguments={"x-max-length": limit})
    publish(c, q, *"12345")
    c.bodies(q)


@rows(
    "11 x-max-length-bytes {0} and bodies of {1}",
    [(10, "55555 4444 333"), (10, "1 22 333 4444 55555"), (3, "4444"), (3, "4444 22"), (0, "1"), (0, ""), (5, "55555")],
)
def max_bytes(b: Bench, limit: int, bodies: str) -> None:
    c = b.channel()
    q = c.queue(b.q(), arguments={"x-max-length-bytes": limit})
    publish(c, q, *(bodies.split() or [""]))
    c.bodies(q)


@case("11 only bodies count for bytes, not properties")
def bodies_only(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q(), arguments={"x-max-length-bytes": 10})
    publish(c, q, "12345", "67890", headers={"h": "x" * 100})
    c.bodies(q)


@rows("11 both limits, {0} bites first", [("length", 2, 100), ("bytes", 10, 4)])
def both(b: Bench, _: str, length: int, size: int) -> None:
    c = b.channel()
    q = c.queue(b.q(), arguments={"x-max-length": length, "x-max-length-bytes": size})
    publish(c, q, "11", "22", "33")
    c.bodies(q)


@case("11 what is outstanding does not count")
def ready_only(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q(), arguments={"x-max-length": 2})
    publish(c, q, "1", "2")
    c.do_get(q, no_ack=False)
    c.do_get(q, no_ack=False)
    publish(c, q, "3", "4")
    c.await_count(q, 2)
    c.send("basic.nack", delivery_tag=1, requeue=True)
    c.send("basic.nack", delivery_tag=2, requeue=True)
    c.drain(q)


@rows("11 {0} with confirms", [("drop-head",), ("reject-publish",), ("reject-publish-dlx",)])
def overflow(b: Bench, policy: str) -> None:
    c = b.channel()
    x, dead = c.exchange(b.x(), "fanout"), c.queue(b.q("dead"))
    c.bind(dead, x)
    q = c.queue(b.q(), arguments={"x-max-length": 2, "x-overflow": policy, "x-dead-letter-exchange": x})
    c.do("confirm.select")
    publish(c, q, *"12345")
    c.confirms()
    if policy != "reject-publish":
        c.await_count(dead, 3)
    c.drain(q, dead)


@case("11 reject-publish without confirms is silent")
def reject_silent(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q(), arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    publish(c, q, *"123")
    c.bodies(q)


@case("11 reject-publish by bytes")
def reject_bytes(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q(), arguments={"x-max-length-bytes": 5, "x-overflow": "reject-publish"})
    c.do("confirm.select")
    publish(c, q, "333", "333", "1", "22")
    c.confirms()
    c.bodies(q)


@case("11 reject-publish takes again what there is room for")
def reject_then_room(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q(), arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    c.do("confirm.select")
    publish(c, q, "1", "2")
    c.confirms()
    c.do_get(q)
    publish(c, q, "3")
    c.confirms()
    c.bodies(q)


@case("11 x-max-length 0 delivers to a waiting consumer")
def zero_consumer(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q(), arguments={"x-max-length": 0})
    c.do("basic.consume", queue=q, consumer_tag="t", no_ack=True)
    publish(c, q, "1")
    c.deliveries(1)


@case("11 mandatory and rejected by a full queue: no return")
def mandatory(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q(), arguments={"x-max-length": 0, "x-overflow": "reject-publish"})
    c.do("confirm.select")
    publish(c, q, "1", mandatory=True)
    c.confirms()
