"""The index of a page: what goes in comes out, and nothing else is taken for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amqpd import pageindex
from amqpd.errors import MalformedError

PAGES = st.lists(
    st.tuples(st.integers(0, 2**62), st.booleans()), min_size=1, max_size=40, unique_by=lambda entry: entry[0]
).map(sorted)


@given(PAGES, st.integers(0, 2**40), st.booleans())
def test_what_goes_in_comes_out(messages, size, consecutive):
    positions = [position for position, _ in messages]
    if consecutive:
        positions = list(range(positions[0], positions[0] + len(positions)))
    persistent = [lasting for _, lasting in messages]
    index = pageindex.decode(pageindex.encode(positions, persistent, size))
    assert (index.first, index.last, index.count, index.size) == (positions[0], positions[-1], len(positions), size)
    assert index.positions() == positions
    assert [index.persistent_at(place) for place in range(index.count)] == persistent
    assert index.persistent_count == sum(persistent)
    assert index.consecutive == (positions[-1] - positions[0] == len(positions) - 1)


def test_what_is_the_rule_takes_no_space():
    positions = list(range(2000))
    assert len(pageindex.encode(positions, [True] * 2000, 5)) == 21
    assert len(pageindex.encode(positions, [False] * 2000, 5)) == 21


@given(PAGES, st.data())
def test_a_piece_of_an_index_is_none(messages, data):
    whole = pageindex.encode([position for position, _ in messages], [lasting for _, lasting in messages], 1)
    with pytest.raises(MalformedError):
        pageindex.decode(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(MalformedError):
        pageindex.decode(whole + b"\0")


@given(st.binary(max_size=60))
def test_garbage_is_malformed_or_an_index(data):
    try:
        index = pageindex.decode(data)
    except MalformedError:
        return
    assert index.first <= index.last
    assert index.count >= 1


@given(
    st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=5), max_size=6),
    st.randoms(use_true_random=False),
)
def test_homes_know_which_positions_are_on_pages(gaps, rng):
    pages, position = [], -1
    for page in gaps:
        positions = []
        for gap in page:
            position += gap
            positions.append(position)
        pages.append(positions)
    homes = pageindex.Homes()
    for positions in rng.sample(pages, len(pages)):
        homes.add(pageindex.decode(pageindex.encode(positions, [True] * len(positions), 0)))
    homes.sort()
    there = {position for positions in pages for position in positions}
    asked = rng.sample(range(position + 3), position + 3)
    assert [homes.has(one) for one in asked] == [one in there for one in asked]
    firsts = {positions[0] for positions in pages}
    for low in range(position + 2):
        assert homes.begins_between(low, low + 2) == bool(firsts & {low + 1, low + 2})
