"""One consuming channel, without a connection: what it counts, and what it acknowledges when."""

from perftesting import MS, SECOND, Bell, Clock, decoded, instruments

from amqpd.perftest.consumer import WAITING_MAX, Consumer, Consuming
from amqpd.perftest.deliveries import UNSTAMPED
from amqpd.perftest.pace import NEVER, Steps, constant

BEGIN = SECOND


class Stage:
    def __init__(self, latency_us=0, latencies=None, use_millis=False, epoch=0, **plan):
        self.clock = Clock(BEGIN)
        self.instruments = instruments(self.clock, use_millis, epoch)
        self.figures = self.instruments.figures
        self.bell = Bell()
        self.sent = bytearray()
        plan = Consuming(latencies or constant(latency_us), **plan)
        self.consumer = Consumer(plan, 4, self.instruments, self.sent.extend, self.bell)
        self.consumer.begin(self.clock.now)

    def take(self):
        """What was sent since the last look."""
        events = decoded(self.sent)
        self.sent.clear()
        return events

    def tags(self):
        return [event.delivery_tag for event in self.take()]

    def deliver(self, *tags, stamp=BEGIN):
        self.consumer.deliver(list(tags), [stamp] * len(tags))

    def pass_ns(self, nanoseconds):
        self.clock.now += nanoseconds
        self.consumer.work(self.clock.now)


def test_messages_are_counted_measured_and_acknowledged_one_by_one():
    stage = Stage()
    stage.clock.now += 5 * MS
    stage.deliver(1, 2, 3)
    events = stage.take()
    assert [(event.name, event.channel, event.delivery_tag, event.multiple) for event in events] == [
        ("basic.ack", 4, tag, False) for tag in (1, 2, 3)
    ]
    figures = stage.figures
    assert (figures.received, figures.last_received, stage.consumer.count) == (3, BEGIN + 5 * MS, 3)
    assert (figures.consumer.count, figures.consumer.minimum, figures.consumer.highest) == (3, 5 * MS, 5 * MS)


def test_without_acknowledgements():
    stage = Stage(autoack=True)
    stage.deliver(1, 2)
    assert (stage.take(), stage.figures.received) == ([], 2)


def test_every_so_many_with_one_frame_and_the_rest_at_the_end():
    stage = Stage(every=3)
    stage.deliver(1, 2)
    stage.deliver(3, 4, 5, 6, 7)
    assert [(event.delivery_tag, event.multiple) for event in stage.take()] == [(3, True), (6, True)]
    stage.consumer.rest()
    assert [(event.delivery_tag, event.multiple) for event in stage.take()] == [(0, True)]


def test_nothing_is_left_at_the_end_of_a_full_round():
    stage = Stage(every=2)
    stage.deliver(1, 2)
    stage.take()
    stage.consumer.rest()
    assert stage.take() == []


def test_rejecting():
    stage = Stage(nack=True, requeue=False)
    stage.deliver(9)
    (event,) = stage.take()
    assert (event.name, event.delivery_tag, event.multiple, event.requeue) == ("basic.nack", 9, False, False)
    stage = Stage(nack=True)
    stage.deliver(9)
    assert stage.take()[0].requeue is True


def test_messages_without_a_time_count_but_are_not_measured():
    stage = Stage()
    for stamp in (UNSTAMPED, 2**62, -(2**62)):
        stage.deliver(1, stamp=stamp)
    assert (stage.figures.received, stage.figures.consumer.count) == (3, 0)


def test_clocks_that_disagree_by_a_little_give_zero():
    stage = Stage(use_millis=True, epoch=5 * SECOND)
    stage.deliver(1, stamp=6007)
    stage.deliver(2, stamp=5990)
    assert (stage.figures.consumer.minimum, stage.figures.consumer.highest) == (0, 10 * MS)


def test_a_limit_is_kept_and_tells():
    stage = Stage(limit=3)
    stage.deliver(1, 2)
    assert not stage.consumer.finished
    stage.deliver(3, 4)
    stage.deliver(5)
    assert (stage.consumer.finished, stage.consumer.count, stage.bell.rung) == (True, 3, 1)
    assert stage.tags() == [1, 2, 3]


# -- one at a time


def test_work_takes_its_time_and_messages_wait_for_one_another():
    stage = Stage(latency_us=10_000)
    stage.deliver(1, 2)
    assert (stage.bell.rung, stage.figures.received) == (1, 0)
    stage.pass_ns(0)
    assert (stage.figures.received, stage.tags(), stage.consumer.next_at) == (1, [], BEGIN + 10 * MS)
    stage.pass_ns(10 * MS)
    assert (stage.figures.received, stage.tags(), stage.consumer.next_at) == (2, [1], BEGIN + 20 * MS)
    stage.pass_ns(10 * MS)
    assert (stage.tags(), stage.consumer.next_at, stage.consumer.idle) == ([2], NEVER, True)
    assert (stage.figures.consumer.minimum, stage.figures.consumer.highest) == (0, 10 * MS)


def test_who_is_called_late_does_what_would_have_been_done():
    stage = Stage(latency_us=100)
    stage.deliver(*range(1, 31))
    stage.pass_ns(2 * MS)
    assert stage.tags() == list(range(1, 21))
    assert stage.figures.consumer.highest == 2 * MS
    stage.pass_ns(SECOND)
    assert stage.tags() == list(range(21, 31))
    assert stage.figures.consumer.highest == 2_900_000


def test_idle_time_is_not_made_up_for():
    stage = Stage(latency_us=1000)
    stage.deliver(1)
    stage.pass_ns(SECOND)
    stage.deliver(2, 3)
    stage.pass_ns(MS)
    assert stage.tags() == [1, 2]


def test_a_rate_spaces_messages():
    stage = Stage(rate=100)
    stage.deliver(1, 2, 3)
    stage.pass_ns(0)
    assert (stage.tags(), stage.consumer.next_at) == ([1], BEGIN + 10 * MS)
    stage.pass_ns(10 * MS)
    assert stage.tags() == [2]
    stage.pass_ns(9 * MS)
    assert stage.tags() == []


def test_latencies_change_with_time():
    stage = Stage(latencies=Steps([(0, 1), (50_000, 1)]))
    stage.deliver(1)
    stage.pass_ns(0)
    assert stage.tags() == [1]
    stage.clock.now += SECOND
    stage.deliver(2)
    stage.pass_ns(0)
    assert (stage.tags(), stage.consumer.next_at) == ([], stage.clock.now + 50 * MS)


def test_what_waits_is_bounded_by_asking_not_to_read():
    stage = Stage(latency_us=1000)
    stage.deliver(*range(1, WAITING_MAX))
    assert not stage.consumer.full
    stage.deliver(WAITING_MAX)
    assert stage.consumer.full
    stage.pass_ns(MS)
    assert not stage.consumer.full


def test_a_transaction_waits_for_its_commit():
    stage = Stage(tx=2)
    stage.deliver(1, 2, 3)
    stage.pass_ns(0)
    assert [event.name for event in stage.take()] == ["basic.ack", "basic.ack", "tx.commit"]
    stage.pass_ns(SECOND)
    assert stage.take() == []
    stage.consumer.committed()
    stage.pass_ns(0)
    assert [event.name for event in stage.take()] == ["basic.ack"]


def test_the_last_transaction_may_be_smaller():
    stage = Stage(tx=5, limit=2)
    stage.deliver(1, 2, 3)
    stage.pass_ns(0)
    assert [event.name for event in stage.take()] == ["basic.ack", "basic.ack", "tx.commit"]
    assert not stage.consumer.finished
    stage.consumer.committed()
    stage.pass_ns(0)
    assert (stage.consumer.finished, stage.consumer.count) == (True, 2)
