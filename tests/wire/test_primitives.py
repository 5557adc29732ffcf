"""librt and the stand-in for it do the same; Reader answers every kind of short input with MalformedError."""

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amqpd.errors import MalformedError, NotUtf8Error
from amqpd.wire import primitives, standin
from amqpd.wire.primitives import BytesWriter, Reader

SIZES = {"i16": 2, "i32": 4, "i64": 8, "f32": 4, "f64": 8}
IMPLEMENTATIONS = pytest.mark.parametrize("module", [primitives, standin], ids=["librt", "standin"])


def reading(module, name):
    return getattr(module, f"read_{name}_be")


def written(module, name, value):
    out = module.BytesWriter()
    getattr(module, f"write_{name}_be")(out, value)
    return out.getvalue()


# -- librt and its stand-in


@pytest.mark.parametrize("name", SIZES)
@given(data=st.binary(min_size=8, max_size=12), at=st.integers(0, 4))
def test_reads_are_the_same(name, data, at):
    at = min(at, len(data) - SIZES[name])
    ours, theirs = reading(standin, name)(data, at), reading(primitives, name)(data, at)
    assert struct.pack(">d", ours) == struct.pack(">d", theirs) if name[0] == "f" else ours == theirs


@pytest.mark.parametrize("name", ["i16", "i32", "i64"])
@given(data=st.data())
def test_integers_are_written_the_same(name, data):
    bits = 8 * SIZES[name]
    value = data.draw(st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1))
    raw = written(standin, name, value)
    assert raw == written(primitives, name, value) == value.to_bytes(SIZES[name], "big", signed=True)
    assert reading(standin, name)(raw, 0) == reading(primitives, name)(raw, 0) == value


@given(st.floats())
def test_doubles_are_written_the_same(value):
    assert written(standin, "f64", value) == written(primitives, "f64", value) == struct.pack(">d", value)


@given(st.floats(width=32))
def test_floats_are_written_the_same(value):
    assert written(standin, "f32", value) == written(primitives, "f32", value) == struct.pack(">f", value)


@IMPLEMENTATIONS
@pytest.mark.parametrize(("name", "size"), SIZES.items())
def test_the_boundaries_of_every_width(module, name, size):
    if name[0] == "f":
        values = [0.0, -0.0, 1.5, math.inf, -math.inf]
    else:
        bits = 8 * size
        values = [0, 1, -1, 2 ** (bits - 1) - 1, -(2 ** (bits - 1))]
    for value in values:
        assert reading(module, name)(written(module, name, value), 0) == value


@IMPLEMENTATIONS
@pytest.mark.parametrize(("name", "size"), SIZES.items())
def test_a_read_beyond_the_end_is_an_index_error(module, name, size):
    for data, at in ((b"\0" * (size - 1), 0), (b"\0" * size, 1), (b"", 0), (b"\0" * size, size + 1)):
        with pytest.raises(IndexError):
            reading(module, name)(data, at)


@IMPLEMENTATIONS
def test_a_negative_index_does_not_count_from_the_end(module):
    with pytest.raises((IndexError, ValueError)):
        module.read_i16_be(b"\1\2\3\4", -2)


@pytest.mark.parametrize("name", ["i16", "i32", "i64"])
@pytest.mark.parametrize("excess", [0, 1])
def test_a_value_that_does_not_fit_is_refused_by_both(name, excess):
    highest = 2 ** (8 * SIZES[name] - 1)
    for value in (highest + excess, -highest - 1 - excess):
        for module in (primitives, standin):
            with pytest.raises((OverflowError, ValueError)):
                written(module, name, value)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("append"), st.integers(0, 255)), st.tuples(st.just("write"), st.binary(max_size=300))
        )
    )
)
def test_writers_do_the_same(steps):
    ours, theirs = standin.BytesWriter(), BytesWriter()
    expected = b""
    for name, value in steps:
        getattr(ours, name)(value)
        getattr(theirs, name)(value)
        expected += bytes([value]) if name == "append" else value
    assert ours.getvalue() == theirs.getvalue() == expected
    assert len(ours) == len(theirs) == len(expected)
    for index in {0, len(expected) // 2, len(expected) - 1} if expected else ():
        assert ours[index] == theirs[index] == expected[index]
        ours[index] = theirs[index] = 7
    assert ours.getvalue() == theirs.getvalue()
    ours.truncate(len(expected) // 2)
    theirs.truncate(len(expected) // 2)
    assert ours.getvalue() == theirs.getvalue()
    assert len(ours) == len(expected) // 2


# -- unsigned writes


@pytest.mark.parametrize(
    ("write", "size"), [(primitives.write_u16, 2), (primitives.write_u32, 4), (primitives.write_u64, 8)]
)
def test_unsigned_integers_at_their_boundaries(write, size):
    bits = 8 * size
    for value in (0, 1, 2 ** (bits - 1) - 1, 2 ** (bits - 1), 2**bits - 1):
        out = BytesWriter()
        write(out, value)
        assert out.getvalue() == value.to_bytes(size, "big")


# -- strings


@given(st.binary())
def test_any_bytes_are_a_name_and_come_back(raw):
    assert primitives.as_bytes(primitives.as_text(raw)) == raw


@given(st.binary(max_size=255))
def test_short_strings(raw):
    encoded = bytes([len(raw)]) + raw
    out = BytesWriter()
    primitives.write_shortstr(out, raw)
    assert out.getvalue() == encoded == primitives.shortstr(primitives.as_text(raw))
    assert Reader(encoded, 0, len(encoded)).shortstr() == raw


@given(st.binary(max_size=1000))
def test_long_strings(raw):
    out = BytesWriter()
    primitives.write_longstr(out, raw)
    assert out.getvalue() == len(raw).to_bytes(4, "big") + raw
    assert Reader(out.getvalue(), 0, len(out)).longstr() == raw


# -- Reader


def test_a_reader_takes_every_field_in_turn():
    data = (
        b"!\xff" + b"\xff" * 2 + b"\xff" * 4 + b"\xff" * 8 + b"\x02\xc3\xa9" + b"\0\0\0\x01x" + b"\x01y" + b"zz" + b"!"
    )
    reader = Reader(data, 1, len(data) - 1)
    assert reader.octet() == 2**8 - 1
    assert reader.short() == 2**16 - 1
    assert reader.long() == 2**32 - 1
    assert reader.longlong() == 2**64 - 1
    assert reader.text() == "é"
    assert reader.longstr() == b"x"
    assert reader.shortstr() == b"y"
    with pytest.raises(MalformedError):
        reader.finish()
    reader.skip(2)
    reader.finish()


@pytest.mark.parametrize(
    ("method", "encoded"),
    [
        ("octet", b"\1"),
        ("short", b"\1\2"),
        ("long", b"\1\2\3\4"),
        ("longlong", b"\1\2\3\4\5\6\7\x08"),
        ("shortstr", b"\3abc"),
        ("text", b"\3abc"),
        ("longstr", b"\0\0\0\3abc"),
    ],
)
def test_a_field_cut_off_anywhere_is_malformed(method, encoded):
    """Also where bytes follow: they belong to somebody else."""
    getattr(Reader(encoded, 0, len(encoded)), method)()
    for size in range(len(encoded)):
        for data in (encoded[:size], encoded[:size] + b"\0" * 100, encoded):
            with pytest.raises(MalformedError):
                getattr(Reader(data, 0, size), method)()


@pytest.mark.parametrize("size", [4, 2**31 - 1, 2**31, 2**32 - 1])
def test_a_long_string_longer_than_the_frame_is_malformed(size):
    data = size.to_bytes(4, "big") + b"abc"
    with pytest.raises(MalformedError):
        Reader(data, 0, len(data)).longstr()


def test_a_skip_beyond_the_end_is_malformed():
    reader = Reader(b"abc", 0, 3)
    reader.skip(3)
    with pytest.raises(MalformedError):
        reader.skip(1)


@pytest.mark.parametrize("raw", [b"\xff", b"\xc3", b"a\x80b", b"\xed\xa0\x80"])
def test_a_name_that_is_not_utf8_has_an_error_of_its_own(raw):
    data = bytes([len(raw)]) + raw
    with pytest.raises(NotUtf8Error, match="Malformed UTF-8 in shortstr"):
        Reader(data, 0, len(data)).text()
    assert Reader(data, 0, len(data)).shortstr() == raw
