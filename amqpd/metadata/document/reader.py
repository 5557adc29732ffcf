"""RabbitMQ's definitions JSON read into commands: the text, the document, and its sections.

Every file that RabbitMQ 3.6 to 4.3 writes is read as RabbitMQ 4.3 reads it: what is left out there is left out here
(each with a warning), and defaults are its defaults. Where RabbitMQ would take nonsense, there is a problem. Where the
two differ is in docs/definitions.md.

A document of one vhost has objects without "vhost". Read into a vhost, the objects of any document go there, whatever
vhost they name, and users, vhosts and permissions are left out (RabbitMQ).

Does not know what a broker knows: whether types, policy keys, arguments and regular expressions are good, and whether a
binding's ends are there. Whoever applies the commands finds that, and names the place by `Reading.paths`.

Source: RabbitMQ, rabbit_definitions.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from amqpd.broker.commands import Command
from amqpd.metadata.document import access, policies, topology
from amqpd.metadata.document.checks import Item, Problem, Repeated, Trail, given_twice, kind_of, sound
from amqpd.metadata.document.gathering import Gathering, Reading

DOCUMENT_BYTES_MAX: Final = 256 * 1024 * 1024
_INTEGER_DIGITS_MAX: Final = 20  # of 64 bits, with a sign


# -- the text


def read(
    data: bytes, vhost: str | None = None, present: Iterable[Command] = (), default_queue_type: str = "classic"
) -> Reading:
    """Read the bytes of a file. Else as `commands_from`. Never raises; takes about 10 s for 100 MB."""
    if len(data) > DOCUMENT_BYTES_MAX:
        return _nothing(f"has {len(data)} bytes, and at most {DOCUMENT_BYTES_MAX} are allowed")
    try:
        document = json.loads(data.decode("utf-8-sig"), object_pairs_hook=_object, parse_int=_integer)
    except UnicodeDecodeError as error:
        return _nothing(f"is not UTF-8 at byte {error.start}")
    except json.JSONDecodeError as error:
        return _nothing(f"is not JSON: {error.msg} in line {error.lineno}, column {error.colno}")
    except RecursionError:
        return _nothing("is nested too deep")
    return commands_from(document, vhost, present, default_queue_type)


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    return found if len(found) == len(pairs) else Repeated(pairs)


def _integer(digits: str) -> float:
    """An integer; infinite where it is beyond all limits, which spares turning a million digits into a number."""
    return int(digits) if len(digits) <= _INTEGER_DIGITS_MAX else math.inf


def _nothing(text: str) -> Reading:
    return Reading(problems=[Problem("$", text)])


# -- the document


def commands_from(
    document: object, vhost: str | None = None, present: Iterable[Command] = (), default_queue_type: str = "classic"
) -> Reading:
    """Read a whole node's definitions or, with `vhost`, a vhost's, into that vhost. Never raises.

    `present` is what the node has: vhosts and users that the document refers to may be there. A queue, exchange or
    binding that differs from the one there only by what JSON cannot express is taken to be that one.
    `default_queue_type` is the node's, for vhosts that have none.
    """
    if not isinstance(document, dict):
        return _nothing(f"must be an object, not {kind_of(document)}")
    version = document.get("rabbitmq_version", document.get("rabbit_version"))
    written_by = version if isinstance(version, str) else ""
    by_rabbitmq = bool(written_by) and document.get("product_name", "RabbitMQ") == "RabbitMQ"
    hides_internal = by_rabbitmq and not _says_internal(document.get("exchanges"))
    gathering = Gathering(vhost, present, default_queue_type, written_by, hides_internal)
    _check_top(gathering, document)
    for section in _SECTIONS:
        if section.name in document:
            _read_section(gathering, section, document[section.name])
    access.put_limits_of_vhosts(gathering)
    return gathering.reading()


def _says_internal(exchanges: object) -> bool:
    """Whether a file tells which exchanges are internal. Those of rabbitmqctl, and of RabbitMQ 4, leave them out."""
    if not isinstance(exchanges, list):
        return False
    return any(isinstance(exchange, dict) and "internal" in exchange for exchange in exchanges)


def _check_top(gathering: Gathering, document: dict[object, object]) -> None:
    findings = gathering.findings
    for name in given_twice(document):
        findings.problem((name,), "is given more than once in its object")
    for key, value in document.items():
        if not isinstance(key, str):
            findings.problem((), "has a name in it that is no text")
        elif key not in _SECTION_NAMES and sound(value, (key,), findings) and key not in _ABOUT:
            findings.warn((key,), "is not known and left out")


def _read_section(gathering: Gathering, section: _Section, items: object) -> None:
    findings = gathering.findings
    if not isinstance(items, list):
        findings.problem((section.name,), f"must be a list, not {kind_of(items)}")
        return
    if gathering.vhost is not None and not section.of_vhost:
        if items:
            findings.warn((section.name,), "is left out: it is no part of the definitions of one vhost")
        return
    for position, values in enumerate(items):
        trail: Trail = (section.name, position)
        if not isinstance(values, dict):
            findings.problem(trail, f"must be an object, not {kind_of(values)}")
        elif sound(values, trail, findings):
            item = Item(values, trail, findings)
            section.read(gathering, item)
            item.warn_of_unknown(section.keys)


@dataclass(frozen=True)
class _Section:
    """A list in the document. `of_vhost`: it is read into a vhost too. `keys` are the known members of its objects."""

    name: str
    of_vhost: bool
    read: Callable[[Gathering, Item], None]
    keys: frozenset[str]


def _section(name: str, of_vhost: bool, read_item: Callable[[Gathering, Item], None], keys: str) -> _Section:
    return _Section(name, of_vhost, read_item, frozenset(keys.split()))


# In the order in which they are read: each after what it refers to.
_SECTIONS: Final = (
    _section(
        "vhosts",
        False,
        access.read_vhost,
        "name metadata limits tracing description tags default_queue_type protected_from_deletion",
    ),
    _section(
        "users",
        False,
        access.read_user,
        "name password password_hash hashing_algorithm tags administrator limits permissions",
    ),
    _section("permissions", False, access.read_permission, "user vhost configure write read"),
    _section("topic_permissions", False, access.read_topic_permission, "user vhost exchange write read"),
    _section(
        "exchanges", True, topology.read_exchange, "vhost name type durable auto_delete internal arguments"
    ),
    _section("global_parameters", False, policies.read_global_parameter, "name value"),
    _section("policies", True, policies.read_policy, "vhost name pattern apply-to definition priority"),
    _section("parameters", True, policies.read_parameter, "vhost component name value"),
    _section("queues", True, topology.read_queue, "vhost name type durable auto_delete arguments"),
    _section(
        "bindings",
        True,
        topology.read_binding,
        "vhost source destination destination_type routing_key arguments",
    ),
)
_SECTION_NAMES: Final = frozenset(section.name for section in _SECTIONS)
# What files say of themselves, and what those of one vhost say of that vhost.
_ABOUT: Final = frozenset(
    {
        "rabbit_version",
        "rabbitmq_version",
        "product_name",
        "product_version",
        "rabbitmq_definition_format",
        "original_cluster_name",
        "original_vhost_name",
        "explanation",
        "exported_at",
        "metadata",
        "description",
        "limits",
        "tags",
        "default_queue_type",
    }
)
