"""What a case may ask of the person who operates the broker, and how that is done on each broker.

Only what cannot be done over AMQP. An operator is a command line: the words of each request are appended to it. RabbitMQ's is `rabbitmqctl`,
wherever it is and however it is reached; a broker whose tool takes the same verbs needs nothing new here, another one subclasses.
"""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Mapping


class Operator:
    """An operator that runs `command` with rabbitmqctl's verbs. Every request blocks until it is done and raises CalledProcessError if refused."""

    def __init__(self, command: str) -> None:
        self._command = shlex.split(command)

    def ask(self, *words: str) -> None:
        subprocess.run([*self._command, *words], check=True, capture_output=True, timeout=30)

    def memory_alarm(self, on: bool) -> None:
        self.ask("set_vm_memory_high_watermark", "0.0001" if on else "0.6")

    def trace(self, vhost: str, on: bool) -> None:
        self.ask("trace_on" if on else "trace_off", "-p", vhost)

    def add_vhost(self, vhost: str) -> None:
        """A vhost in which the comparison's own user may do everything."""
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

    def set_policy(
        self, vhost: str, name: str, pattern: str, definition: Mapping[str, object], apply_to: str = "all"
    ) -> None:
        self.ask("set_policy", "-p", vhost, "--apply-to", apply_to, name, pattern, json.dumps(definition))

    def clear_policy(self, vhost: str, name: str) -> None:
        self.ask("clear_policy", "-p", vhost, name)

    def set_vhost_limits(self, vhost: str, limits: Mapping[str, int]) -> None:
        self.ask("set_vhost_limits", "-p", vhost, json.dumps(limits))

    def set_user_limits(self, user: str, limits: Mapping[str, int]) -> None:
        self.ask("set_user_limits", user, json.dumps(limits))

    def close_connections(self, vhost: str, reason: str) -> None:
        self.ask("close_all_connections", "-p", vhost, reason)
