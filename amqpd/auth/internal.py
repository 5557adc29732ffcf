"""The built-in authenticator: SASL credentials against the table of users, and users that may come from here only."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from amqpd.auth import sasl
from amqpd.auth.users import Users
from amqpd.broker.ports import Authenticator, Login, LoginRefused, Peer, User
from amqpd.errors import HandshakeFailure


class InternalAuthenticator(Authenticator):
    """Users of this node. Those named in `loopback_users` must connect from the machine that the node runs on."""

    def __init__(self, users: Users, loopback_users: Collection[str]) -> None:
        self.users: Final = users
        self._loopback_users: Final = frozenset(loopback_users)

    def mechanisms(self, peer: Peer) -> list[str]:
        """The SASL mechanisms offered, in the order of the offer."""
        return list(sasl.MECHANISMS)

    def login(self, attempt: Login) -> None:
        """Answer `attempt`. Raises HandshakeFailure.

        The password is checked first, so that the log's reason tells nothing to whoever guesses names.
        """
        credentials = sasl.MECHANISMS.get(attempt.mechanism)
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
        """True: a password does not run out, so any new secret is taken and ignored, as RabbitMQ's own backend does."""
        return True
