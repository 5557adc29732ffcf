"""The node's own backend: who a password proves, what that costs, and what is remembered of it."""

import pytest

from amqpd.auth import internal, passwords
from amqpd.auth.backends import Credentials, Identity, Refused
from amqpd.broker import commands as c
from amqpd.broker.commands import ARGON2, SHA256, SHA512
from amqpd.broker.ports import Peer

PEER = Peer("127.0.0.1", True)


@pytest.fixture
def verified(monkeypatch):
    """argon2 that costs nothing: the hash of "x" is "hash of x". Lists the passwords that were looked at."""
    seen = []

    def verify(password, hashed, algorithm):
        seen.append(password)
        return hashed == "hash of " + password.decode("utf-8", "surrogateescape")

    monkeypatch.setattr(passwords, "verify_password", verify)
    return seen


def put(world, name, password, algorithm=ARGON2, tags=()):
    world.accounts.apply(c.PutUser(name, f"hash of {password}" if password else "", algorithm, tuple(tags)))


def ask(world, name, password):
    """What the backend says: a list that is empty as long as it says nothing."""
    answers = []
    raw = None if password is None else password.encode("utf-8", "surrogateescape")
    world.internal.authenticate(Credentials(name, raw, PEER), answers.append)
    return answers


def right(answers, name="alice"):
    (answer,) = answers
    return isinstance(answer, Identity) and answer.name == name


def wrong(answers):
    (answer,) = answers
    return isinstance(answer, Refused) and (answer.reason, answer.failed) == ("invalid credentials", False)


def test_a_password_hashed_with_sha_is_checked_at_once(world):
    world.put_user("alice", "secret", ["monitoring"], SHA512)
    (identity,) = ask(world, "alice", "secret")
    assert (identity.name, identity.tags, identity.valid_until_ms) == ("alice", {"monitoring"}, -1)
    assert wrong(ask(world, "alice", "Secret"))
    assert world.offload.jobs == []


def test_argon2_is_checked_in_a_thread(world):
    world.put_user("alice", "secret", algorithm=ARGON2)
    good, bad = ask(world, "alice", "secret"), ask(world, "alice", "other")
    assert good == bad == []
    assert [job.limit_ms for job in world.offload.jobs] == [None, None]
    world.offload.run()
    assert right(good)
    assert wrong(bad)


def test_a_password_that_was_right_is_remembered(world, verified):
    put(world, "alice", "secret")
    ask(world, "alice", "secret")
    world.offload.run()
    assert right(ask(world, "alice", "secret"))
    assert world.offload.jobs == []
    assert verified == [b"secret"]


def test_a_password_that_was_wrong_is_not(world, verified):
    put(world, "alice", "secret")
    for _ in range(2):
        answers = ask(world, "alice", "other")
        world.offload.run()
        assert wrong(answers)
    assert verified == [b"other", b"other"]


def test_a_new_password_is_proven_anew(world, verified):
    put(world, "alice", "secret")
    ask(world, "alice", "secret")
    world.offload.run()
    put(world, "alice", "new")
    answers = ask(world, "alice", "secret")
    world.offload.run()
    assert wrong(answers)
    answers = ask(world, "alice", "new")
    assert world.offload.run() == 1
    assert right(answers)
    assert right(ask(world, "alice", "new"))


def test_new_tags_leave_the_password_proven(world, verified):
    put(world, "alice", "secret")
    ask(world, "alice", "secret")
    world.offload.run()
    put(world, "alice", "secret", tags=["policymaker"])
    (identity,) = ask(world, "alice", "secret")
    assert identity.tags == {"policymaker"}


def test_what_one_user_proved_proves_nothing_of_another(world, verified):
    put(world, "alice", "secret")
    put(world, "bob", "secret")
    ask(world, "alice", "secret")
    world.offload.run()
    answers = ask(world, "bob", "secret")
    assert answers == []
    world.offload.run()
    assert right(answers, "bob")


def test_a_user_made_again_has_proven_nothing(world, verified):
    put(world, "alice", "secret")
    ask(world, "alice", "secret")
    world.offload.run()
    world.accounts.apply(c.DeleteUser("alice"))
    put(world, "alice", "secret")
    assert ask(world, "alice", "secret") == []


def test_a_password_is_nowhere_in_what_is_remembered(world, verified):
    put(world, "alice", "secret")
    answers = ask(world, "alice", "secret")
    assert "secret" not in repr(world.offload.jobs[0].function)
    world.offload.run()
    assert right(answers)
    proof = world.accounts.find("alice").proof
    assert b"secret" not in proof
    assert len(proof) == 64
    assert "secret" not in repr(Credentials("alice", b"secret", PEER))


def test_two_nodes_remember_it_differently(world, verified):
    other = internal.InternalBackend(world.accounts, lambda size: bytes(size))
    other.attach(world.clock, world.offload)
    put(world, "alice", "secret")
    ask(world, "alice", "secret")
    world.offload.run()
    answers = []
    other.authenticate(Credentials("alice", b"secret", PEER), answers.append)
    assert answers == []


def test_logins_with_the_same_credentials_wait_for_one_hash(world, verified):
    put(world, "alice", "secret")
    world.internal.configure(ARGON2)
    good = [ask(world, "alice", "secret") for _ in range(50)]
    bad = [ask(world, "alice", "other") for _ in range(50)]
    unknown = [ask(world, "carol", "other") for _ in range(50)]
    assert world.offload.run() == 3
    assert all(right(answers) for answers in good)
    assert all(wrong(answers) for answers in bad + unknown)
    assert verified == [b"secret", b"other", b"other"]


@pytest.mark.parametrize("algorithm", [ARGON2, SHA256])
def test_an_unknown_user_costs_what_a_wrong_password_costs(world, verified, algorithm):
    put(world, "alice", "secret", algorithm)
    put(world, "no-password", "", algorithm)
    world.internal.configure(algorithm)
    jobs = []
    for name in ("alice", "nobody", "no-password"):
        answers = ask(world, name, "other")
        jobs.append(world.offload.run())
        assert wrong(answers)
    assert jobs == ([1, 1, 1] if algorithm == ARGON2 else [0, 0, 0])
    assert verified == [b"other"] * 3


def test_a_blank_password_is_refused_unseen(world, verified):
    put(world, "alice", "")
    for name in ("alice", "nobody"):
        (answer,) = ask(world, name, "")
        assert isinstance(answer, Refused)
        assert "blank password" in answer.reason
    assert verified == []


def test_who_was_proven_by_other_means_must_only_be_there(world):
    put(world, "alice", "", tags=["management"])
    (identity,) = ask(world, "alice", None)
    assert identity.tags == {"management"}
    assert wrong(ask(world, "carol", None))
    answers = []
    world.internal.authorise(Identity("alice", ["ignored"]), PEER, answers.append)
    world.internal.authorise(Identity("carol"), PEER, answers.append)
    assert right(answers[:1])
    assert wrong(answers[1:])


@pytest.mark.parametrize("meanwhile", [c.DeleteUser("alice"), c.PutUser("alice", "hash of new", ARGON2)])
def test_an_answer_for_what_is_no_more_does_not_count(world, verified, meanwhile):
    put(world, "alice", "secret")
    answers = ask(world, "alice", "secret")
    world.accounts.apply(meanwhile)
    world.offload.run()
    assert wrong(answers)
    answers = ask(world, "alice", "secret")
    world.offload.run()
    assert wrong(answers)


def test_a_password_that_could_not_be_checked_is_no_wrong_one(world, verified):
    put(world, "alice", "secret")
    answers = ask(world, "alice", "secret")
    world.offload.overflow()
    (answer,) = answers
    assert answer.failed
    assert answer.reason == "hashing the password was asked too much at once"
    answers = ask(world, "alice", "secret")
    world.offload.run()
    assert right(answers)


def test_so_many_logins_wait_and_no_more(world, verified, monkeypatch):
    monkeypatch.setattr(internal, "LOGINS_MAX", 2)
    put(world, "alice", "secret")
    world.internal.configure(ARGON2)
    waiting = [ask(world, "alice", "secret"), ask(world, "bob", "x")]
    (answer,) = ask(world, "alice", "secret")
    assert answer.failed
    assert "2 logins wait" in answer.reason
    world.offload.run()
    assert right(waiting[0])
    answers = ask(world, "bob", "x")
    world.offload.run()
    assert wrong(answers)


def test_names_and_passwords_are_not_mixed_up(world, verified):
    """The parts of the digest are told apart: `a` with `bc` is not `ab` with `c`."""
    proofs = {
        world.internal._proof(name, password, hashed)
        for name, hashed, password in [
            ("a", "h", b"bc"),
            ("ab", "h", b"c"),
            ("a", "hb", b"c"),
            ("", "ah", b"bc"),
            ("\udcff", "h", b"bc"),
        ]
    }
    assert len(proofs) == 5


def test_who_guesses_much_from_elsewhere_keeps_nobody_waiting(world, verified):
    put(world, "alice", "secret")
    guesser, guesses = Peer("192.0.2.1", False), []
    for number in range(1000):
        world.internal.authenticate(Credentials("alice", b"guess %d" % number, guesser), guesses.append)
    assert {answer.reason for answer in guesses} == {"hashing the password was asked too much at once"}
    refused = len(guesses)
    alice = ask(world, "alice", "secret")
    for _ in range(4):
        world.offload.jobs.pop(0).run()
    assert right(alice)
    assert len(guesses) - refused <= 3
    world.offload.run()
    assert len(guesses) == 1000
