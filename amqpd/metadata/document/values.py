"""Arguments as definitions carry them: AMQP tables as JSON objects and back, with the types that RabbitMQ would choose.

    JSON -> AMQP    integer: long; other number: double; text: longstr; true, false: bool; null: void; list: array;
                    object: table
    AMQP -> JSON    the same backwards; every width of integer and a timestamp are an integer, a float a number

JSON has fewer types than AMQP and no order of names, so a table may come back with other types, and comes in the order
of its names, on every level: what means the same is then equal. `normal` says what becomes of a command. Three
things are kept that RabbitMQ loses (docs/definitions.md): text that is not UTF-8, which both write as base64 with the
same words before it, is read back to its bytes; a decimal keeps its value; void is null. What JSON cannot carry, a
number that is infinite or none, becomes null.

Sources: RabbitMQ, rabbit_misc (to_amqp_table, amqp_table, utf8_safe), rabbit_amqqueue:augment_declare_args.
"""

from __future__ import annotations

import base64
import math
from typing import Final

from amqpd.broker.arguments import QUEUE_TYPE
from amqpd.broker.commands import Command, PutBinding, PutExchange, PutQueue
from amqpd.broker.limits import NAME_BYTES_MAX
from amqpd.metadata.document.checks import Findings, Trail
from amqpd.wire.primitives import as_bytes, as_text
from amqpd.wire.tables import (
    ARRAY,
    BOOL,
    DOUBLE,
    LONG,
    LONGSTR,
    MAX_DEPTH,
    TABLE,
    TIMESTAMP,
    VOID,
    Field,
    Table,
    longstr,
    lookup,
)

NOT_UTF8: Final = "Not UTF-8, base64 is: "
_LINE: Final = 76  # of base64, in characters (RFC 2045)
_LONG_MAX: Final = 2**63 - 1


# -- AMQP to JSON


def json_of_table(table: Table) -> dict[str, object]:
    """A table as a JSON object. Of a name that is there twice the first counts, as it does for everybody who looks."""
    found: dict[str, object] = {}
    for name, field in table:
        found.setdefault(_text_of(as_bytes(name)), _json_of(field))
    return {name: found[name] for name in sorted(found)}


def _json_of(field: Field) -> object:
    value = field.value
    if isinstance(value, bytes):
        return _text_of(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, tuple):  # a decimal; RabbitMQ prints it as scale, point, digits, which is another number
        return float(value[1] / 10 ** value[0])
    if field.kind == TABLE:
        assert isinstance(value, list)
        return json_of_table(value)
    if field.kind == ARRAY:
        return [_json_of(item) for item in field.items()]
    return value


def _text_of(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        encoded = base64.b64encode(raw).decode("ascii")
        return NOT_UTF8 + "\n".join(encoded[at : at + _LINE] for at in range(0, len(encoded), _LINE))


# -- JSON to AMQP


def table_of(values: dict[str, object], trail: Trail, findings: Findings, depth: int = 0) -> Table:
    """The table of a JSON object, which is sound (`checks.sound`). Notes names that are too long, and depth."""
    if depth > MAX_DEPTH:
        findings.problem(trail, f"is nested deeper than {MAX_DEPTH} levels, the limit for AMQP tables")
        return []
    table: Table = []
    for name, value in values.items():
        key = _raw_of(name)
        if len(key) > NAME_BYTES_MAX:
            findings.problem((*trail, name), f"is a name of {len(key)} bytes, and at most {NAME_BYTES_MAX} are allowed")
        table.append((as_text(key), _field_of(value, (*trail, name), findings, depth)))
    table.sort(key=_name)
    return table


def _field_of(value: object, trail: Trail, findings: Findings, depth: int) -> Field:
    if isinstance(value, str):
        return Field(LONGSTR, _raw_of(value))
    if isinstance(value, bool):
        return Field(BOOL, value)
    if isinstance(value, int):
        return Field(LONG if value <= _LONG_MAX else TIMESTAMP, value)  # only a timestamp is ever that large
    if isinstance(value, float):
        return Field(DOUBLE, value)
    if isinstance(value, dict):
        return Field(TABLE, table_of(value, trail, findings, depth + 1))
    if isinstance(value, list):
        return Field(ARRAY, _array_of(value, trail, findings, depth + 1))
    return Field(VOID, None)


def _array_of(values: list[object], trail: Trail, findings: Findings, depth: int) -> list[Field]:
    if depth > MAX_DEPTH:
        findings.problem(trail, f"is nested deeper than {MAX_DEPTH} levels, the limit for AMQP tables")
        return []
    return [_field_of(value, (*trail, position), findings, depth) for position, value in enumerate(values)]


def _raw_of(text: str) -> bytes:
    """The bytes of a text: those it stands for where they are not UTF-8."""
    raw = text.encode()
    if not text.startswith(NOT_UTF8):
        return raw
    try:
        decoded = base64.b64decode(text[len(NOT_UTF8) :].replace("\n", ""), validate=True)
    except ValueError:
        return raw
    return raw if _is_utf8(decoded) else decoded


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


# -- what becomes of commands


def with_queue_type(arguments: Table, kind: str) -> Table:
    """A queue's arguments with the type among them, where RabbitMQ 4 always has it: importing reads it there only."""
    if lookup(arguments, QUEUE_TYPE) is not None:
        return arguments
    return sorted([*arguments, (QUEUE_TYPE, longstr(kind))], key=_name)


def _name(pair: tuple[str, Field]) -> str:
    return pair[0]


def normal(command: Command) -> Command:
    """The command that comes back when it is exported and imported.

    What differs are types of arguments that JSON does not have, their order, names given twice, and the queue type
    among a queue's arguments, where it may not have been.
    """
    c = command
    if isinstance(c, PutQueue):
        arguments = with_queue_type(_normal_table(c.arguments), c.type)
        return PutQueue(c.vhost, c.name, c.type, c.durable, c.auto_delete, arguments)
    if isinstance(c, PutExchange) and c.arguments:
        arguments = _normal_table(c.arguments)
        return PutExchange(c.vhost, c.name, c.type, c.durable, c.auto_delete, c.internal, arguments)
    if isinstance(c, PutBinding) and c.arguments:
        arguments = _normal_table(c.arguments)
        return PutBinding(c.vhost, c.source, c.destination_type, c.destination, c.routing_key, arguments)
    return command


def _normal_table(table: Table) -> Table:
    return table_of(json_of_table(table), (), Findings()) if table else table
