"""Short histories that are about one thing each, looked at closely: what chance finds too seldom."""

from __future__ import annotations

from crash.book import Facts
from crash.history import History
from crash.node import Sizes
from crash.play import Looks

CLOSELY = Looks(probe=0.6, images=8, nested=0.02, twice=0.05, inside=0.0)

PUBLISH = ("publish", "q0", 100, True, -1, -1, 1)
WRITE = (("work", "committer", 2), ("report",))

DEFINITIONS = [  # a confirm waits for the definition of its queue
    ("delete", "q0"), ("work", "shelf", 1), ("declare", "q0"), PUBLISH, *WRITE, PUBLISH, *WRITE, PUBLISH, *WRITE,
    ("work", "shelf", 1), PUBLISH, *WRITE,
]  # fmt: skip
LETTERS = [  # more dead letters than a round takes, while batches are written
    *[PUBLISH] * 8, *WRITE, *[("get", "q0", False)] * 8, ("settle-got", "nack", 8, False), *WRITE * 2, PUBLISH, *WRITE,
    ("crash", 1, 5), PUBLISH, *WRITE,
]  # fmt: skip
REFUSED = [  # a queue that is deleted while what was refused is on its way to another
    ("publish", "q0", 10, True, -1, -1, 30), *WRITE, *[("get", "q0", False)] * 30, ("settle-got", "refuse", 30, False),
    ("delete", "q0"), *[("work", "shelf", 1), ("work", "committer", 1), ("report",)] * 8, ("work", "shelf", 1),
    ("publish", "q1", 100, True, -1, -1, 1), *WRITE, ("crash", 1, 5), ("publish", "q1", 100, True, -1, -1, 1), *WRITE,
]  # fmt: skip
TRANSACTION = [  # one that refuses more than a round takes
    *[PUBLISH] * 9, *WRITE, *[("tx-refuse", "q0")] * 8, ("tx-get", "q0"), ("tx-publish", "q1", 100, True, -1, -1, 1),
    ("publish", "q1", 100, True, -1, -1, 1), ("tx-end", True), *WRITE * 4, ("crash", 1, 5), PUBLISH, *WRITE,
]  # fmt: skip
DELETED = [  # a queue that is deleted, with messages in the journal and on pages
    *[PUBLISH] * 6, *WRITE, *[("publish", "q1", 1500, True, -1, -1, 1), ("cycle",), ("cycle",)] * 6, ("delete", "q0"),
    ("work", "shelf", 1), *WRITE, ("rest",), ("declare", "q0"), ("rest",), PUBLISH, *WRITE, ("stop",), PUBLISH, *WRITE,
]  # fmt: skip
SETTLED = [  # a log of which the journal has nothing but what is settled
    *[PUBLISH] * 4, *WRITE, *[("get", "q0", False)] * 4,
    *[("publish", "q1", 1500, True, -1, -1, 1), ("cycle",), ("get", "q1", True), ("cycle",)] * 8,
    ("settle-got", "ack", 8, False), ("rest",), ("stop",), *[PUBLISH] * 4, *WRITE, ("stop",), PUBLISH, *WRITE,
]  # fmt: skip


def scenarios() -> dict[str, History]:
    """All of them, by name."""
    queues = {"q0": Facts("q0", target="q1"), "q1": Facts("q1")}
    sizes = Sizes(file_size=4096, size_max=8192, segment_size=2048)
    steps = {
        "definitions": DEFINITIONS,
        "letters": LETTERS,
        "refused": REFUSED,
        "transaction": TRANSACTION,
        "deleted": DELETED,
        "settled": SETTLED,
    }
    return {name: History(number, sizes, queues, list(each)) for number, (name, each) in enumerate(steps.items())}
