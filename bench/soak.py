"""`make soak`: a node under hostile load for ten minutes or more, its memory read each second.

A normal flow (durable, confirmed, acknowledged, as fast as it goes) must lose nothing while five others do what brokers
die of: consumers that are slower than their producers, one of them without acknowledgements, so that its socket is
always full; 64 MiB bodies on 100 connections at once; headers of 1 MiB; connections that come and go. Their queues have
limits, so that what is dropped there is dropped on purpose. The exit code is 0 if memory is bounded and flat and the
normal flow is whole.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

from bench import load
from bench.figures import Gone
from bench.load import Figures, LoadError
from bench.node import Node, NodeError, available
from bench.results import Results

__all__ = ["Flow", "main", "slope", "verdict"]

SERIES = "soak"
MIB = 1 << 20
CONNECTIONS = 100
HEADERS = MIB
NORMAL = "--persistent --size 1024 --confirm 1000 --prefetch 1000 --multi-ack 100"
END_S = 60.0  # for a flow to end after its time
SETTLED_MB = 24.0  # what half the samples may drift in all, besides a twentieth of the mean


class Flow(NamedTuple):
    """One amqpload. `whole`: its messages are counted, and it ends by itself; the others are ended."""

    name: str
    options: str
    whole: bool = False


def flows(body_mib: int) -> list[Flow]:
    """The load. Everything but the normal flow is limited by rate or by the length of its queue."""
    short = "--queue-arg x-max-length=20000"
    frame = 2 * HEADERS
    return [
        Flow("normal", f"{NORMAL} --drain-timeout 30", True),
        Flow("slow", f"{short} --size 4096 --rate 3000 --prefetch 100 --consume-rate 200"),
        Flow("stuck", f"{short} --size 4096 --rate 3000 --autoack --consume-rate 50"),
        Flow(
            "large",
            f"--swarm {CONNECTIONS} --size {body_mib * MIB} --queue-arg x-max-length=4 --consumers 2 --prefetch 1",
            True,
        ),
        Flow(
            "headers",
            f"--frame-max {frame} --headers {HEADERS} --rate 10 --queue-arg x-max-length=50 --prefetch 10",
            True,
        ),
        Flow("churn", "--connections-churn --rate 20", True),
    ]


def settings(body_mib: int) -> list[str]:
    return [f"max_message_size={max(16, body_mib)}MiB", f"frame_max={2 * HEADERS}"]


def bound_mb(body_mib: int) -> float:
    """What the limits allow: a body on each connection, and some in the queue and on their way out, all of them twice
    while they are put together, and half a gigabyte for all the rest."""
    return 2 * (CONNECTIONS + 4 + 4) * body_mib * MIB / 1e6 + 512


def slope(samples: Sequence[tuple[float, float]]) -> float:
    """MB a minute, by least squares, of (seconds, MB); 0 for fewer than two."""
    if len(samples) < 2:
        return 0.0
    seconds = [t for t, _ in samples]
    if max(seconds) == min(seconds):
        return 0.0
    return statistics.linear_regression(seconds, [mb for _, mb in samples]).slope * 60


def verdict(samples: Sequence[tuple[float, float]], bound: float) -> Figures:
    """What the samples of RSS say, and whether they are bounded and flat."""
    half = list(samples[len(samples) // 2 :])
    mean = statistics.fmean(mb for _, mb in half)
    per_minute = slope(half)
    grown = per_minute * (half[-1][0] - half[0][0]) / 60
    peak = max(mb for _, mb in samples)
    return {
        "rss_peak_mb": peak,
        "rss_mean_mb": mean,
        "rss_bound_mb": bound,
        "slope_mb_per_minute": per_minute,
        "bounded": int(peak <= bound),
        "flat": int(grown <= SETTLED_MB + 0.05 * mean),
    }


def start(node: Node, flow: Flow, seconds: float) -> subprocess.Popen[str]:
    command = [str(load.AMQPLOAD), "--port", str(node.port), *flow.options.split()]
    return subprocess.Popen(
        [*command, "--duration", str(seconds), "--label", flow.name, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def watch(node: Node, running: dict[str, subprocess.Popen[str]], seconds: float) -> list[tuple[float, float]]:
    """Read RSS each second. Raises NodeError if the node ends, or a flow that should not."""
    samples: list[tuple[float, float]] = []
    began = time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        try:
            samples.append((passed, node.rss_bytes() / 1e6))
        except Gone:
            raise NodeError(f"the node ended after {passed:.0f} s") from None
        for name, process in running.items():
            if passed < seconds - 2 and process.poll() is not None:
                raise NodeError(f"{name} ended after {passed:.0f} s: {process.communicate()[1].strip()[-300:]}")
        time.sleep(1)
    return samples


def finish(flow: Flow, process: subprocess.Popen[str]) -> Figures:
    """The figures of a flow that ends by itself; of another one, nothing."""
    if not flow.whole:
        process.terminate()
        process.communicate()
        return {}
    try:
        out, _ = process.communicate(timeout=END_S)
        figures: Figures = json.loads(out)
    except (subprocess.TimeoutExpired, ValueError):
        process.kill()
        process.communicate()
        return {}
    return figures


def soak(kind: str, minutes: float, body_mib: int) -> tuple[Figures, list[tuple[float, float]]]:
    """One soak: its figures, and its samples. Raises NodeError."""
    table = flows(body_mib)
    ended: dict[str, Figures] = {}
    with Node.start(kind, settings(body_mib)) as node:
        running = {flow.name: start(node, flow, minutes * 60) for flow in table}
        try:
            samples = watch(node, running, minutes * 60)
            ended = {flow.name: finish(flow, running[flow.name]) for flow in table if flow.whole}
        finally:
            for process in running.values():
                if process.poll() is None:
                    process.terminate()
                    process.communicate()
    normal = ended["normal"]
    found = verdict(samples, bound_mb(body_mib)) | {
        "minutes": minutes,
        "normal_messages": normal.get("unique", 0),
        "normal_ok": normal.get("ok", 0),
        "lost": normal.get("lost", -1),
        "duplicated": normal.get("duplicates", -1),
        "out_of_order": normal.get("out_of_order", -1),
        "confirm_p99_us": normal.get("confirm_us", {}).get("p99", 0),
        "large_messages": ended["large"].get("confirmed", 0),
        "headers_messages": ended["headers"].get("published", 0),
        "connections": ended["churn"].get("published", 0),
    }
    found["ok"] = int(bool(all_flowed(found) and found["bounded"] and found["flat"]))
    return found, samples


def all_flowed(found: Figures) -> bool:
    """Whether the normal flow is whole, and each of the hostile ones that are counted got something through."""
    hostile = (found["large_messages"], found["headers_messages"], found["connections"])
    return bool(found["normal_ok"] and found["normal_messages"] and min(hostile) > 0)


def sentence(found: Figures) -> str:
    """The line at the end."""
    verdict = "ok" if found["ok"] else "NOT OK"
    memory = f"RSS peak {found['rss_peak_mb']:.0f} MB (bound {found['rss_bound_mb']:.0f})"
    second = f"second half {found['rss_mean_mb']:.0f} MB {found['slope_mb_per_minute']:+.2f} MB/min"
    wrong = f"{found['lost']} lost, {found['duplicated']} duplicated, {found['out_of_order']} out of order"
    normal = f"normal flow {found['normal_messages']} messages, {wrong}"
    others = f"{found['large_messages']} large, {found['headers_messages']} with large headers"
    return (
        f"soak: {verdict}: {found['minutes']:g} min, {memory}, {second}; {normal}; {others}, "
        f"{found['connections']} connections"
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description="Hostile load; memory stays flat.")
    parser.add_argument("--minutes", type=float, default=10, help="how long; default 10")
    parser.add_argument("--body-mib", type=int, default=64, help="size of the large bodies; default 64")
    parser.add_argument("--kind", default="compiled", help="compiled or interpreted; default compiled")
    chosen = parser.parse_args(arguments)
    try:
        if reason := available(chosen.kind):
            raise NodeError(reason)
        load.build()
        found, samples = soak(chosen.kind, chosen.minutes, chosen.body_mib)
    except (NodeError, LoadError) as error:
        print(f"soak: NOT OK: {error}", file=sys.stderr)
        return 1
    results = Results(SERIES)
    results.forget("soak")
    results.add("soak", chosen.kind, found | {"samples": [[round(t, 1), round(mb, 1)] for t, mb in samples]})
    from bench import report

    report.write()
    print(sentence(found), flush=True)
    return 0 if found["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
