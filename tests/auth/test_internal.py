"""Who may log in, and from where."""

import base64
import hashlib

import pytest
from harness import encode_table

from amqpd.auth.internal import InternalAuthenticator
from amqpd.auth.passwords import hash_password, verify_password
from amqpd.auth.users import Users
from amqpd.broker.ports import LoginRefused
from amqpd.errors import HandshakeFailure

SALTS = [b"abcd", b"efgh", b"ijkl"]


@pytest.fixture
def authenticator():
    salts = iter(SALTS)
    users = Users(lambda size: next(salts)[:size])
    users.add("guest", "guest", ["administrator"])
    users.add("alice", "pässword")
    return InternalAuthenticator(users, ["guest"])


def test_a_good_password_gives_the_user(authenticator):
    user = authenticator.login("PLAIN", b"\0guest\0guest", True)
    assert (user.name, user.tags) == ("guest", {"administrator"})
    response = encode_table({"LOGIN": "alice", "PASSWORD": "pässword"})[4:]
    assert authenticator.login("AMQPLAIN", response, True).name == "alice"


@pytest.mark.parametrize("response", [b"\0guest\0Guest", b"\0guest\0", b"\0nobody\0guest", b"\0\0", b"\0alice\0guest"])
def test_other_passwords_and_users_are_refused_alike(authenticator, response):
    with pytest.raises(LoginRefused) as refused:
        authenticator.login("PLAIN", response, True)
    assert refused.value.reason == "invalid credentials"
    assert refused.value.user == response.split(b"\0")[1].decode()


def test_loopback_users_must_come_from_this_machine(authenticator):
    with pytest.raises(LoginRefused, match="can only connect via localhost"):
        authenticator.login("PLAIN", b"\0guest\0guest", False)
    assert authenticator.login("PLAIN", "\0alice\0pässword".encode(), False).name == "alice"


def test_a_wrong_password_from_elsewhere_is_told_nothing_more(authenticator):
    with pytest.raises(LoginRefused, match="invalid credentials"):
        authenticator.login("PLAIN", b"\0guest\0wrong", False)


@pytest.mark.parametrize("mechanism", ["ANONYMOUS", "EXTERNAL", "plain", ""])
def test_what_is_not_offered_is_refused(authenticator, mechanism):
    assert mechanism not in authenticator.mechanisms()
    with pytest.raises(HandshakeFailure, match="not offered"):
        authenticator.login(mechanism, b"\0guest\0guest", True)


def test_a_new_secret_is_taken_and_ignored(authenticator):
    user = authenticator.login("PLAIN", b"\0guest\0guest", True)
    assert authenticator.renew(user, b"anything")
    assert authenticator.login("PLAIN", b"\0guest\0guest", True).name == "guest"


def test_a_user_added_again_has_the_new_password_and_tags(authenticator):
    authenticator.users.add("guest", "other")
    with pytest.raises(LoginRefused):
        authenticator.login("PLAIN", b"\0guest\0guest", True)
    assert authenticator.login("PLAIN", b"\0guest\0other", True).tags == frozenset()


def test_the_hash_has_rabbitmqs_form():
    """passwords.md: base64 of the salt, then SHA-256 of salt and password."""
    salt = bytes.fromhex("908DC60A")
    raw = base64.b64decode(hash_password(b"test12", salt))
    assert raw == salt + hashlib.sha256(salt + b"test12").digest()
    # The worked example of RabbitMQ's page.
    assert hash_password(b"test12", salt) == "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"
    assert verify_password(b"test12", "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR")
    assert not verify_password(b"test13", "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR")
