"""Sections 1, 1.1 and 2: channels as such: open, close, limits, flow, what is discarded while closing."""

from __future__ import annotations

from ..bench import Bench, case, rows


@case("1 channel.open")
def open_(b: Bench) -> None:
    b.connect().call("channel.open", 1)


@case("1 channel.close by the client, then the number again")
def reopen(b: Bench) -> None:
    c = b.channel()
    c.call("channel.close", reply_code=200, reply_text="bye")
    c.call("channel.open")


@case("1 delivery tags start anew when a channel is reopened")
def tags_reset(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q())
    for body in (b"1", b"2", b"3"):
        c.publish("", q, body)
    c.get(q)
    c.get(q)
    c.do("channel.close", reply_code=200, reply_text="bye")
    c.open()
    c.get(q)


@case("1.1 second channel.open")
def second_open(b: Bench) -> None:
    c = b.channel()
    c.send("channel.open")
    c.died(504, "CHANNEL_ERROR - second 'channel.open' seen")


@rows(
    "1.1 {0} on a channel never opened",
    [("queue.declare",), ("basic.qos",), ("tx.select",), ("channel.flow",), ("basic.ack",)],
)
def never_opened(b: Bench, method: str) -> None:
    c = b.connect()
    c.send(method, 1)
    c.died(504, "CHANNEL_ERROR - expected 'channel.open'")


@case("1 a content header on a channel never opened")
def never_opened_content(b: Bench) -> None:
    c = b.connect()
    c.frame(2, bytes(14), 1)
    c.until("connection.close", "closed")


@case("1 methods after the server's channel.close are discarded until close-ok")
def discarded(b: Bench) -> None:
    c = b.channel()
    q = b.q()
    c.send("queue.declare", queue=b.q("missing"), passive=True)
    c.until("channel.close")
    c.send("queue.declare", queue=q)
    c.publish("", q, b"lost")
    c.send("basic.qos", prefetch_count=1)
    c.quiet()
    c.send("channel.close-ok")
    c.call("channel.open")
    c.send("queue.declare", queue=q, passive=True)
    c.refused(404, f"NOT_FOUND - no queue '{q}' in vhost '/'")


@case("1 the client's channel.close crosses the server's")
def crossing(b: Bench) -> None:
    c = b.channel()
    c.send("queue.declare", queue=b.q("missing"), passive=True)
    c.until("channel.close")
    c.send("channel.close", reply_code=200, reply_text="bye")
    c.until("channel.close-ok")
    c.send("channel.close-ok")
    c.call("channel.open", 2)


@case("1 channel.open instead of close-ok")
def open_while_closing(b: Bench) -> None:
    c = b.channel()
    c.send("queue.declare", queue=b.q("missing"), passive=True)
    c.until("channel.close")
    c.send("channel.open")
    c.died(504, "CHANNEL_ERROR - second 'channel.open' seen")


@case("1 an error on one channel leaves the others alone")
def others_live(b: Bench) -> None:
    c = b.connect().open(1, 2)
    q = c.queue(b.q(), channel=2)
    c.send("queue.declare", queue=b.q("missing"), passive=True)
    c.until("channel.close")
    c.call("queue.declare", 2, queue=q, passive=True)


@case("1 a connection error is sent on channel 0 and ends every channel")
def connection_error(b: Bench) -> None:
    c = b.connect().open(1, 2)
    c.queue(b.q(), channel=2)
    c.send("basic.qos", prefetch_size=1)
    c.died(540, "NOT_IMPLEMENTED - prefetch_size!=0 (1)")


@case("1 after the server's connection.close all is ignored but close-ok")
def ignored_after_close(b: Bench) -> None:
    c = b.connect().open(1, 2)
    c.send("basic.qos", prefetch_size=1)
    c.until("connection.close")
    c.send("queue.declare", 2, queue=b.q())
    c.quiet()
    c.send("connection.close-ok", 0)
    c.until("closed")


@case("1 the client's connection.close crosses the server's")
def connection_crossing(b: Bench) -> None:
    c = b.channel()
    c.send("basic.qos", prefetch_size=1)
    c.until("connection.close")
    c.send("connection.close", 0, reply_code=200, reply_text="bye")
    c.until("connection.close-ok", "closed")


@case("1 channel.close-ok on an open channel")
def stray_close_ok(b: Bench) -> None:
    c = b.channel()
    c.send("channel.close-ok")
    c.send("basic.qos")
    c.until("connection.close", "channel.close", "basic.qos-ok", "closed")


@rows("2 channel number {0}", [(2,), (2047,), (2048,), (65535,)])
def number(b: Bench, number: int) -> None:
    c = b.connect()
    c.call("channel.open", number)
    c.call("basic.qos", number)


@case("2 the number of channels is limited, not their numbers")
def channel_max(b: Bench) -> None:
    c = b.connect(tune_ok={"channel_max": 2, "heartbeat": 0})
    c.call("channel.open", 500)
    c.call("channel.open", 7)
    c.send("channel.open", 8)
    c.died(530, "NOT_ALLOWED - number of channels opened (2) has reached the negotiated channel_max (2)")


@case("2 a closed channel makes room for another")
def channel_max_reuse(b: Bench) -> None:
    c = b.connect(tune_ok={"channel_max": 1, "heartbeat": 0}).open(1)
    c.call("channel.close", 1, reply_code=200)
    c.call("channel.open", 2)


@rows(
    "1.1 {0} on channel 0",
    [("channel.open",), ("queue.declare",), ("basic.publish",), ("confirm.select",), ("channel.close-ok",)],
)
def on_channel_zero(b: Bench, method: str) -> None:
    c = b.connect()
    c.send(method, 0)
    c.died(504, "CHANNEL_ERROR - unexpected method in connection state running")


@case("7 channel.flow active")
def flow_on(b: Bench) -> None:
    b.channel().call("channel.flow", active=True)


@case("1.1 channel.flow inactive")
def flow_off(b: Bench) -> None:
    c = b.channel()
    c.send("channel.flow", active=False)
    c.died(540, "NOT_IMPLEMENTED - active=false")


@case("2 access.request")
def access_request(b: Bench) -> None:
    b.channel().call("access.request", realm="/data", active=True, read=True)


SERVER_METHODS = [
    "channel.open-ok",
    "channel.flow-ok",
    "access.request-ok",
    "exchange.declare-ok",
    "queue.declare-ok",
    "queue.bind-ok",
    "basic.qos-ok",
    "basic.consume-ok",
    "basic.cancel-ok",
    "basic.deliver",
    "basic.return",
    "basic.get-ok",
    "basic.get-empty",
    "basic.recover-ok",
    "confirm.select-ok",
    "tx.select-ok",
    "tx.commit-ok",
    "exchange.bind-ok",
    "queue.purge-ok",
    "queue.delete-ok",
]


@rows("1.1 {0} sent by the client", [(name,) for name in SERVER_METHODS])
def server_method(b: Bench, method: str) -> None:
    c = b.channel()
    c.send(method)
    if method in ("basic.deliver", "basic.return", "basic.get-ok"):
        c.frame(2, b"\0\x3c" + bytes(12))
    c.send("basic.qos")
    c.until("connection.close", "channel.close", "basic.qos-ok", "closed")


@case("7 basic.cancel sent by the client for an unknown tag")
def cancel_unknown(b: Bench) -> None:
    b.channel().call("basic.cancel", consumer_tag="nobody")


@case("1 channel.close drops an auto-delete queue's consumer and the queue")
def close_auto_delete(b: Bench) -> None:
    c = b.connect().open(1, 2)
    q = c.queue(b.q(), exclusive=False, auto_delete=True)
    c.do("basic.consume", queue=q, consumer_tag="t")
    c.do("channel.close", reply_code=200)
    c.send("queue.declare", 2, queue=q, passive=True)
    c.refused(404, f"NOT_FOUND - no queue '{q}' in vhost '/'", 2)
