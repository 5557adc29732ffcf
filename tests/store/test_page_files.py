"""Page files: pages of messages that a restart takes."""

from store.pagebench import Bench

from amqpd.store.pages import PageOptions

SMALL = PageOptions(size_max=5000)


def test_nothing_is_ever_synced():
    bench = Bench(transient=True)
    kinds = []
    bench.disk.before = lambda kind, path: kinds.append(kind)
    page = bench.write([1, 2], [False, False])
    assert bench.sync()
    assert bench.read(page) == [1, 2]
    assert not {"sync", "sync-directory"} & set(kinds)


def test_a_page_is_there_until_it_is_dropped():
    bench = Bench(transient=True)
    page = bench.write([1, 2], [False, False])
    bench.hand.run()
    bench.pages.settle(page, 1, 2, 0)
    bench.pages.tidy()
    assert bench.read(page) == [1, 2]
    bench.pages.drop(page)
    assert page.file == 0


def test_files_go_with_their_pages():
    bench = Bench(options=SMALL, transient=True)
    pages = [bench.write([number], [False], body=bytes(1000)) for number in range(40)]
    bench.hand.run()
    assert len(bench.files.names()) == 10
    for page in pages:
        assert bench.read(page)
        bench.pages.drop(page)
    bench.hand.run()
    assert bench.files.names() == []
    assert (bench.pages.used, bench.pages.dead, bench.pages.pending) == (0, 0, 0)


def test_what_is_dropped_at_once_is_never_written():
    bench = Bench(options=PageOptions(), transient=True)
    pages = [bench.write([number], [False], body=bytes(100_000)) for number in range(10)]
    for page in pages[1:]:
        bench.pages.drop(page)
    bench.hand.run()
    assert bench.disk.used() < 110_000
    assert bench.read(pages[0]) == [0]


def test_on_a_full_disk_consumers_make_room():
    bench = Bench(options=SMALL, transient=True)
    pages = [bench.write([number], [False], body=bytes(1000)) for number in range(8)]
    bench.hand.run()
    bench.disk.capacity = bench.disk.used()
    last = bench.write([99], [False], body=bytes(1000))
    bench.hand.run()
    assert bench.hand.put_back == 1
    for page in pages:
        bench.pages.drop(page)
    bench.hand.run()
    assert bench.hand.jobs == []
    assert bench.pages.pending == 0
    assert bench.read(last) == [99]


def test_a_start_empties_the_directory():
    bench = Bench(options=SMALL, transient=True)
    for number in range(10):
        bench.write([number], [False], body=bytes(1000))
    bench.hand.run()
    assert Bench(bench.disk.copy(), transient=True).files.names() == []
