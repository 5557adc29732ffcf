"""Bindings: identity, exchange to exchange, alternates, and what goes with what (behaviour 4, 5)."""

import itertools

import pytest
from harness import Typed as T
from harness import World, m, publish


def ready(*queues, **exchanges):
    client = World().client()
    for queue in queues:
        client.declare(queue)
    for name, kind in exchanges.items():
        client.exchange(name, kind)
    return client


def has(client, exchange):
    return exchange in client.world.vhost.exchanges


def e2e(client, source, destination, key=""):
    client.call("exchange.bind", source=source, destination=destination, routing_key=key)


# -- identity


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (("k", {}), ("k", {}), True),
        (("k", {}), ("l", {}), False),
        (("k", {"a": 1}), ("k", {"a": 2}), False),
        (("k", {"a": 1}), ("k", {}), False),
        (("k", [("a", 1), ("b", 2)]), ("k", [("b", 2), ("a", 1)]), True),
        (("k", {"a": 1}), ("k", {"a": "1"}), False),
        (("k", {"a": [1, 2]}), ("k", {"a": [1, 2]}), True),
    ],
    ids=str,
)
def test_source_destination_key_and_sorted_arguments_make_a_binding(first, second, same):
    """5: binding twice is a no-op that is answered."""
    client = ready("q")
    client.bind("q", "amq.direct", *first)
    client.bind("q", "amq.direct", *second)
    assert len(client.world.vhost.exchange("amq.direct").outgoing) == 2 - same
    client.call("queue.unbind", queue="q", exchange="amq.direct", routing_key=first[0], arguments=first[1])
    assert len(client.world.vhost.exchange("amq.direct").outgoing) == 1 - same


def test_with_neither_queue_nor_key_both_are_the_queue_declared_last():
    """3"""
    client = ready("other")
    name = client.declare("").queue
    client.call("queue.bind", exchange="amq.direct")
    client >> publish(b"1", exchange="amq.direct", routing_key=name)
    assert client.drain(name) == [b"1"]
    client.call("queue.unbind", exchange="amq.direct")
    assert not client.world.vhost.exchange("amq.direct").outgoing


def test_with_a_key_only_the_queue_is_the_last_one():
    """3"""
    client = ready("a", "b")
    client.call("queue.bind", exchange="amq.direct", routing_key="k")
    client >> publish(b"1", exchange="amq.direct", routing_key="k")
    assert (client.drain("a"), client.drain("b")) == ([], [b"1"])


def test_with_a_queue_an_empty_key_stays_empty():
    client = ready("q")
    client.call("queue.bind", queue="q", exchange="amq.direct")
    client >> publish(b"1", exchange="amq.direct", routing_key="q")
    client >> publish(b"2", exchange="amq.direct", routing_key="")
    assert client.drain("q") == [b"2"]


@pytest.mark.parametrize("how", ["passive", "nowait", "deleted"])
def test_which_queue_counts_as_declared_last(how):
    """3: a passive or nowait declare counts, and deleting it does not undo that."""
    client = ready("a", "b")
    if how == "passive":
        client.declare("a", passive=True)
    elif how == "nowait":
        client >> m("queue.declare", queue="a", nowait=True)
    else:
        client.declare("a")
        client.call("queue.delete", queue="a")
        client >> m("basic.get")
        client.channel_closed(404, "NOT_FOUND - no queue 'a' in vhost '/'", "basic.get")
        return
    client >> publish(b"1", routing_key="a")
    assert client.get("").body == b"1"


def test_a_type_checks_a_binding_before_its_owner_is_asked():
    """5: type-specific validation first, then exclusivity."""
    world = World()
    owner, client = world.client(), world.client()
    owner.declare("mine", exclusive=True)
    client >> m("queue.bind", queue="mine", exchange="amq.headers", arguments={"x-match": "zip"})
    client.expect("channel.close", reply_code=406)


def test_unbinding_in_a_missing_exchange_of_anothers_exclusive_queue_is_ok():
    """4: 405 only if the binding exists."""
    world = World()
    owner, client = world.client(), world.client()
    owner.declare("mine", exclusive=True)
    client.call("queue.unbind", queue="mine", exchange="amq.direct", routing_key="none")


# -- exchange to exchange


def test_a_message_walks_from_exchange_to_exchange():
    """5: every exchange by its own rule."""
    client = ready("q", "r", x="topic", y="direct")
    e2e(client, "x", "y", "a.*")
    client.bind("q", "y", "a.b")
    client.bind("r", "y", "a.c")
    client >> publish(b"1", exchange="x", routing_key="a.b")
    client >> publish(b"2", exchange="x", routing_key="z.b")
    message = client.get("q")
    assert (message.body, message.exchange, message.routing_key) == (b"1", "x", "a.b")
    assert (client.drain("q"), client.drain("r")) == ([], [])


def test_cycles_are_safe_and_each_exchange_is_passed_once():
    """5"""
    client = ready("q", x="fanout", y="fanout", z="fanout")
    for source, destination in ("xy", "yz", "zx", "xx"):
        e2e(client, source, destination)
    for name in "xyz":
        client.bind("q", name)
    client >> publish(b"1", exchange="y")
    assert client.drain("q") == [b"1"]


def test_two_ways_to_a_queue_deliver_once():
    client = ready("q", x="fanout", a="fanout", b="fanout")
    for name in "ab":
        e2e(client, "x", name)
        client.bind("q", name)
    client >> publish(b"1", exchange="x")
    assert client.drain("q") == [b"1"]


def test_e2e_bindings_can_be_removed():
    client = ready("q", x="fanout", y="fanout")
    e2e(client, "x", "y", "k")
    client.bind("q", "y")
    client.call("exchange.unbind", source="x", destination="y", routing_key="other")
    client >> publish(b"1", exchange="x")
    client.call("exchange.unbind", source="x", destination="y", routing_key="k")
    client >> publish(b"2", exchange="x", mandatory=True)
    assert client.expect("basic.return").body == b"2"
    assert client.drain("q") == [b"1"]


def test_an_internal_exchange_takes_what_other_exchanges_send():
    """5"""
    client = ready("q", x="fanout")
    client.exchange("inner", "fanout", internal=True)
    e2e(client, "x", "inner")
    client.bind("q", "inner")
    client >> publish(b"1", exchange="x")
    assert client.drain("q") == [b"1"]


def test_deleting_an_exchange_removes_its_bindings_at_both_ends():
    client = ready("q", x="fanout", y="fanout")
    e2e(client, "x", "y")
    client.bind("q", "y")
    client.call("exchange.delete", exchange="y")
    client.exchange("y", "fanout")
    client >> publish(b"1", exchange="x", mandatory=True)
    client.expect("basic.return")
    assert not client.world.vhost.exchange("x").outgoing
    assert not client.world.vhost.queues["q"].incoming


def test_a_long_chain_of_exchanges_does_not_recurse():
    client = ready("q")
    names = [f"x{number}" for number in range(1500)]
    for name in names:
        client.exchange(name, "fanout")
    for source, destination in itertools.pairwise(names):
        e2e(client, source, destination)
    client.bind("q", names[-1])
    client >> publish(b"1", exchange=names[0])
    assert client.drain("q") == [b"1"]


# -- alternate exchanges


def test_what_an_exchange_cannot_route_goes_to_its_alternate():
    """5: no return; the exchange that a consumer sees is the original one."""
    client = ready("q", "lost", other="fanout")
    client.exchange("x", "direct", {"alternate-exchange": "other"})
    client.bind("q", "x", "k")
    client.bind("lost", "other")
    client >> publish(b"1", exchange="x", routing_key="k")
    client >> publish(b"2", exchange="x", routing_key="z", mandatory=True)
    client.quiet()
    assert client.drain("q") == [b"1"]
    message = client.get("lost")
    assert (message.body, message.exchange, message.routing_key) == (b"2", "x", "z")


def test_alternates_may_be_chained_and_circular():
    """5"""
    client = ready("q")
    client.exchange("a", "direct", {"alternate-exchange": "b"})
    client.exchange("b", "direct", {"alternate-exchange": "c"})
    client.exchange("c", "direct", {"alternate-exchange": "a"}, internal=True)
    client >> publish(b"1", exchange="a", mandatory=True)
    client.expect("basic.return")
    client.bind("q", "c", "k")
    client >> publish(b"2", exchange="a", routing_key="k", mandatory=True)
    client.quiet()
    assert client.drain("q") == [b"2"]


@pytest.mark.parametrize("name", ["missing", ""])
def test_an_alternate_that_is_not_there_makes_it_unroutable(name):
    """5: nor does the default exchange route as an alternate."""
    client = ready("q")
    client.exchange("x", "direct", {"alternate-exchange": name})
    client >> publish(b"1", exchange="x", routing_key="q", mandatory=True)
    client.expect("basic.return")
    assert client.drain("q") == []


def test_an_alternate_may_be_declared_later():
    client = ready("q")
    client.exchange("x", "direct", {"alternate-exchange": "later"})
    client >> publish(b"1", exchange="x", mandatory=True)
    client.expect("basic.return")
    client.exchange("later", "fanout")
    client.bind("q", "later")
    client >> publish(b"2", exchange="x", mandatory=True)
    assert client.drain("q") == [b"2"]


def test_an_exchange_that_routed_to_another_exchange_asks_no_alternate():
    """5: only where the exchange itself routed to nothing."""
    client = ready("q", y="direct", other="fanout")
    client.exchange("x", "direct", {"alternate-exchange": "other"})
    client.bind("q", "other")
    e2e(client, "x", "y", "k")
    client >> publish(b"1", exchange="x", routing_key="k", mandatory=True)
    client.expect("basic.return")


@pytest.mark.parametrize(
    ("value", "kind"), [(1, "signedint"), (T("b", 1), "byte"), (True, "bool"), ([], "array"), (None, "void")], ids=str
)
def test_an_alternate_exchange_must_be_a_string(value, kind):
    """1.1"""
    client = ready()
    client >> m("exchange.declare", exchange="x", type="direct", arguments={"alternate-exchange": value})
    text = f"PRECONDITION_FAILED - invalid type '{kind}' for arg 'alternate-exchange' in exchange 'x' in vhost '/'"
    client.channel_closed(406, text, "exchange.declare")
    assert not has(client, "x")


# -- auto-delete


def test_an_auto_delete_exchange_goes_with_its_last_binding():
    """4"""
    client = ready("q", "r")
    client.exchange("x", "fanout", auto_delete=True)
    client.bind("q", "x")
    client.bind("r", "x")
    client.call("queue.unbind", queue="q", exchange="x")
    assert has(client, "x")
    client.call("queue.delete", queue="r")
    assert not has(client, "x")


def test_one_that_never_had_a_binding_stays():
    """4"""
    client = ready("q")
    client.exchange("x", "fanout", auto_delete=True)
    client.call("queue.unbind", queue="q", exchange="x")
    assert has(client, "x")


def test_deleting_its_destination_exchange_counts():
    """4"""
    client = ready(y="fanout")
    client.exchange("x", "fanout", auto_delete=True)
    e2e(client, "x", "y")
    client.call("exchange.delete", exchange="y")
    assert not has(client, "x")


def test_a_destination_is_not_deleted_for_losing_what_leads_to_it():
    """4"""
    client = ready(x="fanout")
    client.exchange("y", "fanout", auto_delete=True)
    e2e(client, "x", "y")
    client.call("exchange.unbind", source="x", destination="y")
    client.call("exchange.delete", exchange="x")
    assert has(client, "y")


def test_auto_deletion_goes_up_a_chain():
    """4"""
    client = ready("q")
    names = [f"x{number}" for number in range(1500)]
    for name in names:
        client.exchange(name, "fanout", auto_delete=True)
    for source, destination in itertools.pairwise(names):
        e2e(client, source, destination)
    client.bind("q", names[-1])
    client.call("queue.delete", queue="q")
    assert not any(has(client, name) for name in names)


def test_an_exclusive_queues_end_counts():
    """4"""
    world = World()
    owner, client = world.client(), world.client()
    client.exchange("x", "fanout", auto_delete=True)
    owner.declare("mine", exclusive=True)
    owner.bind("mine", "x")
    owner.call("connection.close")
    assert not has(client, "x")


def test_if_unused_counts_only_bindings_where_the_exchange_is_the_source():
    client = ready(x="fanout", y="fanout")
    e2e(client, "x", "y")
    client.call("exchange.delete", exchange="y", if_unused=True)
    assert not has(client, "y")
