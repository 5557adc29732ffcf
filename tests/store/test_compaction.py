"""Compaction: space comes back whatever remains, and nothing that is alive is lost or changes its order."""

import pytest
from store.pagebench import Bench

from amqpd.store.pages import PageOptions

SMALL = PageOptions(size_max=20_000, dead_min=0)


def tidy(bench, times=20):
    """What the node does now and then."""
    for _ in range(times):
        bench.pages.tidy()
        bench.sync()


def on_disk(bench):
    return sum(len(content.live) for path, content in bench.disk.walk() if "inventory" not in path)


def used_as_counted(bench):
    assert bench.pages.used == on_disk(bench)


def settle_all_but(bench, page, kept):
    for position in range(page.first, page.last + 1):
        if position not in kept:
            bench.pages.settle(page, position, position, 1)


def test_one_old_message_among_settled_ones():
    bench = Bench(options=SMALL)
    pages = [bench.write(range(at, at + 100), body=bytes(100)) for at in range(0, 4000, 100)]
    bench.sync()
    before = on_disk(bench)
    for page in pages:
        settle_all_but(bench, page, {page.first + 50})
    tidy(bench)
    used_as_counted(bench)
    assert on_disk(bench) < before / 20
    for number, page in enumerate(pages):
        assert (page.first, page.last, page.count, page.persistent, page.live) == (number * 100 + 50,) * 2 + (1,) * 3
        assert bench.read(page) == [page.first]
    assert bench.again().alive() == {(1, 0): list(range(50, 4000, 100))}


def test_alternate_messages_are_settled():
    bench = Bench(options=SMALL)
    pages = [bench.write(range(at, at + 100), body=bytes(100)) for at in range(0, 2000, 100)]
    for page in pages:
        settle_all_but(bench, page, set(range(1, 2000, 3)))
    bench.sync()
    before = on_disk(bench)
    tidy(bench)
    used_as_counted(bench)
    assert on_disk(bench) < before * 0.5
    assert bench.again().alive() == {(1, 0): list(range(1, 2000, 3))}
    assert bench.pages.dead < bench.pages.used / 2


def test_what_is_at_least_half_alive_stays_where_it_is():
    bench = Bench(options=SMALL)
    pages = [bench.write(range(at, at + 100), body=bytes(100)) for at in range(0, 2000, 100)]
    bench.sync()
    places = [(page.file, page.offset) for page in pages]
    for page in pages:
        settle_all_but(bench, page, range(page.first, page.first + 60))
    tidy(bench)
    assert [(page.file, page.offset) for page in pages] == places


def test_little_that_is_dead_is_left_alone():
    bench = Bench(options=PageOptions(size_max=20_000, dead_min=1_000_000))
    page = bench.write(range(100), body=bytes(100))
    bench.sync()
    place = page.file, page.offset
    settle_all_but(bench, page, {5})
    tidy(bench)
    assert (page.file, page.offset) == place


def test_a_large_backlog_is_dropped():
    bench = Bench(options=SMALL)
    pages = [bench.write([number], body=bytes(1000)) for number in range(500)]
    rest = bench.write([1], queue=2)
    bench.sync()
    for page in pages:
        bench.pages.drop(page)
    bench.sync()
    assert len(bench.files.names()) == 2
    assert bench.again().alive() == {(2, 0): [1]}
    assert bench.read(rest) == [1]


def kept_page(bench, earlier=False):
    page = bench.write(range(100), [number % 10 == 0 for number in range(100)], body=bytes(100), kept=True)
    page.earlier = earlier
    bench.sync()
    bench.pages.settle(page, 0, 80, 9)
    return page


def test_transient_messages_stay_as_long_as_the_queue_will_read_them():
    bench = Bench(options=SMALL)
    page = kept_page(bench)
    others = [bench.write(range(at, at + 100), queue=2, body=bytes(500)) for at in range(0, 2000, 100)]
    bench.sync()
    for other in others:
        settle_all_but(bench, other, {other.first})
    # What a kept page has is of use but for its settled messages, even though that is no news to the estimate.
    tidy(bench)
    assert bench.read(page)[-20:] == list(range(80, 100))
    page.kept = False
    for _ in range(3):
        bench.write([5], queue=3, body=bytes(10_000))
    tidy(bench)
    assert bench.read(page) == [90]
    assert bench.again().alive()[1, 0] == [90]


def test_transient_messages_of_an_earlier_life_are_gone():
    bench = Bench(options=SMALL)
    page = kept_page(bench, earlier=True)
    tidy(bench)
    assert bench.read(page) == [90]
    assert page.settled is None


def test_settled_while_it_is_moved():
    bench = Bench(options=SMALL)
    page = bench.write(range(100), body=bytes(100))
    bench.sync()
    bench.pages.settle(page, 0, 89, 90)
    bench.pages.tidy()
    bench.pages.settle(page, 93, 94, 2)
    bench.hand.run()
    assert bench.read(page) == list(range(90, 100))
    assert (page.live, page.settled.count()) == (8, 2)
    bench.sync()
    again = bench.again()
    assert again.alive() == {(1, 0): [90, 91, 92, 95, 96, 97, 98, 99]}


@pytest.mark.parametrize("how", ["dropped", "settled"])
def test_gone_while_it_is_moved(how):
    bench = Bench(options=SMALL)
    page = bench.write(range(100), body=bytes(100))
    bench.sync()
    bench.pages.settle(page, 0, 89, 90)
    bench.pages.tidy()
    if how == "dropped":
        bench.pages.drop(page)
    else:
        bench.pages.settle(page, 90, 99, 10)
    bench.sync()
    assert bench.again().alive() == {}
    assert bench.files.names() == ["inventory"]


def test_kept_again_while_it_is_moved():
    bench = Bench(options=SMALL)
    page = kept_page(bench)
    page.kept = False
    bench.pages.tidy()
    page.kept = True
    bench.sync()
    assert bench.read(page) == list(range(100))  # transient ones were to be left out: now they are of use


def test_read_ahead_while_it_is_moved():
    bench = Bench(options=SMALL)
    page = bench.write(range(100), body=bytes(100))
    bench.sync()
    bench.pages.fetch(page)
    bench.hand.run()
    bench.pages.settle(page, 0, 89, 90)
    bench.pages.tidy()
    bench.hand.run()
    assert page.payload is not None
    assert bench.read(page) == list(range(90, 100))


def test_a_fetch_behind_a_move_finds_the_page():
    bench = Bench(options=SMALL)
    page = bench.write(range(100), body=bytes(100))
    bench.sync()
    bench.pages.settle(page, 0, 89, 90)
    bench.pages.tidy()
    bench.pages.fetch(page)
    bench.sync()
    assert bench.read(page) == list(range(90, 100))


def test_a_job_has_a_limited_amount_to_do():
    bench = Bench(options=PageOptions(size_max=200_000, dead_min=0, step_max=8000))
    pages = [bench.write(range(at, at + 10), body=bytes(100)) for at in range(0, 1000, 10)]
    bench.sync()
    for page in pages:
        settle_all_but(bench, page, {page.first})
    bench.pages.tidy()
    jobs = 0
    while bench.hand.jobs:
        bench.hand.run(1)
        jobs += 1
        assert bench.pages.pending < 7 * 2000
    assert jobs > 2 * 100 // 7
    assert bench.again().alive() == {(1, 0): list(range(0, 1000, 10))}


def test_a_full_disk_in_a_compaction():
    bench = Bench(options=SMALL)
    pages = [bench.write(range(at, at + 100), body=bytes(100)) for at in range(0, 1000, 100)]
    bench.sync()
    for page in pages:
        settle_all_but(bench, page, {page.first})
    bench.disk.capacity = bench.disk.used()
    bench.pages.tidy()
    bench.hand.run()
    assert bench.hand.put_back == 1
    assert bench.again().alive() == {(1, 0): list(range(1000))}  # none of it was synced
    bench.disk.capacity = 1 << 30
    tidy(bench)
    used_as_counted(bench)
    assert bench.again().alive() == {(1, 0): list(range(0, 1000, 100))}


def test_page_files_are_compacted_too():
    bench = Bench(options=SMALL, transient=True)
    pages = [bench.write(range(at, at + 10), [False] * 10, body=bytes(100)) for at in range(0, 4000, 10)]
    bench.hand.run()
    kept = pages[::20]
    for page in pages:
        if page not in kept:
            bench.pages.drop(page)
    tidy(bench, 60)
    used_as_counted(bench)
    assert bench.pages.used < 3 * sum(page.length for page in kept)
    for page in kept:
        assert bench.read(page) == list(range(page.first, page.first + 10))
