"""The built-in authenticator: SASL credentials against the table of users, and users that may come from here only."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from amqpd.auth import sasl
from amqpd.auth.users import Users
from amqpd.broker.ports import Authenticator, LoginRefused, User
from amqpd.errors import HandshakeFailure


class InternalAuthenticator(Authenticator):
    """Users of this node. Those named in `loopback_users` must connect from the machine that the node runs on."""

    def __init__(self, users: Users, loopback_users: Collection[str]) -> None:
        self.users: Final = users
        self._loopback_users: Final = frozenset(loopback_users)

    def mechanisms(self) -> list[str]:
        """The SASL mechanisms offered, in the order of the offer."""
        return list(sasl.MECHANISMS)

    def login(self, mechanism: str, response: bytes, from_loopback: bool) -> User:
        """The user that `response` proves. Raises LoginRefused, HandshakeFailure.

        The password is checked first, so that the log's reason tells nothing to whoever guesses names.
        """
        credentials = sasl.MECHANISMS.get(mechanism)
        if credentials is None:
            raise HandshakeFailure(f"the mechanism {mechanism!r} is not offered")
        name, password = credentials(response)
        user = self.users.verified(name, password)
        if user is None:
            raise LoginRefused(name, "invalid credentials")
        if name in self._loopback_users and not from_loopback:
            raise LoginRefused(name, "can only connect via localhost")
        return user

    def renew(self, user: User, secret: bytes) -> bool:
        """True: a password does not run out, so any new secret is taken and ignored, as RabbitMQ's own backend does."""
        return True
