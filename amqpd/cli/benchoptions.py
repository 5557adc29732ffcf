"""From the command line's values to the options of a run. Reads the files that they name.

Everything here raises OptionError with the option's name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from amqpd.perftest import texts
from amqpd.perftest.faults import OptionError
from amqpd.perftest.options import (
    STREAM_BYTES,
    STREAM_PREFETCH,
    STREAM_SEGMENT_BYTES,
    Options,
    check,
    message_properties,
    queue_names,
)
from amqpd.perftest.pace import Steps, constant
from amqpd.wire import content
from amqpd.wire.primitives import shortstr
from amqpd.wire.tables import Table, long, longstr

BODY_BYTES_MAX: Final = 2**30  # of all files of --body together
SEGMENT_BYTES_MAX: Final = 3 * 10**9
RATE_MAX: Final = 1e9
DEFAULT_EXCHANGE: Final = "amq.default"
PERSISTENT: Final = b"\2"

Values = Mapping[str, Any]


def options(values: Values, now: datetime) -> Options:
    """The options of a run, checked."""
    quorum, stream = values["quorum_queue"], values["stream_queue"]
    if quorum and stream:
        raise OptionError("--quorum-queue and --stream-queue: one of them")
    persistent = "persistent" in values["flags"] or quorum or stream
    properties, headers = _properties(values, persistent)
    queues, in_sequence = _queues(values)
    named = values["exchange"] is not None
    exchange = values["exchange"] if named else values["type"]
    made = Options(
        addresses=_addresses(values),
        id=values["id"] or f"test-{now:%H%M%S}-{now.microsecond // 1000:03d}",
        producers=values["producers"],
        consumers=values["consumers"],
        producer_channels=values["producer_channel_count"],
        consumer_channels=values["consumer_channel_count"],
        sizes=_steps("--variable-size", values["variable_size"], 1) or constant(values["size"]),
        bodies=_bodies(values["body"]),
        rates=_rates(values),
        consumer_rate=_rate("--consumer-rate", values["consumer_rate"]) or 0,
        latencies=_steps("--variable-latency", values["variable_latency"], 0) or constant(values["consumer_latency"]),
        producer_limit=values["pmessages"],
        consumer_limit=values["cmessages"],
        time_s=values["time"] or 0,
        confirm=_confirm(values["confirm"]),
        confirm_timeout_s=values["confirm_timeout"],
        producer_tx=values["ptxsize"],
        consumer_tx=values["ctxsize"],
        prefetch=values["qos"] or (STREAM_PREFETCH if stream else 0),
        channel_prefetch=values["global_qos"],
        autoack=values["autoack"],
        multi_ack_every=values["multi_ack_every"],
        nack=values["nack"],
        requeue=values["requeue"],
        mandatory="mandatory" in values["flags"],
        properties=properties,
        headers=headers,
        exchange="" if exchange == DEFAULT_EXCHANGE else exchange,
        exchange_named=named,
        exchange_type=values["type"],
        queues=queues,
        in_sequence=in_sequence,
        routing_key=values["routing_key"],
        random_keys=values["routing_key_cache_size"] or (-1 if values["random_routing_key"] else 0),
        skip_binding=values["skip_binding_queues"],
        predeclared=values["predeclared"],
        durable=persistent or not values["exclusive"],
        exclusive=values["exclusive"],
        auto_delete=values["auto_delete"] and not (quorum or stream),
        queue_arguments=_queue_arguments(values),
        consumer_arguments=_consumer_arguments(values),
        consumer_start_delay_s=values["consumer_start_delay"],
        producer_start_delay_s=values["producer_random_start_delay"],
        slow_start=values["slow_start"],
        servers_startup_timeout_s=values["servers_startup_timeout"],
        interval_s=values["interval"],
        heartbeat_s=values["heartbeat"],
        frame_max=values["framemax"],
        shutdown_timeout_s=values["shutdown_timeout"],
        use_millis=values["use_millis"],
        external=values["sasl_external"],
    )
    check(made)
    return made


def _addresses(values: Values) -> list[texts.Address]:
    uris = values["uris"].split(",") if values["uris"] else [values["uri"]]
    return [texts.address(uri.strip()) for uri in uris]


def _steps(option: str, given: Sequence[str], least: int) -> Steps | None:
    return Steps(texts.steps(option, given, least)) if given else None


def _rate(option: str, value: float | None) -> float | None:
    """None where there is no limit, which PerfTest writes as -1."""
    if value is None or value == -1:
        return None
    if not 0 < value <= RATE_MAX:
        raise OptionError(f"{option}: above 0, or left out for no limit")
    return value


def _rates(values: Values) -> Steps | None:
    rate = _rate("--rate", values["rate"])
    interval = values["publishing_interval"]
    given = [name for name, value in (("--rate", rate), ("--publishing-interval", interval)) if value is not None]
    if values["variable_rate"]:
        given.append("--variable-rate")
    if len(given) > 1:
        raise OptionError(f"{' and '.join(given)}: one of them")
    if interval is not None:
        return constant(1 / interval)
    return constant(rate) if rate is not None else _steps("--variable-rate", values["variable_rate"], 0)


def _confirm(value: int) -> int:
    if value == -1:
        return 0
    if value < 1:
        raise OptionError("--confirm: at least 1, or -1 for no confirms")
    return value


def _bodies(given: str | None) -> list[bytes]:
    bodies: list[bytes] = []
    for name in given.split(",") if given else ():
        path = Path(name.strip())
        try:
            size = path.stat().st_size
            if sum(map(len, bodies)) + size > BODY_BYTES_MAX:
                raise OptionError(f"--body: at most {BODY_BYTES_MAX} bytes in all files together")
            bodies.append(path.read_bytes())
        except OSError as error:
            raise OptionError(f"--body: {path}: {error.strerror}") from None
    return bodies


def _properties(values: Values, persistent: bool) -> tuple[dict[int, bytes], Table]:
    given = values["message_properties"]
    properties, headers = message_properties("--message-properties", [given] if given else [])
    if values["body_content_type"]:
        if len(values["body_content_type"].encode()) > 255:
            raise OptionError("--body-content-type: at most 255 bytes")
        properties.setdefault(content.CONTENT_TYPE, shortstr(values["body_content_type"]))
    if persistent:
        properties.setdefault(content.DELIVERY_MODE, PERSISTENT)
    return properties, headers


def _queues(values: Values) -> tuple[list[str], bool]:
    lines = None
    if values["queue_file"] is not None:
        try:
            lines = values["queue_file"].read_text().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise OptionError(f"--queue-file: {values['queue_file']}: {error}") from None
    first, last = values["queue_pattern_from"], values["queue_pattern_to"]
    return queue_names(values["queue"], values["queue_pattern"], first, last, lines)


def _queue_arguments(values: Values) -> Table:
    """What --queue-args says comes first, then what other options add; 0 takes a limit away."""
    arguments = dict(texts.table("--queue-args", values["queue_args"]))
    if values["quorum_queue"]:
        arguments["x-queue-type"] = longstr("quorum")
    if values["stream_queue"]:
        arguments["x-queue-type"] = longstr("stream")
        arguments.setdefault("x-max-length-bytes", long(STREAM_BYTES))
        arguments.setdefault("x-stream-max-segment-size-bytes", long(STREAM_SEGMENT_BYTES))
    if values["max_length_bytes"] is not None:
        size = texts.capacity("--max-length-bytes", values["max_length_bytes"])
        arguments["x-max-length-bytes"] = long(size)
        if size == 0:
            del arguments["x-max-length-bytes"]
    if values["stream_max_segment_size_bytes"] is not None:
        size = texts.capacity("--stream-max-segment-size-bytes", values["stream_max_segment_size_bytes"])
        if size > SEGMENT_BYTES_MAX:
            raise OptionError("--stream-max-segment-size-bytes: at most 3gb")
        arguments["x-stream-max-segment-size-bytes"] = long(size)
    if values["max_age"] is not None:
        arguments["x-max-age"] = longstr(texts.age("--max-age", values["max_age"]))
    if values["leader_locator"] is not None:
        arguments["x-queue-leader-locator"] = longstr(values["leader_locator"])
    return list(arguments.items())


def _consumer_arguments(values: Values) -> Table:
    arguments = texts.table("--consumer-args", values["consumer_args"])
    if values["stream_consumer_offset"] is not None:
        arguments.append(
            ("x-stream-offset", texts.stream_offset("--stream-consumer-offset", values["stream_consumer_offset"]))
        )
    return arguments
