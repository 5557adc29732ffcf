"""Field tables: nothing is lost either way, and nothing malformed is more than a MalformedError."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pamqp import decode, encode
from wire.strategies import RANGES, any_table, fields, keys

from amqpd.errors import MalformedError
from amqpd.wire import tables
from amqpd.wire.primitives import Reader, as_bytes
from amqpd.wire.tables import MAX_DEPTH, Field, decode_table, encode_table, entries, validate


def body(table) -> bytes:
    return encode_table(table)[4:]


def pair(key: bytes, value: bytes) -> bytes:
    return bytes([len(key)]) + key + value


def longstr(raw: bytes) -> bytes:
    return len(raw).to_bytes(4, "big") + raw


def only(raw_value: bytes) -> Field:
    """The value of a table with one pair."""
    [(key, field)] = decode_table(pair(b"k", raw_value))
    assert key == "k"
    return field


# -- round trips


@given(any_table)
def test_any_table_comes_back_as_it_was(table):
    raw = encode_table(table)
    assert int.from_bytes(raw[:4], "big") == len(raw) - 4
    decoded = decode_table(raw[4:])
    assert decoded == table
    assert encode_table(decoded) == raw


@given(any_table, st.binary(max_size=5))
def test_a_table_is_read_with_its_length_and_no_further(table, rest):
    raw = encode_table(table)
    reader = Reader(raw + rest, 0, len(raw) + len(rest))
    assert tables.read_table(reader) == table
    assert reader.pos == len(raw)


@given(keys, fields)
def test_a_pair_is_what_it_is_in_a_table(key, field):
    assert tables.encode_pair(key, field) == body([(key, field)])


@given(any_table)
def test_entries_say_where_each_pair_stands(table):
    raw = body(table)
    spans = entries(raw)
    assert [key for key, _start, _end in spans] == [as_bytes(key) for key, _field in table]
    assert [raw[start:end] for _key, start, end in spans] == [tables.encode_pair(*pair) for pair in table]
    assert b"".join(raw[start:end] for _key, start, end in spans) == raw


@given(any_table)
def test_a_table_without_one_of_its_pairs_keeps_the_others_to_the_bit(table):
    raw = body(table)
    kept = b"".join(raw[start:end] for key, start, end in entries(raw) if key != b"a")
    assert decode_table(kept) == [(key, field) for key, field in table if key != "a"]


def agree(raw: bytes) -> bool:
    """Whether `raw` is a table: decoder, validator and `is_sound` say the same, and raise only MalformedError."""
    try:
        decode_table(raw)
        decoded = True
    except MalformedError:
        decoded = False
    try:
        validate(raw)
        valid = True
    except MalformedError:
        valid = False
    assert valid == decoded
    assert tables.is_sound(b"around" + raw + b"\x01kV", 6, 6 + len(raw)) == valid
    return valid


@given(any_table)
def test_the_validator_accepts_every_table(table):
    assert agree(body(table))


@given(st.binary(max_size=60))
def test_the_validator_and_the_decoder_agree_on_any_bytes(raw):
    agree(raw)


@given(any_table, st.data())
def test_the_validator_and_the_decoder_agree_on_a_damaged_table(table, data):
    raw = bytearray(body(table) or b"\0")
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    agree(bytes(raw))


@settings(max_examples=40)
@given(any_table)
def test_a_table_cut_off_anywhere_is_malformed_or_shorter(table):
    raw = body(table)
    ends = {0, *(end for _key, _start, end in entries(raw))}
    for size in range(len(raw)):
        assert agree(raw[:size]) == (size in ends)
        if size not in ends:
            with pytest.raises(MalformedError):
                entries(raw[:size])


# -- lengths that lie


@pytest.mark.parametrize("letter", [b"S", b"x", b"F", b"A"])
@pytest.mark.parametrize("size", [4, 2**31 - 1, 2**31, 2**32 - 1])
def test_a_length_beyond_the_table_is_malformed(letter, size):
    raw = pair(b"k", letter + size.to_bytes(4, "big") + b"abc")
    assert not agree(raw)
    with pytest.raises(MalformedError):
        entries(raw)


def test_an_inner_table_cannot_reach_beyond_its_own_length():
    inner = pair(b"a", b"I\0\0\0\1")
    assert agree(pair(b"k", b"F" + longstr(inner)))
    short = pair(b"k", b"F" + (len(inner) - 1).to_bytes(4, "big") + inner)
    assert not agree(short)
    assert not agree(short + b"\0" * 50)


def test_a_key_longer_than_the_table_is_malformed():
    assert not agree(b"\xffabc")


# -- depth


def nested(letter: str, depth: int) -> bytes:
    """A table whose value is nested `depth` levels below it: tables, arrays, or both in turn."""
    value = b"V"
    for level in range(depth):
        kind = letter if letter != "mixed" else "AF"[level % 2]
        value = b"A" + longstr(value) if kind == "A" else b"F" + longstr(pair(b"k", value))
    return pair(b"k", value)


@pytest.mark.parametrize("letter", ["A", "F", "mixed"])
def test_the_deepest_nesting_that_is_allowed(letter):
    raw = nested(letter, MAX_DEPTH)
    assert agree(raw)
    assert body(decode_table(raw)) == raw
    assert not agree(nested(letter, MAX_DEPTH + 1))


@pytest.mark.parametrize("letter", ["A", "F", "mixed"])
@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 100, 1000, 5000])
def test_deeper_nesting_is_malformed_and_never_a_recursion_error(letter, depth):
    raw = nested(letter, depth)
    with pytest.raises(MalformedError, match="nested deeper"):
        decode_table(raw)
    with pytest.raises(MalformedError, match="nested deeper"):
        validate(raw)
    assert not tables.is_sound(raw, 0, len(raw))
    assert len(entries(raw)) == 1  # skipped by its length, not descended into


def test_pamqp_recurses_without_a_limit():
    """Why there is a limit here; if this fails pamqp has got one, and its table codec may be looked at again."""
    raw = nested("F", 5000)
    with pytest.raises(RecursionError):
        decode.field_table(longstr(raw))


# -- what pamqp loses (docs/decisions/codec.md), kept here


@pytest.mark.parametrize("kind", RANGES)
def test_integer_widths_are_kept(kind):
    low, high = RANGES[kind]
    table = [(str(value), Field(kind, value)) for value in (low, 0, 1, high)]
    assert decode_table(body(table)) == table
    assert [field.kind for _key, field in decode_table(body(table))] == [kind] * 4


def test_pamqp_would_choose_another_width():
    narrowed = encode.field_table({"k": 1})
    assert narrowed != encode_table([("k", Field(tables.LONG, 1))])


def test_integers_from_2_to_the_63_on_are_unsigned_timestamps_and_negative_longs():
    raw = b"\xff" * 8
    assert only(b"T" + raw) == Field(tables.TIMESTAMP, 2**64 - 1)
    assert only(b"l" + raw) == Field(tables.LONG, -1)
    assert only(b"L" + raw) == Field(tables.LONG_ALIAS, -1)
    assert body([("k", Field(tables.TIMESTAMP, 2**63))]) == pair(b"k", b"T\x80" + bytes(7))


def test_doubles_are_not_narrowed():
    raw = b"d" + struct.pack(">d", 0.1)
    assert only(raw) == Field(tables.DOUBLE, 0.1)
    assert body([("k", only(raw))]) == pair(b"k", raw)


def test_byte_strings_stay_byte_strings():
    for raw in (b"\xff\xfe", b"", b"\0", "é".encode()):
        assert only(b"x" + longstr(raw)) == Field(tables.BINARY, raw)
        assert only(b"S" + longstr(raw)) == Field(tables.LONGSTR, raw)
        assert body([("k", Field(tables.LONGSTR, raw))]) == pair(b"k", b"S" + longstr(raw))


def test_duplicate_keys_stay_in_order_and_the_first_one_counts():
    raw = pair(b"b", b"t\1") + pair(b"a", b"t\0") + pair(b"b", b"V")
    table = decode_table(raw)
    assert [key for key, _field in table] == ["b", "a", "b"]
    assert tables.lookup(table, "b") == Field(tables.BOOL, True)
    assert tables.lookup(table, "c") is None
    assert body(table) == raw


def test_keys_are_neither_sorted_nor_cut():
    table = [("z" * 255, Field(tables.VOID, None)), ("a", Field(tables.VOID, None))]
    assert decode_table(body(table)) == table


def test_timestamps_are_not_divided():
    milliseconds = 1_700_000_000_000
    assert only(b"T" + milliseconds.to_bytes(8, "big")).integer() == milliseconds


@pytest.mark.parametrize("letter", sorted(set(range(256)) - set(tables.TYPE_NAMES)))
def test_unknown_types_are_malformed(letter):
    raw = pair(b"k", bytes([letter]) + b"\0" * 8)
    for act in (decode_table, validate, entries):
        with pytest.raises(MalformedError, match=f"unknown field type {letter}"):
            act(raw)


def test_a_truncated_long_string_is_not_taken_as_a_shorter_one():
    raw = pair(b"k", b"S" + (16).to_bytes(4, "big") + b"ab")
    assert not agree(raw)


# -- fields


def test_every_type_has_rabbitmqs_name():
    letters = {chr(kind): Field(kind, None).type_name for kind in tables.TYPE_NAMES}
    assert letters == {
        "t": "bool", "b": "byte", "B": "unsignedbyte", "s": "short", "u": "unsignedshort", "I": "signedint",
        "i": "unsignedint", "l": "long", "L": "long", "f": "float", "d": "double", "D": "decimal", "S": "longstr",
        "x": "binary", "T": "timestamp", "A": "array", "F": "table", "V": "void",
    }  # fmt: skip


def test_what_counts_as_an_integer():
    assert {chr(kind) for kind in tables.TYPE_NAMES if Field(kind, 0).is_integer} == set("bBsuIilL")


def test_the_makers_of_fields():
    assert tables.longstr("é") == Field(tables.LONGSTR, "é".encode())
    assert tables.longstr("é").text() == "é"
    assert tables.boolean(True) == Field(tables.BOOL, True)
    assert tables.long(-5).integer() == -5
    assert tables.array([tables.long(1)]).items() == [tables.long(1)]
    assert tables.subtable([("a", tables.long(1))]) == Field(tables.TABLE, [("a", tables.long(1))])


def test_fields_are_equal_by_type_and_value():
    assert tables.long(1) != Field(tables.SIGNED_INT, 1)
    assert tables.long(1) != 1
    assert len({tables.long(1), tables.long(1), Field(tables.SIGNED_INT, 1)}) == 2
    assert repr(tables.longstr("a")) == "longstr:b'a'"


def test_a_decimal_is_kept_as_scale_and_digits():
    assert only(b"D\x02\xff\xff\xff\xff") == Field(tables.DECIMAL, (2, 2**32 - 1))


def test_pamqp_reads_what_is_written():
    """An independent reader sees the same values, for the types that it does not change."""
    table = [
        ("bool", tables.boolean(True)),
        ("long", tables.long(-(2**40))),
        ("text", tables.longstr("é")),
        ("list", tables.array([tables.longstr("a"), Field(tables.SIGNED_INT, 7)])),
        ("inner", tables.subtable([("x", Field(tables.VOID, None))])),
    ]
    raw = encode_table(table)
    assert decode.field_table(raw) == (
        len(raw),
        {"bool": True, "long": -(2**40), "text": "é", "list": ["a", 7], "inner": {"x": None}},
    )
