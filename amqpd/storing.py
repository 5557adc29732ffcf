"""A node's messages on disk, from its start to its end: puts together the store, the keeper, and the two threads.

    open      reads everything and recovers it, which blocks; nothing is served yet
    restore   gives the queues, once they are defined, what was found
    run       the task that runs jobs
    stop      when all connections have ended: what is left reaches the disk, and a last record says so
    close     ends the threads and closes the files

Knows the settings; the parts do not. A node without a data directory has none of this.
"""

from __future__ import annotations

import logging
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from amqpd.broker.persistence.keeper import Keeper
from amqpd.broker.persistence.restoring import Restorer
from amqpd.broker.queues.classic import ClassicQueue
from amqpd.errors import ConfigError
from amqpd.maintenance import repairs
from amqpd.runtime.workers import Workers
from amqpd.server.backups import Backups
from amqpd.store.cipher import Cipher
from amqpd.store.files import DiskFiles
from amqpd.store.format import SECTOR
from amqpd.store.opening import open_store
from amqpd.store.options import StoreOptions

if TYPE_CHECKING:
    from amqpd.broker.node import Broker
    from amqpd.config import Settings
    from amqpd.runtime.catalogue import Writer
    from amqpd.runtime.driver import Driver

log = logging.getLogger("amqpd.store")

DIRECTORY: Final = "messages"
SPARES: Final = 2  # files of the journal kept at hand, the reserve for a full disk


class MessageStore:
    """Opens what is in `data_dir`, or makes it, and hands it to `broker`. Blocks. Raises ConfigError, StorageError."""

    def __init__(self, data_dir: Path, settings: Settings, broker: Broker) -> None:
        self._broker: Final = broker
        key_file = settings.text("encryption.key_file")
        self._cipher: Final = Cipher(key_file) if key_file else None
        self._key_files: Final = [Path(key_file)] if key_file else []
        self._files: Final = DiskFiles(data_dir / DIRECTORY)
        self.workers: Final = Workers()
        committer, background = self.workers.committer, self.workers.background
        try:
            self._store: Final = open_store(self._files, os.urandom, self._options(settings), background)
        except BaseException:
            self.workers.close()
            raise
        store = self._store
        self.workers.on_room = store.journal.room_again
        self.keeper: Final = Keeper(broker, store.journal, store.segments, store.pages, committer, background)
        broker.keeper = self.keeper
        _tell_repairs(data_dir)

    def _options(self, settings: Settings) -> StoreOptions:
        return StoreOptions(
            settings.number("journal.file_size") // SECTOR * SECTOR,
            settings.number("journal.size_max"),
            SPARES,
            settings.number("segments.file_size"),
            self._cipher,
        )

    def restore(self, driver: Driver) -> None:
        """Give the queues their messages, within a round, after all queues are defined. `workers` must run.

        Blocks. Raises StorageError.
        """
        found = self._store.recovered
        if found is None:
            return
        for torn in found.torn:
            log.info("%s ends at byte %d in a write that was never finished; it is left out", torn.path, torn.offset)
        Restorer(self._broker, self.keeper, found, partial(self.workers.work_off, driver)).run()
        self._store.recovered = None  # it is as large as what it found

    def check_new(self) -> None:
        """No definitions were ever stored: then there must be no messages either, which would be dropped. Raises
        ConfigError."""
        found = self._store.recovered
        if found is not None and found.labels:
            raise ConfigError(
                f"{self._files.path} has messages, and the definitions of their queues are gone: put back the copy of "
                "the definitions that belongs to them, or move the messages away"
            )

    async def stop(self, driver: Driver) -> None:
        """Have all that is left on disk, then the record that says that nothing is missing. Does not return where that
        fails: the driver ends the node.

        Nobody publishes or consumes any more. `workers` must run.
        """
        await self.workers.drain(driver)
        driver.quieten()  # what a timer wrote after the last record would make it look like a crash
        with driver.round():
            self.keeper.stop()
        await self.workers.drain(driver)

    def close(self) -> None:
        """End the threads, close the files. Blocks while something is written."""
        if self.workers.close():
            self._store.close()
        else:
            log.error("the disk does not answer: the node ends without closing its files")

    def free_bytes(self) -> int:
        """How much can still be written where the messages are. Raises StorageError."""
        return self._files.free_bytes()

    def key_files(self) -> list[Path]:
        """The files in which keys are, to be watched."""
        return self._key_files

    def reload_keys(self) -> None:
        """Read the key file again: new files get its first key, and the journal goes on in a new one.

        Raises ConfigError, and has then changed nothing.
        """
        if self._cipher is not None:
            before = self._cipher.current
            self._cipher.reload()
            if self._cipher.current != before:
                self._store.journal.rotate()
                log.info("new files are encrypted with key %s", self._cipher.current.rstrip(b"\0").hex())

    def backups(self, driver: Driver, writer: Writer) -> Backups:
        """What makes backups of it, and of the definitions that `writer` keeps."""
        directory = Path(self._files.path).parent
        return Backups(driver, writer, self.keeper, self._store, self.workers.background, directory)

    def report(self) -> dict[str, int]:
        """What operators can see. Sizes in bytes; what counts something began with the node."""
        journal, segments, pages = self._store.journal, self._store.segments, self._store.pages
        return {
            "journal_bytes": journal.size,
            "journal_files": journal.files,
            "journal_spares": journal.spares,
            "segment_bytes": segments.used,
            "segment_dead_bytes": segments.dead,
            "page_bytes": pages.used,
            "unsynced_bytes": self.keeper.unsynced(),
            "message_memory_bytes": self._broker.footprint.bytes,
            "messages_paged_out": self._paged_out(),
            "batches": journal.batches,
            "batch_bytes": journal.bytes,
            "syncs": journal.syncs + segments.syncs,
        }

    def _paged_out(self) -> int:
        queues = [queue for vhost in self._broker.vhosts.values() for queue in vhost.queues.values()]
        return sum(queue.paged_out_count() for queue in queues if isinstance(queue, ClassicQueue))


def _tell_repairs(data_dir: Path) -> None:
    """What an operator had repaired since the last start, and what was lost, belongs into the log."""
    lines = repairs.unseen(data_dir)
    for line in lines:
        log.warning("message store: %s", line)
    if lines:
        log.warning("the whole record of repairs is in %s", data_dir / repairs.LOG)
        repairs.seen(data_dir)
