"""Deliveries that wait too long for their acknowledgement (RabbitMQ: consumers.md, acknowledgement timeout).

Only queues that ask for it have such a time-out (`x-consumer-timeout`). When one is exceeded the consumer's messages
return to the queue; a client that understands consumer cancellation gets basic.cancel and keeps its channel, another's
channel is closed with 406 (RabbitMQ 4.3; `behaviour.md` section 17).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from amqpd.broker.timers import IDLE, Timer
from amqpd.errors import precondition_failed
from amqpd.protocol import consuming
from amqpd.protocol.transactions import REQUEUE
from amqpd.wire import methods

if TYPE_CHECKING:
    from amqpd.broker.message import Unacked
    from amqpd.protocol.channel import Channel

log = logging.getLogger("amqpd.channel")


class AckTimeout(Timer):
    """One timer for a channel, at the earliest time at which some delivery may be overdue."""

    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self._channel: Final = channel

    def watch(self, due_ms: int) -> None:
        """A delivery will be overdue at `due_ms`."""
        if self.due_ms == IDLE or due_ms < self.due_ms:
            self._channel.vhost.broker.timers.schedule(self, due_ms)

    def stop(self) -> None:
        """The channel is closed."""
        self._channel.vhost.broker.timers.cancel(self)

    def fire(self, now_ms: int) -> None:
        overdue: Unacked | None = None
        next_ms = -1
        for unacked in self._channel.deliveries.outstanding():
            if unacked.queue.ack_timeout_ms < 0:
                continue
            due_ms = unacked.delivered_ms + unacked.queue.ack_timeout_ms
            if due_ms <= now_ms:
                overdue = unacked
                break
            if next_ms < 0 or due_ms < next_ms:
                next_ms = due_ms
        if overdue is not None:
            self._end(overdue)
            if not self._channel.closing:
                self.watch(now_ms)
        elif next_ms >= 0:
            self.watch(next_ms)

    def _end(self, overdue: Unacked) -> None:
        channel = self._channel
        consumer = overdue.consumer
        log.warning(
            "delivery %d from %s was not acknowledged within %d ms (consumer '%s')",
            overdue.tag,
            overdue.queue.described(),
            overdue.queue.ack_timeout_ms,
            consumer.tag if consumer is not None else "",
            extra=channel.connection.log_fields(channel.number),
        )
        if consumer is None or "consumer_cancel_notify" not in channel.connection.capabilities:
            channel.fail(
                precondition_failed(
                    f"delivery acknowledgement on channel {channel.number} timed out. Timeout value used: "
                    f"{overdue.queue.ack_timeout_ms} ms. This timeout value can be configured, see consumers doc "
                    "guide to learn more"
                ),
                0,
            )
            return
        if not consumer.cancelled:
            channel.cancel(consumer)
            channel.send(methods.basic_cancel(consumer.tag))
        consuming.settle_many(channel, REQUEUE, channel.deliveries.take_of(consumer))
        overdue.queue.dispatch()
