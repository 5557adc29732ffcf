"""The memory watch: what it measures, what it compares with, and the alarm."""

import os

import pytest
import trio

from amqpd.runtime import memory
from amqpd.testing import open_broker

MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_what_this_process_uses_is_plausible_and_grows():
    before = memory.resident_bytes()
    assert 5_000_000 < before < MACHINE
    held = bytearray(os.urandom(1)) * 40_000_000
    assert memory.resident_bytes() > before + 30_000_000
    assert len(held) == 40_000_000


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
    assert memory.total_bytes(system({})) == MACHINE
    assert memory.total_bytes(system({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"})) == MACHINE


@pytest.mark.parametrize(
    "files",
    [
        {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1000000\n"},
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
    assert memory.total_bytes(system(files)) == 1_000_000


def test_version_1_says_no_limit_by_a_great_number(system):
    files = {
        "proc/self/cgroup": "4:memory:/\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
    }
    assert memory.total_bytes(system(files)) == MACHINE


def test_a_share_and_a_size():
    assert memory.watermark_bytes(0.5, 1000) == 500
    assert memory.watermark_bytes(0.0, 1000) == 0
    assert memory.watermark_bytes(1.0, 1000) == 1000
    assert memory.watermark_bytes(700, 1000) == 700


async def test_the_alarm_goes_on_above_and_off_well_below(autojump_clock):
    used = [50]
    async with open_broker() as broker, trio.open_nursery() as nursery:
        alarms = broker.node.broker.alarms
        nursery.start_soon(memory.watch, broker.node.driver, 100, lambda: used[0])
        history = []
        for used[0] in (99, 100, 101, 150, 100, 96, 95, 100, 101):
            await trio.sleep(1.5 * memory.INTERVAL_S)
            history.append(alarms.is_raised("memory"))
        assert history == [False, False, True, True, True, True, False, False, True]
        assert alarms.sources("memory") == [memory.SOURCE]
        nursery.cancel_scope.cancel()


async def test_a_node_above_its_watermark_blocks_publishers():
    async with open_broker(vm_memory_high_watermark=0.0) as broker:
        assert broker.node.broker.alarms.reason() == "low on memory"
