"""Drives a broker: tells it the time, ends its rounds, and wakes it when a timer is due.

A round is what one look at the sockets, one timer or one call of an operator causes. `end_round` must follow each of
them: it flushes every connection that was touched and sees to it that the timer task wakes in time. The time is trio's
clock in ms, so a test with a clock that jumps moves the broker as well.

Whoever finds that the disk failed calls `fail`, and everything ends: no round is flushed any more, so that no client
is told what memory has and the disk may not have.

Invariant: the timer task sleeps until the earliest due time known at the end of the last round.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import trio

from amqpd.broker.node import Broker
from amqpd.broker.timers import IDLE
from amqpd.errors import StorageError

log = logging.getLogger("amqpd.node")

_WALL_CLOCK_REFRESH_MS: Final = 60_000
_NEVER: Final = float("inf")


def now_ms() -> int:
    """Trio's clock in ms. Rounded, so that a sleep until `ms / 1000` ends at `ms` and not a hair before."""
    return int(trio.current_time() * 1000 + 0.5)


class Driver:
    """One for each broker, made within a trio run. `recover` is called when a flush failed: see `end_round`."""

    def __init__(self, broker: Broker, recover: Callable[[], None] = lambda: None) -> None:
        self.broker: Final = broker
        self.recover = recover
        self._scope = trio.CancelScope()
        self._due_ms = IDLE
        self._wall_due_ms = 0
        self._quiet = False
        self.failure: StorageError | None = None
        self._tell_time()

    def _tell_time(self) -> None:
        """Relate the monotonic clock to the time of day, which an operator or NTP may have set anew."""
        now = now_ms()
        self.broker.at(now)
        self.broker.offset_ms = int(time.time() * 1000) - now
        self._wall_due_ms = now + _WALL_CLOCK_REFRESH_MS

    @contextmanager
    def round(self) -> Iterator[Broker]:
        """A round that no read and no timer causes: the broker is told the time before, and flushed after.

        On an idle node the last round may be minutes ago, and whatever sets a timer would set it in the past.
        """
        self.broker.at(now_ms())
        try:
            yield self.broker
        except StorageError as error:
            self.fail(error)
            raise
        finally:
            self.end_round()

    def fail(self, error: StorageError) -> None:
        """The disk failed: `run` raises `error`, which ends the node. A bug that it was made of is logged."""
        if self.failure is None:
            self.failure = error
            if error.__cause__ is not None and not isinstance(error.__cause__, OSError):
                log.error("internal error", exc_info=error)
        self._scope.cancel()

    def quieten(self) -> None:
        """The node stops: no timer is due from now on."""
        self._quiet = True
        self._sleep_until(IDLE)

    def end_round(self) -> None:
        """Flush every connection that was touched. Never raises: a failure is a bug, is logged, and `recover` is called
        to finish what the flush left undone; but where the disk failed, `fail`."""
        if self.failure is not None:
            return
        try:
            self.broker.flush()
        except StorageError as error:
            self.fail(error)
            return
        except Exception:
            log.exception("internal error at the end of a round")
            self.recover()
        due_ms = self.broker.timers.next_due_ms()
        if due_ms != IDLE and not self._quiet and (due_ms < self._due_ms or self._due_ms == IDLE):
            self._sleep_until(due_ms)

    def _sleep_until(self, due_ms: int) -> None:
        self._due_ms = due_ms
        self._scope.deadline = _NEVER if due_ms == IDLE else due_ms / 1000

    async def run(self) -> None:
        """The timer task. Runs until cancelled. Raises StorageError when the disk failed."""
        while self.failure is None:
            self._scope = trio.CancelScope()
            self._sleep_until(IDLE if self._quiet else self.broker.timers.next_due_ms())
            with self._scope:
                await trio.sleep_forever()
            if self.failure is None:
                self._tick()
        raise self.failure

    def _tick(self) -> None:
        now = now_ms()
        if now >= self._wall_due_ms:
            self._tell_time()
        try:
            self.broker.tick(now)
        except StorageError as error:
            self.fail(error)
        except Exception:
            log.exception("internal error in a timer")
        self._due_ms = IDLE
        self.end_round()
