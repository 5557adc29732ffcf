"""Ranges against a plain set of integers."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from amqpd.ranges import Ranges

SPANS = st.tuples(st.integers(0, 60), st.integers(0, 8)).map(lambda pair: (pair[0], pair[0] + pair[1]))
STEPS = st.lists(st.tuples(st.booleans(), SPANS), max_size=30)


def content(ranges: Ranges) -> set[int]:
    return {index for first, last in ranges.spans() for index in range(first, last + 1)}


def built(steps) -> tuple[Ranges, set[int]]:
    ranges, model = Ranges(), set()
    for adding, (first, last) in steps:
        span = set(range(first, last + 1))
        if adding:
            assert ranges.add(first, last) == len(span - model)
            model |= span
        else:
            assert ranges.discard(first, last) == len(span & model)
            model -= span
    return ranges, model


@given(STEPS)
def test_it_holds_what_a_set_holds(steps):
    ranges, model = built(steps)
    assert content(ranges) == model
    assert ranges.count() == len(model)
    assert {index for index in range(80) if index in ranges} == model


@given(STEPS)
def test_ranges_are_sorted_and_never_touch(steps):
    ranges, _ = built(steps)
    spans = ranges.spans()
    assert all(first <= last for first, last in spans)
    assert all(before[1] + 1 < after[0] for before, after in pairwise(spans))


@given(STEPS, SPANS)
def test_questions_about_a_span(steps, span):
    ranges, model = built(steps)
    wanted = set(range(span[0], span[1] + 1))
    assert ranges.count_between(*span) == len(wanted & model)
    gaps = ranges.gaps(*span)
    assert [index for first, last in gaps for index in range(first, last + 1)] == sorted(wanted - model)


@given(STEPS, STEPS)
def test_union_and_copy(steps, others):
    ranges, model = built(steps)
    other, more = built(others)
    copy = ranges.copy()
    copy.update(other)
    assert content(copy) == model | more
    assert content(ranges) == model
