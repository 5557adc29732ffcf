"""The list of ready messages against a sorted list of positions (queues.ready)."""

from harness import content_header, frame
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from amqpd.broker.message import NEVER, Message, address_of
from amqpd.broker.queues.ready import Footprint, ReadyList


def message(number):
    return Message(address_of("", str(number)), frame(2, 1, content_header(0)), 1, 0, False, -1, NEVER, 0, None)


class AgainstASortedList(RuleBasedStateMachine):
    """The model: ready and delivered messages by position; the head is the smallest position."""

    def __init__(self):
        super().__init__()
        self.real, self.ready, self.out, self.next = ReadyList(0, Footprint()), {}, {}, 0

    @rule(count=st.sampled_from([1, 2, 3, 1500]))
    def append(self, count):
        for _ in range(count):
            new = message(self.next)
            self.real.append(new)
            self.ready[self.next] = (new, False)
            self.next += 1

    @rule(count=st.sampled_from([1, 2, 1100]))
    def pop(self, count):
        for _ in range(min(count, len(self.ready))):
            position = min(self.ready)
            expected, redelivered = self.ready.pop(position)
            assert self.real.peek() is expected
            assert self.real.pop() is expected
            assert (self.real.position, self.real.redelivered) == (position, redelivered)
            self.out[position] = expected

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def put_back(self, data):
        position = data.draw(st.sampled_from(sorted(self.out)[:50] + sorted(self.out)[-50:]))
        self.ready[position] = (self.out.pop(position), True)
        self.real.put_back(position, self.ready[position][0])

    @precondition(lambda self: not self.ready)
    @rule()
    def pass_by(self):
        """Delivered at once: it has a position all the same."""
        self.out[self.next] = message(self.next)
        assert self.real.pass_by(self.out[self.next], True) == self.next
        self.next += 1

    @rule()
    def clear(self):
        assert self.real.clear() == len(self.ready)
        self.ready.clear()

    @invariant()
    def agree(self):
        assert len(self.real) == len(self.ready)
        if len(self.ready) < 50:
            assert self.real.messages() == [self.ready[position][0] for position in sorted(self.ready)]


TestAgainstASortedList = AgainstASortedList.TestCase
TestAgainstASortedList.settings = settings(max_examples=50, stateful_step_count=25, derandomize=True, deadline=None)


def test_what_was_popped_is_not_kept():
    """The room of messages that are gone is given back."""
    ready = ReadyList(0, Footprint())
    for number in range(10_000):
        ready.append(message(number))
        if number >= 10:
            ready.pop()
    assert len(ready) == 10
    assert [int(entry.routing_key) for entry in ready.messages()] == list(range(9990, 10_000))
