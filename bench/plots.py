"""The pictures of docs/benchmarks/: SVG that comes out the same from the same results.

matplotlib is needed here and nowhere else.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

from bench import curves as curve_table
from bench.cases import CASES
from bench.load import Figures, find

if TYPE_CHECKING:
    from bench.report import Measured

__all__ = ["bars", "curves", "distributions", "soak"]

COLOURS = {"compiled": "#2f6fb7", "interpreted": "#8fb8de", "rabbitmq": "#e07b39"}
LABELS = {"compiled": "amqpd, compiled", "interpreted": "amqpd, interpreted", "rabbitmq": "RabbitMQ"}
TITLES = {"cpu": "Broker CPU time per message, us (log)", "rate": "Throughput, per second (log)"}
PERCENTILES = ("p50", "p95", "p99", "p99.9")


def style() -> None:
    mpl.rcParams.update(
        {
            "svg.hashsalt": "amqpd",
            "svg.fonttype": "none",  # text stays text
            "font.family": "sans-serif",
            "font.size": 9,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.alpha": 0.3,
        }
    )


def save(figure: Any, to: Path, name: str) -> None:
    figure.tight_layout()
    figure.savefig(to / f"{name}.svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
    plt.close(figure)


def bars(measured: Measured, group: str, to: Path) -> None:
    """All cases of a group, a bar for each broker."""
    rows = [(c, row) for c in CASES for row in c.rows if row.group == group and measured.has(c)]
    style()
    figure, axes = plt.subplots(figsize=(8, 1.2 + 0.42 * len(rows)))
    height = 0.8 / len(measured.kinds)
    for at, kind in enumerate(measured.kinds):
        values = [measured.value(c, row, kind) or 0 for c, row in rows]
        places = [index + (at - (len(measured.kinds) - 1) / 2) * height for index in range(len(rows))]
        axes.barh(places, values, height=height, color=COLOURS[kind], label=LABELS[kind])
    goals = [(index, row.goal) for index, (_, row) in enumerate(rows) if row.goal is not None]
    axes.plot(
        [goal for _, goal in goals], [index for index, _ in goals], "|", color="black", markersize=14, label="goal"
    )
    axes.set_yticks(
        range(len(rows)), [f"{c.section}: {c.name}{', ' + row.note if row.note else ''}" for c, row in rows]
    )
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel(TITLES[group])
    axes.grid(axis="y", visible=False)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=4, fontsize=8)
    save(figure, to, group)


def distributions(measured: Measured, to: Path) -> None:
    """Percentiles of each case that has latencies, a line for each broker."""
    cases = [
        (c, rows[0].figure.split("/")[0]) for c in CASES if (rows := [r for r in c.rows if r.group == "latency"])
    ]
    cases = [(c, figure) for c, figure in cases if measured.has(c)]
    if not cases:
        return
    style()
    columns = 2
    lines = (len(cases) + columns - 1) // columns
    figure, grid = plt.subplots(lines, columns, figsize=(8, 2.3 * lines), squeeze=False)
    for axes in grid.flat[len(cases) :]:
        axes.set_visible(False)
    for axes, (c, name) in zip(grid.flat, cases, strict=False):
        for kind in measured.kinds:
            runs = measured.runs(c, kind)
            points = [curve_table.middle([find(r, f"{name}/{p}") for r in runs]) for p in PERCENTILES]
            axes.plot(PERCENTILES, [p or float("nan") for p in points], "o-", color=COLOURS[kind], label=LABELS[kind])
        axes.set_yscale("log")
        axes.set_title(f"{c.section}: {c.name}", fontsize=9)
        axes.set_ylabel(f"{name.removesuffix('_us')}, us")
    grid.flat[0].legend(fontsize=8)
    save(figure, to, "latency")


def curves(lines: list[Figures], to: Path) -> None:
    """A picture for each scaling curve: CPU per message, and throughput."""
    for name, points in curve_table.by_curve(lines).items():
        curve = curve_table.CURVES_BY_NAME[name]
        style()
        figure, (left, right) = plt.subplots(1, 2, figsize=(8, 2.8))
        sizes = [point["size"] for point in points]
        left.plot(sizes, [point["cpu_us"] for point in points], "o-", color=COLOURS["compiled"])
        right.plot(sizes, [point["per_s"] for point in points], "o-", color=COLOURS["compiled"])
        left.set_ylabel("broker CPU, us/message")
        right.set_ylabel("messages/s")
        for axes in (left, right):
            axes.set_xscale("symlog", linthresh=1)
            axes.set_xlabel(curve.axis)
            axes.set_ylim(bottom=0)
            if curve.log:
                axes.set_yscale("log")
        save(figure, to, f"scaling-{name}")


def soak(samples: list[list[float]], to: Path) -> None:
    """RSS over time: seconds and MB."""
    style()
    figure, axes = plt.subplots(figsize=(8, 2.5))
    axes.plot([t / 60 for t, _ in samples], [mb for _, mb in samples], color=COLOURS["compiled"], linewidth=1)
    axes.set_xlabel("minutes")
    axes.set_ylabel("RSS, MB")
    axes.set_ylim(bottom=0)
    save(figure, to, "soak")
