"""What a node can tell of itself: its lists, as plain values that JSON can carry.

A list has things, which are gathered at once, and a row for each, which is made when it is its turn: a list of
everything is long, and others want to go on meanwhile. A row's keys are the columns, named as rabbitmqctl names them,
the same in every row. Numbers are read where they stand, when the row is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from amqpd.broker import commands as c
from amqpd.broker import policies
from amqpd.broker.queues.classic import ClassicQueue
from amqpd.broker.routing import Exchange
from amqpd.protocol.states import STATE_NAMES
from amqpd.wire.primitives import as_text
from amqpd.wire.tables import Field, Table, lookup

if TYPE_CHECKING:
    from amqpd.auth.failures import Failures
    from amqpd.broker.consumers import Consumer
    from amqpd.broker.node import Broker
    from amqpd.broker.queues.contract import Queue
    from amqpd.broker.routing import Binding
    from amqpd.broker.vhost import VHost
    from amqpd.protocol.channel import Channel
    from amqpd.protocol.connection import Connection
    from amqpd.server.definitions import Definitions
    from amqpd.server.hub import Hub

Row = dict[str, object]


class Scene:
    """Where lists look."""

    def __init__(self, hub: Hub, definitions: Definitions, failures: Failures) -> None:
        self.hub: Final = hub
        self.definitions: Final = definitions
        self.failures: Final = failures

    def connections(self) -> Iterator[Connection]:
        """Those that are open, and those that are shaking hands."""
        for session in self.hub.sessions:
            yield session.connection

    def channels(self) -> Iterator[Channel]:
        """The channels of all connections."""
        for connection in self.connections():
            yield from connection.channels.values()

    def vhosts(self) -> Iterable[VHost]:
        """All vhosts."""
        return self.hub.broker.vhosts.values()


@dataclass(frozen=True)
class Listing:
    """A list: its things, how one of them is told, and the columns by which rows can be chosen."""

    things: Callable[[Scene], Iterable[Any]]
    row: Callable[[Any], Row]
    chosen_by: tuple[str, ...] = ()


def plain(field: Field) -> object:
    """A field's value as JSON has it."""
    value = field.value
    if isinstance(value, bytes):
        return as_text(value).encode("utf-8", "replace").decode()
    if isinstance(value, list):
        if value and isinstance(value[0], tuple):
            return plain_table(value)
        return [plain(item) for item in value]
    if isinstance(value, tuple):
        scale, number = value
        return number / 10**scale
    return value


def plain_table(table: Table) -> dict[str, object]:
    """A table as JSON has it; of a key that stands there twice, the first."""
    return {key: plain(field) for key, field in reversed(table)}


def _connection(connection: Connection) -> Row:
    peer = connection.peer
    certificate = peer.certificate
    return {
        "name": connection.name,
        "user": connection.user.name if connection.user else "",
        "vhost": connection.vhost.name if connection.vhost else "",
        "state": _state(connection),
        "channels": len(connection.channels),
        "client": _client_name(connection),
        "peer_host": peer.address,
        "peer_port": _port(connection.name) if peer.address else 0,
        "ssl": bool(peer.tls),
        "ssl_protocol": peer.tls,
        "peer_cert_subject": certificate.distinguished_name if certificate is not None else "",
        "recv_oct": connection.bytes_received,
        "send_oct": connection.bytes_sent,
        "send_pend": connection.unsent,
        "frame_max": connection.frame_max,
    }


def _port(name: str) -> int:
    """The client's port, in the name of a connection: `HOST:PORT -> HOST:PORT`."""
    port = name.partition(" -> ")[0].rpartition(":")[2]
    return int(port) if port.isdecimal() else 0


def _state(connection: Connection) -> str:
    return "blocked" if connection.blocked else STATE_NAMES[connection.state]


def _client_name(connection: Connection) -> str:
    """What the client calls its connection, else its product."""
    for name in ("connection_name", "product"):
        field = lookup(connection.client_properties(), name)
        if field is not None:
            return str(plain(field))
    return ""


def _channel(channel: Channel) -> Row:
    return {
        "name": f"{channel.connection.name} ({channel.number})",
        "connection": channel.connection.name,
        "number": channel.number,
        "user": channel.user.name,
        "vhost": channel.vhost.name,
        "transactional": channel.publisher.transaction is not None,
        "confirm": channel.publisher.confirms is not None,
        "consumer_count": len(channel.consumers),
        "messages_unacknowledged": channel.deliveries.count,
        "prefetch_count": channel.prefetch,
        "global_prefetch_count": channel.shared_prefetch,
    }


def _vhost(vhost: VHost) -> Row:
    return {
        "name": vhost.name,
        "description": vhost.description,
        "tags": list(vhost.tags),
        "default_queue_type": vhost.default_queue_type,
        "tracing": vhost.tracing,
        "queues": len(vhost.queues),
        "exchanges": len(vhost.exchanges),
    }


def _queues(scene: Scene) -> Iterator[Queue]:
    for vhost in scene.vhosts():
        yield from vhost.queues.values()


def _queue(queue: Queue) -> Row:
    ready = queue.ready_count()
    unacked = paged_out = 0
    if isinstance(queue, ClassicQueue):
        unacked, paged_out = queue.unacked_messages, queue.paged_out_count()
    return {
        "vhost": queue.vhost.name,
        "name": queue.name,
        "type": queue.type_name,
        "messages": ready + unacked,
        "messages_ready": ready,
        "messages_unacknowledged": unacked,
        "messages_paged_out": paged_out,
        "consumers": queue.consumer_count(),
        "durable": queue.durable,
        "auto_delete": queue.auto_delete,
        "exclusive": queue.owner is not None,
        "arguments": plain_table(queue.arguments),
        **_policies_of(queue),
    }


def _policies_of(destination: Queue | Exchange) -> Row:
    policy, operator_policy = destination.policy, destination.operator_policy
    return {
        "policy": policy.name if policy is not None else "",
        "operator_policy": operator_policy.name if operator_policy is not None else "",
        "effective_policy_definition": policies.effective(destination),
    }


def _exchanges(scene: Scene) -> Iterator[Exchange]:
    for vhost in scene.vhosts():
        yield from vhost.exchanges.values()


def _exchange(exchange: Exchange) -> Row:
    return {
        "vhost": exchange.vhost.name,
        "name": exchange.name,
        "type": exchange.type_name,
        "durable": exchange.durable,
        "auto_delete": exchange.auto_delete,
        "internal": exchange.internal,
        "arguments": plain_table(exchange.arguments),
        "policy": exchange.policy.name if exchange.policy is not None else "",
    }


def _bindings(scene: Scene) -> Iterator[Binding]:
    """Those that clients made; that every queue is bound to the default exchange by its name goes without saying."""
    for exchange in _exchanges(scene):
        yield from exchange.outgoing


def _binding(binding: Binding) -> Row:
    destination = binding.destination
    return {
        "vhost": binding.source.vhost.name,
        "source_name": binding.source.name,
        "source_kind": "exchange",
        "destination_name": destination.name,
        "destination_kind": "exchange" if isinstance(destination, Exchange) else "queue",
        "routing_key": binding.key,
        "arguments": plain_table(binding.arguments),
    }


def _consumers(scene: Scene) -> Iterator[tuple[Channel, Consumer]]:
    for channel in scene.channels():
        for consumer in channel.consumers.values():
            yield channel, consumer


def _consumer(thing: tuple[Channel, Consumer]) -> Row:
    channel, consumer = thing
    return {
        "vhost": channel.vhost.name,
        "queue_name": consumer.queue.name,
        "consumer_tag": consumer.tag,
        "channel": f"{channel.connection.name} ({channel.number})",
        "ack_required": not consumer.no_ack,
        "exclusive": consumer.exclusive,
        "active": consumer.active,
        "prefetch_count": consumer.prefetch,
        "priority": consumer.priority,
        "messages_unacknowledged": consumer.unacked,
        "arguments": plain_table(consumer.arguments),
    }


# -- definitions: each row is what a command says


def _accounts(kind: type[c.Command]) -> Callable[[Scene], Iterable[c.Command]]:
    def things(scene: Scene) -> Iterator[c.Command]:
        return (command for command in scene.definitions.accounts.snapshot() if isinstance(command, kind))

    return things


def _user(command: c.PutUser) -> Row:
    return {"user": command.name, "tags": list(command.tags), "hashing_algorithm": command.hashing_algorithm}


def _permission(command: c.PutPermission) -> Row:
    return {
        "vhost": command.vhost,
        "user": command.user,
        "configure": command.configure,
        "write": command.write,
        "read": command.read,
    }


def _topic_permission(command: c.PutTopicPermission) -> Row:
    return {
        "vhost": command.vhost,
        "user": command.user,
        "exchange": command.exchange,
        "write": command.write,
        "read": command.read,
    }


def _policy_commands(operator: bool) -> Callable[[Scene], Iterable[c.PutPolicy]]:
    def things(scene: Scene) -> Iterator[c.PutPolicy]:
        for vhost in scene.vhosts():
            yield from (command for command in vhost.policies.commands() if command.operator == operator)

    return things


def _policy(command: c.PutPolicy) -> Row:
    return {
        "vhost": command.vhost,
        "name": command.name,
        "pattern": command.pattern,
        "apply-to": command.apply_to,
        "definition": command.definition,
        "priority": command.priority,
    }


def _parameters(scene: Scene) -> Iterator[Row]:
    for vhost in scene.vhosts():
        for (component, name), value in vhost.parameters.items():
            yield {"vhost": vhost.name, "component": component, "name": name, "value": value}


def _global_parameters(scene: Scene) -> Iterator[Row]:
    for name, value in scene.hub.broker.global_parameters.items():
        yield {"name": name, "value": value}


def _vhost_limits(scene: Scene) -> Iterator[Row]:
    for vhost in scene.vhosts():
        for name, value in vhost.limits.items():
            yield {"vhost": vhost.name, "name": name, "value": value}


def _user_limit(command: c.PutUserLimit) -> Row:
    return {"user": command.user, "name": command.name, "value": command.value}


def _failed_logins(scene: Scene) -> Iterator[Row]:
    """Of the last minute, by where they came from and by whom they claimed to be."""
    now_ms = scene.hub.broker.now_ms
    for by, counts in (("address", scene.failures.by_source(now_ms)), ("user", scene.failures.by_user(now_ms))):
        for name, count in counts.items():
            yield {"by": by, "name": name, "failures": count}


def _as_it_is(row: Row) -> Row:
    return row


LISTS: Final[dict[str, Listing]] = {
    "connections": Listing(Scene.connections, _connection, ("vhost", "user")),
    "channels": Listing(Scene.channels, _channel, ("vhost", "user")),
    "queues": Listing(_queues, _queue, ("vhost",)),
    "exchanges": Listing(_exchanges, _exchange, ("vhost",)),
    "bindings": Listing(_bindings, _binding, ("vhost",)),
    "consumers": Listing(_consumers, _consumer, ("vhost",)),
    "vhosts": Listing(Scene.vhosts, _vhost),
    "users": Listing(_accounts(c.PutUser), _user, ("user",)),
    "permissions": Listing(_accounts(c.PutPermission), _permission, ("vhost", "user")),
    "topic-permissions": Listing(_accounts(c.PutTopicPermission), _topic_permission, ("vhost", "user")),
    "policies": Listing(_policy_commands(False), _policy, ("vhost",)),
    "operator-policies": Listing(_policy_commands(True), _policy, ("vhost",)),
    "parameters": Listing(_parameters, _as_it_is, ("vhost",)),
    "global-parameters": Listing(_global_parameters, _as_it_is),
    "vhost-limits": Listing(_vhost_limits, _as_it_is, ("vhost",)),
    "user-limits": Listing(_accounts(c.PutUserLimit), _user_limit, ("user",)),
    "failed-logins": Listing(_failed_logins, _as_it_is),
}


class Rows:
    """A list that was asked for: its things, now; its rows, a few at a time. `chosen` has columns and their values."""

    def __init__(self, listing: Listing, scene: Scene, chosen: Mapping[str, object]) -> None:
        self._things: Final = list(listing.things(scene))
        self._row: Final = listing.row
        self._chosen: Final = chosen

    def pieces(self, size: int) -> Iterator[list[Row]]:
        """The rows, after each `size` things. Whoever draws them may do something else in between."""
        things = self._things
        for start in range(0, len(things), size):
            rows = [self._row(thing) for thing in things[start : start + size]]
            yield [row for row in rows if all(row[column] == value for column, value in self._chosen.items())]


def totals(broker: Broker) -> Row:
    """How much of everything there is."""
    queues = [queue for vhost in broker.vhosts.values() for queue in vhost.queues.values()]
    return {
        "connections": broker.connection_count(),
        "vhosts": len(broker.vhosts),
        "exchanges": sum(len(vhost.exchanges) for vhost in broker.vhosts.values()),
        "queues": len(queues),
        "consumers": sum(queue.consumer_count() for queue in queues),
        "messages_ready": sum(queue.ready_count() for queue in queues),
    }
