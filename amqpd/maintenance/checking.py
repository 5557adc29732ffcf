"""Reads everything that a node has on disk, and says what it found.

On a running node files change and go while they are read. What is damaged stays so: a damage counts only if reading
everything once more finds it again, and where files went away reading begins anew, a few times.
"""

from __future__ import annotations

from typing import Final

from amqpd.broker.persistence.encoding import body_size
from amqpd.errors import DamagedError, MalformedError, StorageError
from amqpd.maintenance import definitions as databases
from amqpd.maintenance import journal as journals
from amqpd.maintenance.damage import Damage
from amqpd.maintenance.definitions import Definitions
from amqpd.maintenance.directory import NodeDirectory
from amqpd.maintenance.journal import JournalRead, RecordReader
from amqpd.pageindex import Homes, decode
from amqpd.ranges import Ranges
from amqpd.store import inventory
from amqpd.store.cipher import Cipher
from amqpd.store.contents import Log, LogKey, queue_name
from amqpd.store.format import ENTRY
from amqpd.store.opening import JOURNAL_DIRECTORY, NODE_NAME, SEGMENT_DIRECTORY
from amqpd.store.segmentscan import Found, Problem, RecoveredPage, read_all

TRIES: Final = 5
"""How often everything is read, on a running node, before it is given up."""


class Waiting:
    """What waits in one log. `defined`: its queue is in the definitions; None where that cannot be said."""

    def __init__(self, name: str, defined: bool | None) -> None:
        self.name: Final = name
        self.defined: Final = defined
        self.messages = 0
        self.bytes = 0


class Segments:
    """The segment files that are in use: how many, their bytes and keys, what is in them, and what is damaged."""

    def __init__(self) -> None:
        self.files = 0
        self.bytes = 0
        self.keys: dict[bytes, int] = {}
        self.found = Found()
        self.damages: Final[list[Damage]] = []


class Checked:
    """What a node has on disk."""

    def __init__(self, directory: NodeDirectory) -> None:
        self.path: Final = str(directory.path)
        self.running: Final = directory.running
        self.node_id = b""
        self.definitions: Definitions | None = None
        self.journal: JournalRead | None = None
        self.segments: Segments | None = None
        self.waiting: dict[LogKey, Waiting] = {}
        self.nameless = 0  # messages of which nobody can tell whose they are
        self.damages: list[Damage] = []

    def queues(self) -> dict[bytes, str]:
        """The durable queues that are defined: names by identity."""
        return (self.definitions.queues if self.definitions is not None else None) or {}

    def keys(self) -> dict[bytes, int]:
        """How many files have which key."""
        found: dict[bytes, int] = {}
        for part in (self.journal.keys() if self.journal else {}, self.segments.keys if self.segments else {}):
            for key_id, count in part.items():
                found[key_id] = found.get(key_id, 0) + count
        return found


def check(directory: NodeDirectory) -> Checked:
    """Read everything. Blocks.

    Raises KeyMissingError, VersionError, StorageError where that cannot be done; damage is in the result.
    """
    if not directory.running:
        return _check_once(directory)
    before: set[tuple[str, int]] = set()
    checked: Checked | None = None
    trouble: StorageError | None = None
    for _ in range(TRIES):
        try:
            checked = _check_once(directory)
        except DamagedError:
            raise
        except StorageError as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                raise
            trouble = error
            continue
        now = {(damage.path, damage.offset) for damage in checked.damages}
        lasting = now & before
        if not now or lasting:
            checked.damages = [damage for damage in checked.damages if (damage.path, damage.offset) in lasting]
            return checked
        before = now
    if trouble is not None:
        raise StorageError(
            f"{directory.path} changes faster than it can be read ({trouble}); make a backup (`amqpctl backup`) and "
            "check that, or stop the node"
        )
    assert checked is not None
    checked.damages = []  # never twice at the same place: they were files in use, being written
    return checked


def _check_once(directory: NodeDirectory) -> Checked:
    checked = Checked(directory)
    checked.definitions = databases.read(directory.database, directory.running)
    for problem in checked.definitions.problems:
        checked.damages.append(Damage(str(directory.database), -1, problem))
    if directory.has_messages():
        checked.node_id, problem = directory.node_id()
        if problem:
            checked.damages.append(Damage(f"{directory.messages}/{NODE_NAME}", -1, problem))
        if not checked.definitions.there:
            missing = "is missing, and messages are there whose queues it defines"
            checked.damages.append(Damage(str(directory.database), -1, missing))
        # The journal first: what moves to segments meanwhile is found there, and counted once.
        _check_journal(checked, directory)
        _check_segments(checked, directory)
        _count(checked, directory.cipher)
    return checked


def _check_journal(checked: Checked, directory: NodeDirectory) -> None:
    files = directory.part(JOURNAL_DIRECTORY)
    if files is None:
        checked.damages.append(Damage(f"{directory.messages}/{JOURNAL_DIRECTORY}", -1, "is missing"))
        return
    checked.journal = journals.read(files, checked.node_id, directory.cipher)
    checked.damages.extend(checked.journal.damages)


def _check_segments(checked: Checked, directory: NodeDirectory) -> None:
    files = directory.part(SEGMENT_DIRECTORY)
    if files is None:
        checked.damages.append(Damage(f"{directory.messages}/{SEGMENT_DIRECTORY}", -1, "is missing"))
        return
    checked.segments = segments = Segments()
    path = f"{files.path}/{inventory.NAME}"
    try:
        listed = inventory.load(files)
    except DamagedError as error:
        checked.damages.append(Damage(path, -1, str(error).removeprefix(f"{path}: ")))
        return
    if listed is None:
        checked.damages.append(Damage(path, -1, "is missing; it says which segment files are in use"))
        return
    if listed[0] != checked.node_id:
        raise StorageError(f"{files.path} belongs to another node than the rest of the directory: put back its own")
    found = read_all(files, checked.node_id, directory.cipher, listed[1], True)
    segments.found = found
    segments.files = len(listed[1])
    segments.bytes = sum(listed[1].values())
    for scanned in found.files:
        segments.keys[scanned.header.key_id] = segments.keys.get(scanned.header.key_id, 0) + 1
    logs = checked.journal.contents.logs if checked.journal is not None else {}
    segments.damages.extend(damage_of(problem, logs) for problem in found.problems)
    checked.damages.extend(segments.damages)


def damage_of(problem: Problem, logs: dict[LogKey, Log]) -> Damage:
    """A damaged place of a segment file, as tools speak of it; `logs` know what of it is settled."""
    piece = problem.piece
    if piece is None:
        return Damage(problem.path, problem.offset if problem.offset else -1, problem.text)
    what = piece.problem or "its index makes no sense"
    messages: dict[str, Ranges] = {}
    if piece.label:
        indexes = messages.setdefault(queue_name(piece.label, piece.level), Ranges())
        try:
            index = decode(piece.index)
            indexes.add(index.first, index.last)
        except MalformedError:
            return Damage(problem.path, problem.offset, what, messages)  # the queue alone is known, then
        log = logs.get((piece.identity, piece.level))
        for first, last in log.settled.spans() if log is not None else ():
            indexes.discard(first, last)
        if not indexes:
            what = f"{what}; nothing of it waits any more"
            messages.clear()
    return Damage(problem.path, problem.offset, what, messages)


# -- what waits


def _count(checked: Checked, cipher: Cipher | None) -> None:
    """What waits in which log: as a node that starts would find it."""
    homes: dict[LogKey, Homes] = {}
    found = checked.segments.found if checked.segments else Found()
    for recovered in found.pages:
        key = (recovered.identity, recovered.level)
        homes.setdefault(key, Homes()).add(recovered.index)
        _count_page(checked, key, recovered)
    for home in homes.values():
        home.sort()
    if checked.journal is None:
        return
    damaged = bool(checked.journal.damages)
    runs = journals.learn_runs(checked.journal, checked.node_id, cipher, checked.queues()) if damaged else None
    reader = RecordReader(runs)
    for batch in journals.batches(checked.journal, checked.node_id, cipher):
        for item in reader.items(batch):
            if item.kind != ENTRY:
                continue
            for key_or_none, index in item.homes:
                if key_or_none is None:
                    checked.nameless += 1
                else:
                    _count_entry(checked, homes, key_or_none, index, item.data)


def _count_entry(checked: Checked, homes: dict[LogKey, Homes], key: LogKey, index: int, stored: bytes) -> None:
    """A message of the journal, which waits there unless it is settled, or has moved to a page."""
    log = checked.journal.contents.logs.get(key) if checked.journal is not None else None
    if log is not None and (log.forgotten or log.settled.contains(index)):
        return
    here = homes.get(key)
    if here is None or not here.has(index):
        label = log.label if log is not None else checked.queues().get(key[0], "?").encode()
        _waits(checked, key, label, 1, body_size(stored))


def _count_page(checked: Checked, key: LogKey, recovered: RecoveredPage) -> None:
    log = checked.journal.contents.logs.get(key) if checked.journal else None
    page = recovered.page
    if log is not None:
        if log.forgotten:
            return
        if page.settled is None:
            page.settled = Ranges()
        for first, last in log.settled.spans_between(page.first, page.last):
            page.settled.add(first, last)
        recovered.count_live()
    if page.live:
        _waits(checked, key, recovered.label, page.live, page.size * page.live // page.count)


def _waits(checked: Checked, key: LogKey, label: bytes, messages: int, size: int) -> None:
    waiting = checked.waiting.get(key)
    if waiting is None:
        queues = checked.definitions.queues if checked.definitions is not None else None
        defined = None if queues is None else key[0] in queues
        waiting = checked.waiting[key] = Waiting(queue_name(label, key[1]), defined)
    waiting.messages += messages
    waiting.bytes += size
