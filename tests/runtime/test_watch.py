"""Files that change, and who is told."""

import os

import pytest
import trio

from amqpd.runtime import watch

INTERVAL_S = 5.0


async def without_a_thread(files):
    """What the clock of a test would not wait for."""
    return watch.look_at(files())


@pytest.fixture
async def watching(tmp_path, monkeypatch, nursery):
    """Watches tmp_path/file; `told` has the times."""
    monkeypatch.setattr(watch, "_look", without_a_thread)
    scene = Scene(tmp_path / "file")
    scene.path.write_text("one")
    nursery.start_soon(watch.watch, lambda: scene.files, lambda: scene.interval_s, scene.changed)
    await trio.testing.wait_all_tasks_blocked()
    return scene


class Scene:
    def __init__(self, path):
        self.path = path
        self.files = [path]
        self.interval_s = INTERVAL_S
        self.told = []

    def changed(self):
        self.told.append(trio.current_time())

    async def pass_looks(self, number):
        await trio.sleep((number + 0.5) * self.interval_s)


def replace(path, text):
    new = path.with_suffix(".new")
    new.write_text(text)
    new.rename(path)


async def test_nobody_is_told_of_nothing(watching, autojump_clock):
    await watching.pass_looks(10)
    assert watching.told == []


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_text("another"),
        lambda path: path.write_text("two"),  # as long as before
        lambda path: os.utime(path, (0, 0)),
        lambda path: replace(path, "one"),
        lambda path: path.unlink(),
    ],
)
async def test_a_change_is_told_once(watching, change, autojump_clock):
    change(watching.path)
    os.utime(watching.path.parent, (0, 0))
    await watching.pass_looks(5)
    assert len(watching.told) == 1


async def test_a_file_that_comes_is_a_change(watching, autojump_clock):
    watching.path.unlink()
    await watching.pass_looks(2)
    watching.path.write_text("one")
    await watching.pass_looks(2)
    assert len(watching.told) == 2


async def test_where_a_link_leads_is_what_counts(watching, autojump_clock):
    """As a volume of Kubernetes is updated: file -> ..data/file, ..data -> VERSION."""
    folder = watching.path.parent
    for version in ("v1", "v2"):
        (folder / version).mkdir()
        (folder / version / "mounted").write_text("same")
    (folder / "..data").symlink_to("v1")
    mounted = folder / "mounted"
    mounted.symlink_to("..data/mounted")
    watching.files = [mounted]
    await watching.pass_looks(1)
    (folder / "..tmp").symlink_to("v2")
    (folder / "..tmp").rename(folder / "..data")
    await watching.pass_looks(1)
    assert len(watching.told) == 1


async def test_a_file_that_is_being_written_is_waited_for(watching, autojump_clock):
    await trio.sleep(INTERVAL_S - 0.1)
    for part in range(5):
        watching.path.write_text("x" * (part + 10))
        await trio.sleep(watch.SETTLE_S)
    assert watching.told == []
    await trio.sleep(2 * watch.SETTLE_S)
    assert len(watching.told) == 1
    await watching.pass_looks(3)
    assert len(watching.told) == 1


async def test_a_file_that_never_rests_is_not_waited_for_for_ever(watching, autojump_clock):
    with trio.move_on_after(INTERVAL_S + (watch.SETTLES_MAX + 2) * watch.SETTLE_S):
        for part in range(1000):
            watching.path.write_text("x" * (part + 10))
            await trio.sleep(watch.SETTLE_S / 2)
    assert len(watching.told) == 1


async def test_a_file_that_is_new_among_those_to_watch_has_not_changed(watching, autojump_clock):
    other = watching.path.with_name("other")
    other.write_text("x")
    watching.files = [watching.path, other]
    await watching.pass_looks(2)
    assert watching.told == []
    other.write_text("xy")
    await watching.pass_looks(2)
    assert len(watching.told) == 1


async def test_without_an_interval_nothing_is_looked_at(watching, autojump_clock):
    watching.interval_s = 0
    await trio.sleep(2 * INTERVAL_S)
    watching.path.write_text("another")
    await trio.sleep(10 * watch.OFF_S)
    assert watching.told == []
    watching.interval_s = INTERVAL_S
    await trio.sleep(watch.OFF_S)
    await watching.pass_looks(2)
    assert watching.told == [], "what changed while nobody looked is not known"
    watching.path.write_text("one more")
    await watching.pass_looks(2)
    assert len(watching.told) == 1


def test_what_cannot_be_looked_at_is_not_there(tmp_path):
    paths = [tmp_path / "none", tmp_path / "nul\0", tmp_path]
    assert [value is None for value in watch.look_at(paths).values()] == [True, True, False]


async def test_a_look_happens_in_a_thread(tmp_path):
    looks = await watch._look(lambda: [tmp_path])
    assert looks == watch.look_at([tmp_path])
