"""The table of users, in memory.

Does not know SASL and does not decide from where somebody may log in: `internal` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from amqpd.auth.passwords import SALT_SIZE, hash_password, verify_password
from amqpd.broker.ports import ALLOWED, Authority, Question, User


class Everything(Authority):
    """Whoever is logged in may do everything."""

    def check(self, user: User, question: Question) -> int:
        """ALLOWED."""
        return ALLOWED

    def fetch(self, user: User, question: Question, answered: Callable[[], None]) -> None:
        """Never called, as `check` never pends."""
        answered()


class Users:
    """Users by name, each with a password hash. `random` returns that many random bytes."""

    def __init__(self, random: Callable[[int], bytes]) -> None:
        self._random: Final = random
        self._users: Final[dict[str, tuple[User, str]]] = {}

    def add(self, name: str, password: str, tags: Iterable[str] = ()) -> User:
        """Add a user, or give an existing one a new password and new tags."""
        user = User(name, frozenset(tags), Everything())
        hashed = hash_password(password.encode("utf-8", "surrogateescape"), self._random(SALT_SIZE))
        self._users[name] = (user, hashed)
        return user

    def verified(self, name: str, password: bytes) -> User | None:
        """The user `name`, if there is one and that is the password."""
        entry = self._users.get(name)
        if entry is None or not verify_password(password, entry[1]):
            return None
        return entry[0]
