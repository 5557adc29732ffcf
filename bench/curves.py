"""The scaling curves: what grows, at which points, and what may come of it. A table, and how its results are told.

Every point is one run of amqpload against a fresh node, a second or two long. `worst` is how many times more CPU time a
message may cost at the largest point than at the smallest: what a logarithm would allow, with room for cold caches.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from bench.load import Figures

__all__ = ["CURVES", "CURVES_BY_NAME", "Curve", "by_curve", "growth", "middle", "part"]

NOISE = 2.5  # what caches and the clock may add to a logarithm


@dataclass(frozen=True)
class Curve:
    """`options` has `{n}` where the size goes. `count` messages; more where each of many
    things is to be used, fewer where bodies are long.

    `per_byte`: a message of n bytes may cost in proportion to them; what is judged is then the cost of a byte.
    """

    name: str
    title: str
    axis: str
    points: tuple[int, ...]
    options: str
    count: int = 200_000
    log: bool = False
    per_byte: bool = False
    settings: tuple[str, ...] = ()
    prepare: str = ""  # what is run before, on the same node
    bytes_max: int = 512 << 20
    floor_us: float = 0.0  # of a message that has to go into a socket of its own: one system call

    def messages(self, size: int) -> int:
        """How many make a run: enough to use each of `size` things, and not more than `bytes_max` of bodies."""
        if self.per_byte:
            return max(8, min(self.count, self.bytes_max // max(1, size)))
        if self.prepare or "idle" in self.name:
            return self.count
        return max(self.count, (3 if "active" in self.name else 10) * size)


def powers(last: int) -> tuple[int, ...]:
    """1, 10, 100 ... last."""
    return tuple(10**exponent for exponent in range(round(math.log10(last)) + 1))


TRANSIENT = "--autoack --size 16"
CURVES = (
    Curve(
        "connections-idle",
        "Connections, two of them active",
        "idle connections",
        (0, *powers(10_000)[1:]),
        f"{TRANSIENT} --idle-connections {{n}}",
        400_000,
    ),
    Curve(
        "connections-active",
        "Connections, all active: each publishes when its last message was confirmed",
        "publishing connections",
        powers(10_000),
        f"{TRANSIENT} --swarm {{n}}",
        20_000,
    ),
    Curve(
        "queues",
        "Queues, all in use, one after the other",
        "queues",
        powers(100_000),
        f"{TRANSIENT} --queues {{n}} --subscribe-all --consumers 2",
    ),
    Curve(
        "queues-idle",
        "Queues, one of them in use",
        "idle queues",
        powers(100_000),
        TRANSIENT,
        400_000,
        prepare="--consumers 0 --queues {n} --queue-name bench.idle --keep --count 1",
    ),
    Curve(
        "bindings-direct",
        "Bindings of a direct exchange, all keys in use",
        "bindings",
        powers(100_000),
        f"{TRANSIENT} --exchange bench.direct --etype direct --bindings {{n}}",
    ),
    Curve(
        "bindings-topic",
        "Bindings of a topic exchange, a quarter each *, # and plain, all keys in use",
        "bindings",
        powers(100_000),
        f"{TRANSIENT} --exchange bench.topic --etype topic --bindings {{n}}",
    ),
    Curve(
        "consumers",
        "Consumers of one queue, all on one channel",
        "consumers",
        powers(1000),
        f"{TRANSIENT} --subscriptions {{n}}",
    ),
    Curve(
        "consumers-connections",
        "Consumers of one queue, a connection each",
        "consumers",
        powers(1000),
        f"{TRANSIENT} --consumers {{n}}",
        100_000,
        floor_us=6.0,
    ),
    Curve(
        "backlog",
        "Waiting messages, while 100,000 a second are published and as many taken",
        "messages waiting",
        (1, *powers(10_000_000)[3:]),
        "--rate 100000 --consume-rate 100000 --prefetch 1000 --multi-ack 100 --confirm 10000 "
        "--queue-name bench.backlog --no-declare --any-run",
        200_000,
        prepare="--consumers 0 --queue-name bench.backlog --keep --confirm 10000 --count {n}",
    ),
    Curve(
        "body",
        "Size of the body",
        "bytes",
        (0, 16, 256, 4096, 65_536, 1 << 20, 16 << 20, 64 << 20),
        "--autoack --size {n}",
        400_000,
        log=True,
        per_byte=True,
        settings=("max_message_size=64MiB",),
    ),
)
CURVES_BY_NAME = {curve.name: curve for curve in CURVES}


def middle(values: Iterable[float | None]) -> float | None:
    """The median of those that are there."""
    found = [value for value in values if value is not None]
    return statistics.median(found) if found else None


def by_curve(lines: list[Figures]) -> dict[str, list[dict[str, float]]]:
    """{curve: [{"size", "cpu_us", "per_s"}]}, medians, by size."""
    found: dict[str, dict[int, list[Figures]]] = {}
    for line in lines:
        if line["case"] in CURVES_BY_NAME:
            found.setdefault(line["case"], {}).setdefault(int(line["figures"]["size"]), []).append(line["figures"])
    told = {}
    for curve in CURVES:
        sizes = found.get(curve.name, {})
        points = []
        for size in sorted(sizes):
            medians = {key: middle(f.get(key) for f in sizes[size]) or 0.0 for key in ("cpu_us", "per_s")}
            points.append({"size": float(size), **medians})
        if points:
            told[curve.name] = points
    return told


def growth(curve: Curve, points: list[dict[str, float]]) -> tuple[float, float]:
    """How many times more a message costs at the largest size than at the cheapest smaller one, and how many times more
    it may: the ratio of the logarithms, and room for noise. Bodies are judged by the byte."""
    costs = [(point["size"], point["cpu_us"]) for point in points]
    if curve.per_byte:
        large = [(size, cost / size) for size, cost in costs if size >= 4096]
        costs = large or costs
    if len(costs) < 2 or min(cost for _, cost in costs) <= 0:
        return 1.0, NOISE
    (first, _), (last, at_last) = costs[0], costs[-1]
    cheapest = max(curve.floor_us, min(cost for _, cost in costs[:-1]))
    allowed = 1.0 if curve.per_byte else math.log2(last + 2) / math.log2(first + 2)
    return at_last / cheapest, allowed * NOISE


def part(lines: list[Figures]) -> list[str]:
    """The section of docs/benchmarks.md; empty without results."""
    told = by_curve(lines)
    if not told:
        return []
    about = (
        "What a message costs amqpd (compiled) when there is more of something. Each point is a run of its own against "
        "a fresh node. Nothing on the way of a message may be worse than logarithmic: the growth from the cheapest "
        f"point to the largest is held to the growth of the logarithm of the size, times {NOISE} for caches and noise. "
        "Bodies are judged by the byte, from 4 KiB on; consumers with a connection each against 6 us, a call for "
        "each message to the system: there are more of them than messages in a read."
    )
    heads = ("what grows", "from", "to", "us/message at least", "at the largest", "growth", "allowed", "within")
    made = ["## Scaling", "", about, "", f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    for name, points in told.items():
        grown, allowed = growth(CURVES_BY_NAME[name], points)
        costs = [point["cpu_us"] for point in points]
        cells = (CURVES_BY_NAME[name].title, f"{points[0]['size']:,.0f}", f"{points[-1]['size']:,.0f}")
        judged = (f"{min(costs):.3g}", f"{costs[-1]:.3g}", f"{grown:.2f}x", f"{allowed:.1f}x")
        made.append(f"| {' | '.join((*cells, *judged, 'yes' if grown <= allowed else 'no'))} |")
    for name in told:
        made += ["", f"![{CURVES_BY_NAME[name].title}](benchmarks/scaling-{name}.svg)"]
    return [*made, ""]
