"""A node's messages across restarts, on a full disk, on a broken one, and when it may not start."""

import os
import subprocess
import sys
import threading

import pytest
import trio
from harness import m, publish
from operating import running
from peer import Peer, until

from amqpd.app import error_in
from amqpd.broker.ports import Job
from amqpd.errors import (
    AmqpdError,
    ConfigError,
    DamagedError,
    KeyMissingError,
    StorageError,
    StorageFullError,
    VersionError,
)
from amqpd.runtime.datadir import DataDir
from amqpd.store import format as form
from amqpd.store.files import DiskFile


async def open_queue(broker, name="q"):
    """A client in confirm mode, and a durable queue."""
    peer = await Peer.connect(broker)
    await peer.call(m("confirm.select"))
    await peer.call(m("queue.declare", queue=name, durable=True))
    return peer


async def keep(peer, *bodies, mode=2):
    """Publish, and wait for the confirms."""
    for body in bodies:
        await peer.send(publish(body, delivery_mode=mode))
    PUBLISHED[peer] = PUBLISHED.get(peer, 0) + len(bodies)
    while (await peer.expect("basic.ack")).delivery_tag < PUBLISHED[peer]:
        pass


PUBLISHED = {}


async def fetch(peer, name="q"):
    """All that is ready: (body, redelivered)."""
    found = []
    while True:
        await peer.send(m("basic.get", queue=name, no_ack=True))
        event = await peer.next()
        if event.name == "basic.get-empty":
            return found
        found.append((event.body, event.redelivered))


async def after_restart(path, **settings):
    async with running(path, **settings) as broker:
        peer = await Peer.connect(broker)
        found = await fetch(peer)
        await peer.close()
        return found


@pytest.fixture(autouse=True)
def _hang_up():
    yield
    Peer.hang_up_all()
    PUBLISHED.clear()


# -- restarts


async def test_persistent_messages_come_back_in_order_and_transient_ones_do_not(tmp_path):
    async with running(tmp_path) as broker:
        peer = await open_queue(broker)
        await keep(peer, b"1", b"2")
        await keep(peer, b"transient", mode=1)
        await keep(peer, b"3")
        await peer.close()
    assert await after_restart(tmp_path) == [(b"1", False), (b"2", False), (b"3", False)]
    assert await after_restart(tmp_path) == []


async def test_what_was_delivered_before_an_orderly_stop_is_redelivered(tmp_path):
    async with running(tmp_path) as broker:
        peer = await open_queue(broker)
        await keep(peer, b"seen", b"new")
        await peer.send(m("basic.get", queue="q"))
        assert (await peer.next()).body == b"seen"
        await peer.close()
    assert await after_restart(tmp_path) == [(b"seen", True), (b"new", False)]


async def test_after_any_other_end_everything_is_redelivered(tmp_path):
    with trio.CancelScope() as everything:
        async with running(tmp_path) as broker:
            await keep(await open_queue(broker), b"1", b"2")
            everything.cancel()
    assert await after_restart(tmp_path) == [(b"1", True), (b"2", True)]


async def test_a_queue_that_was_declared_again_has_nothing_of_its_predecessor(tmp_path):
    async with running(tmp_path) as broker:
        peer = await open_queue(broker)
        await keep(peer, b"old")
        await peer.call(m("queue.delete", queue="q"))
        await peer.call(m("queue.declare", queue="q", durable=True))
        await keep(peer, b"new")
        await peer.close()
    assert await after_restart(tmp_path) == [(b"new", False)]


async def test_a_small_memory_keeps_all_messages(tmp_path):
    bodies = [bytes([number]) * 1000 for number in range(200)]
    async with running(tmp_path, message_memory=65_536) as broker:
        peer = await open_queue(broker)
        await keep(peer, *bodies)
        await until(lambda: broker.node.messages.report()["segment_bytes"] > 0)
        await peer.close()
    found = await after_restart(tmp_path, message_memory=65_536)
    assert [body for body, _redelivered in found] == bodies


async def test_a_journal_larger_than_memory_is_restored(tmp_path, monkeypatch):
    """What the journal has goes to pages while it is read, and those are written before the next are made."""
    monkeypatch.setattr("amqpd.broker.persistence.restoring._PENDING_MAX", 10_000)
    monkeypatch.setattr("amqpd.broker.persistence.restoring._OPEN_MAX", 20_000)
    bodies = [bytes([number]) * 1000 for number in range(200)]
    with trio.CancelScope() as everything:
        async with running(tmp_path) as broker:
            await keep(await open_queue(broker), *bodies)
            everything.cancel()
    found = await after_restart(tmp_path, message_memory=65_536)
    assert found == [(body, True) for body in bodies]


async def test_transactions_are_answered_when_they_are_on_disk(tmp_path):
    with trio.CancelScope() as everything:
        async with running(tmp_path) as broker:
            peer = await Peer.connect(broker)
            await peer.call(m("queue.declare", queue="q", durable=True))
            await peer.call(m("tx.select"))
            await peer.send(publish(b"1", delivery_mode=2))
            await peer.send(publish(b"2", delivery_mode=2))
            await peer.call(m("tx.commit"))
            everything.cancel()
    assert await after_restart(tmp_path) == [(b"1", True), (b"2", True)]


# -- the disk does not take it


class Disk:
    """Has syncs wait for the gate, and writes to the journal fail."""

    def __init__(self, monkeypatch):
        self.failure = None
        self.gate = threading.Event()
        self.gate.set()
        sync, write = DiskFile.sync, DiskFile.write

        def slow_sync(file):
            assert self.gate.wait(30)
            return sync(file)

        def failing_write(file, offset, parts):
            if self.failure is not None and file.path.endswith(".jrn"):
                raise self.failure
            return write(file, offset, parts)

        monkeypatch.setattr(DiskFile, "sync", slow_sync)
        monkeypatch.setattr(DiskFile, "write", failing_write)


@pytest.fixture
def disk(monkeypatch):
    disk = Disk(monkeypatch)
    yield disk
    disk.gate.set()


async def test_a_confirm_waits_for_the_disk_and_others_do_not(tmp_path, disk):
    async with running(tmp_path) as broker:
        peer, other = await open_queue(broker), await Peer.connect(broker)
        disk.gate.clear()
        await peer.send(publish(b"1", delivery_mode=2))
        await other.call(m("queue.declare", queue="transient", exclusive=True))
        with trio.move_on_after(0.05):
            await peer.next()
            raise AssertionError("it was confirmed")
        assert broker.node.messages.report()["unsynced_bytes"] > 0
        disk.gate.set()
        await peer.expect("basic.ack")


EIO = StorageError("/data/1.jrn: write failed: EIO (Input/output error): check the disk")


async def test_a_broken_disk_ends_the_node_and_confirms_nothing(tmp_path, disk):
    with pytest.RaisesGroup(pytest.RaisesExc(StorageError, match="EIO"), flatten_subgroups=True):
        async with running(tmp_path) as broker:
            peer = await open_queue(broker)
            await keep(peer, b"kept")
            disk.failure = EIO
            await peer.send(publish(b"lost", delivery_mode=2))
            with pytest.raises((trio.EndOfChannel, trio.BrokenResourceError)):
                raise AssertionError(await peer.next())
            await trio.sleep_forever()
    disk.failure = None
    assert await after_restart(tmp_path) == [(b"kept", True)]


async def test_a_full_disk_blocks_publishers_until_there_is_room(tmp_path, disk, monkeypatch):
    monkeypatch.setattr("amqpd.runtime.workers.RETRY_S", 0.01)
    async with running(tmp_path) as broker:
        alarms = broker.node.broker.alarms
        peer = await open_queue(broker)
        disk.failure = StorageFullError("/data/1.jrn: write failed: ENOSPC (No space left on device): make space")
        await peer.send(publish(b"1", delivery_mode=2))
        await until(lambda: alarms.sources("disk") == ["journal"])
        await peer.send(publish(b"2", delivery_mode=2))
        assert (await peer.expect("connection.blocked")).reason == "low on disk"
        disk.failure = None
        assert {(await peer.next()).name for _ in range(2)} == {"connection.unblocked", "basic.ack"}
        assert not alarms.active
        await peer.expect("basic.ack")
        await peer.close()
    assert await after_restart(tmp_path) == [(b"1", False), (b"2", False)]


async def test_a_node_on_a_full_disk_can_be_stopped(tmp_path, disk):
    with pytest.RaisesGroup(pytest.RaisesExc(StorageFullError), flatten_subgroups=True):
        async with running(tmp_path) as broker:
            peer = await open_queue(broker)
            await keep(peer, b"kept")
            disk.failure = StorageFullError("/data/1.jrn: write failed: ENOSPC (No space left on device): make space")
            await peer.send(publish(b"never confirmed", delivery_mode=2))
            await until(lambda: broker.node.broker.alarms.active)
    disk.failure = None
    assert await after_restart(tmp_path) == [(b"kept", True)]


async def test_little_free_space_blocks_publishers(tmp_path):
    async with running(tmp_path, disk_free_limit=2**62) as broker:
        alarms = broker.node.broker.alarms
        assert alarms.sources("disk") == ["free space"]
        broker.node.disk.configure(1)
        await until(lambda: not alarms.active)


class Bug(Job):
    """Work that was done, and what follows it is wrong."""

    def run(self):
        pass

    def finish(self):
        raise KeyError("ref")


async def test_a_bug_when_work_is_finished_ends_the_node(tmp_path):
    with pytest.RaisesGroup(pytest.RaisesExc(StorageError, match="internal error"), flatten_subgroups=True):
        async with running(tmp_path) as broker:
            broker.node.messages.workers.committer.submit(Bug())
            await trio.sleep_forever()


# -- what stops a start


@pytest.fixture
async def stored(tmp_path):
    """A data directory with a message."""
    async with running(tmp_path) as broker:
        peer = await open_queue(broker)
        await keep(peer, b"1")
        await peer.close()
    return tmp_path


async def refused(path, kind, **settings):
    """Why a node does not start; in one line."""
    try:
        async with running(path, **settings):
            raise AssertionError("it has started")
    except AmqpdError as found:
        error = found
    except BaseExceptionGroup as group:
        error = error_in(group)
    assert type(error) is kind, error
    assert "\n" not in str(error)
    return str(error)


def journal_of(path):
    return sorted((path / "messages" / "journal").glob("0*.jrn"))[0]


def keys_in(path, *lines):
    path.touch(0o600)
    path.write_text("".join(f"{line}\n" for line in lines))
    return str(path)


async def test_a_damaged_journal(stored):
    file = journal_of(stored)
    data = bytearray(file.read_bytes())
    data[data.index(b"/q")] ^= 0xFF  # the label of the queue, within the batch of its message
    file.write_bytes(data)
    text = await refused(stored, DamagedError)
    assert str(file) in text
    assert "amqpd store repair" in text
    assert file.read_bytes() == data


async def test_a_newer_format(stored):
    file = stored / "messages" / "node"
    header = form.decode_header(file.read_bytes(), form.NODE)
    file.write_bytes(form.FileHeader(form.NODE, header.node_id, 0, version=form.VERSION + 1).encode())
    text = await refused(stored, VersionError)
    assert text.startswith(f"{file} has format version {form.VERSION + 1}")


async def test_messages_without_definitions(stored):
    for file in stored.glob("definitions.sqlite*"):
        file.unlink()
    text = await refused(stored, ConfigError)
    assert text.startswith(f"{stored / 'messages'} has messages, and the definitions of their queues are gone")


async def test_a_second_node_on_the_same_directory(stored):
    held = DataDir(stored)
    try:
        text = await refused(stored, ConfigError)
    finally:
        held.close()
    assert f"in use by another node (process {os.getpid()})" in text


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_data_directory_that_cannot_be_written_to(tmp_path):
    tmp_path.chmod(0o500)
    try:
        assert "Permission denied" in await refused(tmp_path, ConfigError)
    finally:
        tmp_path.chmod(0o700)


async def test_messages_that_cannot_be_opened(stored):
    """What makes a directory unusable for root as well: it is a file."""
    folder = stored / "messages" / "segments"
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    folder.touch()
    text = await refused(stored, StorageError)
    assert str(folder) in text


KEY_1, KEY_2 = "a1 " + "11" * 32, "b2 " + "22" * 32


async def test_encrypted_messages_need_their_key_and_keys_can_change(tmp_path):
    keys = tmp_path / "keys"
    options = {"encryption__key_file": keys_in(keys, KEY_1)}
    data = tmp_path / "data"
    async with running(data, **options) as broker:
        await keep(await open_queue(broker), b"top secret")
    assert b"top secret" not in journal_of(data).read_bytes()
    text = await refused(data, KeyMissingError)
    assert "is encrypted with key a1, and no key file is configured" in text
    keys_in(keys, KEY_2)
    assert f"key a1, which is not in {keys}" in await refused(data, KeyMissingError, **options)
    keys_in(keys, KEY_2, KEY_1)
    assert await after_restart(data, **options) == [(b"top secret", False)]


async def test_a_new_key_is_used_without_a_restart(tmp_path, caplog):
    caplog.set_level("INFO", logger="amqpd.store")
    keys = tmp_path / "keys"
    async with running(tmp_path / "data", encryption__key_file=keys_in(keys, KEY_1)) as broker:
        messages = broker.node.messages
        assert messages.key_files() == [keys]
        peer = await open_queue(broker)
        await keep(peer, b"1")
        messages.reload_keys()
        assert "new files" not in caplog.text
        await keep(peer, b"2")
        assert journal_keys(tmp_path / "data") == ["a1"]
        keys_in(keys, KEY_2, KEY_1)
        messages.reload_keys()
        assert "new files are encrypted with key b2" in caplog.text
        await keep(peer, b"3")
        assert journal_keys(tmp_path / "data") == ["a1", "b2"]
        keys_in(keys, "b2 x")
        with pytest.raises(ConfigError):
            messages.reload_keys()
        await peer.close()
    keys_in(keys, KEY_2, KEY_1)
    found = await after_restart(tmp_path / "data", encryption__key_file=str(keys))
    assert found == [(b"1", False), (b"2", False), (b"3", False)]


def journal_keys(data):
    """The keys of the journal's files in use, oldest first."""
    sectors = [path.read_bytes()[: form.SECTOR] for path in sorted((data / "messages/journal").glob("0*.jrn"))]
    headers = [form.decode_header(sector, form.JOURNAL) for sector in sectors]
    return [header.key_id.rstrip(b"\0").hex() for header in headers if header is not None]


@pytest.mark.parametrize("lines", [[], ["nonsense"]])
async def test_a_key_file_without_a_good_key(tmp_path, lines):
    keys = tmp_path / "keys"
    text = await refused(tmp_path / "data", ConfigError, encryption__key_file=keys_in(keys, *lines))
    assert str(keys) in text


def test_a_program_that_may_not_start_says_so_in_a_line_and_with_exit_code_1(tmp_path):
    (tmp_path / "messages").mkdir()
    (tmp_path / "messages" / "journal").mkdir()
    command = [sys.executable, "-m", "amqpd", "--listen", "127.0.0.1:0", "--data-dir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    [line] = [line for line in done.stderr.splitlines() if line.startswith("amqpd:")]
    assert line.startswith(f"amqpd: {tmp_path / 'messages' / 'node'} is missing")
    assert "Traceback" not in done.stderr
