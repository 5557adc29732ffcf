"""The fuzz targets for a few seconds, with the same inputs in every run. For longer: make fuzz."""

import gc
import random

import pytest
from fuzz import codec, targets
from fuzz.choices import CAPABILITIES, Choices
from fuzz.node import Node
from fuzz.session import Session
from hypothesis import given, settings
from hypothesis import strategies as st

from amqpd.broker.consumers import Consumer
from amqpd.protocol.channel import Channel
from amqpd.protocol.connection import Connection
from amqpd.wire import methods as m


def long_input(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


@settings(max_examples=80)
@given(st.binary(min_size=50, max_size=600))
def test_a_stream_gives_the_same_answers_however_it_is_split(data):
    targets.stream(data)


@pytest.mark.parametrize("seed", range(40))
def test_a_long_stream_gives_the_same_answers_however_it_is_split(seed):
    targets.stream(long_input(seed, 800))


@settings(max_examples=80)
@given(st.binary(min_size=50, max_size=800))
def test_clients_on_one_broker(data):
    targets.session(data)


@pytest.mark.parametrize("seed", range(40))
def test_clients_on_one_broker_for_long(seed):
    targets.session(long_input(seed, 3000))


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_any_bytes_as_a_table(data):
    targets.table(data)


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_any_bytes_as_a_content_header(data):
    targets.content(data)


@pytest.mark.parametrize("target", ["table", "content"])
def test_many_random_bytes_as_a_table_or_a_content_header(target):
    for seed in range(1000):
        targets.TARGETS[target](long_input(seed, 60))


def test_what_a_session_leaves_is_not_kept_by_the_broker():
    for seed in range(5):
        session = Session(Choices(long_input(seed, 2000)))
        session.run()
        broker = session.node.broker
        del session
        gc.collect()
        # Compiled classes have no weak references: look for the objects themselves.
        alive = [found for found in gc.get_objects() if isinstance(found, Connection | Channel | Consumer)]
        assert [found for found in alive if _broker_of(found) is broker] == []


def _broker_of(found):
    if isinstance(found, Connection):
        return found.broker
    return found.vhost.broker if isinstance(found, Channel) else found.queue.vhost.broker


def test_a_read_full_of_gets_is_not_answered_beyond_all_bounds():
    """A get and a recover are 49 bytes, and each pair asks for the whole message again."""
    node = Node(unsent_stop=100_000)
    socket = node.open()
    node.send(
        socket,
        codec.method(1, m.CHANNEL_OPEN, b"") + codec.method(1, m.QUEUE_DECLARE, 0, b"q", 0, b""),
        codec.publish(1, b"", b"q", 0, b"\x00\x00", b"x" * 50_000),
    )
    socket.taken()
    socket.reading = False
    pair = codec.method(1, m.BASIC_GET, 0, b"q", 0) + codec.method(1, m.BASIC_RECOVER, 1)
    node.send(socket, pair * 100)
    assert len(socket.pending) < 200_000
    socket.reading = True
    socket.flush()
    node.rest()
    names = [method.name for method in socket.taken()]
    assert names == ["basic.get-ok", "basic.recover-ok"] * 100, "nothing of it was forgotten"


def test_the_session_reaches_what_it_is_meant_to_reach():
    """A fuzzer whose every method fails finds nothing: most of a session's methods do something."""
    seen: dict[str, int] = {}
    node = Node()
    socket = node.open(capabilities=CAPABILITIES)
    choices = Choices(long_input(1, 20_000))
    while choices.more() and not socket.gone:
        node.send(socket, targets.next_piece(choices, socket))
        for method in socket.taken():
            seen[method.name] = seen.get(method.name, 0) + 1
        if socket.ended:
            break
    assert seen["basic.deliver"] > 10
    assert seen["basic.get-ok"] > 3
    assert seen.get("channel.close", 0) < sum(seen.values()) / 4
