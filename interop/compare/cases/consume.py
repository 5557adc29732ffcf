"""Sections 1.1 and 7: basic.consume and cancel, exclusive consumers, consumer priorities, round robin, flow of
deliveries.
"""

from __future__ import annotations

from ..bench import Bench, case, queue_text, rows


@case("7 consume, deliver, cancel")
def consume(b: Bench) -> None:
    c = b.channel()
    q, x = c.queue(b.q()), c.exchange(b.x(), "fanout")
    c.bind(q, x)
    c.call("basic.consume", queue=q, consumer_tag="t")
    c.publish(x, "key", b"1", content_type="text/plain")
    c.deliveries(1)
    c.call("basic.cancel", consumer_tag="t")
    c.publish(x, "key", b"2")
    c.settle()


@case("7 the server makes up a consumer tag")
def generated_tag(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q())
    c.call("basic.consume", queue=q)
    c.publish("", q, b"1")
    c.deliveries(1)


@case("7 messages waiting are delivered in order")
def waiting(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q())
    for n in range(5):
        c.publish("", q, str(n).encode())
    c.call("basic.consume", queue=q, consumer_tag="t")
    c.deliveries(5)


@case("1.1 a consumer tag used twice on a channel")
def tag_twice(b: Bench) -> None:
    c = b.channel()
    q, r = c.queue(b.q("q")), c.queue(b.q("r"))
    c.do("basic.consume", queue=q, consumer_tag="t")
    c.send("basic.consume", queue=r, consumer_tag="t")
    c.died(530, "NOT_ALLOWED - attempt to reuse consumer tag 't'")


@case("7 a consumer tag used on two channels")
def tag_two_channels(b: Bench) -> None:
    c = b.connect().open(1, 2)
    q = c.queue(b.q())
    c.call("basic.consume", 1, queue=q, consumer_tag="t")
    c.call("basic.consume", 2, queue=q, consumer_tag="t")


@case("7 a consumer tag used again after cancel")
def tag_again(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q())
    c.do("basic.consume", queue=q, consumer_tag="t")
    c.call("basic.cancel", consumer_tag="t")
    c.call("basic.consume", queue=q, consumer_tag="t")


@case("7 a consumer tag reused against a missing queue")
def tag_twice_missing(b: Bench) -> None:
    c = b.channel()
    c.do("basic.consume", queue=c.queue(b.q()), consumer_tag="t")
    c.send("basic.consume", queue=b.q("missing"), consumer_tag="t")
    c.until("channel.close", "connection.close")


@rows(
    "1.1 exclusive consumer conflict: {0}",
    [("exclusive comes second", False, True), ("exclusive comes first", True, False), ("both exclusive", True, True)],
)
def exclusive(b: Bench, _: str, first: bool, second: bool) -> None:
    c = b.connect().open(1, 2)
    q = c.queue(b.q())
    c.call("basic.consume", 1, queue=q, consumer_tag="t", exclusive=first)
    c.send("basic.consume", 2, queue=q, consumer_tag="u", exclusive=second)
    c.refused(403, f"ACCESS_REFUSED - {queue_text(q)} in exclusive use", 2)


@case("7 after an exclusive consumer's cancel others may consume")
def exclusive_over(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q())
    c.do("basic.consume", queue=q, consumer_tag="t", exclusive=True)
    c.do("basic.cancel", consumer_tag="t")
    c.call("basic.consume", queue=q, consumer_tag="u")


@case("7 basic.get while there is an exclusive consumer")
def exclusive_get(b: Bench) -> None:
    c = b.connect().open(1, 2)
    q = c.queue(b.q())
    c.do("basic.consume", queue=q, consumer_tag="t", exclusive=True)
    c.send("basic.get", 2, queue=q)
    c.until("basic.get-empty", "channel.close")


@case("7 no_local is ignored")
def no_local(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q())
    c.do("basic.consume", queue=q, consumer_tag="t", no_local=True)
    c.publish("", q, b"1")
    c.deliveries(1)


@case("7 no_ack deliveries use up delivery tags and cannot be acked")
def no_ack(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q())
    c.do("basic.consume", queue=q, consumer_tag="t", no_ack=True)
    c.publish("", q, b"1")
    c.publish("", q, b"2")
    c.deliveries(2)
    c.send("basic.ack", delivery_tag=1)
    c.refused(406, "PRECONDITION_FAILED - unknown delivery tag 1")


@case("7 delivery tags are shared by deliver and get")
def shared_tags(b: Bench) -> None:
    c = b.channel()
    q, r = c.queue(b.q("q")), c.queue(b.q("r"))
    c.do("basic.consume", queue=q, consumer_tag="t")
    c.publish("", q, b"1")
    c.deliveries(1)
    c.publish("", r, b"2")
    c.get(r)
    c.publish("", q, b"3")
    c.deliveries(1)


@case("7 round robin among equal consumers")
def round_robin(b: Bench) -> None:
    c = b.connect().open(1, 2, 3)
    q = c.queue(b.q())
    for channel in (1, 2, 3):
        c.do("basic.consume", channel, queue=q, consumer_tag=f"t{channel}")
    for n in range(9):
        c.publish("", q, str(n).encode())
    events = sorted(((e := c.until_quietly("basic.deliver")).fields["consumer_tag"], e.body.decode()) for _ in range(9))
    b.note(f"delivered {events}")


@case("7 round robin among consumers of one channel")
def round_robin_one_channel(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q())
    for tag in ("t", "u", "v"):
        c.do("basic.consume", queue=q, consumer_tag=tag)
    for n in range(6):
        c.publish("", q, str(n).encode())
    c.deliveries(6)


@case("7 a higher priority gets all it can take")
def priority(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q())
    c.do("basic.consume", queue=q, consumer_tag="lo", arguments={"x-priority": -1})
    c.do("basic.consume", queue=q, consumer_tag="none")
    c.do("basic.consume", queue=q, consumer_tag="hi", arguments={"x-priority": 5})
    for n in range(3):
        c.publish("", q, str(n).encode())
    c.deliveries(3)


@case("7 a lower priority gets what the higher cannot take")
def priority_prefetch(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q())
    c.do("basic.qos", prefetch_count=2)
    c.do("basic.consume", queue=q, consumer_tag="lo", arguments={"x-priority": 1})
    c.do("basic.consume", queue=q, consumer_tag="hi", arguments={"x-priority": 10})
    for n in range(5):
        c.publish("", q, str(n).encode())
    events = [c.until_quietly("basic.deliver") for _ in range(4)]
    b.note("delivered " + ", ".join(f"{e.body.decode()} to {e.fields['consumer_tag']}" for e in events))
    c.await_count(q, 1)
    c.send("basic.ack", delivery_tag=next(e.fields["delivery_tag"] for e in events if e.fields["consumer_tag"] == "hi"))
    c.deliveries(1)


@case("7 cancel leaves what was delivered outstanding")
def cancel_outstanding(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q())
    c.do("basic.consume", queue=q, consumer_tag="t")
    c.publish("", q, b"1")
    c.deliveries(1)
    c.call("basic.cancel", consumer_tag="t")
    c.get(q)
    c.send("basic.ack", delivery_tag=1)
    c.sync()


@case("7 a cancelled consumer's message is requeued when the channel closes")
def cancel_then_close(b: Bench) -> None:
    c = b.connect().open(1, 2)
    q = c.queue(b.q())
    c.do("basic.consume", 2, queue=q, consumer_tag="t")
    c.publish("", q, b"1")
    c.deliveries(1)
    c.call("basic.cancel", 2, consumer_tag="t")
    c.do("channel.close", 2, reply_code=200)
    c.await_get(q)


@case("7 cancel-ok comes after the deliveries before it")
def cancel_order(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q())
    for n in range(3):
        c.publish("", q, str(n).encode())
    c.call("basic.consume", queue=q, consumer_tag="t", no_ack=True)
    c.call("basic.cancel", consumer_tag="t")
    c.settle()


@case("7 consume on a missing queue with the empty tag")
def missing(b: Bench) -> None:
    c = b.channel()
    q = b.q()
    c.send("basic.consume", queue=q)
    c.refused(404, f"NOT_FOUND - no {queue_text(q)}")


@case("7 a queue deleted: basic.cancel for each consumer")
def delete_cancels_all(b: Bench) -> None:
    c = b.connect().open(1, 2)
    q = c.queue(b.q())
    for tag in ("t", "u"):
        c.do("basic.consume", queue=q, consumer_tag=tag)
    c.publish("", q, b"1")
    c.until_quietly("basic.deliver")
    c.send("queue.delete", 2, queue=q, nowait=True)
    tags = sorted(c.until_quietly("basic.cancel").fields["consumer_tag"] for _ in range(2))
    b.note(f"cancelled {tags}")
    c.send("basic.ack", delivery_tag=1)
    c.sync()
    c.send("basic.consume", queue=c.queue(b.q("other")), consumer_tag="t")
    c.until("basic.consume-ok")


@case("7 the client answers the server's basic.cancel with cancel-ok")
def cancel_answered(b: Bench) -> None:
    c = b.connect().open(1, 2)
    q = c.queue(b.q())
    c.do("basic.consume", queue=q, consumer_tag="t")
    c.send("queue.delete", 2, queue=q, nowait=True)
    c.until("basic.cancel")
    c.call("basic.cancel", consumer_tag="t")


@case("7 two connections consume: each message once")
def two_connections(b: Bench) -> None:
    c, d = b.channel(), b.channel()
    q = c.queue(b.q(), durable=True)
    c.do("basic.consume", queue=q, consumer_tag="c", no_ack=True)
    d.do("basic.consume", queue=q, consumer_tag="d", no_ack=True)
    for n in range(4):
        c.publish("", q, str(n).encode())
    c.deliveries(2)
    d.deliveries(2)


@case("7 a consumer gets a message of 300000 bytes")
def large(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q())
    c.do("basic.consume", queue=q, consumer_tag="t")
    c.publish("", q, b"l" * 300000, headers={"h": "v"})
    c.deliveries(1)


@case("7 an empty body")
def empty_body(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q())
    c.do("basic.consume", queue=q, consumer_tag="t")
    c.publish("", q, b"")
    c.deliveries(1)
