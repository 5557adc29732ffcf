"""The queues of the kill rounds, where messages go, and what a message looks like."""

from __future__ import annotations

import zlib
from typing import Any

import pika
from crash.witness import DEAD, Copy, Key, Seen, Unit, Witness

FAN = "fan"
LETTERS = "letters"
LETTER = {"x-dead-letter-exchange": LETTERS}
QUEUES: dict[str, dict[str, Any]] = {
    "plain": {},
    "moved": {},
    "priority": {"x-max-priority": 4},
    "rejected": LETTER,
    "short": {"x-message-ttl": 400, **LETTER},
    "limited": {"x-max-length": 150, **LETTER},
    "full": {"x-max-length": 300, "x-overflow": "reject-publish"},
    "fan.1": {},
    "fan.2": {"x-max-priority": 2},
    "fan.3": LETTER,
    DEAD: {},
}
DYING = frozenset(name for name, arguments in QUEUES.items() if LETTER.items() <= arguments.items())
FANNED = ("fan.1", "fan.2", "fan.3", "plain")
SINGLE = ("plain", "priority", "rejected", "short", "limited", "full")
PADDING = bytes(range(256)) * 256


def declare(server: Any) -> None:
    """Everything, on a new server."""
    connection = server.connect()
    channel = connection.channel()
    channel.exchange_declare(FAN, "fanout", durable=True)
    channel.exchange_declare(LETTERS, "fanout", durable=True)
    for name, arguments in QUEUES.items():
        channel.queue_declare(name, durable=True, arguments=arguments)
    channel.queue_bind(DEAD, LETTERS)
    for name in FANNED:
        channel.queue_bind(name, FAN)
    connection.close()


class Sender:
    """One publisher: gives messages their numbers, and tells the witness."""

    def __init__(self, witness: Witness, publisher: int) -> None:
        self.witness, self.publisher = witness, publisher
        self.number = 0

    def send(self, channel: Any, queue: str, size: int, persistent: bool, priority: int) -> list[Copy]:
        """To `queue`, or FAN. Returns the copies that this is to make."""
        self.number += 1
        body = b"%d %d|" % (self.publisher, self.number) + PADDING[:size]
        keys = [Key(name, self.publisher, self.number) for name in (FANNED if queue == FAN else (queue,))]
        copies = self.witness.published(keys, zlib.crc32(body), persistent, priority)
        properties = pika.BasicProperties(delivery_mode=2 if persistent else 1, priority=priority)
        exchange, key = (FAN, "") if queue == FAN else ("", queue)
        channel.basic_publish(exchange, key, body, properties)
        return copies

    def send_unit(self, channel: Any, *what: Any) -> Unit:
        """One message that counts from now on."""
        unit = Unit(self.send(channel, *what))
        self.witness.trying(unit)
        return unit


def seen(queue: str, method: Any, properties: Any, body: bytes) -> Seen:
    """What was delivered. A body that is none of ours is nobody's: publisher 0."""
    head = body.partition(b"|")[0].split()
    publisher, number = (int(head[0]), int(head[1])) if len(head) == 2 else (0, 0)
    origin = (properties.headers or {}).get("x-first-death-queue", "") if queue == DEAD else ""
    return Seen(Key(queue, publisher, number, origin), zlib.crc32(body), method.redelivered)
