"""The firehose: copies of what is published and delivered (behaviour 21)."""

from harness import Typed, World, m, publish


def tracing(key="#"):
    world = World()
    client, spy = world.client(), world.client()
    client.declare("q")
    spy.declare("trace")
    spy.bind("trace", "amq.rabbitmq.trace", key)
    world.vhost.tracing = True
    return world, client, spy


def test_a_publish_is_copied_with_all_that_is_known_of_it():
    """21"""
    _world, client, spy = tracing("publish.#")
    client.exchange("x", "fanout")
    client.bind("q", "x")
    client >> publish(b"body", exchange="x", routing_key="k", headers={"CC": ["cc"], "h": 1}, priority=3)
    copy = spy.get("trace")
    assert (copy.exchange, copy.routing_key, copy.body) == ("amq.rabbitmq.trace", "publish.x", b"body")
    headers = copy.headers
    assert list(headers) == [
        "channel",
        "connection",
        "exchange_name",
        "node",
        "properties",
        "routed_queues",
        "routing_keys",
        "user",
        "vhost",
    ]
    assert headers["exchange_name"] == "x"
    assert headers["routing_keys"] == ["k", "cc"]
    assert headers["properties"] == {"headers": {"CC": ["cc"], "h": 1}, "priority": 3}
    assert (headers["node"], headers["vhost"], headers["user"]) == ("rabbit@test", "/", "guest")
    assert headers["connection"] == client.connection.name
    assert headers["routed_queues"] == ["q"]
    assert dict(copy.properties["headers"])["channel"] == Typed("I", 1)


def test_a_delivery_is_copied_too():
    """21: deliver.<queue>, and whether it was delivered before (0 or 1)."""
    _world, client, spy = tracing("deliver.#")
    client.consume("q")
    client >> publish(b"1")
    client >> m("basic.nack", delivery_tag=1, requeue=True)
    for redelivered in (0, 1):
        copy = spy.get("trace")
        assert (copy.routing_key, copy.body) == ("deliver.q", b"1")
        assert dict(copy.properties["headers"])["redelivered"] == Typed("I", redelivered)


def test_a_get_counts_as_a_delivery():
    _world, client, spy = tracing("deliver.q")
    client >> publish(b"1")
    client.get("q")
    assert spy.get("trace").body == b"1"


def test_an_unroutable_publish_is_copied_with_no_queues():
    _world, client, spy = tracing("publish.#")
    client >> publish(b"1", routing_key="nobody")
    copy = spy.get("trace")
    assert (copy.routing_key, copy.headers["routed_queues"]) == ("publish.", [])


def test_what_the_firehose_says_is_not_traced_again():
    """21"""
    _world, client, spy = tracing()
    client >> publish(b"1")
    spy.consume("trace", no_ack=True)
    assert [event.routing_key for event in spy.heard()] == ["publish."]
    client.get("q")
    assert [event.routing_key for event in spy.heard()] == ["deliver.q"]
    spy.quiet()


def test_while_it_is_off_there_is_nothing():
    world, client, spy = tracing()
    world.vhost.tracing = False
    client >> publish(b"1")
    client.get("q")
    assert spy.drain("trace") == []


def test_the_original_passes_through_untouched():
    _world, client, _spy = tracing()
    client >> publish(b"1", headers={"z": 1, "a": 2}, timestamp=5)
    message = client.get("q")
    assert (message.headers, message.properties["timestamp"]) == ({"z": 1, "a": 2}, 5)


def test_copies_have_headers_and_nothing_else():
    """21: the traced message's properties are inside."""
    _world, client, spy = tracing("publish.#")
    client >> publish(b"1", delivery_mode=2, timestamp=5, message_id="m")
    copy = spy.get("trace")
    assert list(copy.properties) == ["headers"]
    assert copy.headers["properties"] == {"delivery_mode": 2, "timestamp": 5, "message_id": "m"}


def test_a_transactions_publishes_are_told_at_commit():
    _world, client, spy = tracing("publish.#")
    client.call("tx.select")
    client >> publish(b"1")
    assert spy.drain("trace") == []
    client.call("tx.commit")
    assert spy.drain("trace") == [b"1"]
