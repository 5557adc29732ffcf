"""What an operator can ask, over the control socket of a node in the same trio run."""

import errno
import json
import os
import stat
from dataclasses import replace

import pytest
import trio
from harness import PROTOCOL_HEADER, m, publish
from operating import operator_of, running
from peer import Peer, until

from amqpd.cli import ctlaliases
from amqpd.server import control, listeners, reports


@pytest.fixture
async def broker(tmp_path):
    async with running(tmp_path / "data") as broker:
        yield broker


@pytest.fixture
async def operator(broker):
    async with operator_of(broker) as operator:
        yield operator


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


async def test_status_says_how_messages_are_kept(broker, operator):
    before = await operator.ask("status")
    assert before["disk_free_bytes"] > 0
    assert before["disk_free_limit_bytes"] == broker.node.disk.limit_bytes
    assert before["messages_paged_out"] == before["unsynced_bytes"] == 0
    peer = await Peer.connect(broker)
    await peer.call(m("confirm.select"))
    await peer.call(m("queue.declare", queue="q", durable=True))
    await peer.send(publish(b"x" * 5000, delivery_mode=2))
    await peer.expect("basic.ack")
    status = await operator.ask("status")
    assert status["batches"] > before["batches"]
    assert status["syncs"] > before["syncs"]
    assert status["batch_bytes"] >= before["batch_bytes"] + 5000
    assert status["journal_bytes"] >= status["batch_bytes"]
    assert status["message_memory_bytes"] >= 5000
    await peer.close()


async def test_queues_and_status_tell_what_is_on_disk_alone(broker, operator):
    peer = await Peer.connect(broker)
    await peer.call(m("queue.declare", queue="q", durable=True))
    broker.node.broker.limits.message_memory = 65_536
    for _ in range(200):
        await peer.send(publish(b"x" * 1000, delivery_mode=2))
    await peer.call(m("basic.qos"))

    def paged_out():
        return broker.node.storage()["messages_paged_out"]

    await until(paged_out)
    [queue] = await operator.ask("list", what="queues")
    assert 0 < queue["messages_paged_out"] <= queue["messages_ready"] == 200
    status = await operator.ask("status")
    assert status["messages_paged_out"] > 0
    assert status["segment_bytes"] > 0
    await peer.close()


async def fail_to_log_in(broker, name):
    peer = await Peer.dial(broker)
    await peer.stream.send_all(PROTOCOL_HEADER)
    await peer.expect("connection.start")
    properties = {"capabilities": {"authentication_failure_close": True}}
    response = f"\0{name}\0wrong"
    fields = {"client_properties": properties, "mechanism": "PLAIN", "response": response, "locale": "en_US"}
    await peer.send(m("connection.start-ok", **fields), 0)
    await peer.expect("connection.close")


async def test_failed_logins_are_listed_by_address_and_by_user(broker, operator):
    for name in ("guest", "guest", "mallory"):
        await fail_to_log_in(broker, name)
    assert await operator.ask("list", what="failed-logins") == [
        {"by": "address", "name": "127.0.0.1", "failures": 3},
        {"by": "user", "name": "guest", "failures": 2},
        {"by": "user", "name": "mallory", "failures": 1},
    ]


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
    (vhost,) = await operator.ask("list", what="vhosts")
    assert (vhost["name"], vhost["tracing"], vhost["queues"], vhost["exchanges"]) == ("/", False, 1, 8)
    await peer.stream.aclose()


async def define_some_of_everything(broker, operator):
    await operator.ask("vhost", action="add", name="other")
    await operator.ask("user", action="add", name="u", password="p", tags=["monitoring"])
    for vhost in ("/", "other"):
        await operator.order("PutPermission", user="u", vhost=vhost, configure="a", write="b", read="c")
        await operator.order("PutTopicPermission", user="u", vhost=vhost, exchange="amq.topic", write="b", read="c")
        await operator.order("PutVHostLimit", vhost=vhost, name="max-queues", value=10)
        await operator.order("PutParameter", vhost=vhost, component="shovel", name="s", value={"any": ["thing"]})
        await operator.order("PutGlobalParameter", name="of " + vhost, value=1)
        policy = {"vhost": vhost, "name": "p", "pattern": "^q", "definition": {"max-length": 5}}
        await operator.order("PutPolicy", **policy)
        await operator.order("PutPolicy", **policy, operator=True)
    for name in ("max-connections", "max-channels"):
        await operator.order("PutUserLimit", user="u", name=name, value=100)
    await fail_to_log_in(broker, "mallory")


@pytest.mark.parametrize("what", reports.LISTS)
async def test_every_row_has_the_same_columns(broker, operator, what):
    for _ in range(2):
        peer = await Peer.connect(broker)
        queue = (await peer.call(m("queue.declare"))).queue
        await peer.call(m("queue.bind", queue=queue, exchange="amq.topic"))
        await peer.call(m("basic.consume", queue=queue))
    await define_some_of_everything(broker, operator)
    rows = await operator.ask("list", what=what)
    assert len(rows) >= 2
    (columns,) = {tuple(row) for row in rows}
    for listed, usual in ctlaliases.LISTED.values():  # what amqpctl's users expect to find
        assert listed != what or set(usual.split()) <= set(columns)


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
    assert await operator.ask("vhost", action="add", name="v") == {"added": True}
    await operator.order("PutPermission", user="guest", vhost="v", configure=".*", write=".*", read=".*")
    there, here = await Peer.connect(broker, vhost="v"), await Peer.connect(broker)
    await there.call(m("queue.declare", queue="q"))
    await operator.order("DeleteVHost", name="v")
    assert list(broker.node.broker.vhosts) == ["/"]
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
        ({"command": "vhost", "action": "paint", "name": "x"}, "action is add or set"),
        ({"command": "vhost", "action": "set", "name": "nope"}, "vhost 'nope' does not exist"),
        ({"command": "vhost", "action": "add", "name": "x", "tags": "a"}, "the request needs 'tags', a list of texts"),
        ({"command": "vhost", "action": "add", "name": "x", "description": 5}, "the request's 'description' is a text"),
        ({"command": "vhost", "action": "add", "name": "x" * 256}, "the name of a vhost has 1 to 255 bytes"),
        ({"command": "list", "what": "users", "vhost": "/"}, "users cannot be chosen by vhost"),
        ({"command": "list", "what": "queues", "vhost": "nope"}, "there is no vhost 'nope'"),
        ({"command": "user", "action": "paint", "name": "x"}, "action is add, set-password, "),
        ({"command": "user", "action": "add", "name": "x", "tags": []}, "the request needs 'password', a text"),
        ({"command": "user", "action": "set-tags", "name": "guest", "tags": [1]}, "the request needs 'tags'"),
        ({"command": "queue", "action": "paint", "name": "q"}, "action is purge or delete"),
        ({"command": "queue", "action": "purge", "name": "q"}, "no queue 'q' in vhost '/'"),
        ({"command": "apply"}, "the request needs 'order', an object"),
        ({"command": "apply", "order": {"order": "Dance"}}, "there is no such order; there are PutVHost, "),
        ({"command": "export", "vhost": "nope"}, "there is no vhost 'nope'"),
        ({"command": "import"}, "a definitions file, and nothing else, follows the request of an import"),
        ({"command": "status", "x": "\ud800"}, "the request: x: is no Unicode text"),
        ({"command": "close-all-connections", "vhost": "nope"}, "there is no vhost 'nope'"),
        ({"command": "close-connection", "name": "nobody"}, "there is no connection 'nobody'"),
    ],
)
async def test_what_cannot_be_done_is_refused_with_the_reason(operator, details, error):
    answer = await operator.raw(json.dumps(details).encode() + b"\n")
    assert answer["ok"] is False
    assert answer["error"].startswith(error)
    await operator.ask("status")  # the conversation goes on


@pytest.mark.parametrize(
    "line",
    [b"", b"status", b"[1]", b'"status"', b"null", b"\xff\xfe", b"{", b'{"command": NaN}', b"[" * 60_000, b"1" * 5000],
)
async def test_what_is_no_request_is_answered_too(operator, line):
    assert (await operator.raw(line + b"\n"))["ok"] is False
    await operator.ask("status")


async def test_a_request_may_come_in_pieces_and_several_at_once(operator):
    await operator.stream.send_all(b'{"comm')
    await operator.stream.send_all(b'and": "list", "what": "queues"}\n{"command": "nope"}\n')
    assert (await operator.answer())["result"] == []
    assert (await operator.answer())["ok"] is False


async def test_a_line_without_end_is_not_listened_to_for_ever(operator):
    with pytest.raises((trio.BrokenResourceError, trio.EndOfChannel)):
        while True:
            await operator.stream.send_all(b"x" * control.REQUEST_MAX)
            with trio.move_on_after(0.05):
                if not await operator.stream.receive_some(1):
                    raise trio.EndOfChannel


async def test_a_bug_in_a_command_is_answered_and_logged(operator, monkeypatch, caplog):
    listing = replace(reports.LISTS["queues"], things=lambda scene: 1 / 0)
    monkeypatch.setitem(reports.LISTS, "queues", listing)
    assert "internal error" in await operator.refused("list", what="queues")
    assert "ZeroDivisionError" in caplog.text
    await operator.ask("status")


async def test_a_bug_in_the_middle_of_an_answer_ends_the_conversation(operator, monkeypatch, caplog):
    monkeypatch.setitem(reports.LISTS, "exchanges", replace(reports.LISTS["exchanges"], row=lambda exchange: 1 / 0))
    with pytest.raises(trio.EndOfChannel):
        await operator.ask("list", what="exchanges")
    assert "ZeroDivisionError" in caplog.text


async def test_a_long_list_is_made_while_it_is_sent(broker, operator, monkeypatch):
    monkeypatch.setattr(control, "ROWS_AT_ONCE", 10)
    peer = await Peer.connect(broker)
    names = [f"q{number}" for number in range(95)]
    for name in names:
        await peer.call(m("queue.declare", queue=name))
    made = []
    row = reports.LISTS["queues"].row

    def slow_row(queue):
        made.append(queue.name)
        if len(made) == 25:  # what is listed goes meanwhile
            broker.node.broker.vhosts["/"].remove_queue(broker.node.broker.vhosts["/"].queues["q90"])
        return row(queue)

    monkeypatch.setitem(reports.LISTS, "queues", replace(reports.LISTS["queues"], row=slow_row))
    rows = await operator.ask("list", what="queues")
    assert [row["name"] for row in rows] == names
    assert await operator.ask("list", what="queues", vhost="/") == [row for row in rows if row["name"] != "q90"]
    await peer.close()


@pytest.mark.parametrize("pieces", [1, 3, 7, 100])
async def test_a_choice_that_leaves_pieces_empty_is_a_list_all_the_same(operator, monkeypatch, pieces):
    monkeypatch.setattr(control, "ROWS_AT_ONCE", pieces)
    await operator.ask("vhost", action="add", name="v")
    assert await operator.ask("list", what="permissions", vhost="v") == []
    rows = await operator.ask("list", what="exchanges", vhost="v")
    assert {row["vhost"] for row in rows} == {"v"}
    assert len(rows) == 7


class Exhausted:
    """A listening socket for whose clients there are no descriptors, twice; then there are."""

    def __init__(self, sock):
        self._sock = sock
        self._failures = 2

    def __getattr__(self, name):
        return getattr(self._sock, name)

    def accept(self):
        if self._failures:
            self._failures -= 1
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return self._sock.accept()


async def test_running_out_of_descriptors_is_said_once_and_waited_for(tmp_path, monkeypatch, caplog):
    def listen(path, mode):
        return listeners.Listener(Exhausted(listeners.listen_unix(path, mode).sock), path)

    monkeypatch.setattr(control, "listen_unix", listen)
    monkeypatch.setattr(listeners, "PAUSE_S", 0.01)
    async with running(tmp_path / "data") as broker, operator_of(broker) as operator:
        await operator.ask("status")
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert errors == [f"cannot accept on unix:{tmp_path}/data/amqpd.sock: Too many open files; trying again"]


async def test_an_operator_who_does_not_read_keeps_nobody_waiting(broker, operator):
    """Neither the answer to a long list, nor many of them."""
    peer = await Peer.connect(broker)
    for number in range(300):
        await peer.call(m("queue.declare", queue=f"q{number}", arguments={"x-long": "x" * 1000}))
    async with operator_of(broker) as deaf:
        await deaf.stream.send_all(b'{"command": "list", "what": "queues"}\n' * 50)
        assert len(await operator.ask("list", what="queues")) == 300
        await peer.call(m("queue.declare", queue="one more"))
        assert len(await operator.ask("list", what="queues")) == 301
    await operator.ask("status")
    await peer.close()
