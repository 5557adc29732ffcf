"""Section 9.2: priority queues."""

from __future__ import annotations

from ..bench import Bench, case, rows
from ..client import Client


def publish(c: Client, q: str, priorities: list[int | None]) -> None:
    for n, priority in enumerate(priorities):
        c.publish("", q, f"{n}:{priority}".encode(), **({} if priority is None else {"priority": priority}))
    c.await_count(q, len(priorities))


@rows(
    "9.2 x-max-priority {0}, published {1}",
    [(10, [1, 5, 3, 5, None, 0, 10]), (5, [9, 5, 6, 4]), (0, [3, 1, 2]), (1, [0, 1, 2, None]), (255, [254, 255, 0])],
)
def order(b: Bench, levels: int, priorities: list[int | None]) -> None:
    c = b.channel()
    q = c.queue(b.q(), arguments={"x-max-priority": levels})
    publish(c, q, priorities)
    c.bodies(q)


@case("9.2 a queue without priorities ignores them")
def none(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q())
    publish(c, q, [1, 9, 5])
    c.bodies(q)


@case("9.2 the priority property is delivered as it was")
def unchanged(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q(), arguments={"x-max-priority": 3})
    publish(c, q, [9, None])
    c.drain(q)


@case("9.2 a requeued message goes back to its level")
def requeue(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q(), arguments={"x-max-priority": 3})
    publish(c, q, [1, 3, 2, 3])
    first, second = c.do_get(q, no_ack=False), c.do_get(q, no_ack=False)
    c.send("basic.nack", delivery_tag=first.fields["delivery_tag"], requeue=True)
    c.send("basic.nack", delivery_tag=second.fields["delivery_tag"], requeue=True)
    c.bodies(q)


@case("9.2 a length limit drops the highest priority first")
def length(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q(), arguments={"x-max-priority": 5, "x-max-length": 2})
    for n in (3, 2, 1, 0):
        c.publish("", q, str(n).encode(), priority=n)
    c.bodies(q)


@case("9.2 delivery to a consumer goes by priority")
def consumer(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q(), arguments={"x-max-priority": 5})
    publish(c, q, [1, 5, 3])
    c.do("basic.consume", queue=q, consumer_tag="t")
    c.deliveries(3)


@case("9.2 an expired message of a lower level waits behind live ones of a higher")
def expiry(b: Bench) -> None:
    c = b.channel()
    q, dead = b.q(), c.queue(b.q("dead"))
    c.queue(q, arguments={"x-max-priority": 5, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead})
    c.publish("", q, b"high", priority=5)
    c.publish("", q, b"low", priority=1, expiration="30")
    c.quiet(0.3)
    c.bodies(dead)
    c.bodies(q)
    c.await_get(dead)


@case("9.2 purge counts every level")
def purge(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q(), arguments={"x-max-priority": 5})
    publish(c, q, [1, 2, 3])
    c.call("queue.purge", queue=q)
