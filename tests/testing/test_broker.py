"""The in-process broker that other people's tests use."""

import threading

import pika
import pytest
import trio
from harness import m, publish
from peer import Peer, until

from amqpd import testing
from amqpd.errors import ConfigError
from amqpd.testing import open_broker, run_broker


@pytest.fixture(scope="module")
def broker():
    with run_broker() as broker:
        yield broker


def connect(url):
    return pika.BlockingConnection(pika.URLParameters(url))


def test_pika_works_with_its_url(broker):
    with connect(broker.url) as connection:
        channel = connection.channel()
        channel.queue_declare("q")
        channel.confirm_delivery()
        channel.basic_publish("", "q", b"hello", mandatory=True)
        assert broker.message_count("q") == 1
        assert broker.connection_count() == 1
        assert channel.basic_get("q", auto_ack=True)[2] == b"hello"
        channel.queue_delete("q")
    assert broker.url == f"amqp://guest:guest@{broker.host}:{broker.port}/%2F"


def test_vhosts_of_any_name(broker):
    for name in ("plain", "with space", "a/b", "ümlaut"):
        url = broker.add_vhost(name)
        assert url == broker.url_of(name)
        with connect(url) as connection:
            connection.channel().queue_declare("q")
        assert broker.message_count("q", name) == 0
        broker.remove_vhost(name)
        with pytest.raises(pika.exceptions.ProbableAccessDeniedError, match="not found"):
            connect(url)


def test_users(broker):
    broker.add_user("ål/ice", "p@ss:w")
    parameters = pika.URLParameters(broker.url)
    parameters.credentials = pika.PlainCredentials("ål/ice", "p@ss:w")
    pika.BlockingConnection(parameters).close()


def test_alarms_block_publishers(broker):
    with connect(broker.url) as connection:
        blocked, unblocked = [], []
        connection.add_on_connection_blocked_callback(lambda _c, method: blocked.append(method.method.reason))
        connection.add_on_connection_unblocked_callback(lambda _c, _m: unblocked.append(True))
        channel = connection.channel()
        broker.raise_alarm("disk")
        channel.basic_publish("", "nowhere", b"")
        while not blocked:
            connection.process_data_events(1)
        broker.clear_alarm("disk")
        while not unblocked:
            connection.process_data_events(1)
        assert blocked == ["low on disk"]


def test_connections_can_be_closed_and_cut(broker):
    connection = connect(broker.url)
    assert broker.close_connections("maintenance") == 1
    with pytest.raises(pika.exceptions.ConnectionClosedByBroker, match="CONNECTION_FORCED - maintenance"):
        connection.process_data_events(5)
    connection = connect(broker.url)
    assert broker.drop_connections() >= 1
    with pytest.raises(pika.exceptions.AMQPConnectionError):
        connection.process_data_events(5)


def test_messages_of_a_queue_that_is_not_there(broker):
    with pytest.raises(KeyError):
        broker.message_count("nope")


def test_brokers_side_by_side_know_nothing_of_each_other():
    with run_broker() as one, run_broker() as two:
        assert one.port != two.port
        with connect(one.url) as connection:
            connection.channel().queue_declare("q")
        with connect(two.url) as connection, pytest.raises(pika.exceptions.ChannelClosedByBroker):
            connection.channel().queue_declare("q", passive=True)


def test_settings_are_options(tmp_path):
    path = str(tmp_path / "amqp.sock")
    with run_broker(heartbeat=7, log__format="json", listeners=["127.0.0.1:0", f"unix:{path}"]) as broker:
        assert broker.unix_path == path
        parameters = pika.URLParameters(broker.url)
        parameters.heartbeat = lambda _connection, offered: offered
        connection = pika.BlockingConnection(parameters)
        assert connection._impl.params.heartbeat == 7
        connection.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heartbeet": 1}, "option of a test's broker: there is no setting heartbeet; did you mean heartbeat?"),
        ({"heartbeat": -1}, "heartbeat: -1 is not allowed"),
        ({"listeners": ["nonsense"]}, "'nonsense' is not allowed"),
        ({"plugins": ["no_such_module"]}, "plugin no_such_module"),
    ],
)
def test_mistakes_are_told_where_it_is_started(options, message):
    with pytest.raises(ConfigError, match=message.replace("?", r"\?")), run_broker(**options):
        pass


def test_it_ends_with_its_block_and_may_be_ended_before():
    with run_broker() as broker:
        connection = connect(broker.url)
        stopping = threading.Thread(target=broker.stop)
        stopping.start()
        with pytest.raises(pika.exceptions.ConnectionClosedByBroker, match="shutdown"):
            connection.process_data_events(5)
        stopping.join()
        broker.stop()
    assert not [thread for thread in threading.enumerate() if thread.name == "amqpd" and thread is broker._thread]


def test_the_package_offers_what_it_says():
    for name in testing.__all__:
        assert getattr(testing, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        testing.nope  # noqa: B018


async def test_within_a_trio_run_it_follows_a_clock_that_jumps(autojump_clock):
    async with open_broker() as broker:
        peer = await Peer.connect(broker)
        await peer.call(m("queue.declare", queue="q", arguments={"x-message-ttl": 3_600_000}))
        await peer.send(publish(b"1"))
        await until(lambda: broker.message_count("q") == 1)
        await trio.sleep(3599)
        assert broker.message_count("q") == 1
        await trio.sleep(2)
        assert broker.message_count("q") == 0
        await peer.close()


async def test_within_a_trio_run_everything_else_works_too():
    async with open_broker() as broker:
        url = broker.add_vhost("v")
        assert url.endswith("/v")
        peer = await Peer.connect(broker, vhost="v")
        broker.add_user("alice", "secret")
        broker.raise_alarm()
        broker.clear_alarm()
        assert broker.connection_count() == 1
        broker.remove_vhost("v")
        assert (await peer.expect("connection.close")).reply_code == 320
        await peer.stream.aclose()
        assert broker.drop_connections() in (0, 1)
