"""The cases: what is measured, how, and what amqpd is to reach. A table; nothing is run here.

A case is measured as often as `run.py` is told, in turns with the other brokers. Its rows are what the report shows of
it: where the figure is, in what unit, which way is better, and the goal, if there is one. Goals were set from what a
prototype without features did on two cores; they are for such a machine, with the client on the same cores.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["CASES", "GROUPS", "SECTIONS", "Case", "Row"]

SECTIONS = {
    "a": "transient messages, automatic acknowledgement",
    "b": "durable queues, persistent messages",
    "c": "quorum queues, one node",
    "d": "quorum queues, three nodes",
    "e": "exchanges, several queues",
    "f": "request and reply",
    "g": "latency at a given rate",
    "g3": "latency of quorum queues, three nodes",
    "h": "streams",
    "i": "connections, channels and queues that come and go",
    "j": "start and backlog",
}
GROUPS = {
    "cpu": "CPU time of the broker",
    "rate": "Throughput",
    "latency": "Latency",
    "other": "Connections, start, memory",
}


@dataclass(frozen=True)
class Row:
    """One figure of a case. `scale` brings it into `unit`; `goal` is in that unit, and for amqpd compiled."""

    group: str
    figure: str
    unit: str
    goal: float | None = None
    more: bool = False  # whether more is better
    scale: float = 1.0
    note: str = ""


@dataclass(frozen=True)
class Case:
    """`options` are amqpload's; `count` is scaled by --scale. `fresh`: on a node that has done nothing before.

    `needs` is a feature that amqpd does not have yet: the case is run against RabbitMQ only, if its section is asked
    for.
    """

    section: str
    name: str
    options: str = ""
    count: int = 0
    rows: tuple[Row, ...] = field(default=())
    needs: str = ""
    fresh: bool = False
    measure: str = "load"
    peer_reps: int = 99  # RabbitMQ needs so long for some that once must do


def cpu(goal: float | None = None, figure: str = "published", unit: str = "us/message") -> Row:
    return Row("cpu", f"broker_cpu_us_per_{figure}", unit, goal)


def rate(goal: float | None = None, figure: str = "consumed_per_s", unit: str = "messages/s") -> Row:
    return Row("rate", figure, unit, goal, more=True)


def latency(figure: str, note: str, p50: float | None = None, p99: float | None = None) -> tuple[Row, Row]:
    return (
        Row("latency", f"{figure}/p50", "us", p50, note=f"{note} p50"),
        Row("latency", f"{figure}/p99", "us", p99, note=f"{note} p99"),
    )


AUTOACK = "--autoack"
PERSISTENT = "--persistent --confirm 1000 --prefetch 1000 --size 1024"
PACED = "--warmup 0.5"
STREAM = "--queue-type stream --size 1024 --queue-name amqpload.stream --keep"
EXCHANGE = "--bindings 100 --queues 10 --consumers 10 --autoack"
FANOUT = "--fanout 10 --consumers 10 --autoack"

TRANSIENT_CASES = (
    Case("a", "16 B", f"{AUTOACK} --size 16", 250_000, (cpu(0.45), rate(2.5e6))),
    Case("a", "1 KiB", f"{AUTOACK} --size 1024", 150_000, (cpu(1.5), rate(600e3))),
    Case("a", "16 KiB", f"{AUTOACK} --size 16384", 30_000, (cpu(12), rate(75e3))),
    Case("a", "16 B, confirm window 1000", f"{AUTOACK} --size 16 --confirm 1000", 150_000, (cpu(0.6), rate(1.8e6))),
    Case(
        "a",
        "16 B, paced 20000/s",
        f"{AUTOACK} --size 16 --rate 20000",
        80_000,
        (cpu(), *latency("latency_us", "end to end")),
    ),
)
PERSISTENT_CASES = (
    Case("b", "1 KiB, ack each", f"{PERSISTENT} --multi-ack 1", 60_000, (cpu(4), rate(200e3))),
    Case("b", "1 KiB, ack per 100", f"{PERSISTENT} --multi-ack 100", 80_000, (cpu(3.5), rate(220e3))),
)
ROUTING_CASES = (
    Case(
        "e",
        "fanout to 10 queues, 16 B",
        FANOUT,
        30_000,
        (cpu(0.15, "delivered", "us/delivery"), rate(6e6, unit="deliveries/s")),
    ),
    Case(
        "e",
        "fanout to 10 queues, 1 KiB",
        f"{FANOUT} --size 1024",
        20_000,
        (cpu(None, "delivered", "us/delivery"), rate(None, unit="deliveries/s")),
    ),
    Case(
        "e",
        "topic, 100 bindings, 10 queues",
        f"--exchange amqpload.t --etype topic {EXCHANGE}",
        100_000,
        (cpu(1.0), rate(900e3)),
    ),
    Case(
        "e",
        "direct, 100 bindings, 10 queues",
        f"--exchange amqpload.d --etype direct {EXCHANGE}",
        100_000,
        (cpu(0.8), rate(1.2e6)),
    ),
    Case(
        "e",
        "4 producers, 4 consumers, 1 queue, confirms, ack per 100",
        "--producers 4 --consumers 4 --confirm 1000 --prefetch 1000 --multi-ack 100",
        120_000,
        (cpu(1.0), rate(1e6)),
    ),
)
RPC_CASES = (
    Case(
        "f",
        "direct reply-to, 1 in flight",
        "--rpc",
        10_000,
        (cpu(35, unit="us/call"), *latency("rtt_us", "round trip", 70)),
    ),
    Case(
        "f",
        "direct reply-to, 4 callers x 16 in flight",
        "--rpc --producers 4 --consumers 2 --inflight 16",
        60_000,
        (cpu(8, unit="us/call"), rate(150e3, "confirmed_per_s", "calls/s")),
    ),
)
LATENCY_CASES = (
    Case(
        "g",
        "transient, 1000/s",
        f"{AUTOACK} --rate 1000 {PACED}",
        4000,
        (cpu(), *latency("latency_us", "end to end", 75, 800)),
    ),
    Case(
        "g",
        "transient, 5000/s",
        f"{AUTOACK} --rate 5000 {PACED}",
        20_000,
        (cpu(), *latency("latency_us", "end to end")),
    ),
    Case(
        "g",
        "persistent, 1000/s",
        f"{PERSISTENT} --rate 1000 {PACED}",
        4000,
        (cpu(), *latency("confirm_us", "confirm", 300, 2000)),
    ),
    Case(
        "g",
        "persistent, 5000/s",
        f"{PERSISTENT} --rate 5000 {PACED}",
        20_000,
        (cpu(), *latency("confirm_us", "confirm")),
    ),
    Case(
        "g",
        "publish and confirm, beside a flood",
        "--consumers 0 --confirm 1 --size 16 --queue-arg x-max-length=1 --duration 3",
        measure="beside a flood",
        rows=(
            *latency("confirm_us", "round trip", None, 1000),
            Row("rate", "flood_per_s", "messages/s", more=True, note="the flood"),
        ),
    ),
)
CHURN_CASES = (
    Case(
        "i",
        "connections opened and closed",
        "--connections-churn",
        1000,
        (cpu(200, unit="us/connection"), rate(4000, "published_per_s", "connections/s")),
    ),
    Case(
        "i",
        "channels opened and closed",
        "--channels-churn",
        5000,
        (cpu(unit="us/channel"), rate(20e3, "published_per_s", "channels/s")),
    ),
    Case(
        "i",
        "transient queues declared and deleted",
        "--queue-churn",
        1000,
        (cpu(unit="us/queue"), rate(5000, "published_per_s", "queues/s")),
    ),
    Case(
        "i",
        "1000 idle connections",
        "--idle 1000 --duration 3",
        fresh=True,
        rows=(Row("other", "kb_per_connection", "KiB/connection", 10), Row("other", "idle_cpu_pct", "% CPU", 0.3)),
    ),
)
BACKLOG_ROWS = (
    Row("other", "rss_mb", "MB RSS", 100, note="full"),
    Row("other", "bytes_per_message", "B/message"),
)
BACKLOG_CASES = (
    Case(
        "j",
        "start to first connection",
        measure="start",
        rows=(Row("other", "start_s", "s", 0.5), Row("other", "rss_mb", "MB RSS")),
    ),
    Case(
        "j",
        "1 M waiting messages of 16 B, transient",
        "--size 16",
        1_000_000,
        measure="backlog",
        rows=(
            *BACKLOG_ROWS,
            rate(2.5e6, "fill_per_s"),
            Row("rate", "drain_per_s", "messages/s", 2.5e6, more=True, note="drained"),
        ),
    ),
    Case(
        "j",
        "1 M waiting messages of 16 B, durable",
        "--size 16 --persistent --confirm 1000",
        1_000_000,
        measure="backlog",
        peer_reps=1,
        rows=(
            *BACKLOG_ROWS,
            rate(None, "fill_per_s"),
            Row("rate", "drain_per_s", "messages/s", more=True, note="drained"),
        ),
    ),
)
QUORUM = f"{PERSISTENT} --queue-type quorum"
LATER_CASES = (
    Case("c", "1 KiB, ack each", f"{QUORUM} --multi-ack 1", 60_000, (cpu(6), rate(150e3)), "quorum queues"),
    Case("c", "1 KiB, ack per 100", f"{QUORUM} --multi-ack 100", 80_000, (cpu(), rate()), "quorum queues"),
    Case("d", "1 KiB, ack each", f"{QUORUM} --multi-ack 1", 30_000, (cpu(30), rate(50e3)), "a cluster"),
    Case("d", "1 KiB, ack per 100", f"{QUORUM} --multi-ack 100", 40_000, (cpu(), rate()), "a cluster"),
    Case(
        "g3",
        "1000/s",
        f"{QUORUM} --rate 1000 {PACED}",
        4000,
        latency("confirm_us", "confirm", 800, 3000),
        "a cluster",
    ),
    Case(
        "g3",
        "5000/s",
        f"{QUORUM} --rate 5000 {PACED}",
        20_000,
        latency("confirm_us", "confirm", 1500, 8000),
        "a cluster",
    ),
    Case(
        "h",
        "publish 1 KiB, window 1000",
        f"{STREAM} --confirm 1000 --consumers 0",
        100_000,
        (cpu(4), rate(200e3, "confirmed_per_s")),
        "streams",
    ),
    Case(
        "h",
        "replay 1 KiB, ack per 100",
        f"{STREAM} --producers 0 --prefetch 1000 --multi-ack 100 --any-run --no-declare",
        100_000,
        (cpu(0.8, "delivered"), rate(1e6)),
        "streams",
    ),
    Case(
        "i",
        "quorum queues declared and deleted",
        "--queue-churn --queue-type quorum",
        100,
        (rate(None, "published_per_s", "queues/s"),),
        "quorum queues",
    ),
)
CASES = (
    *TRANSIENT_CASES,
    *PERSISTENT_CASES,
    *ROUTING_CASES,
    *RPC_CASES,
    *LATENCY_CASES,
    *CHURN_CASES,
    *BACKLOG_CASES,
    *LATER_CASES,
)
