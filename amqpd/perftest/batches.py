"""Many messages at once: copies of one template, each with its own numbers in the same places.

A batch of a thousand messages costs a dozen operations on bytes, not a thousand times a dozen. That is how a program in
Python gives a broker something to do.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Sequence
from typing import Final

_SWAP: Final = sys.byteorder == "little"

# Where in the template it stands, how many bytes it has, and these bytes of all copies, one after the other.
Field = tuple[int, int, bytes]


def u64s(values: Iterable[int]) -> bytes:
    """Unsigned 64-bit integers as they stand on the wire."""
    return _raw(array("Q", values))


def u32s(values: Iterable[int]) -> bytes:
    """The same with 32 bits."""
    return _raw(array("I", values))


def _raw(numbers: array[int]) -> bytes:
    if _SWAP:
        numbers.byteswap()
    return numbers.tobytes()


def stamped(template: bytes, count: int, fields: Sequence[Field]) -> bytearray:
    """`count` copies of the template, with each field filled in."""
    copies = bytearray(template * count)
    step = len(template)
    for place, width, raw in fields:
        for byte in range(width):
            copies[place + byte :: step] = raw[byte::width]
    return copies
