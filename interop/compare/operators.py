"""What a case may ask of the person who operates the broker, and how that is done on each broker.

Only what cannot be done over AMQP. An operator is a command line to which the words of each request are appended:
rabbitmqctl for RabbitMQ, wherever it is and however it is reached, amqpctl for amqpd, which knows rabbitmqctl's names.
"""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import PurePath

TIMEOUT_S = 60.0


class Operator:
    """Every request blocks until it is done. Raises CalledProcessError if the broker refuses."""

    def __init__(self, words: list[str]) -> None:
        self._words = words

    def ask(self, *words: str) -> None:
        subprocess.run([*self._words, *words], check=True, capture_output=True, timeout=TIMEOUT_S)

    def memory_alarm(self, on: bool) -> None:
        raise NotImplementedError

    def trace(self, vhost: str, on: bool) -> None:
        """The firehose of that vhost."""
        self.ask("trace_on" if on else "trace_off", "-p", vhost)

    def close_connections(self, reason: str) -> None:
        """All of them, whoever they belong to."""
        self.ask("close_all_connections", "--global", reason)

    # -- vhosts

    def add_vhost(self, vhost: str) -> None:
        """A vhost in which the comparison's own user may do everything."""
        self.ask("add_vhost", vhost)
        self.set_permissions(vhost, "guest", ".*", ".*", ".*")

    def delete_vhost(self, vhost: str) -> None:
        self.ask("delete_vhost", vhost)

    def set_vhost_limits(self, vhost: str, limits: Mapping[str, int]) -> None:
        self.ask("set_vhost_limits", "-p", vhost, json.dumps(limits))

    # -- users

    def add_user(self, user: str, password: str) -> None:
        self.ask("add_user", user, password)

    def set_tags(self, user: str, *tags: str) -> None:
        self.ask("set_user_tags", user, *tags)

    def delete_user(self, user: str) -> None:
        self.ask("delete_user", user)

    def set_permissions(self, vhost: str, user: str, configure: str, write: str, read: str) -> None:
        self.ask("set_permissions", "-p", vhost, user, configure, write, read)

    def clear_permissions(self, vhost: str, user: str) -> None:
        self.ask("clear_permissions", "-p", vhost, user)

    def set_topic_permissions(self, vhost: str, user: str, exchange: str, write: str, read: str) -> None:
        self.ask("set_topic_permissions", "-p", vhost, user, exchange, write, read)

    def clear_topic_permissions(self, vhost: str, user: str, exchange: str) -> None:
        self.ask("clear_topic_permissions", "-p", vhost, user, exchange)

    def set_user_limits(self, user: str, limits: Mapping[str, int]) -> None:
        self.ask("set_user_limits", user, json.dumps(limits))

    # -- policies

    def set_policy(
        self,
        vhost: str,
        name: str,
        pattern: str,
        definition: Mapping[str, object],
        apply_to: str,
        priority: int = 0,
        operator: bool = False,
    ) -> None:
        """A policy, or an operator policy."""
        order = "set_operator_policy" if operator else "set_policy"
        options = ("--priority", str(priority), "--apply-to", apply_to)
        self.ask(order, "-p", vhost, *options, name, pattern, json.dumps(definition))

    def clear_policy(self, vhost: str, name: str, operator: bool = False) -> None:
        self.ask("clear_operator_policy" if operator else "clear_policy", "-p", vhost, name)


class Rabbitmqctl(Operator):
    """RabbitMQ's own tool."""

    def memory_alarm(self, on: bool) -> None:
        self.ask("set_vm_memory_high_watermark", "0.0001" if on else "0.6")


class Amqpctl(Operator):
    """amqpd's tool."""

    def memory_alarm(self, on: bool) -> None:
        self.ask("alarm", "set" if on else "clear", "memory")


def operator(command: str) -> Operator:
    """The operator who works with this command, told apart by its program's name."""
    words = shlex.split(command)
    return Amqpctl(words) if PurePath(words[0]).name == "amqpctl" else Rabbitmqctl(words)
