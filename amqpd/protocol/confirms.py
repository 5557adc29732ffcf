"""Publisher confirms of one channel: which publishes are answered, and the fewest acks and nacks that say so.

Everything up to `_floor` is answered. Answers for consecutive publishes leave as one `multiple`; those that come before
their predecessors' leave singly (RabbitMQ: confirms.md; rabbit_channel coalesce_and_send).
"""

from __future__ import annotations

from amqpd.wire.frames import END, METHOD
from amqpd.wire.methods import BASIC_ACK, BASIC_NACK
from amqpd.wire.primitives import BytesWriter, write_i32_be, write_i64_be, write_u16

_ACK_SIZE = 13
_MULTIPLE = 1
_REQUEUE = 2  # RabbitMQ sets it in every nack that it sends


class Confirms:
    """Sequence numbers begin at 1. `resolve` may be called in any order; `flush` writes what is new."""

    def __init__(self) -> None:
        self._next = 1
        self._floor = 0  # everything up to here was written
        self._run = 0  # everything up to here is resolved
        self._ahead: dict[int, bool] = {}  # resolved beyond a gap: True when it was already written
        self._refused: set[int] = set()  # to be nacked
        self.pending = False  # whether flush has something to write

    def begin(self) -> int:
        """The number of a publish that was just received."""
        number = self._next
        self._next = number + 1
        return number

    def resolve(self, number: int, accepted: bool) -> None:
        """Every queue took the message (or there was none), or one of them refused it."""
        self.pending = True
        if not accepted:
            self._refused.add(number)
        if number == self._run + 1:
            self._run = number
        else:
            self._ahead[number] = False

    def resolve_run(self, first: int, last: int) -> None:
        """The same for publishes `first` to `last`, all of them accepted."""
        if first == self._run + 1:
            self.pending = True
            self._run = last
            return
        for number in range(first, last + 1):
            self.resolve(number, True)

    def flush(self, out: BytesWriter, channel: int) -> None:
        """Write the acks and nacks of everything resolved since the last call."""
        self.pending = False
        while True:
            while self._ahead and not self._ahead.get(self._run + 1, True):
                self._run += 1
                del self._ahead[self._run]
            self._write_run(out, channel)
            if self._run + 1 not in self._ahead:
                break
            self._run += 1  # was written singly, when its predecessor was not resolved yet
            del self._ahead[self._run]
            self._floor = self._run
        for number in sorted(self._ahead):
            if not self._ahead[number]:
                self._ahead[number] = True
                self._write_one(out, channel, number)

    def _write_run(self, out: BytesWriter, channel: int) -> None:
        first = self._floor + 1
        if first > self._run:
            return
        if self._refused:
            self._write_runs(out, channel, first)
        else:
            _write(out, channel, BASIC_ACK, self._run, _MULTIPLE if first < self._run else 0)
        self._floor = self._run

    def _write_runs(self, out: BytesWriter, channel: int, first: int) -> None:
        """Alternating runs of accepted and refused publishes, each as one frame."""
        start = first
        while start <= self._run:
            refused = start in self._refused
            last = start
            while last < self._run and (last + 1 in self._refused) == refused:
                last += 1
            if refused:
                _write(out, channel, BASIC_NACK, last, _MULTIPLE | _REQUEUE)
            else:
                _write(out, channel, BASIC_ACK, last, _MULTIPLE if start < last else 0)
            for number in range(start, last + 1):
                self._refused.discard(number)
            start = last + 1

    def _write_one(self, out: BytesWriter, channel: int, number: int) -> None:
        if number in self._refused:
            self._refused.discard(number)
            _write(out, channel, BASIC_NACK, number, _REQUEUE)
        else:
            _write(out, channel, BASIC_ACK, number, 0)


def _write(out: BytesWriter, channel: int, method: int, number: int, bits: int) -> None:
    out.append(METHOD)
    write_u16(out, channel)
    write_i32_be(out, _ACK_SIZE)
    write_i32_be(out, method)
    write_i64_be(out, number)
    out.append(bits)
    out.append(END)
