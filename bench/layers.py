#!/usr/bin/env python3
"""Where the microseconds of a message go: the kernel, the core, and all that is around it.

    .venv/bin/python -m bench.layers

Runs some of the cases against amqpd compiled, and splits its CPU time: what the kernel took (system calls, TCP,
the disk's writes), what the core takes for the same messages without sockets (`bench.core`, whose newest figures of the
compiled build are read from bench/results/core.jsonl: run it first), and the rest, which is Python around the core:
trio, sessions, the store's threads. The kernel's share is counted in hundredths of a second, so a case runs for some
seconds. Linux only.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from bench import load
from bench.cases import CASES, Case
from bench.load import LoadError
from bench.node import Node, NodeError
from bench.quiet import wait_until_quiet
from bench.results import Results

__all__ = ["Split", "core_us", "kernel_s", "main", "split"]

TICKS = os.sysconf("SC_CLK_TCK")
QUIET_S = 1.5
CORE = {  # section and name of a case: the core's case, and by how many units its figure is divided
    ("a", "16 B"): ("auto-ack, 16 B", 1),
    ("a", "1 KiB"): ("auto-ack, 1 KiB", 1),
    ("a", "16 KiB"): ("auto-ack, 16 KiB", 1),
    ("b", "1 KiB, ack each"): ("persistent, 1 KiB", 1),
    ("e", "fanout to 10 queues, 16 B"): ("fanout to ten queues", 10),
    ("e", "topic, 100 bindings, 10 queues"): ("topic, 100 bindings", 1),
    ("f", "direct reply-to, 1 in flight"): ("call by direct reply-to", 1),
}


@dataclass(frozen=True)
class Split:
    """CPU microseconds of a message (delivery, call)."""

    total: float
    kernel: float
    core: float

    @property
    def around(self) -> float:
        """What neither the kernel nor the core took; 0 where the two runs differ by more than there is."""
        return max(0.0, self.total - self.kernel - self.core)


def kernel_s(pid: int) -> float:
    """Seconds that the kernel worked for a process since it began."""
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[12]) / TICKS


def core_us(case: Case, core: Results) -> float:
    """What the core takes, by its newest run. Raises LoadError where there is none."""
    name, units = CORE[case.section, case.name]
    found = core.of(name, "compiled")
    if not found:
        raise LoadError(f"no figure of the core for {name!r}: run bench/core.py with the compiled build first")
    us: float = found[-1]["us"]
    return us / units


def split(case: Case, node: Node, core: Results, scale: float) -> Split:
    """One run. Raises LoadError."""
    row = case.rows[0].figure
    before = kernel_s(node.pid)
    figures = load.run(node, f"{case.options} --count {max(1, int(case.count * scale))}")
    kernel = kernel_s(node.pid) - before
    total = load.find(figures, row)
    if not total:
        raise LoadError(f"{case.name}: no CPU time of the broker")
    units = figures["broker_cpu_s"] * 1e6 / total
    return Split(total, kernel * 1e6 / units, core_us(case, core))


def measured(reps: int, scale: float) -> dict[str, Split]:
    """The median of each share, of `reps` runs. Raises LoadError, NodeError."""
    core, found = Results("core"), {}
    load.build()
    with Node.start("compiled") as node:
        load.run(node, "--autoack --count 1000")  # the first login takes a tenth of a second
        for case in CASES:
            if (case.section, case.name) not in CORE:
                continue
            runs = []
            for _ in range(reps):
                wait_until_quiet(QUIET_S)
                runs.append(split(case, node, core, scale))
            shares = [statistics.median(getattr(run, share) for run in runs) for share in ("total", "kernel", "core")]
            found[f"{case.section} {case.name}"] = Split(*shares)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench.layers", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--reps", type=int, default=3, help="runs of each case (default 3)")
    parser.add_argument("--scale", type=float, default=4.0, help="times the usual number of messages (default 4)")
    options = parser.parse_args(arguments)
    try:
        found = measured(options.reps, options.scale)
    except (LoadError, NodeError) as error:
        print(f"bench.layers: {error}", file=sys.stderr)
        return 1
    results = Results("layers")
    print("| case | total | kernel | core | around |\n|---|---|---|---|---|")
    for case, shares in found.items():
        figures = {"total": shares.total, "kernel": shares.kernel, "core": shares.core, "around": shares.around}
        results.forget(case)
        results.add(case, "compiled", figures)
        print(f"| {case} | " + " | ".join(f"{us:.2f}" for us in figures.values()) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
