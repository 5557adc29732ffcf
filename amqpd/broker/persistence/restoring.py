"""Gives the queues back what they had when the node stopped.

Pages stay on disk: a queue gets to know that they are there. Messages whose home is the journal come back into memory,
in the order of their positions, and beyond the memory that messages may take they go to pages at once. However many
there are, memory is bounded (`_OPEN_MAX`, `_PENDING_MAX`).

After an orderly stop a message is redelivered if it had been delivered; after any other every message is, since each
may have been. What belongs to a queue that is not defined any more is dropped, and the log says so, unless the journal
does: a queue's deletion is in the definitions before anything else, so they decide.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from amqpd.broker.message import Message
from amqpd.broker.persistence import encoding
from amqpd.broker.persistence.log import Log
from amqpd.broker.persistence.paging import fills_page
from amqpd.broker.queues.classic import ClassicQueue
from amqpd.broker.queues.ready import OVERHEAD, ReadyList
from amqpd.broker.queues.runs import Run, run_of_messages, run_of_page
from amqpd.pageindex import Homes

if TYPE_CHECKING:
    from amqpd.broker.node import Broker
    from amqpd.broker.persistence.keeper import Keeper
    from amqpd.broker.ports import Page
    from amqpd.pageindex import PageIndex
    from amqpd.ranges import Ranges

log = logging.getLogger("amqpd.store")

_NAMED: Final = 10  # queues without definition that the log names
_OPEN_MAX: Final = 8_388_608  # bytes of messages that are being gathered for runs
_HEAD_READ_MS: Final = 5  # between the heads of two queues that are read to see whether they are past their time
_PENDING_MAX: Final = 16_777_216  # bytes of pages that are to be written

Key = tuple[bytes, int]  # a queue's identity, and a level


class FoundPage(Protocol):
    """A page that was found on disk."""

    @property
    def identity(self) -> bytes: ...
    @property
    def level(self) -> int: ...
    @property
    def label(self) -> bytes: ...
    @property
    def page(self) -> Page: ...
    @property
    def index(self) -> PageIndex: ...


class Found(Protocol):
    """What was found on disk (`amqpd.store`). `entries` are read one by one; `highest` are indexes."""

    @property
    def clean(self) -> bool: ...
    @property
    def pages(self) -> Sequence[FoundPage]: ...
    @property
    def settled(self) -> dict[Key, Ranges]: ...
    @property
    def forgotten(self) -> set[Key]: ...
    @property
    def marks(self) -> dict[Key, int]: ...
    @property
    def highest(self) -> dict[Key, int]: ...
    @property
    def labels(self) -> dict[Key, bytes]: ...
    def entries(self) -> Iterable[tuple[list[tuple[bytes, int, int]], bytes]]: ...


class Restored:
    """How much came back; `dropped` logs belong to no queue."""

    def __init__(self) -> None:
        self.messages = 0
        self.queues = 0
        self.dropped = 0


class _Level:
    """One level of a queue while its messages are gathered. `open_bytes` are those of the run that is not closed."""

    def __init__(self, ready: ReadyList, settled: Ranges | None) -> None:
        self.ready: Final = ready
        self.settled: Final = settled
        self.pages: Final[list[Page]] = []
        self.homes: Final = Homes()
        self.runs: Final[list[Run]] = []
        self.open_bytes = 0
        self._positions: list[int] = []
        self._messages: list[Message] = []
        self._size = 0

    def pages_known(self) -> None:
        """All pages are there."""
        self.homes.sort()
        for page in self.pages:
            page.kept = True
            self.runs.append(run_of_page(page))

    def has(self, position: int) -> bool:
        """Whether a message is settled, or at home on a page."""
        if self.settled is not None and self.settled.contains(position):
            return True
        return self.homes.has(position)

    def full(self, position: int) -> bool:
        """Whether the message at `position` must not be in the same run as the one before."""
        positions = self._positions
        if not positions:
            return False
        if fills_page(len(positions), self._size):
            return True
        return self.homes.begins_between(positions[-1], position)

    def add(self, position: int, message: Message) -> int:
        """The next message whose home is the journal; returns the bytes it takes."""
        self._positions.append(position)
        self._messages.append(message)
        self._size += len(message.content)
        self.open_bytes += len(message.content) + OVERHEAD
        return len(message.content) + OVERHEAD

    def close(self, paged: bool) -> None:
        """What was added last is a run: on a page, when there is no memory for it."""
        positions, messages = self._positions, self._messages
        if not positions:
            return
        self._positions, self._messages, self._size = [], [], 0
        self.open_bytes = 0
        pager = self.ready.pager
        if paged and pager is not None:
            self.runs.append(run_of_page(pager.write(positions, messages, True)))
        else:
            self.runs.append(run_of_messages(positions, messages))


class Restorer:
    """Does it once, after the definitions were restored and before anybody connects.

    Where no thread works yet, `work_off` does what waits for it. It blocks, and raises StorageError.
    """

    def __init__(
        self, broker: Broker, keeper: Keeper, found: Found, work_off: Callable[[], None] | None = None
    ) -> None:
        self._broker: Final = broker
        self._keeper: Final = keeper
        self._found: Final = found
        self._queues: Final[dict[bytes, ClassicQueue]] = {}
        self._levels: Final[dict[Key, _Level]] = {}
        self._dropped: Final[dict[Key, int]] = {}
        self._work_off: Final = work_off
        self._resident = 0  # bytes of runs in memory
        self._open: dict[_Level, None] = {}
        self._open_bytes = 0
        for vhost in broker.vhosts.values():
            for queue in vhost.queues.values():
                if isinstance(queue, ClassicQueue) and queue.durable:
                    self._queues[queue.identity] = queue

    def run(self) -> Restored:
        """Blocks while it reads the journal. Raises StorageError."""
        self._take_pages()
        self._take_entries()
        self._close_all()
        self._take_numbers()
        restored = Restored()
        logs: list[Log] = []
        touched: dict[ClassicQueue, None] = {}
        for key, level in self._levels.items():
            self._finish(key, level)
            restored.messages += len(level.ready)
            if len(level.ready):
                assert level.ready.log is not None
                logs.append(level.ready.log)
                touched[self._queues[key[0]]] = None
        self._keeper.restored(logs)
        delay_ms = 0
        for queue in touched:
            if queue.head_is_paged():
                delay_ms += _HEAD_READ_MS
                queue.restored(delay_ms)
            else:
                queue.restored(0)
        restored.queues = len(touched)
        restored.dropped = len(self._dropped)
        self._tell(restored)
        return restored

    def _level(self, key: Key) -> _Level | None:
        """The level of a log; None where its queue is not there."""
        level = self._levels.get(key)
        if level is None:
            queue = self._queues.get(key[0])
            if queue is None:
                self._dropped[key] = self._dropped.get(key, 0) + 1
                return None
            level = _Level(queue.level(key[1]), self._found.settled.get(key))
            self._levels[key] = level
        return level

    def _take_pages(self) -> None:
        for found in self._found.pages:
            key = (found.identity, found.level)
            page = found.page
            level = self._level(key)
            settled = self._found.settled.get(key)
            if settled is not None:
                self._settle(page, found.index, settled)
            if level is None or page.live == 0:
                self._keeper.segments.drop(page)
                continue
            page.offset_ms = self._broker.offset_ms
            level.pages.append(page)
            level.homes.add(found.index)
        for level in self._levels.values():
            level.pages_known()

    def _settle(self, page: Page, index: PageIndex, settled: Ranges) -> None:
        """What the journal says is gone of a page."""
        for first, last in settled.spans_between(page.first, page.last):
            self._keeper.segments.settle(page, first, last, _alive(page, index, first, last))

    def _take_entries(self) -> None:
        """What is in the journal and not settled, in its order."""
        broker = self._broker
        decoder = encoding.Decoder(broker.now_ms)
        for targets, stored in self._found.entries():
            message: Message | None = None
            for identity, number, position in targets:
                level = self._level((identity, number))
                if level is None or level.has(position):
                    continue
                if message is None:
                    message = decoder.decode(stored, 0, len(stored), broker.offset_ms)
                if level.full(position):
                    self._close(level)
                self._open[level] = None
                self._open_bytes += level.add(position, message)
                if self._open_bytes > _OPEN_MAX:
                    self._close_all()

    def _close(self, level: _Level) -> None:
        size = level.open_bytes
        paged = self._resident + size > self._broker.limits.message_memory
        level.close(paged)
        self._open_bytes -= size
        if not paged:
            self._resident += size
        elif self._work_off is not None and self._keeper.segments.pending > _PENDING_MAX:
            self._work_off()

    def _close_all(self) -> None:
        for level in self._open:
            self._close(level)
        self._open = {}

    def _take_numbers(self) -> None:
        """A log without messages goes on with its positions, too: what it has settled may still be in the journal."""
        for key in self._found.highest:
            queue = self._queues.get(key[0])
            if queue is not None and key not in self._levels:
                self._levels[key] = _Level(queue.level(key[1]), None)

    def _finish(self, key: Key, level: _Level) -> None:
        level.runs.sort(key=_start)
        following = self._found.highest.get(key, -1) + 1
        redelivered_below = following
        if self._found.clean:
            redelivered_below = min(following, self._found.marks.get(key, 0))
        level.ready.restore(level.runs, following, redelivered_below)
        log_of_level = level.ready.log
        assert log_of_level is not None
        log_of_level.known = True
        for page in level.pages:
            log_of_level.add_page(page)

    def _tell(self, restored: Restored) -> None:
        if not self._found.clean:
            log.warning("the node did not stop in order: what comes back from disk counts as redelivered")
        if restored.messages:
            log.info("restored: %d messages in %d queues", restored.messages, restored.queues)
        named = 0
        for key in self._dropped:
            if key in self._found.forgotten:
                continue
            if named < _NAMED:
                label = self._found.labels.get(key, b"?").decode("utf-8", "replace")
                log.warning("dropped what was stored for %s: there is no such queue any more", label)
            named += 1
        if named > _NAMED:
            log.warning("... and for %d more queues", named - _NAMED)


def _alive(page: Page, index: PageIndex, first: int, last: int) -> int:
    """How many persistent messages, not settled so far, are on a page from position `first` to `last`."""
    settled = page.settled
    if index.consecutive and index.persistent_count == index.count:
        return last - first + 1 - (0 if settled is None else settled.count_between(first, last))
    count = 0
    for place, position in enumerate(index.positions()):
        if first <= position <= last and index.persistent_at(place):
            count += 1 if settled is None or not settled.contains(position) else 0
    return count


def _start(run: Run) -> int:
    return run.start
