"""Many messages from one template."""

from hypothesis import given
from hypothesis import strategies as st

from amqpd.perftest.batches import stamped, u32s, u64s


@given(st.binary(min_size=12, max_size=60), st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1))))
def test_each_copy_has_its_own_numbers_and_is_the_template_elsewhere(template, numbers):
    fields = [(0, 4, u32s(small for small, _big in numbers)), (4, 8, u64s(big for _small, big in numbers))]
    expected = b"".join(
        small.to_bytes(4, "big") + big.to_bytes(8, "big") + template[12:] for small, big in numbers
    )
    assert stamped(template, len(numbers), fields) == expected


def test_a_field_of_text():
    assert stamped(b"<..>", 2, [(1, 2, b"abcd")]) == b"<ab><cd>"
