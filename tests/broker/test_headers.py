"""The headers exchange (behaviour 5.2)."""

import pytest
from harness import Typed as T
from harness import World, publish

ROWS = [
    # what the binding asks, what the message has, whether they match
    ({"x-match": "all", "a": 1, "b": "x"}, {"a": 1, "b": "x", "c": 0}, True),
    ({"x-match": "all", "a": 1, "b": "x"}, {"a": 1}, False),
    ({"a": 1, "b": "x"}, {"a": 1}, False),
    ({"x-match": "any", "a": 1, "b": "x"}, {"b": "x"}, True),
    ({"x-match": "any", "a": 1, "b": "x"}, {"a": 2, "b": "y"}, False),
    # x- keys
    ({"x-match": "all", "x-a": 1}, {}, True),
    ({"x-match": "any", "x-a": 1}, {"x-a": 1}, False),
    ({"x-match": "all-with-x", "x-a": 1}, {}, False),
    ({"x-match": "all-with-x", "x-a": 1}, {"x-a": 1}, True),
    ({"x-match": "any-with-x", "x-a": 1}, {"x-a": 1}, True),
    ({"x-match": "any-with-x", "x-a": 1, "b": 1}, {"b": 2}, False),
    # presence
    ({"a": None}, {"a": "whatever"}, True),
    ({"a": None}, {"a": None}, True),
    ({"a": None}, {}, False),
    ({"a": 1}, {"a": None}, False),
    # nothing to compare
    ({}, {}, True),
    ({}, {"a": 1}, True),
    ({"x-match": "all"}, {}, True),
    ({"x-match": "any"}, {"a": 1}, False),
    ({"x-match": "any"}, {}, False),
    # numbers
    ({"a": T("b", 1)}, {"a": T("l", 1)}, True),
    ({"a": T("u", 1)}, {"a": T("s", 1)}, True),
    ({"a": 1}, {"a": 1.0}, False),
    ({"a": 1}, {"a": "1"}, False),
    ({"a": 1}, {"a": True}, False),
    ({"a": True}, {"a": True}, True),
    ({"a": False}, {"a": 0}, False),
    ({"a": T("f", 0.5)}, {"a": T("d", 0.5)}, True),
    ({"a": T("D", (1, 10))}, {"a": T("D", (1, 10))}, True),
    ({"a": T("D", (1, 10))}, {"a": T("D", (0, 1))}, False),
    # strings
    ({"a": "x"}, {"a": b"x"}, True),
    ({"a": "x"}, {"a": "X"}, False),
    ({"a": ""}, {"a": ""}, True),
    # structures: with their inner types and their order
    ({"a": []}, {"a": []}, True),
    ({"a": {}}, {"a": {}}, True),
    ({"a": [1, "x"]}, {"a": [1, "x"]}, True),
    ({"a": [1, 2]}, {"a": [2, 1]}, False),
    ({"a": [T("I", 1)]}, {"a": [T("l", 1)]}, False),
    ({"a": {"k": 1}}, {"a": {"k": 1}}, True),
    ({"a": {"k": 1, "l": 2}}, {"a": {"l": 2, "k": 1}}, False),
    ({"a": []}, {"a": {}}, False),
]


def ready():
    client = World().client()
    client.declare("q")
    return client


@pytest.mark.parametrize(("asked", "sent", "matches"), ROWS)
def test_the_rule_of_matching(asked, sent, matches):
    """5.2"""
    client = ready()
    client.bind("q", "amq.headers", arguments=asked)
    client >> publish(b"1", exchange="amq.headers", headers=sent)
    assert client.drain("q") == [b"1"] * matches


@pytest.mark.parametrize(("mode", "matches"), [("all", True), ("any", False)])
def test_a_message_without_headers_is_one_with_an_empty_table(mode, matches):
    """5.2"""
    client = ready()
    client.bind("q", "amq.match", arguments={"x-match": mode})
    client >> publish(b"1", exchange="amq.match")
    assert client.drain("q") == [b"1"] * matches


def test_the_routing_key_is_ignored_but_tells_bindings_apart():
    """5.2, 5"""
    client = ready()
    client.bind("q", "amq.headers", "one", {"a": 1})
    client.bind("q", "amq.headers", "two", {"a": 1})
    client >> publish(b"1", exchange="amq.headers", routing_key="three", headers={"a": 1})
    assert client.drain("q") == [b"1"]
    client.call("queue.unbind", queue="q", exchange="amq.headers", routing_key="one", arguments={"a": 1})
    client >> publish(b"2", exchange="amq.headers", headers={"a": 1})
    assert client.drain("q") == [b"2"]


def test_of_a_header_that_comes_twice_the_first_counts():
    client = ready()
    client.bind("q", "amq.headers", arguments={"a": 1})
    client >> publish(b"1", exchange="amq.headers", headers=[("a", 1), ("a", 2)])
    client >> publish(b"2", exchange="amq.headers", headers=[("a", 2), ("a", 1)])
    assert client.drain("q") == [b"1"]


def test_each_message_is_looked_at_afresh():
    """Routes by headers are not cached by key."""
    client = ready()
    client.declare("r")
    client.bind("q", "amq.headers", arguments={"to": "q"})
    client.bind("r", "amq.headers", arguments={"to": "r"})
    for name in "qrrq":
        client >> publish(name.encode(), exchange="amq.headers", headers={"to": name})
    client >> publish(b"none", exchange="amq.headers", mandatory=True)
    assert client.expect("basic.return").body == b"none"
    assert (client.drain("q"), client.drain("r")) == ([b"q", b"q"], [b"r", b"r"])


def test_a_headers_exchange_behind_another_is_asked_for_each_message():
    client = ready()
    client.call("exchange.bind", source="amq.fanout", destination="amq.headers")
    client.bind("q", "amq.headers", arguments={"a": 1})
    for number in (1, 2, 1):
        client >> publish(b"%d" % number, exchange="amq.fanout", headers={"a": number})
    assert client.drain("q") == [b"1", b"1"]
