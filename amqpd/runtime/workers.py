"""The message store's two threads, and the way back from them to trio.

    broker (in a round) --submit--> SimpleQueue --> thread: job.run() --> done --bell--> task: job.finish(), in a round

One thread runs nothing but the journal's batches, so that no confirm waits behind other work of the disk; the other
runs everything else. Each runs one job at a time, in the order of submission. All that completed by the time the task
wakes is finished within one round. Why threads and a bell of our own and not trio's: half the cost of a commit.

A job that finds no room is tried again each second, with the disk alarm raised meanwhile. The batches behind it wait;
other work goes on, because it may be what makes room. Any other failure, also one in `finish`, ends the node
(`Driver.fail`), and nothing more is begun by either thread.

Invariants: `finish` is called once for each job that was run, in the order of a thread's jobs but for those that found
no room, in trio's thread; nothing is finished that comes after a failure.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final, NamedTuple

import trio

from amqpd.broker.alarms import DISK, Alarms
from amqpd.broker.ports import Job, Worker
from amqpd.errors import StorageError, StorageFullError
from amqpd.runtime.bell import Bell
from amqpd.runtime.driver import Driver

log = logging.getLogger("amqpd.store")

RETRY_S: Final = 1.0
PATIENCE_S: Final = 60.0  # how long a node that stops waits for a disk on which nothing comes to its end
_LOOK_S: Final = 1.0
JOIN_S: Final = 10.0  # how long a node that ends for a failure waits for a thread in which the disk does not answer
SOURCE: Final = "journal"


class JobThread(Worker):
    """One thread with its queue; `in_order` also where a job finds no room.

    `waiting` is how many jobs are not finished; `without_room` are those of them that are to be tried again.
    """

    def __init__(self, name: str, workers: Workers, *, in_order: bool) -> None:
        self.name: Final = name
        self.waiting = 0
        self.without_room: Final[set[Job]] = set()
        self.in_order: Final = in_order
        self._workers: Final = workers
        self._jobs: Final[SimpleQueue[Job | None]] = SimpleQueue()
        self._again: Final[SimpleQueue[Job | None]] = SimpleQueue()
        self._thread: Thread | None = None

    def submit(self, job: Job) -> None:
        """Have `job` run. In trio's thread, or before there is one."""
        self.waiting += 1
        self._jobs.put(job)

    def try_again(self, job: Job) -> None:
        """Have a job run once more that found no room."""
        (self._again if self.in_order else self._jobs).put(job)

    def start(self) -> None:
        """Begin to run jobs."""
        # A thread in which the disk does not answer must not keep the process from ending.
        self._thread = Thread(target=self._work, name=f"amqpd {self.name}", daemon=True)
        self._thread.start()

    def close(self, patience_s: float | None) -> bool:
        """Have the thread end, wait for it so long, and say whether it has ended."""
        self._jobs.put(None)
        self._again.put(None)
        if self._thread is None:
            return True
        self._thread.join(patience_s)
        return not self._thread.is_alive()

    def _work(self) -> None:
        source = self._jobs
        while (job := source.get()) is not None and not self._workers.stopped:
            failure = _failure_of(job)
            full = isinstance(failure, StorageFullError)
            if failure is not None and not full:
                self._workers.stopped = True  # before anybody hears of it: the other thread must not begin anything
            self._workers.completed(Completion(self, job, failure))
            source = self._again if full and self.in_order else self._jobs


class Completion(NamedTuple):
    """A job was run by `worker`; or was not, and why."""

    worker: JobThread
    job: Job
    failure: BaseException | None


def disk_hangs(lost: str) -> StorageError:
    """The end of a node that stops and whose disk does not; `lost` says what is not kept."""
    return StorageError(
        f"the disk has not answered for {PATIENCE_S:.0f} seconds, and the node was told to stop: "
        f"it ends now, and {lost}"
    )


def _failure_of(job: Job) -> BaseException | None:
    try:
        job.run()
    except BaseException as error:  # whatever it is: a thread that just ended would leave everybody waiting
        return error
    return None


class Workers:
    """Both threads. Made anywhere; `run` is the task that starts them, `close` ends them."""

    def __init__(self) -> None:
        self.committer: Final = JobThread("committer", self, in_order=True)
        self.background: Final = JobThread("background", self, in_order=False)
        self.stopped = False  # nothing more is begun; set from any thread
        self.on_room: Callable[[], None] = _nothing  # called when the disk was full and is so no more
        self._done: Final[SimpleQueue[Completion]] = SimpleQueue()
        self._bell: Final = Bell()
        self._closing = False
        self._alarmed = False
        self._finished = trio.Event()

    @property
    def without_room(self) -> bool:
        """Whether something waits for room on the disk."""
        return bool(self.committer.without_room or self.background.without_room)

    def completed(self, completion: Completion) -> None:
        """A job was run, or failed. Called in the threads."""
        self._done.put(completion)
        self._bell.ring()

    async def run(self, driver: Driver, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Start the threads, and finish what they have run, until cancelled."""
        self.committer.start()
        self.background.start()
        async with trio.open_nursery() as nursery:
            task_status.started()
            while True:
                await self._bell.wait()
                for completion in self._finish(driver):
                    nursery.start_soon(self._retry, completion)

    def work_off(self, driver: Driver) -> None:
        """Finish all that was submitted, without trio, within the caller's round: whoever restores messages must not
        keep in memory what only waits to be written. Where there is no room on the disk `run` goes on with it.

        Blocks. Raises StorageError, after which the node ends.
        """
        while self.committer.waiting or self.background.waiting:
            completion = self._done.get()
            if isinstance(completion.failure, StorageFullError):
                self.completed(completion)
                return
            self._conclude(completion, driver)
            if driver.failure is not None:
                raise driver.failure

    async def drain(self, driver: Driver) -> None:
        """Wait until everything that was submitted, and what that caused, is finished; or, where the disk failed, for
        the end that this brings. `run` must run.

        From now on nobody waits for room on the disk: a batch that finds none is a failure, other work is given up. And
        when nothing has come to its end for PATIENCE_S the disk is taken for one that hangs, which is a failure too.
        """
        self._closing = True
        progress_s = time.monotonic()  # of the threads: trio's clock may be one that jumps
        while self.committer.waiting or self.background.waiting or driver.failure is not None:
            self._finished = trio.Event()
            with trio.move_on_after(_LOOK_S) as look:
                await self._finished.wait()
            if not look.cancelled_caught:
                progress_s = time.monotonic()
            elif time.monotonic() - progress_s > PATIENCE_S and driver.failure is None:
                self.stopped = True
                driver.fail(disk_hangs("what was not confirmed is not kept"))

    def close(self) -> bool:
        """End the threads; what has not begun by now is not run. Blocks while something is under way.

        False where that does not end: then its files must be left alone.
        """
        self.stopped = True
        ended = [worker.close(JOIN_S) for worker in (self.committer, self.background)]
        if all(ended):
            self._bell.close()
        return all(ended)

    def _finish(self, driver: Driver) -> list[Completion]:
        """Finish what has completed, within one round. Returns what is to be tried again."""
        again: list[Completion] = []
        with driver.round() as broker:
            while driver.failure is None:
                try:
                    completion = self._done.get_nowait()
                except Empty:
                    break
                if isinstance(completion.failure, StorageFullError) and not self._closing:
                    self._found_no_room(completion.worker, completion.job, completion.failure)
                    again.append(completion)
                else:
                    self._conclude(completion, driver)
            if driver.failure is not None:
                return []
            if self.without_room != self._alarmed:
                self._alarmed = not self._alarmed
                self._tell(broker.alarms)
        self._finished.set()
        return again

    def _tell(self, alarms: Alarms) -> None:
        if self._alarmed:
            alarms.raise_for(DISK, SOURCE)
        else:
            alarms.clear_for(DISK, SOURCE)
            log.warning("there is room on the disk again: publishers go on")
            self.on_room()

    def _found_no_room(self, worker: JobThread, job: Job, reason: StorageFullError) -> None:
        if not self.without_room:
            log.error("publishers are blocked until there is room on the disk: %s", reason)
        worker.without_room.add(job)
        job.found_no_room()

    def _conclude(self, completion: Completion, driver: Driver) -> None:
        """A job came to its end."""
        worker, job, reason = completion
        worker.without_room.discard(job)
        if reason is None:
            try:
                job.finish()
            except Exception as error:  # a bug, after which the broker may not agree with the disk
                reason = error
        elif isinstance(reason, StorageFullError) and not worker.in_order:
            reason = None  # the node stops, and what this would have made easier can be done after its start
        if reason is not None:
            self.stopped = True
            driver.fail(_fatal(reason))
        worker.waiting -= 1

    async def _retry(self, completion: Completion) -> None:
        await trio.sleep(RETRY_S)
        completion.worker.try_again(completion.job)


def _nothing() -> None:
    pass


def _fatal(reason: BaseException) -> StorageError:
    if isinstance(reason, StorageError):
        return reason
    log.error("internal error in the message store", exc_info=reason)
    return StorageError(
        f"internal error in the message store ({reason!r}): the node stops, so that nothing is confirmed that is not "
        "on disk; start it again, and report this with the log"
    )
