"""Who is served when, and in how many rounds, with sessions that only count."""

import itertools
import select
import socket

import kqueues
import pytest
import trio
import trio.testing

from amqpd.server import turns
from amqpd.server.poller import READ, WRITE, Epoll, Kqueue
from amqpd.server.turns import (
    LATELY_MS,
    READ_SIZE,
    ROUND_SIZE,
    SLICE_MIN,
    SLICE_S,
    SOCKETS_MAX,
    TALK_MAX,
    TURNS_MAX,
    Turns,
)


class Driver:
    """Counts rounds. Is its own broker."""

    def __init__(self):
        self.broker = self
        self.rounds = 0
        self.log = []  # of what was done, one list for each round in which something was

    def at(self, now_ms):
        self.log.append([])

    def end_round(self):
        self.rounds += 1


class Session:
    """Reads what there is, as a session does, and notes it."""

    def __init__(self, play, size=READ_SIZE):
        self.play = play
        self.sock, self.peer = socket.socketpair()
        play.sockets += [self.sock, self.peer]
        self.sock.setblocking(False)
        self.peer.setblocking(False)
        self.number = self.sock.fileno()
        self.wanted = 0
        self.greedy = False
        self.slice = READ_SIZE
        self.awaits_answer = True
        self.reads = []  # how much each brought
        self.bytes = 0
        self.turns = 0
        self.size = size
        self.then = lambda: None
        self.watch(READ)

    def watch(self, wanted):
        self.play.turns.watch(self, wanted)

    def read(self, now, most):
        self.play.driver.log[-1].append((self, "read"))
        try:
            size = len(self.sock.recv(min(self.size, most)))
        except BlockingIOError:
            return -1
        self.reads.append(size)
        self.bytes += size
        self.then()
        return size

    def write(self):
        self.play.driver.log[-1].append((self, "write"))
        self.watch(READ)

    def take_turn(self, now):
        self.play.driver.log[-1].append((self, "turn"))
        self.turns += 1
        self.then()

    def close(self):
        self.watch(0)
        self.sock.close()

    def fill(self):
        """Have more come than one read takes."""
        try:
            while True:
                self.peer.send(b"x" * 65_536)
        except BlockingIOError:
            pass


class Play:
    def __init__(self, nursery):
        self.driver = Driver()
        self.time = itertools.count()  # every round takes a second
        self.turns = Turns(self.driver, lambda: next(self.time))
        self.sockets = []
        self.task = nursery

    async def settled(self):
        """All that is ready has been served."""
        await trio.testing.wait_all_tasks_blocked()

    def rounds(self):
        """Those in which something was done."""
        return [what for what in self.driver.log if what]


@pytest.fixture(params=["epoll", "kqueue"])
async def play(request, nursery, monkeypatch):
    if not hasattr(select, "epoll"):
        pytest.skip("needs epoll, for the stand-in too")
    monkeypatch.setattr(turns, "open_poller", Epoll if request.param == "epoll" else lambda: Kqueue(kqueues))
    play = Play(nursery)
    scope, ended = trio.CancelScope(), trio.Event()

    async def serve():
        with scope:
            await play.turns.run()
        ended.set()

    nursery.start_soon(serve)
    await play.settled()
    yield play
    scope.cancel()
    await ended.wait()
    nursery.cancel_scope.cancel()
    for sock in play.sockets:
        sock.close()
    play.turns.close()


async def test_all_who_are_ready_share_a_round(play):
    sessions = [Session(play) for _ in range(20)]
    before = play.driver.rounds
    for session in sessions:
        session.peer.send(b"x")
    await play.settled()
    assert play.driver.rounds == before + 1
    assert sorted(session.number for session, _what in play.rounds()[0]) == [s.number for s in sessions]


async def test_more_than_a_round_takes_share_the_next(play):
    sessions = [Session(play) for _ in range(SOCKETS_MAX + 10)]
    for session in sessions:
        session.peer.send(b"x")
    await play.settled()
    assert [len(what) for what in play.rounds()] == [SOCKETS_MAX, 10]
    assert all(session.bytes == 1 for session in sessions)


async def test_between_rounds_all_other_tasks_have_their_turn(play):
    flood = Session(play)
    flood.fill()
    counts = []

    async def other():
        while True:
            counts.append(play.driver.rounds)
            await trio.lowlevel.checkpoint()

    play.task.start_soon(other)
    while flood.bytes < 3 * READ_SIZE:
        flood.fill()
        await trio.lowlevel.checkpoint()
    # Trio runs who is ready in any order: two rounds can touch, the last of one turn and the first of the next.
    assert all(later - earlier <= 2 for earlier, later in itertools.pairwise(counts))


async def test_quick_rounds_follow_one_another_at_once(play):
    play.time = itertools.repeat(0)
    flood, other = Session(play), Session(play)
    flood.fill()
    other.peer.send(b"x")
    while flood.bytes == 0:
        await trio.lowlevel.checkpoint()
    assert play.driver.rounds >= 2
    assert other.bytes == 1
    assert flood.bytes > READ_SIZE
    with pytest.raises(BlockingIOError):
        flood.sock.recv(1)


async def test_many_that_flood_take_no_more_of_a_round_than_one(play):
    floods = [Session(play) for _ in range(10)]
    for flood in floods:
        flood.fill()
    while any(flood.bytes < 4 * READ_SIZE for flood in floods):
        for flood in floods:
            flood.fill()
        await trio.lowlevel.checkpoint()
    reads = [len(what) for what in play.rounds()]
    # Until they are known as such, too, a round goes no further than its size, and one read for the line.
    assert max(reads) <= 1 + (ROUND_SIZE + READ_SIZE) // min(READ_SIZE, ROUND_SIZE)


async def test_they_are_served_one_after_the_other(play):
    floods = [Session(play) for _ in range(5)]
    for _ in range(100):
        for flood in floods:
            flood.fill()
        await trio.lowlevel.checkpoint()
    order = [session for what in play.rounds() for session, _what in what][20:]
    counts = [order.count(flood) for flood in floods]
    assert max(counts) - min(counts) <= 2
    for at in range(len(order) - 5):
        assert len(set(order[at : at + 5])) >= 4


async def test_who_sends_little_is_in_the_next_round_however_many_flood(play):
    floods = [Session(play) for _ in range(30)]
    quiet = Session(play)
    for _ in range(40):
        for flood in floods:
            flood.fill()
        await trio.lowlevel.checkpoint()
    for _ in range(20):
        quiet.peer.send(b"ping")
        before, rounds = quiet.bytes, play.driver.rounds
        while quiet.bytes == before:
            for flood in floods:
                flood.fill()
            await trio.lowlevel.checkpoint()
        # One that began before the ping came, as trio runs who is ready in any order, and the ping's.
        assert play.driver.rounds - rounds <= 2


async def flooded(play, floods, question, times=20):
    """What each of the floods read in a round while somebody sent `question` before every one of them."""
    for _ in range(5):  # until they are known as such
        for flood in floods:
            flood.fill()
        await trio.lowlevel.checkpoint()
    asking = Session(play)
    asking.awaits_answer = question is not None
    rounds = []
    for _ in range(times):
        asking.peer.send(question or b"ack")
        before, asked = [flood.bytes for flood in floods], asking.bytes
        while asking.bytes == asked:
            for flood in floods:
                flood.fill()
            await trio.lowlevel.checkpoint()
        rounds.append([flood.bytes - was for flood, was in zip(floods, before, strict=True)])
    return rounds


async def test_while_others_ask_a_round_takes_only_a_slice_of_a_flood(play):
    play.time = itertools.count(0, 0.001)  # each read takes a millisecond, of which a slice may take a tenth
    flood = Session(play)
    rounds = await flooded(play, [flood], b"what?")
    assert flood.slice == SLICE_MIN
    # One that had begun, and the one of the question, by the time that what a slice holds was learnt.
    assert all(taken <= 2 * SLICE_MIN for (taken,) in rounds[10:])
    assert flood.greedy  # that it takes less than before changes nothing


@pytest.mark.parametrize("quick", [4096, 20_000, 1_000_000])
async def test_a_slice_is_what_takes_a_tenth_of_a_millisecond(play, quick):
    flood, now = Session(play), 0.0

    def advance(by):
        nonlocal now
        now += by
        return now

    play.time = iter(lambda: advance(1e-7), None)
    flood.then = lambda: advance(flood.reads[-1] * SLICE_S / quick)
    await flooded(play, [flood], b"what?", 100)
    assert flood.slice == pytest.approx(min(READ_SIZE, max(SLICE_MIN, quick)), rel=0.01)


async def test_while_others_ask_a_round_serves_one_of_many_that_flood(play):
    play.time = itertools.count(0, 0.001)
    floods = [Session(play) for _ in range(5)]
    rounds = await flooded(play, floods, b"what?", 100)
    assert all(sum(1 for taken in round_ if taken) <= 2 for round_ in rounds[50:])
    assert all(flood.slice == SLICE_MIN for flood in floods)
    counts = [len(flood.reads) for flood in floods]
    assert max(counts) - min(counts) <= len(floods)


async def test_who_stands_in_line_and_is_not_to_be_read_leaves_its_turn_to_the_next(play):
    play.time = itertools.count(0, 0.001)
    floods = [Session(play), Session(play)]
    await flooded(play, floods, b"what?")
    asking = Session(play)
    while not play.turns._greedy:
        asking.peer.send(b"what?")
        for flood in floods:
            flood.fill()
        await trio.lowlevel.checkpoint()
    (waiting,) = play.turns._greedy
    (other,) = {*floods} - {waiting}
    waiting.watch(0)
    other.fill()
    asking.peer.send(b"what?")
    play.driver.log.clear()
    before = asking.bytes
    while asking.bytes == before:
        await trio.lowlevel.checkpoint()
    (round_,) = [what for what in play.driver.log if (asking, "read") in what]
    assert (other, "read") in round_
    assert (waiting, "read") not in round_


@pytest.mark.parametrize("question", [None, b"x" * (TALK_MAX + 1)])
async def test_neither_acknowledgements_nor_much_at_once_are_questions(play, question):
    play.time = itertools.count(0, 0.001)
    flood = Session(play)
    await flooded(play, [flood], question)
    assert min(flood.reads) > SLICE_MIN
    assert flood.slice == SLICE_MIN


async def test_who_floods_asks_nobody_but_itself_to_wait(play):
    play.time = itertools.count(0, 0.001)
    flood = Session(play)
    for _ in range(20):
        flood.peer.send(b"what?")  # and goes on with a flood
        await play.settled()
        flood.fill()
        await play.settled()
    assert max(flood.reads[-20:]) == READ_SIZE


async def test_when_nobody_has_asked_for_a_while_all_is_as_before(play, mock_clock):
    play.time = itertools.count(0, 0.001)
    flood = Session(play)
    await flooded(play, [flood], b"what?")
    mock_clock.jump(LATELY_MS / 1000)
    flood.fill()
    await play.settled()
    assert READ_SIZE in flood.reads[-3:]


async def test_all_are_served_alike_when_everybody_sends_much(play):
    sessions = [Session(play, 10_000 + number) for number in range(SOCKETS_MAX - 1)] + [Session(play)]
    for _ in range(200):
        for session in sessions:
            session.fill()
        await trio.lowlevel.checkpoint()
    order = [session for what in play.rounds() for session, _what in what]
    counts = [order.count(session) for session in sessions]
    assert min(counts) >= 10
    assert max(counts) - min(counts) <= 2
    assert max(len(what) for what in play.rounds()) <= 2 + ROUND_SIZE // 10_000


async def test_one_of_a_thousand_floods(play):
    sessions = [Session(play) for _ in range(300)]
    flood = sessions[150]
    for _ in range(10):
        flood.fill()
        await trio.lowlevel.checkpoint()
    for session in sessions:
        if session is not flood:
            session.peer.send(b"x")
    rounds = play.driver.rounds
    while any(not session.bytes for session in sessions):
        flood.fill()
        await trio.lowlevel.checkpoint()
    assert play.driver.rounds - rounds <= 2 + len(sessions) // SOCKETS_MAX + 1


async def test_who_was_closed_in_a_round_is_not_read_in_it(play):
    first, second = Session(play), Session(play)
    first.then, second.then = second.close, first.close
    first.peer.send(b"x")
    second.peer.send(b"x")
    await play.settled()
    assert first.bytes + second.bytes == 1


async def test_one_that_floods_and_was_closed_in_a_round_is_not_read_in_it(play):
    flood, quiet = Session(play), Session(play)
    for _ in range(5):
        flood.fill()
        await trio.lowlevel.checkpoint()
    assert flood.greedy
    flood.fill()
    quiet.then = flood.close
    quiet.peer.send(b"x")
    await play.settled()
    assert quiet.bytes == 1
    assert flood.sock.fileno() == -1


async def test_a_number_that_was_given_anew_is_the_next_ones(play):
    first, second = Session(play), Session(play)
    renewed = []

    def replace():
        if not renewed:
            second.close()
            renewed.append(Session(play))

    first.then = replace
    second.then = first.close  # had it been the other way round
    first.peer.send(b"x")
    second.peer.send(b"for the second")
    await play.settled()
    if renewed:
        assert renewed[0].number == second.number
        assert renewed[0].bytes == second.bytes == 0
        renewed[0].peer.send(b"abc")
        await play.settled()
        assert renewed[0].bytes == 3


async def test_asking_wakes_who_sleeps(play):
    session = Session(play)
    await play.settled()
    play.turns.ask(session)
    play.turns.ask(session)
    assert session.turns == 0  # never at once
    await play.settled()
    assert session.turns == 1
    assert play.driver.rounds == 1
    session.peer.send(b"x")  # and sleeps again as before
    await play.settled()
    assert session.bytes == 1


async def test_who_asks_within_a_turn_has_the_next_one_later(play):
    session, other = Session(play), Session(play)
    session.then = lambda: play.turns.ask(session) if session.turns < 3 else None
    play.turns.ask(session)
    play.turns.ask(other)
    await play.settled()
    assert [[who for who, _what in what] for what in play.rounds()] == [[session, other], [session], [session]]


async def test_many_who_ask_are_served_in_several_rounds_and_in_order(play):
    sessions = [Session(play) for _ in range(2 * TURNS_MAX + 1)]
    for session in sessions:
        play.turns.ask(session)
    await play.settled()
    assert [len(what) for what in play.rounds()] == [TURNS_MAX, TURNS_MAX, 1]
    assert [who for what in play.rounds() for who, _what in what] == sessions


async def test_a_round_can_send_to_and_read_from_the_same_session(play):
    session = Session(play)
    session.peer.send(b"x")
    session.watch(READ | WRITE)
    await play.settled()
    assert sorted(what for _session, what in play.rounds()[0]) == ["read", "write"]


async def test_a_peer_that_resets_is_no_trouble_to_those_who_share_its_round(play):
    sessions = [Session(play) for _ in range(3)]
    for session in sessions:
        session.peer.send(b"x")
    sessions[1].peer.close()
    sessions[1].then = sessions[1].close
    await play.settled()
    assert [session.bytes for session in sessions] == [1, 1, 1]
    assert len(play.rounds()) == 1


async def test_cancelling_ends_it_while_it_sleeps_and_while_it_works():
    async with trio.open_nursery() as nursery:
        play = Play(nursery)
        nursery.start_soon(play.turns.run)
        await play.settled()
        nursery.cancel_scope.cancel()
    play.turns.close()
    with trio.move_on_after(1) as scope:
        async with trio.open_nursery() as nursery:
            play = Play(nursery)
            session = Session(play)
            session.then = lambda: play.turns.ask(session)
            session.peer.send(b"x")
            play.turns.ask(session)
            nursery.start_soon(play.turns.run)
            while session.turns < 3:
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
    assert not scope.cancelled_caught
    for sock in play.sockets:
        sock.close()
    play.turns.close()
