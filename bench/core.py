#!/usr/bin/env python3
"""What a message costs in the core alone: no sockets, no clock, no disk. The benchmark that runs in CI.

    .venv/bin/python -P bench/core.py [--only TEXT] [--record]
    .venv-compiled/bin/python -P bench/core.py --expect compiled

Prints CPU microseconds of a message for each case, the same relative to a calibration (`bench.calibration`), and how
many times its record that is. Records are in bench/core.toml, one set for each build. What is more than WORST times its
record is measured anew, up to AGAIN times; if it stays so the program fails: somebody has made the core slower, and
the log of the change that did it says where. --record writes the figures of this run down as the new records.

-P (or PYTHONSAFEPATH=1) has Python import the installed amqpd and not the one in the current directory. JSON lines go
to bench/results/core.jsonl.
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))  # for `bench`; behind everything else, so that amqpd is the installed one

from amqpd.runtime import build  # noqa: E402
from amqpd.wire import content  # noqa: E402
from bench import client  # noqa: E402
from bench.bare import Core, Session  # noqa: E402
from bench.client import BenchError  # noqa: E402
from bench.clocking import PASS_S, PASSES, Cost, costs  # noqa: E402
from bench.results import Results  # noqa: E402
from bench.traffic import Calls, Flow, Play, Traffic  # noqa: E402

RECORDS: Final = ROOT / "bench" / "core.toml"
WORST: Final = 2.0
AGAIN: Final = 3
BINDINGS: Final = 100
COPIES: Final = 10
PERSISTENT: Final = {content.DELIVERY_MODE: b"\2"}


# -- the cases


def _bind_all(kind: str, keys: Sequence[str], queues: Sequence[str]) -> Callable[[Core, Session], None]:
    """Each queue bound to exchange x with each key."""

    def bind(core: Core, session: Session) -> None:
        bound = [client.bind(1, queue, "x", key) for queue in queues for key in keys]
        session.call(client.declare_exchange(1, "x", kind, False) + b"".join(bound))

    return bind


def _exchange(kind: str, patterns: Sequence[str], keys: Sequence[str]) -> Traffic:
    return Traffic(exchange="x", keys=tuple(keys), bind=_bind_all(kind, patterns, ["q"]))


_NUMBERS: Final = [f"{number:03d}" for number in range(BINDINGS)]
_TEN: Final = tuple(f"q{number}" for number in range(COPIES))
_KEPT: Final = Traffic(durable=True, properties=PERSISTENT, store=True, confirm=True, ack_every=1)

TRAFFIC: Final[dict[str, Traffic]] = {
    "auto-ack, 16 B": Traffic(),
    "auto-ack, 1 KiB": Traffic(body=1024),
    "auto-ack, 16 KiB": Traffic(body=16_384),
    "auto-ack, one message in a read": Traffic(one_by_one=True),
    "confirms, ack of each": Traffic(confirm=True, ack_every=1),
    "confirms, one message in a read": Traffic(confirm=True, ack_every=1, one_by_one=True),
    "ack of a hundred": Traffic(ack_every=100),
    "fanout to ten queues": Traffic(
        exchange="x", queues=_TEN, bind=_bind_all("fanout", [""], _TEN), deliveries=COPIES
    ),
    "direct, 100 bindings": _exchange("direct", _NUMBERS, _NUMBERS),
    "topic, 100 bindings": _exchange(
        "topic", [f"*.{number}.#" for number in _NUMBERS], [f"some.{number}.key" for number in _NUMBERS]
    ),
    "four channels": Traffic(channels=4, confirm=True),
    "consumer on another channel number": Traffic(consumer_channel=2),
    "1 KiB, consumer on another channel number": Traffic(body=1024, consumer_channel=2),
    "persistent, confirms, ack of each": _KEPT,
    "persistent, 1 KiB": replace(_KEPT, body=1024),
}


def cases() -> dict[str, Callable[[], Play]]:
    """What makes each case, by its name."""
    made: dict[str, Callable[[], Play]] = {name: partial(Flow, traffic) for name, traffic in TRAFFIC.items()}
    made["call by direct reply-to"] = Calls
    return made


# -- the records


def load_records(path: Path, kind: str) -> dict[str, float]:
    """The relative figures that were recorded of a build; none where there is no file. Raises TOMLDecodeError."""
    if not path.exists():
        return {}
    recorded: dict[str, dict[str, float]] = tomllib.loads(path.read_text())
    return recorded.get(kind, {})


def save_records(path: Path, kind: str, figures: Mapping[str, float]) -> None:
    """Write the figures of one build down; those of the other stay."""
    recorded = tomllib.loads(path.read_text()) if path.exists() else {}
    recorded[kind] = dict(figures)
    lines = ["# What a message costs in the core, in units of bench/calibration.py. Written by bench/core.py --record."]
    for name in sorted(recorded):
        lines += ["", f"[{name}]"]
        lines += [f"{json.dumps(case)} = {figure:.4f}" for case, figure in recorded[name].items()]
    path.write_text("\n".join(lines) + "\n")


def unmatched(figures: Mapping[str, float], records: Mapping[str, float]) -> list[str]:
    """What is measured and has no record, or has one and is not measured any more."""
    return sorted(set(figures) ^ set(records))


def worse(figures: Mapping[str, float], records: Mapping[str, float]) -> list[str]:
    """The cases that cost more than WORST times their record."""
    return [name for name, figure in figures.items() if figure > WORST * records.get(name, figure)]


# -- the run


def measure(
    makers: Mapping[str, Callable[[], Play]], records: Mapping[str, float], passes: int, pass_s: float
) -> dict[str, Cost]:
    """Measure all cases; those that look too bad are measured again, and the best of it counts."""
    found = costs(makers, passes, pass_s)
    for _ in range(AGAIN):
        bad = worse({name: cost.relative for name, cost in found.items()}, records)
        if not bad:
            break
        print(f"measured again: {', '.join(bad)}", flush=True)
        for name, cost in costs({name: makers[name] for name in bad}, passes, pass_s).items():
            found[name] = min(found[name], cost, key=lambda one: one.relative)
    return found


def table(found: Mapping[str, Cost], records: Mapping[str, float]) -> list[str]:
    """The lines that are printed."""
    lines = [f"{'':44}{'us/message':>12}{'relative':>12}{'record':>12}{'times':>8}"]
    for name, cost in found.items():
        record = records.get(name)
        beside = f"{record:12.3f}{cost.relative / record:8.2f}" if record else f"{'none':>12}"
        lines.append(f"{name:44}{cost.us:12.3f}{cost.relative:12.3f}{beside}")
    return lines


def keep(series: str, kind: str, figures: Mapping[str, Mapping[str, float]]) -> None:
    """Append a line for each case to the results of a series."""
    results = Results(series)
    for case, values in figures.items():
        results.add(case, kind, dict(values))


def expect(parser: argparse.ArgumentParser, kind: str | None) -> str:
    """The build that is measured; ends the program where it is not the expected one."""
    mode = build.mode()
    if kind is not None and kind != mode:
        parser.error(f"amqpd is {mode} here ({build.__file__}) and {kind} was expected; is -P missing?")
    return mode


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns 1 where a case is too slow, or records and cases are not the same."""
    parser = argparse.ArgumentParser(prog="bench/core.py", description="CPU time of a message in the core alone")
    parser.add_argument("--only", default="", help="cases whose names contain this")
    parser.add_argument("--expect", choices=("compiled", "interpreted"), help="fail where amqpd is the other build")
    parser.add_argument("--record", action="store_true", help="write the figures down as the new records")
    parser.add_argument("--passes", type=int, default=PASSES, help=f"of which the least counts (default: {PASSES})")
    parser.add_argument("--pass-ms", type=float, default=PASS_S * 1000, help="CPU time of a case in a pass")
    chosen = parser.parse_args(arguments)
    if chosen.record and chosen.only:
        parser.error("--record writes down all cases: leave --only out")
    kind = expect(parser, chosen.expect)
    makers = {name: maker for name, maker in cases().items() if chosen.only in name}
    records = {name: figure for name, figure in load_records(RECORDS, kind).items() if chosen.only in name}
    if chosen.record:
        records = {}
    print(f"{build.described()}: the core without sockets", flush=True)
    try:
        found = measure(makers, records, chosen.passes, chosen.pass_ms / 1000)
    except BenchError as error:
        print(f"bench/core.py: {error}", file=sys.stderr)
        return 1
    print(*table(found, records), sep="\n")
    keep("core", kind, {name: cost._asdict() for name, cost in found.items()})
    figures = {name: cost.relative for name, cost in found.items()}
    if chosen.record:
        save_records(RECORDS, kind, figures)
        return 0
    return judge(kind, figures, records)


def judge(kind: str, figures: Mapping[str, float], records: Mapping[str, float]) -> int:
    """Say what is wrong, and return the exit code."""
    odd = unmatched(figures, records)
    bad = worse(figures, records)
    if odd:
        print(f"core {kind}: cases and records differ ({', '.join(odd)}): run it with --record", file=sys.stderr)
    if bad:
        print(f"core {kind}: more than {WORST:g} times the record: {', '.join(bad)}", file=sys.stderr)
    if odd or bad:
        return 1
    times = sorted(figures[name] / records[name] for name in figures)
    print(f"core {kind}: {len(times)} cases, {times[0]:.2f} to {times[-1]:.2f} times their records")
    return 0


if __name__ == "__main__":
    sys.exit(main())
