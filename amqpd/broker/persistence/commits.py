"""What follows when a batch of the journal is on disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from amqpd.broker.ports import Batch, DeliverySink, Job, Page

if TYPE_CHECKING:
    from amqpd.broker.persistence.keeper import Keeper
    from amqpd.broker.persistence.log import Log


class ConfirmRun:
    """Publishes `first` to `last` of a channel, which wait for the disk."""

    __slots__ = ("first", "last", "sink")

    def __init__(self, sink: DeliverySink, number: int) -> None:
        self.sink: Final = sink
        self.first: Final = number
        self.last = number


class Waiting:
    """Who is to be told once something is on disk. `fences` hold back so many deletions until then."""

    def __init__(self) -> None:
        self.confirms: list[ConfirmRun] = []
        self.callbacks: list[Callable[[], None]] = []
        self.fences = 0

    def __bool__(self) -> bool:
        return bool(self.confirms) or bool(self.callbacks) or self.fences > 0

    def confirm(self, sink: DeliverySink, number: int) -> None:
        """Tell `sink` that its publish `number` is there."""
        runs = self.confirms
        if runs:
            last = runs[len(runs) - 1]
            if last.sink is sink and last.last + 1 == number:
                last.last = number
                return
        runs.append(ConfirmRun(sink, number))

    def tell(self) -> None:
        """It is on disk."""
        for run in self.confirms:
            run.sink.stored(run.first, run.last)
        for callback in self.callbacks:
            callback()


class SettledPage:
    """`count` persistent messages of a page of `log`, from position `first` to `last`, are gone."""

    __slots__ = ("count", "first", "last", "log", "page")

    def __init__(self, log: Log, page: Page, first: int, last: int, count: int) -> None:
        self.log: Final = log
        self.page: Final = page
        self.first: Final = first
        self.last: Final = last
        self.count: Final = count


class Entered:
    """A log got messages, all below position `following`."""

    __slots__ = ("following", "log")

    def __init__(self, log: Log) -> None:
        self.log: Final = log
        self.following: Final = log.following()
        log.entered = False


class Deletion:
    """The deletion of a log's queue, while that is being stored."""

    def __init__(self, keeper: Keeper, log: Log) -> None:
        self._keeper: Final = keeper
        self._log: Final = log

    def stored(self) -> None:
        """Whatever happens from now on, there will be no such queue."""
        self._keeper.forgotten(self._log)


class Commit(Job):
    """A batch, and what follows: who waits for it, what it settles on pages, and pages that nobody needs after it.

    `definitions` is the number of the command whose storage it depends on.
    """

    def __init__(
        self,
        keeper: Keeper,
        batch: Batch,
        waiting: Waiting,
        entered: list[Entered],
        settled: list[SettledPage],
        dropped: list[Page],
        definitions: int,
    ) -> None:
        self.keeper: Final = keeper
        self.batch: Final = batch
        self.waiting: Final = waiting
        self.entered: Final = entered
        self.settled: Final = settled
        self.dropped: Final = dropped
        self.definitions: Final = definitions

    def run(self) -> None:
        self.batch.run()

    def finish(self) -> None:
        self.batch.finish()
        self.keeper.committed(self)
