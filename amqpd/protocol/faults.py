"""The faults of a stream of frames, with RabbitMQ's words (rabbit_reader; `behaviour.md` 1.1).

RabbitMQ prints a frame's payload as an Erlang term: the first 16 octets, as text where all of them are printable.
"""

from __future__ import annotations

from typing import Final

from amqpd.broker import erlang
from amqpd.errors import (
    CHANNEL_ERROR,
    COMMAND_INVALID,
    FRAME_ERROR,
    UNEXPECTED_FRAME,
    ConnectionFault,
    FrameFault,
    MalformedError,
    NotUtf8Error,
)

_SHOWN: Final = 16


def described_frame(kind: int, payload: bytes) -> str:
    """A frame as RabbitMQ prints it."""
    if len(payload) > _SHOWN:
        return f"type {kind}, first {_SHOWN} octets = {erlang.binary(payload[:_SHOWN])}"
    return f"type {kind}, all octets = {erlang.binary(payload)}"


def frame_too_large(kind: int, size: int, largest: int) -> FrameFault:
    """501: the payload would be longer than what was negotiated."""
    return FrameFault(FRAME_ERROR, f"type {kind}, all octets = <<>>: {{frame_too_large,{size},{largest}}}")


def bad_end(kind: int, payload: bytes, end: int) -> FrameFault:
    """501: no 0xCE where the frame should end."""
    return FrameFault(FRAME_ERROR, f"{described_frame(kind, payload)}: {{invalid_frame_end_marker,{end}}}")


def unknown_frame(kind: int, payload: bytes) -> FrameFault:
    """501: no such type of frame, or one that is too short to be anything."""
    return FrameFault(FRAME_ERROR, f"{described_frame(kind, payload)}: unknown_frame")


def unexpected_frame(kind: int, payload: bytes) -> FrameFault:
    """505: the type exists, but not on this channel."""
    return FrameFault(UNEXPECTED_FRAME, described_frame(kind, payload))


def cannot_decode(arguments: bytes, error: MalformedError) -> ConnectionFault:
    """501: a method's arguments are not of its form."""
    if isinstance(error, NotUtf8Error):
        return FrameFault(FRAME_ERROR, str(error))
    return ConnectionFault(FRAME_ERROR, f"cannot decode {erlang.octets(arguments)}")


def expected_method() -> FrameFault:
    """505: a content frame with no method before it."""
    return FrameFault(UNEXPECTED_FRAME, "expected method frame, got non method frame instead")


def expected_header(instead: str) -> ConnectionFault:
    """505: after a publish comes its content header."""
    return ConnectionFault(UNEXPECTED_FRAME, f"expected content header for class 60, got {instead} instead")


def expected_body() -> ConnectionFault:
    """505: after a content header comes its body."""
    return ConnectionFault(UNEXPECTED_FRAME, "expected content body, got non content body frame instead")


def body_too_long() -> ConnectionFault:
    """501: more body than the header announced."""
    return ConnectionFault(FRAME_ERROR, "content body frame exceeds remaining content size")


def body_over_limit(size: int, largest: int) -> ConnectionFault:
    """501: the header announces more than any message may have."""
    return ConnectionFault(FRAME_ERROR, f"content body size {size} exceeds maximum allowed size {largest}")


def channel_error(explanation: str) -> ConnectionFault:
    """504."""
    return ConnectionFault(CHANNEL_ERROR, explanation)


def unimplemented() -> ConnectionFault:
    """503: a method that exists, but not here."""
    return ConnectionFault(COMMAND_INVALID, "unimplemented method")


def reply_text(text: str) -> str:
    """A reply-text as it fits into a short string: cut with `...` (RabbitMQ: rabbit_binary_generator)."""
    if len(text.encode("utf-8", "surrogateescape")) <= 255:
        return text
    cut = text[:252]
    while len(cut.encode("utf-8", "surrogateescape")) > 252:
        cut = cut[:-1]
    return cut + "..."
