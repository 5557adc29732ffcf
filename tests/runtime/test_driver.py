"""Time and timers: the broker's follow trio's clock."""

import time

import pytest
import trio
from harness import Flushing

from amqpd.broker.limits import Limits
from amqpd.broker.node import Broker
from amqpd.broker.ports import Catalogue
from amqpd.broker.timers import Timer
from amqpd.errors import StorageError
from amqpd.runtime.driver import Driver, now_ms


class Alarm(Timer):
    def __init__(self, fired, fail=False):
        super().__init__()
        self.fired = fired
        self.fail = fail

    def fire(self, now):
        self.fired.append((self, now, now_ms()))
        if self.fail:
            raise RuntimeError("a bug")


@pytest.fixture
async def driver(nursery):
    driver = Driver(Broker(Limits(), Catalogue(), bytes, "test"))
    nursery.start_soon(driver.run)
    await trio.testing.wait_all_tasks_blocked()
    return driver


async def test_a_timer_fires_at_its_time(driver, autojump_clock):
    fired, start = [], now_ms()
    timers = driver.broker.timers
    first, second, third = Alarm(fired), Alarm(fired), Alarm(fired)
    timers.schedule(first, start + 5000)
    driver.end_round()
    timers.schedule(second, start + 1)  # an earlier one wakes the task earlier
    driver.end_round()
    timers.schedule(third, start + 10**7)
    timers.cancel(third)
    driver.end_round()
    await trio.sleep(20_000)
    assert fired == [(second, start + 1, start + 1), (first, start + 5000, start + 5000)]


async def test_timers_of_any_millisecond_fire_then_and_only_once(driver, autojump_clock):
    """A sleep until `ms / 1000` must not end a hair before, and find that nothing is due."""
    fired, start = [], now_ms()
    for step in range(1, 400):
        driver.broker.timers.schedule(Alarm(fired), start + step * 7)
    driver.end_round()
    await trio.sleep(10)
    assert [now - start for _alarm, now, _clock in fired] == [step * 7 for step in range(1, 400)]
    assert all(now == clock for _alarm, now, clock in fired)


async def test_a_bug_in_a_timer_does_not_stop_the_others(driver, autojump_clock, caplog):
    fired, start = [], now_ms()
    driver.broker.timers.schedule(Alarm(fired, fail=True), start + 10)
    driver.broker.timers.schedule(Alarm(fired), start + 10)
    driver.broker.timers.schedule(Alarm(fired), start + 20)
    driver.end_round()
    await trio.sleep(1)
    assert [now - start for _alarm, now, _clock in fired] == [10, 10, 20]
    assert "internal error in a timer" in caplog.text


async def test_a_bug_in_a_flush_calls_for_recovery(driver, autojump_clock, caplog):
    recovered = []
    driver.recover = lambda: recovered.append(True)
    driver.broker.touched.append(None)
    driver.end_round()
    assert recovered == [True]
    assert "internal error at the end of a round" in caplog.text


class Broken(Timer):
    """Finds that the disk fails."""

    def fire(self, now):
        raise StorageError("segment 1 cannot be read")


@pytest.fixture
def failing():
    """Run a driver, do something, and expect the end of it."""

    async def run(act):
        driver = Driver(Broker(Limits(), Catalogue(), bytes, "test"))
        with pytest.RaisesGroup(pytest.RaisesExc(StorageError, match="segment 1 cannot be read")):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(driver.run)
                await trio.testing.wait_all_tasks_blocked()
                act(driver)
                await trio.sleep_forever()
        return driver

    return run


async def test_a_disk_that_fails_in_a_timer_ends_it(failing, autojump_clock):
    def act(driver):
        driver.broker.timers.schedule(Broken(), now_ms() + 10)
        driver.end_round()

    await failing(act)


async def test_a_disk_that_fails_in_a_flush_ends_it_without_recovery(failing):
    recovered = []

    def fails():
        raise StorageError("segment 1 cannot be read")

    def act(driver):
        driver.recover = lambda: recovered.append(True)
        driver.broker = Flushing(driver.broker, fails)
        driver.end_round()

    await failing(act)
    assert recovered == []


async def test_a_disk_that_fails_in_a_round_ends_it_and_nothing_is_flushed(failing):
    flushed = []

    def act(driver):
        driver.broker = Flushing(driver.broker, lambda: flushed.append(True))
        with pytest.raises(StorageError), driver.round():
            raise StorageError("segment 1 cannot be read")

    driver = await failing(act)
    driver.fail(StorageError("another, later"))
    driver.end_round()
    assert flushed == []
    assert "segment 1" in str(driver.failure)


def test_a_bug_that_became_a_failure_is_logged_and_the_disks_own_errors_are_not(caplog):
    for cause, logged in ((OSError(5, "EIO"), 0), (None, 0), (KeyError("bug"), 1)):
        driver = trio.run(make)
        error = StorageError("x")
        error.__cause__ = cause
        driver.fail(error)
        assert len(caplog.records) == logged


async def make():
    return Driver(Broker(Limits(), Catalogue(), bytes, "test"))


async def test_a_disk_that_failed_before_it_runs_ends_it_at_once():
    driver = Driver(Broker(Limits(), Catalogue(), bytes, "test"))
    driver.fail(StorageError("x"))
    with pytest.raises(StorageError):
        await driver.run()


async def test_a_quiet_driver_fires_no_timer(driver, autojump_clock):
    fired = []
    driver.broker.timers.schedule(Alarm(fired), now_ms() + 10)
    driver.end_round()
    driver.quieten()
    driver.broker.timers.schedule(Alarm(fired), now_ms() + 5)
    driver.end_round()
    await trio.sleep(100)
    assert fired == []


async def test_the_time_of_day_is_that_of_the_system_and_followed(autojump_clock, monkeypatch):
    wall = 1_700_000_000.0
    monkeypatch.setattr(time, "time", lambda: wall)
    driver = Driver(Broker(Limits(), Catalogue(), bytes, "test"))
    assert driver.broker.wall_ms() == 1_700_000_000_000
    fired = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(driver.run)
        await trio.testing.wait_all_tasks_blocked()
        await trio.sleep(100)
        wall += 3600  # somebody set the clock
        driver.broker.timers.schedule(Alarm(fired), now_ms() + 1)
        driver.end_round()
        await trio.sleep(1)
        assert driver.broker.wall_ms() == 1_700_003_600_000
        nursery.cancel_scope.cancel()
