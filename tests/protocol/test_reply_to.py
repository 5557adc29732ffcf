"""Direct reply-to (behaviour 15)."""

import pytest
from harness import World, deliver, m, publish

PSEUDO = "amq.rabbitmq.reply-to"


def asking(world=None):
    """A client that waits for replies, and the address it put into a request."""
    client = (world or World()).client(channels=(1, 2))
    client.declare("requests")
    client.consume(PSEUDO, "replies", no_ack=True)
    client >> publish(b"request", routing_key="requests", reply_to=PSEUDO, correlation_id="7")
    request = client.get("requests")
    assert (request.body, request.properties["correlation_id"]) == (b"request", "7")
    return client, request.properties["reply_to"]


def test_a_request_carries_an_address_of_its_own():
    """15"""
    _client, address = asking()
    assert address.startswith(PSEUDO + ".")
    assert len(address) > len(PSEUDO) + 20


def test_a_reply_goes_straight_to_the_channel_that_asked():
    """15: exchange empty, the routing key is the address, tags count from the channel's sequence."""
    world = World()
    client, address = asking(world)
    server = world.client()
    server >> publish(b"reply", routing_key=address, correlation_id="7")
    reply = client << deliver(
        b"reply", consumer_tag="replies", delivery_tag=2, redelivered=False, exchange="", routing_key=address
    )
    assert reply.properties == {"correlation_id": "7"}


def test_the_last_queue_declared_may_be_the_pseudo_queue():
    client = World().client()
    client.declare(PSEUDO)
    client.consume("", "replies", no_ack=True)
    client >> m("basic.consume", queue="", consumer_tag="again", no_ack=True)
    client.channel_closed(406, "PRECONDITION_FAILED - reply consumer already set", "basic.consume")


def test_a_channel_answers_itself():
    client, address = asking()
    client >> publish(b"reply", routing_key=address)
    client << deliver(b"reply")


def test_the_rest_of_a_requests_properties_stay():
    client, _address = asking()
    client >> publish(b"x" * 5, routing_key="requests", reply_to=PSEUDO, headers={"a": 1}, priority=3, type="t")
    message = client.get("requests")
    assert message.body == b"xxxxx"
    assert (message.headers, message.properties["priority"], message.properties["type"]) == ({"a": 1}, 3, "t")


def test_another_reply_to_is_left_alone():
    client, _address = asking()
    client >> publish(b"1", routing_key="requests", reply_to=PSEUDO + ".else")
    assert client.get("requests").properties["reply_to"] == PSEUDO + ".else"


def test_one_reply_consumer_for_a_channel():
    """1.1"""
    client, _address = asking()
    client >> m("basic.consume", queue=PSEUDO, consumer_tag="second", no_ack=True)
    client.channel_closed(406, "PRECONDITION_FAILED - reply consumer already set", "basic.consume")


def test_requests_must_be_published_on_the_channel_that_waits():
    """15"""
    client, _address = asking()
    client.on(2) >> publish(b"1", routing_key="requests", reply_to=PSEUDO)
    text = "PRECONDITION_FAILED - fast reply consumer does not exist"
    client.on(2).channel_closed(406, text, "basic.publish")


def test_cancelling_frees_the_place():
    """15"""
    client, address = asking()
    client.call("basic.cancel", consumer_tag="replies")
    client >> publish(b"late", routing_key=address)
    client.quiet()
    client.consume(PSEUDO, "again", no_ack=True)
    client >> publish(b"1", routing_key="requests", reply_to=PSEUDO)
    assert client.get("requests").properties["reply_to"] != address


@pytest.mark.parametrize("passive", [False, True])
def test_declaring_the_address_tells_whether_somebody_waits(passive):
    """15: 0 messages and 1 consumer while alive, 404 after. (RabbitMQ 4.3.6 answers 541: a defect.)"""
    client, address = asking()
    server = client.on(2)
    answer = server.declare(address, passive=passive)
    assert (answer.queue, answer.message_count, answer.consumer_count) == (address, 0, 1)
    client.call("basic.cancel", consumer_tag="replies")
    server >> m("queue.declare", queue=address, passive=passive)
    server.channel_closed(404, f"NOT_FOUND - no queue '{address}' in vhost '/'", "queue.declare")


def test_declaring_the_bare_name_is_ok():
    """15: 0 and 1"""
    answer = World().client().declare(PSEUDO)
    assert (answer.message_count, answer.consumer_count) == (0, 1)


@pytest.mark.parametrize("mandatory", [False, True])
def test_a_reply_that_nobody_waits_for_counts_as_routed(mandatory):
    """15: since 4.2 no return."""
    client, address = asking()
    client.on(2).call("confirm.select")
    client.call("channel.close")
    client.on(2) >> publish(b"late", routing_key=address, mandatory=mandatory)
    client.on(2).expect("basic.ack", delivery_tag=1)
    client.quiet()


@pytest.mark.parametrize("name", [PSEUDO, PSEUDO + ".xyz", PSEUDO + ".g1-short"])
def test_an_invented_address_is_unroutable(name):
    """15, RabbitMQ 4.3.6: only names of the form that it gives count as routed."""
    client, _address = asking()
    client >> publish(b"1", routing_key=name, mandatory=True)
    client.expect("basic.return", reply_code=312)


def test_nobody_else_may_consume_from_an_address():
    client, address = asking()
    client.on(2) >> m("basic.consume", queue=address, no_ack=True)
    text = f"PRECONDITION_FAILED - only creator channel may consume from queue '{address}' in vhost '/'"
    client.on(2).channel_closed(406, text, "basic.consume")


def test_the_bare_name_is_no_queue_that_could_be_bound_got_or_purged():
    client, _address = asking()
    other = client.on(2)
    for said in (
        m("queue.bind", queue=PSEUDO, exchange="amq.direct"),
        m("basic.get", queue=PSEUDO),
        m("queue.purge", queue=PSEUDO),
    ):
        other >> said
        other.channel_closed(404, f"NOT_FOUND - no queue '{PSEUDO}' in vhost '/'", said.name)
        other.reopen()
    other.call("queue.unbind", queue=PSEUDO, exchange="amq.direct")
    assert other.call("queue.delete", queue=PSEUDO).message_count == 0


def test_the_address_dies_with_its_channel():
    world = World()
    client, address = asking(world)
    other = world.client()
    client.lose()
    other >> m("queue.declare", queue=address, passive=True)
    other.expect("channel.close", reply_code=404)
    assert world.vhost.reply_queues == {}


def test_reply_consumers_are_listed_nowhere():
    """15"""
    client, address = asking()
    assert set(client.world.vhost.queues) == {"requests"}
    assert not client.exists(address)


def test_a_reply_is_not_limited_by_prefetch():
    client = World().client()
    client.qos(1)
    client.qos(1, shared=True)
    client.declare("requests")
    client.consume(PSEUDO, "replies", no_ack=True)
    client >> publish(b"", routing_key="requests", reply_to=PSEUDO)
    address = client.get("requests").properties["reply_to"]
    client.send(*(publish(b"%d" % number, routing_key=address) for number in range(5)))
    assert client.bodies() == [b"0", b"1", b"2", b"3", b"4"]


def test_a_reply_can_be_reached_by_cc_too():
    client, address = asking()
    client >> publish(b"reply", routing_key="requests", headers={"CC": [address]})
    client << deliver(b"reply", routing_key="requests")


def test_replies_that_nobody_reads_are_dropped_before_they_fill_the_memory():
    """One message can be addressed to many reply consumers of one connection by CC."""
    world = World()
    client = world.client(channels=tuple(range(1, 22)))
    client.declare("requests")
    names = []
    for number in range(1, 21):
        channel = client.on(number)
        channel.consume(PSEUDO, "replies", no_ack=True)
        channel >> publish(b"", routing_key="requests", reply_to=PSEUDO)
        names.append(channel.get("requests").properties["reply_to"])
    body = bytes(1_000_000)
    client.on(21) >> publish(body, routing_key=names[0], headers={"CC": names[1:]})
    replies = client.bodies()
    assert 8 <= len(replies) <= 10
    assert all(reply == body for reply in replies)
