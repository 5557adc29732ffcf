"""What an operator can ask of a running node: one function for each command of `amqpctl`.

A command takes a request, which is a JSON object, and returns what is answered; it raises Refused, whose text is for
the operator. Who called must end the round.
"""

from __future__ import annotations

import logging
import os
import platform
import time
from collections.abc import Callable, Mapping
from typing import Final

from amqpd.broker.alarms import RESOURCES
from amqpd.broker.vhost import DEFAULT_VHOST, VHost
from amqpd.runtime import build, memory
from amqpd.server import reports
from amqpd.server.hub import Hub

log = logging.getLogger("amqpd.operator")

SOURCE: Final = "operator"
Request = Mapping[str, object]


class Refused(Exception):
    """A command cannot be done."""


class Operator:
    """The commands. `stop` has the node stop; `addresses` are where it listens."""

    def __init__(self, hub: Hub, addresses: list[str], stop: Callable[[], None]) -> None:
        self._hub: Final = hub
        self._addresses: Final = addresses
        self._stop: Final = stop
        self._started: Final = time.monotonic()
        self._commands: Final[dict[str, Callable[[Request], object]]] = {
            "status": self._status,
            "list": self._list,
            "alarm": self._alarm,
            "trace": self._trace,
            "vhost": self._vhost,
            "close-connection": self._close_connection,
            "close-all-connections": self._close_all_connections,
            "stop": self._stop_node,
        }

    def do(self, request: object) -> object:
        """Carry out a request. Raises Refused."""
        if not isinstance(request, dict):
            raise Refused("a request is a JSON object")
        command = self._commands.get(_text(request, "command"))
        if command is None:
            raise Refused("there is no such command; there are " + ", ".join(self._commands))
        return command(request)

    def _status(self, _request: Request) -> object:
        return {
            "version": build.described(),
            "python": platform.python_version(),
            "node_name": self._hub.broker.name,
            "pid": os.getpid(),
            "uptime_s": int(time.monotonic() - self._started),
            "listeners": self._addresses,
            "memory_bytes": memory.resident_bytes(),
            "alarms": self._raised(),
            **reports.totals(self._hub.broker),
        }

    def _list(self, request: Request) -> object:
        rows = reports.LISTS.get(_text(request, "what"))
        if rows is None:
            raise Refused("there is no such list; there are " + ", ".join(reports.LISTS))
        return list(rows(self._hub))

    def _alarm(self, request: Request) -> object:
        resource = _text(request, "resource")
        if resource not in RESOURCES:
            raise Refused("alarms are for " + " and ".join(RESOURCES))
        alarms = self._hub.broker.alarms
        if _flag(request, "on"):
            alarms.raise_for(resource, SOURCE)
        else:
            alarms.clear_for(resource, SOURCE)
        return {"alarms": self._raised()}

    def _raised(self) -> dict[str, list[str]]:
        """Who raised which alarm."""
        alarms = self._hub.broker.alarms
        return {name: alarms.sources(name) for name in RESOURCES if alarms.is_raised(name)}

    def _trace(self, request: Request) -> object:
        vhost = self._found_vhost(_text(request, "vhost", DEFAULT_VHOST))
        vhost.tracing = _flag(request, "on")
        log.info("tracing is %s in vhost '%s'", "on" if vhost.tracing else "off", vhost.name)
        return {"vhost": vhost.name, "tracing": vhost.tracing}

    def _vhost(self, request: Request) -> object:
        name = _text(request, "name")
        if _text(request, "action") == "add":
            if name in self._hub.broker.vhosts:
                raise Refused(f"vhost '{name}' is there already")
            self._hub.broker.add_vhost(name)
        elif _text(request, "action") == "delete":
            self._hub.remove_vhost(self._found_vhost(name).name)
        else:
            raise Refused("action is add or delete")
        log.info("vhost '%s': %s", name, request["action"])
        return {"vhosts": list(self._hub.broker.vhosts)}

    def _found_vhost(self, name: str) -> VHost:
        vhost = self._hub.broker.vhosts.get(name)
        if vhost is None:
            raise Refused(f"there is no vhost '{name}'")
        return vhost

    def _close_connection(self, request: Request) -> object:
        name = _text(request, "name")
        found = [session for session in self._hub.sessions if session.connection.name == name]
        if not found:
            raise Refused(f"there is no connection '{name}'; `amqpctl list connections` shows their names")
        for session in found:
            self._hub.close(session, _text(request, "reason", "closed by an operator"))
        return {"closed": len(found)}

    def _close_all_connections(self, request: Request) -> object:
        sessions = list(self._hub.sessions)
        for session in sessions:
            self._hub.close(session, _text(request, "reason", "closed by an operator"))
        return {"closed": len(sessions)}

    def _stop_node(self, _request: Request) -> object:
        log.info("an operator stops the node")
        self._stop()
        return {}


def _text(request: Request, name: str, default: str | None = None) -> str:
    value = request.get(name, default)
    if not isinstance(value, str) or not value:
        raise Refused(f"the request needs {name!r}, a text")
    return value


def _flag(request: Request, name: str) -> bool:
    value = request.get(name)
    if not isinstance(value, bool):
        raise Refused(f"the request needs {name!r}, true or false")
    return value
