"""What a log line looks like, where it goes, and the log exchange."""

import json
import logging
import sys
import threading
import time

import pytest
import trio
from harness import m
from peer import Peer

from amqpd.runtime import logs
from amqpd.testing import open_broker

FIELDS = {"connection": "127.0.0.1:1 -> 127.0.0.1:2", "channel": 3, "vhost": "/", "user": "guest"}


def record(message="hello %s", arguments=("world",), level=logging.WARNING, **extra):
    made = logging.LogRecord("amqpd.test", level, "file", 1, message, arguments, None)
    made.created, made.msecs = 1_700_000_000.25, 250.0
    vars(made).update(extra)
    return made


def test_text():
    line = logs.TextFormatter().format(record(**FIELDS))
    assert line == (
        "2023-11-14T22:13:20.250Z WARNING amqpd.test: hello world "
        'connection="127.0.0.1:1 -> 127.0.0.1:2" channel=3 vhost=/ user=guest'
    )


def test_text_leaves_out_what_says_nothing():
    line = logs.TextFormatter().format(record(connection="a->b", channel=0, vhost="", user=""))
    assert line.endswith("hello world connection=a->b")


def test_text_stays_on_one_line_whatever_a_client_sends():
    line = logs.TextFormatter().format(record("%s", ("a\nINFO forged\r",), user='x"\ny', vhost="\udcff"))
    assert "\n" not in line
    assert r"a\nINFO forged\r" in line
    line.encode("utf-8")


def test_text_says_nothing_to_a_terminal():
    line = logs.TextFormatter().format(record("%s", ("\x1b]0;title\x07 \x9b \u2028 \x00 grüße",)))
    assert r"\x1b]0;title\x07 \x9b \u2028 \x00 grüße" in line


def test_json():
    entry = json.loads(logs.JsonFormatter().format(record(**FIELDS)))
    assert entry == {
        "time": "2023-11-14T22:13:20.250Z",
        "level": "warning",
        "logger": "amqpd.test",
        "message": "hello world",
        **FIELDS,
    }


def test_json_is_one_line_of_json_whatever_a_client_sends():
    line = logs.JsonFormatter().format(record("%s", ('"\n\udcff',), vhost=b"raw"))
    assert "\n" not in line
    assert json.loads(line)["message"] == '"\n\udcff'


@pytest.mark.parametrize("form", ["text", "json"])
def test_an_exception_brings_its_traceback(form):
    try:
        raise RuntimeError("a bug")
    except RuntimeError:
        made = record()
        made.exc_info = sys.exc_info()
    line = logs.formatter(form).format(made)
    shown = json.loads(line)["exception"] if form == "json" else line
    assert "Traceback" in shown
    assert "RuntimeError: a bug" in shown


@pytest.fixture
def root():
    """The logger as it was, afterwards."""
    logger = logging.getLogger(logs.ROOT)
    before = (logger.level, list(logger.handlers), logger.propagate)
    yield logger
    for handler in logger.handlers:
        if handler not in before[1]:
            handler.close()
    logger.level, logger.handlers, logger.propagate = before


def test_the_log_goes_to_a_file_that_may_be_moved_away(root, tmp_path):
    path = tmp_path / "amqpd.log"
    logs.configure("warning", "json", str(path))
    log = logging.getLogger("amqpd.test")
    log.info("too low")
    log.warning("first")
    path.rename(tmp_path / "amqpd.log.1")
    log.error("second")
    assert json.loads((tmp_path / "amqpd.log.1").read_text())["message"] == "first"
    assert json.loads(path.read_text())["message"] == "second"


def test_the_log_goes_to_standard_error_otherwise(root, capsys):
    handler = logs.configure("info", "text", "")
    logging.getLogger("amqpd.test").info("here")
    handler.close()
    assert capsys.readouterr().err.endswith("INFO amqpd.test: here\n")


class Stuck:
    """A stream whose reader has stopped, until it is told to go on."""

    def __init__(self):
        self.reached = threading.Event()
        self.go_on = threading.Event()
        self.text = ""

    def write(self, text):
        self.reached.set()
        self.go_on.wait()
        self.text += text

    def flush(self):
        pass


def test_a_reader_that_stops_stops_nobody_and_is_told_what_it_missed():
    stuck = Stuck()
    handler = logs.StreamThread(stuck)
    handler.emit(record("first", ()))
    stuck.reached.wait()
    for number in range(logs.LINES_MAX + 100):
        handler.emit(record(str(number), ()))
    stuck.go_on.set()
    while handler._lines:
        pass
    handler.emit(record("again", ()))
    handler.close()
    told = "100 log lines were dropped: nobody read them in time"
    assert stuck.text.splitlines() == ["first", *map(str, range(logs.LINES_MAX)), told, "again"]


class Counting:
    """A stream that counts what it is given."""

    def __init__(self):
        self.pieces = []

    def write(self, text):
        self.pieces.append(text)

    def flush(self):
        pass


def test_lines_that_come_together_are_written_together_and_none_is_lost_at_the_end(monkeypatch):
    monkeypatch.setattr(logs, "GATHER_S", 3600)
    stream = Counting()
    handler = logs.StreamThread(stream)
    for number in range(1000):
        handler.emit(record(str(number), ()))
    handler.close()
    assert "".join(stream.pieces).splitlines() == [str(number) for number in range(1000)]
    assert len(stream.pieces) == 1


def test_a_stream_that_breaks_breaks_nothing_else():
    class Broken(Counting):
        def write(self, text):
            super().write(text)
            raise BrokenPipeError

    stream = Broken()
    handler = logs.StreamThread(stream)
    handler.emit(record("first", ()))
    while not stream.pieces:
        pass
    handler.emit(record("second", ()))
    handler.close()
    assert stream.pieces == ["first\n", "second\n"]


# -- the log exchange


async def listener(broker, key="#"):
    peer = await Peer.connect(broker)
    queue = (await peer.call(m("queue.declare", exclusive=True))).queue
    await peer.call(m("queue.bind", queue=queue, exchange="amq.rabbitmq.log", routing_key=key))
    await peer.call(m("basic.consume", queue=queue, no_ack=True))
    return peer


async def test_records_are_published_by_their_level():
    async with open_broker(log_exchange=True, log__format="json") as broker:
        peer = await listener(broker, "warning")
        log = logging.getLogger("amqpd.test")
        log.error("not asked for")
        log.warning("hello", extra=FIELDS)
        event = await peer.expect("basic.deliver")
        assert (event.exchange, event.routing_key) == ("amq.rabbitmq.log", "warning")
        assert event.headers == {"node": broker.node.broker.name, "logger": "amqpd.test"}
        entry = json.loads(event.body)
        assert (entry["message"], entry["user"]) == ("hello", "guest")
        assert abs(event.properties["timestamp"] - time.time()) < 600
        await peer.close()


async def test_records_of_other_threads_are_published_too():
    async with open_broker(log_exchange=True) as broker:
        peer = await listener(broker)
        await trio.to_thread.run_sync(logging.getLogger("amqpd.test").warning, "from afar")
        assert b"from afar" in (await peer.expect("basic.deliver")).body
        await peer.close()


async def test_what_is_logged_while_publishing_is_not_published_again(monkeypatch):
    async with open_broker(log_exchange=True) as broker:
        peer = await listener(broker, "error")
        log = logging.getLogger("amqpd.test")
        publish = logs.ExchangeHandler._publish

        def publish_and_complain(handler, entry):
            log.error("complaint")
            publish(handler, entry)

        monkeypatch.setattr(logs.ExchangeHandler, "_publish", publish_and_complain)
        log.error("one")
        log.error("two")
        bodies = [(await peer.expect("basic.deliver")).body for _ in range(2)]
        assert [body.split(b": ")[1] for body in bodies] == [b"one", b"two"]
        await peer.call(m("basic.qos"))  # and nothing came after
        await peer.close()


async def test_a_flood_of_records_is_cut_and_counted():
    async with open_broker(log_exchange=True):
        (handler,) = [h for h in logging.getLogger("amqpd").handlers if isinstance(h, logs.ExchangeHandler)]
        for number in range(logs.WAITING_MAX + 5):
            logging.getLogger("amqpd.test").warning("%d", number)
        assert handler.dropped == 5


async def test_a_record_after_the_end_is_nobodys_business():
    kept = []
    async with open_broker(log_exchange=True):
        kept += [h for h in logging.getLogger("amqpd").handlers if isinstance(h, logs.ExchangeHandler)]
    finished = threading.Event()
    # Some other thread's record may be on its way while the run ends.
    thread = threading.Thread(target=lambda: (kept[0].emit(record()), finished.set()))
    thread.start()
    await trio.to_thread.run_sync(thread.join)
    assert finished.is_set()
