"""Clients that publish and consume until their server is gone: pika, all of them in one loop.

Nobody waits for anybody: publishers have a window of unconfirmed messages, consumers take what comes, and what a client
knows it tells the witness at once. A connection that ends is no failure here.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pika
from crash.topology import DYING, FAN, QUEUES, SINGLE, Sender, seen
from crash.witness import DEAD, Copy, Unit, Witness
from pika.adapters.select_connection import IOLoop

REJECTED, REQUEUED, HELD = 0.15, 0.15, 0.05  # what a consumer does instead of an ack
LARGE = 0.03
END_S = 10.0


def any_size(rng: random.Random, usual: int) -> int:
    return rng.randrange(20_000, 65_000) if rng.random() < LARGE else rng.randrange(usual)


class Client:
    """A connection with a channel."""

    def __init__(self, load: Load) -> None:
        self.load, self.rng, self.witness = load, load.rng, load.witness
        self.connection = pika.SelectConnection(
            load.parameters,
            on_open_callback=lambda connection: connection.channel(on_open_callback=self._opened),
            on_open_error_callback=load.closed,
            on_close_callback=load.closed,
            custom_ioloop=load.loop,
        )

    def _opened(self, channel: Any) -> None:
        self.channel = channel
        self.begin()

    def begin(self) -> None:
        raise NotImplementedError

    def sender(self) -> Sender:
        self.load.publishers += 1
        return Sender(self.witness, self.load.publishers)


class Publisher(Client):
    """Publishes with confirms, to one queue or anywhere."""

    def begin(self) -> None:
        rng = self.rng
        self.window = rng.choice((1, 10, 100, 300))
        self.usual = rng.choice((50, 500, 5000))
        self.transient = rng.choice((0.0, 0.0, 0.1, 1.0))
        self.targets = rng.choice([(rng.choice(SINGLE),), (FAN,), (*SINGLE, FAN)])
        self.waiting: dict[int, Unit] = {}
        self.source = self.sender()
        self.channel.confirm_delivery(self._answered, callback=lambda _ok: self._pump())

    def _pump(self) -> None:
        rng = self.rng
        while len(self.waiting) < self.window and self.channel.is_open:
            persistent = rng.random() >= self.transient
            size = any_size(rng, self.usual)
            target = rng.choice(self.targets)
            tag = self.source.number + 1
            priority = rng.randrange(4) if target == "priority" else 0
            self.waiting[tag] = self.source.send_unit(self.channel, target, size, persistent, priority)

    def _answered(self, frame: Any) -> None:
        tag = frame.method.delivery_tag
        tags = [tag]
        if frame.method.multiple:
            tags = [each for each in self.waiting if each <= tag]
        for each in tags:
            unit = self.waiting.pop(each)
            if frame.method.NAME == "Basic.Ack":
                self.witness.done(unit)
            else:
                self.witness.refused(unit)
        self._pump()


class Consumer(Client):
    """Acknowledges one by one or many at once; gives some back, rejects some, and keeps some to itself."""

    def begin(self) -> None:
        rng = self.rng
        self.queue = rng.choice(tuple(QUEUES))
        self.many = rng.choice((0, 0, 7, 50))  # so many at once
        self.rejects = self.queue in DYING or self.queue == DEAD
        self.kept: list[Copy] = []
        self.last: dict[tuple[int, int], int] = {}
        self.channel.basic_qos(prefetch_count=rng.choice((1, 20, 200)) if not self.many else 2 * self.many)
        self.channel.basic_consume(self.queue, self._delivered)

    def _delivered(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        copy = self.witness.delivered(seen(self.queue, method, properties, body), self.last)
        if copy is None or not channel.is_open:
            return
        if self.many:
            self._settle_many(copy, method.delivery_tag)
        else:
            self._settle_one(copy, method)

    def _settle_many(self, copy: Copy, tag: int) -> None:
        self.kept.append(copy)
        if len(self.kept) >= self.many:
            for each in self.kept:
                self.witness.settle(each, rejected=False)
            self.kept.clear()
            self.channel.basic_ack(tag, multiple=True)

    def _settle_one(self, copy: Copy, method: Any) -> None:
        choice = self.rng.random()
        if choice < HELD:
            return
        if choice < HELD + REQUEUED and not method.redelivered:
            self.channel.basic_nack(method.delivery_tag, requeue=True)
            return
        rejected = self.rejects and choice > 1 - REJECTED
        self.witness.settle(copy, rejected)
        if rejected:
            self.channel.basic_reject(method.delivery_tag, requeue=False)
        else:
            self.channel.basic_ack(method.delivery_tag)


class Mover(Client):
    """In transactions: publishes, and acknowledges what it has consumed; or only publishes. Some are rolled back."""

    def begin(self) -> None:
        self.batch = self.rng.choice((1, 5, 40))
        self.usual = self.rng.choice((50, 2000))
        self.held: list[tuple[int, Copy]] = []
        self.last: dict[tuple[int, int], int] = {}
        self.source = self.sender()
        self.queue = self.rng.choice(("plain", "priority", "fan.1", ""))
        self.channel.tx_select(lambda _frame: self._begin())

    def _begin(self) -> None:
        if self.queue:
            self.channel.basic_qos(prefetch_count=self.batch)
            self.channel.basic_consume(self.queue, self._delivered)
        else:
            self._transact()

    def _delivered(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        copy = self.witness.delivered(seen(self.queue, method, properties, body), self.last)
        if copy is not None:
            self.held.append((method.delivery_tag, copy))
            if len(self.held) == self.batch and channel.is_open:
                self._transact()

    def _transact(self) -> None:
        rng, channel = self.rng, self.channel
        targets = [rng.choice(("moved", "moved", "rejected", FAN)) for _ in range(self.batch)]
        adds = [self.source.send(channel, target, any_size(rng, self.usual), True, 0) for target in targets]
        for tag, _copy in self.held:
            channel.basic_ack(tag)
        unit = Unit([copy for copies in adds for copy in copies], [copy for _tag, copy in self.held])
        if rng.random() < 0.2:
            self.witness.counts["rolled back"] += 1
            channel.tx_rollback(lambda _frame: self._transact() if channel.is_open else None)
            return
        self.witness.trying(unit)
        channel.tx_commit(lambda _frame: self._committed(unit))

    def _committed(self, unit: Unit) -> None:
        self.witness.done(unit)
        self.held.clear()
        if not self.queue and self.channel.is_open:
            self._transact()


class Load:
    """All clients of one life of a server. `publishers` counts on over all lives."""

    def __init__(self, parameters: pika.ConnectionParameters, witness: Witness, rng: random.Random, first: int) -> None:
        self.parameters, self.witness, self.rng, self.publishers = parameters, witness, rng, first
        self.loop = IOLoop()
        kinds: list[Callable[[Load], Client]] = [Publisher] * rng.randint(1, 3) + [Consumer] * rng.randint(0, 4)
        kinds += [Mover] * rng.randint(0, 2)
        self.open = len(kinds)
        self.clients = [kind(self) for kind in kinds]

    def closed(self, _connection: Any, _error: Any) -> None:
        self.open -= 1
        if not self.open:
            self.loop.stop()

    def run(self, seconds: float, end: Callable[[], None]) -> None:
        """Until `end`, which is called after so many seconds, has ended all connections."""
        self.loop.call_later(seconds, end)
        late = self.loop.call_later(seconds + END_S, self.loop.stop)
        self.loop.start()
        self.loop.remove_timeout(late)
        assert not self.open, f"{self.open} connections are open {END_S:.0f} s after their server has ended"
