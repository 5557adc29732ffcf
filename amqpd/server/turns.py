"""The one task that serves all sessions: it waits for their sockets together, and ends one round for all it has served.

A round, without waiting: who asked for a turn goes on, who is ready is read from or sent to, and then every connection
that was touched is flushed once. Then all other tasks have their turn; after quick rounds not each time.

A round reads at most ROUND_SIZE and two reads more. Whoever took more than an equal share of it the last time is
greedy. The others go first; the greedy stand in a line, and at least one of it is served in each round. So those who
flood delay others by one or two reads, however many they are, and nobody starves. While somebody asks small questions
besides, a round serves only one of that line, and it reads no more than what takes SLICE_S, by what its reads took so
far: 64 KiB of small messages take several times that, and whoever asked would wait for all of them.

Invariant: a round never waits, so between the look at who is ready and its end only what it serves can change that. A
socket that is closed meanwhile is nobody's any more, and one that got its number has nothing to read yet.

docs/decisions/hub.md says why it is done so.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import trio

from amqpd.runtime.driver import Driver, now_ms
from amqpd.server.poller import READ, WRITE, open_poller

if TYPE_CHECKING:
    from amqpd.server.session import Session

SOCKETS_MAX: Final = 64  # in a round
READ_SIZE: Final = 65_536  # more delays others and is slower besides: the allocator changes its ways above 128 KiB
ROUND_SIZE: Final = 65_536  # bytes
TURNS_MAX: Final = 8  # in a round: each can be some milliseconds
SLICE_S: Final = 0.0001  # of work that one of the greedy brings to a round while others ask
SLICE_MIN: Final = 8192  # bytes
TALK_MAX: Final = 4096  # bytes of a read that may be a small question
LATELY_MS: Final = 10  # who asked so lately may ask again
QUICK_S: Final = 0.0001  # what rounds may take together before another task has its turn, which costs some microseconds


class Turns:
    """Made within a trio run, for `driver`'s broker. `run` must be started exactly once, and `close` called after it.

    `clock` counts seconds.
    """

    def __init__(self, driver: Driver, clock: Callable[[], float] = time.perf_counter) -> None:
        self.over = False
        self._driver: Final = driver
        self._clock: Final = clock
        self._poller: Final = open_poller()
        self._watched: Final[dict[int, Session]] = {}
        self._asking: Final[dict[Session, None]] = {}
        self._greedy: Final[dict[Session, None]] = {}  # who has something to be read, in order
        self._talker = -1  # who asked a small question last: its socket's number
        self._talked_ms = -LATELY_MS
        self._asleep = False

    def watch(self, session: Session, wanted: int) -> None:
        """Want READ, WRITE, both or 0 of a session's socket. Raises OSError."""
        self._poller.change(session.number, session.wanted, wanted)
        session.wanted = wanted
        if wanted:
            self._watched[session.number] = session
        else:
            del self._watched[session.number]

    def ask(self, session: Session) -> None:
        """Give a session a turn, in the next round."""
        self._asking[session] = None
        if self._asleep:
            self._asleep = False
            trio.lowlevel.notify_closing(self._poller)  # nothing closes: this is how a task that waits is woken

    async def run(self) -> None:
        """Serve all sessions until cancelled."""
        more = True
        while True:
            if more:
                await trio.lowlevel.checkpoint()
            else:
                await self._sleep()
            more = self._rounds()

    def _rounds(self) -> bool:
        """Rounds, one after the other, until it is others' turn or there may be no more; returns whether there may."""
        until = self._clock() + QUICK_S
        while True:
            ready = self._poller.ready(SOCKETS_MAX)
            if not ready and not self._asking:
                return False
            more = self._round(ready) or bool(self._asking)
            if not more or self._clock() >= until:
                return more

    async def _sleep(self) -> None:
        """Wait until a socket is ready or somebody asks for a turn."""
        self._asleep = True
        try:
            await trio.lowlevel.wait_readable(self._poller)
        except trio.ClosedResourceError:
            pass
        finally:
            self._asleep = False

    def close(self) -> None:
        """Nobody has a turn any more, and all sessions have ended."""
        self.over = True
        self._poller.close()

    def _round(self, ready: list[tuple[int, int]]) -> bool:
        """Returns whether it is likely that somebody is ready still: looking costs as much as a small read."""
        now = now_ms()
        self._driver.broker.at(now)
        if self._asking:
            for asking in list(self._asking)[:TURNS_MAX]:
                del self._asking[asking]
                asking.take_turn(now)
        share = ROUND_SIZE // max(1, len(ready))
        taken = 0
        more = len(ready) > 1
        for number, what in ready:
            session = self._watched.get(number)
            if session is None:
                continue
            if what != READ and session.wanted & WRITE:
                session.write()
            if what != WRITE and session.wanted & READ:
                if session.greedy or taken >= ROUND_SIZE:
                    self._greedy[session] = None
                else:
                    taken += self._read(session, now, share)
                    more = more or session.greedy
        while self._greedy:
            greedy = next(iter(self._greedy))
            del self._greedy[greedy]
            if not greedy.wanted & READ:
                continue
            cut = greedy.number != self._talker and now - self._talked_ms < LATELY_MS
            taken += self._read_much(greedy, now, share, cut)
            more = more or greedy.greedy
            if taken >= ROUND_SIZE or cut:
                break
        self._driver.end_round()
        return more

    def _read(self, session: Session, now: int, share: int) -> int:
        """Returns how many bytes came, or -1."""
        size = session.read(now, READ_SIZE)
        session.greedy = size >= share
        if 0 < size <= TALK_MAX and session.awaits_answer:
            self._talker, self._talked_ms = session.number, now
        return size

    def _read_much(self, session: Session, now: int, share: int, cut: bool) -> int:
        """The same of one that is greedy; and learn how much of it makes a slice."""
        most = session.slice if cut else READ_SIZE
        began = self._clock()
        size = session.read(now, most)
        took = self._clock() - began
        session.greedy = size >= min(share, most)
        if size > 0:
            fitting = int(size * SLICE_S / took) if took > 0 else READ_SIZE
            session.slice = min(READ_SIZE, max(SLICE_MIN, (3 * session.slice + fitting) // 4))
        return size
