"""What is counted during a run: one set of plain integers, which every channel adds to.

Rates are of the interval since the last look; totals are of the whole run. Latencies are in nanoseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from amqpd.perftest.histogram import Histogram
from amqpd.perftest.pace import SECOND
from amqpd.perftest.stamps import Stamps

SHARES: Final = (0.5, 0.75, 0.95, 0.99)


@dataclass(frozen=True)
class Latency:
    """Nanoseconds. All are 0 where nothing was measured: `count` is 0 then."""

    count: int
    minimum: int
    median: int
    p75: int
    p95: int
    p99: int
    maximum: int
    mean: float


def latency_of(histogram: Histogram) -> Latency:
    """What is said of a histogram."""
    median, p75, p95, p99 = histogram.quantiles(*SHARES)
    return Latency(histogram.count, histogram.minimum, median, p75, p95, p99, histogram.highest, histogram.mean)


@dataclass(frozen=True)
class Interval:
    """What happened from one look to the next. Rates are messages a second."""

    time_s: float  # since the run began
    sent: float
    returned: float
    confirmed: float
    nacked: float
    received: float
    consumer: Latency
    confirm: Latency


@dataclass(frozen=True)
class Summary:
    """A whole run."""

    elapsed_s: float
    sent: int
    returned: int
    confirmed: int
    nacked: int
    received: int
    sending_rate: float
    receiving_rate: float
    consumer: Latency
    confirm: Latency


class Figures:
    """`begin` starts the clock; times are nanoseconds of one clock."""

    def __init__(self) -> None:
        self.sent = 0
        self.returned = 0
        self.confirmed = 0
        self.nacked = 0
        self.received = 0
        self.consumer: Final = Histogram()  # of this interval
        self.confirm: Final = Histogram()
        self.last_sent = 0
        self.last_received = 0
        self._all_consumer: Final = Histogram()
        self._all_confirm: Final = Histogram()
        self._begin = 0
        self._seen_at = 0
        self._seen = (0, 0, 0, 0, 0)

    def begin(self, now: int) -> None:
        """The run begins."""
        self._begin = self._seen_at = self.last_sent = self.last_received = now

    def unseen_s(self, now: int) -> float:
        """Seconds since the last look."""
        return (now - self._seen_at) / SECOND

    def interval(self, now: int) -> Interval:
        """What happened since the last look."""
        seconds = max(now - self._seen_at, 1) / SECOND
        counts = (self.sent, self.returned, self.confirmed, self.nacked, self.received)
        sent, returned, confirmed, nacked, received = (
            (count - before) / seconds for count, before in zip(counts, self._seen, strict=True)
        )
        self._seen_at, self._seen = now, counts
        time_s = (now - self._begin) / SECOND
        consumer, confirm = latency_of(self.consumer), latency_of(self.confirm)
        found = Interval(time_s, sent, returned, confirmed, nacked, received, consumer, confirm)
        self._fold()
        return found

    def _fold(self) -> None:
        self._all_consumer.add(self.consumer)
        self._all_confirm.add(self.confirm)
        self.consumer.clear()
        self.confirm.clear()

    def summary(self) -> Summary:
        """The whole run. Sending ended with the last message sent, receiving with the last one received."""
        self._fold()
        sending = (self.last_sent - self._begin) / SECOND
        receiving = (self.last_received - self._begin) / SECOND
        return Summary(
            max(sending, receiving),
            self.sent,
            self.returned,
            self.confirmed,
            self.nacked,
            self.received,
            self.sent / sending if sending else 0.0,
            self.received / receiving if receiving else 0.0,
            latency_of(self._all_consumer),
            latency_of(self._all_confirm),
        )


@dataclass(frozen=True)
class Instruments:
    """What every channel of a run measures with. `clock` gives nanoseconds."""

    figures: Figures
    stamps: Stamps
    clock: Callable[[], int]
    random: Random
