"""A bell that any thread rings and one task of trio's waits for: an eventfd, or a pipe where there is none (macOS).

However often it is rung until somebody waits, that is one ring. Sources: eventfd(2), pipe(7).
"""

from __future__ import annotations

import os
import sys
from typing import Final

import trio

_HAS_EVENTFD: Final = hasattr(os, "eventfd")
_READ_SIZE: Final = 65_536  # all that a pipe holds


class Bell:
    """Holds one descriptor, or two. Made anywhere."""

    def __init__(self, eventfd: bool = _HAS_EVENTFD) -> None:
        self._message = b"!"
        if eventfd:
            self._out = self._in = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            self._message = (1).to_bytes(8, sys.byteorder)
        else:
            self._out, self._in = os.pipe()
            os.set_blocking(self._in, False)
            os.set_blocking(self._out, False)

    def ring(self) -> None:
        """Wake who waits, or will wait. Never blocks; in any thread."""
        try:
            os.write(self._in, self._message)
        except BlockingIOError:
            pass  # as full as that it rings already

    async def wait(self) -> None:
        """Wait until it was rung since this was called last."""
        await trio.lowlevel.wait_readable(self._out)
        try:
            os.read(self._out, _READ_SIZE)
        except BlockingIOError:
            pass

    def close(self) -> None:
        """Nobody waits, and nobody rings any more. More than once is nothing."""
        for descriptor in {self._in, self._out} - {-1}:
            os.close(descriptor)
        self._in = self._out = -1
