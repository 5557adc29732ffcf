"""What a case may ask of the person who operates the broker, and how that is done on each broker.

Only what cannot be done over AMQP. An operator is a command line to which the words of each request are appended:
`Rabbitmqctl` for RabbitMQ, wherever it is and however it is reached, `Amqpctl` for amqpd. What an operator has no way
to do raises `Unable`, and the case is not compared.
"""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import PurePath
from typing import Protocol

TIMEOUT_S = 30.0


class Unable(Exception):
    """This broker's operator has no such request."""


class Operator(Protocol):
    """Every request blocks until it is done.

    Raises CalledProcessError if the broker refuses, Unable if there is no such request.
    """

    def memory_alarm(self, on: bool) -> None: ...

    def trace(self, vhost: str, on: bool) -> None:
        """The firehose of that vhost."""

    def add_vhost(self, vhost: str) -> None:
        """A vhost in which the comparison's own user may do everything."""

    def delete_vhost(self, vhost: str) -> None: ...

    def add_user(self, user: str, password: str) -> None: ...

    def delete_user(self, user: str) -> None: ...

    def set_permissions(self, vhost: str, user: str, configure: str, write: str, read: str) -> None: ...

    def set_topic_permissions(self, vhost: str, user: str, exchange: str, write: str, read: str) -> None: ...

    def set_policy(
        self, vhost: str, name: str, pattern: str, definition: Mapping[str, object], apply_to: str
    ) -> None: ...

    def clear_policy(self, vhost: str, name: str) -> None: ...

    def set_vhost_limits(self, vhost: str, limits: Mapping[str, int]) -> None: ...

    def set_user_limits(self, user: str, limits: Mapping[str, int]) -> None: ...

    def close_connections(self, reason: str) -> None:
        """All of them, whoever they belong to."""


def operator(command: str) -> Operator:
    """The operator who works with this command, told apart by its program's name."""
    words = shlex.split(command)
    return Amqpctl(words) if PurePath(words[0]).name == "amqpctl" else Rabbitmqctl(words)


class _Command:
    def __init__(self, words: list[str]) -> None:
        self._words = words

    def ask(self, *words: str) -> None:
        subprocess.run([*self._words, *words], check=True, capture_output=True, timeout=TIMEOUT_S)


class Rabbitmqctl(_Command):
    """RabbitMQ's own tool."""

    def memory_alarm(self, on: bool) -> None:
        self.ask("set_vm_memory_high_watermark", "0.0001" if on else "0.6")

    def trace(self, vhost: str, on: bool) -> None:
        self.ask("trace_on" if on else "trace_off", "-p", vhost)

    def add_vhost(self, vhost: str) -> None:
        self.ask("add_vhost", vhost)
        self.set_permissions(vhost, "guest", ".*", ".*", ".*")

    def delete_vhost(self, vhost: str) -> None:
        self.ask("delete_vhost", vhost)

    def add_user(self, user: str, password: str) -> None:
        self.ask("add_user", user, password)

    def delete_user(self, user: str) -> None:
        self.ask("delete_user", user)

    def set_permissions(self, vhost: str, user: str, configure: str, write: str, read: str) -> None:
        self.ask("set_permissions", "-p", vhost, user, configure, write, read)

    def set_topic_permissions(self, vhost: str, user: str, exchange: str, write: str, read: str) -> None:
        self.ask("set_topic_permissions", "-p", vhost, user, exchange, write, read)

    def set_policy(self, vhost: str, name: str, pattern: str, definition: Mapping[str, object], apply_to: str) -> None:
        self.ask("set_policy", "-p", vhost, "--apply-to", apply_to, name, pattern, json.dumps(definition))

    def clear_policy(self, vhost: str, name: str) -> None:
        self.ask("clear_policy", "-p", vhost, name)

    def set_vhost_limits(self, vhost: str, limits: Mapping[str, int]) -> None:
        self.ask("set_vhost_limits", "-p", vhost, json.dumps(limits))

    def set_user_limits(self, user: str, limits: Mapping[str, int]) -> None:
        self.ask("set_user_limits", user, json.dumps(limits))

    def close_connections(self, reason: str) -> None:
        self.ask("close_all_connections", "--global", reason)


class Amqpctl(_Command):
    """amqpd's tool. It has no requests yet for users, permissions, policies and limits."""

    def memory_alarm(self, on: bool) -> None:
        self.ask("alarm", "set" if on else "clear", "memory")

    def trace(self, vhost: str, on: bool) -> None:
        self.ask("trace", "on" if on else "off", "--vhost", vhost)

    def add_vhost(self, vhost: str) -> None:
        self.ask("vhost", "add", vhost)

    def delete_vhost(self, vhost: str) -> None:
        self.ask("vhost", "delete", vhost)

    def close_connections(self, reason: str) -> None:
        self.ask("close-all-connections", "--reason", reason)

    def add_user(self, user: str, password: str) -> None:
        raise Unable("users")

    def delete_user(self, user: str) -> None:
        raise Unable("users")

    def set_permissions(self, vhost: str, user: str, configure: str, write: str, read: str) -> None:
        raise Unable("permissions")

    def set_topic_permissions(self, vhost: str, user: str, exchange: str, write: str, read: str) -> None:
        raise Unable("permissions")

    def set_policy(self, vhost: str, name: str, pattern: str, definition: Mapping[str, object], apply_to: str) -> None:
        raise Unable("policies")

    def clear_policy(self, vhost: str, name: str) -> None:
        raise Unable("policies")

    def set_vhost_limits(self, vhost: str, limits: Mapping[str, int]) -> None:
        raise Unable("limits")

    def set_user_limits(self, user: str, limits: Mapping[str, int]) -> None:
        raise Unable("limits")
