"""The chain of backends: asked in turn, the first that accepts wins; who it is and what it may do can be split.

The setting `auth_backends` names the links. A link is the name of a backend, or `authn+authz`: the first one says who
it is, each of the others must know the user too, and must allow what the user does. Tags of all are put together.

Does not know mechanisms, addresses or delays: `authenticator` does. A backend that raises refuses, is logged, and the
next one is asked.

Source: RabbitMQ, access-control.md, "Combining backends"; rabbit_access_control.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final

from amqpd.auth.backends import (
    Backend,
    BackendAuthority,
    Backends,
    Credentials,
    Identity,
    Refused,
    Verdict,
    failure,
)
from amqpd.broker.ports import ALLOWED, PENDING, REFUSED, Question, User
from amqpd.errors import ConfigError

log = logging.getLogger("amqpd.auth")


class Link:
    """A backend that authenticates, and those that authorise: the same one, where there are no others."""

    def __init__(self, name: str, authenticates: Backend, authorise: Sequence[Backend]) -> None:
        self.name: Final = name
        self.authenticates: Final = authenticates
        self.authorise: Final = authorise


class Admission:
    """Who was let in: name, tags and end out of all that the link said, and the authority over it."""

    def __init__(self, identity: Identity, authority: BackendAuthority) -> None:
        self.identity: Final = identity
        self.authority: Final = authority


class AllOf(BackendAuthority):
    """Allows what all of several authorities allow."""

    def __init__(self, authorities: Sequence[BackendAuthority]) -> None:
        self._authorities: Final = authorities

    def hold_ms(self) -> int:
        """As long as the one whose answers hold least."""
        return min([hold_ms for one in self._authorities if (hold_ms := one.hold_ms()) >= 0], default=-1)

    def check(self, user: User, question: Question) -> int:
        """REFUSED if one refuses; PENDING as long as one pends."""
        answer = ALLOWED
        for authority in self._authorities:
            one = authority.check(user, question)
            if one == REFUSED:
                return REFUSED
            if one == PENDING:
                answer = PENDING
        return answer

    def fetch(self, user: User, question: Question, answered: Callable[[], None]) -> None:
        """Have all that pend fetch; `answered` is called when the last of them has."""
        pending = [one for one in self._authorities if one.check(user, question) == PENDING]
        left = len(pending)

        def one_answered() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                answered()

        for authority in pending:
            authority.fetch(user, question, one_answered)

    def renew(self, user: User, secret: bytes) -> bool:
        """Whether all take the secret."""
        return all(authority.renew(user, secret) for authority in self._authorities)


def links_from(names: Iterable[str], backends: Backends) -> list[Link]:
    """The chain that the setting `auth_backends` describes. Raises ConfigError."""
    links = []
    for name in names:
        found = [_backend(part.strip(), name, backends) for part in name.split("+")]
        links.append(Link(name, found[0], found[1:]))
    return links


def _backend(part: str, name: str, backends: Backends) -> Backend:
    backend = backends.find(part)
    if backend is None:
        raise ConfigError(
            f"auth_backends: there is no backend '{part}' (in '{name}'); there are {', '.join(backends.names())}. "
            "Others come with plugins: is theirs in `plugins`?"
        )
    return backend


class Asking:
    """One login on its way through the chain. `decided` is called once, with an Admission or with what refused it."""

    def __init__(
        self, links: Sequence[Link], credentials: Credentials, decided: Callable[[Admission | Refused], None]
    ) -> None:
        self._links: Final = links
        self._credentials: Final = credentials
        self._decided: Final = decided
        self._refusals: Final[list[Refused]] = []
        self._step = 0  # answers to an earlier step come from a backend that answers twice, and are not heard

    def start(self) -> None:
        """Ask the first link."""
        self._ask(self._links[0].authenticates, None)

    def _ask(self, backend: Backend, admitted: list[Identity] | None) -> None:
        """Have `backend` authenticate, or authorise those whom others of the link `admitted` so far."""
        self._step += 1
        step = self._step
        decided = partial(self._heard, step, admitted)
        try:
            if admitted is None:
                backend.authenticate(self._credentials, decided)
            else:
                backend.authorise(admitted[0], self._credentials.peer, decided)
        except Exception as error:
            if step != self._step:  # it was heard: what failed came after it, and is no matter of the backend's
                raise
            decided(Refused(f"it {failure(error)}", failed=True))

    def _heard(self, step: int, admitted: list[Identity] | None, verdict: Verdict) -> None:
        if step != self._step:
            return
        link = self._links[len(self._refusals)]
        if isinstance(verdict, Refused):
            self._refused(link, verdict)
            return
        admitted = [*(admitted or ()), verdict]
        if len(admitted) <= len(link.authorise):
            self._ask(link.authorise[len(admitted) - 1], admitted)
            return
        self._step += 1
        self._decided(_admission(link, admitted, self._credentials))

    def _refused(self, link: Link, refused: Refused) -> None:
        if refused.failed:
            log.error("backend %s refuses user '%s': %s", link.name, self._credentials.name, refused.reason)
        self._refusals.append(refused)
        if len(self._refusals) < len(self._links):
            self._ask(self._links[len(self._refusals)].authenticates, None)
            return
        self._step += 1
        self._decided(self._summary())

    def _summary(self) -> Refused:
        """All refusals as one, which counts as a failed login only if every backend could tell."""
        failed = any(refusal.failed for refusal in self._refusals)
        if len(self._refusals) == 1:
            return self._refusals[0]
        named = zip(self._links, self._refusals, strict=True)
        return Refused("; ".join(f"{link.name}: {refusal.reason}" for link, refusal in named), failed)


def _admission(link: Link, admitted: Sequence[Identity], credentials: Credentials) -> Admission:
    first = admitted[0]
    tags = frozenset().union(*(identity.tags for identity in admitted))
    # Who authorises says for how long, because it is who will be asked about a new secret.
    authorise, authorised = (link.authorise, admitted[1:]) if link.authorise else ([link.authenticates], admitted)
    ends = [identity.valid_until_ms for identity in authorised if identity.valid_until_ms >= 0]
    pairs = zip(authorise, authorised, strict=True)
    authorities = [backend.authority(identity, credentials.peer) for backend, identity in pairs]
    return Admission(
        Identity(first.name, tags, min(ends, default=-1)),
        authorities[0] if len(authorities) == 1 else AllOf(authorities),
    )
