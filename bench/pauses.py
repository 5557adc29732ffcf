"""The longest pauses of a node's event loop while large things are built, held, used up and freed.

`python -m bench.pauses` starts a node for each case and kind, with a plugin that watches from inside (`inside`): the
longest step of any task, and the longest collection of garbage. From outside, another process sends a request each
millisecond and notes the longest wait for an answer: what a client sees, with all that the machine does besides. A
table goes to standard output, one JSON line for each phase to `bench/results/pauses.jsonl`.

Phases: build, hold (nothing happens), drain (a consumer takes everything), free (purge or delete at once). The figures
of the inside are exact; those of the outside only as good as the machine is quiet.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from amqpd.wire import methods
from bench import client as frames
from bench.client import Client
from bench.memory import Scene, row
from bench.node import Node
from bench.results import Results

INSIDE = Path(__file__).parent / "inside"
KINDS = ("compiled", "interpreted")
HOLD_S = 2.0
REPORT_S = 30.0
PREFETCH = 2000  # acknowledged in halves
CHURNED = 500  # connections

Phase = tuple[str, Callable[[], None]]


class Case(NamedTuple):
    """`phases` gives what is to be done with a fresh node's scene and a count, step by step."""

    name: str
    things: int
    phases: Callable[[Scene, int], list[Phase]]


# -- backlogs


def _backlog(size: int, durable: bool) -> Callable[[Scene, int], list[Phase]]:
    def phases(scene: Scene, count: int) -> list[Phase]:
        client = scene.client()
        client.call(frames.declare_queue(1, "backlog", durable, nowait=False), methods.QUEUE_DECLARE_OK)
        one = frames.publish(1, "", "backlog", bytes(size), durable)

        def build() -> None:
            publish(client, one, count)

        return [
            ("build", build),
            ("hold", lambda: time.sleep(HOLD_S)),
            ("drain", lambda: drain(scene.client(), count)),
            ("build again", build),
            ("purge", lambda: client.call(frames.purge(1, "backlog"), methods.QUEUE_PURGE_OK)),
            ("build a third", build),
            ("delete", lambda: client.call(frames.delete_queue(1, "backlog"), methods.QUEUE_DELETE_OK)),
        ]

    return phases


def publish(client: Client, one: bytes, count: int) -> None:
    """Publish a prebuilt message `count` times; all of them are in their queue when this returns."""
    step = max(1, 65_536 // len(one))
    for at in range(0, count, step):
        client.send(one * min(step, count - at))
    client.sync()


def drain(client: Client, count: int) -> None:
    """Consume `count` messages of the backlog with acknowledgements, then close."""
    client.call(frames.qos(1, PREFETCH), methods.BASIC_QOS_OK)
    client.send(frames.consume(1, "backlog", "drain", False))
    taken = 0
    while taken < count:
        lot = min(PREFETCH // 2, count - taken)
        client.wait(methods.BASIC_DELIVER, lot)
        taken += lot
        client.send(frames.ack_up_to(1, taken))
    client.sync()
    client.close()


# -- topology and connections


def _queues(scene: Scene, count: int) -> list[Phase]:
    client = scene.client()
    named = [f"queue-{number:06d}" for number in range(count)]
    declared = frames.batches([frames.declare_queue(1, name, False) for name in named], 16_384)
    bound = frames.batches([frames.bind(1, name, "amq.topic", f"some.{name}.#") for name in named], 16_384)
    deleted = frames.batches([frames.delete_queue(1, name) for name in named], 16_384)

    def send(pieces: list[bytes]) -> None:
        for data in pieces:
            client.send(data)
            client.sync()

    return [
        ("build", lambda: send(declared)),
        ("bind", lambda: send(bound)),
        ("hold", lambda: time.sleep(HOLD_S)),
        ("churn", lambda: _churn(scene.port, CHURNED)),
        ("delete", lambda: send(deleted)),
    ]


def _connections(scene: Scene, count: int) -> list[Phase]:
    def build() -> None:
        for _ in range(count):
            scene.client()

    def close() -> None:
        while scene.clients:
            scene.clients.pop().close()

    return [
        ("build", build),
        ("hold", lambda: time.sleep(HOLD_S)),
        ("churn", lambda: _churn(scene.port, CHURNED)),
        ("close", close),
    ]


def _churn(port: int, count: int) -> None:
    for _ in range(count):
        client = Client(port)
        client.call(frames.open_channel(1), methods.CHANNEL_OPEN_OK)
        client.close()


CASES = (
    Case("1 M of 16 B, transient", 1_000_000, _backlog(16, False)),
    Case("1 M of 16 B, durable", 1_000_000, _backlog(16, True)),
    Case("1 M of 1 KiB, durable", 1_000_000, _backlog(1024, True)),
    Case("3 M of 16 B, transient", 3_000_000, _backlog(16, False)),
    Case("3 M of 16 B, durable", 3_000_000, _backlog(16, True)),
    Case("10 M of 16 B, transient", 10_000_000, _backlog(16, False)),
    Case("10 M of 16 B, durable", 10_000_000, _backlog(16, True)),
    Case("100,000 queues", 100_000, _queues),
    Case("5000 connections", 5000, _connections),
)


# -- watching


class Pinger:
    """A process that sends a request each millisecond, and knows the longest wait."""

    def __init__(self, port: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.pauses", "--ping", str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def longest_ms(self) -> float:
        """The longest wait since the last call, in ms. Blocks until the request that is under way is answered."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


def ping(port: int) -> None:
    """The pinger's own process: for each line on standard input, print the longest wait since the one before."""
    client = Client(port)
    client.call(frames.open_channel(1), methods.CHANNEL_OPEN_OK)
    os.set_blocking(0, False)
    longest = 0.0
    while True:
        began = time.perf_counter()
        client.sync()
        longest = max(longest, time.perf_counter() - began)
        if sys.stdin.read(1):
            print(round(longest * 1000, 3), flush=True)
            longest = 0.0
        time.sleep(0.001)


def inside(node: Node, path: Path) -> dict[str, object]:
    """What the plugin has seen since the last call. Blocks until it has written that."""
    path.unlink(missing_ok=True)
    os.kill(node.pid, signal.SIGUSR1)
    deadline = time.monotonic() + REPORT_S
    while not path.exists():
        if time.monotonic() > deadline:
            raise TimeoutError("the node did not report its pauses")
        time.sleep(0.01)
    figures: dict[str, object] = json.loads(path.read_text())
    return figures


def measure(case: Case, kind: str, scale: float) -> list[tuple[str, dict[str, object]]]:
    """Run the phases of a case on a new node. Raises BenchError, NodeError."""
    found: list[tuple[str, dict[str, object]]] = []
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "pauses.json"
        extra = {"PYTHONPATH": str(INSIDE), "PAUSEWATCH": str(path)}
        with Node.start(kind, ["plugins=pausewatch"], extra) as node:
            scene = Scene(node.port)
            phases = case.phases(scene, max(1, int(case.things * scale)))
            pinger = Pinger(node.port)
            try:
                pinger.longest_ms()
                inside(node, path)
                for name, act in phases:
                    began = time.monotonic()
                    act()
                    seconds = time.monotonic() - began
                    figures = inside(node, path)
                    figures |= {"ping_ms": pinger.longest_ms(), "seconds": round(seconds, 3)}
                    figures["rss"] = node.rss_bytes()
                    found.append((name, figures))
            finally:
                pinger.stop()
                for client in scene.clients:
                    client.sock.close()
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="bench.pauses", description="the longest pauses of a node's event loop")
    parser.add_argument("--kinds", default="compiled,interpreted", help=f"of {', '.join(KINDS)}, with commas")
    parser.add_argument("--only", default="", help="cases whose names contain this")
    parser.add_argument("--scale", type=float, default=1.0, help="how many things, as a share of the usual number")
    parser.add_argument("--ping", type=int, default=0, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.ping:
        ping(chosen.ping)
    kinds = chosen.kinds.split(",")
    if not set(kinds) <= set(KINDS):
        parser.error(f"--kinds: {chosen.kinds!r} is not of {', '.join(KINDS)}")
    results = Results("pauses")
    heads = ["step CPU ms", "step ms", "gc 0/1/2 ms", "ping ms", "seconds", "MB"]
    print(row("longest", heads), flush=True)
    for case in CASES:
        if chosen.only not in case.name:
            continue
        for kind in kinds:
            for phase, figures in measure(case, kind, chosen.scale):
                results.add(f"{case.name}: {phase}", kind, figures)
                print(_row(f"{case.name}, {kind[:4]}: {phase}", figures), flush=True)
    return 0


def _row(name: str, figures: dict[str, object]) -> str:
    collections = figures["gc_ms"]
    rss = figures["rss"]
    assert isinstance(collections, list)
    assert isinstance(rss, int)
    values = [f"{figures['step_cpu_ms']:.1f}", f"{figures['step_ms']:.1f}"]
    values.append("/".join([f"{each:.0f}" for each in collections]))
    values += [f"{figures['ping_ms']:.1f}", f"{figures['seconds']:.1f}", f"{rss / 1e6:.0f}"]
    return row(name, values)


if __name__ == "__main__":
    sys.exit(main())
