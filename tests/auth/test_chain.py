"""The chain: who is asked, in which order, who wins, and what becomes of backends that fail."""

import pytest

from amqpd.auth.backends import Backend, BackendAuthority, Credentials, Identity, Refused
from amqpd.auth.chain import Admission, AllOf, Asking, links_from
from amqpd.broker.ports import ALLOWED, PENDING, REFUSED, Peer, Question, User
from amqpd.errors import ConfigError

PEER = Peer("192.0.2.1", False)
VHOST = Question("vhost", "/")


class Says(BackendAuthority):
    """An authority that gives one answer. While it is PENDING, fetching turns it into `then`."""

    def __init__(self, answer, then=ALLOWED, renews=True):
        self.answer = answer
        self.then = then
        self.renews = renews
        self.waiting = []

    def check(self, user, question):
        return self.answer

    def fetch(self, user, question, answered):
        self.waiting.append(answered)

    def finish(self):
        self.answer = self.then
        for answered in self.waiting:
            answered()

    def renew(self, user, secret):
        return self.renews


class Fake(Backend):
    """Knows `users`, by name, with tags. Says later what it says when `later` is a list."""

    def __init__(self, users, authority=None, later=None, valid_until_ms=-1):
        self.users = users
        self.said = Says(ALLOWED) if authority is None else authority
        self.later = later
        self.valid_until_ms = valid_until_ms
        self.asked = []

    def authenticate(self, credentials, decided):
        self.asked.append(("authenticate", credentials.name))
        self.answer(credentials.name, decided)

    def authorise(self, identity, peer, decided):
        assert peer is PEER
        self.asked.append(("authorise", identity.name))
        self.answer(identity.name, decided)

    def answer(self, name, decided):
        known = name in self.users
        verdict = Identity(name, self.users[name], self.valid_until_ms) if known else Refused("invalid credentials")
        if self.later is None:
            decided(verdict)
        else:
            self.later.append(lambda: decided(verdict))

    def authority(self, identity, peer):
        assert identity.name in self.users
        return self.said


class Broken(Fake):
    def answer(self, name, decided):
        raise RuntimeError("the password was 'secret'")


@pytest.fixture
def ask(world):
    """Ask a chain of those backends; returns the list that the decision will be in."""

    def ask(chain, **backends):
        for name, backend in backends.items():
            world.backends.register(name, backend)
        decisions = []
        credentials = Credentials("alice", b"secret", PEER)
        Asking(links_from(chain, world.backends), credentials, decisions.append).start()
        return decisions

    return ask


def admitted(decisions):
    (decision,) = decisions
    assert isinstance(decision, Admission), decision.reason
    return decision


def refused(decisions):
    (decision,) = decisions
    assert isinstance(decision, Refused)
    return decision


def test_the_first_that_accepts_wins(ask):
    one, two, three = Fake({}), Fake({"alice": ["a"]}), Fake({"alice": ["b"]})
    admission = admitted(ask(["one", "two", "three"], one=one, two=two, three=three))
    assert admission.identity.tags == {"a"}
    assert admission.authority is two.said
    assert one.asked == two.asked == [("authenticate", "alice")]
    assert three.asked == []


def test_nobody_knows_the_user(ask):
    refusal = refused(ask(["one", "two"], one=Fake({}), two=Fake({})))
    assert refusal.reason == "one: invalid credentials; two: invalid credentials"
    assert not refusal.failed


def test_a_single_backends_reason_stands_alone(ask):
    assert refused(ask(["one"], one=Fake({}))).reason == "invalid credentials"


def test_one_says_who_it_is_and_another_what_it_may(ask):
    one, two = Fake({"alice": ["a"]}), Fake({"alice": ["b"]})
    admission = admitted(ask(["one+two"], one=one, two=two))
    assert admission.identity.tags == {"a", "b"}
    assert admission.authority is two.said
    assert two.asked == [("authorise", "alice")]


def test_whoever_authorises_must_know_the_user(ask):
    one, two, three = Fake({"alice": []}), Fake({}), Fake({"alice": []})
    assert refused(ask(["one+two"], one=one, two=two)).reason == "invalid credentials"
    assert admitted(ask(["one+two", "three"], three=three)).authority is three.said


def test_several_that_authorise_must_all_allow(ask):
    one, two, three = Fake({"alice": []}), Fake({"alice": ["x"]}), Fake({"alice": ["y"]}, Says(REFUSED))
    admission = admitted(ask(["one+two+three"], one=one, two=two, three=three))
    assert admission.identity.tags == {"x", "y"}
    assert admission.authority.check(None, VHOST) == REFUSED
    three.said.answer = ALLOWED
    assert admission.authority.check(None, VHOST) == ALLOWED


def test_it_need_not_be_now(ask):
    later = []
    decisions = ask(["one", "two+three"], one=Fake({}, later=later), two=Fake({"alice": []}, later=later),
                    three=Fake({"alice": []}, later=later))  # fmt: skip
    for _ in range(3):
        assert decisions == []
        later.pop()()
    assert admitted(decisions)


def test_who_answers_twice_is_heard_once(ask):
    later = []
    decisions = ask(["one", "two"], one=Fake({}, later=later), two=Fake({"alice": []}, later=later))
    first = later.pop()
    first()
    first()
    assert decisions == []
    later[0]()
    later[0]()
    assert admitted(decisions)


def test_a_backend_that_raises_refuses_and_the_next_is_asked(ask, caplog):
    assert admitted(ask(["one", "two"], one=Broken({}), two=Fake({"alice": []})))
    (record,) = caplog.records
    assert "backend one refuses user 'alice': it failed: RuntimeError at " in record.getMessage()
    assert "test_chain.py" in record.getMessage()
    assert "secret" not in caplog.text


def test_where_a_backend_failed_it_is_not_said_that_the_login_was_bad(ask):
    refusal = refused(ask(["one", "two"], one=Broken({}), two=Fake({})))
    assert refusal.failed
    assert refusal.reason.endswith("; two: invalid credentials")
    assert "secret" not in refusal.reason


def test_what_fails_after_the_answer_is_no_fault_of_the_backend(world):
    def decided(decision):
        raise ZeroDivisionError

    world.backends.register("one", Fake({"alice": []}))
    asking = Asking(links_from(["one"], world.backends), Credentials("alice", b"", PEER), decided)
    with pytest.raises(ZeroDivisionError):
        asking.start()


def test_credentials_run_out_when_the_first_of_those_that_authorise_says(ask):
    one = Fake({"alice": []}, valid_until_ms=10)
    two, three, four = (Fake({"alice": []}, valid_until_ms=until) for until in (30, 20, -1))
    assert admitted(ask(["one"], one=one)).identity.valid_until_ms == 10
    assert admitted(ask(["one+two+three+four"], two=two, three=three, four=four)).identity.valid_until_ms == 20
    assert admitted(ask(["one+four"])).identity.valid_until_ms == -1


@pytest.mark.parametrize("chain", [["internal", "nobody"], ["internal+nobody"], ["nobody+internal"], [""], ["+"]])
def test_a_chain_with_an_unknown_name_is_refused(world, chain):
    with pytest.raises(ConfigError, match=r"auth_backends: there is no backend '(nobody)?' \(in '.*'\); there are int"):
        links_from(chain, world.backends)


def test_space_around_the_plus_is_no_part_of_the_names(world):
    (link,) = links_from(["internal + internal"], world.backends)
    assert link.authorise == [world.internal]


@pytest.mark.parametrize(
    ("answers", "together"),
    [
        ((ALLOWED, ALLOWED), ALLOWED),
        ((ALLOWED, PENDING), PENDING),
        ((PENDING, ALLOWED), PENDING),
        ((PENDING, REFUSED), REFUSED),
        ((ALLOWED, REFUSED), REFUSED),
    ],
)
def test_all_of_several(answers, together):
    authority = AllOf([Says(answer) for answer in answers])
    assert authority.check(None, VHOST) == together


def test_all_that_pend_are_fetched_before_it_is_answered():
    pending, known, other = Says(PENDING), Says(ALLOWED), Says(PENDING, REFUSED)
    authority = AllOf([pending, known, other])
    answered = []
    user = User("alice", frozenset(), authority)
    authority.fetch(user, VHOST, lambda: answered.append(authority.check(user, VHOST)))
    pending.finish()
    assert answered == []
    other.finish()
    assert answered == [REFUSED]
    assert known.waiting == []


def test_a_new_secret_must_please_all():
    assert AllOf([Says(ALLOWED), Says(ALLOWED)]).renew(None, b"")
    assert not AllOf([Says(ALLOWED), Says(ALLOWED, renews=False)]).renew(None, b"")
