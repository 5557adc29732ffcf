"""Which sockets are ready, by both kernels' ways: the one that is here, and kqueue's on a stand-in."""

import itertools
import select
import socket

import kqueues
import pytest
import trio

from amqpd.server.poller import READ, WRITE, Epoll, Kqueue, open_poller

pytestmark = pytest.mark.skipif(not hasattr(select, "epoll"), reason="needs epoll, for the stand-in too")


@pytest.fixture(params=["epoll", "kqueue"])
def poller(request):
    poller = Epoll() if request.param == "epoll" else Kqueue(kqueues)
    yield poller
    poller.close()


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    yield ours, theirs
    ours.close()
    theirs.close()


def ready(poller, sock):
    """What the poller says of a socket, in one number, which others may not have."""
    found = 0
    for number, what in poller.ready(64):
        assert number == sock.fileno()
        found |= what
    return found


def fill(sock):
    with pytest.raises(BlockingIOError):
        while True:
            sock.send(b"x" * 65_536)


def test_the_platforms_own():
    poller = open_poller()
    assert isinstance(poller, Epoll)
    poller.close()


def test_a_socket_is_ready_until_it_is_read_empty(poller, pair):
    ours, theirs = pair
    poller.change(ours.fileno(), 0, READ)
    assert ready(poller, ours) == 0
    theirs.send(b"abc")
    assert ready(poller, ours) == READ
    ours.recv(2)
    assert ready(poller, ours) == READ
    ours.recv(2)
    assert ready(poller, ours) == 0


def test_a_socket_that_takes_no_more_is_ready_when_it_does(poller, pair):
    ours, theirs = pair
    fill(ours)
    poller.change(ours.fileno(), 0, WRITE)
    assert ready(poller, ours) == 0
    while not ready(poller, ours):
        theirs.recv(65_536)
    assert ready(poller, ours) == WRITE
    poller.change(ours.fileno(), WRITE, 0)


@pytest.mark.parametrize(("before", "after"), [*itertools.permutations([0, READ, WRITE, READ | WRITE], 2)])
def test_what_is_wanted_can_become_anything_else(poller, pair, before, after):
    ours, theirs = pair
    theirs.send(b"abc")
    if before:
        poller.change(ours.fileno(), 0, before)
        assert ready(poller, ours) == before
    poller.change(ours.fileno(), before, after)
    assert ready(poller, ours) == after


@pytest.mark.parametrize("wanted", [READ, WRITE])
def test_a_peer_that_has_gone_is_reported(poller, pair, wanted):
    ours, theirs = pair
    if wanted == WRITE:
        fill(ours)
    poller.change(ours.fileno(), 0, wanted)
    assert not ready(poller, ours)
    theirs.close()
    assert ready(poller, ours) & wanted


def test_a_number_that_is_used_again_is_the_next_sockets(poller, pair):
    ours, theirs = pair
    number = ours.fileno()
    theirs.send(b"for the first")
    poller.change(number, 0, READ)
    poller.change(number, READ, 0)
    ours.close()
    again, other = socket.socketpair()
    with again, other:
        assert again.fileno() == number
        poller.change(number, 0, READ)
        assert ready(poller, again) == 0
        other.send(b"for the second")
        assert ready(poller, again) == READ


def test_what_was_left_out_comes_the_next_time(poller):
    pairs = [socket.socketpair() for _ in range(10)]
    for ours, theirs in pairs:
        theirs.send(b"x")
        poller.change(ours.fileno(), 0, READ)
    seen = set()
    for _ in range(4):
        found = poller.ready(3)
        assert len(found) == 3
        seen |= {number for number, _what in found}
    assert seen == {ours.fileno() for ours, _theirs in pairs}
    for ours, theirs in pairs:
        ours.close()
        theirs.close()


def test_taking_out_what_is_not_there_is_an_error(poller, pair):
    with pytest.raises(FileNotFoundError):
        poller.change(pair[0].fileno(), READ, 0)


async def test_one_task_can_wait_for_all(poller, pair):
    ours, theirs = pair
    poller.change(ours.fileno(), 0, READ)
    with trio.move_on_after(0) as scope:
        await trio.lowlevel.wait_readable(poller)
    assert scope.cancelled_caught
    theirs.send(b"x")
    with trio.fail_after(5):
        await trio.lowlevel.wait_readable(poller)
