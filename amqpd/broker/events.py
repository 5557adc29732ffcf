"""The firehose and the event exchange: what happens on a node, told as messages.

`Events` publishes to `amq.rabbitmq.event` in the default vhost, once somebody has enabled it; `trace_*` copy messages
to a vhost's `amq.rabbitmq.trace` while tracing is on. Neither costs anything while it is off. Sources: RabbitMQ,
rabbitmq_event_exchange, rabbit_trace; `behaviour.md` section 21.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from amqpd.broker.message import NEVER, Message, address_of
from amqpd.broker.routing import Exchange
from amqpd.broker.vhost import DEFAULT_VHOST, TRACE_EXCHANGE
from amqpd.wire import content, frames, tables
from amqpd.wire.tables import Field, Table

if TYPE_CHECKING:
    from amqpd.broker.node import Broker
    from amqpd.broker.queues.contract import Queue
    from amqpd.broker.routing import Binding
    from amqpd.broker.vhost import VHost

EVENT_EXCHANGE: Final = "amq.rabbitmq.event"
LOG_EXCHANGE: Final = "amq.rabbitmq.log"
_FRAME_MAX: Final = 131_072


def build_message(
    exchange: str, key: str, headers: Table, body: bytes, now_ms: int, properties: dict[int, bytes]
) -> Message:
    """A message that the broker itself publishes; its headers sorted by name, as RabbitMQ's are."""
    if headers:
        properties[content.HEADERS] = tables.encode_table(sorted(headers, key=lambda pair: pair[0]))
    persistent = content.DELIVERY_MODE in properties
    frame = frames.build_content(1, content.join(len(body), properties), body, _FRAME_MAX)
    return Message(address_of(exchange, key), frame, 1, len(body), persistent, -1, NEVER, now_ms, None)


class Events:
    """Publishes events. `enable` declares the exchange; until then `enabled` is False and every call does nothing."""

    def __init__(self, broker: Broker) -> None:
        self._broker: Final = broker
        self.enabled = False

    def enable(self) -> None:
        """Declare the event exchange and publish from now on."""
        vhost = self._broker.add_vhost(DEFAULT_VHOST)
        vhost.declare_system_exchange(EVENT_EXCHANGE)
        self.enabled = True

    def alarms_changed(self, resource: str, source: str, raised: bool) -> None:
        """alarm.set, alarm.cleared"""
        attributes = [("resource", tables.longstr(resource)), ("source", tables.longstr(source))]
        self.emit("alarm.set" if raised else "alarm.cleared", attributes)

    def emit(self, name: str, attributes: Table) -> None:
        """Publish the event `name` with its attributes as headers."""
        if self.enabled:
            wall_ms = self._broker.wall_ms()
            headers = [*attributes, ("timestamp_in_ms", tables.long(wall_ms))]
            publish_system(self._broker, EVENT_EXCHANGE, name, headers, b"", wall_ms // 1000)

    # -- one call for each event of the domain

    def exchange_created(self, exchange: Exchange) -> None:
        """exchange.created"""
        if self.enabled:
            self.emit(
                "exchange.created",
                [
                    *_named(exchange.name, exchange.vhost.name),
                    ("type", tables.longstr(exchange.type_name)),
                    ("durable", tables.boolean(exchange.durable)),
                    ("auto_delete", tables.boolean(exchange.auto_delete)),
                    ("internal", tables.boolean(exchange.internal)),
                    ("arguments", tables.subtable(exchange.arguments)),
                ],
            )

    def exchange_deleted(self, exchange: Exchange) -> None:
        """exchange.deleted"""
        if self.enabled:
            self.emit("exchange.deleted", _named(exchange.name, exchange.vhost.name))

    def queue_created(self, queue: Queue) -> None:
        """queue.created"""
        if self.enabled:
            self.emit(
                "queue.created",
                [
                    *_named(queue.name, queue.vhost.name),
                    ("durable", tables.boolean(queue.durable)),
                    ("auto_delete", tables.boolean(queue.auto_delete)),
                    ("exclusive", tables.boolean(queue.owner is not None)),
                    ("arguments", tables.subtable(queue.arguments)),
                ],
            )

    def queue_deleted(self, queue: Queue) -> None:
        """queue.deleted"""
        if self.enabled:
            self.emit("queue.deleted", _named(queue.name, queue.vhost.name))

    def binding_created(self, binding: Binding) -> None:
        """binding.created"""
        if self.enabled:
            self.emit("binding.created", _binding(binding))

    def binding_deleted(self, binding: Binding) -> None:
        """binding.deleted"""
        if self.enabled:
            self.emit("binding.deleted", _binding(binding))

    def vhost_created(self, name: str) -> None:
        """vhost.created"""
        self.emit("vhost.created", [("name", tables.longstr(name))])

    def vhost_deleted(self, name: str) -> None:
        """vhost.deleted"""
        self.emit("vhost.deleted", [("name", tables.longstr(name))])


def _named(name: str, vhost: str) -> Table:
    return [("name", tables.longstr(name)), ("vhost", tables.longstr(vhost))]


def _binding(binding: Binding) -> Table:
    source = binding.source
    destination = binding.destination
    kind = "exchange" if isinstance(destination, Exchange) else "queue"
    return [
        ("source_name", tables.longstr(source.name)),
        ("source_kind", tables.longstr("exchange")),
        ("destination_name", tables.longstr(destination.name)),
        ("destination_kind", tables.longstr(kind)),
        ("routing_key", tables.longstr(binding.key)),
        ("vhost", tables.longstr(source.vhost.name)),
        ("arguments", tables.subtable(binding.arguments)),
    ]


def publish_system(broker: Broker, exchange: str, key: str, headers: Table, body: bytes, time_s: int) -> None:
    """Publish to an exchange of the default vhost on the broker's own behalf; nobody is told if nobody listens."""
    vhost = broker.vhosts.get(DEFAULT_VHOST)
    found = vhost.exchanges.get(exchange) if vhost is not None else None
    if vhost is None or found is None or not found.outgoing:
        return
    properties = {content.DELIVERY_MODE: b"\x02", content.TIMESTAMP: time_s.to_bytes(8, "big")}
    message = build_message(exchange, key, headers, body, broker.now_ms, properties)
    for queue in vhost.route(found, [key], message):
        queue.publish(message)


def trace_publish(
    vhost: VHost, message: Message, routed: list[str], connection: str, channel: int, user: str
) -> None:
    """Copy a message that was published to the firehose."""
    queues = tables.array([tables.longstr(name) for name in routed])
    _trace(vhost, "publish." + message.exchange, message, connection, channel, user, ("routed_queues", queues))


def trace_deliver(
    vhost: VHost, queue: str, message: Message, redelivered: bool, connection: str, channel: int, user: str
) -> None:
    """Copy a message that is being delivered to the firehose."""
    flag = Field(tables.SIGNED_INT, 1 if redelivered else 0)
    _trace(vhost, "deliver." + queue, message, connection, channel, user, ("redelivered", flag))


def _trace(
    vhost: VHost, key: str, message: Message, connection: str, channel: int, user: str, last: tuple[str, Field]
) -> None:
    exchange = vhost.exchanges.get(TRACE_EXCHANGE)
    if exchange is None or message.exchange == exchange.name or not exchange.outgoing:
        return
    broker = vhost.broker
    headers: Table = [
        ("exchange_name", tables.longstr(message.exchange)),
        ("routing_keys", tables.array([tables.longstr(name) for name in message.keys])),
        ("properties", tables.subtable(properties_table(message))),
        ("node", tables.longstr(broker.name)),
        ("vhost", tables.longstr(vhost.name)),
        ("connection", tables.longstr(connection)),
        ("channel", Field(tables.SIGNED_INT, channel)),
        ("user", tables.longstr(user)),
        last,
    ]
    copy = build_message(exchange.name, key, headers, message.body(), broker.now_ms, {})
    for queue in vhost.route(exchange, [key], copy):
        queue.publish(copy)


def properties_table(message: Message) -> Table:
    """A message's properties as a table, named as in the specification."""
    table: Table = []
    for bit, raw in content.split(message.header()).items():
        name = content.PROPERTY_NAMES[bit]
        if bit == content.HEADERS:
            table.append((name, tables.subtable(tables.decode_table(raw[4:]))))
        elif bit == content.TIMESTAMP:
            table.append((name, Field(tables.TIMESTAMP, int.from_bytes(raw, "big"))))
        elif bit == content.DELIVERY_MODE or bit == content.PRIORITY:
            table.append((name, Field(tables.SIGNED_INT, raw[0])))
        else:
            table.append((name, Field(tables.LONGSTR, raw[1:])))
    table.reverse()  # as rabbit_trace has them
    return table
