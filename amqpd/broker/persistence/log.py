"""One durable queue's messages on disk, or more exactly those of one of its levels: a log with one replica.

What comes is written to the journal by `add`; `settle` says what is gone for good. In between a message's *home* is
the journal's file in which it came, until the keeper moves it to a page because that file is to be used again.

`lent` are the persistent messages that have left the ready list and are not settled: delivered, come back, or on their
way as dead letters. Together with the ready list's they are all that may have to be moved.

Invariants: positions ascend over the files of the journal. Pages of a log do not overlap. What is on a page came in a
batch that is on disk (`safe`).
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final

from amqpd.broker.message import Message
from amqpd.broker.persistence.commits import SettledPage
from amqpd.broker.persistence.paging import fills_page

if TYPE_CHECKING:
    from amqpd.broker.persistence.keeper import Keeper
    from amqpd.broker.persistence.paging import Pager
    from amqpd.broker.ports import Page
    from amqpd.broker.queues.contract import Queue
    from amqpd.broker.queues.ready import ReadyList

MOVED_AT_ONCE: Final = 2_097_152  # bytes of messages
MESSAGE_COST: Final = 200  # bytes, so that small messages count too


class Settled:
    """What of a log the batch that is gathered says is gone.

    Single `positions`; `spans` of them that stand on no page, as first, last, first, last; `runs` that stand on one.
    """

    __slots__ = ("positions", "runs", "spans")

    def __init__(self) -> None:
        self.positions: Final[list[int]] = []
        self.spans: Final[list[int]] = []
        self.runs: Final[list[SettledPage]] = []

    def keep_off(self, page: Page) -> None:
        """A page comes, and what is gone already among its messages is not on it. Without gaps there is none."""
        if page.count == page.last - page.first + 1:
            return
        gone = [position for position in self.positions if page.first <= position <= page.last]
        if gone:
            self.positions[:] = [position for position in self.positions if not page.first <= position <= page.last]
            gone.sort()
            for position in gone:
                _append(self.spans, position, position)


class Log:
    """The log of `level` of a queue; `ref` is its number in the journal's records.

    `announced` is the last file of the journal that says which log it is; `known` whether anything on disk is its;
    `gone` when its queue is deleted, and `forgotten` when that is stored: until then it is told what is settled.
    `entered` whether the batch that is gathered has messages for it; `uncommitted` how many batches have some that are
    not on disk.
    """

    def __init__(self, keeper: Keeper, queue: Queue, level: int, label: bytes, ref: int) -> None:
        self.keeper: Final = keeper
        self.level: Final = level
        self.label: Final = label
        self.ref: Final = ref
        self.announced = 0
        self.entered = False
        self.uncommitted = 0
        self.known = False
        self._committed = 0  # below this position everything is on disk, while something is uncommitted
        self.gone = False
        self.forgotten = False
        self.pages: list[Page] = []
        self._firsts: list[int] = []  # of the pages
        self._settled: Settled | None = None
        self._lent: dict[int, Message] = {}
        self._marks: list[tuple[int, int]] = []  # file of the journal, position from which on it has them
        self._moving: list[int] = []  # positions that were lent when the move began, the last one first
        self._queue: Queue | None = queue
        self._identity = b""  # of its queue, and the position of what would come next, when it is deleted
        self._following = 0
        self._ready: ReadyList | None = None
        self._pager: Pager | None = None

    def attach(self, ready: ReadyList, pager: Pager) -> None:
        """The list whose log this is."""
        self._ready = ready
        self._pager = pager

    @property
    def ready(self) -> ReadyList:
        """The list whose log this is."""
        assert self._ready is not None
        return self._ready

    @property
    def identity(self) -> bytes:
        """Its queue's."""
        return self._queue.identity if self._queue is not None else self._identity

    def following(self) -> int:
        """The position of what comes next, or would have, had its queue not been deleted."""
        return self._ready.next if self._ready is not None else self._following

    # -- messages come and go

    def add(self, position: int, message: Message) -> None:
        """A message came."""
        self.keeper.entry(self, position, message)

    def lend(self, position: int, message: Message) -> None:
        """A message has left the ready list, and is not settled."""
        self._lent[position] = message

    def settle(self, position: int) -> None:
        """A message is gone for good."""
        if self.forgotten:
            return
        self._lent.pop(position, None)
        self._settling().positions.append(position)

    def settle_span(self, first: int, last: int) -> None:
        """Messages are gone for good that were never lent, and that are on no page."""
        if self.forgotten:
            return
        _append(self._settling().spans, first, last)

    def settle_page(self, page: Page, first: int, count: int) -> None:
        """All of a page from position `first` on is gone for good, which are `count` persistent messages."""
        if self.forgotten:
            return
        self._settling().runs.append(SettledPage(self, page, first, page.last, count))

    def _settling(self) -> Settled:
        """The batch that is gathered says that something of this log is gone."""
        self.keeper.changes += 1
        settled = self._settled
        if settled is None:
            settled = Settled()
            self._settled = settled
            self.keeper.settling.append(self)
        return settled

    def take_settled(self, settled: list[SettledPage]) -> list[int]:
        """What was settled since the last call, which is something: first and last positions of runs.

        What of it stands on pages is appended to `settled`.
        """
        gathered = self._settled
        assert gathered is not None
        self._settled = None
        positions = gathered.positions
        ranges = gathered.spans
        positions.sort()
        at = 0
        while at < len(positions):
            start = at
            page = self.page_of(positions[start]) if self.pages else None
            at += 1
            while at < len(positions) and positions[at] == positions[at - 1] + 1:
                if self.pages and self.page_of(positions[at]) is not page:
                    break
                at += 1
            first, last = positions[start], positions[at - 1]
            _append(ranges, first, last)
            if page is not None:
                settled.append(SettledPage(self, page, first, last, at - start))
        for run in gathered.runs:
            _append(ranges, run.first, run.last)
            settled.append(run)
        return ranges

    def enter(self, position: int) -> None:
        """The batch that is gathered gets its first message of this log."""
        if self.uncommitted == 0:
            self._committed = position
        self.uncommitted += 1
        self.entered = True

    def committed(self, following: int) -> None:
        """A batch is on disk that has what was below position `following`, and was not on disk yet."""
        self._committed = following
        self.uncommitted -= 1

    def safe(self) -> int:
        """The position below which everything that has to be on disk is there."""
        return self._committed if self.uncommitted else self.following()

    def live(self) -> bool:
        """Whether it has anything that a restart must find."""
        return bool(self._lent) or len(self.ready) > 0

    def leaving(self) -> bool:
        """Whether its queue is deleted, and that is not stored yet."""
        return self.gone and not self.forgotten

    # -- homes

    def began(self, file: int, position: int) -> None:
        """From `position` on the log's entries are in that file of the journal, or in later ones."""
        self.announced = file
        self.known = True
        self._marks.append((file, position))

    def add_page(self, page: Page) -> None:
        """A page is the home of what is on it: while a batch is written, more can be gathered as gone than it says."""
        if self._settled is not None:
            self._settled.keep_off(page)
        at = bisect_right(self._firsts, page.first)
        self._firsts.insert(at, page.first)
        self.pages.insert(at, page)

    def remove_page(self, page: Page) -> None:
        """Nothing of a page is left."""
        at = bisect_right(self._firsts, page.last) - 1  # compaction may have moved its beginning
        if at >= 0 and self.pages[at] is page:
            del self.pages[at]
            del self._firsts[at]

    def page_of(self, position: int) -> Page | None:
        """The page on which a message is, None where its home is the journal."""
        at = bisect_right(self._firsts, position) - 1
        if at < 0:
            return None
        page = self.pages[at]
        return page if position <= page.last else None

    def page_between(self, low: int, high: int) -> bool:
        """Whether a page begins between two positions."""
        return bisect_right(self._firsts, low) != bisect_right(self._firsts, high)

    # -- a file of the journal is to be freed

    def begin_move(self, file: int) -> int:
        """Begin to move what has its home in `file` and before; returns the position below which that is."""
        marks = self._marks
        while marks and marks[0][0] <= file:
            del marks[0]
        return marks[0][1] if marks else self.following()

    def move_ready(self, below: int) -> int:
        """Move some of what waits in memory to pages. Returns the bytes; 0 when nothing is left to move."""
        return self.ready.move_out(below, MOVED_AT_ONCE)

    def begin_move_lent(self, below: int) -> None:
        """After what waits, what is lent. What is lent from now on has been moved, or came later."""
        self._moving = [position for position in self._lent if position < below and self.page_of(position) is None]
        self._moving.sort(reverse=True)

    def move_lent(self) -> int:
        """Move some of it to pages. Returns the bytes; 0 when nothing is left to move."""
        assert self._pager is not None
        positions: list[int] = []
        messages: list[Message] = []
        size = 0  # of what is gathered for a page
        moved = 0
        moving = self._moving
        while moving and moved < MOVED_AT_ONCE:
            position = moving.pop()
            message = self._lent.get(position)
            if message is None:
                continue
            if positions and (self.page_between(positions[-1], position) or fills_page(len(positions), size)):
                self._pager.write(positions, messages, False)
                positions, messages, size = [], [], 0
            positions.append(position)
            messages.append(message)
            size += len(message.content)
            moved += len(message.content) + MESSAGE_COST
        if positions:
            self._pager.write(positions, messages, False)
        return moved

    # -- the end

    def close(self) -> None:
        """The queue is deleted: let go of it, so that it is freed without the garbage collector."""
        self.gone = True
        self._lent.clear()
        self._moving.clear()
        self._identity = self.identity
        self._following = self.following()
        self._queue = None
        self._ready = None
        self._pager = None


def _append(ranges: list[int], first: int, last: int) -> None:
    """Append a range, or make the last one longer."""
    if ranges and ranges[-1] + 1 == first:
        ranges[-1] = last
    else:
        ranges.append(first)
        ranges.append(last)
