"""What an operator changes is in force at once, for connections that were open before: all parts of a node together."""

import pytest
from harness import m, publish
from operating import operator_of, running
from peer import Peer, log_in

EVERYTHING = {"configure": ".*", "write": ".*", "read": ".*"}


@pytest.fixture
async def node(tmp_path):
    async with running(tmp_path) as broker, operator_of(broker) as operator:
        yield broker, operator


async def permit(operator, **patterns):
    await operator.order("PutPermission", user="guest", vhost="/", **{**EVERYTHING, **patterns})


async def closed(peer, method, code):
    """The channel is closed for what was sent."""
    answer = await peer.expect(f"{method}.close")
    assert answer.reply_code == code
    return answer.reply_text


async def test_a_permission_that_is_withdrawn(node):
    broker, operator = node
    client = await Peer.connect(broker)
    await client.call(m("confirm.select"))
    await client.call(m("queue.declare", queue="q"))
    await client.send(publish(b"before"))
    await client.expect("basic.ack")
    await permit(operator, write="^$")
    await client.send(publish(b"after"))
    text = await closed(client, "channel", 403)
    assert text == "ACCESS_REFUSED - write access to exchange 'amq.default' in vhost '/' refused for user 'guest'"


async def test_a_consumer_that_may_no_longer_read(node):
    broker, operator = node
    client = await Peer.connect(broker)
    await client.call(m("queue.declare", queue="q"))
    await client.call(m("basic.consume", queue="q", consumer_tag="c", no_ack=True))
    await permit(operator, read="^other$")
    assert (await client.call(m("queue.declare", queue="q", passive=True))).consumer_count == 0


async def test_a_topic_permission(node):
    broker, operator = node
    client = await Peer.connect(broker)
    await client.call(m("confirm.select"))
    await client.send(publish(b"", "any.key", "amq.topic"))
    await client.expect("basic.ack")
    topics = {"user": "guest", "vhost": "/", "exchange": "amq.topic"}
    await operator.order("PutTopicPermission", **topics, write=r"^{username}\.", read=".*")
    await client.send(publish(b"", "guest.key", "amq.topic"))
    await client.expect("basic.ack")
    await client.send(publish(b"", "any.key", "amq.topic"))
    text = await closed(client, "channel", 403)
    assert text.startswith("ACCESS_REFUSED - write access to topic 'any.key' in exchange 'amq.topic' in vhost '/'")


async def test_a_user_that_is_deleted(node):
    broker, operator = node
    client = await Peer.connect(broker)
    await operator.order("DeleteUser", name="guest")
    assert await closed(client, "connection", 320) == "CONNECTION_FORCED - user 'guest' is deleted"
    assert (await (await log_in(broker, "guest", "guest")).expect("connection.close")).reply_code == 403


async def test_a_limit_of_a_user(node):
    broker, operator = node
    client = await Peer.connect(broker)
    await operator.order("PutUserLimit", user="guest", name="max-channels", value=1)
    await client.send(m("channel.open"), 2)
    text = await closed(client, "connection", 530)
    assert text.endswith("for user 'guest' has reached the maximum allowed user limit of 1")


async def test_a_limit_of_a_vhost(node):
    broker, operator = node
    client = await Peer.connect(broker)
    await operator.order("PutVHostLimit", vhost="/", name="max-queues", value=0)
    await client.send(m("queue.declare", queue="q"))
    text = await closed(client, "channel", 406)
    assert text == "PRECONDITION_FAILED - cannot declare queue 'q': queue limit in vhost '/' (0) is reached"


async def test_a_policy_acts_on_what_is_queued(node):
    broker, operator = node
    client = await Peer.connect(broker)
    await client.call(m("confirm.select"))
    await client.call(m("queue.declare", queue="q"))
    for number in range(3):
        await client.send(publish(b"%d" % number))
        await client.expect("basic.ack")
    await operator.order("PutPolicy", vhost="/", name="short", pattern="^q$", definition={"max-length": 1})
    assert (await client.call(m("queue.declare", queue="q", passive=True))).message_count == 1
    await client.send(m("basic.get", queue="q", no_ack=True))
    assert (await client.expect("basic.get-ok")).body == b"2"
