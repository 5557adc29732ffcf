"""Online backups: one moment of a node that goes on, and what becomes of one that fails."""

import errno
import os

import pytest
import trio
from harness import m, publish
from maintenance.building import SMALL, drained, journal_files, segment_files
from maintenance.test_checking import check, waiting
from operating import operator_of, running
from peer import Peer, until

from amqpd.maintenance import copying
from amqpd.maintenance.restore import restore


@pytest.fixture(autouse=True)
def _hang_up():
    yield
    Peer.hang_up_all()


async def confirming(broker, *queues):
    peer = await Peer.connect(broker)
    await peer.call(m("confirm.select"))
    for queue in queues:
        await peer.call(m("queue.declare", queue=queue, durable=True))
    return peer


async def keep(peer, number, method):
    await peer.send(method)
    while (await peer.expect("basic.ack")).delivery_tag < number:
        pass


async def backup(broker, path):
    async with operator_of(broker) as operator:
        return await operator.ask("backup", path=str(path))


async def refused(broker, path):
    async with operator_of(broker) as operator:
        return await operator.refused("backup", path=str(path))


def pins(broker):
    messages = broker.node.messages
    return messages.keeper.pins, messages._store.segments.pins


class Gate:
    """Holds up the copying of a backup after its moment, until it is opened."""

    def __init__(self, monkeypatch):
        self.reached = trio.Event()
        self.open = trio.Event()
        self.token = trio.lowlevel.current_trio_token()
        self.inner = copying.Copier.step
        self.first = True
        monkeypatch.setattr(copying.Copier, "step", lambda copier: self.step(copier))

    def step(self, copier):
        if self.first:
            self.first = False
            trio.from_thread.run_sync(self.reached.set)
            trio.from_thread.run(self.open.wait)
        return self.inner(copier)


async def test_a_backup_has_definitions_and_messages_and_can_be_restored(tmp_path):
    async with running(tmp_path / "data") as broker:
        peer = await confirming(broker, "q", "small")
        await keep(peer, 1, publish(b"one", delivery_mode=2))
        await keep(peer, 2, publish(b"two", "small", delivery_mode=2))
        answer = await backup(broker, tmp_path / "backup")
        assert answer["files"] == len([file for file in (tmp_path / "backup").rglob("*") if file.is_file()]) - 1
        await peer.close()
    restore(tmp_path / "backup", tmp_path / "new")
    assert check(tmp_path / "new").damages == []
    assert await trio.to_thread.run_sync(drained, tmp_path / "new") == {"q": [b"one"], "small": [b"two"]}


async def test_what_comes_after_the_moment_is_not_in_it(tmp_path, monkeypatch):
    async with running(tmp_path / "data") as broker:
        peer = await confirming(broker, "q", "small")
        await keep(peer, 1, publish(b"before", delivery_mode=2))
        gate = Gate(monkeypatch)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(backup, broker, tmp_path / "backup")
            await gate.reached.wait()
            await keep(peer, 2, publish(b"after", delivery_mode=2))
            await peer.call(m("queue.declare", queue="later", durable=True))
            await peer.call(m("queue.purge", queue="q"))
            await peer.call(m("queue.delete", queue="small"))
            gate.open.set()
        await peer.close()
    checked = check(tmp_path / "backup")
    assert sorted(checked.queues().values()) == ["//q", "//small"]
    assert waiting(checked) == {"//q": 1}


async def test_nothing_that_a_backup_needs_is_freed_while_it_is_made(tmp_path, monkeypatch):
    async with running(tmp_path / "data", **SMALL) as broker:
        peer = await confirming(broker, "q", "small")
        for number in range(400):
            await keep(peer, number + 1, publish(bytes(10_000), delivery_mode=2))
        await until(lambda: segment_files(tmp_path / "data"))
        gate = Gate(monkeypatch)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(backup, broker, tmp_path / "backup")
            await gate.reached.wait()
            needed = {*journal_files(tmp_path / "data"), *segment_files(tmp_path / "data")}
            await peer.call(m("queue.purge", queue="q"))
            for number in range(400, 800):
                await keep(peer, number + 1, publish(bytes(10_000), "small", delivery_mode=2))
            assert pins(broker) == (1, 1)
            there = {*journal_files(tmp_path / "data"), *segment_files(tmp_path / "data")}
            prepared = max(journal_files(tmp_path / "data"))
            assert needed - {prepared} <= there
            gate.open.set()
        assert pins(broker) == (0, 0)
        checked = await trio.to_thread.run_sync(check, tmp_path / "backup")
        assert (checked.damages, waiting(checked)) == ([], {"//q": 400})
        await keep(peer, 801, publish(b"on", delivery_mode=2))
        await until(lambda: needed - {*journal_files(tmp_path / "data")})
        await peer.close()


async def test_a_transaction_is_in_a_backup_as_a_whole_or_not_at_all(tmp_path):
    """Messages go from one queue to the other, each move a transaction: there are always as many."""
    async with running(tmp_path / "data") as broker:
        peer = await confirming(broker, "q", "small")
        for number in range(20):
            await keep(peer, number + 1, publish(b"%d" % number, delivery_mode=2))
        mover = await Peer.connect(broker)
        await mover.call(m("tx.select"))
        done = trio.Event()

        async def move():
            there, back = "q", "small"
            while not done.is_set():
                await mover.send(m("basic.get", queue=there))
                event = await mover.next()
                if event.name == "basic.get-empty":
                    there, back = back, there
                    continue
                await mover.send(publish(event.body, back, delivery_mode=2))
                await mover.send(m("basic.ack", delivery_tag=event.delivery_tag))
                await mover.call(m("tx.commit"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(move)
            for number in range(5):
                await backup(broker, tmp_path / f"backup{number}")
            done.set()
        await mover.close()
        await peer.close()
    for number in range(5):
        checked = check(tmp_path / f"backup{number}")
        assert checked.damages == []
        assert sum(waiting(checked).values()) == 20


async def test_a_full_disk_is_told_and_the_node_goes_on(tmp_path, monkeypatch):
    async with running(tmp_path / "data") as broker:
        peer = await confirming(broker, "q")
        await keep(peer, 1, publish(b"one", delivery_mode=2))
        inner = copying.FileCopy._copy_chunk

        def full(self):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(copying.FileCopy, "_copy_chunk", full)
        assert "free space on that file system" in await refused(broker, tmp_path / "backup")
        assert not (tmp_path / "backup").exists()
        assert pins(broker) == (0, 0)
        monkeypatch.setattr(copying.FileCopy, "_copy_chunk", inner)
        await keep(peer, 2, publish(b"two", delivery_mode=2))
        await backup(broker, tmp_path / "backup")
        await peer.close()
    assert waiting(check(tmp_path / "backup")) == {"//q": 2}


async def test_definitions_that_cannot_be_copied_are_told_and_the_node_goes_on(tmp_path, monkeypatch):
    async with running(tmp_path / "data") as broker:
        path = tmp_path / "backup"
        copy = broker.node.catalogue.copy

        def to_a_place_that_is_taken(target):
            target.mkdir()
            return copy(target)

        monkeypatch.setattr(broker.node.catalogue, "copy", to_a_place_that_is_taken)
        assert "cannot be copied to" in await refused(broker, path)
        monkeypatch.undo()
        peer = await confirming(broker, "q")
        await peer.close()
        assert pins(broker) == (0, 0)
        assert not path.exists()


async def test_one_backup_at_a_time_and_none_into_what_is_there(tmp_path, monkeypatch):
    async with running(tmp_path / "data") as broker:
        (tmp_path / "full").mkdir()
        (tmp_path / "full" / "file").touch()
        assert "is not empty" in await refused(broker, tmp_path / "full")
        assert (tmp_path / "full" / "file").exists()
        assert "node's own directory" in await refused(broker, tmp_path / "data" / "backup")
        (tmp_path / "link").symlink_to(tmp_path / "data")
        assert "node's own directory" in await refused(broker, tmp_path / "link" / "backup")
        assert "node's own directory" in await refused(broker, tmp_path / "full" / ".." / "data" / "backup")
        assert "absolute" in await refused(broker, "backup")
        gate = Gate(monkeypatch)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(backup, broker, tmp_path / "backup")
            await gate.reached.wait()
            assert "one at a time" in await refused(broker, tmp_path / "other")
            gate.open.set()
    assert not (tmp_path / "other").exists()


async def test_a_backup_during_an_import_waits_for_its_end(tmp_path):
    async with running(tmp_path / "data") as broker:
        writer = broker.node.catalogue
        writer.hold()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(backup, broker, tmp_path / "backup")
            peer = await Peer.connect(broker)
            await peer.send(m("queue.declare", queue="q", durable=True))
            await until(lambda: writer.recorded > writer.stored)
            assert pins(broker) == (0, 0)
            writer.release()
            await peer.expect("queue.declare-ok")
        await peer.close()
    assert sorted(check(tmp_path / "backup").queues().values()) == ["//q"]


async def test_a_node_that_stops_gives_its_backup_up(tmp_path, monkeypatch):
    begun = trio.Event()

    def never_done(copier):
        trio.from_thread.run_sync(begun.set)
        return True

    monkeypatch.setattr(copying.Copier, "step", never_done)
    async with trio.open_nursery() as nursery:

        async def ask(broker):
            with pytest.raises(trio.EndOfChannel):
                await backup(broker, tmp_path / "backup")

        async with running(tmp_path / "data") as broker:
            nursery.start_soon(ask, broker)
            await begun.wait()
    assert not (tmp_path / "backup").exists()
    assert check(tmp_path / "data").damages == []
