"""Sections 1.1, 4.1, 18, 19, 20 and 21: what needs an operator.

Each case has a vhost or a user of its own; the memory alarm concerns everybody, so its cases run alone.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..bench import Bench, case, rows
from ..client import Client
from .people import PASSWORD, user, vhost


# -- permissions ------------------------------------------------------------------------------------------------------
@case("1.1 no permissions on the vhost", operator=True)
def no_vhost(b: Bench) -> None:
    with user(b) as name:
        b.connect(login=(name, PASSWORD))


REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("queue.declare", {"queue": "q"}),
    ("queue.declare passive", {"queue": "q", "passive": True}),
    ("queue.delete", {"queue": "q"}),
    ("queue.purge", {"queue": "q"}),
    ("basic.get", {"queue": "q"}),
    ("basic.consume", {"queue": "q"}),
    ("queue.bind", {"queue": "q", "exchange": "x"}),
    ("queue.unbind", {"queue": "q", "exchange": "x"}),
    ("exchange.declare", {"exchange": "x", "type": "direct"}),
    ("exchange.declare passive", {"exchange": "x", "passive": True}),
    ("exchange.delete", {"exchange": "x"}),
    ("exchange.bind", {"destination": "y", "source": "x"}),
    ("exchange.unbind", {"destination": "y", "source": "x"}),
]


@case("1.1 permissions, all missing", operator=True)
def none(b: Bench) -> None:
    owner = b.channel()
    owner.queue(b.q(), durable=True)
    owner.exchange(b.x(), "direct")
    owner.exchange(b.x("y"), "direct")
    with user(b, "") as name:
        c = b.connect(login=(name, PASSWORD)).open()
        for method, options in REFUSED:
            names: dict[str, Any] = {
                key: b.name(value) if key != "type" and isinstance(value, str) else value
                for key, value in options.items()
            }
            c.send(method.split()[0], **names)
            c.until("channel.close")
            c.reopen()
        for exchange in (b.name("x"), "", "amq.fanout"):
            c.publish(exchange, "key", b"1")
            c.until("channel.close")
            c.reopen()
        c.drop()


VERBS = ("configure", "write", "read")


@rows("19 only the permission to {0}", [(verb,) for verb in VERBS], operator=True)
def one(b: Bench, verb: str) -> None:
    owner = b.channel()
    owner.queue(b.q(), durable=True)
    owner.exchange(b.x(), "direct")
    with user(b, *(".*" if each == verb else "" for each in VERBS)) as name:
        c = b.connect(login=(name, PASSWORD)).open()
        for method, options in (
            *REFUSED[:9],
            ("queue.declare", {"queue": "new", "arguments": {"x-dead-letter-exchange": "x"}}),
        ):
            names: dict[str, Any] = {
                key: b.name(value) if key != "type" and isinstance(value, str) else value
                for key, value in options.items()
            }
            method = method.split()[0]
            c.send(method, **names)
            event = c.until(method + "-ok", "basic.get-empty", "channel.close")
            if event.name == "channel.close":
                c.reopen()
        b.q("new")
        c.drop()


@case("19 a server-named queue is checked by its name", operator=True)
def server_named(b: Bench) -> None:
    with user(b, configure="^amq\\.gen", write="^amq\\.gen", read="^amq\\.gen") as name:
        c = b.connect(login=(name, PASSWORD)).open()
        c.call("queue.declare", exclusive=True)
        c.send("queue.declare", queue=b.q())
        c.until("channel.close")
        c.drop()


@case("1.1 topic permission missing", operator=True)
def topic(b: Bench) -> None:
    owner = b.channel()
    x = owner.exchange(b.x(), "topic")
    with user(b, ".*", ".*", ".*") as name:
        b.operator.set_topic_permissions("/", name, x, "^a\\.", "^b\\.")
        c = b.connect(login=(name, PASSWORD)).open()
        c.publish(x, "a.1", b"1")
        c.sync()
        c.publish(x, "b.1", b"1")
        c.until("channel.close")
        c.reopen()
        c.publish(x, "a.1", b"1", headers={"CC": ["c.1"]})
        c.until("channel.close")
        c.reopen()
        q = c.queue(b.q())
        c.call("queue.bind", queue=q, exchange=x, routing_key="b.*")
        c.send("queue.bind", queue=q, exchange=x, routing_key="a.*")
        c.until("channel.close")
        c.drop()


# -- limits -----------------------------------------------------------------------------------------------------------
@case("1.1 vhost connection limit", operator=True)
def vhost_connections(b: Bench) -> None:
    with vhost(b) as name:
        b.operator.set_vhost_limits(name, {"max-connections": 0})
        b.connect(vhost=name)


@case("1.1 vhost queue limit", operator=True)
def vhost_queues(b: Bench) -> None:
    with vhost(b) as name:
        b.operator.set_vhost_limits(name, {"max-queues": 1})
        c = b.connect(vhost=name).open()
        c.call("queue.declare", queue="one", exclusive=True)
        c.call("queue.declare", queue="one", exclusive=True)
        c.send("queue.declare", queue="two")
        c.until("channel.close")
        c.drop()


@case("1.1 user connection limit", operator=True)
def user_connections(b: Bench) -> None:
    with user(b, ".*", ".*", ".*") as name:
        b.operator.set_user_limits(name, {"max-connections": 0})
        b.connect(login=(name, PASSWORD))


@case("1.1 user channel limit", operator=True)
def user_channels(b: Bench) -> None:
    with user(b, ".*", ".*", ".*") as name:
        b.operator.set_user_limits(name, {"max-channels": 1})
        c = b.connect(login=(name, PASSWORD))
        c.call("channel.open", 1)
        c.send("channel.open", 2)
        c.until("connection.close")
        c.drop()


# -- from outside -----------------------------------------------------------------------------------------------------
@case("1.1 closed by the operator", operator=True, alone=True)
def closed(b: Bench) -> None:
    c = b.channel()
    b.operator.close_connections("for maintenance")
    c.died(320, "CONNECTION_FORCED - for maintenance")


@case("1.1 the vhost is deleted", operator=True)
def vhost_deleted(b: Bench) -> None:
    with vhost(b) as name:
        c = b.connect(vhost=name).open()
    event = c.until_quietly("connection.close")
    b.note(f"closed with {event.fields['reply_code']}")


@case("19 a user's password of several words, and the user deleted", operator=True)
def user_deleted(b: Bench) -> None:
    with user(b, ".*", ".*", ".*") as name:
        b.connect(login=(name, PASSWORD)).drop()
    b.connect(login=(name, PASSWORD))


# -- policies ---------------------------------------------------------------------------------------------------------
@contextmanager
def in_policy(b: Bench, definition: dict[str, Any], apply_to: str = "queues") -> Iterator[Client]:
    """A connection in a vhost of its own with this policy for everything whose name begins with p."""
    with vhost(b) as name:
        b.operator.set_policy(name, "p", "^p", definition, apply_to)
        yield b.connect(vhost=name).open()


@case("20 a policy's message-ttl and dead letter exchange", operator=True)
def policy_ttl(b: Bench) -> None:
    with in_policy(b, {"message-ttl": 50, "dead-letter-exchange": "", "dead-letter-routing-key": "dead"}) as c:
        c.queue("dead", durable=True)
        c.queue("p", durable=True)
        c.publish("", "p", b"1")
        c.await_get("dead")


@case("20 a policy's max-length and overflow, and the argument that goes before it", operator=True)
def policy_length(b: Bench) -> None:
    with in_policy(b, {"max-length": 2, "overflow": "reject-publish"}) as c:
        c.queue("p1", durable=True)
        c.queue("p2", durable=True, arguments={"x-max-length": 1, "x-overflow": "drop-head"})
        c.do("confirm.select")
        for queue in ("p1", "p2"):
            for body in (b"1", b"2", b"3"):
                c.publish("", queue, body)
        c.confirms()
        c.bodies("p1", "p2")


@case("20 a policy's alternate exchange", operator=True)
def policy_alternate(b: Bench) -> None:
    with in_policy(b, {"alternate-exchange": "amq.fanout"}, "exchanges") as c:
        c.exchange("p", "direct")
        q = c.queue("rest")
        c.bind(q, "amq.fanout")
        c.publish("p", "k", b"1", mandatory=True)
        c.drain(q)


@case("20 a policy set, changed and cleared while messages wait", operator=True)
def policy_live(b: Bench) -> None:
    with vhost(b) as name:
        c = b.connect(vhost=name).open()
        c.queue("p", durable=True)
        for n in range(5):
            c.publish("", "p", str(n).encode())
        c.await_count("p", 5)
        b.operator.set_policy(name, "p", "^p", {"max-length": 3}, "queues")
        c.await_count("p", 3)
        b.operator.set_policy(name, "p", "^p", {"message-ttl": 20}, "queues")
        time.sleep(0.2)
        c.publish("", "p", b"expires behind the others")
        c.await_count("p", 4)
        b.operator.clear_policy(name, "p")
        c.publish("", "p", b"stays")
        time.sleep(0.1)
        c.bodies("p")


# -- firehose ---------------------------------------------------------------------------------------------------------
@case("21 the firehose: what is published and delivered", operator=True)
def firehose(b: Bench) -> None:
    with vhost(b) as name:
        watch, c = b.connect(vhost=name).open(), b.connect(vhost=name).open()
        watch.queue("log")
        watch.bind("log", "amq.rabbitmq.trace", "#")
        b.operator.trace(name, True)
        c.queue("q")
        c.bind("q", "amq.topic", "a.*")
        c.publish("amq.topic", "a.b", b"traced", headers={"CC": ["a.c"]}, content_type="text/plain", delivery_mode=2)
        watch.await_get("log")
        c.do_get("q", no_ack=False)
        watch.await_get("log")
        c.send("basic.nack", delivery_tag=1, requeue=True)
        c.do("basic.consume", queue="q", consumer_tag="t", no_ack=True)
        c.until_quietly("basic.deliver")
        watch.await_get("log")
        c.publish("", "nowhere", b"unrouted")
        watch.await_get("log")
        b.operator.trace(name, False)
        c.publish("", "nowhere", b"not traced")
        c.sync()
        watch.settle()
        watch.get("log")
        c.drop()


# -- alarms -----------------------------------------------------------------------------------------------------------
@contextmanager
def memory_alarm(b: Bench) -> Iterator[None]:
    b.operator.memory_alarm(True)
    time.sleep(0.3)
    try:
        yield
    finally:
        b.operator.memory_alarm(False)


@case("18 a publisher is blocked, told so, and told when it is over", operator=True, alone=True)
def blocked(b: Bench) -> None:
    c, idle = b.channel(), b.channel()
    q = c.queue(b.q(), durable=True)
    with memory_alarm(b):
        c.publish("", q, b"1")
        c.until("connection.blocked")
        c.send("basic.qos")
        c.quiet(0.3)
        idle.count(q)
    c.until("connection.unblocked")
    c.until("basic.qos-ok")
    idle.settle()
    c.bodies(q)


@case("18 a publisher that cannot be told is blocked all the same", operator=True, alone=True)
def blocked_silently(b: Bench) -> None:
    c = b.channel(capabilities=())
    q = c.queue(b.q(), durable=True)
    with memory_alarm(b):
        c.publish("", q, b"1")
        c.send("basic.qos")
        c.quiet(0.5)
    c.until("basic.qos-ok")


@case("18 consumers of other connections go on during an alarm", operator=True, alone=True)
def consumers_go_on(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q(), durable=True)
    c.publish("", q, b"1")
    c.await_count(q, 1)
    with memory_alarm(b):
        c.call("basic.consume", queue=q, consumer_tag="t")
        c.deliveries(1)
        c.send("basic.ack", delivery_tag=1)
        c.sync()


@case("18 a connection opened during an alarm", operator=True, alone=True)
def opened_during(b: Bench) -> None:
    with memory_alarm(b):
        c = b.channel()
        q = c.queue(b.q())
        c.count(q)
        c.publish("", q, b"1")
        c.until("connection.blocked")
    c.until("connection.unblocked")
    c.get(q)
