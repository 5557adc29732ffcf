"""The floor: each measurement does what it says."""

import select

import pytest
from benching import bench

floor = bench("floor")


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(floor, "ROUNDS", 2)
    monkeypatch.setattr(floor, "TURNS", 30)
    monkeypatch.setattr(floor, "SYNCS", 3)


def test_the_least_of_all_rounds_counts_for_each_unit():
    rounds = []

    def work():
        rounds.append(sum(range(1000)))
        return 10

    assert floor.least(work) > 0
    assert len(rounds) == 2


@pytest.mark.parametrize("size", [1, 70_000, 1 << 20])
def test_all_bytes_go_through_the_socket(size, monkeypatch):
    taken, receive = [], floor.received
    monkeypatch.setattr(floor, "received", lambda sock, part: (taken.append(part), receive(sock, part)))
    assert floor.through_socket(size) > 0
    assert sum(taken) == 2 * size * max(20, min(30, (32 << 20) // size))


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="no epoll here")
def test_wake_ups_take_time():
    assert floor.woken_by_epoll() > 0
    assert floor.woken_by_trio() > 0


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="no epoll here")
def test_another_process_asks_and_ends():
    cpu, elapsed = floor.asked_by_another()
    assert cpu > 0
    assert elapsed > 0


def test_a_sync_takes_time_and_leaves_no_file():
    before = set((floor.ROOT / "bench").iterdir())
    cpu, elapsed = floor.synced(4096)
    assert cpu > 0
    assert elapsed > 0
    assert set((floor.ROOT / "bench").iterdir()) == before
