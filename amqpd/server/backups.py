"""Backups of a running node: definitions and messages as they were in one moment.

The moment is the end of a round. What was gathered until then is sealed into batches, and three things are noted: which
files the journal has and how far they go, which definition was recorded last, and, as soon as the background thread
comes to it, what the inventory of segments lists. The inventory may be one of before that moment, never a later one:
what has not moved to a segment by then is in the journal. Nothing of it changes any more: journal and segments are only
appended to, and while a backup is made no file is freed or removed (`pins`).

Then everything is copied, a piece at a time, in a thread, while the node goes on. Definitions are copied by their
writer when it comes to that point of their order; declares wait for that, and nobody else.

Invariant: at most one backup at a time. However it ends, the pins are taken back.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import trio

from amqpd.broker.ports import Job, Worker
from amqpd.errors import StorageError
from amqpd.maintenance.backup import JOURNAL, SEGMENTS, segment_sources
from amqpd.maintenance.copying import Copier, Source, Target
from amqpd.maintenance.directory import DATABASE, MESSAGES
from amqpd.maintenance.manifest import Manifest
from amqpd.runtime.catalogue import Copy, Writer
from amqpd.store import inventory
from amqpd.store.bounds import FIRST_NAME, LAST_NAME, encode_bound
from amqpd.store.files import Files
from amqpd.store.opening import JOURNAL_DIRECTORY, NODE_NAME, SEGMENT_DIRECTORY, Store
from amqpd.store.place import number_of

if TYPE_CHECKING:
    from amqpd.broker.persistence.keeper import Keeper
    from amqpd.runtime.driver import Driver

log = logging.getLogger("amqpd.operator")


class ReadInventory(Job):
    """What the inventory lists when the syncs that were begun before are through. `failure` is nothing to the node."""

    def __init__(self, files: Files) -> None:
        self._files: Final = files
        self.listed: dict[int, int] = {}
        self.failure: StorageError | None = None
        self.done: Final = trio.Event()

    def run(self) -> None:
        try:
            found = inventory.load(self._files)
            self.listed = found[1] if found is not None else {}
        except StorageError as error:
            self.failure = error

    def finish(self) -> None:
        self.done.set()


class Moment:
    """What was noted at the moment that a backup shows."""

    def __init__(
        self,
        time: str,
        standing: list[tuple[str, int]],
        database: Copy,
        segments: ReadInventory,
        committed: trio.Event,
    ) -> None:
        self.time: Final = time
        self.standing: Final = standing
        self.database: Final = database
        self.segments: Final = segments
        self.committed: Final = committed

    async def reached(self) -> None:
        """Wait until all of it is on disk. Raises StorageError."""
        await self.committed.wait()
        await self.segments.done.wait()
        await self.database.made.wait()
        failure = self.segments.failure or self.database.failure
        if failure is not None:
            raise failure


class Backups:
    """Makes them. `data_dir` is the node's."""

    def __init__(
        self, driver: Driver, writer: Writer, keeper: Keeper, store: Store, background: Worker, data_dir: Path
    ) -> None:
        self._driver: Final = driver
        self._writer: Final = writer
        self._keeper: Final = keeper
        self._store: Final = store
        self._background: Final = background
        self._data_dir: Final = data_dir.absolute()
        self._busy = False

    async def make(self, path: Path) -> Manifest:
        """Write a backup to `path`, which is made. Raises StorageError, which is nothing to the node."""
        if self._busy:
            raise StorageError("a backup is being made; one at a time")
        self._busy = True
        try:
            target = await trio.to_thread.run_sync(self._target, path)
            try:
                manifest = await self._make(target)
            except BaseException:
                with trio.CancelScope(shield=True):
                    await trio.to_thread.run_sync(target.abandon)
                raise
        finally:
            self._busy = False
        size = sum(entry.size for entry in manifest.entries)
        log.info("backup to %s: %d files, %d bytes, as of %s", path, len(manifest.entries), size, manifest.time)
        return manifest

    def _target(self, path: Path) -> Target:
        """The new directory. Blocks. Raises StorageError."""
        if path.resolve().is_relative_to(self._data_dir.resolve()):
            raise StorageError(f"{path} is in the node's own directory, which is no place for its backup")
        return Target(path)

    async def _make(self, target: Target) -> Manifest:
        await self._writer.released()
        moment = self._note(target.path)
        try:
            await moment.reached()
            copier = Copier(target, self._sources(moment), [DATABASE])
            try:
                while await trio.to_thread.run_sync(copier.step):
                    pass
                manifest = Manifest(self._store.node_id.hex(), moment.time, copier.entries, online=True)
                await trio.to_thread.run_sync(copier.complete, manifest)
            finally:
                copier.close()
            return manifest
        finally:
            self._keeper.pins -= 1  # the next round frees what waits for it
            self._store.segments.unpin()

    def _note(self, path: Path) -> Moment:
        """The moment."""
        with self._driver.round():
            self._keeper.pins += 1
            self._store.segments.pins += 1
            segments = ReadInventory(self._store.segments.files.files)
            self._background.submit(segments)
            database = self._writer.copy(path / DATABASE)
            time = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            committed = trio.Event()
            self._keeper.cut(committed.set)
            return Moment(time, self._store.journal.standing(), database, segments, committed)

    def _sources(self, moment: Moment) -> list[Source]:
        """What is copied besides the definitions. What says which files there are is as it was at that moment."""
        messages = self._data_dir / MESSAGES
        node_id = self._store.node_id
        sources = [Source(f"{MESSAGES}/{NODE_NAME}", messages / NODE_NAME)]
        for bound, (name, _end) in ((FIRST_NAME, moment.standing[0]), (LAST_NAME, moment.standing[-1])):
            data = encode_bound(bound, node_id, number_of(name))
            sources.append(Source(f"{JOURNAL}/{bound}", None, data=data))
        for name, end in moment.standing:
            place = messages / JOURNAL_DIRECTORY / name
            sources.append(Source(f"{JOURNAL}/{name}", place, end) if end else Source(f"{JOURNAL}/{name}", place))
        listed = moment.segments.listed
        sources += segment_sources(messages / SEGMENT_DIRECTORY, listed)
        data = inventory.encode(node_id, sorted(listed.items()))
        sources.append(Source(f"{SEGMENTS}/{inventory.NAME}", None, data=data))
        return sources
