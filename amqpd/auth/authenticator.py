"""Logins: from a mechanism's response to a user, or to a refusal. This is what connections know as Authenticator.

    response --sasl--> credentials --failures--> (a pause) --chain--> admission --> loopback only? --> user

Whether a user may come from elsewhere than this machine is asked last, so that the log's reason tells nothing to who
guesses names.

Does not look into a password or a permission itself. Limits: DELAYED_MAX logins wait for the end of their pause, and
DELAYED_FROM_ONE of those from one address; one more is refused, unseen. Without the second limit who guesses on many
connections at once would hardly be slowed, and would take the room of others. Nothing here blocks.

Source: RabbitMQ, rabbit_reader (auth_phase), rabbit_access_control.
"""

from __future__ import annotations

import logging
from collections import Counter
from functools import partial
from typing import Final

from amqpd.auth import passwords, sasl
from amqpd.auth.accounts import Accounts
from amqpd.auth.backends import BackendAuthority, Backends, Clock, Credentials, Refused
from amqpd.auth.chain import Admission, Asking, Link, links_from
from amqpd.auth.failures import Failures, source_of
from amqpd.auth.internal import InternalBackend
from amqpd.broker.ports import Authenticator, Login, LoginRefused, Peer, User
from amqpd.broker.timers import Timer
from amqpd.config import Settings
from amqpd.errors import HandshakeFailure

log = logging.getLogger("amqpd.auth")

DELAYED_MAX: Final = 1000
DELAYED_FROM_ONE: Final = 100


class Delayed(Timer):
    """A login whose pause is not over."""

    def __init__(
        self, authenticator: ChainAuthenticator, source: str, attempt: Login, credentials: Credentials
    ) -> None:
        super().__init__()
        self._authenticator: Final = authenticator
        self._source: Final = source
        self._attempt: Final = attempt
        self._credentials: Final = credentials

    def fire(self, now_ms: int) -> None:
        """It is."""
        delayed = self._authenticator.delayed
        delayed[self._source] -= 1
        if not delayed[self._source]:
            del delayed[self._source]
        self._authenticator.ask(self._attempt, self._credentials)


class ChainAuthenticator(Authenticator):
    """The node's authenticator. `configure` before the first login, and again when settings have changed."""

    def __init__(self, accounts: Accounts, backends: Backends, internal: InternalBackend, clock: Clock) -> None:
        self._accounts: Final = accounts
        self._backends: Final = backends
        self._internal: Final = internal
        self._clock: Final = clock
        self.failures: Final = Failures()
        self.delayed: Final[Counter[str]] = Counter()  # logins that wait, by where they come from
        self._links: list[Link] = []
        self._mechanisms: list[str] = []
        self._loopback_users: frozenset[str] = frozenset()
        self._anonymous = ""
        self._certificate_name = ("distinguished_name", "dns", 0)

    def configure(self, settings: Settings) -> None:
        """Obey the settings about logins; every one of them may change while the node runs. Raises ConfigError."""
        self._links = links_from(settings.names("auth_backends"), self._backends)
        self._mechanisms = settings.names("auth_mechanisms")
        self._anonymous = settings.text("anonymous_login_user")
        if not self._anonymous and sasl.ANONYMOUS in self._mechanisms:
            self._mechanisms.remove(sasl.ANONYMOUS)
        self._loopback_users = frozenset(settings.names("loopback_users"))
        self._certificate_name = (
            settings.text("ssl_cert_login_from"),
            settings.text("ssl_cert_login_san_type"),
            settings.number("ssl_cert_login_san_index"),
        )
        self._internal.configure(passwords.BY_SETTING[settings.text("password_hashing")])
        self.failures.configure(settings.number("login_delay_after"), settings.number("login_delay_max"))

    # -- what connections ask

    def mechanisms(self, peer: Peer) -> list[str]:
        """The mechanisms offered to that peer, in the order of the setting; EXTERNAL to who has shown a certificate."""
        return [name for name in self._mechanisms if name != sasl.EXTERNAL or peer.certificate is not None]

    def login(self, attempt: Login) -> None:
        """Have `attempt` succeed or be refused, now or later. Raises HandshakeFailure."""
        if attempt.mechanism not in self.mechanisms(attempt.peer):
            raise HandshakeFailure(f"unknown authentication mechanism '{attempt.mechanism}'")
        credentials = self._credentials(attempt)
        source = source_of(attempt.peer.address)
        delay_ms = self.failures.delay_ms(source, credentials.name, self._clock.now_ms)
        if delay_ms == 0:
            self.ask(attempt, credentials)
        elif self.delayed[source] < DELAYED_FROM_ONE and self.delayed.total() < DELAYED_MAX:
            self.delayed[source] += 1
            due_ms = self._clock.now_ms + delay_ms
            self._clock.timers.schedule(Delayed(self, source, attempt, credentials), due_ms)
        else:
            reason = "many logins from there have failed, and too many wait already"
            attempt.refuse(LoginRefused(credentials.name, reason))

    def renew(self, user: User, secret: bytes) -> bool:
        """Whether the backend of `user` takes the new secret."""
        authority = user.authority
        return authority.renew(user, secret) if isinstance(authority, BackendAuthority) else True

    # -- a login's way

    def _credentials(self, attempt: Login) -> Credentials:
        password: bytes | None = None
        if attempt.mechanism == sasl.PLAIN:
            name, password = sasl.plain(attempt.response)
        elif attempt.mechanism == sasl.AMQPLAIN:
            name, password = sasl.amqplain(attempt.response)
        elif attempt.mechanism == sasl.ANONYMOUS:
            name = self._anonymous
        else:
            assert attempt.peer.certificate is not None
            name = sasl.external(attempt.peer.certificate, *self._certificate_name)
        return Credentials(name, password, attempt.peer)

    def ask(self, attempt: Login, credentials: Credentials, counted: bool = True) -> None:
        """Have the chain decide, and count how it went; unless it is not `counted`, for an operator who only tries."""
        if credentials.password is None and not credentials.name:
            source, san_type, _index = self._certificate_name
            what = f"{source} ({san_type})" if source == "subject_alternative_name" else source
            self._refuse(attempt, credentials, counted, Refused(f"no name found in the certificate's {what}"))
            return
        Asking(self._links, credentials, partial(self._decided, attempt, credentials, counted)).start()

    def _decided(
        self, attempt: Login, credentials: Credentials, counted: bool, decision: Admission | Refused
    ) -> None:
        if isinstance(decision, Refused):
            self._refuse(attempt, credentials, counted, decision)
            return
        identity, peer = decision.identity, attempt.peer
        if identity.name in self._loopback_users and not peer.from_loopback:
            self._refuse(attempt, credentials, counted, Refused("can only connect via localhost"))
            return
        if counted:
            self.failures.succeeded(source_of(peer.address), credentials.name)
        account = self._accounts.find(identity.name)
        limits = account.limits if account is not None else None
        user = User(identity.name, identity.tags, decision.authority, limits, peer, identity.valid_until_ms)
        attempt.succeed(user)

    def _refuse(self, attempt: Login, credentials: Credentials, counted: bool, refused: Refused) -> None:
        if counted and not refused.failed:
            self.failures.failed(source_of(attempt.peer.address), credentials.name, self._clock.now_ms)
        attempt.refuse(LoginRefused(credentials.name, refused.reason))
