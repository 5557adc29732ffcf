"""Section 20: what can be a policy, which one applies, and what it does to queues that are in use.

Each case has a vhost of its own, where names need no prefix.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from subprocess import CalledProcessError
from typing import Any

from ..bench import Bench, case, rows
from ..client import Client
from .people import vhost


class Vhost:
    """A vhost in which policies come and go, and a connection to it."""

    def __init__(self, b: Bench, name: str) -> None:
        self._operator = b.operator
        self.name = name
        self.client = b.connect(vhost=name).open()

    def set(
        self, name: str, definition: Mapping[str, object], pattern: str = "^q", apply_to: str = "queues", **more: Any
    ) -> None:
        self._operator.set_policy(self.name, name, pattern, definition, apply_to, **more)

    def clear(self, name: str, operator: bool = False) -> None:
        self._operator.clear_policy(self.name, name, operator)


def publish(c: Client, queue: str, *bodies: str) -> None:
    for body in bodies:
        c.publish("", queue, body.encode())


def kept(c: Client, queue: str, count: int = 5) -> None:
    """How many of so many messages a queue keeps: its max-length, seen from outside."""
    c.do("queue.purge", queue=queue)
    publish(c, queue, *map(str, range(1, count + 1)))
    c.bodies(queue)


# -- what can be a policy ---------------------------------------------------------------------------------------------
DEFINITIONS: list[tuple[str, object, str, bool]] = [
    ("nothing at all", {}, "queues", False),
    ("a key that nobody knows", {"colour": "red"}, "queues", False),
    ("a key that nobody knows beside a good one", {"colour": "red", "max-length": 1}, "queues", False),
    ("a list", [1], "queues", False),
    ("a kind that there is not", {"max-length": 1}, "shelves", False),
    ("a kind in another case", {"max-length": 1}, "Queues", False),
    ("an operator's key that is not one", {"dead-letter-exchange": "x"}, "queues", True),
    ("an operator's alternate exchange", {"alternate-exchange": "x"}, "exchanges", True),
    ("an operator's overflow", {"overflow": "reject-publish"}, "queues", True),
    ("an operator's max-length", {"max-length": 1}, "queues", True),
    ("a max-age for streams", {"max-age": "1h"}, "streams", False),
    ("a max-age that is none", {"max-age": "soon"}, "streams", False),
    ("mirrors", {"ha-mode": "all"}, "queues", False),
    ("a lazy queue-mode", {"queue-mode": "lazy"}, "queues", False),
    ("a busy queue-mode", {"queue-mode": "busy"}, "queues", False),
    ("a queue-version", {"queue-version": 2}, "queues", False),
    ("an old queue-version", {"queue-version": 1}, "queues", False),
]
VALUES: list[tuple[str, list[object]]] = [
    ("max-length", [0, -1, "1", 1.5, None, True, 2**40]),
    ("max-length-bytes", [0, -1, "1"]),
    ("message-ttl", [0, -1, "1", 315_360_000_000, 315_360_000_001]),
    ("expires", [1, 0, -1, "1", 315_360_000_001]),
    ("overflow", ["drop-head", "reject-publish", "reject-publish-dlx", "drop-tail", 1]),
    ("dead-letter-exchange", ["", "x", 1, None]),
    ("dead-letter-routing-key", ["", "k", 1]),
    ("dead-letter-strategy", ["at-least-once", "at-most-once", "sometimes"]),
    ("alternate-exchange", ["", "x", 1]),
    ("delivery-limit", [0, 5, -1, "5"]),
    ("queue-leader-locator", ["client-local", "balanced", "random", "far"]),
    ("initial-cluster-size", [3, 0, "3"]),
    ("consumer-timeout", [1000, 0, -1, "1"]),
    ("delayed-retry-type", ["all", "failed", "returned", "disabled", "late"]),
    ("delayed-retry-min", [0, 1, -1]),
]


def accepts(b: Bench, where: str, title: str, definition: Any, apply_to: str, operator: bool, pattern: str) -> None:
    try:
        b.operator.set_policy(where, "p", pattern, definition, apply_to, operator=operator)
        b.note(f"{title}: accepted")
    except CalledProcessError:
        b.note(f"{title}: refused")


@case("20 what can be a policy", operator=True)
def definitions(b: Bench) -> None:
    with vhost(b) as where:
        for title, definition, apply_to, operator in DEFINITIONS:
            accepts(b, where, title, definition, apply_to, operator, "^q")


@rows("20 what {0} can be in a policy", VALUES, operator=True)
def values(b: Bench, key: str, found: list[object]) -> None:
    with vhost(b) as where:
        for value in found:
            accepts(b, where, f"{value!r}", {key: value}, "all", False, "^q")


@case("20 what can be a policy's pattern", operator=True)
def patterns(b: Bench) -> None:
    with vhost(b) as where:
        for pattern in ("", ".*", "(", "[a", "a{2,1}", "(?<name>a)", "a++", "(?i)a", "\\", "(?P<n>a)(?P=n)"):
            accepts(b, where, pattern, {"max-length": 1}, "queues", False, pattern)


# -- which one applies ------------------------------------------------------------------------------------------------
@case("20 the policy of the highest priority applies, and the next when it goes", operator=True)
def priorities(b: Bench) -> None:
    with vhost(b) as name:
        v = Vhost(b, name)
        c = v.client
        c.queue("q", durable=True)
        v.set("middle", {"max-length": 2}, priority=5)
        kept(c, "q")
        v.set("low", {"max-length": 1}, priority=-5)
        kept(c, "q")
        v.set("high", {"max-length": 3}, priority=6)
        kept(c, "q")
        v.set("elsewhere", {"max-length": 4}, "^p", priority=9)
        kept(c, "q")
        v.clear("high")
        kept(c, "q")
        v.clear("middle")
        kept(c, "q")
        v.clear("low")
        kept(c, "q")


@case("20 policies are not put together, an operator's is", operator=True)
def merged(b: Bench) -> None:
    with vhost(b) as name:
        v = Vhost(b, name)
        c = v.client
        c.queue("q", durable=True)
        c.queue("dead", durable=True)
        v.set("letters", {"dead-letter-exchange": "", "dead-letter-routing-key": "dead"}, priority=1)
        v.set("length", {"max-length": 2}, priority=0)
        kept(c, "q")
        v.set("bound", {"max-length": 3}, operator=True)
        kept(c, "q")
        c.bodies("dead")
        v.set("letters", {"dead-letter-exchange": "", "dead-letter-routing-key": "dead", "max-length": 1}, priority=1)
        kept(c, "q")
        c.bodies("dead")
        v.set("letters", {"max-length": 4}, priority=1)
        kept(c, "q")
        v.clear("bound", operator=True)
        kept(c, "q")


@case("20 an operator's policy and the arguments", operator=True)
def operator_and_arguments(b: Bench) -> None:
    with vhost(b) as name:
        v = Vhost(b, name)
        c = v.client
        c.queue("q1", durable=True, arguments={"x-max-length": 1})
        c.queue("q3", durable=True, arguments={"x-max-length": 3})
        v.set("bound", {"max-length": 2}, operator=True)
        kept(c, "q1")
        kept(c, "q3")
        v.set("policy", {"max-length": 1})
        kept(c, "q3")


KINDS = ("all", "queues", "classic_queues", "quorum_queues", "streams", "exchanges")


@rows("20 a policy for {0}", [(kind,) for kind in KINDS], operator=True)
def kinds(b: Bench, kind: str) -> None:
    with vhost(b) as name:
        v = Vhost(b, name)
        c = v.client
        v.set("a queue", {"max-length": 2}, "^q$", kind)
        v.set("an exchange", {"alternate-exchange": "amq.fanout"}, "^x$", kind)
        c.queue("q", durable=True)
        kept(c, "q")
        c.exchange("x", "direct")
        c.queue("rest")
        c.bind("rest", "amq.fanout")
        c.publish("x", "nowhere", b"1", mandatory=True)
        c.settle()
        c.bodies("rest")


KEYS: list[tuple[str, dict[str, object]]] = [
    ("none for queues", {"alternate-exchange": "amq.fanout"}),
    ("some for queues", {"alternate-exchange": "amq.fanout", "max-length": 2}),
    ("some for other queues", {"max-age": "1h", "max-length": 2}),
    ("none for classic queues", {"max-age": "1h"}),
]


@rows("20 a policy of higher priority with keys of which {0} hides the other", KEYS, operator=True)
def hidden(b: Bench, _title: str, definition: dict[str, object]) -> None:
    with vhost(b) as name:
        v = Vhost(b, name)
        c = v.client
        c.queue("q", durable=True)
        v.set("low", {"max-length": 1}, "^q", "all")
        v.set("high", definition, "^q", "all", priority=1)
        kept(c, "q")


@case("20 policies are for every name: exclusive, of a server, predeclared", operator=True)
def every_name(b: Bench) -> None:
    with vhost(b) as name:
        v = Vhost(b, name)
        c = v.client
        v.set("all", {"max-length": 1}, ".*")
        v.set("exchanges", {"alternate-exchange": "amq.fanout"}, ".*", "exchanges", operator=False)
        named = c.queue("q", exclusive=True)
        generated = str(c.do("queue.declare", exclusive=True).fields["queue"])
        transient = c.queue("t", exclusive=False, auto_delete=True)
        for queue in (named, generated, transient):
            kept(c, queue)
        c.bind(named, "amq.fanout")
        for exchange in ("amq.direct", "amq.topic", "amq.headers", ""):
            c.publish(exchange, "nowhere", b"1", mandatory=True)
            c.settle()
            c.bodies(named)


# -- live -------------------------------------------------------------------------------------------------------------
@case("20 max-length set on a queue with messages: the oldest go, to the dead letter exchange", operator=True)
def length_live(b: Bench) -> None:
    with vhost(b) as name:
        v = Vhost(b, name)
        c = v.client
        c.queue("q", durable=True, arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"})
        c.queue("dead", durable=True)
        publish(c, "q", "1", "2", "3", "4", "5")
        c.await_count("q", 5)
        v.set("p", {"max-length": 2})
        c.await_count("q", 2)
        c.await_count("dead", 3)
        v.set("p", {"max-length": 4})
        publish(c, "q", "6", "7", "8")
        c.await_count("dead", 4)
        c.bodies("q")
        c.drain("dead")


@case("20 max-length-bytes set on a queue with messages", operator=True)
def bytes_live(b: Bench) -> None:
    with vhost(b) as name:
        v = Vhost(b, name)
        c = v.client
        c.queue("q", durable=True)
        publish(c, "q", "aaaa", "bb", "cccccc")
        c.await_count("q", 3)
        v.set("p", {"max-length-bytes": 9})
        c.await_count("q", 2)
        c.bodies("q")


@case("20 dead letters begin and end with their policy", operator=True)
def letters_live(b: Bench) -> None:
    with vhost(b) as name:
        v = Vhost(b, name)
        c = v.client
        for queue in ("q", "dead", "other"):
            c.queue(queue, durable=True)
        publish(c, "q", "1", "2", "3", "4")
        c.await_count("q", 4)

        def reject() -> None:
            event = c.await_get_unacked("q")
            c.send("basic.reject", delivery_tag=event.fields["delivery_tag"], requeue=False)
            c.settle()

        reject()
        v.set("p", {"dead-letter-exchange": "", "dead-letter-routing-key": "dead"})
        reject()
        v.set("p", {"dead-letter-exchange": "", "dead-letter-routing-key": "other"})
        reject()
        v.clear("p")
        reject()
        c.drain("dead", "other")


@case("20 what is delivered when the policy changes is dead-lettered as the policy says then", operator=True)
def letters_unacked(b: Bench) -> None:
    with vhost(b) as name:
        v = Vhost(b, name)
        c = v.client
        c.queue("q", durable=True)
        c.queue("dead", durable=True)
        publish(c, "q", "1")
        event = c.await_get_unacked("q")
        v.set("p", {"dead-letter-exchange": "", "dead-letter-routing-key": "dead"})
        c.send("basic.nack", delivery_tag=event.fields["delivery_tag"], requeue=False)
        c.await_get("dead")


@case("20 overflow set on a full queue, and cleared", operator=True)
def overflow_live(b: Bench) -> None:
    with vhost(b) as name:
        v = Vhost(b, name)
        c = v.client
        c.queue("q", durable=True, arguments={"x-max-length": 2})
        c.do("confirm.select")
        publish(c, "q", "1", "2", "3")
        c.confirms()
        v.set("p", {"overflow": "reject-publish"})
        publish(c, "q", "4")
        c.confirms()
        v.clear("p")
        publish(c, "q", "5")
        c.confirms()
        c.bodies("q")


@case("20 max-length together with reject-publish on a queue with messages", operator=True)
def reject_live(b: Bench) -> None:
    with vhost(b) as name:
        v = Vhost(b, name)
        c = v.client
        c.queue("q", durable=True)
        publish(c, "q", "1", "2", "3", "4")
        c.await_count("q", 4)
        v.set("p", {"max-length": 2, "overflow": "reject-publish"})
        time.sleep(0.2)
        c.do("confirm.select")
        publish(c, "q", "5")
        c.confirms()
        c.bodies("q")


@case("20 message-ttl by policy, for what comes after it", operator=True)
def ttl_live(b: Bench) -> None:
    with vhost(b) as name:
        v = Vhost(b, name)
        c = v.client
        c.queue("q", durable=True)
        v.set("p", {"message-ttl": 30})
        publish(c, "q", "expires")
        c.await_count("q", 0)
        v.set("p", {"message-ttl": 0})
        publish(c, "q", "expires at once")
        c.await_count("q", 0)
        v.clear("p")
        publish(c, "q", "stays")
        time.sleep(0.2)
        c.bodies("q")


@case("20 message-ttl by policy and by argument: the shorter one counts", operator=True)
def ttl_least(b: Bench) -> None:
    with vhost(b) as name:
        v = Vhost(b, name)
        c = v.client
        c.queue("q1", durable=True, arguments={"x-message-ttl": 30})
        c.queue("q2", durable=True, arguments={"x-message-ttl": 60_000})
        v.set("long", {"message-ttl": 50_000}, "^q1")
        v.set("short", {"message-ttl": 30}, "^q2")
        publish(c, "q1", "1")
        publish(c, "q2", "1")
        time.sleep(0.3)
        c.bodies("q1", "q2")


@case("20 expires by policy: a queue that nobody uses goes", operator=True)
def expires_live(b: Bench) -> None:
    with vhost(b) as name:
        v = Vhost(b, name)
        c, other = v.client, b.connect(vhost=name).open()
        c.queue("q", durable=True)
        c.queue("q used", durable=True)
        c.do("basic.consume", queue="q used", consumer_tag="t")
        v.set("p", {"expires": 200})
        time.sleep(0.8)
        other.send("queue.declare", queue="q used", passive=True)
        other.until("queue.declare-ok")
        other.send("queue.declare", queue="q", passive=True)
        other.until("channel.close")
        v.clear("p")
        c.do("basic.cancel", consumer_tag="t")
        c.queue("q", durable=True)
        time.sleep(0.5)
        c.count("q")
        c.count("q used")


@case("20 expires by policy and by argument: the shorter one counts", operator=True)
def expires_least(b: Bench) -> None:
    with vhost(b) as name:
        v = Vhost(b, name)
        c = v.client
        c.queue("q", durable=True, arguments={"x-expires": 60_000})
        v.set("p", {"expires": 100})
        time.sleep(0.6)
        c.send("queue.declare", queue="q", passive=True)
        c.until("channel.close")


@case("20 an argument for dead letters goes before a policy's", operator=True)
def letters_argument(b: Bench) -> None:
    with vhost(b) as name:
        v = Vhost(b, name)
        c = v.client
        for queue in ("mine", "theirs"):
            c.queue(queue, durable=True)
        v.set("p", {"dead-letter-exchange": "", "dead-letter-routing-key": "theirs"})
        exchange, key = {"x-dead-letter-exchange": ""}, {"x-dead-letter-routing-key": "mine"}
        for number, arguments in enumerate(({}, exchange, {**exchange, **key})):
            c.queue(f"q{number}", durable=True, arguments={**arguments, "x-max-length": 0})
            publish(c, f"q{number}", f"from q{number}")
            c.settle()
        c.bodies("mine", "theirs")


@case("20 an alternate exchange set, changed and cleared while publishing", operator=True)
def alternate_live(b: Bench) -> None:
    with vhost(b) as name:
        v = Vhost(b, name)
        c = v.client
        c.exchange("q", "direct")
        c.exchange("q own", "direct", arguments={"alternate-exchange": "amq.direct"})
        for queue, exchange in (("rest", "amq.fanout"), ("other", "amq.headers"), ("own", "amq.direct")):
            c.queue(queue)
            c.bind(queue, exchange, "nowhere", **({"x-match": "all"} if queue == "other" else {}))

        def ask() -> None:
            for exchange in ("q", "q own"):
                c.publish(exchange, "nowhere", b"1", mandatory=True)
                c.settle()
            c.bodies("rest", "other", "own")

        ask()
        v.set("p", {"alternate-exchange": "amq.fanout"}, apply_to="exchanges")
        ask()
        v.set("p", {"alternate-exchange": "amq.headers"}, apply_to="exchanges")
        ask()
        v.clear("p")
        ask()


@case("20 redeclaring a queue that follows a policy compares arguments only", operator=True)
def redeclare(b: Bench) -> None:
    with vhost(b) as name:
        v = Vhost(b, name)
        c = v.client
        v.set("p", {"max-length": 2, "message-ttl": 1000})
        c.queue("q", durable=True)
        c.call("queue.declare", queue="q", durable=True)
        c.send("queue.declare", queue="q", durable=True, arguments={"x-max-length": 2})
        c.until("channel.close")
