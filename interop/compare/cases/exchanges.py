"""Sections 1.1, 3, 4 and 5: exchange.declare and delete, alternate exchanges, internal and auto-delete exchanges."""

from __future__ import annotations

from typing import Any

from ..bench import Bench, case, exchange_text, inequivalent, rows

TYPES = ("direct", "fanout", "topic", "headers")
DEFAULT = "ACCESS_REFUSED - operation not permitted on the default exchange"


@rows("5 declare a {0} exchange", [(t,) for t in (*TYPES, "x-local-random", "x-modulus-hash")])
def declare(b: Bench, kind: str) -> None:
    c = b.channel()
    x = b.x()
    c.call("exchange.declare", exchange=x, type=kind)
    c.call("exchange.declare", exchange=x, type=kind)
    c.call("exchange.declare", exchange=x, passive=True)


@rows("1.1 exchange of type {0!r}", [("zip",), ("",), ("Direct",), ("x-nosuch",), ("fan'out",)])
def unknown_type(b: Bench, kind: str) -> None:
    c = b.channel()
    c.send("exchange.declare", exchange=b.x(), type=kind)
    c.until("channel.close", "connection.close")


FLAGS = ("durable", "auto_delete", "internal")


@rows("1.1 redeclare an exchange, {0} {1} to {2}", [(flag, old, not old) for flag in FLAGS for old in (False, True)])
def differs(b: Bench, flag: str, old: bool, new: bool) -> None:
    c = b.channel()
    x = c.exchange(b.x(), "direct", **{flag: old})
    c.send("exchange.declare", exchange=x, type="direct", **{flag: new})
    c.refused(406, inequivalent(flag, exchange_text(x), new, old))


@case("1.1 redeclare an exchange with another type")
def inequivalent_type(b: Bench) -> None:
    c = b.channel()
    x = c.exchange(b.x(), "direct")
    c.send("exchange.declare", exchange=x, type="topic")
    c.refused(406, inequivalent("type", exchange_text(x), "topic", "direct"))


@case("1.1 redeclare an exchange: type is checked before durable, then auto_delete, then internal")
def inequivalence_order(b: Bench) -> None:
    c = b.channel()
    x = c.exchange(b.x(), "direct")
    for options in (
        {"type": "fanout", "durable": True, "auto_delete": True, "internal": True},
        {"type": "direct", "durable": True, "auto_delete": True, "internal": True},
        {"type": "direct", "auto_delete": True, "internal": True},
        {"type": "nosuch"},
    ):
        c.send("exchange.declare", exchange=x, **options)
        c.until("channel.close")
        c.reopen()


@rows(
    "3 the predeclared exchange {0!r}",
    [
        ("amq.direct", "direct"),
        ("amq.fanout", "fanout"),
        ("amq.topic", "topic"),
        ("amq.headers", "headers"),
        ("amq.match", "headers"),
    ],
)
def predeclared(b: Bench, name: str, kind: str) -> None:
    c = b.channel()
    c.call("exchange.declare", exchange=name, type=kind, durable=True)
    c.call("exchange.declare", exchange=name, passive=True)


@case("3 amq.rabbitmq.trace is an internal topic exchange")
def trace_exchange(b: Bench) -> None:
    c = b.channel()
    c.call("exchange.declare", exchange="amq.rabbitmq.trace", type="topic", durable=True, internal=True)
    c.publish("amq.rabbitmq.trace", "k")
    c.refused(403, "ACCESS_REFUSED - cannot publish to internal exchange 'amq.rabbitmq.trace' in vhost '/'")


@rows("3 declare an exchange named {0!r}", [("amq.foo",), ("amq.default",), ("amq.rabbitmq.mine",), ("amq.",)])
def reserved(b: Bench, name: str) -> None:
    c = b.channel()
    c.send("exchange.declare", exchange=name, type="direct")
    c.refused(403, f"ACCESS_REFUSED - exchange name '{name}' contains reserved prefix 'amq.*'")


@case("1.1 redeclare amq.direct with other properties")
def predeclared_differs(b: Bench) -> None:
    c = b.channel()
    c.send("exchange.declare", exchange="amq.direct", type="direct")
    c.refused(406, inequivalent("durable", exchange_text("amq.direct"), False, True))


@rows(
    "1.1 the default exchange: {0} {1}",
    [
        ("exchange.declare", "as it is", {"exchange": "", "type": "direct", "durable": True}),
        ("exchange.declare", "passively", {"exchange": "", "passive": True}),
        ("exchange.delete", "", {"exchange": ""}),
        ("queue.bind", "", {"exchange": "", "routing_key": "k"}),
        ("queue.unbind", "", {"exchange": "", "routing_key": "k"}),
        ("exchange.bind", "as source", {"source": "", "destination": "amq.fanout"}),
        ("exchange.bind", "as destination", {"source": "amq.fanout", "destination": ""}),
        ("exchange.unbind", "as source", {"source": "", "destination": "amq.fanout"}),
        ("exchange.unbind", "as destination", {"source": "amq.fanout", "destination": ""}),
    ],
)
def default_exchange(b: Bench, method: str, _: str, options: dict[str, Any]) -> None:
    c = b.channel()
    if method.startswith("queue"):
        options = {**options, "queue": c.queue(b.q())}
    c.send(method, **options)
    c.refused(403, DEFAULT)


@rows("1.1 delete the system exchange {0}", [("amq.direct",), ("amq.topic",), ("amq.rabbitmq.trace",)])
def delete_system(b: Bench, name: str) -> None:
    c = b.channel()
    c.send("exchange.delete", exchange=name)
    c.refused(403, f"ACCESS_REFUSED - deletion of system {exchange_text(name)} not allowed")


@rows("1.1 delete a missing exchange named {0!r}", [("nosuch",), ("amq.nosuch",)])
def delete_missing(b: Bench, name: str) -> None:
    c = b.channel()
    c.send("exchange.delete", exchange=name if name.startswith("amq.") else b.x(name))
    c.until("exchange.delete-ok", "channel.close")


@case("1.1 delete a missing exchange if unused")
def delete_missing_unused(b: Bench) -> None:
    b.channel().call("exchange.delete", exchange=b.x(), if_unused=True)


@rows("1.1 delete if unused an exchange that is {0}", [("a source",), ("a destination",), ("unused",)])
def delete_if_unused(b: Bench, role: str) -> None:
    c = b.channel()
    x, y = c.exchange(b.x("x"), "fanout"), c.exchange(b.x("y"), "fanout")
    if role != "unused":
        c.do("exchange.bind", source=x, destination=y)
    name = y if role == "a destination" else x
    c.send("exchange.delete", exchange=name, if_unused=True)
    if role == "a source":
        c.refused(406, f"PRECONDITION_FAILED - {exchange_text(x)} in use")
    else:
        c.until("exchange.delete-ok")


@case("1.1 a missing exchange declared passively")
def passive_missing(b: Bench) -> None:
    c = b.channel()
    x = b.x()
    c.send("exchange.declare", exchange=x, passive=True)
    c.refused(404, f"NOT_FOUND - no {exchange_text(x)}")


@rows("1.1 publish to {0}", [("a missing exchange",), ("amq.default",)])
def publish_missing(b: Bench, which: str) -> None:
    c = b.channel()
    x = b.x() if which != "amq.default" else which
    c.publish(x, "k", b"lost")
    c.refused(404, f"NOT_FOUND - no {exchange_text(x)}")


@case("1.1 publish to an internal exchange")
def publish_internal(b: Bench) -> None:
    c = b.channel()
    x = c.exchange(b.x(), "fanout", internal=True)
    c.publish(x, "k", b"refused")
    c.refused(403, f"ACCESS_REFUSED - cannot publish to internal {exchange_text(x)}")


@case("5 an internal exchange takes what another exchange sends it")
def internal_route(b: Bench) -> None:
    c = b.channel()
    x, inner, q = c.exchange(b.x(), "fanout"), c.exchange(b.x("inner"), "fanout", internal=True), c.queue(b.q())
    c.do("exchange.bind", source=x, destination=inner)
    c.bind(q, inner)
    c.publish(x, "k", b"through")
    c.drain(q)


@case("3 CR and LF are removed from exchange names in declare and delete")
def cr_lf(b: Bench) -> None:
    c = b.channel()
    x = b.x("ab")
    c.call("exchange.declare", exchange=b.name("a\r\nb"), type="fanout")
    c.call("exchange.declare", exchange=x, passive=True)
    c.call("exchange.delete", exchange=b.name("a\nb"))
    c.send("exchange.declare", exchange=x, passive=True)
    c.refused(404, f"NOT_FOUND - no {exchange_text(x)}")


@case("3 CR and LF in the exchange name of a publish")
def cr_lf_publish(b: Bench) -> None:
    c = b.channel()
    c.exchange(b.x("ab"), "fanout")
    c.publish(b.name("a\r\nb"), "k")
    c.send("basic.qos")
    c.until("basic.qos-ok", "channel.close")


# -- alternate exchanges ----------------------------------------------------------------------------------------------
@case("5 alternate exchange takes what was not routed, and the exchange field stays")
def alternate(b: Bench) -> None:
    c = b.channel()
    other = c.exchange(b.x("other"), "fanout")
    x = c.exchange(b.x(), "direct", arguments={"alternate-exchange": other})
    q, rest = c.queue(b.q("q")), c.queue(b.q("rest"))
    c.bind(q, x, "k")
    c.bind(rest, other)
    c.do("confirm.select")
    c.publish(x, "k", b"to q", mandatory=True)
    c.publish(x, "l", b"to rest", mandatory=True)
    c.confirms()
    c.drain(q, rest)


@case("5 alternate exchanges are chained")
def alternate_chain(b: Bench) -> None:
    c = b.channel()
    last = c.exchange(b.x("last"), "fanout")
    middle = c.exchange(b.x("middle"), "direct", arguments={"alternate-exchange": last})
    x = c.exchange(b.x(), "direct", arguments={"alternate-exchange": middle})
    q = c.queue(b.q())
    c.bind(q, last)
    c.publish(x, "k", b"1")
    c.drain(q)


@case("5 alternate exchanges in a circle")
def alternate_circle(b: Bench) -> None:
    c = b.channel()
    x = c.exchange(b.x(), "direct", arguments={"alternate-exchange": b.x("y")})
    c.exchange(b.x("y"), "direct", arguments={"alternate-exchange": x})
    c.publish(x, "k", b"1", mandatory=True)
    c.until("basic.return")


@case("5 a missing alternate exchange: unroutable")
def alternate_missing(b: Bench) -> None:
    c = b.channel()
    x = c.exchange(b.x(), "direct", arguments={"alternate-exchange": b.name("missing")})
    c.publish(x, "k", b"1", mandatory=True)
    c.until("basic.return")


@case("5 the alternate exchange is an internal one")
def alternate_internal(b: Bench) -> None:
    c = b.channel()
    other = c.exchange(b.x("other"), "fanout", internal=True)
    x = c.exchange(b.x(), "direct", arguments={"alternate-exchange": other})
    q = c.queue(b.q())
    c.bind(q, other)
    c.publish(x, "k", b"1")
    c.drain(q)


@case("5 the default exchange as alternate exchange")
def alternate_default(b: Bench) -> None:
    c = b.channel()
    x = c.exchange(b.x(), "fanout", arguments={"alternate-exchange": ""})
    q = c.queue(b.q())
    c.publish(x, q, b"1", mandatory=True)
    c.send("basic.qos")
    c.until("basic.qos-ok", "basic.return")
    c.bodies(q)


# -- auto-delete exchanges --------------------------------------------------------------------------------------------
def _gone(b: Bench, name: str) -> None:
    c = b.channel()
    c.send("exchange.declare", exchange=name, passive=True)
    c.until("exchange.declare-ok", "channel.close")


@rows(
    "4 an auto-delete exchange after {0}",
    [
        ("no binding",),
        ("unbind",),
        ("one unbind of two",),
        ("the queue's deletion",),
        ("deletion of the exchange bound to it",),
        ("losing what is bound to it as destination",),
    ],
)
def auto_delete(b: Bench, how: str) -> None:
    c = b.channel()
    x, other = c.exchange(b.x(), "fanout", auto_delete=True), c.exchange(b.x("other"), "fanout")
    q = c.queue(b.q())
    if how == "unbind":
        c.bind(q, x)
        c.call("queue.unbind", queue=q, exchange=x)
    elif how == "one unbind of two":
        c.bind(q, x, "a")
        c.bind(q, x, "b")
        c.call("queue.unbind", queue=q, exchange=x, routing_key="a")
    elif how == "the queue's deletion":
        c.bind(q, x)
        c.call("queue.delete", queue=q)
    elif how == "deletion of the exchange bound to it":
        c.do("exchange.bind", source=x, destination=other)
        c.call("exchange.delete", exchange=other)
    elif how == "losing what is bound to it as destination":
        c.do("exchange.bind", source=other, destination=x)
        c.call("exchange.unbind", source=other, destination=x)
    _gone(b, x)


@case("4 deleting an exchange removes its bindings")
def delete_removes_bindings(b: Bench) -> None:
    c = b.channel()
    x, q = c.exchange(b.x(), "fanout"), c.queue(b.q())
    c.bind(q, x)
    c.call("exchange.delete", exchange=x)
    c.exchange(x, "fanout")
    c.publish(x, "", b"1", mandatory=True)
    c.until("basic.return")
