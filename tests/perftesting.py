"""What the tests of the load generator share: instruments with a clock that stands still, and eyes for what is sent."""

import struct
from random import Random

from harness import END, HEADER, METHOD, Event, decode_header, decode_method

from amqpd.perftest.figures import Figures, Instruments
from amqpd.perftest.stamps import Stamps

MS = 1_000_000
SECOND = 1_000_000_000


class Clock:
    """Nanoseconds, which pass only when a test says so."""

    def __init__(self, now: int = SECOND) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


def instruments(clock: Clock, use_millis: bool = False, epoch: int = 0) -> Instruments:
    return Instruments(Figures(), Stamps(use_millis, epoch), clock, Random(1))


class Bell:
    """Counts how often it was rung."""

    def __init__(self) -> None:
        self.rung = 0

    def __call__(self) -> None:
        self.rung += 1


def decoded(data: bytes) -> list[Event]:
    """What a client has sent, as methods; those that carry a content have it."""
    events: list[Event] = []
    data = bytes(data)
    while data:
        kind, channel, size = struct.unpack(">BHI", data[:7])
        payload = data[7 : size + 7]
        assert data[size + 7] == END
        if kind == METHOD:
            events.append(decode_method(channel, payload))
        elif kind == HEADER:
            decode_header(events[-1], payload)
        else:
            events[-1].body += payload
        data = data[size + 8 :]
    return events


def stamp_of(event: Event) -> int:
    """The time in the body of a message."""
    return int.from_bytes(event.body[4:12], "big")
