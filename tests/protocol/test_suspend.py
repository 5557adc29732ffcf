"""Definitions that take time to be stored: replies wait for it, and nobody else does (ports.Catalogue)."""

import pytest
from harness import SlowCatalogue, World, m, publish

from amqpd.broker.commands import DeleteBinding, DeleteExchange, DeleteQueue, PutBinding, PutExchange, PutQueue


def slow():
    catalogue = SlowCatalogue()
    catalogue.instant = True
    world = World(catalogue)
    client, other = world.client(channels=(1, 2)), world.client()
    catalogue.instant = False
    return world, catalogue, client, other


def stored(world, catalogue):
    catalogue.store()
    world.settle()


def test_a_durable_declaration_is_answered_once_it_is_stored():
    world, catalogue, client, _other = slow()
    client >> m("queue.declare", queue="q", durable=True)
    client.quiet()
    stored(world, catalogue)
    client.expect("queue.declare-ok", queue="q")
    client.quiet()


@pytest.mark.parametrize(
    "said",
    [
        m("queue.declare", queue="t"),
        m("queue.declare", queue="mine", durable=True, exclusive=True),
        m("exchange.declare", exchange="t", type="topic"),
        m("basic.qos"),
        m("queue.delete", queue="nope"),
        m("queue.declare", queue="t", passive=True),
        m("queue.bind", queue="t", exchange="amq.direct"),
    ],
    ids=lambda said: said.name,
)
def test_what_is_not_durable_does_not_wait(said):
    _world, _catalogue, client, other = slow()
    other.declare("t")
    client >> said
    client.expect(said.name + "-ok")


@pytest.mark.parametrize(
    "said",
    [
        m("queue.declare", queue="t"),
        m("exchange.declare", exchange="x", type="topic"),
        m("queue.bind", queue="t", exchange="amq.direct"),
    ],
    ids=lambda said: said.name,
)
def test_what_is_there_and_not_durable_does_not_wait_for_what_others_define(said):
    _world, _catalogue, client, other = slow()
    client.declare("t")
    client.exchange("x", "topic")
    client.bind("t", "amq.direct", "")
    client >> m("queue.declare", queue="durable", durable=True)
    other >> said
    other.expect(said.name + "-ok")
    client.quiet()


def test_everything_after_it_on_the_connection_waits_and_keeps_its_order():
    world, catalogue, client, _other = slow()
    first, second = (m("queue.declare", queue=name, durable=True) for name in "ab")
    client.send(first, m("basic.qos"), second)
    client.on(2) >> m("basic.qos")
    client.quiet()
    stored(world, catalogue)
    client.expect("queue.declare-ok", queue="a")
    client.expect("basic.qos-ok")
    client.quiet()
    stored(world, catalogue)
    client.expect("queue.declare-ok", queue="b")
    client.on(2).expect("basic.qos-ok")
    client.quiet()


def test_nobody_else_waits():
    world, catalogue, client, other = slow()
    client >> m("queue.declare", queue="a", durable=True)
    other.declare("t")
    other >> publish(b"1", routing_key="t")
    assert other.drain("t") == [b"1"]
    stored(world, catalogue)
    client.expect("queue.declare-ok")


def test_two_connections_wait_each_for_its_own():
    world, catalogue, client, other = slow()
    client >> m("queue.declare", queue="a", durable=True)
    other >> m("queue.declare", queue="b", durable=True)
    (_, first), (_, second) = catalogue.callbacks
    catalogue.callbacks = []
    second()
    world.settle()
    client.quiet()
    other.expect("queue.declare-ok", queue="b")
    first()
    world.settle()
    client.expect("queue.declare-ok", queue="a")


def test_nowait_has_no_answer_but_what_follows_waits():
    world, catalogue, client, _other = slow()
    client.send(m("queue.declare", queue="a", durable=True, nowait=True), m("basic.qos"))
    client.quiet()
    stored(world, catalogue)
    client.expect("basic.qos-ok")
    client.quiet()


def test_consumers_are_served_meanwhile():
    world, catalogue, client, other = slow()
    other.declare("t")
    client.consume("t")
    client >> m("queue.declare", queue="a", durable=True)
    other >> publish(b"1", routing_key="t")
    assert client.bodies() == [b"1"]
    stored(world, catalogue)
    client.expect("queue.declare-ok")


def test_an_error_is_said_at_once():
    _world, catalogue, client, _other = slow()
    catalogue.instant = True
    client.declare("a", durable=True)
    catalogue.instant = False
    client >> m("queue.declare", queue="a")
    client.expect("channel.close", reply_code=406)


def test_a_client_that_goes_away_meanwhile_is_forgotten():
    world, catalogue, client, other = slow()
    client >> m("queue.declare", queue="a", durable=True)
    client.lose()
    stored(world, catalogue)
    client.quiet()
    assert other.exists("a")


def test_an_alarm_and_a_definition_both_have_to_end():
    world, catalogue, client, _other = slow()
    world.alarm()
    client.send(publish(b"1"), m("queue.declare", queue="a", durable=True), m("basic.qos"))
    client.expect("connection.blocked")
    world.all_clear()
    client.expect("connection.unblocked")
    client.quiet()
    stored(world, catalogue)
    client.expect("queue.declare-ok")
    client.expect("basic.qos-ok")


BOUND = ("/", "dx", "queue", "dq", "k")


@pytest.mark.parametrize(
    ("said", "recorded"),
    [
        ([m("queue.declare", queue="d", durable=True)], [PutQueue("/", "d")]),
        ([m("exchange.declare", exchange="d", type="topic", durable=True)], [PutExchange("/", "d", "topic")]),
        ([m("exchange.declare", exchange="t", type="topic")], []),
        ([m("queue.bind", queue="dq", exchange="dx", routing_key="k")], [PutBinding(*BOUND)]),
        ([m("queue.bind", queue="tq", exchange="dx", routing_key="k")], []),
        ([m("queue.bind", queue="dq", exchange="tx", routing_key="k")], []),
        (
            [m("exchange.bind", destination="dx", source="amq.fanout", routing_key="k")],
            [PutBinding("/", "amq.fanout", "exchange", "dx", "k")],
        ),
        ([m("queue.delete", queue="dq")], [DeleteQueue("/", "dq")]),
        ([m("exchange.delete", exchange="dx")], [DeleteExchange("/", "dx")]),
        ([m("queue.delete", queue="tq")], []),
        (
            [m("queue.bind", queue="dq", exchange="dx", routing_key="k")] * 2
            + [m("queue.unbind", queue="dq", exchange="dx", routing_key="k")],
            [PutBinding(*BOUND), DeleteBinding(*BOUND)],
        ),
        (  # a deletion takes its bindings along
            [m("queue.bind", queue="dq", exchange="dx", routing_key="k"), m("queue.delete", queue="dq")],
            [PutBinding(*BOUND), DeleteQueue("/", "dq")],
        ),
    ],
    ids=range(12),
)
def test_what_is_durable_is_recorded(said, recorded):
    """5: a binding is durable only if both its ends are."""
    _world, catalogue, client, _other = slow()
    catalogue.instant = True
    client.declare("dq", durable=True)
    client.declare("tq")
    client.exchange("dx", "direct", durable=True)
    client.exchange("tx", "direct")
    catalogue.commands.clear()
    client.send(*said)
    assert catalogue.commands == recorded


@pytest.mark.parametrize(
    "said",
    [
        m("queue.declare", queue="q", durable=True),
        m("exchange.declare", exchange="x", type="direct", durable=True),
        m("queue.bind", queue="q", exchange="x"),
    ],
    ids=lambda said: said.name,
)
def test_who_is_told_that_something_is_there_waits_for_it_too(said):
    """Otherwise a crash could take away what a second client was promised."""
    world, catalogue, client, other = slow()
    catalogue.instant = True
    client.declare("q", durable=True)
    client.exchange("x", "direct", durable=True)
    client.send(m("queue.delete", queue="q"), m("exchange.delete", exchange="x"))
    catalogue.instant = False
    client.send(m("queue.declare", queue="q", durable=True, nowait=True))
    stored(world, catalogue)
    client.send(m("exchange.declare", exchange="x", type="direct", durable=True, nowait=True))
    stored(world, catalogue)
    client.send(m("queue.bind", queue="q", exchange="x", nowait=True))
    other >> said
    other.quiet()
    stored(world, catalogue)
    other.expect(said.name + "-ok")
