"""The memory watch: what it measures, what it compares with, and the alarm."""

import mmap
import os
import re
from pathlib import Path

import pytest
import trio

from amqpd.runtime import memory
from amqpd.testing import open_broker

MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_what_this_process_uses_is_plausible_and_grows():
    before = memory.resident_bytes()
    assert 5_000_000 < before < MACHINE
    with mmap.mmap(-1, 40_000_000) as held:  # an allocation could be of memory that was freed, and is resident still
        held.write(b"x" * 40_000_000)
        assert memory.resident_bytes() > before + 30_000_000


@pytest.fixture
def system(tmp_path):
    """A machine with the given files under /proc and /sys."""

    def build(files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return build


def test_without_a_container_it_is_the_machines_memory(system):
    assert memory.available(system({})) == (MACHINE, "this machine")
    limits = {f"sys/fs/cgroup/memory.{name}": "max\n" for name in ("max", "high")}
    unlimited = {"proc/self/cgroup": "0::/\n", **limits}
    assert memory.available(system(unlimited)) == (MACHINE, "this machine")


@pytest.mark.parametrize(
    "files",
    [
        {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1000000\n"},
        {  # systemd's MemoryHigh= is below its MemoryMax=
            "proc/self/cgroup": "0::/\n",
            "sys/fs/cgroup/memory.max": "2000000\n",
            "sys/fs/cgroup/memory.high": "1000000\n",
        },
        {"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "1000000\n"},
        {  # the group above is the tighter one
            "proc/self/cgroup": "0::/a/b\n",
            "sys/fs/cgroup/a/b/memory.max": "max\n",
            "sys/fs/cgroup/a/memory.max": "1000000\n",
        },
        {  # a container that sees the host's path, and its own group at the mount's root
            "proc/self/cgroup": "0::/docker/0123\n",
            "sys/fs/cgroup/memory.max": "1000000\n",
        },
        {
            "proc/self/cgroup": "11:cpu,cpuacct:/x\n4:memory:/x\n0::/x\n",
            "sys/fs/cgroup/memory/x/memory.limit_in_bytes": "1000000\n",
        },
    ],
)
def test_in_a_container_it_is_the_containers(system, files):
    total, source = memory.available(system(files))
    assert total == 1_000_000
    version, path = re.fullmatch(r"cgroup (v[12]) (.+)", source).groups()
    assert Path(path).read_text() == "1000000\n"
    assert version == ("v1" if "memory.limit" in path else "v2")


def test_a_limit_above_the_machines_memory_is_none(system):
    files = {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": f"{MACHINE * 2}\n"}
    assert memory.available(system(files)) == (MACHINE, "this machine")


def test_version_1_says_no_limit_by_a_great_number(system):
    files = {
        "proc/self/cgroup": "4:memory:/\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
    }
    assert memory.available(system(files)).total == MACHINE


@pytest.mark.parametrize(
    ("watermark", "high", "line"),
    [
        (0.5, 2**30, "memory watermark 1 GiB: 0.5 of 2 GiB (cgroup v2 {}/sys/fs/cgroup/memory.max)"),
        (0.6, 1_288_490_188, "memory watermark 1.2 GiB: 0.6 of 2 GiB (cgroup v2 {}/sys/fs/cgroup/memory.max)"),
        (0.0, 0, "memory watermark 0 bytes: 0.0 of 2 GiB (cgroup v2 {}/sys/fs/cgroup/memory.max)"),
        (1.0, 2**31, "memory watermark 2 GiB: 1.0 of 2 GiB (cgroup v2 {}/sys/fs/cgroup/memory.max)"),
        (700_000, 700_000, "memory watermark 683.6 KiB, of 2 GiB (cgroup v2 {}/sys/fs/cgroup/memory.max)"),
    ],
)
def test_a_share_and_a_size(system, caplog, watermark, high, line):
    caplog.set_level("INFO", logger="amqpd.node")
    root = system({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": f"{2**31}\n"})
    assert memory.MemoryWatch(watermark, root=root).high_bytes == high
    assert caplog.messages == [line.format(root)]


async def test_the_alarm_goes_on_above_and_off_well_below(autojump_clock):
    used = [50]
    async with open_broker() as broker, trio.open_nursery() as nursery:
        alarms = broker.node.broker.alarms
        nursery.start_soon(memory.MemoryWatch(100, lambda: used[0]).run, broker.node.driver)
        history = []
        for used[0] in (99, 100, 101, 150, 100, 96, 95, 100, 101):
            await trio.sleep(1.5 * memory.INTERVAL_S)
            history.append(alarms.is_raised("memory"))
        assert history == [False, False, True, True, True, True, False, False, True]
        assert alarms.sources("memory") == [memory.SOURCE]
        nursery.cancel_scope.cancel()


async def test_the_watermark_may_change_while_it_is_watched(autojump_clock):
    async with open_broker() as broker, trio.open_nursery() as nursery:
        alarms = broker.node.broker.alarms
        watch = memory.MemoryWatch(100, lambda: 150)
        nursery.start_soon(watch.run, broker.node.driver)
        await trio.sleep(1.5 * memory.INTERVAL_S)
        assert alarms.is_raised("memory")
        watch.configure(200)
        await trio.sleep(1.5 * memory.INTERVAL_S)
        assert not alarms.is_raised("memory")
        nursery.cancel_scope.cancel()


async def test_a_node_above_its_watermark_blocks_publishers():
    async with open_broker(vm_memory_high_watermark=0.0) as broker:
        assert broker.node.broker.alarms.reason() == "low on memory"
