"""The exchange types of AMQP 0-9-1, one file each, and their registry."""

from __future__ import annotations

from amqpd.broker.exchanges.contract import Registry
from amqpd.broker.exchanges.direct import Direct
from amqpd.broker.exchanges.fanout import Fanout
from amqpd.broker.exchanges.headers import Headers
from amqpd.broker.exchanges.topic import Topic


def built_in() -> Registry:
    """A registry with the four types of the specification."""
    registry = Registry()
    registry.register("direct", Direct)
    registry.register("fanout", Fanout)
    registry.register("headers", Headers)
    registry.register("topic", Topic)
    return registry
