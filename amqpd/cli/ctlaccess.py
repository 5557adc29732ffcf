"""`amqpctl user`, `permission`, `topic-permission`, `user-limit`: who may do what.

A password that is an argument can be seen by others on the machine while the command runs; without the argument it is
asked for, or read from standard input.
"""

from __future__ import annotations

import sys

import click

from amqpd.cli.ctlbase import USAGE, F, Node, command, end, in_vhost, main, tags_of
from amqpd.cli.ctllists import list_of

STDIN = "-"


def _with_password(function: F) -> F:
    function = click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")(function)
    return click.argument("password", required=False)(function)


def _read(password: str | None, password_stdin: bool, confirm: bool) -> str:
    """The password: as it is given, else asked for on a terminal, else the first line of standard input."""
    if password is not None and password != STDIN:
        if password_stdin:
            end(USAGE, "the password is an argument, or on standard input, but not both")
        return password
    if password is None and not password_stdin and sys.stdin.isatty():
        asked: str = click.prompt("Password", hide_input=True, confirmation_prompt=confirm, err=True)
        return asked
    line = sys.stdin.readline()
    if not line:
        end(USAGE, "Password is not provided via argument or stdin")
    return line.removesuffix("\n").removesuffix("\r")


@main.group()
def user() -> None:
    """Add, change and delete users."""


@command("add", user)
@click.argument("name")
@_with_password
@click.option("--tags", metavar="TAG,...", help="The user's tags: administrator, monitoring, ...")
@click.option("--pre-hashed-password", is_flag=True, help="PASSWORD is a hash, as a definitions file has it.")
@click.option(
    "--hashing-algorithm",
    default="rabbit_password_hashing_sha256",
    metavar="NAME",
    help="How that hash was made.  [default: rabbit_password_hashing_sha256]",
)
def user_add(
    node: Node,
    name: str,
    password: str | None,
    password_stdin: bool,
    tags: str | None,
    pre_hashed_password: bool,
    hashing_algorithm: str,
) -> object:
    """Add a user, who may do nothing yet: see `amqpctl permission set`.

    Without PASSWORD, or with `-`, it is asked for, or read from standard input.
    """
    secret = _read(password, password_stdin, confirm=not pre_hashed_password)
    return node.ask(
        "user",
        action="add",
        name=name,
        tags=tags_of(tags) or [],
        password=None if pre_hashed_password else secret,
        password_hash=secret if pre_hashed_password else None,
        hashing_algorithm=hashing_algorithm if pre_hashed_password else None,
    )


@command("set-password", user)
@click.argument("name")
@_with_password
def user_set_password(node: Node, name: str, password: str | None, password_stdin: bool) -> object:
    """Give a user another password. Connections that are open stay."""
    return node.ask("user", action="set-password", name=name, password=_read(password, password_stdin, confirm=True))


@command("clear-password", user)
@click.argument("name")
def user_clear_password(node: Node, name: str) -> object:
    """From now on the user cannot log in by password."""
    return node.ask("user", action="clear-password", name=name)


@command("set-tags", user)
@click.argument("name")
@click.argument("tags", nargs=-1, metavar="[TAG]...")
def user_set_tags(node: Node, name: str, tags: tuple[str, ...]) -> object:
    """Give a user these tags instead of those that it has."""
    return node.ask("user", action="set-tags", name=name, tags=list(tags))


@command("authenticate", user)
@click.argument("name")
@_with_password
def user_authenticate(node: Node, name: str, password: str | None, password_stdin: bool) -> object:
    """Try a login: exit code 0 if it would succeed from the node's own machine, else 1."""
    return node.ask("user", action="authenticate", name=name, password=_read(password, password_stdin, confirm=False))


@command("delete", user)
@click.argument("name")
def user_delete(node: Node, name: str) -> object:
    """Delete a user, with permissions and limits, and close the user's connections."""
    return node.order("DeleteUser", name=name)


list_of(user, "users")


@main.group()
def permission() -> None:
    """Say what users may do in virtual hosts."""


@command("set", permission)
@in_vhost
@click.argument("user")
@click.argument("configure")
@click.argument("write")
@click.argument("read")
def permission_set(node: Node, vhost: str, user: str, configure: str, write: str, read: str) -> object:
    """Let a user into a virtual host: three regular expressions for the names of queues and exchanges."""
    return node.order("PutPermission", user=user, vhost=vhost, configure=configure, write=write, read=read)


@command("clear", permission)
@in_vhost
@click.argument("user")
def permission_clear(node: Node, vhost: str, user: str) -> object:
    """Let a user into a virtual host no more."""
    return node.order("DeletePermission", user=user, vhost=vhost)


list_of(permission, "permissions")


@main.group("topic-permission")
def topic_permission() -> None:
    """Say which routing keys users may use with topic exchanges."""


@command("set", topic_permission)
@in_vhost
@click.argument("user")
@click.argument("exchange")
@click.argument("write")
@click.argument("read")
def topic_permission_set(node: Node, vhost: str, user: str, exchange: str, write: str, read: str) -> object:
    """Restrict a user's routing keys: regular expressions, in which {username} and {vhost} stand for the names."""
    return node.order("PutTopicPermission", user=user, vhost=vhost, exchange=exchange, write=write, read=read)


@command("clear", topic_permission)
@in_vhost
@click.argument("user")
@click.argument("exchange", required=False)
def topic_permission_clear(node: Node, vhost: str, user: str, exchange: str | None) -> object:
    """Restrict a user's routing keys no more, with this exchange or with all."""
    return node.order("DeleteTopicPermission", user=user, vhost=vhost, exchange=exchange)


list_of(topic_permission, "topic-permissions")


@main.group("user-limit")
def user_limit() -> None:
    """Limit how much a user can have open: max-connections, max-channels."""


@command("set", user_limit, context_settings={"ignore_unknown_options": True})
@click.argument("user")
@click.argument("name")
@click.argument("value", type=int)
def user_limit_set(node: Node, user: str, name: str, value: int) -> object:
    """Set a limit. A negative one is none."""
    return node.order("PutUserLimit", user=user, name=name, value=value)


@command("clear", user_limit)
@click.argument("user")
@click.argument("name", default="all")
def user_limit_clear(node: Node, user: str, name: str) -> object:
    """Clear a limit, or all of a user's."""
    names = [name] if name != "all" else [str(row["name"]) for row in node.list("user-limits", user=user)]
    for each in names:
        node.order("DeleteUserLimit", user=user, name=each)
    return {}


list_of(user_limit, "user-limits")
