"""Dead letters: where they go, what they tell, and when a circle ends (behaviour 12)."""

import pytest
from harness import EPOCH_MS, Typed, World, m, publish


def ready(arguments=None, target="dead", **more):
    """Queue q with a dead-letter exchange dlx, to which queue dead is bound with #."""
    client = World().client()
    client.exchange("dlx", "topic")
    client.declare(target)
    client.bind(target, "dlx", "#")
    client.declare("q", {"x-dead-letter-exchange": "dlx", **(arguments or {}), **more})
    return client


def reject(client, queue="q", body=b"1", **properties):
    """Publish a message, get it and refuse it."""
    if body is not None:
        client >> publish(body, routing_key=queue, **properties)
    tag = client.get(queue, no_ack=False).delivery_tag
    client >> m("basic.nack", delivery_tag=tag)


def test_a_death_is_told_in_this_very_form():
    """12: names, types and order."""
    client = ready()
    client.exchange("x", "direct")
    client.bind("q", "x", "k")
    client.world.pass_ms(2500)
    client >> publish(b"1", exchange="x", routing_key="k", headers={"CC": ["cc"], "BCC": ["bcc"], "own": 1})
    client >> m("basic.nack", delivery_tag=client.get("q", no_ack=False).delivery_tag)
    letter = client.get("dead")
    assert (letter.exchange, letter.routing_key, letter.body, letter.redelivered) == ("dlx", "k", b"1", False)
    headers = dict(letter.properties["headers"])
    assert headers["x-death"].tag == "A"
    assert headers["x-death"].value == [
        Typed(
            "F",
            [
                ("count", Typed("l", 1)),
                ("reason", Typed("S", "rejected")),
                ("queue", Typed("S", "q")),
                ("time", Typed("T", EPOCH_MS // 1000 + 2)),
                ("exchange", Typed("S", "x")),
                ("routing-keys", Typed("A", [Typed("S", "k"), Typed("S", "cc")])),
            ],
        )
    ]
    for which in ("first", "last"):
        assert headers[f"x-{which}-death-reason"] == Typed("S", "rejected")
        assert headers[f"x-{which}-death-queue"] == Typed("S", "q")
        assert headers[f"x-{which}-death-exchange"] == Typed("S", "x")
    assert letter.headers["own"] == 1
    assert letter.headers["CC"] == ["cc"]
    assert "BCC" not in headers


@pytest.mark.parametrize("how", ["get", "consume"])
@pytest.mark.parametrize(("name", "redelivered"), [("basic.nack", False), ("basic.reject", True)])
def test_what_was_refused_by_reject_is_marked_redelivered_but_not_by_nack(name, redelivered, how):
    """8, and RabbitMQ 4.3.6, which does this: on every way on."""
    client = ready()
    client.declare("last")
    client.declare("dead2", {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "last", "x-max-length": 0})
    client.bind("dead2", "dlx", "#")
    client >> publish(b"1")
    client >> m(name, delivery_tag=client.get("q", no_ack=False).delivery_tag)
    for queue in ("dead", "last"):
        if how == "get":
            assert client.get(queue).redelivered is redelivered
        else:
            client.consume(queue, queue)
            assert client.expect("basic.deliver").redelivered is redelivered


@pytest.mark.parametrize("how", ["rejected", "expired", "maxlen"])
def test_the_reason(how):
    """12"""
    limits = {"rejected": {}, "expired": {"x-message-ttl": 5}, "maxlen": {"x-max-length": 0}}
    client = ready(limits[how])
    if how == "rejected":
        reject(client)
    else:
        client >> publish(b"1")
        client.world.pass_ms(5)
    assert client.get("dead").headers["x-death"][0]["reason"] == how


def test_expiration_becomes_original_expiration():
    """12: it cannot expire again; it comes first in its table."""
    client = ready()
    client >> publish(b"1", expiration="10", priority=3, message_id="m")
    client.world.pass_ms(10)
    letter = client.get("dead")
    assert "expiration" not in letter.properties
    assert (letter.properties["priority"], letter.properties["message_id"]) == (3, "m")
    death = dict(letter.properties["headers"])["x-death"].value[0].value
    assert death[0] == ("original-expiration", Typed("S", "10"))


def test_the_expiration_is_removed_for_any_reason():
    """12"""
    client = ready()
    reject(client, expiration="100")
    client.world.pass_ms(1000)
    letter = client.get("dead")
    assert "expiration" not in letter.properties
    assert letter.headers["x-death"][0]["original-expiration"] == "100"


def test_a_dead_letters_time_in_its_new_queue_begins_anew():
    """10: the queue's time to live counts from arrival in that queue."""
    client = World().client()
    client.declare("dead", {"x-message-ttl": 100})
    client.declare("q", {"x-message-ttl": 50, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"})
    client >> publish(b"1")
    client.world.pass_ms(149)
    assert client.counts("dead") == (1, 0)
    client.world.pass_ms(1)
    assert client.counts("dead") == (0, 0)


def test_it_keeps_its_keys_unless_the_queue_says_another():
    """12: CC and BCC keys count too, but not with x-dead-letter-routing-key."""
    for key, reached in [(None, ["k", "c", "b"]), ("other", ["other"])]:
        client = World().client()
        client.exchange("dlx", "direct")
        for name in ("k", "c", "b", "other"):
            client.declare(name)
            client.bind(name, "dlx", name)
        client.declare("q", {"x-dead-letter-exchange": "dlx", **({"x-dead-letter-routing-key": key} if key else {})})
        client.exchange("x", "fanout")
        client.bind("q", "x")
        client >> publish(b"1", exchange="x", routing_key="k", headers={"CC": ["c"], "BCC": ["b"]})
        client >> m("basic.reject", delivery_tag=client.get("q", no_ack=False).delivery_tag)
        letters = {name: client.get(name) for name in ("k", "c", "b", "other")}
        assert [name for name, letter in letters.items() if letter] == reached
        assert {letter.routing_key for letter in letters.values() if letter} == {key or "k"}


def test_the_default_exchange_may_be_the_dead_letter_exchange():
    """12"""
    client = World().client()
    client.declare("dead")
    client.declare("q", {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"})
    reject(client)
    letter = client.get("dead")
    assert (letter.exchange, letter.routing_key) == ("", "dead")


def test_without_its_exchange_or_any_queue_a_letter_is_gone():
    """12: silently, and never mandatory."""
    client = World().client()
    client.declare("q", {"x-dead-letter-exchange": "nowhere"})
    client.exchange("empty", "fanout")
    client.declare("r", {"x-dead-letter-exchange": "empty"})
    for queue in "qr":
        client >> publish(b"1", routing_key=queue, mandatory=True)
        reject(client, queue, None)
    client.quiet()


def test_an_alternate_exchange_takes_letters_too():
    client = World().client()
    client.exchange("fallback", "fanout")
    client.declare("dead")
    client.bind("dead", "fallback")
    client.exchange("dlx", "direct", {"alternate-exchange": "fallback"})
    client.declare("q", {"x-dead-letter-exchange": "dlx"})
    reject(client)
    assert client.get("dead").exchange == "dlx"


# -- the history


def chain(*links):
    """Queues of which each dead-letters to the next through the default exchange."""
    client = World().client()
    for name, to, arguments in links:
        client.declare(name, {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": to, **arguments})
    return client


def history(message):
    return [(death["queue"], death["reason"], death["count"]) for death in message.headers["x-death"]]


def test_the_most_recent_death_comes_first_and_the_first_one_is_remembered():
    """12"""
    client = chain(("a", "b", {"x-message-ttl": 5}), ("b", "c", {"x-max-length": 0}))
    client.declare("c")
    client >> publish(b"1", routing_key="a")
    client.world.pass_ms(5)
    message = client.get("c")
    assert history(message) == [("b", "maxlen", 1), ("a", "expired", 1)]
    headers = message.headers
    assert (headers["x-first-death-queue"], headers["x-first-death-reason"]) == ("a", "expired")
    assert (headers["x-last-death-queue"], headers["x-last-death-reason"]) == ("b", "maxlen")
    assert (headers["x-first-death-exchange"], headers["x-last-death-exchange"]) == ("", "")
    assert headers["x-death"][0]["routing-keys"] == ["b"]


def test_a_repeated_death_counts_moves_to_the_front_and_keeps_its_first_time():
    """12: one entry for each queue and reason."""
    client = chain(("work", "wait", {}), ("wait", "work", {"x-message-ttl": 1000}))
    client >> publish(b"1", routing_key="work")
    for turn in (1, 2, 3):
        tag = client.get("work", no_ack=False).delivery_tag
        client >> m("basic.reject", delivery_tag=tag)
        client.world.pass_ms(1000)
        client >> m("basic.get", queue="work")
        message = client.next()
        assert history(message) == [("wait", "expired", turn), ("work", "rejected", turn)]
        assert message.headers["x-death"][1]["time"] == EPOCH_MS // 1000
        assert message.headers["x-first-death-queue"] == "work"
        client >> m("basic.nack", delivery_tag=message.delivery_tag, requeue=True)


def test_what_a_client_says_of_deaths_is_not_believed():
    """12: 4.x starts anew; its headers are replaced."""
    client = ready()
    lies = {"x-death": [{"queue": "q", "reason": "rejected", "count": 7}], "x-first-death-queue": "lie", "mine": 1}
    reject(client, headers=lies)
    message = client.get("dead")
    assert history(message) == [("q", "rejected", 1)]
    assert (message.headers["x-first-death-queue"], message.headers["mine"]) == ("q", 1)


# -- cycles


def test_an_automatic_circle_ends():
    """12: a TTL queue that dead-letters to itself loses the message."""
    client = chain(("a", "a", {"x-message-ttl": 5}))
    client >> publish(b"1", routing_key="a")
    client.world.pass_ms(100)
    assert client.counts("a") == (0, 0)


def test_a_longer_automatic_circle_ends_too():
    client = chain(("a", "b", {"x-message-ttl": 5}), ("b", "c", {"x-max-length": 0}), ("c", "a", {"x-message-ttl": 5}))
    client >> publish(b"1", routing_key="a")
    client.world.pass_ms(1000)
    assert [client.counts(name)[0] for name in "abc"] == [0, 0, 0]


def test_a_circle_with_a_rejection_in_it_goes_on():
    """12: reject to itself loops."""
    client = chain(("a", "a", {}))
    client >> publish(b"1", routing_key="a")
    for turn in range(1, 6):
        reject(client, "a", None)
        message = client.get("a", no_ack=False)
        assert history(message) == [("a", "rejected", turn)]
        client >> m("basic.nack", delivery_tag=message.delivery_tag, requeue=True)


def test_a_rejection_since_the_last_death_there_opens_the_circle():
    """12: a expires to b, a client rejects it to c, c expires to a: not fully automatic."""
    client = chain(("a", "b", {"x-message-ttl": 5}), ("b", "c", {}), ("c", "a", {"x-message-ttl": 5}))
    client >> publish(b"1", routing_key="a")
    client.world.pass_ms(5)
    reject(client, "b", None)
    client.world.pass_ms(5)
    assert history(client.get("a")) == [("c", "expired", 1), ("b", "rejected", 1), ("a", "expired", 1)]


def test_of_several_targets_only_those_in_the_circle_are_left_out():
    """12"""
    client = World().client()
    client.exchange("dlx", "fanout")
    client.declare("q", {"x-message-ttl": 5, "x-dead-letter-exchange": "dlx"})
    client.declare("dead")
    client.bind("q", "dlx")
    client.bind("dead", "dlx")
    client >> publish(b"1")
    client.world.pass_ms(50)
    assert (client.counts("q"), client.drain("dead")) == ((0, 0), [b"1"])


def test_a_circle_is_logged_once(caplog):
    """12"""
    client = chain(("a", "a", {"x-message-ttl": 5}))
    client.send(*[publish(b"1", routing_key="a")] * 5)
    client.world.pass_ms(50)
    assert sum("cycle" in record.getMessage() for record in caplog.records) == 1


# -- many


def test_many_levels_do_not_recurse():
    names = [f"q{number}" for number in range(350)]
    links = zip(names, [*names[1:], "end"], strict=True)
    client = chain(*[(name, to, {"x-max-length": 0}) for name, to in links])
    client.declare("end")
    client >> publish(b"1", routing_key="q0")
    message = client.get("end")
    assert history(message)[0] == ("q349", "maxlen", 1)


def test_letters_keep_the_order_of_their_deaths():
    client = ready({"x-message-ttl": 10})
    client.send(*(publish(b"%d" % number) for number in range(100)))
    client.world.pass_ms(10)
    assert client.drain("dead") == [b"%d" % number for number in range(100)]


def test_a_large_letter_comes_in_frames_of_its_takers_size():
    world = World()
    client, small = world.client(), world.client(frame_max=4096)
    client.declare("dead")
    client.declare("q", {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"})
    reject(client, body=b"x" * 300_000)
    assert small.get("dead").body == b"x" * 300_000


def test_a_letter_is_delivered_to_a_waiting_consumer_in_the_same_round():
    client = ready()
    client.consume("dead", "t", no_ack=True)
    reject(client)
    event = client.expect("basic.deliver", consumer_tag="t")
    assert event.body == b"1"


def test_a_publisher_is_not_told_of_a_letters_fate():
    """6, 11: reject-publish-dlx refuses and dead-letters."""
    client = ready({"x-max-length": 0, "x-overflow": "reject-publish-dlx"})
    client.call("confirm.select")
    client >> publish(b"1")
    client.expect("basic.nack", delivery_tag=1)
    client.quiet()
    assert client.drain("dead") == [b"1"]


def test_a_long_history_is_shown_in_part():
    """A content header is one frame: x-death must not outgrow it. The first death is always told."""
    names = [f"q{number}" for number in range(120)]
    links = zip(names, [*names[1:], "end"], strict=True)
    client = chain(*[(name, to, {"x-max-length": 0}) for name, to in links])
    client.declare("end")
    client >> publish(b"1", routing_key="q0")
    headers = client.get("end").headers
    shown = [death["queue"] for death in headers["x-death"]]
    assert shown == names[::-1][: len(shown)]
    assert 10 < len(shown) < 120
    assert headers["x-first-death-queue"] == "q0"


def test_dead_letters_that_multiply_are_published_a_part_at_a_time():
    """Queues that dead-letter to the fanout that feeds them: nobody waits until all is settled."""
    client = World().client()
    client.exchange("f", "fanout")
    for number in range(7):
        client.declare(f"q{number}", {"x-max-length": 0, "x-dead-letter-exchange": "f"})
        client.bind(f"q{number}", "f", "")
    client >> publish(b"1", exchange="f")
    assert client.world.broker.timers.next_due_ms() == client.world.broker.now_ms
    for _ in range(100):
        client.world.pass_ms(1)
    assert client.world.broker.timers.next_due_ms() != client.world.broker.now_ms
    assert client.get("q0") is None


def test_a_mass_of_expired_messages_goes_in_parts_and_hides_no_live_one():
    client = ready()
    for _ in range(2500):
        client >> publish(b"late", routing_key="q", expiration="10")
    client >> publish(b"alive", routing_key="q")
    client.world.pass_ms(10)
    assert client.get("q").body == b"alive"
    for _ in range(10):
        client.world.pass_ms(1)
    assert client.call("queue.purge", queue="dead").message_count == 2500


def test_an_auto_delete_queue_is_gone_before_its_messages_could_return():
    """4: with the last consumer the queue goes; what the consumer held is not dead-lettered by a limit."""
    client = World().client(channels=(1, 2))
    client.on(2).declare("dead")
    client.on(2).declare(
        "q",
        {"x-max-length": 1, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"},
        auto_delete=True,
    )
    client.consume("q")
    client.on(2) >> publish(b"1", routing_key="q") >> publish(b"2", routing_key="q")
    assert client.bodies() == [b"1", b"2"]
    client.call("channel.close", reply_code=200, reply_text="", class_id=0, method_id=0)
    assert client.on(2).get("dead") is None


def test_each_bcc_key_hides_one_key_of_the_death():
    """12, 5.3: RabbitMQ subtracts them one for one, from the left."""
    client = ready()
    client >> publish(b"1", routing_key="q", headers={"CC": ["a"], "BCC": ["q"]})
    client >> m("basic.nack", delivery_tag=client.get("q", no_ack=False).delivery_tag)
    death = dict(client.get("dead").properties["headers"])["x-death"].value[0]
    assert dict(death.value)["routing-keys"] == Typed("A", [Typed("S", "a"), Typed("S", "q")])
