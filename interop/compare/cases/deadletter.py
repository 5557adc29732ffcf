"""Section 12: dead lettering: why, where to, what the message carries afterwards, cycles."""

from __future__ import annotations

from typing import Any

from ..bench import Bench, case, rows
from ..client import Client


def graveyard(b: Bench, c: Client, **arguments: object) -> tuple[str, str]:
    """A queue that dead-letters through a fanout exchange into a second queue; (queue, second queue)."""
    x, dead = c.exchange(b.x("dlx"), "fanout"), c.queue(b.q("dead"))
    c.bind(dead, x)
    return c.queue(b.q(), arguments={"x-dead-letter-exchange": x, **arguments}), dead


WAYS = ("reject", "nack", "nack multiple", "ttl", "expiration", "maxlen")


def die(c: Client, q: str, way: str, body: bytes = b"1", **properties: Any) -> None:
    """Publish a message and have it dead-lettered; the queue must have the arguments that fit."""
    if way == "expiration":
        properties["expiration"] = "30"
    c.publish("", q, body, **properties)
    if way == "maxlen":
        c.publish("", q, b"pushes the other out")
    elif way in ("reject", "nack", "nack multiple"):
        tag = c.do_get(q, no_ack=False).fields["delivery_tag"]
        options = {"multiple": True} if way == "nack multiple" else {}
        c.send("basic.reject" if way == "reject" else "basic.nack", delivery_tag=tag, **options)


def arguments_for(way: str) -> dict[str, Any]:
    return {"ttl": {"x-message-ttl": 30}, "maxlen": {"x-max-length": 1}}.get(way, {})


@rows("12 dead-lettered by {0}", [(way,) for way in WAYS])
def by(b: Bench, way: str) -> None:
    c = b.channel()
    q, dead = graveyard(b, c, **arguments_for(way))
    die(c, q, way)
    c.await_get(dead)


@rows("12 dead-lettered by {0} with a routing key of its own", [(way,) for way in WAYS])
def by_with_key(b: Bench, way: str) -> None:
    c = b.channel()
    q, dead = graveyard(b, c, **arguments_for(way), **{"x-dead-letter-routing-key": "buried"})
    die(c, q, way, content_type="text/plain", headers={"mine": 1}, delivery_mode=2, priority=3, correlation_id="c")
    c.await_get(dead)


@case("12 dead-lettered to a queue by the default exchange")
def default_exchange(b: Bench) -> None:
    c = b.channel()
    dead = c.queue(b.q("dead"))
    q = c.queue(b.q(), arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead})
    die(c, q, "reject")
    c.await_get(dead)


@case("12 dead-lettered by the default exchange without a key: back to itself")
def default_exchange_no_key(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q(), arguments={"x-dead-letter-exchange": ""})
    die(c, q, "reject")
    c.await_get(q)


@rows(
    "12 {0}: dropped",
    [("a missing dead letter exchange", "missing"), ("a dead letter exchange without bindings", "unbound")],
)
def dropped(b: Bench, _: str, which: str) -> None:
    c = b.channel()
    x = b.x() if which == "missing" else c.exchange(b.x(), "direct")
    q = c.queue(b.q(), arguments={"x-dead-letter-exchange": x})
    die(c, q, "reject")
    c.settle()
    c.get(q)


@case("12 the dead letter exchange's alternate exchange is used")
def alternate(b: Bench) -> None:
    c = b.channel()
    rest, dead = c.exchange(b.x("rest"), "fanout"), c.queue(b.q("dead"))
    x = c.exchange(b.x(), "direct", arguments={"alternate-exchange": rest})
    c.bind(dead, rest)
    q = c.queue(b.q(), arguments={"x-dead-letter-exchange": x})
    die(c, q, "reject")
    c.await_get(dead)


@case("12 nack without requeue and without a dead letter exchange drops")
def no_exchange(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q())
    die(c, q, "nack")
    c.get(q)


@case("12 several messages rejected at once keep their order")
def order(b: Bench) -> None:
    c = b.channel()
    q, dead = graveyard(b, c)
    for n in range(4):
        c.publish("", q, str(n).encode())
    for _ in range(4):
        c.do_get(q, no_ack=False)
    c.send("basic.nack", delivery_tag=0, multiple=True)
    c.await_count(dead, 4)
    c.bodies(dead)


@case("12 a headers table that was there keeps its entries")
def keeps_headers(b: Bench) -> None:
    c = b.channel()
    q, dead = graveyard(b, c)
    die(
        c,
        q,
        "reject",
        headers={"a": "first", "z": [1, 2]},
        message_id="m",
        timestamp=1700000000,
        user_id="guest",
        app_id="app",
        type="t",
        reply_to="r",
    )
    c.await_get(dead)


@case("12 dead-lettered twice from one queue for one reason: counted")
def counted(b: Bench) -> None:
    c = b.channel()
    q, dead = graveyard(b, c, **{"x-dead-letter-routing-key": "k"})
    c.do("queue.bind", queue=q, exchange=b.name("dlx"))
    c.publish("", q, b"1")
    for _ in range(2):
        event = c.await_get_unacked(q)
        c.send("basic.reject", delivery_tag=event.fields["delivery_tag"])
    c.await_count(dead, 2)
    c.drain(dead)


@case("12 through two queues: x-death has both, the latest first")
def two_queues(b: Bench) -> None:
    c = b.channel()
    last = c.queue(b.q("last"))
    middle = c.queue(
        b.q("middle"), arguments={"x-message-ttl": 30, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": last}
    )
    q = c.queue(b.q(), arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": middle})
    die(c, q, "reject", expiration="60000", headers={"mine": True})
    c.await_get(last)


@case("12 one queue, two reasons: two entries")
def two_reasons(b: Bench) -> None:
    c = b.channel()
    wait = b.q("wait")
    q = c.queue(b.q(), arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": wait})
    c.queue(wait, arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": q, "x-message-ttl": 30})
    die(c, q, "reject")
    event = c.await_get_unacked(q)
    c.send("basic.nack", delivery_tag=event.fields["delivery_tag"])
    event = c.await_get_unacked(q)
    c.record(event)


@case("12 CC and BCC keys go with a message that has no key of its own to die by")
def cc(b: Bench) -> None:
    c = b.channel()
    x = c.exchange(b.x("dlx"), "direct")
    dead, copy = c.queue(b.q("dead")), c.queue(b.q("copy"))
    q = c.queue(b.q(), arguments={"x-dead-letter-exchange": x})
    c.bind(dead, x, q)
    c.bind(copy, x, "cc")
    die(c, q, "reject", headers={"BCC": ["bcc"], "CC": ["cc"]})
    c.await_get(dead)
    c.await_get(copy)


@case("12 CC keys are left behind where the queue has a dead letter key")
def cc_with_key(b: Bench) -> None:
    c = b.channel()
    x = c.exchange(b.x("dlx"), "direct")
    dead, copy = c.queue(b.q("dead")), c.queue(b.q("copy"))
    q = c.queue(b.q(), arguments={"x-dead-letter-exchange": x, "x-dead-letter-routing-key": "k"})
    c.bind(dead, x, "k")
    c.bind(copy, x, "cc")
    die(c, q, "reject", headers={"CC": ["cc"]})
    c.await_get(dead)
    c.get(copy)


@case("12 published to an exchange: x-death names it and its key")
def exchange_named(b: Bench) -> None:
    c = b.channel()
    q, dead = graveyard(b, c)
    x = c.exchange(b.x(), "topic")
    c.bind(q, x, "a.#")
    c.publish(x, "a.b", b"1", headers={"CC": ["a.c"]})
    tag = c.await_get_unacked(q).fields["delivery_tag"]
    c.send("basic.reject", delivery_tag=tag)
    c.await_get(dead)


# -- cycles -----------------------------------------------------------------------------------------------------------
@case("12 an automatic cycle ends: a TTL queue that dead-letters to itself")
def cycle_self(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q(), arguments={"x-message-ttl": 30, "x-dead-letter-exchange": ""})
    c.publish("", q, b"1")
    c.quiet(0.4)
    c.count(q)


@case("12 an automatic cycle of two queues ends")
def cycle_two(b: Bench) -> None:
    c = b.channel()
    p = b.q("p")
    q = c.queue(b.q("q"), arguments={"x-message-ttl": 30, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": p})
    c.queue(p, arguments={"x-message-ttl": 30, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": q})
    c.publish("", q, b"1")
    c.quiet(0.5)
    c.count(p)
    c.count(q)


@case("12 only the targets that would be a cycle are left out")
def cycle_partial(b: Bench) -> None:
    c = b.channel()
    x, dead = c.exchange(b.x("dlx"), "fanout"), c.queue(b.q("dead"))
    q = c.queue(b.q(), arguments={"x-message-ttl": 30, "x-dead-letter-exchange": x})
    c.bind(q, x)
    c.bind(dead, x)
    c.publish("", q, b"1")
    c.await_get(dead)
    c.quiet(0.1)
    c.count(q)


@case("12 a rejection in between makes it no cycle")
def cycle_broken(b: Bench) -> None:
    c = b.channel()
    p = b.q("p")
    q = c.queue(b.q("q"), arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": p})
    c.queue(p, arguments={"x-message-ttl": 30, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": q})
    c.publish("", q, b"1")
    for _ in range(3):
        event = c.await_get_unacked(q)
        c.send("basic.reject", delivery_tag=event.fields["delivery_tag"])
    c.record(c.await_get_unacked(q))


# -- what clients send ------------------------------------------------------------------------------------------------
@case("12 x-death from a client is not counted on")
def republished(b: Bench) -> None:
    c = b.channel()
    q, dead = graveyard(b, c)
    die(c, q, "reject")
    event = c.await_get_unacked(dead)
    die(c, q, "reject", headers=event.properties["headers"])
    c.await_get(dead)


@case("12 x-death from a client that is no death at all")
def nonsense(b: Bench) -> None:
    c = b.channel()
    q, dead = graveyard(b, c)
    die(c, q, "reject", headers={"x-death": "nonsense", "x-first-death-queue": 5})
    c.await_get(dead)


@case("12 purge and delete do not dead-letter")
def purge(b: Bench) -> None:
    c = b.channel()
    q, dead = graveyard(b, c)
    c.publish("", q, b"1")
    c.do_get(dead)
    c.call("queue.purge", queue=q)
    c.publish("", q, b"2")
    c.call("queue.delete", queue=q)
    c.settle()
    c.get(dead)


@case("12 an expired message in front of a delivered one")
def expired_order(b: Bench) -> None:
    c = b.channel()
    q, dead = graveyard(b, c)
    for n in range(3):
        c.publish("", q, str(n).encode(), expiration=str(30 + 10 * n))
    c.await_count(dead, 3)
    c.bodies(dead)


@case("12 mandatory is not asked of a dead letter")
def mandatory(b: Bench) -> None:
    c = b.channel()
    x = c.exchange(b.x(), "direct")
    q = c.queue(b.q(), arguments={"x-dead-letter-exchange": x})
    die(c, q, "reject", mandatory=True)
    c.settle()


@case("12 a dead letter starts as not redelivered")
def redelivered(b: Bench) -> None:
    c = b.channel()
    q, dead = graveyard(b, c)
    c.publish("", q, b"1")
    tag = c.do_get(q, no_ack=False).fields["delivery_tag"]
    c.send("basic.nack", delivery_tag=tag, requeue=True)
    event = c.get(q, no_ack=False)
    c.send("basic.nack", delivery_tag=event.fields["delivery_tag"])
    c.await_get(dead)
