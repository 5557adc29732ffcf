"""Heartbeats of one connection, both ways (specification 4.2.7; RabbitMQ: heartbeats.md, rabbit_heartbeat).

One timer at half the interval: a heartbeat is sent where nothing else was since the last time, and after two whole
intervals without a byte from the peer the connection is given up.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from amqpd.protocol.connectiontimer import ConnectionTimer
from amqpd.wire.frames import HEARTBEAT_FRAME

if TYPE_CHECKING:
    from amqpd.protocol.connection import Connection

log = logging.getLogger("amqpd.connection")

_SILENT_TURNS: Final = 4  # half intervals without a byte: two intervals


class Heartbeat(ConnectionTimer):
    """`interval_ms` is 0 while heartbeats are off."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.interval_ms = 0
        self._sent = 0
        self._received = 0
        self._silent = 0
        self._watching = True

    def start(self, interval_s: int) -> None:
        """Begin; the first is due after half an interval."""
        self.interval_ms = interval_s * 1000
        self._sent = self.connection.bytes_sent
        if interval_s:
            self._schedule()

    def stop(self) -> None:
        """End."""
        self.connection.broker.timers.cancel(self)

    def watch(self, on: bool) -> None:
        """Whether the peer's silence counts. It does not while this side does not read."""
        self._watching = on
        self._silent = 0

    def fire(self, now_ms: int) -> None:
        connection = self.connection
        if connection.bytes_sent == self._sent and not connection.unsent:
            connection.touch()
            connection.out.write(HEARTBEAT_FRAME)
            self._sent = connection.bytes_sent + len(HEARTBEAT_FRAME)
        else:
            self._sent = connection.bytes_sent
        if connection.bytes_received != self._received or not self._watching or connection.paused:
            self._received = connection.bytes_received
            self._silent = 0
        else:
            self._silent += 1
        if self._silent > _SILENT_TURNS:
            log.error(
                "missed heartbeats from client, timeout: %ds",
                self.interval_ms // 1000,
                extra=connection.log_fields(0),
            )
            connection.give_up()
            return
        self._schedule()

    def _schedule(self) -> None:
        timers = self.connection.broker.timers
        timers.schedule(self, self.connection.broker.now_ms + max(1, self.interval_ms // 2))
