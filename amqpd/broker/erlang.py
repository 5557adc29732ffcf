"""Values as Erlang prints them: RabbitMQ's reply-texts contain Erlang terms, and clients compare texts."""

from __future__ import annotations

from typing import Final

from amqpd.wire import tables
from amqpd.wire.tables import Field

DEPTH_MAX: Final = 100
_ESCAPES: Final[dict[int, str]] = {
    8: "\\b",
    9: "\\t",
    10: "\\n",
    11: "\\v",
    12: "\\f",
    13: "\\r",
    27: "\\e",
    34: '\\"',
    92: "\\\\",
}


def string(text: str) -> str:
    """A string: with double quotes."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def octets(raw: bytes) -> str:
    """A binary as numbers (~w)."""
    return "<<" + ",".join(str(octet) for octet in raw) + ">>"


def binary(raw: bytes) -> str:
    """A binary (~p): as text where all of it is printable ASCII, as numbers where not."""
    if raw and all(32 <= octet <= 126 or octet in _ESCAPES for octet in raw):
        return '<<"' + "".join(_ESCAPES.get(octet) or chr(octet) for octet in raw) + '">>'
    return octets(raw)


def text(raw: bytes) -> str:
    """A binary (~tp): as text where it is printable UTF-8, as numbers where not."""
    try:
        decoded = raw.decode("utf-8")
    except UnicodeDecodeError:
        return octets(raw)
    if decoded.isascii() or not decoded.isprintable():
        return binary(raw)
    return f"<<{string(decoded)}/utf8>>"


def value(field: Field) -> str:
    """The value of a table's field (~tp)."""
    content = field.value
    if content is None:
        return "undefined"
    if isinstance(content, bool):
        return "true" if content else "false"
    if isinstance(content, bytes):
        return text(content)
    if isinstance(content, tuple):
        return "{" + ",".join(str(part) for part in content) + "}"
    if field.kind == tables.ARRAY:
        return "[" + ",".join(f"{{{item.type_name},{value(item)}}}" for item in field.items()) + "]"
    if isinstance(content, list):
        pairs = [f"{{{text(key.encode())},{item.type_name},{value(item)}}}" for key, item in content]
        return "[" + ",".join(pairs) + "]"
    return str(content)


def json(value: object, depth: int = 0) -> str:
    """A value of JSON (~tp), in one line; what is nested more than DEPTH_MAX deep as `...`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return text(value.encode("utf-8", "replace"))
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, int):
        return str(value)
    if depth > DEPTH_MAX:
        return "..."
    if isinstance(value, list):
        if value and all(type(item) is int and (32 <= item <= 126 or item in _ESCAPES) for item in value):
            return binary(bytes(value))[2:-2]  # Erlang cannot tell a list of characters from a string
        return "[" + ",".join([json(item, depth + 1) for item in value]) + "]"
    if isinstance(value, dict):
        return "#{" + ",".join([f"{json(key)} => {json(value[key], depth + 1)}" for key in sorted(value)]) + "}"
    return str(value)


def _float(value: float) -> str:
    mantissa, _, exponent = repr(value).partition("e")
    if not exponent:
        return mantissa
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}e{int(exponent)}"
