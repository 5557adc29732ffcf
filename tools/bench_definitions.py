#!/usr/bin/env python3
"""How quick definitions are: durable declarations per second, and the start of a node that has many of them.

    .venv/bin/python tools/bench_definitions.py [--amqpd PROGRAM] [--peer PORT] [--rounds N]

Starts PROGRAM (`.venv-compiled/bin/amqpd` by default) on a free port with an empty data directory. One connection, then
fifty at once, each a process of its own, declare durable queues one after the other; with `--peer` the broker on that
port of 127.0.0.1 does the same in turns. Then a database with 10,000 durable queues and 50,000 bindings is filled, and
nodes are started on it: the time until the port answers with connection.start, and the processor's share of it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Final

import pika

from amqpd.broker import commands as c
from amqpd.metadata.store import NAME, Store

QUEUES: Final = 10_000
BINDINGS: Final = 50_000
START_TIMEOUT_S: Final = 60.0


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def answers(port: int) -> bool:
    """Whether a broker says connection.start there."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
            client.sendall(b"AMQP\0\0\x09\x01")
            return client.recv(1) == b"\x01"
    except OSError:
        return False


@contextmanager
def running(program: str, data_dir: str) -> Iterator[tuple[int, float, float]]:
    """A node on `data_dir`: its port, the seconds until it answered, and those of the processor."""
    port = free_port()
    began = time.monotonic()
    command = [program, "--listen", f"127.0.0.1:{port}", "--data-dir", data_dir]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as node:
        try:
            while not answers(port):
                if node.poll() is not None or time.monotonic() - began > START_TIMEOUT_S:
                    raise SystemExit(f"{program} does not start")
                time.sleep(0.005)
            fields = Path(f"/proc/{node.pid}/stat").read_text().rpartition(")")[2].split()
            yield port, time.monotonic() - began, (int(fields[11]) + int(fields[12])) / 100
        finally:
            node.terminate()


def declare(port: int, count: int, worker: int, barrier: Barrier) -> None:
    """One connection's share, between two meetings of all; what was declared is deleted afterwards."""
    connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port))
    channel = connection.channel()
    barrier.wait()
    for number in range(count):
        channel.queue_declare(f"bench-{worker}-{number}", durable=True)
    barrier.wait()
    for number in range(count):
        channel.queue_delete(f"bench-{worker}-{number}")
    connection.close()


def rate(port: int, connections: int, count: int) -> float:
    """Declarations per second of so many connections, each with so many declarations."""
    barrier = multiprocessing.Barrier(connections + 1)
    workers = [
        multiprocessing.Process(target=declare, args=(port, count, number, barrier)) for number in range(connections)
    ]
    for worker in workers:
        worker.start()
    barrier.wait()
    began = time.monotonic()
    barrier.wait()
    took = time.monotonic() - began
    for worker in workers:
        worker.join()
    return connections * count / took


def fill(data_dir: str) -> None:
    """A database with many queues and bindings."""
    queues = [c.PutQueue("/", f"queue-{number}") for number in range(QUEUES)]
    bindings = [c.PutBinding("/", "x", "queue", f"queue-{n % QUEUES}", f"key.{n}.x") for n in range(BINDINGS)]
    everything: list[c.Command] = [c.PutVHost("/"), c.PutExchange("/", "x", "topic"), *queues, *bindings]
    store = Store(Path(data_dir) / NAME)
    store.apply(everything, len(everything))
    store.close()


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--amqpd", default=".venv-compiled/bin/amqpd", metavar="PROGRAM")
    parser.add_argument("--peer", type=int, metavar="PORT")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running(options.amqpd, folder) as (port, _took, _cpu):
        for _ in range(options.rounds):
            for name, where in (("amqpd", port), ("peer", options.peer)):
                if where is not None:
                    one, fifty = rate(where, 1, 500), rate(where, 50, 40)
                    print(f"{name}: durable declarations per second: {one:.0f} from 1 connection, {fifty:.0f} from 50")
    with tempfile.TemporaryDirectory() as folder:
        fill(folder)
        for _ in range(options.rounds):
            with running(options.amqpd, folder) as (_port, took, cpu):
                print(f"start with {QUEUES} durable queues and {BINDINGS} bindings: {took:.2f} s, CPU {cpu:.2f} s")


if __name__ == "__main__":
    main()
