"""One channel: dispatch of its methods, its deliveries, and its end.

What its methods do stands in `topology` (exchanges and queues), `consuming` (consumers and acknowledgements) and
`publisher`. A channel is what queues and consumers see as their DeliverySink.

After this side sent channel.close every frame is discarded until close-ok; channel.close is still answered, and
channel.open is an error of the connection (`behaviour.md` section 1).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from amqpd.broker import events
from amqpd.broker.consumers import Consumer
from amqpd.broker.message import Message, Unacked
from amqpd.broker.ports import DeliverySink
from amqpd.broker.reply_to import ReplyQueue
from amqpd.errors import MalformedError, ProtocolError, precondition_failed
from amqpd.protocol import consuming, faults, notices
from amqpd.protocol.access import AnswerPending
from amqpd.protocol.acktimeout import AckTimeout
from amqpd.protocol.deliveries import Deliveries
from amqpd.protocol.dispatch import HANDLERS
from amqpd.protocol.passage import PASSED_ON, pass_on
from amqpd.protocol.publisher import Publisher
from amqpd.wire import methods
from amqpd.wire.frames import METHOD
from amqpd.wire.primitives import (
    BytesWriter,
    Reader,
    as_bytes,
    as_text,
    read_i32_be,
    read_i64_be,
    write_i64_be,
    write_shortstr,
    write_u16,
    write_u32,
)

if TYPE_CHECKING:
    from amqpd.broker.ports import User
    from amqpd.broker.queues.contract import Queue
    from amqpd.broker.vhost import VHost
    from amqpd.protocol.connection import Connection

log = logging.getLogger("amqpd.channel")

_ACK_FRAME: Final = 13 + 8  # bytes of a basic.ack frame
_DELIVER_FIXED: Final = 4 + 8 + 1  # method, delivery tag, redelivered


class Channel(DeliverySink):
    """An open channel. `prefetch` is for consumers to come, `shared_prefetch` limits the channel as a whole."""

    def __init__(self, connection: Connection, vhost: VHost, user: User, number: int) -> None:
        self.connection: Final = connection
        self.vhost: Final = vhost
        self.user: Final = user
        self.number: Final = number
        self.closing = False
        self.consumers: Final[dict[str, Consumer]] = {}
        self.deliveries: Final = Deliveries()
        self.prefetch = 0
        self.shared_prefetch = 0
        self.unacked = 0  # what counts against `shared_prefetch`: not settled or, in a transaction, not committed
        self._gets_counted_to = 0
        self.last_queue = ""
        self.made_name = ""  # of a queue about to be declared without one
        self.reply_queue: ReplyQueue | None = None
        self.publisher: Final = Publisher(self)
        self._timeout: AckTimeout | None = None
        self._next_tag = 1
        self._unsent_max: Final = vhost.broker.limits.unsent_max
        self._copied_below: Final = min(PASSED_ON, connection.frame_max)

    # -- frames come in

    def on_method(self, data: bytes, pos: int, after: int, end: int) -> int:
        """The method frame `data[pos:after]`; returns where the walk goes on."""
        if after - pos < 4 + 8:
            raise faults.unknown_frame(METHOD, data[pos + 7 : after - 1])
        method: int = read_i32_be(data, pos + 7)
        if self.closing:
            self._while_closing(method)
            return after
        self.connection.method = method
        if self.publisher.assembling:
            raise self._content_expected()
        if method == methods.BASIC_PUBLISH:
            return self.publisher.on_publish(data, pos, after, end)
        if method == methods.BASIC_ACK and after - pos == _ACK_FRAME:
            consuming.acknowledge(self, read_i64_be(data, pos + 11), data[pos + 19] & 1 == 1)
            return after
        handler = HANDLERS.get(method)
        if handler is None:
            raise faults.unimplemented()
        try:
            handler(self, Reader(data, pos + 11, after - 1))
        except MalformedError as error:
            raise faults.cannot_decode(data[pos + 11 : after - 1], error) from None
        except AnswerPending as pending:
            self.connection.ask(pending, data[pos:after])
        return after

    def on_header(self, data: bytes, pos: int, after: int) -> None:
        """The content header frame `data[pos:after]`."""
        if not self.closing:
            self._content_frame()
            self.publisher.on_header(data[pos:after])
            self._content_received()

    def on_body(self, pieces: list[bytes], size: int) -> None:
        """A body frame with a payload of `size` bytes, in as many pieces as it came in."""
        if not self.closing:
            self._content_frame()
            self.publisher.on_body(pieces, size)
            self._content_received()

    def expects_body(self, size: int) -> bool:
        """Whether a body frame with a payload of `size` bytes may come now."""
        return not self.closing and self.publisher.expects_body(size)

    def _content_frame(self) -> None:
        self.connection.method = methods.BASIC_PUBLISH

    def _content_received(self) -> None:
        """Part of a content is enough to be blocked: a long one would come in past the alarm."""
        if self.vhost.broker.alarms.active:
            self.connection.published()

    def _content_expected(self) -> Exception:
        self.connection.method = methods.BASIC_PUBLISH
        return self.publisher.out_of_turn()

    def _while_closing(self, method: int) -> None:
        if method == methods.CHANNEL_CLOSE_OK:
            self.connection.forget_channel(self)
        elif method == methods.CHANNEL_CLOSE:
            self.send(methods.CHANNEL_CLOSE_OK_PAYLOAD)
        elif method == methods.CHANNEL_OPEN:
            self.connection.method = method
            raise faults.channel_error("second 'channel.open' seen")

    # -- frames go out

    def send(self, payload: bytes) -> None:
        """Write a method frame."""
        self.connection.send(self.number, payload)

    def write_content(self, payload: bytes, message: Message) -> None:
        """Write a method that carries a content (return, get-ok)."""
        self.send(payload)
        pass_on(self.connection, message.content, message.origin, self.number)

    def accepts(self, consumer: Consumer) -> bool:
        connection = self.connection
        if self.closing or connection.released:
            return False
        if consumer.prefetch != 0 and consumer.unacked >= consumer.prefetch:
            return False
        if self.shared_prefetch != 0 and self.unacked >= self.shared_prefetch:
            return False
        if len(connection.out) + connection.unsent > self._unsent_max:
            connection.congested = True
            return False
        return True

    def overflowing(self) -> bool:
        connection = self.connection
        return len(connection.out) + connection.unsent > self.vhost.broker.limits.unsent_stop

    def deliver(self, consumer: Consumer, message: Message, position: int, redelivered: bool) -> None:
        connection = self.connection
        if not connection.dirty:
            connection.touch()
        out = connection.out
        address = message.address
        tag = self._next_tag
        self._next_tag = tag + 1
        if consumer.prefix_size != len(address):
            self._write_prefix(consumer, len(address))
        out.write(consumer.prefix)
        write_i64_be(out, tag)
        out.append(1 if redelivered or (message.annotations is not None and message.redelivered) else 0)
        out.write(address)
        content = message.content
        if message.origin == self.number and len(content) < self._copied_below:
            out.write(content)
        else:
            pass_on(connection, content, message.origin, self.number)
        if not consumer.no_ack:
            consumer.unacked += 1
            self.unacked += 1
            self.remember(tag, message, consumer.queue, consumer, position)
        if self.vhost.tracing:
            self.trace(consumer.queue, message, redelivered)

    def _write_prefix(self, consumer: Consumer, address_size: int) -> None:
        """What a deliver frame to `consumer` begins with, up to the delivery tag; an address includes the end octet."""
        prefix = BytesWriter()
        tag = as_bytes(consumer.tag)
        prefix.append(METHOD)
        write_u16(prefix, self.number)
        write_u32(prefix, _DELIVER_FIXED + 1 + len(tag) + address_size - 1)
        write_u32(prefix, methods.BASIC_DELIVER)
        write_shortstr(prefix, tag)
        consumer.prefix = prefix.getvalue()
        consumer.prefix_size = address_size

    def next_tag(self) -> int:
        """A fresh delivery tag."""
        tag = self._next_tag
        self._next_tag = tag + 1
        return tag

    def share_prefetch(self, count: int) -> None:
        """Limit the channel as a whole; 0 is no limit. What basic.get brought counts if it is outstanding now."""
        self.shared_prefetch = count
        if count:
            for unacked in self.deliveries.outstanding():
                if unacked.consumer is None and unacked.tag > self._gets_counted_to:
                    self.unacked += 1
            self._gets_counted_to = self._next_tag - 1

    def settled(self, unacked: Unacked) -> None:
        """A delivery of this channel was settled for good: it counts no more."""
        consumer = unacked.consumer
        if consumer is not None:
            consumer.unacked -= 1
            self.unacked -= 1
        elif unacked.tag <= self._gets_counted_to:
            self.unacked -= 1

    def remember(self, tag: int, message: Message, queue: Queue, consumer: Consumer | None, position: int) -> None:
        """A delivery that is to be acknowledged."""
        now_ms = self.vhost.broker.now_ms
        self.deliveries.add(Unacked(tag, message, queue, consumer, position, now_ms))
        if queue.ack_timeout_ms >= 0:
            if self._timeout is None:
                self._timeout = AckTimeout(self)
            self._timeout.watch(now_ms + queue.ack_timeout_ms)

    def trace(self, queue: Queue, message: Message, redelivered: bool) -> None:
        """Tell the firehose of a delivery."""
        events.trace_deliver(
            self.vhost, queue.name, message, redelivered, self.connection.name, self.number, self.user.name
        )

    def flush_confirms(self) -> None:
        """Write the acks and nacks of this round."""
        confirms = self.publisher.confirms
        if confirms is not None and not self.closing:
            confirms.flush(self.connection.out, self.number)

    def stored(self, first: int, last: int) -> None:
        confirms = self.publisher.confirms
        if confirms is None or self.closing:
            return
        if not confirms.pending:
            self.connection.confirming.append(self)
        confirms.resolve_run(first, last)
        self.connection.touch()

    # -- consumers

    def cancel(self, consumer: Consumer) -> None:
        """End a consumer on this side's or the client's wish; what it has not acknowledged stays outstanding.

        The queue's dispatch follows, after the client was told.
        """
        del self.consumers[consumer.tag]
        notices.consumer_removed(self, consumer)
        if consumer.queue is self.reply_queue:
            self.reply_queue = None
        consumer.queue.cancel(consumer)

    def consumer_cancelled(self, consumer: Consumer) -> None:
        self.consumers.pop(consumer.tag, None)
        notices.consumer_removed(self, consumer)
        if not self.closing and "consumer_cancel_notify" in self.connection.capabilities:
            self.send(methods.basic_cancel(consumer.tag))

    def wake_consumers(self) -> None:
        """Room came back that all consumers of the channel share."""
        consuming.wake(list(self.consumers.values()))

    def reply_name(self) -> bytes:
        """The name to which replies for this channel go. Raises 406 without a reply consumer."""
        if self.reply_queue is None:
            raise precondition_failed("fast reply consumer does not exist")
        return as_bytes(self.reply_queue.name)

    def check_user_id(self, raw: bytes) -> None:
        """Refuse a message in somebody else's name (RabbitMQ: validated-user-id.md). Raises 406."""
        name = as_text(raw)
        if name != self.user.name and "impersonator" not in self.user.tags:
            raise precondition_failed(
                f"user_id property set to '{name}' but authenticated user was '{self.user.name}'"
            )

    # -- the end

    def fail(self, error: ProtocolError, method: int) -> None:
        """Close the channel with an error: what it held is released, then channel.close is sent."""
        log.error("channel closed: %s", error.text, extra=self.connection.log_fields(self.number))
        self.terminate()
        self.send(methods.close(methods.CHANNEL_CLOSE, error.code, faults.reply_text(error.text), method))

    def terminate(self) -> None:
        """Cancel the consumers and give back what was not acknowledged. May be called more than once."""
        if self.closing:
            return
        if self.publisher.confirms is not None and self.publisher.confirms.pending:
            self.flush_confirms()
        self.closing = True
        self.vhost.broker.channels -= 1
        self.vhost.broker.usage(self.user.name).channels -= 1
        if self._timeout is not None:
            self._timeout.stop()
            self._timeout = None
        self.publisher.forget()
        unacked = self.deliveries.take_all()
        transaction = self.publisher.transaction
        if transaction is not None:
            unacked += transaction.take_unsettled()
            self.publisher.transaction = None
        doomed = list(self.consumers.values())
        for consumer in doomed:
            notices.consumer_removed(self, consumer)
        self.consumers.clear()
        consuming.release(self, doomed, unacked)
        self.reply_queue = None
        self.publisher.end()
        notices.channel_closed(self)
