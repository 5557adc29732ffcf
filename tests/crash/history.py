"""Random histories: what clients do to a node, and when its threads get on. A history is a list of steps.

A step is a tuple of its name and plain values, and means something in every state of the node, or nothing: so steps can
be left out of a history, to find the shortest that fails.
"""

from __future__ import annotations

import errno
import random
from dataclasses import dataclass

from crash.book import Facts
from crash.node import Sizes

Step = tuple

FANOUT = "f"
TRANSIENT = "t"  # a queue that is not durable
WORKERS = ("committer", "background", "shelf")


@dataclass
class History:
    """What is played, and on what."""

    seed: int
    sizes: Sizes
    queues: dict[str, Facts]
    steps: list[Step]


def facts_of(rng: random.Random) -> dict[str, Facts]:
    """Two to four queues; dead letters go to a later one, or nowhere."""
    names = [f"q{number}" for number in range(rng.randint(2, 4))]
    queues = {}
    for place, name in enumerate(names):
        later = names[place + 1 :]
        queues[name] = Facts(
            name,
            max_length=rng.randint(1, 8) if rng.random() < 0.2 else -1,
            ttl_ms=rng.randint(20, 400) if rng.random() < 0.2 else -1,
            target=rng.choice(later) if later and rng.random() < 0.6 else "",
            highest=rng.randint(1, 3) if rng.random() < 0.3 else 0,
        )
    return queues


def sizes_of(rng: random.Random) -> Sizes:
    """Small files, now and then a little larger ones, with memory for many messages or for few."""
    file_size = rng.choice((4096, 4096, 6144, 8192, 16_384))
    return Sizes(
        file_size=file_size,
        size_max=file_size * rng.randint(2, 4),
        spares=rng.randint(0, 2),
        segment_size=rng.choice((600, 2048, 4096, 16_384)),
        message_memory=rng.choice((400, 1000, 3000, 1 << 20)),
        unsynced_max=rng.choice((2000, 1 << 20, 1 << 20)),
        encrypted=rng.random() < 0.15,
    )


class Writer:
    """Writes the steps of a history. Each draws its own mixture, so that some do nothing but what others never do."""

    def __init__(self, rng: random.Random, queues: list[str]) -> None:
        self.rng, self.queues = rng, queues
        self.diligence = rng.choice((0.0, 0.3, 0.7))  # how often the threads get on after a step
        self.large = rng.random() < 0.3  # sometimes a message of more than a file
        self.transient = rng.choice((0.0, 0.1, 0.5))
        self.expiring = rng.choice((0.0, 0.0, 0.3))
        self.weights = {
            "publish": 10,
            "consume": rng.choice((1, 3)),
            "cancel": 1,
            "settle": rng.choice((3, 8)),
            "get": rng.choice((1, 4)),
            "settle-got": rng.choice((1, 3)),
            "tx-publish": rng.choice((0, 3)),
            "tx-get": rng.choice((0, 3)),
            "tx-end": rng.choice((1, 2)),
            "purge": rng.choice((0, 0, 1)),
            "delete": rng.choice((0, 1, 2)),
            "declare": rng.choice((2, 4)),
            "work": rng.choice((8, 16, 30)),
            "report": rng.choice((5, 10)),
            "rest": rng.choice((0, 1, 3)),
            "pass": rng.choice((1, 4)),
            "reconnect": rng.choice((0, 1)),
            "stop": rng.choice((0, 0, 1)),
            "crash": 1,
            "room": rng.choice((0, 0, 0, 2)),
            "fault": rng.choice((0, 0, 0, 1)),
        }

    def steps(self, count: int) -> list[Step]:
        names = list(self.weights)
        steps: list[Step] = []
        for name in self.rng.choices(names, list(self.weights.values()), k=count):
            steps.append((name, *self.values(name)))
            if self.rng.random() < self.diligence:
                steps.append(("cycle",))
        return steps

    def values(self, name: str) -> tuple:
        rng = self.rng
        queue = rng.choice(self.queues)
        if name == "publish" or name == "tx-publish":
            target = FANOUT if rng.random() < 0.25 else TRANSIENT if rng.random() < 0.1 else queue
            return (target, *self.message(), rng.choice((1, 1, 2, 5)))
        if name == "consume":
            return (queue if rng.random() < 0.9 else TRANSIENT, rng.random() < 0.2)
        if name == "settle" or name == "settle-got":
            how = rng.choices(("ack", "multiple", "requeue", "nack", "reject"), (6, 3, 2, 2, 1))[0]
            return (how, rng.choice((1, 2, 3, 8)), rng.random() < 0.3)
        if name == "get":
            return (queue, rng.random() < 0.4)
        if name == "tx-end":
            return (rng.random() < 0.75,)
        if name == "work":
            return (rng.choice(WORKERS), rng.choice((1, 1, 2, 4)))
        if name == "pass":
            return (rng.choice((0, 1, 10, 50, 150, 1100)),)
        if name == "crash":
            return (rng.choice((0, 1, 2, 3, 5, 8, 13, 30)), rng.randrange(1 << 30))
        if name == "room":
            return (rng.choice((-1, 0, 700, 4000)),)
        if name == "fault":
            code = rng.choice((errno.EIO, errno.ENOSPC))
            return (rng.choice((0, 1, 3, 8)), code, rng.choice((0.0, 0.3, 0.9)))
        return (queue,) if name in ("cancel", "tx-get", "purge", "delete", "declare") else ()

    def message(self) -> tuple:
        """Size, whether persistent, priority, expiration."""
        rng = self.rng
        size = rng.choice((0, 10, 100, 400, 600, 1500))
        if self.large and rng.random() < 0.05:
            size = rng.choice((5000, 20_000))
        return (
            size,
            rng.random() >= self.transient,
            rng.randint(0, 4) if rng.random() < 0.3 else -1,
            rng.choice((1, 50, 300)) if rng.random() < self.expiring else -1,
        )


def history(seed: int, count: int = 80) -> History:
    """The history of a seed."""
    rng = random.Random(seed)
    queues = facts_of(rng)
    sizes = sizes_of(rng)
    steps = Writer(rng, list(queues)).steps(count)
    refusing = random.Random(~seed)  # drawn apart, so that all else of a seed is as it was before there was this step
    for place, step in enumerate(steps):
        if step[0] == "tx-get" and refusing.random() < 0.3:
            steps[place] = ("tx-refuse", step[1])
    return History(seed, sizes, queues, steps)
