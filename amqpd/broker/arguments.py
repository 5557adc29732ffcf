"""The arguments of queues and consumers: which exist, what values they take, and RabbitMQ's words where they are wrong.

Does not know what the arguments do. Values in errors are printed as Erlang prints terms, because RabbitMQ does and
clients compare the texts (`behaviour.md` 1.1; RabbitMQ: rabbit_amqqueue:check_arguments/2).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from amqpd.broker import erlang
from amqpd.broker.limits import NAME_BYTES_MAX
from amqpd.errors import precondition_failed
from amqpd.wire import tables
from amqpd.wire.primitives import Reader
from amqpd.wire.tables import Field, Table, lookup

SHARED_MAX: Final = 1000  # tables
SHARED_SIZE_MAX: Final = 256  # bytes of one
MAX_EXPIRY_MS: Final = 315_360_000_000  # ten years
MAX_PRIORITY: Final = 255
OVERFLOW_MODES: Final = ("drop-head", "reject-publish", "reject-publish-dlx")
LEADER_LOCATORS: Final = ("client-local", "balanced", "random", "least-leaders", "min-masters")
QUEUE_TYPES: Final = ("classic", "quorum", "stream")

NAME_PREFIX: Final = "x-name-prefix"
QUEUE_TYPE: Final = "x-queue-type"
EXPIRES: Final = "x-expires"
MESSAGE_TTL: Final = "x-message-ttl"
DEAD_LETTER_EXCHANGE: Final = "x-dead-letter-exchange"
DEAD_LETTER_ROUTING_KEY: Final = "x-dead-letter-routing-key"
MAX_LENGTH: Final = "x-max-length"
MAX_LENGTH_BYTES: Final = "x-max-length-bytes"
MAX_PRIORITY_ARGUMENT: Final = "x-max-priority"
OVERFLOW: Final = "x-overflow"
SINGLE_ACTIVE_CONSUMER: Final = "x-single-active-consumer"
QUEUE_VERSION: Final = "x-queue-version"
QUEUE_MODE: Final = "x-queue-mode"
LEADER_LOCATOR: Final = "x-queue-leader-locator"
MASTER_LOCATOR: Final = "x-queue-master-locator"
CONSUMER_TIMEOUT: Final = "x-consumer-timeout"
CONSUMER_PRIORITY: Final = "x-priority"
STREAM_OFFSET: Final = "x-stream-offset"

# A check returns what is wrong, as Erlang prints it, or "".
Check = Callable[[Field, Table], str]


def _integer(field: Field) -> str:
    return "" if field.is_integer else erlang.string(f"expected integer, got {field.type_name}")


def _non_negative(field: Field, _table: Table) -> str:
    wrong = _integer(field)
    if wrong:
        return wrong
    value = field.integer()
    return f"{{value_negative,{value}}}" if value < 0 else ""


def expiry_problem(value: int) -> str:
    """Why a time in ms is no time to live, or "" (RabbitMQ: rabbit_misc:check_expiry/1)."""
    if value < 0:
        return f"{{value_negative,{value}}}"
    return f"{{value_too_large,{value}}}" if value > MAX_EXPIRY_MS else ""


def _message_ttl(field: Field, _table: Table) -> str:
    return _integer(field) or expiry_problem(field.integer())


def _expires(field: Field, _table: Table) -> str:
    wrong = _integer(field)
    if wrong:
        return wrong
    return "{value_zero,0}" if field.integer() == 0 else expiry_problem(field.integer())


def _max_priority(field: Field, table: Table) -> str:
    wrong = _non_negative(field, table)
    if wrong:
        return wrong
    value = field.integer()
    return f"{{max_value_exceeded,{value}}}" if value > MAX_PRIORITY else ""


def _boolean(field: Field, _table: Table) -> str:
    return "" if field.kind == tables.BOOL else f"{{unacceptable_type,{field.type_name}}}"


def _string(field: Field, _table: Table) -> str:
    return "" if field.kind == tables.LONGSTR else f"{{unacceptable_type,{field.type_name}}}"


def _one_of(allowed: tuple[str, ...], otherwise: str) -> Check:
    def check(field: Field, table: Table) -> str:
        return _string(field, table) or ("" if field.text() in allowed else otherwise)

    return check


def _dead_letter_routing_key(field: Field, table: Table) -> str:
    wrong = _string(field, table)
    if wrong:
        return wrong
    if len(field.raw()) > NAME_BYTES_MAX:
        return erlang.string(f"longer than {NAME_BYTES_MAX} bytes")
    return "routing_key_but_no_dlx_defined" if lookup(table, DEAD_LETTER_EXCHANGE) is None else ""


def _queue_version(field: Field, table: Table) -> str:
    wrong = _non_negative(field, table)
    if wrong:
        return wrong
    return "" if field.integer() == 2 else erlang.string(f"unsupported queue version '{field.integer()}'")


def _queue_type(field: Field, table: Table) -> str:
    wrong = _string(field, table)
    if wrong:
        return wrong
    if not field.raw() or field.text() in QUEUE_TYPES:
        return ""
    return erlang.string(f"unsupported queue type '{field.text()}'")


_CLASSIC: Final[list[tuple[str, Check]]] = [
    (EXPIRES, _expires),
    (MESSAGE_TTL, _message_ttl),
    (DEAD_LETTER_EXCHANGE, _string),
    (DEAD_LETTER_ROUTING_KEY, _dead_letter_routing_key),
    (MAX_LENGTH, _non_negative),
    (MAX_LENGTH_BYTES, _non_negative),
    (MAX_PRIORITY_ARGUMENT, _max_priority),
    (OVERFLOW, _one_of(OVERFLOW_MODES, "invalid_overflow")),
    (QUEUE_VERSION, _queue_version),
    (SINGLE_ACTIVE_CONSUMER, _boolean),
    (CONSUMER_TIMEOUT, _non_negative),
    (LEADER_LOCATOR, _one_of(LEADER_LOCATORS, "invalid_queue_locator_arg")),
]
# Known, but to other types of queues only: refused, so that nobody believes they act.
_NOT_FOR_CLASSIC: Final = frozenset(
    {
        "x-consumer-disconnected-timeout",
        "x-dead-letter-strategy",
        "x-delayed-retry-max",
        "x-delayed-retry-min",
        "x-delayed-retry-type",
        "x-delivery-limit",
        "x-initial-cluster-size",
        "x-max-age",
        "x-max-in-memory-bytes",
        "x-max-in-memory-length",
        "x-quorum-initial-group-size",
        "x-stream-filter-size-bytes",
        "x-stream-max-segment-size-bytes",
    }
)
# What a redeclaration must repeat.
EQUIVALENCE: Final = (
    EXPIRES,
    MESSAGE_TTL,
    DEAD_LETTER_EXCHANGE,
    DEAD_LETTER_ROUTING_KEY,
    MAX_LENGTH,
    MAX_LENGTH_BYTES,
    MAX_PRIORITY_ARGUMENT,
    OVERFLOW,
    QUEUE_VERSION,
    SINGLE_ACTIVE_CONSUMER,
    CONSUMER_TIMEOUT,
    QUEUE_TYPE,
    QUEUE_MODE,
    LEADER_LOCATOR,
    MASTER_LOCATOR,
)


def queue_type(arguments: Table, queue: str) -> str:
    """The type that `x-queue-type` names, "" without it. `queue` is how errors print the queue. Raises 406."""
    field = lookup(arguments, QUEUE_TYPE)
    if field is None:
        return ""
    _check(QUEUE_TYPE, field, _queue_type, arguments, queue)
    return field.text()


def check_classic(arguments: Table, queue: str) -> None:
    """Refuse what a classic queue cannot be declared with. Raises ChannelError 406."""
    for name, check in _CLASSIC:
        field = lookup(arguments, name)
        if field is not None:
            _check(name, field, check, arguments, queue)
    for name, _field in arguments:
        if name in _NOT_FOR_CLASSIC:
            raise precondition_failed(f"invalid arg '{name}' for {queue} of queue type rabbit_classic_queue")


def check_consumer(arguments: Table, queue: str) -> None:
    """Refuse what a consumer cannot ask for. Raises ChannelError 406."""
    field = lookup(arguments, CONSUMER_PRIORITY)
    if field is not None:
        wrong = _integer(field)
        if wrong:
            raise precondition_failed(f"invalid arg '{CONSUMER_PRIORITY}' for {queue}: {wrong}")
    for name, _field in arguments:
        if name in (STREAM_OFFSET, CONSUMER_TIMEOUT):
            raise precondition_failed(f"invalid arg '{name}' for {queue} of queue type rabbit_classic_queue")


def _check(name: str, field: Field, check: Check, arguments: Table, queue: str) -> None:
    wrong = check(field, arguments)
    if wrong:
        raise precondition_failed(f"invalid arg '{name}' for {queue}: {wrong}")


def integer(arguments: Table, name: str, otherwise: int) -> int:
    """The integer argument `name`, or `otherwise`."""
    field = lookup(arguments, name)
    return field.integer() if field is not None else otherwise


def text(arguments: Table, name: str) -> str | None:
    """The string argument `name`, or None."""
    field = lookup(arguments, name)
    return field.text() if field is not None else None


def flag(arguments: Table, name: str) -> bool:
    """The boolean argument `name`, False without it."""
    field = lookup(arguments, name)
    return field is not None and field.value is True


def _printed(field: Field) -> str:
    return field.text() if isinstance(field.value, bytes) else erlang.value(field)


def _described(field: Field | None) -> str:
    return "none" if field is None else f"the value '{_printed(field)}' of type '{field.type_name}'"


def _class_of(field: Field) -> str:
    if field.is_integer:
        return "int"
    return "float" if field.kind in (tables.FLOAT, tables.DOUBLE) else field.type_name


_CLASSIC_TYPE: Final = tables.longstr("classic")


def assert_equivalent(current: Table, received: Table, names: tuple[str, ...], subject: str) -> None:
    """Compare `names` in two argument tables. Raises 406 with RabbitMQ's text; `subject` is how it prints the object.

    Integers compare across widths; an absent x-queue-type is "classic" (RabbitMQ: rabbit_misc:assert_args_equivalence).
    """
    for name in names:
        old = lookup(current, name)
        new = lookup(received, name)
        if old is None and new is None:
            continue
        if name == QUEUE_TYPE:
            old = old or _CLASSIC_TYPE
            new = new or _CLASSIC_TYPE
        if old is not None and new is not None:
            if _class_of(old) == _class_of(new) and old.value == new.value:
                continue
            raise inequivalent(name, subject, f"'{_printed(new)}'", f"'{_printed(old)}'")
        raise inequivalent(name, subject, _described(new), _described(old))


def inequivalent(name: str, subject: str, received: str, current: str) -> Exception:
    """The 406 of a redeclaration that differs."""
    return precondition_failed(f"inequivalent arg '{name}' for {subject}: received {received} but current is {current}")


class SharedTables:
    """Decoded tables of arguments. Those with the same bytes are one: of very many queues, most are declared alike.

    Hence nobody may change a table of arguments.
    """

    def __init__(self) -> None:
        self._tables: Final[dict[bytes, Table]] = {}

    def read(self, reader: Reader) -> Table:
        """Read a table with its length. Raises MalformedError."""
        raw = reader.longstr()
        found = self._tables.get(raw)
        if found is not None:
            return found
        decoded = tables.decode_table(raw)
        if len(raw) <= SHARED_SIZE_MAX:
            if len(self._tables) >= SHARED_MAX:
                self._tables.clear()
            self._tables[raw] = decoded
        return decoded
