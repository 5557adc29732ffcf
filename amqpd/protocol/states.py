"""The states of a connection.

    AWAIT_HEADER -> AWAIT_START_OK -> AWAIT_TUNE_OK -> AWAIT_OPEN -> RUNNING -> CLOSING -> CLOSED
                                                                        `-----------------^
    any state before RUNNING -> REFUSED (nothing is said, then closed by a timer)

CLOSING: this side sent connection.close and ignores everything but close and close-ok. The failure of a frame is never
silent once RUNNING was reached: it is answered with connection.close.
"""

from __future__ import annotations

from typing import Final

AWAIT_HEADER: Final = 0
AWAIT_START_OK: Final = 1
AWAIT_TUNE_OK: Final = 2
AWAIT_OPEN: Final = 3
RUNNING: Final = 4
CLOSING: Final = 5
CLOSED: Final = 6
REFUSED: Final = 7

# As RabbitMQ's texts call them.
STATE_NAMES: Final = ("starting", "starting", "tuning", "opening", "running", "closing", "closed", "closed")
