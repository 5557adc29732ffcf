"""Section 2: protocol header, login, tune, open, close."""

from __future__ import annotations

import time

from ..bench import Bench, case, rows
from ..client import ALL_CAPABILITIES, Client, plain
from ..codec import Raw, table

HEADER = b"AMQP\0\0\x09\x01"
CLIENT = {"product": "compare", "capabilities": dict.fromkeys(ALL_CAPABILITIES, True)}


def started(b: Bench) -> Client:
    """A connection on which connection.start has been received."""
    c = b.dial()
    c.raw(HEADER)
    c.expect_quietly("connection.start")
    return c


def start_ok(
    c: Client,
    mechanism: str = "PLAIN",
    response: bytes = plain("guest", "guest"),
    locale: str = "en_US",
    **fields: object,
) -> None:
    fields.setdefault("client_properties", CLIENT)
    c.send("connection.start-ok", 0, mechanism=mechanism, response=response, locale=locale, **fields)


def tuned(b: Bench) -> Client:
    """A connection on which connection.tune has been received and not yet answered."""
    c = started(b)
    start_ok(c)
    c.tune = c.expect_quietly("connection.tune").fields
    return c


@rows(
    "2 protocol header {0}",
    [
        ("0-9-1", b"AMQP\0\0\x09\x01"),
        ("0-9", b"AMQP\1\1\0\x09"),
    ],
)
def header_good(b: Bench, _: str, header: bytes) -> None:
    c = b.dial()
    c.raw(header)
    c.until("connection.start")


@rows(
    "2 protocol header {0}",
    [
        ("0-8", b"AMQP\1\1\x08\0"),
        ("0-9-2", b"AMQP\0\0\x09\x02"),
        ("0-9-0", b"AMQP\0\0\x09\0"),
        ("0-10", b"AMQP\1\1\0\x0a"),
        ("0 0 10 0", b"AMQP\0\0\x0a\0"),
        ("0 0 8 0", b"AMQP\0\0\x08\0"),
        ("1 0 9 1", b"AMQP\1\0\x09\x01"),
        ("9 9 9 9", b"AMQP\x09\x09\x09\x09"),
        ("1.0 with TLS", b"AMQP\2\1\0\0"),
        ("HTTP", b"GET / HTTP/1.1\r\n\r\n"),
        ("zeros", bytes(8)),
        ("lower case", b"amqp\0\0\x09\x01"),
    ],
)
def header_bad(b: Bench, _: str, header: bytes) -> None:
    c = b.dial()
    c.raw(header)
    c.until("closed")


@case("2 protocol header in two pieces")
def header_in_pieces(b: Bench) -> None:
    c = b.dial()
    c.raw(HEADER[:3])
    c.quiet(0.05)
    c.raw(HEADER[3:])
    c.until("connection.start")


@rows(
    "2 login {0}",
    [
        ("PLAIN", "PLAIN", plain("guest", "guest")),
        ("AMQPLAIN", "AMQPLAIN", table({"LOGIN": "guest", "PASSWORD": "guest"})[4:]),
        ("AMQPLAIN in the other order", "AMQPLAIN", table({"PASSWORD": "guest", "LOGIN": "guest"})[4:]),
        ("ANONYMOUS", "ANONYMOUS", b""),
        ("ANONYMOUS with a trace", "ANONYMOUS", b"someone@example.org"),
    ],
)
def login_good(b: Bench, _: str, mechanism: str, response: bytes) -> None:
    c = started(b)
    start_ok(c, mechanism, response)
    c.until("connection.tune")


@rows(
    "2 login refused, {0}",
    [
        ("wrong password", "PLAIN", plain("guest", "wrong")),
        ("unknown user", "PLAIN", plain("nobody-here", "guest")),
        ("empty password", "PLAIN", plain("guest", "")),
        ("empty response", "PLAIN", b""),
        ("PLAIN with an authorization identity", "PLAIN", b"someone\0guest\0guest"),
        ("PLAIN with a third zero byte", "PLAIN", b"\0guest\0guest\0"),
        ("PLAIN without zero bytes", "PLAIN", b"guest guest"),
        ("AMQPLAIN wrong password", "AMQPLAIN", table({"LOGIN": "guest", "PASSWORD": "wrong"})[4:]),
        ("AMQPLAIN without password", "AMQPLAIN", table({"LOGIN": "guest"})[4:]),
        ("unknown mechanism", "NOSUCH", b""),
        ("mechanism in lower case", "plain", plain("guest", "guest")),
        ("empty mechanism", "", plain("guest", "guest")),
    ],
)
def login_bad(b: Bench, _: str, mechanism: str, response: bytes) -> None:
    c = started(b)
    start_ok(c, mechanism, response)
    c.until("connection.close", "closed")


@case("2 login refused without authentication_failure_close")
def login_dropped(b: Bench) -> None:
    c = started(b)
    start_ok(c, response=plain("guest", "wrong"), client_properties={"product": "old"})
    c.until("closed")


@case("2 login with an unknown locale")
def locale(b: Bench) -> None:
    c = started(b)
    start_ok(c, locale="xx_XX")
    c.until("connection.tune", "closed")


@case("2 start-ok with a connection name and nested properties")
def client_properties(b: Bench) -> None:
    c = started(b)
    start_ok(
        c, client_properties={**CLIENT, "connection_name": "me", "nested": {"list": [1, {"a": None}]}, "flag": False}
    )
    c.until("connection.tune")


@case("2 start-ok with empty client properties")
def no_properties(b: Bench) -> None:
    c = started(b)
    start_ok(c, client_properties={})
    c.until("connection.tune")


@rows(
    "2 tune-ok {0} {1}",
    [
        ("channel_max", 1, True),
        ("channel_max", 2047, True),
        ("channel_max", 0, False),
        ("channel_max", 2048, False),
        ("channel_max", 65535, False),
        ("frame_max", 8192, True),
        ("frame_max", 65536, True),
        ("frame_max", 0, False),
        ("frame_max", 100, False),
        ("frame_max", 4095, False),
        ("frame_max", 4096, False),
        ("frame_max", 8191, False),
        ("frame_max", 131073, False),
        ("frame_max", 4294967295, False),
        ("heartbeat", 0, True),
        ("heartbeat", 1, True),
        ("heartbeat", 60, True),
        ("heartbeat", 600, True),
        ("heartbeat", 65535, True),
    ],
)
def tune(b: Bench, name: str, value: int, good: bool) -> None:
    c = tuned(b)
    c.send("connection.tune-ok", 0, **{**c.tune, name: value})
    if good:
        c.send("connection.open", 0, virtual_host="/")
        c.until("connection.open-ok")
    else:
        c.until("connection.close", "closed")


@rows("2 open vhost {0!r}", [("/",), ("nope",), ("",), ("//",), ("%2f",), ("v" * 200,)])
def open_vhost(b: Bench, vhost: str) -> None:
    c = tuned(b)
    c.send("connection.tune-ok", 0, **c.tune)
    c.send("connection.open", 0, virtual_host=vhost)
    if vhost == "/":
        c.until("connection.open-ok")
    else:
        c.died(530, f"NOT_ALLOWED - vhost {vhost} not found")


@case("2 open with insist")
def insist(b: Bench) -> None:
    c = tuned(b)
    c.send("connection.tune-ok", 0, **c.tune)
    c.send("connection.open", 0, virtual_host="/", insist=True)
    c.until("connection.open-ok")


@case("2 a method instead of start-ok")
def not_start_ok(b: Bench) -> None:
    c = started(b)
    c.send("connection.open", 0, virtual_host="/")
    c.until("connection.close", "closed")


@case("2 a channel method instead of start-ok")
def channel_before_start_ok(b: Bench) -> None:
    c = started(b)
    c.send("channel.open", 1)
    c.until("connection.close", "closed")


@case("2 start-ok instead of tune-ok")
def not_tune_ok(b: Bench) -> None:
    c = tuned(b)
    start_ok(c)
    c.until("connection.close", "closed")


@case("2 open instead of tune-ok")
def open_before_tune_ok(b: Bench) -> None:
    c = tuned(b)
    c.send("connection.open", 0, virtual_host="/")
    c.until("connection.close", "closed")


@case("2 channel.open instead of connection.open")
def not_open(b: Bench) -> None:
    c = tuned(b)
    c.send("connection.tune-ok", 0, **c.tune)
    c.send("channel.open", 1)
    c.until("connection.close", "closed")


@case("2 close instead of start-ok")
def close_before_login(b: Bench) -> None:
    c = started(b)
    c.send("connection.close", 0, reply_code=200, reply_text="bye")
    c.until("connection.close-ok", "closed")


@case("2 close instead of tune-ok")
def close_before_tune_ok(b: Bench) -> None:
    c = tuned(b)
    c.send("connection.close", 0, reply_code=200, reply_text="bye")
    c.until("connection.close-ok", "closed")


@case("2 close instead of open")
def close_before_open(b: Bench) -> None:
    c = tuned(b)
    c.send("connection.tune-ok", 0, **c.tune)
    c.send("connection.close", 0, reply_code=200, reply_text="bye")
    c.died(504, "CHANNEL_ERROR - unexpected method in connection state opening")


@case("2 start-ok larger than a frame may be before tune")
def oversize_before_tune(b: Bench) -> None:
    c = started(b)
    start_ok(c, client_properties={**CLIENT, "filler": "f" * 8300})
    c.until("connection.close", "closed")


@case("2 start-ok with a truncated table")
def truncated_start_ok(b: Bench) -> None:
    c = started(b)
    start_ok(c, client_properties=Raw(b"\0\0\0\x08\x01aI"))
    c.until("connection.close", "closed")


@case("2 close by the client")
def close(b: Bench) -> None:
    c = b.channel()
    c.send("connection.close", 0, reply_code=320, reply_text="leaving", class_id=10, method_id=40)
    c.until("connection.close-ok")


@case("2 frames after the client's close are ignored")
def after_close(b: Bench) -> None:
    c = b.channel()
    c.send("connection.close", 0, reply_code=200, reply_text="bye")
    c.send("queue.declare", queue=b.q(), passive=True)
    c.until("connection.close-ok")
    c.quiet()


@case("2 an exclusive queue is gone when close-ok arrives")
def exclusive_gone(b: Bench) -> None:
    owner, other = b.channel(), b.channel()
    q = owner.queue(b.q())
    owner.close()
    other.send("queue.declare", queue=q, passive=True)
    other.refused(404, f"NOT_FOUND - no queue '{q}' in vhost '/'")


@case("2 the order of frames of an exchange begun in one write")
def pipelined(b: Bench) -> None:
    c = tuned(b)
    c.send("connection.tune-ok", 0, **c.tune)
    c.send("connection.open", 0, virtual_host="/")
    c.send("channel.open", 1)
    c.send("channel.open", 2)
    c.send("queue.declare", 1, queue=b.q(), exclusive=True)
    c.until("queue.declare-ok")


@rows("2 update-secret with {0!r}", [("guest",), ("anything",), ("",)])
def update_secret(b: Bench, secret: str) -> None:
    b.connect().call("connection.update-secret", 0, new_secret=secret, reason="rotation")


@rows(
    "2 {0} after open",
    [
        ("connection.start-ok",),
        ("connection.tune-ok",),
        ("connection.secure-ok",),
        ("connection.open",),
        ("connection.close-ok",),
        ("connection.blocked",),
        ("connection.unblocked",),
        ("connection.open-ok",),
        ("connection.start",),
    ],
)
def out_of_order(b: Bench, method: str) -> None:
    c = b.connect()
    c.send(method, 0)
    c.until("connection.close", "closed")


@rows(
    "2 {0} on a channel",
    [("connection.close",), ("connection.open",), ("connection.update-secret",), ("connection.close-ok",)],
)
def connection_method_on_channel(b: Bench, method: str) -> None:
    c = b.channel()
    c.send(method, 1)
    c.died(503, "COMMAND_INVALID - unimplemented method")


@case("2 server sends heartbeats and drops a silent client")
def heartbeat(b: Bench) -> None:
    c = b.connect(tune_ok={"heartbeat": 1})
    first = c.next(2.0)
    b.check(first and first.name == "heartbeat", "a heartbeat comes within the first interval")
    names = [first.name if first else ""]
    while names[-1] == "heartbeat":
        event = c.next(5.0)
        names.append(event.name if event else "")
    b.note(f"after heartbeats: {names[-1]}")


@case("2 heartbeats keep a connection alive")
def heartbeat_answered(b: Bench) -> None:
    c = b.connect(tune_ok={"heartbeat": 1})
    until = time.monotonic() + 3.8
    names = set()
    while time.monotonic() < until:
        c.frame(8, b"", 0)
        event = c.next(0.3)
        names.add(event.name if event else "nothing")
    b.check("closed" not in names, "the connection stays")
    c.send("channel.open", 1)
    while (event := c.next()) is not None and event.name == "heartbeat":
        pass
    b.note(f"still there: {event and event.name}")
