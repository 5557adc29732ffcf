"""The journal as its writer sees it: batches, files, spares."""

import errno

import pytest
from crash.disk import Disk, Fault
from store.journals import SMALL, Writer, do, messages_of, opened

from amqpd.errors import StorageError, StorageFullError
from amqpd.store.format import BATCH_HEAD_SIZE, JOURNAL, SECTOR, decode_header
from amqpd.store.options import StoreOptions
from amqpd.store.place import name_of, number_of, spare_number


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def store(disk):
    return opened(disk.files())


@pytest.fixture
def journal(store):
    return store.journal


@pytest.fixture
def writer(journal) -> Writer:
    return Writer(journal)


def journal_names(disk: Disk) -> list[str]:
    return disk.files().directory("journal").names()


def test_nothing_gathered_is_no_batch(journal):
    journal.begin()
    assert journal.seal() is None


def test_batches_are_counted_from_the_one_that_opened_the_store(journal, writer):
    assert (journal.batches, journal.bytes, journal.syncs) == (1, 512, 1)
    writer.entry(1, b"x" * 600)
    batch = journal.seal()
    assert batch.sequence == 1
    assert batch.size == 1024
    assert journal.records == 0
    assert len(journal.out) == 0
    assert journal.batches == 1
    do(batch)
    assert (journal.batches, journal.bytes, journal.syncs) == (2, 1536, 2)


def test_one_sync_for_a_batch(disk, journal, writer):
    writer.entry(1, b"x")
    writer.settle(0, 0)
    before = disk.operations
    do(journal.seal())
    assert disk.operations - before == 2  # a write, a sync


def test_a_batch_can_be_gathered_while_another_is_written(disk, journal, writer):
    writer.entry(1, b"one")
    one = journal.seal()
    writer.entry(2, b"two")
    two = journal.seal()
    writer.entry(3, b"three")
    for batch in (one, two, journal.seal()):
        do(batch)
    assert [message for _, message in messages_of(opened(disk.files()))] == [b"one", b"two", b"three"]


def test_the_next_file_is_begun_when_little_is_left(journal, writer):
    assert journal.file == 1
    seen = set()
    for index in range(20):
        writer.entry(index, bytes(400))
        seen.add(journal.file)
        writer.commit()
    assert sorted(seen) == [1, 2]  # 512 of header, 512 for each batch, a quarter of 8192 left over


def test_a_batch_that_is_larger_than_a_file_makes_it_longer(disk, journal, writer):
    writer.entry(1, b"x" * 5 * SMALL)
    writer.commit()
    assert journal.file == 1
    assert journal.size >= 5 * SMALL
    writer.entry(2, b"y")
    assert journal.file == 2
    writer.commit()
    assert [len(message) for _, message in messages_of(opened(disk.files()))] == [5 * SMALL, 1]


def test_no_space_for_a_longer_file_can_be_tried_again(disk, journal, writer):
    writer.entry(1, b"x" * 5 * SMALL)
    batch = journal.seal()
    before = disk.state()
    disk.capacity = disk.used() + SMALL
    with pytest.raises(StorageFullError):
        batch.run()
    assert disk.state() == before
    disk.capacity = 1 << 40
    do(batch)
    assert len(messages_of(opened(disk.files()))) == 1


def test_no_space_for_the_next_file_can_be_tried_again(disk, journal, writer):
    writer.commit_each({index: bytes(400) for index in range(11)})
    disk.capacity = disk.used() + 1000
    writer.entry(99, b"last")
    assert journal.file == 2
    batch = journal.seal()
    for _ in range(3):
        with pytest.raises(StorageFullError):
            batch.run()
    assert journal_names(disk) == [name_of(1), "first", "last"]
    disk.capacity = 1 << 40
    do(batch)
    assert messages_of(opened(disk.files()))[-1] == (99, b"last")


def test_an_error_of_a_sync_is_an_error(disk, journal, writer):
    writer.entry(1, b"x")
    disk.plan = lambda kind, path: Fault(errno.EIO) if kind == "sync" else None
    with pytest.raises(StorageError):
        journal.seal().run()


def test_prepared_files_are_renamed_and_synced_ahead(disk, journal, writer):
    assert journal.prepare() is None  # little is in the file so far
    writer.commit_each({index: bytes(400) for index in range(8)})
    do(journal.prepare())
    assert name_of(2) in journal_names(disk)
    jobs = []
    while (job := journal.prepare()) is not None:
        jobs.append(job)
        do(job)
    assert len(jobs) == 2
    assert journal.spares == 2
    assert [spare_number(name) for name in journal_names(disk) if spare_number(name)] == [1, 2]
    while journal.file == 1:
        writer.entry(50, b"x")
        before = disk.operations
        writer.commit()
    assert disk.operations - before == 2  # moving on costs nothing but the write and its sync


def test_the_next_file_is_made_of_a_spare(disk, journal, writer):
    writer.commit_each({index: bytes(400) for index in range(8)})
    while (job := journal.prepare()) is not None:
        do(job)
    writer.commit_each({index: bytes(400) for index in range(20, 30)})
    assert journal.file == 2
    disk.capacity = disk.used()
    job = journal.prepare()
    do(job)  # a rename needs no space
    assert name_of(3) in journal_names(disk)
    assert journal.spares == 1
    job = journal.prepare()
    with pytest.raises(StorageFullError):
        job.run()
    assert journal.prepare() is None  # it is under way
    writer.commit_each({index: bytes(400) for index in range(30, 40)})  # from the reserve
    disk.capacity = 1 << 40
    do(job)
    assert journal.spares == 2
    assert len(messages_of(opened(disk.files()))) == 28


def test_while_the_next_file_is_being_made_batches_go_on_behind_the_end(disk, journal, writer):
    writer.commit_each({index: bytes(400) for index in range(8)})
    job = journal.prepare()
    writer.commit_each({index: bytes(400) for index in range(8, 40)})
    assert journal.file == 1
    do(job)
    writer.commit_each({40: b"x"})
    assert journal.file == 2
    assert len(messages_of(opened(disk.files()))) == 41


def test_a_full_disk_goes_on_with_what_is_freed(disk, journal, writer):
    """No spare, no space for the next file: the one that is freed meanwhile becomes it."""
    journal.rotate()
    writer.commit_each({index: bytes(400) for index in range(8)})
    prepare = journal.prepare()
    disk.capacity = disk.used()
    with pytest.raises(StorageFullError):
        prepare.run()
    do(journal.free(1))
    assert journal.spares == 0
    do(prepare)
    assert name_of(3) in journal_names(disk)
    assert messages_of(opened(disk.copy().files()))[-1][0] == 7


def test_a_spare_that_was_offered_too_late_is_kept(disk, journal, writer):
    journal.rotate()
    writer.commit_each({index: bytes(400) for index in range(8)})
    prepare = journal.prepare()
    prepare.run()
    do(journal.free(1))
    prepare.finish()
    assert journal.spares == 1
    assert "spare-1.jrn" in journal_names(disk)


def test_a_batch_that_found_no_space_for_its_file_goes_on_with_what_is_freed(disk, journal, writer):
    journal.rotate()
    writer.commit_each({1: b"x"})
    journal.rotate()
    writer.entry(2, b"y")
    batch = journal.seal()
    disk.capacity = disk.used()
    with pytest.raises(StorageFullError):
        batch.run()
    do(journal.free(1))
    do(batch)
    disk.capacity = 1 << 40
    assert messages_of(opened(disk.files())) == [(1, b"x"), (2, b"y")]


def test_a_start_on_a_full_disk_without_a_spare_is_refused_and_can_be_tried_again(disk, writer):
    writer.commit_each({1: b"x"})
    disk.capacity = disk.used()
    for _ in range(2):
        with pytest.raises(StorageFullError):
            opened(disk.files())
    disk.capacity = 1 << 40
    assert messages_of(opened(disk.files())) == [(1, b"x")]


def test_a_spare_is_not_made_when_enough_were_freed(disk, journal, writer):
    for index in range(3):
        journal.rotate()
        writer.commit_each({index: bytes(400)})
    writer.commit_each({index: bytes(400) for index in range(9, 18)})
    do(journal.prepare())
    job = journal.prepare()
    capacity, disk.capacity = disk.capacity, disk.used()
    with pytest.raises(StorageFullError):
        job.run()
    for number in (1, 2):
        do(journal.free(number))
    disk.capacity = capacity
    assert journal.spares == 1
    do(job)
    assert journal.spares == 2


def test_a_spare_makes_room_for_others_and_is_made_again_later(disk, journal, writer):
    writer.commit_each({index: bytes(400) for index in range(8)})
    for _ in range(3):
        do(journal.prepare())
    assert journal.spares == 2
    used = disk.used()
    do(journal.give_up_spare())
    assert (journal.spares, used - disk.used()) == (1, SMALL)
    do(journal.give_up_spare())
    assert journal.give_up_spare() is None
    assert journal.prepare() is None, "what was given up is not taken back at once"
    journal.room_again()
    do(journal.prepare())
    do(journal.prepare())
    assert journal.spares == 2


def test_a_freed_file_is_room_for_others_too_where_there_is_none(disk, journal, writer):
    journal.rotate()
    writer.commit_each({index: bytes(400) for index in range(3)})
    journal.give_up_spare()
    used = disk.used()
    do(journal.free(1))
    assert (journal.spares, used > disk.used()) == (0, True)


def test_rotation_begins_a_file_with_the_next_batch(journal, writer):
    journal.rotate()
    writer.commit_each({1: b"x"})
    assert journal.file == 2
    writer.commit_each({2: b"x"})
    assert journal.file == 2


def test_freed_files_become_spares_until_there_are_enough(disk, journal, writer):
    for number in range(4):
        writer.commit_each({number: b"x"})
        journal.rotate()
    assert (journal.oldest(), journal.files) == (1, 4)
    for number in (1, 2, 3):
        do(journal.free(number))
    assert (journal.oldest(), journal.files, journal.spares) == (4, 1, 2)
    names = journal_names(disk)
    assert names == [name_of(4), "first", "last", "spare-1.jrn", "spare-2.jrn"]
    assert messages_of(opened(disk.files())) == [(3, b"x")]


def test_a_file_that_was_made_longer_is_a_spare_of_the_usual_size(disk, journal, writer):
    writer.commit_each({1: b"x" * 5 * SMALL, 2: b"y"})
    do(journal.free(1))
    assert disk.files().directory("journal").open("spare-1.jrn").size() == SMALL


def test_only_the_oldest_file_can_be_freed_and_never_the_present_one(journal, writer):
    with pytest.raises(ValueError, match="file 1 cannot be freed"):
        journal.free(1)
    journal.rotate()
    writer.commit_each({1: b"x"})
    with pytest.raises(ValueError, match="file 2 cannot be freed: 2 in use, from 1"):
        journal.free(2)


def test_freed_means_durable_before_the_file_is_used_again(disk, journal, writer):
    """Recycled files with batches of an earlier use never pass for what was not written."""
    for index in range(60):
        writer.commit_each({index: bytes(400)})
        while (job := journal.prepare()) is not None:
            do(job)
        while journal.files > 2:
            do(journal.free(journal.oldest()))
    found = [index for index, _ in messages_of(opened(disk.files()))]
    assert found == list(range(found[0], 60))
    assert len(journal_names(disk)) <= 7


def test_surplus(journal, writer):
    for number in range(4):
        assert not journal.surplus()
        journal.rotate()
        writer.commit_each({number: b"x"})
    assert journal.surplus()
    journal.free(1)
    assert not journal.surplus()


def test_the_present_file_alone_is_no_surplus(journal, writer):
    writer.commit_each({1: bytes(10 * SMALL)})
    assert not journal.surplus()


def test_a_header_names_file_node_and_first_batch(disk, store, writer):
    store.journal.rotate()
    writer.commit_each({1: b"x"})
    file = disk.files().directory("journal").open(name_of(2))
    header = decode_header(file.read(0, SECTOR), JOURNAL)
    assert (header.number, header.node_id, header.sequence, header.size) == (2, store.node_id, 1, SMALL)
    assert header.key_id == bytes(16)
    assert file.read(SECTOR, 4) == b"BTCH"


def test_the_smallest_batch_takes_a_sector(journal, writer):
    assert BATCH_HEAD_SIZE == 40
    writer.entry(1, b"")
    assert journal.seal().size == SECTOR


@pytest.mark.parametrize("size", [0, 4095, 4097, 5000])
def test_sizes_that_are_refused(size):
    with pytest.raises(ValueError, match="multiples of 512 from 4096"):
        StoreOptions(file_size=size)


def test_names():
    assert number_of(name_of(7)) == 7
    wrong = ("7.jrn", "spare-1.jrn", "first", "0000000000000000000x.jrn", "00000000000000000007", f"{2**63:020}.jrn")
    for name in wrong:
        assert number_of(name) == 0
    assert spare_number("spare-12.jrn") == 12
    for name in ("spare-.jrn", "spare-x.jrn", "spare-01.jrn", "spare-1.jrn.tmp", name_of(1)):
        assert spare_number(name) == 0


def test_a_new_store_needs_few_bytes_and_is_closed(disk, store):
    assert disk.used() < 16 * SMALL
    assert store.recovered is None
    store.close()
    with pytest.raises(StorageError):
        Writer(store.journal).commit_each({1: b"x"})


def test_large_buffers_are_not_kept(journal, writer):
    out = journal.out
    writer.commit_each({1: b"x"})
    assert journal.out is out
    writer.commit_each({2: bytes(5 << 20)})
    assert journal.out is not out
