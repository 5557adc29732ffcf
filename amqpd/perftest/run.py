"""A whole run: set up, consume, publish, look once a second, and end in order.

The run ends when its time is up, when every channel that has a limit has reached it, when somebody presses Ctrl-C (or
sends SIGTERM), or with RunError. Then publishing stops; where publishers had a limit, consumers get what is still on
its way; and all connections are closed. All that within the shutdown timeout.
"""

from __future__ import annotations

import math
import signal
import ssl
import time
from collections.abc import Callable
from random import Random
from typing import Final

import trio

from amqpd.perftest import requests
from amqpd.perftest.faults import RunError
from amqpd.perftest.figures import Figures, Instruments, Interval
from amqpd.perftest.link import Link
from amqpd.perftest.options import Options
from amqpd.perftest.pace import NEVER, SECOND
from amqpd.perftest.setting import Publisher, Setting, Subscriber
from amqpd.perftest.stamps import Stamps
from amqpd.wire import methods

QUIET_S: Final = 0.25  # without a message: nothing is on its way any more
WORTH_A_LINE: Final = 0.1  # of an interval: what is shorter is too short to tell a rate
SLOW_START_S: Final = 1.0
TIME_LIMIT: Final = "time limit reached"
MESSAGE_LIMIT: Final = "message limit reached"
INTERRUPTED: Final = "interrupted"

clock: Final = time.monotonic_ns


class Run:
    """`seen` is called with each interval, `said` with what a person should know. `tls` is for addresses with amqps."""

    def __init__(
        self,
        options: Options,
        tls: ssl.SSLContext | None,
        random: Random,
        seen: Callable[[Interval], None],
        said: Callable[[str], None],
    ) -> None:
        self.figures: Final = Figures()
        self.began = False
        self.reason = ""  # why the run has ended
        self._options: Final = options
        self._random: Final = random
        self._seen: Final = seen
        self._said: Final = said
        stamps = Stamps(options.use_millis, time.time_ns() - clock())
        self._setting: Final = Setting(options, tls, Instruments(self.figures, stamps, clock, random))
        self._ended: Final = trio.Event()
        self._publishing: Final = trio.CancelScope()
        self._blocked = False
        self._looked = False

    async def run(self) -> None:
        """The run. Raises RunError; `figures` hold what was counted until then."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch_signals)
                with trio.CancelScope() as setting_up:
                    nursery.start_soon(self._cancel_at_end, setting_up)
                    await self._setting.up(nursery)
                if not self._ended.is_set():
                    await self._work()
                with trio.move_on_after(self._options.shutdown_timeout_s):
                    await self._close()
                nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            raise _first(group) from None
        finally:
            if self.began:
                self._look_at_rest()

    async def _watch_signals(self) -> None:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
            async for _number in received:
                break
        self._end(INTERRUPTED)  # from here on another Ctrl-C ends the program at once

    async def _cancel_at_end(self, scope: trio.CancelScope) -> None:
        await self._ended.wait()
        scope.cancel()

    def _end(self, reason: str) -> None:
        if not self._ended.is_set():
            self.reason = reason
            self._ended.set()

    # -- the run

    async def _work(self) -> None:
        options = self._options
        self.figures.begin(clock())
        self.began = True
        async with trio.open_nursery() as work:
            work.start_soon(self._consume)
            work.start_soon(self._publish)
            work.start_soon(self._look_often)
            if options.time_s:
                work.start_soon(self._end_in_time)
            await self._ended.wait()
            self._publishing.cancel()
            if self.reason == MESSAGE_LIMIT and options.producer_limit:
                with trio.move_on_after(options.shutdown_timeout_s):
                    await self._drain()
            work.cancel_scope.cancel()

    async def _end_in_time(self) -> None:
        await trio.sleep(self._options.time_s)
        self._end(TIME_LIMIT)

    def _end_if_finished(self) -> None:
        """Whoever reaches its limit asks whether it was the last one."""
        options, setting = self._options, self._setting
        if options.producer_limit and not all(each.agent.finished for each in setting.publishers):
            return
        if options.consumer_limit and not all(each.agent.finished for each in setting.subscribers):
            return
        self._end(MESSAGE_LIMIT)

    async def _drain(self) -> None:
        """Until nothing has come for a while, and everything that has come is worked on."""
        before = -1
        while self._setting.subscribers and before != self.figures.received:
            before = self.figures.received
            await trio.sleep(QUIET_S)
            if not all(each.agent.idle for each in self._setting.subscribers):
                before = -1

    async def _look_often(self) -> None:
        at = trio.current_time()
        while True:
            at += self._options.interval_s
            await trio.sleep_until(at)
            self._look()

    def _look_at_rest(self) -> None:
        """A last line for what the others do not tell, unless that is next to nothing."""
        unseen_s = self.figures.unseen_s(clock())
        if not self._looked or unseen_s > self._options.interval_s * WORTH_A_LINE:
            self._look()

    def _look(self) -> None:
        self._looked = True
        self._seen(self.figures.interval(clock()))
        reasons = {link.client.blocked for link in self._setting.links} - {None}
        if bool(reasons) != self._blocked:
            self._blocked = bool(reasons)
            self._said(f"the broker blocks publishers: {reasons.pop()}" if reasons else "publishers may go on")

    # -- consumers

    async def _consume(self) -> None:
        options = self._options
        async with trio.open_nursery() as nursery:
            await trio.sleep(options.consumer_start_delay_s)
            for number, each in enumerate(self._setting.subscribers):
                if number and options.slow_start:
                    await trio.sleep(SLOW_START_S)
                each.agent.begin(clock())
                for place, queue in enumerate(each.queues):
                    request = requests.consume(
                        each.channel, queue, f"c{place}", options.autoack, options.consumer_arguments
                    )
                    await each.link.call(each.channel, request, methods.BASIC_CONSUME_OK)
                nursery.start_soon(self._consume_on, each)

    async def _consume_on(self, each: Subscriber) -> None:
        agent = each.agent
        while not agent.finished:
            agent.work(clock())
            each.link.emptied()
            with trio.move_on_after(_seconds_until(agent.next_at)):
                await each.wake.wait()
        each.link.emptied()
        self._end_if_finished()

    # -- producers

    async def _publish(self) -> None:
        options, publishers = self._options, self._setting.publishers
        now = clock()
        with self._publishing:
            async with trio.open_nursery() as nursery:
                for number, each in enumerate(publishers):
                    delay = self._random.random() * options.producer_start_delay_s
                    if options.rates is not None and options.rates.constant and (rate := options.rates.highest()):
                        delay += number / len(publishers) / rate  # they take turns, and do not all send at once
                    each.agent.begin(now + int(delay * SECOND))
                    nursery.start_soon(self._publish_on, each)

    async def _publish_on(self, each: Publisher) -> None:
        agent, link = each.agent, each.link
        while not agent.finished:
            await link.room()
            now = clock()
            data = agent.publish(now)
            if data:
                link.send(data)
            if agent.next_at == NEVER and not agent.finished:
                await self._wait_for_broker(each)
            elif now < agent.next_at < NEVER:
                await trio.sleep(_seconds_until(agent.next_at))
        self._end_if_finished()

    async def _wait_for_broker(self, each: Publisher) -> None:
        """Wait for a confirm or the answer to a commit, but not for ever."""
        timeout_s = self._options.confirm_timeout_s
        with trio.move_on_after(timeout_s):
            await each.wake.wait()
            return
        if each.agent.starved:
            what = "confirm" if self._options.confirm else "tx.commit-ok"
            raise RunError(f"{each.link.client.address.place}: no {what} within {timeout_s:g} s (--confirm-timeout)")

    # -- the end

    async def _close(self) -> None:
        """Acknowledge what is left, and close every connection. The caller has a time limit.

        Publishers go first: a queue may go with its last consumer, and what they have sent is to find it there.
        """
        for each in self._setting.subscribers:
            each.agent.rest()
        publishers = {each.link for each in self._setting.publishers}
        for links in (publishers, set(self._setting.links) - publishers):
            async with trio.open_nursery() as nursery:
                for link in links:
                    nursery.start_soon(self._close_link, link)

    async def _close_link(self, link: Link) -> None:
        if link.client.open:
            await link.close()
        link.cut()


def _seconds_until(moment: int) -> float:
    if moment == NEVER:
        return math.inf
    return max((moment - clock()) / SECOND, 0)


def _first(group: BaseExceptionGroup) -> BaseException:
    """What ended the run: RunError before anything that followed from it."""
    found: list[BaseException] = []
    waiting: list[BaseException] = [group]
    while waiting:
        each = waiting.pop(0)
        if isinstance(each, BaseExceptionGroup):
            waiting.extend(each.exceptions)
        else:
            found.append(each)
    return min(found, key=lambda error: not isinstance(error, RunError))
