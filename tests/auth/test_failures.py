"""How failed logins are counted, and how long the next one waits. The time is an argument."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amqpd.auth import failures as module
from amqpd.auth.failures import FIRST_DELAY_MS, WINDOW_MS, Failures, source_of

HERE = "192.0.2.1"
NOW = 10**9


@pytest.fixture
def failures():
    failures = Failures()
    failures.configure(3, 10_000)
    return failures


def fail(failures, count, source=HERE, user="alice", now=NOW):
    for _ in range(count):
        failures.failed(source, user, now)


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "::/64"),
        ("", "a UNIX socket"),
        ("somewhere", "somewhere"),
    ],
)
def test_what_counts_as_one_place(address, source):
    assert source_of(address) == source


def test_the_first_failures_cost_nothing_and_then_each_costs_twice_the_last(failures):
    delays = []
    for _ in range(10):
        delays.append(failures.delay_ms(HERE, "alice", NOW))
        fail(failures, 1)
    assert delays == [0, 0, 0, 250, 500, 1000, 2000, 4000, 8000, 10_000]


def test_it_does_not_matter_whom_they_claim_to_be(failures):
    for user in ("a", "b", "c"):
        fail(failures, 1, user=user)
    assert failures.delay_ms(HERE, "d", NOW) == FIRST_DELAY_MS


def test_other_places_are_not_slowed(failures):
    fail(failures, 10)
    assert failures.delay_ms("192.0.2.2", "alice", NOW) == 0


def test_a_minute_later_all_is_forgotten(failures):
    fail(failures, 10)
    assert failures.delay_ms(HERE, "alice", NOW + WINDOW_MS - 1) > 0
    assert failures.delay_ms(HERE, "alice", NOW + WINDOW_MS) == 0
    assert failures.by_source(NOW + WINDOW_MS) == failures.by_user(NOW + WINDOW_MS) == {}


def test_each_failure_ages_by_itself(failures):
    for second in range(4):
        fail(failures, 1, now=NOW + second * 1000)
    assert failures.delay_ms(HERE, "alice", NOW + 3000) == 500
    assert failures.delay_ms(HERE, "alice", NOW + WINDOW_MS) == 250
    assert failures.delay_ms(HERE, "alice", NOW + WINDOW_MS + 1000) == 0


def test_never_is_never(failures):
    failures.configure(0, 10_000)
    fail(failures, 100)
    assert failures.delay_ms(HERE, "alice", NOW) == 0


def test_settings_are_obeyed_at_once(failures):
    fail(failures, 5)
    failures.configure(5, 100)
    assert failures.delay_ms(HERE, "alice", NOW) == 100
    failures.configure(6, 100)
    assert failures.delay_ms(HERE, "alice", NOW) == 0


def test_a_good_login_takes_back_its_own_failures_only(failures):
    fail(failures, 2, user="alice")
    fail(failures, 2, user="bob")
    failures.succeeded(HERE, "alice")
    assert failures.by_source(NOW) == {HERE: 2}
    fail(failures, 1, user="bob")
    assert failures.delay_ms(HERE, "carol", NOW) == FIRST_DELAY_MS


def test_owning_an_account_buys_no_guesses_at_others(failures):
    delays = []
    for _ in range(6):
        fail(failures, 1, user="victim")
        failures.succeeded(HERE, "mine")
        delays.append(failures.delay_ms(HERE, "victim", NOW))
    assert delays == [0, 0, 250, 500, 1000, 2000]


def test_who_is_known_there_waits_for_own_failures_only(failures):
    failures.succeeded(HERE, "alice")
    fail(failures, 10, user="bob")
    assert failures.delay_ms(HERE, "alice", NOW) == 0
    assert failures.delay_ms(HERE, "carol", NOW) == 10_000
    assert failures.delay_ms("192.0.2.2", "alice", NOW) == 0
    fail(failures, 3, user="alice")
    assert failures.delay_ms(HERE, "alice", NOW) == FIRST_DELAY_MS


def test_the_log_has_a_line_when_it_begins(failures, caplog):
    fail(failures, 2)
    assert caplog.records == []
    fail(failures, 5)
    assert [record.getMessage() for record in caplog.records] == [
        "3 logins from 192.0.2.1 failed within a minute: further ones are slowed",
        "3 logins as user 'alice' failed within a minute, the last from 192.0.2.1",
    ]


def test_many_places_against_one_user_are_seen(failures, caplog):
    for number in range(3):
        fail(failures, 1, source=f"198.51.100.{number}")
    assert failures.by_user(NOW) == {"alice": 3}
    assert failures.delay_ms("198.51.100.1", "alice", NOW) == 0
    assert "3 logins as user 'alice' failed within a minute, the last from 198.51.100.2" in caplog.text


def test_tables_are_bounded_and_the_oldest_go_first(failures, monkeypatch):
    monkeypatch.setattr(module, "TABLE_MAX", 3)
    for number in range(5):
        fail(failures, 1, source=str(number), user=f"user {number}")
        failures.succeeded(str(number), "someone")
    assert failures.by_source(NOW) == {"2": 1, "3": 1, "4": 1}
    assert failures.by_user(NOW) == {"user 2": 1, "user 3": 1, "user 4": 1}
    assert len(failures._known) == 3
    fail(failures, 1, source="2")
    fail(failures, 1, source="5")
    assert failures.by_source(NOW) == {"4": 1, "2": 2, "5": 1}


def test_one_place_fills_no_memory(failures):
    fail(failures, 1000, user="x" * 100_000)
    assert failures.by_source(NOW)[HERE] == failures.by_user(NOW)["x" * 255] == 3 + 16
    failures.succeeded(HERE, "x" * 100_000)
    assert failures.by_source(NOW) == {}


@given(st.lists(st.tuples(st.sampled_from("ab"), st.booleans(), st.integers(0, 30_000)), max_size=40))
def test_the_count_is_that_of_a_naive_list(logins):
    """Every login of two users from one place, with pauses: what is counted is what a walk over all of them counts."""
    failures, now, all_of_them = Failures(), NOW, []
    failures.configure(20, 10_000)
    for user, good, pause in logins:
        now += pause
        if good:
            failures.succeeded(HERE, user)
            all_of_them = [(then, other) for then, other in all_of_them if other != user]
        else:
            failures.failed(HERE, user, now)
            all_of_them.append((now, user))
        recent = [(then, other) for then, other in all_of_them if then > now - WINDOW_MS]
        assert failures.by_source(now).get(HERE, 0) == len(recent)
