"""Where clients come in: addresses, UNIX sockets, and a machine that has run out of something."""

import errno
import logging
import os
import socket
import stat

import pytest
import trio
from peer import Peer, until

from amqpd.errors import ConfigError
from amqpd.server import listeners
from amqpd.server.listeners import open_listeners
from amqpd.testing import open_broker

NONSENSE = ["", "5672", "localhost", "localhost:", ":5672", "::1:5672", "[::1]", "a:65536", "a:b", "http://a:1", "a :1"]


@pytest.mark.parametrize("spec", NONSENSE)
def test_what_is_no_address_is_refused_with_the_forms(spec):
    with pytest.raises(ConfigError, match=r"not of the form HOST:PORT, \[IPV6\]:PORT or unix:PATH"):
        open_listeners([spec], 0o600)


def test_a_port_that_is_taken_is_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        spec = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConfigError, match=f"cannot listen on {spec}: Address already in use"):
            open_listeners([spec], 0o600)


def test_a_host_that_does_not_exist_is_named():
    with pytest.raises(ConfigError, match=r"cannot listen on \[::x\]:1"):
        open_listeners(["[::x]:1"], 0o600)


def test_all_listen_or_none(tmp_path):
    path = tmp_path / "amqp.sock"
    with pytest.raises(ConfigError):
        open_listeners([f"unix:{path}", "nonsense"], 0o600)
    assert not path.exists()


async def test_several_listeners_and_both_families(tmp_path):
    path = tmp_path / "amqp.sock"
    async with open_broker(listeners=["127.0.0.1:0", "[::1]:0", f"unix:{path}"]) as broker:
        addresses = broker.node.addresses
        assert [address.rsplit(":", 1)[0] for address in addresses[:2]] == ["127.0.0.1", "[::1]"]
        assert addresses[2] == f"unix:{path}"
        for number, address in enumerate(addresses):
            if number < 2:
                host, port = address.rsplit(":", 1)
                stream = await trio.open_tcp_stream(host.strip("[]"), int(port))
            else:
                stream = await trio.open_unix_socket(str(path))
            peer = Peer(stream)
            await peer.handshake()
            await peer.close()
    assert not path.exists()


async def test_an_ipv6_wildcard_takes_ipv4_too():
    async with open_broker(listeners=["[::]:0"]) as broker:
        peer = Peer(await trio.open_tcp_stream("127.0.0.1", broker.port))
        await peer.handshake()
        (session,) = broker.node.hub.sessions
        assert session.connection.name.startswith("127.0.0.1:")
        assert session.connection.peer.address == "127.0.0.1"
        assert session.connection.peer.from_loopback
        await peer.close()


def test_wildcards_of_both_families_can_share_a_port():
    (first,) = open_listeners(["0.0.0.0:0"], 0o600)
    port = first.sock.getsockname()[1]
    first.close()
    both = open_listeners([f"0.0.0.0:{port}", f"[::]:{port}"], 0o600)
    assert [listener.address for listener in both] == [f"0.0.0.0:{port}", f"[::]:{port}"]
    listeners.close_all(both)


async def test_a_unix_socket_is_this_machine_and_has_its_mode(tmp_path):
    path = tmp_path / "amqp.sock"
    async with open_broker(listeners=[f"unix:{path}"], unix_socket_mode="622") as broker:
        assert stat.S_IMODE(path.stat().st_mode) == 0o622
        first, second = await Peer.connect(broker), await Peer.connect(broker)
        names = [session.connection.name for session in broker.node.hub.sessions]
        assert all(name.startswith("unix:") and name.endswith(f" -> unix:{path}") for name in names)
        assert len(set(names)) == 2
        await first.close()
        await second.close()


def test_a_stale_unix_socket_is_replaced(tmp_path):
    path = str(tmp_path / "amqp.sock")
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(path)
    (listener,) = open_listeners([f"unix:{path}"], 0o600)
    listener.close()


def test_closing_twice_leaves_the_next_nodes_socket_alone(tmp_path):
    path = tmp_path / "amqp.sock"
    (first,) = open_listeners([f"unix:{path}"], 0o600)
    first.close()
    (second,) = open_listeners([f"unix:{path}"], 0o600)
    first.close()
    assert path.is_socket()
    second.close()
    assert not path.exists()


def test_a_unix_socket_in_use_is_refused(tmp_path):
    path = str(tmp_path / "amqp.sock")
    (listener,) = open_listeners([f"unix:{path}"], 0o600)
    with pytest.raises(ConfigError, match="somebody else listens there"):
        open_listeners([f"unix:{path}"], 0o600)
    listener.close()


def test_a_file_that_is_no_socket_is_left_alone(tmp_path):
    path = tmp_path / "precious"
    path.write_text("data")
    with pytest.raises(ConfigError, match="is no socket"):
        open_listeners([f"unix:{path}"], 0o600)
    assert path.read_text() == "data"


def test_a_path_that_is_too_long_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot listen on unix:.*: AF_UNIX path too long"):
        open_listeners([f"unix:{tmp_path}/{'x' * 120}"], 0o600)


class Failing:
    """A listening socket that fails as told, then accepts as before."""

    def __init__(self, sock, failures):
        self.sock = sock
        self.failures = failures

    def fileno(self):
        return self.sock.fileno()

    def getsockname(self):
        return self.sock.getsockname()

    def accept(self):
        if self.failures:
            number = self.failures.pop(0)
            raise OSError(number, os.strerror(number))
        return self.sock.accept()


@pytest.fixture
def listener():
    (listener,) = open_listeners(["127.0.0.1:0"], 0o600)
    yield listener
    listener.close()


async def accepted(listener, admitted):
    """Run the accept loop until somebody was let in."""
    with socket.create_connection(listener.sock.getsockname()):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listener.accept, lambda sock, name, peer, tls: admitted.append((sock, name, peer)))
            await until(lambda: admitted, 0.1)
            nursery.cancel_scope.cancel()
    for sock, _name, _peer in admitted:
        sock.close()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
async def test_running_out_is_logged_once_and_waited_for(autojump_clock, caplog, listener, number):
    failing = listeners.Listener(Failing(listener.sock, [number] * 5))
    admitted = []
    start = trio.current_time()
    await accepted(failing, admitted)
    assert trio.current_time() - start >= 5 * listeners.PAUSE_S
    assert len(admitted) == 1
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert errors == [f"cannot accept on {failing.address}: {os.strerror(number)}; trying again"]


async def test_a_client_that_went_before_it_was_accepted_is_passed_over(autojump_clock, listener):
    admitted = []
    await accepted(listeners.Listener(Failing(listener.sock, [errno.ECONNABORTED, errno.ENETDOWN])), admitted)
    assert len(admitted) == 1
    assert admitted[0][2].from_loopback


async def test_sockets_beyond_the_limit_of_handshakes_are_closed(caplog):
    async with open_broker(handshake_max=2) as broker:
        opened = await Peer.connect(broker)
        waiting = [await Peer.dial(broker), await Peer.dial(broker)]
        await until(lambda: len(broker.node.hub.sessions) == 3)
        refused = await Peer.dial(broker)
        assert await refused.ended() == []
        assert "handshake_max (2) is reached" in caplog.text
        await waiting.pop().stream.aclose()
        await until(lambda: len(broker.node.hub.sessions) == 2)
        peer = await Peer.connect(broker)
        await peer.close()
        await opened.close()
