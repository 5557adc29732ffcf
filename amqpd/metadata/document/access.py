"""Vhosts, users and permissions of a definitions document.

Hashes are checked for their form; whether a pattern is a good regular expression is for whoever applies the commands.

Sources: RabbitMQ, rabbit_definitions:add_vhost, rabbit_auth_backend_internal:put_user, rabbit_vhost.
"""

from __future__ import annotations

import base64
from typing import Final

from amqpd.broker.arguments import QUEUE_TYPES
from amqpd.broker.commands import (
    ARGON2,
    MD5,
    SHA256,
    SHA512,
    PutPermission,
    PutTopicPermission,
    PutUser,
    PutUserLimit,
    PutVHost,
    PutVHostLimit,
)
from amqpd.broker.limits import USER_LIMITS, VHOST_LIMITS
from amqpd.metadata.document.checks import Item
from amqpd.metadata.document.gathering import Gathering

PROTECTED: Final = "protected_from_deletion"
METADATA: Final = frozenset({"description", "tags", "default_queue_type", PROTECTED})

_HASH_BYTES: Final = {SHA256: 4 + 32, SHA512: 4 + 64, MD5: 4 + 16}  # with the salt
_UNDEFINED: Final = "undefined"  # how RabbitMQ writes what is not there
_TAGS: Final = "a list of texts, or a text with commas"


def read_vhost(gathering: Gathering, item: Item) -> None:
    """A vhost. What stands in "metadata" counts, and beside it only what is not there (RabbitMQ)."""
    name = item.name("name")
    metadata = item.item("metadata")
    metadata.warn_of_unknown(METADATA)
    where = {key: metadata if metadata.has(key) else item for key in METADATA}
    tags = where["tags"].tags("tags")
    kind = queue_type_of(where["default_queue_type"], "default_queue_type")
    for part, key in ((item, "tracing"), (where[PROTECTED], PROTECTED)):
        if part.flag(key, False):
            part.warn(key, "is left out: it is not kept with the definitions here")
    gathering.vhosts[name] = kind
    gathering.limits_of_vhosts.append((name, item.item("limits")))
    description = where["description"].text("description", "") if where["description"].has("description") else ""
    item.bad |= metadata.bad
    gathering.put(PutVHost(name, description, () if tags == (_UNDEFINED,) else tags, kind), item)


def put_limits_of_vhosts(gathering: Gathering) -> None:
    """Limits that stand with their vhost, where no parameter has them. RabbitMQ writes both and reads the parameter."""
    for vhost, limits in gathering.limits_of_vhosts:
        if not gathering.has_limits(vhost):
            gathering.put_limits(limits, VHOST_LIMITS, PutVHostLimit, vhost)


def queue_type_of(item: Item, key: str) -> str:
    """A type of queue, also by the name of RabbitMQ's module for it; "" where none is said."""
    if not item.has(key):
        return ""
    text = item.text(key)
    kind = text.removeprefix("rabbit_").removesuffix("_queue")
    if kind in QUEUE_TYPES:
        return kind
    if text not in ("", _UNDEFINED):
        item.wrong(key, f"is none of {', '.join(QUEUE_TYPES)}")
    return ""


def read_user(gathering: Gathering, item: Item) -> None:
    """A user: with a hash, with a password in clear, or without, and then no password opens the door."""
    name = item.name("name")
    gathering.users.add(name)
    tags = _tags_of(item)
    hashed, algorithm = _hash_of(item, gathering.version)
    password = item.text("password", "")
    if "password_hash" in item.values and "password" in item.values:
        item.wrong("password", "is given as well as a password_hash: one of them is enough")
    elif gathering.passwords.setdefault(name, password) != password:
        item.wrong("password", "is not what was said of this user before")
    gathering.put(PutUser(name, hashed, algorithm, tags), item)
    gathering.put_limits(item.item("limits"), USER_LIMITS, PutUserLimit, name)
    permissions = item.item("permissions")
    for vhost in permissions.values:
        gathering.known_vhost(permissions, vhost, vhost)
        _put_permission(gathering, name, vhost, permissions.item(vhost))


def _tags_of(item: Item) -> tuple[str, ...]:
    if "tags" in item.values:
        if item.values["tags"] is None:
            item.mistyped("tags", _TAGS)
        return item.tags("tags")
    if "administrator" in item.values:  # RabbitMQ before 2.4
        return ("administrator",) if item.flag("administrator", False) else ()
    item.wrong("tags", "is missing; an empty list is for a user without tags")
    return ()


def _hash_of(item: Item, version: str) -> tuple[str, str]:
    """The hash and its algorithm. An argon2 hash is written as base64, like the others, and read in clear too."""
    text = item.text("password_hash", "")
    algorithm = item.text("hashing_algorithm", _algorithm_of(version))
    if algorithm != ARGON2 and algorithm not in _HASH_BYTES:
        if not item.bad:
            item.wrong("hashing_algorithm", f"is none of {', '.join(_HASH_BYTES)} and {ARGON2}")
        return "", SHA256
    if not text or (algorithm == ARGON2 and text.startswith("$")):
        return text, algorithm
    try:
        raw = base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        item.wrong("password_hash", "is not base64")
        return "", algorithm
    if algorithm == ARGON2:
        return raw.decode("ascii", "replace"), algorithm
    if len(raw) != _HASH_BYTES[algorithm]:
        item.wrong("password_hash", f"is base64 of {len(raw)} bytes; {algorithm} makes {_HASH_BYTES[algorithm]}")
    return base64.b64encode(raw).decode("ascii"), algorithm


def _algorithm_of(version: str) -> str:
    """How the RabbitMQ of that version hashed passwords: files of 3.6.0 and before do not say."""
    return MD5 if version.startswith(("3.0.", "3.1.", "3.2.", "3.3.", "3.4.", "3.5.")) else SHA256


def read_permission(gathering: Gathering, item: Item) -> None:
    """What a user may do in a vhost."""
    _put_permission(gathering, gathering.user_of(item), gathering.vhost_of(item), item)


def _put_permission(gathering: Gathering, user: str, vhost: str, item: Item) -> None:
    gathering.put(PutPermission(user, vhost, item.text("configure"), item.text("write"), item.text("read")), item)


def read_topic_permission(gathering: Gathering, item: Item) -> None:
    """What a user may do with the routing keys of a topic exchange."""
    user, vhost = gathering.user_of(item), gathering.vhost_of(item)
    exchange = item.name("exchange", empty=True)
    gathering.put(PutTopicPermission(user, vhost, exchange, item.text("write"), item.text("read")), item)
