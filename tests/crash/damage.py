"""Files that are not what they were: bits turned over, ends cut off, files lost.

The node must notice, and name the file; or it does no harm, because nothing that counts stood there. What it must never
do is to go on with wrong messages. One thing cannot be told from a crash: damage to the very last batch of the journal,
which looks like one that was being written. So a node may come back without that batch, and says that it did not stop
in order. Where the file with that batch lost its end, all that stood there is gone in the same way. What is gone may
have settled something of which segments know all the same: they are told after the batch is on disk.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

from crash.disk import Disk
from crash.history import History
from crash.ledger import Copy, Ledger, Place, Violation
from crash.node import Found, Node
from crash.play import Looks, Play

from amqpd.errors import StorageError

BLIND = Looks(probe=0.0, inside=0.2)


@dataclass
class Rest:
    """A node that has stopped, in order or not: its disk, and all that is known of it."""

    play: Play
    disk: Disk
    orderly: bool


class Stopping(Play):
    """A play that ends before the last start: `left` is what the node has left."""

    def __init__(self, history: History, orderly: bool) -> None:
        super().__init__(history, BLIND)
        self.orderly = orderly

    def left(self) -> Rest:
        self.run()
        node = self.node
        node.rest()
        self.clients.listen()
        if self.orderly:
            self.clients.lose()
            self.depth = 2
            node.stop()
        self.audit()
        self.wall_ms = node.wall_ms()
        return Rest(self, self.disk.copy(), self.orderly)

    def _end(self) -> None:
        """Some more, after the last start: so that there is something in the journal that this life has written."""
        super()._end()
        for place, name in enumerate(self.history.queues):
            self.clients.publish(name, (100 * place, True, -1, -1), False)
            self._do_cycle()


def damages(disk: Disk, rng: random.Random, count: int) -> list[tuple[str, str, int]]:
    """Ways to damage a disk: what, which file, and where in it. Every file is lost once, and cut at telling places."""
    files = [(path, len(content.live)) for path, content in disk.walk()]
    chosen: list[tuple[str, str, int]] = []
    for path, size in files:
        chosen += [("lose", path, 0), ("cut", path, size // 2), ("cut", path, 0), ("cut", path, max(size - 1, 0))]
    rng.shuffle(chosen)
    chosen = chosen[: count // 2]
    written = [(path, size) for path, size in files if size and not path.startswith("pages/")]
    while len(chosen) < count:
        path, size = rng.choice(written)
        data = disk.content(path).live
        used = len(bytes(data).rstrip(b"\0")) or size  # rather where something stands
        chosen.append(("flip", path, rng.randrange(used) if rng.random() < 0.9 else rng.randrange(size)))
    return chosen


def apply(disk: Disk, damage: tuple[str, str, int], rng: random.Random) -> None:
    """Do it."""
    what, path, at = damage
    if what == "lose":
        disk.lose(path)
    elif what == "cut":
        disk.cut(path, at)
    else:
        disk.flip(path, at, rng.randrange(8))


def judge(rest: Rest, damage: tuple[str, str, int], rng: random.Random) -> str:
    """How the node takes it: `noticed` or `harmless`. Raises Violation."""
    what, path, at = damage
    play = rest.play
    disk = rest.disk.copy()
    apply(disk, damage, rng)
    where = f"{what} {path} at {at}, {'after an orderly stop' if rest.orderly else 'after a crash'}"
    definitions = play.node.shelf.kept
    try:
        node = Node(disk, definitions, play.wall_ms, 5000, play.history.sizes)
        found = node.found()
    except StorageError as error:
        name = path.split("/")[-1]
        if name not in str(error) and (what != "lose" or path.split("/")[0] not in str(error)):
            raise Violation("unnamed", f"{where}: the file is not named in: {error}") from error
        return "noticed"
    except Exception as error:
        raise Violation("broken", f"{where}: {type(error).__name__}: {error}") from error
    ledger = play.ledger
    assert ledger is not None
    problem: Violation | None = None
    batches = [ledger.sealed, ledger.sealed - 1]
    if what == "cut" and path == written_last(rest.disk):
        batches.append(node.last_batch())
    for batch in batches:
        if batch < ledger.sealed and not path.startswith("journal/"):
            break
        try:
            clean = node.clean and batch == ledger.sealed
            play.book.check(found, state_after(ledger, batch, found), node.queues, clean, play.wall_ms)
        except Violation as violation:
            problem = problem or violation
        else:
            return "harmless" if batch == ledger.sealed else "last batch"
    assert problem is not None
    raise Violation("damage", f"{where}: {problem}")


def written_last(disk: Disk) -> str:
    """The file of the journal in which its last batch stands."""
    files = [path for path, content in disk.walk() if path.startswith("journal/0") and any(content.live)]
    return max(files, default="")  # spares are called otherwise


def state_after(ledger: Ledger, batch: int, found: list[Found]) -> dict[Place, Copy]:
    """What there must be with the batches up to `batch`, not always the last: then what the later ones have settled
    may be gone all the same."""
    there = {each.place for each in found}
    state = ledger.state(batch)
    return {place: copy for place, copy in state.items() if place in there or copy.settled > ledger.sealed}


def damaged(history: History, count: int) -> Counter[str]:
    """Play a history, then damage what it has left in `count` ways. Returns how that was taken, by kind of file."""
    taken: Counter[str] = Counter()
    rng = random.Random(history.seed)
    rest = Stopping(history, rng.random() < 0.5).left()
    for damage in damages(rest.disk, rng, count):
        what, path, _ = damage
        kind = path.split("/")[0] if "/" in path else path
        taken[f"{what} {kind}: {judge(rest, damage, rng)}"] += 1
    return taken
