"""Encryption at rest: AES-256-GCM with keys out of a file.

The key file has a line for each key: an id of 2 to 32 hexadecimal digits, and the key with 64. The first one is the
current one, with which new files are written; the others are there to read older files. Empty lines and lines that
begin with `#` say nothing. Nobody but the user who runs the node (and root) may be able to read the file.

Every use of a file of the store has a salt of its own, 16 random bytes in its header. What encrypts that file is not
the key but HMAC-SHA-256(key, label + salt), a key for this file alone (NIST SP 800-108, a single block); the nonces
within it are numbers that never come twice. So a file that is written anew after it was freed repeats no nonce, nor do
two nodes with one key file.

Keys are in no text, and in no repr. `cryptography` is imported when a key is configured, which is when a Cipher is
made: it costs a tenth of a second.
"""

from __future__ import annotations

import hmac
import os
import stat
from typing import TYPE_CHECKING, Final

from amqpd.errors import ConfigError, KeyMissingError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # type: ignore[import-not-found,unused-ignore]

PLAIN: Final = bytes(16)
"""The key id of files that are not encrypted."""

TAG_SIZE: Final = 16
"""By so many bytes a sealed text is longer than the plain one."""

SALT_SIZE: Final = 16

_LABEL: Final = b"amqpd store 1"
_KEY_SIZE: Final = 32
_LARGEST_FILE: Final = 64 * 1024


class Lock:
    """Seals and opens what is in one file, in the time of one salt."""

    def __init__(self, key: AESGCM) -> None:
        self._key: Final = key

    def seal(self, number: int, data: bytes, associated: bytes) -> bytes:
        """`data`, encrypted. No `number` (below 2**96) may come twice, unless with the same data."""
        return self._key.encrypt(number.to_bytes(12, "big"), data, associated)

    def open(self, number: int, data: bytes, associated: bytes) -> bytes | None:
        """The reverse; None where key, number, data or what is associated are not those of the sealing."""
        from cryptography.exceptions import InvalidTag  # type: ignore[import-not-found,unused-ignore]

        try:
            return self._key.decrypt(number.to_bytes(12, "big"), data, associated)
        except InvalidTag:
            return None


class Cipher:
    """The keys of a key file. `current` is the id, 16 bytes, of the one for new files."""

    def __init__(self, path: str) -> None:
        """Reads the file, which blocks. Raises ConfigError."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # type: ignore[import-not-found,unused-ignore]

        self._path: Final = path
        self._aesgcm: Final = AESGCM
        self._keys: dict[bytes, bytes] = {}
        self.current = PLAIN
        self.reload()

    def reload(self) -> None:
        """Read the file again: new files get its first key. Blocks. Raises ConfigError, and then changes nothing."""
        keys = _read(self._path)
        self.current = next(iter(keys))
        self._keys = keys

    def lock(self, key_id: bytes, salt: bytes, file: str) -> Lock:
        """What seals and opens the file at path `file`. Raises KeyMissingError."""
        key = self._keys.get(key_id)
        if key is None:
            raise missing(key_id, file, self._path)
        return Lock(self._aesgcm(hmac.digest(key, _LABEL + salt, "sha256")))


def missing(key_id: bytes, file: str, key_file: str = "") -> KeyMissingError:
    """What to say where `file` needs a key that is not in `key_file`, or where there is no key file."""
    name = key_id.hex()
    short = name.rstrip("0") or "0"
    short = name[: max(2, len(short) + len(short) % 2)]
    if not key_file:
        return KeyMissingError(
            f"{file} is encrypted with key {short}, and no key file is configured: name the one that has this key"
        )
    return KeyMissingError(f"{file} is encrypted with key {short}, which is not in {key_file}: add its line there")


def _read(path: str) -> dict[bytes, bytes]:
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise ConfigError(f"key file {path} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(mode) or len(data) > _LARGEST_FILE:
        raise ConfigError(f"key file {path} is not a file of at most {_LARGEST_FILE} bytes")
    if mode & 0o077:
        raise ConfigError(f"key file {path} is open to others (mode {mode & 0o777:04o}): `chmod 600 {path}`")
    keys: dict[bytes, bytes] = {}
    for number, line in enumerate(data.decode("ascii", "replace").splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            key_id, key = _parse(line.split(), f"key file {path}, line {number}")
            if key_id in keys:
                raise ConfigError(f"key file {path}, line {number}: this id is there already, further up")
            keys[key_id] = key
    if not keys:
        raise ConfigError(f"key file {path} has no key: a line is an id and a key of 64 hexadecimal digits")
    return keys


def _parse(words: list[str], place: str) -> tuple[bytes, bytes]:
    # The line itself must not be in a text: it may hold a key, however ill-formed.
    if len(words) != 2:
        raise ConfigError(f"{place}: {len(words)} words, where an id and a key are expected")
    try:
        key_id, key = bytes.fromhex(words[0]), bytes.fromhex(words[1])
    except ValueError:
        raise ConfigError(f"{place}: id and key are hexadecimal digits") from None
    if not 1 <= len(key_id) <= len(PLAIN) or not any(key_id):
        raise ConfigError(f"{place}: the id has 2 to 32 hexadecimal digits, which are not all zeros")
    if len(key) != _KEY_SIZE:
        raise ConfigError(f"{place}: the key has {len(words[1])} digits, where 64 are expected")
    return key_id.ljust(len(PLAIN), b"\0"), key
