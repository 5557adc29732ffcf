"""How `amqpd store check` says what it found: lines for people, or one JSON object."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from amqpd.text import one_line

if TYPE_CHECKING:
    from amqpd.maintenance.checking import Checked


def as_lines(checked: Checked) -> Iterator[str]:
    """The report, a line at a time."""
    state = "in use by a node: what is said is of a moment ago" if checked.running else "not in use"
    yield f"{one_line(checked.path)}: {state}"
    yield f"definitions: {_definitions(checked)}"
    journal = checked.journal
    if checked.node_id:
        yield f"node: {checked.node_id.hex()}"
    if journal is not None:
        span = f"batches {journal.first} to {journal.last}" if journal.batches else "no batches"
        yield (
            f"journal: {len(journal.scan.used())} files in use, {len(journal.scan.spares)} spares, "
            f"{journal.batches} batches ({span}), {journal.contents.records} records, {journal.bytes} bytes"
        )
    segments = checked.segments
    if segments is not None:
        pages = len(segments.found.pages)
        yield f"segments: {segments.files} files, {segments.bytes} bytes, {pages} pages with messages that wait"
    if journal is not None or segments is not None:
        keys = ", ".join(f"{count} with key {_key(key_id)}" for key_id, count in sorted(checked.keys().items()))
        yield f"encryption: {keys.replace('with key none', 'not encrypted') or 'no files'}"
        yield from _waiting(checked)
    yield from _notes(checked)
    for damage in checked.damages:
        yield f"damaged: {damage}"
    places = len(checked.damages)
    yield f"damaged in {places} place{'s' if places > 1 else ''}" if places else "sound"


def _definitions(checked: Checked) -> str:
    found = checked.definitions
    if found is None or not found.there:
        return "none"
    if found.problems:
        return "damaged"
    queues = "" if found.queues is None else f", {len(found.queues)} durable queues"
    return f"schema {found.revision}{queues}"


def _waiting(checked: Checked) -> Iterator[str]:
    waiting = sorted(checked.waiting.values(), key=lambda each: each.name)
    messages = sum(each.messages for each in waiting)
    yield f"waiting: {messages} messages, {sum(each.bytes for each in waiting)} bytes of bodies"
    for each in waiting:
        yield f"  {one_line(each.name)}: {each.messages} messages, {each.bytes} bytes"


def _notes(checked: Checked) -> Iterator[str]:
    """What is no damage, and worth to be known."""
    journal = checked.journal
    if checked.nameless:
        yield f"note: {checked.nameless} messages are of a queue whose name is lost with what is damaged"
    for torn in journal.torn if journal is not None and not checked.running else ():
        yield (
            f"note: {one_line(torn.path)} ends at byte {torn.offset} in a write that was never finished, of which "
            "nobody was told that it is stored"
        )
    for each in checked.waiting.values():
        if each.defined is False:
            yield (
                f"note: {each.messages} messages are stored for {one_line(each.name)}, and there is no such queue any "
                "more: the node drops them when it starts"
            )


def as_object(checked: Checked) -> dict[str, object]:
    """The same for programs."""
    journal, segments, found = checked.journal, checked.segments, checked.definitions
    return {
        "sound": not checked.damages,
        "directory": checked.path,
        "running": checked.running,
        "node": checked.node_id.hex() or None,
        "definitions": None
        if found is None or not found.there
        else {"schema": found.revision, "queues": None if found.queues is None else len(found.queues)},
        "journal": None
        if journal is None
        else {
            "files": len(journal.scan.used()),
            "spares": len(journal.scan.spares),
            "batches": journal.batches,
            "first_batch": journal.first,
            "last_batch": journal.last,
            "records": journal.contents.records,
            "bytes": journal.bytes,
            "torn": [{"file": torn.path, "offset": torn.offset} for torn in journal.torn],
        },
        "segments": None
        if segments is None
        else {"files": segments.files, "bytes": segments.bytes, "pages": len(segments.found.pages)},
        "keys": {_key(key_id): count for key_id, count in sorted(checked.keys().items())},
        "queues": [
            {"queue": each.name, "messages": each.messages, "bytes": each.bytes, "defined": each.defined}
            for each in sorted(checked.waiting.values(), key=lambda each: each.name)
        ],
        "nameless": checked.nameless,
        "damaged": [damage.as_json() for damage in checked.damages],
    }


def _key(key_id: bytes) -> str:
    """A key's id, as it stands in a key file but for zeros at its end; `none` for files that are not encrypted."""
    return key_id.rstrip(b"\0").hex() or "none"
