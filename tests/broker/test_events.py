"""The event exchange (behaviour 21)."""

import pytest
from harness import EPOCH_MS, Typed, World, m


def listening(key="#"):
    world = World()
    world.broker.events.enable()
    client, spy = world.client(), world.client()
    spy.declare("events")
    spy.bind("events", "amq.rabbitmq.event", key)
    spy.drain("events")
    return world, client, spy


def told(spy, key):
    """The attributes of the next event with this key."""
    while (event := spy.get("events")) is not None:
        if event.routing_key == key:
            assert (event.exchange, event.body) == ("amq.rabbitmq.event", b"")
            return event
    raise AssertionError(f"no {key} came")


def test_the_exchange_is_there_once_events_are_enabled():
    """21: topic, internal."""
    world = World()
    assert "amq.rabbitmq.event" not in world.vhost.exchanges
    world.broker.events.enable()
    world.broker.events.enable()
    exchange = world.vhost.exchange("amq.rabbitmq.event")
    assert (exchange.type_name, exchange.durable, exchange.internal) == ("topic", True, True)


@pytest.mark.parametrize(
    ("said", "key", "attributes"),
    [
        (
            [m("queue.declare", queue="q", durable=True, arguments={"x-max-length": 5})],
            "queue.created",
            {
                "name": "q",
                "vhost": "/",
                "durable": True,
                "auto_delete": False,
                "exclusive": False,
                "arguments": {"x-max-length": 5},
            },
        ),
        ([m("queue.declare", queue="q"), m("queue.delete", queue="q")], "queue.deleted", {"name": "q", "vhost": "/"}),
        (
            [m("exchange.declare", exchange="x", type="topic", internal=True)],
            "exchange.created",
            {"name": "x", "vhost": "/", "type": "topic", "durable": False, "internal": True},
        ),
        (
            [m("exchange.declare", exchange="x", type="topic"), m("exchange.delete", exchange="x")],
            "exchange.deleted",
            {"name": "x", "vhost": "/"},
        ),
        (
            [
                m("queue.declare", queue="q"),
                m("queue.bind", queue="q", exchange="amq.direct", routing_key="k", arguments={"a": 1}),
            ],
            "binding.created",
            {
                "source_name": "amq.direct",
                "source_kind": "exchange",
                "destination_name": "q",
                "destination_kind": "queue",
                "routing_key": "k",
                "vhost": "/",
                "arguments": {"a": 1},
            },
        ),
        (
            [
                m("exchange.bind", source="amq.direct", destination="amq.topic", routing_key="k"),
                m("exchange.unbind", source="amq.direct", destination="amq.topic", routing_key="k"),
            ],
            "binding.deleted",
            {"source_name": "amq.direct", "destination_name": "amq.topic", "destination_kind": "exchange"},
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_happens_is_told_with_attributes_as_headers(said, key, attributes):
    """21"""
    _world, client, spy = listening()
    client.send(*said)
    headers = told(spy, key).headers
    assert {name: headers[name] for name in attributes} == attributes


def test_vhosts_are_told_in_the_default_vhost():
    """21"""
    world, _client, spy = listening("vhost.*")
    world.broker.add_vhost("v")
    world.broker.add_vhost("v")
    world.broker.remove_vhost("v")
    keys = [spy.get("events").routing_key for _ in range(2)]
    assert (keys, spy.get("events")) == (["vhost.created", "vhost.deleted"], None)


@pytest.mark.parametrize(("change", "key"), [("alarm", "alarm.set"), ("all_clear", "alarm.cleared")])
def test_alarms_are_told(change, key):
    """21"""
    world, _client, spy = listening("alarm.*")
    world.alarm("disk")
    if change == "all_clear":
        world.all_clear("disk")
    assert told(spy, key).headers["resource"] == "disk"


def test_every_event_says_when():
    """21"""
    world, client, spy = listening()
    world.pass_ms(1500)
    client.declare("q")
    event = told(spy, "queue.created")
    assert event.properties["timestamp"] == (EPOCH_MS + 1500) // 1000
    assert dict(event.properties["headers"])["timestamp_in_ms"] == Typed("l", EPOCH_MS + 1500)


def test_nothing_is_published_while_events_are_off():
    world = World()
    world.vhost.declare_system_exchange("amq.rabbitmq.event")
    client = world.client()
    client.declare("events")
    client.bind("events", "amq.rabbitmq.event", "#")
    client.declare("q")
    assert client.drain("events") == []


def test_a_listener_does_not_hear_of_listening():
    """A queue that is bound to the events does not make the broker run in circles."""
    _world, client, spy = listening()
    spy.consume("events", no_ack=True)
    client.declare("q")
    assert "queue.created" in [event.routing_key for event in spy.heard()]
