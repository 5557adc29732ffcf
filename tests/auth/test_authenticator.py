"""Logins from the mechanism's response to the user: mechanisms, loopback users, certificates, delays, limits."""

import pytest
from harness import encode_table

from amqpd.auth import authenticator as module
from amqpd.auth.backends import Backend, BackendAuthority, Identity
from amqpd.broker import commands as c
from amqpd.broker.commands import ARGON2
from amqpd.broker.ports import ALLOWED, Authority, Certificate, LoginRefused, Peer, Question, User
from amqpd.errors import ConfigError, HandshakeFailure

HERE = Peer("127.0.0.1", True)
THERE = Peer("192.0.2.1", False)
CERTIFIED = Peer("192.0.2.1", False, "TLSv1.3", Certificate("CN=alice,O=Example", "alice", [("dns", "a.example")]))


@pytest.fixture
def users(world):
    world.put_user("guest", "guest", ["administrator"])
    world.put_user("alice", "pässword")
    return world


# -- mechanisms


def test_the_offer_is_the_settings(world):
    assert world.authenticator.mechanisms(HERE) == ["PLAIN", "AMQPLAIN"]
    world.configure(auth_mechanisms=["AMQPLAIN", "EXTERNAL", "PLAIN"])
    assert world.authenticator.mechanisms(HERE) == ["AMQPLAIN", "PLAIN"]
    assert world.authenticator.mechanisms(CERTIFIED) == ["AMQPLAIN", "EXTERNAL", "PLAIN"]


def test_anonymous_needs_a_user(world):
    world.configure(auth_mechanisms=["PLAIN", "ANONYMOUS"])
    assert world.authenticator.mechanisms(HERE) == ["PLAIN"]
    world.configure(anonymous_login_user="guest")
    assert world.authenticator.mechanisms(HERE) == ["PLAIN", "ANONYMOUS"]


@pytest.mark.parametrize("mechanism", ["ANONYMOUS", "EXTERNAL", "plain", "RABBIT-CR-DEMO", ""])
@pytest.mark.parametrize("peer", [HERE, CERTIFIED])
def test_what_is_not_offered_is_refused(users, mechanism, peer):
    with pytest.raises(HandshakeFailure, match=f"unknown authentication mechanism '{mechanism}'"):
        users.attempt(mechanism, b"\0guest\0guest", peer)


def test_a_response_without_the_form_is_no_login(users):
    with pytest.raises(HandshakeFailure):
        users.attempt("PLAIN", b"guest")
    with pytest.raises(HandshakeFailure):
        users.attempt("AMQPLAIN", b"\0guest\0guest")


# -- passwords


def test_a_good_password_gives_the_user(users):
    user = users.login("guest", "guest").result
    assert (user.name, user.tags, user.valid_until_ms) == ("guest", {"administrator"}, -1)
    assert user.peer.from_loopback
    response = encode_table({"LOGIN": "alice", "PASSWORD": "pässword"})[4:]
    assert users.attempt("AMQPLAIN", response).result.name == "alice"


@pytest.mark.parametrize("credentials", [("guest", "Guest"), ("nobody", "guest"), ("", "x"), ("alice", "guest")])
def test_other_passwords_and_users_are_refused_alike(users, credentials):
    refused = users.login(*credentials).result
    assert isinstance(refused, LoginRefused)
    assert (refused.user, refused.reason) == (credentials[0], "invalid credentials")


def test_no_password_is_shown_when_it_is_refused(users, caplog):
    caplog.set_level("DEBUG")
    attempt = users.login("guest", "s3cr3t")
    assert "s3cr3t" not in caplog.text + repr(attempt.result) + str(vars(attempt.result))


def test_loopback_users_must_come_from_this_machine(users):
    assert users.login("guest", "guest", THERE).reason == "can only connect via localhost"
    assert users.login("guest", "guest", Peer("", True)).result.name == "guest"
    assert users.login("alice", "pässword", THERE).result.name == "alice"
    users.configure(loopback_users=["alice"])
    assert users.login("guest", "guest", THERE).result.name == "guest"
    assert users.login("alice", "pässword", THERE).reason == "can only connect via localhost"


def test_a_wrong_password_from_elsewhere_is_told_nothing_more(users):
    assert users.login("guest", "wrong", THERE).reason == "invalid credentials"


def test_slow_hashes_answer_later(users):
    users.put_user("bob", "secret", algorithm=ARGON2)
    attempt = users.login("bob", "secret")
    assert attempt.result is None
    users.offload.run()
    assert attempt.result.name == "bob"
    assert users.login("bob", "secret").result.name == "bob"


def test_limits_are_the_live_table_of_the_account(users):
    user = users.login("alice", "pässword").result
    users.accounts.apply(c.PutUserLimit("alice", "max-channels", 7))
    assert user.limits == {"max-channels": 7}


def test_the_users_authority_follows_the_tables(users):
    user = users.login("alice", "pässword").result
    question = Question("vhost", "/")
    assert user.authority.check(user, question) != ALLOWED
    users.accounts.apply(c.PutPermission("alice", "/", "", "", ""))
    assert user.authority.check(user, question) == ALLOWED


def test_a_new_secret_is_taken_and_ignored(users):
    user = users.login("guest", "guest").result
    assert users.authenticator.renew(user, b"anything")
    assert users.login("guest", "guest").result.name == "guest"


# -- certificates, and nobody


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"ssl_cert_login_from": "common_name"}, "alice"),
        ({}, "CN=alice,O=Example"),
        ({"ssl_cert_login_from": "subject_alternative_name"}, "a.example"),
    ],
)
def test_a_certificate_is_as_good_as_a_password(world, settings, name):
    world.configure(auth_mechanisms=["EXTERNAL"], **settings)
    refused = world.attempt("EXTERNAL", b"", CERTIFIED).result
    assert (refused.user, refused.reason) == (name, "invalid credentials")
    world.put_user(name, "")
    assert world.attempt("EXTERNAL", b"\0ignored\0", CERTIFIED).result.name == name


def test_a_user_for_certificates_has_no_password_to_guess(world):
    world.put_user("alice", "")
    assert "blank password" in world.login("alice", "").reason
    assert world.login("alice", "x").reason == "invalid credentials"


def test_a_certificate_without_a_name_is_refused(world):
    world.configure(auth_mechanisms=["EXTERNAL"], ssl_cert_login_from="subject_alternative_name")
    world.configure(ssl_cert_login_san_type="email", ssl_cert_login_san_index=1)
    refused = world.attempt("EXTERNAL", b"", CERTIFIED).result
    assert refused.reason == "no name found in the certificate's subject_alternative_name (email)"
    nameless = Peer("192.0.2.1", False, "TLSv1.3", Certificate("", "", []))
    world.configure(ssl_cert_login_from="common_name")
    world.put_user("x", "")
    assert world.attempt("EXTERNAL", b"", nameless).reason == "no name found in the certificate's common_name"


def test_anonymous_clients_are_the_user_that_is_set(users):
    users.configure(auth_mechanisms=["ANONYMOUS"], anonymous_login_user="alice")
    assert users.attempt("ANONYMOUS", b"trace", THERE).result.name == "alice"
    users.configure(anonymous_login_user="guest")
    assert users.attempt("ANONYMOUS", b"", THERE).reason == "can only connect via localhost"
    assert users.attempt("ANONYMOUS", b"", HERE).result.name == "guest"
    users.configure(anonymous_login_user="nobody")
    assert users.attempt("ANONYMOUS", b"", HERE).reason == "invalid credentials"


# -- other backends


class Token(BackendAuthority):
    """Allows everything until the token runs out, which a new one moves."""

    def check(self, user, question):
        return ALLOWED

    def renew(self, user, secret):
        if secret.isdigit():
            user.valid_until_ms = int(secret)
        return secret.isdigit()


class Tokens(Backend):
    """The password is the time at which it runs out."""

    def authenticate(self, credentials, decided):
        decided(Identity(credentials.name, ["management"], int(credentials.password)))

    def authority(self, identity, peer):
        return Token()


def test_another_backends_user(users):
    users.backends.register("tokens", Tokens())
    users.configure(auth_backends=["internal", "tokens"])
    user = users.login("carol", "12345", THERE).result
    assert (user.name, user.tags, user.valid_until_ms, user.limits) == ("carol", {"management"}, 12345, {})
    assert users.authenticator.renew(user, b"23456")
    assert user.valid_until_ms == 23456
    assert not users.authenticator.renew(user, b"nonsense")
    assert users.login("guest", "guest").result.tags == {"administrator"}


def test_limits_are_the_nodes_whoever_knows_the_user(users):
    users.backends.register("tokens", Tokens())
    users.configure(auth_backends=["tokens"])
    users.accounts.apply(c.PutUserLimit("alice", "max-connections", 1))
    assert users.login("alice", "1").result.limits == {"max-connections": 1}


def test_loopback_users_are_loopback_users_with_any_backend(users):
    users.backends.register("tokens", Tokens())
    users.configure(auth_backends=["tokens"])
    assert users.login("guest", "1", THERE).reason == "can only connect via localhost"


def test_an_authority_that_knows_nothing_of_secrets_takes_any(users):
    assert users.authenticator.renew(User("x", frozenset(), Authority()), b"x")


def test_an_unknown_backend_changes_nothing(users):
    with pytest.raises(ConfigError, match="there is no backend 'ldap'"):
        users.configure(auth_backends=["ldap"], loopback_users=[])
    assert users.login("guest", "guest").result.name == "guest"
    assert users.login("guest", "guest", THERE).reason == "can only connect via localhost"


# -- delays


@pytest.fixture
def slowed(users):
    """Three failures from THERE have slowed what comes from there."""
    users.configure(login_delay_after=3, login_delay_max=1000)
    for _ in range(3):
        assert users.login("alice", "wrong", THERE).reason == "invalid credentials"
    return users


def test_after_some_failures_good_and_bad_logins_are_answered_late(slowed):
    good, bad = slowed.login("alice", "pässword", THERE), slowed.login("alice", "wrong", THERE)
    assert good.result is bad.result is None
    slowed.clock.advance(249)
    assert good.result is bad.result is None
    slowed.clock.advance(1)
    assert good.result.name == "alice"
    assert bad.reason == "invalid credentials"


def test_the_pause_grows_to_its_limit(slowed):
    for pause_ms in (250, 500, 1000, 1000):
        attempt = slowed.login("bob", "wrong", THERE)
        slowed.clock.advance(pause_ms - 1)
        assert attempt.result is None
        slowed.clock.advance(1)
        assert attempt.reason == "invalid credentials"


def test_others_do_not_wait(slowed):
    assert slowed.login("alice", "pässword", Peer("192.0.2.2", False)).result.name == "alice"


def test_loopback_waits_like_anybody(users):
    users.configure(login_delay_after=1)
    users.login("alice", "wrong", HERE)
    assert users.login("guest", "guest", HERE).result is None


def test_a_certificate_waits_as_well(slowed):
    slowed.configure(auth_mechanisms=["EXTERNAL"])
    attempt = slowed.attempt("EXTERNAL", b"", CERTIFIED)
    assert attempt.result is None
    slowed.clock.advance(250)
    assert isinstance(attempt.result, LoginRefused)


@pytest.mark.parametrize("name", ["DELAYED_MAX", "DELAYED_FROM_ONE"])
def test_no_more_than_that_wait(slowed, monkeypatch, name):
    monkeypatch.setattr(module, name, 2)
    waiting = [slowed.login("alice", "pässword", THERE) for _ in range(2)]
    refused = slowed.login("alice", "pässword", THERE)
    assert refused.reason == "many logins from there have failed, and too many wait already"
    slowed.clock.advance(250)
    assert [attempt.result.name for attempt in waiting] == ["alice", "alice"]
    assert not slowed.authenticator.delayed
    assert slowed.login("alice", "pässword", THERE).result.name == "alice"  # her failures were taken back


def test_who_makes_many_wait_leaves_others_their_room(slowed, monkeypatch):
    monkeypatch.setattr(module, "DELAYED_FROM_ONE", 2)
    other = Peer("192.0.2.2", False)
    for _ in range(3):
        slowed.login("bob", "wrong", other)
    *waiting, refused = [slowed.login("alice", "pässword", THERE) for _ in range(3)]
    assert isinstance(refused.result, LoginRefused)
    waiting.append(slowed.login("alice", "pässword", other))
    assert [attempt.result for attempt in waiting] == [None, None, None]
    slowed.clock.advance(250)
    assert [attempt.result.name for attempt in waiting] == ["alice", "alice", "alice"]


def test_a_backend_that_is_out_of_order_slows_nobody(users):
    class Broken(Backend):
        def authenticate(self, credentials, decided):
            raise OSError

    users.backends.register("broken", Broken())
    users.configure(auth_backends=["broken"], login_delay_after=1)
    for _ in range(5):
        assert users.login("alice", "pässword", THERE).reason.startswith("it failed: OSError")
    assert users.authenticator.failures.by_source(users.clock.now_ms) == {}


def test_what_an_operator_tries_is_not_counted(users):
    users.configure(login_delay_after=1)
    for password in ("wrong", "pässword"):
        attempt = users.try_login("alice", password)
    assert attempt.result.name == "alice"
    assert users.authenticator.failures.by_user(users.clock.now_ms) == {}


def test_refusals_of_loopback_users_count(users):
    users.configure(login_delay_after=1)
    users.login("guest", "guest", THERE)
    assert users.authenticator.failures.by_user(users.clock.now_ms) == {"guest": 1}
    assert users.authenticator.failures.by_source(users.clock.now_ms) == {"192.0.2.1": 1}
