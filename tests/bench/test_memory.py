"""The measurements of memory and of pauses: their frames are what they are called, and their cases do what they say."""

import gc
import json

import pytest
from benching import bench
from pamqp import commands, frame

from amqpd.testing import run_broker
from amqpd.wire import methods

client = bench("client")
memory = bench("memory")
pauses = bench("pauses")
SCALE = 0.0002


def decoded(data):
    """The one method of a frame."""
    size, channel, method = frame.unmarshal(data)
    assert (size, channel) == (len(data), 3)
    return method


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (client.qos(3, 7), commands.Basic.Qos(prefetch_count=7)),
        (client.confirm_select(3), commands.Confirm.Select()),
        (
            client.declare_queue(3, "q", True),
            commands.Queue.Declare(queue="q", durable=True, nowait=True, arguments={"x-queue-type": "classic"}),
        ),
        (
            client.declare_exchange(3, "e", "topic", True),
            commands.Exchange.Declare(exchange="e", exchange_type="topic", durable=True, nowait=True),
        ),
        (client.bind(3, "q", "e", "k"), commands.Queue.Bind(queue="q", exchange="e", routing_key="k", nowait=True)),
        (
            client.consume(3, "q", "t", True),
            commands.Basic.Consume(queue="q", consumer_tag="t", no_ack=True, nowait=True),
        ),
        (client.ack_up_to(3, 9), commands.Basic.Ack(delivery_tag=9, multiple=True)),
        (client.purge(3, "q"), commands.Queue.Purge(queue="q")),
        (client.delete_queue(3, "q"), commands.Queue.Delete(queue="q")),
    ],
)
def test_frames(data, expected):
    found = decoded(data)
    assert (found.name, dict(found)) == (expected.name, dict(expected))


def test_a_publish_is_a_whole_content():
    data = client.publish(3, "e", "k", b"body", True)
    found = []
    while data:
        size, channel, part = frame.unmarshal(data)
        assert channel == 3
        found.append(part)
        data = data[size:]
    method, header, body = found
    assert (method.exchange, method.routing_key, body.value) == ("e", "k", b"body")
    assert (header.body_size, header.properties.delivery_mode) == (4, 2)


def test_batches_lose_nothing():
    pieces = [bytes([number]) * number for number in range(50)]
    batches = client.batches(pieces, 100)
    assert b"".join(batches) == b"".join(pieces)
    assert all(len(batch) >= 100 for batch in batches[:-1])
    assert client.batches([]) == []


@pytest.fixture
def broker():
    with run_broker() as running:
        yield running


@pytest.fixture
def scene(broker):
    return memory.Scene(broker.port)


def things(broker, name):
    """How many there are of what a case is about."""
    node = broker._broker.node.broker
    vhost = node.vhosts["/"]
    kind = name.partition(",")[0].split()[0]
    return {
        "connection": node.connection_count,
        "channel": lambda: node.channels,
        "queue": lambda: len(vhost.queues),
        "exchange": lambda: len(vhost.exchanges) - 7,  # those that are there by themselves
        "binding": lambda: node.bindings,
        "consumer": lambda: sum(queue.consumer_count() for queue in vhost.queues.values()),
        "message": lambda: sum(queue.ready_messages + queue.unacked_messages for queue in vhost.queues.values()),
        "route": lambda: sum(len(member.routes) for member in vhost._members.values()),
    }[kind]()


@pytest.mark.parametrize("case", memory.CASES, ids=lambda case: case.name)
def test_a_case_makes_as_many_as_it_says(case, broker, scene):
    count = max(2, int(case.things * SCALE))
    memory.warm_up(scene)
    case.prepare(scene, count)
    case.fill(scene, count)
    assert things(broker, case.name) == count
    for made in scene.clients:
        made.sock.close()


@pytest.mark.parametrize("case", pauses.CASES, ids=lambda case: case.name)
def test_the_phases_of_a_case(case, broker, scene, monkeypatch):
    monkeypatch.setattr(pauses, "HOLD_S", 0.0)
    monkeypatch.setattr(pauses, "CHURNED", 2)
    for _name, act in case.phases(scene, max(2, int(case.things * SCALE / 10))):
        act()
    for made in scene.clients:
        made.sock.close()
    assert not broker._broker.node.broker.vhosts["/"].queues


def test_a_broker_that_closes_is_an_error(scene):
    opened = scene.client()
    opened.send(client.purge(1, "nobody's"))
    with pytest.raises(client.BenchError, match="404"):
        opened.wait(methods.QUEUE_PURGE_OK)
    opened.sock.close()


def test_the_watch_reports_the_longest_and_begins_anew(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(pauses.INSIDE))
    import pausewatch

    times = iter([1.0, 1.5, 2.0, 2.1])
    monkeypatch.setattr(pausewatch.time, "thread_time", lambda: next(times))
    monkeypatch.setenv("PAUSEWATCH", str(tmp_path / "figures"))
    watch = pausewatch.Watch()
    for _ in range(2):
        watch.collected("start", {"generation": 1})
        watch.collected("stop", {"generation": 1})
    watch.report(0, None)
    figures = json.loads((tmp_path / "figures").read_text())
    assert (figures["gc_ms"], figures["gc_count"]) == ([0.0, 500.0, 0.0], [0, 2, 0])
    assert watch.collections == [0, 0, 0]
    assert watch.collected not in gc.callbacks


def test_the_command_line_refuses_what_it_does_not_know(capsys):
    for program in (memory, pauses):
        with pytest.raises(SystemExit):
            program.main(["--kinds", "fast"])
        assert "'fast' is not of" in capsys.readouterr().err
