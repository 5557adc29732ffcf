"""All that a store has, in order: the journal's records, then the pages of segments with their messages.

What was damaged is a line of its own, and what can be read goes on behind it. Memory is bounded by the largest batch or
page. Lines are dicts: a program gets them as JSON, people as text (`as_text`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from amqpd import pageindex
from amqpd.errors import MalformedError
from amqpd.maintenance.directory import NodeDirectory
from amqpd.maintenance.journal import Item, RecordReader
from amqpd.maintenance.messages import Described, describe
from amqpd.store import blocks, inventory
from amqpd.store.contents import LogKey, queue_name
from amqpd.store.format import ENTRY, FORGET, GROUP, MARK, SETTLE, START, STOP
from amqpd.store.opening import JOURNAL_DIRECTORY, SEGMENT_DIRECTORY
from amqpd.store.pagefiles import PageFile, lock_of
from amqpd.store.place import name_of
from amqpd.store.reading import FoundBatch
from amqpd.store.scan import Scan, Torn
from amqpd.store.segmentscan import Piece, open_header, pieces
from amqpd.store.segmentscan import name_of as segment_name
from amqpd.text import one_line
from amqpd.wire.primitives import read_i64_be

KINDS: Final = {
    GROUP: "group",
    ENTRY: "message",
    SETTLE: "settled",
    FORGET: "forgotten",
    MARK: "delivered-below",
    STOP: "stop",
    START: "start",
}

_POSITION_SIZE: Final = 8  # before each message in a page


class Dump:
    """Of a directory. `queue` (VHOST/NAME) chooses; `body_bytes` of each body are shown."""

    def __init__(self, directory: NodeDirectory, queue: str | None, body_bytes: int) -> None:
        self._directory: Final = directory
        self._queue: Final = queue
        self._body_bytes: Final = body_bytes
        self._reader: Final = RecordReader()

    def lines(self) -> Iterator[Described]:
        """Everything. Blocks. Raises KeyMissingError, VersionError, StorageError."""
        node_id, _problem = self._directory.node_id()
        yield from self._journal(node_id)
        yield from self._segments(node_id)

    # -- the journal

    def _journal(self, node_id: bytes) -> Iterator[Described]:
        files = self._directory.part(JOURNAL_DIRECTORY)
        if files is None:
            return
        for event in Scan(files, node_id, self._directory.cipher).events():
            if isinstance(event, FoundBatch):
                yield from self._batch(event)
            elif isinstance(event, Torn):
                yield {"kind": "torn", "file": event.path, "offset": event.offset}
            else:
                yield {"kind": "damaged", "file": event.path, "offset": event.offset, "problem": event.reason}

    def _batch(self, batch: FoundBatch) -> Iterator[Described]:
        place: Described = {"file": name_of(batch.number), "offset": batch.offset, "batch": batch.sequence}
        try:
            for item in self._reader.items(batch):
                shown = self._record(item)
                if shown:
                    yield {**place, **shown}
        except MalformedError as error:
            yield {"kind": "damaged", **place, "problem": str(error)}

    def _record(self, item: Item) -> Described:
        """A record; {} where it is not of the queue that is meant."""
        logs = [{"queue": self._name(key), "index": index} for key, index in item.homes]
        if self._queue is not None and not any(self._is_meant(key) for key, _index in item.homes):
            return {}
        shown: Described = {"kind": KINDS.get(item.kind, f"unknown {item.kind}")}
        if item.kind == ENTRY:
            shown["logs"] = logs
            shown.update(describe(item.data, self._body_bytes))
            return shown
        if logs:
            shown["queue"] = logs[0]["queue"]
        if item.kind == MARK:
            shown["index"] = logs[0]["index"]
        elif item.kind == SETTLE:
            ranges = item.ranges
            shown["indexes"] = [ranges[at : at + 2] for at in range(0, len(ranges), 2)]
        return shown

    def _name(self, key: LogKey | None) -> str:
        return "?" if key is None else queue_name(self._reader.labels.get(key, b"?"), key[1])

    def _is_meant(self, key: LogKey | None) -> bool:
        return key is not None and self._reader.labels.get(key, b"").decode("utf-8", "replace") == self._queue

    # -- segments

    def _segments(self, node_id: bytes) -> Iterator[Described]:
        files = self._directory.part(SEGMENT_DIRECTORY)
        listed = inventory.load(files) if files is not None else None
        if files is None or listed is None:
            return
        names = set(files.names())
        for number, size in sorted(listed[1].items()):
            name = segment_name(number)
            path = f"{files.path}/{name}"
            if name not in names:
                yield {"kind": "damaged", "file": path, "offset": 0, "problem": "the file is missing"}
                continue
            handle = files.open(name, writable=False)
            try:
                header = open_header(handle, number, node_id)
                if header is None:
                    yield {"kind": "damaged", "file": path, "offset": 0, "problem": "the file's header is damaged"}
                    continue
                file = PageFile(name, path, header, lock_of(header, self._directory.cipher, path))
                for piece in pieces(file, handle, min(size, handle.size()), True):
                    yield from self._piece(file, piece)
            finally:
                handle.close()

    def _piece(self, file: PageFile, piece: Piece) -> Iterator[Described]:
        place: Described = {"file": file.name, "offset": piece.offset}
        if piece.problem:
            if self._queue is None or piece.label.decode("utf-8", "replace") == self._queue:
                yield {"kind": "damaged", **place, "problem": f"{piece.who()}: {piece.problem}"}
        elif piece.kind == blocks.PAGE:
            if self._queue is None or piece.label.decode("utf-8", "replace") == self._queue:
                yield from self._page(file, piece, place)
        elif self._queue is None and piece.kind == blocks.SETTLED:
            for offset, ranges in blocks.parse_settled(piece.payload):
                gone: object = "all" if ranges is None else [list(span) for span in ranges]
                yield {**place, "kind": "settled", "page": offset, "indexes": gone}
        elif self._queue is None:
            yield {**place, "kind": "given-up", "bytes": piece.length}

    def _page(self, file: PageFile, piece: Piece, place: Described) -> Iterator[Described]:
        name = queue_name(piece.label, piece.level)
        payload = piece.payload
        if file.lock is not None:
            payload = _opened(file, piece)
        try:
            index = pageindex.decode(piece.index)
            yield {**place, "kind": "page", "queue": name, "indexes": [[index.first, index.last]], "count": index.count}
            for start, end in blocks.messages_of(payload):
                position: int = read_i64_be(payload, start + 4)
                stored = payload[start + 4 + _POSITION_SIZE : end]
                logs = [{"queue": name, "index": position}]
                yield {**place, "kind": "message", "logs": logs, **describe(stored, self._body_bytes)}
        except MalformedError as error:
            yield {**place, "kind": "damaged", "problem": str(error)}


def _opened(file: PageFile, piece: Piece) -> bytes:
    """The payload of a page of an encrypted file; `pieces` has tried it already."""
    assert file.lock is not None
    at = piece.offset + piece.length - len(piece.payload)
    plain = file.lock.open(at, piece.payload, b"")
    assert plain is not None
    return plain


# -- for people


def as_json(line: Described) -> str:
    """One line of JSON."""
    return json.dumps(line, ensure_ascii=False)


def as_text(line: Described) -> str:
    """One line for people: where, what, whose, and the rest as key=value."""
    rest = dict(line)
    kind = str(rest.pop("kind"))
    place = f"{rest.pop('file', '')}:{rest.pop('offset', 0)}"
    batch = rest.pop("batch", None)
    if batch is not None:
        place += f" #{batch}"
    logs = rest.pop("logs", None)
    words = [place, kind]
    if isinstance(logs, list):
        words.append(", ".join(f"{log['queue']}[{log['index']}]" for log in logs))
    for key, value in rest.items():
        if value != {}:
            shown = value if isinstance(value, str) and key == "queue" else json.dumps(value, ensure_ascii=False)
            words.append(f"{key}={shown}" if key != "queue" else str(shown))
    return one_line(" ".join(words))
