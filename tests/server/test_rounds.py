"""Many clients on real sockets in one round, and what goes wrong in the middle of one.

`send_now` gives nobody a turn, so all that a test sends by it is there before the broker looks.
"""

import os
import select
import socket
import struct

import kqueues
import pytest
import trio
import trio.testing
from harness import PROTOCOL_HEADER, m, publish
from peer import Peer, until

from amqpd.broker.ports import Peer as Address
from amqpd.server import turns
from amqpd.server.poller import Kqueue
from amqpd.testing import open_broker


@pytest.fixture(params=["own", "kqueue"], autouse=True)
def _poller(request, monkeypatch):
    if request.param == "kqueue":
        if not hasattr(select, "epoll"):
            pytest.skip("the stand-in needs epoll; where there is none, the others were on a real kqueue")
        monkeypatch.setattr(turns, "open_poller", lambda: Kqueue(kqueues))


def send_now(peer, data):
    assert peer.stream.socket._sock.send(data) == len(data)


def reset_now(peer):
    """Close the socket so that the broker's next look at it fails."""
    peer.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(peer.stream.socket._sock.detach())


def rounds_of(broker, monkeypatch):
    """A list that grows with each round from now on."""
    rounds = []
    driver = broker.node.driver
    end_round = driver.end_round

    def counted():
        rounds.append(None)
        end_round()

    monkeypatch.setattr(driver, "end_round", counted)
    return rounds


def session_of(broker, peer):
    port = peer.stream.socket.getsockname()[1]
    (session,) = [s for s in broker.node.hub.sessions if s.connection.name.startswith(f"127.0.0.1:{port} ")]
    return session


async def settled():
    await trio.testing.wait_all_tasks_blocked()


async def hang_up(*peers):
    for peer in peers:
        await peer.close()


async def test_what_several_clients_send_is_done_in_one_round(monkeypatch):
    async with open_broker() as broker:
        peers = [await Peer.connect(broker) for _ in range(10)]
        consumer = await Peer.connect(broker)
        await consumer.call(m("queue.declare", queue="q"))
        await consumer.call(m("basic.consume", queue="q", no_ack=True))
        await settled()
        session = session_of(broker, consumer)
        rounds, sent = rounds_of(broker, monkeypatch), []
        send = type(session)._send
        monkeypatch.setattr(type(session), "_send", lambda self, data: sent.append(self) or send(self, data))
        for peer in peers:
            send_now(peer, publish(b"x").frames(1))
        for _ in peers:
            await consumer.expect("basic.deliver")
        assert len(rounds) == 1
        assert sent == [session]
        await hang_up(consumer, *peers)


async def test_a_reset_in_the_middle_of_a_round_is_that_clients_alone(caplog):
    async with open_broker() as broker:
        peers = [await Peer.connect(broker) for _ in range(5)]
        await peers[0].call(m("queue.declare", queue="q"))
        await settled()
        for peer in peers:
            send_now(peer, publish(b"x").frames(1) if peer is not peers[2] else b"\1\0")
        reset_now(peers[2])
        await until(lambda: len(broker.node.hub.sessions) == 4)
        assert broker.message_count("q") == 4
        assert "internal error" not in caplog.text
        await hang_up(*peers[:2], *peers[3:])


async def test_a_client_that_is_dropped_by_what_another_one_sent_in_the_same_round(caplog):
    """What it sent itself until then counts, as it would have in a round of its own."""
    limits = {"unsent_bytes_max": 4096, "unsent_bytes_stop": 4096, "unsent_bytes_hard_max": 8192}
    async with open_broker(**limits) as broker:
        publisher = await Peer.connect(broker)
        slow = await Peer.connect(broker, receive_buffer=8192)
        other = await Peer.connect(broker)
        await slow.call(m("queue.declare", queue="q"))
        await slow.call(m("queue.declare", queue="own"))
        await slow.call(m("basic.consume", queue="q", no_ack=True))
        session = session_of(broker, slow)
        session.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        await settled()
        send_now(publisher, publish(b"x" * 60_000).frames(1))
        send_now(slow, publish(b"x", "own").frames(1))
        send_now(other, publish(b"x", "own").frames(1))
        await until(lambda: session not in broker.node.hub.sessions)
        assert "bytes unsent" in caplog.text
        assert "internal error" not in caplog.text
        await until(lambda: broker.message_count("own") == 2)
        await hang_up(publisher, other)


async def test_an_operator_closes_who_has_something_to_say():
    async with open_broker() as broker:
        peers = [await Peer.connect(broker) for _ in range(3)]
        await peers[0].call(m("queue.declare", queue="q"))
        await settled()
        for peer in peers:
            send_now(peer, publish(b"x").frames(1) + m("queue.declare", queue="q", passive=True).frames(1))
        hub = broker.node.hub
        with broker.node.driver.round():
            hub.close(session_of(broker, peers[1]), "enough")
        assert (await peers[1].expect("connection.close")).reply_code == 320
        await peers[1].send(m("connection.close-ok"), 0)
        assert await peers[1].ended() == []
        for peer in (peers[0], peers[2]):
            await peer.expect("queue.declare-ok")
        assert broker.message_count("q") == 2
        await peers[1].stream.aclose()
        await hang_up(peers[0], peers[2])


async def test_a_sockets_number_that_is_used_again_is_the_next_clients():
    async with open_broker() as broker:
        first = await Peer.connect(broker)
        number = session_of(broker, first).number
        await settled()
        seen = []
        for _ in range(20):
            send_now(first, publish(b"x").frames(1))
            reset_now(first)
            await until(lambda: not broker.node.hub.sessions)
            first = await Peer.connect(broker)
            seen.append(session_of(broker, first).number)
            await first.call(m("queue.declare", queue="q"))
            assert broker.message_count("q") == 0  # what was for the number before is nobody's
            await first.call(m("queue.delete", queue="q"))
        assert number in seen
        await first.close()


@pytest.mark.parametrize("waits", [False, True], ids=["sent", "unsent"])
async def test_a_paused_client_that_resets_costs_nothing_until_it_is_found(autojump_clock, monkeypatch, waits):
    """Nobody reads from it, so a kernel that keeps telling of it would have us turn in circles."""
    async with open_broker() as broker:
        peer = await Peer.connect(broker, receive_buffer=8192)
        await peer.call(m("queue.declare", queue="q"))
        if waits:
            await peer.send(publish(b"x" * 16_000_000))
            await until(lambda: broker.message_count("q") == 1)
            await peer.send(m("basic.get", queue="q", no_ack=True))
            await until(lambda: session_of(broker, peer).connection.unsent > 0)
        broker.raise_alarm()
        await peer.send(publish(b"1"))
        session = session_of(broker, peer)
        await until(lambda: session in broker.node.hub.parked)
        reset_now(peer)
        rounds = rounds_of(broker, monkeypatch)
        start = trio.current_time()
        await until(lambda: session not in broker.node.hub.sessions, 1)
        assert trio.current_time() - start <= 11
        assert len(rounds) <= 20
        assert not broker.node.hub.parked


async def test_one_of_many_floods_and_all_others_are_answered_in_between():
    async with open_broker() as broker:
        flood = await Peer.connect(broker)
        await flood.call(m("queue.declare", queue="q", arguments={"x-max-length": 10}))
        others = [await Peer.connect(broker) for _ in range(100)]
        flooding = session_of(broker, flood)
        batch = publish(b"x" * 16).frames(1) * 2000  # always more than one read

        async def pour():
            while True:
                await flood.stream.send_all(batch)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(pour)
            await until(lambda: flooding.connection.bytes_received > len(batch))
            before = flooding.connection.bytes_received
            for other in others:
                send_now(other, m("queue.declare", queue="q", passive=True).frames(1))
            for other in others:
                await other.expect("queue.declare-ok")
            reads = (flooding.connection.bytes_received - before) / 65_536
            nursery.cancel_scope.cancel()
        assert reads <= 4 + 2 * len(others) / turns.SOCKETS_MAX + len(others)
        await flood.stream.aclose()
        await hang_up(*others)


async def test_a_crowd_that_connects_at_once_is_served():
    async with open_broker() as broker:
        peers = [await Peer.dial(broker) for _ in range(200)]
        for peer in peers:
            send_now(peer, PROTOCOL_HEADER)
        for peer in peers:
            await peer.expect("connection.start")
            reset_now(peer)
        await until(lambda: not broker.node.hub.sessions)


async def test_a_session_that_begins_when_the_node_has_ended_is_closed():
    async with open_broker() as broker:
        hub = broker.node.hub
    ours, theirs = socket.socketpair()
    with theirs:
        hub.admit(ours, "late", Address("127.0.0.1", True))
        assert theirs.recv(1) == b""
    assert not hub.sessions
