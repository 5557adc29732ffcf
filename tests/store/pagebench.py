"""Pages without threads: a worker whose jobs run when a test says so, and queues as simple as can be."""

import random

from crash.disk import Disk

from amqpd import pageindex
from amqpd.broker.ports import Job, Page, Worker
from amqpd.errors import StorageFullError
from amqpd.store.pages import PageOptions, TransientPages
from amqpd.store.segments import open_segments

NODE = bytes(range(16))


class Hand(Worker):
    """Runs jobs by hand. A job that finds the disk full is put back, as the real worker does."""

    def __init__(self):
        self.jobs: list[Job] = []
        self.put_back = 0

    def submit(self, job):
        self.jobs.append(job)

    def run(self, count=1_000_000):
        while self.jobs and count:
            count -= 1
            job = self.jobs.pop(0)
            try:
                job.run()
            except StorageFullError:
                self.put_back += 1
                self.jobs.append(job)
                return
            job.finish()


def payload_of(positions, body=b"body"):
    parts = []
    for position in positions:
        message = position.to_bytes(8, "big") + body
        parts.append(len(message).to_bytes(4, "big") + message)
    return b"".join(parts)


def positions_in(payload):
    found, at = [], 0
    while at < len(payload):
        size = int.from_bytes(payload[at : at + 4], "big")
        found.append(int.from_bytes(payload[at + 4 : at + 12], "big"))
        at += 4 + size
    return found


class Bench:
    """A directory with segments, or with page files."""

    def __init__(self, disk=None, new=True, options=None, cipher=None, transient=False):
        self.disk = disk or Disk()
        self.hand = Hand()
        self.files = self.disk.files().directory("pages" if transient else "segments")
        self.disk.files().sync()
        self.found = None
        options = options or PageOptions()
        noise = random.Random(5).randbytes
        if transient:
            self.pages = TransientPages(self.files, NODE, noise, cipher, options, self.hand)
        else:
            self.pages, self.found = open_segments(self.files, new, NODE, noise, cipher, options, self.hand)

    def write(self, positions, persistent=None, queue=1, level=0, body=b"body", kept=False):
        positions = list(positions)
        persistent = [True] * len(positions) if persistent is None else persistent
        payload = payload_of(positions, body)
        size = len(body) * len(positions)
        page = Page(positions[0], positions[-1], len(positions), size, sum(persistent))
        page.kept = kept
        index = pageindex.encode(positions, persistent, size)
        self.pages.write(page, bytes([queue] * 16), level, f"/q{queue}".encode(), index, payload)
        return page

    def sync(self):
        """Sync, and run everything there is to run."""
        done = []
        self.pages.sync(lambda: done.append(True))
        self.hand.run()
        return bool(done)

    def read(self, page):
        return positions_in(self.pages.read(page))

    def again(self, **options):
        """The node starts anew, without having stopped."""
        return Bench(self.disk.copy(), new=False, **options)

    def alive(self):
        """By queue and level, the positions that recovery found alive and that can be read."""
        alive = {}
        for recovered in self.found.pages:
            settled = recovered.page.settled
            positions = self.read(recovered.page)
            assert positions == recovered.index.positions()
            for place, position in enumerate(positions):
                if recovered.index.persistent_at(place) and (settled is None or position not in settled):
                    alive.setdefault((recovered.identity[0], recovered.level), []).append(position)
        return {key: sorted(positions) for key, positions in alive.items()}
