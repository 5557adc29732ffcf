"""The pytest plugin. It is installed with amqpd; its fixtures need no import.

    def test_my_worker(amqpd_vhost):
        connection = pika.BlockingConnection(pika.URLParameters(amqpd_vhost.url))

amqpd, and trio with it, is imported when the first test asks for a broker.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from amqpd.testing.thread import ThreadedBroker

_numbers = itertools.count(1)


class VHost:
    """A virtual host of the session's broker, for one test."""

    def __init__(self, broker: ThreadedBroker, name: str) -> None:
        self.broker: Final = broker
        self.name: Final = name
        self.url: Final = broker.add_vhost(name)


@pytest.fixture(scope="session")
def amqpd_broker() -> Iterator[ThreadedBroker]:
    """A broker for the whole test session, on a free port of 127.0.0.1: `.url`, `.host`, `.port`."""
    from amqpd.testing.thread import run_broker

    with run_broker() as broker:
        yield broker


@pytest.fixture
def amqpd_vhost(amqpd_broker: ThreadedBroker) -> Iterator[VHost]:
    """A virtual host of its own for each test, deleted afterwards with all that is in it: `.url`, `.name`."""
    vhost = VHost(amqpd_broker, f"test-{next(_numbers)}")
    yield vhost
    amqpd_broker.remove_vhost(vhost.name)
