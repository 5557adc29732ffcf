"""What the timers of a connection have in common: they refer to it, as it does to them, until it ends.

Whatever ends is freed at once, by its reference counts: the garbage collector need not look for it, and does not look
at what has been there for long (`amqpd.app`). So every cycle of references is undone by whoever made it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from amqpd.broker.timers import Timer

if TYPE_CHECKING:
    from amqpd.protocol.connection import Connection


class ConnectionTimer(Timer):
    """A timer of `connection`, which is not there any more after `end`."""

    __deletable__ = ["connection"]

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self.connection = connection

    def end(self) -> None:
        """The connection is gone for good: let go of it. Must be called once."""
        self.connection.broker.timers.cancel(self)
        del self.connection
