"""AMQP tables as JSON text, without loss, and in a form that SQLite's JSON functions can take apart.

    [["x-message-ttl","signedint",60000],["x-ids","array",[["longstr","a"],["unsignedbyte",7]]]]

A pair is its name, the name of its type and its value; an array's element has no name. The order and the duplicates of
pairs stay, and the type of each. What JSON cannot carry is `{"hex": ...}`: bytes that are not UTF-8, and numbers that
are infinite or none (the eight bytes of the IEEE 754 double). A decimal is its scale and its unscaled value.

Equal tables give equal text, and the reverse, to the bit. Nothing here knows of SQL.
"""

from __future__ import annotations

import json
import math
import struct
from typing import Any, Final

from amqpd.wire.primitives import as_bytes, as_text
from amqpd.wire.tables import (
    ARRAY,
    BINARY,
    BOOL,
    DECIMAL,
    DOUBLE,
    FLOAT,
    INTEGER_KINDS,
    LONG_ALIAS,
    LONGSTR,
    TABLE,
    TIMESTAMP,
    TYPE_NAMES,
    VOID,
    Field,
    Table,
)

# RabbitMQ calls both letters of signed 64 bits `long`. The second gets the specification's name, to tell them apart.
_NAMES: Final = TYPE_NAMES | {LONG_ALIAS: "longlong"}
KINDS: Final = {name: kind for kind, name in _NAMES.items()}  # every type by its name here
_NUMBERS: Final = INTEGER_KINDS | {TIMESTAMP}
_BYTES: Final = frozenset({LONGSTR, BINARY})
_FLOATS: Final = frozenset({FLOAT, DOUBLE})
_EMPTY: Final = "[]"

_write: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def encode(table: Table) -> str:
    """The text of a table."""
    return _write(_pairs(table)) if table else _EMPTY


def decode(text: str) -> Table:
    """The table of a text. Raises ValueError where it is not in the form above."""
    if text == _EMPTY:
        return []
    try:
        return _table(json.loads(text))
    except (KeyError, TypeError, RecursionError, struct.error) as error:
        raise ValueError(f"not a table of arguments: {type(error).__name__} {error}") from None


def canonical(table: Table) -> Table:
    """The table in the order of its names, which makes no difference to what a binding is (RabbitMQ)."""
    return sorted(table, key=_name) if len(table) > 1 else table


def _name(pair: tuple[str, Field]) -> str:
    return pair[0]


def _pairs(table: Table) -> list[object]:
    return [[_text(as_bytes(name)), _NAMES[field.kind], _value(field)] for name, field in table]


def _text(raw: bytes) -> object:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return {"hex": raw.hex()}


def _value(field: Field) -> object:
    value = field.value
    if field.kind in _BYTES:
        return _text(field.raw())
    if field.kind == TABLE:
        assert isinstance(value, list)
        return _pairs(value)
    if field.kind == ARRAY:
        return [[_NAMES[item.kind], _value(item)] for item in field.items()]
    if isinstance(value, float) and not math.isfinite(value):
        return {"hex": struct.pack(">d", value).hex()}
    return value


def _table(pairs: object) -> Table:
    return [(_key(name), _field(kind, value)) for name, kind, value in _list(pairs)]


def _key(name: object) -> str:
    return name if isinstance(name, str) else as_text(_raw(name))


def _field(name: str, value: object) -> Field:
    kind = KINDS[name]
    if kind in _BYTES:
        return Field(kind, _raw(value))
    if kind == TABLE:
        return Field(kind, _table(value))
    if kind == ARRAY:
        return Field(kind, [_field(item_kind, item) for item_kind, item in _list(value)])
    if kind == DECIMAL:
        scale, unscaled = _list(value)
        return Field(kind, (_number(scale), _number(unscaled)))
    if kind in _FLOATS:
        return Field(kind, value if isinstance(value, float) else struct.unpack(">d", _raw(value))[0])
    if kind in _NUMBERS:
        return Field(kind, _number(value))
    if (kind == BOOL and not isinstance(value, bool)) or (kind == VOID and value is not None):
        raise ValueError(f"{value!r} is no {name}")
    return Field(kind, value)


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{value!r} is no list")
    return value


def _raw(value: object) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, dict):
        return bytes.fromhex(value["hex"])
    raise ValueError(f"{value!r} is neither text nor hex")


def _number(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError(f"{value!r} is no integer")
