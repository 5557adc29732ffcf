"""Sections 1.1 and 15: direct reply-to."""

from __future__ import annotations

from typing import Any

from ..bench import Bench, case, queue_text, rows
from ..client import Client

REPLY_TO = "amq.rabbitmq.reply-to"


def requester(b: Bench) -> Client:
    c = b.channel()
    c.do("basic.consume", queue=REPLY_TO, consumer_tag="r", no_ack=True)
    return c


def reply_name(b: Bench, c: Client) -> str:
    """Send a request and return the name the server put into its reply_to."""
    q = c.queue(b.q())
    c.publish("", q, b"request", reply_to=REPLY_TO)
    return str(c.do_get(q).properties["reply_to"])


@case("15 request and reply")
def request_reply(b: Bench) -> None:
    c, server = b.channel(), b.channel()
    q = server.queue(b.q())
    server.do("basic.consume", queue=q, consumer_tag="s", no_ack=True)
    c.call("basic.consume", queue=REPLY_TO, consumer_tag="r", no_ack=True)
    for n in range(2):
        c.publish("", q, b"request", reply_to=REPLY_TO, correlation_id=str(n))
        event = server.deliveries(1)[0]
        server.publish("", event.properties["reply_to"], b"reply", correlation_id=str(n), headers={"a": 1})
        c.deliveries(1)


@case("15 the tag may be left to the server")
def generated_tag(b: Bench) -> None:
    b.channel().call("basic.consume", queue=REPLY_TO, no_ack=True)


@case("1.1 reply-to consumer that wants to acknowledge")
def must_be_no_ack(b: Bench) -> None:
    c = b.channel()
    c.send("basic.consume", queue=REPLY_TO)
    c.refused(406, "PRECONDITION_FAILED - reply consumer cannot acknowledge")


@case("1.1 second reply-to consumer on a channel")
def second(b: Bench) -> None:
    c = requester(b)
    c.send("basic.consume", queue=REPLY_TO, consumer_tag="s", no_ack=True)
    c.refused(406, "PRECONDITION_FAILED - reply consumer already set")


@case("1.1 a request without a reply-to consumer")
def no_consumer(b: Bench) -> None:
    c = b.channel()
    c.publish("", b.name("nobody"), b"1", reply_to=REPLY_TO)
    c.refused(406, "PRECONDITION_FAILED - fast reply consumer does not exist")


@case("15 another channel of the connection has the consumer: not enough")
def other_channel(b: Bench) -> None:
    c = requester(b).open(2)
    c.publish("", b.name("nobody"), b"1", channel=2, reply_to=REPLY_TO)
    c.refused(406, "PRECONDITION_FAILED - fast reply consumer does not exist", 2)


@case("15 cancel frees the slot")
def cancel(b: Bench) -> None:
    c = requester(b)
    c.call("basic.cancel", consumer_tag="r")
    c.call("basic.consume", queue=REPLY_TO, consumer_tag="r", no_ack=True)


@case("15 replies share the channel's delivery tags")
def tags(b: Bench) -> None:
    c = requester(b)
    name = reply_name(b, c)
    c.publish("", name, b"1")
    c.deliveries(1)
    c.publish("", name, b"2")
    c.deliveries(1)


@rows(
    "15 declare {0}, {1}",
    [
        ("the bare name", "passively"),
        ("the bare name", ""),
        ("a live reply name", "passively"),
        ("a live reply name", ""),
        ("a dead reply name", "passively"),
        ("a dead reply name", ""),
    ],
)
def declare(b: Bench, which: str, how: str) -> None:
    c, d = b.channel(), b.channel()
    c.do("basic.consume", queue=REPLY_TO, consumer_tag="r", no_ack=True)
    name = reply_name(b, c) if which != "the bare name" else REPLY_TO
    if which == "a dead reply name":
        c.close()
    d.send("queue.declare", queue=name, passive=how == "passively")
    d.until("queue.declare-ok", "channel.close", "connection.close")


@rows(
    "15 {0} on the bare name",
    [
        ("basic.get", {"no_ack": True}),
        ("queue.purge", {}),
        ("queue.delete", {}),
        ("basic.consume", {"no_ack": True, "exclusive": True}),
    ],
)
def bare(b: Bench, method: str, options: dict[str, Any]) -> None:
    c = b.channel()
    c.send(method, queue=REPLY_TO, **options)
    c.until(
        "channel.close", "connection.close", "basic.get-empty", "queue.purge-ok", "queue.delete-ok", "basic.consume-ok"
    )


@rows("1.1 {0} of {1}", [(m, q) for m in ("queue.bind", "queue.unbind") for q in (REPLY_TO, "a reply name")])
def bind(b: Bench, method: str, which: str) -> None:
    c = requester(b)
    name = reply_name(b, c) if which == "a reply name" else which
    c.send(method, queue=name, exchange="amq.direct", routing_key="k")
    c.until("channel.close", "connection.close", "queue.bind-ok", "queue.unbind-ok")


@case("15 a mandatory reply to someone gone")
def dead_mandatory(b: Bench) -> None:
    c, server = requester(b), b.channel()
    name = reply_name(b, c)
    c.close()
    server.do("confirm.select")
    server.publish("", name, b"late", mandatory=True)
    server.confirms()


@case("15 a reply to a name that never was")
def invented(b: Bench) -> None:
    c = b.channel()
    c.do("confirm.select")
    c.publish("", REPLY_TO + ".g1h2AA1zZWx", b"1", mandatory=True)
    c.confirms(1)


@case("15 publish to the bare name as routing key")
def bare_key(b: Bench) -> None:
    c = b.channel()
    c.do("confirm.select")
    c.publish("", REPLY_TO, b"1", mandatory=True)
    c.confirms(1)


@case("15 a reply with confirms and mandatory")
def confirmed(b: Bench) -> None:
    c, server = requester(b), b.channel()
    name = reply_name(b, c)
    server.do("confirm.select")
    server.publish("", name, b"1", mandatory=True)
    server.confirms()
    c.deliveries(1)


@case("15 consume from a reply name")
def consume_reply_name(b: Bench) -> None:
    c, d = requester(b), b.channel()
    name = reply_name(b, c)
    d.send("basic.consume", queue=name, no_ack=True, consumer_tag="t")
    d.until("channel.close", "connection.close", "basic.consume-ok")


@case("15 another reply_to is left alone")
def other_reply_to(b: Bench) -> None:
    c = requester(b)
    q = c.queue(b.q())
    c.publish("", q, b"1", reply_to="amq.rabbitmq.reply-to-mine")
    c.get(q)


@case("15 passive declare of a reply name that never was")
def invented_declare(b: Bench) -> None:
    c = b.channel()
    name = REPLY_TO + ".nonsense"
    c.send("queue.declare", queue=name, passive=True)
    event = c.until("channel.close", "connection.close")
    b.note(f"says not found: {queue_text(name) in event.fields['reply_text']}")
