"""Messages, changes of members and snapshots' descriptions as bytes.

A message starts with the version of this format; all integers are big-endian; whatever has a length is preceded by it.
Indexes of entries are not written: they follow each other. Decoding trusts nothing: every length is checked against
what is there, every number against its range, and what is left over is an error. No input makes it allocate more than
a small multiple of its own size.

    message  version u8 | kind u8 | flags u8 | group 16 bytes | sender u64 | to u64 | term u64 | index u64
             | log_term u64 | commit u64 | hint u64 | version of the machine u32 | context: u16 + bytes
             | entries: u32, and for each: term u64 | kind u8 | payload: u32 + bytes
             | snapshot, if the flags say so: index u64 | term u64 | members | data: u32 + bytes
    members  four lists (voters, outgoing, learners, learners_next): u16 + ids as u64 | auto_leave u8
    change   version u8 | transition u8 | steps: u16, and for each: kind u8 | member u64 | context: u16 + bytes
"""

from __future__ import annotations

from typing import Final

from amqpd.errors import MalformedError
from amqpd.raft.config import GROUP_ID_BYTES, NO_LIMIT
from amqpd.raft.messages import (
    ADD_VOTER,
    APPEND,
    AUTO,
    EXPLICIT,
    MESSAGE_NAMES,
    UPDATE,
    Change,
    Entry,
    Members,
    Message,
    Snapshot,
)
from amqpd.raft.messages import VERSION as ENTRY_VERSION
from amqpd.wire.primitives import BytesWriter, Reader, write_u16, write_u32, write_u64

VERSION: Final = 1

REJECTED: Final = 1
FORCED: Final = 2
WITH_SNAPSHOT: Final = 4
FLAGS: Final = REJECTED | FORCED | WITH_SNAPSHOT

ENTRY_BYTES_MIN: Final = 13
U16_MAX: Final = 0xFFFF


def encode_message(message: Message) -> bytes:
    """The message as bytes. Contexts have at most 65,535 bytes, payloads and images at most 4 GiB."""
    out = BytesWriter()
    snapshot = message.snapshot
    flags = (
        (REJECTED if message.rejected else 0)
        | (FORCED if message.forced else 0)
        | (WITH_SNAPSHOT if snapshot is not None else 0)
    )
    out.append(VERSION)
    out.append(message.kind)
    out.append(flags)
    out.write(message.group)
    write_u64(out, message.sender)
    write_u64(out, message.to)
    write_u64(out, message.term)
    write_u64(out, message.index)
    write_u64(out, message.log_term)
    write_u64(out, message.commit)
    write_u64(out, message.hint)
    write_u32(out, message.version)
    _write_short(out, message.context)
    write_u32(out, len(message.entries))
    for entry in message.entries:
        write_u64(out, entry.term)
        out.append(entry.kind)
        write_u32(out, len(entry.payload))
        out.write(entry.payload)
    if snapshot is not None:
        write_u64(out, snapshot.index)
        write_u64(out, snapshot.term)
        _write_members(out, snapshot.members)
        write_u32(out, len(snapshot.data))
        out.write(snapshot.data)
    return out.getvalue()


def decode_message(data: bytes) -> Message:
    """The inverse of `encode_message`. Raises MalformedError."""
    reader = Reader(data, 0, len(data))
    _check_version(reader.octet())
    kind = reader.octet()
    if kind not in MESSAGE_NAMES:
        raise MalformedError(f"no message is of kind {kind}")
    flags = reader.octet()
    if flags & ~FLAGS:
        raise MalformedError(f"unknown flags {flags}")
    group = _bytes(reader, GROUP_ID_BYTES)
    sender = _number(reader)
    to = _number(reader)
    message = Message(kind, group, sender, to, _number(reader))
    message.rejected = flags & REJECTED != 0
    message.forced = flags & FORCED != 0
    message.index = _number(reader)
    message.log_term = _number(reader)
    message.commit = _number(reader)
    message.hint = _number(reader)
    message.version = reader.long()
    message.context = _bytes(reader, reader.short())
    count = reader.long()
    if count:
        message.entries = _read_entries(reader, count, message)
    if flags & WITH_SNAPSHOT:
        index = _number(reader)
        term = _number(reader)
        members = _read_members(reader)
        message.snapshot = Snapshot(index, term, members, reader.longstr())
    reader.finish()
    return message


def _read_entries(reader: Reader, count: int, message: Message) -> list[Entry]:
    if count > (reader.end - reader.pos) // ENTRY_BYTES_MIN:
        raise MalformedError(f"{count} entries do not fit into {reader.end - reader.pos} bytes")
    appended = message.kind == APPEND
    index = message.index if appended else -1
    previous = message.log_term
    entries: list[Entry] = []
    for _ in range(count):
        term = _number(reader)
        kind = reader.octet()
        if kind > ENTRY_VERSION:
            raise MalformedError(f"no entry is of kind {kind}")
        if appended:
            # A log's terms never fall, and none is above its leader's.
            if term < previous or term > message.term:
                raise MalformedError(f"an entry of term {term} behind one of term {previous} in term {message.term}")
            index += 1
            previous = term
        entries.append(Entry(term, index if appended else 0, kind, reader.longstr()))
    return entries


def encode_members(members: Members) -> bytes:
    """A configuration as bytes."""
    out = BytesWriter()
    _write_members(out, members)
    return out.getvalue()


def decode_members(data: bytes) -> Members:
    """The inverse of `encode_members`. Raises MalformedError."""
    reader = Reader(data, 0, len(data))
    members = _read_members(reader)
    reader.finish()
    return members


def _write_members(out: BytesWriter, members: Members) -> None:
    for ids in (members.voters, members.outgoing, members.learners, members.learners_next):
        write_u16(out, len(ids))
        for member in ids:
            write_u64(out, member)
    out.append(1 if members.auto_leave else 0)


def _read_members(reader: Reader) -> Members:
    voters = _read_ids(reader)
    outgoing = _read_ids(reader)
    learners = _read_ids(reader)
    learners_next = _read_ids(reader)
    auto_leave = reader.octet()
    if auto_leave > 1:
        raise MalformedError(f"auto_leave is 0 or 1, not {auto_leave}")
    for member in learners:
        if member in voters or member in outgoing:
            raise MalformedError(f"member {member} is a voter and a learner")
    for member in learners_next:
        if member in voters or member not in outgoing:
            raise MalformedError(f"member {member} is no voter that becomes a learner")
    return Members(voters, outgoing, learners, learners_next, auto_leave == 1)


def _read_ids(reader: Reader) -> tuple[int, ...]:
    ids: list[int] = []
    for _ in range(reader.short()):
        member = _number(reader)
        if member <= (ids[-1] if ids else 0):
            raise MalformedError(f"member {member} is out of order")
        ids.append(member)
    return tuple(ids)


def encode_change(change: Change) -> bytes:
    """A change of members as an entry's payload."""
    out = BytesWriter()
    out.append(VERSION)
    out.append(change.transition)
    write_u16(out, len(change.steps))
    for kind, member in change.steps:
        out.append(kind)
        write_u64(out, member)
    _write_short(out, change.context)
    return out.getvalue()


def decode_change(data: bytes) -> Change:
    """The inverse of `encode_change`. Raises MalformedError."""
    reader = Reader(data, 0, len(data))
    _check_version(reader.octet())
    transition = reader.octet()
    if not AUTO <= transition <= EXPLICIT:
        raise MalformedError(f"no transition {transition} is known")
    steps: list[tuple[int, int]] = []
    for _ in range(reader.short()):
        kind = reader.octet()
        if not ADD_VOTER <= kind <= UPDATE:
            raise MalformedError(f"no step of kind {kind} is known")
        steps.append((kind, _number(reader)))
    context = _bytes(reader, reader.short())
    reader.finish()
    return Change(steps, transition, context)


def _check_version(version: int) -> None:
    if version != VERSION:
        raise MalformedError(f"version {VERSION} of the format is expected, not {version}")


def _number(reader: Reader) -> int:
    value = reader.longlong()
    if value > NO_LIMIT:
        raise MalformedError(f"{value} is too large")
    return value


def _bytes(reader: Reader, size: int) -> bytes:
    pos = reader.pos
    reader.skip(size)
    return reader.data[pos : pos + size]


def _write_short(out: BytesWriter, data: bytes) -> None:
    if len(data) > U16_MAX:
        raise MalformedError(f"a context has at most {U16_MAX} bytes, not {len(data)}")
    write_u16(out, len(data))
    out.write(data)
