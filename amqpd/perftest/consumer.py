"""One channel that consumes: takes messages, pretends to work on them, acknowledges.

Usually a message is done as soon as it is there, and what one read brought is acknowledged together, with a frame for
each message or for each so many. With a latency, a rate or transactions a channel does one message at a time: the
others wait in `_waiting`, and with WAITING_MAX of them the channel is `full`: the connection is read no more until it
is not.

A message counts as received, and its latency ends, when work on it begins.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from amqpd.perftest import requests
from amqpd.perftest.batches import stamped, u64s
from amqpd.perftest.client import Agent
from amqpd.perftest.deliveries import UNSTAMPED
from amqpd.perftest.figures import Instruments
from amqpd.perftest.pace import NEVER, SECOND, Steps
from amqpd.wire import methods

WAITING_MAX: Final = 1000
YEAR: Final = 365 * 24 * 3600 * SECOND
MICROSECOND: Final = 1000


@dataclass(frozen=True)
class Consuming:
    """What a consumer's channel is to do.

    `every`: acknowledge each so many messages, with one frame for all since the last; 0: each with its own. `latencies`
    are in microseconds. `rate` is in messages a second and 0 where there is no limit, and so is `limit`.
    """

    latencies: Steps
    autoack: bool = False
    every: int = 0
    nack: bool = False
    requeue: bool = True
    tx: int = 0
    rate: float = 0
    limit: int = 0

    @property
    def one_at_a_time(self) -> bool:
        """Whether messages wait for one another."""
        return self.rate > 0 or self.tx > 0 or self.latencies.highest() > 0


class Consumer(Agent):
    """`send` takes frames; `wake` is called when work has come or can go on."""

    def __init__(
        self,
        plan: Consuming,
        channel: int,
        instruments: Instruments,
        send: Callable[[bytes | bytearray], None],
        wake: Callable[[], None],
    ) -> None:
        self.count = 0  # messages received
        self.next_at = NEVER  # when `work` has something to do
        self._plan: Final = plan
        self._channel: Final = channel
        self._figures: Final = instruments.figures
        self._stamps: Final = instruments.stamps
        self._clock: Final = instruments.clock
        self._send: Final = send
        self._wake: Final = wake
        self._start = 0
        self._paced: Final = plan.one_at_a_time
        self._template: Final = requests.settle(channel, 0, plan.every > 0, plan.nack, plan.requeue)
        self._waiting: Final[deque[tuple[int, int, int]]] = deque()  # delivery tag, stamp, when it came
        self._at_work = 0  # the delivery tag of the message it works on, or 0
        self._done_at = 0  # when that is done
        self._free_at = 0  # when, by the rate, work on the next may begin
        self._done = 0  # messages worked on
        self._uncommitted = 0
        self._committing = False

    def begin(self, start: int) -> None:
        """From when on latencies that change are counted."""
        self._start = start

    @property
    def idle(self) -> bool:
        """It has nothing to do."""
        return not (self._waiting or self._at_work or self._committing)

    @property
    def finished(self) -> bool:
        """It has had as many messages as it was to have, and is done with them."""
        return 0 < self._plan.limit <= self.count and not (self._at_work or self._committing)

    @property
    def full(self) -> bool:
        """Nothing more can wait."""
        return len(self._waiting) >= WAITING_MAX

    def deliver(self, tags: list[int], stamps: list[int]) -> None:
        now = self._clock()
        if self._plan.limit:
            room = self._plan.limit - self.count - len(self._waiting)
            tags, stamps = tags[:room], stamps[:room]
            if not tags:
                return
        if self._paced:
            self._waiting.extend((tag, stamp, now) for tag, stamp in zip(tags, stamps, strict=True))
            if not (self._at_work or self._committing):
                self.next_at = now
                self._wake()
            return
        self._received(stamps, now)
        self._settle(tags)
        if self.finished:
            self._wake()

    def _received(self, stamps: list[int], now: int) -> None:
        figures = self._figures
        self.count += len(stamps)
        figures.received += len(stamps)
        figures.last_received = now
        for stamp, times in Counter(stamps).items():
            # A time from before this machine was started or far in the future is no time: somebody else's message.
            if stamp != UNSTAMPED and abs(since := self._stamps.since(stamp, now)) < YEAR:
                figures.consumer.record(since, times)

    def _settle(self, tags: list[int]) -> None:
        """Acknowledge what is due of these."""
        done = self._done
        self._done += len(tags)
        if self._plan.autoack:
            return
        if self._plan.every:
            tags = [tag for number, tag in enumerate(tags, done + 1) if number % self._plan.every == 0]
        if tags:
            self._send(stamped(self._template, len(tags), [(requests.TAG_PLACE, 8, u64s(tags))]))

    def rest(self) -> None:
        """Acknowledge what no full `every` was reached for: at the end, when nothing more will come."""
        if self._plan.every and not self._plan.autoack and self._done % self._plan.every:
            self._send(requests.settle(self._channel, 0, True, self._plan.nack, self._plan.requeue))

    # -- one at a time

    def work(self, now: int) -> None:
        """End what is done, and begin what may begin. Sets `next_at`.

        Who is called late does at once what would have been done meanwhile, as of the time at which it would have been.
        """
        self.next_at = NEVER
        while not self._committing:
            if self._at_work:
                if now < self._done_at:
                    self.next_at = self._done_at
                    return
                self._end_work()
            elif self._waiting:
                begin = max(self._free_at, self._waiting[0][2])
                if now < begin:
                    self.next_at = begin
                    return
                self._begin_work(begin)
            else:
                return

    def _begin_work(self, begin: int) -> None:
        tag, stamp, _arrived = self._waiting.popleft()
        self._received([stamp], begin)
        latency, _until = self._plan.latencies.at(max(begin - self._start, 0))
        self._at_work = tag
        self._done_at = begin + int(latency * MICROSECOND)
        self._free_at = max(self._done_at, begin + int(SECOND / self._plan.rate) if self._plan.rate else 0)

    def _end_work(self) -> None:
        tag, self._at_work = self._at_work, 0
        self._settle([tag])
        if self._plan.tx:
            self._uncommitted += 1
            if self._uncommitted == self._plan.tx or self.finished:
                self._uncommitted = 0
                self._committing = True
                self._send(requests.tx(self._channel, methods.TX_COMMIT))

    def committed(self) -> None:
        self._committing = False
        self._free_at = max(self._free_at, self._clock())
        self.next_at = self._free_at
        self._wake()
