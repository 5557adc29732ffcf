"""The names that `primitives` takes from librt, in plain Python, for platforms without a librt wheel.

Same behaviour: big-endian, signed reads, IndexError beyond the end, OverflowError for a value that does not fit
(librt raises OverflowError or wraps in compiled code; callers pass values in range). Slower, otherwise the same.
"""

from __future__ import annotations

import struct


class BytesWriter:
    """A growing buffer of bytes."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def append(self, x: int, /) -> None:
        self._buffer.append(x)

    def write(self, b: bytes | bytearray, /) -> None:
        self._buffer += b

    def getvalue(self) -> bytes:
        return bytes(self._buffer)

    def truncate(self, size: int, /) -> None:
        del self._buffer[size:]

    def __len__(self) -> int:
        return len(self._buffer)

    def __getitem__(self, i: int, /) -> int:
        return self._buffer[i]

    def __setitem__(self, i: int, x: int, /) -> None:
        self._buffer[i] = x


def _piece(b: bytes, index: int, size: int) -> bytes:
    piece = b[index : index + size] if index >= 0 else b""
    if len(piece) != size:
        raise IndexError("index out of range")
    return piece


def read_i16_be(b: bytes, index: int, /) -> int:
    return int.from_bytes(_piece(b, index, 2), "big", signed=True)


def read_i32_be(b: bytes, index: int, /) -> int:
    return int.from_bytes(_piece(b, index, 4), "big", signed=True)


def read_i64_be(b: bytes, index: int, /) -> int:
    return int.from_bytes(_piece(b, index, 8), "big", signed=True)


def read_f32_be(b: bytes, index: int, /) -> float:
    value: float = struct.unpack(">f", _piece(b, index, 4))[0]
    return value


def read_f64_be(b: bytes, index: int, /) -> float:
    value: float = struct.unpack(">d", _piece(b, index, 8))[0]
    return value


def write_i16_be(b: BytesWriter, n: int, /) -> None:
    b.write(n.to_bytes(2, "big", signed=True))


def write_i32_be(b: BytesWriter, n: int, /) -> None:
    b.write(n.to_bytes(4, "big", signed=True))


def write_i64_be(b: BytesWriter, n: int, /) -> None:
    b.write(n.to_bytes(8, "big", signed=True))


def write_f32_be(b: BytesWriter, n: float, /) -> None:
    b.write(struct.pack(">f", n))


def write_f64_be(b: BytesWriter, n: float, /) -> None:
    b.write(struct.pack(">d", n))
