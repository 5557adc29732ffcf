"""A broker for tests: in-process, on a free port, there in milliseconds and gone without a trace.

For plain tests of any kind there is the pytest plugin (`plugin`), whose fixtures need no import, and

    with amqpd.testing.run_broker() as broker:
        connection = pika.BlockingConnection(pika.URLParameters(broker.url))

which runs the broker in a thread of its own. Tests that run on trio can have it in a nursery, where it follows trio's
clock, a `MockClock` included:

    async with amqpd.testing.open_broker() as broker:
        ...
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from amqpd.testing.broker import Broker, open_broker
    from amqpd.testing.thread import ThreadedBroker, run_broker

__all__ = ["Broker", "ThreadedBroker", "open_broker", "run_broker"]


def __getattr__(name: str) -> object:
    """Import what is asked for when it is: pytest imports this package in every project that has amqpd installed."""
    if name in ("Broker", "open_broker"):
        from amqpd.testing import broker as module
    elif name in ("ThreadedBroker", "run_broker"):
        from amqpd.testing import thread as module  # type: ignore[no-redef]
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(module, name)
    return found
