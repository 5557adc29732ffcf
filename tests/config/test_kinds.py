"""What each type of setting takes, and what it does not."""

import pytest

from amqpd.config.kinds import (
    Addresses,
    Choice,
    Duration,
    Flag,
    Mode,
    Names,
    Networks,
    Number,
    Regexp,
    Size,
    Text,
    Watermark,
    Words,
)

TAKEN = [
    (Text(), "x y", "x y"),
    (Text(required=False), "", ""),
    (Choice("text", "json"), "JSON", "json"),
    (Flag(), True, True),
    (Flag(), "on", True),
    (Flag(), "0", False),
    (Flag(), "False", False),
    (Names("names"), ["a", "b"], ["a", "b"]),
    (Names("names"), "a, b", ["a", "b"]),
    (Names("names"), "", []),
    (Names("names"), [], []),
    (Names("pairs", item="[a-z]=[a-z]"), "a=b,c=d", ["a=b", "c=d"]),
    (Words("PLAIN", "EXTERNAL"), "external, PLAIN", ["EXTERNAL", "PLAIN"]),
    (Networks(), "10.0.0.0/8, ::1", ["10.0.0.0/8", "::1/128"]),
    (Networks(), ["10.1.2.3/8"], ["10.0.0.0/8"]),
    (Addresses(unix=True), "0.0.0.0:5672,[::1]:0,unix:/a b,host.example:65535", None),
    (Regexp(), "^a.*$", "^a.*$"),
    (Regexp(), ".*", ".*"),
    (Regexp(required=False), "", ""),
    (Text(longest=300), "x" * 300, "x" * 300),
    (Number(1, 9), 9, 9),
    (Number(1, 9), "1", 1),
    (Size(0, 10**9), "64KiB", 65_536),
    (Size(0, 10**9), "2 MB", 2_000_000),
    (Size(0, 10**9), "5b", 5),
    (Duration(0, 10**6, "ms"), 250, 250),
    (Duration(0, 10**6, "ms"), "10s", 10_000),
    (Duration(0, 10**6, "ms"), "2m", 120_000),
    (Duration(0, 10**6, "s"), "60", 60),
    (Duration(0, 10**6, "s"), "1h", 3600),
    (Duration(0, 10**6, "s"), "2000ms", 2),
    (Mode(), "0660", "660"),
    (Mode(), "0o600", "600"),
    (Watermark(), 0.6, 0.6),
    (Watermark(), "0.4", 0.4),
    (Watermark(), 0, 0.0),
    (Watermark(), 1, 1.0),
    (Watermark(), "2GiB", 2 * 2**30),
    (Watermark(), 2_000_000_000, 2_000_000_000),
    (Watermark(most=100.0), 1.5, 1.5),
    (Watermark(most=100.0), "100.0", 100.0),
    (Watermark(most=100.0), 50_000_000, 50_000_000),
]
REFUSED = [
    (Text(), ""),
    (Text(), 5),
    (Text(), "x" * 256),
    (Names("names", required=True), ""),
    (Names("names", required=True), []),
    (Choice("text", "json"), "xml"),
    (Flag(), "maybe"),
    (Flag(), 1),
    (Names("names"), ["a", ""]),
    (Names("names"), "a,,b"),
    (Names("names"), [1]),
    (Names("names"), 1),
    (Names("pairs", item="[a-z]=[a-z]"), "a=b,c"),
    (Words("PLAIN", "EXTERNAL"), "PLAIN,plain"),
    (Words("PLAIN", "EXTERNAL"), "CRAM"),
    (Words("PLAIN", "EXTERNAL"), ""),
    (Words("PLAIN", "EXTERNAL"), [1]),
    (Networks(), "10.0.0.0/33"),
    (Networks(), "example.org"),
    (Networks(), [10]),
    (Addresses(unix=True), "5672"),
    (Addresses(unix=True), "a:65536"),
    (Addresses(unix=True), "::1:5672"),
    (Addresses(unix=True), "unix:"),
    (Addresses(unix=False), "unix:/a"),
    (Regexp(), "a("),
    (Regexp(), ""),
    (Text(longest=300), "x" * 301),
    (Number(1, 9), 0),
    (Number(1, 9), 10),
    (Number(1, 9), "1s"),
    (Number(1, 9), "1.5"),
    (Number(1, 9), 1.0),
    (Number(1, 9), True),
    (Number(1, 9), "-1"),
    (Size(0, 10), "1 KiB"),
    (Size(0, 10**9), "1 furlong"),
    (Duration(0, 10**6, "s"), "1500ms"),
    (Duration(0, 10**6, "s"), "5 days"),
    (Mode(), "999"),
    (Mode(), 0o660),
    (Watermark(), 1.5),
    (Watermark(most=100.0), 100.5),
    (Watermark(most=100.0), "1000.0"),
    (Watermark(), "-0.5"),
    (Watermark(), True),
    (Watermark(), "lots"),
]


@pytest.mark.parametrize(("kind", "raw", "value"), TAKEN)
def test_taken(kind, raw, value):
    parsed = kind.parse(raw)
    value = raw.split(",") if value is None else value
    assert (parsed, type(parsed)) == (value, type(value))


@pytest.mark.parametrize(("kind", "raw"), REFUSED)
def test_refused(kind, raw):
    with pytest.raises(ValueError):
        kind.parse(raw)


@pytest.mark.parametrize("kind", [kind for kind, _raw, _value in TAKEN])
def test_says_what_it_takes(kind):
    assert kind.allowed
    assert kind.name


@pytest.mark.parametrize(
    ("value", "shown"),
    [(True, "true"), (5, "5"), (0.6, "0.6"), ('a"\\b', '"a\\"\\\\b"'), (["a", "b"], '["a", "b"]'), ([], "[]")],
)
def test_shown_as_toml(value, shown):
    assert Text().shown(value) == shown
