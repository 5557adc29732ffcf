"""Publisher confirms: as numbers (protocol.confirms) and as a client sees them (behaviour 6)."""

import pytest
from harness import Decoder, World, publish
from hypothesis import given
from hypothesis import strategies as st

from amqpd.protocol.confirms import Confirms
from amqpd.wire.primitives import BytesWriter


def written(confirms):
    out = BytesWriter()
    confirms.flush(out, 7)
    decoder = Decoder()
    decoder.feed(out.getvalue())
    return list(decoder.events)


class Model:
    """What a publisher concludes from acks and nacks; complains where they contradict each other."""

    def __init__(self):
        self.answers = {}
        self.begun = 0

    def hear(self, event):
        if event.name == "basic.nack":
            assert event.requeue is True  # as RabbitMQ sets it
        tag = event.delivery_tag
        assert 1 <= tag <= self.begun
        assert tag not in self.answers
        first = 1 if event.multiple else tag
        for number in range(first, tag + 1):
            self.answers.setdefault(number, event.name == "basic.ack")


@given(st.data())
def test_every_number_is_answered_once_and_rightly(data):
    """6: numbers are resolved in any order, written whenever; multiple never covers an unresolved one."""
    confirms, model, truth, open_ = Confirms(), Model(), {}, []
    for _ in range(data.draw(st.integers(1, 25))):
        for _ in range(data.draw(st.integers(0, 4))):
            open_.append(confirms.begin())
            model.begun += 1
        for _ in range(data.draw(st.integers(0, len(open_)))):
            number = open_.pop(data.draw(st.integers(0, len(open_) - 1)))
            truth[number] = data.draw(st.booleans())
            confirms.resolve(number, truth[number])
        if data.draw(st.booleans()):
            for event in written(confirms):
                model.hear(event)
            assert model.answers == truth
            assert not confirms.pending
    for event in written(confirms):
        model.hear(event)
    assert model.answers == truth
    assert written(confirms) == []


def test_numbers_begin_at_one():
    confirms = Confirms()
    assert [confirms.begin() for _ in range(3)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("resolved", "frames"),
    [
        ([(1, True)], [("basic.ack", 1, False)]),
        ([(1, True), (2, True), (3, True)], [("basic.ack", 3, True)]),
        ([(2, True)], [("basic.ack", 2, False)]),
        ([(3, True), (2, True)], [("basic.ack", 2, False), ("basic.ack", 3, False)]),
        ([(2, True), (1, True)], [("basic.ack", 2, True)]),
        ([(1, False)], [("basic.nack", 1, True)]),
        ([(1, True), (2, True), (3, False), (4, False), (5, False)], [("basic.ack", 2, True), ("basic.nack", 5, True)]),
        (
            [(1, True), (2, False), (3, True)],
            [("basic.ack", 1, False), ("basic.nack", 2, True), ("basic.ack", 3, False)],
        ),
        ([(4, False), (1, True)], [("basic.ack", 1, False), ("basic.nack", 4, False)]),
    ],
    ids=str,
)
def test_as_few_frames_as_the_gaps_allow(resolved, frames):
    """6: coalesced up to the smallest that is open, the others singly; nacks always as multiple where they may."""
    confirms = Confirms()
    for _ in range(5):
        confirms.begin()
    for number, accepted in resolved:
        confirms.resolve(number, accepted)
    assert [(event.name, event.delivery_tag, event.multiple) for event in written(confirms)] == frames


def test_an_acknowledgement_after_a_gap_was_filled_counts_from_there():
    confirms = Confirms()
    for _ in range(4):
        confirms.begin()
    confirms.resolve(2, True)
    assert [event.delivery_tag for event in written(confirms)] == [2]
    confirms.resolve(1, True)
    confirms.resolve(3, True)
    assert [(event.delivery_tag, event.multiple) for event in written(confirms)] == [(1, False), (3, False)]


def test_the_frames_name_their_channel():
    confirms = Confirms()
    confirms.resolve(confirms.begin(), True)
    assert written(confirms)[0].channel == 7


# -- as a client sees them


def selected():
    client = World().client()
    client.declare("q")
    client.call("confirm.select")
    return client


def test_one_publish_one_ack():
    """6"""
    client = selected()
    for number in (1, 2, 3):
        client >> publish(b"x")
        client.expect("basic.ack", delivery_tag=number, multiple=False)
        client.quiet()


def test_the_publishes_of_one_read_are_answered_together():
    """6: coalesced"""
    client = selected()
    client.send(*[publish(b"x")] * 100)
    client.expect("basic.ack", delivery_tag=100, multiple=True)
    client.quiet()


def test_numbers_count_from_the_select():
    """6: not from the opening of the channel, and select again changes nothing."""
    client = World().client()
    client.declare("q")
    client.send(publish(b"1"), publish(b"2"))
    client.call("confirm.select")
    client >> publish(b"3")
    client.expect("basic.ack", delivery_tag=1)
    client.call("confirm.select")
    client >> publish(b"4")
    client.expect("basic.ack", delivery_tag=2)


def test_every_publish_counts_unroutable_ones_too():
    """6"""
    client = selected()
    client.send(publish(b"1", routing_key="nobody"), publish(b"2"))
    client.expect("basic.ack", delivery_tag=2, multiple=True)


def test_the_return_comes_before_the_ack():
    """6"""
    client = selected()
    client >> publish(b"1", routing_key="nobody", mandatory=True)
    client.expect("basic.return")
    client.expect("basic.ack", delivery_tag=1)
    client.quiet()


def test_a_return_amid_other_publishes_still_comes_before_its_ack():
    """6"""
    client = selected()
    client.send(publish(b"1"), publish(b"2", routing_key="nobody", mandatory=True), publish(b"3"))
    assert next(event.name for event in client.heard()) == "basic.return"


def test_a_full_queue_that_refuses_is_a_nack():
    """6, 11: ack, ack, nack, nack, nack."""
    client = World().client()
    client.declare("q", {"x-max-length": 2, "x-overflow": "reject-publish"})
    client.call("confirm.select")
    client.send(*(publish(b"%d" % number) for number in range(5)))
    model = Model()
    model.begun = 5
    for event in client.heard():
        model.hear(event)
    assert model.answers == {1: True, 2: True, 3: False, 4: False, 5: False}
    assert client.drain("q") == [b"0", b"1"]


def test_one_refusal_among_several_queues_is_a_nack():
    """6: though the others have it."""
    client = World().client()
    client.declare("full", {"x-max-length": 0, "x-overflow": "reject-publish"})
    client.declare("q")
    client.bind("full", "amq.fanout")
    client.bind("q", "amq.fanout")
    client.call("confirm.select")
    client >> publish(b"1", exchange="amq.fanout")
    client.expect("basic.nack", delivery_tag=1, multiple=True, requeue=True)
    client.quiet()
    assert client.drain("q") == [b"1"]


@pytest.mark.parametrize("persistent", [1, 2])
@pytest.mark.parametrize("durable", [False, True])
def test_persistence_makes_no_difference_in_memory(persistent, durable):
    client = World().client()
    client.declare("d", durable=durable)
    client.call("confirm.select")
    client >> publish(b"1", routing_key="d", delivery_mode=persistent)
    client.expect("basic.ack", delivery_tag=1)


def test_a_channel_error_loses_what_was_not_written():
    """6: neither ack nor nack for the publish that failed; nothing after the close."""
    client = selected()
    client.send(publish(b"1"), publish(b"2", exchange="nope"), publish(b"3"))
    names = [event.name for event in client.heard()]
    assert names.count("channel.close") == 1
    assert names[-1] == "channel.close"


def test_channels_have_their_own_numbers():
    client = World().client(channels=(1, 2))
    for number in (1, 2):
        client.on(number).call("confirm.select")
    client.feed(publish(b"1").frames(1) + publish(b"2").frames(2) + publish(b"3").frames(1))
    client.expect("basic.ack", delivery_tag=2, multiple=True)
    client.on(2).expect("basic.ack", delivery_tag=1, multiple=False)
