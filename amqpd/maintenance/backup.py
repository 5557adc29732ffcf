"""A backup of a node that does not run. Blocks.

Keys are not in it: what is encrypted stays so, and needs the key file for its messages to be read again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from amqpd.errors import DamagedError, StorageError
from amqpd.maintenance import definitions
from amqpd.maintenance.copying import Copier, Source, Target
from amqpd.maintenance.directory import DATABASE, MESSAGES, NodeDirectory
from amqpd.maintenance.manifest import Manifest
from amqpd.store import inventory
from amqpd.store.bounds import BOUNDS
from amqpd.store.opening import JOURNAL_DIRECTORY, NODE_NAME, SEGMENT_DIRECTORY
from amqpd.store.place import number_of
from amqpd.store.segmentscan import name_of as segment_name

JOURNAL: Final = f"{MESSAGES}/{JOURNAL_DIRECTORY}"
SEGMENTS: Final = f"{MESSAGES}/{SEGMENT_DIRECTORY}"


def back_up(directory: NodeDirectory, path: Path, time: str) -> Manifest:
    """Write a backup of a stopped node to `path`, which is made. Raises ConfigError, StorageError."""
    directory.must_be_stopped()
    if directory.has_messages() and not directory.database.exists():
        raise DamagedError(f"{directory.database} is missing: messages without their queues are no backup")
    if path.resolve().is_relative_to(directory.path.resolve()):
        raise StorageError(f"{path} is in {directory.path}, which is no place for its own backup")
    target = Target(path)
    copier = None
    try:
        present = []
        if directory.database.exists():
            definitions.copy(directory.database, path / DATABASE, running=False)
            present.append(DATABASE)
        node_id, sources = _sources(directory)
        copier = Copier(target, sources, present)
        while copier.step():
            pass
        manifest = Manifest(node_id.hex(), time, copier.entries, online=False)
        copier.complete(manifest)
        return manifest
    except BaseException:
        if copier is not None:
            copier.close()
        target.abandon()
        raise


def _sources(directory: NodeDirectory) -> tuple[bytes, list[Source]]:
    """The message store's files. Raises DamagedError where some of them are not even named."""
    if not directory.has_messages():
        return b"", []
    node_id, problem = directory.node_id()
    journal, segments = directory.part(JOURNAL_DIRECTORY), directory.part(SEGMENT_DIRECTORY)
    listed = inventory.load(segments) if segments is not None else None
    if problem or journal is None or segments is None or listed is None:
        raise DamagedError(f"{directory.messages} is damaged: `amqpd store check {directory.path}` says more")
    sources = [Source(f"{MESSAGES}/{NODE_NAME}", directory.messages / NODE_NAME)]
    for name in journal.names():
        if name in BOUNDS or number_of(name):
            sources.append(Source(f"{JOURNAL}/{name}", Path(journal.path, name)))
    sources += segment_sources(Path(segments.path), listed[1])
    sources.append(Source(f"{SEGMENTS}/{inventory.NAME}", Path(segments.path, inventory.NAME)))
    return node_id, sources


def segment_sources(folder: Path, listed: dict[int, int]) -> list[Source]:
    """Segment files, as far as the inventory counts them."""
    sources = []
    for number, size in sorted(listed.items()):
        name = segment_name(number)
        sources.append(Source(f"{SEGMENTS}/{name}", folder / name, size, cut=True))
    return sources
