"""Commands written as RabbitMQ's definitions JSON, in the shapes of RabbitMQ 4.3 (rabbitmqctl and its HTTP interface).

What RabbitMQ leaves out and a node needs to be the same again is added in a way that RabbitMQ reads: an internal
exchange is there and says so (4.3 leaves it out, and keeps its bindings). An argon2 hash is in base64, as hashes are
there, so that RabbitMQ imports the user, whose password it then cannot check.

Sources: RabbitMQ, rabbit_definitions (all_definitions), rabbit_mgmt_wm_definitions; exports of a 4.3 node.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Final

from amqpd.broker.commands import (
    ARGON2,
    Command,
    PutBinding,
    PutExchange,
    PutGlobalParameter,
    PutParameter,
    PutPermission,
    PutPolicy,
    PutQueue,
    PutTopicPermission,
    PutUser,
    PutUserLimit,
    PutVHost,
    PutVHostLimit,
)
from amqpd.errors import DefinitionError
from amqpd.metadata.document.policies import (
    INTERNAL_COMPONENTS,
    INTERNAL_PREFIX,
    LIMITS,
    LIMITS_NAME,
    OPERATOR_POLICY,
)
from amqpd.metadata.document.values import json_of_table, with_queue_type

Json = dict[str, object]

# The lists of a document, of which the second kind is also in that of one vhost.
_OF_NODE: Final = ("users", "vhosts", "permissions", "topic_permissions", "global_parameters")
_OF_VHOST: Final = ("parameters", "policies", "exchanges", "queues", "bindings")


def document_from(
    commands: Iterable[Command],
    vhost: str | None = None,
    *,
    cluster_name: str = "",
    rabbitmq_version: str = "4.3.0",
    product_name: str = "amqpd",
    product_version: str = "",
) -> Json:
    """The document of a state (`Put...` commands, vhosts before what is in them), or of one `vhost` of it.

    `rabbitmq_version` is whose form this is. Raises DefinitionError where there is no such vhost. The values of
    parameters and policies are those of the commands: not to be changed.
    """
    lists: dict[str, list[Json]] = {name: [] for name in (*_OF_NODE, *_OF_VHOST)}
    writer = _Writer(lists)
    for command in commands:
        if vhost is None or getattr(command, "vhost", vhost) == vhost:
            writer.write(command)
    about: Json = {
        "rabbit_version": rabbitmq_version,
        "rabbitmq_version": rabbitmq_version,
        "product_name": product_name,
        "product_version": product_version,
    }
    if vhost is None:
        about["rabbitmq_definition_format"] = "cluster"
        about["original_cluster_name"] = cluster_name
        about["explanation"] = f"Definitions of cluster '{cluster_name}'"
        return {**about, **lists}
    there = writer.vhosts.get(vhost)
    if there is None:
        raise DefinitionError(f"there is no vhost '{vhost}'")
    about["rabbitmq_definition_format"] = "single_virtual_host"
    about["original_vhost_name"] = vhost
    about["explanation"] = f"Definitions of virtual host '{vhost}'"
    metadata = there["metadata"]
    assert isinstance(metadata, dict)
    about |= {"metadata": metadata, "description": metadata["description"], "limits": there["limits"]}
    return about | {name: [_without_vhost(item) for item in lists[name]] for name in _OF_VHOST}


def _without_vhost(item: Json) -> Json:
    return {key: value for key, value in item.items() if key != "vhost"}


class _Writer:
    """Puts each command's object into its list. Limits go into the objects of their user or vhost."""

    def __init__(self, lists: dict[str, list[Json]]) -> None:
        self._lists: Final = lists
        self._users: Final[dict[str, Json]] = {}
        self._limits: Final[dict[str, Json]] = {}  # by vhost, as a parameter has them
        self.vhosts: Final[dict[str, Json]] = {}

    def write(self, command: Command) -> None:
        """Write one command."""
        if isinstance(command, PutBinding):
            self._lists["bindings"].append(_binding(command))
        elif isinstance(command, PutQueue):
            self._lists["queues"].append(_queue(command))
        elif isinstance(command, PutExchange):
            self._lists["exchanges"].append(_exchange(command))
        elif isinstance(command, PutPermission | PutTopicPermission):
            self._permission(command)
        elif isinstance(command, PutVHost):
            self.vhosts[command.name] = written = _vhost(command)
            self._lists["vhosts"].append(written)
        elif isinstance(command, PutUser):
            self._users[command.name] = written = _user(command)
            self._lists["users"].append(written)
        else:
            self._policy_or_parameter(command)

    def _permission(self, command: PutPermission | PutTopicPermission) -> None:
        written: Json = {"read": command.read, "user": command.user, "vhost": command.vhost, "write": command.write}
        if isinstance(command, PutPermission):
            self._lists["permissions"].append({"configure": command.configure, **written})
        else:
            self._lists["topic_permissions"].append({"exchange": command.exchange, **written})

    def _policy_or_parameter(self, command: Command) -> None:
        if isinstance(command, PutPolicy) and not command.operator:
            self._lists["policies"].append(_policy(command))
        elif isinstance(command, PutPolicy):
            self._parameter(command.vhost, OPERATOR_POLICY, command.name, _operator_policy(command))
        elif isinstance(command, PutParameter):
            if command.component not in INTERNAL_COMPONENTS:
                self._parameter(command.vhost, command.component, command.name, command.value)
        elif isinstance(command, PutGlobalParameter):
            if not command.name.startswith(INTERNAL_PREFIX):
                self._lists["global_parameters"].append({"name": command.name, "value": command.value})
        elif isinstance(command, PutVHostLimit):
            self._vhost_limit(command)
        elif isinstance(command, PutUserLimit):
            limits = self._users[command.user]["limits"]
            assert isinstance(limits, dict)
            limits[command.name] = command.value
        else:
            raise DefinitionError(f"{type(command).__name__} is no part of a state")

    def _vhost_limit(self, command: PutVHostLimit) -> None:
        limits = self._limits.get(command.vhost)
        if limits is None:
            limits = self._limits[command.vhost] = {}
            self._parameter(command.vhost, LIMITS, LIMITS_NAME, limits)
            self.vhosts[command.vhost]["limits"] = limits
        limits[command.name] = command.value

    def _parameter(self, vhost: str, component: str, name: str, value: object) -> None:
        self._lists["parameters"].append({"component": component, "name": name, "value": value, "vhost": vhost})


def _vhost(command: PutVHost) -> Json:
    metadata: Json = {"description": command.description, "tags": list(command.tags)}
    if command.default_queue_type:
        metadata["default_queue_type"] = command.default_queue_type
    return {"limits": {}, "metadata": metadata, "name": command.name}


def _user(command: PutUser) -> Json:
    hashed = command.password_hash
    if command.hashing_algorithm == ARGON2:
        hashed = base64.b64encode(hashed.encode()).decode("ascii")
    return {
        "hashing_algorithm": command.hashing_algorithm,
        "limits": {},
        "name": command.name,
        "password_hash": hashed,
        "tags": list(command.tags),
    }


def _exchange(command: PutExchange) -> Json:
    written: Json = {
        "arguments": json_of_table(command.arguments),
        "auto_delete": command.auto_delete,
        "durable": command.durable,
    }
    if command.internal:
        written["internal"] = True
    return written | {"name": command.name, "type": command.type, "vhost": command.vhost}


def _queue(command: PutQueue) -> Json:
    return {
        "arguments": json_of_table(with_queue_type(command.arguments, command.type)),
        "auto_delete": command.auto_delete,
        "durable": command.durable,
        "name": command.name,
        "type": command.type,
        "vhost": command.vhost,
    }


def _binding(command: PutBinding) -> Json:
    return {
        "arguments": json_of_table(command.arguments),
        "destination": command.destination,
        "destination_type": command.destination_type,
        "routing_key": command.routing_key,
        "source": command.source,
        "vhost": command.vhost,
    }


def _policy(command: PutPolicy) -> Json:
    return {
        "apply-to": command.apply_to,
        "definition": command.definition,
        "name": command.name,
        "pattern": command.pattern,
        "priority": command.priority,
        "vhost": command.vhost,
    }


def _operator_policy(command: PutPolicy) -> Json:
    return {
        "apply-to": command.apply_to,
        "definition": command.definition,
        "pattern": command.pattern,
        "priority": command.priority,
    }
