"""Policies and parameters of a definitions document.

Policies of operators and limits of vhosts travel as parameters. Whether a policy's keys and values are good is for
whoever applies the commands, but for the keys of mirrored queues: every other RabbitMQ 3 has them in its policies, 4
refuses them, and nothing is lost with them.

Source: RabbitMQ, rabbit_definitions (add_policy, add_parameter, add_global_parameter, list_runtime_parameters).
"""

from __future__ import annotations

from typing import Final

from amqpd.broker.commands import PutGlobalParameter, PutParameter, PutPolicy, PutVHostLimit
from amqpd.broker.limits import VHOST_LIMITS
from amqpd.metadata.document.checks import Item
from amqpd.metadata.document.gathering import Gathering

OPERATOR_POLICY: Final = "operator_policy"
LIMITS: Final = "vhost-limits"
LIMITS_NAME: Final = "limits"
# What belongs to one node or cluster, and is neither exported nor imported.
INTERNAL_COMPONENTS: Final = frozenset({"exchange-delete-in-progress", "imported_definition_hash_value"})
INTERNAL_PREFIX: Final = "internal"  # of global parameters

# Of RabbitMQ 3, for mirrored classic queues.
MIRRORING: Final = frozenset(
    {
        "ha-mode",
        "ha-params",
        "ha-promote-on-failure",
        "ha-promote-on-shutdown",
        "ha-sync-batch-size",
        "ha-sync-mode",
        "queue-master-locator",
    }
)

_POLICIES: Final = {"policy": False, OPERATOR_POLICY: True}
_POLICY_KEYS: Final = frozenset({"pattern", "definition", "priority", "apply-to"})


def read_policy(gathering: Gathering, item: Item) -> None:
    """A policy."""
    _put_policy(gathering, gathering.vhost_of(item), item.name("name"), item, False)


def _put_policy(gathering: Gathering, vhost: str, name: str, item: Item, operator: bool) -> None:
    if "definition" not in item.values:
        item.wrong("definition", "is missing")
    definition = _without_mirroring(item.item("definition"))
    pattern, apply_to, priority = item.text("pattern"), item.text("apply-to", "all"), item.integer("priority", 0)
    if definition or not item.values.get("definition"):
        gathering.put(PutPolicy(vhost, name, pattern, definition, apply_to, priority, operator), item)
    else:
        gathering.findings.warn(item.trail, "is left out: nothing is left in it")


def _without_mirroring(definition: Item) -> dict[str, object]:
    if MIRRORING.isdisjoint(definition.values):
        return definition.values
    for key in sorted(MIRRORING & definition.values.keys()):
        definition.warn(key, "is left out: there are no mirrored classic queues any more")
    return {key: value for key, value in definition.values.items() if key not in MIRRORING}


def read_parameter(gathering: Gathering, item: Item) -> None:
    """A parameter, or what travels as one."""
    vhost, component, name = gathering.vhost_of(item), item.name("component"), item.name("name", empty=True)
    if "value" not in item.values:
        item.wrong("value", "is missing")
    elif component in INTERNAL_COMPONENTS:
        gathering.findings.warn(item.trail, "is left out: it belongs to the node that wrote the file")
    elif component == LIMITS:
        gathering.put_limits(_value_of(item), VHOST_LIMITS, PutVHostLimit, vhost)
    elif component in _POLICIES:
        value = _value_of(item)
        value.warn_of_unknown(_POLICY_KEYS)
        _put_policy(gathering, vhost, name, value, _POLICIES[component])
    else:
        gathering.put(PutParameter(vhost, component, name, item.values["value"]), item)


def _value_of(item: Item) -> Item:
    """The value, an object. What is wrong with the parameter is wrong with its value."""
    value = item.item("value")
    value.bad |= item.bad
    return value


def read_global_parameter(gathering: Gathering, item: Item) -> None:
    """A global parameter, unless it is a cluster's own."""
    name = item.name("name")
    if "value" not in item.values:
        item.wrong("value", "is missing")
    elif name.startswith(INTERNAL_PREFIX):
        gathering.findings.warn(item.trail, "is left out: it belongs to the cluster that wrote the file")
    else:
        gathering.put(PutGlobalParameter(name, item.values["value"]), item)
