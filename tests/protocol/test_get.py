"""basic.get (behaviour 7.2)."""

from harness import World, m, publish


def test_get_ok_tells_what_remains_ready():
    """7.2"""
    client = World().client()
    client.declare("q")
    client.bind("q", "amq.topic", "#")
    client.send(publish(b"1", exchange="amq.topic", routing_key="k", headers={"a": 1}), publish(b"2"))
    client >> m("basic.get", queue="q")
    first = client.expect(
        "basic.get-ok", delivery_tag=1, redelivered=False, exchange="amq.topic", routing_key="k", message_count=1
    )
    assert (first.body, first.headers) == (b"1", {"a": 1})
    second = client.get("q")
    assert (second.message_count, second.exchange, second.routing_key) == (0, "", "q")


def test_get_empty():
    """7.2: cluster_id is empty."""
    client = World().client()
    client.declare("q")
    client >> m("basic.get", queue="q")
    client.expect("basic.get-empty", reserved_1="")


def test_what_is_got_without_no_ack_waits_for_its_acknowledgement():
    client = World().client(channels=(1, 2))
    client.declare("q")
    client.send(publish(b"1"), publish(b"2"))
    client.get("q", no_ack=True)
    client.get("q", no_ack=False)
    client.call("channel.close")
    assert client.on(2).drain("q") == [b"2"]


def test_no_ack_uses_up_a_delivery_tag():
    """7"""
    client = World().client()
    client.declare("q")
    client.send(*[publish(b"")] * 3)
    assert [client.get("q", no_ack=no_ack).delivery_tag for no_ack in (True, False, True)] == [1, 2, 3]
    client >> m("basic.ack", delivery_tag=1)
    client.channel_closed(406, "PRECONDITION_FAILED - unknown delivery tag 1", "basic.ack")


def test_get_beside_a_consumer_that_takes_everything_is_empty():
    client = World().client(channels=(1, 2))
    client.declare("q")
    client.consume("q")
    client.send(publish(b"1"))
    assert client.bodies() == [b"1"]
    assert client.on(2).get("q") is None


def test_an_ack_of_what_was_got_lets_no_consumer_have_more_than_its_prefetch():
    client = World().client()
    client.declare("q")
    client.send(*(publish(b"%d" % number) for number in range(4)))
    client.get("q", no_ack=False)
    client.qos(1)
    client.consume("q")
    assert client.bodies() == [b"1"]
    client >> m("basic.ack", delivery_tag=1)
    client.quiet()


def test_the_queue_declared_last_is_meant_without_a_name():
    """3"""
    client = World().client()
    name = client.declare("").queue
    client >> publish(b"1", routing_key=name)
    assert client.get("").body == b"1"
