"""Backends that ask somebody else: what they must write, what is done for them, what becomes of their failures."""

import pytest

from amqpd.auth import backends as module
from amqpd.auth.backends import AsyncBackend, Backends, Credentials, Identity, Refused
from amqpd.broker.ports import ALLOWED, PENDING, REFUSED, Peer, Question, User

PEER = Peer("192.0.2.1", False)
ENTER = Question("vhost", "/")
READ = Question("queue", "/", "q", "read")


class Directory(AsyncBackend):
    """alice with the password "secret" may do whatever is in `allowed`."""

    def __init__(self, error=None):
        self.allowed = {("vhost", "/", "", "", ""), ("queue", "/", "q", "read", "")}
        self.error = error
        self.asked = []

    async def login(self, credentials):
        if self.error:
            raise self.error
        right = (credentials.name, credentials.password) == ("alice", b"secret")
        return Identity("alice", ["monitoring"], details="entry 7") if right else None

    async def permits(self, identity, question, peer):
        if self.error:
            raise self.error
        self.asked.append(question)
        assert (identity.name, identity.details, peer) == ("alice", "entry 7", PEER)
        key = (question.kind, question.vhost, question.name, question.permission, question.routing_key)
        return key in self.allowed


@pytest.fixture
def registry(clock, offload):
    return Backends(clock, offload)


@pytest.fixture
def directory(registry):
    directory = Directory()
    registry.register("directory", directory)
    return directory


@pytest.fixture
def authority(directory, offload):
    answers = []
    directory.authenticate(Credentials("alice", b"secret", PEER), answers.append)
    offload.run()
    return directory.authority(answers[0], PEER)


def check(authority, question):
    return authority.check(User("alice", frozenset(), authority), question)


def fetch(authority, question, answered):
    authority.fetch(User("alice", frozenset(), authority), question, answered)


# -- logins


def test_a_login_is_asked_beside_the_broker(directory, offload):
    answers = []
    directory.authenticate(Credentials("alice", b"secret", PEER), answers.append)
    assert answers == []
    (job,) = offload.jobs
    assert job.limit_ms == 5000
    offload.run()
    assert (answers[0].name, answers[0].tags) == ("alice", {"monitoring"})


def test_nobody_is_somebody_refused(directory, offload):
    answers = []
    directory.authenticate(Credentials("alice", b"guess", PEER), answers.append)
    offload.run()
    assert isinstance(answers[0], Refused)
    assert (answers[0].reason, answers[0].failed) == ("invalid credentials", False)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (TimeoutError(), "it did not answer in time"),
        (ValueError("GET /user?password=secret"), "it failed: ValueError at "),
        (RuntimeError(), "it failed: RuntimeError"),
        (ExceptionGroup("secret", [ValueError("secret")]), "it failed: ExceptionGroup"),
    ],
)
def test_what_goes_wrong_refuses_and_shows_no_password(directory, offload, error, reason):
    directory.error = error
    answers = []
    directory.authenticate(Credentials("alice", b"secret", PEER), answers.append)
    offload.run()
    assert answers[0].failed
    assert answers[0].reason.startswith(reason)
    assert "secret" not in answers[0].reason


@pytest.mark.parametrize(("answer", "what"), [(True, "bool"), ("secret", "str"), (["alice"], "list")])
def test_an_answer_that_is_no_identity_refuses(registry, offload, answer, what):
    class Odd(AsyncBackend):
        async def login(self, credentials):
            return answer

    odd, answers = Odd(), []
    registry.register("odd", odd)
    odd.authenticate(Credentials("alice", b"secret", PEER), answers.append)
    offload.run()
    assert answers[0].failed
    assert answers[0].reason == f"it answered with a {what}, not an Identity or None"


def test_where_too_much_waits_it_is_refused(directory, offload):
    answers = []
    directory.authenticate(Credentials("alice", b"secret", PEER), answers.append)
    offload.overflow()
    assert answers[0].failed
    assert answers[0].reason == "it was asked too much at once"


def test_without_a_word_it_knows_everybody_whom_another_one_knows(directory, offload):
    answers = []
    directory.authorise(Identity("bob", ["administrator"], details="other"), PEER, answers.append)
    offload.run()
    assert (answers[0].name, answers[0].tags, answers[0].details) == ("bob", frozenset(), "other")


def test_it_can_say_how_long_it_takes(clock, offload):
    class Patient(Directory):
        time_limit_ms = 60_000

    patient = Patient()
    Backends(clock, offload).register("patient", patient)
    patient.authenticate(Credentials("alice", b"secret", PEER), lambda verdict: None)
    assert offload.jobs[0].limit_ms == 60_000


# -- permissions


def test_an_answer_is_fetched_and_remembered_for_a_while(authority, directory, offload, clock):
    answered = []
    assert check(authority, ENTER) == PENDING
    fetch(authority, ENTER, lambda: answered.append(check(authority, ENTER)))
    assert answered == []
    offload.run()
    assert answered == [ALLOWED]
    clock.advance(14_999)
    assert check(authority, ENTER) == ALLOWED
    clock.advance(1)
    assert check(authority, ENTER) == PENDING
    assert len(directory.asked) == 1


@pytest.mark.parametrize(
    "question",
    [
        Question("vhost", "other"),
        Question("queue", "/", "q", "write"),
        Question("queue", "/", "p", "read"),
        Question("exchange", "/", "q", "read"),
        Question("topic", "/", "q", "read", "k"),
    ],
)
def test_every_part_of_a_question_counts(authority, offload, question):
    for one in (READ, question):
        fetch(authority, one, lambda: None)
        offload.run()
    assert check(authority, READ) == ALLOWED
    assert check(authority, question) == REFUSED


def test_who_asks_the_same_waits_for_one_answer(authority, directory, offload):
    answered = []
    fetch(authority, READ, lambda: answered.append(1))
    fetch(authority, READ, lambda: answered.append(2))
    fetch(authority, ENTER, lambda: answered.append(3))
    assert len(offload.jobs) == 2
    offload.run()
    assert answered == [1, 2, 3]


def test_a_failure_refuses_for_a_second_and_is_logged(authority, directory, offload, clock, caplog):
    directory.error = ValueError("secret")
    answered = []
    fetch(authority, READ, lambda: answered.append(check(authority, READ)))
    fetch(authority, ENTER, lambda: answered.append(check(authority, ENTER)))
    offload.run()
    assert answered == [REFUSED, REFUSED]
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0].startswith("user 'alice' is refused read access to queue 'q' in vhost '/': Directory failed: Val")
    assert lines[1].startswith("user 'alice' is refused vhost '/': Directory failed: ValueError at ")
    assert "secret" not in caplog.text
    directory.error = None
    clock.advance(1000)
    assert check(authority, READ) == PENDING
    fetch(authority, READ, lambda: None)
    offload.run()
    assert check(authority, READ) == ALLOWED


@pytest.mark.parametrize("answer", ["yes", 1, None, {}])
def test_only_true_is_true(clock, offload, answer):
    class Vague(Directory):
        async def permits(self, identity, question, peer):
            return answer

    vague = Vague()
    Backends(clock, offload).register("vague", vague)
    authority = vague.authority(Identity("alice"), PEER)
    fetch(authority, ENTER, lambda: None)
    offload.run()
    assert check(authority, ENTER) == REFUSED


def test_an_answer_that_is_not_to_be_remembered_is_long_enough_to_be_heard(clock, offload):
    class Forgetful(Directory):
        remember_ms = 0

    forgetful = Forgetful()
    Backends(clock, offload).register("forgetful", forgetful)
    authority = forgetful.authority(Identity("alice", details="entry 7"), PEER)
    heard = []
    fetch(authority, ENTER, lambda: heard.append(check(authority, ENTER)))
    offload.run()
    assert heard == [ALLOWED]


def test_no_more_answers_are_remembered_than_that(authority, offload, monkeypatch):
    monkeypatch.setattr(module, "ANSWERS_MAX", 3)
    for number in range(10):
        heard = []
        question = Question("queue", "/", str(number), "read")
        fetch(authority, question, lambda question=question, heard=heard: heard.append(check(authority, question)))
        offload.run()
        assert heard == [REFUSED]
        assert len(authority._answers) <= 3


def test_another_login_asks_anew(authority, directory, offload):
    fetch(authority, READ, lambda: None)
    offload.run()
    assert check(directory.authority(Identity("alice"), PEER), READ) == PENDING


def test_what_never_runs_out_takes_any_secret_and_what_does_none(directory):
    forever = directory.authority(Identity("alice"), PEER)
    until = directory.authority(Identity("alice", valid_until_ms=10**12), PEER)
    user = User("alice", frozenset(), forever)
    assert forever.renew(user, b"new")
    assert not until.renew(user, b"new")


# -- the registry


def test_names_are_unique_and_can_stand_in_the_setting(registry, directory):
    assert registry.find("directory") is directory
    assert registry.find("nobody") is None
    assert registry.names() == ["directory"]
    with pytest.raises(ValueError, match="backend 'directory' is registered already"):
        registry.register("directory", Directory())
    for name in ("", "a+b", "a,b"):
        with pytest.raises(ValueError, match="cannot be the name of a backend"):
            registry.register(name, Directory())
