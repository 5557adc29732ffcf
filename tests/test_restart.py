"""What was defined before a node stopped, however it stopped, is there when it starts again: that, and nothing else."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager

import pika
import pytest
import trio
from harness import World, m
from hypothesis import given, settings
from hypothesis import strategies as st
from operating import running

from amqpd.app import Node
from amqpd.auth.accounts import Accounts
from amqpd.broker import commands as c
from amqpd.broker import snapshot
from amqpd.broker.node import Broker
from amqpd.broker.ports import Catalogue
from amqpd.config import Settings
from amqpd.errors import ConfigError
from amqpd.metadata.store import NAME, Store
from amqpd.runtime.catalogue import Writer
from amqpd.runtime.datadir import DataDir
from amqpd.server.definitions import Definitions

# -- any history of declarations, deletions and consumers


NAMES = st.sampled_from("abc")
FLAGS = st.fixed_dictionaries({"durable": st.booleans(), "auto_delete": st.booleans()})
BINDING = st.tuples(NAMES, NAMES, st.sampled_from(["", "k"]), st.sampled_from([{}, {"x": 1, "y": "z"}]))


def bind(name, ends, **more):
    destination, source, key, arguments = ends
    kind = name.partition(".")[0]
    first = {"queue": destination} if kind == "queue" else {"destination": destination}
    second = {"exchange": source} if kind == "queue" else {"source": source}
    return m(name, **first, **second, routing_key=key, arguments=arguments, **more)


def queue(name, flags, exclusive, ttl):
    arguments = {"x-message-ttl": 1000} if ttl else {}
    return m("queue.declare", queue=name, exclusive=exclusive, arguments=arguments, **flags)


STEPS = st.one_of(
    st.builds(queue, NAMES, FLAGS, st.sampled_from([False] * 5 + [True]), st.booleans()),
    st.builds(lambda name, flags: m("exchange.declare", exchange=name, type="topic", **flags), NAMES, FLAGS),
    st.builds(lambda ends: bind("queue.bind", ends), BINDING),
    st.builds(lambda ends: bind("queue.unbind", ends), BINDING),
    st.builds(lambda ends: bind("exchange.bind", ends), BINDING),
    st.builds(lambda ends: bind("exchange.unbind", ends), BINDING),
    st.builds(lambda name: m("queue.delete", queue=name), NAMES),
    st.builds(lambda name: m("exchange.delete", exchange=name), NAMES),
    st.builds(lambda name: m("basic.consume", queue=name, consumer_tag=name), NAMES),
    st.builds(lambda name: m("basic.cancel", consumer_tag=name), NAMES),
    st.just(m("connection.close")),
)


def described(broker):
    """Everything durable, in any order; the identity of a binding does not know the order of its arguments."""
    return sorted(
        repr(command) for vhost in broker.vhosts.values() for command in snapshot.topology_of(vhost, durable_only=True)
    )


class Stored:
    """A broker whose catalogue is a database."""

    def __init__(self, path):
        self.path = path
        self.writer = Writer(Store(path))
        self.writer.record(c.PutVHost("/"))
        self.world = World(self.writer)
        self.client = None

    def play(self, said):
        if self.client is None or self.client.wire.ended:
            self.client = self.world.client()
        self.client >> said
        self.writer.store_now()
        self.world.settle()
        for event in self.client.heard():
            if event.name == "channel.close":
                self.client >> m("channel.close-ok") >> m("channel.open")
            elif event.name == "connection.close":
                self.client >> m("connection.close-ok")

    def restarted(self):
        """What a new broker makes of it."""
        self.writer.close()
        store = Store(self.path)
        broker = Broker(self.world.broker.limits, Catalogue(), os.urandom, "again")
        Definitions(broker, Accounts(broker.vhosts)).restore(store.load())
        store.close()
        return broker


class Disk(Writer):
    """Stores at once, so that a play needs no thread."""

    def settle(self, stored):
        self.store_now()
        return True


@settings(max_examples=30, deadline=None)
@given(st.lists(STEPS, max_size=25))
def test_a_restart_brings_back_exactly_what_is_durable(tmp_path_factory, steps):
    stored = Stored(tmp_path_factory.mktemp("data") / NAME)
    stored.writer.settle = Disk.settle.__get__(stored.writer)
    for said in steps:
        stored.play(said)
    if stored.client is not None:
        stored.client.lose()  # what is exclusive goes with it
    before = described(stored.world.broker)
    assert described(stored.restarted()) == before


# -- whole nodes


def node_for(path, **options):
    given = {"listeners": ["127.0.0.1:0"], "vm_memory_high_watermark": 2**62, "password_hashing": "sha256", **options}
    return Node(Settings(given), DataDir(path))


async def run(path, play, **options):
    """Play with a running node, which is then stopped. `play` is called in a thread, with a function that connects."""
    node = node_for(path, **options)
    async with trio.open_nursery() as nursery:
        await nursery.start(node.run)
        port = int(node.addresses[0].rpartition(":")[2])

        def connect(user="guest", password="guest", vhost="/"):
            credentials = pika.PlainCredentials(user, password)
            return pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port, vhost, credentials))

        try:
            return await trio.to_thread.run_sync(play, connect, node)
        finally:
            node.stop()
            node.data_dir.close()


async def test_a_node_has_its_definitions_again(tmp_path):
    def first(connect, _node):
        with connect() as connection:
            channel = connection.channel()
            channel.exchange_declare("orders", "topic", durable=True)
            channel.queue_declare("kept", durable=True, arguments={"x-max-length": 3})
            channel.queue_bind("kept", "orders", "eu.#")
            channel.queue_declare("gone")

    def second(connect, _node):
        with connect() as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            channel.basic_publish("orders", "eu.1", b"hello", mandatory=True)
            for _ in range(5):
                channel.basic_publish("orders", "eu.1", b"again")
            assert channel.queue_declare("kept", passive=True).method.message_count == 3
            with pytest.raises(pika.exceptions.ChannelClosedByBroker) as refused:
                channel.queue_declare("gone", passive=True)
            return refused.value.reply_code

    await run(tmp_path, first)
    assert await run(tmp_path, second) == 404


async def test_accounts_policies_parameters_and_limits_come_back(tmp_path):
    commands = [
        c.PutVHost("v", "a vhost", ("t",), "quorum"),
        c.PutUser("alice", "", "argon2", ("monitoring",)),
        c.PutPermission("alice", "v", "^a", "^b", ""),
        c.PutTopicPermission("alice", "v", "amq.topic", "^a", "^b"),
        c.PutUserLimit("alice", "max-channels", 7),
        c.PutVHostLimit("v", "max-queues", 8),
        c.PutPolicy("v", "p", "^q", {"message-ttl": 1000}, "queues", 3),
        c.PutPolicy("v", "p", "^q", {"expires": 1000}, "queues", 4, operator=True),
        c.PutParameter("v", "shovel", "s", {"src-uri": "amqp://"}),
        c.PutGlobalParameter("cluster_name", "here"),
        c.PutQueue("v", "later", "quorum"),
    ]

    def change(_connect, node):
        def apply():
            with node.driver.round():
                for command in commands:
                    node.definitions.apply(command)

        trio.from_thread.run_sync(apply)
        return set(map(repr, node.definitions.snapshot(durable_only=True)))

    def look(_connect, node):
        return set(map(repr, node.definitions.snapshot(durable_only=True)))

    before = await run(tmp_path, change)
    assert await run(tmp_path, look) == before
    assert all(repr(command) in before for command in commands)


async def test_the_default_vhost_stays_deleted(tmp_path):
    def delete(_connect, node):
        def apply():
            with node.driver.round():
                node.definitions.apply(c.DeleteVHost("/"))

        trio.from_thread.run_sync(apply)

    await run(tmp_path, delete)
    assert await run(tmp_path, lambda _connect, node: list(node.broker.vhosts)) == []


async def test_the_first_user_is_made_once(tmp_path):
    def login(connect, _node):
        connect("me", "secret", "mine").close()

    options = {"default_user": "me", "default_pass": "secret", "default_vhost": "mine"}
    await run(tmp_path, login, **options)
    await run(tmp_path, login, **{**options, "default_pass": "another"})


async def test_a_first_start_that_fails_leaves_the_first_user_to_the_next(tmp_path):
    refused = pytest.RaisesGroup(pytest.RaisesExc(ConfigError), flatten_subgroups=True)
    with socket.create_server(("127.0.0.1", 0)) as taken, refused:
        async with running(tmp_path, listeners=[f"127.0.0.1:{taken.getsockname()[1]}"]):
            pass
    await run(tmp_path, lambda connect, _node: connect().close())


async def test_a_password_that_was_made_up_is_shown_once(tmp_path, caplog):
    def login(connect, _node):
        found = [re.search(r"with the password (\S+) ;", record.getMessage()) for record in caplog.records]
        shown = [match[1] for match in found if match]
        for password in shown:
            connect("admin", password).close()
        caplog.clear()
        return shown

    options = {"default_user": "admin", "default_pass": ""}
    assert len(await run(tmp_path, login, **options)) == 1
    assert await run(tmp_path, login, **options) == []


START = [sys.executable, "-m", "amqpd", "--listen", "127.0.0.1:0", "--set", "password_hashing=sha256"]


@contextmanager
def process(path, end):
    """A node as a process of its own, ended by the signal `end`; its port."""
    with subprocess.Popen([*START, "--data-dir", str(path)], stderr=subprocess.PIPE, text=True) as node:
        reader = None
        try:
            for line in node.stderr:
                listening = re.search(r"listens on 127\.0\.0\.1:(\d+)", line)
                if listening:
                    reader = threading.Thread(target=node.stderr.read)
                    reader.start()
                    yield int(listening[1])
                    break
            else:
                raise AssertionError(f"no start: exit code {node.wait()}")
        finally:
            node.send_signal(end)
            node.wait()
            if reader is not None:
                reader.join()


def test_what_was_answered_survives_a_kill(tmp_path):
    """Six clients declare and delete until the node is killed: what each of them was told last is true afterwards."""
    told = {}
    enough = threading.Event()

    def declare(port, worker):
        try:
            with pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port)) as connection:
                channel = connection.channel()
                for number in range(10_000):
                    name = f"{worker}-{number % 7}"
                    exists = told.get(name, False)
                    told[name] = None  # under way: either will do
                    if exists:
                        channel.queue_delete(name)
                    else:
                        channel.queue_declare(name, durable=True)
                    told[name] = not exists
                    if number == 30:
                        enough.set()
        except (pika.exceptions.AMQPError, OSError):
            pass

    with process(tmp_path, signal.SIGKILL) as port:
        workers = [threading.Thread(target=declare, args=(port, number)) for number in range(6)]
        for worker in workers:
            worker.start()
        assert enough.wait(30)
    for worker in workers:
        worker.join()
    store = Store(tmp_path / NAME)
    there = {command.name for command in store.load() if isinstance(command, c.PutQueue)}
    store.close()
    assert len(told) >= 6
    assert {name for name, exists in told.items() if exists is not None and exists != (name in there)} == set()


def test_a_damaged_database_is_refused_and_left_alone(tmp_path):
    with process(tmp_path, signal.SIGTERM):
        pass
    damaged = tmp_path / NAME
    damaged.write_bytes(b"not a database at all" * 100)
    command = [*START, "--data-dir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"amqpd: {damaged} is not a SQLite database; ")
    assert "Traceback" not in done.stderr
    assert damaged.read_bytes() == b"not a database at all" * 100


async def test_an_exchange_of_a_type_that_is_gone_stops_the_start(tmp_path):
    await run(tmp_path, lambda _connect, _node: None)
    store = Store(tmp_path / NAME)
    store.apply([c.PutExchange("/", "later", "x-delayed-message")], store.sequence + 1)
    store.close()
    node = node_for(tmp_path)
    unknown = pytest.RaisesExc(ConfigError, match="unknown exchange type 'x-delayed-message'")
    with pytest.RaisesGroup(unknown, flatten_subgroups=True):
        async with trio.open_nursery() as nursery:
            await nursery.start(node.run)
    node.data_dir.close()
