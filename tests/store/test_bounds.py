"""`first` and `last`: a journal's files are all there, or it is noticed; and no crash leaves it otherwise."""

import random

import pytest
from crash.disk import Crash, Disk
from store.journals import Writer, crash_at, do, filled, messages_of, opened, overwrite, refused

from amqpd.errors import StorageFullError, VersionError
from amqpd.store.bounds import encode_bound, read_bound, write_bound
from amqpd.store.format import FIRST, SECTOR, FileHeader
from amqpd.store.place import name_of


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def files(disk):
    return disk.files()


# The newest file.


@pytest.mark.parametrize("stopped", [False, True])
@pytest.mark.parametrize("count", [1, 30])
def test_the_newest_file_missing(files, count, stopped):
    writer = filled(files, count)
    if stopped:
        writer.stop()
    files.directory("journal").remove(name_of(writer.journal.file))
    assert f"{name_of(writer.journal.file)}, byte 0: the file is missing" in refused(files)


def test_the_newest_files_missing(files):
    writer = filled(files, 60)
    assert writer.journal.file > 3
    for number in range(2, writer.journal.file + 1):
        files.directory("journal").remove(name_of(number))
    assert f"{name_of(2)}, byte 0: all files from here to {writer.journal.file} are missing" in refused(files)


def test_the_newest_file_missing_after_its_number_was_a_spares(files):
    """Files that were used before, and one that was freed: `last` is about numbers, not about what they are made of."""
    writer = filled(files, 60)
    journal = writer.journal
    while journal.files > 1:
        do(journal.free(journal.oldest()))
    journal.rotate()
    writer.commit_each({60: b"x"})
    files.directory("journal").remove(name_of(journal.file))
    assert f"{name_of(journal.file)}, byte 0: the file is missing" in refused(files)


def test_a_prepared_file_missing(files):
    """Nobody can tell that it was empty."""
    writer = filled(files, 8)
    do(writer.journal.prepare())
    files.directory("journal").remove(name_of(2))
    assert f"{name_of(2)}, byte 0: the file is missing" in refused(files)


def _rotate(writer: Writer) -> None:
    writer.journal.rotate()
    writer.commit_each({8: b"x"})


def _prepare_and_rotate(writer: Writer) -> None:
    do(writer.journal.prepare())
    _rotate(writer)


def _free_and_rotate(writer: Writer) -> None:
    _rotate(writer)
    do(writer.journal.free(1))
    writer.journal.rotate()
    writer.commit_each({9: b"x"})


@pytest.mark.parametrize("act", [_rotate, _prepare_and_rotate, _free_and_rotate])
def test_acrash_at_each_step_of_a_files_making(act):
    """Whatever a crash leaves starts, and goes on with a newest file whose loss is noticed."""
    step, done = 0, False
    while not done:
        step += 1
        disk = Disk()
        writer = filled(disk.files(), 8)
        disk.before = crash_at(disk, disk.operations + step)
        try:
            act(writer)
            done = True
        except Crash:
            disk.dead = False
        disk.before = lambda kind, path: None
        for label, image in disk.images(random.Random(step), 8):
            recovered = opened(image.files(), 2)
            assert {*range(8)} <= {*dict(messages_of(recovered))} | ({*range(8)} if act is _free_and_rotate else set())
            Writer(recovered.journal).commit_each({10: b"x"})
            for _, later in image.images(random.Random(step), 3):
                later.files().directory("journal").remove(name_of(recovered.journal.file))
                text = refused(later.files())
                assert f"{name_of(recovered.journal.file)}, byte 0: the file is missing" in text, (step, label)
    assert step > 4


def test_no_space_for_a_files_number(disk):
    """Some file systems write nothing in place. The file is there then, and is not made again."""
    writer = filled(disk.files(), 8)
    job = writer.journal.prepare()

    def full(kind: str, path: str) -> None:
        if kind == "write" and path.endswith("last"):
            raise StorageFullError("full")

    disk.before = full
    with pytest.raises(StorageFullError):
        job.run()
    disk.before = lambda kind, path: None
    do(job)
    writer.journal.rotate()
    writer.commit_each({8: b"x"})
    assert writer.journal.file == 2
    assert len(messages_of(opened(disk.files(), 2))) == 9


def test_last_missing_or_damaged(files):
    filled(files, 3)
    overwrite(files, "last", 0, bytes(2 * SECTOR))
    assert "last, byte 0: is damaged" in refused(files)
    files.directory("journal").remove("last")
    assert "last, byte 0: is missing" in refused(files)


@pytest.mark.parametrize("sector", [0, 1])
def test_one_of_two_sectors_of_last(files, sector):
    """It can be torn only while it is to speak of a file that is there: else the sector is damaged."""
    filled(files, 3)
    overwrite(files, "last", sector * SECTOR, bytes(SECTOR))
    if sector == 1:  # the one that speaks of file 1
        for seed in range(2, 6):  # more starts, more files: it is whole again
            assert len(messages_of(opened(files, seed))) == 3
    else:
        assert "last, byte 0: is damaged" in refused(files)


def test_last_torn_while_it_was_to_speak_of_a_prepared_file(files):
    writer = filled(files, 8)
    do(writer.journal.prepare())
    overwrite(files, "last", 0, bytes(SECTOR))  # the one that speaks of file 2
    for seed in range(2, 6):
        assert len(messages_of(opened(files, seed))) == 8


def test_first_torn_is_whole_after_a_start(files):
    writer = filled(files, 60)
    do(writer.journal.free(1))
    for sector in (0, 1):
        overwrite(files, "first", sector * SECTOR, bytes(SECTOR))
        found = messages_of(opened(files, 2))
        assert messages_of(opened(files, 3)) == found
        assert len(read_bound(files.directory("journal"), "first")) == 2


def test_last_is_of_an_earlier_time(files):
    writer = filled(files, 60)
    overwrite(files, "last", 0, encode_bound("last", writer.journal._node_id, 1))
    assert f"last, byte 0: says that file 1 is the last one, and there is something in file {writer.journal.file}" in (
        refused(files)
    )


# The oldest file.


def test_one_of_two_sectors_of_first_may_be_torn(files):
    writer = filled(files, 30)
    journal = files.directory("journal")
    overwrite(files, "first", 0, bytes(SECTOR))
    assert len(messages_of(opened(files, 2))) == 30
    # File 1 was freed while the sector that says so was torn: what the other says is one behind.
    write_bound(journal, "first", writer.journal._node_id, 1)
    overwrite(files, "first", 0, bytes(SECTOR))
    journal.remove(name_of(1))
    assert 0 < len(messages_of(opened(files, 3))) < 30


def test_first_damaged(files):
    filled(files, 3)
    overwrite(files, "first", 0, bytes(2 * SECTOR))
    assert "first, byte 0: is damaged" in refused(files)


def test_first_of_a_newer_format(files):
    store = opened(files)
    overwrite(files, "first", 0, FileHeader(FIRST, store.node_id, 2, version=9).encode())
    with pytest.raises(VersionError):
        opened(files)
