"""Who uses which queue, with which key."""

from amqpd.perftest.options import Options
from amqpd.perftest.texts import address
from amqpd.perftest.topology import Topology, Use


def topology(**given):
    return Topology(Options([address("amqp://localhost")], "id", **given), "drawn")


def test_without_names_the_broker_names_a_queue_for_each_consumer():
    found = topology()
    assert found.use(0) == found.use(1) == Use((), "drawn")
    assert (found.declares_exchange, found.looks_for_exchange, found.binds) == (True, False, True)


def test_named_queues_are_everybodys_with_one_key():
    assert topology(queues=["a", "b"]).use(3) == Use(("a", "b"), "drawn")
    assert topology(queues=["a", "b"], routing_key="k").use(0) == Use(("a", "b"), "k")


def test_a_sequence_goes_around_with_the_queues_names_as_keys():
    found = topology(queues=["a", "b"], in_sequence=True)
    assert [found.use(number) for number in range(3)] == [Use(("a",), "a"), Use(("b",), "b"), Use(("a",), "a")]
    assert [found.key_of(queue) for queue in ("a", "b")] == ["a", "b"]
    assert topology(queues=["a", "b"], in_sequence=True, routing_key="k").use(1) == Use(("b",), "k")


def test_the_default_exchange_is_not_declared_nor_bound_to_and_knows_queues_by_name():
    found = topology(exchange="", exchange_named=True, predeclared=True, queues=["a"])
    assert (found.declares_exchange, found.looks_for_exchange, found.binds) == (False, False, False)
    assert found.use(0) == Use(("a",), "a")


def test_exchanges_of_the_broker_are_not_declared():
    assert not topology(exchange="amq.topic").declares_exchange
    assert topology(exchange="x", exchange_named=True, predeclared=True).looks_for_exchange
    assert not topology(predeclared=True, queues=["q"]).looks_for_exchange


def test_bindings_can_be_left_alone():
    assert not topology(skip_binding=True).binds
