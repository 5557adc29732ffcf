"""Buckets: bounded, near enough, and exact where that is promised."""

import math

from hypothesis import given
from hypothesis import strategies as st

from amqpd.perftest.histogram import BUCKETS, STEPS, VALUE_MAX, Histogram, bucket_of, lowest_of

values = st.integers(0, VALUE_MAX) | st.integers(0, 2000)


@given(values)
def test_a_bucket_is_at_most_a_128th_wide(value):
    low = lowest_of(bucket_of(value))
    assert low <= value
    assert value - low <= value / STEPS


@given(values, values)
def test_buckets_are_in_the_order_of_their_values(one, other):
    one, other = sorted((one, other))
    assert bucket_of(one) <= bucket_of(other)


@given(st.integers(0, BUCKETS - 1))
def test_every_bucket_begins_where_the_one_before_ends(bucket):
    assert bucket_of(lowest_of(bucket)) == bucket
    if bucket:
        assert bucket_of(lowest_of(bucket) - 1) == bucket - 1


def test_the_highest_value_is_in_the_last_bucket():
    assert bucket_of(VALUE_MAX) == BUCKETS - 1


@given(st.lists(values, min_size=1), st.floats(0, 1))
def test_a_quantile_is_near_the_exact_one(given_values, share):
    histogram = Histogram()
    for value in given_values:
        histogram.record(value)
    rank = max(1, math.ceil(share * len(given_values)))
    exact = sorted(given_values)[rank - 1]
    (found,) = histogram.quantiles(share)
    assert histogram.minimum <= found <= exact
    assert exact - found <= exact / STEPS


@given(st.lists(st.tuples(values, st.integers(1, 5))))
def test_count_minimum_maximum_and_mean_are_exact(given_values):
    histogram = Histogram()
    for value, times in given_values:
        histogram.record(value, times)
    every = [value for value, times in given_values for _ in range(times)]
    assert histogram.count == len(every)
    assert (histogram.minimum, histogram.highest) == ((min(every), max(every)) if every else (0, 0))
    assert histogram.mean == (sum(every) / len(every) if every else 0)


@given(st.lists(values), st.lists(values))
def test_adding_is_as_recording_everything_in_one(some, others):
    one, other, both = Histogram(), Histogram(), Histogram()
    for value in some:
        one.record(value)
        both.record(value)
    for value in others:
        other.record(value)
        both.record(value)
    one.add(other)
    shares = (0, 0.5, 0.99, 1)
    assert one.quantiles(*shares) == both.quantiles(*shares)
    assert (one.count, one.total, one.minimum, one.highest) == (both.count, both.total, both.minimum, both.highest)


def test_what_is_outside_counts_as_the_edge():
    histogram = Histogram()
    histogram.record(-5)
    histogram.record(2**70)
    assert (histogram.minimum, histogram.highest) == (0, VALUE_MAX)


def test_nothing_is_zero():
    histogram = Histogram()
    assert histogram.quantiles(0.5, 0.99) == [0, 0]
    histogram.record(7)
    histogram.clear()
    assert (histogram.count, histogram.minimum, histogram.highest, histogram.mean) == (0, 0, 0, 0)
