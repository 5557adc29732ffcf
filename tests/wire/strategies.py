"""Hypothesis strategies for wire values: every type of field, nested, with duplicate keys."""

import struct

from hypothesis import strategies as st

from amqpd.wire import tables
from amqpd.wire.tables import Field

RANGES = {
    tables.BYTE: (-(2**7), 2**7 - 1),
    tables.UNSIGNED_BYTE: (0, 2**8 - 1),
    tables.SHORT: (-(2**15), 2**15 - 1),
    tables.UNSIGNED_SHORT: (0, 2**16 - 1),
    tables.SIGNED_INT: (-(2**31), 2**31 - 1),
    tables.UNSIGNED_INT: (0, 2**32 - 1),
    tables.LONG: (-(2**63), 2**63 - 1),
    tables.LONG_ALIAS: (-(2**63), 2**63 - 1),
    tables.TIMESTAMP: (0, 2**64 - 1),
}


def _single(value: float) -> float:
    return struct.unpack(">f", struct.pack(">f", value))[0]


integers = st.one_of([st.builds(Field, st.just(kind), st.integers(low, high)) for kind, (low, high) in RANGES.items()])
scalars = st.one_of(
    integers,
    st.builds(Field, st.just(tables.BOOL), st.booleans()),
    st.builds(Field, st.sampled_from([tables.LONGSTR, tables.BINARY]), st.binary(max_size=40)),
    st.builds(Field, st.just(tables.DOUBLE), st.floats(allow_nan=False)),
    st.builds(Field, st.just(tables.FLOAT), st.floats(allow_nan=False, width=32).map(_single)),
    st.builds(Field, st.just(tables.DECIMAL), st.tuples(st.integers(0, 255), st.integers(0, 2**32 - 1))),
    st.just(Field(tables.VOID, None)),
)
# Any bytes are a key; as text they may hold surrogates.
keys = st.one_of(
    st.sampled_from(["a", "b", ""]), st.binary(max_size=255).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
)


def _nested(children):
    pairs = st.lists(st.tuples(keys, children), max_size=4)
    return st.one_of(
        st.builds(Field, st.just(tables.ARRAY), st.lists(children, max_size=4)),
        st.builds(Field, st.just(tables.TABLE), pairs),
    )


fields = st.recursive(scalars, _nested, max_leaves=12)
any_table = st.lists(st.tuples(keys, fields), max_size=6)
