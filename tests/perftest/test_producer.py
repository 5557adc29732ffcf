"""One publishing channel, without a connection: what it sends when, and what it makes of the answers."""

import pytest
from harness import HEADER, METHOD
from perftesting import MS, SECOND, Bell, Clock, decoded, instruments, stamp_of

from amqpd.perftest.pace import NEVER, Steps, constant
from amqpd.perftest.producer import BATCH_MAX, Producer, Publishing
from amqpd.wire import content
from amqpd.wire.tables import long

FRAME_MAX = 4096


class Stage:
    """A producer with its clock. `start` is when it begins, after the clock's time."""

    def __init__(self, start=0, use_millis=False, epoch=0, **plan):
        self.clock = Clock()
        self.instruments = instruments(self.clock, use_millis, epoch)
        self.figures = self.instruments.figures
        self.bell = Bell()
        plan = {"exchange": "x", "key": "k", "sizes": constant(12), **plan}
        self.producer = Producer(Publishing(**plan), 3, FRAME_MAX, self.instruments, self.bell)
        self.producer.begin(self.clock.now + start)

    def publish(self, pass_ns=0):
        self.clock.now += pass_ns
        return decoded(self.producer.publish(self.clock.now))


def test_a_batch_of_messages_with_numbers_and_the_time():
    stage = Stage(limit=5)
    sent = stage.publish()
    assert [event.name for event in sent] == ["basic.publish"] * 5
    addresses = {(event.channel, event.exchange, event.routing_key, event.mandatory) for event in sent}
    assert addresses == {(3, "x", "k", False)}
    assert [int.from_bytes(event.body[:4], "big") for event in sent] == [0, 1, 2, 3, 4]
    assert {stamp_of(event) for event in sent} == {SECOND}
    assert {len(event.body) for event in sent} == {12}
    assert stage.producer.finished
    assert (stage.figures.sent, stage.figures.last_sent, stage.producer.count) == (5, SECOND, 5)
    assert stage.publish() == []


def test_without_a_limit_it_goes_on():
    stage = Stage()
    assert len(stage.publish()) <= BATCH_MAX
    assert stage.producer.next_at == stage.clock.now
    assert not stage.producer.finished
    assert int.from_bytes(stage.publish()[0].body[:4], "big") == stage.producer.count // 2


def test_large_bodies_come_in_frames_that_are_allowed():
    stage = Stage(sizes=constant(10_000))
    data = bytes(stage.producer.publish(stage.clock.now))
    assert {len(event.body) for event in decoded(data)} == {10_000}
    sizes = []
    while data:
        size = int.from_bytes(data[3:7], "big")
        if data[0] not in (METHOD, HEADER):
            sizes.append(size + 8)
        data = data[size + 8 :]
    assert max(sizes) == FRAME_MAX


@pytest.mark.parametrize("size", [0, 11])
def test_what_is_too_small_for_the_time_has_it_in_a_header(size):
    stage = Stage(sizes=constant(size), headers=[("a", long(1))], properties={content.CONTENT_TYPE: b"\1t"}, limit=2)
    sent = stage.publish()
    assert [len(event.body) for event in sent] == [size] * 2
    assert [event.headers for event in sent] == [{"timestamp": SECOND, "a": 1}] * 2
    assert sent[1].properties["content_type"] == "t"


def test_files_are_sent_in_turn():
    stage = Stage(bodies=[b"one", b"two" * 10], limit=3)
    sent = stage.publish() + stage.publish() + stage.publish()
    assert [event.body for event in sent] == [b"one", b"two" * 10, b"one"]
    assert [event.headers for event in sent] == [{"timestamp": SECOND}] * 3


def test_properties_and_flags():
    stage = Stage(properties={content.DELIVERY_MODE: b"\2", content.PRIORITY: b"\5"}, mandatory=True, limit=1)
    (event,) = stage.publish()
    assert (event.properties["delivery_mode"], event.properties["priority"], event.mandatory) == (2, 5, True)


def test_random_keys_are_as_long_as_uuids_and_differ():
    stage = Stage(keys=-1, limit=200)
    keys = [event.routing_key for event in stage.publish()]
    assert (len(set(keys)), {len(key) for key in keys}) == (200, {36})
    few = [event.routing_key for event in Stage(keys=3, limit=200).publish()]
    assert len(set(few)) == 3


def test_sizes_change_with_time():
    stage = Stage(sizes=Steps([(20, 1), (30, 2)]), limit=5000)
    assert {len(event.body) for event in stage.publish()} == {20}
    assert {len(event.body) for event in stage.publish(SECOND)} == {30}
    assert {len(event.body) for event in stage.publish(2 * SECOND)} == {20}


# -- rates


def test_messages_are_sent_when_they_are_due():
    stage = Stage(rates=constant(100))
    assert len(stage.publish()) == 1
    assert stage.publish(5 * MS) == []
    assert stage.producer.next_at == stage.clock.now + 5 * MS + 1
    assert len(stage.publish(5 * MS)) == 1


def test_a_late_message_has_the_time_at_which_it_was_due():
    stage = Stage(rates=constant(100))
    begin = stage.clock.now
    stage.publish()
    assert [stamp_of(event) for event in stage.publish(30 * MS)] == [begin + 10 * MS, begin + 20 * MS, begin + 30 * MS]
    # A timer's millisecond is not the broker's.
    assert [stamp_of(event) for event in stage.publish(11 * MS)] == [stage.clock.now]


def test_it_begins_when_it_is_told_to():
    stage = Stage(start=SECOND)
    assert stage.publish() == []
    assert stage.producer.next_at == stage.clock.now + SECOND
    assert stage.publish(SECOND)


def test_times_in_milliseconds():
    stage = Stage(use_millis=True, epoch=5 * SECOND, limit=1)
    assert stamp_of(stage.publish()[0]) == 6000


# -- confirms


def test_no_more_than_so_many_are_outstanding():
    stage = Stage(confirm=10)
    assert len(stage.publish()) == 10
    assert stage.publish() == []
    assert (stage.producer.next_at, stage.producer.starved) == (NEVER, True)
    stage.producer.confirmed(4, True, True)
    assert (stage.bell.rung, stage.producer.starved) == (1, False)
    assert len(stage.publish()) == 4
    assert stage.figures.confirmed == 4


def test_confirms_in_any_order_are_counted_once_with_their_latency():
    stage = Stage(confirm=10)
    stage.publish()
    stage.clock.now += 3 * MS
    stage.producer.confirmed(5, False, True)
    stage.clock.now += 2 * MS
    stage.producer.confirmed(6, True, True)
    stage.producer.confirmed(5, False, True)  # of something that is confirmed: nothing
    stage.producer.confirmed(6, True, True)
    assert stage.figures.confirmed == 6
    latency = stage.figures.confirm
    assert (latency.count, latency.minimum, latency.highest) == (6, 3 * MS, 5 * MS)


def test_nacks_are_counted_apart():
    stage = Stage(confirm=4)
    stage.publish()
    stage.producer.confirmed(3, True, False)
    assert (stage.figures.confirmed, stage.figures.nacked, stage.figures.confirm.count) == (0, 3, 0)
    assert len(stage.publish()) == 3


def test_it_is_finished_when_everything_is_confirmed():
    stage = Stage(confirm=10, limit=3)
    stage.publish()
    assert (stage.producer.finished, stage.producer.starved, stage.producer.next_at) == (False, True, NEVER)
    stage.producer.confirmed(3, True, True)
    assert (stage.producer.finished, stage.producer.starved) == (True, False)


def test_returned_messages():
    stage = Stage()
    stage.producer.returned()
    assert stage.figures.returned == 1


# -- transactions


def test_a_transaction_is_committed_before_the_next_begins():
    stage = Stage(tx=3)
    assert [event.name for event in stage.publish()] == ["basic.publish"] * 3 + ["tx.commit"]
    assert stage.publish() == []
    assert stage.producer.starved
    stage.producer.committed()
    assert stage.bell.rung == 1
    assert len(stage.publish()) == 4


def test_the_last_transaction_may_be_smaller():
    stage = Stage(tx=3, limit=4)
    stage.publish()
    stage.producer.committed()
    assert [event.name for event in stage.publish()] == ["basic.publish", "tx.commit"]
    assert not stage.producer.finished
    stage.producer.committed()
    assert stage.producer.finished
