"""Writes a journal anew from what is sound in a damaged one.

Everything that can be read goes into the new one, in its order, also what follows a damaged place. A record whose log
was named in a part that is lost is kept where the same run of the node says elsewhere which one it is; what nobody can
tell is counted (`Rewritten.nameless`). The new journal ends without the record of an orderly stop, so what comes back
counts as redelivered.

Blocks. Raises StorageError.
"""

from __future__ import annotations

import os
from typing import Final

from amqpd.maintenance.journal import Item, JournalRead, RecordReader, batches, learn_runs
from amqpd.store.bounds import make_bounds
from amqpd.store.cipher import PLAIN, Cipher
from amqpd.store.contents import LogKey
from amqpd.store.files import Files
from amqpd.store.format import ENTRY, FORGET, MARK, SETTLE
from amqpd.store.journal import Journal
from amqpd.store.options import StoreOptions

BATCH_BYTES: Final = 1 << 20


class Rewritten:
    """What became of a journal: `messages` were kept, `nameless` belong to a queue that nobody knows."""

    def __init__(self) -> None:
        self.messages = 0
        self.nameless = 0


def rewrite(
    source: JournalRead, node_id: bytes, cipher: Cipher | None, queues: dict[bytes, str], target: Files
) -> Rewritten:
    """Write what is sound in `source` into the empty directory `target`. It is on disk when this returns.

    `queues` are the names of those that are defined, by their identities.
    """
    runs = learn_runs(source, node_id, cipher, queues)
    encrypted = bool(set(source.keys()) - {PLAIN})
    labels = {identity: name.encode() for identity, name in queues.items()}
    labels.update({log.identity: log.label for log in source.contents.logs.values()})
    writer = _Writer(node_id, cipher if encrypted else None, labels, target)
    reader = RecordReader(runs)
    for batch in batches(source, node_id, cipher):
        for item in reader.items(batch):
            writer.take(item)
    writer.close()
    return writer.done


def make_empty(node_id: bytes, target: Files) -> None:
    """A journal with nothing in it, in the place of one that is not there."""
    _Writer(node_id, None, {}, target).close()


class _Writer:
    """`labels` are of queues, by their identities."""

    def __init__(self, node_id: bytes, cipher: Cipher | None, labels: dict[bytes, bytes], target: Files) -> None:
        self._labels: Final = labels
        self.done: Final = Rewritten()
        make_bounds(target, node_id)
        self._target: Final = target
        self._journal: Final = Journal(target, node_id, os.urandom, StoreOptions(cipher=cipher), 0, 0, [], None, [])
        self._refs: Final[dict[LogKey, int]] = {}
        self._announced: Final[dict[int, int]] = {}
        self._journal.begin()
        self._journal.start()

    def take(self, item: Item) -> None:
        """Write a record, as far as it is known whose it is."""
        kind = item.kind
        if kind not in (ENTRY, SETTLE, FORGET, MARK):
            return
        homes = [(key, index) for key, index in item.homes if key is not None]
        if kind == ENTRY:
            self.done.messages += 1 if homes else 0
            self.done.nameless += 0 if homes else 1
        if not homes:
            return
        journal = self._journal
        if journal.records == 0:
            journal.begin()
        refs = [self._ref(key) for key, _index in homes]
        if kind == ENTRY:
            self._entry(refs, [index for _key, index in homes], item)
        elif kind == SETTLE:
            journal.settle(refs[0], item.ranges)
        elif kind == FORGET:
            journal.forget(refs[0])
        else:
            journal.mark(refs[0], homes[0][1])
        if len(journal.out) >= BATCH_BYTES:
            self._write()

    def _entry(self, refs: list[int], indexes: list[int], item: Item) -> None:
        journal = self._journal
        if len(refs) == 1:
            journal.entry(refs[0], indexes[0], item.term, len(item.data))
        else:
            journal.entry_in_many(refs, indexes, item.term, len(item.data))
        journal.out.write(item.data)

    def _ref(self, key: LogKey) -> int:
        ref = self._refs.setdefault(key, len(self._refs) + 1)
        if self._announced.get(ref) != self._journal.file:
            self._announced[ref] = self._journal.file
            self._journal.group(ref, key[0], key[1], self._labels.get(key[0], b"?"))
        return ref

    def _write(self) -> None:
        batch = self._journal.seal()
        if batch is not None:
            batch.run()
            batch.finish()

    def close(self) -> None:
        self._write()
        self._journal.close()
        self._target.sync()
