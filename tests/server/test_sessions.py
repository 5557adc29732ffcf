"""One client on a real socket: the handshake, slow readers, stalled and broken peers, and bugs in the core.

All of it over TCP, over TLS, and with the other kernels' way to tell who is ready: what a session does must not depend
on that.
"""

import functools
import select
import socket
import struct

import kqueues
import pytest
import trio
from harness import END, PROTOCOL_HEADER, m, publish
from peer import Peer, until
from secure import TlsPeer, tls_port

from amqpd.broker.exchanges.contract import ExchangeType
from amqpd.server import session as sessions
from amqpd.server import turns
from amqpd.server.poller import Kqueue
from amqpd.server.turns import READ_SIZE
from amqpd.testing import open_broker
from amqpd.wire.methods import BASIC_PUBLISH

BASIC_QOS_OK = b"\x00\x3c\x00\x0b"
SMALL = {"unsent_bytes_max": 65_536, "unsent_bytes_stop": 131_072, "heartbeat": 0}


@pytest.fixture(params=["plain", "tls", "kqueue"], autouse=True)
def secure(request, monkeypatch):
    """The kind of connection. With TLS the names that the tests use mean a broker and a client that speak it."""
    if request.param == "kqueue":
        if not hasattr(select, "epoll"):
            pytest.skip("the stand-in needs epoll; where there is none, the others were on a real kqueue")
        monkeypatch.setattr(turns, "open_poller", lambda: Kqueue(kqueues))
    if request.param == "tls":
        options = request.getfixturevalue("pki").options()
        monkeypatch.setitem(globals(), "open_broker", functools.partial(open_broker, **options))
        monkeypatch.setitem(globals(), "Peer", TlsPeer)
    return request.param == "tls"


def sessions_of(broker):
    return list(broker.node.hub.sessions)


async def test_a_client_publishes_and_gets():
    async with open_broker() as broker:
        peer = await Peer.connect(broker)
        await peer.call(m("queue.declare", queue="q"))
        await peer.send(publish(b"x" * 300_000))
        await peer.send(m("basic.get", queue="q", no_ack=True))
        assert (await peer.expect("basic.get-ok")).body == b"x" * 300_000
        await peer.close()


async def test_a_connection_is_named_by_its_two_ends(secure):
    async with open_broker() as broker:
        peer = await Peer.connect(broker)
        (session,) = sessions_of(broker)
        port = peer.stream.socket.getsockname()[1]
        reached = tls_port(broker) if secure else broker.port
        assert session.connection.name == f"127.0.0.1:{port} -> 127.0.0.1:{reached}"
        await peer.close()


async def test_the_sockets_options():
    async with open_broker() as broker:
        peer = await Peer.connect(broker)
        (session,) = sessions_of(broker)
        assert session.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert session.sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        await peer.close()


async def test_an_orderly_close_ends_without_a_reset():
    async with open_broker() as broker:
        peer = await Peer.connect(broker)
        # Closing a socket with unread bytes resets it, and the reset would eat close-ok.
        unread = publish(b"late" * 50_000).frames(1)
        await peer.stream.send_all(m("connection.close", reply_code=200).frames(0) + unread)
        assert await peer.ended() == ["connection.close-ok"]
        await peer.stream.aclose()
        await until(lambda: not sessions_of(broker))


async def test_a_client_that_never_closes_its_side_is_left_after_a_while(autojump_clock):
    async with open_broker() as broker:
        peer = await Peer.connect(broker)
        await peer.send(m("connection.close", reply_code=200), 0)
        assert await peer.ended() == ["connection.close-ok"]
        before = trio.current_time()
        await until(lambda: not sessions_of(broker), 0.1)
        assert trio.current_time() - before <= sessions.CLOSE_TIMEOUT_MS / 1000 + 1


async def test_another_protocol_is_told_ours():
    async with open_broker() as broker:
        peer = await Peer.dial(broker)
        await peer.stream.send_all(b"GET / HTTP/1.1\r\n\r\n")
        assert await peer.ended() == ["protocol-header"]
        await peer.stream.aclose()
        await until(lambda: not sessions_of(broker))


@pytest.mark.parametrize("said", [b"", b"AMQP", PROTOCOL_HEADER], ids=["nothing", "half", "header"])
async def test_a_stalled_handshake_is_dropped_in_time(autojump_clock, said):
    async with open_broker(handshake_timeout=5000) as broker:
        peer = await Peer.dial(broker)
        await peer.stream.send_all(said)
        start = trio.current_time()
        await peer.ended()
        assert 4.9 <= trio.current_time() - start <= 5.1
        assert not sessions_of(broker)
        await peer.stream.aclose()


async def test_after_an_idle_hour_a_client_has_its_whole_time_for_the_handshake(autojump_clock):
    async with open_broker(handshake_timeout=5000) as broker:
        await trio.sleep(3600)
        peer = await Peer.dial(broker)
        start = trio.current_time()
        await peer.ended()
        assert 4.9 <= trio.current_time() - start <= 5.1
        await peer.stream.aclose()


async def test_a_refused_login_is_answered_and_logged(caplog):
    async with open_broker() as broker:
        peer = await Peer.dial(broker)
        await peer.stream.send_all(PROTOCOL_HEADER)
        await peer.expect("connection.start")
        properties = {"capabilities": {"authentication_failure_close": True}}
        start_ok = m("connection.start-ok", client_properties=properties, mechanism="PLAIN", response=b"\0guest\0bad")
        await peer.send(start_ok, 0)
        close = await peer.expect("connection.close")
        assert close.reply_code == 403
        await peer.send(m("connection.close-ok"), 0)
        assert await peer.ended() == []
        await peer.stream.aclose()
    assert "invalid credentials" in caplog.text
    assert "bad" not in caplog.text


async def test_missed_heartbeats_end_a_half_open_connection(autojump_clock):
    async with open_broker() as broker:
        peer = await Peer.connect(broker, heartbeat=10)
        start = trio.current_time()
        names = await peer.ended()
        assert 20 <= trio.current_time() - start <= 30.1
        assert set(names) == {"heartbeat"}
        assert not sessions_of(broker)
        await peer.stream.aclose()


@pytest.mark.parametrize("how", ["closes", "resets"])
async def test_a_peer_that_goes_is_released_with_what_it_held(how):
    async with open_broker() as broker:
        peer = await Peer.connect(broker)
        await peer.call(m("queue.declare", queue="mine", exclusive=True))
        if how == "resets":
            peer.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await peer.stream.aclose()
        await until(lambda: not sessions_of(broker))
        assert broker.node.broker.vhosts["/"].queues == {}
        assert broker.connection_count() == 0


# -- back-pressure


async def consume_slowly(broker, messages, size):
    """A consumer that reads nothing, with a backlog of far more than any socket buffer takes."""
    publisher = await Peer.connect(broker)
    await publisher.call(m("queue.declare", queue="q"))
    consumer = await Peer.connect(broker, receive_buffer=8192)
    await consumer.call(m("basic.consume", queue="q", no_ack=True, consumer_tag="c"))
    (session,) = [s for s in sessions_of(broker) if s.connection.channels[1].consumers]
    for number in range(messages):
        await publisher.send(publish(struct.pack(">I", number) * (size // 4)))
    await publisher.call(m("queue.declare", queue="q", passive=True))
    return publisher, consumer, session


async def test_a_slow_reader_holds_a_bounded_number_of_bytes_and_gets_everything_in_order():
    async with open_broker(**SMALL) as broker:
        messages, size = 2000, 20_000  # 40 MB, far above what the kernel buffers
        publisher, consumer, session = await consume_slowly(broker, messages, size)
        assert 0 < session.connection.unsent <= SMALL["unsent_bytes_max"] + 2 * size
        assert broker.message_count("q") > messages // 2
        most = 0
        for number in range(messages):
            event = await consumer.expect("basic.deliver")
            assert event.body[:4] == struct.pack(">I", number)
            most = max(most, session.connection.unsent)
        assert most <= SMALL["unsent_bytes_max"] + 2 * size
        await consumer.close()
        await publisher.close()


async def test_a_reader_that_keeps_up_is_refilled_though_nothing_ever_waited():
    """The lost refill: consumers were refused for a full buffer, the socket took it all, and nobody asked again."""
    async with open_broker(**{**SMALL, "unsent_bytes_max": 4096}) as broker:
        publisher = await Peer.connect(broker)
        await publisher.call(m("queue.declare", queue="q"))
        for _ in range(200):
            await publisher.send(publish(b"x" * 1000))
        await until(lambda: broker.message_count("q") == 200)
        consumer = await Peer.connect(broker)
        await consumer.call(m("basic.consume", queue="q", no_ack=True))
        for _ in range(200):
            await consumer.expect("basic.deliver")
        await consumer.close()
        await publisher.stream.aclose()


async def test_more_pieces_than_can_be_offered_at_once_arrive_whole_and_in_order():
    """Large contents go to the socket as they are, each a piece of its own."""
    messages, size = 2 * sessions.PIECES_MAX, 10_000
    async with open_broker(unsent_bytes_max=4 * messages * size, unsent_bytes_stop=4 * messages * size) as broker:
        publisher = await Peer.connect(broker)
        await publisher.call(m("queue.declare", queue="q"))
        for number in range(messages):
            await publisher.send(publish(struct.pack(">I", number) * (size // 4)))
        await until(lambda: broker.message_count("q") == messages)
        consumer = await Peer.connect(broker)
        await consumer.call(m("basic.consume", queue="q", no_ack=True))
        (session,) = [s for s in sessions_of(broker) if s.connection.channels[1].consumers]
        for number in range(messages):
            assert (await consumer.expect("basic.deliver")).body == struct.pack(">I", number) * (size // 4)
        assert session.connection.unsent == 0
        await consumer.close()
        await publisher.close()


async def test_a_client_that_asks_and_never_reads_is_not_read_from_any_more():
    async with open_broker(**SMALL) as broker:
        peer = await Peer.connect(broker, receive_buffer=8192)
        await peer.call(m("queue.declare", queue="q"))
        await peer.send(publish(b"x" * 50_000))
        (session,) = sessions_of(broker)
        asked = 0
        ask = m("basic.get", queue="q").frames(1) + m("basic.recover", requeue=True).frames(1)
        while not session.connection.paused:
            with trio.move_on_after(5) as scope:
                await peer.stream.send_all(ask)
                asked += 1
            assert not scope.cancelled_caught or session.connection.paused
        assert session in broker.node.hub.parked
        assert session.connection.unsent <= SMALL["unsent_bytes_stop"] + 2 * 65_536 * 50  # one read's worth of answers
        for _ in range(2 * asked):
            event = await peer.next()
            assert event.name in ("basic.get-ok", "basic.recover-ok")
        assert not session.connection.paused
        await peer.close()


async def test_a_client_beyond_the_hard_limit_is_dropped(caplog):
    async with open_broker(
        unsent_bytes_max=4096, unsent_bytes_stop=4096, unsent_bytes_hard_max=8192, frame_max=131_072
    ) as broker:
        peer = await Peer.connect(broker, receive_buffer=8192)
        await peer.call(m("queue.declare", queue="q"))
        await peer.send(publish(b"x" * 16_000_000))
        await peer.send(m("basic.get", queue="q"))
        await until(lambda: not sessions_of(broker))
        await peer.stream.aclose()
    assert "bytes unsent" in caplog.text


async def test_a_flooding_publisher_leaves_others_their_turn():
    """A property, not a speed: while one connection always has more to read, another one's turn still comes."""
    async with open_broker() as broker:
        flood = await Peer.connect(broker)
        await flood.call(m("queue.declare", queue="q", arguments={"x-max-length": 10}))
        other = await Peer.connect(broker)
        batch = publish(b"x" * 16).frames(1) * 2000  # always more than one read
        reads = []
        (flooding, _) = sessions_of(broker)

        async def pour():
            while True:
                await flood.stream.send_all(batch)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(pour)
            await until(lambda: flooding.connection.bytes_received > len(batch))
            for _ in range(20):
                before = flooding.connection.bytes_received
                await other.call(m("queue.declare", queue="q", passive=True))
                reads.append((flooding.connection.bytes_received - before) / READ_SIZE)
            nursery.cancel_scope.cancel()
        # Between question and answer lie the turns of the socket's two ends, not a share of the flood.
        assert sorted(reads)[10] <= 8
        await other.close()
        await flood.stream.aclose()


async def test_between_reads_everybody_else_has_a_turn(monkeypatch):
    async with open_broker() as broker:
        flood = await Peer.connect(broker)
        await flood.call(m("queue.declare", queue="q", arguments={"x-max-length": 10}))
        turns = 0  # of somebody else
        seen = []  # at each read
        read = sessions.Session.read
        monkeypatch.setattr(sessions.Session, "read", lambda *now_most: seen.append(turns) or read(*now_most))
        data = publish(b"x" * 16).frames(1) * 20_000

        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood.stream.send_all, data)
            (session,) = sessions_of(broker)
            end = session.connection.bytes_received + len(data)
            while session.connection.bytes_received < end:
                await trio.lowlevel.checkpoint()
                turns += 1
        assert len(seen) >= len(data) / READ_SIZE
        # Trio runs who is ready in any order: two reads can touch, the last of one turn and the first of the next.
        assert all(later > earlier for earlier, later in zip(seen, seen[2:], strict=False))
        await flood.stream.aclose()


async def test_a_flood_that_breaks_off_is_the_end_of_its_connection_alone(caplog):
    caplog.set_level("INFO")
    async with open_broker() as broker:
        flood = await Peer.connect(broker)
        await flood.call(m("queue.declare", queue="q", arguments={"x-max-length": 10}))
        other = await Peer.connect(broker)
        (flooding, _) = sessions_of(broker)
        batch = publish(b"x" * 16).frames(1) * 2000
        while not flooding.greedy:
            await flood.stream.send_all(batch)
        flood.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await flood.stream.aclose()  # a reset
        await until(lambda: len(sessions_of(broker)) == 1)
        await other.call(m("queue.declare", queue="q", passive=True))
        await other.close()
    assert "connection lost: Connection reset by peer" in caplog.text


async def test_nobody_waits_after_an_acknowledgement():
    async with open_broker() as broker:
        peer = await Peer.connect(broker)
        await peer.call(m("queue.declare", queue="q"))
        await peer.send(publish(b"x"))
        (session,) = sessions_of(broker)
        await until(lambda: session.connection.method == BASIC_PUBLISH)
        assert session.awaits_answer
        await peer.call(m("basic.get", queue="q"))
        assert session.awaits_answer
        await peer.send(m("basic.ack", delivery_tag=1))
        await until(lambda: not session.awaits_answer)
        await peer.call(m("queue.declare", queue="q", passive=True))
        assert session.awaits_answer
        await peer.close()


# -- alarms


async def test_while_an_alarm_is_on_a_publisher_is_not_read_from():
    async with open_broker() as broker:
        peer = await Peer.connect(broker)
        await peer.call(m("queue.declare", queue="q"))
        broker.raise_alarm()
        await peer.send(publish(b"1"))
        assert (await peer.expect("connection.blocked")).reason == "low on memory"
        await peer.send(m("queue.declare", queue="q", passive=True))
        (session,) = sessions_of(broker)
        await until(lambda: session in broker.node.hub.parked)
        other = await Peer.connect(broker)
        await other.call(m("queue.declare", queue="q", passive=True))
        await other.close()
        broker.clear_alarm()
        await peer.expect("connection.unblocked")
        assert (await peer.expect("queue.declare-ok")).message_count == 1
        await peer.close()


async def test_what_came_with_the_blocked_publish_is_answered_after_the_alarm():
    """It was read together, so there is nothing left at the socket that would wake anybody."""
    async with open_broker() as broker:
        peer = await Peer.connect(broker)
        await peer.call(m("queue.declare", queue="q"))
        broker.raise_alarm()
        await peer.stream.send_all(publish(b"1").frames(1) + m("queue.declare", queue="q", passive=True).frames(1))
        await peer.expect("connection.blocked")
        (session,) = sessions_of(broker)
        await until(lambda: session in broker.node.hub.parked)
        broker.clear_alarm()
        await peer.expect("connection.unblocked")
        await peer.expect("queue.declare-ok")
        await peer.close()


@pytest.mark.parametrize("how", ["closes", "resets"])
async def test_a_peer_that_goes_while_blocked_is_released_in_time(autojump_clock, how):
    async with open_broker() as broker:
        peer = await Peer.connect(broker)
        await peer.call(m("queue.declare", queue="q"))
        broker.raise_alarm()
        await peer.send(publish(b"1"))
        await peer.expect("connection.blocked")
        await peer.send(publish(b"2"))
        if how == "resets":
            peer.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await peer.stream.aclose()
        start = trio.current_time()
        await until(lambda: not sessions_of(broker), 1)
        assert trio.current_time() - start <= (11 if how == "resets" else 51)


async def test_what_a_peer_sent_before_it_went_still_counts_when_the_alarm_ends_soon(autojump_clock):
    async with open_broker() as broker:
        peer = await Peer.connect(broker)
        await peer.call(m("queue.declare", queue="q"))
        broker.raise_alarm()
        await peer.send(publish(b"1"))
        await peer.expect("connection.blocked")
        await peer.send(publish(b"2"))
        await peer.stream.aclose()
        await trio.sleep(15)
        broker.clear_alarm()
        await trio.sleep(1)
        assert broker.message_count("q") == 2
        assert not sessions_of(broker)


# -- bugs


class Broken(ExchangeType):
    """As a plugin might get it wrong."""

    def add(self, binding):
        pass

    def match(self, key, message, found):
        raise RuntimeError("a bug")


async def test_a_bug_ends_one_connection_with_541(caplog):
    async with open_broker() as broker:
        broker.node.broker.exchange_types.register("x-broken", Broken)
        peer, other = await Peer.connect(broker), await Peer.connect(broker)
        await peer.call(m("queue.declare", queue="mine", exclusive=True))
        await peer.call(m("exchange.declare", exchange="broken", type="x-broken"))
        await peer.send(publish(b"1", exchange="broken"))
        await peer.send(m("queue.declare", queue="after"))
        close = await peer.expect("connection.close")
        assert (close.reply_code, close.reply_text) == (541, "INTERNAL_ERROR")
        assert await peer.ended() == []
        await peer.stream.aclose()
        await until(lambda: len(sessions_of(broker)) == 1)
        assert not broker.node.broker.vhosts["/"].queues
        await other.call(m("queue.declare", queue="q"))
        await other.close()
    assert "Traceback" in caplog.text
    assert "a bug" in caplog.text


async def test_a_bug_at_the_end_of_a_round_ends_nobody(caplog):
    """A dead letter is published at the end of a round, by whoever began it."""
    async with open_broker() as broker:
        broker.node.broker.exchange_types.register("x-broken", Broken)
        peer = await Peer.connect(broker)
        await peer.call(m("exchange.declare", exchange="broken", type="x-broken"))
        arguments = {"x-max-length": 1, "x-dead-letter-exchange": "broken"}
        await peer.call(m("queue.declare", queue="q", arguments=arguments))
        await peer.send(publish(b"1"))
        await peer.send(publish(b"2"))
        assert (await peer.call(m("queue.declare", queue="q", passive=True))).message_count == 1
        await peer.close()
    assert "internal error at the end of a round" in caplog.text


async def test_a_bug_in_one_flush_leaves_nobody_else_unflushed(monkeypatch):
    async with open_broker() as broker:
        first, second = await Peer.connect(broker), await Peer.connect(broker)
        one, two = sessions_of(broker)
        flush = sessions.Session.flush
        broken = [one]  # once only: what tells the client of it must be sent

        def flush_or_raise(session):
            if session in broken:
                broken.remove(session)
                raise RuntimeError("a bug")
            flush(session)

        monkeypatch.setattr(sessions.Session, "flush", flush_or_raise)
        one.connection.send(1, BASIC_QOS_OK)
        two.connection.send(1, BASIC_QOS_OK)
        one.connection.touch()
        broker.node.driver.end_round()
        await second.expect("basic.qos-ok")
        await first.stream.aclose()
        await second.close()


async def test_a_frame_error_still_reaches_a_client_that_keeps_sending():
    async with open_broker() as broker:
        peer = await Peer.connect(broker)
        bad = bytearray(m("channel.open").frames(2))
        bad[-1] = END ^ 1
        await peer.stream.send_all(bytes(bad) + b"\0" * 1000)
        close = await peer.expect("connection.close")
        assert close.reply_code == 501
        await peer.send(m("connection.close-ok"), 0)
        await peer.stream.aclose()
        await until(lambda: not sessions_of(broker))
