"""Sets a run up: connects, declares what has to be there, and opens every channel.

Everything is asked for with an answer: what the broker refuses is known before the first message. Then the agents of
all channels stand ready; nothing is consumed or published yet.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Final

import trio

from amqpd.perftest import requests
from amqpd.perftest.client import Client
from amqpd.perftest.consumer import Consumer, Consuming
from amqpd.perftest.faults import RunError
from amqpd.perftest.figures import Instruments
from amqpd.perftest.link import Link, Signal, open_link
from amqpd.perftest.options import Options
from amqpd.perftest.producer import Producer, Publishing
from amqpd.perftest.texts import Address
from amqpd.perftest.topology import Topology, Use
from amqpd.wire import methods
from amqpd.wire.primitives import Reader

RETRY_S: Final = 0.5


@dataclass(frozen=True)
class Publisher:
    """A producer's channel, ready."""

    link: Link
    agent: Producer
    wake: Signal


@dataclass(frozen=True)
class Subscriber:
    """A consumer's channel, ready to consume from these queues."""

    link: Link
    agent: Consumer
    wake: Signal
    channel: int
    queues: tuple[str, ...]


class Setting:
    """`links`, `publishers` and `subscribers` are there after `up`. `tls` is for addresses with amqps."""

    def __init__(self, options: Options, tls: ssl.SSLContext | None, instruments: Instruments) -> None:
        self.links: Final[list[Link]] = []
        self.publishers: Final[list[Publisher]] = []
        self.subscribers: Final[list[Subscriber]] = []
        self._options: Final = options
        self._tls: Final = tls
        self._instruments: Final = instruments
        self._topology: Final = Topology(options, f"{instruments.random.getrandbits(128):032x}")

    async def up(self, nursery: trio.Nursery) -> None:
        """Set everything up; the links run in the nursery. Raises RunError, here or in the nursery."""
        options = self._options
        await self._declare_all(nursery)
        for number in range(options.consumers):
            link = await self._link(nursery, number, f"consumer-{number}")
            for channel in await self._channels(link, options.consumer_channels):
                await self._subscriber(link, channel)
        for number in range(options.producers):
            link = await self._link(nursery, number, f"producer-{number}")
            for channel in await self._channels(link, options.producer_channels):
                await self._publisher(link, channel)

    async def _link(self, nursery: trio.Nursery, number: int, name: str) -> Link:
        options = self._options
        address: Address = options.addresses[number % len(options.addresses)]
        called = f"{options.id}-{name}"
        client = Client(address, called, options.heartbeat_s, options.frame_max, options.external)
        link = await open_link(nursery, client, self._tls)
        self.links.append(link)
        return link

    # -- what has to be there

    async def _declare_all(self, nursery: trio.Nursery) -> None:
        """On a connection of its own, the first one: with --servers-startup-timeout it is tried until it is there."""
        until = trio.current_time() + self._options.servers_startup_timeout_s
        while not self.links:
            try:
                await self._link(nursery, 0, "configuration")
            except RunError:
                if trio.current_time() >= until:
                    raise
                await trio.sleep(RETRY_S)
        link = self.links[0]
        await link.call(1, requests.open_channel(1), methods.CHANNEL_OPEN_OK)
        await self._declare_exchange(link)
        for queue in self._topology.queues:
            if self._options.predeclared:
                await link.call(1, requests.look_for_queue(1, queue), methods.QUEUE_DECLARE_OK)
            else:
                await self._declare_queue(link, 1, queue)
            await self._bind(link, 1, queue, self._topology.key_of(queue))

    async def _declare_exchange(self, link: Link) -> None:
        options, topology = self._options, self._topology
        if topology.looks_for_exchange or topology.declares_exchange:
            request = requests.declare_exchange(
                1, options.exchange, options.exchange_type, topology.looks_for_exchange
            )
            await link.call(1, request, methods.EXCHANGE_DECLARE_OK)

    async def _declare_queue(self, link: Link, channel: int, name: str) -> str:
        options = self._options
        request = requests.declare_queue(
            channel, name, options.durable, options.exclusive, options.auto_delete, options.queue_arguments
        )
        answer = await link.call(channel, request, methods.QUEUE_DECLARE_OK)
        return Reader(answer, 0, len(answer)).text()

    async def _bind(self, link: Link, channel: int, queue: str, key: str) -> None:
        if self._topology.binds:
            request = requests.bind(channel, queue, self._options.exchange, key)
            await link.call(channel, request, methods.QUEUE_BIND_OK)

    # -- channels

    async def _channels(self, link: Link, count: int) -> range:
        if count > link.client.channel_max:
            raise RunError(f"{link.client.address.place} allows {link.client.channel_max} channels, not {count}")
        for channel in range(1, count + 1):
            await link.call(channel, requests.open_channel(channel), methods.CHANNEL_OPEN_OK)
        return range(1, count + 1)

    async def _subscriber(self, link: Link, channel: int) -> None:
        options = self._options
        for prefetch, whole in ((options.prefetch, False), (options.channel_prefetch, True)):
            if prefetch:
                await link.call(channel, requests.qos(channel, prefetch, whole), methods.BASIC_QOS_OK)
        if options.consumer_tx:
            await link.call(channel, requests.tx(channel, methods.TX_SELECT), methods.TX_SELECT_OK)
        use = self._topology.use(len(self.subscribers))
        queues = use.queues
        if not queues:
            queues = (await self._declare_queue(link, channel, ""),)
            await self._bind(link, channel, queues[0], use.key)
        wake = Signal()
        consumer = Consumer(self._consuming(), channel, self._instruments, link.send, wake.set)
        link.client.attach(channel, consumer)
        link.waiting.append(consumer)
        self.subscribers.append(Subscriber(link, consumer, wake, channel, queues))

    def _consuming(self) -> Consuming:
        options = self._options
        return Consuming(
            options.latencies,
            options.autoack,
            options.multi_ack_every,
            options.nack,
            options.requeue,
            options.consumer_tx,
            options.consumer_rate,
            options.consumer_limit,
        )

    async def _publisher(self, link: Link, channel: int) -> None:
        options = self._options
        if options.confirm:
            await link.call(channel, requests.confirm_select(channel), methods.CONFIRM_SELECT_OK)
        if options.producer_tx:
            await link.call(channel, requests.tx(channel, methods.TX_SELECT), methods.TX_SELECT_OK)
        plan = self._plan(self._topology.use(len(self.publishers)))
        wake = Signal()
        producer = Producer(plan, channel, link.client.frame_max, self._instruments, wake.set)
        link.client.attach(channel, producer)
        self.publishers.append(Publisher(link, producer, wake))

    def _plan(self, use: Use) -> Publishing:
        options = self._options
        return Publishing(
            options.exchange,
            use.key,
            options.sizes,
            options.rates,
            options.bodies,
            options.properties,
            options.headers,
            options.random_keys,
            options.mandatory,
            options.confirm,
            options.producer_tx,
            options.producer_limit,
        )
