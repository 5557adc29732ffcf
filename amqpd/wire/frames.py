"""Frames (specification 2.3.5): type, channel, size, payload, 0xCE.

Builds frames and contents, and moves a message's frames to another channel or into a smaller frame size. The scan of
incoming frames stands in `protocol.connection`, where each frame is acted on as it is found.

A *content* is a content header frame followed by its body frames, as one `bytes`. An empty body has no body frame.
"""

from __future__ import annotations

from typing import Final

from amqpd.wire.primitives import BytesWriter, read_i32_be, write_u16, write_u32

METHOD: Final = 1
HEADER: Final = 2
BODY: Final = 3
HEARTBEAT: Final = 8
END: Final = 0xCE
HEADER_SIZE: Final = 7  # bytes of a frame before its payload
OVERHEAD: Final = 8  # bytes of a frame that are not payload

HEARTBEAT_FRAME: Final = bytes([HEARTBEAT, 0, 0, 0, 0, 0, 0, END])
PROTOCOL_HEADER: Final = b"AMQP\x00\x00\x09\x01"


def write_frame(out: BytesWriter, kind: int, channel: int, payload: bytes) -> None:
    """Append one frame."""
    out.append(kind)
    write_u16(out, channel)
    write_u32(out, len(payload))
    out.write(payload)
    out.append(END)


def build_content(channel: int, header: bytes, body: bytes, frame_max: int) -> bytes:
    """A content from a header's payload and a body, its frames at most `frame_max` bytes long."""
    out = BytesWriter()
    write_frame(out, HEADER, channel, header)
    step = frame_max - OVERHEAD
    if len(body) <= step:
        if body:
            write_frame(out, BODY, channel, body)
        return out.getvalue()
    for start in range(0, len(body), step):
        write_frame(out, BODY, channel, body[start : start + step])
    return out.getvalue()


def write_content(out: BytesWriter, content: bytes, origin: int, channel: int, frame_max: int) -> None:
    """Append a content whose frames carry channel `origin`, for `channel` and for frames of at most `frame_max`.

    The usual cases cost one copy: same channel, or another number patched into the copied frames.
    """
    size = len(content)
    if size > frame_max and not fits(content, frame_max):
        out.write(build_content(channel, header_of(content), body_of(content), frame_max))
        return
    if channel == origin:
        out.write(content)
        return
    base: int = len(out)
    out.write(content)
    high = channel >> 8
    low = channel & 0xFF
    pos = 0
    while pos < size:
        out[base + pos + 1] = high
        out[base + pos + 2] = low
        pos += read_i32_be(content, pos + 3) + OVERHEAD


def fits(content: bytes, frame_max: int) -> bool:
    """Whether none of its frames is longer than `frame_max`."""
    pos = 0
    while pos < len(content):
        step: int = read_i32_be(content, pos + 3) + OVERHEAD
        if step > frame_max:
            return False
        pos += step
    return True


def header_size(content: bytes) -> int:
    """How many bytes the content header frame takes."""
    size: int = read_i32_be(content, 3)
    return size + OVERHEAD


def header_of(content: bytes) -> bytes:
    """The payload of the content header frame."""
    return content[7 : header_size(content) - 1]


def body_of(content: bytes) -> bytes:
    """The body, joined."""
    pos = header_size(content)
    parts: list[bytes] = []
    while pos < len(content):
        size: int = read_i32_be(content, pos + 3)
        parts.append(content[pos + 7 : pos + 7 + size])
        pos += size + OVERHEAD
    return b"".join(parts)
