"""Everything a node knows, changed by commands: the broker's topology, the accounts, policies, parameters, limits.

The one way for operators, definitions files and the node's own start. What clients declare takes the broker's own way
and ends up in the same catalogue. A command is checked, applied to memory, recorded and told to the event exchange; who
called ends the round, and waits for the catalogue where it has to be on disk.

`snapshot` is the list of commands that makes all this again. `scratch` makes a copy of it, to find out what is wrong
with a list of commands without doing any of it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from amqpd.auth.accounts import Accounts, check_name
from amqpd.broker import commands as c
from amqpd.broker import policies, snapshot
from amqpd.broker.arguments import QUEUE_TYPE, QUEUE_TYPES
from amqpd.broker.events import EVENT_EXCHANGE, LOG_EXCHANGE
from amqpd.broker.limits import NAME_BYTES_MAX, VHOST_LIMITS
from amqpd.broker.node import Broker
from amqpd.broker.ports import Catalogue
from amqpd.broker.routing import Destination, Exchange
from amqpd.broker.vhost import DEFAULT_VHOST, VHost, check_reserved
from amqpd.errors import DefinitionError, ProtocolError
from amqpd.server import definitionevents
from amqpd.wire.tables import LONGSTR, lookup

log = logging.getLogger("amqpd.definitions")

SYSTEM_EXCHANGES: Final = (EVENT_EXCHANGE, LOG_EXCHANGE)


class Definitions:
    """`on_vhost_deleted` and `on_user_deleted` are told before it is gone, to end its connections."""

    def __init__(
        self,
        broker: Broker,
        accounts: Accounts,
        on_vhost_deleted: Callable[[str], None] = lambda name: None,
        on_user_deleted: Callable[[str], None] = lambda name: None,
    ) -> None:
        self.broker: Final = broker
        self.accounts: Final = accounts
        self._on_vhost_deleted: Final = on_vhost_deleted
        self._on_user_deleted: Final = on_user_deleted
        self._restoring = False
        self._keep = True
        accounts.changed.append(self._access_changed)
        self._handlers: Final[dict[type[c.Command], Callable[..., str | None]]] = {
            c.PutVHost: self._put_vhost,
            c.DeleteVHost: self._delete_vhost,
            c.PutExchange: self._put_exchange,
            c.DeleteExchange: self._delete_exchange,
            c.PutQueue: self._put_queue,
            c.DeleteQueue: self._delete_queue,
            c.PutBinding: self._put_binding,
            c.DeleteBinding: self._delete_binding,
            c.PutPolicy: self._put_policy,
            c.DeletePolicy: self._delete_policy,
            c.PutParameter: self._put_parameter,
            c.DeleteParameter: self._delete_parameter,
            c.PutGlobalParameter: self._put_global_parameter,
            c.DeleteGlobalParameter: self._delete_global_parameter,
            c.PutVHostLimit: self._put_vhost_limit,
            c.DeleteVHostLimit: self._delete_vhost_limit,
            c.PutUser: self._put_user,
            c.DeleteUser: self._delete_user,
        }

    # -- the way in

    def apply(self, command: c.Command, *, keep: bool = True) -> str:
        """Carry out one command; returns "", or what the operator should know of it.

        A queue or exchange that is there and differs stays as it is, which is told (RabbitMQ's definitions files), or
        is an error without `keep`. Raises DefinitionError, and then nothing has changed.
        """
        self._keep = keep
        try:
            note = self._handlers.get(type(command), self._account)(command)
        except ProtocolError as error:  # what a client would be told, without the name of the reply code
            raise DefinitionError(error.explanation) from None
        if not self._restoring:
            definitionevents.emit(self.broker.events, command)
        return note or ""

    def restore(self, commands: Iterable[c.Command]) -> None:
        """Make what was stored before: nothing is recorded, nobody is told. Raises DefinitionError."""
        self._restoring = True
        self.broker.catalogue.muted = True
        absent = 0
        try:
            for command in commands:
                absent += self.apply(command) != ""
            if absent:
                log.warning("%d queues are defined of types that this node does not support", absent)
        finally:
            self._restoring = False
            self.broker.catalogue.muted = False

    def scratch(self, present: Iterable[c.Command]) -> Definitions:
        """A node like this one that has `present` for definitions, stores nothing and tells nobody.

        Takes the time and the memory of making all that once more, and may be done in another thread.
        """
        broker = self.broker
        scratch = Broker(broker.limits, Catalogue(), lambda size: bytes(size), broker.name, broker.exchange_types)
        copy = Definitions(scratch, Accounts(scratch.vhosts))
        copy.restore(present)
        here, there = broker.vhosts.get(DEFAULT_VHOST), scratch.vhosts.get(DEFAULT_VHOST)
        for name in SYSTEM_EXCHANGES:
            if here is not None and there is not None and name in here.exchanges:
                there.declare_system_exchange(name)
        return copy

    def snapshot(self, *, durable_only: bool = False) -> Iterator[c.Command]:
        """The commands that make everything, but for what belongs to a connection, in an order that works."""
        vhosts = list(self.broker.vhosts.values())
        for vhost in vhosts:
            yield snapshot.put_vhost(vhost)
        yield from self.accounts.snapshot()
        for name, value in self.broker.global_parameters.items():
            yield c.PutGlobalParameter(name, value)
        for vhost in vhosts:
            yield from vhost.policies.commands()
            for (component, name), value in vhost.parameters.items():
                yield c.PutParameter(vhost.name, component, name, value)
            yield from snapshot.topology_of(vhost, durable_only)
            yield from snapshot.limits_of(vhost)

    def _access_changed(self, user: str | None) -> None:
        if not self._restoring:
            self.broker.access_changed(user)

    # -- one function for each command

    def _done(self, command: c.Command) -> None:
        self.broker.catalogue.record(command)

    def _account(self, command: c.Command) -> None:
        self.accounts.check(command)
        self.accounts.apply(command)
        self._done(command)

    def _put_user(self, command: c.PutUser) -> None:
        there = self.accounts.find(command.name)
        before = there.command() if there is not None else None
        self._account(command)
        if not self._restoring:
            definitionevents.emit_user(self.broker.events, command, before)

    def _delete_user(self, command: c.DeleteUser) -> None:
        self.accounts.check(command)
        self._on_user_deleted(command.name)
        self._account(command)

    def _vhost(self, name: str) -> VHost:
        vhost = self.broker.vhosts.get(name)
        if vhost is None:
            raise DefinitionError(f"vhost '{name}' does not exist")
        return vhost

    def _put_vhost(self, command: c.PutVHost) -> None:
        check_name("the name of a vhost", command.name)
        if command.default_queue_type not in ("", *QUEUE_TYPES):
            raise DefinitionError(
                f"unsupported default queue type '{command.default_queue_type}' for vhost '{command.name}'; there are "
                + ", ".join(QUEUE_TYPES)
            )
        limit = self.broker.limits.vhost_max
        if command.name not in self.broker.vhosts and 0 < limit <= len(self.broker.vhosts) and not self._restoring:
            raise DefinitionError(f"cannot create vhost '{command.name}': vhost limit of {limit} is reached")
        vhost = self.broker.add_vhost(command.name)
        vhost.description = command.description
        vhost.tags = command.tags
        vhost.default_queue_type = command.default_queue_type
        self._done(command)

    def _delete_vhost(self, command: c.DeleteVHost) -> None:
        self._vhost(command.name)
        self._on_vhost_deleted(command.name)
        self._account(command)
        muted = self.broker.catalogue.muted
        self.broker.catalogue.muted = True  # the one command takes along all that is in it
        self.broker.remove_vhost(command.name)
        self.broker.catalogue.muted = muted

    def _put_exchange(self, command: c.PutExchange) -> str:
        vhost = self._vhost(command.vhost)
        check_name("the name of an exchange", command.name)
        existing = vhost.exchanges.get(command.name)
        if existing is not None and snapshot.is_predeclared_name(command.name):
            return ""
        try:
            vhost.declare_exchange(
                command.name, command.type, command.durable, command.auto_delete, command.internal, command.arguments
            )
        except ProtocolError as error:
            return self._kept(existing, error)
        return ""

    def _delete_exchange(self, command: c.DeleteExchange) -> None:
        vhost = self._vhost(command.vhost)
        if snapshot.is_predeclared_name(command.name):
            raise DefinitionError(f"exchange '{command.name}' in vhost '{command.vhost}' cannot be deleted")
        vhost.exchange(command.name)
        vhost.delete_exchange(command.name, False)

    def _put_queue(self, command: c.PutQueue) -> str:
        vhost = self._vhost(command.vhost)
        check_name("the name of a queue", command.name)
        _check_queue_type(command)
        existing = vhost.queues.get(command.name)
        if existing is not None:
            try:
                vhost.check_queue(command.name, command.durable, command.auto_delete, command.arguments)
            except ProtocolError as error:
                return self._kept(existing, error)
            return ""
        if not self._restoring:
            check_reserved("queue", command.name)
            vhost.check_queue_limit(command.name)
        vhost.restore_queue(
            command.name, command.type, command.durable, command.auto_delete, command.arguments, command.identity
        )
        queue = vhost.queues[command.name]
        if not queue.absent:
            return ""
        return f"{queue.described()} is defined, but {queue.type_name} queues are not supported by this node"

    def _kept(self, existing: Destination | None, error: ProtocolError) -> str:
        if existing is None or not self._keep:
            raise error
        return f"{existing.described()} is kept as it is: {error.explanation}"

    def _delete_queue(self, command: c.DeleteQueue) -> None:
        vhost = self._vhost(command.vhost)
        vhost.remove_queue(vhost.existing_queue(command.name))

    def _destination(self, vhost: VHost, kind: str, name: str) -> Destination:
        if kind not in ("queue", "exchange"):
            raise DefinitionError(f"a binding leads to a queue or an exchange, not to '{kind}'")
        return vhost.exchange(name) if kind == "exchange" else vhost.existing_queue(name)

    def _put_binding(self, command: c.PutBinding) -> None:
        vhost = self._vhost(command.vhost)
        if len(command.routing_key.encode("utf-8", "replace")) > NAME_BYTES_MAX:
            raise DefinitionError(f"a routing key has at most {NAME_BYTES_MAX} bytes")
        source = self._source(vhost, command.source)
        destination = self._destination(vhost, command.destination_type, command.destination)
        vhost.bind(source, destination, command.routing_key, command.arguments, self.broker.operator)

    def _delete_binding(self, command: c.DeleteBinding) -> None:
        vhost = self._vhost(command.vhost)
        destination = self._destination(vhost, command.destination_type, command.destination)
        self._source(vhost, command.source)
        vhost.unbind(command.source, destination, command.routing_key, command.arguments)

    def _source(self, vhost: VHost, name: str) -> Exchange:
        if not name:
            raise DefinitionError("operation not permitted on the default exchange")
        if self._restoring and name in SYSTEM_EXCHANGES:  # there or not as the settings say, which may have changed
            vhost.declare_system_exchange(name)
        return vhost.exchange(name)

    def _put_policy(self, command: c.PutPolicy) -> None:
        vhost = self._vhost(command.vhost)
        check_name("the name of a policy", command.name)
        policies.check(command)
        vhost.policies.put(command)
        self._done(command)

    def _delete_policy(self, command: c.DeletePolicy) -> None:
        vhost = self._vhost(command.vhost)
        if not vhost.policies.delete(command.name, command.operator):
            kind = "operator policy" if command.operator else "policy"
            raise DefinitionError(f"{kind} '{command.name}' does not exist in vhost '{command.vhost}'")
        self._done(command)

    def _put_parameter(self, command: c.PutParameter) -> None:
        vhost = self._vhost(command.vhost)
        check_name("the name of a parameter", command.name)
        check_name("the name of a component", command.component)
        vhost.parameters[(command.component, command.name)] = command.value
        self._done(command)

    def _delete_parameter(self, command: c.DeleteParameter) -> None:
        vhost = self._vhost(command.vhost)
        if (command.component, command.name) not in vhost.parameters:
            raise DefinitionError(
                f"parameter '{command.name}' of {command.component} does not exist in vhost '{command.vhost}'"
            )
        del vhost.parameters[(command.component, command.name)]
        self._done(command)

    def _put_global_parameter(self, command: c.PutGlobalParameter) -> None:
        check_name("the name of a global parameter", command.name)
        self.broker.global_parameters[command.name] = command.value
        self._done(command)

    def _delete_global_parameter(self, command: c.DeleteGlobalParameter) -> None:
        if command.name not in self.broker.global_parameters:
            raise DefinitionError(f"global parameter '{command.name}' does not exist")
        del self.broker.global_parameters[command.name]
        self._done(command)

    def _put_vhost_limit(self, command: c.PutVHostLimit) -> None:
        vhost = self._vhost(command.vhost)
        if command.name not in VHOST_LIMITS:
            raise DefinitionError(f"there is no limit '{command.name}' of a vhost; there are {', '.join(VHOST_LIMITS)}")
        vhost.limits[command.name] = command.value
        self._done(command)

    def _delete_vhost_limit(self, command: c.DeleteVHostLimit) -> None:
        vhost = self._vhost(command.vhost)
        if vhost.limits.pop(command.name, None) is None:
            raise DefinitionError(f"vhost '{command.vhost}' has no limit '{command.name}'")
        self._done(command)


def _check_queue_type(command: c.PutQueue) -> None:
    argument = lookup(command.arguments, QUEUE_TYPE)
    if command.type not in QUEUE_TYPES:
        raise DefinitionError(f"a queue is of type {', '.join(QUEUE_TYPES)}, not '{command.type}'")
    if argument is not None and (argument.kind != LONGSTR or argument.text() != command.type):
        raise DefinitionError(f"the queue's type is {command.type}, and its argument {QUEUE_TYPE} says something else")
