"""What a run is to do: every option of `amqpd bench`, with its unit, and what must not go together.

Names are those of the long options. Nothing here connects to anybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from amqpd.perftest import texts
from amqpd.perftest.client import CHANNEL_MAX, FRAME_MAX, FRAME_MIN
from amqpd.perftest.faults import OptionError
from amqpd.perftest.pace import Steps, constant
from amqpd.perftest.texts import Address
from amqpd.wire import content
from amqpd.wire.primitives import shortstr
from amqpd.wire.tables import TIMESTAMP, Table

SIZE_MAX: Final = 512 * 2**20
CONNECTIONS_MAX: Final = 50_000
QUEUES_MAX: Final = 1_000_000
FLAGS: Final = ("persistent", "mandatory")
STREAM_PREFETCH: Final = 200
STREAM_BYTES: Final = 20 * 10**9
STREAM_SEGMENT_BYTES: Final = 500 * 10**6

# PerfTest's names of the properties, and how each is written.
_TEXT: Final = {
    "contentType": content.CONTENT_TYPE,
    "contentEncoding": content.CONTENT_ENCODING,
    "correlationId": content.CORRELATION_ID,
    "replyTo": content.REPLY_TO,
    "expiration": content.EXPIRATION,
    "messageId": content.MESSAGE_ID,
    "type": content.TYPE,
    "userId": content.USER_ID,
    "appId": content.APP_ID,
    "clusterId": content.CLUSTER_ID,
}
_OCTETS: Final = {"deliveryMode": content.DELIVERY_MODE, "priority": content.PRIORITY}


@dataclass(frozen=True)
class Options:
    """A run. Durations are in seconds unless the name says otherwise; 0 is "no limit" where a limit is meant."""

    addresses: Sequence[Address]
    id: str
    producers: int = 1
    consumers: int = 1
    producer_channels: int = 1
    consumer_channels: int = 1
    sizes: Steps = field(default_factory=lambda: constant(12))
    bodies: Sequence[bytes] = ()
    rates: Steps | None = None
    consumer_rate: float = 0
    latencies: Steps = field(default_factory=lambda: constant(0))
    producer_limit: int = 0
    consumer_limit: int = 0
    time_s: float = 0
    confirm: int = 0
    confirm_timeout_s: float = 30
    producer_tx: int = 0
    consumer_tx: int = 0
    prefetch: int = 0
    channel_prefetch: int = 0
    autoack: bool = False
    multi_ack_every: int = 0
    nack: bool = False
    requeue: bool = True
    mandatory: bool = False
    properties: dict[int, bytes] = field(default_factory=dict)
    headers: Table = field(default_factory=list)
    exchange: str = "direct"
    exchange_named: bool = False
    exchange_type: str = "direct"
    queues: Sequence[str] = ()
    in_sequence: bool = False
    routing_key: str | None = None
    random_keys: int = 0
    skip_binding: bool = False
    predeclared: bool = False
    durable: bool = True
    exclusive: bool = False
    auto_delete: bool = True
    queue_arguments: Table = field(default_factory=list)
    consumer_arguments: Table = field(default_factory=list)
    consumer_start_delay_s: float = 0
    producer_start_delay_s: float = 0
    slow_start: bool = False
    servers_startup_timeout_s: float = 0
    interval_s: float = 1
    heartbeat_s: int = 0
    frame_max: int = 0
    shutdown_timeout_s: float = 5
    use_millis: bool = False
    external: bool = False


def check(options: Options) -> None:
    """Raise OptionError for what makes no sense together."""
    if options.producers == options.consumers == 0:
        raise OptionError("--producers and --consumers are both 0: there is nothing to do")
    if options.producers + options.consumers > CONNECTIONS_MAX:
        raise OptionError(f"--producers and --consumers: at most {CONNECTIONS_MAX} connections")
    if options.confirm and options.producer_tx:
        raise OptionError("--confirm and --ptxsize: a channel has either confirms or transactions")
    if options.exclusive and options.queues:
        raise OptionError("--exclusive: exclusive queues are named by the broker, without --queue and its like")
    if options.predeclared and not options.queues and options.consumers:
        raise OptionError("--predeclared: say with --queue which queue is there")
    _check_name("--id", options.id)
    _check_name("--exchange", options.exchange)
    _check_name("--type", options.exchange_type)
    _check_name("--routing-key", options.routing_key or "")
    for queue in options.queues:
        _check_name("--queue", queue)
    if options.frame_max and not FRAME_MIN <= options.frame_max <= FRAME_MAX:
        raise OptionError(f"--framemax: from {FRAME_MIN} to {FRAME_MAX}")
    if max(options.producer_channels, options.consumer_channels) > CHANNEL_MAX:
        raise OptionError(f"--producer-channel-count and --consumer-channel-count: at most {CHANNEL_MAX}")
    if options.sizes.highest() > SIZE_MAX:
        raise OptionError(f"--size: at most {SIZE_MAX}")


def _check_name(option: str, value: str) -> None:
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise OptionError(f"{option}: {value!r} is not UTF-8") from None
    if size > 255:
        raise OptionError(f"{option}: a name has at most 255 bytes, this one has {size}")


def queue_names(
    names: str | None, pattern: str | None, first: int | None, last: int | None, lines: Sequence[str] | None
) -> tuple[list[str], bool]:
    """The queues of a run, and whether each client uses one of them in turn. `lines`: the content of --queue-file."""
    if lines is not None:
        if pattern is not None or names is not None:
            raise OptionError("--queue-file, --queue-pattern and --queue: one of them")
        found = [line.strip() for line in lines if line.strip()]
        if not found:
            raise OptionError("--queue-file: the file names no queue")
        return found, True
    if pattern is None and first is None and last is None:
        return (names.split(",") if names else []), False
    if pattern is None or first is None or last is None:
        raise OptionError("--queue-pattern, --queue-pattern-from and --queue-pattern-to: all of them, or none")
    if names is not None:
        raise OptionError("--queue and --queue-pattern: one of them")
    if not 0 <= first <= last:
        raise OptionError("--queue-pattern-from and --queue-pattern-to: from 0 on, the second not below the first")
    if last - first >= QUEUES_MAX:
        raise OptionError(f"--queue-pattern-to: at most {QUEUES_MAX} queues")
    try:
        made = [pattern % number for number in range(first, last + 1)]
    except (TypeError, ValueError):
        raise OptionError(f"--queue-pattern: {pattern!r} needs one %d, where the number goes") from None
    return made, True


def message_properties(option: str, given: Sequence[str]) -> tuple[dict[int, bytes], Table]:
    """Properties by PerfTest's names (deliveryMode, priority, contentType, ...); other keys are headers."""
    properties: dict[int, bytes] = {}
    headers: Table = []
    for key, value in texts.pairs(option, given).items():
        if key in _OCTETS:
            if not value.isdecimal() or int(value) > 255:
                raise OptionError(f"{option}: {key} is a number from 0 to 255")
            properties[_OCTETS[key]] = bytes([int(value)])
        elif key == "timestamp":
            moment = texts.stream_offset(option, value)
            if not moment.is_integer and moment.kind != TIMESTAMP:
                raise OptionError(f"{option}: timestamp is a time like 2022-06-03T07:45:54Z")
            properties[content.TIMESTAMP] = moment.integer().to_bytes(8, "big")
        elif key in _TEXT:
            _check_name(f"{option}: {key}", value)
            properties[_TEXT[key]] = shortstr(value)
        else:
            headers.append((key, texts.typed(value)))
    return properties, headers
