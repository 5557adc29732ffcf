"""The types that every node has."""

from __future__ import annotations

from collections.abc import Callable

from amqpd.broker.exchanges.contract import Registry
from amqpd.broker.exchanges.direct import Direct
from amqpd.broker.exchanges.fanout import Fanout
from amqpd.broker.exchanges.headers import Headers
from amqpd.broker.exchanges.spread import LocalRandom, ModulusHash
from amqpd.broker.exchanges.topic import Topic


def built_in(random: Callable[[int], bytes]) -> Registry:
    """A registry with the types of the specification and those that RabbitMQ 4 adds. `random` returns random bytes."""
    registry = Registry()
    registry.register("direct", Direct)
    registry.register("fanout", Fanout)
    registry.register("headers", Headers)
    registry.register("topic", Topic)
    registry.register("x-local-random", lambda arguments: LocalRandom(arguments, random))
    registry.register("x-modulus-hash", ModulusHash)
    return registry
