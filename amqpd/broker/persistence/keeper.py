"""Keeps messages: what the queues of a node have to do with its journal and its pages.

A round's records are gathered and sealed as one batch at its end (`commit`), unless a batch is being written: then they
go with what comes meanwhile. So what one round does reaches the disk as a whole or not at all. When a batch is on disk
those who waited for it are told: publishers get their confirms, transactions their commit-ok.

What is settled on a page is told to the page's file only after the batch that says so is on disk: else a dead letter
could be lost between the queue that let it go and the one that took it. For the same reason nothing goes to a page
before the batch with which it came is on disk: a page would bring back half of a transaction. `moving` has the rule for
the journal's files.

A queue's messages are forgotten after its deletion is stored: else it could come back without them, and with its
identity. And its deletion is stored after everything that happened before it is on disk, dead letters that wait to be
published among it: else they could be lost between the queue that is gone and the one that was to have them. So what
a crash leaves of definitions is never ahead of the journal where messages would vanish by that (`forget`).

Does no file work itself: batches go to one worker, everything else to another (`ports.Worker`).

Invariants: batches complete in the order in which they were sealed. A confirm, and every other answer that promises
something, is given after that, and after the definitions that it depends on are stored.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from amqpd.broker.message import Message
from amqpd.broker.persistence import encoding
from amqpd.broker.persistence.commits import Commit, Deletion, Entered, SettledPage, Waiting
from amqpd.broker.persistence.eviction import Evictor
from amqpd.broker.persistence.log import Log
from amqpd.broker.persistence.moving import Move
from amqpd.broker.persistence.paging import Pager
from amqpd.broker.ports import DeliverySink, Journal, Owner, Page, Pages, Worker
from amqpd.broker.queues.ready import ReadyList
from amqpd.broker.timers import Timer
from amqpd.wire.primitives import as_bytes

if TYPE_CHECKING:
    from amqpd.broker.node import Broker
    from amqpd.broker.queues.contract import Queue

SEAL_AT: Final = 4_194_304  # bytes gathered after which a batch is sealed though another is being written
_TOLD_AT_ONCE: Final = 2000  # pages, in a round
_TIDY_MS: Final = 1000


class KeeperTimer(Timer):
    """Due when there is work left over: the end of the round that it causes goes on with it."""

    def fire(self, now_ms: int) -> None:
        """Nothing more than that."""


class Unused:
    """A page of which nothing is needed."""

    __slots__ = ("page", "pages")

    def __init__(self, pages: Pages, page: Page) -> None:
        self.pages: Final = pages
        self.page: Final = page


class Keeper:
    """`segments` hold the pages of durable queues, `pages` those of others; batches go to `committer`.

    `settling` are the logs that settle something in the batch that is gathered; `waiting` those who wait for it.
    `slow` while publishers outrun the disk.
    """

    def __init__(
        self, broker: Broker, journal: Journal, segments: Pages, pages: Pages, committer: Worker, background: Worker
    ) -> None:
        self.broker: Final = broker
        self.journal: Final = journal
        self.segments: Final = segments
        self.pages: Final = pages
        self.logs: Final[dict[Log, None]] = {}
        self.settling: list[Log] = []
        self.waiting = Waiting()
        self.slow = False
        self.changes = 0  # grows with everything that is to be written, and that somebody may wait for
        self.committed_to = 0  # the last batch that is on disk
        self.pins = 0  # while there are any, no file of the journal is freed
        self._committer: Final = committer
        self._background: Final = background
        self._evictor: Final = Evictor(broker)
        self._timer: Final = KeeperTimer()
        self._refs = 0
        self._message: Message | None = None  # the one whose record is written next
        self._entry_logs: Final[list[Log]] = []
        self._entry_positions: Final[list[int]] = []
        self._entered: list[Log] = []  # what got messages in the batch that is gathered
        self._dropped: list[Page] = []  # of deleted queues, when the batch that is gathered is on disk
        self._settled: Final[deque[SettledPage]] = deque()  # what pages must still be told
        self._unused: Final[deque[Unused]] = deque()  # after that
        self._definitions = 0  # the command with which the youngest queue was defined that has a log
        self._writing: Final[deque[Commit]] = deque()
        self._sealed = 0  # the last batch that was sealed
        self._sealed_bytes = 0  # of batches that are being written
        self._in_file: Final[dict[int, list[Log]]] = {}
        self._move: Move | None = None
        self._slowed: dict[Owner, None] = {}
        self._tidy_ms = 0
        self._stopping = False

    # -- queues

    def level(self, queue: Queue, priority: int) -> ReadyList:
        """A level of a queue: with a log where the queue is durable."""
        label = as_bytes(f"{queue.vhost.name}/{queue.name}")
        broker = self.broker
        if not queue.durable:
            return ReadyList(priority, broker.footprint, None, Pager(self, self.pages, None, label))
        self._refs += 1
        log = Log(self, queue, priority, label, self._refs)
        pager = Pager(self, self.segments, log, label)
        ready = ReadyList(priority, broker.footprint, log, pager)
        log.attach(ready, pager)
        self.logs[log] = None
        return ready

    def forget(self, log: Log) -> None:
        """The queue is deleted, which is recorded already: nothing of it is needed when that is stored, and it is not
        stored before all that happened so far is on disk."""
        self._write_entry()
        log.close()
        del self.logs[log]
        if log.known:
            catalogue = self.broker.catalogue
            if catalogue.fence():
                self.broker.after_letters(self._fenced)
            deletion = Deletion(self, log)
            if catalogue.settle(deletion.stored):
                deletion.stored()

    def _fenced(self) -> None:
        """Everything that came before a deletion is gathered, or further than that."""
        self.waiting.fences += 1

    def forgotten(self, log: Log) -> None:
        """The deletion of a log's queue is stored."""
        log.forgotten = True
        self._announce(log, log.following())
        self.journal.forget(log.ref)
        self._dropped += log.pages

    def drop(self, pages: Pages, page: Page) -> None:
        """Nobody needs a page any more."""
        self._unused.append(Unused(pages, page))

    # -- messages come

    def entry(self, log: Log, position: int, message: Message) -> None:
        """A message came to a log. Calls for the same message follow each other."""
        if message is not self._message:
            self._write_entry()
            self._message = message
        self._entry_logs.append(log)
        self._entry_positions.append(position)
        if not log.entered:
            log.enter(position)
            self._entered.append(log)
        self.changes += 1

    def confirm(self, sink: DeliverySink, number: int) -> None:
        """Tell `sink` that its publish `number` is there, when everything up to now is on disk."""
        self.waiting.confirm(sink, number)

    def when_stored(self, callback: Callable[[], None]) -> None:
        """Call `callback`, within a round, when everything up to now is on disk."""
        self.waiting.callbacks.append(callback)

    def _write_entry(self) -> None:
        """The record of the message that came last, now that all logs that have it are known."""
        message = self._message
        if message is None:
            return
        self._message = None
        logs = self._entry_logs
        positions = self._entry_positions
        annotations = encoding.annotations_of(message) if message.annotations is not None else b""
        size = encoding.size_of(message, annotations)
        journal = self.journal
        self._announce(logs[0], positions[0])
        if len(logs) == 1:
            journal.entry(logs[0].ref, positions[0], 0, size)
        else:
            for at, log in enumerate(logs):
                self._announce(log, positions[at])
            journal.entry_in_many([log.ref for log in logs], positions, 0, size)
        encoding.write(journal.out, message, annotations, self.broker.offset_ms)
        logs.clear()
        positions.clear()

    def _announce(self, log: Log, position: int) -> None:
        """Have the file of the next record say which log it is. What comes from `position` on is not in older files."""
        journal = self.journal
        if journal.records == 0:
            journal.begin()
        file = journal.file
        if log.announced == file:
            return
        if log.announced == 0:
            self._definitions = self.broker.catalogue.recorded
        log.began(file, position)
        journal.group(log.ref, log.identity, log.level, log.label)
        logs = self._in_file.get(file)
        if logs is None:
            logs = []
            self._in_file[file] = logs
        logs.append(log)

    # -- the end of a round

    def commit(self) -> None:
        """End a round: what it has gathered goes to the disk, and what is too much in memory too."""
        if self._evictor.due() and self._evictor.step():
            self._soon()
        if self._message is not None:
            self._write_entry()
        if not self._writing or len(self.journal.out) >= SEAL_AT:
            if self.journal.records or self.settling or self._stopping:
                self._seal()
            if not self._writing and self.waiting:
                waiting = self.waiting
                self.waiting = Waiting()
                self._tell(waiting, self._definitions)
        if self._settled or self._unused:
            self._tell_pages()
        self._tend_files()
        unsynced = self.unsynced()
        if self.slow:
            if unsynced * 2 <= self.broker.limits.unsynced_max:
                self._go_on()
        elif unsynced > self.broker.limits.unsynced_max:
            self.slow = True

    def _soon(self) -> None:
        self.broker.timers.schedule(self._timer, self.broker.now_ms)

    def _seal(self) -> None:
        logs = self.settling
        self.settling = []
        settled: list[SettledPage] = []
        for log in logs:
            self._announce(log, log.following())
            self.journal.settle(log.ref, log.take_settled(settled))
        if self._stopping:
            self._write_stop()
        batch = self.journal.seal()
        if batch is None:
            return
        entered = [Entered(log) for log in self._entered]
        commit = Commit(self, batch, self.waiting, entered, settled, self._dropped, self._definitions)
        self.waiting = Waiting()
        self._entered = []
        self._dropped = []
        self._sealed = batch.sequence
        self._sealed_bytes += batch.size
        self._writing.append(commit)
        self._committer.submit(commit)
        job = self.journal.prepare()
        if job is not None:
            self._background.submit(job)

    def _write_stop(self) -> None:
        self._stopping = False
        for log in self.logs:
            if log.live():
                self._announce(log, log.following())
                self.journal.mark(log.ref, log.ready.delivered_below())
        if self.journal.records == 0:
            self.journal.begin()
        self.journal.stop()

    def cut(self, committed: Callable[[], None]) -> None:
        """Have everything up to now in batches that are sealed; `committed` when they are on disk."""
        self.when_stored(committed)
        self._write_entry()
        if self.journal.records or self.settling:
            self._seal()

    def gathered(self) -> int:
        """The batch in which everything will be that has happened so far."""
        if self._message is not None or self.journal.records or self.settling:
            return self._sealed + 1
        return self._sealed

    # -- batches are on disk

    def committed(self, commit: Commit) -> None:
        """A batch is on disk."""
        assert self._writing[0] is commit
        self._writing.popleft()
        self._sealed_bytes -= commit.batch.size
        self.committed_to = commit.batch.sequence
        for entered in commit.entered:
            entered.log.committed(entered.following)
        self._settled.extend(commit.settled)
        for page in commit.dropped:
            self.drop(self.segments, page)
        self._tell(commit.waiting, commit.definitions)

    def _tell(self, waiting: Waiting, definitions: int) -> None:
        """Tell those who waited, or have them wait for the definitions on which it depends."""
        catalogue = self.broker.catalogue
        for _ in range(waiting.fences):
            catalogue.lift()  # which may be what these definitions wait for
        waiting.fences = 0
        if waiting and definitions > catalogue.stored:
            catalogue.needed = definitions
            if not catalogue.settle(waiting.tell):
                return
        waiting.tell()

    def _tell_pages(self) -> None:
        """Tell pages what is gone of them. A queue with millions of messages may have gone: a part in each round."""
        for _ in range(_TOLD_AT_ONCE):
            if self._settled:
                run = self._settled.popleft()
                page = run.page
                self.segments.settle(page, run.first, run.last, run.count)
                if page.live == 0 and not page.kept:
                    run.log.remove_page(page)
                    self.segments.drop(page)
            elif self._unused:
                unused = self._unused.popleft()
                unused.pages.drop(unused.page)
            else:
                return
        self._soon()

    def told(self) -> bool:
        """Whether pages have been told everything that batches on disk say."""
        return not self._settled and not self._unused

    # -- files

    def _tend_files(self) -> None:
        """Free the journal's oldest file where it is time; win back space on pages now and then."""
        move = self._move
        if move is not None:
            if move.advance():
                self._soon()
            if move.done and self.pins == 0:
                self._background.submit(self.journal.free(move.file))
                self._move = move = None
        if move is None and self.journal.surplus():
            file = self.journal.oldest()
            self._move = Move(self, file, self._in_file.pop(file, []), self._sealed)
            self._soon()
        if self.broker.now_ms >= self._tidy_ms:
            self._tidy_ms = self.broker.now_ms + _TIDY_MS
            self.segments.tidy()
            self.pages.tidy()

    # -- back-pressure

    def unsynced(self) -> int:
        """Bytes that are to be written, and are not yet."""
        return len(self.journal.out) + self._sealed_bytes + self.segments.pending + self.pages.pending

    def slow_down(self, owner: Owner) -> None:
        """`owner` publishes while the disk cannot keep up: it is told when it can go on (`Owner.disk_caught_up`)."""
        self._slowed[owner] = None

    def left(self, owner: Owner) -> None:
        """`owner` is gone, and waits for nothing: on a full disk that may be for long."""
        self._slowed.pop(owner, None)

    def _go_on(self) -> None:
        self.slow = False
        slowed = self._slowed
        self._slowed = {}
        for owner in slowed:
            owner.disk_caught_up()

    # -- start and end

    def restored(self, logs: list[Log]) -> None:
        """These logs have messages from an earlier life: in the oldest file of the journal, as far as it matters."""
        self._in_file[self.journal.oldest()] = logs

    def stop(self) -> None:
        """The node stops in order: the batch of this round is the last one, and says what was delivered before."""
        self._stopping = True
