"""Field tables (AMQP 0-9-1 specification 4.2.5.5, with the type letters that RabbitMQ and its clients use).

Typed both ways without loss: a `Field` keeps the type letter it came with, a table keeps the order and the duplicates
of its pairs. Depth is limited before any recursion. Editing (`entries`) works on raw bytes, so that what an edit does
not touch passes through to the bit.

Letters (RabbitMQ's errata): t bool, b B s u I i l L integers, f d floats, D decimal, S long string, x bytes, T
timestamp, A array, F table, V void. `l` and `L` are both signed 64 bits, as in RabbitMQ.
"""

from __future__ import annotations

from typing import Final

from amqpd.errors import MalformedError
from amqpd.wire.primitives import (
    BytesWriter,
    Reader,
    as_bytes,
    as_text,
    read_f32_be,
    read_f64_be,
    read_i32_be,
    write_f32_be,
    write_f64_be,
    write_longstr,
    write_shortstr,
    write_u16,
    write_u32,
    write_u64,
)

MAX_DEPTH: Final = 32

BOOL: Final = ord("t")
BYTE: Final = ord("b")
UNSIGNED_BYTE: Final = ord("B")
SHORT: Final = ord("s")
UNSIGNED_SHORT: Final = ord("u")
SIGNED_INT: Final = ord("I")
UNSIGNED_INT: Final = ord("i")
LONG: Final = ord("l")
LONG_ALIAS: Final = ord("L")
FLOAT: Final = ord("f")
DOUBLE: Final = ord("d")
DECIMAL: Final = ord("D")
LONGSTR: Final = ord("S")
BINARY: Final = ord("x")
TIMESTAMP: Final = ord("T")
ARRAY: Final = ord("A")
TABLE: Final = ord("F")
VOID: Final = ord("V")

# RabbitMQ's name of each type, as it appears in reply-texts.
TYPE_NAMES: Final[dict[int, str]] = {
    BOOL: "bool",
    BYTE: "byte",
    UNSIGNED_BYTE: "unsignedbyte",
    SHORT: "short",
    UNSIGNED_SHORT: "unsignedshort",
    SIGNED_INT: "signedint",
    UNSIGNED_INT: "unsignedint",
    LONG: "long",
    LONG_ALIAS: "long",
    FLOAT: "float",
    DOUBLE: "double",
    DECIMAL: "decimal",
    LONGSTR: "longstr",
    BINARY: "binary",
    TIMESTAMP: "timestamp",
    ARRAY: "array",
    TABLE: "table",
    VOID: "void",
}
# kind -> (bytes on the wire, signed)
_INTEGERS: Final[dict[int, tuple[int, bool]]] = {
    BYTE: (1, True),
    UNSIGNED_BYTE: (1, False),
    SHORT: (2, True),
    UNSIGNED_SHORT: (2, False),
    SIGNED_INT: (4, True),
    UNSIGNED_INT: (4, False),
    LONG: (8, True),
    LONG_ALIAS: (8, True),
    TIMESTAMP: (8, False),
}
_FIXED_SIZES: Final[dict[int, int]] = {BOOL: 1, FLOAT: 4, DOUBLE: 8, DECIMAL: 5, VOID: 0}
# By kind: bytes of the kind and its value; 0 for what has a length before it, and for what is unknown.
_WIDTHS: Final = bytes(
    [1 + (_INTEGERS[kind][0] if kind in _INTEGERS else _FIXED_SIZES.get(kind, -1)) for kind in range(256)]
)
INTEGER_KINDS: Final = frozenset(
    {BYTE, UNSIGNED_BYTE, SHORT, UNSIGNED_SHORT, SIGNED_INT, UNSIGNED_INT, LONG, LONG_ALIAS}
)


class Field:
    """One typed value. `value` is a bool, int, float, bytes (S and x), (scale, int) for D, a table, a list, or None."""

    __slots__ = ("kind", "value")

    def __init__(self, kind: int, value: object) -> None:
        self.kind: Final = kind
        self.value: Final = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Field) and self.kind == other.kind and self.value == other.value

    def __hash__(self) -> int:
        return hash((self.kind, repr(self.value)))

    def __repr__(self) -> str:
        return f"{self.type_name}:{self.value!r}"

    @property
    def type_name(self) -> str:
        """RabbitMQ's name of the type."""
        return TYPE_NAMES[self.kind]

    @property
    def is_integer(self) -> bool:
        """True for every integer width (timestamps are not integers)."""
        return self.kind in INTEGER_KINDS

    def integer(self) -> int:
        """The value of an integer or timestamp field."""
        assert isinstance(self.value, int)
        return self.value

    def raw(self) -> bytes:
        """The bytes of a long string or binary field."""
        assert isinstance(self.value, bytes)
        return self.value

    def text(self) -> str:
        """A long string as text."""
        return as_text(self.raw())

    def items(self) -> list[Field]:
        """The elements of an array."""
        assert isinstance(self.value, list)
        return self.value


Table = list[tuple[str, Field]]


def lookup(table: Table, name: str) -> Field | None:
    """The first value of `name`, or None."""
    for key, field in table:
        if key == name:
            return field
    return None


def longstr(text: str) -> Field:
    """A long string field."""
    return Field(LONGSTR, as_bytes(text))


def boolean(value: bool) -> Field:
    """A bool field."""
    return Field(BOOL, value)


def long(value: int) -> Field:
    """A signed 64-bit field."""
    return Field(LONG, value)


def array(items: list[Field]) -> Field:
    """An array field."""
    return Field(ARRAY, items)


def subtable(table: Table) -> Field:
    """A nested table field."""
    return Field(TABLE, table)


def read_table(reader: Reader, depth: int = 0) -> Table:
    """Read a table with its length. Raises MalformedError; blocks never."""
    raw = reader.longstr()
    return decode_table(raw, depth)


def decode_table(raw: bytes, depth: int = 0) -> Table:
    """Decode a table's pairs (without the length before them). Raises MalformedError."""
    if depth > MAX_DEPTH:
        raise MalformedError(f"tables nested deeper than {MAX_DEPTH}")
    reader = Reader(raw, 0, len(raw))
    table: Table = []
    while reader.pos < reader.end:
        key = as_text(reader.shortstr())
        table.append((key, _read_field(reader, depth)))
    return table


def _decode_array(raw: bytes, depth: int) -> list[Field]:
    if depth > MAX_DEPTH:
        raise MalformedError(f"arrays nested deeper than {MAX_DEPTH}")
    reader = Reader(raw, 0, len(raw))
    items: list[Field] = []
    while reader.pos < reader.end:
        items.append(_read_field(reader, depth))
    return items


def _read_field(reader: Reader, depth: int) -> Field:
    kind = reader.octet()
    if kind == LONGSTR or kind == BINARY:
        return Field(kind, reader.longstr())
    width = _INTEGERS.get(kind)
    if width is not None:
        return Field(kind, _read_integer(reader, width[0], width[1]))
    if kind == BOOL:
        return Field(kind, reader.octet() != 0)
    if kind == TABLE:
        return Field(kind, read_table(reader, depth + 1))
    if kind == ARRAY:
        return Field(kind, _decode_array(reader.longstr(), depth + 1))
    if kind == VOID:
        return Field(kind, None)
    if kind == DECIMAL:
        scale = reader.octet()
        return Field(kind, (scale, reader.long()))
    if kind == DOUBLE:
        reader.longlong()
        return Field(kind, read_f64_be(reader.data, reader.pos - 8))
    if kind == FLOAT:
        reader.long()
        return Field(kind, read_f32_be(reader.data, reader.pos - 4))
    raise MalformedError(f"unknown field type {kind}")


def _read_integer(reader: Reader, size: int, signed: bool) -> int:
    if size == 8:
        value = reader.longlong()
    elif size == 4:
        value = reader.long()
    elif size == 2:
        value = reader.short()
    else:
        value = reader.octet()
    if signed and value >> (8 * size - 1):
        value -= 1 << (8 * size)
    return value


def encode_table(table: Table) -> bytes:
    """A table with its length before it. Keys have at most 255 bytes."""
    out = BytesWriter()
    for key, field in table:
        write_shortstr(out, as_bytes(key))
        _write_field(out, field)
    body = out.getvalue()
    return len(body).to_bytes(4, "big") + body


def encode_pair(key: str, field: Field) -> bytes:
    """One pair as it stands in a table, for edits on raw bytes."""
    out = BytesWriter()
    write_shortstr(out, as_bytes(key))
    _write_field(out, field)
    return out.getvalue()


def _write_field(out: BytesWriter, field: Field) -> None:
    kind = field.kind
    value = field.value
    out.append(kind)
    if isinstance(value, bytes):
        write_longstr(out, value)
    elif isinstance(value, bool):
        out.append(1 if value else 0)
    elif isinstance(value, int):
        _write_integer(out, _INTEGERS[kind][0], value)
    elif isinstance(value, float):
        if kind == FLOAT:
            write_f32_be(out, value)
        else:
            write_f64_be(out, value)
    elif isinstance(value, tuple):
        out.append(value[0])
        write_u32(out, value[1])
    elif kind == TABLE:
        assert isinstance(value, list)
        out.write(encode_table(value))
    elif kind == ARRAY:
        assert isinstance(value, list)
        inner = BytesWriter()
        for item in value:
            _write_field(inner, item)
        write_longstr(out, inner.getvalue())


def _write_integer(out: BytesWriter, size: int, value: int) -> None:
    if size == 8:
        write_u64(out, value & 0xFFFF_FFFF_FFFF_FFFF)
    elif size == 4:
        write_u32(out, value & 0xFFFF_FFFF)
    elif size == 2:
        write_u16(out, value & 0xFFFF)
    else:
        out.append(value & 0xFF)


def entries(raw: bytes) -> list[tuple[bytes, int, int]]:
    """Where each pair of a table stands: (key, start, end) in `raw`, which has no length before it.

    Raises MalformedError. Values are skipped, not decoded: long strings, arrays and tables by their length.
    """
    reader = Reader(raw, 0, len(raw))
    found: list[tuple[bytes, int, int]] = []
    while reader.pos < reader.end:
        start = reader.pos
        key = reader.shortstr()
        _skip_field(reader)
        found.append((key, start, reader.pos))
    return found


def validate(raw: bytes, depth: int = 0) -> None:
    """Check a table through and through, without building it. Raises MalformedError."""
    if depth > MAX_DEPTH:
        raise MalformedError(f"tables nested deeper than {MAX_DEPTH}")
    reader = Reader(raw, 0, len(raw))
    while reader.pos < reader.end:
        reader.skip(reader.octet())
        _validate_field(reader, depth)


def is_sound(data: bytes, pos: int, end: int) -> bool:
    """What `validate` checks, as an answer and without building anything: it is asked of every message with headers."""
    while pos < end:
        pos = _past_value(data, pos + 1 + data[pos], end, 0)
        if pos < 0:
            return False
    return True


def _past_value(data: bytes, pos: int, end: int, depth: int) -> int:
    """Where the field that begins at `pos` ends, or -1."""
    if pos >= end:
        return -1
    kind = data[pos]
    width = _WIDTHS[kind]
    if width:
        after = pos + width
        return after if after <= end else -1
    if end - pos < 5:
        return -1
    size: int = read_i32_be(data, pos + 1)
    pos += 5
    after = pos + size
    if size < 0 or after > end:
        return -1
    if kind == LONGSTR or kind == BINARY:
        return after
    if depth >= MAX_DEPTH or (kind != TABLE and kind != ARRAY):
        return -1
    while 0 <= pos < after:
        pos = _past_value(data, pos + 1 + data[pos] if kind == TABLE else pos, after, depth + 1)
    return pos


def _validate_field(reader: Reader, depth: int) -> None:
    kind = reader.data[reader.pos] if reader.pos < reader.end else 0
    if kind == TABLE:
        reader.octet()
        validate(reader.longstr(), depth + 1)
    elif kind == ARRAY:
        if depth >= MAX_DEPTH:
            raise MalformedError(f"arrays nested deeper than {MAX_DEPTH}")
        reader.octet()
        raw = reader.longstr()
        items = Reader(raw, 0, len(raw))
        while items.pos < items.end:
            _validate_field(items, depth + 1)
    else:
        _skip_field(reader)


def _skip_field(reader: Reader) -> None:
    kind = reader.octet()
    if kind == LONGSTR or kind == BINARY or kind == TABLE or kind == ARRAY:
        reader.skip(reader.long())
        return
    width = _INTEGERS.get(kind)
    if width is not None:
        reader.skip(width[0])
        return
    size = _FIXED_SIZES.get(kind)
    if size is None:
        raise MalformedError(f"unknown field type {kind}")
    reader.skip(size)
