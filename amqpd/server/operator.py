"""What an operator can ask of a running node: one function for each command of the control socket.

A command takes a request, which is a JSON object, and returns what is answered; it raises Refused, whose text is for
the operator. A change is answered when it is stored. Each command ends its own rounds.
"""

from __future__ import annotations

import logging
import os
import platform
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from amqpd.broker.alarms import RESOURCES
from amqpd.broker.commands import PutUser, PutVHost
from amqpd.broker.vhost import DEFAULT_VHOST, VHost
from amqpd.errors import DefinitionError, ProtocolError, StorageError
from amqpd.metadata.document.checks import Findings, sound
from amqpd.runtime import build, memory
from amqpd.server import orders, reports
from amqpd.server.changes import Changes
from amqpd.server.hub import Hub
from amqpd.server.importing import File, Importer
from amqpd.server.users import UserOrders

if TYPE_CHECKING:
    from amqpd.server.backups import Backups
    from amqpd.server.session import Session

log = logging.getLogger("amqpd.operator")

SOURCE: Final = "operator"
CLOSED: Final = "closed by an operator"
Request = Mapping[str, object]


class Refused(Exception):
    """A command cannot be done. `details` are further lines, where there are many reasons."""

    def __init__(self, text: str, details: list[str] | None = None) -> None:
        super().__init__(text)
        self.details: Final = details or []


class Json:
    """An answer that is JSON already."""

    def __init__(self, encoded: bytes) -> None:
        self.encoded: Final = encoded


class Node(Protocol):
    """The node as its operator knows it."""

    @property
    def addresses(self) -> list[str]:
        """Where it listens."""

    def storage(self) -> Mapping[str, int]:
        """How its messages are kept, in numbers."""

    def reload(self) -> None:
        """Have the configuration read again."""

    def stop(self) -> None:
        """Have it end."""


class Operator:
    """The commands."""

    def __init__(
        self, node: Node, hub: Hub, changes: Changes, users: UserOrders, importer: Importer, backups: Backups
    ) -> None:
        self._node: Final = node
        self._hub: Final = hub
        self._changes: Final = changes
        self._users: Final = users
        self._importer: Final = importer
        self._backups: Final = backups
        self._started: Final = time.monotonic()

    async def do(self, request: object, body: bytes = b"") -> object:
        """Carry out a request, of which `body` is what came after it. Raises Refused.

        What it returns can be JSON, but for `reports.Rows`, which is a list in pieces, and `Json`.
        """
        if not isinstance(request, dict):
            raise Refused("a request is a JSON object")
        findings = Findings()
        if not sound(request, (), findings):
            raise Refused(f"the request: {findings.problems[0]}")
        command = COMMANDS.get(_text(request, "command"))
        if command is None:
            raise Refused("there is no such command; there are " + ", ".join(COMMANDS))
        if (command is Operator._import) != bool(body):
            raise Refused("a definitions file, and nothing else, follows the request of an import")
        try:
            return await (self._import(request, body) if body else command(self, request))
        except DefinitionError as error:
            raise Refused(str(error)) from None
        except ProtocolError as error:
            raise Refused(error.explanation) from None

    # -- what there is

    async def _status(self, _request: Request) -> object:
        """The node itself."""
        return {
            "version": build.described(),
            "python": platform.python_version(),
            "node_name": self._hub.broker.name,
            "pid": os.getpid(),
            "uptime_s": int(time.monotonic() - self._started),
            "listeners": self._node.addresses,
            "memory_bytes": memory.resident_bytes(),
            "alarms": self._raised(),
            **self._node.storage(),
            **reports.totals(self._hub.broker),
        }

    async def _list(self, request: Request) -> object:
        """A list, or those of its rows that are of a vhost or a user."""
        what = _text(request, "what")
        listing = reports.LISTS.get(what)
        if listing is None:
            raise Refused("there is no such list; there are " + ", ".join(reports.LISTS))
        chosen = {column: _text(request, column) for column in ("vhost", "user") if column in request}
        for column in chosen:
            if column not in listing.chosen_by:
                raise Refused(f"{what} cannot be chosen by {column}")
        if "vhost" in chosen:
            self._found_vhost(chosen["vhost"])
        return reports.Rows(listing, reports.Scene(self._hub, self._changes.definitions, self._users.failures), chosen)

    # -- the node

    async def _alarm(self, request: Request) -> object:
        """Raise or clear an operator's alarm."""
        resource = _text(request, "resource")
        if resource not in RESOURCES:
            raise Refused("alarms are for " + " and ".join(RESOURCES))
        alarms = self._hub.broker.alarms
        on = _flag(request, "on")
        with self._hub.driver.round():
            if on:
                alarms.raise_for(resource, SOURCE)
            else:
                alarms.clear_for(resource, SOURCE)
        return {"alarms": self._raised()}

    def _raised(self) -> dict[str, list[str]]:
        """Who raised which alarm."""
        alarms = self._hub.broker.alarms
        return {name: alarms.sources(name) for name in RESOURCES if alarms.is_raised(name)}

    async def _trace(self, request: Request) -> object:
        """Turn a vhost's firehose on or off."""
        vhost = self._found_vhost(_text(request, "vhost", DEFAULT_VHOST))
        vhost.tracing = _flag(request, "on")
        log.info("tracing is %s in vhost '%s'", "on" if vhost.tracing else "off", vhost.name)
        return {"vhost": vhost.name, "tracing": vhost.tracing}

    async def _backup(self, request: Request) -> object:
        """Write a backup of definitions and messages to a directory of this machine."""
        path = Path(_text(request, "path"))
        if not path.is_absolute():
            raise Refused("the request's 'path' is an absolute one")
        try:
            manifest = await self._backups.make(path)
        except StorageError as error:
            raise Refused(f"no backup was made: {error}") from None
        size = sum(entry.size for entry in manifest.entries)
        return {"path": str(path), "time": manifest.time, "files": len(manifest.entries), "bytes": size}

    async def _reload(self, _request: Request) -> object:
        """Read the configuration again."""
        self._node.reload()
        return {}

    async def _stop(self, _request: Request) -> object:
        """End."""
        log.info("an operator stops the node")
        self._node.stop()
        return {}

    # -- definitions

    async def _apply(self, request: Request) -> object:
        """Carry out one order, a command of `amqpd.broker.commands`."""
        order = request.get("order")
        if not isinstance(order, dict):
            raise Refused("the request needs 'order', an object")
        note = await self._changes.make(orders.command_from(order))
        log.info("%s", _told(order))
        return {"warning": note} if note else {}

    async def _vhost(self, request: Request) -> object:
        """Add a vhost where it is not there, or change what is said of one."""
        name, action = _text(request, "name"), _text(request, "action")
        description = _optional(request, "description")
        tags = _texts(request, "tags") if "tags" in request else None
        kind = _optional(request, "default_queue_type")
        if action == "add":
            added = await self._changes.add_vhost(PutVHost(name, description or "", tuple(tags or ()), kind or ""))
            if added:
                log.info("vhost '%s' is added", name)
            return {"added": added}
        if action == "set":
            await self._changes.set_vhost(name, description, tags, kind)
            return {}
        raise Refused("action is add or set")

    async def _user(self, request: Request) -> object:
        """What concerns passwords, and tags without them."""
        name, action = _text(request, "name"), _text(request, "action")
        if action == "add" and "password_hash" in request:
            hashed, algorithm = _secret(request, "password_hash"), _text(request, "hashing_algorithm")
            await self._users.add_hashed(PutUser(name, hashed, algorithm, tuple(_texts(request, "tags"))))
        elif action == "add":
            await self._users.add(name, _secret(request, "password"), _texts(request, "tags"))
        elif action == "set-password":
            await self._users.set_password(name, _secret(request, "password"))
        elif action == "clear-password":
            await self._users.clear_password(name)
        elif action == "set-tags":
            await self._users.set_tags(name, _texts(request, "tags"))
        elif action == "authenticate":
            await self._users.authenticate(name, _secret(request, "password"))
            return {}  # and no word of it in the log
        else:
            raise Refused("action is add, set-password, clear-password, set-tags or authenticate")
        log.info("user '%s': %s", name, action)
        return {}

    async def _queue(self, request: Request) -> object:
        """Purge a queue, or delete one that must be empty or unused."""
        vhost = self._found_vhost(_text(request, "vhost", DEFAULT_VHOST))
        name, action = _text(request, "name"), _text(request, "action")
        if action not in ("purge", "delete"):
            raise Refused("action is purge or delete")
        if action == "purge":
            with self._hub.driver.round():
                return {"messages": vhost.existing_queue(name).purge()}
        if_unused, if_empty = _flag(request, "if_unused", False), _flag(request, "if_empty", False)
        delete = partial(vhost.delete_queue, vhost.existing_queue(name), if_unused, if_empty)
        return {"messages": await self._changes.settled(delete)}

    async def _export(self, request: Request) -> object:
        """All definitions, or a vhost's, as RabbitMQ's JSON."""
        return Json(await self._importer.export(_optional(request, "vhost")))

    async def _import(self, request: Request, body: bytes = b"") -> object:
        """Import definitions: all of them or none."""
        files = [File("", body)]
        outcome = await self._importer.run(
            files, _optional(request, "vhost"), _flag(request, "skip_if_unchanged", False)
        )
        if outcome.problems:
            raise Refused("nothing was imported", outcome.problems)
        if not outcome.skipped:
            log.info("definitions imported: %s", outcome.told())
        return {"imported": outcome.counts, "skipped": outcome.skipped, "warnings": outcome.warnings}

    def _found_vhost(self, name: str) -> VHost:
        vhost = self._hub.broker.vhosts.get(name)
        if vhost is None:
            raise Refused(f"there is no vhost '{name}'")
        return vhost

    # -- connections

    async def _close_connection(self, request: Request) -> object:
        """Close those of one name."""
        name = _text(request, "name")
        found = [session for session in self._hub.sessions if session.connection.name == name]
        if not found:
            raise Refused(f"there is no connection '{name}'; `amqpctl list connections` shows their names")
        return self._close(found, request)

    async def _close_all_connections(self, request: Request) -> object:
        """Close all, or those to a vhost, or those of a user."""
        found = list(self._hub.sessions)
        if "vhost" in request:
            vhost = self._found_vhost(_text(request, "vhost"))
            found = [session for session in found if session.connection.vhost is vhost]
        if "user" in request:
            user = _text(request, "user")
            found = [session for session in found if _is_of(session, user)]
        return self._close(found, request)

    def _close(self, sessions: list[Session], request: Request) -> object:
        reason = _text(request, "reason", CLOSED)
        with self._hub.driver.round():
            for session in sessions:
                self._hub.close(session, reason)
        return {"closed": len(sessions)}


COMMANDS: Final[dict[str, Callable[[Operator, Request], Awaitable[object]]]] = {
    "status": Operator._status,
    "list": Operator._list,
    "alarm": Operator._alarm,
    "trace": Operator._trace,
    "apply": Operator._apply,
    "vhost": Operator._vhost,
    "user": Operator._user,
    "queue": Operator._queue,
    "export": Operator._export,
    "import": Operator._import,
    "close-connection": Operator._close_connection,
    "close-all-connections": Operator._close_all_connections,
    "backup": Operator._backup,
    "reload": Operator._reload,
    "stop": Operator._stop,
}


def _is_of(session: Session, user: str) -> bool:
    return session.connection.user is not None and session.connection.user.name == user


def _told(order: Request) -> str:
    """An order for the log: what it is about, and nothing that may be a secret."""
    about = ("vhost", "user", "component", "name", "source", "destination")
    return " ".join([str(order["order"]), *(f"{key}={order[key]!r}" for key in about if key in order)])


def _text(request: Request, name: str, default: str | None = None) -> str:
    value = request.get(name, default)
    if not isinstance(value, str) or not value:
        raise Refused(f"the request needs {name!r}, a text")
    return value


def _optional(request: Request, name: str) -> str | None:
    value = request.get(name)
    if value is not None and not isinstance(value, str):
        raise Refused(f"the request's {name!r} is a text")
    return value


def _secret(request: Request, name: str) -> str:
    value = request.get(name)
    if not isinstance(value, str):
        raise Refused(f"the request needs {name!r}, a text")
    return value


def _texts(request: Request, name: str) -> list[str]:
    value = request.get(name)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise Refused(f"the request needs {name!r}, a list of texts")
    return value


def _flag(request: Request, name: str, default: bool | None = None) -> bool:
    value = request.get(name, default)
    if not isinstance(value, bool):
        raise Refused(f"the request needs {name!r}, true or false")
    return value
