"""The keys of a policy's definition: what values they take, RabbitMQ's words for wrong ones, how two policies merge.

All keys that RabbitMQ 4.3 knows are known, also those without effect on this node (`docs/policies.md` says which), so
that definitions can be brought from there and back. Does not know which policy applies to what, nor what a key does.

Source: RabbitMQ, rabbit_policies, rabbit_quorum_queue, rabbit_classic_queue, rabbit_federation_parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast

from amqpd.broker import erlang, patterns
from amqpd.broker.arguments import OVERFLOW_MODES
from amqpd.broker.limits import NAME_BYTES_MAX

Definition = dict[str, object]
Check = Callable[[object], bool]
Merge = Callable[[object, object], object]

ALTERNATE_EXCHANGE: Final = "alternate-exchange"
INTEGER_MAX: Final = 2**63 - 1
_SEGMENT_MAX: Final = 3_000_000_000  # bytes
_LINE: Final = 78  # columns, after which Erlang begins a new line
_SHOWN: Final = 2000  # characters of a value that is wrong


class Key:
    """One key. `noun` is what errors say a wrong value is not; `merge` takes a policy's and an operator policy's value.

    Operator policies cannot have keys without `merge`.
    """

    def __init__(self, allowed: Check, noun: str, merge: Merge | None = None) -> None:
        self.allowed: Final = allowed
        self.noun: Final = noun
        self.merge: Final = merge


# -- values


def _text(value: object) -> bool:
    return isinstance(value, str)


def _routing_key(value: object) -> bool:
    """RabbitMQ accepts any text, and fails when the first message dies that gets a routing key that cannot be."""
    if not isinstance(value, str):
        return False
    try:
        return len(value.encode()) <= NAME_BYTES_MAX
    except UnicodeEncodeError:
        return False


def _integer(value: object) -> bool:
    """RabbitMQ has no limit; but a table in an event cannot carry more than 64 bits."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= INTEGER_MAX


def _between(least: int, most: int) -> Check:
    return lambda value: _integer(value) and least <= cast("int", value) <= most


def _at_least(least: int) -> Check:
    return lambda value: _integer(value) and least <= cast("int", value)


def _one_of(*allowed: object) -> Check:
    return lambda value: not isinstance(value, (bool, float)) and value in allowed


def _age(value: object) -> bool:
    """A number above 0 and a unit: years, months, days, hours, minutes, seconds."""
    if not isinstance(value, str) or value[-1:] not in ("Y", "M", "D", "h", "m", "s"):
        return False
    number = value[:-1]
    return number.isascii() and number.isdigit() and number.strip("0") != ""


# -- merging


def _lesser(value: object, operator: object) -> object:
    return min(cast("int", value), cast("int", operator))


def _greater(value: object, operator: object) -> object:
    return max(cast("int", value), cast("int", operator))


def _operators(value: object, operator: object) -> object:
    return operator


def _delivery_limit(value: object, operator: object) -> object:
    """The lesser, but a negative one is no limit at all."""
    unlimited = cast("int", value) < 0 or cast("int", operator) < 0
    return _greater(value, operator) if unlimited else _lesser(value, operator)


# -- the keys, in the order in which RabbitMQ's modules look at them

_STANDARD: Final[dict[str, Key]] = {
    ALTERNATE_EXCHANGE: Key(_text, "alternate exchange name"),
    "consumer-disconnected-timeout": Key(_at_least(0), "consumer disconnected timeout"),
    "consumer-timeout": Key(_at_least(0), "consumer timeout"),
    "dead-letter-exchange": Key(_text, "dead letter exchange name"),
    "dead-letter-routing-key": Key(_routing_key, "dead letter routing key"),
    "dead-letter-strategy": Key(_one_of("at-most-once", "at-least-once"), "dead letter strategy"),
    "delivery-limit": Key(_integer, "delivery limit", _delivery_limit),
    "expires": Key(_at_least(1), "queue expiry", _lesser),
    "initial-cluster-size": Key(_at_least(0), "cluster size"),
    "max-age": Key(_age, "max age"),
    "max-in-memory-bytes": Key(_at_least(0), "maximum memory in bytes", _lesser),
    "max-in-memory-length": Key(_at_least(0), "maximum memory in bytes", _lesser),
    "max-length": Key(_at_least(0), "maximum length", _lesser),
    "max-length-bytes": Key(_at_least(0), "maximum length in bytes", _lesser),
    "message-ttl": Key(_at_least(0), "message TTL", _lesser),
    "overflow": Key(_one_of(*OVERFLOW_MODES), "overflow value", _operators),
    "queue-leader-locator": Key(
        _one_of("client-local", "balanced", "random", "least-leaders"), "queue leader locator value"
    ),
    "queue-mode": Key(_one_of("default", "lazy"), "queue-mode value"),
    "queue-version": Key(_one_of(1, 2), "queue-version value", _operators),
    "stream-filter-size-bytes": Key(_between(16, 255), "filter size. Valid range is 16-255"),
    "stream-max-segment-size-bytes": Key(_between(0, _SEGMENT_MAX), "segment size"),
}
_RETRY_TYPES: Final = ("all", "failed", "returned", "disabled")
_QUORUM: Final[dict[str, Key]] = {
    "delayed-retry-max": Key(
        _at_least(1), "delayed retry maximum delay. Must be a positive integer", _lesser
    ),
    "delayed-retry-min": Key(
        _at_least(1), "delayed retry minimum delay. Must be a positive integer", _greater
    ),
    "delayed-retry-type": Key(
        _one_of(*_RETRY_TYPES), "delayed retry type. Must be one of: " + ", ".join(_RETRY_TYPES), _operators
    ),
    "target-group-size": Key(_at_least(1), "qq target count value", _greater),
}
_FEDERATION: Final[dict[str, Key]] = {
    "federation-upstream": Key(_text, "federation upstream name"),
    "federation-upstream-pattern": Key(_text, "federation upstream pattern name"),
    "federation-upstream-set": Key(_text, "federation upstream set name"),
}
_GROUPS: Final = (_STANDARD, _QUORUM, _FEDERATION)
_KEYS: Final[dict[str, Key]] = {**_STANDARD, **_QUORUM, **_FEDERATION}

_CLASSIC_ONLY: Final = frozenset({"queue-mode"})
_QUORUM_ONLY: Final = frozenset(
    {"dead-letter-strategy", "delivery-limit", "max-in-memory-bytes", "max-in-memory-length", "target-group-size"}
)
_STREAM_ONLY: Final = frozenset({"initial-cluster-size", "max-age", "stream-max-segment-size-bytes"})
_NOT_FOR_STREAMS: Final = frozenset(
    {"dead-letter-exchange", "dead-letter-routing-key", "expires", "max-length", "message-ttl", "overflow"}
)
# A policy with any of these keys does not apply to such a queue at all (RabbitMQ: unsupported_policies).
UNSUPPORTED: Final[dict[str, frozenset[str]]] = {
    "classic": _QUORUM_ONLY | _STREAM_ONLY,
    "quorum": _CLASSIC_ONLY | _STREAM_ONLY,
    "stream": _CLASSIC_ONLY | _QUORUM_ONLY | _NOT_FOR_STREAMS,
    "exchange": frozenset(),
}


def merged(definition: Definition, operator: Definition) -> Definition:
    """What a policy and an operator policy say together."""
    result = {**definition, **operator}
    for name in definition.keys() & operator.keys():
        merge = _KEYS[name].merge
        assert merge is not None
        result[name] = merge(definition[name], operator[name])
    return {name: result[name] for name in sorted(result)}


def problem(definition: object, operator: bool) -> str:
    """What is wrong with a definition, the first of it and in RabbitMQ's words, or ""."""
    if not isinstance(definition, dict):
        return f"definition must be a dictionary: {shown(definition)}"
    if not definition:
        return "no policy provided"
    if "queue-master-locator" in definition:
        return "use of deprecated queue-master-locator argument is not permitted"
    names = sorted(definition)
    if not operator and len(definition.keys() & _FEDERATION.keys()) > 1:
        names = [name for name in names if name not in _FEDERATION]  # their values are not looked at
    for group in _GROUPS:
        for name in names:
            key = group.get(name)
            if key is not None and not (operator and key.merge is None) and not key.allowed(definition[name]):
                return f"{shown(definition[name])} is not a valid {key.noun}"
        wrong = _quorum_problem(definition) if group is _QUORUM else ""
        if wrong:
            return wrong
    wrong = "" if operator else _federation_problem(definition)
    unknown = [name for name in names if name not in _KEYS or (operator and _KEYS[name].merge is None)]
    if not unknown or wrong:
        return wrong
    return f"{_shown_pairs(definition, unknown)} are not recognised policy settings"


def _quorum_problem(definition: Definition) -> str:
    kind = definition.get("delayed-retry-type", "disabled")
    least = definition.get("delayed-retry-min")
    most = definition.get("delayed-retry-max")
    if kind != "disabled" and least is None:
        return f"delayed-retry-min is required when delayed-retry-type is {kind}"
    if isinstance(least, int) and isinstance(most, int) and most < least:
        return f"delayed-retry-max ({most}) must not be smaller than delayed-retry-min ({least})"
    return ""


def _federation_problem(definition: Definition) -> str:
    if len(definition.keys() & _FEDERATION.keys()) > 1:
        return "cannot specify federation-upstream, federation-upstream-set or federation-upstream-pattern together"
    pattern = definition.get("federation-upstream-pattern")
    wrong = patterns.problem(pattern) if isinstance(pattern, str) else ""
    return f"could not compile pattern {pattern} to a regular expression. Error: {wrong}" if wrong else ""


def shown(value: object) -> str:
    """A value as errors print it: as Erlang does, but never endless."""
    printed = erlang.json(value)
    return printed if len(printed) <= _SHOWN else printed[:_SHOWN] + "..."


def _shown_pairs(definition: Definition, names: list[str]) -> str:
    """Some of a definition, as Erlang breaks it into lines where it is too long for one."""
    pairs = [f"{{{shown(name)},{shown(definition[name])}}}" for name in names]
    line = "[" + ",".join(pairs) + "]"
    if len(line) <= _LINE:
        return line
    lines = []
    for name, pair in zip(names, pairs, strict=True):
        room = _LINE - 2 if name == names[-1] else _LINE - 1
        lines.append(pair if len(pair) <= room else f"{{{shown(name)},\n  {shown(definition[name])}}}")
    return "[" + ",\n ".join(lines) + "]"
