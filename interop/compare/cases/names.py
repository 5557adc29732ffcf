"""Section 3: queue names: reserved, empty, made up by the server, odd and long ones."""

from __future__ import annotations

from typing import Any

from ..bench import Bench, case, queue_text, rows


@rows(
    "3 declare a queue named {0!r}",
    [("amq.foo",), ("amq.",), ("amq.gen-mine",), ("amq.rabbitmq.foo",), ("amq.default",)],
)
def reserved(b: Bench, name: str) -> None:
    c = b.channel()
    c.send("queue.declare", queue=name)
    c.refused(403, f"ACCESS_REFUSED - queue name '{name}' contains reserved prefix 'amq.*'")


@rows("3 declare passively a queue named {0!r}", [("amq.foo",), ("amq.rabbitmq.foo",), ("amq.gen-mine",)])
def reserved_passive(b: Bench, name: str) -> None:
    c = b.channel()
    c.send("queue.declare", queue=name, passive=True)
    c.refused(404, f"NOT_FOUND - no {queue_text(name)}")


@rows(
    "3 a queue name {0}",
    [
        ("with a space", "a b"),
        ("with a slash", "a/b#*"),
        ("in Unicode", "hé✓"),
        ("AMQ. in capitals", "AMQ.x"),
        ("with CR and LF", "a\r\nb"),
        ("with quotes", "a'b\"c"),
    ],
)
def names(b: Bench, _: str, name: str) -> None:
    c = b.channel()
    q = b.q(name)
    c.call("queue.declare", queue=q, exclusive=True)
    c.call("queue.declare", queue=q, passive=True)


@case("3 a queue name of bytes that are no UTF-8")
def name_binary(b: Bench) -> None:
    c = b.channel()
    c.send("queue.declare", queue=b.name("").encode() + b"\xff\xfe", exclusive=True)
    c.until("queue.declare-ok", "channel.close", "connection.close", "closed")


@rows("3 CR and LF in the name for {0}", [("queue.purge",), ("basic.get",), ("basic.consume",)])
def cr_lf_kept(b: Bench, method: str) -> None:
    c = b.channel()
    c.queue(b.q("ab"))
    c.send(method, queue=b.name("a\r\nb"))
    c.refused(404, f"NOT_FOUND - no {queue_text(b.name('a') + chr(13) + chr(10) + 'b')}")


@case("4 unbind an exclusive queue of another connection from where it is not bound")
def unbind_locked(b: Bench) -> None:
    owner, other = b.channel(), b.channel()
    q = owner.queue(b.q(), exclusive=True)
    other.call("queue.unbind", queue=q, exchange="amq.direct")


@case("1.1 unbind an exclusive queue of another connection")
def unbind_locked_bound(b: Bench) -> None:
    owner, other = b.channel(), b.channel()
    q = owner.queue(b.q(), exclusive=True)
    owner.bind(q, "amq.direct", q)
    other.send("queue.unbind", queue=q, exchange="amq.direct", routing_key=q)
    other.until("queue.unbind-ok", "channel.close")


@case("3 CR and LF are removed from names in declare, bind and delete")
def cr_lf(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q("ab"))
    c.call("queue.declare", queue=b.name("a\r\nb"), passive=True)
    c.call("queue.bind", queue=b.name("a\nb"), exchange="amq.\ndirect", routing_key=b.name("k"))
    c.call("queue.delete", queue=b.name("a\rb"))
    c.send("queue.declare", queue=q, passive=True)
    c.refused(404, f"NOT_FOUND - no {queue_text(q)}")


@rows("3 a missing queue with a name of {0} characters", [(200,), (230,), (255,)])
def long_name(b: Bench, size: int) -> None:
    c = b.channel()
    q = b.name("").ljust(size, "n")
    c.send("queue.declare", queue=q, passive=True)
    c.until("channel.close")


@case("3 a queue name of 255 bytes")
def longest_name(b: Bench) -> None:
    c = b.channel()
    c.call("queue.declare", queue=b.name("").ljust(255, "n"), exclusive=True)


@rows(
    "3 a server-named queue that is {0}",
    [
        ("exclusive", {"exclusive": True}),
        ("auto-delete", {"auto_delete": True}),
        ("durable exclusive", {"durable": True, "exclusive": True}),
    ],
)
def server_named(b: Bench, _: str, options: dict[str, Any]) -> None:
    c = b.channel()
    name = c.call("queue.declare", queue="", **options).fields["queue"]
    c.call("queue.declare", queue=name, passive=True)
    c.call("queue.delete", queue=name)


@case("3 a server-named queue declared again by its name")
def server_named_again(b: Bench) -> None:
    c = b.channel()
    name = c.call("queue.declare", queue="", exclusive=True).fields["queue"]
    c.send("queue.declare", queue=name, exclusive=True)
    c.refused(403, f"ACCESS_REFUSED - queue name '{name}' contains reserved prefix 'amq.*'")


@case("3 the empty name passively, nothing declared")
def empty_passive(b: Bench) -> None:
    c = b.channel()
    c.send("queue.declare", queue="", passive=True)
    c.until("queue.declare-ok", "channel.close")


@case("3 the empty name passively, a queue declared before")
def empty_passive_after(b: Bench) -> None:
    c = b.channel()
    c.queue(b.q())
    c.send("queue.declare", queue="", passive=True)
    c.until("queue.declare-ok", "channel.close")


EMPTY_USES = [
    ("queue.bind", {"exchange": "amq.direct"}),
    ("queue.unbind", {"exchange": "amq.direct"}),
    ("queue.purge", {}),
    ("queue.delete", {}),
    ("basic.get", {}),
    ("basic.consume", {"consumer_tag": "t"}),
]


@rows("1.1 {0} with the empty name, nothing declared", EMPTY_USES)
def empty_name(b: Bench, method: str, options: dict[str, Any]) -> None:
    c = b.channel()
    c.send(method, queue="", **options)
    c.refused(404, "NOT_FOUND - no previously declared queue")


@rows("3 {0} with the empty name is the last queue declared", EMPTY_USES)
def last_declared(b: Bench, method: str, options: dict[str, Any]) -> None:
    c = b.channel()
    q, r = c.queue(b.q("q")), c.queue(b.q("r"))
    c.publish("", q, b"of q")
    c.publish("", r, b"of r")
    c.call(method, queue="", **options)
    c.settle()
    c.send("queue.declare", queue=r, passive=True)
    c.until("queue.declare-ok", "channel.close")


@case("3 the last queue declared is the channel's, and deleting it does not change that")
def last_declared_scope(b: Bench) -> None:
    c = b.connect().open(1, 2)
    q = c.queue(b.q())
    c.call("queue.delete", queue="")
    c.send("queue.purge", queue="")
    c.refused(404, f"NOT_FOUND - no {queue_text(q)}")
    c.send("queue.purge", 2, queue="")
    c.refused(404, "NOT_FOUND - no previously declared queue", 2)


@case("3 a passive declare counts as the last queue declared")
def last_declared_passive(b: Bench) -> None:
    c = b.connect().open(1, 2)
    q = c.queue(b.q(), channel=2)
    c.call("queue.declare", queue=q, passive=True)
    c.call("queue.purge", queue="")
