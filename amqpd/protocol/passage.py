"""Large contents pass: what comes in many reads is joined once, what goes out is not copied at all.

A body frame that is longer than a read would be copied with every read that brings more of it, if what has arrived of
it waited in the connection's rest. A PartialBody takes the pieces instead. On the way out a large content is handed to
the transport as the object it is (`pass_on`), while small ones are written into the buffer of the round.

Not here: contents that come within one read (`Publisher.on_publish`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from amqpd.wire.frames import OVERHEAD, fits, write_content
from amqpd.wire.primitives import BytesWriter

if TYPE_CHECKING:
    from amqpd.protocol.channel import Channel
    from amqpd.protocol.connection import Connection

PASSED_ON: Final = 8192  # bytes of a content from which on another element for the socket is cheaper than a copy
_SMALL: Final = 4096  # pieces below this are joined as they come, so that many tiny ones cost no more than their bytes


def add_piece(pieces: list[bytes], piece: bytes) -> None:
    """Append to what will be joined."""
    if pieces and len(piece) < _SMALL and len(pieces[-1]) < _SMALL:
        pieces[-1] += piece
    else:
        pieces.append(piece)


def pass_on(connection: Connection, content: bytes, origin: int, number: int) -> None:
    """Send a content, whose frames carry channel `origin`, on channel `number`. A large one is unsent at once."""
    if len(content) < PASSED_ON:
        write_content(connection.out, content, origin, number, connection.frame_max)
        return
    if origin != number or not fits(content, connection.frame_max):
        rewritten = BytesWriter()
        write_content(rewritten, content, origin, number, connection.frame_max)
        content = rewritten.getvalue()
    written = connection.out.getvalue()
    if written:
        connection.out = BytesWriter()
        connection.chunks.append(written)
    connection.chunks.append(content)
    connection.unsent += len(written) + len(content)


class PartialBody:
    """A body frame that has arrived in part, on a channel that expects it. Nothing else can come before its end."""

    def __init__(self, channel: Channel, beginning: bytes, length: int) -> None:
        """`length` is the whole frame's, `beginning` what there is of it: its first seven bytes at least."""
        self.channel: Final = channel
        self.pieces: Final = [beginning]
        self.missing = length - len(beginning)
        self.size: Final = length - OVERHEAD

    def take(self, data: bytes) -> int:
        """Take what `data` begins with; returns how many bytes of it."""
        taken = len(data)
        if taken <= self.missing:
            piece = data
        else:
            taken = self.missing
            piece = data[:taken]
        self.missing -= taken
        if not self.channel.closing:
            add_piece(self.pieces, piece)
        return taken
