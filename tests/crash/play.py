"""Plays a history: node, clients and threads, with the disk looked at on the way as a crash would leave it.

Before each operation of the disk everything that a crash could leave at that moment may be recovered, as a node of its
own, and held against what clients know and what the journal was told (`_probe`). Some histories crash in earnest and go
on with one of those images, which knows nothing of the others. The same goes for the operations of a recovery.

While a job of one worker is at an operation, the world may get on: steps happen *inside* a job, as they do with
threads. The other worker's jobs, too.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from crash.absences import Absences
from crash.book import Book, Token
from crash.clients import CONSUMES, GETS, Clients, Held, behind
from crash.disk import Crash, Disk, Fault
from crash.history import History
from crash.keys import Seals
from crash.ledger import Copy, Ledger, Place, Violation
from crash.node import FIRST_WALL_MS, Found, Hand, Node, Stopped

from amqpd.broker import commands as c
from amqpd.errors import StorageError

RARE = ("create", "rename", "remove", "truncate", "sync-directory")  # operations at which to look more often
RARE_SHARE = 3


@dataclass
class Looks:
    """How closely to look. `probe` is the share of operations at which `images` are recovered; of those `nested` are
    recovered with crashes on the way, and `twice` once more. `inside` is how often steps happen inside a job."""

    probe: float = 0.12
    images: int = 5
    nested: float = 0.05
    twice: float = 0.1
    inside: float = 0.2


@dataclass
class Figures:
    """What was done."""

    histories: int = 0
    operations: int = 0
    lives: int = 0
    images: int = 0
    nested: int = 0
    messages: int = 0
    batches: int = 0
    settled: int = 0
    found: int = 0
    kinds: Counter[str] = field(default_factory=Counter)  # operations by kind and directory

    def add(self, other: Figures) -> None:
        for name in self.__dataclass_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def __str__(self) -> str:
        return (
            f"{self.histories} histories, {self.lives} lives, {self.operations} operations, {self.images} images, "
            f"{self.nested} of them of recoveries, {self.messages} messages, {self.batches} batches, "
            f"{self.found} messages found"
        )


@dataclass
class Verdict:
    """What an image was: the batch up to which it has everything that was told to the journal, and what was found.

    `last` is the last batch that it has; it may be one with which nothing but a life began."""

    batch: int
    last: int
    clean: bool
    found: list[Found]
    queues: dict[bytes, str]


class Play:
    """One history. Raises Violation, and whatever the code under test should not have raised."""

    def __init__(self, history: History, looks: Looks | None = None) -> None:
        self.history = history
        self.looks = looks or Looks()
        self.figures = Figures(histories=1)
        self.book = Book(history.queues)
        self.disk = Disk()
        self.rng = random.Random(history.seed ^ 0x5EED)
        self.at = 0  # the next step
        self.depth = 0
        self.crash_at = -1
        self.crash_seed = 0
        self.fault_at = -1
        self.fault = Fault(5)
        self.wall_ms = FIRST_WALL_MS
        self.ledger: Ledger | None = None
        self.audited: set[Place] = set()
        self.due: set[Held] = set()  # deliveries of which the next batch must say that they are settled
        self.purged: set[bytes] = set()
        self.deleted: set[str] = set()
        self.doomed: set[bytes] = set()  # deleted; the journal may hear of it much later
        self.audited_to = -1
        self.absences: Absences
        self.node: Node
        self.clients: Clients
        self.definitions: list[c.Command] = []
        self.seals: Seals = {}
        self.steps: dict[str, Callable[..., None]] = {
            name.removeprefix("_do_").replace("_", "-"): getattr(self, name)
            for name in dir(self)
            if name.startswith("_do_")
        }

    # -- the whole of it

    def run(self) -> Figures:
        self._begin_life(self.disk, [], None)
        self.clients.define()
        while True:
            try:
                self._go_on()
                self._end()
                break
            except Crash:
                self._crashed()
            except Stopped:
                self.crash_seed = self.rng.randrange(1 << 30)
                self.disk.dead = True
                self._crashed()
        self.figures.operations += self.disk.operations
        self.figures.messages = self.clients.number
        return self.figures

    def _go_on(self) -> None:
        while self.at < len(self.history.steps):
            self.step()

    def step(self) -> None:
        """The next step of the history."""
        if self.at >= len(self.history.steps):
            return
        name, *values = self.history.steps[self.at]
        self.at += 1
        self.steps[name](*values)
        self.clients.listen()
        self.audit()

    def _end(self) -> None:
        """Everything comes to rest; then all that was published is confirmed, and an orderly stop loses nothing."""
        self.disk.capacity = 1 << 40
        self.crash_at = self.fault_at = -1
        self.node.rest()
        self.clients.listen()
        self.audit()
        if self.clients.confirming:
            raise Violation("confirms", f"publishes {sorted(self.clients.confirming)} were never answered")
        if self.clients.committing:
            raise Violation("confirms", "a transaction was never answered")
        for place, copy in self.node.ledger.copies.items():
            held = (place[0], (copy.number, copy.root))
            if copy.live(self.node.ledger.sealed) and held in self.clients.acked | self.clients.rejected:
                raise Violation("unsettled", f"{held[1]} at {self.node.ledger.told(place)}: the journal was never told")
        self._do_stop()

    # -- lives

    def _begin_life(self, disk: Disk, definitions: list[c.Command], verdict: Verdict | None) -> None:
        """A node starts on `disk`, of which the verdict is known already."""
        base: dict[Place, Copy] = {}
        if verdict is not None:
            assert self.ledger is not None
            self.ledger.rewind(verdict.batch)
            state = self.ledger.state(verdict.batch)
            base = {place: copy for place, copy in state.items() if place[0] in verdict.queues}
        first = self.clients.number if verdict is not None else 0
        last = verdict.last + 1 if verdict is not None else 0
        self.figures.operations += self.disk.operations if disk is not self.disk else 0
        self.disk, self.definitions = disk, definitions
        self.disk.before, self.disk.plan = self._before, self._plan
        self.figures.lives += 1
        self.opening = True
        node = Node(disk, definitions, self.wall_ms, self.figures.lives, self.history.sizes, base, last, self.seals)
        self.opening = False
        self.node, self.ledger = node, node.ledger
        if verdict is not None:
            self.book.recovered(verdict.found)
        self.audited = set()
        self.audited_to = -1
        self.due = set()
        self.purged, self.deleted = set(), set()
        self.clients = Clients(node, self.book, first)
        self.absences = Absences(name for name in self.history.queues if name not in node.world.vhost.queues)
        self.audit()

    def _crashed(self) -> None:
        """Go on with one of the images that the crash could leave; a crash while that recovers is the next."""
        self.depth = 0
        while True:
            rng = random.Random(self.crash_seed)
            self.crash_at = self.fault_at = -1
            if self.ledger is not None and not self.opening:
                self.wall_ms = self.node.wall_ms()
                self._leave()
            name, image = rng.choice(list(self.disk.images(rng, 40)))
            definitions = self.node.shelf.left(rng) if not self.opening else self.definitions
            image.capacity = 1 << 40
            verdict = self._judge(image, definitions, f"crash: {name}")
            if rng.random() < 0.2:
                self.crash_at, self.crash_seed = rng.randint(0, 6), rng.randrange(1 << 30)
            try:
                self._begin_life(image, definitions, verdict)
                return
            except (Crash, StorageError):
                self.figures.nested += 1

    def _leave(self) -> None:
        """What the clients knew at the time of the crash is what they know."""
        self.clients.listen()
        self.audit()
        self.clients.forget_transaction()

    # -- the disk is looked at

    def _before(self, kind: str, path: str) -> None:
        operation = self.disk.operations
        self.figures.kinds[f"{kind} {path.split('/')[1] if '/' in path else ''}"] += 1
        rng = random.Random(self.history.seed << 20 ^ self.figures.lives << 14 ^ operation)
        if not self.opening:
            self.clients.listen()
            self.audit()
        share = self.looks.probe * (RARE_SHARE if kind in RARE else 1)
        if self.ledger is not None and rng.random() < share:
            self._probe(rng, f"life {self.figures.lives}, before operation {operation} ({kind} {path})")
        if 0 <= self.crash_at <= operation:
            raise Crash
        if not self.opening and self.depth < 2 and rng.random() < self.looks.inside:
            self.depth += 1
            try:
                self.step()
            finally:
                self.depth -= 1

    def _plan(self, kind: str, path: str) -> Fault | None:
        if kind != "read" and 0 <= self.fault_at <= self.disk.operations:
            self.fault_at = -1
            return self.fault
        return None

    def _probe(self, rng: random.Random, where: str) -> None:
        for name, image in self.disk.images(rng, self.looks.images):
            image.capacity = 1 << 40
            definitions = self.definitions if self.opening else self.node.shelf.left(rng)
            self._judge(image, definitions, f"{where}: {name}", rng)

    def _judge(
        self, image: Disk, definitions: list[c.Command], where: str, rng: random.Random | None = None
    ) -> Verdict:
        """Recover a copy of an image and see whether it is one that may be. Raises Violation."""
        verdict = self._verdict(image.copy(), definitions, where)
        if rng is not None and rng.random() < self.looks.nested:
            copy = image.copy()

            def crash(kind: str, path: str) -> None:
                for name, inner in copy.images(rng, 3):
                    self.figures.nested += 1
                    at = f"{where}, recovering, at {copy.operations} ({kind} {path}): {name}"
                    self._verdict(inner, definitions, at, verdict)

            copy.before = crash
            self._open(copy, definitions)
        if rng is not None and rng.random() < self.looks.twice:
            self._again(image.copy(), definitions, where, verdict)
        return verdict

    def _again(self, disk: Disk, definitions: list[c.Command], where: str, verdict: Verdict) -> None:
        """A recovery that is recovered finds the same, whether it had time to work or not: but for what queues may let
        go meanwhile, since it is overdue or a dead letter came that was one too many."""
        node = self._open(disk, definitions)
        second = self._verdict(disk.copy(), definitions, f"{where}, recovered again", verdict)
        if places(second) != places(verdict):
            raise Violation("again", f"{where}: {places(verdict)}, and then {places(second)}")
        node.rest()
        third = places(self._recovered(disk.copy(), definitions, f"{where}, recovered after work"))
        wall_ms = node.wall_ms()
        kept = {each.place for each in verdict.found if not self.book.may_leave(each, verdict.queues, wall_ms)}
        missing = kept - third
        if missing:
            raise Violation("again", f"{where}: {missing} are gone after a recovery and some work")

    def _open(self, disk: Disk, definitions: list[c.Command]) -> Node:
        wall_ms = self.wall_ms if self.opening else self.node.wall_ms()
        return Node(disk, definitions, wall_ms, 1000 + self.figures.lives, self.history.sizes)

    def _recovered(self, disk: Disk, definitions: list[c.Command], where: str) -> Verdict:
        """What a node finds on `disk`. Raises Violation."""
        self.figures.images += 1
        try:
            node = self._open(disk, definitions)
            found = node.found()
            last = node.last_batch()
        except Violation as violation:
            raise Violation(violation.rule, f"{violation.args[0]}; {where}") from violation
        except Exception as error:
            raise Violation("refused", f"{type(error).__name__}: {error}; {where}") from error
        self.figures.found += len(found)
        return Verdict(last, last, node.clean, found, node.queues)

    def _verdict(
        self, disk: Disk, definitions: list[c.Command], where: str, before: Verdict | None = None
    ) -> Verdict:
        """The same; it must be what some batch has left, or what was there `before` another node began its life."""
        assert self.ledger is not None
        verdict = self._recovered(disk, definitions, where)
        least, most = self.ledger.synced, self.ledger.sealed
        if before is not None:
            least = most = before.batch
        started = before is not None or self.opening
        verdict.batch = min(verdict.last, most) if started else verdict.last
        if not least <= verdict.batch <= most:
            raise Violation("batch", f"recovered to batch {verdict.last}, not {least} to {most}; {where}")
        wall_ms = self.wall_ms if self.opening else self.node.wall_ms()
        try:
            self._compare(verdict, verdict.batch, wall_ms, started)
        except Violation as violation:
            text = f"{violation.args[0]}; batch {verdict.batch} of {least} to {most}; {where}"
            raise Violation(violation.rule, text) from violation
        return verdict

    def _compare(self, verdict: Verdict, batch: int, wall_ms: int, started: bool) -> None:
        assert self.ledger is not None
        stopped = batch >= self.ledger.stopped
        if verdict.clean and not stopped:
            raise Violation("clean", f"there was no orderly stop up to batch {batch}")
        if stopped and not verdict.clean and not started:
            raise Violation("clean", f"there was an orderly stop with batch {batch}")
        state = self.ledger.state(batch)
        entered = {(copy.number, copy.root) for copy in self.ledger.copies.values() if copy.entered <= batch}
        self.book.check(verdict.found, state, verdict.queues, verdict.clean, wall_ms, entered)

    # -- the journal is looked at

    def audit(self) -> None:
        """Whatever the journal was told lately had a reason, and what clients asked for was told."""
        ledger = self.ledger
        if ledger is None:
            return
        self._look_for_queues(ledger.sealed + 1)
        due, self.due = self.due, set() if self.clients.busy() else set(self.clients.acked)
        if ledger.sealed == self.audited_to:
            self.due |= due
            return
        self.figures.batches += 1
        self.audited_to = ledger.sealed
        targets = {(copy.place[0], copy.number, copy.root): copy for copy in ledger.copies.values()}
        wall_ms = self.node.wall_ms()
        for place, copy in ledger.copies.items():
            if copy.settled <= ledger.sealed:
                if place not in self.audited:
                    self.audited.add(place)
                    self._settled(copy, targets, wall_ms)
            elif (place[0], (copy.number, copy.root)) in due:
                raise Violation("unsettled", f"{copy.number} at {ledger.told(place)}: the journal was not told")
        self.purged, self.deleted = set(), set()

    def _look_for_queues(self, batch: int) -> None:
        """Whether queues that were away are there again, while `batch` is gathered."""
        if not behind(self.clients.definer):
            for name in self.history.queues:
                if self.clients.queue(name) is not None:
                    self.absences.seen(name, batch)

    def _settled(self, copy: Copy, targets: dict[tuple[bytes, int, str], Copy], wall_ms: int) -> None:
        assert self.ledger is not None
        self.figures.settled += 1
        identity = copy.place[0]
        token: Token = (copy.number, copy.root)
        held = (identity, token)
        name = self.ledger.queues[identity]
        refused = held in self.clients.rejected
        gone = identity in self.purged | self.doomed or name in self.deleted
        if held in self.clients.acked or (gone and not refused):
            self.book.asked(token, "settled")
            return
        facts = self.history.queues[name]
        deadline_ms = self.book.deadline_ms(copy, name)
        if not refused and facts.max_length < 0 and not 0 <= deadline_ms <= wall_ms:
            if token not in self.book.final:
                raise Violation("settled", f"{token} at {self.ledger.told(copy.place)}: nobody asked for that")
            return
        target = self.clients.queue(facts.target)
        if target is None or self.absences.during(facts.target, copy.settled):
            self.book.asked(token, "let go")
            return
        letter = targets.get((target.identity, *token))
        if letter is None and token not in self.book.final:
            raise Violation("letter", f"{token} left {name}, and did not come to {facts.target}")
        if letter is not None and letter.entered > copy.settled:
            raise Violation("letter", f"{token} left {name} in an earlier batch than it came to {facts.target}")

    # -- the steps

    def _do_publish(self, target: str, *rest) -> None:
        *message, count = rest
        for _ in range(count):
            self.clients.publish(target, tuple(message), False)

    def _do_tx_publish(self, target: str, *rest) -> None:
        *message, count = rest
        if not self.clients.committing:
            for _ in range(count):
                self.clients.publish(target, tuple(message), True)

    def _do_consume(self, name: str, no_ack: bool) -> None:
        self.clients.consume(name, no_ack)

    def _do_cancel(self, name: str) -> None:
        self.clients.cancel(name)

    def _do_settle(self, how: str, count: int, last: bool) -> None:
        self.clients.settle(CONSUMES, how, count, last)

    def _do_settle_got(self, how: str, count: int, last: bool) -> None:
        self.clients.settle(GETS, how, count, last)

    def _do_get(self, name: str, no_ack: bool) -> None:
        self.clients.get(GETS, name, no_ack)

    def _do_tx_get(self, name: str) -> None:
        self.clients.tx_get(name, False)

    def _do_tx_refuse(self, name: str) -> None:
        self.clients.tx_get(name, True)

    def _do_tx_end(self, commit: bool) -> None:
        self.clients.tx_end(commit)

    def _do_purge(self, name: str) -> None:
        self.purged.add(self.clients.identity(name))
        self.clients.purge(name)

    def _do_delete(self, name: str) -> None:
        self.audit()
        if self.ledger is not None:
            self.absences.deleting(name, self.ledger.sealed + 1)
        self.deleted.add(name)
        self.doomed.add(self.clients.identity(name))
        self.clients.delete(name)

    def _do_declare(self, name: str) -> None:
        self.clients.declare(name)

    def _do_work(self, which: str, count: int) -> None:
        node = self.node
        for _ in range(count):
            if which == "shelf":
                node.shelf.store()
                node.round()
                return
            hand: Hand = node.committer if which == "committer" else node.background
            if not node.work(hand):
                return

    def _do_cycle(self) -> None:
        self.node.work(self.node.committer)
        self.node.work(self.node.background)
        self.node.report()

    def _do_report(self) -> None:
        self.node.report()

    def _do_rest(self) -> None:
        self.node.rest()

    def _do_pass(self, ms: int) -> None:
        self.node.world.pass_ms(ms)

    def _do_reconnect(self) -> None:
        self.clients.lose()
        self.clients.connect()

    def _do_crash(self, operations: int, seed: int) -> None:
        if self.crash_at < 0:
            self.crash_at, self.crash_seed = self.disk.operations + operations, seed

    def _do_fault(self, operations: int, code: int, part: float) -> None:
        if self.fault_at < 0:
            self.fault_at, self.fault = self.disk.operations + operations, Fault(code, part)

    def _do_room(self, room: int) -> None:
        """The disk has `room` bytes left; negative: it is as large as one likes again."""
        self.disk.capacity = self.disk.used() + room if room >= 0 else 1 << 40

    def _do_stop(self) -> None:
        """The orderly end, and another start."""
        if self.depth:
            return  # a job is at work: the node waits for it first
        room, self.disk.capacity = self.disk.capacity, 1 << 40
        self.clients.lose()
        self.depth = 2  # nobody is there to do anything
        self.node.stop()
        self.depth = 0
        self.audit()
        self.wall_ms = self.node.wall_ms()
        disk = self.disk.copy()
        definitions = self.node.shelf.left(random.Random(0))
        verdict = self._judge(disk, definitions, "after an orderly stop", random.Random(self.history.seed))
        if not verdict.clean:
            raise Violation("clean", "an orderly stop is not taken for one")
        self.crash_at = self.fault_at = -1
        self._begin_life(disk, definitions, verdict)
        disk.capacity = room


def places(verdict: Verdict) -> set[Place]:
    """Where everything was found."""
    return {each.place for each in verdict.found}


def play(history: History, looks: Looks | None = None) -> Figures:
    """Play a history. Raises Violation."""
    return Play(history, looks).run()


