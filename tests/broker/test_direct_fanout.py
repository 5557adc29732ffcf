"""Direct and fanout exchanges, the default one, and those that are there from the beginning (behaviour 3, 5)."""

import pytest
from harness import World, m, publish


def ready(*queues):
    client = World().client()
    for queue in queues:
        client.declare(queue)
    return client


def reached(client, *queues):
    """Which queues the next message reached."""
    return [queue for queue in queues if client.drain(queue)]


@pytest.mark.parametrize(
    ("name", "kind", "internal"),
    [
        ("amq.direct", "direct", False),
        ("amq.fanout", "fanout", False),
        ("amq.topic", "topic", False),
        ("amq.headers", "headers", False),
        ("amq.match", "headers", False),
        ("amq.rabbitmq.trace", "topic", True),
    ],
)
def test_these_exchanges_are_there_and_durable(name, kind, internal):
    """3: declaring them with equal properties is fine, and so is any passive declare."""
    client = ready()
    client.exchange(name, kind, durable=True, internal=internal)
    client.exchange(name, "nonsense", passive=True)


def test_direct_compares_the_whole_key():
    """5"""
    client = ready("a", "b", "c")
    client.bind("a", "amq.direct", "k")
    client.bind("b", "amq.direct", "k")
    client.bind("c", "amq.direct", "K")
    for key, queues in [("k", ["a", "b"]), ("K", ["c"]), ("", []), ("kk", []), ("#", [])]:
        client >> publish(b"1", exchange="amq.direct", routing_key=key)
        assert reached(client, "a", "b", "c") == queues


def test_direct_takes_wildcards_literally():
    client = ready("a")
    client.bind("a", "amq.direct", "#")
    client >> publish(b"1", exchange="amq.direct", routing_key="x")
    client >> publish(b"2", exchange="amq.direct", routing_key="#")
    assert client.drain("a") == [b"2"]


def test_fanout_ignores_the_key():
    """5"""
    client = ready("a", "b", "c")
    client.bind("a", "amq.fanout", "k")
    client.bind("b", "amq.fanout")
    client >> publish(b"1", exchange="amq.fanout", routing_key="whatever")
    assert reached(client, "a", "b", "c") == ["a", "b"]


@pytest.mark.parametrize("exchange", ["amq.direct", "amq.fanout", "amq.topic", "amq.headers"])
def test_a_queue_gets_a_message_once_however_many_bindings_match(exchange):
    """5"""
    client = ready("q")
    for arguments in ({}, {"a": 1}, {"a": 2}):
        client.bind("q", exchange, "k", {"x-match": "any-with-x", **arguments} if "headers" in exchange else arguments)
    client.bind("q", exchange, "#" if "topic" in exchange else "k")
    client >> publish(b"1", exchange=exchange, routing_key="k", headers={"a": 1})
    assert client.drain("q") == [b"1"]


@pytest.mark.parametrize("exchange", ["amq.direct", "amq.fanout"])
def test_a_queue_bound_twice_must_be_unbound_twice(exchange):
    client = ready("q")
    client.bind("q", exchange, "k", {"a": 1})
    client.bind("q", exchange, "k", {"a": 2})
    for arguments, left in [({"a": 1}, [b"1"]), ({"a": 2}, [])]:
        client.call("queue.unbind", queue="q", exchange=exchange, routing_key="k", arguments=arguments)
        client >> publish(b"1", exchange=exchange, routing_key="k")
        assert client.drain("q") == left


def test_the_default_exchange_knows_every_queue_by_name():
    """5"""
    client = ready("q", "é.*")
    for name in ("q", "é.*"):
        client >> publish(b"1", routing_key=name)
        assert client.drain(name) == [b"1"]


def test_an_exchange_may_have_any_name_that_is_not_reserved():
    """3: no other check; CR and LF are removed."""
    client = ready("q")
    client.exchange("x\r\ny é#*", "fanout")
    client.bind("q", "xy é#*\r")
    client >> publish(b"1", exchange="xy é#*")
    assert client.drain("q") == [b"1"]
    client.call("exchange.delete", exchange="x\ny é#*")
    client >> m("exchange.declare", exchange="xy é#*", passive=True)
    client.expect("channel.close", reply_code=404)


@pytest.mark.parametrize("kind", ["x-local-random", "x-modulus-hash"])
def test_the_types_that_4_3_adds_give_each_message_to_one_queue(kind):
    """5.4"""
    client = ready("a", "b", "c")
    client.exchange("x", kind)
    for queue in "abc":
        client.bind(queue, "x")
    for number in range(60):
        client >> publish(b"%d" % number, exchange="x", routing_key=str(number))
    parts = [client.drain(queue) for queue in "abc"]
    assert sum(len(part) for part in parts) == 60
    assert all(parts)


def test_x_local_random_wants_an_empty_key():
    """5.4"""
    client = ready("q")
    client.exchange("x", "x-local-random")
    client >> m("queue.bind", queue="q", exchange="x", routing_key="k")
    client.channel_closed(406, "PRECONDITION_FAILED - Non empty binding 'k' key not permitted", "queue.bind")


def test_x_local_random_leads_to_queues_only():
    """5.4"""
    client = ready()
    client.exchange("x", "x-local-random")
    client >> m("exchange.bind", destination="amq.fanout", source="x")
    client.channel_closed(406, "PRECONDITION_FAILED - Destination not found", "exchange.bind")


def test_x_modulus_hash_leads_the_same_key_to_the_same_queue():
    """5.4"""
    client = ready("a", "b", "c")
    client.exchange("x", "x-modulus-hash")
    for queue in "abc":
        client.bind(queue, "x", "weight")
    client.send(*[publish(b"1", exchange="x", routing_key="same")] * 10)
    assert sorted(len(client.drain(queue)) for queue in "abc") == [0, 0, 10]
