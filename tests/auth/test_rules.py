"""New passwords: the rule that they obey, how they are hashed, and the first user of all."""

import os
import threading

import pytest

from amqpd.auth import passwords
from amqpd.auth.first_user import begin_first_user, first_user
from amqpd.auth.rules import PasswordRules
from amqpd.broker import commands as c
from amqpd.config import Settings
from amqpd.errors import ConfigError, DefinitionError

RULE = "credential_validator."


def rules(**given):
    rules = PasswordRules(os.urandom)
    values = {"password_hashing": "sha256"} | {name.replace("__", "."): value for name, value in given.items()}
    rules.configure(Settings(values))
    return rules


def test_without_a_rule_everything_is_a_password():
    for password in ("", "x", "päss"):
        rules().check(password)


def test_so_many_characters_at_least():
    rule = rules(credential_validator__validation_backend="min_password_length", credential_validator__min_length=5)
    rule.check("ääääö")
    for short in ("", "four"):
        with pytest.raises(DefinitionError, match=r"^minimum required password length is 5$"):
            rule.check(short)


def test_what_must_be_found_in_it():
    rule = rules(credential_validator__validation_backend="password_regexp", credential_validator__regexp="[0-9]{2}")
    rule.check("a12b")
    with pytest.raises(DefinitionError) as refused:
        rule.check("secret1")
    assert str(refused.value) == "provided password does not match the validator regular expression"


def test_a_rule_that_is_not_chosen_is_none():
    rules(credential_validator__min_length=50, credential_validator__regexp="[0-9]").check("x")


def test_a_bad_pattern_is_refused_and_the_old_rule_stays():
    rule = rules(credential_validator__validation_backend="min_password_length", credential_validator__min_length=5)
    bad = {RULE + "validation_backend": "password_regexp", RULE + "regexp": "x" * 2000}
    with pytest.raises(ConfigError, match=r"credential_validator\.regexp: longer than 1024 bytes"):
        rule.configure(Settings(bad))
    with pytest.raises(DefinitionError, match="length is 5"):
        rule.check("four")


@pytest.mark.parametrize(
    ("setting", "algorithm"),
    [("argon2", c.ARGON2), ("sha256", c.SHA256), ("sha512", c.SHA512)],
)
def test_the_command_has_a_hash_as_it_is_set(setting, algorithm):
    command = rules(password_hashing=setting).put_user("alice", "pässword", ["monitoring"])
    assert (command.name, command.hashing_algorithm, command.tags) == ("alice", algorithm, ("monitoring",))
    assert passwords.verify_password("pässword".encode(), command.password_hash, algorithm)
    assert "pässword" not in repr(command)


def test_a_blank_password_is_no_password():
    assert rules().put_user("alice", "") == c.PutUser("alice", "", c.SHA256)


def test_the_rule_is_asked_before_anything_is_hashed():
    rule = rules(credential_validator__validation_backend="min_password_length", credential_validator__min_length=5)
    with pytest.raises(DefinitionError, match="minimum required"):
        rule.put_user("alice", "four")
    with pytest.raises(DefinitionError, match="minimum required"):
        rule.put_user("alice", "")


# -- the first user


def test_a_new_database_begins_with_guest():
    first = first_user(Settings({"password_hashing": "sha256"}), rules(), os.urandom)
    vhost, user, permission = first.commands
    assert vhost == c.PutVHost("/", "Default virtual host")
    assert (user.name, user.tags) == ("guest", ("administrator",))
    assert passwords.verify_password(b"guest", user.password_hash, user.hashing_algorithm)
    assert permission == c.PutPermission("guest", "/", ".*", ".*", ".*")
    assert first.made_up == ""


def test_or_with_whom_the_settings_say():
    settings = Settings(
        {
            "default_vhost": "shop",
            "default_user": "app",
            "default_pass": "s3cret",
            "default_user_tags": [],
            "default_permissions.configure": "",
            "default_permissions.write": "^a",
            "default_permissions.read": "b",
        }
    )
    vhost, user, permission = first_user(settings, rules(), os.urandom).commands
    assert vhost.name == "shop"
    assert (user.name, user.tags) == ("app", ())
    assert passwords.verify_password(b"s3cret", user.password_hash, user.hashing_algorithm)
    assert permission == c.PutPermission("app", "shop", "", "^a", "b")


def test_without_a_password_one_is_made_up_for_once():
    settings = Settings({"default_pass": ""})
    first, second = (first_user(settings, rules(), os.urandom) for _ in range(2))
    user = first.commands[1]
    assert len(first.made_up) == 24
    assert first.made_up != second.made_up
    assert passwords.verify_password(first.made_up.encode(), user.password_hash, user.hashing_algorithm)
    assert first.made_up not in repr(first)


def test_the_first_password_is_not_asked_for_the_rule():
    strict = rules(credential_validator__validation_backend="min_password_length", credential_validator__min_length=50)
    user = first_user(Settings(), strict, os.urandom).commands[1]
    assert passwords.verify_password(b"guest", user.password_hash, user.hashing_algorithm)


def test_it_can_be_made_beside_other_work():
    settings, began, go = Settings({"default_pass": ""}), threading.Event(), threading.Event()

    def random(size):
        began.set()
        assert go.wait(30)
        return os.urandom(size)

    finish = begin_first_user(settings, rules(), random)
    assert began.wait(30)  # and this thread goes on
    go.set()
    assert [type(command) for command in finish().commands] == [c.PutVHost, c.PutUser, c.PutPermission]


def test_who_waits_for_it_hears_what_was_wrong():
    def random(size):
        raise OSError("no random bytes")

    finish = begin_first_user(Settings({"default_pass": ""}), rules(), random)
    with pytest.raises(OSError, match="no random bytes"):
        finish()
