"""Checking: what is counted, and every damage by its place, with whose messages that concerns."""

import sqlite3
import threading

import pytest
import trio
from harness import m, publish
from maintenance.building import (
    SMALL,
    WAITING,
    cut,
    flip,
    journal_files,
    segment_files,
    tree,
)
from operating import running
from peer import Peer

from amqpd.errors import ConfigError, KeyMissingError, StorageError
from amqpd.maintenance import checking
from amqpd.maintenance.directory import NodeDirectory


def check(path, key_file=""):
    directory = NodeDirectory(path, str(key_file))
    try:
        return checking.check(directory)
    finally:
        directory.close()


def waiting(checked):
    return {each.name: each.messages for each in checked.waiting.values()}


def damages(path):
    return [(damage.path.rsplit("/", 1)[1], damage.offset) for damage in check(path).damages]


def test_a_sound_store_is_counted_and_not_changed(data_dir):
    before = tree(data_dir)
    checked = check(data_dir)
    assert checked.damages == []
    assert waiting(checked) == WAITING
    assert all(each.defined for each in checked.waiting.values())
    assert {each.name: each.bytes for each in checked.waiting.values()}["//small"] == 6
    assert checked.journal.torn == []
    assert len(checked.journal.scan.used()) == len(journal_files(data_dir))
    assert checked.segments.files == 1
    assert checked.keys() == {bytes(16): len(journal_files(data_dir)) + 1}
    assert tree(data_dir) == before


def test_messages_may_be_meant_instead_of_their_data_directory(data_dir):
    assert waiting(check(data_dir / "messages")) == WAITING


def test_a_damaged_batch_is_named_with_its_messages(data_dir):
    checked = check(data_dir)
    file = checked.journal.scan.used()[0]
    flip(journal_files(data_dir)[0], 512 + 40 + 26 + 5000)
    (damage,) = check(data_dir).damages
    assert (damage.path, damage.offset) == (file.path, 512)
    assert f"batch {file.header.sequence} " in damage.problem
    assert "//q" in damage.messages
    assert damage.messages["//q"].count() == 1
    assert damage.concerned().startswith("//q (messages ")


def test_what_follows_a_damaged_batch_is_counted(data_dir):
    flip(journal_files(data_dir)[0], 512 + 40 + 26 + 5000)
    assert waiting(check(data_dir))["//q"] in (WAITING["//q"], WAITING["//q"] - 1)


@pytest.mark.parametrize(
    ("harm", "place"),
    [
        (lambda path: flip(journal_files(path)[0], 20), ("00000000000000000005.jrn", 0)),
        (lambda path: journal_files(path)[0].unlink(), ("00000000000000000005.jrn", 0)),
        (lambda path: flip(path / "messages/segments/inventory", 520), ("inventory", -1)),
        (lambda path: (path / "messages/segments/inventory").unlink(), ("inventory", -1)),
        (lambda path: (path / "messages/journal/first").unlink(), ("first", 0)),
        (lambda path: flip(path / "messages/node", 20), ("node", -1)),
        (lambda path: (path / "messages/node").unlink(), ("node", -1)),
        (lambda path: (path / "definitions.sqlite").unlink(), ("definitions.sqlite", -1)),
        (lambda path: segment_files(path)[0].unlink(), ("00000000000000000001.seg", -1)),
        (lambda path: flip(segment_files(path)[0], 20), ("00000000000000000001.seg", -1)),
        (lambda path: flip(segment_files(path)[0], 520), ("00000000000000000001.seg", 512)),
        (lambda path: flip(segment_files(path)[0], 9000), ("00000000000000000001.seg", 512)),
    ],
)
def test_each_kind_of_damage_is_found_where_it_is(data_dir, harm, place):
    names = {file.name for file in journal_files(data_dir)}
    assert place[0].endswith((".seg", "inventory", "first", "node", ".sqlite")) or place[0] in names
    harm(data_dir)
    assert place in damages(data_dir)


def test_damaged_messages_of_a_segment_are_named(data_dir):
    flip(segment_files(data_dir)[0], 9000)
    (damage,) = check(data_dir).damages
    assert list(damage.messages) == ["//q"]
    assert damage.messages["//q"].count() > 1
    assert "checksum" in damage.problem


def test_a_segment_that_was_cut_is_named_with_both_sizes(data_dir):
    file = segment_files(data_dir)[0]
    size = file.stat().st_size
    cut(file, size - 1000)
    assert f"it has {size - 1000} bytes, and had {size}" in str(check(data_dir).damages[0])


def test_a_write_that_was_cut_off_is_no_damage(data_dir):
    used = check(data_dir).journal.scan.used()[-1]
    flip(journal_files(data_dir)[-1], used.end - 512 + 30)  # of the last batch, with nothing behind it
    checked = check(data_dir)
    assert checked.damages == []
    assert [torn.path for torn in checked.journal.torn] == [used.path]


def test_a_damaged_database_is_named(data_dir):
    database = data_dir / "definitions.sqlite"
    size = database.stat().st_size
    with database.open("r+b") as file:
        file.seek(4096)
        file.write(bytes(size - 4096))
    checked = check(data_dir)
    assert {damage.path for damage in checked.damages} == {str(database)}


def test_messages_of_a_queue_that_is_not_defined_are_told_and_are_no_damage(data_dir):
    with sqlite3.connect(data_dir / "definitions.sqlite") as file:
        file.execute("DELETE FROM queues WHERE name = 'small'")
    file.close()
    checked = check(data_dir)
    assert checked.damages == []
    assert [each.name for each in checked.waiting.values() if each.defined is False] == ["//small"]


def test_encrypted_files_need_their_key(encrypted, key_file, tmp_path):
    with pytest.raises(KeyMissingError, match="no key file is configured"):
        check(encrypted)
    checked = check(encrypted, key_file)
    assert waiting(checked) == WAITING
    assert list(checked.keys()) == [b"\xa1" + bytes(15)]
    other = tmp_path / "other"
    other.touch(0o600)
    other.write_text("a1 " + "22" * 32)
    with pytest.raises(StorageError, match="another key under the id"):
        check(encrypted, other)


def test_damage_to_encrypted_messages_is_named(encrypted, key_file):
    flip(segment_files(encrypted)[0], 9000)
    (damage,) = check(encrypted, key_file).damages
    assert list(damage.messages) == ["//q"]


def test_what_is_no_data_directory_is_refused(tmp_path):
    with pytest.raises(StorageError, match="no such directory"):
        check(tmp_path / "none")
    with pytest.raises(StorageError, match="is no data directory"):
        check(tmp_path)
    (tmp_path / "messages").mkdir()
    with pytest.raises(ConfigError, match="key file"):
        NodeDirectory(tmp_path, str(tmp_path / "keys"))


def test_a_store_that_was_not_made_to_its_end_has_nothing_to_be_damaged(data_dir):
    messages = data_dir / "messages"
    (messages / "node").rename(messages / "node.new")
    (messages / "segments" / "inventory").unlink()
    checked = check(data_dir)
    assert (checked.damages, checked.waiting) == ([], {})


def test_a_node_that_never_had_a_message_is_sound(tmp_path):
    async def once():
        async with running(tmp_path):
            pass

    trio.run(once)
    assert (check(tmp_path).damages, waiting(check(tmp_path))) == ([], {})


async def test_a_running_node_that_is_written_to_is_sound(tmp_path):
    async with running(tmp_path, **SMALL) as broker:
        peer = await Peer.connect(broker)
        await peer.call(m("confirm.select"))
        await peer.call(m("queue.declare", queue="q", durable=True))
        found, done = [], threading.Event()

        def look():
            while not done.is_set():
                try:
                    found.append(check(tmp_path))
                except StorageError as error:
                    found.append(error)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, look)
            for number in range(300):
                await peer.send(publish(bytes(5000), delivery_mode=2))
                while (await peer.expect("basic.ack")).delivery_tag <= number:
                    pass
            done.set()
        await peer.close()
        last = check(tmp_path)
    assert last.running
    assert waiting(last) == {"//q": 300}
    for checked in found:
        if isinstance(checked, StorageError):  # where files went while they were read it says so
            assert "faster than it can be read" in str(checked)
        else:
            assert not checked.damages


def test_damage_on_a_running_node_is_found(data_dir, monkeypatch):
    flip(segment_files(data_dir)[0], 9000)
    directory = NodeDirectory(data_dir)
    directory.running = True
    assert len(checking.check(directory).damages) == 1
    directory.close()
