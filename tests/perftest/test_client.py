"""A connection as a client, in plays with the broker's own connection, and with servers that misbehave."""

import pytest
from harness import HEADER, PROTOCOL_HEADER, World, content_header, deliver, frame, m, publish
from hypothesis import given
from hypothesis import strategies as st
from perftesting import Bell

from amqpd.perftest import requests
from amqpd.perftest.client import FRAME_MAX, Agent, Client
from amqpd.perftest.deliveries import UNSTAMPED
from amqpd.perftest.faults import RunError
from amqpd.perftest.texts import address
from amqpd.wire import methods

HERE = address("amqp://localhost")


class Noted(Agent):
    """Keeps what it gets."""

    def __init__(self):
        self.messages = []
        self.calls = 0
        self.confirms = []
        self.back = 0
        self.commits = 0

    def deliver(self, tags, stamps):
        self.messages += zip(tags, stamps, strict=True)
        self.calls += 1

    def confirmed(self, tag, multiple, positive):
        self.confirms.append((tag, multiple, positive))

    def returned(self):
        self.back += 1

    def committed(self):
        self.commits += 1


class Play:
    """A client and a broker; `pump` carries bytes both ways until nobody has anything to say."""

    def __init__(self, client=None, **limits):
        self.world = World(**limits)
        self.server = self.world.connect()
        self.server.wire.decoder.frame_max = FRAME_MAX
        self.client = client or Client(HERE, "name")
        self.opened = Bell()
        self.client.when_open = self.opened
        self.agent = Noted()
        self.heard = 0

    def pump(self):
        while True:
            said = b"".join(self.client.take())
            if said:
                self.server.feed(said)
            answer = self.server.wire.output[self.heard :]
            self.heard += len(answer)
            if answer:
                self.client.feed(answer)
            if not (said or answer):
                return

    def open(self, channel=True):
        self.client.start()
        self.pump()
        if channel:
            self.client.attach(1, self.agent)
            self.call(requests.open_channel(1), methods.CHANNEL_OPEN_OK)
        return self

    def call(self, request, answer, channel=1):
        call = self.client.call(channel, request, answer, Bell())
        self.pump()
        assert call.arguments is not None
        assert call.done.rung == 1
        return call.arguments

    def queue(self, name="q"):
        self.call(requests.declare_queue(1, name, True, False, False, []), methods.QUEUE_DECLARE_OK)

    def consume(self, name="q"):
        self.call(requests.consume(1, name, "t", True, []), methods.BASIC_CONSUME_OK)


def test_logging_in_agrees_on_what_is_allowed():
    play = Play(Client(HERE, "name", heartbeat=7, frame_max=8192)).open()
    client = play.client
    assert (client.open, play.opened.rung, client.frame_max, client.heartbeat) == (True, 1, 8192, 7)
    assert client.channel_max == 2047


def test_no_heartbeat_and_the_largest_frames_unless_asked_for():
    client = Play().open().client
    assert (client.heartbeat, client.frame_max) == (0, FRAME_MAX)


def test_wrong_passwords_and_vhosts_are_said_in_one_line():
    with pytest.raises(RunError, match=r"^localhost:5672 closed the connection: 403 ACCESS_REFUSED"):
        Play(Client(address("amqp://guest:wrong@localhost"), "name")).open(channel=False)
    with pytest.raises(RunError, match=r"530 NOT_ALLOWED - vhost nix not found"):
        Play(Client(address("amqp://localhost/nix"), "name")).open(channel=False)


def test_a_mechanism_that_is_not_offered():
    with pytest.raises(RunError, match=r"offers no login with EXTERNAL, only .*PLAIN"):
        Play(Client(HERE, "name", external=True)).open(channel=False)


def test_every_request_is_one_that_the_broker_takes():
    play = Play().open()
    play.call(requests.declare_exchange(1, "x", "topic", False), methods.EXCHANGE_DECLARE_OK)
    play.call(requests.declare_exchange(1, "x", "topic", True), methods.EXCHANGE_DECLARE_OK)
    play.queue()
    play.call(requests.look_for_queue(1, "q"), methods.QUEUE_DECLARE_OK)
    play.call(requests.bind(1, "q", "x", "#"), methods.QUEUE_BIND_OK)
    play.call(requests.qos(1, 10, False), methods.BASIC_QOS_OK)
    play.call(requests.qos(1, 20, True), methods.BASIC_QOS_OK)
    play.consume()
    play.call(requests.close(methods.CHANNEL_CLOSE, 1), methods.CHANNEL_CLOSE_OK)
    play.call(requests.open_channel(1), methods.CHANNEL_OPEN_OK)
    play.call(requests.confirm_select(1), methods.CONFIRM_SELECT_OK)
    play.call(requests.close(methods.CONNECTION_CLOSE), methods.CONNECTION_CLOSE_OK, channel=0)
    assert play.client.closed


def test_what_the_broker_refuses():
    play = Play().open()
    play.client.call(1, requests.look_for_queue(1, "q"), methods.QUEUE_DECLARE_OK, Bell())
    with pytest.raises(RunError, match=r"^localhost:5672 refused: 404 NOT_FOUND - no queue 'q' in vhost '/'"):
        play.pump()


def body(number, stamp, size=12):
    return (number.to_bytes(4, "big") + stamp.to_bytes(8, "big")).ljust(size, b"\0")


def test_deliveries_come_in_runs_with_their_times():
    play = Play().open()
    play.queue()
    other = play.world.client()
    other.send(*(publish(body(number, 1000 + number)) for number in range(50)))
    play.consume()
    assert play.agent.messages == [(number + 1, 1000 + number) for number in range(50)]
    assert play.agent.calls == 1


MESSAGES = [
    publish(body(1, 1)),
    publish(body(2, 2)),
    publish(body(3, 3, 200)),
    publish(b""),
    publish(b"short"),
    publish(b"", headers={"timestamp": 4}),
    publish(b"file", headers={"a": "b", "timestamp": 5}),
    publish(body(6, 99), headers={"timestamp": 6}),
    publish(body(7, 7), headers={"timestamp": "text"}),
    publish(body(8, 8, 300_000)),
    publish(body(9, 9), content_type="text/plain"),
    *(publish(body(10, 10, 20)) for _ in range(20)),
    *(publish(b"12345", headers={"timestamp": 100 + n, "a": 1}, content_type="t/p") for n in range(10)),
    *(publish(b"", headers={"timestamp": 200 + n}) for n in range(10)),
    *(publish(body(n, 300 + n), routing_key="q" * (n % 2 + 1)) for n in range(10)),
]
STAMPS = [1, 2, 3, UNSTAMPED, UNSTAMPED, 4, 5, 6, 7, 8, 9, *[10] * 20]
STAMPS += [*range(100, 110), *range(200, 210), *range(300, 310)]


@pytest.fixture(scope="module")
def stream():
    """A logged-in client's incoming bytes with all kinds of deliveries."""
    play = Play().open()
    play.queue()
    play.queue("qq")
    other = play.world.client()
    other.exchange("x", "fanout")
    other.bind("q", "x")
    for each in MESSAGES:
        each.fields["exchange"] = "x"
    other.send(*MESSAGES)
    before = play.heard
    play.consume()
    assert play.agent.messages == list(enumerate(STAMPS, 1))
    return play.server.wire.output[before:]


@given(st.data())
def test_how_the_bytes_are_cut_makes_no_difference(stream, data):
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)) | st.integers(0, 2000), max_size=12)))
    client, agent = Client(HERE, "name"), Noted()
    client.attach(1, agent)
    client.call(1, b"", methods.BASIC_CONSUME_OK, Bell())
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        if start < end:
            client.feed(stream[start:end])
    assert agent.messages == list(enumerate(STAMPS, 1))


def test_confirms_returns_and_commits():
    play = Play().open()
    play.call(requests.confirm_select(1), methods.CONFIRM_SELECT_OK)
    for _ in range(3):
        play.client.send(publish(b"nobody", mandatory=True).frames(1))
    play.pump()
    assert play.agent.back == 3
    assert [(multiple, positive) for _tag, multiple, positive in play.agent.confirms][-1][1] is True
    assert max(tag for tag, _multiple, _positive in play.agent.confirms) == 3
    other = Play().open()
    other.call(requests.tx(1, methods.TX_SELECT), methods.TX_SELECT_OK)
    other.client.send(requests.tx(1, methods.TX_COMMIT))
    other.pump()
    assert other.agent.commits == 1


def test_a_broker_that_blocks_publishers():
    play = Play().open()
    play.world.alarm()
    play.client.send(publish(b"").frames(1))
    play.pump()
    assert play.client.blocked == "low on memory"
    play.world.all_clear()
    play.pump()
    assert play.client.blocked is None


def test_a_consumer_whose_queue_goes():
    play = Play().open()
    play.queue()
    play.consume()
    play.world.client() >> m("queue.delete", queue="q")
    with pytest.raises(RunError, match="cancelled a consumer: its queue is gone"):
        play.pump()


# -- servers that are none


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (PROTOCOL_HEADER, "does not speak AMQP 0-9-1"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak AMQP"),
        (b"\x15\x03\x03\x00\x02\x02\x46" + b"\0" * 8, "does not speak AMQP"),
        (frame(1, 0, b"\0" * 20), "which was not asked for"),
        (frame(1, 0, b"\0\x0a\0\x0a"), "what is not AMQP 0-9-1"),
        (frame(1, 0, b"\0\x0a\0\x0a\0\x09", end=0), "a frame without its end"),
        (b"\1\0\0\x7f\xff\xff\xff", "more than was agreed upon"),
        (b"\1\0\0\xff\xff\xff\xff", "more than was agreed upon"),
        (frame(2, 1, content_header(0)), "a content header that nothing announced"),
        (frame(3, 1, b"x"), "a body that is longer than it said"),
        (frame(4, 1, b"x"), "does not speak AMQP"),
        (deliver(b"x", consumer_tag="t", delivery_tag=1).frames(9), "on channel 9, which is not open"),
        (frame(1, 1, b"\0\x3c\0\x3c"), "what is not AMQP 0-9-1"),
    ],
)
def test_a_server_that_is_none(said, answer):
    client = Client(HERE, "name")
    with pytest.raises(RunError, match=answer):
        client.feed(said)


def test_a_run_of_deliveries_with_a_broken_end():
    client = Client(HERE, "name")
    client.attach(1, Noted())
    one = deliver(body(1, 1), consumer_tag="t", delivery_tag=1).frames(1)
    with pytest.raises(RunError, match="a frame without its end"):
        client.feed((one[:-1] + b"\0") * 10)


@given(st.binary(max_size=200), st.integers(1, 3))
def test_no_bytes_end_in_anything_but_the_one_error(noise, kind):
    client = Client(HERE, "name")
    client.attach(1, Noted())
    try:
        client.feed(frame(kind, 1, noise))
        client.feed(deliver(noise, consumer_tag="t", delivery_tag=1).frames(1)[: len(noise)])
        client.feed(frame(HEADER, 1, content_header(5)) + noise)
    except RunError:
        pass
