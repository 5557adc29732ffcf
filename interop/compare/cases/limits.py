"""Section 1.1: limits of vhosts and users, which comes first, and what changing them means."""

from __future__ import annotations

import time

from ..bench import Bench, case, rows
from .access import attempt
from .people import EVERYTHING, PASSWORD, user, vhost


@case("1.1 queue limit: what counts", operator=True)
def queues(b: Bench) -> None:
    with vhost(b) as where:
        b.operator.set_vhost_limits(where, {"max-queues": 2})
        c = b.connect(vhost=where).open()
        attempt(c, "queue.declare", queue="exclusive", exclusive=True)
        attempt(c, "queue.declare", queue="durable", durable=True)
        attempt(c, "queue.declare", queue="third", durable=True)
        attempt(c, "queue.declare", exclusive=True)
        attempt(c, "queue.declare", queue="durable", durable=True)
        attempt(c, "queue.declare", queue="third", passive=True)
        attempt(c, "queue.declare", queue="amq.third")
        attempt(c, "queue.declare", queue="third", arguments={"x-expires": 0})
        c.call("queue.delete", queue="exclusive")
        attempt(c, "queue.declare", queue="third", durable=True)
        b.operator.set_vhost_limits(where, {"max-queues": 1})
        attempt(c, "queue.declare", queue="third", durable=True)
        b.operator.set_vhost_limits(where, {"max-queues": -1})
        attempt(c, "queue.declare", queue="fourth", durable=True)
        b.operator.set_vhost_limits(where, {"max-queues": 0})
        attempt(c, "queue.declare", queue="fifth", durable=True)


@case("1.1 queue limit: after the permission to configure", operator=True)
def queue_permission(b: Bench) -> None:
    with vhost(b) as where, user(b, "", "", "", where) as name:
        b.operator.set_vhost_limits(where, {"max-queues": 0})
        c = b.connect(vhost=where, login=(name, PASSWORD)).open()
        attempt(c, "queue.declare", queue="q", durable=True)
        b.operator.set_permissions(where, name, *EVERYTHING)
        attempt(c, "queue.declare", queue="q", durable=True, arguments={"x-dead-letter-exchange": "x"})


# What is refused first: what limits there are, and whether the user may enter.
FIRST: list[tuple[str, dict[str, int], dict[str, int], bool]] = [
    ("the vhost's limit", {"max-connections": 0}, {}, True),
    ("the user's limit", {}, {"max-connections": 0}, True),
    ("the limits of both", {"max-connections": 0}, {"max-connections": 0}, True),
    ("the vhost's limit, and no permission", {"max-connections": 0}, {}, False),
    ("the user's limit, and no permission", {}, {"max-connections": 0}, False),
    ("no limit, and no permission", {}, {}, False),
    ("limits that are negative", {"max-connections": -1}, {"max-connections": -1, "max-channels": -1}, True),
]


@rows("1.1 opening a connection against {0}", FIRST, operator=True)
def first(b: Bench, _title: str, of_vhost: dict[str, int], of_user: dict[str, int], allowed: bool) -> None:
    with vhost(b) as where, user(b, *(EVERYTHING if allowed else ()), vhost=where) as name:
        if of_vhost:
            b.operator.set_vhost_limits(where, of_vhost)
        if of_user:
            b.operator.set_user_limits(name, of_user)
        c = b.connect(vhost=where, login=(name, PASSWORD)).open()
        b.note("open")
        c.close()


@case("1.1 opening a connection to a vhost that is not there, against the user's limit", operator=True)
def missing(b: Bench) -> None:
    with user(b, *EVERYTHING) as name:
        b.operator.set_user_limits(name, {"max-connections": 0})
        b.connect(vhost=b.name("missing"), login=(name, PASSWORD))


@rows("1.1 one connection more than {0} may have", [("a vhost",), ("a user",)], operator=True)
def second(b: Bench, whose: str) -> None:
    with vhost(b) as where, user(b, *EVERYTHING, vhost=where) as name:
        if whose == "a vhost":
            b.operator.set_vhost_limits(where, {"max-connections": 1})
        else:
            b.operator.set_user_limits(name, {"max-connections": 1})
        c = b.connect(vhost=where, login=(name, PASSWORD)).open()
        time.sleep(0.3)  # RabbitMQ counts them when it hears of them
        c.sync()
        b.connect(vhost=where, login=(name, PASSWORD))


@case("1.1 channel limit of a user, over all connections, and raised", operator=True)
def channels(b: Bench) -> None:
    with user(b, *EVERYTHING) as name:
        b.operator.set_user_limits(name, {"max-channels": 2})
        one = b.connect(login=(name, PASSWORD))
        one.call("channel.open", 1)
        two = b.connect(login=(name, PASSWORD))
        two.call("channel.open", 1)
        time.sleep(0.3)
        three = b.connect(login=(name, PASSWORD))
        three.send("channel.open", 1)
        three.until("connection.close")
        b.operator.set_user_limits(name, {"max-channels": 3})
        four = b.connect(login=(name, PASSWORD))
        four.call("channel.open", 7)
        one.call("channel.close", 1, reply_code=200, reply_text="bye")
        four.call("channel.close", 7, reply_code=200, reply_text="bye")


@case("1.1 channel limit of 0", operator=True)
def no_channels(b: Bench) -> None:
    with user(b, *EVERYTHING) as name:
        b.operator.set_user_limits(name, {"max-channels": 0})
        c = b.connect(login=(name, PASSWORD))
        c.send("channel.open", 1)
        c.until("connection.close")


@case("1.1 limits lowered below what there is", operator=True)
def lowered(b: Bench) -> None:
    with vhost(b) as where, user(b, *EVERYTHING, vhost=where) as name:
        c = b.connect(vhost=where, login=(name, PASSWORD)).open()
        b.operator.set_vhost_limits(where, {"max-connections": 0})
        b.operator.set_user_limits(name, {"max-connections": 0, "max-channels": 0})
        attempt(c, "queue.declare", queue="q", durable=True)
        c.send("channel.open", 2)
        c.until("connection.close")
