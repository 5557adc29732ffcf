"""What comes before AMQP, on real sockets: PROXY headers, TLS handshakes, and those who never finish either."""

import logging
import socket
import ssl
import struct

import pytest
import trio
from harness import PROTOCOL_HEADER, m
from peer import Peer, until
from secure import MemoryClient, TlsPeer, TlsStream, tls_port

from amqpd.server import arrival
from amqpd.server.proxy import SIGNATURE
from amqpd.server.tls import Tls, TlsError
from amqpd.testing import open_broker

HERE = "127.0.0.1"
TRUSTED = {"trusted_proxies": [HERE], "loopback_users": []}
V1 = b"PROXY TCP4 203.0.113.7 192.0.2.1 40000 5671\r\n"
V2 = SIGNATURE + b"\x21\x11\x00\x0c" + socket.inet_aton("203.0.113.7") + socket.inet_aton("192.0.2.1")
V2 += struct.pack(">HH", 40000, 5671)
LOCAL = SIGNATURE + b"\x20\x00\x00\x00"


async def dial(broker, port=0):
    stream = await trio.open_tcp_stream(broker.host, port or broker.port)
    Peer(stream)  # which is closed after the test
    return stream


def hub(broker):
    return broker.node.hub


def only_session(broker):
    (session,) = hub(broker).sessions
    return session


# -- PROXY protocol


@pytest.mark.parametrize("header", [V1, V2], ids=["v1", "v2"])
@pytest.mark.parametrize("pieces", ["whole", "bytes", "with AMQP"])
async def test_a_client_is_who_its_proxy_says_it_is(header, pieces):
    async with open_broker(**TRUSTED) as broker:
        stream = await dial(broker)
        peer = Peer(stream)
        if pieces == "with AMQP":
            await stream.send_all(header + PROTOCOL_HEADER)
            await peer.expect("connection.start")
        else:
            for piece in [header] if pieces == "whole" else [bytes([byte]) for byte in header]:
                await stream.send_all(piece)
                await trio.testing.wait_all_tasks_blocked()
            await peer.handshake()
        session = only_session(broker)
        assert session.connection.name == "203.0.113.7:40000 -> 192.0.2.1:5671"
        assert session.connection.peer.address == "203.0.113.7"
        assert not session.connection.peer.from_loopback
        assert not hub(broker).arrivals
        await stream.aclose()


@pytest.mark.parametrize("header", [V1, b"PROXY UNKNOWN\r\n", b"PROXY TCP6 ::ffff:10.0.0.1 ::1 1 2\r\n"])
async def test_a_proxy_on_this_machine_makes_nobody_local(header, caplog):
    async with open_broker(trusted_proxies=[HERE]) as broker:
        stream = await dial(broker)
        await stream.send_all(header)
        peer = Peer(stream)
        await stream.send_all(PROTOCOL_HEADER)
        await peer.expect("connection.start")
        properties = {"capabilities": {"authentication_failure_close": True}}
        await peer.send(
            m("connection.start-ok", client_properties=properties, mechanism="PLAIN", response=b"\0guest\0guest"), 0
        )
        assert (await peer.expect("connection.close")).reply_code == 403
        await stream.aclose()


@pytest.mark.parametrize("header", [LOCAL, b"PROXY TCP4 127.0.0.1 127.0.0.1 40000 5672\r\n"])
async def test_who_is_on_this_machine_stays_local_behind_its_proxy(header):
    async with open_broker(trusted_proxies=["127.0.0.0/8"]) as broker:
        stream = await dial(broker)
        await stream.send_all(header)
        peer = Peer(stream)
        await peer.handshake()
        assert only_session(broker).connection.peer.address == HERE
        await peer.close()


@pytest.mark.parametrize("header", [LOCAL, b"PROXY UNKNOWN\r\n"])
async def test_without_addresses_the_sockets_own_are_shown(header):
    async with open_broker(**TRUSTED) as broker:
        stream = await dial(broker)
        port = stream.socket.getsockname()[1]
        await stream.send_all(header)
        peer = Peer(stream)
        await peer.handshake()
        assert only_session(broker).connection.name == f"{HERE}:{port} -> {HERE}:{broker.port}"
        await peer.close()


@pytest.mark.parametrize("said", [PROTOCOL_HEADER, V1[:-2] + b"\n\r" * 40, V2[:12] + b"\x31" + V2[13:]])
async def test_a_trusted_proxy_must_send_a_header(said, caplog):
    async with open_broker(**TRUSTED) as broker:
        stream = await dial(broker)
        await stream.send_all(said)
        assert await Peer(stream).ended() == []
        assert not hub(broker).sessions
        assert not hub(broker).arrivals
    assert "refused: a trusted proxy sent no PROXY header: " in caplog.text


@pytest.mark.parametrize("header", [V1, V2])
@pytest.mark.parametrize("proxies", [[], ["192.0.2.0/24", "fd00::/8"]])
async def test_from_anywhere_else_a_header_is_garbage(header, proxies):
    async with open_broker(trusted_proxies=proxies) as broker:
        stream = await dial(broker)
        await stream.send_all(header)
        assert await Peer(stream).ended() == ["protocol-header"]
        await stream.aclose()


async def test_a_unix_socket_needs_no_header(tmp_path):
    path = f"{tmp_path}/amqp.sock"
    async with open_broker(listeners=[f"unix:{path}"], trusted_proxies=["0.0.0.0/0", "::/0"]) as broker:
        peer = await Peer.connect(broker)
        await peer.close()


@pytest.mark.parametrize("header", [V1, V2], ids=["v1", "v2"])
async def test_the_header_stands_before_tls(pki, header):
    async with open_broker(**pki.options(), **TRUSTED) as broker:
        stream = await dial(broker, tls_port(broker))
        await stream.send_all(header)
        peer = Peer(TlsStream(stream, pki.client()))
        await peer.handshake()
        connection = only_session(broker).connection
        assert connection.name == "203.0.113.7:40000 -> 192.0.2.1:5671"
        assert connection.peer.address == "203.0.113.7"
        assert connection.peer.tls == "TLSv1.3"
        await peer.close()


async def test_a_header_and_a_hello_in_one_piece(pki):
    async with open_broker(**pki.options(), **TRUSTED) as broker:
        stream = await dial(broker, tls_port(broker))
        client = MemoryClient(pki.client())
        client.handshake()
        await stream.send_all(V2 + client.output.read())
        await finish_handshake(client, stream)
        await stream.aclose()


# -- TLS


async def finish_handshake(client, stream):
    while not client.handshake():
        await stream.send_all(client.output.read())
        client.received.write(await stream.receive_some())


REQUIRED = {"verify": "verify_peer", "fail_if_no_peer_cert": True}


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
async def test_who_a_client_is_stands_in_its_certificate(pki, version):
    async with open_broker(**pki.options(**REQUIRED)) as broker:
        context = pki.client(pki.issue("client.pem", "a.example", "b@c.org", common_name="me", organization_name="org"))
        context.maximum_version = ssl.TLSVersion[version.replace(".", "_")]
        peer = await TlsPeer.dial(broker, context=context)
        await peer.handshake()
        known = only_session(broker).connection.peer
        assert known.tls == version
        assert known.from_loopback
        assert known.certificate.common_name == "me"
        assert known.certificate.distinguished_name.startswith("CN=me,OU=")
        assert known.certificate.distinguished_name.endswith(",O=org")
        assert known.certificate.alternative_names == [("dns", "a.example"), ("email", "b@c.org")]
        await peer.close()


@pytest.mark.parametrize("options", [{}, {"verify": "verify_peer"}], ids=["not asked", "optional"])
async def test_a_client_without_a_certificate_is_let_in_where_none_is_needed(pki, options):
    async with open_broker(**pki.options(**options)) as broker:
        peer = await TlsPeer.connect(broker)
        known = only_session(broker).connection.peer
        assert (known.tls, known.certificate) == ("TLSv1.3", None)
        await peer.close()


async def test_why_a_client_is_sent_away_is_logged_and_told_to_it(pki, caplog):
    async with open_broker(**pki.options(**REQUIRED)) as broker:
        peer = await TlsPeer.dial(broker)  # with TLS 1.3 a client learns it only with what it reads next
        port = peer.stream.socket.getsockname()[1]
        with pytest.raises(trio.BrokenResourceError) as caught:
            await peer.ended()
        assert "CERTIFICATE_REQUIRED" in str(caught.value.__cause__)
        await until(lambda: not hub(broker).arrivals)
        assert not hub(broker).sessions
    (record,) = [record for record in caplog.records if "TLS" in record.getMessage()]
    assert record.getMessage() == "TLS handshake failed: the client shows no certificate"
    assert record.levelname == "ERROR"
    assert record.connection.startswith(f"{HERE}:{port} -> ")


async def test_a_certificate_that_openssl_likes_and_nobody_can_read(pki, caplog, monkeypatch):
    def unreadable(_der):
        raise ValueError("duplicate extension")

    monkeypatch.setattr("amqpd.server.certificates.client_certificate", unreadable)
    async with open_broker(**pki.options(**REQUIRED)) as broker:
        peer = await TlsPeer.dial(broker, context=pki.client(pki.issue("client.pem", "client")))
        assert await peer.ended() == []
    assert "TLS handshake failed: the client's certificate cannot be read: duplicate extension" in caplog.text


@pytest.mark.parametrize("said", [PROTOCOL_HEADER, b"GET / HTTP/1.1\r\n\r\n", b"\0"])
async def test_a_client_without_tls_is_dropped_and_named(pki, said, caplog):
    async with open_broker(**pki.options()) as broker:
        stream = await dial(broker, tls_port(broker))
        await stream.send_all(said)
        assert await Peer(stream).ended() == []
        await until(lambda: not hub(broker).arrivals)
    (record,) = [record for record in caplog.records if "refused" in record.getMessage()]
    assert record.getMessage() == "refused: the client does not use TLS, and this listener does"
    assert record.levelname == "WARNING"


async def test_a_client_with_tls_on_the_plain_port_is_told_our_protocol(pki):
    async with open_broker(**pki.options()) as broker:
        stream = await dial(broker)
        client = MemoryClient(pki.client())
        client.handshake()
        await stream.send_all(client.output.read())
        assert await Peer(stream).ended() == ["protocol-header"]
        await stream.aclose()


async def test_amqp_may_come_with_the_last_message_of_the_handshake(pki):
    async with open_broker(**pki.options()) as broker:
        stream = await dial(broker, tls_port(broker))
        client = MemoryClient(pki.client())
        await finish_handshake(client, stream)
        client.ssl.write(PROTOCOL_HEADER)
        await stream.send_all(client.output.read())
        answer = b""
        while b"cluster_name" not in answer:
            client.received.write(await stream.receive_some())
            answer += client.read()
        await stream.aclose()


async def test_certificates_by_name_and_after_a_reload(pki):
    named = pki.issue("named.pem", "named.example")
    options = pki.options(sni=[f"named.example={named}:{named}"])
    async with open_broker(**options) as broker:
        first = await TlsPeer.dial(broker, host="named.example")
        await first.handshake()
        renewed = pki.issue("renewed.pem", "renewed.example")
        broker.node.tls.reload(pki.settings(certfile=renewed))
        second = await TlsPeer.dial(broker, host="renewed.example")
        await second.handshake()
        await first.call(m("queue.declare", queue="q"))
        await first.close()
        await second.close()


# -- the end, in TLS


async def test_an_orderly_end_says_goodbye(pki):
    async with open_broker(**pki.options()) as broker:
        peer = Peer(TlsStream(await dial(broker, tls_port(broker)), pki.client(), strict=True))
        await peer.handshake()
        await peer.send(m("connection.close", reply_code=200), 0)
        await peer.expect("connection.close-ok")
        with trio.fail_after(5):
            assert await peer.ended() == []
            await peer.stream.aclose()  # waits for the goodbye
        await until(lambda: not hub(broker).sessions)


@pytest.mark.parametrize("how", ["goodbye", "cut"])
async def test_a_client_that_goes_without_a_close(pki, how, caplog):
    async with open_broker(**pki.options()) as broker:
        stream = await dial(broker, tls_port(broker))
        peer = Peer(TlsStream(stream, pki.client()))
        await peer.handshake()
        await peer.call(m("queue.declare", queue="mine", exclusive=True))
        if how == "goodbye":
            with trio.fail_after(5):
                await peer.stream.tls.unwrap()  # says goodbye, and waits for ours; the socket stays open
        else:
            await stream.aclose()
        await until(lambda: not hub(broker).sessions)
        assert not broker.node.broker.vhosts["/"].queues
    assert "closed its socket without connection.close" in caplog.text


async def test_what_came_with_the_goodbye_is_still_done(pki):
    async with open_broker(**pki.options()) as broker:
        stream = await dial(broker, tls_port(broker))
        client = MemoryClient(pki.client())
        await finish_handshake(client, stream)
        login = m(
            "connection.start-ok", client_properties={}, mechanism="PLAIN", response=b"\0guest\0guest", locale="en_US"
        )
        client.ssl.write(PROTOCOL_HEADER + login.frames(0))
        client.ssl.write(m("connection.tune-ok", channel_max=9, frame_max=131_072, heartbeat=0).frames(0))
        client.ssl.write(m("connection.open", virtual_host="/").frames(0) + m("channel.open").frames(1))
        client.ssl.write(m("queue.declare", queue="q", nowait=True).frames(1))
        with pytest.raises(ssl.SSLWantReadError):
            client.ssl.unwrap()
        await stream.send_all(client.output.read())
        await until(lambda: "q" in broker.node.broker.vhosts["/"].queues)
        await until(lambda: not hub(broker).sessions)
        await stream.aclose()


async def test_a_damaged_record_ends_that_client(pki, caplog):
    async with open_broker(**pki.options()) as broker:
        stream = await dial(broker, tls_port(broker))
        client = MemoryClient(pki.client())
        await finish_handshake(client, stream)
        await stream.send_all(client.output.read())
        await until(lambda: hub(broker).sessions)
        client.ssl.write(PROTOCOL_HEADER)
        wire = bytearray(client.output.read())
        wire[-1] ^= 1
        await stream.send_all(wire)
        with pytest.raises(ssl.SSLError, match="BAD_RECORD_MAC"):
            while True:
                client.received.write(await stream.receive_some())
                client.read()
        await until(lambda: not hub(broker).sessions)
        await stream.aclose()
    assert "connection lost: TLS: decryption failed or bad record mac" in caplog.text


async def test_a_session_whose_tls_fails_in_sending_ends(pki, caplog, monkeypatch):
    """OpenSSL has no reason to, as far as anybody knows. Should it find one, that client alone is concerned."""

    def fail(_tls, _data):
        raise TlsError("a bug in OpenSSL")

    async with open_broker(**pki.options()) as broker:
        peer, other = await TlsPeer.connect(broker), await Peer.connect(broker)
        with monkeypatch.context() as patch:
            patch.setattr(Tls, "encrypt", fail)
            await peer.send(m("queue.declare", queue="q"))
            assert await peer.ended() == []
            await other.call(m("queue.declare", queue="q", passive=True))
        await other.close()
        await until(lambda: not hub(broker).sessions)
    assert "connection lost: TLS: a bug in OpenSSL" in caplog.text


# -- those who never finish


HALF_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"


@pytest.mark.parametrize(
    ("kind", "said", "awaited"),
    [
        ("plain", b"", "PROXY header"),
        ("plain", V1[:20], "PROXY header"),
        ("plain", V2[:20], "PROXY header"),
        ("tls", b"", "PROXY header"),
        ("tls", V1, "TLS handshake"),
        ("tls", V1 + HALF_HELLO, "TLS handshake"),
    ],
)
async def test_who_stalls_is_dropped_in_time(pki, autojump_clock, caplog, kind, said, awaited):
    async with open_broker(**pki.options(), **TRUSTED, handshake_timeout=5000) as broker:
        stream = await dial(broker, tls_port(broker) if kind == "tls" else 0)
        await stream.send_all(said)
        start = trio.current_time()
        assert await Peer(stream).ended() == []
        assert 4.9 <= trio.current_time() - start <= 5.1
        assert not hub(broker).arrivals
    assert f"refused: no {awaited} within handshake_timeout" in caplog.text


@pytest.mark.parametrize("how", ["closes", "resets"])
@pytest.mark.parametrize(("said", "logged"), [(b"", False), (HALF_HELLO, True)])
async def test_who_goes_during_the_handshake_is_forgotten(pki, caplog, how, said, logged):
    caplog.set_level(logging.INFO)
    async with open_broker(**pki.options()) as broker:
        stream = await dial(broker, tls_port(broker))
        await stream.send_all(said)
        await until(lambda: hub(broker).arrivals)
        if how == "resets":
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await stream.aclose()
        await until(lambda: not hub(broker).arrivals)
    assert ("gone before the TLS handshake was done" in caplog.text) == logged


async def test_a_load_balancer_that_looks_whether_we_live_leaves_no_line(pki, caplog):
    caplog.set_level(logging.INFO)
    async with open_broker(**pki.options(), **TRUSTED) as broker:
        for port in (tls_port(broker), broker.port):
            stream = await dial(broker, port)
            await stream.send_all(LOCAL)
            await until(lambda: hub(broker).arrivals or hub(broker).sessions)
            await stream.aclose()
            await until(lambda: not hub(broker).arrivals and not hub(broker).sessions)
    assert not [record for record in caplog.records if record.name == "amqpd.connection"]


async def test_who_is_not_done_counts_as_waiting(pki, caplog):
    async with open_broker(**pki.options(), handshake_max=2) as broker:
        opened = await TlsPeer.connect(broker)
        waiting = [await dial(broker, tls_port(broker)), await dial(broker)]
        await until(lambda: hub(broker).arrivals and len(hub(broker).sessions) == 2)
        assert await Peer(await dial(broker, tls_port(broker))).ended() == []
        assert await Peer(await dial(broker)).ended() == []
        assert caplog.text.count("handshake_max (2) is reached") == 2
        await waiting.pop(0).aclose()
        await until(lambda: not hub(broker).arrivals)
        peer = await TlsPeer.connect(broker)
        await peer.close()
        await opened.close()
        await waiting.pop().aclose()


async def test_a_stop_does_not_wait_for_those_who_are_not_done(pki, autojump_clock):
    async with open_broker(**pki.options()) as broker:
        stream = await dial(broker, tls_port(broker))
        await stream.send_all(HALF_HELLO)
        await until(lambda: hub(broker).arrivals)
        start = trio.current_time()
        broker.node.stop()
        assert await Peer(stream).ended() == []
        assert trio.current_time() == start


async def test_a_client_that_never_takes_our_side_of_the_handshake(pki, autojump_clock, monkeypatch):
    """Its hello is answered, as far as the socket takes it. Nothing gathers, and its time runs out."""
    monkeypatch.setattr(arrival.Arrival, "_offer", lambda _self, data: min(len(data), 1))
    async with open_broker(**pki.options(), handshake_timeout=5000) as broker:
        stream = await dial(broker, tls_port(broker))
        client = MemoryClient(pki.client())
        client.handshake()
        await stream.send_all(client.output.read())
        await until(lambda: not hub(broker).arrivals, 0.1)
        await stream.aclose()


async def test_between_a_few_handshakes_everybody_else_has_a_turn(pki, monkeypatch):
    async with open_broker(**pki.options()) as broker:
        turns = 0  # of somebody else
        seen = []  # at each step of a handshake
        step = Tls.handshake
        monkeypatch.setattr(Tls, "handshake", lambda self, data: seen.append(turns) or step(self, data))
        clients = 40
        hello = MemoryClient(pki.client())
        hello.handshake()
        data = hello.output.read()
        streams = [await dial(broker, tls_port(broker)) for _ in range(clients)]
        await until(lambda: len(hub(broker).arrivals) == clients)
        for stream in streams:
            stream.socket._sock.send(data)  # no turn of ours in between: all are ready at once
        while len(seen) < clients:
            await trio.lowlevel.checkpoint()
            turns += 1
        assert max(seen.count(turn) for turn in seen) <= 2 * arrival.STEPS_AT_ONCE
        for stream in streams:
            await stream.aclose()


async def test_churn_leaves_nothing_behind(pki):
    async with open_broker(**pki.options(**REQUIRED), trusted_proxies=[HERE]) as broker:
        context = pki.client(pki.issue("client.pem", "client"))
        for said in (b"", V1, b"AMQP", V1 + HALF_HELLO, V1 + b"AMQP"):
            stream = await dial(broker, tls_port(broker))
            await stream.send_all(said)
            await stream.aclose()
        for _ in range(3):
            stream = await dial(broker, tls_port(broker))
            await stream.send_all(LOCAL)
            peer = Peer(TlsStream(stream, context))
            await peer.handshake()
            await peer.close()
        await until(lambda: not hub(broker).sessions and not hub(broker).arrivals)
        assert not hub(broker).parked
        assert hub(broker).handshake_steps.value == arrival.STEPS_AT_ONCE
