"""The deliveries of a channel that wait for their acknowledgement, against a plain dict (protocol.deliveries)."""

from harness import World, content_header, frame, m
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from amqpd.broker.message import NEVER, Message, Unacked, address_of
from amqpd.protocol.deliveries import Deliveries

WORLD = World()
WORLD.client().declare("q")
QUEUE = WORLD.vhost.queues["q"]
MESSAGE = Message(address_of("", "q"), frame(2, 1, content_header(0)), 1, 0, False, -1, NEVER, 0, None)
TAGS = st.integers(0, 40)


def unacked(tag):
    return Unacked(tag, MESSAGE, QUEUE, None, tag, 0)


def tags(entries):
    return None if entries is None else [entry.tag for entry in entries]


class AgainstADict(RuleBasedStateMachine):
    """Every operation, on the real thing and on a sorted dict."""

    def __init__(self):
        super().__init__()
        self.real, self.model, self.last, self.taken = Deliveries(), {}, 0, []

    @rule(gap=st.integers(1, 4))
    def add(self, gap):
        """Tags grow, with gaps where deliveries needed no acknowledgement."""
        self.last += gap
        self.model[self.last] = unacked(self.last)
        self.real.add(self.model[self.last])

    @rule(count=st.integers(1, 150))
    def add_many(self, count):
        for _ in range(count):
            self.add(1)

    @rule(data=st.data())
    def take(self, data):
        tag = data.draw(st.integers(0, self.last + 2))
        expected = self.model.pop(tag, None)
        assert self.real.take(tag) is expected
        if expected is not None:
            assert expected.settled
            self.taken.append(expected)

    @rule(data=st.data())
    def take_up_to(self, data):
        tag = data.draw(st.integers(0, self.last + 2))
        if tag != 0 and tag not in self.model:
            assert self.real.take_up_to(tag) is None
            return
        due = [number for number in sorted(self.model) if tag == 0 or number <= tag]
        taken = self.real.take_up_to(tag)
        assert tags(taken) == due
        for number in due:
            del self.model[number]
        self.taken += taken

    @rule()
    def take_all(self):
        assert tags(self.real.take_all()) == sorted(self.model)
        self.model.clear()

    @rule()
    def restore(self):
        """A rollback: what was taken is outstanding as before."""
        self.real.restore(self.taken)
        self.model.update((entry.tag, entry) for entry in self.taken)
        self.taken = []

    @invariant()
    def agree(self):
        assert self.real.count == len(self.model)
        assert tags(self.real.outstanding()) == sorted(self.model)
        assert not any(entry.settled for entry in self.real.outstanding())


TestAgainstADict = AgainstADict.TestCase
TestAgainstADict.settings = settings(max_examples=60, stateful_step_count=30, derandomize=True, deadline=None)


@given(st.lists(TAGS), st.lists(TAGS))
def test_settling_in_any_order_leaves_nothing(first, second):
    deliveries = Deliveries()
    for tag in range(1, 41):
        deliveries.add(unacked(tag))
    for tag in first + second:
        deliveries.take(tag)
    assert tags(deliveries.outstanding()) == sorted(set(range(1, 41)) - set(first + second))
    assert tags(deliveries.take_up_to(0)) == sorted(set(range(1, 41)) - set(first + second))
    assert (deliveries.count, deliveries.outstanding()) == (0, [])


def test_a_consumers_own_can_be_taken():
    world = World()
    client = world.client()
    client.declare("q")
    client.consume("q", "a")
    client.consume("q", "b")
    for _number in range(4):
        client >> m("basic.publish", routing_key="q").frames(1) + frame(2, 1, content_header(0))
    channel = client.connection.channels[1]
    assert tags(channel.deliveries.take_of(channel.consumers["a"])) == [1, 3]
    assert tags(channel.deliveries.outstanding()) == [2, 4]
    assert channel.deliveries.count == 2


def test_holes_do_not_pile_up():
    """One that is never settled does not keep the others' entries for ever."""
    deliveries = Deliveries()
    deliveries.add(unacked(1))
    for tag in range(2, 5000):
        deliveries.add(unacked(tag))
        assert deliveries.take(tag) is not None
    assert tags(deliveries.outstanding()) == [1]
    assert deliveries.take(4999) is None
    assert deliveries.take(1).tag == 1
