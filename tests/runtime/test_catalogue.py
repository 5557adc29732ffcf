"""The writer of definitions: many commands in one transaction, answers after it, nobody else waits."""

import logging
import threading

import pytest
import trio
from harness import World, m

from amqpd.broker.commands import PutQueue, PutVHost
from amqpd.errors import StorageError, StorageFullError
from amqpd.runtime import catalogue as module
from amqpd.runtime.catalogue import RETRY_S, Writer
from amqpd.runtime.driver import Driver


class Disk:
    """A store whose writes wait until they are let go, and fail as they are told."""

    def __init__(self, sequence=0):
        self.sequence = sequence
        self.batches = []
        self.failures = []
        self.closed = False
        self.open = threading.Event()
        self.open.set()
        self.busy = threading.Event()

    def apply(self, commands, sequence):
        self.busy.set()
        assert self.open.wait(10)
        self.busy.clear()
        if self.failures:
            raise self.failures.pop(0)
        self.batches.append([command.name for command in commands])
        self.sequence = sequence

    def close(self):
        self.closed = True


async def busy(disk):
    await trio.to_thread.run_sync(disk.busy.wait)


class Play:
    """A writer that runs, in front of a disk."""

    def __init__(self, nursery, disk):
        self.disk = disk
        self.writer = Writer(disk)
        self.world = World(self.writer)
        self.nursery = nursery
        self.stored = []

    async def start(self):
        driver = Driver(self.world.broker)
        self.nursery.start_soon(self.writer.run, driver)

    def command(self, name):
        """One method that declares something; True if it was answered at once."""
        self.writer.begin()
        self.writer.record(PutQueue("/", name))
        return self.writer.settle(lambda: self.stored.append(name))

    async def until(self, names):
        while self.stored != names:
            await trio.testing.wait_all_tasks_blocked()
            await trio.to_thread.run_sync(lambda: None)


async def test_an_answer_comes_after_the_disk(nursery):
    play = Play(nursery, Disk())
    play.disk.open.clear()
    await play.start()
    assert not play.command("a")
    await busy(play.disk)
    assert play.stored == []
    play.disk.open.set()
    await play.until(["a"])
    assert play.disk.batches == [["a"]]
    assert play.writer.stored == 1


async def test_what_comes_meanwhile_is_one_transaction(nursery):
    play = Play(nursery, Disk())
    play.disk.open.clear()
    await play.start()
    play.command("a")
    await busy(play.disk)
    for name in "bcd":
        play.command(name)
    play.disk.open.set()
    await play.until(["a", "b", "c", "d"])
    assert play.disk.batches == [["a"], ["b", "c", "d"]]
    assert play.disk.sequence == 4


async def test_what_needs_nothing_waits_for_nothing(nursery):
    play = Play(nursery, Disk())
    play.disk.open.clear()
    await play.start()
    play.command("a")
    play.writer.begin()
    assert play.writer.settle(lambda: play.stored.append("never"))
    play.writer.begin()
    play.writer.depend()
    assert not play.writer.settle(lambda: play.stored.append("too"))
    play.disk.open.set()
    await play.until(["a", "too"])


async def test_numbers_go_on_where_the_store_ends(nursery):
    play = Play(nursery, Disk(41))
    await play.start()
    play.writer.begin()
    assert play.writer.settle(lambda: None)
    play.command("a")
    await play.until(["a"])
    assert play.disk.sequence == 42


async def test_while_muted_nothing_is_recorded(nursery):
    play = Play(nursery, Disk())
    play.writer.muted = True
    assert play.command("a")
    play.writer.muted = False
    play.writer.close()
    assert play.disk.batches == []


async def test_what_is_held_together_is_stored_together(nursery):
    play = Play(nursery, Disk())
    await play.start()
    play.writer.hold()
    play.command("a")
    await trio.testing.wait_all_tasks_blocked()
    play.command("b")
    await trio.testing.wait_all_tasks_blocked()
    assert play.disk.batches == []
    play.writer.release()
    await play.until(["a", "b"])
    assert play.disk.batches == [["a", "b"]]


async def test_what_is_held_back_waits_and_what_came_before_does_not(nursery):
    play = Play(nursery, Disk())
    await play.start()
    play.command("a")
    play.command("b")
    assert play.writer.fence()
    assert not play.writer.fence()  # it is held back already
    play.command("c")
    assert play.writer.fence()
    await play.until(["a"])
    await trio.testing.wait_all_tasks_blocked()
    play.writer.lift()
    await play.until(["a", "b"])
    play.writer.lift()
    await play.until(["a", "b", "c"])
    assert play.disk.batches == [["a"], ["b"], ["c"]]
    assert not play.writer.fence()  # it is stored


async def test_what_is_held_back_does_not_divide_what_is_held_together(nursery):
    play = Play(nursery, Disk())
    await play.start()
    play.command("a")
    play.writer.hold()
    for name in "bcd":
        play.command(name)
        play.writer.fence()
    play.writer.release()
    await play.until(["a"])
    for _ in "bcd":
        await trio.testing.wait_all_tasks_blocked()
        assert play.stored == ["a"]
        play.writer.lift()
    await play.until(["a", "b", "c", "d"])
    assert play.disk.batches == [["a"], ["b", "c", "d"]]


def test_what_is_held_back_at_the_end_is_not_stored():
    """The messages that had to be on disk before are not."""
    disk = Disk()
    writer = Writer(disk)
    writer.record(PutVHost("a"))
    writer.record(PutVHost("b"))
    assert writer.fence()
    writer.record(PutVHost("c"))
    writer.close()
    assert disk.batches == [["a"]]
    assert disk.sequence == 1


async def test_a_full_disk_is_tried_again(nursery, autojump_clock, caplog):
    disk = Disk()
    disk.failures = [StorageFullError("x: no space")] * 3
    play = Play(nursery, disk)
    await play.start()
    with caplog.at_level(logging.WARNING, "amqpd.definitions"):
        began = trio.current_time()
        play.command("a")
        await play.until(["a"])
    assert trio.current_time() - began == pytest.approx(3 * RETRY_S)
    assert [record.getMessage() for record in caplog.records] == [
        "definitions wait to be stored: x: no space",
        "definitions are stored again",
    ]
    assert disk.batches == [["a"]]


async def test_a_broken_disk_ends_the_writer():
    disk = Disk()
    disk.failures = [StorageError("x: input/output error")]
    with pytest.RaisesGroup(StorageError):
        async with trio.open_nursery() as nursery:
            play = Play(nursery, disk)
            await play.start()
            play.command("a")
    assert play.stored == []


async def test_what_is_left_is_stored_at_the_end():
    disk = Disk()
    writer = Writer(disk)
    writer.record(PutVHost("a"))
    writer.record(PutVHost("b"))
    writer.close()
    assert disk.batches == [["a", "b"]]
    assert disk.sequence == 2
    assert disk.closed


async def test_a_store_that_fails_at_the_end_is_closed_all_the_same():
    disk = Disk()
    disk.failures = [StorageError("x")]
    writer = Writer(disk)
    writer.record(PutVHost("a"))
    with pytest.raises(StorageError):
        writer.close()
    assert disk.closed


async def test_what_is_being_written_when_the_node_ends_is_written_once(nursery):
    disk = Disk()
    disk.open.clear()
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as inner:
            play = Play(inner, disk)
            await play.start()
            play.command("a")
            await busy(disk)
            play.command("b")
            scope.cancel()
            disk.open.set()
    play.writer.close()
    assert disk.batches == [["a"], ["b"]]


async def test_a_disk_that_hangs_when_the_node_ends_is_left_alone(monkeypatch):
    monkeypatch.setattr(module, "PATIENCE_S", 0.01)
    disk = Disk()
    disk.open.clear()
    with pytest.RaisesGroup(pytest.RaisesExc(StorageError, match="has not answered for"), flatten_subgroups=True):
        async with trio.open_nursery() as nursery:
            play = Play(nursery, disk)
            await play.start()
            play.command("a")
            await busy(disk)
            play.command("b")
            nursery.cancel_scope.cancel()
    play.writer.close()
    assert not disk.closed
    disk.open.set()
    assert play.stored == []


async def test_a_client_is_answered_after_the_commit_and_another_meanwhile(nursery):
    play = Play(nursery, Disk())
    play.disk.open.clear()
    await play.start()
    client, other = play.world.client(), play.world.client()
    client >> m("queue.declare", queue="q", durable=True)
    await busy(play.disk)
    client.quiet()
    other.declare("t")
    play.disk.open.set()
    while not play.world.wires[0].decoder.events:
        await trio.to_thread.run_sync(lambda: None)
        play.world.settle()
    client.expect("queue.declare-ok", queue="q")
