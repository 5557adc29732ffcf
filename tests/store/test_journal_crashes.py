"""Random histories of a journal, cut off anywhere, with any part of what was not synced: nothing acknowledged is lost.

What a start finds must be the state after some batch that is not older than the last one that was acknowledged, nor
newer than the last one that was written.
"""

import random

import pytest
from crash.disk import Crash, Disk
from store.journals import QUEUE, SMALL, Writer, do, opened

from amqpd.broker.ports import Job, Worker
from amqpd.errors import DamagedError
from amqpd.ranges import Ranges
from amqpd.store.bounds import BOUNDS
from amqpd.store.cipher import Cipher
from amqpd.store.place import number_of

HISTORIES = 60
IMAGES = 8


class Later(Worker):
    """Keeps jobs until somebody runs one."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def submit(self, job: Job) -> None:
        self.jobs.append(job)

    def run_one(self) -> None:
        if self.jobs:
            do(self.jobs.pop(0))


class History:
    """A node's run: random records, batches, rotation, upkeep. `states` after each batch; `acknowledged` of them."""

    def __init__(self, disk: Disk, rng: random.Random, start: tuple, given: dict) -> None:
        store = opened(disk.files(), rng.randrange(1 << 30), **given)
        self.journal = store.journal
        self.writer = Writer(self.journal)
        self.rng = rng
        self.background = Later()
        self.committer = Later()
        live, highest = start
        self.entries = dict(live)
        self.settled: set[int] = set()
        self.next = highest + 1
        self.home: dict[int, int] = {}
        self.states = [self.state()]
        self.acknowledged = 0

    def state(self) -> dict[int, bytes]:
        """The messages that are live."""
        return {index: message for index, message in self.entries.items() if index not in self.settled}

    def step(self) -> None:
        draw = self.rng.random()
        if draw < 0.35:
            self.gather()
        elif draw < 0.47:
            self.background.run_one()
        elif draw < 0.5:
            self.journal.rotate()
        elif draw < 0.95 and self.committer.jobs:
            self.committer.run_one()
            self.acknowledged += 1
            job = self.journal.prepare()
            if job is not None:
                self.background.submit(job)
        elif not self.committer.jobs:
            self.free()

    def gather(self) -> None:
        for _ in range(self.rng.randint(1, 3)):
            index = self.next
            self.next += 1
            self.entries[index] = b"%d" % index * self.rng.choice((1, 20, 300, 3000 if self.rng.random() < 0.1 else 2))
            self.writer.entry(index, self.entries[index])
            self.home[index] = self.journal.file
        live = list(self.state())
        for index in live[: self.rng.randint(0, 5)]:
            self.settled.add(index)
            self.writer.settle(index, index)
        self.committer.submit(self.journal.seal())
        self.states.append(self.state())

    def free(self) -> None:
        """The oldest file goes, once all that stood there is settled."""
        journal = self.journal
        if journal.files < 2:
            return
        oldest = journal.oldest()
        if all(index in self.settled for index, file in self.home.items() if file <= oldest) and not self.unknown():
            self.background.submit(journal.free(oldest))

    def unknown(self) -> bool:
        return any(index not in self.home and index not in self.settled for index in self.entries)


def recovered(disk: Disk, seed: int, given: dict) -> tuple[dict[int, bytes], int]:
    """What a start finds: live messages, and the highest index."""
    found = opened(disk.files(), seed, **given).recovered
    settled = found.settled.get((QUEUE, 0), Ranges())
    live = {homes[0][2]: message for homes, message in found.entries() if not settled.contains(homes[0][2])}
    return live, found.highest.get((QUEUE, 0), -1)


def refuse_losses(disk: Disk, given: dict) -> None:
    """Whichever file of the journal is lost, a start notices."""
    for name in disk.files().directory("journal").names():
        if number_of(name) or name in BOUNDS:
            image = disk.copy()
            image.files().directory("journal").remove(name)
            with pytest.raises(DamagedError, match=f"{name}, byte 0: "):
                opened(image.files(), 3, **given)


@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize("part", range(4))
def test_histories(part, encrypted, tmp_path):
    given = {}
    if encrypted:
        path = tmp_path / "keys"
        path.write_text("01 " + "11" * 32)
        path.chmod(0o600)
        given["cipher"] = Cipher(str(path))
    for seed in range(part, HISTORIES, 4):
        rng = random.Random(seed)
        disk = Disk()
        opened(disk.files(), seed, **given)
        start = ({}, -1)
        for _ in range(3):  # a run, a crash, a recovery, three times
            start, disk = run(disk, rng, start, given, seed)


def run(disk: Disk, rng: random.Random, start: tuple, given: dict, seed: int) -> tuple[tuple, Disk]:
    history = History(disk, rng, start, given)
    try:
        last = disk.operations + rng.randint(1, 60)

        def before(_kind: str, _path: str) -> None:
            if disk.operations >= last:
                raise Crash

        disk.before = before
        for _ in range(400):
            history.step()
    except Crash:
        pass
    disk.before = lambda kind, path: None
    allowed = history.states[history.acknowledged :]
    for label, image in disk.images(rng, IMAGES):
        found = recovered(image, 1, given)
        assert found[0] in allowed, f"seed {seed}, image {label}"
        assert recovered(image, 2, given) == found, f"seed {seed}, image {label}: a second start finds something else"
        refuse_losses(image, given)
    return found, image


def test_histories_do_what_they_are_for():
    """Files are recycled, histories have several files: or the test above proves little."""
    rng = random.Random(7)
    disk = Disk()
    opened(disk.files())
    history = History(disk, rng, ({}, -1), {})
    freed = 0
    for _ in range(3000):
        before = history.journal.oldest()
        history.step()
        freed += history.journal.oldest() - before
    assert freed > 5
    assert history.journal.file > 20
    assert any(name.startswith("spare") for name in disk.files().directory("journal").names())
    assert disk.used() < 100 * SMALL
