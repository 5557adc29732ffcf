"""Who gets the next message of a queue: credit, round robin among equals, consumer priority, single active consumer.

A consumer is *waiting* while it stands in its level's ring, and is asked (`DeliverySink.accepts`) when its turn comes.
One that refuses leaves the ring, and is put back by `wake` when its credit, its channel's or its connection's room
returns; so a message costs the same with one consumer or a thousand that are busy.

Source: RabbitMQ, rabbit_queue_consumers; its documentation, consumers.md, consumer-priority and single active consumer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from amqpd.wire.tables import Table

if TYPE_CHECKING:
    from amqpd.broker.ports import DeliverySink
    from amqpd.broker.queues.contract import Queue


class Consumer:
    """One subscription. `prefetch` 0 is unlimited; `unacked` counts its outstanding deliveries.

    `prefix` and `prefix_size` belong to the sink: the deliver frame's beginning for addresses of that size.
    """

    def __init__(
        self,
        tag: str,
        queue: Queue,
        sink: DeliverySink,
        no_ack: bool,
        exclusive: bool,
        prefetch: int,
        priority: int,
        arguments: Table,
    ) -> None:
        self.tag: Final = tag
        self.queue: Final = queue
        self.sink: Final = sink
        self.no_ack: Final = no_ack
        self.exclusive: Final = exclusive
        self.prefetch: Final = prefetch
        self.priority: Final = priority
        self.arguments: Final = arguments
        self.unacked = 0
        self.waiting = False
        self.active = True  # False while another consumer is the single active one
        self.cancelled = False
        self.prefix = b""
        self.prefix_size = -1


class Level:
    """The consumers of one priority that are waiting, as a ring: `turn` is the index of the next one to be asked.

    `count` is how many have this priority, waiting or not.
    """

    def __init__(self, priority: int) -> None:
        self.priority: Final = priority
        self.count = 0
        self.ring: Final[list[Consumer]] = []
        self.turn = 0


class Consumers:
    """All consumers of one queue."""

    def __init__(self, single_active: bool) -> None:
        self.single_active: Final = single_active
        self.all: Final[dict[Consumer, None]] = {}  # in the order in which they came
        self._levels: Final[list[Level]] = []

    def __len__(self) -> int:
        return len(self.all)

    @property
    def exclusive(self) -> bool:
        """Whether a consumer holds the queue for itself."""
        return len(self.all) == 1 and next(iter(self.all)).exclusive

    def add(self, consumer: Consumer) -> None:
        """Take a new consumer in; it waits for messages unless another one is the single active consumer."""
        if self.single_active and self.all:
            consumer.active = False
        self.all[consumer] = None
        self._level(consumer.priority).count += 1
        self.wake(consumer)

    def remove(self, consumer: Consumer) -> None:
        """Let a consumer go. After the single active one another becomes active."""
        del self.all[consumer]
        consumer.cancelled = True
        self._leave_ring(consumer)
        level = self._level(consumer.priority)
        level.count -= 1
        if not level.count:
            self._levels.remove(level)
        if not (self.single_active and consumer.active and self.all):
            return
        heir = next(iter(self.all))
        for other in self.all:
            if other.priority > heir.priority:
                heir = other
        heir.active = True
        self.wake(heir)

    def wake(self, consumer: Consumer) -> None:
        """Put a consumer back in its ring, behind the others."""
        if consumer.waiting or consumer.cancelled or not consumer.active:
            return
        consumer.waiting = True
        level = self._level(consumer.priority)
        level.ring.insert(level.turn, consumer)
        level.turn += 1
        if level.turn >= len(level.ring):
            level.turn = 0

    def take(self) -> Consumer | None:
        """The consumer whose turn it is and who accepts a message now, or None."""
        for level in self._levels:
            ring = level.ring
            while ring:
                turn = level.turn
                consumer = ring[turn]
                if consumer.sink.accepts(consumer):
                    turn += 1
                    level.turn = turn if turn < len(ring) else 0
                    return consumer
                self._leave_ring(consumer)
        return None

    def _level(self, priority: int) -> Level:
        at = 0
        for level in self._levels:
            if level.priority == priority:
                return level
            if level.priority < priority:
                break
            at += 1
        created = Level(priority)
        self._levels.insert(at, created)
        return created

    def _leave_ring(self, consumer: Consumer) -> None:
        if not consumer.waiting:
            return
        consumer.waiting = False
        level = self._level(consumer.priority)
        index = level.ring.index(consumer)
        del level.ring[index]
        if index < level.turn:
            level.turn -= 1
        if level.turn >= len(level.ring):
            level.turn = 0
