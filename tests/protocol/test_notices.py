"""What the event exchange is told of connections, channels, consumers and logins (behaviour 21)."""

from harness import PROTOCOL_HEADER, World


def listening():
    world = World()
    world.broker.events.enable()
    spy = world.client()
    spy.declare("events")
    for key in ("connection.*", "channel.*", "consumer.*", "user.#"):
        spy.bind("events", "amq.rabbitmq.event", key)
    return world, spy


def told(spy):
    """(key, attributes) of what was told."""
    events = []
    while (event := spy.get("events")) is not None:
        events.append((event.routing_key, event.headers))
    return events


def test_the_life_of_a_connection_its_channel_and_its_consumer():
    world, spy = listening()
    client = world.client()
    client.declare("q")
    client.consume("q", "t", exclusive=True)
    client.call("basic.cancel", consumer_tag="t")
    client.call("channel.close")
    client.call("connection.close")
    events = told(spy)
    assert [key for key, _attributes in events] == [
        "user.authentication.success",
        "connection.created",
        "channel.created",
        "consumer.created",
        "consumer.deleted",
        "channel.closed",
        "connection.closed",
    ]
    attributes = dict(events)
    name = client.connection.name
    connection = attributes["connection.created"]
    assert (connection["name"], connection["user"], connection["vhost"]) == (name, "guest", "/")
    assert (connection["protocol"], connection["auth_mechanism"]) == ("AMQP 0-9-1", "PLAIN")
    assert connection["client_properties"]["product"] == "play"
    assert attributes["channel.created"]["number"] == 1
    consumer = attributes["consumer.created"]
    assert (consumer["consumer_tag"], consumer["queue"], consumer["exclusive"]) == ("t", "q", True)
    assert consumer["ack_required"] is True
    assert attributes["connection.closed"]["name"] == name


def test_a_failed_login():
    world, spy = listening()
    client = world.connect()
    client >> PROTOCOL_HEADER
    client.expect("connection.start")
    client.start_ok(response="\0guest\0wrong")
    [(key, attributes)] = told(spy)
    assert (key, attributes["name"]) == ("user.authentication.failure", "guest")


def test_a_lost_connection_is_told_once_with_all_that_went_with_it():
    world, spy = listening()
    client = world.client()
    client.declare("q")
    client.consume("q")
    told(spy)
    client.lose()
    keys = [key for key, _attributes in told(spy)]
    assert sorted(keys) == ["channel.closed", "connection.closed", "consumer.deleted"]


def test_a_queue_that_goes_takes_its_consumers_with_it():
    world, spy = listening()
    client = world.client()
    client.declare("q")
    client.consume("q")
    told(spy)
    spy.call("queue.delete", queue="q")
    assert [key for key, _attributes in told(spy)] == ["consumer.deleted"]
