"""docs/benchmarks.md and the plots beside it, from bench/results/.

Written as a whole each time, and from the results alone: the same results give the same bytes. What was not measured is
not there. Figures are medians; a ratio is of the medians of one run.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable
from pathlib import Path

from bench.cases import CASES, GROUPS, SECTIONS, Case, Row
from bench.load import Figures, find
from bench.results import DIRECTORY, Results

__all__ = ["markdown", "median", "number", "write"]

DOCS = Path(__file__).resolve().parents[1] / "docs"
KIND_NAMES = {"compiled": "amqpd, compiled", "interpreted": "amqpd, interpreted", "rabbitmq": "RabbitMQ"}

HEAD = """\
# Benchmarks

<!-- Written by `make bench`, `make bench-scaling` and `make soak`; changes made here by hand are lost. -->

How fast amqpd is, what that costs, and how it changes when there is more of everything. All figures are of one machine
on which client and broker share the cores; the brokers took turns in one run, so compare along a row, not with figures
from elsewhere. Broker CPU time per message moves least from run to run and is the figure to look at first: throughput
is what was left of the machine.

`make bench` measures the tables again, `make bench-scaling` the curves, `make soak` the soak. The load generator, its
flags and what each figure means are described in `bench/README.md`; where the time goes is told in
[Performance](performance.md).
"""
TABLE_NOTE = """\
Medians of {reps} runs. The goal is amqpd's, compiled; it was set from a prototype without features on such a machine.
"""
GROUP_NOTES = {
    "cpu": "User and system time of all the broker's threads, per message: publish, route, deliver, and where the case "
    "has them confirm and acknowledge. Less is better.",
    "rate": "As fast as it goes, on cores that the client uses too. More is better.",
    "latency": "Microseconds. At a given rate it is counted from when a message was due, so that a stalled broker is "
    "charged for what it delayed. Less is better.",
    "other": "Less is better.",
}


def number(value: float | None) -> str:
    """A figure as a reader wants it: three digits, k and M."""
    if value is None:
        return "-"
    for limit, suffix in ((1e6, " M"), (1e4, " k")):
        if abs(value) >= limit:
            return f"{value / (1e6 if suffix == ' M' else 1e3):.3g}{suffix}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def median(runs: Iterable[Figures], row: Row) -> float | None:
    """The median of a row over runs, in the row's unit; None if no run has it."""
    values = [value for figures in runs if (value := find(figures, row.figure)) is not None]
    return statistics.median(values) * row.scale if values else None


def reached(row: Row, value: float | None) -> str:
    """Whether the goal is: "yes", "no", or "" if there is none."""
    if row.goal is None or value is None:
        return ""
    return "yes" if (value >= row.goal if row.more else value <= row.goal) else "no"


def ratio(row: Row, ours: float | None, theirs: float | None) -> str:
    """How many times better ours is, as text."""
    if not ours or not theirs:
        return ""
    return f"{number(ours / theirs if row.more else theirs / ours)}x"


def rows_of(group: str) -> list[tuple[Case, Row]]:
    return [(case, row) for case in CASES for row in case.rows if row.group == group]


class Measured:
    """The results of `make bench`, looked up by case and row."""

    def __init__(self, results: Results) -> None:
        self._runs: dict[tuple[str, str], list[Figures]] = {}
        for line in results.lines():
            self._runs.setdefault((line["case"], line["kind"]), []).append(line["figures"])
        self.kinds = [kind for kind in KIND_NAMES if any(found == kind for _, found in self._runs)]
        self.machine = (self._runs.get(("machine", "")) or [{}])[-1]
        counts = [len(runs) for (_, kind), runs in self._runs.items() if kind == "compiled"]
        self.reps = min(counts, default=0)

    def runs(self, case: Case, kind: str) -> list[Figures]:
        return self._runs.get((f"{case.section} {case.name}", kind), [])

    def value(self, case: Case, row: Row, kind: str) -> float | None:
        return median(self.runs(case, kind), row)

    def has(self, case: Case) -> bool:
        return any(self.runs(case, kind) for kind in self.kinds)

    def bad(self) -> list[str]:
        """Runs whose messages did not all arrive, once and in order."""
        wrong = [key for key, runs in self._runs.items() if any(not figures.get("ok", 1) for figures in runs)]
        return [f"{case} ({kind})" for case, kind in wrong]


def line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def table(measured: Measured, group: str) -> list[str]:
    """One row for each figure of the group that was measured."""
    kinds = measured.kinds
    compared = "rabbitmq" in kinds and "compiled" in kinds
    better = ["compiled is better by"] if compared else []
    heads = ["case", "", *(KIND_NAMES[kind] for kind in kinds), *better, "goal", "reached"]
    made = [line(heads), line("---" for _ in heads)]
    for case, row in rows_of(group):
        if not measured.has(case):
            continue
        values = {kind: measured.value(case, row, kind) for kind in kinds}
        cells = [f"{case.section}: {case.name}", f"{row.note}, {row.unit}" if row.note else row.unit]
        cells += [number(values[kind]) for kind in kinds]
        cells += [ratio(row, values["compiled"], values["rabbitmq"])] if compared else []
        goal = "" if row.goal is None else number(row.goal)
        made.append(line([*cells, goal, reached(row, values.get("compiled"))]))
    return made


def tally(measured: Measured) -> str:
    """How many goals were reached."""
    judged = [
        reached(row, measured.value(case, row, "compiled"))
        for case in CASES
        for row in case.rows
        if measured.has(case)
    ]
    goals = [verdict for verdict in judged if verdict]
    return f"Goals reached: {goals.count('yes')} of {len(goals)}."


def machine_line(measured: Measured) -> str:
    found = measured.machine
    if not found:
        return ""
    return (
        f"The machine: {found['cores']} cores ({found['cpu']}), {found['memory_gib']} GiB, {found['system']}; amqpd on "
        f"{found['python']}{', RabbitMQ ' + found['rabbitmq'] if found.get('rabbitmq') else ''}."
    )


def brokers_part(measured: Measured) -> list[str]:
    """The tables and plots of `make bench`."""
    if not measured.kinds:
        return []
    bad = measured.bad()
    told = {case.section for case in CASES if measured.has(case)}
    sections = [f"{key}, {text}" for key, text in SECTIONS.items() if key in told]
    verdict = (
        f"**Messages went wrong in:** {'; '.join(bad)}." if bad else "Nothing was lost, duplicated or out of order."
    )
    parts = [machine_line(measured), "", TABLE_NOTE.format(reps=measured.reps), tally(measured), verdict]
    parts += ["", f"Sections: {'; '.join(sections)}.", ""]
    for group, title in GROUPS.items():
        if not any(measured.has(case) for case, _ in rows_of(group)):
            continue
        parts += [f"## {title}", "", GROUP_NOTES[group], "", *table(measured, group), ""]
        if group != "other":
            parts += [f"![{title}](benchmarks/{group}.svg)", ""]
    later = sorted({f"{case.section} ({case.needs})" for case in CASES if case.needs})
    return [*parts, f"Not measured, because amqpd does not have them yet: {', '.join(later)}.", ""]


def write(docs: Path = DOCS, directory: Path = DIRECTORY) -> None:
    """Write the page and the plots. Raises ImportError without matplotlib (`pip install 'amqpd[bench]'`)."""
    from bench import plots

    measured = Measured(Results("load", directory))
    pictures: list[Callable[[Path], object]] = []
    if measured.kinds:
        pictures += [lambda to: plots.bars(measured, "cpu", to), lambda to: plots.bars(measured, "rate", to)]
        pictures += [lambda to: plots.distributions(measured, to)]
    scaling = Results("scaling", directory).lines()
    if scaling:
        pictures += [lambda to: plots.curves(scaling, to)]
    soaks = Results("soak", directory).lines()
    if soaks:
        pictures += [lambda to: plots.soak(soaks[-1]["figures"]["samples"], to)]
    (docs / "benchmarks").mkdir(exist_ok=True)
    for draw in pictures:
        draw(docs / "benchmarks")
    (docs / "benchmarks.md").write_text(markdown(measured, scaling, soaks))
    print(f"written: {docs.name}/benchmarks.md", flush=True)


def markdown(measured: Measured, scaling: list[Figures], soaks: list[Figures]) -> str:
    """The page."""
    from bench import curves

    parts = [HEAD, *brokers_part(measured), *curves.part(scaling), *soak_part(soaks)]
    return "\n".join(parts).rstrip() + "\n"


def soak_part(soaks: list[Figures]) -> list[str]:
    """What the last soak showed."""
    if not soaks:
        return []
    found, kind = soaks[-1]["figures"], KIND_NAMES[soaks[-1]["kind"]]
    about = (
        f"{found['minutes']:.3g} minutes of full load, {kind}: a normal flow with confirms and acknowledgements, a "
        "consumer slower than its producer, bodies of up to 64 MiB on 100 connections, headers of 1 MiB, connections "
        "that come and go. Memory is read each second."
    )
    memory = (
        f"- RSS at most {number(found['rss_peak_mb'])} MB; in the second half {number(found['rss_mean_mb'])} MB, "
        f"growing by {number(found['slope_mb_per_minute'])} MB a minute"
    )
    flow = (
        f"- normal flow: {number(found['normal_messages'])} messages, {found['lost']} lost, {found['duplicated']} "
        f"duplicated, {found['out_of_order']} out of order"
    )
    rest = (
        f"- {number(found['large_messages'])} large messages, {number(found['headers_messages'])} with 1 MiB of "
        f"headers, {number(found['connections'])} connections opened and closed"
    )
    return ["## Soak", "", about, "", memory, flow, rest, "", "![Memory during the soak](benchmarks/soak.svg)", ""]


if __name__ == "__main__":
    write()
