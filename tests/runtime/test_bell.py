"""The bell between threads and trio: as an eventfd, and as a pipe."""

import os
import threading

import pytest
import trio

from amqpd.runtime.bell import Bell


@pytest.fixture(params=[True, False], ids=["eventfd", "pipe"])
def bell(request):
    bell = Bell(request.param)
    yield bell
    bell.close()


async def test_it_wakes_who_waits(bell, nursery):
    heard = trio.Event()

    async def listen():
        await bell.wait()
        heard.set()

    nursery.start_soon(listen)
    await trio.testing.wait_all_tasks_blocked()
    assert not heard.is_set()
    threading.Thread(target=bell.ring).start()
    await heard.wait()


async def test_a_ring_that_nobody_heard_is_kept_and_several_are_one(bell, autojump_clock):
    for _ in range(3):
        bell.ring()
    await bell.wait()
    with trio.move_on_after(1) as scope:
        await bell.wait()
    assert scope.cancelled_caught


async def test_it_can_be_rung_any_number_of_times(bell):
    for _ in range(70_000):  # more than a pipe holds
        bell.ring()
    await bell.wait()
    bell.ring()
    await bell.wait()


def test_closing_it_twice_gives_back_its_descriptors_once(bell):
    before = len(os.listdir("/dev/fd"))
    bell.close()
    bell.close()
    assert len(os.listdir("/dev/fd")) < before
