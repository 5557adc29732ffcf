"""A virtual host: names to exchanges and queues; declare, delete, bind, and the way of a dead letter.

Checks what RabbitMQ checks, in its order and with its texts. Does not check permissions and does not speak AMQP.
Everything here is control plane; what a message's way needs of it is `route`.

Each user has a `Member` here, whose `routes` cache where that user's publishes go, by the raw bytes of their arguments:
a route that is there needs no permission checked. Every change of the topology or of permissions empties them. Logins
of one name about which different authorities decide are members of their own.

What is durable is recorded as a command (`commands`) as it changes, so that a restart brings it back.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from amqpd.broker import arguments as names
from amqpd.broker import deadletter, snapshot
from amqpd.broker.limits import MAX_QUEUES
from amqpd.broker.message import Message
from amqpd.broker.policies import Policies
from amqpd.broker.policykeys import ALTERNATE_EXCHANGE
from amqpd.broker.queues.absent import AbsentQueue, not_served
from amqpd.broker.queues.classic import ClassicQueue
from amqpd.broker.queues.contract import Queue
from amqpd.broker.reply_to import NAME_STEM, PREFIX, ReplyQueue, is_reply_name
from amqpd.broker.routing import (
    Binding,
    Destination,
    Exchange,
    Route,
    Router,
    described_exchange,
    described_queue,
)
from amqpd.errors import access_refused, not_found, precondition_failed, resource_locked
from amqpd.wire import tables
from amqpd.wire.tables import Table, lookup

if TYPE_CHECKING:
    from amqpd.broker.node import Broker
    from amqpd.broker.ports import Authority, Owner, User

log = logging.getLogger("amqpd.vhost")

DEFAULT_VHOST: Final = "/"
TRACE_EXCHANGE: Final = "amq.rabbitmq.trace"
PREDECLARED: Final = (  # what every vhost has by itself: name, type, and whether it is internal
    ("", "direct", False),
    ("amq.direct", "direct", False),
    ("amq.fanout", "fanout", False),
    ("amq.headers", "headers", False),
    ("amq.match", "headers", False),
    (TRACE_EXCHANGE, "topic", True),
    ("amq.topic", "topic", False),
)


class Member:
    """A user who is in a vhost: how many connections, and the routes of their publishes."""

    def __init__(self) -> None:
        self.connections = 0
        self.routes: Final[dict[bytes, Route]] = {}


class VHost:
    """One virtual host. `tracing` is on while its firehose is; `limits` as in `limits.VHOST_LIMITS`, negative is none.

    `default_queue_type` is "" where the node's default applies; `parameters` are a component's, by name.
    """

    def __init__(self, broker: Broker, name: str) -> None:
        self.broker: Final = broker
        self.name: Final = name
        self.description = ""
        self.tags: tuple[str, ...] = ()
        self.default_queue_type = ""
        self.limits: Final[dict[str, int]] = {}
        self.parameters: Final[dict[tuple[str, str], object]] = {}
        self.policies: Final = Policies(self)
        self.exchanges: Final[dict[str, Exchange]] = {}
        self.queues: Final[dict[str, Queue]] = {}
        self.reply_queues: Final[dict[str, ReplyQueue]] = {}
        self.gone_reply_queue: Final = ReplyQueue(self, PREFIX)  # takes the replies that nobody waits for any more
        self.tracing = False
        self._members: Final[dict[tuple[str, Authority], Member]] = {}
        self._cycles_seen: Final[set[tuple[str, str]]] = set()
        for exchange, type_name, internal in PREDECLARED:
            self._create_exchange(exchange, type_name, True, False, internal, [])

    # -- users

    def member(self, user: User) -> Member:
        """The user's entry."""
        key = (user.name, user.authority)
        found = self._members.get(key)
        if found is None:
            found = Member()
            self._members[key] = found
        return found

    def leave(self, user: User) -> None:
        """A connection of the user has ended."""
        found = self.member(user)
        found.connections -= 1
        if found.connections <= 0:
            del self._members[user.name, user.authority]

    def connection_count(self) -> int:
        """How many connections are open here."""
        return sum([member.connections for member in self._members.values()])

    def clear_routes(self) -> None:
        """Where publishes go, or who may publish, has changed."""
        for member in self._members.values():
            member.routes.clear()

    # -- exchanges

    def exchange(self, name: str) -> Exchange:
        """The exchange `name`. Raises 404."""
        found = self.exchanges.get(name)
        if found is None:
            raise not_found(f"no {described_exchange(name, self.name)}")
        return found

    def declare_exchange(
        self, name: str, type_name: str, durable: bool, auto_delete: bool, internal: bool, arguments: Table
    ) -> Exchange:
        """Create an exchange, or check that the one there is equivalent. Raises 403, 406."""
        self.broker.exchange_types.check(type_name)
        existing = self.exchanges.get(name)
        if existing is None:
            check_reserved("exchange", name)
            self._check_exchange_limit(name)
            created = self._create_exchange(name, type_name, durable, auto_delete, internal, arguments)
            if durable:
                self.broker.catalogue.record(snapshot.put_exchange(created))
            self.broker.events.exchange_created(created)
            return created
        subject = existing.described()
        if existing.type_name != type_name:
            raise names.inequivalent("type", subject, f"'{type_name}'", f"'{existing.type_name}'")
        self._check_flag("durable", subject, durable, existing.durable)
        self._check_flag("auto_delete", subject, auto_delete, existing.auto_delete)
        self._check_flag("internal", subject, internal, existing.internal)
        names.assert_equivalent(existing.arguments, arguments, (ALTERNATE_EXCHANGE,), subject)
        if durable:
            self.broker.catalogue.depend()
        return existing

    def _check_exchange_limit(self, name: str) -> None:
        limit = self.broker.limits.cluster_exchange_limit
        if 0 < limit <= self.broker.exchange_count():
            subject = described_exchange(name, self.name)
            raise precondition_failed(f"cannot declare {subject}: exchange limit of {limit} is reached")

    def _create_exchange(
        self, name: str, type_name: str, durable: bool, auto_delete: bool, internal: bool, arguments: Table
    ) -> Exchange:
        index = self.broker.exchange_types.create(type_name, arguments)
        subject = described_exchange(name, self.name)
        alternate = self._exchange_argument(arguments, ALTERNATE_EXCHANGE, subject)
        created = Exchange(self, name, type_name, index, durable, auto_delete, internal, arguments, alternate)
        self.exchanges[name] = created
        self.policies.select(created)
        self.clear_routes()
        return created

    def declare_system_exchange(self, name: str) -> None:
        """Create one of the broker's own topic exchanges, which only it publishes to, where it is not there yet."""
        if name not in self.exchanges:
            self._create_exchange(name, "topic", True, False, True, [])

    def delete_exchange(self, name: str, if_unused: bool) -> None:
        """Delete an exchange; nothing happens if it is not there. Raises 406. See `check_not_system`."""
        exchange = self.exchanges.get(name)
        if exchange is None:
            return
        if if_unused and exchange.outgoing:
            raise precondition_failed(f"{exchange.described()} in use")
        self._delete_exchanges([exchange])

    def _delete_exchanges(self, doomed: list[Exchange]) -> None:
        """Delete exchanges, and the auto-delete ones that lose their last binding by that, and so on."""
        while doomed:
            exchange = doomed.pop()
            if self.exchanges.get(exchange.name) is not exchange:
                continue
            del self.exchanges[exchange.name]
            self.clear_routes()
            if exchange.durable:
                self.broker.catalogue.record(snapshot.delete_exchange(exchange))
            for binding in list(exchange.outgoing):
                self._disconnect(binding)
            for binding in list(exchange.incoming.values()):
                self._disconnect(binding)
                if self._abandoned(binding.source):
                    doomed.append(binding.source)
            self.broker.events.exchange_deleted(exchange)

    def _abandoned(self, exchange: Exchange) -> bool:
        return exchange.auto_delete and not exchange.outgoing

    # -- bindings

    def bind(
        self, source: Exchange, destination: Destination, key: str, arguments: Table, owner: Owner
    ) -> None:
        """Bind for the connection `owner`; nothing happens if the binding is there. Raises 405, 406."""
        binding = Binding(source, destination, key, arguments)
        source.index.validate_binding(binding)
        if isinstance(destination, Queue):
            check_owner(destination, owner)
        if binding.identity in destination.incoming:
            if binding.durable:
                self.broker.catalogue.depend()
            return
        self._check_binding_limit(binding)
        source.connect(binding)
        self.broker.bindings += 1
        self.clear_routes()
        if binding.durable and not self.broker.catalogue.muted:
            self.broker.catalogue.record(snapshot.put_binding(binding))
        self.broker.events.binding_created(binding)

    def _check_binding_limit(self, binding: Binding) -> None:
        limit = self.broker.limits.cluster_binding_limit
        if 0 < limit <= self.broker.bindings:
            subject = binding.destination.described()
            raise precondition_failed(f"cannot bind {subject}: binding limit of {limit} is reached")

    def is_bound(self, source_name: str, destination: Destination, key: str, arguments: Table) -> bool:
        """Whether there is such a binding."""
        source = self.exchanges.get(source_name)
        return source is not None and Binding(source, destination, key, arguments).identity in destination.incoming

    def unbind(self, source_name: str, destination: Destination | None, key: str, arguments: Table) -> None:
        """Unbind; nothing happens if there is no such binding, source or destination."""
        source = self.exchanges.get(source_name)
        if source is None or destination is None:
            return
        binding = destination.incoming.get(Binding(source, destination, key, arguments).identity)
        if binding is None:
            return
        if binding.durable:
            self.broker.catalogue.record(snapshot.delete_binding(binding))
        self._disconnect(binding)
        if self._abandoned(source):
            self._delete_exchanges([source])

    def _disconnect(self, binding: Binding) -> None:
        binding.source.disconnect(binding)
        self.broker.bindings -= 1
        self.clear_routes()
        self.broker.events.binding_deleted(binding)

    # -- queues

    def queue(self, name: str, owner: Owner) -> Queue:
        """The queue `name`, for a connection that wants to use it. Raises 404, 405, 540."""
        found = self.existing_queue(name)
        check_owner(found, owner)
        if found.absent:
            raise not_served(found.type_name, found.described())
        return found

    def existing_queue(self, name: str) -> Queue:
        """The queue `name`, whoever it belongs to. Raises 404."""
        found = self.queues.get(name)
        if found is None:
            raise not_found(f"no {described_queue(name, self.name)}")
        return found

    def queue_for(self, name: str) -> Queue | None:
        """The queue that the default exchange means by `name`: a reply consumer's too, even of one that is gone."""
        found = self.queues.get(name)
        if found is None and name.startswith(PREFIX):
            live = self.reply_queues.get(name)
            if live is None and is_reply_name(name):
                return self.gone_reply_queue
            return live
        return found

    def declare_queue(
        self, name: str, durable: bool, exclusive: bool, auto_delete: bool, arguments: Table, owner: Owner
    ) -> Queue:
        """Create a queue, or check that the one there is equivalent. Raises 403, 405, 406, 540."""
        if lookup(arguments, names.NAME_PREFIX) is not None:
            arguments = [pair for pair in arguments if pair[0] != names.NAME_PREFIX]
        subject = described_queue(name, self.name)
        durable = durable and not exclusive
        existing = self.queues.get(name)
        if existing is not None:
            self._check_equivalent(existing, durable, exclusive, auto_delete, arguments, owner)
            if existing.absent:
                raise not_served(existing.type_name, subject)
            existing.touch()
            if durable:
                self.broker.catalogue.depend()
            return existing
        self._exchange_argument(arguments, names.DEAD_LETTER_EXCHANGE, subject)
        kind = names.queue_type(arguments, subject) or self._queue_type(exclusive or auto_delete or not durable)
        if kind != "classic":
            raise not_served(kind, subject)
        names.check_classic(arguments, subject)
        self.check_queue_limit(name)
        created = ClassicQueue(self, name, durable, auto_delete, arguments, owner if exclusive else None)
        if exclusive:
            owner.owned[name] = created
        self._add_queue(created)
        return created

    def restore_queue(
        self, name: str, kind: str, durable: bool, auto_delete: bool, arguments: Table, identity: bytes = b""
    ) -> None:
        """Create a queue that was defined before, of any type, here or on another broker. Raises 406.

        Without an `identity` it is another queue than before, as far as messages go.
        """
        if kind != "classic":
            self._add_queue(AbsentQueue(self, name, kind, durable, auto_delete, arguments), identity)
            return
        names.check_classic(arguments, described_queue(name, self.name))
        self._add_queue(ClassicQueue(self, name, durable, auto_delete, arguments, None), identity)

    def _add_queue(self, queue: Queue, identity: bytes = b"") -> None:
        queue.identity = identity or self.broker.new_identity()
        self.queues[queue.name] = queue
        self.policies.select(queue)
        self.clear_routes()
        if queue.durable:
            self.broker.catalogue.record(snapshot.put_queue(queue))
        self.broker.events.queue_created(queue)

    def _queue_type(self, transient: bool) -> str:
        """What a queue is that was not declared as anything: the default, if that can be transient (RabbitMQ)."""
        kind = self.default_queue_type or self.broker.limits.default_queue_type
        return "classic" if transient else kind

    def check_queue_limit(self, name: str) -> None:
        """Refuse another queue where there are as many as may be. Raises 406."""
        limit = self.limits.get(MAX_QUEUES, -1)
        if 0 <= limit <= len(self.queues):
            raise precondition_failed(
                f"cannot declare queue '{name}': queue limit in vhost '{self.name}' ({limit}) is reached"
            )
        limit = self.broker.limits.cluster_queue_limit
        if 0 < limit <= self.broker.queue_count():
            raise precondition_failed(f"cannot declare queue '{name}': queue limit in cluster ({limit}) is reached")

    def check_queue(self, name: str, durable: bool, auto_delete: bool, arguments: Table) -> None:
        """Refuse a definition that differs from the queue of that name, which is there. Raises 405, 406."""
        self._check_equivalent(self.queues[name], durable, False, auto_delete, arguments, self.broker.operator)

    def _check_equivalent(
        self, queue: Queue, durable: bool, exclusive: bool, auto_delete: bool, arguments: Table, owner: Owner
    ) -> None:
        check_owner(queue, owner)
        if exclusive != (queue.owner is not None):
            raise locked(queue)
        subject = queue.described()
        self._check_flag("durable", subject, durable, queue.durable)
        self._check_flag("auto_delete", subject, auto_delete, queue.auto_delete)
        names.assert_equivalent(queue.arguments, arguments, names.EQUIVALENCE, subject)

    def delete_queue(self, queue: Queue, if_unused: bool, if_empty: bool) -> int:
        """Delete a queue; returns how many messages were ready. Raises 406."""
        if if_empty and queue.ready_count():
            raise precondition_failed(f"{queue.described()} not empty")
        if if_unused and queue.consumer_count():
            raise precondition_failed(f"{queue.described()} in use")
        return self.remove_queue(queue)

    def remove_queue(self, queue: Queue) -> int:
        """Delete a queue whatever its state; returns how many messages were ready."""
        if queue.deleted:
            return 0
        del self.queues[queue.name]
        if queue.owner is not None:
            queue.owner.owned.pop(queue.name, None)
        if queue.durable:
            self.broker.catalogue.record(snapshot.delete_queue(queue))
        self.clear_routes()
        doomed: list[Exchange] = []
        for binding in list(queue.incoming.values()):
            self._disconnect(binding)
            if self._abandoned(binding.source):
                doomed.append(binding.source)
        count = queue.close()
        self._delete_exchanges(doomed)
        self.broker.events.queue_deleted(queue)
        return count

    # -- reply consumers

    def create_reply_queue(self) -> ReplyQueue:
        """The pseudo-queue of a new reply consumer."""
        created = ReplyQueue(self, self.broker.unique_name(NAME_STEM))
        self.reply_queues[created.name] = created
        return created

    def forget_reply_queue(self, queue: ReplyQueue) -> None:
        """Its consumer is gone."""
        self.reply_queues.pop(queue.name, None)

    # -- messages

    def route(self, exchange: Exchange, keys: list[str], message: Message) -> list[Queue]:
        """The queues that take `message` from `exchange` by `keys`."""
        return Router(self, keys, message).walk(exchange)

    def route_for(self, exchange: Exchange, key: str, mandatory: bool, address: bytes) -> Route:
        """The route of all publishes to `exchange` with `key`."""
        router = Router(self, [key], None)
        queues = router.walk(exchange)
        return Route(exchange, key, mandatory, queues, router.keyed, address)

    def publish_dead_letter(self, letter: deadletter.DeadLetter) -> None:
        """Send a dead letter on its way. Without its exchange it is gone; targets that close a cycle are left out."""
        exchange = self.exchanges.get(letter.exchange)
        if exchange is None:
            return
        message = deadletter.dead_message(letter, self.broker.now_ms, self.broker.wall_ms())
        assert message.annotations is not None
        for queue in self.route(exchange, message.keys, message):
            if letter.reason != deadletter.REJECTED and deadletter.is_cycle(message.annotations.deaths, queue.name):
                self._warn_of_cycle(letter.queue.name, queue.name)
                continue
            queue.publish(message)

    def _warn_of_cycle(self, source: str, target: str) -> None:
        cycle = (source, target)
        if cycle not in self._cycles_seen and len(self._cycles_seen) < 1000:
            self._cycles_seen.add(cycle)
            log.warning(
                "message dropped: dead-lettering from queue '%s' to queue '%s' in vhost '%s' closes a cycle",
                source,
                target,
                self.name,
            )

    # -- the whole vhost

    def close(self) -> None:
        """The vhost is deleted: its queues and their consumers go."""
        for queue in list(self.queues.values()):
            self.remove_queue(queue)

    def _check_flag(self, name: str, subject: str, received: bool, current: bool) -> None:
        if received != current:
            raise names.inequivalent(name, subject, f"'{str(received).lower()}'", f"'{str(current).lower()}'")

    def _exchange_argument(self, arguments: Table, name: str, subject: str) -> str | None:
        """An argument that names an exchange. Raises 406 for another type of value."""
        field = lookup(arguments, name)
        if field is None:
            return None
        if field.kind != tables.LONGSTR:
            raise precondition_failed(f"invalid type '{field.type_name}' for arg '{name}' in {subject}")
        return field.text()


def check_reserved(kind: str, name: str) -> None:
    """Refuse to create what only the broker may. Raises 403."""
    if name.startswith("amq."):
        raise access_refused(f"{kind} name '{name}' contains reserved prefix 'amq.*'")


def check_not_system(name: str, vhost: str) -> None:
    """Refuse to delete what only the broker may. Raises 403."""
    if name.startswith("amq."):
        raise access_refused(f"deletion of system {described_exchange(name, vhost)} not allowed")


def check_owner(queue: Queue, owner: Owner) -> None:
    """Refuse another connection's exclusive queue. Raises 405."""
    if queue.owner is not None and queue.owner is not owner:
        raise locked(queue)


def locked(queue: Queue) -> Exception:
    """The 405 of an exclusive queue."""
    return resource_locked(
        f"cannot obtain exclusive access to locked {queue.described()}. It could be originally declared on another "
        "connection or the exclusive property value does not match that of the original declaration."
    )
