"""Policies on queues and exchanges in use: every change acts at once, on what is queued too, and back again."""

import pytest
from harness import EPOCH_MS, World, m, publish
from hypothesis import given, settings
from hypothesis import strategies as st

from amqpd.broker.commands import PutPolicy
from amqpd.broker.queues.classic import LET_GO_AT_ONCE
from amqpd.broker.queues.settings import UNLIMITED as NONE
from amqpd.broker.queues.settings import Settings


def queued(*numbers, arguments=None, capabilities=()):
    client = World().client(channels=(1, 2))
    client.declare("q", arguments)
    fill(client, *numbers)
    return client


def fill(client, *numbers, **properties):
    client.send(*(publish(b"%d" % number, **properties) for number in numbers))


def put(client, definition, name="p", pattern="^q$", **more):
    client.world.vhost.policies.put(PutPolicy("/", name, pattern, definition, **more))
    client.world.settle()


def clear(client, name="p", operator=False):
    assert client.world.vhost.policies.delete(name, operator)
    client.world.settle()


def dead_letters(client, arguments=None):
    """A queue `dead` for the letters that go to the exchange `dlx`."""
    client.exchange("dlx", "fanout")
    client.declare("dead", arguments)
    client.bind("dead", "dlx")


def timers(client):
    return len(client.world.broker.timers)


# -- lengths


def test_a_shorter_queue_drops_its_oldest_at_once():
    client = queued(1, 2, 3, 4, 5)
    put(client, {"max-length": 3})
    assert client.counts()[0] == 3
    fill(client, 6)
    assert client.drain() == [b"4", b"5", b"6"]


def test_a_longer_queue_takes_more_and_without_a_policy_all():
    client = queued(1, 2)
    put(client, {"max-length": 2})
    put(client, {"max-length": 3})
    fill(client, 3, 4)
    assert client.counts()[0] == 3
    clear(client)
    fill(client, 5, 6)
    assert client.drain() == [b"2", b"3", b"4", b"5", b"6"]


def test_lengths_in_bytes():
    client = World().client()
    client.declare("q")
    client.send(*(publish(bytes(10)) for _ in range(5)))
    put(client, {"max-length-bytes": 35})
    assert client.counts()[0] == 3
    put(client, {"max-length-bytes": 0})
    assert client.counts()[0] == 0
    clear(client)
    fill(client, 1)
    assert client.counts()[0] == 1


def test_what_overflows_is_dead_lettered():
    client = queued(1, 2, 3)
    dead_letters(client)
    put(client, {"max-length": 1, "dead-letter-exchange": "dlx"})
    assert client.drain("dead") == [b"1", b"2"]


def test_a_queue_that_rejects_drops_nothing_when_it_is_made_shorter():
    """Other than RabbitMQ, which drops what is too much while it puts lengths in force, before it puts overflow."""
    client = queued(1, 2, 3)
    put(client, {"max-length": 2, "overflow": "reject-publish"})
    client.call("confirm.select")
    fill(client, 4)
    client.expect("basic.nack", delivery_tag=1)
    client.get("q")
    client.get("q")
    fill(client, 5, 6)
    client.expect("basic.ack", delivery_tag=2)
    client.expect("basic.nack", delivery_tag=3)
    assert client.drain() == [b"3", b"5"]


def test_a_queue_that_no_longer_rejects_drops_what_is_too_much():
    client = queued(1, 2, 3)
    put(client, {"max-length": 2, "overflow": "reject-publish"})
    put(client, {"max-length": 2})
    assert client.drain() == [b"2", b"3"]


def test_overflow_with_dead_lettering():
    client = queued(1)
    dead_letters(client)
    put(client, {"max-length": 1, "overflow": "reject-publish-dlx", "dead-letter-exchange": "dlx"})
    fill(client, 2)
    assert (client.drain(), client.drain("dead")) == ([b"1"], [b"2"])
    fill(client, 3)
    put(client, {"max-length": 1, "overflow": "reject-publish", "dead-letter-exchange": "dlx"})
    fill(client, 4)
    assert (client.drain(), client.drain("dead")) == ([b"3"], [])


def test_many_messages_are_dropped_in_parts_and_all_dead_lettered():
    count = 2 * LET_GO_AT_ONCE + 500
    client = queued(*range(count))
    dead_letters(client)
    put(client, {"max-length": 10, "dead-letter-exchange": "dlx"})
    assert client.counts()[0] == count - LET_GO_AT_ONCE
    client.world.pass_ms(1)
    assert client.counts()[0] == count - 2 * LET_GO_AT_ONCE
    client.world.pass_ms(10)
    assert client.counts()[0] == 10
    assert client.counts("dead")[0] == count - 10
    assert timers(client) == 0


def test_a_queue_that_is_deleted_before_all_is_dropped_leaves_no_timer():
    client = queued(*range(LET_GO_AT_ONCE + 500))
    put(client, {"max-length": 10})
    client.call("queue.delete", queue="q")
    assert timers(client) == 0


# -- time to live


def test_a_shorter_time_to_live_acts_on_what_is_queued():
    client = queued(1)
    client.world.pass_ms(500)
    fill(client, 2)
    put(client, {"message-ttl": 600})
    client.world.pass_ms(99)
    assert client.counts()[0] == 2
    client.world.pass_ms(1)
    assert client.counts()[0] == 1
    put(client, {"message-ttl": 300})
    client.world.pass_ms(199)
    assert client.counts()[0] == 1
    client.world.pass_ms(1)
    assert client.counts()[0] == 0


def test_what_is_overdue_under_a_new_time_to_live_goes_at_once():
    client = queued(1)
    dead_letters(client)
    client.world.pass_ms(500)
    put(client, {"message-ttl": 500, "dead-letter-exchange": "dlx"})
    letter = client.get("dead")
    assert letter.headers["x-first-death-reason"] == "expired"
    assert client.counts()[0] == 0


def test_a_longer_time_to_live_keeps_what_is_queued():
    client = queued(1)
    put(client, {"message-ttl": 500})
    client.world.pass_ms(499)
    put(client, {"message-ttl": 1000})
    client.world.pass_ms(500)
    assert client.counts()[0] == 1
    client.world.pass_ms(1)
    assert client.counts()[0] == 0


def test_without_it_messages_stay_but_for_their_own():
    client = queued(1)
    put(client, {"message-ttl": 500})
    fill(client, 2, expiration="700")
    clear(client)
    client.world.pass_ms(10_000)
    assert client.drain() == [b"1"]
    fill(client, 3)
    client.world.pass_ms(10_000)
    assert client.drain() == [b"3"]


def test_time_to_live_of_a_message_that_comes_back():
    client = queued(1)
    client.get("q", no_ack=False)
    client.world.pass_ms(500)
    put(client, {"message-ttl": 400})
    client >> m("basic.nack", delivery_tag=1, requeue=True)
    assert client.counts()[0] == 0


# -- expiry of the queue


def test_a_queue_expires_by_a_policy():
    client = queued()
    client.world.pass_ms(5000)
    put(client, {"expires": 1000})
    client.world.pass_ms(999)
    assert client.exists("q")
    client.world.pass_ms(1)
    assert not client.exists("q")


def test_another_time_begins_anew():
    client = queued()
    put(client, {"expires": 1000})
    client.world.pass_ms(900)
    put(client, {"expires": 500})
    client.world.pass_ms(499)
    assert client.exists("q")
    put(client, {"expires": 2000})
    client.world.pass_ms(1999)
    assert client.exists("q")
    client.world.pass_ms(1)
    assert not client.exists("q")


def test_without_the_policy_it_does_not_expire():
    client = queued()
    put(client, {"expires": 1000})
    client.world.pass_ms(900)
    clear(client)
    assert timers(client) == 0
    client.world.pass_ms(10_000)
    assert client.exists("q")


def test_a_queue_in_use_does_not_expire_by_a_policy():
    client = queued()
    client.consume("q")
    put(client, {"expires": 1000})
    client.world.pass_ms(10_000)
    client.call("basic.cancel", consumer_tag="t")
    client.world.pass_ms(999)
    assert client.exists("q")
    client.world.pass_ms(1)
    assert not client.exists("q")


# -- dead-lettering


def test_the_exchange_and_the_key_are_those_at_the_time_of_the_death():
    client = queued(1, 2, 3, 4)
    dead_letters(client)
    client.exchange("other", "fanout")
    client.declare("elsewhere")
    client.bind("elsewhere", "other")

    def refuse():
        tag = client.get("q", no_ack=False).delivery_tag
        client >> m("basic.reject", delivery_tag=tag, requeue=False)

    refuse()
    put(client, {"dead-letter-exchange": "dlx"})
    refuse()
    put(client, {"dead-letter-exchange": "other", "dead-letter-routing-key": "k"})
    refuse()
    clear(client)
    refuse()
    assert (client.drain("dead"), client.get("elsewhere").routing_key, client.drain("elsewhere")) == ([b"2"], "k", [])


def test_a_key_alone_leads_nowhere():
    client = queued(1)
    put(client, {"dead-letter-routing-key": "q", "max-length": 0})
    assert client.drain() == []


# -- acknowledgement timeout


def test_the_timeout_of_new_deliveries():
    client = queued(1, 2)
    put(client, {"consumer-timeout": 1000})
    client.consume("q")
    client.heard()
    client.world.pass_ms(999)
    client.quiet()
    client.world.pass_ms(1)
    client.expect("basic.cancel", consumer_tag="t")
    assert client.counts() == (2, 0)


def test_without_the_policy_there_is_none():
    client = queued(1)
    put(client, {"consumer-timeout": 1000})
    clear(client)
    client.consume("q")
    client.heard()
    client.world.pass_ms(100_000)
    client.quiet()


# -- alternate exchange


def routed(client, exchange="x"):
    """Whether an unroutable message reaches `q`."""
    client >> publish(b"lost?", "nowhere", exchange)
    return client.drain() == [b"lost?"]


def unroutable(arguments=None):
    client = queued()
    client.exchange("ae", "fanout")
    client.bind("q", "ae")
    client.exchange("x", "direct", arguments)
    return client


def test_an_alternate_exchange_by_policy_comes_and_goes():
    client = unroutable()
    assert not routed(client)
    put(client, {"alternate-exchange": "ae"}, pattern="^x$")
    assert routed(client)
    put(client, {"alternate-exchange": "missing"}, pattern="^x$")
    assert not routed(client)
    put(client, {"alternate-exchange": "ae"}, pattern="^x$")
    clear(client)
    assert not routed(client)


def test_the_argument_wins_over_the_policy():
    """As observed of RabbitMQ."""
    client = unroutable({"alternate-exchange": "ae"})
    put(client, {"alternate-exchange": "missing"}, pattern="^x$")
    assert routed(client)
    clear(client)
    assert routed(client)


def test_an_exchange_that_is_declared_later_follows_too():
    client = unroutable()
    put(client, {"alternate-exchange": "ae"}, pattern="^y$")
    client.exchange("y")
    assert routed(client, "y")


def test_the_default_exchange_has_no_alternate():
    """As observed of RabbitMQ, where its policy shows and does nothing."""
    client = unroutable()
    put(client, {"alternate-exchange": "ae"}, pattern=".*")
    assert client.world.vhost.exchanges[""].policy.name == "p"
    assert not routed(client, "")
    assert routed(client, "amq.direct")


# -- policies and arguments


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("message-ttl", "message_ttl_ms"),
        ("expires", "expires_ms"),
        ("max-length", "max_length"),
        ("max-length-bytes", "max_length_bytes"),
        ("consumer-timeout", "consumer_timeout_ms"),
    ],
)
@pytest.mark.parametrize(
    ("argument", "policy", "counts"), [(None, None, NONE), (5, None, 5), (None, 5, 5), (7, 5, 5), (5, 7, 5)]
)
def test_of_numbers_the_lesser_counts(key, name, argument, policy, counts):
    client = queued(arguments={f"x-{key}": argument} if argument is not None else {})
    if policy is not None:
        put(client, {key: policy})
    assert getattr(client.world.vhost.queues["q"].settings, name) == counts
    if policy is not None:
        clear(client)
        own = argument if argument is not None else NONE
        assert getattr(client.world.vhost.queues["q"].settings, name) == own


@pytest.mark.parametrize("key", ["dead-letter-exchange", "dead-letter-routing-key", "overflow"])
def test_of_texts_the_arguments(key):
    argument, policy = ("drop-head", "reject-publish") if key == "overflow" else ("a", "b")
    arguments = {"x-dead-letter-exchange": "a", f"x-{key}": argument}
    client = queued(arguments=arguments)
    put(client, {key: policy})
    assert getattr(client.world.vhost.queues["q"].settings, key.replace("-", "_")) == argument
    client = queued()
    put(client, {key: policy})
    assert getattr(client.world.vhost.queues["q"].settings, key.replace("-", "_")) == policy


def test_an_argument_is_as_equivalent_as_before():
    """A policy changes nothing about what a redeclaration must repeat."""
    client = queued(arguments={"x-max-length": 5})
    put(client, {"max-length": 3, "message-ttl": 5})
    client.declare("q", {"x-max-length": 5})
    client >> m("queue.declare", queue="q", arguments={"x-max-length": 3})
    client.expect("channel.close", reply_code=406)


def test_the_operators_policy_limits_the_users():
    client = queued(1, 2, 3, 4, 5)
    put(client, {"max-length": 4})
    put(client, {"max-length": 2}, "o", operator=True)
    assert client.counts()[0] == 2
    put(client, {"max-length": 9}, "o", operator=True)
    fill(client, 6, 7, 8)
    assert client.counts()[0] == 4
    clear(client)
    fill(client, *range(10))
    assert client.counts()[0] == 9
    clear(client, "o", True)
    fill(client, *range(10))
    assert client.counts()[0] == 19


def test_a_queue_without_limits_is_plain_again():
    client = queued()
    queue = client.world.vhost.queues["q"]
    assert queue.plain
    for definition in ({"max-length": 5}, {"max-length-bytes": 5}, {"message-ttl": 5}):
        put(client, definition)
        assert not queue.plain
        clear(client)
        assert queue.plain
    put(client, {"dead-letter-exchange": "x", "expires": 5, "consumer-timeout": 5, "overflow": "reject-publish"})
    assert queue.plain


def test_the_next_policy_takes_over():
    client = queued(1, 2, 3, 4, 5)
    put(client, {"max-length": 4}, "low", priority=1)
    put(client, {"message-ttl": 1000}, "high", priority=2)
    fill(client, 6, 7)
    assert client.counts()[0] == 6
    clear(client, "high")
    assert client.counts()[0] == 4
    client.world.pass_ms(10_000)
    assert client.counts()[0] == 4


def test_with_priorities_the_least_important_is_not_spared():
    """Lengths drop from the head of the whole queue, which is the highest priority's (RabbitMQ: priority queues)."""
    client = queued(arguments={"x-max-priority": 5})
    for priority in (0, 5, 3):
        fill(client, priority, priority=priority)
    put(client, {"max-length": 2})
    assert client.drain() == [b"3", b"0"]


# -- events


def test_each_queue_that_a_change_concerns_is_told_of():
    """Names and attributes as observed of rabbitmq_event_exchange."""
    client = queued()
    client.exchange("q")
    client.declare("other")
    client.world.broker.events.enable()
    client.declare("events")
    client.bind("events", "amq.rabbitmq.event", "queue.policy.*")
    put(client, {"max-length": 7, "overflow": "drop-head"}, priority=3)
    put(client, {"expires": 700}, "o", operator=True, apply_to="queues")
    clear(client)
    event = client.get("events")
    same = {
        "name": "q",
        "vhost": "/",
        "type": "rabbit_classic_queue",
        "user_who_performed_action": "operator",
        "timestamp_in_ms": EPOCH_MS,
    }
    assert (event.routing_key, event.headers) == (
        "queue.policy.updated",
        {
            **same,
            "pattern": "^q$",
            "apply-to": "all",
            "priority": 3,
            "definition": {"max-length": 7, "overflow": "drop-head"},
        },
    )
    event = client.get("events")
    assert (event.routing_key, event.headers) == (
        "queue.policy.updated",
        {**same, "pattern": "^q$", "apply-to": "queues", "priority": 0, "definition": {"expires": 700}},
    )
    event = client.get("events")
    assert (event.routing_key, event.headers) == ("queue.policy.cleared", same)
    assert client.get("events") is None


# -- any order of changes comes to the same

_DEFINITION = st.fixed_dictionaries(
    {},
    optional={
        "max-length": st.integers(0, 5),
        "max-length-bytes": st.integers(0, 8),
        "message-ttl": st.integers(0, 50),
        "overflow": st.sampled_from(["drop-head", "reject-publish"]),
        "dead-letter-exchange": st.just("dlx"),
    },
)
_STEP = st.one_of(
    st.tuples(st.just("put"), _DEFINITION),
    st.tuples(st.just("publish"), st.integers(0, 9)),
    st.tuples(st.just("pass"), st.integers(1, 40)),
    st.tuples(st.just("clear"), st.none()),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(_STEP, max_size=20))
def test_a_queue_is_what_a_simple_model_says(steps):
    """Messages of one size, one queue, a list of (number, arrival): lengths and times judged after every step."""
    client = queued()
    dead_letters(client)
    policy, waiting, dead = {}, [], []
    for number, (what, value) in enumerate(steps):
        if what == "put" and value:
            put(client, value)
            policy = value
        elif what == "clear" and policy:
            clear(client)
            policy = {}
        elif what == "pass":
            client.world.pass_ms(value)
        elif what == "publish":
            fill(client, value)
            size = len(waiting) + 1
            full = size > policy.get("max-length", size) or size > policy.get("max-length-bytes", size)
            if not (full and policy.get("overflow") == "reject-publish"):
                waiting.append((value, client.world.now_ms, number))
        let_go = []
        longest = min(policy.get("max-length", 100), policy.get("max-length-bytes", 100))
        if policy.get("overflow") != "reject-publish":
            let_go = waiting[: max(0, len(waiting) - longest)]
        oldest_ms = client.world.now_ms - policy.get("message-ttl", 1_000_000)
        let_go += [entry for entry in waiting if entry[1] <= oldest_ms and entry not in let_go]
        waiting = [entry for entry in waiting if entry not in let_go]
        if policy.get("dead-letter-exchange"):
            dead += let_go
    assert client.drain() == [b"%d" % entry[0] for entry in waiting]
    assert client.drain("dead") == [b"%d" % entry[0] for entry in dead]


def test_settings_without_policy_are_the_arguments():
    settings_of_nothing = Settings([], {})
    assert settings_of_nothing.plain
    assert (settings_of_nothing.overflow, settings_of_nothing.dead_letter_exchange) == ("drop-head", None)
    assert Settings([], {"max-length": 0}).limited
