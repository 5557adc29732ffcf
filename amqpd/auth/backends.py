"""What a backend is: something that knows users and what they may do. The node's own is `internal`; plugins add others.

There are two ways to write one. `Backend` answers by a call, at once or later, and must never block; a backend that can
decide from what it has in memory (a signed token, a file) is one of those. `AsyncBackend` is for whoever must ask over
the network: three async functions that run on trio beside the broker, each for `time_limit_ms` at most. Whatever goes
wrong there refuses and is logged, without the error's text: it may hold what was sent, a password.

Does not know the order in which backends are asked: `chain` does. Limits: an AsyncBackend's user has ANSWERS_MAX
answers remembered; how many calls run and wait is the limit of the `Offload`.

Source: RabbitMQ, access-control.md; rabbit_authn_backend, rabbit_authz_backend.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from queue import Full
from typing import Final, Protocol, TypeVar

from amqpd.broker.ports import ALLOWED, PENDING, REFUSED, Authority, Peer, Question, User
from amqpd.broker.timers import Timers

log = logging.getLogger("amqpd.auth")

T = TypeVar("T")

TIME_LIMIT_MS: Final = 5000
REMEMBER_MS: Final = 15_000  # RabbitMQ's rabbit_auth_backend_cache keeps answers as long
FORGET_FAILURE_MS: Final = 1000
ANSWERS_MAX: Final = 200  # for each user that is logged in


class Clock(Protocol):
    """The time, in ms, and what is due at a time. A Broker is one."""

    @property
    def now_ms(self) -> int:
        """The time now."""

    @property
    def timers(self) -> Timers:
        """What is due."""


class Offload(Protocol):
    """Runs what is slow beside the broker. `done` is called later, in a round of its own, with the result or the error.

    The error is `queue.Full` where too much waits already, and TimeoutError after `limit_ms`.
    """

    def thread(self, function: Callable[[], T], done: Callable[[T | Exception], None]) -> None:
        """Run a function that blocks or computes, in a thread."""

    def call(self, function: Callable[[], Awaitable[T]], limit_ms: int, done: Callable[[T | Exception], None]) -> None:
        """Run an async function, on trio."""


class Credentials:
    """What a client says to log in. `password` is None where something else gave the name: a certificate, or ANONYMOUS.

    The password is in no representation of it.
    """

    def __init__(self, name: str, password: bytes | None, peer: Peer) -> None:
        self.name: Final = name
        self.password: Final = password
        self.peer: Final = peer

    def __repr__(self) -> str:
        return f"Credentials({self.name!r})"


class Identity:
    """Who a backend says it is. `details` is the backend's own; `valid_until_ms` a time of day in ms, or -1."""

    def __init__(
        self, name: str, tags: Iterable[str] = (), valid_until_ms: int = -1, details: object = None
    ) -> None:
        self.name: Final = name
        self.tags: Final = frozenset(tags)
        self.valid_until_ms: Final = valid_until_ms
        self.details: Final = details


class Refused:
    """A backend does not let somebody in. `reason` is for the log; `failed` when the backend could not find out."""

    def __init__(self, reason: str, failed: bool = False) -> None:
        self.reason: Final = reason
        self.failed: Final = failed


Verdict = Identity | Refused


class BackendAuthority(Authority):
    """The authority of a user that a backend knows."""

    def renew(self, user: User, secret: bytes) -> bool:
        """Whether `secret` is a good new secret; may move `user.valid_until_ms`. What never runs out takes any."""
        return True


class Backend:
    """A backend that answers by a call. Nothing here blocks. An exception refuses, and is logged."""

    def attach(self, clock: Clock, offload: Offload) -> None:
        """Called once, by the registry."""

    def authenticate(self, credentials: Credentials, decided: Callable[[Verdict], None]) -> None:
        """Call `decided`, once, now or in a later round: who it is, or why it is not let in."""
        raise NotImplementedError

    def authorise(self, identity: Identity, peer: Peer, decided: Callable[[Verdict], None]) -> None:
        """The same for somebody whom another backend has authenticated; tags given here are added to those."""
        raise NotImplementedError

    def authority(self, identity: Identity, peer: Peer) -> BackendAuthority:
        """Who decides what this user may do."""
        raise NotImplementedError


class AsyncBackend(Backend):
    """A backend that asks somebody else. Subclasses are plain async code; they may set the two numbers."""

    time_limit_ms = TIME_LIMIT_MS  # for one call
    remember_ms = REMEMBER_MS  # how long an answer of `permits` holds here, and then with the connection that asked

    _clock: Clock
    _offload: Offload

    async def login(self, credentials: Credentials) -> Identity | None:
        """Who it is; None where the credentials are wrong, or the user is unknown."""
        raise NotImplementedError

    async def recognise(self, identity: Identity, peer: Peer) -> Identity | None:
        """The same for somebody whom another backend has authenticated. By default everybody, without tags."""
        return Identity(identity.name, details=identity.details)

    async def permits(self, identity: Identity, question: Question, peer: Peer) -> bool:
        """Whether the user may do that."""
        raise NotImplementedError

    # -- what the node calls

    def attach(self, clock: Clock, offload: Offload) -> None:
        """Called once, by the registry."""
        self._clock = clock
        self._offload = offload

    def authenticate(self, credentials: Credentials, decided: Callable[[Verdict], None]) -> None:
        """Ask `login`."""
        self._offload.call(partial(self.login, credentials), self.time_limit_ms, partial(self._verdict, decided))

    def authorise(self, identity: Identity, peer: Peer, decided: Callable[[Verdict], None]) -> None:
        """Ask `recognise`."""
        function = partial(self.recognise, identity, peer)
        self._offload.call(function, self.time_limit_ms, partial(self._verdict, decided))

    def authority(self, identity: Identity, peer: Peer) -> BackendAuthority:
        """Asks `permits`."""
        return FetchedAuthority(self, identity, peer, self._clock, self._offload)

    def _verdict(self, decided: Callable[[Verdict], None], result: object) -> None:
        if isinstance(result, Identity):
            decided(result)
        elif result is None:
            decided(Refused("invalid credentials"))
        elif isinstance(result, Exception):
            decided(Refused(f"it {failure(result)}", failed=True))
        else:
            decided(Refused(f"it answered with a {type(result).__name__}, not an Identity or None", failed=True))


class FetchedAuthority(BackendAuthority):
    """What one login of an AsyncBackend's user may do, as far as it was asked. A failure refuses for a second."""

    def __init__(
        self, backend: AsyncBackend, identity: Identity, peer: Peer, clock: Clock, offload: Offload
    ) -> None:
        self._backend: Final = backend
        self._identity: Final = identity
        self._peer: Final = peer
        self._clock: Final = clock
        self._offload: Final = offload
        self._answers: Final[dict[tuple[str, ...], tuple[int, int]]] = {}  # question -> answer, and until when it holds
        self._waiting: Final[dict[tuple[str, ...], list[Callable[[], None]]]] = {}

    def hold_ms(self) -> int:
        """As long as the backend's answers are remembered here."""
        return self._backend.remember_ms

    def check(self, user: User, question: Question) -> int:
        """The answer, if it is remembered; else PENDING."""
        answer, until_ms = self._answers.get(_key(question), (PENDING, 0))
        return answer if until_ms > self._clock.now_ms else PENDING

    def fetch(self, user: User, question: Question, answered: Callable[[], None]) -> None:
        """Ask the backend, once for all who ask the same."""
        waiting = self._waiting.setdefault(_key(question), [])
        waiting.append(answered)
        if len(waiting) == 1:
            function = partial(self._backend.permits, self._identity, question, self._peer)
            self._offload.call(function, self._backend.time_limit_ms, partial(self._fetched, question))

    def renew(self, user: User, secret: bytes) -> bool:
        """Whether it makes no difference: what runs out cannot be renewed here."""
        return self._identity.valid_until_ms < 0

    def _fetched(self, question: Question, result: bool | Exception) -> None:
        hold_ms = max(self._backend.remember_ms, FORGET_FAILURE_MS)
        if isinstance(result, Exception):
            hold_ms = FORGET_FAILURE_MS
            what = f"{question.permission} access to {question.kind} '{question.name}' in " if question.name else ""
            log.error(
                "user '%s' is refused %svhost '%s': %s %s",
                self._identity.name,
                what,
                question.vhost,
                type(self._backend).__name__,
                failure(result),
            )
        if len(self._answers) >= ANSWERS_MAX:
            self._answers.clear()
        answer = ALLOWED if result is True else REFUSED
        self._answers[_key(question)] = (answer, self._clock.now_ms + hold_ms)
        for answered in self._waiting.pop(_key(question)):
            answered()


class Backends:
    """The registry: backends by name. Plugins get it in `register_auth_backends`."""

    def __init__(self, clock: Clock, offload: Offload) -> None:
        self._clock: Final = clock
        self._offload: Final = offload
        self._backends: Final[dict[str, Backend]] = {}

    def register(self, name: str, backend: Backend) -> None:
        """Add a backend. Raises ValueError for a name that is taken or has a `+`, which joins names in the setting."""
        if not name or "+" in name or "," in name:
            raise ValueError(f"'{name}' cannot be the name of a backend: it needs one without '+' and ','")
        if name in self._backends:
            raise ValueError(f"backend '{name}' is registered already")
        backend.attach(self._clock, self._offload)
        self._backends[name] = backend

    def find(self, name: str) -> Backend | None:
        """The backend of that name."""
        return self._backends.get(name)

    def names(self) -> list[str]:
        """The names, in the order of registration."""
        return list(self._backends)


def failure(error: Exception) -> str:
    """What went wrong with a backend, for the log: never the error's own text, which may hold a password."""
    if isinstance(error, TimeoutError):
        return "did not answer in time"
    if isinstance(error, Full):
        return "was asked too much at once"
    trace, place = error.__traceback__, ""
    while trace is not None:
        place = f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"failed: {type(error).__name__}{place}"


def _key(question: Question) -> tuple[str, ...]:
    return (question.kind, question.vhost, question.name, question.permission, question.routing_key)
