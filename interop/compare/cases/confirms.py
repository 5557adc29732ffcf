"""Section 6: publisher confirms: numbering, acks, nacks, returns before acks."""

from __future__ import annotations

from ..bench import Bench, case


@case("6 confirm.select twice, and numbering starts with it")
def select(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q())
    c.publish("", q, b"before")
    c.call("confirm.select")
    c.publish("", q, b"1")
    c.confirms()
    c.call("confirm.select")
    c.publish("", q, b"2")
    c.confirms()


@case("6 confirm.select with nowait")
def select_nowait(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q())
    c.send("confirm.select", nowait=True)
    c.publish("", q, b"1")
    c.confirms()


@case("6 a persistent message to a durable queue is acked")
def persistent(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q(), durable=True)
    c.do("confirm.select")
    for n in range(5):
        c.publish("", q, str(n).encode(), delivery_mode=2)
    c.confirms()


@case("6 transient and persistent messages mixed, routed and not")
def mixed(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q(), durable=True)
    c.do("confirm.select")
    for n in range(20):
        c.publish("", q if n % 3 else b.name("nobody"), str(n).encode(), delivery_mode=1 + n % 2)
    c.confirms()
    c.bodies(q)


@case("6 an unroutable message is acked at once, singly")
def unroutable(b: Bench) -> None:
    c = b.channel()
    c.do("confirm.select")
    c.publish("", b.name("nobody"), b"1")
    c.until("basic.ack")


@case("6 a mandatory message comes back before its ack")
def return_then_ack(b: Bench) -> None:
    c = b.channel()
    c.do("confirm.select")
    c.publish("", b.name("nobody"), b"1", mandatory=True)
    c.until("basic.ack")


@case("6 several mandatory messages, each back before its ack")
def returns(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q())
    c.do("confirm.select")
    for n in range(1, 7):
        c.publish("", q if n % 2 else b.name("nobody"), str(n).encode(), mandatory=True)
    c.confirms(2, 4, 6)


@case("6 a message for several queues is acked once")
def several_queues(b: Bench) -> None:
    c = b.channel()
    x = c.exchange(b.x(), "fanout")
    for name in "pqr":
        c.bind(c.queue(b.q(name)), x)
    c.do("confirm.select")
    c.publish(x, "", b"1")
    c.until("basic.ack")
    c.settle()


@case("6 nacks of a full queue")
def nacks(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q(), arguments={"x-max-length": 2, "x-overflow": "reject-publish"})
    c.do("confirm.select")
    for n in range(5):
        c.publish("", q, str(n).encode())
    c.confirms()
    c.bodies(q)


@case("6 a single nack has requeue unset or set")
def nack_bits(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q(), arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    c.do("confirm.select")
    c.publish("", q, b"taken")
    c.confirms()
    c.publish("", q, b"refused")
    c.until("basic.nack")


@case("6 nacked if one of several queues is full, the others have it")
def nack_one(b: Bench) -> None:
    c = b.channel()
    x = c.exchange(b.x(), "fanout")
    full, free = (
        c.queue(b.q("full"), arguments={"x-max-length": 0, "x-overflow": "reject-publish"}),
        c.queue(b.q("free")),
    )
    c.bind(full, x)
    c.bind(free, x)
    c.do("confirm.select")
    c.publish(x, "", b"1")
    c.confirms()
    c.bodies(full, free)


@case("6 a message to a queue deleted meanwhile counts as confirmed")
def deleted(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q(), durable=True)
    c.do("confirm.select")
    for n in range(3):
        c.publish("", q, str(n).encode(), delivery_mode=2)
    c.send("queue.delete", queue=q, nowait=True)
    c.confirms()


@case("6 a message delivered at once is acked as well")
def delivered(b: Bench) -> None:
    c = b.connect().open(1, 2)
    q = c.queue(b.q())
    c.do("basic.consume", 2, queue=q, consumer_tag="t", no_ack=True)
    c.do("confirm.select")
    c.publish("", q, b"1", delivery_mode=2)
    got = {event.name for event in (c.next(), c.next()) if event}
    b.note(f"in any order: {sorted(got)}")


@case("6 a message that expires at once is acked")
def expired(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q(), arguments={"x-message-ttl": 0})
    c.do("confirm.select")
    c.publish("", q, b"1")
    c.confirms()


@case("6 a message dropped from a full queue is acked")
def dropped(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q(), arguments={"x-max-length": 1})
    c.do("confirm.select")
    for n in range(3):
        c.publish("", q, str(n).encode())
    c.confirms()
    c.bodies(q)


@case("6 a channel error leaves later publishes unconfirmed")
def error(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q())
    c.do("confirm.select")
    c.publish("", q, b"1")
    c.confirms()
    c.publish(b.x("missing"), "k", b"2")
    c.publish("", q, b"3")
    c.until("channel.close")
    c.reopen()
    c.settle()
    c.bodies(q)


@case("6 confirms are the channel's own")
def per_channel(b: Bench) -> None:
    c = b.connect().open(1, 2)
    q = c.queue(b.q())
    c.do("confirm.select", 2)
    c.send("basic.qos")
    c.publish("", q, b"not confirmed", channel=1)
    c.settle()
