"""Data directories of real nodes, for tests of what is done to them; and how to damage them."""

from __future__ import annotations

import hashlib
import shutil

import trio
from harness import m, publish
from operating import running
from peer import Peer

from amqpd.store.opening import JOURNAL_DIRECTORY, SEGMENT_DIRECTORY

SMALL = {"journal__file_size": 2**20, "journal__size_max": 2**21, "message_memory": 2**30}
LARGE = 10_000  # bytes of a message in q
WAITING = {"//q": 381, "//small": 2}
KEYS = "a1 " + "11" * 32 + "\n"


def body(number: int) -> bytes:
    return (b"%d " % number).ljust(LARGE, b"x")


async def keep(peer, number, *methods):
    """Publish, and wait for the confirm of the last, which is the `number`th of the channel."""
    for method in methods:
        await peer.send(method)
    while (await peer.expect("basic.ack")).delivery_tag < number:
        pass


async def _fill(path, settings):
    async with running(path, **SMALL, **settings) as broker:
        peer = await Peer.connect(broker)
        await peer.call(m("confirm.select"))
        for name in ("q", "small"):
            await peer.call(m("queue.declare", queue=name, durable=True))
        await peer.call(m("exchange.declare", exchange="both", type="fanout", durable=True))
        for name in ("q", "small"):
            await peer.call(m("queue.bind", queue=name, exchange="both"))
        for number in range(400):
            await keep(peer, number + 1, publish(body(number), delivery_mode=2))
        for _ in range(20):
            await peer.send(m("basic.get", queue="q", no_ack=True))
            assert (await peer.next()).name == "basic.get-ok"
        await keep(peer, 401, publish(b"one", exchange="both", delivery_mode=2, headers={"n": 1}, message_id="m-1"))
        await keep(peer, 402, publish(b"two", "small", delivery_mode=2))
        await peer.send(m("basic.get", queue="q"))  # one is out when the node stops
        await peer.next()
        await peer.close()


def build(path, **settings):
    """A node that was stopped in order, with most of q in segments, and the rest in the journal."""
    trio.run(_fill, path, settings)
    return path


async def _drain(path, settings):
    found = {}
    async with running(path, **SMALL, **settings) as broker:
        peer = await Peer.connect(broker)
        for name in ("q", "small"):
            found[name] = []
            while True:
                await peer.send(m("basic.get", queue=name, no_ack=True))
                event = await peer.next()
                if event.name == "basic.get-empty":
                    break
                found[name].append(event.body)
        await peer.close()
    return found


def drained(path, **settings):
    """What a node that is started there gives away, by queue."""
    return trio.run(_drain, path, settings)


def copied(source, target):
    """A copy of a directory, without the socket of the node."""
    shutil.copytree(source, target, ignore=lambda _folder, names: [name for name in names if name.endswith(".sock")])
    return target


def tree(path):
    """All files below a directory, with their digests, but for locks."""
    return {
        file.relative_to(path).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(path.rglob("*"))
        if file.is_file() and not file.name.endswith(".lock")
    }


def flip(file, offset, bit=0x10):
    with file.open("r+b") as handle:
        handle.seek(offset)
        octet = handle.read(1)[0]
        handle.seek(offset)
        handle.write(bytes([octet ^ bit]))


def cut(file, size):
    with file.open("r+b") as handle:
        handle.truncate(size)


def journal_files(path):
    """Those that have a number."""
    return sorted((path / "messages" / JOURNAL_DIRECTORY).glob("0*.jrn"))


def segment_files(path):
    return sorted((path / "messages" / SEGMENT_DIRECTORY).glob("*.seg"))
