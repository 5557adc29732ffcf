"""The disk of the crash tests: what a crash can leave, and what it cannot."""

import errno
import random

import pytest
from crash.disk import SECTOR, Crash, Disk, Fault

from amqpd.errors import StorageError, StorageFullError


@pytest.fixture
def disk():
    return Disk()


def every(disk):
    """The states of all subsets of what is pending, as sorted lists of (path, bytes)."""
    count = len(disk.pending)
    assert count <= 10
    subsets = ([place for place in range(count) if number >> place & 1] for number in range(1 << count))
    return {tuple(sorted(disk.image(kept).state().items())) for kept in subsets}


def synced(disk, *names):
    """Files that are there for certain, and empty."""
    files = disk.files()
    made = [files.create(name) for name in names]
    files.sync()
    assert disk.pending == []
    return made


def test_what_is_written_is_read_and_not_safe(disk):
    [file] = synced(disk, "a")
    file.write(0, [b"one", b"two"])
    assert file.read(0, 100) == b"onetwo"
    assert file.read(3, 2) == b"tw"
    assert every(disk) == {(("a", b""),), (("a", bytes(6)),), (("a", b"onetwo"),)}


def test_what_is_synced_is_safe(disk):
    [file] = synced(disk, "a")
    file.write(0, [b"one"])
    file.sync()
    assert disk.pending == []
    assert disk.image([]).state() == {"a": b"one"}


def test_a_sync_is_of_one_file_only(disk):
    first, second = synced(disk, "a", "b")
    first.write(0, [b"1"])
    second.write(0, [b"2"])
    second.sync()
    assert disk.image([]).state() == {"a": b"", "b": b"2"}


def test_a_write_is_torn_between_sectors_only(disk):
    [file] = synced(disk, "a")
    file.write(0, [bytes(2 * SECTOR)])
    file.sync()
    file.write(SECTOR - 1, [b"xy"])
    both = bytearray(2 * SECTOR)
    both[SECTOR - 1 : SECTOR + 1] = b"xy"
    first = bytes(both[:SECTOR]) + bytes(SECTOR)
    second = bytes(SECTOR) + bytes(both[SECTOR:])
    assert every(disk) == {(("a", each),) for each in (bytes(2 * SECTOR), first, second, bytes(both))}


def test_of_one_sector_any_version_may_be_left(disk):
    [file] = synced(disk, "a")
    file.write(0, [b"0"])
    file.sync()
    file.write(0, [b"1"])
    file.write(0, [b"2"])
    assert every(disk) == {(("a", b"0"),), (("a", b"1"),), (("a", b"2"),)}


def test_what_lies_beyond_the_end_of_a_file_is_lost(disk):
    [file] = synced(disk, "a")
    file.write(0, [b"x" * SECTOR + b"y"])
    states = {state[0][1] for state in every(disk)}
    assert states == {
        b"",
        bytes(SECTOR),
        b"x" * SECTOR,
        bytes(SECTOR + 1),
        b"x" * SECTOR + b"\0",
        bytes(SECTOR) + b"y",
        b"x" * SECTOR + b"y",
    }


def test_a_file_is_gone_when_its_directory_was_not_synced(disk):
    file = disk.files().create("a")
    file.write(0, [b"x"])
    file.sync()
    assert every(disk) == {(), (("a", b"x"),)}


def test_a_directory_that_was_not_synced_takes_along_what_is_in_it(disk):
    inner = disk.files().directory("inner")
    file = inner.create("a")
    inner.sync()
    file.write(0, [b"x"])
    file.sync()
    assert every(disk) == {(), (("inner/a", b"x"),)}
    disk.files().sync()
    assert disk.image([]).state() == {"inner/a": b"x"}


def test_a_renamed_file_has_the_one_name_or_the_other(disk):
    [file] = synced(disk, "a")
    file.write(0, [b"x"])
    file.sync()
    disk.files().rename("a", "b")
    assert every(disk) == {(("a", b"x"),), (("b", b"x"),)}
    file.write(0, [b"y"])
    file.sync()
    assert every(disk) == {(("a", b"y"),), (("b", b"y"),)}


def test_a_replaced_file_is_the_old_one_or_the_new_one(disk):
    old, new = synced(disk, "a", "tmp")
    old.write(0, [b"old"])
    old.sync()
    new.write(0, [b"new"])
    disk.files().rename("tmp", "a")
    assert (("a", b"old"), ("tmp", b"new")) in every(disk)
    assert (("a", b""),) in every(disk)  # who does not sync before it renames finds nothing
    new.sync()
    assert every(disk) == {(("a", b"old"), ("tmp", b"new")), (("a", b"new"),)}


def test_a_removed_file_may_come_back(disk):
    [file] = synced(disk, "a")
    file.write(0, [b"x"])
    file.sync()
    disk.files().remove("a")
    assert disk.files().names() == []
    assert file.read(0, 1) == b"x"
    assert every(disk) == {(), (("a", b"x"),)}


def test_changes_of_one_name_keep_their_order_and_others_do_not(disk):
    files = disk.files()
    files.create("a")
    files.create("b")
    files.rename("a", "c")
    a, b, c = (("a", b""), ("b", b""), ("c", b""))
    assert every(disk) == {(), (a,), (b,), (a, b), (c,), (b, c)}


def test_a_truncated_file_may_have_its_old_end(disk):
    [file] = synced(disk, "a")
    file.write(0, [b"abcdef"])
    file.sync()
    file.truncate(2)
    assert file.read(0, 10) == b"ab"
    file.extend(4)
    assert file.read(0, 10) == b"ab\0\0"
    assert every(disk) == {(("a", each),) for each in (b"abcdef", b"ab", b"ab\0\0", b"abcd")}


def test_an_image_is_a_disk_of_its_own(disk):
    [file] = synced(disk, "a")
    file.write(0, [b"x"])
    other = disk.copy()
    other.files().open("a").write(0, [b"y"])
    assert (file.read(0, 1), other.state()) == (b"x", {"a": b"y"})
    assert other.image([]).state() == {"a": b"x"}


def test_choices_have_the_telling_ones_and_keep_to_their_limit(disk):
    [file] = synced(disk, "a")
    file.write(0, [bytes([number]) * SECTOR for number in range(4)])
    disk.files().create("b")
    chosen = dict(disk.choices(random.Random(1), 100))
    assert chosen["all"] == list(range(9))
    assert chosen["none"] == []
    assert chosen["no directories"] == list(range(8))
    assert chosen["directories only"] == [8]
    assert chosen["first 5"] == list(range(5))
    assert chosen["only 3"] == [3]
    assert chosen["all but 0"] == list(range(1, 9))
    for limit in (1, 2, 5, 30, 60):
        some = list(disk.choices(random.Random(1), limit))
        assert 0 < len(some) <= limit
        assert some == list(disk.choices(random.Random(1), limit))


def test_operations_are_counted_and_can_be_the_last(disk):
    [file] = synced(disk, "a")
    seen = []

    def before(kind, path):
        seen.append((kind, path))
        if kind == "sync":
            raise Crash

    disk.before = before
    file.write(0, [b"x"])
    with pytest.raises(Crash):
        file.sync()
    assert seen == [("write", "disk/a"), ("sync", "disk/a")]
    assert disk.operations == 3
    for operation in (lambda: file.read(0, 1), lambda: file.write(0, [b"y"]), lambda: disk.files().open("a")):
        with pytest.raises(Crash):
            operation()
    assert disk.image([]).state() == {"a": b""}


@pytest.mark.parametrize(
    ("code", "error"),
    [(errno.ENOSPC, StorageFullError), (errno.EDQUOT, StorageFullError), (errno.EIO, StorageError)],
)
def test_any_operation_can_fail(disk, code, error):
    [file] = synced(disk, "a")
    disk.plan = lambda kind, path: Fault(code)
    files = disk.files()
    failing = [
        lambda: file.write(0, [b"x"]),
        lambda: file.extend(10),
        lambda: file.truncate(0),
        lambda: file.read(0, 1),
        file.sync,
        files.sync,
        lambda: files.create("b"),
        lambda: files.rename("a", "b"),
        lambda: files.remove("a"),
        lambda: files.directory("c"),
    ]
    for operation in failing:
        with pytest.raises(error, match=f"disk.*{errno.errorcode[code]}") as caught:
            operation()
        assert type(caught.value) is error
    assert disk.pending == []
    assert files.names() == ["a"]


def test_half_a_write_is_written(disk):
    [file] = synced(disk, "a")
    disk.plan = lambda kind, path: Fault(errno.EIO, 0.5) if kind == "write" else None
    with pytest.raises(StorageError):
        file.write(0, [b"abcd"])
    assert file.read(0, 10) == b"ab"


def test_a_small_disk_gets_full_and_stays_whole(disk):
    [file] = synced(disk, "a")
    disk.capacity = 10
    file.write(0, [b"12345678"])
    assert disk.files().free_bytes() == 2
    with pytest.raises(StorageFullError):
        file.write(8, [b"9ab"])
    with pytest.raises(StorageFullError):
        file.extend(11)
    assert file.size() == 8
    file.write(0, [b"0"])  # takes no room
    file.extend(10)
    with pytest.raises(StorageFullError):
        disk.files().create("b")


def test_damage_is_at_rest(disk):
    first, second = synced(disk, "a", "b")
    first.write(0, [b"abc"])
    second.write(0, [b"xyz"])
    disk = disk.copy()
    disk.flip("a", 1, 3)
    disk.cut("b", 1)
    assert disk.image([]).state() == disk.state() == {"a": b"ajc", "b": b"x"}
    disk.lose("a")
    assert disk.image([]).state() == disk.state() == {"b": b"x"}
