"""Rates as times, and values that change."""

from hypothesis import given
from hypothesis import strategies as st
from perftesting import SECOND

from amqpd.perftest.pace import NEVER, Pace, Steps, constant


def test_things_are_due_at_even_times_whenever_it_is_asked():
    pace = Pace(constant(10), 5 * SECOND)
    assert pace.due(5 * SECOND - 1, 100) == []
    assert pace.due(5 * SECOND, 100) == [5 * SECOND]
    assert pace.next_at() == 5 * SECOND + SECOND // 10 + 1
    # Somebody was late: nothing is left out, and each has the time at which it was due.
    assert pace.due(6 * SECOND, 100) == [5 * SECOND + number * SECOND // 10 for number in range(1, 11)]


def test_no_more_than_there_is_room_for_and_the_rest_stays_due():
    pace = Pace(constant(1000), 0)
    assert len(pace.due(SECOND, 10)) == 10
    assert pace.next_at() <= SECOND
    assert pace.due(SECOND, 1) == [10 * SECOND // 1000]


@given(st.floats(0.1, 1e6), st.lists(st.integers(1, 10**8), min_size=1, max_size=50), st.integers(1, 1000))
def test_the_rate_holds_however_often_it_is_asked(rate, steps, most):
    pace = Pace(constant(rate), 0)
    now = 0
    dues = []
    for step in steps:
        now += step
        while found := pace.due(now, most):
            dues += found
            if len(dues) > 20_000:
                return
    assert dues == sorted(dues)
    assert len(dues) == int(now * rate / SECOND) + 1
    assert dues[-1] <= now < pace.next_at()


def test_rates_change_and_a_pause_is_a_pause():
    pace = Pace(Steps([(2, 1), (0, 2)]), 0)
    assert pace.due(SECOND - 1, 9) == [0, SECOND // 2]
    assert pace.due(SECOND, 9) == []
    assert pace.next_at() == 3 * SECOND
    assert pace.due(3 * SECOND, 9) == [3 * SECOND]


def test_what_was_not_done_under_one_rate_is_not_made_up_for_under_the_next():
    pace = Pace(Steps([(1000, 1), (1, 1)]), 0)
    assert pace.due(SECOND + SECOND // 2, 5000) == [SECOND]


def test_steps_go_around():
    steps = Steps([(1, 2), (5, 1)])
    assert [steps.at(second * SECOND)[0] for second in range(7)] == [1, 1, 5, 1, 1, 5, 1]
    assert steps.at(4 * SECOND) == (1, 5 * SECOND)
    assert steps.highest() == 5


def test_one_step_holds_for_ever():
    assert constant(3).at(10**18) == (3, NEVER)
