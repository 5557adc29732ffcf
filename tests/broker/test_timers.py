"""Everything that is due at a time, against a plain dict of due times (broker.timers)."""

from harness import World
from hypothesis import given
from hypothesis import strategies as st

from amqpd.broker.commands import DeleteQueue
from amqpd.broker.ports import Catalogue, Owner
from amqpd.broker.queues.classic import UnusedTimer
from amqpd.broker.timers import IDLE, Timers


class Deletions(Catalogue):
    """What was deleted, in order: UnusedTimer deletes its queue when it fires."""

    def __init__(self):
        super().__init__()
        self.names = []

    def keep(self, command):
        if isinstance(command, DeleteQueue):
            self.names.append(command.name)


class Alarm:
    """Timers that leave a trace when they fire."""

    def __init__(self):
        self.catalogue = Deletions()
        self.vhost = World(self.catalogue).vhost
        self.timers = Timers()

    def timer(self, name):
        return UnusedTimer(self.vhost.declare_queue(str(name), True, False, False, [], Owner()))

    @property
    def fired(self):
        return self.catalogue.names


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("schedule"), st.integers(0, 9), st.integers(0, 50)),
        st.tuples(st.just("cancel"), st.integers(0, 9), st.just(0)),
        st.tuples(st.just("run"), st.just(0), st.integers(0, 20)),
    ),
    max_size=60,
)


@given(OPERATIONS)
def test_whatever_is_scheduled_moved_and_cancelled(operations):
    alarm = Alarm()
    timers = [alarm.timer(number) for number in range(10)]
    due: dict[int, int] = {}
    gone: set[int] = set()
    now_ms = 0
    for what, number, value in operations:
        if what == "run":
            now_ms += value
            before = len(alarm.fired)
            alarm.timers.run(now_ms)
            fired = [int(name) for name in alarm.fired[before:]]
            assert sorted(fired) == sorted(name for name, at in due.items() if at <= now_ms)
            assert [due[name] for name in fired] == sorted(due[name] for name in fired)
            gone.update(fired)
            due = {name: at for name, at in due.items() if at > now_ms}
        elif number not in gone:
            if what == "schedule":
                alarm.timers.schedule(timers[number], now_ms + value)
                due[number] = now_ms + value
            else:
                alarm.timers.cancel(timers[number])
                due.pop(number, None)
        assert len(alarm.timers) == len(due)
        assert alarm.timers.next_due_ms() == min(due.values(), default=IDLE)


def test_what_is_due_at_once_fires_in_the_order_of_scheduling():
    alarm = Alarm()
    for name in "cab":
        alarm.timers.schedule(alarm.timer(name), 5)
    alarm.timers.run(5)
    assert alarm.fired == ["c", "a", "b"]


def test_a_timer_that_moves_back_to_its_old_time_fires_once():
    alarm = Alarm()
    timer = alarm.timer("q")
    for due_ms in (5, 9, 5, 9, 5):
        alarm.timers.schedule(timer, due_ms)
    alarm.timers.run(20)
    assert alarm.fired == ["q"]
    assert timer.due_ms == IDLE


def test_a_timer_that_moves_all_the_time_does_not_fill_the_heap():
    """An entry for each move would be a leak: the heap is rebuilt."""
    alarm = Alarm()
    timer, other = alarm.timer("q"), alarm.timer("r")
    alarm.timers.schedule(other, 10)
    for due_ms in range(100, 20_000):
        alarm.timers.schedule(timer, due_ms)
    assert len(alarm.timers) == 2
    alarm.timers.run(19_998)
    assert alarm.fired == ["r"]
    alarm.timers.run(19_999)
    assert alarm.fired == ["r", "q"]


def test_cancelling_twice_is_harmless():
    alarm = Alarm()
    timer = alarm.timer("q")
    alarm.timers.schedule(timer, 5)
    alarm.timers.cancel(timer)
    alarm.timers.cancel(timer)
    assert (len(alarm.timers), alarm.timers.next_due_ms()) == (0, IDLE)
    alarm.timers.run(100)
    assert alarm.fired == []
