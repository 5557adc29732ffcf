"""`make bench-scaling`: what a message costs amqpd, compiled, when there is more of something.

Each point of each curve (curves.py) is one run on a node of its own; repetitions are of whole curves, so that a
disturbance of the machine does not fall on all runs of one point. The exit code is 1 if messages went wrong or a curve
grows faster than a logarithm would.
"""

from __future__ import annotations

import argparse
import sys

from bench import load
from bench.curves import CURVES, Curve, by_curve, growth
from bench.load import Figures, LoadError
from bench.node import Node, NodeError, available, raise_file_limit
from bench.quiet import wait_until_quiet
from bench.results import Results
from bench.run import complain, whole

__all__ = ["main", "measure"]

SERIES = "scaling"
POINT_TIMEOUT_S = 240.0
QUIET_S = 1.0
FILES_KEPT = 64  # of this process's limit: what is open besides connections


def measure(curve: Curve, size: int, kind: str) -> Figures:
    """One point: the figures of the report, and amqpload's own. Raises LoadError, NodeError."""
    with Node.start(kind, curve.settings) as node:
        if curve.prepare:
            load.run(node, curve.prepare.format(n=size), POINT_TIMEOUT_S)
        wait_until_quiet(QUIET_S)
        count = curve.messages(size)
        figures = load.run(node, f"{curve.options.format(n=size)} --count {count}", POINT_TIMEOUT_S)
    return figures | {
        "size": size,
        "cpu_us": figures.get("broker_cpu_us_per_published"),
        "per_s": figures["consumed_per_s"],
    }


def points_of(curve: Curve, files: int) -> list[int]:
    """The points that fit into the limit of open files."""
    if "connections" not in curve.name:
        return list(curve.points)
    fitting = [size for size in curve.points if size + FILES_KEPT < files]
    for size in curve.points:
        if size not in fitting:
            print(f"  {curve.name}: without {size}: the limit of open files is {files} (ulimit -Hn)", flush=True)
    return fitting


def measure_curve(curve: Curve, kind: str, results: Results) -> bool:
    """All points of a curve, once; whether all went well."""
    well = True
    for size in points_of(curve, raise_file_limit()):
        try:
            figures = measure(curve, size, kind)
        except (LoadError, NodeError) as error:
            complain(f"{curve.name} {size}", error)
            well = False
            continue
        well &= whole(f"{curve.name} {size}", figures)
        results.add(curve.name, kind, figures)
        cpu, rate = figures["cpu_us"], figures["per_s"]
        print(f"{curve.name} {size}: {cpu:.3g} us/message, {rate:.0f} messages/s", flush=True)
    return well


def judge(curve: Curve, results: Results) -> bool:
    """Say how much a curve grows; whether that is what a logarithm allows."""
    points = by_curve(results.lines()).get(curve.name, [])
    grown, allowed = growth(curve, points)
    fine = grown <= allowed
    print(f"{curve.name}: grows {grown:.2f}x of {allowed:.1f}x{'' if fine else '  WORSE THAN LOGARITHMIC'}", flush=True)
    return fine


def main(arguments: list[str] | None = None) -> int:
    names = [curve.name for curve in CURVES]
    parser = argparse.ArgumentParser(prog="python -m bench.scaling", description="Scaling curves.")
    parser.add_argument("--only", default=",".join(names), metavar="CURVES", help=f"some of {', '.join(names)}")
    parser.add_argument("--reps", type=int, default=2, help="repetitions of each curve; default 2")
    parser.add_argument("--kind", default="compiled", help="compiled or interpreted; default compiled")
    chosen = parser.parse_args(arguments)
    unknown = sorted(set(chosen.only.split(",")) - set(names))
    reason = f"no such curve: {', '.join(unknown)}" if unknown else available(chosen.kind)
    if reason is None:
        try:
            load.build()
        except LoadError as error:
            reason = str(error)
    if reason is not None:
        print(f"bench: {reason}", file=sys.stderr)
        return 2
    curves = [curve for curve in CURVES if curve.name in chosen.only.split(",")]
    results, well = Results(SERIES), True
    for curve in curves:
        results.forget(curve.name)
    for _ in range(max(1, chosen.reps)):
        for curve in curves:
            well = measure_curve(curve, chosen.kind, results) and well
    for curve in curves:
        well = judge(curve, results) and well
    from bench import report

    report.write()
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
