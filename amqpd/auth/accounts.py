"""Users, permissions, topic permissions and the limits of users: the tables that the node's own backend decides by.

They change by commands (`amqpd.broker.commands`) alone: `check` says whether one can be obeyed, `apply` obeys. What is
no matter of access is none of theirs and passes by. Vhosts are the broker's: it is asked whether one is there.

Does not know SASL, hashes no password, and decides nothing: `internal` does.

Invariant: no permission and no limit without its user; a permission's vhost is there as long as whoever deletes a vhost
applies that command here too. `limits` of a user stays the same dict as long as the user lives: connections read it.

Source: RabbitMQ, access-control.md; rabbit_auth_backend_internal (32 tags, `""` is `^$`, a broken pattern denies).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Iterator
from typing import Final

from amqpd.auth import passwords
from amqpd.broker import commands as c
from amqpd.broker import patterns
from amqpd.broker.limits import NAME_BYTES_MAX, USER_LIMITS
from amqpd.errors import DefinitionError

log = logging.getLogger("amqpd.auth")

TAGS_MAX: Final = 32


class Account:
    """A user. `proof` is for whoever verifies passwords to remember one that was right; a new hash comes without."""

    def __init__(self, name: str, limits: dict[str, int]) -> None:
        self.name: Final = name
        self.limits: Final = limits
        self.password_hash = ""
        self.algorithm = c.SHA256
        self.tags: tuple[str, ...] = ()
        self.proof = b""

    def command(self) -> c.PutUser:
        """The command that makes this user as it is."""
        return c.PutUser(self.name, self.password_hash, self.algorithm, self.tags)


class Permit:
    """One pattern of a permission. It is compiled when it is first asked: most are never."""

    def __init__(self, text: str, meant: str = "") -> None:
        self.text: Final = text
        self._meant: Final = meant or text  # with variables replaced
        self._compiled: patterns.Pattern | None = None
        self._broken = False

    def matches(self, name: str) -> bool:
        """Whether `name` is permitted. A pattern that cannot be compiled permits nothing."""
        if not self.text:
            return not name
        if self._compiled is None and not self._broken:
            try:
                self._compiled = patterns.Pattern(self._meant)
            except DefinitionError as error:
                self._broken = True
                log.error("the pattern '%s' of a permission permits nothing: %s", self.text, error)
        return self._compiled is not None and self._compiled.matches(name)


class Permission:
    """What a user may do in a vhost."""

    def __init__(self, command: c.PutPermission) -> None:
        self.permits: Final = {
            "configure": Permit(command.configure),
            "write": Permit(command.write),
            "read": Permit(command.read),
        }


class TopicPermission:
    """Which routing keys a user may use with one topic exchange. Its variables belong to the row: user and vhost."""

    def __init__(self, command: c.PutTopicPermission) -> None:
        self.permits: Final = {
            "write": Permit(command.write, expanded(command.write, command.user, command.vhost)),
            "read": Permit(command.read, expanded(command.read, command.user, command.vhost)),
        }


def expanded(pattern: str, user: str, vhost: str) -> str:
    """`pattern` with `{username}` and `{vhost}` replaced by the names, which mean themselves, not patterns.

    `{client_id}` is MQTT's: a client of AMQP has none, so it stays, and means itself as well (as in RabbitMQ).
    """
    replaced = pattern.replace("{username}", patterns.escape(user)).replace("{vhost}", patterns.escape(vhost))
    return replaced.replace("{client_id}", patterns.escape("{client_id}"))


class Accounts:
    """The tables. `vhosts` holds the names of those there are, live. Nothing here blocks."""

    def __init__(self, vhosts: Container[str]) -> None:
        self._vhosts: Final = vhosts
        self._users: Final[dict[str, Account]] = {}
        self._permissions: Final[dict[tuple[str, str], Permission]] = {}
        self._topics: Final[dict[tuple[str, str], dict[str, TopicPermission]]] = {}
        # Called after a change of what a user may do, with the user's name, or None where it is more than one.
        self.changed: Final[list[Callable[[str | None], None]]] = []

    # -- questions

    def find(self, name: str) -> Account | None:
        """The user of that name."""
        return self._users.get(name)

    def permission(self, user: str, vhost: str) -> Permission | None:
        """What `user` may do in `vhost`; without, not even enter."""
        return self._permissions.get((user, vhost))

    def topic_permission(self, user: str, vhost: str, exchange: str) -> TopicPermission | None:
        """Which routing keys `user` may use with `exchange`; without, all."""
        topics = self._topics.get((user, vhost))
        return topics.get(exchange) if topics is not None else None

    # -- changes

    def check(self, command: c.Command) -> None:
        """Raise DefinitionError, for the operator, where `command` cannot be applied."""
        match command:
            case c.PutUser():
                _check_user(command)
            case c.DeleteUser():
                self._check_there(command.name)
            case c.PutPermission():
                self._check_permission(command)
            case c.PutTopicPermission():
                self._check_topic(command)
            case c.DeletePermission() | c.DeleteTopicPermission():
                self._check_there(command.user, command.vhost)
            case c.PutUserLimit() | c.DeleteUserLimit():
                self._check_there(command.user)
                if command.name not in USER_LIMITS:
                    raise DefinitionError(f"users have no limit '{command.name}', only " + " and ".join(USER_LIMITS))

    def apply(self, command: c.Command) -> None:
        """Obey a command that `check` let pass, and tell those in `changed`."""
        match command:
            case c.PutUser():
                self._put_user(command)
                self._tell(command.name)
            case c.DeleteUser():
                self._users.pop(command.name, None)
                self._forget(0, command.name)
                self._tell(command.name)
            case c.DeleteVHost():
                self._forget(1, command.name)
                self._tell(None)
            case c.PutUserLimit():
                self._users[command.user].limits[command.name] = command.value
            case c.DeleteUserLimit():
                self._users[command.user].limits.pop(command.name, None)
            case c.PutPermission() | c.DeletePermission() | c.PutTopicPermission() | c.DeleteTopicPermission():
                self._permit(command)
                self._tell(command.user)

    def snapshot(self) -> Iterator[c.Command]:
        """The commands that make these tables: users and their limits, permissions, topic permissions, by name."""
        for _, account in sorted(self._users.items()):
            yield account.command()
        for name, account in sorted(self._users.items()):
            for limit, value in sorted(account.limits.items()):
                yield c.PutUserLimit(name, limit, value)
        for (user, vhost), permission in sorted(self._permissions.items()):
            texts = {kind: permit.text for kind, permit in permission.permits.items()}
            yield c.PutPermission(user, vhost, **texts)
        for (user, vhost), topics in sorted(self._topics.items()):
            for exchange, topic in sorted(topics.items()):
                texts = {kind: permit.text for kind, permit in topic.permits.items()}
                yield c.PutTopicPermission(user, vhost, exchange, **texts)

    # -- checks

    def _check_there(self, user: str, vhost: str | None = None) -> None:
        if user not in self._users:
            raise DefinitionError(f"there is no user '{user}'")
        if vhost is not None and vhost not in self._vhosts:
            raise DefinitionError(f"there is no vhost '{vhost}'")

    def _check_permission(self, command: c.PutPermission) -> None:
        where = f"permissions of user '{command.user}' in vhost '{command.vhost}'"
        for kind, text in (("configure", command.configure), ("write", command.write), ("read", command.read)):
            _check_pattern(where, kind, text, text)
        self._check_there(command.user, command.vhost)

    def _check_topic(self, command: c.PutTopicPermission) -> None:
        where = f"topic permissions of user '{command.user}' for exchange '{command.exchange}'"
        where += f" in vhost '{command.vhost}'"
        for kind, text in (("write", command.write), ("read", command.read)):
            _check_pattern(where, kind, text, expanded(text, command.user, command.vhost))
        self._check_there(command.user, command.vhost)
        if command.exchange:  # of the default exchange there can be one, though it is never asked for
            check_name("the exchange of a topic permission", command.exchange)

    # -- actions

    def _tell(self, user: str | None) -> None:
        for changed in self.changed:
            changed(user)

    def _permit(
        self, command: c.PutPermission | c.DeletePermission | c.PutTopicPermission | c.DeleteTopicPermission
    ) -> None:
        match command:
            case c.PutPermission():
                self._permissions[command.user, command.vhost] = Permission(command)
            case c.DeletePermission():
                self._permissions.pop((command.user, command.vhost), None)
            case c.PutTopicPermission():
                topics = self._topics.setdefault((command.user, command.vhost), {})
                topics[command.exchange] = TopicPermission(command)
            case c.DeleteTopicPermission():
                self._delete_topic(command)

    def _put_user(self, command: c.PutUser) -> None:
        account = self._users.setdefault(command.name, Account(command.name, {}))
        if account.password_hash != command.password_hash or account.algorithm != command.hashing_algorithm:
            account.proof = b""
        account.password_hash = command.password_hash
        account.algorithm = command.hashing_algorithm
        account.tags = command.tags

    def _delete_topic(self, command: c.DeleteTopicPermission) -> None:
        key = (command.user, command.vhost)
        topics = self._topics.get(key, {})
        if command.exchange is None:
            topics.clear()
        else:
            topics.pop(command.exchange, None)
        if not topics:
            self._topics.pop(key, None)

    def _forget(self, part: int, name: str) -> None:
        """Drop the permissions whose key has `name` as user (part 0) or vhost (part 1)."""
        for key in [key for key in self._permissions if key[part] == name]:
            del self._permissions[key]
        for key in [key for key in self._topics if key[part] == name]:
            del self._topics[key]


def _check_user(command: c.PutUser) -> None:
    check_name("the name of a user", command.name)
    user = f"user '{command.name}'"
    wrong = passwords.problem(command.password_hash, command.hashing_algorithm)
    if wrong:
        raise DefinitionError(f"{user}: {wrong}")
    if len(command.tags) > TAGS_MAX:
        raise DefinitionError(f"{user}: {len(command.tags)} tags are too many, {TAGS_MAX} the most")
    for tag in command.tags:
        check_name(f"a tag of {user}", tag)
        if tag != tag.strip() or "," in tag:
            raise DefinitionError(f"{user}: the tag '{tag}' has a comma, or space around it")


def check_name(what: str, name: str) -> None:
    """Refuse what is too long for a name, empty, or no Unicode text. Raises DefinitionError."""
    size = len(_encoded(what, name))
    if not 0 < size <= NAME_BYTES_MAX:
        raise DefinitionError(f"{what} has 1 to {NAME_BYTES_MAX} bytes, not {size}")


def _encoded(what: str, text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DefinitionError(f"{what} has a character that UTF-8 has not, at {error.start}") from None


def _check_pattern(where: str, kind: str, text: str, meant: str) -> None:
    _encoded(f"{where}: the pattern for {kind}", text)
    wrong = patterns.problem(meant)
    if wrong:
        raise DefinitionError(f"{where}: the pattern '{text}' for {kind} is not valid: {wrong}")
