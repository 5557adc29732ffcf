#!/usr/bin/env python3
"""What features cost a message that does not use them, and one that does: a table, without sockets.

    .venv/bin/python bench/features.py [--only TEXT] [--kinds interpreted]

The plain case is published, delivered and forgotten (auto-ack), or confirmed and acknowledged, each (ack). Beside it
the same is played with each feature configured (on the queue, the vhost, the user) and of no concern to the message;
and with a message that uses it. Printed is by how many percent of the plain case that is dearer. What is below NOISE
says nothing: the first row is the plain case once more.

Each kind of build is measured by its own interpreter, of .venv and of .venv-compiled: this program starts itself there
(`--measure`), and makes one table of the answers. JSON lines go to bench/results/features.jsonl.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))  # for `bench`; behind everything else, so that amqpd is the installed one

from amqpd.broker import commands as c  # noqa: E402
from amqpd.wire import content, methods, tables  # noqa: E402
from amqpd.wire.primitives import shortstr  # noqa: E402
from amqpd.wire.tables import Field, Table  # noqa: E402
from bench import client  # noqa: E402
from bench.bare import Core, Session  # noqa: E402
from bench.clocking import costs  # noqa: E402
from bench.core import expect, keep  # noqa: E402
from bench.traffic import Flow, Play, Traffic, consume  # noqa: E402

PYTHON: Final = {"compiled": ROOT / ".venv-compiled/bin/python", "interpreted": ROOT / ".venv/bin/python"}
NOISE: Final = 3  # percent
PASSES: Final = 25
PASS_S: Final = 0.004
PLAIN: Final = {"auto-ack": Traffic(), "ack": Traffic(confirm=True, ack_every=1)}
LARGE: Final = 1_000_000
HOUR_MS: Final = 3_600_000
Setup = Callable[[Core, Session], None]


@dataclass(frozen=True, kw_only=True)
class Feature:
    """Changes to a Traffic: `base` to the plain case, and to that `unused` or `used`. None: there is no such case."""

    name: str
    base: Mapping[str, Any] | None = None
    unused: Mapping[str, Any] | None = None
    used: Mapping[str, Any] | None = None
    modes: tuple[str, ...] = tuple(PLAIN)


# -- what is set up


def _applied(*orders: c.Command) -> Setup:
    """An operator's orders."""
    return lambda core, session: core.apply(*orders)


def _sent(*pieces: bytes) -> Setup:
    """What a client declares, without answers."""
    return lambda core, session: session.call(b"".join(pieces))


def _queue(name: str, value: Field) -> dict[str, Any]:
    """An argument of the queue."""
    return {"arguments": [(name, value)]}


def _policy(definition: dict[str, object], *, pattern: str = "", operator: bool = False) -> dict[str, Any]:
    return {"prepare": _applied(c.PutPolicy("/", "p", pattern, definition, "queues", 0, operator))}


def _many_policies(core: Core, session: Session) -> None:
    for number in range(100):
        core.apply(c.PutPolicy("/", f"p{number}", f"^other{number}", {"max-length": 1}, "queues"))


def _exchange(name: str, kind: str, arguments: Table) -> bytes:
    """exchange.declare, without an answer."""
    named = b"\0\0" + shortstr(name) + shortstr(kind) + b"\x10" + tables.encode_table(arguments)
    return client.method(1, methods.EXCHANGE_DECLARE, named)


def _bind_headers(queue: str) -> bytes:
    """Bound to amq.headers by one header."""
    named = b"\0\0" + shortstr(queue) + shortstr("amq.headers") + shortstr("") + b"\1"
    return client.method(1, methods.QUEUE_BIND, named + tables.encode_table([("colour", tables.longstr("red"))]))


def _bind_exchange(core: Core, session: Session) -> None:
    """amq.direct -> amq.fanout -> q"""
    named = b"\0\0" + shortstr("amq.fanout") + shortstr("amq.direct") + shortstr("q") + b"\1" + tables.encode_table([])
    session.call(client.method(1, methods.EXCHANGE_BIND, named) + client.bind(1, "q", "amq.fanout", ""))


def _dead_letters(core: Core, session: Session) -> None:
    """A queue for them, and a consumer."""
    session.call(client.declare_queue(1, "dead", False) + client.bind(1, "dead", "amq.fanout", ""))
    core.connect().call(consume(1, "dead", True, []))


def _tracing(vhost: str) -> Setup:
    def trace(core: Core, session: Session) -> None:
        core.apply(c.PutVHost(vhost))
        core.broker.vhosts[vhost].tracing = True

    return trace


def _plugin(core: Core, session: Session) -> None:
    """What a plugin does that waits for alarms and uses the event exchange."""
    core.broker.events.enable()
    core.broker.alarms.subscribe(lambda: None)


def _user(pattern: str) -> dict[str, Any]:
    return {"prepare": lambda core, session: core.add_user("clerk", pattern), "user": "clerk"}


def _topic_user(core: Core, session: Session) -> None:
    core.add_user("clerk", ".*")
    core.apply(c.PutTopicPermission("clerk", "/", "amq.topic", "^q", ".*"))


def _table(*pairs: tuple[str, Field]) -> bytes:
    return tables.encode_table(list(pairs))


_RED: Final = {content.HEADERS: _table(("colour", tables.longstr("red")))}
_COPY: Final = {content.HEADERS: _table(("CC", tables.array([tables.longstr("nobody")])))}
_SIX: Final = {
    content.CONTENT_TYPE: shortstr("text/plain"),
    content.CORRELATION_ID: shortstr("12345"),
    content.MESSAGE_ID: shortstr("67890"),
    content.TIMESTAMP: bytes(8),
    content.TYPE: shortstr("greeting"),
    content.APP_ID: shortstr("bench"),
}
_TRANSIENT: Final = {content.DELIVERY_MODE: b"\1"}
_PERSISTENT: Final = {content.DELIVERY_MODE: b"\2"}
_IN_TOPIC: Final = {"exchange": "amq.topic", "bind": _sent(client.bind(1, "q", "amq.topic", "q"))}
_ALTERNATE: Final = _sent(_exchange("x", "direct", [("alternate-exchange", tables.longstr("amq.fanout"))]))
_DEAD_LETTER: Final = _queue("x-dead-letter-exchange", tables.longstr("amq.fanout"))

FEATURES: Final = (
    Feature(name="the plain case once more", unused={}),
    Feature(name="x-message-ttl", unused=_queue("x-message-ttl", tables.long(HOUR_MS))),
    Feature(name="expiration property", used={"properties": {content.EXPIRATION: shortstr("3600000")}}),
    Feature(name="x-expires", unused=_queue("x-expires", tables.long(HOUR_MS))),
    Feature(
        name="x-max-priority",
        unused=_queue("x-max-priority", tables.long(10)),
        used={**_queue("x-max-priority", tables.long(10)), "properties": {content.PRIORITY: b"\5"}},
    ),
    Feature(name="priority property, plain queue", unused={"properties": {content.PRIORITY: b"\5"}}),
    Feature(name="x-max-length", unused=_queue("x-max-length", tables.long(LARGE))),
    Feature(name="x-max-length-bytes", unused=_queue("x-max-length-bytes", tables.long(LARGE * 1000))),
    Feature(
        name="x-overflow reject-publish",
        unused={"arguments": [("x-max-length", tables.long(LARGE)), ("x-overflow", tables.longstr("reject-publish"))]},
    ),
    Feature(name="dead-letter exchange", unused=_DEAD_LETTER),
    Feature(
        name="dead-letter exchange, rejected",
        used={**_DEAD_LETTER, "prepare": _dead_letters, "reject": True, "deliveries": 2},
        modes=("ack",),
    ),
    Feature(
        name="alternate exchange",
        base={"exchange": "x", "bind": _sent(_exchange("x", "direct", []), client.bind(1, "q", "x", "q"))},
        unused={"prepare": _ALTERNATE, "bind": _sent(client.bind(1, "q", "x", "q"))},
        used={"prepare": _ALTERNATE, "bind": _sent(client.bind(1, "q", "amq.fanout", ""))},
    ),
    Feature(name="exchange bound to exchange", used={"exchange": "amq.direct", "bind": _bind_exchange}),
    Feature(name="mandatory", unused={"mandatory": True}),
    Feature(
        name="mandatory, returned",
        used={"mandatory": True, "keys": ("nobody",), "deliveries": 0, "returns": 1},
        modes=("auto-ack",),
    ),
    Feature(name="permissions by patterns", used=_user("^(q|amq\\.).*$")),
    Feature(name="topic permissions", base=_IN_TOPIC, used={"prepare": _topic_user, "user": "clerk"}),
    Feature(
        name="limits of user and vhost",
        unused={
            "prepare": _applied(
                c.PutUserLimit("guest", "max-connections", LARGE),
                c.PutUserLimit("guest", "max-channels", LARGE),
                c.PutVHostLimit("/", "max-connections", LARGE),
                c.PutVHostLimit("/", "max-queues", LARGE),
            )
        },
    ),
    Feature(name="policy", unused=_policy({"dead-letter-exchange": "amq.fanout"})),
    Feature(name="policy of max-length", unused=_policy({"max-length": LARGE})),
    Feature(name="operator policy", unused=_policy({"max-length": LARGE}, operator=True)),
    Feature(name="a hundred policies of others", unused={"prepare": _many_policies}),
    Feature(
        name="headers exchange",
        unused={"bind": _sent(_bind_headers("q"))},
        used={"exchange": "amq.headers", "properties": _RED, "bind": _sent(_bind_headers("q"))},
    ),
    Feature(name="headers property", unused={"properties": _RED}),
    Feature(name="six other properties", unused={"properties": _SIX}),
    Feature(name="CC header", used={"properties": _COPY}),
    Feature(name="user-id property", used={"properties": {content.USER_ID: shortstr("guest")}}),
    Feature(name="x-single-active-consumer", unused=_queue("x-single-active-consumer", tables.boolean(True))),
    Feature(name="x-consumer-timeout", unused=_queue("x-consumer-timeout", tables.long(HOUR_MS))),
    Feature(name="consumer priority", unused={"consumer_arguments": [("x-priority", tables.long(5))]}),
    Feature(name="prefetch 10,000", used={"prefetch": 10_000}, modes=("ack",)),
    Feature(name="store, transient queue", unused={"store": True}),
    Feature(name="store, durable queue", unused={"store": True, "durable": True, "properties": _TRANSIENT}),
    Feature(
        name="store, persistent message",
        used={"store": True, "durable": True, "properties": _PERSISTENT},
    ),
    Feature(name="firehose", unused={"prepare": _tracing("other")}, used={"prepare": _tracing("/")}),
    Feature(name="plugin, event exchange", unused={"prepare": _plugin}),
)


# -- measuring


def variants(only: str) -> dict[str, Callable[[], Play]]:
    """Every Traffic that is measured, by `feature|mode|plain`, `|unused` or `|used`."""
    made: dict[str, Callable[[], Play]] = {}
    for mode, plain in PLAIN.items():
        made[f"|{mode}|plain"] = partial(Flow, plain)
        for feature in FEATURES:
            if only not in feature.name or mode not in feature.modes:
                continue
            base = replace(plain, **(feature.base or {}))
            if feature.base is not None:
                made[f"{feature.name}|{mode}|plain"] = partial(Flow, base)
            for column, changes in (("unused", feature.unused), ("used", feature.used)):
                if changes is not None:
                    made[f"{feature.name}|{mode}|{column}"] = partial(Flow, replace(base, **changes))
    return made


def measure(only: str, passes: int, pass_s: float) -> dict[str, dict[str, float]]:
    """Microseconds of a message, by feature and by `mode column`; the plain case's feature is "". Raises BenchError."""
    found: dict[str, dict[str, float]] = {}
    for name, cost in costs(variants(only), passes, pass_s).items():
        feature, mode, column = name.split("|")
        found.setdefault(feature, {})[f"{mode} {column}"] = round(cost.us, 4)
    return found


def dearer(found: Mapping[str, Mapping[str, float]], feature: str, mode: str, column: str) -> float | None:
    """By how many percent of the plain case; None where that is not measured."""
    figure = found[feature].get(f"{mode} {column}")
    if figure is None:
        return None
    plain = found[feature].get(f"{mode} plain", found[""][f"{mode} plain"])
    return 100 * (figure / plain - 1)


# -- the table


def table(by_kind: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[str]:
    """The lines that are printed: two columns for what is unused and two for what is used, for each kind."""
    columns = [(column, mode) for column in ("unused", "used") for mode in PLAIN]
    head = "".join([kind.ljust(11 * len(columns)) for kind in by_kind])
    names = "".join([f"{column:>11}" for _ in by_kind for column, _mode in columns])
    modes = "".join([f"{mode:>11}" for _ in by_kind for _column, mode in columns])
    lines = [f"{'percent dearer than the plain case':36}{head}".rstrip(), " " * 36 + names, " " * 36 + modes]
    plain = "".join([_us(found, column, mode) for found in by_kind.values() for column, mode in columns])
    lines.append(f"{'plain case, us/message':36}{plain}")
    for feature in next(iter(by_kind.values())):
        if feature:
            cells = [_percent(found, feature, mode, column) for found in by_kind.values() for column, mode in columns]
            lines.append(f"{feature:36}{''.join(cells)}".rstrip())
    return lines


def _us(found: Mapping[str, Mapping[str, float]], column: str, mode: str) -> str:
    return f"{found[''][f'{mode} plain']:11.3f}" if column == "unused" else " " * 11


def _percent(found: Mapping[str, Mapping[str, float]], feature: str, mode: str, column: str) -> str:
    percent = dearer(found, feature, mode, column)
    return " " * 11 if percent is None else f"{percent:+11.0f}"


# -- the command line


def started(kind: str, arguments: Sequence[str]) -> dict[str, dict[str, float]]:
    """What this program measures with the interpreter of a kind. Blocks. Raises CalledProcessError."""
    program = [str(PYTHON[kind]), "-P", __file__, "--measure", kind, *arguments]
    answer = subprocess.run(program, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, dict[str, float]] = json.loads(answer.stdout)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="bench/features.py", description="what features cost a message")
    parser.add_argument("--only", default="", help="features whose names contain this")
    parser.add_argument("--kinds", default=",".join(PYTHON), help=f"of {', '.join(PYTHON)}, with commas")
    parser.add_argument("--passes", type=int, default=PASSES, help=f"of which the least counts (default: {PASSES})")
    parser.add_argument("--pass-ms", type=float, default=PASS_S * 1000, help="CPU time of a case in a pass")
    parser.add_argument("--measure", choices=tuple(PYTHON), help="measure with this interpreter, and print JSON")
    chosen = parser.parse_args(arguments)
    if chosen.measure:
        expect(parser, chosen.measure)
        print(json.dumps(measure(chosen.only, chosen.passes, chosen.pass_ms / 1000)))
        return 0
    kinds = chosen.kinds.split(",")
    if not set(kinds) <= set(PYTHON):
        parser.error(f"--kinds: {chosen.kinds!r} is not of {', '.join(PYTHON)}")
    options = ["--only", chosen.only, "--passes", str(chosen.passes), "--pass-ms", str(chosen.pass_ms)]
    by_kind: dict[str, dict[str, dict[str, float]]] = {}
    for kind in kinds:
        if not PYTHON[kind].exists():
            parser.error(f"{PYTHON[kind].relative_to(ROOT)} is missing: `make venv compiled` makes both")
        by_kind[kind] = started(kind, options)
        keep("features", kind, by_kind[kind])
    print(*table(by_kind), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
