"""A client that takes slowly what it is sent: nothing is lost, and little waits for it outside the queue."""

import pytest
from harness import World, m, publish

LIMIT = 10_000
BODY = 500


def slow(messages=200, prefetch=0, no_ack=True):
    """A consumer that does not read, before a queue that held `messages` of BODY bytes."""
    world = World(unsent_max=LIMIT)
    client, other = world.client(), world.client()
    client.declare("q")
    if prefetch:
        client.qos(prefetch)
    for number in range(messages):
        other >> publish(b"%05d" % number + b"x" * (BODY - 5))
    client.wire.slow = True
    client >> m("basic.consume", queue="q", consumer_tag="t", no_ack=no_ack)
    return world, client, other


def numbers(events):
    return [int(event.body[:5]) for event in events if event.name == "basic.deliver"]


def test_what_waits_for_a_slow_client_is_bounded():
    _world, client, other = slow()
    assert LIMIT - 2 * BODY < len(client.wire.waiting) < LIMIT + 2 * BODY
    assert other.counts("q")[0] > 170


def test_when_it_has_taken_everything_it_gets_more():
    _world, client, _other = slow()
    sizes = []
    while client.wire.waiting:
        sizes.append(len(client.wire.waiting))
        client.wire.drain()
    assert numbers(client.heard()) == list(range(200))
    assert max(sizes) < LIMIT + 2 * BODY


def test_taking_a_part_is_no_reason_for_more():
    _world, client, other = slow()
    before = other.counts("q")
    client.wire.drain(len(client.wire.waiting) - 10)
    assert other.counts("q") == before


def test_new_messages_wait_in_the_queue_behind_the_old():
    _world, client, other = slow(50)
    for number in range(50, 60):
        other >> publish(b"%05d" % number)
    while client.wire.waiting:
        client.wire.drain()
    assert numbers(client.heard()) == list(range(60))


def test_other_consumers_get_what_a_slow_one_does_not_take():
    _world, client, other = slow()
    other.consume("q", "quick", no_ack=True)
    fast = numbers(other.heard())
    while client.wire.waiting:
        client.wire.drain()
    assert sorted(fast + numbers(client.heard())) == list(range(200))
    assert len(fast) > 150


def test_prefetch_still_counts_when_room_returns():
    _world, client, _other = slow(prefetch=100, no_ack=False)
    while client.wire.waiting:
        client.wire.drain()
    assert numbers(client.heard()) == list(range(100))
    client.wire.slow = False
    client >> m("basic.ack", delivery_tag=100, multiple=True)
    assert numbers(client.heard()) == list(range(100, 200))


def test_acks_meanwhile_do_not_overfill_it():
    _world, client, _other = slow(prefetch=50, no_ack=False)
    client.wire.drain(len(client.wire.waiting) // 2)
    for event in client.heard():
        if event.name == "basic.deliver":
            client >> m("basic.ack", delivery_tag=event.delivery_tag)
    assert len(client.wire.waiting) < LIMIT + 2 * BODY


def test_a_slow_client_that_goes_away_loses_nothing_unacknowledged():
    _world, client, other = slow(no_ack=False)
    client.lose()
    assert [int(body[:5]) for body in other.drain("q")] == list(range(200))


@pytest.mark.parametrize("how", ["cancel", "close"])
def test_a_consumer_that_ends_while_it_waits_is_not_woken(how):
    _world, client, other = slow()
    client >> (m("basic.cancel", consumer_tag="t") if how == "cancel" else m("channel.close"))
    while client.wire.waiting:
        client.wire.drain()
    taken = numbers(client.heard())
    rest = [int(body[:5]) for body in other.drain("q")]
    assert taken + rest == list(range(200))
    assert rest


def test_several_channels_of_a_slow_connection_all_go_on():
    world = World(unsent_max=LIMIT)
    client, other = world.client(channels=(1, 2, 3)), world.client()
    for number in (1, 2, 3):
        client.on(number).declare(f"q{number}")
        client.on(number).consume(f"q{number}", "t", no_ack=True)
    client.wire.slow = True
    for turn in range(60):
        for number in (1, 2, 3):
            other >> publish(b"%05d" % turn + b"x" * BODY, routing_key=f"q{number}")
    while client.wire.waiting:
        client.wire.drain()
    events = client.heard()
    for number in (1, 2, 3):
        assert numbers([event for event in events if event.channel == number]) == list(range(60))


def test_a_message_larger_than_the_limit_is_delivered():
    world = World(unsent_max=LIMIT)
    client = world.client()
    client.declare("q")
    client.consume("q")
    for _ in range(3):
        client >> publish(b"x" * 50_000)
    assert [len(body) for body in client.bodies()] == [50_000] * 3


def test_who_does_not_take_answers_is_not_listened_to():
    """Answers have no prefetch: what asks for them waits instead, and is answered in order later."""
    world = World(unsent_stop=20_000)
    client, other = world.client(), world.client()
    client.declare("q")
    client >> publish(b"x" * 1000)
    client.wire.slow = True
    client.send(*[m("basic.get", queue="q"), m("basic.recover", requeue=True)] * 500)
    assert len(client.wire.waiting) < 25_000
    client >> m("queue.declare", queue="last")
    assert not other.exists("last")
    while client.wire.waiting:
        assert len(client.wire.waiting) < 25_000
        client.wire.drain()
    names = [event.name for event in client.heard()]
    assert names == ["basic.get-ok", "basic.recover-ok"] * 500 + ["queue.declare-ok"]


def crowd(queues, kind="fanout", arguments=None):
    """A client, and an exchange to which so many queues are bound."""
    client = World().client()
    client.exchange("x", kind)
    for number in range(queues):
        client.declare(f"q{number}")
        client.bind(f"q{number}", "x", "", arguments)
    return client


@pytest.mark.parametrize(("kind", "arguments"), [("fanout", None), ("headers", {"x-match": "any", "a": 1})])
def test_a_read_that_causes_much_work_is_acted_on_a_part_at_a_time(kind, arguments):
    """Between its frames others have their turn; nothing is lost, and the order stays."""
    client = crowd(300, kind, arguments)
    queue = client.connection.vhost.queues["q0"]
    frames = b"".join(publish(b"%d" % n, exchange="x", headers={"a": 1}).frames(1) for n in range(100))
    client.wire.connection.feed(frames, client.world.now_ms)
    part = queue.ready_count()
    assert 0 < part < 100
    turns = 1
    while client.wire.resumed:
        client.wire.resumed = False
        client.wire.connection.feed(b"", client.world.now_ms)
        turns += 1
    assert 3 <= turns <= 10
    assert client.drain("q0") == [b"%d" % number for number in range(100)]


def test_ordinary_work_is_done_in_one_turn():
    client = crowd(3)
    client.feed(b"".join(publish(b"1", exchange="x").frames(1) for _ in range(900)))
    assert not client.wire.resumed
    assert client.connection.vhost.queues["q2"].ready_count() == 900
