"""Password hashes in RabbitMQ's form: base64(salt + SHA-256(salt + password)), with a salt of 4 bytes.

Quick on purpose: a login costs microseconds, which thousands of logins a second need, and hashes exported from RabbitMQ
can be taken over as they are. It does not slow down whoever has stolen the hashes; nothing here is written to disk.

Source: RabbitMQ, passwords.md, "Computing password hash" (rabbit_password_hashing_sha256).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Final

SALT_SIZE: Final = 4


def hash_password(password: bytes, salt: bytes) -> str:
    """The hash of `password`. `salt` is SALT_SIZE random bytes."""
    return base64.b64encode(salt + hashlib.sha256(salt + password).digest()).decode("ascii")


def verify_password(password: bytes, hashed: str) -> bool:
    """Whether `hashed` is a hash of `password`. Takes the same time wherever the two differ."""
    salt = base64.b64decode(hashed)[:SALT_SIZE]
    return hmac.compare_digest(hash_password(password, salt), hashed)
