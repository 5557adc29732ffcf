"""`make bench`: every case against every kind of broker, in turns, and the report of it.

The nodes of all kinds run side by side and idle while another one works; a case is measured once on each, then again,
so that what disturbs the machine disturbs all of them. A lost, doubled or disordered message makes the exit code 1.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from bench import load
from bench.cases import CASES, SECTIONS, Case
from bench.load import Figures, LoadError
from bench.node import KINDS, Node, NodeError, available, rabbitmq_version
from bench.quiet import wait_until_quiet
from bench.results import Results, machine

__all__ = ["backlog", "broken", "case_id", "chosen_cases", "complain", "main", "whole"]

SERIES = "load"
QUIET_S = 1.5
BACKLOG_TIMEOUT_S = 300.0
DRAIN_QUEUE = "amqpload.backlog"
FRESH = ("start", "backlog")  # measures of a node that has done nothing before
FLOOD = "--autoack --size 16 --duration 5"
FLOOD_RISES_S = 1.0


def case_id(case: Case) -> str:
    """How a case is named in results: "a 16 B"."""
    return f"{case.section} {case.name}"


def chosen_cases(only: str) -> list[Case]:
    """The cases of these sections ("a,b"), of "" all that amqpd can do. Raises ValueError for what is no section."""
    if not only:
        return [case for case in CASES if not case.needs]
    sections = only.split(",")
    unknown = [section for section in sections if section not in SECTIONS]
    if unknown:
        raise ValueError(f"no such section: {', '.join(unknown)} (one of {', '.join(SECTIONS)})")
    return [case for case in CASES if case.section in sections]


def broken(figures: Figures) -> list[str]:
    """What went wrong with messages in a run: "3 lost", ..."""
    wrong = [f"{figures[name]} {name}" for name in ("lost", "out_of_order", "bad_body", "foreign") if figures.get(name)]
    doubled = figures.get("duplicates", 0) - figures.get("redelivered", 0)
    if doubled > 0:
        wrong.append(f"{doubled} duplicated")
    if not wrong and not figures.get("ok", 1):
        wrong.append(str(figures.get("complaint", "failed")))
    return wrong


def complain(subject: str, what: object) -> None:
    """Say what went wrong, at once, beside the figures."""
    print(f"  {subject}: {what}", file=sys.stderr, flush=True)


def whole(subject: str, figures: Figures) -> bool:
    """Whether nothing went wrong with messages in a run; what did is said."""
    wrong = broken(figures)
    if wrong:
        complain(subject, ", ".join(wrong))
    return not wrong


def backlog(node: Node, options: str, count: int) -> Figures:
    """Fill a queue, and drain it: both rates, and what the broker weighs when it is full. Raises LoadError."""
    before = node.rss_bytes()
    queue = f"--queue-name {DRAIN_QUEUE} {options} --count {count} --keep"
    filled = load.run(node, f"{queue} --consumers 0", BACKLOG_TIMEOUT_S)
    full = node.rss_bytes()
    taken = "--prefetch 1000 --multi-ack 100" if "--persistent" in options else "--autoack"
    drained = load.run(node, f"{queue} --producers 0 --any-run --no-declare {taken}", BACKLOG_TIMEOUT_S)
    return {
        "rss_mb": full / 1e6,
        "bytes_per_message": (full - before) / count,
        "fill_per_s": filled["confirmed_per_s" if "--confirm" in options else "published_per_s"],
        "drain_per_s": drained["consumed_per_s"],
        "fill_cpu_us": filled.get("broker_cpu_us_per_published"),
        "drain_cpu_us": drained.get("broker_cpu_us_per_delivered"),
        "lost": max(0, count - drained["consumed"]),
        "ok": int(bool(filled["ok"] and drained["ok"] and drained["consumed"] == count)),
    }


def beside_flood(node: Node, options: str) -> Figures:
    """A run while a publisher and its consumer go as fast as they can, and how fast they go. Raises LoadError."""
    flood = load.start(node, FLOOD)
    try:
        time.sleep(FLOOD_RISES_S)
        figures = load.run(node, options)
    finally:
        flooded = flood.figures()
    wrong = broken(flooded)
    if wrong:
        figures |= {"ok": 0, "complaint": f"of the flood {', '.join(wrong)}"}
    return figures | {"flood_per_s": flooded["consumed_per_s"]}


def measure(case: Case, node: Node, scale: float) -> Figures:
    """One run of one case. Raises LoadError."""
    count = max(1, int(case.count * scale))
    if case.measure == "start":
        return {"start_s": node.start_s, "rss_mb": node.rss_bytes() / 1e6}
    if case.measure == "backlog":
        return backlog(node, case.options, min(count, case.count))  # no more than its name says
    if case.measure == "beside a flood":
        return beside_flood(node, case.options)
    return load.run(node, f"{case.options} --count {count}" if case.count else case.options)


class Brokers:
    """One node of each kind, started when it is first needed; a case that wants a fresh one gets it for itself."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._nodes: dict[str, Node] = {}

    @contextmanager
    def node_for(self, case: Case, kind: str) -> Iterator[Node]:
        """Raises NodeError."""
        if case.fresh or case.measure in FRESH:
            with Node.start(kind) as node:
                yield node
            return
        if kind not in self._nodes or not self._nodes[kind].alive():
            self._nodes[kind] = self._stack.enter_context(Node.start(kind))
        yield self._nodes[kind]


def run_case(case: Case, kinds: list[str], brokers: Brokers, reps: int, scale: float, results: Results) -> bool:
    """All repetitions of a case, in turns; whether all went well."""
    name, well = case_id(case), True
    results.forget(name)
    for rep in range(reps):
        for kind in kinds:
            if kind == "rabbitmq" and rep >= case.peer_reps:
                continue
            busy = wait_until_quiet(QUIET_S)
            try:
                with brokers.node_for(case, kind) as node:
                    figures = measure(case, node, scale)
            except (LoadError, NodeError) as error:
                complain(kind, error)
                well = False
                continue
            well &= whole(kind, figures)
            results.add(name, kind, figures | {"busy_before_percent": round(busy, 1)})
    return well


def show(case: Case, kinds: list[str], results: Results) -> None:
    """A line for each figure of the case: medians side by side."""
    from bench.report import median, number

    for row in case.rows:
        cells = (f"{kind} {number(median(results.of(case_id(case), kind), row))}" for kind in kinds)
        goal = f"  (goal {number(row.goal)})" if row.goal is not None else ""
        print(f"{case_id(case)}: {row.note or row.unit}: {'  '.join(cells)}{goal}", flush=True)


def choose_kinds(asked: str) -> list[str]:
    """The kinds that can be measured here. Raises ValueError if one that was asked for by name cannot."""
    if asked:
        kinds = asked.split(",")
        reasons = [reason for kind in kinds if (reason := available(kind))]
        if reasons:
            raise ValueError("; ".join(reasons))
        return kinds
    missing = {kind: reason for kind in KINDS if (reason := available(kind))}
    for kind, reason in missing.items():
        print(f"without {kind}: {reason}", file=sys.stderr, flush=True)
    return [kind for kind in KINDS if kind not in missing]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.run", description="Benchmarks of whole brokers.")
    parser.add_argument("--only", default="", metavar="SECTIONS", help="a,b,...; all that amqpd can do, without")
    parser.add_argument("--reps", type=int, default=3, help="repetitions of each case; default 3")
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of messages; default 1")
    parser.add_argument("--kinds", default="", help=f"some of {','.join(KINDS)}; all that are installed, without")
    parser.add_argument("--no-report", action="store_true", help="leave docs/benchmarks.md as it is")
    chosen = parser.parse_args(arguments)
    try:
        cases, kinds = chosen_cases(chosen.only), choose_kinds(chosen.kinds)
        load.build()
    except (ValueError, LoadError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    results, well = Results(SERIES), True
    results.forget("machine")
    results.add("machine", "", machine() | ({"rabbitmq": rabbitmq_version()} if "rabbitmq" in kinds else {}))
    with ExitStack() as stack:
        brokers = Brokers(stack)
        for case in cases:
            able = [kind for kind in kinds if not case.needs or kind == "rabbitmq"]
            well = run_case(case, able, brokers, max(1, chosen.reps), chosen.scale, results) and well
            show(case, able, results)
    if not chosen.no_report:
        from bench import report

        report.write()
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
