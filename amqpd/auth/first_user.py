"""The first user of a new database, so that somebody can log in to make the others.

The rule for new passwords is not asked: a node whose settings disagree with its defaults should start.

Source: RabbitMQ, access-control.md, "Default virtual host and user"; rabbit:insert_default_data.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Thread

from amqpd.auth.rules import PasswordRules
from amqpd.broker.commands import Command, PutPermission, PutVHost
from amqpd.config import Settings

_RANDOM_BYTES = 18  # 24 characters, which nobody guesses


@dataclass(frozen=True)
class FirstUser:
    """The commands, in order. `made_up` is the password where none was set: to be shown to the operator once, or ""."""

    name: str
    commands: tuple[Command, ...]
    made_up: str = field(default="", repr=False)


def first_user(settings: Settings, rules: PasswordRules, random: Callable[[int], bytes]) -> FirstUser:
    """What a new database begins with. Blocks for the time of a hash. `random` returns that many random bytes."""
    vhost, name, password = (settings.text(key) for key in ("default_vhost", "default_user", "default_pass"))
    made_up = ""
    if not password:
        password = made_up = base64.urlsafe_b64encode(random(_RANDOM_BYTES)).decode("ascii")
    permission = PutPermission(
        name,
        vhost,
        settings.text("default_permissions.configure"),
        settings.text("default_permissions.write"),
        settings.text("default_permissions.read"),
    )
    user = rules.put_user_unruled(name, password, settings.names("default_user_tags"))
    return FirstUser(name, (PutVHost(vhost, "Default virtual host"), user, permission), made_up)


def begin_first_user(
    settings: Settings, rules: PasswordRules, random: Callable[[int], bytes]
) -> Callable[[], FirstUser]:
    """The same in a thread, beside what else a start does: a hash is a sixth of it. What is returned waits for it."""
    made: list[FirstUser] = []

    def make() -> None:
        with suppress(Exception):  # raised to who waits, who makes it once more
            made.append(first_user(settings, rules, random))

    def finish() -> FirstUser:
        thread.join()
        return made[0] if made else first_user(settings, rules, random)

    thread = Thread(target=make, name="amqpd first user")
    thread.start()

    return finish
