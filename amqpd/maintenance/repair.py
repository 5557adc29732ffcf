"""Has a node start again whose message store is damaged: what is damaged is cut out, what is whole is kept.

Only where no node runs, and only when the operator accepts the loss, which is recorded before anything is changed. What
is changed is kept in `messages/damaged-N`. The journal is written anew beside the old one, which is then moved away; in
segments what is damaged is marked as given up. A repair that was interrupted is finished by the next one.

The definitions database is not repaired: a copy of it belongs in its place.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from amqpd.errors import DamagedError
from amqpd.maintenance import repairs
from amqpd.maintenance.checking import Checked, check
from amqpd.maintenance.damage import Damage
from amqpd.maintenance.directory import NodeDirectory
from amqpd.maintenance.keeping import Keeping, sync_folder
from amqpd.maintenance.mending import Mender
from amqpd.maintenance.rewriting import Rewritten, make_empty, rewrite
from amqpd.store.files import DiskFiles, failure
from amqpd.store.format import NODE, FileHeader
from amqpd.store.inventory import encode, replace
from amqpd.store.opening import JOURNAL_DIRECTORY, NODE_NAME, SEGMENT_DIRECTORY

REWRITTEN: Final = "journal.repaired"


class Repair:
    """Of a directory that no node uses. `damages` are those of the message store; nothing is changed so far.

    Raises ConfigError where a node runs; KeyMissingError, VersionError, StorageError where it cannot be read.
    """

    def __init__(self, directory: NodeDirectory) -> None:
        directory.must_be_stopped()
        self._directory: Final = directory
        self._messages: Final = directory.messages
        self.interrupted: Final = self._is_interrupted()
        found = check(directory).damages
        self.damages: Final = self._of_messages(found)
        self.definitions: Final = [each for each in found if each.path == str(directory.database)]

    def _of_messages(self, damages: Sequence[Damage]) -> list[Damage]:
        """Those of the message store; of a repair that was interrupted, the journal is not missing."""
        others = {str(self._directory.database)}
        if self.interrupted and not (self._messages / JOURNAL_DIRECTORY).exists():
            others.add(str(self._messages / JOURNAL_DIRECTORY))
        return [damage for damage in damages if damage.path not in others]

    def _is_interrupted(self) -> bool:
        """Whether a repair ended between two renames: the new journal is complete, and has not its name yet."""
        return (self._messages / REWRITTEN).is_dir() and not (self._messages / JOURNAL_DIRECTORY).exists()

    def run(self, time: str) -> list[str]:
        """Do it, and return what was recorded in `repairs.log` with `time`. Blocks. Raises StorageError."""
        keeping = Keeping(self._messages)
        lines = [f"repair, with the loss accepted; what was there before is kept in {keeping.path.name}"]
        if self.interrupted:
            lines = ["repair: one that was interrupted is finished; what was there before is kept beside the messages"]
        lines += [f"given up: {damage}" for damage in self.damages]
        repairs.note(self._directory.path, time, lines)
        if self.interrupted:
            self._rename(REWRITTEN, JOURNAL_DIRECTORY)
        checked = check(self._directory)
        more = self._carry_out(checked, keeping)
        left = self._of_messages(check(self._directory).damages)
        if left:
            raise DamagedError(f"this is damaged even after the repair: {'; '.join(map(str, left))}")
        more.append("repair: done")
        repairs.note(self._directory.path, time, more)
        return lines + more

    def _carry_out(self, checked: Checked, keeping: Keeping) -> list[str]:
        if not checked.node_id:
            return self._begin_anew(keeping)
        more: list[str] = []
        if any(damage.path.endswith(f"/{NODE_NAME}") for damage in checked.damages):
            self._write_node(checked.node_id, keeping)
        journal = checked.journal
        if journal is None or journal.damages:
            done = self._replace_journal(checked, keeping)
            if done.nameless:
                more.append(f"given up: {done.nameless} messages of which nobody can tell whose they are")
        segments = self._directory.part(SEGMENT_DIRECTORY)
        if segments is None:
            files = DiskFiles(self._messages / SEGMENT_DIRECTORY)
            replace(files, encode(checked.node_id, []))
        elif _concerns(checked.damages, segments.path):
            Mender(segments, checked.node_id, self._directory.cipher, keeping).mend()
        sync_folder(self._messages)
        return more

    def _begin_anew(self, keeping: Keeping) -> list[str]:
        """Not one file is left that says whose it is."""
        for name in sorted(os.listdir(self._messages)):
            if not name.startswith("damaged-"):
                keeping.move("", name)
        return ["given up: everything, since no file says to which node it belongs; the node begins with nothing"]

    def _write_node(self, node_id: bytes, keeping: Keeping) -> None:
        files = self._directory.files()
        if NODE_NAME in files.names():
            keeping.copy("", NODE_NAME)
        name = f"{NODE_NAME}.repaired"
        if name in files.names():
            files.remove(name)
        file = files.create(name)
        try:
            file.write(0, [FileHeader(NODE, node_id, 0).encode()])
            file.sync()
        finally:
            file.close()
        files.rename(name, NODE_NAME)
        files.sync()

    def _replace_journal(self, checked: Checked, keeping: Keeping) -> Rewritten:
        target = DiskFiles(self._messages / REWRITTEN)
        for name in target.names():  # of a repair that did not come to its end
            target.remove(name)
        done = Rewritten()
        if checked.journal is None:
            make_empty(checked.node_id, target)
        else:
            queues = checked.queues()
            done = rewrite(checked.journal, checked.node_id, self._directory.cipher, queues, target)
            keeping.move("", JOURNAL_DIRECTORY)
        self._rename(REWRITTEN, JOURNAL_DIRECTORY)
        return done

    def _rename(self, old: str, new: str) -> None:
        try:
            (self._messages / old).rename(self._messages / new)
        except OSError as error:
            raise failure(error, f"rename to {new}", str(self._messages / old)) from error
        sync_folder(self._messages)


def _concerns(damages: Sequence[Damage], folder: str) -> bool:
    return any(Path(damage.path).parent == Path(folder) for damage in damages)
