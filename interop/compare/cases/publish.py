"""Sections 1.1, 5.3 and 6: what is checked on publish, how properties and headers pass through, CC and BCC,
mandatory, immediate.
"""

from __future__ import annotations

from typing import Any

from ..bench import Bench, case, exchange_text, rows
from ..codec import Tagged

EVERYTHING: dict[str, Any] = {
    "content_type": "text/plain",
    "content_encoding": "utf-8",
    "headers": {"a": 1},
    "delivery_mode": 2,
    "priority": 7,
    "correlation_id": "c",
    "reply_to": "r",
    "expiration": "60000",
    "message_id": "m",
    "timestamp": 1700000000,
    "type": "t",
    "user_id": "guest",
    "app_id": "a",
    "cluster_id": "cl",
}


@case("6 every property passes through")
def properties(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q())
    c.publish("", q, b"body", **EVERYTHING)
    c.get(q)


@rows("6 the property {0} alone", list(EVERYTHING.items()))
def property_alone(b: Bench, name: str, value: Any) -> None:
    c = b.channel()
    q = c.queue(b.q())
    c.publish("", q, b"body", **{name: value})
    c.get(q)


@rows(
    "6 property values at their limits: {0}",
    [
        ("largest", {"delivery_mode": 255, "priority": 255, "timestamp": 2**64 - 1, "message_id": "m" * 255}),
        ("smallest", {"delivery_mode": 0, "priority": 0, "timestamp": 0, "message_id": ""}),
    ],
)
def limits(b: Bench, _: str, values: dict[str, Any]) -> None:
    c = b.channel()
    q = c.queue(b.q())
    c.publish("", q, b"body", **values)
    c.get(q)


HEADERS: list[tuple[str, object]] = [
    ("bool", True),
    ("byte", Tagged("b", -5)),
    ("unsigned byte", Tagged("B", 250)),
    ("short", Tagged("s", -300)),
    ("unsigned short", Tagged("u", 60000)),
    ("int", Tagged("I", -70000)),
    ("unsigned int", Tagged("i", 4000000000)),
    ("long", Tagged("l", -(2**60))),
    ("float", Tagged("f", 0.5)),
    ("double", 0.1),
    ("decimal", Tagged("D", (2, 314))),
    ("longstr", "text"),
    ("longstr of bytes", b"\xff\x00\x80"),
    ("binary", Tagged("x", b"\x00\xff")),
    ("timestamp", Tagged("T", 1700000000)),
    ("void", None),
    ("array", [1, "a", None, [True]]),
    ("empty array", []),
    ("table", {"b": 1, "a": {"x": []}}),
    ("empty table", {}),
]


@rows("6 a header of type {0}", HEADERS)
def header_types(b: Bench, _: str, value: object) -> None:
    c = b.channel()
    q = c.queue(b.q())
    c.publish("", q, b"body", headers={"h": value})
    c.get(q)


@case("6 headers keep their order and their doubles of case")
def header_order(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q())
    c.publish("", q, b"body", headers={"z": 1, "a": 2, "Z": 3, "m": 4, "": 5})
    c.get(q)


@case("6 an empty headers table stays")
def empty_headers(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q())
    c.publish("", q, b"body", headers={})
    c.get(q)


@rows("6 the property {0} that is no UTF-8", [("content_type",), ("message_id",), ("correlation_id",)])
def binary_property(b: Bench, name: str) -> None:
    c = b.channel()
    q = c.queue(b.q())
    properties: dict[str, Any] = {name: b"\xff\xfe"}
    c.publish("", q, b"body", **properties)
    c.get(q)


@case("6 mandatory and unroutable")
def mandatory(b: Bench) -> None:
    c = b.channel()
    x = c.exchange(b.x(), "direct")
    c.publish(x, "k", b"come back", mandatory=True, **{**EVERYTHING, "headers": {"h": Tagged("s", 1)}})
    c.until("basic.return")


@case("6 unroutable and not mandatory is dropped")
def dropped(b: Bench) -> None:
    c = b.channel()
    x = c.exchange(b.x(), "direct")
    c.publish(x, "k", b"lost")
    c.sync()


@case("6 a returned message of 300000 bytes, and an empty one")
def returned_sizes(b: Bench) -> None:
    c = b.channel()
    x = c.exchange(b.x(), "direct")
    c.publish(x, "k", b"r" * 300000, mandatory=True)
    c.until("basic.return")
    c.publish(x, "k", b"", mandatory=True)
    c.until("basic.return")


@rows("1.1 immediate, {0}", [("routable", False), ("unroutable and mandatory", True)])
def immediate(b: Bench, _: str, both: bool) -> None:
    c = b.channel()
    q = c.queue(b.q())
    c.publish("", q if not both else b.name("nobody"), b"1", immediate=True, mandatory=both)
    c.died(540, "NOT_IMPLEMENTED - immediate=true")


EXPIRATIONS = [
    "abc",
    "-1",
    "10s",
    "",
    " 10",
    "1.5",
    "+5",
    "0x10",
    "315360000000",
    "315360000001",
    "99999999999999999999",
    "0",
    "00010",
    "1e3",
    "٣",
]


@rows("1.1 expiration {0!r}", [(value,) for value in EXPIRATIONS])
def expiration(b: Bench, value: str) -> None:
    c = b.channel()
    q = c.queue(b.q())
    c.publish("", q, b"1", expiration=value)
    c.send("basic.qos")
    c.until("basic.qos-ok", "channel.close")


@case("1.1 a bad expiration is refused even when nothing is routed")
def expiration_unrouted(b: Bench) -> None:
    c = b.channel()
    c.publish("", b.name("nobody"), b"1", expiration="abc")
    c.refused(406, "PRECONDITION_FAILED - invalid expiration 'abc': no_integer")


@rows("1.1 user_id {0!r}", [("guest", True), ("bob", False), ("", False), ("GUEST", False)])
def user_id(b: Bench, value: str, good: bool) -> None:
    c = b.channel()
    q = c.queue(b.q())
    c.publish("", q, b"1", user_id=value)
    if good:
        c.get(q)
    else:
        c.refused(406, f"PRECONDITION_FAILED - user_id property set to '{value}' but authenticated user was 'guest'")


CHECKS: list[tuple[str, str, dict[str, Any]]] = [
    ("immediate before a missing exchange", "missing", {"immediate": True}),
    ("a missing exchange before a bad expiration", "missing", {"expiration": "abc"}),
    ("a missing exchange before a bad user_id", "missing", {"user_id": "bob"}),
    ("an internal exchange before a bad expiration", "internal", {"expiration": "abc"}),
    ("reply-to before expiration", "", {"reply_to": "amq.rabbitmq.reply-to", "expiration": "abc"}),
    ("expiration before CC", "", {"expiration": "abc", "headers": {"CC": "x"}}),
    ("expiration before user_id", "", {"expiration": "abc", "user_id": "bob"}),
    ("CC before user_id", "", {"headers": {"CC": "x"}, "user_id": "bob"}),
]


@rows("6 order of checks: {0}", CHECKS)
def check_order(b: Bench, _: str, which: str, options: dict[str, Any]) -> None:
    c = b.channel()
    x = {"missing": b.x("missing"), "internal": b.x("internal"), "": ""}[which]
    if which == "internal":
        c.exchange(x, "fanout", internal=True)
    c.publish(x, "k", b"1", **options)
    c.until("channel.close", "connection.close")


# -- CC and BCC -------------------------------------------------------------------------------------------------------
@rows(
    "1.1 {0} header that is {1}",
    [
        (h, n, v)
        for h in ("CC", "BCC")
        for n, v in (
            ("a string", "q"),
            ("an int", 1),
            ("a table", {"a": "q"}),
            ("void", None),
            ("bool", True),
            ("binary", Tagged("x", b"q")),
        )
    ],
)
def bad_cc(b: Bench, header: str, _: str, value: object) -> None:
    c = b.channel()
    c.publish("", b.name("nobody"), b"1", headers={header: value})
    c.send("basic.qos")
    c.until("channel.close", "basic.qos-ok", "connection.close")


@case("5.3 CC and BCC route as well, BCC is removed, the key stays")
def cc(b: Bench) -> None:
    c = b.channel()
    q, r, s = c.queue(b.q("q")), c.queue(b.q("r")), c.queue(b.q("s"))
    c.publish("", q, b"1", headers={"a": 1, "CC": [r], "BCC": [s], "z": 2})
    c.drain(q, r, s)


@case("5.3 BCC alone")
def bcc_alone(b: Bench) -> None:
    c = b.channel()
    q, r = c.queue(b.q("q")), c.queue(b.q("r"))
    c.publish("", q, b"1", headers={"BCC": [r]})
    c.drain(q, r)


@case("5.3 CC on a topic exchange, and a queue matched twice gets it once")
def cc_topic(b: Bench) -> None:
    c = b.channel()
    q, r, x = c.queue(b.q("q")), c.queue(b.q("r")), c.exchange(b.x(), "topic")
    c.bind(q, x, "a.*")
    c.bind(r, x, "b.#")
    c.publish(x, "a.1", b"1", headers={"CC": ["a.2", "b.1", "b.2"]})
    c.drain(q, r)


@case("5.3 CC routes what the key alone would not")
def cc_only(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q())
    c.publish("", b.name("nobody"), b"1", mandatory=True, headers={"CC": [q]})
    c.drain(q)


@case("5.3 elements of CC that are no strings are skipped")
def cc_mixed(b: Bench) -> None:
    c = b.channel()
    q, r = c.queue(b.q("q")), c.queue(b.q("r"))
    c.publish("", q, b"1", headers={"CC": [1, None, r, True, ["x"]]})
    c.drain(q, r)


@case("5.3 an empty CC")
def cc_empty(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q())
    c.publish("", q, b"1", headers={"CC": [], "BCC": []})
    c.drain(q)


@case("5.3 cc in lower case is an ordinary header")
def cc_lower(b: Bench) -> None:
    c = b.channel()
    q, r = c.queue(b.q("q")), c.queue(b.q("r"))
    c.publish("", q, b"1", headers={"cc": [r], "bcc": "x"})
    c.drain(q, r)


@case("5.3 a mandatory message returned keeps CC and BCC")
def cc_returned(b: Bench) -> None:
    c = b.channel()
    c.publish("", b.name("nobody"), b"1", mandatory=True, headers={"CC": [b.name("none")], "BCC": [b.name("none")]})
    c.until("basic.return")


@case("6 publish to an exchange that went away")
def exchange_gone(b: Bench) -> None:
    c = b.connect().open(1, 2)
    x = c.exchange(b.x(), "fanout")
    c.publish(x, "k", b"1", mandatory=True)
    c.until("basic.return")
    c.do("exchange.delete", 2, exchange=x)
    c.publish(x, "k", b"2")
    c.refused(404, f"NOT_FOUND - no {exchange_text(x)}")
