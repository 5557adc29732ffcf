"""A cipher that sees to the one rule of its use: with one salt no number comes twice, unless with the same data."""

from __future__ import annotations

import atexit
import os
import tempfile
import zlib

from crash.ledger import Violation

from amqpd.store.cipher import Cipher, Lock

Seals = dict[tuple[bytes, int], int]  # salt and number, and what was sealed with them

_paths: list[str] = []


def key_file() -> str:
    """A key file, made once."""
    if not _paths:
        descriptor, path = tempfile.mkstemp()
        os.write(descriptor, b"01 " + b"5a" * 32 + b"\n")
        os.close(descriptor)
        atexit.register(os.unlink, path)
        _paths.append(path)
    return _paths[0]


class NotedLock(Lock):
    """Passes on to `lock`, and notes what is sealed."""

    def __init__(self, lock: Lock, salt: bytes, seals: Seals) -> None:
        self.lock, self.salt, self.seals = lock, salt, seals

    def seal(self, number: int, data: bytes, associated: bytes) -> bytes:
        crc = zlib.crc32(associated, zlib.crc32(data))
        if self.seals.setdefault((self.salt, number), crc) != crc:
            raise Violation("nonce", f"number {number} comes twice with one salt, with other data")
        return self.lock.seal(number, data, associated)

    def open(self, number: int, data: bytes, associated: bytes) -> bytes | None:
        return self.lock.open(number, data, associated)


class Keys(Cipher):
    """`seals` is what was sealed so far, in this life and the ones before."""

    def __init__(self, seals: Seals) -> None:
        super().__init__(key_file())
        self.seals = seals

    def lock(self, key_id: bytes, salt: bytes, file: str) -> Lock:
        return NotedLock(super().lock(key_id, salt, file), salt, self.seals)
