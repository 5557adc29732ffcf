"""The node's own backend: passwords and permissions out of the tables of `accounts`.

A password hashed with argon2 is checked in a thread, and when it was right a keyed digest of it is kept with the
account (`Account.proof`), in memory only: the next login with it costs microseconds. So a thousand clients that come
back at once cost one hash for each user, and a new password is proven anew. Logins with the same credentials that
arrive while these are checked wait for the same answer.

Invariants: an unknown user costs what a wrong password costs where passwords are hashed as new ones are. An answer
counts only if the account still has the hash that was checked. At most LOGINS_MAX logins wait; how many hashes do, and
in which order, is the matter of `turns`.

Source: RabbitMQ, rabbit_auth_backend_internal.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from functools import partial
from queue import Full
from typing import Final

from amqpd.auth import passwords
from amqpd.auth.accounts import Account, Accounts
from amqpd.auth.backends import (
    Backend,
    BackendAuthority,
    Clock,
    Credentials,
    Identity,
    Offload,
    Refused,
    Verdict,
    failure,
)
from amqpd.auth.failures import source_of
from amqpd.auth.turns import Turns
from amqpd.broker.commands import ARGON2
from amqpd.broker.ports import ALLOWED, REFUSED, Peer, Question, User

LOGINS_MAX: Final = 20_000
INVALID: Final = "invalid credentials"
BLANK: Final = "a blank password: users without one log in by certificate (EXTERNAL)"


class InternalAuthority(BackendAuthority):
    """Decides by the permissions there are now, for all users. Answers at once."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts: Final = accounts

    def check(self, user: User, question: Question) -> int:
        """ALLOWED or REFUSED; the latter for a user who was deleted."""
        return ALLOWED if self._allowed(user.name, question) else REFUSED

    def _allowed(self, user: str, question: Question) -> bool:
        if self._accounts.find(user) is None:
            return False
        if question.kind == "topic":
            topic = self._accounts.topic_permission(user, question.vhost, question.name)
            return topic is None or topic.permits[question.permission].matches(question.routing_key)
        permission = self._accounts.permission(user, question.vhost)
        if permission is None or question.kind == "vhost":
            return permission is not None
        return permission.permits[question.permission].matches(question.name)

    def fetch(self, user: User, question: Question, answered: Callable[[], None]) -> None:
        """Never needed: `check` knows."""
        answered()


class InternalBackend(Backend):
    """Users of this node. `random` returns that many random bytes."""

    _turns: Turns

    def __init__(self, accounts: Accounts, random: Callable[[int], bytes]) -> None:
        self._accounts: Final = accounts
        self._authority: Final = InternalAuthority(accounts)
        self._key: Final = random(32)
        self._nobody: Final = Account("", {})
        self._checking: Final[dict[bytes, list[Callable[[bool | Exception], None]]]] = {}  # by proof
        self._waiting = 0
        self.configure(ARGON2)

    def configure(self, algorithm: str) -> None:
        """New passwords are hashed by `algorithm`: an unknown user then costs as much as one of those."""
        self._nobody.algorithm = algorithm
        self._nobody.password_hash = passwords.nobodys(algorithm)

    def attach(self, clock: Clock, offload: Offload) -> None:
        """Called once, by the registry."""
        self._turns = Turns(offload)

    def authenticate(self, credentials: Credentials, decided: Callable[[Verdict], None]) -> None:
        """Compare passwords; who comes without one was proven to be who it is, and must only be there."""
        account = self._accounts.find(credentials.name)
        if credentials.password is None:
            decided(_verdict(account))
        elif not credentials.password:
            decided(Refused(BLANK))
        else:
            checked = account if account is not None and account.password_hash else self._nobody
            self._verify(credentials, checked, decided)

    def authorise(self, identity: Identity, peer: Peer, decided: Callable[[Verdict], None]) -> None:
        """The tags of a user who is here too."""
        decided(_verdict(self._accounts.find(identity.name)))

    def authority(self, identity: Identity, peer: Peer) -> BackendAuthority:
        """The permissions."""
        return self._authority

    # -- passwords

    def _verify(self, credentials: Credentials, account: Account, decided: Callable[[Verdict], None]) -> None:
        password, hashed, algorithm = credentials.password or b"", account.password_hash, account.algorithm
        answer = partial(self._answer, account, hashed, decided)
        if not passwords.is_slow(algorithm):
            answer(passwords.verify_password(password, hashed, algorithm))
            return
        proof = self._proof(credentials.name, password, hashed)
        if hmac.compare_digest(account.proof, proof):
            answer(True)
            return
        if self._waiting >= LOGINS_MAX:
            decided(Refused(f"{LOGINS_MAX} logins wait for their passwords to be checked", failed=True))
            return
        self._waiting += 1
        waiting = self._checking.setdefault(proof, [])
        waiting.append(answer)
        if len(waiting) == 1:
            # A lambda shows nothing of what it holds, unlike a partial.
            verify = lambda: passwords.verify_password(password, hashed, algorithm)  # noqa: E731
            checked = partial(self._checked, account, hashed, proof)
            if not self._turns.add(source_of(credentials.peer.address), verify, checked):
                checked(Full())

    def _checked(self, account: Account, hashed: str, proof: bytes, result: bool | Exception) -> None:
        if result is True and account.password_hash == hashed:
            account.proof = proof
        answers = self._checking.pop(proof)
        self._waiting -= len(answers)
        for answer in answers:
            answer(result)

    def _answer(
        self, account: Account, hashed: str, decided: Callable[[Verdict], None], result: bool | Exception
    ) -> None:
        current = self._accounts.find(account.name)
        if isinstance(result, Exception):
            decided(Refused(f"hashing the password {failure(result)}", failed=True))
        elif result and current is not None and current.password_hash == hashed:
            decided(_verdict(current))
        else:
            decided(Refused(INVALID))

    def _proof(self, name: str, password: bytes, hashed: str) -> bytes:
        """A digest that only this process can make. Its parts are told apart by their lengths."""
        raw_name = name.encode("utf-8", "surrogateescape")
        sizes = f"{len(raw_name)} {len(hashed)} ".encode("ascii")
        return hashlib.blake2b(sizes + raw_name + hashed.encode("ascii") + password, key=self._key).digest()


def _verdict(account: Account | None) -> Verdict:
    return Identity(account.name, account.tags) if account is not None else Refused(INVALID)
