"""Whole runs against a broker in the same process, and against servers that are none."""

import os
import signal
import socket
import ssl
from dataclasses import replace
from random import Random

import pytest
import trio
import trustme
from harness import PROTOCOL_HEADER, m
from peer import Peer, until

from amqpd.perftest import link as linking
from amqpd.perftest.client import Client
from amqpd.perftest.faults import RunError
from amqpd.perftest.options import Options
from amqpd.perftest.pace import constant
from amqpd.perftest.run import INTERRUPTED, MESSAGE_LIMIT, TIME_LIMIT, Run
from amqpd.perftest.texts import address
from amqpd.testing import open_broker
from amqpd.wire.tables import long, longstr


class Made:
    """A run with what it has said."""

    def __init__(self, broker, tls=None, **options):
        chosen = Options([address(broker if isinstance(broker, str) else broker.url)], "me")
        self.intervals, self.said = [], []
        self.run = Run(replace(chosen, **options), tls, Random(1), self.intervals.append, self.said.append)

    async def to_its_end(self):
        with trio.fail_after(60):
            await self.run.run()
        return self.run.figures.summary()


async def counted(broker, **options):
    made = Made(broker, **options)
    summary = await made.to_its_end()
    assert made.run.reason == MESSAGE_LIMIT
    return summary


async def test_what_is_sent_is_received():
    async with open_broker() as broker:
        summary = await counted(broker, producer_limit=5000)
        assert (summary.sent, summary.received, summary.consumer.count) == (5000, 5000, 5000)
        assert summary.sending_rate > 0 < summary.receiving_rate
        await until(lambda: broker.connection_count() == 0)


async def test_confirms_and_persistent_messages():
    async with open_broker() as broker:
        summary = await counted(
            broker, producer_limit=500, confirm=50, queues=["q"], properties={0x1000: b"\2"}, auto_delete=False
        )
        assert (summary.confirmed, summary.nacked, summary.confirm.count, summary.received) == (500, 0, 500, 500)
        assert broker.message_count("q") == 0


async def test_several_of_everything():
    async with open_broker() as broker:
        summary = await counted(
            broker,
            producers=2,
            consumers=3,
            producer_channels=2,
            consumer_channels=2,
            producer_limit=100,
            queues=["a", "b"],
            prefetch=10,
            multi_ack_every=5,
            exchange="x",
            exchange_type="fanout",
        )
        assert (summary.sent, summary.received) == (400, 800)


async def test_a_sequence_of_queues():
    async with open_broker() as broker:
        summary = await counted(
            broker, producers=4, consumers=0, producer_limit=10, queues=["a", "b"], in_sequence=True, auto_delete=False
        )
        assert (summary.sent, broker.message_count("a"), broker.message_count("b")) == (40, 20, 20)
        summary = await counted(
            broker, producers=0, consumers=2, consumer_limit=20, queues=["a", "b"], in_sequence=True, predeclared=True
        )
        assert summary.received == 40


async def test_transactions_on_both_sides():
    async with open_broker() as broker:
        summary = await counted(
            broker, producer_limit=25, consumer_limit=25, producer_tx=10, consumer_tx=4, queues=["q"], auto_delete=False
        )
        assert (summary.sent, summary.received, broker.message_count("q")) == (25, 25, 0)


async def test_messages_that_come_back():
    async with open_broker() as broker:
        summary = await counted(broker, consumers=0, producer_limit=30, confirm=10, mandatory=True)
        assert (summary.sent, summary.returned, summary.confirmed) == (30, 30, 30)


async def test_nacks_of_a_full_queue():
    async with open_broker() as broker:
        full = [("x-max-length", long(1)), ("x-overflow", longstr("reject-publish"))]
        summary = await counted(
            broker, consumers=0, producer_limit=10, confirm=1, queues=["q"], auto_delete=False, queue_arguments=full
        )
        assert (summary.sent, summary.confirmed, summary.nacked) == (10, 1, 9)


async def test_exclusive_queues_random_keys_and_large_bodies():
    async with open_broker() as broker:
        summary = await counted(
            broker,
            producer_limit=20,
            exclusive=True,
            sizes=constant(200_000),
            random_keys=-1,
            exchange="amq.topic",
            exchange_type="topic",
            routing_key="#",
        )
        assert (summary.received, summary.consumer.count) == (20, 20)


async def test_working_consumers_take_their_time():
    async with open_broker() as broker:
        summary = await counted(broker, producer_limit=50, latencies=constant(2000), queues=["q"], prefetch=5)
        assert summary.received == 50
        assert summary.consumer.maximum > 90_000_000
        assert summary.receiving_rate < 520


async def test_more_waits_than_a_consumer_holds():
    async with open_broker() as broker:
        summary = await counted(broker, producer_limit=3000, consumer_rate=20_000)
        assert summary.received == 3000


async def test_time_is_up():
    async with open_broker() as broker:
        made = Made(broker, time_s=0.3, interval_s=0.1, rates=constant(200))
        summary = await made.to_its_end()
        assert made.run.reason == TIME_LIMIT
        assert len(made.intervals) >= 2
        assert summary.sent > 0
        assert summary.sent == summary.received


async def test_an_interrupt_ends_it_in_order():
    async with open_broker() as broker:
        made = Made(broker)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(made.to_its_end)
            await until(lambda: made.run.figures.received > 100)
            os.kill(os.getpid(), signal.SIGINT)
        assert made.run.reason == INTERRUPTED


async def test_blocked_publishers_are_told_of():
    async with open_broker() as broker:
        broker.raise_alarm("disk")
        made = Made(broker, interval_s=0.1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(made.to_its_end)
            await until(lambda: made.said)
            broker.clear_alarm("disk")
            await until(lambda: len(made.said) == 2)
            os.kill(os.getpid(), signal.SIGTERM)
        assert made.said == ["the broker blocks publishers: low on disk", "publishers may go on"]


# -- what goes wrong


async def fails(broker, match, **options):
    made = Made(broker, **options)
    with pytest.raises(RunError, match=match):
        await made.to_its_end()
    return made


async def test_what_the_broker_refuses_is_said_in_one_line():
    async with open_broker() as broker:
        await fails(broker, "404 NOT_FOUND - no queue 'nix'", queues=["nix"], predeclared=True)
        await fails(broker, "404 NOT_FOUND - no exchange 'x'", exchange="x", exchange_named=True, predeclared=True)
        await fails(broker, "invalid exchange type 'odd'|unknown exchange type", exchange="odd", exchange_type="odd")
        await fails(broker.url_of("nowhere"), "530 NOT_ALLOWED")
        await fails(broker.url.replace("guest:guest", "guest:wrong"), "403 ACCESS_REFUSED")
        await fails(broker, "allows 2047 channels, not 3000", producer_channels=3000)


async def test_permissions_are_the_brokers():
    async with open_broker() as broker:
        broker.add_user("reader", "reader")
        broker.set_permissions("reader", "", "", ".*")
        await fails(broker.url.replace("guest:guest", "reader:reader"), "403 ACCESS_REFUSED")


async def test_a_connection_that_is_closed_on_its_way_ends_the_run_with_its_figures():
    async with open_broker() as broker:
        made = Made(broker)
        failed = []

        async def follow():
            with pytest.raises(RunError) as caught:
                await made.to_its_end()
            failed.append(str(caught.value))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(follow)
            await until(lambda: made.run.figures.received > 0)
            broker.close_connections("maintenance")
        assert "320 CONNECTION_FORCED - maintenance" in failed[0]
        assert made.run.began
        assert made.run.figures.summary().received > 0


async def test_nobody_answers():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    await fails(f"amqp://127.0.0.1:{port}", f"^cannot connect to 127.0.0.1:{port}: Connection refused$")


async def test_waiting_for_a_broker_that_is_not_there_yet():
    async with open_broker() as broker:
        port = broker.port
    made = Made(f"amqp://127.0.0.1:{port}", servers_startup_timeout_s=30, producer_limit=1)
    ended = trio.Event()

    async def follow():
        await made.to_its_end()
        ended.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(follow)
        await trio.testing.wait_all_tasks_blocked()
        assert not made.run.began
        async with open_broker(listeners=[f"127.0.0.1:{port}"]):
            await ended.wait()
    assert made.run.figures.received == 1


async def serve_once(nursery, handler):
    """A server of one connection; returns its address."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")

    async def accept():
        stream = await listener.accept()
        await listener.aclose()
        async with stream:
            await handler(stream)

    nursery.start_soon(accept)
    return f"amqp://127.0.0.1:{listener.socket.getsockname()[1]}"


async def test_servers_that_speak_something_else():
    async def hang_up(stream):
        await stream.receive_some(100)

    async def other_version(stream):
        await stream.receive_some(100)
        await stream.send_all(PROTOCOL_HEADER)

    async def web(stream):
        await stream.receive_some(100)
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    cases = [
        (hang_up, "ended the connection during the login"),
        (other_version, "does not speak AMQP 0-9-1"),
        (web, "does not speak AMQP"),
    ]
    for handler, match in cases:
        async with trio.open_nursery() as nursery:
            await fails(await serve_once(nursery, handler), match)


async def test_a_broker_that_confirms_nothing(monkeypatch):
    """One that is blocked: it does not read what is published."""
    async with open_broker() as broker:
        broker.raise_alarm()
        made = await fails(
            broker, r"no confirm within 0.2 s \(--confirm-timeout\)", consumers=0, confirm=5, confirm_timeout_s=0.2
        )
        assert made.run.figures.sent == 5
        broker.clear_alarm()


async def test_tls(tmp_path):
    authority = trustme.CA()
    pem = tmp_path / "server.pem"
    pem.write_bytes(authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.bytes())
    async with open_broker(tls_listeners=["127.0.0.1:0"], ssl_options__certfile=str(pem)) as broker:
        (secure,) = [place for place in broker.node.addresses if place.startswith("tls:")]
        url = f"amqps://127.0.0.1:{secure.rpartition(':')[2]}"
        trusting = ssl.create_default_context()
        authority.configure_trust(trusting)
        summary = await counted(url, tls=trusting, producer_limit=100)
        assert summary.received == 100
        await fails(url, "with TLS: its certificate is not trusted", tls=ssl.create_default_context())
        await fails(broker.url.replace("amqp:", "amqps:"), "cannot connect to .* with TLS", tls=trusting)


async def test_heartbeats_are_sent_and_a_silent_broker_is_noticed(autojump_clock, monkeypatch):
    """In virtual time, over streams in memory."""
    ours, theirs = trio.testing.memory_stream_pair()

    async def connected(_address, _tls):
        return ours

    monkeypatch.setattr(linking, "_connect", connected)
    peer = Peer(theirs)
    Peer.left.remove(peer)
    heard = []
    fields = {"version_major": 0, "version_minor": 9, "server_properties": {}, "mechanisms": "PLAIN", "locales": ""}

    async def serve():
        await peer.stream.receive_some(8)
        await peer.send(m("connection.start", **fields), 0)
        assert (await peer.next()).mechanism == "PLAIN"
        await peer.send(m("connection.tune", channel_max=10, frame_max=131_072, heartbeat=60), 0)
        assert (await peer.next()).heartbeat == 10
        await peer.expect("connection.open")
        await peer.send(m("connection.open-ok"), 0)
        for _ in range(2):
            event = await peer.next()
            heard.append((trio.current_time(), event.name))
        await peer.stream.send_all(b"\x08\0\0\0\0\0\0\xce")  # a sign of life, the last one

    with pytest.RaisesGroup(pytest.RaisesExc(RunError, match="is silent for 20 s"), flatten_subgroups=True):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            await linking.open_link(nursery, Client(address("amqp://h"), "name", heartbeat=10), None)
    assert [name for _time, name in heard] == ["heartbeat"] * 2
    assert heard[1][0] - heard[0][0] <= 10
    assert 20 <= trio.current_time() - heard[1][0] <= 25
