"""Sections 1.1, 3 and 4: queue.declare, its equivalence checks, exclusive and auto-delete queues, purge, delete,
x-expires.
"""

from __future__ import annotations

import time
from typing import Any

from ..bench import Bench, case, inequivalent, queue_text, rows
from ..client import Client
from ..codec import Tagged

FLAGS = ("durable", "exclusive", "auto_delete")


@rows(
    "4 declare a queue with {0}",
    [
        (c,)
        for c in (
            "nothing",
            "durable",
            "exclusive",
            "auto_delete",
            "durable+exclusive",
            "durable+auto_delete",
            "exclusive+auto_delete",
            "durable+exclusive+auto_delete",
        )
    ],
)
def declare(b: Bench, flags: str) -> None:
    c = b.channel()
    options = {flag: flag in flags.split("+") for flag in FLAGS}
    q = b.q()
    c.call("queue.declare", queue=q, **options)
    c.call("queue.declare", queue=q, **options)
    c.call("queue.declare", queue=q, passive=True)


@rows(
    "1.1 redeclare with {2} different ({0} to {1})",
    [(old, new, flag) for flag in ("durable", "auto_delete") for old, new in ((False, True), (True, False))],
)
def inequivalent_flag(b: Bench, old: bool, new: bool, flag: str) -> None:
    c = b.channel()
    q = b.q()
    c.do("queue.declare", queue=q, **{flag: old})
    c.send("queue.declare", queue=q, **{flag: new})
    c.refused(406, inequivalent(flag, queue_text(q), new, old))


@case("4 equivalence is checked durable first, then auto_delete, then arguments")
def equivalence_order(b: Bench) -> None:
    c = b.channel()
    q = b.q()
    c.do("queue.declare", queue=q, durable=True, arguments={"x-max-length": 1})
    for options in (
        {"auto_delete": True, "arguments": {"x-max-length": 2}},
        {"durable": True, "auto_delete": True},
        {"durable": True},
    ):
        c.send("queue.declare", queue=q, **options)
        c.until("channel.close")
        c.reopen()


LOCKED = (
    "RESOURCE_LOCKED - cannot obtain exclusive access to locked {0}. It could be originally declared on another "
    "connection or the exclusive property value does not match that of the original declaration."
)


OTHERS_USE = [
    ("declare exclusive", "queue.declare", {"exclusive": True}),
    ("declare passively", "queue.declare", {"passive": True}),
    ("declare durable", "queue.declare", {"durable": True}),
    ("declare", "queue.declare", {}),
    ("bind", "queue.bind", {"exchange": "amq.direct"}),
    ("purge", "queue.purge", {}),
    ("delete", "queue.delete", {}),
    ("get", "basic.get", {}),
    ("consume", "basic.consume", {}),
]


@rows("1.1 an exclusive queue of another connection: {0}", OTHERS_USE)
def locked(b: Bench, _: str, method: str, options: dict[str, Any]) -> None:
    owner, other = b.channel(), b.channel()
    q = owner.queue(b.q(), exclusive=True)
    other.send(method, queue=q, **options)
    other.refused(405, LOCKED.format(queue_text(q)))


@case("1.1 an exclusive queue redeclared as another on its own connection")
def exclusive_flag_differs(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q(), exclusive=True)
    c.send("queue.declare", queue=q)
    c.refused(405, LOCKED.format(queue_text(q)))


@case("1.1 a shared queue redeclared as exclusive")
def shared_to_exclusive(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q(), durable=True)
    c.send("queue.declare", queue=q, durable=True, exclusive=True)
    c.refused(405, LOCKED.format(queue_text(q)))


@case("4 others may publish to an exclusive queue")
def publish_to_exclusive(b: Bench) -> None:
    owner, other = b.channel(), b.channel()
    q = owner.queue(b.q(), exclusive=True)
    other.publish("", q, b"from another")
    other.sync()
    owner.await_get(q)


@case("4 every channel of its connection may use an exclusive queue")
def exclusive_two_channels(b: Bench) -> None:
    c = b.connect().open(1, 2)
    q = c.queue(b.q(), exclusive=True)
    c.call("queue.declare", 2, queue=q, exclusive=True)
    c.call("queue.purge", 2, queue=q)


@rows("4 a durable exclusive queue redeclared {0}", [("as transient", False), ("as it was", True)])
def exclusive_durable(b: Bench, _: str, durable: bool) -> None:
    c = b.channel()
    q = c.queue(b.q(), exclusive=True, durable=True)
    c.send("queue.declare", queue=q, exclusive=True, durable=durable)
    c.until("queue.declare-ok", "channel.close")


@case("4 an exclusive queue goes with its connection, closed or dropped")
def exclusive_dropped(b: Bench) -> None:
    owner, other = b.channel(), b.channel()
    q = owner.queue(b.q(), exclusive=True)
    other.queue(b.q("keep"), exclusive=True)
    owner.drop()
    deadline = time.monotonic() + 4.0
    while (event := _declare(other, q)) == "channel.close" and time.monotonic() < deadline:
        time.sleep(0.01)
    b.note(f"declared anew: {event}")


def _declare(c: Client, queue: str) -> str:
    """Try to declare, unrecorded; the channel is there again afterwards."""
    event = c.ask("queue.declare", queue=queue, exclusive=True)
    if event == "channel.close":
        c.reopen()
    return event


# -- counts, purge, delete --------------------------------------------------------------------------------------------
@case("4 message_count counts ready messages only")
def ready_only(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q())
    for body in (b"1", b"2", b"3"):
        c.publish("", q, body)
    c.get(q, no_ack=False)
    c.count(q)
    c.call("queue.purge", queue=q)
    c.call("queue.delete", queue=q)


@case("4 consumer_count")
def consumer_count(b: Bench) -> None:
    c = b.connect().open(1, 2)
    q = c.queue(b.q())
    for channel in (1, 1, 2):
        c.do("basic.consume", channel, queue=q)
    c.count(q)
    c.do("channel.close", 2, reply_code=200)
    c.count(q)


@rows("1.1 {0} a missing queue", [("queue.purge",), ("basic.get",), ("basic.consume",), ("queue.bind",)])
def missing(b: Bench, method: str) -> None:
    c = b.channel()
    q = b.q()
    options: dict[str, Any] = {"exchange": "amq.direct"} if method == "queue.bind" else {}
    c.send(method, queue=q, **options)
    c.refused(404, f"NOT_FOUND - no {queue_text(q)}")


@case("1.1 declare passively a missing queue")
def passive_missing(b: Bench) -> None:
    c = b.channel()
    q = b.q()
    c.send("queue.declare", queue=q, passive=True)
    c.refused(404, f"NOT_FOUND - no {queue_text(q)}")


@rows(
    "1.1 delete a missing queue {0}", [("plainly", {}), ("if unused and empty", {"if_unused": True, "if_empty": True})]
)
def delete_missing(b: Bench, _: str, options: dict[str, Any]) -> None:
    b.channel().call("queue.delete", queue=b.q(), **options)


@case("1.1 delete if unused, in use")
def delete_in_use(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q())
    c.do("basic.consume", queue=q)
    c.send("queue.delete", queue=q, if_unused=True)
    c.refused(406, f"PRECONDITION_FAILED - {queue_text(q)} in use")


@case("1.1 delete if empty, not empty")
def delete_not_empty(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q())
    c.publish("", q, b"1")
    c.send("queue.delete", queue=q, if_empty=True)
    c.refused(406, f"PRECONDITION_FAILED - {queue_text(q)} not empty")


@case("4 delete if empty, only unacknowledged messages")
def delete_unacked(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q())
    c.publish("", q, b"1")
    c.get(q, no_ack=False)
    c.send("queue.delete", queue=q, if_empty=True)
    c.until("queue.delete-ok", "channel.close")


@case("1.1 delete if unused and empty, neither")
def delete_neither(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q())
    c.do("basic.qos", prefetch_count=1)
    c.do("basic.consume", queue=q, consumer_tag="t")
    c.publish("", q, b"1")
    c.publish("", q, b"2")
    c.deliveries(1)
    c.await_count(q, 1)
    c.send("queue.delete", queue=q, if_unused=True, if_empty=True)
    c.until("channel.close")


@rows(
    "4 a queue deleted under its consumer, {0}", [("who can be told", ("consumer_cancel_notify",)), ("who cannot", ())]
)
def delete_cancels(b: Bench, _: str, capabilities: tuple[str, ...]) -> None:
    c = b.connect(capabilities=capabilities).open(1, 2)
    q = c.queue(b.q())
    c.do("basic.consume", queue=q, consumer_tag="t")
    c.send("queue.delete", 2, queue=q, nowait=True)
    c.settle()


@rows(
    "7 {0} with nowait",
    [
        ("queue.declare", {"exclusive": True}),
        ("queue.bind", {"exchange": "amq.fanout"}),
        ("queue.purge", {}),
        ("queue.delete", {}),
        ("basic.consume", {"consumer_tag": "t"}),
        ("exchange.declare", {"exchange": "amq.direct", "type": "direct", "durable": True}),
        ("exchange.delete", {"exchange": "nothing"}),
        ("exchange.bind", {"destination": "amq.fanout", "source": "amq.direct"}),
        ("exchange.unbind", {"destination": "amq.fanout", "source": "amq.direct"}),
        ("basic.cancel", {"consumer_tag": "t"}),
        ("confirm.select", {}),
    ],
)
def nowait(b: Bench, method: str, options: dict[str, Any]) -> None:
    c = b.channel()
    q = c.queue(b.q())
    target: dict[str, Any] = {"queue": q} if method.startswith("queue") or method == "basic.consume" else {}
    c.send(method, nowait=True, **target, **options)
    c.sync()
    c.quiet(0.05)
    c.send("exchange.unbind", destination="amq.fanout", source="amq.direct", nowait=True)
    c.sync()


@rows(
    "7 {0} with nowait still fails",
    [
        ("queue.declare", {"passive": True}),
        ("queue.purge", {}),
        ("basic.consume", {}),
        ("queue.bind", {"exchange": "amq.direct"}),
    ],
)
def nowait_error(b: Bench, method: str, options: dict[str, Any]) -> None:
    c = b.channel()
    q = b.q()
    c.send(method, queue=q, nowait=True, **options)
    c.refused(404, f"NOT_FOUND - no {queue_text(q)}")


@case("3 a server-named queue declared with nowait")
def server_named_nowait(b: Bench) -> None:
    c = b.channel()
    c.send("queue.declare", queue="", exclusive=True, nowait=True)
    c.call("queue.purge", queue="")


# -- auto-delete and expiry -------------------------------------------------------------------------------------------
@rows(
    "4 an auto-delete queue when {0}",
    [
        ("never consumed from",),
        ("cancelled",),
        ("one of two cancelled",),
        ("only got from",),
        ("the connection drops",),
    ],
)
def auto_delete(b: Bench, how: str) -> None:
    c, watch = b.channel(), b.channel()
    q = c.queue(b.q(), exclusive=False, auto_delete=True)
    c.publish("", q, b"1")
    c.await_count(q, 1)
    if how == "only got from":
        c.get(q)
    elif how != "never consumed from":
        c.do("basic.consume", queue=q, consumer_tag="t", no_ack=True)
        if how == "one of two cancelled":
            c.do("basic.consume", queue=q, consumer_tag="u")
        if how == "the connection drops":
            c.close()
        else:
            c.call("basic.cancel", consumer_tag="t")
            c.quiet(0.05)
    watch.send("queue.declare", queue=q, passive=True)
    watch.until("queue.declare-ok", "channel.close")


@case("4 x-expires removes an unused queue")
def expires(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q(), arguments={"x-expires": 100})
    c.publish("", q, b"1")
    time.sleep(0.5)
    c.send("queue.declare", queue=q, passive=True)
    c.refused(404, f"NOT_FOUND - no {queue_text(q)}")


@case("4 x-expires waits while there is a consumer")
def expires_consumer(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q(), arguments={"x-expires": 100})
    c.do("basic.consume", queue=q, consumer_tag="t")
    time.sleep(0.4)
    c.count(q)
    c.do("basic.cancel", consumer_tag="t")
    time.sleep(0.4)
    c.send("queue.declare", queue=q, passive=True)
    c.refused(404, f"NOT_FOUND - no {queue_text(q)}")


@rows("4 x-expires starts anew with {0}", [("redeclare",), ("get",), ("passive declare",), ("publish",)])
def expires_renewed(b: Bench, use: str) -> None:
    c = b.channel()
    q = c.queue(b.q(), arguments={"x-expires": 600})
    for _ in range(4):
        time.sleep(0.25)
        if use == "redeclare":
            c.do("queue.declare", queue=q, exclusive=True, arguments={"x-expires": 600})
        elif use == "passive declare":
            c.send("queue.declare", queue=q, passive=True)
            c.next()
        elif use == "get":
            c.send("basic.get", queue=q)
            c.next()
        else:
            c.publish("", q)
    c.send("queue.purge", queue=q)
    c.until("queue.purge-ok", "channel.close", "connection.close")


@case("4 unknown arguments are kept and ignored")
def unknown_arguments(b: Bench) -> None:
    c = b.channel()
    q = b.q()
    c.call(
        "queue.declare",
        queue=q,
        exclusive=True,
        arguments={"foo": 1, "x-foo": Tagged("s", 1), "nested": {"a": [1, None]}},
    )
    c.call("queue.declare", queue=q, exclusive=True, arguments={"foo": "other"})
    c.call("queue.declare", queue=q, exclusive=True)
