"""Logins on a node that runs: argon2 in threads, sockets, delays by the node's own clock."""

import hashlib
import threading

import pytest
import trio
from harness import m
from peer import Peer, admitted, log_in, refused, until

from amqpd.auth import passwords
from amqpd.broker import commands as c
from amqpd.testing import open_broker


@pytest.fixture
def hashing(monkeypatch):
    """What was hashed, and an event: argon2 is replaced by a hash that waits for it."""
    go = threading.Event()
    hashed = []

    def verify(password, stored, algorithm):
        hashed.append(password)
        go.wait()
        return stored == hashlib.sha256(password).hexdigest()

    monkeypatch.setattr(passwords, "verify_password", verify)
    monkeypatch.setattr(passwords, "problem", lambda hashed, algorithm: "")
    yield hashed, go
    go.set()


def put(broker, name, password):
    with broker.node.driver.round():
        command = c.PutUser(name, hashlib.sha256(password.encode()).hexdigest(), c.ARGON2)
        broker.node.definitions.apply(command)


async def test_a_real_hash_lets_in_who_has_the_password():
    async with open_broker(password_hashing="argon2") as broker:
        good, bad = await log_in(broker, "guest", "guest"), await log_in(broker, "guest", "wrong")
        await admitted(good)
        await refused(bad)
        await admitted(await log_in(broker, "guest", "guest"))


async def test_nobody_waits_for_a_hash_but_who_logs_in_and_it_is_made_once(hashing):
    hashed, go = hashing
    async with open_broker() as broker:
        put(broker, "alice", "secret")
        put(broker, "guest", "guest")
        go.set()
        guest = await Peer.connect(broker)
        go.clear()
        hashed.clear()
        clients = [await log_in(broker, "alice", "secret") for _ in range(20)]
        await until(lambda: hashed == [b"secret"])
        await guest.call(m("queue.declare", queue="q"))
        await admitted(await log_in(broker, "guest", "guest"))  # remembered
        go.set()
        for client in clients:
            await admitted(client)
        assert hashed == [b"secret"]
        await guest.close()


async def test_a_client_that_went_before_the_answer_is_no_error(hashing, caplog):
    hashed, go = hashing
    async with open_broker(handshake_timeout=100) as broker:  # a connection that waits does not read, not even an end
        put(broker, "alice", "secret")
        client = await log_in(broker, "alice", "secret")
        await until(lambda: hashed)
        await client.stream.aclose()
        await until(lambda: not broker.node.hub.sessions)
        go.set()
        await until(lambda: broker.node.accounts.find("alice").proof)
        assert "internal error" not in caplog.text


async def test_a_user_who_was_deleted_meanwhile_is_not_let_in(hashing):
    hashed, go = hashing
    async with open_broker() as broker:
        put(broker, "alice", "secret")
        client = await log_in(broker, "alice", "secret")
        await until(lambda: hashed)
        with broker.node.driver.round():
            broker.node.definitions.apply(c.DeleteUser("alice"))
        go.set()
        await refused(client)


async def test_failed_logins_are_answered_later():
    async with open_broker(login_delay_after=1, login_delay_max=20) as broker:
        await refused(await log_in(broker, "guest", "no"))
        before = trio.current_time()
        await admitted(await log_in(broker, "guest", "guest"))
        assert trio.current_time() - before >= 0.019
        assert broker.node.authenticator.failures.by_source(broker.node.broker.now_ms) == {}


@pytest.mark.parametrize("algorithm", [c.SHA256, c.SHA512, c.MD5])
async def test_users_from_rabbitmq_log_in_with_the_hashes_they_have(algorithm):
    async with open_broker() as broker:
        hashed = passwords.hash_password(b"secret", algorithm, bytes)
        with broker.node.driver.round():
            broker.node.definitions.apply(c.PutUser("alice", hashed, algorithm))
        await admitted(await log_in(broker, "alice", "secret"))
        await refused(await log_in(broker, "alice", "secreT"))
