"""Deliveries that have come whole: their tags and times, taken out of what was read many at a time.

A broker that is asked for speed sends one delivery after the other that differs from the first in its tag, its time and
its body only. `Deliveries` looks at the first, and lets `struct` take the others apart.

Taken is what has its time in a place that is found without decoding the header: in the body after four bytes, or in the
header `timestamp` if that comes first. The rest is left to the caller, and so is what is not whole or not AMQP.
"""

from __future__ import annotations

import struct
from typing import Final

from amqpd.wire import content, frames
from amqpd.wire.primitives import read_i32_be, read_i64_be

UNSTAMPED: Final = -1
STAMP_HEADER: Final = b"timestamp"
STAMPED_BODY: Final = 12  # bytes: a number of 4 and a time of 8
LAYOUTS_MAX: Final = 256

_FIRST_PAIR: Final = bytes([len(STAMP_HEADER)]) + STAMP_HEADER + b"l"
_HEADER_MIN: Final = 22  # bytes of a content header's frame
_ELSEWHERE: Final = -1
_NOWHERE: Final = 0


class Deliveries:
    """Remembers the forms that deliveries have."""

    def __init__(self) -> None:
        self._layouts: Final[dict[tuple[int, ...], struct.Struct]] = {}

    def take(self, data: bytes, pos: int, after: int, end: int, tags: list[int], stamps: list[int]) -> int:
        """Append tags and times of the delivery at `pos`, whose method's frame ends at `after`, and of those like it.

        Returns where what follows begins: `pos` itself where nothing was taken. Raises IndexError for what is not AMQP.
        """
        if end - after < _HEADER_MIN or data[after] != frames.HEADER:
            return pos
        tag_at = pos + 12 + data[pos + 11]
        body_at: int = after + read_i32_be(data, after + 3) + frames.OVERHEAD
        size: int = read_i64_be(data, after + 11)
        following = body_at + (size + frames.OVERHEAD if size else 0)
        if size < 0 or not after < body_at <= following <= end or data[following - 1] != frames.END:
            return pos
        if size and (data[body_at] != frames.BODY or read_i32_be(data, body_at + 3) != size):
            return pos
        stamp_at = _stamp_place(data, after, body_at, size)
        if stamp_at == _ELSEWHERE:
            return pos
        tags.append(read_i64_be(data, tag_at))
        stamps.append(read_i64_be(data, stamp_at) if stamp_at else UNSTAMPED)
        step = following - pos
        head, fixed = tag_at - pos, min(stamp_at, body_at) - tag_at
        same = data[tag_at + 8 : tag_at + fixed] == data[following + head + 8 : following + head + fixed]
        if not (stamp_at and same and following + step <= end):
            return following
        in_body = stamp_at > body_at
        middle = (body_at + 7 if in_body else stamp_at) - tag_at - 8
        tail = 0 if in_body else body_at + (7 if size else -1) - stamp_at - 8
        rest = size - STAMPED_BODY if in_body else size
        layout = self._layout(head, middle, 4 if in_body else 0, tail, rest)
        return self._run(data, pos, (end - pos) // step, layout, tags, stamps)

    def _layout(self, head: int, middle: int, gap: int, tail: int, rest: int) -> struct.Struct:
        """A delivery as one record: up to the tag, the tag, what is between, the time, what follows, the end."""
        key = (head, middle, gap, tail, rest)
        layout = self._layouts.get(key)
        if layout is None:
            if len(self._layouts) >= LAYOUTS_MAX:
                self._layouts.clear()
            layout = struct.Struct(f">{head}sq{middle}s{gap}xq{tail}s{rest}xB")
            self._layouts[key] = layout
        return layout

    def _run(
        self, data: bytes, pos: int, room: int, layout: struct.Struct, tags: list[int], stamps: list[int]
    ) -> int:
        """Append those after the first, up to one that is different."""
        step = layout.size
        alike = layout.iter_unpack(memoryview(data)[pos : pos + room * step])
        first_head, _tag, first_middle, _stamp, first_tail, _last = next(alike)
        pos += step
        for head, tag, middle, stamp, tail, last in alike:
            if head != first_head or middle != first_middle or tail != first_tail or last != frames.END:
                break
            tags.append(tag)
            stamps.append(stamp)
            pos += step
        return pos


def _stamp_place(data: bytes, header: int, body: int, size: int) -> int:
    """Where the time stands of a message whose content header's frame begins at `header`, its body's at `body`."""
    flags = data[header + 7 + content.FLAGS_OFFSET]
    if not flags & content.HEADERS >> 8:
        return body + 11 if size >= STAMPED_BODY else _NOWHERE
    place = header + 7 + content.FLAGS_OFFSET + 2
    for property_before in (content.CONTENT_TYPE, content.CONTENT_ENCODING):
        if flags & property_before >> 8:
            place += 1 + data[place]
    place += 4
    found = data[place : place + len(_FIRST_PAIR)] == _FIRST_PAIR
    return place + len(_FIRST_PAIR) if found else _ELSEWHERE
