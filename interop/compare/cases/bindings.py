"""Sections 1.1 and 5: bind and unbind, of queues and of exchanges, and where a message goes."""

from __future__ import annotations

from typing import Any

from ..bench import Bench, case, exchange_text, queue_text, rows
from ..client import Client
from ..codec import Tagged


@case("1.1 bind: exchange and queue missing")
def both_missing(b: Bench) -> None:
    c = b.channel()
    q, x = b.q(), b.x()
    c.send("queue.bind", queue=q, exchange=x)
    c.refused(404, f"NOT_FOUND - no {exchange_text(x)}")


@case("1.1 bind: exchange missing")
def exchange_missing(b: Bench) -> None:
    c = b.channel()
    q, x = c.queue(b.q()), b.x()
    c.send("queue.bind", queue=q, exchange=x)
    c.refused(404, f"NOT_FOUND - no {exchange_text(x)}")


@rows("1.1 exchange.bind with a missing {0}", [("source",), ("destination",), ("both",)])
def exchange_bind_missing(b: Bench, which: str) -> None:
    c = b.channel()
    source = b.x("source") if which != "destination" else c.exchange(b.x("source"), "fanout")
    destination = b.x("destination") if which != "source" else c.exchange(b.x("destination"), "fanout")
    c.send("exchange.bind", source=source, destination=destination)
    c.until("channel.close")


@rows("1.1 unbind: {0} missing", [("the binding",), ("the queue",), ("the exchange",), ("everything",)])
def unbind_missing(b: Bench, which: str) -> None:
    c = b.channel()
    q = b.q() if which in ("the queue", "everything") else c.queue(b.q())
    x = b.x() if which in ("the exchange", "everything") else c.exchange(b.x(), "direct")
    c.call("queue.unbind", queue=q, exchange=x, routing_key="k")


@rows("1.1 exchange.unbind: {0} missing", [("the binding",), ("the source",), ("the destination",)])
def exchange_unbind_missing(b: Bench, which: str) -> None:
    c = b.channel()
    source = b.x("source") if which == "the source" else c.exchange(b.x("source"), "fanout")
    destination = b.x("destination") if which == "the destination" else c.exchange(b.x("destination"), "fanout")
    c.call("exchange.unbind", source=source, destination=destination)


@case("5 a binding made twice is one binding")
def twice(b: Bench) -> None:
    c = b.channel()
    q, x = c.queue(b.q()), c.exchange(b.x(), "direct")
    c.call("queue.bind", queue=q, exchange=x, routing_key="k")
    c.call("queue.bind", queue=q, exchange=x, routing_key="k")
    c.publish(x, "k", b"once")
    c.bodies(q)
    c.call("queue.unbind", queue=q, exchange=x, routing_key="k")
    c.publish(x, "k", b"none", mandatory=True)
    c.until("basic.return")


@case("5 bindings differ by their arguments")
def arguments_differ(b: Bench) -> None:
    c = b.channel()
    q, x = c.queue(b.q()), c.exchange(b.x(), "direct")
    c.bind(q, x, "k", a=1)
    c.bind(q, x, "k", a=2)
    c.call("queue.unbind", queue=q, exchange=x, routing_key="k")
    c.call("queue.unbind", queue=q, exchange=x, routing_key="k", arguments={"a": 1})
    c.publish(x, "k", b"still bound")
    c.bodies(q)
    c.call("queue.unbind", queue=q, exchange=x, routing_key="k", arguments={"a": 2})
    c.publish(x, "k", b"no more", mandatory=True)
    c.until("basic.return")


@rows(
    "5 unbind with the same arguments {0}",
    [("in another order", {"b": 2, "a": 1}), ("in another integer width", {"a": Tagged("l", 1), "b": 2})],
)
def arguments_sorted(b: Bench, _: str, arguments: dict[str, Any]) -> None:
    c = b.channel()
    q, x = c.queue(b.q()), c.exchange(b.x(), "direct")
    c.bind(q, x, "k", a=1, b=2)
    c.call("queue.unbind", queue=q, exchange=x, routing_key="k", arguments=arguments)
    c.publish(x, "k", b"1", mandatory=True)
    c.send("basic.qos")
    c.until("basic.qos-ok")


@rows(
    "5 {0} exchange: bound with {1!r}, published with {2!r}",
    [
        ("direct", "k", "k"),
        ("direct", "k", "K"),
        ("direct", "k", ""),
        ("direct", "", ""),
        ("direct", "a.#", "a.b"),
        ("fanout", "k", "other"),
        ("fanout", "", ""),
        ("amq.direct", "k", "k"),
        ("amq.fanout", "", "k"),
    ],
)
def key_match(b: Bench, kind: str, bound: str, key: str) -> None:
    c = b.channel()
    q = c.queue(b.q())
    x = kind if kind.startswith("amq.") else c.exchange(b.x(), kind)
    if kind == "amq.direct":
        bound, key = b.name(bound), b.name(key)
    c.bind(q, x, bound)
    c.publish(x, key, b"1")
    c.drain(q) if kind != "amq.fanout" else c.sync()


@case("5 a queue bound in several ways gets a message once")
def once(b: Bench) -> None:
    c = b.channel()
    x, y, q = c.exchange(b.x(), "topic"), c.exchange(b.x("y"), "fanout"), c.queue(b.q())
    for key in ("a.*", "a.b", "#"):
        c.bind(q, x, key)
    c.bind(q, y)
    c.do("exchange.bind", source=x, destination=y, routing_key="a.#")
    c.publish(x, "a.b", b"1")
    c.bodies(q)


@case("5 an empty queue name and an empty key bind the queue by its name")
def empty_both(b: Bench) -> None:
    c = b.channel()
    x, q = c.exchange(b.x(), "direct"), c.queue(b.q())
    c.call("queue.bind", queue="", exchange=x, routing_key="")
    c.publish(x, q, b"by name", mandatory=True)
    c.publish(x, "", b"by nothing", mandatory=True)
    c.until("basic.return")
    c.bodies(q)
    c.call("queue.unbind", queue="", exchange=x, routing_key="")
    c.publish(x, q, b"unbound", mandatory=True)
    c.until("basic.return")


@case("5 an empty queue name and a key")
def empty_queue_name(b: Bench) -> None:
    c = b.channel()
    x, q = c.exchange(b.x(), "direct"), c.queue(b.q())
    c.call("queue.bind", queue="", exchange=x, routing_key="k")
    c.publish(x, "k", b"by key")
    c.bodies(q)


@case("5 a queue name and an empty key: the key stays empty")
def empty_key(b: Bench) -> None:
    c = b.channel()
    x, q = c.exchange(b.x(), "direct"), c.queue(b.q())
    c.call("queue.bind", queue=q, exchange=x, routing_key="")
    c.publish(x, "", b"by nothing")
    c.bodies(q)


@case("5 exchange to exchange")
def e2e(b: Bench) -> None:
    c = b.channel()
    x, y, q = c.exchange(b.x(), "direct"), c.exchange(b.x("y"), "topic"), c.queue(b.q())
    c.call("exchange.bind", source=x, destination=y, routing_key="a.b")
    c.bind(q, y, "a.*")
    c.publish(x, "a.b", b"both match")
    c.publish(x, "a.c", b"the first does not", mandatory=True)
    c.until("basic.return")
    c.drain(q)
    c.call("exchange.unbind", source=x, destination=y, routing_key="a.b")
    c.publish(x, "a.b", b"unbound", mandatory=True)
    c.until("basic.return")


@case("5 exchanges bound in a circle, and to themselves")
def circle(b: Bench) -> None:
    c = b.channel()
    x, y, q = c.exchange(b.x(), "fanout"), c.exchange(b.x("y"), "fanout"), c.queue(b.q())
    c.call("exchange.bind", source=x, destination=y)
    c.call("exchange.bind", source=y, destination=x)
    c.call("exchange.bind", source=x, destination=x)
    c.bind(q, y)
    c.publish(x, "k", b"once")
    c.bodies(q)


@case("5 an alternate exchange on the way of exchange to exchange")
def e2e_alternate(b: Bench) -> None:
    c = b.channel()
    rest = c.exchange(b.x("rest"), "fanout")
    y = c.exchange(b.x("y"), "direct", arguments={"alternate-exchange": rest})
    x, q = c.exchange(b.x(), "fanout"), c.queue(b.q())
    c.do("exchange.bind", source=x, destination=y)
    c.bind(q, rest)
    c.publish(x, "k", b"1", mandatory=True)
    c.send("basic.qos")
    c.until("basic.qos-ok")
    c.bodies(q)


@case("5 deleting a queue removes its bindings")
def delete_queue(b: Bench) -> None:
    c = b.channel()
    q, x = c.queue(b.q()), c.exchange(b.x(), "fanout")
    c.bind(q, x)
    c.call("queue.delete", queue=q)
    c.queue(q)
    c.publish(x, "k", b"1", mandatory=True)
    c.until("basic.return")


@case("5 the default exchange routes by queue name")
def default_exchange(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q())
    c.publish("", q, b"1", mandatory=True)
    c.drain(q)
    c.publish("", b.name("nobody"), b"2", mandatory=True)
    c.until("basic.return")


@rows(
    "5 a routing key {0}",
    [
        ("in Unicode", "clé✓".encode()),
        ("of 255 bytes", b"k" * 255),
        ("with CR and LF", b"a\r\nb"),
        ("with zero bytes", b"a\0b"),
    ],
)
def odd_key(b: Bench, _: str, key: bytes) -> None:
    c = b.channel()
    q, x = c.queue(b.q()), c.exchange(b.x(), "direct")
    c.do("queue.bind", queue=q, exchange=x, routing_key=key)
    c.publish(x, key, b"1", mandatory=True)
    c.drain(q)


@case("5 a routing key that is no UTF-8")
def binary_key(b: Bench) -> None:
    c = b.channel()
    q, x = c.queue(b.q()), c.exchange(b.x(), "direct")
    c.send("queue.bind", queue=q, exchange=x, routing_key=b"\xff\xfe")
    c.until("queue.bind-ok", "channel.close", "connection.close", "closed")


@case("5 publish with a routing key that is no UTF-8")
def binary_publish_key(b: Bench) -> None:
    c = b.channel()
    x = c.exchange(b.x(), "direct")
    c.publish(x, b"\xff\xfe", b"1", mandatory=True)
    c.until("basic.return", "channel.close", "connection.close", "closed")


@case("5 bind to the exclusive queue of another connection")
def bind_locked(b: Bench) -> None:
    owner, c = b.channel(), b.channel()
    q = owner.queue(b.q())
    c.send("queue.bind", queue=q, exchange="amq.fanout")
    event = c.until("channel.close")
    b.check(queue_text(q) in event.fields["reply_text"], "the text names the queue")


@rows("5.4 x-local-random: {0}", [("an empty key", ""), ("a key", "k")])
def local_random(b: Bench, _: str, key: str) -> None:
    c = b.channel()
    q, x = c.queue(b.q()), c.exchange(b.x(), "x-local-random")
    c.send("queue.bind", queue=q, exchange=x, routing_key=key)
    c.until("queue.bind-ok", "channel.close")
    if not key:
        c.publish(x, "anything", b"1")
        c.drain(q)


@case("5.4 x-modulus-hash: every message goes to one queue, and the same key to the same")
def modulus_hash(b: Bench) -> None:
    c = b.channel()
    q, r, x = c.queue(b.q("q")), c.queue(b.q("r")), c.exchange(b.x(), "x-modulus-hash")
    c.bind(q, x, "1")
    c.bind(r, x, "1")
    for n in range(20):
        c.publish(x, f"key {n % 5}", str(n % 5).encode())
    held = [_take_all(c, name) for name in (q, r)]
    b.note(f"in all {len(held[0]) + len(held[1])}, a key in both: {bool(set(held[0]) & set(held[1]))}")


def _take_all(c: Client, queue: str) -> list[bytes]:
    found = []
    while (event := c.do_get(queue)).name == "basic.get-ok":
        found.append(event.body)
    return found
