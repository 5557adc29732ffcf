"""Deliveries that wait too long for their acknowledgement (behaviour 17), on queues that ask for it."""

from harness import CAPABILITIES, World, deliver, m, publish

TIMEOUT_MS = 60_000


def waiting(capabilities=CAPABILITIES, messages=2):
    world = World()
    client, other = world.client(capabilities=capabilities), world.client()
    client.declare("q", {"x-consumer-timeout": TIMEOUT_MS})
    client.consume("q")
    for number in range(messages):
        other >> publish(b"%d" % number)
        client << deliver(b"%d" % number)
    return world, client, other


def test_a_client_that_can_be_told_loses_the_consumer_and_keeps_the_channel():
    """17: basic.cancel, and the messages return, redelivered."""
    world, client, other = waiting()
    world.pass_ms(TIMEOUT_MS - 1)
    client.quiet()
    world.pass_ms(60_001)
    client.expect("basic.cancel", consumer_tag="t")
    client.quiet()
    assert other.counts() == (2, 0)
    first = other.get("q")
    assert (first.body, first.redelivered) == (b"0", True)
    client.call("access.request")


def test_another_loses_the_channel():
    """17, 1.1: 406 in these words."""
    world, client, other = waiting(capabilities=())
    world.pass_ms(2 * TIMEOUT_MS)
    text = client.expect("channel.close", reply_code=406).reply_text
    assert text == (
        f"PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: {TIMEOUT_MS} ms. "
        "This timeout value can be configured, see consumers doc guide to learn more"
    )
    assert other.counts() == (2, 0)


def test_what_is_acknowledged_in_time_is_no_reason():
    world, client, _other = waiting()
    world.pass_ms(TIMEOUT_MS - 1000)
    client >> m("basic.ack", delivery_tag=2, multiple=True)
    world.pass_ms(10 * TIMEOUT_MS)
    client.quiet()


def test_each_delivery_has_its_own_time():
    world, client, other = waiting(messages=1)
    world.pass_ms(TIMEOUT_MS // 2)
    other >> publish(b"late")
    client << deliver(b"late")
    client >> m("basic.ack", delivery_tag=1)
    world.pass_ms(TIMEOUT_MS // 2 + 1)
    client.quiet()
    world.pass_ms(TIMEOUT_MS // 2 + 60_000)
    client.expect("basic.cancel")


def test_without_the_argument_there_is_no_limit():
    """17: 4.3's classic queues have none."""
    world = World()
    client = world.client()
    client.declare("q")
    client.consume("q")
    client >> publish(b"1")
    client << deliver(b"1")
    world.pass_ms(10**9)
    client.quiet()


def test_a_closed_channel_is_not_timed_out():
    world, client, _other = waiting()
    client.call("channel.close")
    world.pass_ms(10 * TIMEOUT_MS)
    client.quiet()
