"""Runs what is slow beside the broker: functions in threads, async functions on trio. The results come back in rounds.

    broker (in a round) --thread/call--> a task of this one's nursery --> done(result), in a round of its own

A caller goes on at once and is called back later, never from within its own call. What fails is handed to `done` as the
exception that it raised; what does not end in time is cancelled and handed over as TimeoutError.

Limits: THREADS threads, for each of which THREADS_WAITING / THREADS functions wait; CALLS async functions, and
CALLS_WAITING that wait, within their time limit. One more gets `queue.Full` for a result. When the node ends, what is
under way ends with it, and nobody is called back.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from queue import Full
from typing import Final, TypeVar

import trio

from amqpd.runtime.driver import Driver

log = logging.getLogger("amqpd.node")

T = TypeVar("T")

THREADS: Final = 2  # a password's hash takes 64 MiB and a core for a sixth of a second
THREADS_WAITING: Final = 100
CALLS: Final = 100
CALLS_WAITING: Final = 10_000


class _Pool:
    """How many run and wait."""

    def __init__(self, running: int, waiting: int) -> None:
        self.limiter: Final = trio.CapacityLimiter(running)
        self.most: Final = running + waiting
        self.count = 0


class Offload:
    """One for each node. Made anywhere; `run` starts before the first call, and without it nothing happens."""

    def __init__(self) -> None:
        self._threads: Final = _Pool(THREADS, THREADS_WAITING)
        self._calls: Final = _Pool(CALLS, CALLS_WAITING)
        self._nursery: trio.Nursery | None = None
        self._driver: Driver | None = None

    async def run(self, driver: Driver, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Own the tasks, until cancelled."""
        async with trio.open_nursery() as nursery:
            self._driver, self._nursery = driver, nursery
            task_status.started()
            try:
                await trio.sleep_forever()
            finally:
                self._nursery = None

    def thread(self, function: Callable[[], T], done: Callable[[T | Exception], None]) -> None:
        """Run `function` in a thread. Called in trio's thread, as `done` will be, in a round."""

        async def work() -> T:
            return await trio.to_thread.run_sync(function, limiter=self._threads.limiter)

        self._start(self._threads, work, done)

    def call(self, function: Callable[[], Awaitable[T]], limit_ms: int, done: Callable[[T | Exception], None]) -> None:
        """Run an async function for `limit_ms` at most, the time that it waits for its turn included."""

        async def work() -> T:
            with trio.fail_after(limit_ms / 1000):
                async with self._calls.limiter:
                    return await function()

        self._start(self._calls, work, done)

    def _start(self, pool: _Pool, work: Callable[[], Awaitable[T]], done: Callable[[T | Exception], None]) -> None:
        if self._nursery is None:
            return
        if pool.count >= pool.most:
            trio.lowlevel.current_trio_token().run_sync_soon(self._finish, done, Full())
            return
        pool.count += 1
        self._nursery.start_soon(self._work, pool, work, done)

    async def _work(
        self, pool: _Pool, work: Callable[[], Awaitable[T]], done: Callable[[T | Exception], None]
    ) -> None:
        result: T | Exception
        try:
            result = await work()
        except trio.TooSlowError:
            result = TimeoutError()
        except Exception as error:
            result = error
        finally:
            pool.count -= 1
        self._finish(done, result)

    def _finish(self, done: Callable[[T | Exception], None], result: T | Exception) -> None:
        assert self._driver is not None
        try:
            with self._driver.round():
                done(result)
        except Exception:
            log.exception("internal error after a slow call")
