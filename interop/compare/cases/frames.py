"""Sections 1.1 and 2: frames and contents that break the rules, and the sizes that do not."""

from __future__ import annotations

import struct

from ..bench import Bench, case, rows
from ..client import Client
from ..codec import Raw, header_payload, longstr, method_payload, shortstr

PUBLISH = method_payload("basic.publish", {})
FRAME_MAX = 8192


@rows(
    "1.1 frame of type {0} with {1} bytes",
    [(kind, size) for kind in (0, 4, 5, 7, 9, 255) for size in (0, 4)] + [(9, 16), (9, 17), (9, 64)],
)
def unknown_type(b: Bench, kind: int, size: int) -> None:
    c = b.channel()
    c.frame(kind, b"abcdefghijklmnopqrstuvwxyz"[:size].ljust(size, b"."))
    c.until("connection.close", "closed")


@case("1.1 frame of unknown type on channel 0")
def unknown_type_zero(b: Bench) -> None:
    c = b.channel()
    c.frame(9, b"abcd", 0)
    c.until("connection.close", "closed")


@rows(
    "1.1 frame end {0} after {1}",
    [
        (0, "method"),
        (0xCF, "method"),
        (0, "heartbeat"),
        (0, "text"),
        (0, "seventeen"),
        (0, "binary"),
        (0, "quote"),
        (0, "empty"),
    ],
)
def frame_end(b: Bench, end: int, payload: str) -> None:
    c = b.connect()
    data = {
        "method": method_payload("channel.open", {}),
        "heartbeat": b"",
        "text": b"printable text",
        "seventeen": b"s" * 17,
        "binary": b"\0\xff\x80abc",
        "quote": b'"a\\b\n\t',
        "empty": b"",
    }[payload]
    c.frame(8 if payload == "heartbeat" else 1, data, 0 if payload == "heartbeat" else 1, end)
    c.until("connection.close", "closed")


def small_frames(b: Bench) -> Client:
    return b.connect(tune_ok={"frame_max": FRAME_MAX, "heartbeat": 0}).open()


@rows("2 body frame payload of frame_max {0:+}", [(-8,), (-7,), (0,)])
def frame_size_good(b: Bench, over: int) -> None:
    c = small_frames(b)
    q = c.queue(b.q())
    body = b"x" * (FRAME_MAX + over)
    c.frame(1, method_payload("basic.publish", {"routing_key": q}))
    c.frame(2, header_payload(len(body), {}))
    c.frame(3, body)
    c.get(q)


@rows(
    "2 {0} frame payload of frame_max {1:+}",
    [("body", 1), ("body", 100), ("unknown", 1), ("header", 1), ("method", 1), ("heartbeat", 1)],
)
def frame_size_bad(b: Bench, kind: str, over: int) -> None:
    c = small_frames(b)
    c.frame(1, PUBLISH)
    types = {"body": 3, "unknown": 9, "header": 2, "method": 1, "heartbeat": 8}
    if kind == "body":
        c.frame(2, header_payload(FRAME_MAX * 2, {}))
    c.raw(struct.pack(">BHI", types[kind], 1 if kind != "heartbeat" else 0, FRAME_MAX + over))
    c.until("connection.close", "closed")


@rows("2 body of {0} bytes comes back in full frames", [(0,), (1,), (8184,), (8185,), (16368,), (20000,), (100000,)])
def body_split(b: Bench, size: int) -> None:
    c = small_frames(b)
    q = c.queue(b.q())
    c.publish("", q, bytes(range(256)) * (size // 256) + b"e" * (size % 256))
    c.get(q)


@case("2 body of 300000 bytes in frames of 131072")
def body_split_default(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q())
    c.publish("", q, b"0123456789" * 30000)
    c.get(q)


@case("2 body in many small frames, an empty one among them")
def many_frames(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q())
    c.frame(1, method_payload("basic.publish", {"routing_key": q}))
    c.frame(2, header_payload(5, {}))
    for piece in (b"a", b"", b"bc", b"", b"de"):
        c.frame(3, piece)
    c.get(q)


@case("2 an empty body frame after an empty body")
def empty_frame_after_empty_body(b: Bench) -> None:
    c = b.channel()
    c.frame(1, PUBLISH)
    c.frame(2, header_payload(0, {}))
    c.frame(3, b"")
    c.until("connection.close", "closed")


@case("2 contents of two channels interleaved")
def interleaved(b: Bench) -> None:
    c = b.connect().open(1, 2)
    q, r = c.queue(b.q("q")), c.queue(b.q("r"))
    c.frame(1, method_payload("basic.publish", {"routing_key": q}), 1)
    c.frame(1, method_payload("basic.publish", {"routing_key": r}), 2)
    c.frame(2, header_payload(4, {}), 1)
    c.frame(2, header_payload(4, {}), 2)
    c.frame(3, b"to", 1)
    c.frame(3, b"to", 2)
    c.frame(8, b"", 0)
    c.frame(3, b" r", 2)
    c.frame(3, b" q", 1)
    c.sync(1)
    c.sync(2)
    c.bodies(q, r)


@case("1.1 heartbeat on a channel")
def heartbeat_on_channel(b: Bench) -> None:
    c = b.channel()
    c.frame(8, b"", 1)
    c.died(505, "UNEXPECTED_FRAME - type 8, all octets = <<>>")


@case("1.1 heartbeat on a channel never opened")
def heartbeat_on_closed_channel(b: Bench) -> None:
    c = b.connect()
    c.frame(8, b"", 3)
    c.until("connection.close", "closed")


@case("1.1 heartbeat with a payload")
def heartbeat_payload(b: Bench) -> None:
    c = b.connect()
    c.frame(8, b"abc", 0)
    c.send("channel.open", 1)
    c.until("connection.close", "channel.open-ok", "closed")


@case("1.1 heartbeat inside a content")
def heartbeat_inside(b: Bench) -> None:
    c = b.channel()
    c.frame(1, PUBLISH)
    c.frame(8, b"", 1)
    c.until("connection.close", "closed")


@rows("1.1 {0} on channel 0", [("content header",), ("body",)])
def content_on_zero(b: Bench, which: str) -> None:
    c = b.connect()
    c.frame(2 if which == "content header" else 3, bytes(14), 0)
    c.until("connection.close", "closed")


@rows("1.1 {0} without a publish", [("content header",), ("body",)])
def content_first(b: Bench, which: str) -> None:
    c = b.channel()
    c.frame(2 if which == "content header" else 3, bytes(14))
    c.died(505, "UNEXPECTED_FRAME - expected method frame, got non method frame instead")


@rows("1.1 {0} instead of a content header", [("method",), ("body",)])
def no_header(b: Bench, which: str) -> None:
    c = b.channel()
    c.frame(1, PUBLISH)
    c.frame(1 if which == "method" else 3, method_payload("basic.qos", {}))
    c.died(505, "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead")


@rows("1.1 content header of class {0}", [(50,), (0,), (90,), (999,)])
def header_class(b: Bench, class_id: int) -> None:
    c = b.channel()
    c.frame(1, PUBLISH)
    c.frame(2, header_payload(0, {}, class_id=class_id))
    c.died(505, f"UNEXPECTED_FRAME - expected content header for class 60, got one for class {class_id} instead")


@rows("1.1 {0} instead of a body", [("method",), ("content header",)])
def no_body(b: Bench, which: str) -> None:
    c = b.channel()
    c.frame(1, PUBLISH)
    c.frame(2, header_payload(4, {}))
    c.frame(
        1 if which == "method" else 2, method_payload("basic.qos", {}) if which == "method" else header_payload(4, {})
    )
    c.died(505, "UNEXPECTED_FRAME - expected content body, got non content body frame instead")


@rows("2 content header of weight {0}", [(1,), (65535,)])
def header_weight(b: Bench, weight: int) -> None:
    c = b.channel()
    c.frame(1, PUBLISH)
    c.frame(2, header_payload(0, {}, weight=weight))
    c.until("connection.close", "closed")


@rows(
    "2 content header cut off {0}",
    [
        ("after nothing", 0),
        ("in the class", 1),
        ("after the class", 2),
        ("in the size", 7),
        ("before the flags", 12),
        ("in the flags", 13),
    ],
)
def header_cut(b: Bench, _: str, size: int) -> None:
    c = b.channel()
    c.frame(1, PUBLISH)
    c.frame(2, header_payload(0, {})[:size])
    c.until("connection.close", "closed")


@rows(
    "2 content header with {0}",
    [
        ("a property missing", struct.pack(">HHQH", 60, 0, 0, 0x8000)),
        ("a property cut off", struct.pack(">HHQH", 60, 0, 0, 0x8000) + b"\x05ab"),
        ("bytes left over", struct.pack(">HHQH", 60, 0, 0, 0x8000) + b"\x02abc"),
        ("bytes and no flags", struct.pack(">HHQH", 60, 0, 0, 0) + b"abc"),
        ("an unused flag", struct.pack(">HHQH", 60, 0, 0, 0x0002)),
        ("a second flags word", struct.pack(">HHQHH", 60, 0, 0, 0x0001, 0)),
        ("a headers table cut off", struct.pack(">HHQHI", 60, 0, 0, 0x2000, 99)),
        ("an unknown type tag", struct.pack(">HHQH", 60, 0, 0, 0x2000) + longstr(b"\x01aZ0000")),
        ("a longstr cut off in the table", struct.pack(">HHQH", 60, 0, 0, 0x2000) + longstr(b"\x01aS\0\0\0\x09xy")),
    ],
)
def header_malformed(b: Bench, _: str, header: bytes) -> None:
    c = b.channel()
    q = c.queue(b.q())
    c.frame(1, method_payload("basic.publish", {"routing_key": q}))
    c.frame(2, header)
    c.send("basic.get", queue=q)
    c.until("connection.close", "channel.close", "closed", "basic.get-ok")


@case("1.1 body longer than announced")
def body_too_long(b: Bench) -> None:
    c = b.channel()
    c.frame(1, PUBLISH)
    c.frame(2, header_payload(3, {}))
    c.frame(3, b"four")
    c.died(501, "FRAME_ERROR - content body frame exceeds remaining content size")


@case("1.1 second body frame longer than announced")
def body_too_long_later(b: Bench) -> None:
    c = b.channel()
    c.frame(1, PUBLISH)
    c.frame(2, header_payload(3, {}))
    c.frame(3, b"tw")
    c.frame(3, b"two")
    c.died(501, "FRAME_ERROR - content body frame exceeds remaining content size")


@rows("1.1 content header announces {0} bytes", [(512 * 2**20 + 1,), (2**63,), (2**64 - 1,)])
def announced_too_much(b: Bench, size: int) -> None:
    c = b.channel()
    c.frame(1, PUBLISH)
    c.frame(2, header_payload(size, {}))
    c.died(501, f"FRAME_ERROR - content body size {size} exceeds maximum allowed size 536870912")


@case("1.1 message larger than max_message_size")
def message_too_large(b: Bench) -> None:
    c = b.channel()
    c.publish("", b.q(), b"\0" * (16 * 2**20 + 1))
    c.refused(406, "PRECONDITION_FAILED - message size 16777217 is larger than configured max size 16777216")


@rows(
    "1.1 method {0}",
    [
        ("of an unknown class", b"\x03\xe7\0\x0a"),
        ("unknown in its class", b"\0\x32\0\x63"),
        ("of class 0", b"\0\0\0\0"),
        ("shorter than its number", b"\0\x32\0"),
        ("without bytes", b""),
        ("of the file class", b"\0\x46\0\x0a"),
    ],
)
def unknown_method(b: Bench, _: str, payload: bytes) -> None:
    c = b.channel()
    c.frame(1, payload)
    c.until("connection.close", "channel.close", "closed")


@rows(
    "1.1 queue.declare with {0}",
    [
        ("no arguments at all", b""),
        ("a name cut off", b"\0\0\x05ab"),
        ("no bits", b"\0\0" + shortstr("a")),
        ("a table cut off", b"\0\0" + shortstr("a") + b"\0" + b"\0\0\0\x09\x01a"),
        ("a table longer than its entries", b"\0\0" + shortstr("a") + b"\0" + longstr(b"\x01at\x01\x01")),
        ("an unknown type tag", b"\0\0" + shortstr("a") + b"\0" + longstr(b"\x01aZ\0\0\0\0")),
        ("an array cut off", b"\0\0" + shortstr("a") + b"\0" + longstr(b"\x01aA\0\0\0\x63")),
        ("bytes left over", b"\0\0" + shortstr("a") + b"\0" + longstr(b"") + b"more"),
    ],
)
def malformed_method(b: Bench, _: str, arguments: bytes) -> None:
    c = b.channel()
    c.frame(1, b"\0\x32\0\x0a" + arguments)
    c.until("connection.close", "channel.close", "closed", "queue.declare-ok")


@case("1.1 unused bits of queue.declare set")
def unused_bits(b: Bench) -> None:
    c = b.channel()
    c.frame(1, b"\0\x32\0\x0a\0\0" + shortstr(b.q()) + bytes([0b11100100]) + longstr(b""))
    c.until("connection.close", "channel.close", "closed", "queue.declare-ok")


@case("3 a ticket other than 0 is ignored")
def ticket(b: Bench) -> None:
    b.channel().call("queue.declare", ticket=77, queue=b.q(), exclusive=True)


@case("1.1 a key twice in the arguments")
def key_twice(b: Bench) -> None:
    c = b.channel()
    one = shortstr("x-message-ttl") + b"I" + struct.pack(">i", 1000)
    two = shortstr("x-message-ttl") + b"I" + struct.pack(">i", 2000)
    q = b.q()
    c.send("queue.declare", queue=q, exclusive=True, arguments=Raw(longstr(one + two)))
    c.until("queue.declare-ok", "channel.close", "connection.close")
    c.send("queue.declare", queue=q, exclusive=True, arguments={"x-message-ttl": 2000})
    c.until("queue.declare-ok", "channel.close")
