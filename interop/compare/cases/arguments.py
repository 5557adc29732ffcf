"""Section 4.1: the arguments of queue.declare and exchange.declare, good, badly typed, out of range, and compared on
redeclaration.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..bench import Bench, case, queue_text, rows
from ..codec import Tagged

VALUES: dict[str, Any] = {
    "0": 0,
    "1": 1,
    "-1": -1,
    "255": 255,
    "256": 256,
    "1000": 1000,
    "2": 2,
    "3": 3,
    "2**40": 2**40,
    "ten years and a bit": 315360000001,
    "ten years": 315360000000,
    "long 1000": Tagged("l", 1000),
    "short 1000": Tagged("s", 1000),
    "byte 5": Tagged("b", 5),
    "unsigned byte 5": Tagged("B", 5),
    "unsigned short 1000": Tagged("u", 1000),
    "unsigned int 1000": Tagged("i", 1000),
    "string '1000'": "1000",
    "string 'x'": "x",
    "string ''": "",
    "float 1000.0": 1000.0,
    "true": True,
    "false": False,
    "void": None,
    "array": [1],
    "table": {"a": 1},
    "timestamp": Tagged("T", 1000),
    "decimal": Tagged("D", (0, 1000)),
    "bytes": Tagged("x", b"x"),
}

INTEGER_VALUES = [
    "0",
    "1",
    "-1",
    "long 1000",
    "short 1000",
    "byte 5",
    "unsigned byte 5",
    "unsigned short 1000",
    "unsigned int 1000",
    "2**40",
    "string '1000'",
    "float 1000.0",
    "true",
    "void",
]
GRID: list[tuple[str, list[str]]] = [
    (
        "x-message-ttl",
        [*INTEGER_VALUES, "ten years", "ten years and a bit", "timestamp", "array", "table", "decimal", "bytes"],
    ),
    ("x-expires", ["0", "1", "-1", "string 'x'", "true", "ten years", "ten years and a bit"]),
    ("x-max-length", ["0", "-1", "byte 5", "2**40", "string '1000'", "float 1000.0", "void"]),
    ("x-max-length-bytes", ["0", "-1", "2**40", "string 'x'"]),
    ("x-max-priority", ["0", "1", "-1", "255", "256", "2**40", "byte 5", "string 'x'", "true"]),
    ("x-overflow", ["string 'x'", "string ''", "1", "true"]),
    ("x-single-active-consumer", ["true", "false", "1", "string 'x'", "void"]),
    ("x-queue-mode", ["string 'x'", "1"]),
    ("x-queue-version", ["1", "2", "3", "0", "string 'x'", "true"]),
    ("x-queue-type", ["string 'x'", "string ''", "1", "true", "void"]),
    ("x-queue-master-locator", ["string 'x'", "1"]),
    ("x-queue-leader-locator", ["string 'x'", "1"]),
    ("x-dead-letter-exchange", ["string 'x'", "string ''", "1", "byte 5", "true", "void", "bytes"]),
    ("x-dead-letter-routing-key", ["string 'x'", "1"]),
]


def declare(b: Bench, arguments: Mapping[str, object], **options: bool) -> None:
    c = b.channel()
    c.send("queue.declare", queue=b.q(), arguments=arguments, **{"durable": True, **options})
    c.until("queue.declare-ok", "channel.close", "connection.close", "closed")


@rows("4.1 {0}: {1}", [(key, value) for key, values in GRID for value in values])
def argument(b: Bench, key: str, value: str) -> None:
    declare(b, {key: VALUES[value]})


GOOD: list[tuple[str, Mapping[str, object]]] = [
    ("x-overflow drop-head", {"x-overflow": "drop-head"}),
    ("x-overflow reject-publish", {"x-overflow": "reject-publish"}),
    ("x-overflow reject-publish-dlx", {"x-overflow": "reject-publish-dlx"}),
    ("x-queue-type classic", {"x-queue-type": "classic"}),
    ("x-queue-mode default", {"x-queue-mode": "default"}),
    ("x-queue-mode lazy", {"x-queue-mode": "lazy"}),
    ("x-queue-leader-locator client-local", {"x-queue-leader-locator": "client-local"}),
    ("x-queue-leader-locator balanced", {"x-queue-leader-locator": "balanced"}),
    ("x-queue-master-locator min-masters", {"x-queue-master-locator": "min-masters"}),
    ("dead letter exchange and key", {"x-dead-letter-exchange": "x", "x-dead-letter-routing-key": "k"}),
    ("dead letter key and the exchange after it", {"x-dead-letter-routing-key": "k", "x-dead-letter-exchange": ""}),
    (
        "everything",
        {
            "x-message-ttl": 1000,
            "x-expires": 100000,
            "x-max-length": 9,
            "x-max-length-bytes": 99,
            "x-max-priority": 5,
            "x-overflow": "drop-head",
            "x-dead-letter-exchange": "x",
            "x-single-active-consumer": True,
            "x-queue-version": 2,
            "x-queue-type": "classic",
        },
    ),
]


@rows("4.1 {0} on a classic queue", GOOD)
def good(b: Bench, _: str, arguments: Mapping[str, object]) -> None:
    declare(b, arguments)


OTHER_TYPES = [
    ("x-delivery-limit", 5),
    ("x-quorum-initial-group-size", 3),
    ("x-dead-letter-strategy", "at-least-once"),
    ("x-max-in-memory-length", 5),
    ("x-max-in-memory-bytes", 5),
    ("x-max-age", "1D"),
    ("x-stream-max-segment-size-bytes", 1000000),
    ("x-stream-filter-size-bytes", 32),
    ("x-initial-cluster-size", 1),
    ("x-consumer-timeout", 100000),
    ("x-consumer-disconnected-timeout", 1000),
    ("x-delayed-retry-type", "all"),
]


@rows("4.1 {0} is not for classic queues", OTHER_TYPES)
def other_type(b: Bench, key: str, value: object) -> None:
    declare(b, {key: value})


@rows(
    "4.1 {0} on a {1} queue",
    [
        ("nothing", "quorum", {}, {}),
        ("exclusive", "quorum", {}, {"exclusive": True, "durable": False}),
        ("not durable", "quorum", {}, {"durable": False}),
        ("auto-delete", "quorum", {}, {"auto_delete": True}),
        ("x-max-priority", "quorum", {"x-max-priority": 5}, {}),
        ("nothing", "stream", {}, {}),
        ("exclusive", "stream", {}, {"exclusive": True}),
        ("x-message-ttl", "stream", {"x-message-ttl": 5}, {}),
    ],
)
def replicated(b: Bench, _: str, kind: str, arguments: Mapping[str, object], options: dict[str, Any]) -> None:
    declare(b, {"x-queue-type": kind, **arguments}, **options)


@case("4.1 the first bad argument in checking order is reported")
def two_bad(b: Bench) -> None:
    declare(b, {"x-max-length": -1, "x-message-ttl": -1, "x-expires": 0, "x-max-priority": 256})


@case("4.1 a bad argument on an existing queue")
def bad_on_existing(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q(), durable=True)
    c.send("queue.declare", queue=q, durable=True, arguments={"x-message-ttl": "x"})
    c.until("channel.close")


@case("4.1 a passive declare does not look at the arguments")
def passive_arguments(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q(), durable=True)
    c.call("queue.declare", queue=q, passive=True, arguments={"x-message-ttl": "x"})


EQUIVALENCE: list[tuple[str, Mapping[str, object], Mapping[str, object]]] = [
    ("ttl differs", {"x-message-ttl": 1000}, {"x-message-ttl": 2000}),
    ("ttl only now, a short", {}, {"x-message-ttl": Tagged("s", 1000)}),
    ("ttl no more, a short", {"x-message-ttl": Tagged("s", 1000)}, {}),
    ("ttl equal in another width", {"x-message-ttl": 1000}, {"x-message-ttl": Tagged("l", 1000)}),
    ("ttl equal, byte and int", {"x-message-ttl": Tagged("b", 100)}, {"x-message-ttl": 100}),
    ("ttl equal, unsigned and signed", {"x-message-ttl": Tagged("u", 100)}, {"x-message-ttl": Tagged("s", 100)}),
    ("expires differs", {"x-expires": 100000}, {"x-expires": 200000}),
    ("max-length differs", {"x-max-length": 10}, {"x-max-length": 20}),
    ("max-length-bytes differs", {"x-max-length-bytes": 10}, {"x-max-length-bytes": 20}),
    ("max-priority differs", {"x-max-priority": 10}, {"x-max-priority": 20}),
    ("max-priority only now", {}, {"x-max-priority": 10}),
    ("overflow differs", {"x-overflow": "drop-head"}, {"x-overflow": "reject-publish"}),
    ("overflow only now", {}, {"x-overflow": "drop-head"}),
    ("dead letter exchange differs", {"x-dead-letter-exchange": "a"}, {"x-dead-letter-exchange": "b"}),
    ("dead letter exchange only now", {}, {"x-dead-letter-exchange": "b"}),
    ("dead letter exchange no more", {"x-dead-letter-exchange": "b"}, {}),
    (
        "dead letter key differs",
        {"x-dead-letter-exchange": "a", "x-dead-letter-routing-key": "k"},
        {"x-dead-letter-exchange": "a", "x-dead-letter-routing-key": "l"},
    ),
    (
        "dead letter key only now",
        {"x-dead-letter-exchange": "a"},
        {"x-dead-letter-exchange": "a", "x-dead-letter-routing-key": "l"},
    ),
    ("single active consumer differs", {"x-single-active-consumer": True}, {"x-single-active-consumer": False}),
    ("single active consumer false only now", {}, {"x-single-active-consumer": False}),
    ("single active consumer no more", {"x-single-active-consumer": True}, {}),
    ("queue type classic only now", {}, {"x-queue-type": "classic"}),
    ("queue type no more", {"x-queue-type": "classic"}, {}),
    ("queue type quorum now", {}, {"x-queue-type": "quorum"}),
    ("queue mode differs", {"x-queue-mode": "lazy"}, {"x-queue-mode": "default"}),
    ("queue version only now", {}, {"x-queue-version": 2}),
    ("leader locator only now", {}, {"x-queue-leader-locator": "client-local"}),
    ("two differ", {"x-message-ttl": 1, "x-max-length": 1}, {"x-message-ttl": 2, "x-max-length": 2}),
    ("order differs", {"x-message-ttl": 1, "x-max-length": 1}, {"x-max-length": 1, "x-message-ttl": 1}),
]


@rows("1.1 redeclare, {0}", EQUIVALENCE)
def equivalence(b: Bench, _: str, before: Mapping[str, object], now: Mapping[str, object]) -> None:
    c = b.channel()
    q = c.queue(b.q(), durable=True, arguments=before)
    c.send("queue.declare", queue=q, durable=True, arguments=now)
    c.until("queue.declare-ok", "channel.close", "connection.close")


@rows(
    "1.1 redeclare, the type name {0}",
    [
        ("byte", "b"),
        ("unsignedbyte", "B"),
        ("short", "s"),
        ("unsignedshort", "u"),
        ("signedint", "I"),
        ("unsignedint", "i"),
        ("long", "l"),
    ],
)
def type_names(b: Bench, name: str, tag: str) -> None:
    c = b.channel()
    q = c.queue(b.q(), durable=True)
    c.send("queue.declare", queue=q, durable=True, arguments={"x-message-ttl": Tagged(tag, 100)})
    c.refused(
        406,
        f"PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' for {queue_text(q)}: "
        f"received the value '100' of type '{name}' but current is none",
    )


# -- exchanges --------------------------------------------------------------------------------------------------------
@rows(
    "4.1 alternate-exchange: {0}",
    [(value,) for value in ("string 'x'", "string ''", "1", "byte 5", "true", "void", "array")],
)
def alternate(b: Bench, value: str) -> None:
    c = b.channel()
    c.send("exchange.declare", exchange=b.x(), type="direct", arguments={"alternate-exchange": VALUES[value]})
    c.until("exchange.declare-ok", "channel.close", "connection.close", "closed")


@rows(
    "1.1 redeclare an exchange, alternate-exchange {0}",
    [
        ("differs", {"alternate-exchange": "a"}, {"alternate-exchange": "b"}),
        ("only now", {}, {"alternate-exchange": "b"}),
        ("no more", {"alternate-exchange": "a"}, {}),
        (
            "equal, unknown arguments differ",
            {"alternate-exchange": "a", "foo": 1},
            {"alternate-exchange": "a", "foo": 2},
        ),
    ],
)
def alternate_equivalence(b: Bench, _: str, before: Mapping[str, object], now: Mapping[str, object]) -> None:
    c = b.channel()
    x = c.exchange(b.x(), "direct", arguments=before)
    c.send("exchange.declare", exchange=x, type="direct", arguments=now)
    c.until("exchange.declare-ok", "channel.close")


# -- consumers --------------------------------------------------------------------------------------------------------
@rows(
    "7 consume with x-priority {0}",
    [
        (value,)
        for value in (
            "0",
            "1",
            "-1",
            "1000",
            "long 1000",
            "byte 5",
            "2**40",
            "string 'x'",
            "float 1000.0",
            "true",
            "void",
        )
    ],
)
def consumer_priority(b: Bench, value: str) -> None:
    c = b.channel()
    q = c.queue(b.q())
    c.send("basic.consume", queue=q, consumer_tag="t", arguments={"x-priority": VALUES[value]})
    c.until("basic.consume-ok", "channel.close", "connection.close")


@rows(
    "7 consume a classic queue with {0}",
    [
        ("x-stream-offset", "first"),
        ("x-consumer-timeout", 100000),
        ("foo", 1),
        ("x-credit", {"credit": 1}),
        ("x-cancel-on-ha-failover", True),
    ],
)
def consumer_argument(b: Bench, key: str, value: object) -> None:
    c = b.channel()
    q = c.queue(b.q())
    c.send("basic.consume", queue=q, consumer_tag="t", arguments={key: value})
    c.until("basic.consume-ok", "channel.close", "connection.close")
