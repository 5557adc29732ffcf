"""What is slow runs beside the broker, its results come back in rounds, and there is a limit to how much waits."""

import threading
from queue import Full

import pytest
import trio

from amqpd.broker.limits import Limits
from amqpd.broker.node import Broker
from amqpd.broker.ports import Catalogue
from amqpd.runtime import offload as module
from amqpd.runtime.driver import Driver
from amqpd.runtime.offload import Offload


class Rounds(Driver):
    """A driver that counts its rounds."""

    def __init__(self):
        super().__init__(Broker(Limits(), Catalogue(), bytes, "test"))
        self.ended = 0

    def end_round(self):
        super().end_round()
        self.ended += 1


class Results:
    """What came back, and in which round. `wait` for so many."""

    def __init__(self, driver):
        self.driver = driver
        self.all = []
        self.rounds = []
        self.came = trio.Event()

    def add(self, result):
        self.all.append(result)
        self.rounds.append(self.driver.ended)
        self.came.set()

    async def wait(self, count):
        while len(self.all) < count:
            self.came = trio.Event()
            await self.came.wait()
        return self.all


@pytest.fixture
async def driver():
    return Rounds()


@pytest.fixture
async def offload(driver, nursery):
    offload = Offload()
    await nursery.start(offload.run, driver)
    return offload


@pytest.fixture
async def results(driver):
    return Results(driver)


async def test_a_function_runs_in_another_thread_and_its_result_comes_in_a_round(offload, driver, results):
    offload.thread(threading.get_ident, results.add)
    assert results.all == []
    (ident,) = await results.wait(1)
    assert ident != threading.get_ident()
    assert results.rounds == [0]
    assert driver.ended == 1


async def test_the_broker_knows_the_time_when_a_result_comes(offload, driver, results, autojump_clock):
    async def work():
        await trio.sleep(4)

    before = driver.broker.now_ms
    offload.call(work, 5000, lambda result: results.add(driver.broker.now_ms))
    (then,) = await results.wait(1)
    assert then == before + 4000


async def test_errors_are_results(offload, results):
    async def fail():
        raise LookupError("no")

    def fail_too():
        raise LookupError("no")

    offload.call(fail, 1000, results.add)
    offload.thread(fail_too, results.add)
    assert [type(result) for result in await results.wait(2)] == [LookupError, LookupError]


async def test_what_does_not_end_in_time_is_cancelled(offload, results, autojump_clock):
    ended = []

    async def work():
        try:
            await trio.sleep_forever()
        finally:
            ended.append(trio.current_time())

    start = trio.current_time()
    offload.call(work, 5000, results.add)
    (result,) = await results.wait(1)
    assert isinstance(result, TimeoutError)
    assert ended == [start + 5]


async def test_waiting_for_a_turn_counts_as_time(offload, results, autojump_clock):
    for _ in range(module.CALLS + 1):
        offload.call(trio.sleep_forever, 5000, results.add)
    start = trio.current_time()
    answers = await results.wait(module.CALLS + 1)
    assert all(isinstance(answer, TimeoutError) for answer in answers)
    assert trio.current_time() == start + 5


async def test_so_many_run_at_once(offload, results, autojump_clock):
    running = most = 0

    async def work():
        nonlocal running, most
        running += 1
        most = max(most, running)
        await trio.sleep(1)
        running -= 1

    for _ in range(2 * module.CALLS):
        offload.call(work, 10_000, results.add)
    await results.wait(2 * module.CALLS)
    assert most == module.CALLS


async def test_so_many_threads_and_no_more(offload, results):
    running, most, lock = 0, 0, threading.Lock()
    together = threading.Barrier(module.THREADS)  # passed when so many are there

    def work():
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait()
        with lock:
            running -= 1

    for _ in range(3 * module.THREADS):
        offload.thread(work, results.add)
    assert await results.wait(3 * module.THREADS) == [None] * 3 * module.THREADS
    assert most == module.THREADS


async def test_one_too_many_is_told_so_later_and_the_next_one_runs_again(offload, results, monkeypatch):
    gate = trio.Event()
    most = module.CALLS + module.CALLS_WAITING
    offload._calls.count = most - 1
    offload.call(gate.wait, 1000, results.add)
    offload.call(gate.wait, 1000, results.add)
    assert results.all == []
    await results.wait(1)
    assert isinstance(results.all[0], Full)
    gate.set()
    await results.wait(2)
    assert results.all[1] is None
    offload.call(gate.wait, 1000, results.add)
    assert (await results.wait(3))[2] is None
    assert offload._calls.count == most - 1


async def test_threads_have_a_limit_of_their_own(offload, results):
    offload._threads.count = module.THREADS + module.THREADS_WAITING
    offload.thread(threading.get_ident, results.add)
    assert isinstance((await results.wait(1))[0], Full)
    offload.call(trio.lowlevel.checkpoint, 1000, results.add)
    assert (await results.wait(2))[1] is None


async def test_a_bug_behind_the_result_is_logged_and_ends_nothing(offload, results, driver, caplog):
    def bug(result):
        raise ZeroDivisionError

    offload.call(trio.lowlevel.checkpoint, 1000, bug)
    offload.call(trio.lowlevel.checkpoint, 1000, results.add)
    await results.wait(1)
    await trio.testing.wait_all_tasks_blocked()
    assert driver.ended == 2
    assert "internal error after a slow call" in caplog.text


async def test_when_the_node_ends_nobody_is_called(driver, results, autojump_clock):
    offload = Offload()
    async with trio.open_nursery() as nursery:
        await nursery.start(offload.run, driver)
        offload.call(trio.sleep_forever, 10**6, results.add)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    offload.call(trio.sleep_forever, 1000, results.add)
    offload.thread(threading.get_ident, results.add)
    await trio.sleep(10**4)
    assert results.all == []
