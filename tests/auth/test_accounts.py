"""The tables of users and permissions: what commands are refused, what those do that are not, and who is told."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amqpd.auth.accounts import TAGS_MAX, Accounts
from amqpd.auth.internal import InternalAuthority
from amqpd.auth.passwords import nobodys
from amqpd.broker import commands as c
from amqpd.broker.commands import SHA256
from amqpd.broker.limits import USER_LIMITS
from amqpd.broker.ports import ALLOWED, REFUSED, Question, User
from amqpd.errors import DefinitionError

HASH = nobodys(SHA256)
ALL = (".*", ".*", ".*")


@pytest.fixture
def accounts():
    accounts = Accounts({"/", "other"})
    for command in (
        c.PutUser("alice", HASH, SHA256, ("administrator",)),
        c.PutUser("bob", "", SHA256),
        c.PutPermission("alice", "/", *ALL),
        c.PutPermission("alice", "other", "^mine-", "", "a|b"),
        c.PutPermission("bob", "/", *ALL),
        c.PutTopicPermission("bob", "/", "amq.topic", r"^{username}\.", ".*"),
        c.PutTopicPermission("bob", "/", "t", "x", "y"),
        c.PutUserLimit("bob", "max-channels", 5),
    ):
        accounts.check(command)
        accounts.apply(command)
    return accounts


def allowed(accounts, user, kind, vhost="/", name="", permission="", key=""):
    authority = InternalAuthority(accounts)
    answer = authority.check(User(user, frozenset(), authority), Question(kind, vhost, name, permission, key))
    assert answer in (ALLOWED, REFUSED)
    return answer == ALLOWED


# -- who may do what


def test_a_row_for_the_vhost_lets_in(accounts):
    assert allowed(accounts, "alice", "vhost")
    assert allowed(accounts, "alice", "vhost", "other")
    assert allowed(accounts, "bob", "vhost")
    assert not allowed(accounts, "bob", "vhost", "other")
    assert not allowed(accounts, "carol", "vhost")


@pytest.mark.parametrize("kind", ["queue", "exchange"])
def test_patterns_are_searched_and_nothing_allows_nothing(accounts, kind):
    assert allowed(accounts, "alice", kind, "other", "mine-1", "configure")
    assert not allowed(accounts, "alice", kind, "other", "not-mine-1", "configure")
    assert allowed(accounts, "alice", kind, "other", "xxbxx", "read")
    assert not allowed(accounts, "alice", kind, "other", "xx", "read")
    assert not allowed(accounts, "alice", kind, "other", "x", "write")
    assert not allowed(accounts, "bob", kind, "other", "x", "read")


def test_topics_are_free_until_there_is_a_row_for_the_exchange(accounts):
    assert allowed(accounts, "bob", "topic", "/", "logs", "write", "anything")
    assert allowed(accounts, "bob", "topic", "/", "amq.topic", "write", "bob.x")
    assert not allowed(accounts, "bob", "topic", "/", "amq.topic", "write", "alice.x")
    assert not allowed(accounts, "bob", "topic", "/", "amq.topic", "write", "x.bob.x")
    assert allowed(accounts, "bob", "topic", "/", "amq.topic", "read", "alice.x")
    assert allowed(accounts, "alice", "topic", "/", "amq.topic", "write", "bob.x")
    assert allowed(accounts, "bob", "topic", "other", "amq.topic", "write", "x")


def test_an_empty_topic_pattern_allows_the_empty_key_alone(accounts):
    accounts.apply(c.PutTopicPermission("bob", "/", "t", "", ""))
    assert allowed(accounts, "bob", "topic", "/", "t", "write", "")
    assert not allowed(accounts, "bob", "topic", "/", "t", "write", "a")


@pytest.mark.parametrize(
    ("pattern", "user", "key", "other"),
    [
        ("^{username}$", ".*", ".*", "alice"),
        ("^{username}$", "a+b", "a+b", "aab"),
        ("^{username}$", "{vhost}", "{vhost}", "/"),
        ("^{vhost}{username}$", "a", "/a", "a"),
        ("^{username}{username}$", "a", "aa", "a"),
        ("^{client_id}$", "a", "{client_id}", "some-client"),
        ("^{Username}$", "a", "{Username}", "a"),
        ("^{username}{2}$", "ab", "abb", "abab"),
    ],
)
def test_variables_mean_themselves_whatever_is_in_them(accounts, pattern, user, key, other):
    commands = [c.PutUser(user, HASH, SHA256), c.PutTopicPermission(user, "/", "t", pattern, "")]
    for command in commands:
        accounts.check(command)
        accounts.apply(command)
    assert allowed(accounts, user, "topic", "/", "t", "write", key)
    assert not allowed(accounts, user, "topic", "/", "t", "write", other)


def test_a_user_that_is_gone_may_do_nothing(accounts):
    accounts.apply(c.DeleteUser("bob"))
    for question in (("vhost",), ("queue", "/", "q", "read"), ("topic", "/", "logs", "write", "k")):
        assert not allowed(accounts, "bob", *question)


def test_a_pattern_that_cannot_be_compiled_allows_nothing(accounts, caplog):
    """Such a one comes from a database that somebody else has written."""
    accounts.apply(c.PutPermission("bob", "/", "(", ".*", ".*"))
    for _ in range(2):
        assert not allowed(accounts, "bob", "queue", "/", "(", "configure")
    assert allowed(accounts, "bob", "queue", "/", "(", "read")
    (record,) = caplog.records
    assert "the pattern '(' of a permission permits nothing" in record.getMessage()


# -- commands


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (c.PutUser("", HASH, SHA256), "the name of a user has 1 to 255 bytes, not 0"),
        (c.PutUser("ä" * 128, HASH, SHA256), "the name of a user has 1 to 255 bytes, not 256"),
        (c.PutUser("u", "secret", SHA256), "user 'u': the password hash is not base64 of 36 bytes"),
        (c.PutUser("u", HASH, "rot13"), "user 'u': the hashing algorithm 'rot13' is unknown"),
        (c.PutUser("u", HASH, SHA256, tuple(map(str, range(33)))), "33 tags are too many, 32 the most"),
        (c.PutUser("u", HASH, SHA256, ("",)), "a tag of user 'u' has 1 to 255 bytes, not 0"),
        (c.PutUser("u", HASH, SHA256, (" a",)), "the tag ' a' has a comma, or space around it"),
        (c.PutUser("u", HASH, SHA256, ("a,b",)), "the tag 'a,b' has a comma, or space around it"),
        (c.DeleteUser("carol"), "there is no user 'carol'"),
        (c.PutPermission("carol", "/", *ALL), "there is no user 'carol'"),
        (c.PutPermission("bob", "nowhere", *ALL), "there is no vhost 'nowhere'"),
        (
            c.PutPermission("bob", "/", ".*", "(", ".*"),
            "permissions of user 'bob' in vhost '/': the pattern '(' for write is not valid: ",
        ),
        (c.DeletePermission("carol", "/"), "there is no user 'carol'"),
        (c.DeletePermission("bob", "nowhere"), "there is no vhost 'nowhere'"),
        (c.PutTopicPermission("carol", "/", "t", "", ""), "there is no user 'carol'"),
        (c.PutTopicPermission("bob", "nowhere", "t", "", ""), "there is no vhost 'nowhere'"),
        (c.PutTopicPermission("bob", "/", "ä" * 128, "", ""), "the exchange of a topic permission has 1 to 255 bytes"),
        (
            c.PutTopicPermission("bob", "/", "t", "", "[z-a]"),
            "topic permissions of user 'bob' for exchange 't' in vhost '/': the pattern '[z-a]' for read is not valid",
        ),
        (
            c.PutTopicPermission("bob", "/", "t", "{vhost}" * 100 + "a" * 1000, ""),
            "for write is not valid: longer than 1024 bytes",
        ),
        (c.DeleteTopicPermission("carol", "/", None), "there is no user 'carol'"),
        (c.DeleteTopicPermission("bob", "nowhere", None), "there is no vhost 'nowhere'"),
        (c.PutUserLimit("carol", "max-channels", 1), "there is no user 'carol'"),
        (c.PutUserLimit("bob", "max-queues", 1), "no limit 'max-queues', only max-connections and max-channels"),
        (c.PutUser("a\ud800", HASH, SHA256), "the name of a user has a character that UTF-8 has not, at 1"),
        (c.PutPermission("bob", "/", "\ud800", "", ""), "the pattern for configure has a character that UTF-8 has not"),
        (c.DeleteUserLimit("bob", "max-queues"), "no limit 'max-queues', only max-connections and max-channels"),
        (c.DeleteUserLimit("carol", "max-channels"), "there is no user 'carol'"),
    ],
)
def test_what_cannot_be_is_refused_and_said(accounts, command, text):
    before = list(accounts.snapshot())
    with pytest.raises(DefinitionError) as refused:
        accounts.check(command)
    assert text in str(refused.value)
    assert "secret" not in str(refused.value)
    assert list(accounts.snapshot()) == before


def test_the_most_there_can_be_is_not_refused(accounts):
    accounts.check(c.PutUser("ä" * 127 + "b", HASH, SHA256, tuple(map(str, range(TAGS_MAX)))))
    accounts.check(c.PutPermission("bob", "/", "a" * 1024, "", ""))
    for limit in USER_LIMITS:
        accounts.check(c.PutUserLimit("bob", limit, -1))


def test_what_is_somebody_elses_passes_by(accounts):
    told = []
    accounts.changed.append(told.append)
    for command in (c.PutVHost("v"), c.PutQueue("/", "q"), c.PutVHostLimit("/", "max-queues", 1)):
        accounts.check(command)
        accounts.apply(command)
    assert told == []


def test_a_user_goes_with_permissions_and_limits(accounts):
    accounts.apply(c.DeleteUser("bob"))
    accounts.apply(c.PutUser("bob", HASH, SHA256))
    assert not allowed(accounts, "bob", "vhost")
    assert accounts.find("bob").limits == {}
    assert accounts.topic_permission("bob", "/", "t") is None
    assert allowed(accounts, "alice", "vhost")


def test_a_vhost_takes_its_permissions_along(accounts):
    accounts.apply(c.DeleteVHost("/"))
    assert not allowed(accounts, "alice", "vhost")
    assert accounts.topic_permission("bob", "/", "t") is None
    assert allowed(accounts, "alice", "vhost", "other")


def test_putting_replaces(accounts):
    limits = accounts.find("bob").limits
    accounts.apply(c.PutUser("bob", HASH, SHA256, ("monitoring",)))
    accounts.apply(c.PutPermission("bob", "/", "", "", ""))
    assert accounts.find("bob").tags == ("monitoring",)
    assert not allowed(accounts, "bob", "queue", "/", "q", "read")
    assert allowed(accounts, "bob", "topic", "/", "t", "write", "x")
    assert accounts.find("bob").limits is limits
    assert limits == {"max-channels": 5}


def test_one_topic_permission_or_all(accounts):
    accounts.apply(c.DeleteTopicPermission("bob", "/", "t"))
    assert allowed(accounts, "bob", "topic", "/", "t", "write", "z")
    assert not allowed(accounts, "bob", "topic", "/", "amq.topic", "write", "z")
    accounts.apply(c.DeleteTopicPermission("bob", "/", None))
    assert allowed(accounts, "bob", "topic", "/", "amq.topic", "write", "z")
    accounts.apply(c.DeleteTopicPermission("bob", "/", "t"))  # again: nothing there


def test_deleting_what_is_not_there_changes_nothing(accounts):
    before = list(accounts.snapshot())
    for command in (
        c.DeletePermission("bob", "other"),
        c.DeleteTopicPermission("alice", "/", "t"),
        c.DeleteUserLimit("bob", "max-connections"),
    ):
        accounts.check(command)
        accounts.apply(command)
    assert list(accounts.snapshot()) == before


def test_limits_are_live(accounts):
    limits = accounts.find("bob").limits
    accounts.apply(c.PutUserLimit("bob", "max-connections", 3))
    assert limits == {"max-channels": 5, "max-connections": 3}
    accounts.apply(c.DeleteUserLimit("bob", "max-channels"))
    assert limits == {"max-connections": 3}


def test_who_it_is_about_is_told(accounts):
    told = []
    accounts.changed.append(told.append)
    accounts.apply(c.PutPermission("bob", "/", *ALL))
    accounts.apply(c.DeleteVHost("other"))
    accounts.apply(c.DeleteTopicPermission("bob", "/", None))
    accounts.apply(c.DeleteUser("alice"))
    accounts.apply(c.PutUserLimit("bob", "max-channels", 1))
    assert told == ["bob", None, "bob", "alice"]


def test_a_snapshot_is_in_order_and_makes_the_same_tables(accounts):
    snapshot = list(accounts.snapshot())
    assert snapshot == [
        c.PutUser("alice", HASH, SHA256, ("administrator",)),
        c.PutUser("bob", "", SHA256),
        c.PutUserLimit("bob", "max-channels", 5),
        c.PutPermission("alice", "/", *ALL),
        c.PutPermission("alice", "other", "^mine-", "", "a|b"),
        c.PutPermission("bob", "/", *ALL),
        c.PutTopicPermission("bob", "/", "amq.topic", r"^{username}\.", ".*"),
        c.PutTopicPermission("bob", "/", "t", "x", "y"),
    ]
    again = Accounts({"/", "other"})
    for command in snapshot:
        again.check(command)
        again.apply(command)
    assert list(again.snapshot()) == snapshot


# -- against a naive model

NAMES = st.sampled_from(["a", "b", "c.d"])
VHOSTS = st.sampled_from(["/", "v"])
PATTERNS = st.sampled_from(["", ".*", "^a", "b$", "a|c", "{username}", r"^{vhost}\.", "[^a]"])
EXCHANGES = st.sampled_from(["t", "u"])
WORDS = st.sampled_from(["", "a", "ab", "b", "c.d", "v.x", "/.x", "xa"])
COMMANDS = st.one_of(
    st.builds(c.PutUser, NAMES, st.just(HASH), st.just(SHA256)),
    st.builds(c.DeleteUser, NAMES),
    st.builds(c.DeleteVHost, VHOSTS),
    st.builds(c.PutPermission, NAMES, VHOSTS, PATTERNS, PATTERNS, PATTERNS),
    st.builds(c.DeletePermission, NAMES, VHOSTS),
    st.builds(c.PutTopicPermission, NAMES, VHOSTS, EXCHANGES, PATTERNS, PATTERNS),
    st.builds(c.DeleteTopicPermission, NAMES, VHOSTS, st.none() | EXCHANGES),
)
QUESTIONS = st.one_of(
    st.builds(Question, st.just("vhost"), VHOSTS),
    st.builds(Question, st.sampled_from(["queue", "exchange"]), VHOSTS, WORDS, st.sampled_from(["configure", "write"])),
    st.builds(Question, st.just("topic"), VHOSTS, EXCHANGES, st.sampled_from(["write", "read"]), WORDS),
)


class Model:
    """A list of all rows, walked for every question."""

    def __init__(self):
        self.rows = []

    def apply(self, command):
        match command:
            case c.PutUser():
                self.drop(lambda row: isinstance(row, c.PutUser) and row.name == command.name)
            case c.DeleteUser(name):
                self.drop(lambda row: (row.name if isinstance(row, c.PutUser) else row.user) == name)
            case c.DeleteVHost(name):
                self.drop(lambda row: not isinstance(row, c.PutUser) and row.vhost == name)
            case c.PutPermission(user, vhost) | c.DeletePermission(user, vhost):
                self.drop(lambda row: isinstance(row, c.PutPermission) and (row.user, row.vhost) == (user, vhost))
            case c.PutTopicPermission(user, vhost, exchange) | c.DeleteTopicPermission(user, vhost, exchange):
                self.drop(
                    lambda row: isinstance(row, c.PutTopicPermission)
                    and (row.user, row.vhost) == (user, vhost)
                    and exchange in (None, row.exchange)
                )
        if type(command).__name__.startswith("Put"):
            self.rows.append(command)

    def drop(self, which):
        self.rows = [row for row in self.rows if not which(row)]

    def allows(self, user, question):
        if not any(isinstance(row, c.PutUser) and row.name == user for row in self.rows):
            return False
        kind = c.PutTopicPermission if question.kind == "topic" else c.PutPermission
        for row in self.rows:
            if not isinstance(row, kind) or (row.user, row.vhost) != (user, question.vhost):
                continue
            if question.kind == "vhost":
                return True
            pattern = getattr(row, question.permission) or "^$"
            if question.kind != "topic":
                return re.search(pattern.replace("{", "\\{"), question.name) is not None
            if row.exchange == question.name:
                pattern = pattern.replace("{username}", re.escape(user)).replace("{vhost}", re.escape(question.vhost))
                return re.search(pattern, question.routing_key) is not None
        return question.kind == "topic"


@given(st.lists(COMMANDS, max_size=30), st.lists(st.tuples(NAMES, QUESTIONS), min_size=1, max_size=20))
def test_any_tables_answer_as_a_walk_over_all_rows_does(commands, questions):
    accounts, model = Accounts({"/", "v"}), Model()
    authority = InternalAuthority(accounts)
    for command in commands:
        try:
            accounts.check(command)
        except DefinitionError:
            continue
        accounts.apply(command)
        model.apply(command)
    for name, question in questions:
        answer = authority.check(User(name, frozenset(), authority), question)
        assert (answer == ALLOWED) == model.allows(name, question), (name, vars(question))
    assert set(accounts.snapshot()) == set(model.rows)


def test_a_topic_permission_may_be_for_the_default_exchange(accounts):
    """RabbitMQ keeps such a row, and so it stands in its definitions; it is never asked for."""
    command = c.PutTopicPermission("bob", "/", "", "^a", "^b")
    accounts.check(command)
    accounts.apply(command)
    assert command in list(accounts.snapshot())
