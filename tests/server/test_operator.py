"""What an operator can ask, over the control socket of a node in the same trio run."""

import json
import os
import stat

import pytest
import trio
from harness import m, publish
from peer import Peer, until

from amqpd.app import Node
from amqpd.config import Settings
from amqpd.runtime.datadir import DataDir
from amqpd.server import control, reports
from amqpd.testing import Broker


class Operator:
    """The other end of the control socket."""

    def __init__(self, stream):
        self.stream = stream
        self.rest = b""

    async def raw(self, line):
        await self.stream.send_all(line + b"\n")
        while b"\n" not in self.rest:
            self.rest += await self.stream.receive_some(65_536)
        answer, self.rest = self.rest.split(b"\n", 1)
        return json.loads(answer)

    async def ask(self, command, **details):
        answer = await self.raw(json.dumps({"command": command, **details}).encode())
        assert answer["ok"], answer
        return answer["result"]

    async def refused(self, command, **details):
        answer = await self.raw(json.dumps({"command": command, **details}).encode())
        assert answer["ok"] is False
        return answer["error"]


@pytest.fixture
async def broker(nursery, tmp_path):
    directory = DataDir(tmp_path / "data")
    node = Node(Settings({"listeners": ["127.0.0.1:0"], "vm_memory_high_watermark": 2**62, "shutdown_timeout": 100}))
    await nursery.start(node.run, directory)
    yield Broker(node)
    node.stop()
    await until(lambda: not directory.control_path.exists())
    directory.close()


@pytest.fixture
async def operator(broker, tmp_path):
    stream = await trio.open_unix_socket(str(tmp_path / "data" / "amqpd.sock"))
    async with stream:
        yield Operator(stream)


async def test_only_the_owner_can_use_it(broker, operator, tmp_path):
    assert stat.S_IMODE(os.stat(tmp_path / "data" / "amqpd.sock").st_mode) == 0o600


async def test_status(broker, operator):
    peer = await Peer.connect(broker)
    await peer.call(m("queue.declare", queue="q"))
    await peer.send(publish(b"1"))
    await peer.call(m("basic.qos"))
    status = await operator.ask("status")
    assert status["listeners"] == [f"127.0.0.1:{broker.port}"]
    assert status["pid"] == os.getpid()
    assert (status["connections"], status["queues"], status["messages_ready"]) == (1, 1, 1)
    assert status["memory_bytes"] > 1_000_000
    assert status["alarms"] == {}
    await peer.close()


async def test_lists(broker, operator):
    peer = await Peer.connect(broker)
    arguments = {"x-max-length": 10, "x-overflow": "drop-head"}
    await peer.call(m("queue.declare", queue="q", durable=True, arguments=arguments))
    await peer.call(m("exchange.declare", exchange="x", type="topic", arguments={"alternate-exchange": "amq.fanout"}))
    await peer.call(m("queue.bind", queue="q", exchange="x", routing_key="a.#", arguments={"list": [1, "two"]}))
    await peer.call(m("basic.qos", prefetch_count=1))
    await peer.call(m("basic.consume", queue="q", consumer_tag="c", arguments={"x-priority": 3}))
    await peer.call(m("confirm.select"))
    for _ in range(3):
        await peer.send(publish(b"1", "a.b", "x"))
    await until(lambda: broker.message_count("q") == 2)

    (connection,) = await operator.ask("list", what="connections")
    assert (connection["user"], connection["vhost"], connection["state"]) == ("guest", "/", "running")
    assert connection["channels"] == 1
    assert connection["recv_oct"] > 100
    (channel,) = await operator.ask("list", what="channels")
    assert channel["name"] == connection["name"] + " (1)"
    assert (channel["confirm"], channel["transactional"]) == (True, False)
    assert (channel["messages_unacknowledged"], channel["consumer_count"]) == (1, 1)
    (queue,) = await operator.ask("list", what="queues")
    assert (queue["messages"], queue["messages_ready"], queue["messages_unacknowledged"]) == (3, 2, 1)
    assert (queue["consumers"], queue["durable"], queue["exclusive"]) == (1, True, False)
    assert queue["arguments"] == {"x-max-length": 10, "x-overflow": "drop-head"}
    exchanges = {row["name"]: row for row in await operator.ask("list", what="exchanges")}
    assert exchanges["x"]["type"] == "topic"
    assert len(exchanges) == 8
    (binding,) = await operator.ask("list", what="bindings")
    assert (binding["source_name"], binding["destination_name"], binding["routing_key"]) == ("x", "q", "a.#")
    assert binding["arguments"] == {"list": [1, "two"]}
    (consumer,) = await operator.ask("list", what="consumers")
    assert (consumer["consumer_tag"], consumer["priority"], consumer["prefetch_count"]) == ("c", 3, 1)
    assert await operator.ask("list", what="vhosts") == [{"name": "/", "tracing": False, "queues": 1, "exchanges": 8}]
    await peer.stream.aclose()


@pytest.mark.parametrize("what", reports.LISTS)
async def test_every_row_has_the_same_columns(broker, operator, what):
    for _ in range(2):
        peer = await Peer.connect(broker)
        queue = (await peer.call(m("queue.declare"))).queue
        await peer.call(m("queue.bind", queue=queue, exchange="amq.topic"))
        await peer.call(m("basic.consume", queue=queue))
    await operator.ask("vhost", action="add", name="other")
    rows = await operator.ask("list", what=what)
    assert len(rows) >= 2
    assert len({tuple(row) for row in rows}) == 1


async def test_an_alarm_can_be_raised_and_cleared(broker, operator):
    peer = await Peer.connect(broker)
    assert await operator.ask("alarm", resource="disk", on=True) == {"alarms": {"disk": ["operator"]}}
    await peer.send(publish(b"1"))
    assert (await peer.expect("connection.blocked")).reason == "low on disk"
    (connection,) = await operator.ask("list", what="connections")
    assert connection["state"] == "blocked"
    assert await operator.ask("alarm", resource="disk", on=False) == {"alarms": {}}
    await peer.expect("connection.unblocked")
    await peer.close()


async def test_tracing_can_be_turned_on_and_off(broker, operator):
    peer = await Peer.connect(broker)
    await peer.call(m("queue.declare", queue="traces"))
    await peer.call(m("queue.bind", queue="traces", exchange="amq.rabbitmq.trace", routing_key="#"))
    await peer.send(publish(b"untraced", "nowhere"))
    assert await operator.ask("trace", on=True, vhost="/") == {"vhost": "/", "tracing": True}
    await peer.send(publish(b"traced", "nowhere"))
    await until(lambda: broker.message_count("traces") == 1)
    await operator.ask("trace", on=False)
    await peer.send(publish(b"untraced", "nowhere"))
    assert (await peer.call(m("queue.declare", queue="traces", passive=True))).message_count == 1
    await peer.close()


async def test_vhosts_come_and_go_with_their_connections(broker, operator):
    assert await operator.ask("vhost", action="add", name="v") == {"vhosts": ["/", "v"]}
    there, here = await Peer.connect(broker, vhost="v"), await Peer.connect(broker)
    await there.call(m("queue.declare", queue="q"))
    assert await operator.ask("vhost", action="delete", name="v") == {"vhosts": ["/"]}
    close = await there.expect("connection.close")
    assert (close.reply_code, close.reply_text) == (320, "CONNECTION_FORCED - vhost 'v' is deleted")
    await here.close()
    await there.stream.aclose()


async def test_a_connection_can_be_closed_by_its_name(broker, operator):
    first, second = await Peer.connect(broker), await Peer.connect(broker)
    rows = await operator.ask("list", what="connections")
    assert await operator.ask("close-connection", name=rows[0]["name"], reason="go away") == {"closed": 1}
    close = await first.expect("connection.close")
    assert (close.reply_code, close.reply_text) == (320, "CONNECTION_FORCED - go away")
    await second.close()
    await first.stream.aclose()


async def test_all_connections_can_be_closed(broker, operator):
    peers = [await Peer.connect(broker), await Peer.connect(broker)]
    shaking_hands = await Peer.dial(broker)
    await until(lambda: len(broker.node.hub.sessions) == 3)
    assert await operator.ask("close-all-connections") == {"closed": 3}
    assert await shaking_hands.ended() == []
    for peer in peers:
        assert (await peer.expect("connection.close")).reply_text == "CONNECTION_FORCED - closed by an operator"
        await peer.stream.aclose()


async def test_the_node_can_be_stopped(broker, operator):
    assert await operator.ask("stop") == {}
    assert broker.node.stopping.is_set()


@pytest.mark.parametrize(
    ("details", "error"),
    [
        ({"command": "dance"}, "there is no such command; there are status, list, "),
        ({}, "the request needs 'command', a text"),
        ({"command": 5}, "the request needs 'command', a text"),
        ({"command": "list", "what": "unicorns"}, "there is no such list; there are connections, "),
        ({"command": "list"}, "the request needs 'what', a text"),
        ({"command": "alarm", "resource": "cpu", "on": True}, "alarms are for memory and disk"),
        ({"command": "alarm", "resource": "disk", "on": 1}, "the request needs 'on', true or false"),
        ({"command": "trace", "on": True, "vhost": "nope"}, "there is no vhost 'nope'"),
        ({"command": "vhost", "action": "add", "name": "/"}, "vhost '/' is there already"),
        ({"command": "vhost", "action": "delete", "name": "nope"}, "there is no vhost 'nope'"),
        ({"command": "vhost", "action": "paint", "name": "x"}, "action is add or delete"),
        ({"command": "close-connection", "name": "nobody"}, "there is no connection 'nobody'"),
    ],
)
async def test_what_cannot_be_done_is_refused_with_the_reason(operator, details, error):
    answer = await operator.raw(json.dumps(details).encode())
    assert answer["ok"] is False
    assert answer["error"].startswith(error)
    await operator.ask("status")  # the conversation goes on


@pytest.mark.parametrize("line", [b"", b"status", b"[1]", b'"status"', b"null", b"\xff\xfe", b"{"])
async def test_what_is_no_request_is_answered_too(operator, line):
    assert (await operator.raw(line))["ok"] is False
    await operator.ask("status")


async def test_a_line_without_end_is_not_listened_to_for_ever(operator):
    with pytest.raises((trio.BrokenResourceError, trio.EndOfChannel)):
        while True:
            await operator.stream.send_all(b"x" * control.REQUEST_MAX)
            with trio.move_on_after(0.05):
                if not await operator.stream.receive_some(1):
                    raise trio.EndOfChannel


async def test_a_bug_in_a_command_is_answered_and_logged(operator, monkeypatch, caplog):
    monkeypatch.setitem(reports.LISTS, "queues", lambda hub: 1 / 0)
    assert "internal error" in await operator.refused("list", what="queues")
    assert "ZeroDivisionError" in caplog.text
    await operator.ask("status")
