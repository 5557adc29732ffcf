"""`amqpctl vhost`, `vhost-limit`, `exchange`, `queue`, `binding`."""

from __future__ import annotations

import click

from amqpd.cli.ctlbase import F, Node, command, in_vhost, json_object, main, tags_of, warn
from amqpd.cli.ctllists import list_of


def _arguments(function: F) -> F:
    return click.option(
        "--arguments", callback=json_object, default="{}", metavar="JSON", help="Further arguments, as a JSON object."
    )(function)


def _lifetime(function: F) -> F:
    function = click.option("--auto-delete", is_flag=True, help="Delete it when it is no longer used.")(function)
    return click.option("--durable/--transient", default=True, help="Whether it is there after a restart.")(function)


# -- virtual hosts


def _about_vhost(function: F) -> F:
    options = (
        click.option("--description", metavar="TEXT", help="What it is for."),
        click.option("--tags", metavar="TAG,...", help="Its tags."),
        click.option(
            "--default-queue-type",
            type=click.Choice(["classic", "quorum", "stream"]),
            help="The type of queues that are declared without one.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


@main.group()
def vhost() -> None:
    """Add, change and delete virtual hosts."""


@command("add", vhost)
@click.argument("name")
@_about_vhost
def vhost_add(
    node: Node, name: str, description: str | None, tags: str | None, default_queue_type: str | None
) -> object:
    """Add a virtual host. Nobody may enter it yet: see `amqpctl permission set`."""
    answer = node.ask(
        "vhost",
        action="add",
        name=name,
        description=description,
        tags=tags_of(tags),
        default_queue_type=default_queue_type,
    )
    if not answer["added"]:
        warn(f"virtual host '{name}' is there already, and stays as it is; `amqpctl vhost set` changes it")
    return {}


@command("set", vhost)
@click.argument("name")
@_about_vhost
def vhost_set(
    node: Node, name: str, description: str | None, tags: str | None, default_queue_type: str | None
) -> object:
    """Change what is said of a virtual host. What is not given stays."""
    return node.ask(
        "vhost",
        action="set",
        name=name,
        description=description,
        tags=tags_of(tags),
        default_queue_type=default_queue_type,
    )


@command("delete", vhost)
@click.argument("name")
def vhost_delete(node: Node, name: str) -> object:
    """Delete a virtual host with all that is in it, and close its connections."""
    return node.order("DeleteVHost", name=name)


list_of(vhost, "vhosts")


@main.group("vhost-limit")
def vhost_limit() -> None:
    """Limit how much a virtual host can have: max-connections, max-queues."""


@command("set", vhost_limit, context_settings={"ignore_unknown_options": True})
@in_vhost
@click.argument("name")
@click.argument("value", type=int)
def vhost_limit_set(node: Node, vhost: str, name: str, value: int) -> object:
    """Set a limit. A negative one is none."""
    return node.order("PutVHostLimit", vhost=vhost, name=name, value=value)


@command("clear", vhost_limit)
@in_vhost
@click.argument("name", default="all")
def vhost_limit_clear(node: Node, vhost: str, name: str) -> object:
    """Clear a limit, or all of a virtual host's."""
    names = [name] if name != "all" else [str(row["name"]) for row in node.list("vhost-limits", vhost=vhost)]
    for each in names:
        node.order("DeleteVHostLimit", vhost=vhost, name=each)
    return {}


list_of(vhost_limit, "vhost-limits")


# -- exchanges, queues, bindings


@main.group()
def exchange() -> None:
    """Declare and delete exchanges."""


@command("declare", exchange)
@in_vhost
@click.argument("name")
@click.option("--type", "type_", default="direct", metavar="TYPE", help="Its type.  [default: direct]")
@_lifetime
@click.option("--internal", is_flag=True, help="Let clients not publish to it.")
@_arguments
def exchange_declare(
    node: Node,
    vhost: str,
    name: str,
    type_: str,
    durable: bool,
    auto_delete: bool,
    internal: bool,
    arguments: dict[str, object],
) -> object:
    """Declare an exchange. One that is there and differs is an error."""
    return node.order(
        "PutExchange",
        vhost=vhost,
        name=name,
        type=type_,
        durable=durable,
        auto_delete=auto_delete,
        internal=internal,
        arguments=arguments,
    )


@command("delete", exchange)
@in_vhost
@click.argument("name")
def exchange_delete(node: Node, vhost: str, name: str) -> object:
    """Delete an exchange and its bindings."""
    return node.order("DeleteExchange", vhost=vhost, name=name)


list_of(exchange, "exchanges")


@main.group()
def queue() -> None:
    """Declare, purge and delete queues."""


@command("declare", queue)
@in_vhost
@click.argument("name")
@click.option(
    "--type",
    "type_",
    type=click.Choice(["classic", "quorum", "stream"]),
    default="classic",
    help="Its type.  [default: classic]",
)
@_lifetime
@_arguments
def queue_declare(
    node: Node, vhost: str, name: str, type_: str, durable: bool, auto_delete: bool, arguments: dict[str, object]
) -> object:
    """Declare a queue. One that is there and differs is an error."""
    return node.order(
        "PutQueue",
        vhost=vhost,
        name=name,
        type=type_,
        durable=durable,
        auto_delete=auto_delete,
        arguments={"x-queue-type": type_, **arguments},
    )


@command("delete", queue)
@in_vhost
@click.argument("name")
@click.option("-u", "--if-unused", is_flag=True, help="Only if it has no consumers.")
@click.option("-e", "--if-empty", is_flag=True, help="Only if no messages are ready in it.")
def queue_delete(node: Node, vhost: str, name: str, if_unused: bool, if_empty: bool) -> object:
    """Delete a queue with its messages and bindings; tells how many messages were ready."""
    return node.ask("queue", action="delete", vhost=vhost, name=name, if_unused=if_unused, if_empty=if_empty)


@command("purge", queue)
@in_vhost
@click.argument("name")
def queue_purge(node: Node, vhost: str, name: str) -> object:
    """Drop all messages of a queue that are ready; tells how many."""
    return node.ask("queue", action="purge", vhost=vhost, name=name)


list_of(queue, "queues")


def _binding(function: F) -> F:
    options = (
        click.argument("source"),
        click.argument("destination"),
        click.option(
            "--destination-type",
            type=click.Choice(["queue", "exchange"]),
            default="queue",
            help="What DESTINATION is.  [default: queue]",
        ),
        click.option("--routing-key", default="", metavar="KEY", help="The routing key.  [default: none]"),
        _arguments,
        in_vhost,
    )
    for option in reversed(options):
        function = option(function)
    return function


@main.group()
def binding() -> None:
    """Declare and delete bindings."""


@command("declare", binding)
@_binding
def binding_declare(
    node: Node,
    source: str,
    destination: str,
    destination_type: str,
    routing_key: str,
    arguments: dict[str, object],
    vhost: str,
) -> object:
    """Have an exchange send to a queue, or to another exchange."""
    return node.order(
        "PutBinding",
        vhost=vhost,
        source=source,
        destination=destination,
        destination_type=destination_type,
        routing_key=routing_key,
        arguments=arguments,
    )


@command("delete", binding)
@_binding
def binding_delete(
    node: Node,
    source: str,
    destination: str,
    destination_type: str,
    routing_key: str,
    arguments: dict[str, object],
    vhost: str,
) -> object:
    """Delete the binding with that key and those arguments."""
    return node.order(
        "DeleteBinding",
        vhost=vhost,
        source=source,
        destination=destination,
        destination_type=destination_type,
        routing_key=routing_key,
        arguments=arguments,
    )


list_of(binding, "bindings")
