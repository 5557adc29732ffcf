"""Decisions read from a string of bytes: what a fuzzer mutates, or hypothesis draws and shrinks.

Once the bytes are used up every choice is the first one, so that a shorter string is a simpler case.
"""

import struct
from collections.abc import Sequence
from typing import Any

# More often than not what is asked for comes from these few, so that things collide.
NAMES = (b"a", b"b", b"c")
ODD_NAMES = (
    b"d",
    b"",
    b"amq.direct",
    b"amq.rabbitmq.reply-to",
    "my q/é!".encode(),
    b"amq.gen-x",
    b"n" * 255,
    b"x\r\ny",
)
KEYS = (b"a", b"b", b"c", b"", b"a.b", b"#", b"*.b", b"k" * 255)
EXCHANGES = (b"", b"x", b"y", b"z", b"amq.direct", b"amq.fanout", b"amq.topic", b"amq.headers", b"amq.rabbitmq.trace")
CAPABILITIES = b"\x16consumer_cancel_notifyt\x01\x12connection.blockedt\x01\x1cauthentication_failure_closet\x01"

_FIXED = {b"t": 1, b"b": 1, b"B": 1, b"s": 2, b"u": 2, b"I": 4, b"i": 4, b"l": 8, b"L": 8, b"T": 8, b"f": 4, b"d": 8}


class Choices:
    """Takes one or more bytes from `data` for each decision."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._pos = 0

    def more(self) -> bool:
        return self._pos < len(self._data)

    def number(self, below: int) -> int:
        """0 to below - 1."""
        size = 1 if below <= 256 else 4
        piece = self._data[self._pos : self._pos + size]
        self._pos += size
        return int.from_bytes(piece, "big") % below

    def chance(self, one_in: int) -> bool:
        return self.number(one_in) == one_in - 1

    def of(self, options: Sequence[Any]) -> Any:
        return options[self.number(len(options))]

    def raw(self, size: int) -> bytes:
        piece = self._data[self._pos : self._pos + size]
        self._pos += size
        return piece.ljust(size, b"\0")

    # -- names

    def name(self) -> bytes:
        return self.of(ODD_NAMES) if self.chance(12) else self.of(NAMES)

    # -- tables, as raw pairs

    def field(self, depth: int = 0) -> bytes:
        """A value with its letter, well-formed."""
        letter = self.of(
            (b"S", b"I", b"t", b"l", b"V", b"d", b"F", b"A", b"x", b"T", b"D", b"b", b"B", b"s", b"u", b"i", b"L", b"f")
        )
        if letter in (b"S", b"x"):
            return letter + longstr(self.of((b"", b"a", b"c", b"x" * 300, b"\xff\0")))
        if letter == b"V":
            return letter
        if letter == b"D":
            return letter + self.raw(5)
        if letter in (b"F", b"A"):
            items = b""
            for _ in range(self.number(3) if depth < 3 else 0):
                items += (shortstr(self.of(NAMES)) if letter == b"F" else b"") + self.field(depth + 1)
            return letter + longstr(items)
        return letter + self.raw(_FIXED[letter])

    def headers(self) -> bytes:
        """What a message may carry, CC and BCC among it."""
        out = b""
        for _ in range(self.number(4)):
            kind = self.number(4)
            if kind == 0:
                out += shortstr(self.of((b"a", b"b", b"x-a", b"x-death"))) + self.field()
            elif kind == 1:
                name = self.of((b"CC", b"BCC"))
                keys = b"".join(b"S" + longstr(self.of(KEYS)) for _ in range(self.number(3)))
                out += shortstr(name) + b"A" + longstr(keys)
            elif kind == 2 and self.chance(8):
                out += shortstr(self.of((b"CC", b"BCC"))) + self.field()
            else:
                out += b"\x01aI\x00\x00\x00\x01"
        return out

    def properties(self) -> bytes:
        """Flags and properties of a content header; now and then damaged."""
        kind = self.number(8)
        if kind < 3:
            return b"\x00\x00"
        if kind < 5:
            return b"\x10\x00" + self.of((b"\x01", b"\x02"))
        flags, out = 0, b""
        for bit in range(15, 1, -1):
            if self.chance(4 if bit in (13, 11, 9, 8) else 8):
                flags |= 1 << bit
                out += self._property(bit)
        raw = (flags | (self.number(4) if self.chance(30) else 0)).to_bytes(2, "big") + out
        if self.chance(30):
            raw = raw[: self.number(len(raw) + 1)] + self.raw(self.number(3))
        return raw

    def _property(self, bit: int) -> bytes:
        if bit == 13:
            return longstr(self.headers())
        if bit in (12, 11):
            return self.raw(1)
        if bit == 6:
            return self.raw(8)
        if bit == 9:
            return shortstr(self.of((b"a", b"", b"b", b"a", b"amq.rabbitmq.reply-to")))
        if bit == 8:
            return shortstr(
                self.of(
                    (
                        b"0",
                        b"1",
                        b"50",
                        b"50",
                        b"100000",
                        b"100000",
                        self.of((b"1000", b"+7", b"x", b"-1", b"", b"9" * 40)),
                    )
                )
            )
        if bit == 4:
            return shortstr(self.of((b"guest", b"guest", b"guest", b"guest", b"other", b"\xff")))
        return shortstr(self.of((b"", b"text/plain", b"\xff" * 255)))

    # -- arguments

    def integer(self) -> bytes:
        value = self.of((0, 1, 2, 5, 50, 1000, 100_000, -1, 2**40, 2**63 - 1))
        letter, code = self.of(((b"I", ">i"), (b"l", ">q"), (b"b", ">b"), (b"s", ">h")))
        try:
            return letter + struct.pack(code, value)
        except struct.error:
            return b"l" + struct.pack(">q", value)

    def text(self) -> bytes:
        return b"S" + longstr(self.of((*NAMES, *EXCHANGES, b"k" * 300, b"\xff")))

    def queue_arguments(self) -> bytes:
        out = b""
        if self.number(2) == 0:
            return out
        for _ in range(1 + self.number(3)):
            kind = self.number(12)
            if kind == 11:
                out += (
                    shortstr(self.of((b"x-max-priority", b"x-expires", b"x-queue-type", b"x-overflow"))) + self.field()
                )
            elif kind == 10:
                out += shortstr(b"x-single-active-consumer") + b"t\x01"
            elif kind == 9:
                out += (
                    shortstr(b"x-overflow")
                    + b"S"
                    + longstr(self.of((b"reject-publish", b"reject-publish-dlx", b"drop-head")))
                )
            elif kind >= 6:
                out += shortstr(self.of((b"x-dead-letter-exchange", b"x-dead-letter-routing-key"))) + self.text()
            else:
                name = self.of(
                    (
                        b"x-message-ttl",
                        b"x-max-length",
                        b"x-max-length-bytes",
                        b"x-expires",
                        b"x-max-priority",
                        b"x-consumer-timeout",
                    )
                )
                out += shortstr(name) + self.integer()
        return out

    def binding_arguments(self) -> bytes:
        if self.number(3) != 2:
            return b""
        mode = self.of((b"all", b"any", b"all-with-x", b"any-with-x", b"bad"))
        match = b"\x07x-matchS" + longstr(mode) if self.chance(2) else b""
        return match + self.headers()


def shortstr(raw: bytes) -> bytes:
    return bytes([len(raw)]) + raw


def longstr(raw: bytes) -> bytes:
    return len(raw).to_bytes(4, "big") + raw
