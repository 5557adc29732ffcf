"""The suite, and what its scenarios have in common."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue, AbstractRobustConnection

from suites.harness import Suite, wait_until_async

suite = Suite("aio-pika")
logging.disable(logging.CRITICAL)  # connections that break on purpose would fill pages


async def connect(url: str | None = None, **options: Any) -> AbstractRobustConnection:
    """As services connect. `async with await connect()` closes it again."""
    return await aio_pika.connect_robust(url or suite.url, timeout=10, **{"reconnect_interval": 0.1, **options})


@asynccontextmanager
async def open_channel(**options: Any) -> AsyncIterator[AbstractChannel]:
    """A channel on a connection of its own."""
    async with await connect() as connection:
        yield await connection.channel(**options)


class Inbox:
    """What a consumer was given; acknowledges each message unless told not to."""

    def __init__(self, acknowledge: bool = True) -> None:
        self.messages: list[AbstractIncomingMessage] = []
        self._acknowledge = acknowledge

    async def __call__(self, message: AbstractIncomingMessage) -> None:
        self.messages.append(message)
        if self._acknowledge:
            await message.ack()

    @property
    def bodies(self) -> list[str]:
        return [message.body.decode() for message in self.messages]

    async def wait(self, count: int) -> list[str]:
        """Wait for `count` messages; returns the bodies. Raises CheckFailed when they do not come."""
        await wait_until_async(f"{count} messages", lambda: len(self.messages) >= count)
        return self.bodies


def text(body: object, **properties: Any) -> aio_pika.Message:
    return aio_pika.Message(str(body).encode(), **properties)


async def send(channel: AbstractChannel, queue: AbstractQueue, *bodies: object, **properties: Any) -> None:
    """Publish to a queue, each message confirmed before the next."""
    for body in bodies:
        await channel.default_exchange.publish(text(body, **properties), queue.name)
