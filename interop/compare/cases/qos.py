"""Sections 1.1, 7.1 and 7.2: prefetch, global and not, and basic.get."""

from __future__ import annotations

from ..bench import Bench, case, rows
from ..client import Client


def filled(c: Client, q: str, count: int) -> None:
    for n in range(1, count + 1):
        c.publish("", q, str(n).encode())


@rows("7.1 prefetch {0}", [(1, 1), (3, 3), (0, 5), (65535, 5)])
def prefetch(b: Bench, limit: int, expected: int) -> None:
    c = b.channel()
    q = c.queue(b.q())
    filled(c, q, 5)
    c.call("basic.qos", prefetch_count=limit)
    c.do("basic.consume", queue=q, consumer_tag="t")
    c.deliveries(expected)
    c.settle()


@case("7.1 an ack makes room")
def room(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q())
    c.do("basic.qos", prefetch_count=2)
    c.do("basic.consume", queue=q, consumer_tag="t")
    filled(c, q, 5)
    c.deliveries(2)
    c.send("basic.ack", delivery_tag=1)
    c.deliveries(1)
    c.send("basic.ack", delivery_tag=3, multiple=True)
    c.deliveries(2)
    c.settle()


@rows("7.1 {0} makes room", [("basic.nack",), ("basic.reject",)])
def room_nack(b: Bench, method: str) -> None:
    c = b.channel()
    q = c.queue(b.q())
    c.do("basic.qos", prefetch_count=1)
    c.do("basic.consume", queue=q, consumer_tag="t")
    filled(c, q, 2)
    c.deliveries(1)
    c.send(method, delivery_tag=1)
    c.deliveries(1)


@case("7.1 a limit set later does not touch a running consumer")
def later(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q())
    c.do("basic.qos", prefetch_count=1)
    c.do("basic.consume", queue=q, consumer_tag="t")
    filled(c, q, 4)
    c.deliveries(1)
    c.call("basic.qos", prefetch_count=3)
    c.settle()


@case("7.1 the limit is per consumer")
def per_consumer(b: Bench) -> None:
    c = b.channel()
    q, r = c.queue(b.q("q")), c.queue(b.q("r"))
    filled(c, q, 3)
    filled(c, r, 3)
    c.await_count(q, 3)
    c.await_count(r, 3)
    c.do("basic.qos", prefetch_count=1)
    c.do("basic.consume", queue=q, consumer_tag="t")
    c.deliveries(1)
    c.do("basic.qos", prefetch_count=2)
    c.do("basic.consume", queue=r, consumer_tag="u")
    c.deliveries(2)
    c.settle()


@case("7.1 no_ack consumers have no limit")
def no_ack(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q())
    filled(c, q, 4)
    c.do("basic.qos", prefetch_count=1)
    c.do("basic.consume", queue=q, consumer_tag="t", no_ack=True)
    c.deliveries(4)


@case("7.1 global: one limit for the channel")
def channel_limit(b: Bench) -> None:
    c = b.channel()
    q, r = c.queue(b.q("q")), c.queue(b.q("r"))
    filled(c, q, 4)
    filled(c, r, 4)
    c.await_count(q, 4)
    c.await_count(r, 4)
    c.call("basic.qos", prefetch_count=3, global_=True)
    c.do("basic.consume", queue=q, consumer_tag="t")
    c.deliveries(3)
    c.do("basic.consume", queue=r, consumer_tag="u")
    c.settle()
    c.send("basic.ack", delivery_tag=3, multiple=True)
    tags = sorted(c.until_quietly("basic.deliver").fields["consumer_tag"] for _ in range(3))
    b.check(len(tags) == 3, "three more")
    c.settle()


@case("7.1 global limit raised, lowered and lifted while consuming")
def channel_limit_changes(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q())
    filled(c, q, 8)
    c.await_count(q, 8)
    c.do("basic.qos", prefetch_count=1, global_=True)
    c.do("basic.consume", queue=q, consumer_tag="t")
    c.deliveries(1)
    c.settle()
    c.call("basic.qos", prefetch_count=3, global_=True)
    c.deliveries(2)
    c.settle()
    c.call("basic.qos", prefetch_count=0, global_=True)
    c.deliveries(5)


@case("7.1 both limits: the smaller counts")
def both(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q())
    filled(c, q, 6)
    c.await_count(q, 6)
    c.do("basic.qos", prefetch_count=2)
    c.do("basic.qos", prefetch_count=3, global_=True)
    c.do("basic.consume", queue=q, consumer_tag="t")
    c.deliveries(2)
    c.do("basic.consume", queue=q, consumer_tag="u")
    c.deliveries(1)
    c.settle()


@case("7.1 what was got counts against the global limit")
def get_counts(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q())
    filled(c, q, 5)
    c.get(q, no_ack=False)
    c.do("basic.qos", prefetch_count=2, global_=True)
    c.do("basic.consume", queue=q, consumer_tag="t")
    c.deliveries(1)
    c.settle()


@rows("1.1 prefetch_size {0}", [(1,), (1000,), (4294967295,)])
def prefetch_size(b: Bench, size: int) -> None:
    c = b.channel()
    c.send("basic.qos", prefetch_size=size)
    c.died(540, f"NOT_IMPLEMENTED - prefetch_size!=0 ({size})")


@case("7.1 get is not limited")
def get_unlimited(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q())
    filled(c, q, 3)
    c.do("basic.qos", prefetch_count=1)
    for _ in range(3):
        c.get(q, no_ack=False)


@case("7.1 after cancel the limit of the next consumer is its own")
def after_cancel(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q())
    filled(c, q, 4)
    c.do("basic.qos", prefetch_count=1)
    c.do("basic.consume", queue=q, consumer_tag="t")
    c.deliveries(1)
    c.do("basic.cancel", consumer_tag="t")
    c.do("basic.consume", queue=q, consumer_tag="u")
    c.deliveries(1)
    c.settle()


@case("7.2 get-ok and get-empty")
def get(b: Bench) -> None:
    c = b.channel()
    q, x = c.queue(b.q()), c.exchange(b.x(), "fanout")
    c.bind(q, x)
    c.publish(x, "k", b"1", headers={"a": 1})
    c.publish(x, "l", b"2")
    c.get(q, no_ack=False)
    c.get(q)
    c.get(q)


@case("7.2 get while a consumer takes everything")
def get_consumer(b: Bench) -> None:
    c = b.connect().open(1, 2)
    q = c.queue(b.q())
    c.do("basic.consume", queue=q, consumer_tag="t")
    filled(c, q, 2)
    c.deliveries(2)
    c.get(q, 2)
