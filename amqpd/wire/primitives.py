"""Reading and writing the elementary types of AMQP 0-9-1 (specification 4.2.5).

The only importer of librt, whose functions are the fastest way found to read and write integers both compiled and
interpreted. Where librt is not installed, `standin` gives the same names in plain Python.

librt's readers are SIGNED and raise IndexError beyond the end: whoever reads an unsigned field masks it or checks its
range. `Reader` does both, and answers every kind of short or ill-formed input with MalformedError.
"""

from __future__ import annotations

from typing import Final

from amqpd.errors import MalformedError, NotUtf8Error

try:
    from librt.strings import (
        BytesWriter,
        read_f32_be,
        read_f64_be,
        read_i16_be,
        read_i32_be,
        read_i64_be,
        write_f32_be,
        write_f64_be,
        write_i16_be,
        write_i32_be,
        write_i64_be,
    )
except ImportError:
    from amqpd.wire.standin import (  # type: ignore[assignment]
        BytesWriter,
        read_f32_be,
        read_f64_be,
        read_i16_be,
        read_i32_be,
        read_i64_be,
        write_f32_be,
        write_f64_be,
        write_i16_be,
        write_i32_be,
        write_i64_be,
    )

__all__ = [
    "BytesWriter",
    "Reader",
    "as_bytes",
    "as_text",
    "read_f32_be",
    "read_f64_be",
    "read_i16_be",
    "read_i32_be",
    "read_i64_be",
    "shortstr",
    "write_f32_be",
    "write_f64_be",
    "write_i16_be",
    "write_i32_be",
    "write_i64_be",
    "write_longstr",
    "write_shortstr",
    "write_u16",
    "write_u32",
    "write_u64",
]

U16: Final = 0xFFFF
U32: Final = 0xFFFF_FFFF
U64: Final = 0xFFFF_FFFF_FFFF_FFFF


def as_text(raw: bytes) -> str:
    """A name as text. AMQP's names are bytes: what is not UTF-8 is kept as surrogates and comes back unchanged."""
    return raw.decode("utf-8", "surrogateescape")


def as_bytes(text: str) -> bytes:
    """The inverse of `as_text`."""
    return text.encode("utf-8", "surrogateescape")


def shortstr(text: str) -> bytes:
    """`text` as an encoded short string. Names come from the wire or are checked before: 255 bytes at most."""
    raw = as_bytes(text)
    return bytes([len(raw)]) + raw


def write_u16(out: BytesWriter, value: int) -> None:
    """Append an unsigned 16-bit integer (0 to 65535)."""
    write_i16_be(out, value if value <= 0x7FFF else value - 0x1_0000)


def write_u32(out: BytesWriter, value: int) -> None:
    """Append an unsigned 32-bit integer."""
    write_i32_be(out, value if value <= 0x7FFF_FFFF else value - 0x1_0000_0000)


def write_u64(out: BytesWriter, value: int) -> None:
    """Append an unsigned 64-bit integer."""
    write_i64_be(out, value if value <= 0x7FFF_FFFF_FFFF_FFFF else value - 0x1_0000_0000_0000_0000)


def write_shortstr(out: BytesWriter, raw: bytes) -> None:
    """Append a short string; `raw` has at most 255 bytes."""
    out.append(len(raw))
    out.write(raw)


def write_longstr(out: BytesWriter, raw: bytes) -> None:
    """Append a long string."""
    write_u32(out, len(raw))
    out.write(raw)


class Reader:
    """A cursor over the fields of one frame's payload: `data[pos:end]`.

    Every method advances the cursor and raises MalformedError where the field does not fit; the cursor is then
    undefined.
    """

    def __init__(self, data: bytes, pos: int, end: int) -> None:
        self.data: Final = data
        self.pos = pos
        self.end: Final = end

    def _take(self, size: int) -> int:
        pos = self.pos
        if size > self.end - pos:
            raise MalformedError(f"{size} bytes expected, {self.end - pos} left")
        self.pos = pos + size
        return pos

    def octet(self) -> int:
        """An unsigned byte."""
        return self.data[self._take(1)]

    def short(self) -> int:
        """An unsigned 16-bit integer."""
        value: int = read_i16_be(self.data, self._take(2))
        return value & U16

    def long(self) -> int:
        """An unsigned 32-bit integer."""
        value: int = read_i32_be(self.data, self._take(4))
        return value & U32

    def longlong(self) -> int:
        """An unsigned 64-bit integer."""
        value: int = read_i64_be(self.data, self._take(8))
        return value & U64

    def shortstr(self) -> bytes:
        """The bytes of a short string."""
        size = self.octet()
        pos = self._take(size)
        return self.data[pos : pos + size]

    def text(self) -> str:
        """A short string as text. Raises NotUtf8Error: names are UTF-8 (RabbitMQ)."""
        raw = self.shortstr()
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            raise NotUtf8Error("Malformed UTF-8 in shortstr") from None

    def longstr(self) -> bytes:
        """The bytes of a long string."""
        size = self.long()
        pos = self._take(size)
        return self.data[pos : pos + size]

    def skip(self, size: int) -> None:
        """Step over `size` bytes."""
        self._take(size)

    def finish(self) -> None:
        """Raise MalformedError unless every byte has been read."""
        if self.pos != self.end:
            raise MalformedError(f"{self.end - self.pos} bytes too many")
