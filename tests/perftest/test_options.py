"""How options are written, and what must not go together."""

import pytest

from amqpd.perftest import texts
from amqpd.perftest.faults import OptionError
from amqpd.perftest.options import Options, check, message_properties, queue_names
from amqpd.perftest.pace import constant
from amqpd.wire import content
from amqpd.wire.tables import TIMESTAMP, Field, boolean, long, longstr

HERE = texts.address("amqp://localhost")


def test_an_address_with_everything():
    found = texts.address("amqps://us%40er:p%2Fw@[::1]:1234/v%2Fhost")
    assert (found.host, found.port, found.tls, found.user, found.password) == ("::1", 1234, True, "us@er", "p/w")
    assert (found.vhost, found.place) == ("v/host", "[::1]:1234")
    assert "p/w" not in repr(found)


@pytest.mark.parametrize(
    ("uri", "port", "vhost"),
    [("amqp://h", 5672, "/"), ("amqps://h/", 5671, "/"), ("amqp://h/%2F", 5672, "/"), ("amqp://h:0/x", 0, "x")],
)
def test_what_is_left_out_of_an_address(uri, port, vhost):
    found = texts.address(uri)
    assert (found.host, found.port, found.vhost, found.user, found.password) == ("h", port, vhost, "guest", "guest")


@pytest.mark.parametrize("uri", ["localhost", "http://h", "amqp://h:x", "amqp://h:99999", "amqp://h/a/b", "amqp://[h"])
def test_what_is_no_address(uri):
    with pytest.raises(OptionError, match=r"^--uri: "):
        texts.address(uri)


def test_pairs_have_types():
    found = texts.table("--queue-args", ["a=1,b=x=y", "c=true, d = false ,a=-2,e=99999999999999999999"])
    assert found == [
        ("a", long(-2)),
        ("b", longstr("x=y")),
        ("c", boolean(True)),
        ("d", boolean(False)),
        ("e", longstr("99999999999999999999")),
    ]


@pytest.mark.parametrize("text", ["a", "=1", "a=1,,b=2", "", "k" * 256 + "=1"])
def test_what_is_no_pair(text):
    with pytest.raises(OptionError, match=r"^--queue-args: "):
        texts.table("--queue-args", [text])


def test_steps():
    assert texts.steps("--variable-rate", ["0:1", "10:20"], 0) == [(0, 1), (10, 20)]
    for wrong in ("1", "1:0", "-1:1", "a:1", "1:1:1", "0:1"):
        with pytest.raises(OptionError, match="VALUE:SECONDS with VALUE >= 1"):
            texts.steps("--variable-size", [wrong], 1)


def test_capacities_and_ages():
    sizes = {"0": 0, "10b": 10, "5kb": 5000, "2 GB": 2 * 10**9, "1mib": 2**20}
    assert {text: texts.capacity("-", text) for text in sizes} == sizes
    assert [texts.age("-", text) for text in ("PT10M30S", "P5DT8H", "pt1s")] == ["630s", "460800s", "1s"]
    for wrong in ("x", "10xb", "-1", ""):
        with pytest.raises(OptionError, match="no size"):
            texts.capacity("--max-length-bytes", wrong)
    for wrong in ("P", "10s", "PT", "P1Y"):
        with pytest.raises(OptionError, match="no duration"):
            texts.age("--max-age", wrong)


def test_stream_offsets():
    assert texts.stream_offset("-", "first") == longstr("first")
    assert texts.stream_offset("-", "17") == long(17)
    assert texts.stream_offset("-", "1970-01-01T00:01:00Z") == Field(TIMESTAMP, 60)
    assert texts.stream_offset("-", "1970-01-01T00:01:00") == Field(TIMESTAMP, 60)
    with pytest.raises(OptionError, match="neither first, last"):
        texts.stream_offset("--stream-consumer-offset", "yesterday")


def test_properties_and_headers():
    given = ["deliveryMode=2,priority=7,contentType=text/plain,x-tries=3", "timestamp=1970-01-01T00:00:01Z"]
    properties, headers = message_properties("--message-properties", given)
    assert properties == {
        content.DELIVERY_MODE: b"\2",
        content.PRIORITY: b"\7",
        content.CONTENT_TYPE: b"\x0atext/plain",
        content.TIMESTAMP: (1).to_bytes(8, "big"),
    }
    assert headers == [("x-tries", long(3))]
    for wrong in ("priority=256", "priority=x", "timestamp=first", "appId=" + "x" * 256):
        with pytest.raises(OptionError, match=r"^--message-properties: "):
            message_properties("--message-properties", [wrong])


def test_queues():
    assert queue_names(None, None, None, None, None) == ([], False)
    assert queue_names("a,b", None, None, None, None) == (["a", "b"], False)
    assert queue_names(None, "q-%03d", 9, 10, None) == (["q-009", "q-010"], True)
    assert queue_names(None, None, None, None, ["a", " b ", ""]) == (["a", "b"], True)


@pytest.mark.parametrize(
    "given",
    [
        ("a", "q%d", 1, 2, None),
        (None, "q%d", 1, None, None),
        (None, None, 1, 2, None),
        (None, "q%d", 2, 1, None),
        (None, "q%d", 0, 10**7, None),
        (None, "q", 1, 2, None),
        (None, "%d%d", 1, 2, None),
        ("a", None, None, None, ["b"]),
        (None, None, None, None, [" "]),
    ],
)
def test_what_names_no_queues(given):
    with pytest.raises(OptionError, match=r"^--queue"):
        queue_names(*given)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"producers": 0, "consumers": 0}, "--producers"),
        ({"producers": 50_000, "consumers": 1}, "at most 50000 connections"),
        ({"confirm": 1, "producer_tx": 1}, "--ptxsize"),
        ({"exclusive": True, "queues": ["q"]}, "--exclusive"),
        ({"predeclared": True}, "--predeclared"),
        ({"queues": ["x" * 256]}, "--queue: a name has at most 255 bytes, this one has 256"),
        ({"routing_key": "\udcff"}, "--routing-key: .* is not UTF-8"),
        ({"exchange": "é" * 128}, "--exchange: .* this one has 256"),
        ({"frame_max": 100}, "--framemax: from 4096"),
        ({"producer_channels": 70_000}, "--producer-channel-count"),
        ({"sizes": constant(2**30)}, "--size: at most"),
    ],
)
def test_what_makes_no_sense(wrong, named):
    check(Options([HERE], "id"))
    with pytest.raises(OptionError, match=named):
        check(Options([HERE], "id", **wrong))
