"""Virtual hosts: apart from each other, and gone with all that is in them (behaviour 2.5)."""

from harness import World, m, publish


def two():
    world = World()
    world.broker.add_vhost("v")
    return world, world.client(), world.client(vhost="v")


def test_names_of_different_vhosts_have_nothing_to_do_with_each_other():
    _world, client, other = two()
    client.declare("q")
    other.declare("q", {"x-max-length": 1}, durable=True)
    client.exchange("x", "topic")
    other.exchange("x", "fanout")
    client >> publish(b"1")
    assert (client.drain("q"), other.drain("q")) == ([b"1"], [])


def test_errors_name_the_vhost():
    """1"""
    _world, _client, other = two()
    other >> m("queue.purge", queue="nope")
    other.channel_closed(404, "NOT_FOUND - no queue 'nope' in vhost 'v'", "queue.purge")


def test_every_vhost_has_the_predeclared_exchanges():
    """3"""
    world, _client, other = two()
    assert set(world.broker.vhosts["v"].exchanges) == set(world.vhost.exchanges)
    other.exchange("amq.direct", "direct", durable=True)


def test_adding_one_twice_gives_the_same():
    world = World()
    assert world.broker.add_vhost("v") is world.broker.add_vhost("v")


def test_removing_one_takes_its_queues_and_tells_their_consumers():
    world, client, other = two()
    other.declare("q")
    other.consume("q")
    assert world.broker.remove_vhost("v") is True
    world.settle()
    other.expect("basic.cancel", consumer_tag="t")
    assert world.broker.remove_vhost("v") is False
    client.call("access.request")


def test_what_was_removed_can_be_added_afresh():
    world, _client, other = two()
    other.declare("q")
    other.lose()
    world.broker.remove_vhost("v")
    world.broker.add_vhost("v")
    fresh = world.client(vhost="v")
    fresh >> m("queue.declare", queue="q", passive=True)
    fresh.expect("channel.close", reply_code=404)


def test_a_connection_that_is_lost_after_its_vhost_went_leaves_quietly():
    world, _client, other = two()
    other.declare("q")
    other.declare("mine", exclusive=True)
    other.consume("q")
    world.broker.remove_vhost("v")
    other.lose()
    assert len(world.broker.connections) == 1


def test_unique_names_are_what_the_random_bytes_say():
    """3: 16 random bytes, URL-safe base64 without padding."""
    world = World()
    assert world.broker.unique_name("amq.gen") == "amq.gen-" + "A" * 21 + "Q"


def test_time_never_goes_backwards():
    world = World()
    world.broker.at(5000)
    world.broker.at(4000)
    assert world.broker.now_ms == 5000
