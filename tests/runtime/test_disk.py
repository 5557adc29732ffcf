"""The disk watch: the alarm, how often it looks, and what a share is of."""

import pytest
import trio

from amqpd.broker.limits import Limits
from amqpd.broker.node import Broker
from amqpd.broker.ports import Catalogue
from amqpd.errors import StorageError
from amqpd.runtime import disk
from amqpd.runtime.driver import Driver

LIMIT = 1_000_000_000
FAR = LIMIT + 100 * disk.FAST_RATE


class Free:
    """A disk of which so much is free; notes when it was asked."""

    def __init__(self, size):
        self.size = size
        self.asked = []

    def __call__(self):
        self.asked.append(trio.current_time())
        if self.size is None:
            raise StorageError("/data/messages: statvfs: EIO")
        return self.size


class Play:
    def __init__(self, nursery, size):
        self.free = Free(size)
        driver = Driver(Broker(Limits(), Catalogue(), bytes, "test"))
        self.alarms = driver.broker.alarms
        self.watch = disk.DiskWatch(LIMIT, self.free)
        nursery.start_soon(self.watch.run, driver)

    async def look(self, size):
        """Have it find `size`; returns whether the alarm is raised then."""
        self.free.size = size
        await trio.sleep(disk.INTERVAL_MAX_S + 0.01)
        return self.alarms.is_raised("disk")


@pytest.fixture
async def start(nursery):
    return lambda size: Play(nursery, size)


async def test_the_alarm_is_on_below_the_limit_and_off_at_it(start, autojump_clock, caplog):
    play = start(FAR)
    assert [await play.look(size) for size in (FAR, LIMIT, LIMIT - 1, 0, LIMIT - 1, LIMIT, FAR)] == [
        *[False, False, True, True, True, False, False]
    ]
    assert [line for line in caplog.messages if line.startswith("disk:")] == [
        f"disk: {LIMIT - 1} bytes free, limit {LIMIT}: publishers are blocked",
        f"disk: {LIMIT} bytes free, limit {LIMIT}: publishers go on",
    ]


async def test_a_disk_that_is_full_at_the_start_is_noticed_at_once(start, autojump_clock):
    play = start(5)
    await trio.testing.wait_all_tasks_blocked()
    assert play.alarms.sources("disk") == [disk.SOURCE]
    assert play.watch.free_bytes == 5


@pytest.mark.parametrize(
    ("size", "interval"),
    [
        (FAR, disk.INTERVAL_MAX_S),
        (LIMIT + disk.FAST_RATE // 2, 1.0),
        (LIMIT + disk.FAST_RATE, 2.0),
        (LIMIT, disk.INTERVAL_MIN_S),
        (LIMIT - 1, disk.INTERVAL_MAX_S),  # the alarm is on: it must not flutter
        (None, disk.INTERVAL_MAX_S),
    ],
)
async def test_it_looks_the_more_often_the_nearer_the_limit_is(start, autojump_clock, size, interval):
    play = start(size)
    await trio.sleep(3.5 * interval)
    asked = [later - earlier for earlier, later in zip(play.free.asked, play.free.asked[1:], strict=False)]
    assert asked == pytest.approx([interval] * 3)


async def test_a_disk_that_does_not_tell_leaves_the_alarm_as_it_is_and_is_named_once(start, autojump_clock, caplog):
    play = start(FAR)
    assert not await play.look(None)
    assert await play.look(0)
    assert await play.look(None)
    assert await play.look(None)
    assert not await play.look(FAR)
    assert len([line for line in caplog.messages if "is not known" in line]) == 2


async def test_another_limit_is_obeyed_at_once(start, autojump_clock):
    play = start(LIMIT)
    await trio.testing.wait_all_tasks_blocked()
    play.watch.configure(LIMIT + 1)
    await trio.testing.wait_all_tasks_blocked()
    assert play.alarms.is_raised("disk")
    play.watch.configure(0)
    await trio.testing.wait_all_tasks_blocked()
    assert not play.alarms.is_raised("disk")


@pytest.mark.parametrize(
    ("limit", "size", "line"),
    [
        (50_000_000, 50_000_000, "disk free limit 47.7 MiB"),
        (1.5, 3 * 2**30, "disk free limit 3 GiB: 1.5 of 2 GiB (cgroup v2 {}/sys/fs/cgroup/memory.max)"),
        (0.0, 0, "disk free limit 0 bytes: 0.0 of 2 GiB (cgroup v2 {}/sys/fs/cgroup/memory.max)"),
        (0, 0, "disk free limit 0 bytes"),
    ],
)
def test_a_size_and_a_share_of_memory(tmp_path, caplog, limit, size, line):
    caplog.set_level("INFO", logger="amqpd.node")
    for name, text in {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": f"{2**31}\n"}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert disk.DiskWatch(limit, int, tmp_path).limit_bytes == size
    assert caplog.messages == [line.format(tmp_path)]
