"""The classic queue: life, order, priorities, time, limits, single active consumer.

Behaviour 3, 4, 8, 9.2, 10, 11, 14.
"""

import pytest
from harness import World, deliver, m, publish


def ready(arguments=None, channels=(1, 2), **flags):
    client = World().client(channels=channels)
    client.declare("q", arguments, **flags)
    return client


def numbered(client, *numbers, **properties):
    client.send(*(publish(b"%d" % number, **properties) for number in numbers))


# -- names and counts


def test_a_queue_without_a_name_is_given_one():
    """3: amq.gen- and 22 characters of base64 without padding."""
    client = World().client()
    names = [client.declare("").queue for _ in range(3)]
    assert len(set(names)) == 3
    for name in names:
        assert name.startswith("amq.gen-")
        assert len(name) == len("amq.gen-") + 22
        assert not set(name) & set("+/=")


def test_line_ends_are_removed_from_names():
    """3: in declare, bind, unbind and delete."""
    client = World().client()
    assert client.declare("q\r\n1").queue == "q1"
    client.bind("q\n1", "amq.fanout\r")
    client.call("queue.unbind", queue="q1\n", exchange="amq.fanout")
    client.call("queue.delete", queue="\rq1")
    assert not client.exists("q1")


def test_a_server_named_queue_cannot_be_declared_by_its_name_but_passively():
    """3"""
    client = World().client()
    name = client.declare("").queue
    client.declare(name, passive=True)
    client >> m("queue.declare", queue=name)
    client.expect("channel.close", reply_code=403)


def test_counts_are_of_ready_messages_and_consumers():
    """4"""
    client = ready()
    numbered(client, 1, 2, 3)
    client.get("q", no_ack=False)
    assert client.counts() == (2, 0)
    client.qos(1)
    client.consume("q")
    client.next()
    assert client.counts() == (1, 1)
    assert client.declare("q").fields == {"queue": "q", "message_count": 1, "consumer_count": 1}


def test_purge_and_delete_tell_how_many_were_ready():
    """4: messages are dropped, not dead-lettered; what is unacknowledged stays."""
    client = ready({"x-dead-letter-exchange": "amq.fanout"})
    client.declare("dead")
    client.bind("dead", "amq.fanout")
    numbered(client, 1, 2, 3)
    client.get("q", no_ack=False)
    assert client.call("queue.purge", queue="q").message_count == 2
    client >> m("basic.nack", delivery_tag=1, requeue=True)
    assert client.counts() == (1, 0)
    numbered(client, 4)
    assert client.call("queue.delete", queue="q").message_count == 2
    assert client.drain("dead") == []


def test_requeued_messages_of_a_purge_keep_their_places():
    client = ready()
    numbered(client, 1, 2, 3, 4)
    client.get("q", no_ack=False)
    client.get("q", no_ack=False)
    client.call("queue.purge", queue="q")
    numbered(client, 5)
    client.send(m("basic.nack", delivery_tag=2, requeue=True), m("basic.nack", delivery_tag=1, requeue=True))
    assert client.drain() == [b"1", b"2", b"5"]


# -- exclusive and auto-delete


def test_an_exclusive_queue_is_for_all_channels_of_its_connection():
    """4"""
    client = ready(exclusive=True)
    client.on(2) >> publish(b"1")
    assert client.on(2).drain("q") == [b"1"]
    client.call("channel.close")
    assert client.exists("q")


def test_others_may_publish_to_an_exclusive_queue():
    """4: only its use as a queue is locked."""
    world = World()
    owner, other = world.client(), world.client()
    owner.declare("q", exclusive=True)
    other >> publish(b"1")
    assert owner.drain("q") == [b"1"]


def test_an_auto_delete_queue_goes_with_its_last_consumer():
    """4"""
    client = ready(auto_delete=True)
    client.consume("q", "a")
    client.on(2).consume("q", "b")
    client.call("basic.cancel", consumer_tag="a")
    assert client.exists("q")
    client.on(2).call("channel.close")
    assert not client.exists("q")


def test_an_auto_delete_queue_goes_with_a_lost_connection():
    """4"""
    client = ready(auto_delete=True)
    client.consume("q")
    client.lose()
    assert not client.exists("q")


def test_get_does_not_count_as_a_consumer():
    """4: nor does never having had one."""
    client = ready(auto_delete=True)
    numbered(client, 1)
    client.get("q")
    client.call("channel.close")
    assert client.exists("q")


# -- x-expires


@pytest.mark.parametrize(
    "said",
    [
        m("queue.declare", queue="q", arguments={"x-expires": 1000}),
        m("queue.declare", queue="q", passive=True),
        m("basic.get", queue="q"),
    ],
    ids=["redeclare", "passive", "get"],
)
def test_use_renews_an_expiring_queue(said):
    """4"""
    client = ready({"x-expires": 1000})
    client.world.pass_ms(900)
    client >> said
    client.world.pass_ms(999)
    assert client.exists("q")
    client.world.pass_ms(1)
    assert not client.exists("q")


def test_publishing_does_not_renew_it():
    """4"""
    client = ready({"x-expires": 1000})
    client.world.pass_ms(900)
    numbered(client, 1)
    client.world.pass_ms(100)
    assert not client.exists("q")


def test_it_does_not_expire_while_it_has_a_consumer():
    """4"""
    client = ready({"x-expires": 1000})
    client.consume("q")
    client.world.pass_ms(10_000)
    client.call("basic.cancel", consumer_tag="t")
    client.world.pass_ms(999)
    assert client.exists("q")
    client.world.pass_ms(1)
    assert not client.exists("q")


def test_its_messages_are_not_dead_lettered():
    """4"""
    client = ready({"x-expires": 1000, "x-dead-letter-exchange": "amq.fanout"})
    client.declare("dead")
    client.bind("dead", "amq.fanout")
    numbered(client, 1)
    client.world.pass_ms(1000)
    assert (client.exists("q"), client.drain("dead")) == (False, [])


# -- priorities


def test_the_highest_priority_comes_first_and_keeps_its_order():
    """9.2"""
    client = ready({"x-max-priority": 5})
    for number, priority in enumerate([0, 5, 2, 5, None, 9, 1]):
        numbered(client, number, **({} if priority is None else {"priority": priority}))
    assert client.drain() == [b"1", b"3", b"5", b"2", b"6", b"0", b"4"]


def test_levels_of_priority_are_made_when_a_message_needs_them():
    client = ready({"x-max-priority": 255})
    queue = client.world.vhost.queues["q"]
    assert [level.priority for level in queue.levels] == [0]
    for number, priority in enumerate([7, 200, 7, 0, 100, 200]):
        numbered(client, number, priority=priority)
    assert [level.priority for level in queue.levels] == [0, 7, 100, 200]
    assert client.drain() == [b"1", b"5", b"4", b"0", b"2", b"3"]


def test_a_priority_beyond_the_maximum_is_delivered_as_it_was():
    """9.2: stored unchanged."""
    client = ready({"x-max-priority": 5})
    numbered(client, 1, priority=9)
    assert client.get("q").properties["priority"] == 9


def test_without_x_max_priority_it_does_not_matter():
    client = ready()
    numbered(client, 1, priority=1)
    numbered(client, 2, priority=9)
    assert client.drain() == [b"1", b"2"]


def test_a_requeued_message_returns_to_its_place_in_its_priority():
    """8, 9.2"""
    client = ready({"x-max-priority": 5})
    for number, priority in [(1, 5), (2, 5), (3, 0), (4, 0)]:
        numbered(client, number, priority=priority)
    for _ in range(3):
        client.get("q", no_ack=False)
    for tag in (3, 1, 2):
        client >> m("basic.nack", delivery_tag=tag, requeue=True)
    assert client.drain() == [b"1", b"2", b"3", b"4"]


def test_a_length_limit_drops_the_highest_priority_first():
    """9.2: from the head: publish 3,2,1,0 with limit 2, and 1,0 remain."""
    client = ready({"x-max-priority": 5, "x-max-length": 2})
    for priority in (3, 2, 1, 0):
        numbered(client, priority, priority=priority)
    assert client.drain() == [b"1", b"0"]


# -- time to live


def expiring(arguments=None):
    client = ready({"x-dead-letter-exchange": "amq.fanout", **(arguments or {})})
    client.declare("dead")
    client.bind("dead", "amq.fanout")
    return client


def test_a_message_lives_for_its_expiration():
    """10"""
    client = expiring()
    numbered(client, 1, expiration="100")
    client.world.pass_ms(99)
    assert client.counts() == (1, 0)
    client.world.pass_ms(1)
    assert client.counts() == (0, 0)
    assert client.drain("dead") == [b"1"]


@pytest.mark.parametrize(("queue_ms", "message_ms"), [(100, 200), (200, 100)])
def test_the_lesser_of_the_queues_and_the_messages_time_counts(queue_ms, message_ms):
    """10"""
    client = expiring({"x-message-ttl": queue_ms})
    numbered(client, 1, expiration=str(message_ms))
    client.world.pass_ms(99)
    assert client.counts() == (1, 0)
    client.world.pass_ms(1)
    assert client.drain("dead") == [b"1"]


@pytest.mark.parametrize("how", [{"expiration": "0"}, {}])
def test_ttl_0_means_now_or_never(how):
    """10: delivered only if a consumer can take it at once."""
    client = expiring({} if how else {"x-message-ttl": 0})
    numbered(client, 1, **how)
    assert client.get("q") is None
    assert client.drain("dead") == [b"1"]
    client.consume("q")
    numbered(client, 2, **how)
    client << deliver(b"2")


def test_what_is_expired_behind_a_live_message_is_counted_but_never_delivered():
    """10: only the head expires: count 2, get returns only the head."""
    client = expiring()
    numbered(client, 1)
    numbered(client, 2, expiration="10")
    client.world.pass_ms(100)
    assert client.counts() == (2, 0)
    first = client.get("q")
    assert first.body == b"1"
    assert client.get("q") is None
    assert client.drain("dead") == [b"2"]


def test_a_requeued_message_is_as_old_as_before():
    """10"""
    client = expiring({"x-message-ttl": 100})
    numbered(client, 1)
    client.get("q", no_ack=False)
    client.world.pass_ms(150)
    assert client.drain("dead") == []
    client >> m("basic.nack", delivery_tag=1, requeue=True)
    assert (client.get("q"), client.drain("dead")) == (None, [b"1"])


def test_an_expiration_is_not_forgotten_by_a_delivery():
    """10: delivered at once, requeued, and then it expires."""
    client = expiring()
    client.consume("q")
    numbered(client, 1, expiration="100")
    client << deliver(b"1")
    client.call("basic.cancel", consumer_tag="t")
    client >> m("basic.nack", delivery_tag=1, requeue=True)
    assert client.counts() == (1, 0)
    client.world.pass_ms(100)
    assert (client.counts(), client.drain("dead")) == ((0, 0), [b"1"])


def test_messages_expire_one_after_the_other():
    client = expiring({"x-message-ttl": 100})
    for number in range(3):
        numbered(client, number)
        client.world.pass_ms(10)
    client.world.pass_ms(70)
    assert client.drain("dead") == [b"0"]
    client.world.pass_ms(10)
    assert client.drain("dead") == [b"1"]
    client.world.pass_ms(10)
    assert client.drain("dead") == [b"2"]


def test_an_expired_message_is_not_given_to_a_new_consumer():
    client = expiring()
    numbered(client, 1)
    numbered(client, 2, expiration="10")
    numbered(client, 3)
    client.world.pass_ms(50)
    client.consume("q")
    assert client.bodies() == [b"1", b"3"]


def test_a_queue_that_is_gone_expires_nothing():
    client = expiring({"x-message-ttl": 100})
    numbered(client, 1)
    client.call("queue.delete", queue="q")
    client.world.pass_ms(1000)
    assert client.drain("dead") == []


# -- limits


@pytest.mark.parametrize(
    ("limits", "left"),
    [
        ({"x-max-length": 2}, [3, 4]),
        ({"x-max-length": 0}, []),
        ({"x-max-length-bytes": 2}, [3, 4]),
        ({"x-max-length-bytes": 0}, []),
        ({"x-max-length": 1, "x-max-length-bytes": 3}, [4]),
        ({"x-max-length": 3, "x-max-length-bytes": 1}, [4]),
        ({"x-max-length": 2, "x-overflow": "drop-head"}, [3, 4]),
        ({"x-max-length": 2, "x-overflow": "reject-publish"}, [0, 1]),
        ({"x-max-length-bytes": 2, "x-overflow": "reject-publish"}, [0, 1]),
        ({"x-max-length": 0, "x-overflow": "reject-publish"}, []),
        ({"x-max-length": 2, "x-overflow": "reject-publish-dlx"}, [0, 1]),
        ({"x-max-length": 5}, [0, 1, 2, 3, 4]),
    ],
    ids=str,
)
def test_a_full_queue_drops_its_head_or_refuses(limits, left):
    """11: count and bytes, whichever hits first; 0 means nothing stays."""
    client = ready(limits)
    numbered(client, *range(5))
    assert client.drain() == [b"%d" % number for number in left]


@pytest.mark.parametrize(
    ("overflow", "dead"), [("drop-head", [b"0", b"1"]), ("reject-publish", []), ("reject-publish-dlx", [b"2", b"3"])]
)
def test_what_a_limit_throws_out_is_dead_lettered(overflow, dead):
    """11, 12: reason maxlen; reject-publish just refuses."""
    client = expiring({"x-max-length": 2, "x-overflow": overflow})
    numbered(client, 0, 1, 2, 3)
    reasons = []
    while (message := client.get("dead")) is not None:
        reasons.append((message.body, message.headers["x-first-death-reason"]))
    assert reasons == [(body, "maxlen") for body in dead]


def test_only_ready_messages_count():
    """11"""
    client = ready({"x-max-length": 1, "x-overflow": "reject-publish"})
    numbered(client, 1)
    client.get("q", no_ack=False)
    numbered(client, 2, 3)
    assert client.drain() == [b"2"]


def test_only_bodies_count_as_bytes():
    """11"""
    client = ready({"x-max-length-bytes": 10})
    client >> publish(b"x" * 10, headers={"big": "y" * 1000})
    assert len(client.drain()) == 1


def test_a_queue_of_length_0_delivers_to_who_waits():
    """11"""
    client = ready({"x-max-length": 0})
    client.consume("q")
    numbered(client, 1)
    client << deliver(b"1")


def test_a_requeue_into_a_full_queue_drops_the_head():
    """11"""
    client = ready({"x-max-length": 2})
    numbered(client, 1, 2)
    client.get("q", no_ack=False)
    numbered(client, 3)
    client >> m("basic.nack", delivery_tag=1, requeue=True)
    assert client.drain() == [b"2", b"3"]


def test_room_returns_when_messages_leave():
    client = ready({"x-max-length-bytes": 4, "x-overflow": "reject-publish"})
    for body, taken in [(b"ab", True), (b"cde", False), (b"cd", True), (b"e", False)]:
        before = client.counts()[0]
        client >> publish(body)
        assert client.counts()[0] == before + taken
    client.get("q")
    client >> publish(b"e")
    assert client.drain() == [b"cd", b"e"]


# -- single active consumer

SAC = {"x-single-active-consumer": True}


def test_the_first_consumer_is_active_and_the_others_wait():
    """14: whatever their priorities."""
    client = ready(SAC)
    client.consume("q", "a")
    client.consume("q", "b", {"x-priority": 10})
    numbered(client, *range(4))
    assert {event.consumer_tag for event in client.heard()} == {"a"}


def test_the_next_becomes_active_when_it_goes():
    """14: cancel leaves its unacknowledged messages with it."""
    client = ready(SAC)
    client.consume("q", "a")
    client.consume("q", "b")
    numbered(client, 1)
    client << deliver(b"1", consumer_tag="a")
    client.call("basic.cancel", consumer_tag="a")
    numbered(client, 2)
    client << deliver(b"2", consumer_tag="b")
    client >> m("basic.nack", delivery_tag=1, requeue=True)
    client << deliver(b"1", consumer_tag="b", redelivered=True)


def test_the_heir_is_the_one_of_highest_priority():
    """14"""
    client = ready(SAC)
    for tag, priority in [("a", 0), ("b", 0), ("c", 5), ("d", 5)]:
        client.consume("q", tag, {"x-priority": priority})
    for tag in ("a", "c", "d"):
        client.call("basic.cancel", consumer_tag=tag)
        numbered(client, 1)
        assert client.next().consumer_tag == {"a": "c", "c": "d", "d": "b"}[tag]


def test_the_unacknowledged_messages_of_a_lost_active_consumer_go_to_the_next():
    """14"""
    world = World()
    first, second = world.client(), world.client()
    first.declare("q", SAC)
    first.consume("q", "a")
    second.consume("q", "b")
    numbered(first, 1, 2)
    assert first.bodies() == [b"1", b"2"]
    numbered(first, 3)
    first.lose()
    assert [(event.body, event.redelivered) for event in second.heard()] == [(b"1", True), (b"2", True), (b"3", True)]


def test_a_full_active_consumer_does_not_hand_over():
    """14"""
    client = ready(SAC)
    client.qos(1)
    client.consume("q", "a")
    client.consume("q", "b")
    numbered(client, 1, 2)
    assert client.bodies() == [b"1"]
    client >> m("basic.ack", delivery_tag=1)
    assert [event.consumer_tag for event in client.heard()] == ["a"]


def test_a_waiting_consumer_that_goes_changes_nothing():
    client = ready(SAC)
    client.consume("q", "a")
    client.consume("q", "b")
    client.call("basic.cancel", consumer_tag="b")
    numbered(client, 1)
    client << deliver(b"1", consumer_tag="a")


def test_an_exclusive_consumer_is_refused():
    """14: even the first one."""
    client = ready(SAC)
    client >> m("basic.consume", queue="q", exclusive=True)
    client.channel_closed(403, "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use", "basic.consume")


def test_get_is_allowed():
    """1.1: on a classic queue."""
    client = ready(SAC)
    client.qos(1)
    client.consume("q", "a")
    numbered(client, 1, 2)
    client << deliver(b"1")
    assert client.get("q").body == b"2"


# -- turns


def test_turns_are_fair_in_the_long_run():
    """7"""
    client = ready()
    client.qos(3)
    for tag in "abcd":
        client.consume("q", tag)
    taken = dict.fromkeys("abcd", 0)
    numbered(client, *range(400))
    while events := client.heard():
        for event in events:
            taken[event.consumer_tag] += 1
            client >> m("basic.ack", delivery_tag=event.delivery_tag)
    assert sum(taken.values()) == 400
    assert max(taken.values()) - min(taken.values()) <= 4


def test_a_thousand_messages_and_requeues_keep_their_order():
    """8"""
    client = ready()
    numbered(client, *range(3000))
    tags = [client.get("q", no_ack=False).delivery_tag for _ in range(2000)]
    client >> m("basic.nack", delivery_tag=tags[-1], multiple=True, requeue=True)
    assert client.drain() == [b"%d" % number for number in range(3000)]


@pytest.mark.parametrize(("argument", "order"), [(None, [1, 2, 3, 4]), (0, [2, 4, 1, 3]), (1, [2, 4, 1, 3])])
def test_the_argument_makes_two_levels_at_least(argument, order):
    """9.2: with x-max-priority 0 RabbitMQ still tells 0 from more."""
    client = World().client()
    client.declare("q", {} if argument is None else {"x-max-priority": argument})
    for number, priority in enumerate((0, 3, 0, 9), 1):
        client >> publish(b"%d" % number, routing_key="q", priority=priority)
    assert client.drain("q") == [b"%d" % number for number in order]
