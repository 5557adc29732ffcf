"""What operators do with users where one command does not say it: passwords in clear, and trying a login.

A password is hashed in a thread, and is nowhere kept, logged or told. Meanwhile the user may change or go: what is not
about the password is read when the hash is there.

Errors have rabbitmqctl's texts. Source: RabbitMQ, access-control.md; add_user_command.ex and its neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import trio

from amqpd.auth import sasl
from amqpd.auth.accounts import Account
from amqpd.auth.authenticator import ChainAuthenticator
from amqpd.auth.backends import Credentials
from amqpd.auth.rules import PasswordRules
from amqpd.broker.commands import PutUser
from amqpd.broker.ports import Login, LoginRefused, Peer, User
from amqpd.errors import DefinitionError
from amqpd.server.changes import Changes

LOGIN_TIMEOUT_S: Final = 30.0


class UserOrders:
    """Everything here returns when it is stored, and raises DefinitionError where it cannot be done."""

    def __init__(self, changes: Changes, rules: PasswordRules, authenticator: ChainAuthenticator) -> None:
        self._changes: Final = changes
        self._rules: Final = rules
        self._authenticator: Final = authenticator
        self.failures: Final = authenticator.failures

    async def add(self, name: str, password: str, tags: Sequence[str]) -> None:
        """A new user. With an empty password nobody can log in by password."""
        self._check_new(name)
        put = await self.hashed(name, password, tags)
        self._check_new(name)
        await self._changes.make(put)

    async def add_hashed(self, put: PutUser) -> None:
        """A new user whose password was hashed elsewhere."""
        self._check_new(put.name)
        await self._changes.make(put)

    async def set_password(self, name: str, password: str) -> None:
        """A new password."""
        self._account(name)
        put = await self.hashed(name, password, ())
        await self._changes.make(replace(put, tags=self._account(name).tags))

    async def clear_password(self, name: str) -> None:
        """From now on the user cannot log in by password."""
        account = self._account(name)
        await self._changes.make(PutUser(name, "", account.algorithm, account.tags))

    async def set_tags(self, name: str, tags: Sequence[str]) -> None:
        """Other tags, the same password."""
        account = self._account(name)
        await self._changes.make(PutUser(name, account.password_hash, account.algorithm, tuple(tags)))

    async def authenticate(self, name: str, password: str) -> None:
        """Whether this login would succeed from the node's machine, by any backend. It is not logged, and not counted.
        """
        trial = Trial()
        with self._changes.driver.round():
            self._authenticator.ask(trial, Credentials(name, password.encode(), trial.peer), counted=False)
        with trio.move_on_after(LOGIN_TIMEOUT_S):
            await trial.decided.wait()
        if not trial.admitted:
            raise DefinitionError(f'failed to authenticate user "{name}": {trial.reason}')

    async def hashed(self, name: str, password: str, tags: Sequence[str]) -> PutUser:
        """The command for a user with that password, which must obey the rules."""
        # A lambda shows nothing of what it holds, unlike a partial.
        return await trio.to_thread.run_sync(lambda: self._rules.put_user(name, password, tags))

    def _account(self, name: str) -> Account:
        account = self._changes.definitions.accounts.find(name)
        if account is None:
            raise DefinitionError(f'User "{name}" does not exist')
        return account

    def _check_new(self, name: str) -> None:
        if self._changes.definitions.accounts.find(name) is not None:
            raise DefinitionError(f'User "{name}" already exists')


class Trial(Login):
    """A login that nobody waits for but the operator."""

    def __init__(self) -> None:
        super().__init__(sasl.PLAIN, b"", Peer("", True))
        self.decided: Final = trio.Event()
        self.admitted = False
        self.reason = f"no answer within {LOGIN_TIMEOUT_S:.0f} s"

    def succeed(self, user: User) -> None:
        """The client would be `user`."""
        self.admitted = True
        self.decided.set()

    def refuse(self, refusal: LoginRefused) -> None:
        """The client would not be let in."""
        self.reason = refusal.reason
        self.decided.set()
