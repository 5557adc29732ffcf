"""Changes of definitions as commands: plain values that say what is to be, in the order in which it came to be.

A durable declare, an operator's order, a line of a definitions file and a row that is read at start are all the same
command. Whoever applies one has checked it; whoever stores one needs to know nothing else. A state is the list of the
`Put...` commands that make it, vhosts before what is in them.

Commands are values: they are compared, never changed. `arguments` are AMQP tables, `definition` and `value` what JSON
can carry. Putting what is there replaces it. Deleting takes along what cannot be without it: a vhost everything in it
and every permission for it, a user the permissions and limits, an exchange or queue the bindings from and to it.

Sources: RabbitMQ, definitions.md, parameters.md, policies.md, vhosts.md, access-control.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from amqpd.wire.tables import Table

# What `hashing_algorithm` can be: amqpd's own, and RabbitMQ's (its passwords.md).
ARGON2: Final = "argon2"
SHA256: Final = "rabbit_password_hashing_sha256"
SHA512: Final = "rabbit_password_hashing_sha512"
MD5: Final = "rabbit_password_hashing_md5"
HASHING_ALGORITHMS: Final = (ARGON2, SHA256, SHA512, MD5)


@dataclass(frozen=True)
class Command:
    """What every command is."""


@dataclass(frozen=True)
class PutVHost(Command):
    """`default_queue_type` is "" where the node's default applies."""

    name: str
    description: str = ""
    tags: tuple[str, ...] = ()
    default_queue_type: str = ""


@dataclass(frozen=True)
class DeleteVHost(Command):
    """The vhost and everything in it."""

    name: str


@dataclass(frozen=True)
class PutUser(Command):
    """`password_hash` in the form of `hashing_algorithm`, one of HASHING_ALGORITHMS; "" allows no password."""

    name: str
    password_hash: str
    hashing_algorithm: str
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class DeleteUser(Command):
    """The user, with permissions and limits."""

    name: str


@dataclass(frozen=True)
class PutPermission(Command):
    """Three regular expressions, searched in names; "" allows nothing."""

    user: str
    vhost: str
    configure: str
    write: str
    read: str


@dataclass(frozen=True)
class DeletePermission(Command):
    """The user can no longer enter the vhost."""

    user: str
    vhost: str


@dataclass(frozen=True)
class PutTopicPermission(Command):
    """Two regular expressions for the routing keys of one topic exchange."""

    user: str
    vhost: str
    exchange: str
    write: str
    read: str


@dataclass(frozen=True)
class DeleteTopicPermission(Command):
    """`exchange` None: for all of the vhost's exchanges."""

    user: str
    vhost: str
    exchange: str | None


@dataclass(frozen=True)
class PutExchange(Command):
    """A durable exchange, never one that every vhost has by itself."""

    vhost: str
    name: str
    type: str
    durable: bool = True
    auto_delete: bool = False
    internal: bool = False
    arguments: Table = field(default_factory=list)


@dataclass(frozen=True)
class DeleteExchange(Command):
    """The exchange and its bindings."""

    vhost: str
    name: str


@dataclass(frozen=True)
class PutQueue(Command):
    """A durable queue; `type` is classic, quorum or stream.

    `identity` says which of all queues that ever had the name it is: 16 bytes, or none where that is to be chosen. It
    is no part of the definition: queues that differ in it alone are the same for everybody but the message store.
    """

    vhost: str
    name: str
    type: str = "classic"
    durable: bool = True
    auto_delete: bool = False
    arguments: Table = field(default_factory=list)
    identity: bytes = field(default=b"", compare=False, repr=False)


@dataclass(frozen=True)
class DeleteQueue(Command):
    """The queue and its bindings."""

    vhost: str
    name: str


@dataclass(frozen=True)
class PutBinding(Command):
    """A binding between durable ends. `destination_type` is queue or exchange. All fields are its identity."""

    vhost: str
    source: str
    destination_type: str
    destination: str
    routing_key: str
    arguments: Table = field(default_factory=list)


@dataclass(frozen=True)
class DeleteBinding(Command):
    """One binding."""

    vhost: str
    source: str
    destination_type: str
    destination: str
    routing_key: str
    arguments: Table = field(default_factory=list)


@dataclass(frozen=True)
class PutPolicy(Command):
    """A policy or, with `operator`, an operator policy. `apply_to` as in broker.policies."""

    vhost: str
    name: str
    pattern: str
    definition: dict[str, object]
    apply_to: str = "all"
    priority: int = 0
    operator: bool = False


@dataclass(frozen=True)
class DeletePolicy(Command):
    """A policy or an operator policy."""

    vhost: str
    name: str
    operator: bool = False


@dataclass(frozen=True)
class PutParameter(Command):
    """A runtime parameter of a plugin's: `component` is shovel, federation-upstream, ..."""

    vhost: str
    component: str
    name: str
    value: object


@dataclass(frozen=True)
class DeleteParameter(Command):
    """One parameter."""

    vhost: str
    component: str
    name: str


@dataclass(frozen=True)
class PutGlobalParameter(Command):
    """A parameter of the whole node or cluster: cluster_name, ..."""

    name: str
    value: object


@dataclass(frozen=True)
class DeleteGlobalParameter(Command):
    """One global parameter."""

    name: str


@dataclass(frozen=True)
class PutVHostLimit(Command):
    """max-connections or max-queues of a vhost; a negative value is no limit."""

    vhost: str
    name: str
    value: int


@dataclass(frozen=True)
class DeleteVHostLimit(Command):
    """One limit of a vhost."""

    vhost: str
    name: str


@dataclass(frozen=True)
class PutUserLimit(Command):
    """max-connections or max-channels of a user; a negative value is no limit."""

    user: str
    name: str
    value: int


@dataclass(frozen=True)
class DeleteUserLimit(Command):
    """One limit of a user."""

    user: str
    name: str
