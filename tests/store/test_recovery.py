"""What comes back: after stops of all kinds, and from files that are not what was written."""

import random

import pytest
from crash.disk import Crash, Disk
from hypothesis import given, settings
from hypothesis import strategies as st
from store.journals import (
    OTHER,
    QUEUE,
    SMALL,
    Writer,
    crash_at,
    do,
    filled,
    messages_of,
    opened,
    overwrite,
    refused,
)

from amqpd.errors import DamagedError, KeyMissingError, StorageError, VersionError
from amqpd.store import opening
from amqpd.store.bounds import write_bound
from amqpd.store.cipher import Cipher
from amqpd.store.format import JOURNAL, NODE, SECTOR, FileHeader
from amqpd.store.place import name_of
from amqpd.store.reading import FoundBatch
from amqpd.store.scan import Damage, Scan, Torn
from amqpd.store.survey import read_journal

LOG = (QUEUE, 0)


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def files(disk):
    return disk.files()


def path_of(number: int) -> str:
    return f"journal/{name_of(number)}"


def at(sequence: int) -> int:
    """Where a batch of a file's own stands that follows nothing but batches of one sector, in the first file."""
    return SECTOR * (sequence + 1)


# What comes back.


def test_everything_in_order_with_what_was_said_of_it(files):
    writer = Writer(opened(files).journal)
    writer.entry(5, b"five")
    writer.entry_in_both([6, 0], b"both")
    writer.settle(1, 2, 4, 4)
    writer.commit()
    writer.settle(3, 3)
    writer.mark(6)
    writer.commit()
    recovered = opened(files).recovered
    assert list(recovered.entries()) == [
        ([(QUEUE, 0, 5)], b"five"),
        ([(QUEUE, 0, 6), (OTHER, 0, 0)], b"both"),
    ]
    assert recovered.settled[LOG].spans() == [(1, 4)]
    assert recovered.marks == {LOG: 6}
    assert recovered.highest == {LOG: 6, (OTHER, 0): 0}
    assert recovered.labels == {LOG: b"/q", (OTHER, 0): b"/o"}
    assert recovered.forgotten == set()
    assert recovered.pages == []
    assert not recovered.clean


def test_levels_are_logs_of_their_own(files):
    journal = opened(files).journal
    journal.begin()
    for level in (0, 9):
        journal.group(level + 1, QUEUE, level, b"/q")
        journal.entry(level + 1, 1, 0, 1)
        journal.out.append(48 + level)
    do(journal.seal())
    assert list(opened(files).recovered.entries()) == [([(QUEUE, 0, 1)], b"0"), ([(QUEUE, 9, 1)], b"9")]


def test_refs_mean_what_the_file_says(files):
    journal = opened(files).journal
    for identity in (QUEUE, OTHER):
        journal.begin()
        journal.group(1, identity, 0, b"x")
        journal.entry(1, 0, 0, 0)
        do(journal.seal())
        journal.rotate()
    assert [homes for homes, _ in opened(files).recovered.entries()] == [[(QUEUE, 0, 0)], [(OTHER, 0, 0)]]


def test_the_highest_index_counts_what_is_settled_or_marked(files):
    writer = Writer(opened(files).journal)
    writer.settle(0, 70)
    writer.commit()
    assert opened(files).recovered.highest == {LOG: 70}


def test_a_forgotten_log(files):
    writer = Writer(opened(files).journal)
    writer.entry(1, b"x")
    writer.forget()
    writer.commit()
    assert opened(files).recovered.forgotten == {LOG}


def test_an_orderly_stop_is_clean_until_the_node_runs_again(files):
    filled(files, 3).stop()
    assert opened(files).recovered.clean
    assert not opened(files).recovered.clean  # that run said nothing, and may have delivered everything


def test_a_stop_that_was_gone_on_after_is_not_clean(files):
    writer = filled(files, 3)
    writer.stop()
    writer.commit_each({9: b"x"})
    assert not opened(files).recovered.clean


def test_recovery_of_a_recovery_is_the_same(files):
    filled(files)
    first = messages_of(opened(files, 2))
    assert messages_of(opened(files, 3)) == first
    assert len(first) == 30


def test_sequences_go_on(files):
    filled(files, 3)
    journal = opened(files, 2).journal
    Writer(journal).entry(9, b"x")
    assert journal.seal().sequence == 5  # after two openings and three batches


def test_a_message_larger_than_the_window(files):
    writer = Writer(opened(files).journal)
    writer.commit_each({1: bytes(3 << 20), 2: b"x"})
    assert [len(message) for _, message in messages_of(opened(files, 2))] == [3 << 20, 1]


def test_what_was_left_behind_is_cleared_away(files):
    filled(files, 3)
    journal = files.directory("journal")
    for name, size in (("new-7.tmp", 10), ("spare-1.jrn", SMALL), ("spare-2.jrn", 10), ("spare-3.jrn", SMALL)):
        journal.create(name).extend(size)
    journal.create("spare-4.jrn").extend(SMALL)
    store = opened(files, 2)
    # The first spare that is good became the file of this run, or is kept.
    assert [name for name in journal.names() if name.startswith(("new", "spare"))] == ["spare-1.jrn"]
    assert store.journal.spares == 1


def test_a_file_that_was_freed_but_for_its_name_is_removed(files):
    writer = filled(files)
    write_bound(files.directory("journal"), "first", writer.journal._node_id, 2)
    found = messages_of(opened(files, 2))
    assert name_of(1) not in files.directory("journal").names()
    assert found[-1][0] == 29
    assert 0 < len(found) < 30


# Making a store.


def test_a_crash_while_the_store_is_made_leaves_nothing_or_all(disk):
    opened(disk.files())
    for step in range(1, disk.operations + 1):
        machine = Disk()
        machine.before = crash_at(machine, step)
        with pytest.raises(Crash):
            opened(machine.files())
        for _, image in machine.images(random.Random(step), 6):
            store = opened(image.files(), step)
            Writer(store.journal).commit_each({1: b"x"})
            assert messages_of(opened(image.files(), 77)) == [(1, b"x")]


def test_a_crash_in_recovery_loses_nothing(disk):
    filled(disk.files(), 12)
    whole = disk.copy()
    opened(whole.files(), 5)
    assert whole.operations > 3
    for step in range(1, whole.operations + 1):
        machine = disk.copy()
        machine.before = crash_at(machine, step)
        with pytest.raises(Crash):
            opened(machine.files(), 5)
        for _, image in machine.images(random.Random(step), 6):
            assert len(messages_of(opened(image.files(), 6))) == 12


def test_a_kill_then_a_recovery_then_a_power_loss(disk):
    """What a killed process had written but not synced is recovered, and stays: it was delivered, perhaps."""
    writer = filled(disk.files(), 3)
    writer.entry(3, b"unsynced")
    batch = writer.journal.seal()
    disk.before = lambda kind, path: _raise(Crash) if kind == "sync" else None
    with pytest.raises(Crash):
        batch.run()
    disk.dead = False
    disk.before = lambda kind, path: None
    found = messages_of(opened(disk.files(), 2))
    assert len(found) == 4
    for _, image in disk.images(random.Random(1), 20):
        assert messages_of(opened(image.files(), 3)) == found


def test_a_kill_while_a_file_is_prepared_then_a_power_loss(disk):
    """The file has its number only in the kernel's memory: whoever goes on in it must have the name on disk first."""
    writer = filled(disk.files(), 8)
    job = writer.journal.prepare()
    disk.before = lambda kind, path: _raise(Crash) if kind == "sync-directory" else None
    with pytest.raises(Crash):
        job.run()
    disk.dead = False
    disk.before = lambda kind, path: None
    store = opened(disk.files(), 2)
    assert store.journal.file == 2
    Writer(store.journal).commit_each({8: b"x"})
    for _, image in disk.images(random.Random(1), 20):
        assert len(messages_of(opened(image.files(), 3))) == 9


def _raise(error):
    raise error


def test_two_crashes_in_the_same_place(disk):
    """A batch that reached the disk without its file's header is gone for good, though the number comes again."""
    writer = filled(disk.files(), 3)
    writer.journal.rotate()
    writer.entry(3, b"x" * 1500)
    batch = writer.journal.seal()
    disk.settle()
    disk.before = lambda kind, path: _raise(Crash) if kind == "sync" and path.endswith(name_of(2)) else None
    with pytest.raises(Crash):
        batch.run()
    for label, image in disk.images(random.Random(3), 60):
        one = messages_of(opened(image.files(), 4))
        for _, later in image.images(random.Random(4), 4):
            assert messages_of(opened(later.files(), 5)) == one, label


# The torn tail.


def test_a_torn_tail_is_cut_and_stays_cut(files):
    writer = filled(files, 3)
    writer.entry(3, b"x" * 2000)
    batch = writer.journal.seal()
    do(batch)
    overwrite(files, name_of(1), batch._offset + 1024, bytes(512))
    store = opened(files, 2)
    assert len(messages_of(store)) == 3
    assert [torn.offset for torn in store.recovered.torn] == [batch._offset]
    assert store.journal.file == 2
    Writer(store.journal).commit_each({3: b"new"})
    store = opened(files, 3)
    assert messages_of(store)[-1] == (3, b"new")
    assert store.recovered.torn == []


def test_a_header_without_its_first_batch(files):
    filled(files, 3)
    opened(files, 2)
    overwrite(files, name_of(2), SECTOR, bytes(SECTOR))
    store = opened(files, 3)
    assert len(messages_of(store)) == 3
    assert store.journal.file == 3


def test_a_first_batch_without_its_header(files):
    filled(files, 3)
    opened(files, 2)
    overwrite(files, name_of(2), 0, bytes(SECTOR))
    store = opened(files, 3)
    assert len(messages_of(store)) == 3
    assert store.journal.file == 2
    assert [torn.offset for torn in store.recovered.torn] == [0]


def test_a_message_that_looks_like_a_batch_is_none(files):
    """A client that puts a copy of a batch into a message must not make a torn tail look like damage."""
    writer = filled(files, 1)
    file = files.directory("journal").open(name_of(1))
    start = file.read(SECTOR, SECTOR)
    forged = b"BTCH" + bytes(8) + start[12:]
    writer.entry(1, bytes(SECTOR - 26 - 40) + forged * 3)
    batch = writer.journal.seal()
    do(batch)
    overwrite(files, name_of(1), batch._offset, bytes(SECTOR))
    assert len(messages_of(opened(files, 2))) == 1


# Damage.


def test_a_damaged_batch_in_the_middle_names_what_it_concerns(files):
    filled(files, 6)
    overwrite(files, name_of(1), at(3), b"\xff")
    text = refused(files)
    assert f"disk/journal/{name_of(1)}, byte 2048: batch 3 cannot be read" in text
    assert "/q" in text


def test_messages_of_a_damaged_batch_are_named_by_the_gap(files):
    filled(files, 6)
    overwrite(files, name_of(1), at(4), bytes(SECTOR))
    assert "/q (messages 3)" in refused(files)


def test_messages_of_a_damaged_batch_are_named_by_what_is_left_of_it(files):
    writer = filled(files, 2)
    writer.entry(2, b"two" * 10)
    writer.entry(3, b"three" * 30)
    writer.entry(7, b"seven", ref=2, identity=OTHER)
    batch = writer.journal.seal()
    do(batch)
    writer.commit_each({9: b"x"})
    overwrite(files, name_of(1), batch._offset + 200, b"\xff")  # within a message
    text = refused(files)
    assert "/o (messages 7)" in text
    assert "/q (messages 2 to 8)" in text  # by the gap: position 4 to 8 may have been there too


def test_several_damaged_batches_are_all_found(files):
    filled(files, 9)
    for batch in (2, 3, 6):
        overwrite(files, name_of(1), at(batch), b"\xff")
    text = refused(files)
    assert "batches 2 to 3 cannot" in text
    assert "batch 6 cannot" in text
    assert "/q (messages 1 to 2, 5)" in text


def test_the_last_two_damaged_are_found_by_a_header(files):
    filled(files, 6)
    overwrite(files, name_of(1), at(5) + 100, b"\xff")
    overwrite(files, name_of(1), at(6) + 100, b"\xff")
    assert "batch 5 cannot" in refused(files)


def test_the_end_of_a_file_that_is_not_the_last(files):
    filled(files, 30)
    overwrite(files, name_of(1), at(11), bytes(2 * SECTOR))
    text = refused(files)
    assert name_of(1) in text
    assert "/q (messages" in text


def test_a_missing_file_in_the_middle(files):
    filled(files, 50)
    files.directory("journal").remove(name_of(2))
    text = refused(files)
    assert f"{name_of(2)}, byte 0: the file is missing" in text
    assert "/q (messages 12 to 22)" in text or "/q (messages" in text


def test_a_missing_first_file(files):
    filled(files, 50)
    files.directory("journal").remove(name_of(1))
    assert f"{name_of(1)}, byte 0: the file is missing" in refused(files)


def test_a_missing_last_file_before_a_prepared_one(files):
    writer = filled(files, 8)
    do(writer.journal.prepare())
    writer.commit_each({index: bytes(400) for index in range(8, 20)})
    do(writer.journal.prepare())
    files.directory("journal").remove(name_of(2))
    assert f"{name_of(2)}, byte 0: the file is missing" in refused(files)


def test_damage_to_segments_says_what_can_be_done(files):
    filled(files, 3)
    files.directory("segments").remove("inventory")
    text = refused(files)
    assert text.startswith("disk/segments/inventory is missing")
    assert text.endswith("`amqpd store repair disk`")


def test_all_files_missing(files):
    filled(files, 3)
    journal = files.directory("journal")
    for name in journal.names():
        journal.remove(name)
    text = refused(files)
    assert "journal/first, byte 0: is missing" in text
    assert "no file of the journal is in use" in text


def test_many_files_missing_are_one_damage(files):
    """A name that somebody else gave must not have us look for all the numbers before it."""
    filled(files, 3)
    journal = files.directory("journal")
    journal.create(f"{10**18:020}.jrn").extend(SMALL)
    text = refused(files)
    assert f"{name_of(2)}, byte 0: all files from here to {10**18 - 1} are missing" in text


def test_names_of_others_are_left_alone(files):
    filled(files, 3)
    journal = files.directory("journal")
    strange = {f"{10**20 - 1}.jrn", f"{name_of(1)}.bak", "notes", "spare-x.jrn"}
    for name in strange:
        journal.create(name)
    assert len(messages_of(opened(files, 2))) == 3
    assert strange < set(journal.names())


def test_a_damaged_start_behind_a_stop(files):
    filled(files, 3).stop()
    writer = Writer(opened(files, 2).journal)
    writer.commit_each(dict.fromkeys(range(3, 7), b"x"))
    number = writer.journal.file
    overwrite(files, name_of(number), SECTOR + 50, b"\xff")
    assert f"{name_of(number)}, byte {SECTOR}: batch" in refused(files)


@pytest.mark.parametrize("count", [3, 30])
def test_a_damaged_file_header(files, count):
    filled(files, count)
    overwrite(files, name_of(1), 33, b"\xff")
    text = refused(files)
    assert f"{name_of(1)}, byte 0: the file's header is damaged" in text


def test_a_header_and_a_batch_damaged_in_the_last_file(files):
    filled(files, 6)
    overwrite(files, name_of(1), 0, bytes(SECTOR))
    overwrite(files, name_of(1), at(3), b"\xff")
    text = refused(files)
    assert "header is damaged" in text
    assert "batch" in text


@pytest.mark.parametrize("size", [0, 100, SECTOR, SECTOR * 3])
def test_a_file_that_was_cut(files, size):
    filled(files, 6)
    file = files.directory("journal").open(name_of(1))
    file.truncate(size)
    text = refused(files)
    assert name_of(1) in text
    assert "cut" in text or "header" in text


def test_a_prepared_file_that_was_cut(files):
    writer = filled(files, 8)
    do(writer.journal.prepare())
    files.directory("journal").open(name_of(2)).truncate(10)
    assert f"{name_of(2)}, byte 10: the file was cut" in refused(files)


def test_files_of_another_node(files):
    filled(files, 3)
    other = Disk().files()
    store = opened(other, 99)
    data = other.directory("journal").open(name_of(1)).read(0, SECTOR)
    overwrite(files, name_of(1), 0, data)
    with pytest.raises(StorageError, match=f"belongs to node {store.node_id.hex()}, and this is node"):
        opened(files)


def test_a_newer_format(files):
    store = opened(files)
    header = FileHeader(JOURNAL, store.node_id, 1, 0, 0, SMALL, version=2)
    overwrite(files, name_of(1), 0, header.encode())
    with pytest.raises(VersionError, match="has format version 2, and this amqpd knows version 1"):
        opened(files)


def test_a_newer_format_of_the_node(files):
    store = opened(files)
    file = files.open("node")
    file.write(0, [FileHeader(NODE, store.node_id, 0, version=3).encode()])
    with pytest.raises(VersionError, match="node has format version 3"):
        opened(files)


def test_the_node_file_damaged_or_missing(files):
    opened(files)
    file = files.open("node")
    file.write(20, [b"?"])
    assert "disk/node is damaged" in refused(files)
    files.remove("node")
    assert "disk/node is missing" in refused(files)


def test_a_directory_missing(files):
    opened(files)
    files.rename("journal", "elsewhere")
    assert "disk/journal is missing" in refused(files)


def test_records_that_make_no_sense(files):
    for write in (
        lambda journal: journal.settle(7, [1, 2]),  # a ref that nobody introduced
        lambda journal: journal.out.write(b"short"),
        lambda journal: (journal.group(1, QUEUE, 0, b"x"), journal.settle(1, [2, 1])),
        lambda journal: (journal.group(1, QUEUE, 0, b"x"), journal.settle(1, [2])),
        lambda journal: journal.group(1, b"short", 0, b""),
        lambda journal: (journal.group(1, QUEUE, 0, b"x"), journal.entry_in_many([1, 5], [0, 0], 0, 0)),
        lambda journal: journal.out.write(b"\0\0\0\0\x63" + bytes(21)),
    ):
        machine = Disk().files()
        journal = opened(machine).journal
        journal.begin()
        write(journal)
        journal.records = max(journal.records, 1)
        do(journal.seal())
        with pytest.raises(DamagedError, match=r"batch 1 is not well-formed, although its checksum is right"):
            opened(machine, 2)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_flipped_bit_is_found_or_does_no_harm(data):
    """Anywhere in the files in use: all comes back, or the node does not start, or only the very last batch is cut."""
    machine = _several_files()
    expected = messages_of(opened(machine.copy().files(), 2))
    number = data.draw(st.integers(1, 3))
    content = machine.content(f"journal/{name_of(number)}")
    offset = data.draw(st.integers(0, len(content.live) - 1))
    machine.flip(f"journal/{name_of(number)}", offset, data.draw(st.integers(0, 7)))
    try:
        found = messages_of(opened(machine.files(), 2))
    except (DamagedError, VersionError, KeyMissingError):
        return
    assert found in (expected, expected[:-1])
    if found != expected:
        assert number == 3


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_cut_file_is_found(data):
    machine = _several_files()
    number = data.draw(st.integers(1, 3))
    path = f"journal/{name_of(number)}"
    machine.cut(path, data.draw(st.integers(0, len(machine.content(path).live) - 1)))
    with pytest.raises(DamagedError):
        opened(machine.files(), 2)


def _several_files() -> Disk:
    machine = Disk()
    writer = filled(machine.files(), 15, 500)
    machine.settle()
    assert writer.journal.file == 3
    return machine


# For tools.


def test_a_scan_of_a_running_node_sees_a_torn_batch_at_worst(files):
    writer = filled(files, 3)
    writer.entry(3, b"x" * 600)
    batch = writer.journal.seal()
    batch.run()
    overwrite(files, name_of(1), batch._offset + SECTOR, bytes(SECTOR))
    scan = Scan(files.directory("journal"), writer.journal._node_id, None)
    events = list(scan.events())
    assert [type(event) for event in events] == [FoundBatch] * 4 + [Torn]
    assert scan.sequence == 4


def test_a_scan_goes_on_behind_damage(files):
    writer = filled(files, 30)
    overwrite(files, name_of(1), at(3), b"\xff")
    events = list(Scan(files.directory("journal"), writer.journal._node_id, None).events())
    found = [event.sequence for event in events if isinstance(event, FoundBatch)]
    assert found == [0, 1, 2, *range(4, 31)]
    assert [(event.first, event.last) for event in events if isinstance(event, Damage)] == [(3, 3)]


def test_the_first_pass_alone(files):
    writer = filled(files, 3)
    scan, contents, torn = read_journal(files.directory("journal"), writer.journal._node_id, None, "dir")
    assert contents.logs[LOG].entries == 3
    assert contents.records == 5
    assert [found.number for found in scan.used()] == [1]
    assert torn == []
    assert opening.read_node_id(files) == writer.journal._node_id


# Encryption.

ONE = "01 " + "11" * 32
TWO = "02 " + "22" * 32


@pytest.fixture
def cipher(tmp_path):
    def make(*lines: str) -> Cipher:
        path = tmp_path / "keys"
        path.write_text("\n".join(lines))
        path.chmod(0o600)
        return Cipher(str(path))

    return make


def test_nothing_can_be_read_without_the_key(disk, files, cipher):
    keys = cipher(ONE)
    store = opened(files, cipher=keys)
    Writer(store.journal).commit_each({1: b"a secret message", 2: b"another"})
    assert not any(b"secret" in data or b"/q" in data for data in disk.state().values())
    assert messages_of(opened(files, 2, cipher=keys)) == [(1, b"a secret message"), (2, b"another")]
    with pytest.raises(KeyMissingError, match="is encrypted with key 01, and no key file is configured"):
        opened(files, 3)
    with pytest.raises(KeyMissingError, match="is encrypted with key 01, which is not in "):
        opened(files, 3, cipher=cipher(TWO))


def test_another_key_under_the_same_id(files, cipher):
    opened(files, cipher=cipher(ONE))
    with pytest.raises(DamagedError, match="the key file has another key under the id"):
        opened(files, 2, cipher=cipher("01 " + "33" * 32))


def test_keys_are_changed_without_a_stop(tmp_path, files, cipher):
    keys = cipher(ONE)
    store = opened(files, cipher=keys)
    writer = Writer(store.journal)
    writer.commit_each({1: b"one"})
    cipher(TWO, ONE)
    keys.reload()
    store.journal.rotate()
    writer.commit_each({2: b"two"})
    header = Scan(files.directory("journal"), store.node_id, keys).files[1].header
    assert header.key_id == keys.current
    assert [message for _, message in messages_of(opened(files, 2, cipher=keys))] == [b"one", b"two"]


def test_a_plain_store_is_encrypted_from_the_next_start_on(files, cipher):
    filled(files, 3)
    keys = cipher(ONE)
    Writer(opened(files, 2, cipher=keys).journal).commit_each({9: b"new"})
    assert len(messages_of(opened(files, 3, cipher=keys))) == 4


def test_the_same_number_and_text_never_give_the_same_bytes(disk, files, cipher):
    """A file that is used again has another salt, hence another key."""
    keys = cipher(ONE)
    store = opened(files, cipher=keys)
    writer = Writer(store.journal)
    seen = set()
    for index in range(40):
        store.journal.rotate()
        writer.commit_each({7: b"the same text" * 5})
        while store.journal.files > 1:
            do(store.journal.free(store.journal.oldest()))
        content = disk.content(path_of(store.journal.file))
        seen.add(bytes(content.live[SECTOR + 40 : 2 * SECTOR]))
        assert len(seen) == index + 1


def test_damage_in_an_encrypted_journal(files, cipher):
    keys = cipher(ONE)
    Writer(opened(files, cipher=keys).journal).commit_each(dict.fromkeys(range(5), b"x" * 50))
    overwrite(files, name_of(1), at(2) + 60, b"\xff\xff")
    text = refused(files, cipher=keys)
    assert "batch 2 cannot be read" in text
    assert "/q (messages 1)" in text
