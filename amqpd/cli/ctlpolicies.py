"""`amqpctl policy`, `operator-policy`, `parameter`, `global-parameter`."""

from __future__ import annotations

import click

from amqpd.cli.ctlbase import F, Node, command, in_vhost, json_object, json_value, main
from amqpd.cli.ctllists import list_of


def _policy(function: F) -> F:
    options = (
        in_vhost,
        click.argument("name"),
        click.argument("pattern"),
        click.argument("definition", callback=json_object),
        click.option("--priority", type=int, default=0, help="Of several that fit, the highest wins.  [default: 0]"),
        click.option(
            "--apply-to",
            default="all",
            metavar="KIND",
            help="queues, classic_queues, quorum_queues, streams, exchanges or all.  [default: all]",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def _set(
    node: Node,
    vhost: str,
    name: str,
    pattern: str,
    definition: dict[str, object],
    priority: int,
    apply_to: str,
    operator: bool,
) -> object:
    return node.order(
        "PutPolicy",
        vhost=vhost,
        name=name,
        pattern=pattern,
        definition=definition,
        priority=priority,
        apply_to=apply_to,
        operator=operator,
    )


@main.group()
def policy() -> None:
    """Say by policies how queues and exchanges behave, by their names."""


@command("set", policy)
@_policy
def policy_set(
    node: Node, vhost: str, name: str, pattern: str, definition: dict[str, object], priority: int, apply_to: str
) -> object:
    """Set a policy: PATTERN is searched in names, DEFINITION a JSON object. In force at once."""
    return _set(node, vhost, name, pattern, definition, priority, apply_to, operator=False)


@command("clear", policy)
@in_vhost
@click.argument("name")
def policy_clear(node: Node, vhost: str, name: str) -> object:
    """Delete a policy."""
    return node.order("DeletePolicy", vhost=vhost, name=name)


list_of(policy, "policies")


@main.group("operator-policy")
def operator_policy() -> None:
    """Bound by operator policies what policies and clients can ask for."""


@command("set", operator_policy)
@_policy
def operator_policy_set(
    node: Node, vhost: str, name: str, pattern: str, definition: dict[str, object], priority: int, apply_to: str
) -> object:
    """Set an operator policy, which is merged with the policy of the same queue. In force at once."""
    return _set(node, vhost, name, pattern, definition, priority, apply_to, operator=True)


@command("clear", operator_policy)
@in_vhost
@click.argument("name")
def operator_policy_clear(node: Node, vhost: str, name: str) -> object:
    """Delete an operator policy."""
    return node.order("DeletePolicy", vhost=vhost, name=name, operator=True)


list_of(operator_policy, "operator-policies")


@main.group()
def parameter() -> None:
    """Set the runtime parameters of plugins."""


@command("set", parameter)
@in_vhost
@click.argument("component")
@click.argument("name")
@click.argument("value", callback=json_value)
def parameter_set(node: Node, vhost: str, component: str, name: str, value: object) -> object:
    """Set a parameter; VALUE is JSON."""
    return node.order("PutParameter", vhost=vhost, component=component, name=name, value=value)


@command("clear", parameter)
@in_vhost
@click.argument("component")
@click.argument("name")
def parameter_clear(node: Node, vhost: str, component: str, name: str) -> object:
    """Delete a parameter."""
    return node.order("DeleteParameter", vhost=vhost, component=component, name=name)


list_of(parameter, "parameters")


@main.group("global-parameter")
def global_parameter() -> None:
    """Set parameters of the whole node, such as cluster_name."""


@command("set", global_parameter)
@click.argument("name")
@click.argument("value", callback=json_value)
def global_parameter_set(node: Node, name: str, value: object) -> object:
    """Set a global parameter; VALUE is JSON."""
    return node.order("PutGlobalParameter", name=name, value=value)


@command("clear", global_parameter)
@click.argument("name")
def global_parameter_clear(node: Node, name: str) -> object:
    """Delete a global parameter."""
    return node.order("DeleteGlobalParameter", name=name)


list_of(global_parameter, "global-parameters")
