"""AMQP tables as JSON: nothing is lost, whatever a client sent, and SQLite finds its way in them."""

import json
import math
import sqlite3
import struct
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st
from metadata.samples import EVERY_TYPE, TTL
from wire.strategies import any_table

from amqpd.metadata.arguments import canonical, decode, encode
from amqpd.wire.tables import ARRAY, DOUBLE, FLOAT, LONG, LONG_ALIAS, TYPE_NAMES, Field, encode_table, longstr


@given(any_table)
def test_any_table_comes_back_as_it_was(table):
    assert decode(encode(table)) == table
    assert encode_table(decode(encode(table))) == encode_table(table)


@given(any_table, any_table)
def test_texts_are_equal_where_tables_are_to_the_bit(one, other):
    assert (encode(one) == encode(other)) == (encode_table(one) == encode_table(other))


@given(any_table)
def test_the_text_is_json_that_utf8_can_carry(table):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    assert isinstance(json.loads(encode(table).encode(), parse_constant=refuse), list)


@given(any_table, st.randoms(use_true_random=False))
def test_the_canonical_order_does_not_depend_on_that_of_different_names(table, random):
    unique = list(dict(table).items())
    shuffled = random.sample(unique, len(unique))
    assert canonical(shuffled) == canonical(unique)


def test_the_canonical_order_keeps_that_of_the_same_name():
    assert canonical([("b", longstr("2")), ("a", longstr("x")), ("b", longstr("1"))]) == [
        ("a", longstr("x")),
        ("b", longstr("2")),
        ("b", longstr("1")),
    ]


def test_the_form_is_that_of_the_manual():
    assert encode(TTL) == '[["x-message-ttl","signedint",60000],["x-queue-mode","longstr","lazy"]]'
    assert encode([]) == "[]"
    assert encode([("a", Field(ARRAY, [longstr("ü"), longstr("\udcff")]))]) == (
        '[["a","array",[["longstr","ü"],["longstr",{"hex":"ff"}]]]]'
    )
    assert encode([("\udcfe", Field(DOUBLE, math.inf))]) == '[[{"hex":"fe"},"double",{"hex":"7ff0000000000000"}]]'


def test_types_have_rabbitmqs_names_and_none_is_missing():
    named = {entry[1] for entry in json.loads(encode(EVERY_TYPE))}
    assert named == set(TYPE_NAMES.values()) | {"longlong"}


def test_the_two_letters_of_64_bits_stay_apart():
    table = [("a", Field(LONG, 1)), ("a", Field(LONG_ALIAS, 1))]
    assert [field.kind for _, field in decode(encode(table))] == [LONG, LONG_ALIAS]


@pytest.mark.parametrize("bits", [0x7FF8000000000000, 0xFFF8000000000001, 0x7FF8_DEAD_BEEF_0000])
@pytest.mark.parametrize("kind", [DOUBLE, FLOAT])
def test_what_is_no_number_keeps_its_bits(kind, bits):
    (nan,) = struct.unpack(">d", bits.to_bytes(8, "big"))
    [(_, field)] = decode(encode([("n", Field(kind, nan))]))
    assert field.kind == kind
    assert struct.pack(">d", field.value) == bits.to_bytes(8, "big")


def test_minus_zero_stays_minus_zero():
    [(_, field)] = decode(encode([("z", Field(DOUBLE, -0.0))]))
    assert math.copysign(1, field.value) == -1


def test_a_table_within_the_limit_of_depth_comes_back():
    table = [("deepest", longstr("x"))]
    for _ in range(32):
        table = [("t", Field(ord("F"), table))]
    assert decode(encode(table)) == table


def test_sqlite_finds_a_value_by_name_and_type():
    sql = "SELECT value ->> 1, value ->> 2 FROM json_each(?) WHERE value ->> 0 = 'x-message-ttl'"
    with closing(sqlite3.connect(":memory:")) as database:
        assert database.execute(sql, [encode(TTL)]).fetchall() == [("signedint", 60000)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "{}",
        "[1]",
        '["abc"]',
        '[["a","signedint"]]',
        '[["a","nosuchtype",1]]',
        '[["a",[],1]]',
        '[["a","signedint","1"]]',
        '[["a","signedint",true]]',
        '[["a","timestamp",1.5]]',
        '[["a","bool",1]]',
        '[["a","void",0]]',
        '[["a","longstr",1]]',
        '[["a","longstr","\\ud800"]]',
        '[["a","longstr",{"hex":"zz"}]]',
        '[["a","longstr",{"hex":1}]]',
        '[["a","longstr",{}]]',
        '[["a","double",1]]',
        '[["a","double",{"hex":"00"}]]',
        '[["a","decimal",[1]]]',
        '[["a","decimal",["1","2"]]]',
        '[["a","table",1]]',
        '[["a","array",[["a","longstr","b"]]]]',
        '[[1,"longstr","b"]]',
        "[" * 100_000,
    ],
)
def test_what_is_not_in_the_form_is_a_value_error(text):
    with pytest.raises(ValueError):
        decode(text)
