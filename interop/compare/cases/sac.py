"""Section 14: single active consumer."""

from __future__ import annotations

from ..bench import Bench, case, queue_text, rows
from ..client import Client


def queue(b: Bench, c: Client) -> str:
    return c.queue(b.q(), arguments={"x-single-active-consumer": True})


@case("14 only the first consumer gets messages")
def first(b: Bench) -> None:
    c = b.channel()
    q = queue(b, c)
    c.call("basic.consume", queue=q, consumer_tag="t")
    c.call("basic.consume", queue=q, consumer_tag="u")
    for n in range(3):
        c.publish("", q, str(n).encode())
    c.deliveries(3)


@case("14 the next takes over when the active one cancels, who keeps what it has")
def cancel(b: Bench) -> None:
    c = b.channel()
    q = queue(b, c)
    c.do("basic.consume", queue=q, consumer_tag="t")
    c.do("basic.consume", queue=q, consumer_tag="u")
    c.publish("", q, b"1")
    c.deliveries(1)
    c.call("basic.cancel", consumer_tag="t")
    c.publish("", q, b"2")
    c.deliveries(1)
    c.send("basic.ack", delivery_tag=1)
    c.send("basic.ack", delivery_tag=2)
    c.sync()


@case("14 the active one's channel closes: its messages go to the next")
def close(b: Bench) -> None:
    c = b.connect().open(1, 2)
    q = queue(b, c)
    c.do("basic.consume", 1, queue=q, consumer_tag="t")
    c.do("basic.consume", 2, queue=q, consumer_tag="u")
    c.publish("", q, b"1")
    c.publish("", q, b"2")
    c.deliveries(2)
    c.send("channel.close", 1, reply_code=200)
    after = [c.next() for _ in range(3)]
    for event in sorted((event for event in after if event), key=lambda event: event.channel):
        c.record(event)


@case("14 the prefetch limit of the active one holds, the others do not help")
def prefetch(b: Bench) -> None:
    c = b.channel()
    q = queue(b, c)
    c.do("basic.qos", prefetch_count=1)
    c.do("basic.consume", queue=q, consumer_tag="t")
    c.do("basic.consume", queue=q, consumer_tag="u")
    c.publish("", q, b"1")
    c.publish("", q, b"2")
    c.deliveries(1)
    c.settle()
    c.send("basic.ack", delivery_tag=1)
    c.deliveries(1)


@case("14 a higher priority does not take over, but is the next")
def priority(b: Bench) -> None:
    c = b.channel()
    q = queue(b, c)
    c.do("basic.consume", queue=q, consumer_tag="first")
    c.do("basic.consume", queue=q, consumer_tag="low", arguments={"x-priority": 1})
    c.do("basic.consume", queue=q, consumer_tag="high", arguments={"x-priority": 5})
    c.publish("", q, b"1")
    c.deliveries(1)
    c.do("basic.cancel", consumer_tag="first")
    c.publish("", q, b"2")
    c.deliveries(1)


@rows("14 exclusive consume, {0}", [("first", True), ("second", False)])
def exclusive(b: Bench, _: str, alone: bool) -> None:
    c = b.channel()
    q = queue(b, c)
    if not alone:
        c.do("basic.consume", queue=q, consumer_tag="t")
    c.send("basic.consume", queue=q, consumer_tag="u", exclusive=True)
    c.refused(403, f"ACCESS_REFUSED - {queue_text(q)} in exclusive use")


@case("14 basic.get is allowed")
def get(b: Bench) -> None:
    c = b.channel()
    q = queue(b, c)
    c.publish("", q, b"1")
    c.get(q)


@case("14 requeued by the active one: back to it")
def requeue(b: Bench) -> None:
    c = b.channel()
    q = queue(b, c)
    c.do("basic.consume", queue=q, consumer_tag="t")
    c.do("basic.consume", queue=q, consumer_tag="u")
    c.publish("", q, b"1")
    c.deliveries(1)
    c.send("basic.nack", delivery_tag=1, requeue=True)
    c.deliveries(1)


@case("14 every consumer counts")
def count(b: Bench) -> None:
    c = b.channel()
    q = queue(b, c)
    c.do("basic.consume", queue=q, consumer_tag="t")
    c.do("basic.consume", queue=q, consumer_tag="u")
    c.count(q)
