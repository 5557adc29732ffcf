"""New passwords: how they are hashed, and the rule that they must obey (RabbitMQ: credential validators).

A rule says something about passwords that are set in clear from now on; hashes that are imported cannot be asked.

Sources: RabbitMQ, passwords.md, "Credential validation"; rabbit_credential_validator_*, whose texts these are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from amqpd.auth import passwords
from amqpd.broker.commands import ARGON2, PutUser
from amqpd.broker.patterns import Pattern
from amqpd.config import Settings
from amqpd.errors import ConfigError, DefinitionError


class PasswordRules:
    """What is asked of new passwords, and done with them. `random` returns that many random bytes."""

    def __init__(self, random: Callable[[int], bytes]) -> None:
        self._random: Final = random
        self._algorithm = ARGON2
        self._length_min = 0
        self._pattern: Pattern | None = None

    def configure(self, settings: Settings) -> None:
        """Obey the settings; every one of them may change while the node runs. Raises ConfigError."""
        rule = settings.text("credential_validator.validation_backend")
        pattern = None
        if rule == "password_regexp":
            try:
                pattern = Pattern(settings.text("credential_validator.regexp"))
            except DefinitionError as error:
                raise ConfigError(f"credential_validator.regexp: {error}") from None
        self._pattern = pattern
        self._length_min = settings.number("credential_validator.min_length") if rule == "min_password_length" else 0
        self._algorithm = passwords.BY_SETTING[settings.text("password_hashing")]

    def check(self, password: str) -> None:
        """Raise DefinitionError where `password` breaks the rule. The text does not show it."""
        if len(password) < self._length_min:
            raise DefinitionError(f"minimum required password length is {self._length_min}")
        if self._pattern is not None and not self._pattern.matches(password):
            raise DefinitionError("provided password does not match the validator regular expression")

    def put_user(self, name: str, password: str, tags: Iterable[str] = ()) -> PutUser:
        """The command for a user with a password in clear; with a blank one nobody can log in by password.

        Blocks for the time of a hash: with argon2 that belongs into a thread. Raises DefinitionError.
        """
        self.check(password)
        return self.put_user_unruled(name, password, tags)

    def put_user_unruled(self, name: str, password: str, tags: Iterable[str] = ()) -> PutUser:
        """The same without a look at the rule."""
        hashed = ""
        if password:
            hashed = passwords.hash_password(password.encode("utf-8", "surrogateescape"), self._algorithm, self._random)
        return PutUser(name, hashed, self._algorithm, tuple(tags))
