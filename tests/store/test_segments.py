"""Segments: pages are there at once, durable after a sync, and gone when all of their messages are."""

import pytest
from store.pagebench import Bench

from amqpd.store.pages import PageOptions


def test_a_page_can_be_read_at_any_time():
    bench = Bench()
    page = bench.write([3, 4, 7])
    assert bench.pages.pending == page.length
    assert bench.read(page) == [3, 4, 7]
    bench.hand.run()
    assert bench.pages.pending == 0
    assert page.payload is None
    assert bench.read(page) == [3, 4, 7]


def test_what_was_synced_is_found_again():
    bench = Bench()
    bench.write([1, 2, 3], [True, False, True], queue=1, level=2)
    bench.write([9], queue=2)
    assert bench.sync()
    again = bench.again()
    assert again.alive() == {(1, 2): [1, 3], (2, 0): [9]}
    assert again.found.highest == {(b"\1" * 16, 2): 3, (b"\2" * 16, 0): 9}
    assert again.found.labels[b"\1" * 16, 2] == b"/q1"
    page = again.found.pages[0].page
    assert (page.first, page.last, page.count, page.size, page.persistent, page.live) == (1, 3, 3, 12, 2, 2)
    assert page.earlier


def test_what_was_not_synced_is_not_found():
    bench = Bench()
    bench.write([1])
    bench.sync()
    bench.write([2])
    bench.hand.run()
    again = bench.again()
    assert again.alive() == {(1, 0): [1]}
    assert [content.live for _path, content in again.disk.walk() if len(content.live) > 600] == []


def test_many_pages_are_one_write():
    bench = Bench()
    writes = []
    bench.disk.before = lambda kind, path: writes.append(kind)
    for queue in range(500):
        bench.write([queue], queue=queue % 250)
    bench.hand.run()
    assert writes == ["create", "write", "write"]  # the header, and then all of them


def test_settled_messages_stay_settled():
    bench = Bench()
    page = bench.write(range(10))
    bench.sync()
    bench.pages.settle(page, 2, 4, 3)
    bench.pages.settle(page, 9, 9, 1)
    assert page.live == 6
    bench.sync()
    assert bench.again().alive() == {(1, 0): [0, 1, 5, 6, 7, 8]}


def test_a_page_is_gone_when_all_of_it_is_settled():
    bench = Bench()
    page = bench.write(range(10))
    other = bench.write([77], queue=2)
    bench.sync()
    bench.pages.settle(page, 0, 9, 10)
    assert page.file == 0
    bench.pages.settle(page, 0, 9, 10)  # nothing is left that this could concern
    bench.pages.drop(page)
    bench.sync()
    again = bench.again()
    assert again.alive() == {(2, 0): [77]}
    assert again.found.highest[b"\1" * 16, 0] == 9
    assert again.read(again.found.pages[0].page) == bench.read(other)


def test_a_kept_page_stays_although_nothing_persistent_is_alive():
    bench = Bench()
    page = bench.write([1, 2], [True, False], kept=True)
    bench.sync()
    bench.pages.settle(page, 1, 1, 1)
    assert bench.read(page) == [1, 2]
    page.kept = False
    bench.pages.settle(page, 1, 0, 0)
    assert page.file == 0


def test_files_without_pages_are_removed_by_a_sync():
    bench = Bench(options=PageOptions(size_max=2000))
    pages = [bench.write([number], body=bytes(500)) for number in range(12)]
    bench.sync()
    before = bench.files.names()
    assert len(before) == 7
    for page in pages[:11]:
        bench.pages.drop(page)
    assert bench.files.names() == before
    bench.sync()
    assert len(bench.files.names()) == 2
    assert bench.pages.used - bench.pages.dead < 1200
    bench.pages.drop(pages[11])
    bench.sync()
    assert bench.files.names() == ["inventory"]
    assert (bench.pages.used, bench.pages.dead) == (0, 0)
    bench.write([5])
    bench.sync()
    assert bench.again().alive() == {(1, 0): [5]}


def test_a_page_larger_than_a_file_makes_a_larger_file():
    bench = Bench(options=PageOptions(size_max=4000))
    bench.write([1])
    large = bench.write([2], body=bytes(100_000))
    bench.write([3])
    bench.sync()
    assert bench.read(large) == [2]
    assert bench.again().alive() == {(1, 0): [1, 2, 3]}


def test_one_sync_at_a_time_and_none_is_forgotten():
    bench = Bench()
    order = []
    for number in range(4):
        bench.write([number])
        bench.pages.sync(lambda number=number: order.append(number))
    assert len(bench.hand.jobs) == 2  # a write, a sync
    bench.hand.run()
    assert order == [0, 1, 2, 3]
    assert bench.pages.syncs == 2
    assert bench.again().alive() == {(1, 0): [0, 1, 2, 3]}


def test_a_sync_writes_what_was_taken_even_where_the_job_for_that_waits():
    bench = Bench()
    bench.write([1])
    done = []
    bench.pages.sync(lambda: done.append(True))
    bench.hand.jobs.reverse()
    bench.hand.run(1)
    assert done == [True]
    assert bench.again().alive() == {(1, 0): [1]}
    bench.hand.run()
    assert bench.pages.pending == 0


def test_read_ahead():
    bench = Bench()
    page = bench.write([1, 2])
    bench.hand.run()
    bench.pages.fetch(page)
    bench.hand.run()
    assert page.payload is not None
    assert bench.read(page) == [1, 2]
    assert page.payload is None  # it was handed over


def test_reading_ahead_what_is_not_written_keeps_it():
    bench = Bench()
    page = bench.write([1, 2])
    bench.pages.fetch(page)
    bench.hand.run()
    assert page.payload is not None
    reads = bench.disk.reads
    assert bench.read(page) == [1, 2]
    assert bench.disk.reads == reads


def test_a_page_that_went_while_it_was_read_ahead():
    bench = Bench()
    page = bench.write([1, 2])
    bench.sync()
    bench.pages.fetch(page)
    bench.pages.drop(page)
    bench.sync()
    assert page.payload is None


def test_few_files_are_open():
    bench = Bench(options=PageOptions(size_max=1000, open_max=3))
    pages = [bench.write([number], body=bytes(600)) for number in range(20)]
    bench.sync()
    for _ in range(2):
        for number, page in enumerate(pages):
            assert bench.read(page) == [number]
            assert sum(file.handle is not None for file in bench.pages.files.table.values()) <= 3
    bench.pages.close()


@pytest.mark.parametrize("settles", [True, False])
def test_a_full_disk_is_waited_for(settles):
    bench = Bench()
    first = bench.write(range(100))
    bench.sync()
    bench.disk.capacity = bench.disk.used() + 600
    bench.write(range(100, 200), body=bytes(100))
    if settles:
        bench.pages.settle(first, 0, 49, 50)
    assert not bench.sync()
    assert bench.hand.put_back == 1
    assert bench.again().alive() == {(1, 0): list(range(100))}
    bench.disk.capacity = 1 << 30
    bench.hand.run()
    assert bench.pages.pending == 0
    alive = list(range(50 if settles else 0, 200))
    assert bench.again().alive() == {(1, 0): alive}


def test_a_dropped_page_is_gone_though_it_was_never_written():
    bench = Bench()
    page = bench.write([1], body=bytes(5000))
    bench.pages.drop(page)
    bench.sync()
    assert bench.files.names() == ["inventory"]
    assert bench.pages.pending == 0


def test_the_newer_of_two_copies_counts():
    bench = Bench(options=PageOptions(size_max=1500))
    old = bench.write(range(10), body=bytes(60))
    bench.sync()
    new = bench.write([2, 3, 12], body=bytes(60))
    bench.sync()
    again = bench.again()
    by_place = {(each.page.file, each.page.offset): each.page for each in again.found.pages}
    assert by_place[new.file, new.offset].live == 3
    older = by_place[old.file, old.offset]
    assert older.live == 8
    assert [position for position in range(10) if position in older.settled] == [2, 3]
    again.pages.drop(by_place[new.file, new.offset])
    again.sync()  # the newer one's file is removed: the older one must not come to life again
    third = again.again()
    assert third.alive() == {(1, 0): [0, 1, 4, 5, 6, 7, 8, 9]}
