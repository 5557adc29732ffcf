"""The store's threads: order, one round for all that completed, a full disk, failures, the end."""

import threading

import pytest
import trio
from harness import Flushing

from amqpd.broker.limits import Limits
from amqpd.broker.node import Broker
from amqpd.broker.ports import Catalogue, Job
from amqpd.errors import StorageError, StorageFullError
from amqpd.runtime import workers as module
from amqpd.runtime.bell import Bell
from amqpd.runtime.driver import Driver
from amqpd.runtime.workers import RETRY_S, SOURCE, Workers


class Rounds(Driver):
    """A driver that says how many rounds there were."""

    def __init__(self):
        super().__init__(Broker(Limits(), Catalogue(), bytes, "test"))
        self.rounds = 0

    def end_round(self):
        self.rounds += 1
        super().end_round()


class Step(Job):
    """Notes that it was run and finished. `failures` are raised first, one a run; `always`: one for ever."""

    def __init__(self, play, name, *, failures=(), always=None, gate=None, finish=None):
        self.play = play
        self.name = name
        self.failures = list(failures)
        self.always = always
        self.gate = gate
        self.then = finish
        self.thread = None

    def run(self):
        self.thread = threading.current_thread().name
        self.play.begun.add(self.name)
        if self.gate is not None:
            assert self.gate.wait(10)
        if self.failures:
            raise self.failures.pop(0)
        if self.always is not None:
            raise self.always
        self.play.ran.append(self.name)

    def finish(self):
        assert threading.current_thread() is threading.main_thread()
        self.play.finished.append(self.name)
        self.play.rounds_of[self.name] = self.play.driver.rounds
        if self.then is not None:
            self.then()


class Play:
    """Workers that run, in front of a broker."""

    def __init__(self):
        self.driver = Rounds()
        self.alarms = self.driver.broker.alarms
        self.history = []  # of the disk alarm
        self.alarms.observe(lambda _resource, source, raised: self.history.append((source, raised)))
        self.workers = Workers()
        self.begun = set()
        self.ran, self.finished, self.rounds_of = [], [], {}

    def commit(self, name, **options):
        return self._submit(self.workers.committer, name, options)

    def aside(self, name, **options):
        return self._submit(self.workers.background, name, options)

    def _submit(self, worker, name, options):
        step = Step(self, name, **options)
        worker.submit(step)
        return step

    async def until(self, condition):
        """Threads take a moment that no clock of trio's knows, and one that jumps must not measure."""
        for _ in range(200_000):
            if condition():
                return
            await trio.to_thread.run_sync(lambda: None)
        raise AssertionError("it never came to that")


@pytest.fixture(params=[True, False], ids=["eventfd", "pipe"])
async def play(request, nursery, monkeypatch):
    monkeypatch.setattr(module, "Bell", lambda: Bell(request.param))
    play = Play()
    await nursery.start(play.workers.run, play.driver)
    yield play
    nursery.cancel_scope.cancel()
    assert play.workers.close()


async def test_jobs_of_a_thread_are_run_and_finished_in_their_order(play):
    for number in range(100):
        play.commit(number)
    await play.until(lambda: len(play.finished) == 100)
    assert play.ran == play.finished == list(range(100))


async def test_each_has_its_thread_and_neither_waits_for_the_other(play):
    gate = threading.Event()
    slow = play.aside("slow", gate=gate)
    quick = play.commit("quick")
    await play.until(lambda: play.finished == ["quick"])
    gate.set()
    await play.until(lambda: play.finished == ["quick", "slow"])
    assert (quick.thread, slow.thread) == ("amqpd committer", "amqpd background")


async def test_all_that_completed_is_finished_in_one_round(play):
    for number in range(50):
        play.commit(number)
    # Nothing of trio's runs while this waits.
    waiting = threading.Event()
    while len(play.ran) < 50:
        waiting.wait(0.001)
    await play.until(lambda: len(play.finished) == 50)
    assert set(play.rounds_of.values()) == {0}


async def test_a_job_may_be_submitted_before_the_threads_run():
    play = Play()
    play.commit("early")
    async with trio.open_nursery() as nursery:
        await nursery.start(play.workers.run, play.driver)
        await play.until(lambda: play.finished == ["early"])
        nursery.cancel_scope.cancel()
    assert play.workers.close()


# -- a full disk

FULL = StorageFullError("/data/messages/journal: no space left on device (ENOSPC): make space")


async def test_a_batch_without_room_is_tried_again_and_those_behind_it_wait(play, autojump_clock, caplog):
    began = trio.current_time()
    play.commit("first", failures=[FULL] * 3)
    play.commit("second")
    await play.until(lambda: play.finished == ["first", "second"])
    assert play.ran == ["first", "second"]
    assert trio.current_time() - began >= 3 * RETRY_S
    assert play.history == [(SOURCE, True), (SOURCE, False)]
    assert not play.alarms.active
    assert caplog.messages == [
        f"publishers are blocked until there is room on the disk: {FULL}",
        "there is room on the disk again: publishers go on",
    ]


async def test_other_work_goes_on_behind_a_job_without_room(play, autojump_clock):
    gate = threading.Event()
    play.aside("full", failures=[FULL, FULL])
    play.aside("frees", gate=gate)
    await play.until(lambda: play.history)
    gate.set()
    await play.until(lambda: play.finished == ["frees", "full"])
    assert play.history == [(SOURCE, True), (SOURCE, False)]


async def test_the_alarm_stays_until_both_have_found_room(play, autojump_clock):
    gate = threading.Event()
    play.aside("page", failures=[FULL])
    play.aside("in its way", gate=gate)
    await play.until(lambda: "in its way" in play.begun)
    play.commit("batch", failures=[FULL])
    await play.until(lambda: play.finished == ["batch"])
    assert play.history == [(SOURCE, True)]
    gate.set()
    await play.until(lambda: play.finished == ["batch", "in its way", "page"])
    assert play.history == [(SOURCE, True), (SOURCE, False)]


async def test_the_journals_alarm_is_apart_from_others(play, autojump_clock):
    play.alarms.raise_for("disk", "operator")
    play.commit("batch", failures=[FULL])
    await play.until(lambda: play.finished == ["batch"])
    assert play.history == [("operator", True), (SOURCE, True), (SOURCE, False)]
    assert play.alarms.sources("disk") == ["operator"]


# -- failures


async def failing(prepare):
    """What ends the workers' task, and the play so far."""
    play = Play()
    with pytest.RaisesGroup(StorageError, flatten_subgroups=True) as caught:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(play.driver.run)
            await nursery.start(play.workers.run, play.driver)
            prepare(play)
    error = caught.value
    while isinstance(error, BaseExceptionGroup):
        [error] = error.exceptions
    assert play.workers.close()
    return str(error), play


async def test_an_error_of_the_disk_ends_the_node_and_nothing_more_is_run():
    text = "/data/messages/journal/1.jrn: fdatasync: EIO (input/output error): replace the disk"

    def prepare(play):
        play.commit("before")
        play.commit("broken", failures=[StorageError(text)])
        play.commit("after")
        play.aside("unheard of", gate=broken(play))

    error, play = await failing(prepare)
    assert error == text
    assert play.finished[:1] == ["before"]
    assert "after" not in play.ran
    assert not {"broken", "after"} & set(play.finished)


def broken(play):
    """A gate that opens when the batch has failed."""

    class Gate:
        def wait(self, _seconds):
            while not play.workers.stopped:
                threading.Event().wait(0.001)
            return True

    return Gate()


async def test_after_a_failure_the_other_thread_begins_nothing():
    def prepare(play):
        play.aside("under way", gate=broken(play))
        play.aside("next")
        play.commit("broken", failures=[StorageError("x")])

    _error, play = await failing(prepare)
    assert "next" not in play.begun


@pytest.mark.parametrize("failure", [ValueError("what"), MemoryError()])
async def test_any_other_error_of_a_job_is_ours_and_ends_the_node_too(caplog, failure):
    error, play = await failing(lambda play: play.aside("bug", failures=[failure]))
    assert error.startswith(f"internal error in the message store ({failure!r}): the node stops")
    assert "\n" not in error
    [record] = caplog.records
    assert record.exc_info[1] is failure
    assert play.finished == []


async def test_an_error_in_finish_ends_the_node(caplog):
    def bug():
        raise KeyError("ref")

    def prepare(play):
        play.commit("bug", finish=bug)
        play.commit("after")

    error, play = await failing(prepare)
    assert error.startswith("internal error in the message store (KeyError('ref'))")
    assert play.finished == ["bug"]
    assert play.workers.stopped


async def test_after_a_failure_nobody_is_told_anything():
    flushed = []

    def prepare(play):
        play.driver.broker = Flushing(play.driver.broker, lambda: flushed.append(play.driver.failure))
        play.commit("broken", failures=[StorageError("x")])

    _error, play = await failing(prepare)
    with play.driver.round():
        pass
    assert flushed == []
    assert str(play.driver.failure) == "x"


# -- without trio


async def test_work_is_finished_while_trio_waits(play):
    play.aside("page", finish=lambda: play.aside("caused"))
    play.commit("batch")
    play.workers.work_off(play.driver)
    assert sorted(play.finished) == ["batch", "caused", "page"]
    assert play.driver.rounds == 0
    play.commit("later")
    await play.until(lambda: play.finished[-1] == "later")


async def test_without_room_trio_goes_on_with_it(play, autojump_clock):
    play.aside("page", failures=[FULL, FULL])
    play.workers.work_off(play.driver)
    assert play.finished == []
    await play.until(lambda: play.finished == ["page"])
    assert play.history == [(SOURCE, True), (SOURCE, False)]


async def test_a_failure_is_raised_to_whoever_works_it_off():
    play = Play()
    async with trio.open_nursery() as nursery:
        await nursery.start(play.workers.run, play.driver)
        play.aside("broken", failures=[StorageError("x")])
        with pytest.raises(StorageError):
            play.workers.work_off(play.driver)
        nursery.cancel_scope.cancel()
    assert play.workers.close()


# -- the end


async def test_it_is_drained_with_all_that_jobs_cause(play):
    def more():
        play.aside("caused", finish=lambda: play.commit("last"))

    play.commit("first", finish=more)
    await play.workers.drain(play.driver)
    assert play.finished == ["first", "caused", "last"]
    assert play.workers.committer.waiting == play.workers.background.waiting == 0


async def test_nothing_to_drain(play):
    await play.workers.drain(play.driver)


async def test_a_stopping_node_gives_up_other_work_without_room(play, autojump_clock):
    play.aside("spare", always=FULL)
    play.commit("batch")
    await play.until(lambda: play.history)
    await play.workers.drain(play.driver)
    assert play.finished == ["batch"]


async def test_a_stopping_node_does_not_wait_for_room_for_a_batch(autojump_clock):
    play = Play()
    with pytest.RaisesGroup(StorageFullError, flatten_subgroups=True):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(play.driver.run)
            await nursery.start(play.workers.run, play.driver)
            play.commit("batch", always=FULL)
            await play.until(lambda: play.history)
            await play.workers.drain(play.driver)
    assert play.finished == []
    assert play.workers.close()


async def test_a_stopping_node_does_not_wait_for_ever_for_a_disk_that_hangs(monkeypatch, autojump_clock):
    monkeypatch.setattr(module, "PATIENCE_S", 0.01)
    play = Play()
    gate = threading.Event()
    with pytest.RaisesGroup(pytest.RaisesExc(StorageError, match="has not answered for"), flatten_subgroups=True):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(play.driver.run)
            await nursery.start(play.workers.run, play.driver)
            play.commit("hangs", gate=gate)
            play.commit("next")
            await play.workers.drain(play.driver)
    gate.set()
    assert play.workers.close()
    assert play.begun <= {"hangs"}
    assert play.finished == []


async def test_what_has_not_begun_at_the_end_is_not_run(nursery):
    play = Play()
    gate = threading.Event()
    await nursery.start(play.workers.run, play.driver)
    play.commit("under way", gate=gate)
    play.commit("next")
    await play.until(lambda: "under way" in play.begun)
    nursery.cancel_scope.cancel()
    play.workers.stopped = True
    gate.set()
    assert play.workers.close()
    assert play.begun == {"under way"}


async def test_a_thread_in_which_the_disk_hangs_is_left_behind(nursery, monkeypatch):
    monkeypatch.setattr(module, "JOIN_S", 0.01)
    play = Play()
    gate = threading.Event()
    await nursery.start(play.workers.run, play.driver)
    play.commit("hangs", gate=gate)
    await play.until(lambda: "hangs" in play.begun)
    nursery.cancel_scope.cancel()
    assert not play.workers.close()
    gate.set()
    monkeypatch.undo()
    assert play.workers.close()


def test_workers_that_never_ran_can_be_closed():
    assert Workers().close()
