"""The messages of a queue that wait to be delivered, in order, each with its position.

A position is the number of the message in the order of its arrival. Messages leave only at the head, so the fresh ones
have consecutive positions and need not store them; those that come back (`put_back`) have smaller positions than any
fresh one and stand in a heap before them. So a requeued message returns to its place, in O(log n), and an ordinary one
costs a list slot.

What waits long need not stay in memory. From the front to the back stand

    returned (heap)    head (list)    runs: pages on disk, or lists    tail (list)

and a page is read when the list before it is used up, the one after it ahead of that. Runs and tail are the `Back`,
which most queues have not: there head and tail are one list. `page_out` makes pages of what is in memory.

What a durable queue must find again after a restart is in its `log`: the list tells it what comes and goes. What the
journal does not have for certain is not written to pages: they could outlive a crash which it did not.

Invariants: positions ascend from the heap's through head, runs and tail. `resident` counts what is in memory. The head
was either read from one page, its `_home`, which is `kept` until the head is used up, or from none. Without a back
there are neither `_positions` nor a home.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from typing import TYPE_CHECKING, Final

from amqpd.broker.message import Message
from amqpd.broker.persistence.paging import Pager, fills_page
from amqpd.broker.queues.runs import Back, Run, run_of_messages, run_of_page, runs_of_messages

if TYPE_CHECKING:
    from amqpd.broker.persistence.log import Log
    from amqpd.broker.ports import Page

OVERHEAD: Final = 200  # bytes that a waiting message costs besides its content

_COMPACT_AT: Final = 1024


class Footprint:
    """What all waiting messages that are in memory take, in bytes."""

    def __init__(self) -> None:
        self.bytes = 0


class ReadyList:
    """One level of `priority`. After `pop`, `position` and `redelivered` tell of the message that was popped.

    `next` is the position of the message that comes next. Whatever is below `redelivered_below` was delivered before.
    `drift` is by how much the bodies that were read from pages differ from what was said of them; `restored_bytes` are
    those of `restore`.
    """

    def __init__(
        self, priority: int, footprint: Footprint, log: Log | None = None, pager: Pager | None = None
    ) -> None:
        self.priority: Final = priority
        self.log: Final = log
        self.pager: Final = pager
        self.next = 0
        self.redelivered_below = 0
        self.resident = 0
        self.drift = 0
        self.restored_bytes = 0
        self.position = -1
        self.redelivered = False
        self._footprint: Final = footprint
        self._count = 0
        self._returned: list[tuple[int, Message]] = []
        self._fresh: list[Message | None] = []
        self._head = 0  # index in _fresh of the oldest
        self._base = 0  # position of _fresh[0], where _positions is None
        self._positions: list[int] | None = None
        self._home: Page | None = None
        self._back: Back | None = None
        self._last: list[Message | None] = self._fresh  # where the next one goes

    def __len__(self) -> int:
        return self._count

    def paged_out_count(self) -> int:
        """How many of them are on disk alone. Takes a step for each page."""
        back = self._back
        return sum([run.count for run in back.runs if run.page is not None]) if back is not None else 0

    # -- messages come

    def append(self, message: Message) -> None:
        """A new message, at the tail."""
        position = self.next
        self.next = position + 1
        self._last.append(message)
        self._count += 1
        size = len(message.content) + OVERHEAD
        self.resident += size
        self._footprint.bytes += size
        if message.persistent:
            log = self.log
            if log is not None:
                log.add(position, message)

    def pass_by(self, message: Message, kept: bool) -> int:
        """The position of a message that is delivered without ever standing here. Only while the list is empty.

        `kept` when it is to be acknowledged.
        """
        position = self.next
        self.next = self._base = position + 1
        if kept and message.persistent:
            log = self.log
            if log is not None:
                log.add(position, message)
                log.lend(position, message)
        return position

    def put_back(self, position: int, message: Message) -> None:
        """A message that was popped, back to its place."""
        heapq.heappush(self._returned, (position, message))
        self._count += 1
        self._account(message, 1)

    def _account(self, message: Message, sign: int) -> None:
        size = sign * (len(message.content) + OVERHEAD)
        self.resident += size
        self._footprint.bytes += size

    # -- messages go

    def peek(self) -> Message:
        """The head. The list is not empty. Blocks where it has to be read from disk."""
        if self._returned:
            return self._returned[0][1]
        if self._head == len(self._fresh):
            self._load()
        message = self._fresh[self._head]
        assert message is not None
        return message

    def pop(self) -> Message:
        """Remove and return the head. The list is not empty. Blocks where it has to be read from disk.

        Who pops says what becomes of it: `lend` or `settle`.
        """
        self._count -= 1
        if self._returned:
            self.position, message = heapq.heappop(self._returned)
            self.redelivered = True
            self._account(message, -1)
            return message
        if self._head == len(self._fresh):
            self._load()
        head = self._head
        fresh = self._fresh[head]
        assert fresh is not None
        self._fresh[head] = None
        positions = self._positions
        position = self._base + head if positions is None else positions[head]
        self.position = position
        self.redelivered = position < self.redelivered_below
        head += 1
        if head == len(self._fresh):
            self._head = head
            self._used_up()
        elif head >= _COMPACT_AT and head * 2 >= len(self._fresh):
            self._cut(head)
        else:
            self._head = head
        size = len(fresh.content) + OVERHEAD
        self.resident -= size
        self._footprint.bytes -= size
        return fresh

    def lend(self, message: Message) -> None:
        """What was popped may come back, or is not settled yet."""
        log = self.log
        if log is not None and message.persistent:
            log.lend(self.position, message)

    def settle(self, position: int, message: Message) -> None:
        """A message that was popped is gone for good."""
        log = self.log
        if log is not None and message.persistent:
            log.settle(position)

    def _cut(self, head: int) -> None:
        """Forget the used part of the head list."""
        del self._fresh[:head]
        if self._positions is not None:
            del self._positions[:head]
        self._base += head
        self._head = 0

    def _used_up(self) -> None:
        """The head list has been delivered."""
        self._head = 0
        self._positions = None
        if self._home is not None:
            self._leave_home()
        back = self._back
        if back is None:
            self._fresh.clear()
            self._base = self.next
        elif back.runs:
            self._fresh.clear()
        else:
            self._take_tail(back)

    def _leave_home(self) -> None:
        """Nothing of the head's page will be read again, unless the first run is the rest of it."""
        home = self._home
        self._home = None
        back = self._back
        if home is not None and self.pager is not None and not (back is not None and back.first_is_on(home)):
            self.pager.forget(home)

    def _take_tail(self, back: Back) -> None:
        self._fresh = back.tail
        self._positions = None
        self._base = back.tail_base
        self._head = 0
        self._back = None

    def _load(self) -> None:
        """Make the first run the head list, and have the next one read ahead. There is one, or a tail."""
        back = self._back
        assert back is not None
        if not back.runs:
            self._take_tail(back)
            return
        run = back.runs.popleft()
        positions, messages = run.positions, run.messages
        if run.page is not None:
            positions, messages = self._read(run, run.page)
        else:
            back.in_memory -= 1
        self._fresh = []
        self._fresh.extend(messages)
        self._positions = positions
        self._head = 0
        if back.runs and back.runs[0].page is not None and self.pager is not None:
            self.pager.fetch(back.runs[0].page)

    def _read(self, run: Run, page: Page) -> tuple[list[int], list[Message]]:
        assert self.pager is not None
        positions, messages = self.pager.read(page, run.start)
        assert len(messages) == run.count, f"{len(messages)} messages on a page that has {run.count}"
        size = 0
        for message in messages:
            self._account(message, 1)
            size += message.size
        self.drift += size - run.size
        self._home = page
        return positions, messages

    # -- memory is short, or a file of the journal is to be freed

    def page_out(self, keep: int, limit: int) -> int:
        """Have about `limit` bytes of what is in memory on pages only. Returns the bytes that were freed.

        The first `keep` bytes of the head stay. Those that came back stay too.
        """
        if self.resident == 0:
            return 0
        before = self.resident
        floor = before - limit
        home = self._home
        if home is None:
            self._cut_head(keep, self.next)
        else:
            self._send_home(keep, home)
        self._write_out(self.next, floor)
        return before - self.resident

    def move_out(self, below: int, limit: int) -> int:
        """The same for what stands below position `below` and is on no page yet."""
        if self.resident == 0:
            return 0
        before = self.resident
        if self._home is None:
            self._cut_head(0, below)
        self._write_out(below, before - limit)
        return before - self.resident

    def _write_out(self, below: int, floor: int) -> None:
        """Write runs in memory and the tail, from the front, as long as more than `floor` is in memory."""
        pager = self.pager
        back = self._back
        if pager is None or back is None:
            return
        if self.log is not None:
            below = min(below, self.log.safe())
        if back.in_memory:
            self._write_runs(pager, back, below, floor)
        if back.tail and self.resident > floor:
            self._write_tail(pager, back, below, floor)

    def _end_of(self, keep: int) -> int:
        """The index in the head list after its first `keep` bytes."""
        at = self._head
        fresh = self._fresh
        kept = 0
        while at < len(fresh) and kept < keep:
            message = fresh[at]
            assert message is not None
            kept += len(message.content) + OVERHEAD
            at += 1
        return at

    def _cut_head(self, keep: int, below: int) -> None:
        """What follows the first `keep` bytes of the head goes to the back, if any of it is below `below`."""
        if self.pager is None:
            return
        at = self._end_of(keep)
        if at == len(self._fresh):
            return
        if self.log is not None:
            below = min(below, self.log.safe())
        back = self._back
        if back is None:
            if self._base + at < below:
                self._back = Back(self._fresh[at:], self._base + at)
                self._last = self._back.tail
                del self._fresh[at:]
            return
        positions = self._positions_from(at)
        if positions[0] < below:
            runs = runs_of_messages(positions, self._take_from(at), below)
            back.in_memory += len(runs)
            back.put_first(runs)

    def _send_home(self, keep: int, home: Page) -> None:
        """What follows the first `keep` bytes of the head need not be in memory: it is on a page."""
        at = self._end_of(keep)
        back = self._back
        if at == len(self._fresh) or back is None:
            return
        positions = self._positions_from(at)
        messages = self._take_from(at)
        size = 0
        persistent = 0
        for message in messages:
            self._account(message, -1)
            size += message.size
            if message.persistent:
                persistent += 1
        if at == self._head:
            self._home = None
        count = len(messages)
        if back.first_is_on(home):
            rest = back.runs.popleft()
            count += rest.count
            persistent += rest.persistent
            size += rest.size
        back.runs.appendleft(Run(home, positions[0], [], [], count, persistent, size))

    def _positions_from(self, at: int) -> list[int]:
        if self._positions is not None:
            return self._positions[at:]
        return list(range(self._base + at, self._base + len(self._fresh)))

    def _take_from(self, at: int) -> list[Message]:
        """Take the messages from index `at` on off the head list."""
        messages = [message for message in self._fresh[at:] if message is not None]
        del self._fresh[at:]
        if self._positions is not None:
            del self._positions[at:]
        return messages

    def _write_runs(self, pager: Pager, back: Back, below: int, floor: int) -> None:
        rest = back.runs
        passed: list[Run] = []
        while rest and back.in_memory and self.resident > floor and rest[0].start < below:
            run = rest.popleft()
            if run.page is None:
                positions, messages = run.positions, run.messages
                count = bisect_left(positions, below)
                if count < len(positions):
                    rest.appendleft(run_of_messages(positions[count:], messages[count:]))
                    positions, messages = positions[:count], messages[:count]
                else:
                    back.in_memory -= 1
                run = self._write_page(pager, positions, messages)
            passed.append(run)
        back.put_first(passed)

    def _write_tail(self, pager: Pager, back: Back, below: int, floor: int) -> None:
        tail = back.tail
        end = min(len(tail), below - back.tail_base)
        start = 0
        while start < end and self.resident > floor:
            messages: list[Message] = []
            size = 0
            stop = start
            while stop < end and not fills_page(stop - start, size):
                message = tail[stop]
                assert message is not None
                messages.append(message)
                size += len(message.content)
                stop += 1
            positions = list(range(back.tail_base + start, back.tail_base + stop))
            back.runs.append(self._write_page(pager, positions, messages))
            start = stop
        if start:
            del tail[:start]
            back.tail_base += start

    def _write_page(self, pager: Pager, positions: list[int], messages: list[Message]) -> Run:
        for message in messages:
            self._account(message, -1)
        return run_of_page(pager.write(positions, messages, True))

    # -- the whole list

    def restore(self, runs: list[Run], following: int, redelivered_below: int) -> None:
        """What was there when the node stopped. Only once, while nothing is here."""
        self.next = following
        self._base = following
        self.redelivered_below = redelivered_below
        if not runs:
            return
        back = Back([], following)
        self._back = back
        self._last = back.tail
        back.runs.extend(runs)
        for run in runs:
            if run.page is None:
                back.in_memory += 1
            self._count += run.count
            self.restored_bytes += run.size
            for message in run.messages:
                self._account(message, 1)

    def head_is_paged(self) -> bool:
        """Whether the message that comes next has to be read from disk."""
        back = self._back
        if back is None or self._returned or self._head < len(self._fresh) or not back.runs:
            return False
        return back.runs[0].page is not None

    def delivered_below(self) -> int:
        """The lowest position from which on nothing was ever delivered."""
        first = self.next
        back = self._back
        if self._head < len(self._fresh):
            first = self._base + self._head if self._positions is None else self._positions[self._head]
        elif back is not None and back.runs:
            first = back.runs[0].start
        elif back is not None and back.tail:
            first = back.tail_base
        return max(first, self.redelivered_below)

    def messages(self) -> list[Message]:
        """All of them that are in memory, in order; for inspection."""
        waiting = [message for _position, message in sorted(self._returned, key=lambda entry: entry[0])]
        for message in self._fresh[self._head :]:
            assert message is not None
            waiting.append(message)
        back = self._back
        if back is not None:
            for run in back.runs:
                waiting += run.messages
            for message in back.tail:
                assert message is not None
                waiting.append(message)
        return waiting

    def clear(self) -> int:
        """Drop everything for good; returns how many there were."""
        count = self._count
        log = self.log
        if log is not None and count and not log.gone:
            self._settle_all(log)
        if self._home is not None:
            self._leave_home()
        if self.pager is not None and self._back is not None:
            for run in self._back.runs:
                if run.page is not None:
                    self.pager.forget(run.page)
        self._footprint.bytes -= self.resident
        self.resident = 0
        self.drift = 0
        self._count = 0
        self._returned.clear()
        self._fresh.clear()
        self._back = None
        self._last = self._fresh
        self._head = 0
        self._positions = None
        self._base = self.next
        return count

    def _settle_all(self, log: Log) -> None:
        for position, message in self._returned:
            if message.persistent:
                log.settle(position)
        at = self._head
        if self._positions is None:
            self._settle_span(log, self._base + at, self._fresh[at:])
        else:
            for position in self._positions_from(at):
                self._settle_fresh(log, position, self._fresh[at])
                at += 1
        back = self._back
        if back is None:
            return
        for run in back.runs:
            if run.page is not None and run.persistent:
                log.settle_page(run.page, run.start, run.persistent)
            for position, message in zip(run.positions, run.messages, strict=True):
                self._settle_fresh(log, position, message)
        self._settle_span(log, back.tail_base, back.tail)

    def _settle_span(self, log: Log, position: int, waiting: list[Message | None]) -> None:
        """The same for messages that follow each other from `position` on, none of which is on a page."""
        first = -1
        for message in waiting:
            if message is not None and message.persistent:
                if first < 0:
                    first = position
            elif first >= 0:
                log.settle_span(first, position - 1)
                first = -1
            position += 1
        if first >= 0:
            log.settle_span(first, position - 1)

    def _settle_fresh(self, log: Log, position: int, message: Message | None) -> None:
        if message is not None and message.persistent:
            log.settle(position)

