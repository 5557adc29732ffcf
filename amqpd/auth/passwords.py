"""Password hashes: argon2id for new passwords, and the forms of hash that RabbitMQ makes.

    argon2                            "$argon2id$v=19$m=65536,t=3,p=1$SALT$HASH", as every argon2 library writes it
    rabbit_password_hashing_sha256    base64(salt + SHA-256(salt + password)) with a salt of 4 bytes; so are ..._sha512
                                      and ..._md5

argon2id costs whoever stole the hashes 64 MiB and a sixth of a second for each guess: the low-memory profile of
RFC 9106 (section 4), with one lane instead of four. The work is the same, on one core: the broker needs the others.
RabbitMQ's forms cost microseconds and are there for what is imported from it, or shall be exported to it.

Does not decide who hashes where: a call for argon2 blocks as long as that takes (`is_slow`) and belongs into a thread.

Sources: RFC 9106; RabbitMQ, passwords.md, "Computing password hash"; rabbit_password.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable
from typing import Final

from amqpd.broker.commands import ARGON2, HASHING_ALGORITHMS, MD5, SHA256, SHA512

BY_SETTING: Final = {"argon2": ARGON2, "sha256": SHA256, "sha512": SHA512}  # what `password_hashing` may be

TIME_COST: Final = 3
MEMORY_KIB: Final = 65_536
LANES: Final = 1
SALT_SIZE: Final = 16
HASH_SIZE: Final = 32
RABBITMQ_SALT_SIZE: Final = 4

# An imported hash chooses its own cost: beyond these a login would be an attack.
_MEMORY_KIB_MAX: Final = 262_144
_TIME_COST_MAX: Final = 16
_LANES_MAX: Final = 16
_ENCODED: Final = re.compile(
    r"\$argon2id\$v=19\$m=(\d{1,9}),t=(\d{1,9}),p=(\d{1,9})\$([A-Za-z0-9+/]{11,128})\$([A-Za-z0-9+/]{16,128})"
)
_DIGESTS: Final[dict[str, Callable[[bytes], bytes]]] = {
    SHA256: lambda data: hashlib.sha256(data).digest(),
    SHA512: lambda data: hashlib.sha512(data).digest(),
    MD5: lambda data: hashlib.md5(data, usedforsecurity=False).digest(),
}


def hash_password(password: bytes, algorithm: str, random: Callable[[int], bytes]) -> str:
    """The hash of `password`. `random` returns that many random bytes. Blocks for `is_slow` algorithms."""
    if algorithm != ARGON2:
        return _salted(password, algorithm, random(RABBITMQ_SALT_SIZE))
    from argon2 import low_level

    encoded = low_level.hash_secret(
        password, random(SALT_SIZE), TIME_COST, MEMORY_KIB, LANES, HASH_SIZE, low_level.Type.ID
    )
    return encoded.decode("ascii")


def verify_password(password: bytes, hashed: str, algorithm: str) -> bool:
    """Whether `hashed` is a hash of `password`; False for what is no hash. Blocks for `is_slow` algorithms.

    Takes the same time wherever the two differ.
    """
    if not hashed or problem(hashed, algorithm):
        return False
    if algorithm != ARGON2:
        salt = base64.b64decode(hashed)[:RABBITMQ_SALT_SIZE]
        return hmac.compare_digest(_salted(password, algorithm, salt), hashed)
    from argon2 import exceptions, low_level

    try:
        return low_level.verify_secret(hashed.encode("ascii"), password, low_level.Type.ID)
    except exceptions.VerifyMismatchError:
        return False


def is_slow(algorithm: str) -> bool:
    """Whether hashing takes so long that it belongs into a thread."""
    return algorithm == ARGON2


def nobodys(algorithm: str) -> str:
    """A hash that no password has: verifying it takes as long as verifying a real one."""
    if algorithm == ARGON2:
        salt, hashed = (base64.b64encode(bytes(size)).rstrip(b"=").decode("ascii") for size in (SALT_SIZE, HASH_SIZE))
        return f"$argon2id$v=19$m={MEMORY_KIB},t={TIME_COST},p={LANES}${salt}${hashed}"
    size = RABBITMQ_SALT_SIZE + len(_DIGESTS[algorithm](b""))
    return base64.b64encode(bytes(size)).decode("ascii")


def problem(hashed: str, algorithm: str) -> str:
    """What is wrong with a hash from elsewhere, or "". Never shows the hash. An empty hash is right: no login by it."""
    if algorithm not in HASHING_ALGORITHMS:
        return f"the hashing algorithm '{algorithm}' is unknown: it can be " + ", ".join(HASHING_ALGORITHMS)
    if not hashed:
        return ""
    return _problem_argon2(hashed) if algorithm == ARGON2 else _problem_salted(hashed, algorithm)


def _problem_argon2(hashed: str) -> str:
    found = _ENCODED.fullmatch(hashed)
    if found is None:
        return "the password hash has not argon2's form $argon2id$v=19$m=MEMORY,t=TIME,p=LANES$SALT$HASH"
    memory_kib, time_cost, lanes = (int(number) for number in found.groups()[:3])
    if not (1 <= time_cost <= _TIME_COST_MAX and 1 <= lanes <= _LANES_MAX and 8 * lanes <= memory_kib):
        return f"the password hash has t={time_cost}, p={lanes}: both can be 1 to {_TIME_COST_MAX}, and m 8*p or more"
    if memory_kib > _MEMORY_KIB_MAX:
        return f"the password hash asks for {memory_kib} KiB of memory: {_MEMORY_KIB_MAX} is the most"
    if not all(_is_base64(part + "=" * (-len(part) % 4)) for part in found.groups()[3:]):
        return "the password hash is not base64 in its salt or hash"
    return ""


def _problem_salted(hashed: str, algorithm: str) -> str:
    size = RABBITMQ_SALT_SIZE + len(_DIGESTS[algorithm](b""))
    if not _is_base64(hashed) or len(base64.b64decode(hashed)) != size:
        return f"the password hash is not base64 of {size} bytes, a salt of {RABBITMQ_SALT_SIZE} and {algorithm} of it"
    return ""


def _is_base64(text: str) -> bool:
    """Whether base64 is written like that, down to the last bit."""
    try:
        return base64.b64encode(base64.b64decode(text, validate=True)).decode("ascii") == text
    except (binascii.Error, ValueError):
        return False


def _salted(password: bytes, algorithm: str, salt: bytes) -> str:
    return base64.b64encode(salt + _DIGESTS[algorithm](salt + password)).decode("ascii")
