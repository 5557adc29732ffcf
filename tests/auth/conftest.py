"""The outside of `amqpd.auth`: a clock that is moved by hand, an offload that runs what it got when it is told to."""

import os
from queue import Full

import pytest

from amqpd.auth import passwords
from amqpd.auth.accounts import Accounts
from amqpd.auth.authenticator import ChainAuthenticator
from amqpd.auth.backends import Backends, Credentials
from amqpd.auth.internal import InternalBackend
from amqpd.broker import commands as c
from amqpd.broker.ports import LoginRefused, Peer, User
from amqpd.broker.timers import Timers
from amqpd.config import Settings

ELSEWHERE = Peer("192.0.2.1", False)
HERE = Peer("127.0.0.1", True)


class Clock:
    def __init__(self):
        self.now_ms = 1_000_000
        self.timers = Timers()

    def advance(self, ms):
        self.now_ms += ms
        self.timers.run(self.now_ms)


class Job:
    """One call of an offload. `limit_ms` is None for threads."""

    def __init__(self, function, limit_ms, done):
        self.function = function
        self.limit_ms = limit_ms
        self._done = done

    def finish(self, result):
        self._done(result)

    def run(self):
        """In a thread, or an async function that does not wait."""
        try:
            result = self.function()
            if self.limit_ms is not None:
                result = finished(result)
        except Exception as error:
            result = error
        self._done(result)


def finished(coroutine):
    """The result of an async function that does not wait for anything."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it waits")


class Offload:
    def __init__(self):
        self.jobs = []

    def thread(self, function, done):
        self.jobs.append(Job(function, None, done))

    def call(self, function, limit_ms, done):
        self.jobs.append(Job(function, limit_ms, done))

    def run(self):
        """Run everything, and what that causes; returns how much it was."""
        count = 0
        while self.jobs:
            self.jobs.pop(0).run()
            count += 1
        return count

    def overflow(self):
        """Have everything find the queue full."""
        while self.jobs:
            self.jobs.pop(0).finish(Full())


class Attempt:
    """A login as a connection makes one. `result` is a User, a LoginRefused, or None as long as it waits."""

    def __init__(self, mechanism, response, peer=HERE):
        self.mechanism = mechanism
        self.response = response
        self.peer = peer
        self.result = None

    def succeed(self, user):
        assert self.result is None
        assert isinstance(user, User)
        self.result = user

    def refuse(self, refusal):
        assert self.result is None
        assert isinstance(refusal, LoginRefused)
        self.result = refusal

    @property
    def reason(self):
        assert isinstance(self.result, LoginRefused), self.result
        return self.result.reason


class World:
    """An authenticator with everything around it. Passwords are hashed with SHA-256 unless a test says otherwise."""

    def __init__(self, **given):
        self.clock = Clock()
        self.offload = Offload()
        self.vhosts = {"/", "other"}
        self.accounts = Accounts(self.vhosts)
        self.backends = Backends(self.clock, self.offload)
        self.internal = InternalBackend(self.accounts, os.urandom)
        self.backends.register("internal", self.internal)
        self.authenticator = ChainAuthenticator(self.accounts, self.backends, self.internal, self.clock)
        self.given = {"password_hashing": "sha256", "login_delay_after": 0}
        if given is not None:
            self.configure(**given)

    def configure(self, **given):
        self.given.update({name.replace("__", "."): value for name, value in given.items()})
        self.authenticator.configure(Settings(self.given))

    def put_user(self, name, password, tags=(), algorithm=c.SHA256):
        hashed = passwords.hash_password(password.encode(), algorithm, os.urandom) if password else ""
        self.accounts.apply(c.PutUser(name, hashed, algorithm, tuple(tags)))

    def login(self, name, password, peer=HERE):
        """A PLAIN login, run to where it waits for something."""
        return self.attempt("PLAIN", f"\0{name}\0{password}".encode(), peer)

    def try_login(self, name, password):
        """What an operator does."""
        attempt = Attempt("PLAIN", b"", HERE)
        self.authenticator.ask(attempt, Credentials(name, password.encode(), HERE), counted=False)
        return attempt

    def attempt(self, mechanism, response, peer=HERE):
        attempt = Attempt(mechanism, response, peer)
        self.authenticator.login(attempt)
        return attempt


@pytest.fixture
def world():
    return World()


@pytest.fixture
def elsewhere():
    return ELSEWHERE


@pytest.fixture
def offload():
    return Offload()


@pytest.fixture
def clock():
    return Clock()
