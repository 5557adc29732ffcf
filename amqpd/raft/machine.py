"""What a group replicates: a state machine, and how its log is applied to it.

A machine is pure: what it does with a command follows from its state, the command and the index alone, never from a
clock, randomness, the order of a hash table or anything outside, so every member comes to the same state. What should
happen outside it returns as effects. They run on the leader only, and can get lost or happen twice when the leader
changes: everything that effects bring about must be derivable from the state again (`leader_effects`).

Entries that were handed out before a snapshot of the leader's arrived, and are not applied by then, are not applied any
more: `Applier.restore` takes their place (`group.py` tells when).

A machine has versions. A group runs at one of them, from the entry on that says so, which a leader proposes
(`Group.propose_version`) once all members can run it. A node keeps the code of the versions that logs may still need.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import mypyc_attr

from amqpd.raft.faults import InvariantError
from amqpd.raft.messages import NORMAL, VERSION, Entry, Snapshot

VERSION_BYTES: Final = 4


@mypyc_attr(allow_interpreted_subclasses=True)
class Effect:
    """Something to be done outside; what, is between the machine and its host."""


class Outcome:
    """What one command brought about: an answer for whoever proposed it, and effects."""

    __slots__ = ("effects", "reply")

    def __init__(self, reply: bytes, effects: list[Effect]) -> None:
        self.reply: Final = reply
        self.effects: Final = effects


@mypyc_attr(allow_interpreted_subclasses=True)
class Machine:
    """The contract. Nothing blocks; what takes long must be cut into commands that do not."""

    def newest_version(self) -> int:
        """The newest version that this code can run; it can run all from the oldest that any log may need."""
        raise NotImplementedError

    def apply(self, index: int, version: int, command: bytes) -> Outcome:
        """Carry out `command`, the entry at `index`, as `version` does. A command that makes no sense changes nothing
        and says so in its reply: it must not raise."""
        raise NotImplementedError

    def upgrade(self, version: int) -> None:
        """Bring the state to the form that `version` works on; called in all members at the same entry."""
        raise NotImplementedError

    def leader_effects(self) -> list[Effect]:
        """What a new leader has to do again, because the one before may not have come to it."""
        raise NotImplementedError

    def snapshot(self) -> bytes:
        """The whole state as bytes, the same on every member at the same index."""
        raise NotImplementedError

    def restore(self, version: int, image: bytes) -> None:
        """Become what `snapshot` was taken of, at `version`. Raises MalformedError."""
        raise NotImplementedError


class Applied:
    """An entry that was applied, and its reply."""

    __slots__ = ("index", "reply", "term")

    def __init__(self, index: int, term: int, reply: bytes) -> None:
        self.index: Final = index
        self.term: Final = term
        self.reply: Final = reply


class Applier:
    """Applies the entries of `Ready.committed` to a machine, in order and once each, at the version that holds.

    `effects` gathers what is to be done; the host takes it with `take_effects` after each batch.
    Invariant: `applied` is the index of the last entry that is in the machine's state.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine: Final = machine
        self.version = 0
        self.applied = 0
        self._effects: list[Effect] = []

    def apply(self, entries: list[Entry], leading: bool) -> list[Applied]:
        """Apply `entries`; where this member leads, keep the effects. Returns the replies of the machine's commands.

        Raises InvariantError for an entry out of order, or of a version that this node cannot run: it must not go on.
        """
        replies: list[Applied] = []
        for entry in entries:
            if entry.index != self.applied + 1:
                raise InvariantError(f"entry {entry.index} cannot follow {self.applied}")
            if entry.kind == VERSION:
                self._upgrade(int.from_bytes(entry.payload, "big"))
            elif entry.kind == NORMAL and entry.payload:
                outcome = self.machine.apply(entry.index, self.version, entry.payload)
                replies.append(Applied(entry.index, entry.term, outcome.reply))
                if leading and outcome.effects:
                    self._effects.extend(outcome.effects)
            self.applied = entry.index
        return replies

    def _upgrade(self, version: int) -> None:
        if version <= self.version:
            return
        if version > self.machine.newest_version():
            raise InvariantError(
                f"the group's machine runs at version {version}, this node only knows {self.machine.newest_version()}"
            )
        self.machine.upgrade(version)
        self.version = version

    def lead(self) -> None:
        """This member has become the leader: what the one before may not have done is to be done now."""
        self._effects = self.machine.leader_effects()

    def take_effects(self) -> list[Effect]:
        """The effects since the last call."""
        effects = self._effects
        self._effects = []
        return effects

    def snapshot(self) -> bytes:
        """The machine's image with its version, as `Snapshot.data`."""
        return self.version.to_bytes(VERSION_BYTES, "big") + self.machine.snapshot()

    def restore(self, snapshot: Snapshot) -> None:
        """Replace the machine's state by the snapshot's. Raises MalformedError, or InvariantError for a version that
        this node cannot run."""
        version = int.from_bytes(snapshot.data[:VERSION_BYTES], "big")
        if version > self.machine.newest_version():
            raise InvariantError(
                f"the snapshot is of version {version}, this node only knows {self.machine.newest_version()}"
            )
        self.machine.restore(version, snapshot.data[VERSION_BYTES:])
        self.version = version
        self.applied = snapshot.index
        self._effects = []
