"""Whatever becomes of waiting messages, against a sorted list: paged, moved, compacted, lost in a crash, brought back.

The doubles of `keeping` refuse what a store could not do: pages that overlap, a message settled twice, a page dropped
with something alive on it.
"""

from harness import content_header, frame
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from keeping import Found, Kept

from amqpd.broker.message import NEVER, Message, address_of
from amqpd.broker.queues.ready import OVERHEAD
from amqpd.ranges import Ranges

LARGE = frame(2, 1, content_header(100_000)) + frame(3, 1, bytes(100_000))  # three are a page
SMALL = frame(2, 1, content_header(0))


def message(number, persistent, large):
    address = address_of("", str(number))
    return Message(address, LARGE if large else SMALL, 1, 100_000 if large else 0, persistent, -1, NEVER, 0, None)


class Backlog(RuleBasedStateMachine):
    """`ready` and `out` are numbers by position; a number says whether the message is persistent (even)."""

    def __init__(self):
        super().__init__()
        self.kept = Kept()
        self.number = 0
        self.ready, self.out, self.returned, self.gone = {}, {}, set(), Ranges()
        self.redelivered_below = 0

    @initialize(durable=st.sampled_from([True, True, False]), files_max=st.sampled_from([2, 1000]))
    def declare(self, durable, files_max):
        self.durable, self.files_max = durable, files_max
        self.kept.world.vhost.declare_queue("q", durable, False, False, [], self.kept.broker.operator)
        self._attach()

    def _attach(self):
        self.list = self.kept.queue().ready
        self.kept.journal.in_a_file, self.kept.journal.files_max = 3, self.files_max

    def _new(self, lasting, large):
        """A number, and a message that has it."""
        self.number += 2
        number = self.number if lasting else self.number + 1
        return number, message(number, lasting, large)

    @rule(
        count=st.sampled_from([1, 2, 5, 12, 2100]),
        lasting=st.sampled_from(["all", "all", "none", "mixed"]),
        large=st.booleans(),
    )
    def append(self, count, lasting, large):
        for at in range(count):
            number, new = self._new(lasting == "all" or (lasting == "mixed" and at % 3 == 0), large and count < 20)
            self.ready[self.list.next] = number
            self.list.append(new)

    @precondition(lambda self: not self.ready)
    @rule(lasting=st.booleans())
    def pass_by(self, lasting):
        number, new = self._new(lasting, False)
        position = self.list.pass_by(new, True)
        self.out[position] = (number, new)

    @rule(count=st.sampled_from([1, 2, 7, 30, 2100]), kept=st.sampled_from([0, 1, 2]))
    def pop(self, count, kept):
        """Some are lent, others settled at once."""
        for at in range(min(count, len(self.ready))):
            position = min(self.ready)
            number = self.ready.pop(position)
            popped = self.list.pop()
            assert (self.list.position, popped.routing_key) == (position, str(number))
            assert self.list.redelivered == (position in self.returned or position < self.redelivered_below)
            self.returned.discard(position)
            if at % 3 < kept:
                self.list.lend(popped)
                self.out[position] = (number, popped)
            else:
                self._settle(position, number, popped)

    def _settle(self, position, number, gone):
        self.list.settle(position, gone)
        self.gone.add(position, position)

    @rule(data=st.data(), count=st.sampled_from([1, 5, 500]))
    def settle(self, data, count):
        for position in self._some(data, count):
            number, gone = self.out.pop(position)
            self._settle(position, number, gone)

    @rule(data=st.data(), count=st.sampled_from([1, 5, 500]))
    def put_back(self, data, count):
        for position in self._some(data, count):
            self.ready[position], back = self.out.pop(position)
            self.returned.add(position)
            self.list.put_back(position, back)

    def _some(self, data, count):
        step = data.draw(st.sampled_from([1, 2, 3]))
        return sorted(self.out)[::step][:count]

    @rule(keep=st.sampled_from([0, 0, 500, 300_000]), limit=st.sampled_from([1, 1000, 400_000, 10_000_000]))
    def page_out(self, keep, limit):
        before = self.kept.broker.footprint.bytes
        assert self.list.page_out(keep, limit) == before - self.kept.broker.footprint.bytes

    @precondition(lambda self: self.ready)
    @rule()
    def peek(self):
        """As expiry does: what comes next is read, and stays."""
        assert self.list.peek().routing_key == str(self.ready[min(self.ready)])

    @rule()
    def compact(self):
        self.kept.segments.compact()
        self.kept.pages.compact()

    @rule()
    def clear(self):
        assert self.list.clear() == len(self.ready)
        for position in self.ready:
            self.gone.add(position, position)
        self.ready.clear()
        self.returned.clear()

    @rule()
    def end_of_round(self):
        self.kept.world.settle()

    @rule()
    def commit(self):
        self.kept.commit()

    @rule(count=st.sampled_from([1, 3, 20]))
    def work(self, count):
        for _ in range(count):
            self.kept.work()

    @precondition(lambda self: self.durable)
    @rule(clean=st.booleans())
    def restart(self, clean):
        """Everything has been committed; pages were perhaps not synced."""
        self.kept.world.settle()
        while self.kept.committer.jobs:
            self.kept.commit()
        if clean:
            head = self.list.delivered_below()
            self.kept.stop()
        self.kept = self.kept.restart()
        assert self.kept.found.clean == clean
        for position, (number, _message) in self.out.items():
            self.ready[position] = number
        self.ready = {position: number for position, number in self.ready.items() if number % 2 == 0}
        self.out.clear()
        self.returned.clear()
        self._attach()
        assert self.list.next > max(self.ready, default=-1)
        self.redelivered_below = min(head, self.list.next) if clean else self.list.next

    @invariant()
    def agree(self):
        if not hasattr(self, "list"):
            return
        footprint = self.kept.broker.footprint.bytes
        assert len(self.list) == len(self.ready)
        assert self.list.resident == footprint
        in_memory = self.list.messages()
        assert footprint == sum(len(waiting.content) + OVERHEAD for waiting in in_memory)
        numbers = [int(waiting.routing_key) for waiting in in_memory]
        assert set(numbers) <= set(self.ready.values())
        if len(numbers) == len(self.ready):
            assert numbers == [self.ready[position] for position in sorted(self.ready)]

    @invariant()
    def nothing_is_lost(self):
        """At any moment a crash leaves what is alive, and was when the last batch was written: nothing less."""
        if not hasattr(self, "list") or not self.durable:
            return
        kept = self.kept
        if kept.committer.jobs or kept.journal.records or kept.keeper.settling:
            return
        found = Found(kept.journal, kept.segments)
        there = {position for targets, _data in found.entries() for _identity, _level, position in targets}
        for page in found.pages:
            there.update(
                position
                for place, position in enumerate(page.index.positions())
                if page.index.persistent_at(place) and not (page.page.settled and position in page.page.settled)
            )
        gone = next(iter(found.settled.values()), Ranges())
        alive = {position for position, number in self.ready.items() if number % 2 == 0}
        alive.update(position for position, (number, _message) in self.out.items() if number % 2 == 0)
        if not kept.keeper.gathered() > kept.keeper.committed_to:
            assert {position for position in there if position not in gone} == alive

    def teardown(self):
        """When everything is gone, nothing is left of it, neither in memory nor on pages."""
        if not hasattr(self, "list"):
            return
        self.pop(len(self.ready), 0)
        self.settle_all()
        self.kept.rest()
        assert self.kept.broker.footprint.bytes == 0
        assert (self.kept.segments.table, self.kept.pages.table) == ({}, {})
        assert (self.kept.segments.pending, self.kept.pages.pending) == (0, 0)
        log = self.list.log
        if log is not None:
            assert not log.pages
            assert not log.live()

    def settle_all(self):
        for position in sorted(self.out):
            number, gone = self.out.pop(position)
            self._settle(position, number, gone)


TestBacklog = Backlog.TestCase
TestBacklog.settings = settings(max_examples=30, stateful_step_count=30, derandomize=True, deadline=None)


def test_a_head_can_be_sent_home_in_two_parts():
    """What is behind it on the same page is one run with it, and read once."""
    backlog = Backlog()
    backlog.declare(durable=False, files_max=1000)
    backlog.append(count=12, lasting="none", large=False)
    backlog.page_out(keep=0, limit=10_000_000)
    backlog.list.peek()
    for keep in (1000, 500, 0):
        backlog.page_out(keep=keep, limit=10_000_000)
        backlog.agree()
    assert backlog.kept.broker.footprint.bytes == 0
    backlog.teardown()
