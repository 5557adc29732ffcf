"""`amqpd bench`: put load on a broker and say how fast it was. Options are those of RabbitMQ's PerfTest.

Exit codes: 0 the run came to its end, or was interrupted; 1 it could not start or go on; 2 wrong usage. The options
stand here; what they mean in `benchoptions`, and what is done with them in `benchrun`. Both are imported when a run is
made.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

FAILED: Final = 1
USAGE: Final = 2

Decorator = Callable[[Callable[..., None]], Callable[..., None]]

_COUNT: Final = click.IntRange(min=0)
_FILE: Final = click.Path(path_type=Path)
_IN: Final = click.Path(path_type=Path, exists=True, dir_okay=False, readable=True)


def _value(
    short: str, long: str, text: str, kind: Any = str, default: Any = None, metavar: str | None = None
) -> Decorator:
    shown = f"  [default: {default}]" if default is not None else ""
    names = [name for name in (short, long) if name]
    return click.option(*names, type=kind, default=default, metavar=metavar, help=text + shown)


def _many(short: str, long: str, text: str, metavar: str, kind: Any = str) -> Decorator:
    return click.option(short, long, type=kind, multiple=True, metavar=metavar, help=text + " May be repeated.")


def _flag(short: str, long: str, text: str) -> Decorator:
    return click.option(*[name for name in (short, long) if name], is_flag=True, help=text)


_OPTIONS: Final[tuple[Decorator, ...]] = (
    # where
    _value("-h", "--uri", "The broker: amqp://USER:PASSWORD@HOST:PORT/VHOST, or amqps://.", default="amqp://localhost"),
    _value("-H", "--uris", "Several brokers, with commas between them, which connections are made to in turn."),
    _value(
        "",
        "--cacert",
        "With amqps: who may have signed the broker's certificate.  [default: the system's]",
        _IN,
        metavar="FILE",
    ),
    _value("", "--cert", "With amqps: our certificate, and its key unless that is in --key.", _IN, metavar="FILE"),
    _value("", "--key", "With amqps: the key of our certificate.", _IN, metavar="FILE"),
    _flag("", "--insecure", "With amqps: trust whoever answers, as PerfTest does."),
    _flag("-se", "--sasl-external", "Log in with our certificate, not with a password."),
    _value("-b", "--heartbeat", "Heartbeat interval in seconds; 0: none.", click.IntRange(0, 65_535), 0),
    _value("-M", "--framemax", "Frames of at most so many bytes; 0: as the broker wants them.", _COUNT, 0),
    _value("-sst", "--servers-startup-timeout", "Go on trying to connect for so many seconds.", _COUNT, 0),
    # how long
    _value("-z", "--time", "Run for so many seconds.  [default: until Ctrl-C]", click.FloatRange(min=0, min_open=True)),
    _value("-C", "--pmessages", "Each producer's channel sends so many messages; 0: no limit.", _COUNT, 0),
    _value("-D", "--cmessages", "Each consumer's channel takes so many messages; 0: no limit.", _COUNT, 0),
    _value(
        "-st",
        "--shutdown-timeout",
        "At the end, wait so many seconds for what is on its way.",
        click.FloatRange(min=0),
        5,
    ),
    # who
    _value("-x", "--producers", "Connections that publish.", _COUNT, 1),
    _value("-y", "--consumers", "Connections that consume.", _COUNT, 1),
    _value(
        "-X", "--producer-channel-count", "Channels of each connection that publishes.", click.IntRange(1, 65_535), 1
    ),
    _value(
        "-Y", "--consumer-channel-count", "Channels of each connection that consumes.", click.IntRange(1, 65_535), 1
    ),
    _value("-csd", "--consumer-start-delay", "Seconds before consumers start.", click.FloatRange(min=0), 0),
    _value(
        "-prsd",
        "--producer-random-start-delay",
        "Each producer starts within so many seconds.",
        click.FloatRange(min=0),
        0,
    ),
    _flag("-S", "--slow-start", "Start one consumer a second."),
    # messages
    _value("-s", "--size", "Bytes of a body. Below 12, the time stands in a header and not in the body.", _COUNT, 12),
    _many("-vs", "--variable-size", "A body of SIZE bytes for SECONDS, then the next.", "SIZE:SECONDS"),
    _value("-B", "--body", "Files to send as bodies in turn, with commas between them.", metavar="FILE,FILE"),
    _value("-T", "--body-content-type", "The content type of messages."),
    _value(
        "-mp",
        "--message-properties",
        "Properties (priority, deliveryMode, expiration, ...); other keys are headers.",
        metavar="KEY=VALUE,KEY=VALUE",
    ),
    click.option(
        "-f",
        "--flag",
        "flags",
        type=click.Choice(["persistent", "mandatory"]),
        multiple=True,
        help="Publish persistent or mandatory messages. May be repeated.",
    ),
    # publishing
    _value(
        "-r", "--rate", "Messages a second that each producer's channel sends.  [default: as many as it can]", float
    ),
    _many("-vr", "--variable-rate", "RATE messages a second for SECONDS, then the next; 0: none.", "RATE:SECONDS"),
    _value(
        "-P",
        "--publishing-interval",
        "Seconds from one message to the next: --rate, the other way round.",
        click.FloatRange(min=0, min_open=True),
    ),
    _value("-c", "--confirm", "Publish with confirms, at most so many outstanding; -1: without.", int, -1),
    _value(
        "-ct",
        "--confirm-timeout",
        "Fail when no confirm comes for so many seconds.",
        click.FloatRange(min=0, min_open=True),
        30,
    ),
    _value("-m", "--ptxsize", "Publish in transactions of so many messages; 0: without.", _COUNT, 0),
    # consuming
    _value("-q", "--qos", "Prefetch of each consumer; 0: no limit.", click.IntRange(0, 65_535), 0),
    _value("-Q", "--global-qos", "Prefetch of each channel; 0: no limit.", click.IntRange(0, 65_535), 0),
    _flag("-a", "--autoack", "Consume without acknowledgements."),
    _value("-A", "--multi-ack-every", "Acknowledge so many messages with one frame; 0: each with its own.", _COUNT, 0),
    _flag("-na", "--nack", "Reject messages (basic.nack) where others acknowledge them."),
    _value("-re", "--requeue", "Whether rejected messages go back into the queue.", bool, True, metavar="BOOLEAN"),
    _value("-n", "--ctxsize", "Acknowledge in transactions of so many messages; 0: without.", _COUNT, 0),
    _value(
        "-R",
        "--consumer-rate",
        "Messages a second that each consumer's channel takes.  [default: as many as it can]",
        float,
    ),
    _value("-L", "--consumer-latency", "Microseconds that a consumer works on a message.", _COUNT, 0),
    _many(
        "-vl",
        "--variable-latency",
        "Work on each message for MICROSECONDS, for SECONDS, then the next.",
        "MICROSECONDS:SECONDS",
    ),
    _many("-ca", "--consumer-args", "Arguments of the consumers.", "KEY=VALUE,KEY=VALUE"),
    # queues and exchanges
    _value("-e", "--exchange", "The exchange.  [default: named as its type]"),
    _value("-t", "--type", "The exchange's type.", default="direct"),
    _value("-k", "--routing-key", "The routing key.  [default: one that is drawn]"),
    _flag("-K", "--random-routing-key", "A new routing key for each message."),
    _value(
        "-rkcs",
        "--routing-key-cache-size",
        "Draw so many routing keys before, and use those.",
        click.IntRange(0, 1_000_000),
        0,
    ),
    _value("-u", "--queue", "Queues, with commas between them.  [default: one for each consumer, named by the broker]"),
    _value("-qp", "--queue-pattern", "Queues in sequence: a name with %d in it.", metavar="PATTERN"),
    _value("-qpf", "--queue-pattern-from", "The first number in the pattern.", _COUNT),
    _value("-qpt", "--queue-pattern-to", "The last number in the pattern.", _COUNT),
    _value("-qf", "--queue-file", "Queues in sequence: a file with a name on each line.", _IN, metavar="FILE"),
    _flag(
        "-p", "--predeclared", "The queues (and the exchange, if named) are there: look for them, do not declare them."
    ),
    _flag("-sb", "--skip-binding-queues", "Do not bind the queues to the exchange."),
    _value("-ad", "--auto-delete", "Whether queues go with their last consumer.", bool, True, metavar="BOOLEAN"),
    _flag("-E", "--exclusive", "Queues that only their consumer's connection can use."),
    _many("-qa", "--queue-args", "Arguments of the queues, such as x-max-length=10.", "KEY=VALUE,KEY=VALUE"),
    _flag("-qq", "--quorum-queue", "Quorum queues: durable, persistent messages, not auto-deleted."),
    _flag("-sq", "--stream-queue", "Streams: the same, with a prefetch of 200 and at most 20 GB."),
    _value("-mlb", "--max-length-bytes", "How big queues may be (10mb, 20gb); 0: no limit.", metavar="SIZE"),
    _value("-smssb", "--stream-max-segment-size-bytes", "How big a segment of a stream may be.", metavar="SIZE"),
    _value("-ma", "--max-age", "How old messages of a stream may be, such as PT10M or P5D.", metavar="DURATION"),
    _value("-ll", "--leader-locator", "Where leaders of queues are to be.", click.Choice(["client-local", "balanced"])),
    _value(
        "-sco",
        "--stream-consumer-offset",
        "Where to begin in a stream: first, last, next, a number or a time.",
        metavar="OFFSET",
    ),
    # what is shown
    _value("-d", "--id", "The name of the run.  [default: test-HHMMSS-mmm]"),
    _value("-i", "--interval", "Seconds from one line to the next.", click.FloatRange(min=0.1), 1),
    _flag(
        "-ms",
        "--use-millis",
        "Measure latencies in milliseconds of the time of day: for producers and consumers on several machines.",
    ),
    _flag("-l", "--legacy-metrics", "Show latencies as minimum, average and maximum."),
    _value("-mf", "--metrics-format", "How lines look.", click.Choice(["default", "compact"]), "default"),
    _value("-o", "--output-file", "Write what the lines say into a table as well (CSV).", _FILE, metavar="FILE"),
    _value(
        "",
        "--json",
        "At the end, write the whole run as JSON; - is standard output, and then no lines are shown.",
        _FILE,
        metavar="FILE",
    ),
    _value(
        "",
        "--plot",
        "At the end, draw rates and latencies: FILE.png, .svg or .pdf. Needs matplotlib.",
        _FILE,
        metavar="FILE",
    ),
)


def _with_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command()
@_with_options
def bench(**values: Any) -> None:
    """Put load on a broker, amqpd or another, and say how fast it was.

    Publishes and consumes until the time is up, the messages are sent, or Ctrl-C is pressed; shows a line each second
    and a summary. Options are those of RabbitMQ's PerfTest. Exit codes: 0 the run came to its end, or was interrupted;
    1 it could not start or go on; 2 wrong usage.
    """
    from amqpd.cli import benchrun
    from amqpd.perftest.faults import OptionError, RunError

    try:
        benchrun.run(values)
    except OptionError as error:
        click.echo(f"amqpd bench: {error}", err=True)
        sys.exit(USAGE)
    except RunError as error:
        click.echo(f"amqpd bench: {error}", err=True)
        sys.exit(FAILED)
