"""Section 5.2: headers exchanges: x-match and the equality of values of every type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..bench import Bench, case, rows
from ..codec import Tagged

Table = Mapping[str, object]
MODES: list[tuple[str, Table, Table | None]] = [
    ("no x-match, all there", {"a": 1, "b": 2}, {"a": 1, "b": 2, "c": 3}),
    ("no x-match, one missing", {"a": 1, "b": 2}, {"a": 1}),
    ("all, all there", {"x-match": "all", "a": 1, "b": 2}, {"b": 2, "a": 1}),
    ("all, one missing", {"x-match": "all", "a": 1, "b": 2}, {"a": 1}),
    ("all, one differs", {"x-match": "all", "a": 1, "b": 2}, {"a": 1, "b": 3}),
    ("any, one there", {"x-match": "any", "a": 1, "b": 2}, {"b": 2}),
    ("any, one there and one differs", {"x-match": "any", "a": 1, "b": 2}, {"a": 9, "b": 2}),
    ("any, none there", {"x-match": "any", "a": 1}, {"b": 1}),
    ("any, all differ", {"x-match": "any", "a": 1, "b": 2}, {"a": 2, "b": 1}),
    ("all, nothing to compare", {"x-match": "all"}, {"a": 1}),
    ("no arguments at all", {}, {"a": 1}),
    ("no arguments, no headers", {}, None),
    ("all, nothing to compare, no headers", {"x-match": "all"}, None),
    ("any, nothing to compare", {"x-match": "any"}, {"a": 1}),
    ("any, nothing to compare, no headers", {"x-match": "any"}, None),
    ("all, no headers", {"x-match": "all", "a": 1}, None),
    ("any, no headers", {"x-match": "any", "a": 1}, None),
    ("all, empty headers", {"a": 1}, {}),
    ("all, x- keys are skipped", {"x-match": "all", "x-a": 1, "b": 2}, {"b": 2}),
    ("any, x- keys are skipped", {"x-match": "any", "x-a": 1}, {"x-a": 1}),
    ("all, only x- keys", {"x-match": "all", "x-a": 1}, None),
    ("all-with-x, x- key differs", {"x-match": "all-with-x", "x-a": 1, "b": 2}, {"x-a": 2, "b": 2}),
    ("all-with-x, x- key there", {"x-match": "all-with-x", "x-a": 1, "b": 2}, {"x-a": 1, "b": 2}),
    ("all-with-x, x- key missing", {"x-match": "all-with-x", "x-a": 1, "b": 2}, {"b": 2}),
    ("any-with-x, x- key there", {"x-match": "any-with-x", "x-a": 1, "b": 2}, {"x-a": 1}),
    ("any-with-x, none there", {"x-match": "any-with-x", "x-a": 1}, {"b": 1}),
    ("keys are case-sensitive", {"A": 1}, {"a": 1}),
    ("void asks for presence, there", {"a": None}, {"a": "anything"}),
    ("void asks for presence, missing", {"a": None}, {"b": 1}),
    ("void asks for presence, void there", {"a": None}, {"a": None}),
    ("void and a value", {"a": None, "b": 1}, {"a": 5, "b": 1}),
    ("any, void there", {"x-match": "any", "a": None, "b": 1}, {"a": 5}),
    ("a value asked, void there", {"a": 1}, {"a": None}),
]


VALUES: list[tuple[object, object]] = [
    (Tagged("I", 1), Tagged("l", 1)),
    (Tagged("I", 1), Tagged("s", 1)),
    (Tagged("I", 1), Tagged("b", 1)),
    (Tagged("B", 200), Tagged("I", 200)),
    (Tagged("i", 1), Tagged("u", 1)),
    (Tagged("I", -1), Tagged("l", -1)),
    (Tagged("I", 1), 1.0),
    (1.0, Tagged("I", 1)),
    (1.0, 1.0),
    (Tagged("f", 0.5), 0.5),
    (Tagged("f", 0.5), Tagged("f", 0.5)),
    (Tagged("I", 1), "1"),
    ("1", "1"),
    ("a", "A"),
    ("", ""),
    ("a", Tagged("x", b"a")),
    (Tagged("x", b"a"), Tagged("x", b"a")),
    (True, True),
    (True, False),
    (True, Tagged("I", 1)),
    (True, "true"),
    (Tagged("T", 1000), Tagged("T", 1000)),
    (Tagged("T", 1000), Tagged("I", 1000)),
    (Tagged("I", 1000), Tagged("T", 1000)),
    (Tagged("D", (1, 15)), Tagged("D", (1, 15))),
    (Tagged("D", (1, 10)), Tagged("D", (0, 1))),
    (Tagged("D", (0, 1)), Tagged("I", 1)),
    ([1, "a"], [1, "a"]),
    ([1, "a"], ["a", 1]),
    ([1], [Tagged("l", 1)]),
    ([], []),
    ([1], 1),
    ({"a": 1}, {"a": 1}),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ({"a": 1}, {"a": Tagged("l", 1)}),
    ({}, {}),
]


def publish(b: Bench, binding: Table, headers: Table | None) -> None:
    c = b.channel()
    q, x = c.queue(b.q()), c.exchange(b.x(), "headers")
    c.bind(q, x, "ignored", **binding)
    properties: dict[str, Any] = {} if headers is None else {"headers": headers}
    c.publish(x, "another", b"1", **properties)
    c.bodies(q)


@rows("5.2 headers {0}", MODES)
def modes(b: Bench, _: str, binding: Table, headers: Table | None) -> None:
    publish(b, binding, headers)


@rows("5.2 headers: {0} against {1}", [(repr(asked), repr(sent), asked, sent) for asked, sent in VALUES])
def values(b: Bench, _: str, __: str, asked: object, sent: object) -> None:
    publish(b, {"h": asked}, {"h": sent})


@rows(
    "1.1 bind with x-match {0!r}",
    [("zip",), ("",), ("ALL",), (1,), (True,), (None,), (Tagged("b", 1),), ([1],), ('a"b',), ("é",)],
)
def bad_match(b: Bench, value: object) -> None:
    c = b.channel()
    q, x = c.queue(b.q()), c.exchange(b.x(), "headers")
    c.send("queue.bind", queue=q, exchange=x, arguments={"x-match": value})
    c.until("queue.bind-ok", "channel.close", "connection.close")


@case("1.1 exchange.bind with a bad x-match")
def bad_match_e2e(b: Bench) -> None:
    c = b.channel()
    x = c.exchange(b.x(), "headers")
    c.send("exchange.bind", source=x, destination="amq.fanout", arguments={"x-match": "zip"})
    c.refused(
        406, 'PRECONDITION_FAILED - Invalid x-match field value <<"zip">>; expected all, any, all-with-x, or any-with-x'
    )


@case("5.2 x-match is nothing special on other exchanges")
def match_on_direct(b: Bench) -> None:
    c = b.channel()
    q, x = c.queue(b.q()), c.exchange(b.x(), "direct")
    c.call("queue.bind", queue=q, exchange=x, arguments={"x-match": "zip"})


@case("5.2 amq.headers and amq.match")
def predeclared(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q())
    mark = b.name("mark")
    c.bind(q, "amq.headers", "", mark=mark)
    c.bind(q, "amq.match", "", mark=mark)
    c.publish("amq.headers", "", b"1", headers={"mark": mark})
    c.publish("amq.match", "", b"2", headers={"mark": mark})
    c.bodies(q)
