#!/usr/bin/env python3
"""What cannot be saved: the CPU time of system calls, wake-ups, copies and fdatasync, without any broker.

    .venv/bin/python -m bench.floor

Everything is measured by itself, in this process: the least of ROUNDS passes, in CPU microseconds (where somebody else
is waited for, a disk or a process, elapsed ones too). docs/performance.md holds the broker's rows against these.
JSON lines go to bench/results/floor.jsonl.
"""

from __future__ import annotations

import os
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import trio

from bench.results import Results

ROOT: Final = Path(__file__).resolve().parents[1]
ROUNDS: Final = 7
TURNS: Final = 2000
SYNCS: Final = 200
BUFFER: Final = bytearray(1 << 20)
ASKING: Final = """
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as sock:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        sock.send(b"x" * 64)
        while sock.recv(65536):
            sock.send(b"x" * 64)
    except OSError:
        pass
"""
FDATASYNC: Final = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


def least(work: Callable[[], int]) -> float:
    """CPU microseconds of a unit, of the best of ROUNDS; `work` returns how many units it did."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        units = work()
        best = min(best, (time.process_time() - began) / units * 1e6)
    return best


def loopback() -> tuple[socket.socket, socket.socket]:
    """Both ends of a TCP connection through the loopback device, non-blocking."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
    for end in (near, far):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end.setblocking(False)
    return near, far


def received(sock: socket.socket, size: int) -> None:
    """Read `size` bytes that are there or about to be."""
    while size > 0:
        try:
            size -= sock.recv_into(BUFFER, min(size, 65_536))
        except BlockingIOError:
            select.select([sock], [], [])


def through_socket(size: int) -> float:
    """One send of `size` bytes through TCP, and the reads that take them."""
    near, far = loopback()
    data = bytes(size)

    def work() -> int:
        turns = max(20, min(TURNS, (32 << 20) // size))
        for _ in range(turns):
            sent = 0
            while sent < size:
                done = near.send(data[sent:] if sent else data)
                received(far, done)
                sent += done
        return turns

    with near, far:
        return least(work)


def copied(size: int) -> float:
    """One copy of `size` bytes within memory, into an object of its own."""
    source = memoryview(bytearray(size))

    def work() -> int:
        for _ in range(TURNS):
            bytes(source)
        return TURNS

    return least(work)


def woken_by_epoll() -> float:
    """A wake-up without trio: epoll, a small read, a small answer."""
    near, far = loopback()
    with select.epoll() as poll, near, far:
        poll.register(far, select.EPOLLIN)

        def work() -> int:
            for _ in range(TURNS):
                near.send(b"x" * 64)
                poll.poll()
                far.recv_into(BUFFER)
                far.send(b"y" * 64)
                received(near, 64)
            return TURNS

        return least(work)


def woken_by_trio() -> float:
    """The same round trip where a trio task waits for the epoll descriptor."""
    near, far = loopback()

    async def turns() -> int:
        with select.epoll() as poll:
            poll.register(far, select.EPOLLIN)
            for _ in range(TURNS):
                near.send(b"x" * 64)
                await trio.lowlevel.wait_readable(poll.fileno())
                poll.poll(0)
                far.recv_into(BUFFER)
                far.send(b"y" * 64)
                received(near, 64)
        return TURNS

    with near, far:
        return least(lambda: trio.run(turns))


def asked_by_another() -> tuple[float, float]:
    """A small question of another process: CPU microseconds of who answers, and elapsed ones of a round trip.

    Unlike the ones above both sleep until they are woken: that is what a lone call costs, and most of it.
    """
    elapsed: list[float] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        asking = subprocess.Popen([sys.executable, "-c", ASKING, str(server.getsockname()[1])])
        far, _ = server.accept()
    with far, select.epoll() as poll:
        far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        poll.register(far, select.EPOLLIN)

        def work() -> int:
            began = time.perf_counter()
            for _ in range(TURNS):
                poll.poll()
                far.recv_into(BUFFER)
                far.send(b"y" * 64)
            elapsed.append((time.perf_counter() - began) / TURNS * 1e6)
            return TURNS

        cpu = least(work)
    asking.wait()
    return cpu, statistics.median(elapsed)


def synced(size: int) -> tuple[float, float]:
    """A write of `size` bytes into a file of zeros, and fdatasync: CPU and median elapsed microseconds."""
    data = b"x" * size
    with tempfile.NamedTemporaryFile(dir=ROOT / "bench") as file:
        file.write(bytes(size * SYNCS))
        file.flush()
        os.fsync(file.fileno())
        elapsed: list[float] = []

        def work() -> int:
            for turn in range(SYNCS):
                began = time.perf_counter()
                os.pwrite(file.fileno(), data, turn * size)
                FDATASYNC(file.fileno())
                elapsed.append((time.perf_counter() - began) * 1e6)
            return SYNCS

        return least(work), statistics.median(elapsed)


def main() -> int:
    figures: dict[str, float] = {}
    for size in (90, 1100, 16_500, 65_536, 1 << 20):
        figures[f"TCP loopback, send and read {size} bytes"] = through_socket(size)
    for size in (1100, 16_500, 1 << 20):
        figures[f"copy of {size} bytes"] = copied(size)
    if hasattr(select, "epoll"):
        figures["round trip of 64 bytes, epoll"] = woken_by_epoll()
        figures["round trip of 64 bytes, trio task on an epoll"] = woken_by_trio()
        cpu, elapsed = asked_by_another()
        figures["round trip of 64 bytes with another process"] = cpu
        figures["round trip of 64 bytes with another process, elapsed"] = elapsed
    for size in (4096, 65_536):
        cpu, elapsed = synced(size)
        figures[f"write and fdatasync of {size} bytes"] = cpu
        figures[f"write and fdatasync of {size} bytes, elapsed"] = elapsed
    results = Results("floor")
    for case, us in figures.items():
        print(f"{us:10.2f} us  {case}")
        results.add(case, "none", {"us": us})
    return 0


if __name__ == "__main__":
    sys.exit(main())
