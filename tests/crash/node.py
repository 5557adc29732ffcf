"""A node on a disk in memory: broker, keeper and store, as the application puts them together, and nothing else of it.

Nothing happens by itself. What the threads would do waits in two `Hand`s until the history says so, one job at a time;
what they would report waits until it says so, too. Definitions are kept by a `Shelf`, which survives crashes and stores
when it is told.
"""

from __future__ import annotations

import random
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from crash.disk import Disk
from crash.keys import Keys, Seals
from crash.ledger import Copy, Ledger, Place, number_of, root_of
from harness import EPOCH_MS, World

from amqpd.broker import commands as c
from amqpd.broker.message import Message
from amqpd.broker.persistence.commits import Commit
from amqpd.broker.persistence.keeper import Keeper
from amqpd.broker.persistence.restoring import Restorer
from amqpd.broker.ports import Catalogue, Job, Worker
from amqpd.errors import StorageError, StorageFullError
from amqpd.store.opening import open_store
from amqpd.store.options import StoreOptions


@dataclass(frozen=True)
class Sizes:
    """Everything small, so that all of it happens all the time."""

    file_size: int = 8192
    size_max: int = 24_576
    spares: int = 1
    segment_size: int = 8192
    message_memory: int = 1 << 20
    unsynced_max: int = 1 << 20
    encrypted: bool = False


class Shelf(Catalogue):
    """Definitions, as commands. What is not `stored` may be lost in a crash, the last ones first."""

    def __init__(self, kept: list[c.Command]) -> None:
        super().__init__()
        self.kept = list(kept)
        self.pending: list[c.Command] = []
        self.waiting: list[tuple[int, Any]] = []

    def keep(self, command: c.Command) -> None:
        self.pending.append(command)

    def settle(self, stored: Any) -> bool:
        if self.needed <= self.stored:
            return True
        self.waiting.append((self.needed, stored))
        return False

    def store(self) -> None:
        """All that is not held back is stored; those who waited for it are told, in the caller's round."""
        storable = self.storable()
        count = storable - self.stored
        self.kept += self.pending[:count]
        del self.pending[:count]
        self.stored = storable
        told = [stored for needed, stored in self.waiting if needed <= storable]
        self.waiting = [each for each in self.waiting if each[0] > storable]
        for stored in told:
            stored()

    def left(self, rng: random.Random) -> list[c.Command]:
        """What a crash leaves of them."""
        return self.kept + self.pending[: rng.randint(0, self.storable() - self.stored)]


class Hand(Worker):
    """A worker that waits to be told."""

    def __init__(self) -> None:
        self.jobs: deque[Job] = deque()
        self.busy = False

    def submit(self, job: Job) -> None:
        self.jobs.append(job)


@dataclass
class Found:
    """A message that a recovery brought back."""

    place: Place
    message: Message
    number: int
    root: str
    redelivered: bool
    wall_ms: int


class Stopped(BaseException):
    """An error of the disk has ended the node. Not an Exception: it passes through whatever job was interrupted."""


class Node:
    """One life of a node. `base` and `last` are for the ledger: what the disk holds, and the first batch.

    Raises what `open_store` and recovery raise.
    """

    def __init__(
        self,
        disk: Disk,
        definitions: list[c.Command],
        wall_ms: int,
        life: int,
        sizes: Sizes,
        base: dict[Place, Copy] | None = None,
        last: int = -1,
        seals: Seals | None = None,
    ) -> None:
        self.disk = disk
        self.committer, self.background = Hand(), Hand()
        self.finished: deque[Job] = deque()
        self.full = 0  # jobs that found no room
        source = random.Random(life)
        self.shelf = Shelf(definitions)
        self.world = World(self.shelf, message_memory=sizes.message_memory, unsynced_max=sizes.unsynced_max)
        self.world._random = life << 32  # what was unique in one life is not used in another
        self.broker = self.world.broker
        self.broker.offset_ms = wall_ms - self.world.now_ms
        options = StoreOptions(
            file_size=sizes.file_size,
            size_max=sizes.size_max,
            spares=sizes.spares,
            segment_size=sizes.segment_size,
            cipher=Keys(seals if seals is not None else {}) if sizes.encrypted else None,
        )
        self.store = open_store(disk.files(), source.randbytes, options, self.background)
        self.queues: dict[bytes, str] = {}
        self.ledger = Ledger(self.store.journal, self.broker, self.queues, last)
        self.ledger.base(base or {})
        self.keeper = Keeper(
            self.broker, self.ledger, self.store.segments, self.store.pages, self.committer, self.background
        )
        self.broker.keeper = self.keeper
        self._define(definitions)
        self.clean = True
        recovered = self.store.recovered
        if recovered is not None:
            self.clean = recovered.clean
            Restorer(self.broker, self.keeper, recovered, self._work_off).run()
            self.round()

    def _define(self, commands: list[c.Command]) -> None:
        self.shelf.muted = True
        vhost = self.world.vhost
        for command in commands:
            if isinstance(command, c.PutExchange):
                vhost.declare_exchange(
                    command.name, command.type, command.durable, command.auto_delete, command.internal, []
                )
            elif isinstance(command, c.PutQueue):
                vhost.restore_queue(
                    command.name, "classic", True, command.auto_delete, command.arguments, command.identity
                )
            elif isinstance(command, c.DeleteQueue):
                vhost.remove_queue(vhost.queues[command.name])
            elif isinstance(command, c.PutBinding):
                source, queue = vhost.exchanges[command.source], vhost.queues[command.destination]
                vhost.bind(source, queue, command.routing_key, command.arguments, self.broker.operator)
        self.shelf.muted = False
        self.note_queues()

    def note_queues(self) -> None:
        """Learn the identities of queues."""
        for name, queue in self.world.vhost.queues.items():
            if queue.durable:
                self.queues[queue.identity] = name

    def wall_ms(self) -> int:
        return self.broker.wall_ms()

    # -- what the threads do

    def work(self, hand: Hand) -> bool:
        """The next job of a worker; False where there is none, or it is at one. Raises Stopped, Crash."""
        if hand.busy or not hand.jobs:
            return False
        job = hand.jobs.popleft()
        hand.busy = True
        try:
            job.run()
        except StorageFullError:
            self.full += 1
            if hand is self.committer:
                hand.jobs.appendleft(job)
            else:
                hand.jobs.append(job)
            return False
        except StorageError as error:
            raise Stopped(str(error)) from error
        finally:
            hand.busy = False
        if isinstance(job, Commit):
            self.ledger.synced = job.batch.sequence
        self.finished.append(job)
        return True

    def _work_off(self) -> None:
        """What the background thread does while the node is restored, and is waited for."""
        while self.work(self.background):
            while self.finished:
                self.finished.popleft().finish()

    def report(self) -> None:
        """Tell of all that is done, in one round."""
        while self.finished:
            self.finished.popleft().finish()
        self.round()

    def round(self) -> None:
        """The end of a round, and what follows at once."""
        self.world.settle()
        self.world.pass_ms(0)
        self.note_queues()

    def rest(self, rounds: int = 500) -> None:
        """Work until nothing is left; where a worker is at a job, or finds no room, but for what that holds up."""
        refused = 0
        for _ in range(rounds):
            self.shelf.store()
            self.round()
            full = self.full
            worked = self.work(self.committer) | self.work(self.background)
            refused = refused + 1 if self.full > full else 0
            if refused == 1:
                continue  # it may have been the only time
            held_up = any(hand.busy or hand.jobs for hand in (self.committer, self.background))
            if not worked and not self.finished and (held_up or not (self.shelf.pending or self.shelf.waiting)):
                return
            self.report()
        raise AssertionError("the node does not come to rest")

    def stop(self) -> None:
        """The orderly end. Whoever is connected is gone already."""
        self.rest()
        self.keeper.stop()
        self.round()
        self.rest()
        assert self.keeper.gathered() == self.keeper.committed_to
        self.store.close()

    # -- what is there

    def last_batch(self) -> int:
        """Up to which batch there was something on the disk. The node is of no use afterwards."""
        self.round()
        if self.ledger.first < 0:
            self.ledger.begin()
            self.ledger.stop()
            self.ledger.seal()
        return self.ledger.first - 2  # the batch between them says that the node has begun

    def found(self) -> list[Found]:
        """Everything in durable queues, in the order in which it would be delivered. Takes it out."""
        found = []
        for name, queue in sorted(self.world.vhost.queues.items()):
            if not queue.durable:
                continue
            queue.expiring = False  # what is overdue is looked at, too
            while (fetched := queue.fetch(False)) is not None:
                message = fetched.message
                level = max(0, min(message.priority, queue.settings.highest_priority))
                place = (queue.identity, level, fetched.position)
                wall_ms = message.arrived_ms + self.broker.offset_ms
                found.append(
                    Found(place, message, number_of(message), root_of(message, name), fetched.redelivered, wall_ms)
                )
        return found


FIRST_WALL_MS = EPOCH_MS

# What the broker and the store do at once, or put together: so little that it takes several turns here, too.
SMALL = {
    "PAGE_MESSAGES": 4,
    "PAGE_BYTES": 2000,
    "MOVED_AT_ONCE": 1500,
    "HEAD_KEPT": 600,
    "SEAL_AT": 4000,
    "LETTERS_A_ROUND": 3,
    "WINDOW": 1024,
    "_TOLD_AT_ONCE": 2,
    "_AT_ONCE": 1500,
}


def make_small(change: Callable[[object, str, int], None]) -> None:
    """Have `change` set SMALL where it is used. In compiled modules that changes nothing: there they are constants."""
    for name, module in list(sys.modules.items()):
        if name.startswith("amqpd."):
            for constant, value in SMALL.items():
                if hasattr(module, constant):
                    change(module, constant, value)
