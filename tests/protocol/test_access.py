"""What is asked before each method, in which order and with which words; answers that take time; limits (19, 1.1)."""

import pytest
from harness import PROTOCOL_HEADER, Everything, World, fields_of, m, publish

from amqpd.broker.ports import ALLOWED, PENDING, REFUSED

Q, X, TOPIC = "queue", "exchange", "topic"


def world_with(*refused):
    """A world in which alice may do everything but what is refused, with a queue and exchanges."""
    world = World()
    setup = world.client()
    setup.declare("q")
    setup.exchange("x", "direct")
    setup.exchange("t", "topic")
    setup.exchange("d", "fanout")
    world.users.authority.refused = set(refused)
    client = world.client(user="alice")
    world.users.authority.asked.clear()
    return world, client


# method, questions in the order in which they are asked
QUESTIONS = [
    (m("exchange.declare", exchange="new", type="direct"), [(X, "new", "configure")]),
    (m("exchange.declare", exchange="x", type="direct"), [(X, "x", "configure")]),
    (
        m("exchange.declare", exchange="new", type="direct", arguments={"alternate-exchange": "d"}),
        [(X, "new", "configure"), (X, "new", "read"), (X, "d", "write")],
    ),
    (m("exchange.declare", exchange="x", passive=True), [(X, "x", "read")]),
    (m("exchange.delete", exchange="x"), [(X, "x", "configure")]),
    (m("exchange.delete", exchange="nope"), [(X, "nope", "configure")]),
    (m("queue.declare", queue="new"), [(Q, "new", "configure")]),
    (
        m("queue.declare", queue="new", arguments={"x-dead-letter-exchange": "d"}),
        [(Q, "new", "configure"), (Q, "new", "read"), (X, "d", "write")],
    ),
    (
        m("queue.declare", queue="new", arguments={"x-dead-letter-exchange": ""}),
        [(Q, "new", "configure"), (Q, "new", "read"), (X, "amq.default", "write")],
    ),
    (m("queue.declare", queue="q", passive=True), [(Q, "q", "read")]),
    (m("queue.delete", queue="q"), [(Q, "q", "configure")]),
    (m("queue.delete", queue="nope"), [(Q, "nope", "configure")]),
    (m("queue.purge", queue="q"), [(Q, "q", "read")]),
    (m("queue.bind", queue="q", exchange="x", routing_key="k"), [(Q, "q", "write"), (X, "x", "read")]),
    (
        m("queue.bind", queue="q", exchange="t", routing_key="a.b"),
        [(Q, "q", "write"), (X, "t", "read"), (TOPIC, "t", "read", "a.b")],
    ),
    (
        m("queue.unbind", queue="q", exchange="t", routing_key="a.b"),
        [(Q, "q", "write"), (X, "t", "read"), (TOPIC, "t", "read", "a.b")],
    ),
    (m("exchange.bind", destination="d", source="x"), [(X, "d", "write"), (X, "x", "read")]),
    (
        m("exchange.unbind", destination="d", source="t", routing_key="k"),
        [(X, "d", "write"), (X, "t", "read"), (TOPIC, "t", "read", "k")],
    ),
    (m("basic.consume", queue="q"), [(Q, "q", "read")]),
    (m("basic.get", queue="q"), [(Q, "q", "read")]),
    (publish(b"1", exchange="x", routing_key="k"), [(X, "x", "write")]),
    (publish(b"1", routing_key="q"), [(X, "amq.default", "write")]),
    (publish(b"1", exchange="t", routing_key="a.b"), [(X, "t", "write"), (TOPIC, "t", "write", "a.b")]),
    (
        publish(b"1", exchange="t", routing_key="a", headers={"CC": ["b"], "BCC": ["c"]}),
        [(X, "t", "write"), *((TOPIC, "t", "write", key) for key in "abc")],
    ),
    (publish(b"1", exchange="x", routing_key="a", headers={"CC": ["b"]}), [(X, "x", "write")]),
]
NAMES = [f"{number}-{said.name}" for number, (said, _questions) in enumerate(QUESTIONS)]


def refusal(question):
    kind, name, permission, *key = question
    if key:
        return (
            f"ACCESS_REFUSED - {permission} access to topic '{key[0]}' in exchange '{name}' in vhost '/' refused for "
            "user 'alice'"
        )
    return f"ACCESS_REFUSED - {permission} access to {kind} '{name}' in vhost '/' refused for user 'alice'"


@pytest.mark.parametrize(("said", "questions"), QUESTIONS, ids=NAMES)
def test_what_each_method_asks(said, questions):
    world, client = world_with()
    client >> said
    assert world.users.authority.asked == questions
    assert [event for event in client.heard() if event.name.endswith("close")] == []


@pytest.mark.parametrize(("said", "questions"), QUESTIONS, ids=NAMES)
def test_each_question_can_refuse_the_method_and_then_nothing_is_done(said, questions):
    for question in questions:
        world, client = world_with(question)
        if said.fields.get("passive"):  # any one permission will do
            world.users.authority.refused = {(*question[:2], verb) for verb in ("read", "write", "configure")}
            question = (*question[:2], "configure")
        before = sorted(world.vhost.queues), sorted(world.vhost.exchanges)
        client >> said
        client.channel_closed(403, refusal(question), said.name)
        assert (sorted(world.vhost.queues), sorted(world.vhost.exchanges)) == before
        assert world.vhost.queues["q"].ready_count() == 0
        assert not world.vhost.queues["q"].incoming


@pytest.mark.parametrize(("said", "questions"), QUESTIONS, ids=NAMES)
def test_an_answer_may_take_time_and_the_connection_waits_for_it(said, questions):
    """Whatever was sent after it comes after it; another connection goes on."""
    world, client = world_with()
    world.users.authority.unknown = set(questions)
    client.feed(said.frames(1), m("basic.qos").frames(1))
    other = world.client()
    for _ in questions:
        client.quiet()
        other.call("basic.qos")
        world.users.authority.answer()
        world.settle()
    heard = [event.name for event in client.heard()]
    assert heard[-1] == "basic.qos-ok"
    assert "channel.close" not in heard

    plain_world, plain = world_with()
    plain.feed(said.frames(1), m("basic.qos").frames(1))
    assert heard == [event.name for event in plain.heard()]
    counts = [{name: queue.ready_count() for name, queue in w.vhost.queues.items()} for w in (world, plain_world)]
    assert counts[0] == counts[1]


@pytest.mark.parametrize(("said", "questions"), QUESTIONS, ids=NAMES)
def test_an_answer_that_took_time_can_be_no(said, questions):
    world, client = world_with()
    question = questions[-1]
    world.users.authority.unknown = {question}
    client >> said
    client.quiet()
    world.users.authority.refused = {question}
    if said.fields.get("passive"):
        world.users.authority.refused = {(*question[:2], verb) for verb in ("read", "write", "configure")}
        question = (*question[:2], "configure")
    world.users.authority.answer()
    world.settle()
    client.channel_closed(403, refusal(question), said.name)


@pytest.mark.parametrize(
    ("properties", "text"),
    [
        ({"reply_to": "amq.rabbitmq.reply-to"}, "fast reply consumer does not exist"),
        ({"expiration": "soon"}, "invalid expiration 'soon': no_integer"),
        ({"headers": {"CC": "a"}}, 'invalid message: {unacceptable_type_in_header,"CC",longstr}'),
    ],
)
def test_what_is_wrong_with_a_message_is_said_before_its_topic_is_refused(properties, text):
    _world, client = world_with((TOPIC, "t", "write", "a"))
    client >> publish(b"1", exchange="t", routing_key="a", **properties)
    client.channel_closed(406, f"PRECONDITION_FAILED - {text}", "basic.publish")


def test_whose_message_it_is_is_asked_after_its_topic():
    question = (TOPIC, "t", "write", "a")
    _world, client = world_with(question)
    client >> publish(b"1", exchange="t", routing_key="a", user_id="bob")
    client.channel_closed(403, refusal(question), "basic.publish")


def test_a_reserved_name_is_refused_before_its_alternate_exchange_is_asked_for():
    world, client = world_with((X, "d", "write"))
    client >> m("exchange.declare", exchange="amq.new", type="direct", arguments={"alternate-exchange": "d"})
    client.channel_closed(
        403, "ACCESS_REFUSED - exchange name 'amq.new' contains reserved prefix 'amq.*'", "exchange.declare"
    )
    assert world.users.authority.asked == [(X, "amq.new", "configure")]


def test_a_publish_that_waits_is_confirmed_in_its_turn():
    world, client = world_with()
    client.call("confirm.select")
    world.users.authority.unknown = {(X, "x", "write")}
    client.feed(b"".join(publish(body, exchange=x).frames(1) for x, body in (("", b"1"), ("x", b"2"), ("", b"3"))))
    client.expect("basic.ack", delivery_tag=1)
    client.quiet()
    world.users.authority.answer()
    world.settle()
    client.expect("basic.ack", delivery_tag=3, multiple=True)


def test_a_publish_in_many_frames_waits_whole():
    world, client = world_with()
    client.bind("q", "x", "k")
    world.users.authority.unknown = {(X, "x", "write")}
    client.feed(*(bytes([octet]) for octet in publish(b"abc" * 100, exchange="x", routing_key="k").frames(1)))
    world.users.authority.answer()
    world.settle()
    assert client.drain("q") == [b"abc" * 100]


def test_a_connection_that_ends_while_it_waits_is_forgotten():
    world, client = world_with()
    world.users.authority.unknown = {(X, "x", "configure")}
    client >> m("exchange.delete", exchange="x")
    client.lose()
    world.users.authority.answer()
    world.settle()
    client.quiet()
    assert "x" in world.vhost.exchanges


def test_an_answer_is_asked_for_once():
    world, client = world_with()
    for _ in range(3):
        client >> publish(b"1", exchange="x", routing_key="k")
        client.call("queue.purge", queue="q")
    assert world.users.authority.asked == [(X, "x", "write"), (Q, "q", "read")]


def test_a_refusal_is_not_remembered():
    world, client = world_with((Q, "q", "read"))
    client >> m("queue.purge", queue="q")
    client.expect("channel.close", reply_code=403)
    client >> m("channel.close-ok")
    world.users.authority.refused.clear()
    client.reopen()
    client.call("queue.purge", queue="q")


def test_what_one_user_may_another_may_not():
    """Routes are remembered for each user."""
    world, alice = world_with()
    alice >> publish(b"1", exchange="x", routing_key="k")
    world.users.authority.refused = {(X, "x", "write")}
    bob = world.client(user="bob")
    bob >> publish(b"1", exchange="x", routing_key="k")
    bob.expect("channel.close", reply_code=403)
    alice >> publish(b"1", exchange="x", routing_key="k")
    alice.quiet()


# -- access changes while a connection is open


def test_a_permission_that_is_withdrawn_holds_at_once():
    world, client = world_with()
    client >> publish(b"1", exchange="x", routing_key="k")
    client.quiet()
    world.users.authority.refused = {(X, "x", "write")}
    world.broker.access_changed("alice")
    client >> publish(b"1", exchange="x", routing_key="k")
    client.channel_closed(403, refusal((X, "x", "write")), "basic.publish")


def test_a_permission_that_is_given_holds_at_once():
    world, client = world_with((X, "x", "write"))
    client >> publish(b"1", exchange="x", routing_key="k")
    client.expect("channel.close", reply_code=403)
    client >> m("channel.close-ok")
    world.users.authority.refused.clear()
    world.broker.access_changed(None)
    client.reopen() >> publish(b"1", exchange="x", routing_key="k")
    client.quiet()


def test_a_consumer_that_may_no_longer_read_is_cancelled():
    world, client = world_with()
    other = world.client(user="bob")
    client.consume("q", "a")
    other.consume("q", "b")
    world.users.authority.refused = {(Q, "q", "read")}
    world.broker.access_changed("alice")
    world.settle()
    client.expect("basic.cancel", consumer_tag="a")
    other.quiet()
    client >> publish(b"1", routing_key="q")
    assert other.bodies() == [b"1"]


def test_others_do_not_notice():
    world, client = world_with()
    client >> publish(b"1", exchange="x", routing_key="k")
    world.users.authority.asked.clear()
    world.broker.access_changed("bob")
    client.call("queue.purge", queue="q")
    client.call("queue.purge", queue="q")
    assert world.users.authority.asked == [(Q, "q", "read")]


# -- opening a connection


def opening(world):
    """A connection of alice's that has just asked for its vhost."""
    client = world.connect()
    client >> PROTOCOL_HEADER
    client.expect("connection.start")
    client.start_ok("alice")
    client.expect("connection.tune")
    return client >> m("connection.tune-ok", channel_max=1, frame_max=131072) >> m("connection.open", virtual_host="/")


def test_a_vhost_may_be_closed_to_a_user():
    world = World()
    world.users.authority.refused = {("vhost",)}
    client = opening(world)
    client.connection_closed(
        530, "NOT_ALLOWED - access to vhost '/' refused for user 'alice'", "connection.open"
    )


def test_a_vhost_may_take_time():
    world = World()
    world.users.authority.unknown = {("vhost",)}
    client = opening(world)
    client.quiet()
    world.users.authority.answer()
    world.settle()
    client.expect("connection.open-ok")


def test_a_login_may_take_time():
    world = World()
    world.users.slow = True
    client = world.connect()
    client >> PROTOCOL_HEADER
    client.expect("connection.start")
    client.start_ok("alice")
    client.quiet()
    world.users.decide()
    world.settle()
    client.expect("connection.tune")


def test_a_login_that_took_time_can_be_refused():
    world = World()
    world.users.slow = True
    client = world.connect()
    client >> PROTOCOL_HEADER
    client.expect("connection.start")
    client.start_ok("mallory")
    world.users.decide()
    world.settle()
    client.expect("connection.close", reply_code=403)


def test_a_login_that_takes_too_long_ends_the_connection():
    world = World(handshake_timeout_ms=500)
    world.users.slow = True
    client = world.connect()
    client >> PROTOCOL_HEADER
    client.expect("connection.start")
    client.start_ok("alice")
    world.pass_ms(500)
    assert client.wire.ended == "abort"
    world.users.decide()
    world.settle()
    client.quiet()
    assert world.broker.connection_count() == 0


def test_credentials_that_run_out_end_the_connection():
    world = World()
    world.users.valid_until_ms = world.broker.wall_ms() + 60_000
    client = world.client(user="alice")
    world.pass_ms(59_999)
    client.quiet()
    world.pass_ms(1)
    client.expect("connection.close", reply_code=320, reply_text="CONNECTION_FORCED - credential expired")


def test_a_new_secret_has_everything_asked_again():
    world, client = world_with()
    client.consume("q", "a")
    world.users.authority.refused = {(Q, "q", "read")}
    client >> m("connection.update-secret", new_secret="s", reason="r")
    client.expect("basic.cancel", consumer_tag="a")
    client.expect("connection.update-secret-ok")


def test_a_new_secret_does_not_open_a_vhost_that_was_closed():
    world, client = world_with()
    world.users.authority.refused = {("vhost",)}
    client >> m("connection.update-secret", new_secret="s", reason="r")
    client.expect(
        "connection.close", reply_code=530, reply_text="NOT_ALLOWED - access to vhost '/' refused for user 'alice'"
    )


# -- limits


def refused_open(world):
    return opening(world).expect("connection.close", reply_code=530).reply_text


@pytest.mark.parametrize("limit", [0, 1, 2])
def test_connections_of_a_vhost(limit):
    world = World()
    world.vhost.limits["max-connections"] = limit
    clients = [world.client(user="alice") for _ in range(limit)]
    text = f"NOT_ALLOWED - access to vhost '/' refused for user 'alice': connection limit ({limit}) is reached"
    assert refused_open(world) == text
    for client in clients[:1]:
        client.lose()
        world.client(user="bob")
    world.vhost.limits["max-connections"] = -1
    world.client()


@pytest.mark.parametrize("limit", [0, 1])
def test_connections_of_a_user(limit):
    world = World()
    world.client(user="alice").lose()
    world.users.limits["alice"]["max-connections"] = limit
    for _ in range(limit):
        world.client(user="alice")
    world.client(user="bob")
    text = f"NOT_ALLOWED - connection refused for user 'alice': user connection limit ({limit}) is reached"
    assert refused_open(world) == text


def test_channels_of_a_user():
    world = World()
    client, second = world.client(user="alice"), world.client(user="alice", channels=())
    world.users.limits["alice"]["max-channels"] = 1
    second >> m("channel.open")
    second.connection_closed(
        530,
        "NOT_ALLOWED - number of channels opened for user 'alice' has reached the maximum allowed user limit of 1",
        None,
    )
    client.call("channel.close")
    world.client(user="alice")


def test_channels_of_the_node():
    world = World(channel_max_per_node=2)
    client = world.client(channels=(1, 2))
    client.on(3) >> m("channel.open")
    client.connection_closed(
        530,
        "NOT_ALLOWED - number of channels opened on node 'rabbit@test' has reached the maximum allowed limit of 2",
        None,
    )
    world.client(channels=(1, 2))


def test_queues_of_a_vhost():
    world = World()
    client = world.client()
    world.vhost.limits["max-queues"] = 1
    client.declare("q")
    client.declare("q")
    client >> m("queue.declare", queue="over")
    client.channel_closed(
        406,
        "PRECONDITION_FAILED - cannot declare queue 'over': queue limit in vhost '/' (1) is reached",
        "queue.declare",
    )


@pytest.mark.parametrize(
    ("limit", "said", "text"),
    [
        (
            {"cluster_queue_limit": 1},
            m("queue.declare", queue="over"),
            "cannot declare queue 'over': queue limit in cluster (1) is reached",
        ),
        (
            {"cluster_exchange_limit": 8},
            m("exchange.declare", exchange="over", type="direct"),
            "cannot declare exchange 'over' in vhost '/': exchange limit of 8 is reached",
        ),
        (
            {"cluster_binding_limit": 1},
            m("queue.bind", queue="q", exchange="x", routing_key="over"),
            "cannot bind queue 'q' in vhost '/': binding limit of 1 is reached",
        ),
    ],
    ids=lambda value: value.name if hasattr(value, "name") else "",
)
def test_queues_exchanges_and_bindings_of_the_node(limit, said, text):
    """What is there already may be declared again, and room that was made may be taken."""
    world = World(**limit)
    client = world.client()
    client.declare("q")
    client.exchange("x")
    client.bind("q", "x", "k")
    client.declare("q")
    client.exchange("x")
    client.bind("q", "x", "k")
    client >> said
    client.channel_closed(406, f"PRECONDITION_FAILED - {text}", said.name)
    client.reopen().call("queue.delete", queue="q")
    client.call("exchange.delete", exchange="x")
    client.declare("q")
    client.exchange("x")
    client.bind("q", "x", "k2")


# -- queues of types that are not there


@pytest.mark.parametrize("default", ["vhost", "node"])
@pytest.mark.parametrize(
    ("flags", "served"),
    [
        ({"durable": True}, False),
        ({}, True),
        ({"exclusive": True}, True),
        ({"durable": True, "auto_delete": True}, True),
    ],
    ids=str,
)
def test_the_default_queue_type(default, flags, served):
    """20: it is for durable queues that say nothing of themselves."""
    world = World(**({"default_queue_type": "quorum"} if default == "node" else {}))
    if default == "vhost":
        world.vhost.default_queue_type = "quorum"
    client = world.client()
    client >> m("queue.declare", queue="q", **flags)
    if served:
        client.expect("queue.declare-ok")
    else:
        client.expect("connection.close", reply_code=540)
    client = world.client()
    client.declare("mine", {"x-queue-type": "classic"}, durable=True)


@pytest.mark.parametrize(
    "said",
    [
        m("queue.declare", queue="absent", durable=True, arguments={"x-queue-type": "quorum"}),
        m("queue.declare", queue="absent", passive=True),
        m("basic.consume", queue="absent"),
        m("basic.get", queue="absent"),
        m("queue.purge", queue="absent"),
    ],
    ids=lambda said: said.name,
)
def test_a_defined_queue_that_is_not_served_says_so(said):
    world = World()
    world.vhost.restore_queue("absent", "quorum", True, False, fields_of({"x-queue-type": "quorum"}))
    client = world.client()
    client >> said
    client.connection_closed(
        540,
        "NOT_IMPLEMENTED - quorum queues are not supported by this node: cannot use queue 'absent' in vhost '/'",
        said.name,
    )


def test_what_is_published_to_a_queue_that_is_not_served_is_refused():
    world = World()
    world.vhost.restore_queue("absent", "quorum", True, False, [])
    client = world.client()
    client.call("confirm.select")
    client.bind("absent", "amq.fanout")
    client >> publish(b"1", exchange="amq.fanout")
    client.expect("basic.nack", delivery_tag=1)
    client.call("queue.delete", queue="absent")
    assert not client.exists("absent")


class Fetching(Everything):
    """Knows nothing before it was asked, forgets all at `KEPT` answers; what it allows may be remembered for 15 s."""

    KEPT = 200

    def __init__(self):
        super().__init__()
        self.answers = {}
        self.fetched = 0

    def hold_ms(self):
        return 15_000

    def check(self, user, question):
        self.asked.append((question.kind, question.name, question.permission, question.routing_key))
        answer = self.answers.get(self.asked[-1], PENDING)
        return answer if answer != ALLOWED or self.asked[-1][:3] not in self.refused else REFUSED

    def fetch(self, user, question, answered):
        self.waiting.append((self.asked[-1], answered))

    def answer_all(self, world):
        """Answer as long as it is asked."""
        while self.waiting:
            key, answered = self.waiting.pop()
            self.fetched += 1
            assert self.fetched < 5000, f"asks for ever, at last {key}"
            if len(self.answers) >= self.KEPT:
                self.answers.clear()
            self.answers[key] = ALLOWED
            answered()
            world.settle()

    def forget(self):
        self.answers.clear()
        self.fetched = 0


def fetching_client(world):
    """A client of a login of its own, as alice."""
    world.users.authority = authority = Fetching()
    client = world.connect()
    client >> PROTOCOL_HEADER
    client.start_ok("alice")
    client >> m("connection.tune-ok", channel_max=2047, frame_max=131_072, heartbeat=0)
    client >> m("connection.open", virtual_host="/")
    authority.answer_all(world)
    client >> m("channel.open")
    assert [event.name for event in client.heard()][-2:] == ["connection.open-ok", "channel.open-ok"]
    return client, authority


def test_a_queue_that_the_server_names_has_one_name_however_often_it_is_asked_for():
    world, _client = world_with()
    client, authority = fetching_client(world)
    names = set()
    for _ in range(2):
        client >> m("queue.declare", queue="")
        client.quiet()
        authority.answer_all(world)
        names.add(client.expect("queue.declare-ok").queue)
    assert len(names) == 2
    assert names <= set(world.vhost.queues)


def test_more_questions_than_are_remembered_come_to_an_end():
    world, setup = world_with()
    setup.bind("q", "t", "k7")
    client, authority = fetching_client(world)
    authority.forget()
    copies = [f"k{number}" for number in range(1100)]
    client >> publish(b"1", exchange="t", routing_key="k", headers={"CC": copies})
    authority.answer_all(world)
    assert authority.fetched == 2 + len(copies)
    assert world.vhost.queues["q"].ready_count() == 1


def test_a_route_is_not_lent_to_another_login_of_the_same_name():
    """A token with another scope, or another backend, decides about another login."""
    world, _client = world_with()
    one, authority = fetching_client(world)
    two, other = fetching_client(world)
    one >> publish(b"1")
    authority.answer_all(world)
    assert world.vhost.queues["q"].ready_count() == 1
    other.refused = {(X, "amq.default", "write")}
    two >> publish(b"2")
    other.answer_all(world)
    two.channel_closed(403, refusal((X, "amq.default", "write")), "basic.publish")
    assert world.vhost.queues["q"].ready_count() == 1


def test_what_was_allowed_for_a_time_is_asked_again_after_it():
    world, _client = world_with()
    client, authority = fetching_client(world)
    for number in range(3):
        authority.forget()
        client >> publish(b"1")
        client >> publish(b"1")
        authority.answer_all(world)
        assert authority.fetched == 1
        assert world.vhost.queues["q"].ready_count() == 2 + 2 * number
        world.pass_ms(15_000)
    authority.refused = {(X, "amq.default", "write")}
    client >> publish(b"1")
    client.channel_closed(403, refusal((X, "amq.default", "write")), "basic.publish")


def test_what_was_allowed_stays_while_a_method_waits_for_the_rest():
    """Or a method that asks much of somebody slow would begin anew for ever."""
    world, _client = world_with()
    client, authority = fetching_client(world)
    world.pass_ms(15_000)
    authority.forget()
    client >> publish(b"1", exchange="t", routing_key="a", headers={"CC": ["b", "c"]})
    for left in (3, 2, 1, 0):
        (key, answered), = authority.waiting
        authority.waiting.clear()
        world.pass_ms(10_000)
        authority.answers = {key: ALLOWED}
        answered()
        world.settle()
        assert len(authority.waiting) == (left > 0)
    client.quiet()


def test_nothing_is_due_after_a_connection_whose_answers_held_for_a_time():
    world, _client = world_with()
    before = len(world.broker.timers)
    client, authority = fetching_client(world)
    client >> publish(b"1")
    authority.answer_all(world)
    assert len(world.broker.timers) > before
    client.lose()
    assert len(world.broker.timers) == before
