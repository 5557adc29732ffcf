"""The table of users, in memory.

Does not know SASL and does not decide from where somebody may log in: `internal` does.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Final

from amqpd.auth import sasl
from amqpd.auth.passwords import SHA256, hash_password, verify_password
from amqpd.broker.ports import ALLOWED, Authenticator, Authority, Login, LoginRefused, Peer, Question, User
from amqpd.errors import HandshakeFailure


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
        hashed = hash_password(password.encode("utf-8", "surrogateescape"), SHA256, self._random)
        self._users[name] = (user, hashed)
        return user

    def verified(self, name: str, password: bytes) -> User | None:
        """The user `name`, if there is one and that is the password."""
        entry = self._users.get(name)
        if entry is None or not verify_password(password, entry[1], SHA256):
            return None
        return entry[0]


class InternalAuthenticator(Authenticator):
    """Users of this node. Those named in `loopback_users` must connect from the machine that the node runs on."""

    def __init__(self, users: Users, loopback_users: Collection[str]) -> None:
        self.users: Final = users
        self._loopback_users: Final = frozenset(loopback_users)

    def mechanisms(self, peer: Peer) -> list[str]:
        """The SASL mechanisms offered, in the order of the offer."""
        return ["AMQPLAIN", "PLAIN"]

    def login(self, attempt: Login) -> None:
        """Answer `attempt`. Raises HandshakeFailure."""
        credentials = {"AMQPLAIN": sasl.amqplain, "PLAIN": sasl.plain}.get(attempt.mechanism)
        if credentials is None:
            raise HandshakeFailure(f"unknown authentication mechanism '{attempt.mechanism}'")
        name, password = credentials(attempt.response)
        user = self.users.verified(name, password)
        if user is None:
            attempt.refuse(LoginRefused(name, "invalid credentials"))
        elif name in self._loopback_users and not attempt.peer.from_loopback:
            attempt.refuse(LoginRefused(name, "can only connect via localhost"))
        else:
            attempt.succeed(user)

    def renew(self, user: User, secret: bytes) -> bool:
        """True."""
        return True
