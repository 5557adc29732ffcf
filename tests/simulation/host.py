"""A model host of one member: its group, its disk, its machine, and the rules that a real host has to keep.

    H1  a write is made in the order of tokens; its `after_durable` goes out only when it is complete
    H2  a disk that is empty or older than the one that ran under this identity is refused: who was it may have voted
        and acknowledged what is not there any more. How far its disk was is remembered elsewhere
    H3  a disk with a checksum that is wrong makes a damaged replica, and what it still had to say is not said
    H4  a failed sync stops the node: what is on the disk is known again only after a restart
    H5  a program that does not know the version of the machine that an entry or a snapshot asks for stops, and one that
        is older than the machine on its disk does not start

Not here: when anything happens (`swarm.py`) and what one may do with several of them (`world.py`).
"""

from collections import deque
from random import Random

from simulation.checker import Seen, Violation
from simulation.disk import Disk
from simulation.machine import Machine

from amqpd.raft.config import Config
from amqpd.raft.group import Group
from amqpd.raft.messages import CHANGE, NORMAL, VERSION, Entry, Members, Ready, Snapshot

GROUP = b"a simulated group"[:16]
READY_MAX = 4096  # a group that wants something more often than this after one event is caught in a circle


class Outdated(Exception):
    """This node's program is too old for the machine (H5)."""


class Node:
    """One member. `group` is None while it is down."""

    def __init__(self, world, member: int, knobs: dict, founding: Members, seed: int) -> None:
        self.world = world
        self.member = member
        self.knobs = knobs
        self.founding = founding
        self.seed = seed
        self.disk = Disk()
        self.backup: Disk | None = None
        self.refused = False
        self.damaged = False
        self.restoring = False
        self.incarnation = 0
        self.group: Group | None = None
        self.seen = Seen()
        self.machine = Machine()
        self.applying: deque[Entry] = deque()
        self.waiting: dict[str, object] = {}  # operations proposed here, by id
        self.reading: dict[bytes, object] = {}
        self.ready_reads: list[tuple[int, object]] = []

    @property
    def build(self) -> int:
        """The newest version of the machine that the program of this node can run."""
        return self.world.builds.get(self.member, 0)

    def start(self) -> bool:
        """Start on what the disk has. False if the identity is refused (H2), or the program is too old (H5)."""
        if self.world.identity_checked and self.disk.position < self.world.positions.get(self.member, 0):
            self.refused = True
            return False
        self.incarnation += 1
        synced = self.disk.synced
        self.seen = Seen()
        self.machine = Machine()
        self.applying.clear()
        self.restoring = False
        members = self.founding
        applied = 0
        image = synced.image
        if image is not None:
            members = image.members
            applied = image.index
            self.machine.restore(image.data)
            if self.machine.version > self.build:
                return False
            self.world.checker.restores(self, image, self.machine.state)
        config = Config(GROUP, self.member, machine_version=self.build, damaged=self.damaged, **self.knobs)
        rng = self.world.rng or Random(self.seed * 1009 + self.member * 31 + self.incarnation).randrange
        self.group = Group(config, synced.hard, members, self.disk.written, applied, rng)
        self.group.require_version(self.machine.version)
        self._show_disk()
        self.world.checker.observe(self)
        self.seen.term = max(self.seen.term, synced.hard.term)
        return True

    def stop(self, survivors: int) -> None:
        """The process is gone; clients that wait here will never know."""
        self.group = None
        self.applying.clear()
        self.waiting.clear()
        self.reading.clear()
        self.ready_reads.clear()
        self.disk.crash(survivors)
        self._show_disk()

    def _show_disk(self) -> None:
        """What R7 goes by: the disk as it is, but for a damaged one as it was before that. A leader may count what was
        acknowledged from there; that is safe, as whoever is damaged votes for nobody."""
        if not self.damaged:
            self.world.checker.disks[self.member] = self.disk.synced

    def pump(self) -> None:
        """Do what the group wants done."""
        world = self.world
        checker = world.checker
        group = self.group
        checker.observe(self)
        turns = 0
        while (ready := group.ready()) is not None:
            turns += 1
            if turns > READY_MAX:
                raise Violation("L", f"{self.member} is never done: {ready.messages!r} {ready.append!r}")
            append = ready.append
            if append is not None:
                checker.writes(self, append)
                if append.snapshot is not None:
                    # The machine will be restored: what was handed out before is overtaken, and not applied any more.
                    self.applying.clear()
                    self.restoring = True
                self.disk.submit(append)
                world.on_write(self, append)
            for message in ready.messages:
                checker.sends(self, message, False)
                world.on_send(message)
            if ready.committed:
                self._apply_later(ready)
            for read in ready.reads:
                operation = self.reading.pop(read.context, None)
                if operation is not None:
                    self.ready_reads.append((read.index, operation))
                    self._answer_reads()
            checker.observe(self)

    def _apply_later(self, ready: Ready) -> None:
        self.applying.extend(ready.committed)
        if self.world.lazy_apply:
            self.world.on_apply(self)
        else:
            self.apply()

    def apply(self) -> None:
        """Apply all that was handed out."""
        if not self.applying:
            return
        world = self.world
        machine = self.machine
        group = self.group
        changes = False
        while self.applying:
            entry = self.applying.popleft()
            # The configuration is checked change by change, so a change ends the batch.
            changes = entry.kind == CHANGE
            if entry.kind == VERSION:
                operation, result = self._upgrade(entry)
            else:
                operation, result = machine.apply(entry.index, entry.payload if entry.kind == NORMAL else b"")
            world.checker.applies(self, entry, machine.state)
            if operation:
                world.places.setdefault(operation, entry.index)
            if operation and self.waiting:
                waiting = self.waiting.pop(operation, None)
                if waiting is not None:
                    world.answer(waiting, result)
            if changes:
                group.applied_to(entry.index)
                world.changes += 1
                self.seen.changes = [index for index in self.seen.changes if index > entry.index]
                world.checker.reconfigures(self, entry.index, group.members())
        if not changes:
            group.applied_to(entry.index)
        if self.ready_reads:
            self._answer_reads()
        world.checker.observe(self)

    def _upgrade(self, entry: Entry) -> tuple[str, str]:
        version = int.from_bytes(entry.payload, "big")
        if version > self.build:
            raise Outdated
        self.world.raised += version > self.machine.version
        self.machine.upgrade(entry.index, version)
        self.group.require_version(self.machine.version)
        return "", ""

    def _answer_reads(self) -> None:
        later = []
        for index, operation in self.ready_reads:
            if index <= self.machine.index:
                operation.place = self.machine.index + 0.5
                self.world.answer(operation, self.machine.registers.get(operation.register, ""))
            else:
                later.append((index, operation))
        self.ready_reads = later

    def complete(self, count: int) -> None:
        """The oldest `count` writes are complete."""
        disk = self.disk
        checker = self.world.checker
        append = None
        snapshot = None
        while count and disk.pending:
            count -= 1
            append = disk.complete()
            # Also where nobody is told: a sole voter's disk is known to whoever restarts it.
            self.world.positions[self.member] = disk.position
            for message in append.after_durable:
                checker.sends(self, message, True)
                self.world.on_send(message)
            if append.snapshot is not None:
                snapshot = append.snapshot
                self._restore(snapshot)
        if append is not None:
            self.group.storage_done(append.token)
            if snapshot is not None:
                checker.installed(self, snapshot)

    def _restore(self, snapshot: Snapshot) -> None:
        self.restoring = False
        self.machine.restore(snapshot.data)
        if self.machine.version > self.build:
            raise Outdated
        self.group.require_version(self.machine.version)
        self.world.snapshots += 1
        self.world.checker.restores(self, snapshot, self.machine.state)

    def take_snapshot(self, keep: int) -> None:
        """Store an image of the machine, and drop all but `keep` of the entries that it covers."""
        group = self.group
        index = group.applied
        if self.disk.synced.image is not None and self.disk.synced.image.index >= index:
            return
        # While a snapshot is being installed, the configuration is already the one behind it.
        if self.restoring or index > self.disk.synced.last_index() or index != self.machine.index:
            return
        term = group.term_at(index)
        if term <= 0:
            return
        self.disk.compact(Snapshot(index, term, group.members(), self.machine.image()), keep)

    def damage(self) -> None:
        """A checksum was found to be wrong while running (H3)."""
        self.damaged = True
        for append in self.disk.pending:
            append.after_durable.clear()
        self.group.damage()
