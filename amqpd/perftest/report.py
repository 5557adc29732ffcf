"""Lines, tables and JSON of what was counted. The lines are PerfTest's, so that what reads those can read these.

Latencies are shown in whole microseconds, or in milliseconds where they were measured so.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final, TextIO

from amqpd.perftest.figures import Interval, Latency, Summary

RATE: Final = "msg/s"
_COUNTED: Final = ("sent", "returned", "confirmed", "nacked", "received")


@dataclass(frozen=True)
class Form:
    """What there is to show. `legacy`: minimum, average and maximum instead of percentiles; `compact`: a table."""

    id: str
    publishes: bool
    consumes: bool
    confirms: bool
    mandatory: bool
    millis: bool = False
    legacy: bool = False
    compact: bool = False

    @property
    def unit(self) -> str:
        """Of latencies."""
        return "ms" if self.millis else "µs"

    @property
    def latency_names(self) -> str:
        """Of the numbers of a latency."""
        return "min/avg/max" if self.legacy else "min/median/75th/95th/99th/max"

    def latency_values(self, latency: Latency) -> list[int]:
        """The numbers, in the unit."""
        values = [latency.minimum, latency.median, latency.p75, latency.p95, latency.p99, latency.maximum]
        if self.legacy:
            values = [latency.minimum, round(latency.mean), latency.maximum]
        return [value // (1_000_000 if self.millis else 1000) for value in values]

    def latency(self, latency: Latency) -> str:
        """The numbers as text, with their unit."""
        return "/".join(map(str, self.latency_values(latency))) + f" {self.unit}"


def rate(value: float) -> str:
    """Messages a second: with a decimal or two where they are few."""
    if value == 0:
        return "0"
    if value < 1:
        return f"{value:.2f}"
    return f"{value:.1f}" if value < 10 else f"{value:.0f}"


def _rates(form: Form, seen: Interval) -> list[tuple[str, float]]:
    rates: list[tuple[str, float]] = []
    if form.publishes:
        rates.append(("sent", seen.sent))
    if form.mandatory:
        rates.append(("returned", seen.returned))
    if form.publishes and form.confirms:
        rates += [("confirmed", seen.confirmed), ("nacked", seen.nacked)]
    if form.consumes:
        rates.append(("received", seen.received))
    return rates


def _latencies(form: Form, seen: Interval | Summary) -> list[tuple[str, Latency]]:
    latencies: list[tuple[str, Latency]] = []
    if form.consumes:
        latencies.append(("consumer latency", seen.consumer))
    if form.publishes and form.confirms:
        latencies.append(("confirm latency", seen.confirm))
    return latencies


def line(form: Form, seen: Interval) -> str:
    """What happened in an interval, on one line."""
    rates, latencies = _rates(form, seen), _latencies(form, seen)
    if form.compact:
        cells = [f"{seen.time_s:10.3f} s", *(f"{rate(value) + ' ' + RATE:>16}" for _name, value in rates)]
        return "".join([*cells, *(f"  {form.latency(latency):>44}" for _name, latency in latencies)])
    counted = [f"{name}: {rate(value)} {RATE}" for name, value in rates]
    text = ", ".join([f"id: {form.id}, time {seen.time_s:.3f} s", *counted])
    if latencies:
        text += f", {form.latency_names} " + ", ".join(f"{name}: {form.latency(value)}" for name, value in latencies)
    return text


def heading(form: Form) -> str:
    """The first line of a compact report; empty where there is none."""
    if not form.compact:
        return ""
    nothing = Latency(0, 0, 0, 0, 0, 0, 0, 0.0)
    blank = Interval(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, nothing, nothing)
    names = [f"{'time':>12}", *(f"{name:>16}" for name, _value in _rates(form, blank))]
    return "".join([*names, *(f"  {name:>44}" for name, _value in _latencies(form, blank))])


def summary_lines(form: Form, summary: Summary) -> list[str]:
    """What is said at the end."""
    lines = []
    if form.publishes:
        lines.append(f"sending rate avg: {rate(summary.sending_rate)} {RATE}")
    if form.consumes:
        lines.append(f"receiving rate avg: {rate(summary.receiving_rate)} {RATE}")
    for name, latency in _latencies(form, summary):
        lines.append(f"{name} {form.latency_names} {form.latency(latency)}")
    return [f"id: {form.id}, {text}" for text in lines]


class Csv:
    """A table with PerfTest's columns, one row for each interval. Cells of what was not measured are empty."""

    def __init__(self, file: TextIO, form: Form) -> None:
        self._file = file
        self._form = form
        self._writer = csv.writer(file, lineterminator="\n")
        names = ("published", *_COUNTED[1:])
        shares = ("min", "median", "75th p.", "95th p.", "99th p.")
        latencies = [f"{share} {kind} latency ({form.unit})" for kind in ("consumer", "confirm") for share in shares]
        self._writer.writerow(["id", "time (s)", *(f"{name} ({RATE})" for name in names), *latencies])

    def add(self, seen: Interval) -> None:
        """A row; it is in the file when this returns. Raises OSError."""
        form = self._form
        known = dict(_rates(form, seen))
        rates = [rate(known[name]) if name in known else "" for name in _COUNTED]
        shown = dict(_latencies(form, seen))
        cells: list[str | int] = []
        for name in ("consumer latency", "confirm latency"):
            latency = shown.get(name)
            unit = 1_000_000 if form.millis else 1000
            values = [] if latency is None else [latency.minimum, latency.median, latency.p75, latency.p95, latency.p99]
            cells += [value // unit for value in values] or [""] * 5
        self._writer.writerow([form.id, f"{seen.time_s:.3f}", *rates, *cells])
        self._file.flush()


def as_json(form: Form, reason: str, summary: Summary, intervals: Sequence[Interval], left_out: int) -> str:
    """The whole run. Latencies are in nanoseconds, and null where they were not measured; so are rates."""
    document = {
        "id": form.id,
        "stopped": reason,
        "summary": _plain(form, asdict(summary)),
        "intervals": [_plain(form, asdict(seen)) for seen in intervals],
        "intervals_left_out": left_out,
    }
    return json.dumps(document, indent=2) + "\n"


def _plain(form: Form, fields: dict[str, object]) -> dict[str, object]:
    """Without what was not measured; latencies say their unit."""
    unmeasured = set()
    if not form.publishes:
        unmeasured |= {"sent", "sending_rate"}
    if not form.mandatory:
        unmeasured |= {"returned"}
    if not (form.publishes and form.confirms):
        unmeasured |= {"confirmed", "nacked", "confirm"}
    if not form.consumes:
        unmeasured |= {"received", "receiving_rate", "consumer"}
    names = {"consumer": "consumer_latency_ns", "confirm": "confirm_latency_ns"}
    return {names.get(name, name): None if name in unmeasured else value for name, value in fields.items()}
