"""Sections 1.1, 7 and 8: ack, nack, reject, recover; requeue, order and the redelivered flag."""

from __future__ import annotations

from typing import Any

from ..bench import Bench, case, rows
from ..client import Client


def taken(b: Bench, count: int, outstanding: int) -> tuple[Client, str]:
    """A queue with `count` messages, `outstanding` of them got and not acknowledged (tags 1, 2, ...)."""
    c = b.channel()
    q = c.queue(b.q())
    for n in range(1, count + 1):
        c.publish("", q, str(n).encode())
    for _ in range(outstanding):
        c.do_get(q, no_ack=False)
    return c, q


def left(c: Client, q: str) -> None:
    """Close the channel, so that what was not settled returns, and record what the queue holds, with the
    redelivered flags.
    """
    c.do("channel.close", reply_code=200)
    c.open()
    c.drain(q)


SETTLE = [
    ("ack 2", "basic.ack", {"delivery_tag": 2}),
    ("ack 2 multiple", "basic.ack", {"delivery_tag": 2, "multiple": True}),
    ("ack 0 multiple", "basic.ack", {"delivery_tag": 0, "multiple": True}),
    ("nack 2", "basic.nack", {"delivery_tag": 2}),
    ("nack 2 multiple", "basic.nack", {"delivery_tag": 2, "multiple": True}),
    ("nack 0 multiple", "basic.nack", {"delivery_tag": 0, "multiple": True}),
    ("nack 2 requeue", "basic.nack", {"delivery_tag": 2, "requeue": True}),
    ("nack 2 multiple requeue", "basic.nack", {"delivery_tag": 2, "multiple": True, "requeue": True}),
    ("nack 0 multiple requeue", "basic.nack", {"delivery_tag": 0, "multiple": True, "requeue": True}),
    ("reject 2", "basic.reject", {"delivery_tag": 2}),
    ("reject 2 requeue", "basic.reject", {"delivery_tag": 2, "requeue": True}),
]


@rows("7 {0} of 3 outstanding", SETTLE)
def settle(b: Bench, _: str, method: str, options: dict[str, Any]) -> None:
    c, q = taken(b, 4, 3)
    c.send(method, **options)
    c.sync()
    left(c, q)


@rows("8 {0} of 3 outstanding: what get finds next", [row for row in SETTLE if "requeue" in row[0]])
def next_get(b: Bench, _: str, method: str, options: dict[str, Any]) -> None:
    c, q = taken(b, 4, 3)
    c.send(method, **options)
    c.drain(q)


@rows(
    "1.1 {0} with {1}",
    [
        (m, n, o)
        for m in ("basic.ack", "basic.nack", "basic.reject")
        for n, o in (("tag 99", {"delivery_tag": 99}), ("tag 0", {"delivery_tag": 0}))
    ],
)
def unknown(b: Bench, method: str, _: str, options: dict[str, int]) -> None:
    c, _ = taken(b, 1, 1)
    c.send(method, **options)
    c.refused(406, f"PRECONDITION_FAILED - unknown delivery tag {options['delivery_tag']}")


@rows("1.1 {0} twice", [("basic.ack",), ("basic.nack",), ("basic.reject",)])
def twice(b: Bench, method: str) -> None:
    c, _ = taken(b, 2, 2)
    c.send(method, delivery_tag=1)
    c.send(method, delivery_tag=1)
    c.refused(406, "PRECONDITION_FAILED - unknown delivery tag 1")


@rows("7 {0} 0 multiple with nothing outstanding", [("basic.ack",), ("basic.nack",)])
def none_outstanding(b: Bench, method: str) -> None:
    c = b.channel()
    c.send(method, delivery_tag=0, multiple=True)
    c.sync()


@rows("1.1 ack {0} multiple, {1}", [(9, "beyond the last"), (1, "settled already")])
def multiple_unknown(b: Bench, tag: int, _: str) -> None:
    c, _q = taken(b, 2, 2)
    c.send("basic.ack", delivery_tag=1)
    c.send("basic.ack", delivery_tag=tag, multiple=True)
    c.send("basic.qos")
    c.until("basic.qos-ok", "channel.close")


@case("7 ack 3 multiple with a hole")
def hole(b: Bench) -> None:
    c, q = taken(b, 4, 4)
    c.send("basic.ack", delivery_tag=2)
    c.send("basic.ack", delivery_tag=3, multiple=True)
    c.sync()
    left(c, q)


@case("1.1 an ack on another channel")
def other_channel(b: Bench) -> None:
    c, _ = taken(b, 1, 1)
    c.open(2)
    c.send("basic.ack", 2, delivery_tag=1)
    c.refused(406, "PRECONDITION_FAILED - unknown delivery tag 1", 2)


@case("8 nacks in reverse order restore the order")
def reverse(b: Bench) -> None:
    c, q = taken(b, 5, 5)
    for tag in (5, 4, 3, 2, 1):
        c.send("basic.nack", delivery_tag=tag, requeue=True)
    c.drain(q)


@case("8 nacks in any order restore the order")
def any_order(b: Bench) -> None:
    c, q = taken(b, 6, 5)
    for tag in (3, 1, 5, 2, 4):
        c.send("basic.reject", delivery_tag=tag, requeue=True)
    c.drain(q)


@case("8 the connection drops: what was outstanding comes first, marked redelivered")
def dropped(b: Bench) -> None:
    c, watch = b.channel(), b.channel()
    q = c.queue(b.q(), durable=True)
    for n in range(5):
        c.publish("", q, str(n).encode())
    c.do("basic.qos", prefetch_count=3)
    c.do("basic.consume", queue=q, consumer_tag="t")
    for _ in range(3):
        c.until_quietly("basic.deliver")
    c.drop()
    watch.await_count(q, 5)
    watch.drain(q)


@case("8 a requeued message goes to another consumer")
def requeue_to_other(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q())
    c.do("basic.qos", prefetch_count=1)
    c.do("basic.consume", queue=q, consumer_tag="t")
    c.publish("", q, b"1")
    c.deliveries(1)
    c.do("basic.consume", queue=q, consumer_tag="u")
    c.send("basic.nack", delivery_tag=1, requeue=True)
    c.deliveries(1)


@case("8 a requeued message comes back to its only consumer, marked redelivered")
def requeue_to_self(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q())
    c.do("basic.consume", queue=q, consumer_tag="t")
    c.publish("", q, b"1")
    c.deliveries(1)
    c.send("basic.reject", delivery_tag=1, requeue=True)
    c.deliveries(1)
    c.send("basic.nack", delivery_tag=2, requeue=True)
    c.deliveries(1)


@case("8 a message got with no_ack is gone")
def no_ack_gone(b: Bench) -> None:
    c = b.connect().open(1, 2)
    q = c.queue(b.q())
    c.publish("", q, b"1", channel=2)
    c.get(q, 2)
    c.do("channel.close", 2, reply_code=200)
    c.get(q)


@case("8 a message got, requeued and got again is marked redelivered")
def get_again(b: Bench) -> None:
    c, q = taken(b, 1, 1)
    c.send("basic.nack", delivery_tag=1, requeue=True)
    c.get(q, no_ack=False)
    c.send("basic.reject", delivery_tag=2, requeue=True)
    c.get(q)


@case("8 messages of several publishers keep each publisher's order")
def publishers(b: Bench) -> None:
    c = b.connect().open(1, 2)
    q = c.queue(b.q())
    for n in range(5):
        c.publish("", q, f"a{n}".encode())
    c.sync(1)
    for n in range(5):
        c.publish("", q, f"b{n}".encode(), channel=2)
    c.sync(2)
    c.await_count(q, 10)
    c.bodies(q)


@rows("7 {0} with requeue", [("basic.recover",), ("basic.recover-async",)])
def recover(b: Bench, method: str) -> None:
    c = b.channel()
    q = c.queue(b.q())
    c.do("basic.consume", queue=q, consumer_tag="t")
    for n in range(3):
        c.publish("", q, str(n).encode())
    c.deliveries(3)
    c.send("basic.ack", delivery_tag=2)
    c.send(method, requeue=True)
    if method == "basic.recover":
        c.until("basic.recover-ok")
    c.deliveries(2)


@case("7 recover-ok comes before the redeliveries")
def recover_order(b: Bench) -> None:
    c, q = taken(b, 2, 2)
    c.call("basic.recover", requeue=True)
    c.drain(q)


@case("7 recover with nothing outstanding")
def recover_nothing(b: Bench) -> None:
    b.channel().call("basic.recover", requeue=True)


@rows("1.1 {0} without requeue", [("basic.recover",), ("basic.recover-async",)])
def recover_false(b: Bench, method: str) -> None:
    c = b.channel()
    c.send(method, requeue=False)
    c.died(540, "NOT_IMPLEMENTED - requeue=false")


@case("7 tags settled by recover are unknown afterwards")
def recover_settles(b: Bench) -> None:
    c, _ = taken(b, 1, 1)
    c.do("basic.recover", requeue=True)
    c.send("basic.ack", delivery_tag=1)
    c.refused(406, "PRECONDITION_FAILED - unknown delivery tag 1")


@case("7 an ack for a queue that was deleted")
def ack_deleted(b: Bench) -> None:
    c, q = taken(b, 1, 1)
    c.do("queue.delete", queue=q)
    c.send("basic.ack", delivery_tag=1)
    c.sync()


@case("7 a nack with requeue for a queue that was deleted")
def nack_deleted(b: Bench) -> None:
    c, q = taken(b, 1, 1)
    c.do("queue.delete", queue=q)
    c.send("basic.nack", delivery_tag=1, requeue=True)
    c.sync()
