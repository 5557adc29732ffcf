"""What the event exchange is told when definitions change: the name and the attributes of each command's event.

Exchanges, queues, bindings and vhosts tell of themselves when they come and go (`amqpd.broker.events`), whoever causes
it. Source of names and attributes: RabbitMQ, rabbitmq_event_exchange; `docs/behaviour.md`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from amqpd.broker import commands as c
from amqpd.broker.events import Events
from amqpd.wire import tables
from amqpd.wire.tables import Field, Table

Made = tuple[str, Table]

ACTOR: Final = ("user_who_performed_action", tables.longstr("operator"))


def emit(events: Events, command: c.Command) -> None:
    """Publish what `command`, which was carried out, is called as an event."""
    make = _EVENTS.get(type(command))
    if make is not None and events.enabled:
        name, attributes = make(command)
        events.emit(name, [*attributes, ACTOR])


def emit_user(events: Events, command: c.PutUser, before: c.PutUser | None) -> None:
    """Publish what became of a user that was there `before`, or that is new with None."""
    name = ("name", command.name)
    told: list[Made] = []
    if before is None:
        told.append(("user.created", _named(name)))
    elif command.password_hash != before.password_hash:
        told.append(("user.password.changed" if command.password_hash else "user.password.cleared", _named(name)))
    if command.tags != (before.tags if before is not None else ()):
        told.append(("user.tags.set", _named(name, ("tags", command.tags))))
    for key, attributes in told:
        events.emit(key, [*attributes, ACTOR])


def field(value: object) -> Field:
    """A value of JSON as a field of a table."""
    if isinstance(value, bool):
        return tables.boolean(value)
    if isinstance(value, int):
        return tables.long(value)
    if isinstance(value, (list, tuple)):
        return tables.array([field(item) for item in value])
    if isinstance(value, dict):
        return tables.subtable([(str(key), field(item)) for key, item in value.items()])
    return tables.longstr(str(value))


def _named(*names: tuple[str, object]) -> Table:
    return [(name, field(value)) for name, value in names]


def _user_deleted(command: c.DeleteUser) -> Made:
    return "user.deleted", _named(("name", command.name))


def _permission(command: c.PutPermission) -> Made:
    return "permission.created", _named(
        ("user", command.user),
        ("vhost", command.vhost),
        ("configure", command.configure),
        ("write", command.write),
        ("read", command.read),
    )


def _permission_deleted(command: c.DeletePermission) -> Made:
    return "permission.deleted", _named(("user", command.user), ("vhost", command.vhost))


def _topic_permission(command: c.PutTopicPermission) -> Made:
    return "topic.permission.created", _named(
        ("user", command.user),
        ("vhost", command.vhost),
        ("exchange", command.exchange),
        ("write", command.write),
        ("read", command.read),
    )


def _topic_permission_deleted(command: c.DeleteTopicPermission) -> Made:
    return "topic.permission.deleted", _named(("user", command.user), ("vhost", command.vhost))


def _policy(command: c.PutPolicy) -> Made:
    return "policy.set", _named(
        ("name", command.name),
        ("vhost", command.vhost),
        ("pattern", command.pattern),
        ("apply-to", command.apply_to),
        ("priority", command.priority),
        ("definition", command.definition),
    )


def _policy_deleted(command: c.DeletePolicy) -> Made:
    name = "operator.policy.cleared" if command.operator else "policy.cleared"
    return name, _named(("name", command.name), ("vhost", command.vhost))


def _parameter(command: c.PutParameter) -> Made:
    return "parameter.set", _named(
        ("vhost", command.vhost), ("component", command.component), ("name", command.name)
    )  # not the value: it may hold the address of another broker, with its password


def _parameter_deleted(command: c.DeleteParameter) -> Made:
    return "parameter.cleared", _named(
        ("vhost", command.vhost), ("component", command.component), ("name", command.name)
    )


def _global_parameter(command: c.PutGlobalParameter) -> Made:
    return "parameter.set", _named(("component", "global"), ("name", command.name))


def _global_parameter_deleted(command: c.DeleteGlobalParameter) -> Made:
    return "parameter.cleared", _named(("component", "global"), ("name", command.name))


def _vhost_limit(command: c.PutVHostLimit) -> Made:
    return "vhost.limits.set", _named(("name", "limits"), ("vhost", command.vhost), (command.name, command.value))


def _vhost_limit_deleted(command: c.DeleteVHostLimit) -> Made:
    return "vhost.limits.cleared", _named(("name", "limits"), ("vhost", command.vhost))


def _user_limit(command: c.PutUserLimit) -> Made:
    return "user.limits.set", _named(("name", "limits"), ("username", command.user), (command.name, command.value))


def _user_limit_deleted(command: c.DeleteUserLimit) -> Made:
    return "user.limits.cleared", _named(("name", "limits"), ("username", command.user))


_EVENTS: Final[dict[type[c.Command], Callable[..., Made]]] = {
    c.DeleteUser: _user_deleted,
    c.PutPermission: _permission,
    c.DeletePermission: _permission_deleted,
    c.PutTopicPermission: _topic_permission,
    c.DeleteTopicPermission: _topic_permission_deleted,
    c.PutPolicy: _policy,
    c.DeletePolicy: _policy_deleted,
    c.PutParameter: _parameter,
    c.DeleteParameter: _parameter_deleted,
    c.PutGlobalParameter: _global_parameter,
    c.DeleteGlobalParameter: _global_parameter_deleted,
    c.PutVHostLimit: _vhost_limit,
    c.DeleteVHostLimit: _vhost_limit_deleted,
    c.PutUserLimit: _user_limit,
    c.DeleteUserLimit: _user_limit_deleted,
}
