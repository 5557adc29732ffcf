"""How many bytes each thing costs that a node keeps: what its resident memory grows by when it gets many of them.

`python -m bench.memory` starts one node for each case and kind, warms it up, reads its RSS, makes COUNT things, and
reads the RSS again. A table goes to standard output, one JSON line for each figure to `bench/results/memory.jsonl`.

A waiting message is measured twice: as long as all of them are in memory (a small backlog), and as one of a million, of
which a node keeps only the ends of the queue in memory. Kinds that are not installed are left out, with a line that
says so. `--scale 0.1` makes a tenth of everything, for a quick look.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from amqpd.wire import methods, tables
from bench import client as frames
from bench.client import Client
from bench.node import KINDS, Node, available
from bench.results import Results

SETTLED_S = 0.5
SETTLING_S = 20.0
CHANNELS = 1000  # of one connection
WRITERS = 40  # connections that define what is durable: their commits are shared


class Scene:
    """A node and the clients of one case."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.clients: list[Client] = []

    def client(self, channels: int = 1) -> Client:
        """Another connection, with channels 1 to `channels` open."""
        opened = Client(self.port)
        self.clients.append(opened)
        if channels:
            opened.call(
                b"".join([frames.open_channel(number + 1) for number in range(channels)]),
                methods.CHANNEL_OPEN_OK,
                channels,
            )
        return opened

    def everywhere(self, clients: int, pieces: Sequence[bytes]) -> None:
        """Send pieces that have no answers over that many new connections, and wait until all were acted on."""
        made = [self.client() for _ in range(min(clients, len(pieces)))]
        parts = [frames.batches(pieces[at :: len(made)]) for at in range(len(made))]
        for step in range(max(len(part) for part in parts)):
            busy = [(client, part[step]) for client, part in zip(made, parts, strict=True) if step < len(part)]
            for client, data in busy:
                client.send(data + frames.qos(1, 0))
            for client, _data in busy:
                client.wait(methods.BASIC_QOS_OK)
        for client in made:
            client.close()
            self.clients.remove(client)

    def one_by_one(self, client: Client, pieces: Iterator[bytes]) -> None:
        """Send batches over an open connection; what they cause is done when this returns."""
        for data in pieces:
            client.send(data)
        client.sync()


class Case(NamedTuple):
    """`prepare` makes what is not to be counted; `fill` makes so many `things`."""

    name: str
    things: int
    fill: Callable[[Scene, int], None]
    prepare: Callable[[Scene, int], None] = lambda scene, count: None


# -- definitions


def _queues(durable: bool, arguments: tables.Table | None = None) -> Callable[[Scene, int], None]:
    def fill(scene: Scene, count: int) -> None:
        named = [frames.declare_queue(1, f"queue-{number:06d}", durable, arguments) for number in range(count)]
        scene.everywhere(WRITERS if durable else 1, named)

    return fill


def _exchanges(kind: str) -> Callable[[Scene, int], None]:
    def fill(scene: Scene, count: int) -> None:
        scene.everywhere(1, [frames.declare_exchange(1, f"made-{n:06d}", kind, False) for n in range(count)])

    return fill


def _bound_queue(scene: Scene, count: int) -> None:
    scene.everywhere(1, [frames.declare_queue(1, "bound", False)])


def _bindings(exchange: str, key: str) -> Callable[[Scene, int], None]:
    def fill(scene: Scene, count: int) -> None:
        scene.everywhere(1, [frames.bind(1, "bound", exchange, key % number) for number in range(count)])

    return fill


# -- connections


def _connections(scene: Scene, count: int) -> None:
    for _ in range(count):
        scene.client(0)


def _channels(scene: Scene, count: int) -> None:
    for _ in range(max(1, count // CHANNELS)):
        scene.client(min(count, CHANNELS))


def _consumed_queues(scene: Scene, count: int) -> None:
    scene.everywhere(1, [frames.declare_queue(1, f"queue-{number:03d}", False) for number in range(100)])


def _consumers(scene: Scene, count: int) -> None:
    client = scene.client()
    made = [frames.consume(1, f"queue-{number % 100:03d}", f"consumer-{number:06d}", False) for number in range(count)]
    scene.one_by_one(client, iter(frames.batches(made)))


# -- messages


def _message_queue(durable: bool) -> Callable[[Scene, int], None]:
    def prepare(scene: Scene, count: int) -> None:
        scene.everywhere(1, [frames.declare_queue(1, "messages", durable)])

    return prepare


def _messages(size: int, persistent: bool) -> Callable[[Scene, int], None]:
    def fill(scene: Scene, count: int) -> None:
        one = frames.publish(1, "", "messages", bytes(size), persistent)
        step = max(1, 65_536 // len(one))
        scene.one_by_one(scene.client(), (one * min(step, count - at) for at in range(0, count, step)))

    return fill


def _waiting(scene: Scene, count: int) -> None:
    _message_queue(False)(scene, count)
    _messages(16, False)(scene, count)


def _deliver(scene: Scene, count: int) -> None:
    client = scene.client()
    client.send(frames.consume(1, "messages", "all", False))
    client.wait(methods.BASIC_DELIVER, count)


def _routes(scene: Scene, count: int) -> None:
    client = scene.client()
    made = [frames.publish(1, "amq.topic", f"nobody.wants.{number:06d}", b"", False) for number in range(count)]
    scene.one_by_one(client, iter(frames.batches(made)))


CASES = (
    Case("connection, idle", 2000, _connections),
    Case("channel, idle", 40_000, _channels),
    Case("queue, transient", 100_000, _queues(False)),
    Case("queue, durable", 50_000, _queues(True)),
    Case("queue, 255 priorities", 20_000, _queues(False, [("x-max-priority", tables.long(255))])),
    Case("exchange, direct", 100_000, _exchanges("direct")),
    Case("exchange, topic", 100_000, _exchanges("topic")),
    Case("binding, direct", 100_000, _bindings("amq.direct", "key-%06d"), _bound_queue),
    Case("binding, topic", 100_000, _bindings("amq.topic", "some.*.key-%06d.#"), _bound_queue),
    Case("consumer", 100_000, _consumers, _consumed_queues),
    Case("route, remembered", 4000, _routes),
    Case("message in memory, 16 B transient", 100_000, _messages(16, False), _message_queue(False)),
    Case("message in memory, 16 B durable", 100_000, _messages(16, True), _message_queue(True)),
    Case("message in memory, 1 KiB transient", 20_000, _messages(1024, False), _message_queue(False)),
    Case("message in memory, 1 KiB durable", 20_000, _messages(1024, True), _message_queue(True)),
    Case("message delivered, unacknowledged", 100_000, _deliver, _waiting),
    Case("message of a million, 16 B transient", 1_000_000, _messages(16, False), _message_queue(False)),
    Case("message of a million, 16 B durable", 1_000_000, _messages(16, True), _message_queue(True)),
    Case("message of a million, 1 KiB transient", 1_000_000, _messages(1024, False), _message_queue(False)),
    Case("message of a million, 1 KiB durable", 1_000_000, _messages(1024, True), _message_queue(True)),
)


def settled_rss(node: Node) -> int:
    """The RSS once it has stopped to change, in bytes. Blocks for SETTLING_S at most."""
    last = node.rss_bytes()
    deadline = time.monotonic() + SETTLING_S
    while time.monotonic() < deadline:
        time.sleep(SETTLED_S)
        now = node.rss_bytes()
        if abs(now - last) <= last // 500:
            return now
        last = now
    return last


def warm_up(scene: Scene) -> None:
    """Use everything once, so that what is imported or made at the first use is not counted."""
    for durable in (False, True):
        client = scene.client()
        client.call(frames.declare_queue(1, "warm", durable, nowait=False), methods.QUEUE_DECLARE_OK)
        client.send(frames.bind(1, "warm", "amq.topic", "warm") + frames.publish(1, "", "warm", b"warm", durable))
        client.send(frames.consume(1, "warm", "warm", False))
        client.wait(methods.BASIC_DELIVER)
        client.call(frames.ack_up_to(1, 0) + frames.delete_queue(1, "warm"), methods.QUEUE_DELETE_OK)
        client.close()
        scene.clients.remove(client)


def measure(case: Case, kind: str, scale: float) -> dict[str, float]:
    """Start a node of `kind` and make the case's things: how many, and their bytes. Raises BenchError, NodeError."""
    count = max(1, int(case.things * scale))
    with Node.start(kind) as node:
        scene = Scene(node.port)
        warm_up(scene)
        case.prepare(scene, count)
        before = settled_rss(node)
        started = time.monotonic()
        cpu = node.cpu_s()
        case.fill(scene, count)
        cpu = node.cpu_s() - cpu
        seconds = time.monotonic() - started
        after = settled_rss(node)
        for client in scene.clients:
            client.sock.close()
    return {
        "count": count,
        "bytes_each": round((after - before) / count, 1),
        "rss_before": before,
        "rss_after": after,
        "seconds": round(seconds, 3),
        "cpu_us_each": round(cpu * 1e6 / count, 2),
    }


def row(name: str, values: Sequence[str]) -> str:
    """A line of the table."""
    return name.ljust(38) + "".join([value.rjust(14) for value in values])


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="bench.memory", description="bytes of each thing that a node keeps")
    parser.add_argument("--kinds", default="compiled,interpreted", help=f"of {', '.join(KINDS)}, with commas")
    parser.add_argument("--only", default="", help="cases whose names contain this")
    parser.add_argument("--scale", type=float, default=1.0, help="how many things, as a share of the usual number")
    chosen = parser.parse_args(arguments)
    kinds = chosen.kinds.split(",")
    if not set(kinds) <= set(KINDS):
        parser.error(f"--kinds: {chosen.kinds!r} is not of {', '.join(KINDS)}")
    for kind in list(kinds):
        reason = available(kind)
        if reason is not None:
            print(f"{kind} is left out: {reason}", file=sys.stderr)
            kinds.remove(kind)
    results = Results("memory")
    print(row("bytes of each", kinds), flush=True)
    for case in CASES:
        if chosen.only not in case.name:
            continue
        values: list[str] = []
        for kind in kinds:
            figures = measure(case, kind, chosen.scale)
            values.append(f"{figures['bytes_each']:.0f}")
            results.add(case.name, kind, figures)
        print(row(case.name, values), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
