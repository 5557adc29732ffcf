"""The writer of definitions: gathers commands and stores them, many in one transaction, in a thread.

While one transaction is written the next gathers, so that fifty connections that declare at once wait for two of them
and not for fifty. Nothing is written for what is not durable.

A store without room is tried again until there is some: the clients that wait go on waiting, and the log says why. Any
other failure ends the node, because memory is ahead of what a restart would find.

Commands that are held back by a fence (`Catalogue.fence`) wait, and with them all that came later; a node that ends
before a fence is lifted does not store them.

A copy of the store is made at a point in the order of commands, after all before it and before any that came later.

Invariants: commands are stored in the order of their numbers, all of them; a callback is called once, within a round,
after the number that it waits for is stored.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from threading import Event, Lock
from typing import Final, Protocol

import trio

from amqpd.broker.commands import Command
from amqpd.broker.ports import Catalogue
from amqpd.errors import StorageError, StorageFullError
from amqpd.runtime.driver import Driver
from amqpd.runtime.workers import PATIENCE_S, disk_hangs

log = logging.getLogger("amqpd.definitions")

RETRY_S: Final = 1.0
WARN_EVERY: Final = 60  # tries


class Store(Protocol):
    """Where commands are kept (`amqpd.metadata`). Blocks."""

    @property
    def sequence(self) -> int:
        """The number of the last command that is stored."""

    def apply(self, commands: Sequence[Command], sequence: int) -> None:
        """Store all of them, or none. `sequence` is the last one's number. Raises StorageError."""

    def copy(self, path: Path) -> None:
        """Make a copy of the store as it is. Raises StorageError."""

    def close(self) -> None:
        """Let go of the file."""


class Copy:
    """To be made at `path` when command `number` is the last one that is stored. `failure` is set if that fails."""

    def __init__(self, path: Path, number: int) -> None:
        self.path: Final = path
        self.number: Final = number
        self.made: Final = trio.Event()
        self.failure: StorageError | None = None


class Work:
    """Something that a thread does."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work: Final = work
        self._lock: Final = Lock()
        self._begun = False
        self._withdrawn = False
        self.done: Final = Event()
        self.failure: BaseException | None = None

    def withdraw(self) -> bool:
        """Have it not done; False where it has begun."""
        with self._lock:
            self._withdrawn = not self._begun
            return self._withdrawn

    def run(self) -> None:
        """Do it, unless it was withdrawn."""
        with self._lock:
            if self._withdrawn:
                return
            self._begun = True
        try:
            self._work()
        except BaseException as error:  # whoever waits raises it
            self.failure = error
        finally:
            self.done.set()


class Writer(Catalogue):
    """Keeps commands in `store`. `run` must run for anything to be stored; `close` stores what is left."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.recorded = self.stored = self.needed = store.sequence
        self._store: Final = store
        self._pending: list[Command] = []
        self._waiting: Final[deque[tuple[int, Callable[[], None]]]] = deque()
        self._work = trio.Event()
        self._copies: Final[deque[Copy]] = deque()
        self._holders = 0
        self._first_held = 0
        self._hangs = False
        self._released = trio.Event()

    def keep(self, command: Command) -> None:
        self._pending.append(command)
        self._work.set()

    def hold(self) -> None:
        if not self._holders:
            self._first_held = self.recorded + 1
        self._holders += 1

    def release(self) -> None:
        self._holders -= 1
        self._work.set()
        if not self._holders:
            self._released.set()
            self._released = trio.Event()

    def first_with(self, number: int) -> int:
        return self._first_held if self._holders else number

    def lift(self) -> None:
        super().lift()
        self._work.set()

    async def released(self) -> None:
        """Wait until nobody holds: what is recorded then can be stored, and copied, without what comes after it."""
        while self._holders:
            await self._released.wait()

    def copy(self, path: Path) -> Copy:
        """Have a copy made of everything that is recorded and not held back by now, and nothing else. Nobody must
        hold."""
        copy = Copy(path, self.storable())
        self._copies.append(copy)
        self._work.set()
        return copy

    def settle(self, stored: Callable[[], None]) -> bool:
        if self.needed <= self.stored:
            return True
        self._waiting.append((self.needed, stored))
        return False

    async def run(self, driver: Driver) -> None:
        """Store what is recorded, until cancelled. Raises StorageError."""
        tries = 0
        while True:
            await self._work.wait()
            self._work = trio.Event()
            while (self.stored < self.storable() or self._copies) and not self._holders:
                if self._copies and self._copies[0].number == self.stored:
                    await self._copy(self._copies[0])
                    continue
                try:
                    await self._store_some(driver)
                except StorageFullError as error:
                    if tries % WARN_EVERY == 0:
                        log.error("definitions wait to be stored: %s", error)
                    tries += 1
                    await trio.sleep(RETRY_S)
                else:
                    if tries:
                        log.warning("definitions are stored again")
                    tries = 0

    async def _store_some(self, driver: Driver) -> None:
        """Store all that can be stored now. What is being written is waited for, whoever cancels."""
        last = self._copies[0].number if self._copies else self.storable()
        commands = self._pending[: last - self.stored]
        await self._see_through(partial(self._store.apply, commands, last))
        del self._pending[: len(commands)]
        self.stored = last
        self._tell(driver)

    async def _copy(self, copy: Copy) -> None:
        """Make a copy. That it fails is nothing to the node."""
        try:
            await self._see_through(partial(self._store.copy, copy.path))
        except StorageError as error:
            copy.failure = error
        self._copies.popleft()
        copy.made.set()

    async def _see_through(self, work: Callable[[], None]) -> None:
        """Do `work` in a thread. Once begun it is waited for, whoever cancels; but then not longer than PATIENCE_S.

        Raises what it raises, and StorageError where the disk hangs.
        """
        job = Work(work)
        try:
            await trio.to_thread.run_sync(job.run, abandon_on_cancel=True)
        except trio.Cancelled:
            if job.withdraw():
                raise
            with trio.CancelScope(shield=True):
                # In a thread, because this is a disk's time, and trio's clock may be one that jumps.
                self._hangs = not await trio.to_thread.run_sync(job.done.wait, PATIENCE_S)
        if self._hangs:
            raise disk_hangs("definitions that were not answered are not kept")
        if job.failure is not None:
            raise job.failure

    def _tell(self, driver: Driver) -> None:
        """Answer those who waited for what is stored now. They wait in the order of their numbers."""
        with driver.round():
            while self._waiting and self._waiting[0][0] <= self.stored:
                _number, stored = self._waiting.popleft()
                stored()

    def store_now(self) -> None:
        """Store what can be stored, while `run` does not run. Blocks. Raises StorageError."""
        last = self.storable()
        commands = self._pending[: last - self.stored]
        if commands:
            self._store.apply(commands, last)
            del self._pending[: len(commands)]
            self.stored = last

    def close(self) -> None:
        """Store what is left, and close the store. Blocks. Raises StorageError. Where the disk hangs that is left."""
        if self._hangs:
            return
        try:
            self.store_now()
        finally:
            self._store.close()
