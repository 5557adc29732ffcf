"""Operators and passwords: hashed beside the broker, told to nobody."""

import logging
import threading

import pytest
import trio
from harness import m
from operating import operator_of, running
from peer import Peer

from amqpd.server import users


@pytest.fixture
async def broker(tmp_path):
    async with running(tmp_path / "data") as broker:
        yield broker


@pytest.fixture
async def operator(broker):
    async with operator_of(broker) as operator:
        yield operator


def add(operator, name, password="p", tags=()):
    return operator.request("user", action="add", name=name, password=password, tags=list(tags))


async def test_no_password_is_ever_logged_or_listed(broker, operator, caplog):
    caplog.set_level(logging.DEBUG)
    secret = "correct horse"
    await add(operator, "u", secret)
    await operator.ask("user", action="set-password", name="u", password=secret)
    await operator.ask("user", action="authenticate", name="u", password=secret)
    await operator.refused("user", action="authenticate", name="u", password="battery staple")
    await operator.refused("user", action="add", name="u", password=secret, tags=[])
    answers = [await operator.ask("list", what="users"), await operator.ask("export")]
    account = broker.node.accounts.find("u")
    for word in (secret, "battery staple", "horse"):
        assert word not in caplog.text
        assert word not in repr(answers)
        assert word not in account.password_hash
    assert account.password_hash not in caplog.text
    assert account.password_hash not in repr(answers[0])


@pytest.fixture
def slow_hash(broker, monkeypatch):
    """The next hash begins, and is made when it is let go."""
    begun, go_on = threading.Event(), threading.Event()
    put_user = broker.node.rules.put_user

    def wait(*arguments):
        begun.set()
        assert go_on.wait(20)
        return put_user(*arguments)

    monkeypatch.setattr(broker.node.rules, "put_user", wait)
    return begun, go_on


async def test_the_broker_goes_on_while_a_password_is_hashed(broker, operator, slow_hash):
    begun, go_on = slow_hash
    async with trio.open_nursery() as nursery:
        nursery.start_soon(add, operator, "u")
        await trio.to_thread.run_sync(begun.wait)
        peer = await Peer.connect(broker)
        await peer.call(m("queue.declare", queue="q", durable=True))
        await peer.close()
        go_on.set()
    assert broker.node.accounts.find("u") is not None


async def test_two_who_add_the_same_user(broker, operator, slow_hash):
    begun, go_on = slow_hash
    answers = []

    async def try_to(operator, password):
        answers.append(await add(operator, "u", password))

    async with operator_of(broker) as other, trio.open_nursery() as nursery:
        nursery.start_soon(try_to, operator, "one")
        nursery.start_soon(try_to, other, "two")
        await trio.to_thread.run_sync(begun.wait)
        go_on.set()
    assert sorted(answer["ok"] for answer in answers) == [False, True]
    assert [answer["error"] for answer in answers if not answer["ok"]] == ['User "u" already exists']


async def test_tags_that_change_while_a_password_is_hashed_stay_changed(broker, operator, slow_hash, monkeypatch):
    begun, go_on = slow_hash
    go_on.set()
    await add(operator, "u", "old", ["before"])
    begun.clear()
    go_on.clear()
    async with operator_of(broker) as other, trio.open_nursery() as nursery:
        nursery.start_soon(lambda: operator.ask("user", action="set-password", name="u", password="new"))
        await trio.to_thread.run_sync(begun.wait)
        await other.ask("user", action="set-tags", name="u", tags=["after"])
        go_on.set()
    assert broker.node.accounts.find("u").tags == ("after",)
    await operator.ask("user", action="authenticate", name="u", password="new")


async def test_a_user_who_goes_while_a_password_is_hashed_is_gone(broker, operator, slow_hash):
    begun, go_on = slow_hash
    go_on.set()
    await add(operator, "u")
    begun.clear()
    go_on.clear()
    answers = []

    async def change():
        answers.append(await operator.request("user", action="set-password", name="u", password="new"))

    async with operator_of(broker) as other, trio.open_nursery() as nursery:
        nursery.start_soon(change)
        await trio.to_thread.run_sync(begun.wait)
        await other.order("DeleteUser", name="u")
        go_on.set()
    assert answers == [{"ok": False, "error": 'User "u" does not exist'}]
    assert broker.node.accounts.find("u") is None


async def test_trying_a_login_counts_for_nothing(broker, operator):
    for _ in range(20):
        await operator.refused("user", action="authenticate", name="guest", password="wrong")
    assert await operator.ask("list", what="failed-logins") == []
    await operator.ask("user", action="authenticate", name="guest", password="guest")


async def test_a_backend_that_never_answers(broker, operator, monkeypatch):
    monkeypatch.setattr(users, "LOGIN_TIMEOUT_S", 0.01)
    monkeypatch.setattr(broker.node.authenticator, "ask", lambda attempt, credentials, counted: None)
    error = await operator.refused("user", action="authenticate", name="u", password="p")
    assert error.startswith('failed to authenticate user "u": no answer within')


@pytest.mark.parametrize("password", ["", "ü", "a" * 10_000, "\x00", "tab\tand\nline", "😀"])
async def test_passwords_of_all_kinds(broker, operator, password):
    assert (await add(operator, "u", password))["ok"]
    if password:
        await operator.ask("user", action="authenticate", name="u", password=password)
    else:
        assert "failed to authenticate" in await operator.refused("user", action="authenticate", name="u", password="")


async def test_a_password_that_is_no_unicode(operator):
    assert "is no Unicode text" in (await add(operator, "u", "\ud800"))["error"]
