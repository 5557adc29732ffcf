"""Random histories of segments, with a crash after any operation of the disk.

What recovery finds is exactly what was there at some moment between the last sync that was reported and the crash: no
sync is ever half there, and nothing settled comes to life again.
"""

import random

import pytest
from crash.disk import Crash
from store.pagebench import Bench

from amqpd.store.pages import PageOptions

OPTIONS = PageOptions(size_max=3000, dead_min=0, open_max=2)


class Story:
    """A random history, and after each of its steps what is alive then."""

    def __init__(self, bench, rng):
        self.bench = bench
        self.rng = rng
        self.next = 0
        self.pages = {}  # page -> positions alive
        self.history = [{}]
        self.floor = 0

    def alive(self):
        found = {}
        for queue, positions in self.pages.values():
            if positions:
                found.setdefault((queue, 0), []).extend(positions)
        return {key: sorted(positions) for key, positions in found.items()}

    def step(self):
        kinds = [self.write, self.write, self.settle, self.settle, self.drop, self.work, self.sync, self.tidy]
        self.rng.choice(kinds)()

    def note(self):
        """A step changed what is alive: it may be found from now on, even before the step has ended."""
        self.history.append(self.alive())

    def write(self):
        queue = self.rng.randrange(3)
        positions = [self.next + place * self.rng.choice([1, 1, 3]) for place in range(self.rng.randint(1, 8))]
        positions = sorted(set(positions))
        self.next = positions[-1] + 1
        page = self.bench.write(positions, queue=queue, body=bytes(self.rng.choice([5, 60, 300])))
        self.pages[page] = (queue, positions)
        self.note()

    def settle(self):
        page = self.some()
        if page is None:
            return
        queue, positions = self.pages[page]
        low = self.rng.randrange(len(positions))
        high = self.rng.randint(low + 1, len(positions))
        self.bench.pages.settle(page, positions[low], positions[high - 1], high - low)
        self.pages[page] = (queue, positions[:low] + positions[high:])
        self.note()

    def drop(self):
        page = self.some()
        if page is not None and self.rng.random() < 0.3:
            self.bench.pages.drop(page)
            del self.pages[page]
            self.note()

    def some(self):
        pages = [page for page, (_, positions) in self.pages.items() if positions]
        return self.rng.choice(pages) if pages else None

    def work(self):
        self.bench.hand.run(self.rng.randint(1, 3))

    def sync(self):
        moment = len(self.history) - 1
        self.bench.pages.sync(lambda: self.reached(moment))

    def reached(self, moment):
        self.floor = max(self.floor, moment)

    def tidy(self):
        self.bench.pages.tidy()

    def check(self, disk, name):
        again = Bench(disk, new=False, options=OPTIONS)
        alive = again.alive()
        assert alive in self.history[self.floor :], name
        return alive


@pytest.mark.parametrize("seed", range(10))
def test_a_crash_at_any_operation(seed):
    bench = Bench(options=OPTIONS)
    story = Story(bench, random.Random(seed))
    images = random.Random(seed)
    checked = []

    def before(kind, path):
        for name, image in bench.disk.images(images, 8):
            story.check(image, f"before {kind} of {path}: {name}")
            checked.append(name)

    bench.disk.before = before
    for _ in range(80):
        story.step()
    bench.hand.run()
    assert len(checked) > 400
    assert bench.pages.syncs > 3


@pytest.mark.parametrize("seed", range(6))
def test_a_crash_in_recovery(seed):
    bench = Bench(options=OPTIONS)
    story = Story(bench, random.Random(100 + seed))
    images = random.Random(seed)
    for _ in range(150):
        story.step()
    for name, image in bench.disk.images(images, 6):
        alive = story.check(image.copy(), name)
        steps = 0
        while crashed_at(image.copy(), steps, images, story, alive):
            steps += 1
        assert steps > 0


def crashed_at(disk, steps, images, story, alive):
    """Whether recovery has more than `steps` operations; crashes after these, and recovers what that leaves."""
    left = [steps]

    def before(kind, path):
        left[0] -= 1
        if left[0] < 0:
            raise Crash

    disk.before = before
    try:
        Bench(disk, new=False, options=OPTIONS)
    except Crash:
        disk.before = lambda kind, path: None
        for name, image in disk.images(images, 5):
            assert story.check(image, name) == alive
        return True
    return False


def test_the_process_is_killed_and_then_power_is_lost():
    """The next process reads a new inventory that is not on disk yet, and must not remove what only the old one has."""
    bench = Bench(options=OPTIONS)
    story = Story(bench, random.Random(0))
    story.write()
    story.sync()
    bench.hand.run()
    bench.pages.drop(next(iter(story.pages)))
    story.pages.clear()
    story.note()
    story.sync()
    renamed = []

    def kill(kind, path):
        renamed.extend([path] if kind == "rename" else [])
        if renamed and kind == "sync-directory":
            raise Crash

    bench.disk.before = kill
    with pytest.raises(Crash):
        bench.hand.run()
    bench.disk.dead = False
    names = []

    def before(kind, path):
        for name, image in bench.disk.images(random.Random(0), 100):
            story.check(image, f"before {kind} of {path}: {name}")
            names.append(name)

    bench.disk.before = before
    Bench(bench.disk, new=False, options=OPTIONS)
    before("end", "")
    assert "none" in names


@pytest.mark.parametrize("seed", range(6))
def test_histories_on_a_disk_that_is_full_now_and_then(seed):
    rng = random.Random(200 + seed)
    bench = Bench(options=OPTIONS)
    story = Story(bench, rng)
    for number in range(200):
        if number % 20 == 0:
            bench.disk.capacity = bench.disk.used() + rng.randrange(4000)
        story.step()
        story.check(bench.disk.copy(), number)
    assert bench.hand.put_back
    bench.disk.capacity = 1 << 30
    assert bench.sync()
    assert story.check(bench.disk.copy(), "end") == story.alive()
    for page, (_, positions) in story.pages.items():
        if positions:
            assert set(positions) <= set(bench.read(page))


def test_a_full_disk_is_no_reason_to_lose_the_inventory():
    bench = Bench(options=OPTIONS)
    bench.write([1])
    bench.sync()
    for room in range(0, 3000, 250):
        bench.disk.capacity = bench.disk.used() + room
        bench.write([room + 2])
        bench.pages.sync(lambda: None)
        bench.hand.run()
        assert 1 in bench.again().alive()[1, 0]
