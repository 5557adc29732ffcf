"""Sections 1.1 and 13: tx."""

from __future__ import annotations

from typing import Any

from ..bench import Bench, case, exchange_text, rows


@case("13 tx.select twice")
def select(b: Bench) -> None:
    c = b.channel()
    c.call("tx.select")
    c.call("tx.select")


@rows("1.1 {0} without tx.select", [("tx.commit",), ("tx.rollback",)])
def not_transactional(b: Bench, method: str) -> None:
    c = b.channel()
    c.send(method)
    c.refused(406, "PRECONDITION_FAILED - channel is not transactional")


@case("1.1 tx.select on a confirm channel")
def confirm_to_tx(b: Bench) -> None:
    c = b.channel()
    c.do("confirm.select")
    c.send("tx.select")
    c.refused(406, "PRECONDITION_FAILED - cannot switch from confirm to tx mode")


@rows("1.1 confirm.select on a tx channel{0}", [("", False), (" with nowait", True)])
def tx_to_confirm(b: Bench, _: str, nowait: bool) -> None:
    c = b.channel()
    c.do("tx.select")
    c.send("confirm.select", nowait=nowait)
    c.refused(406, "PRECONDITION_FAILED - cannot switch from tx to confirm mode")


@case("13 publishes appear at commit")
def commit(b: Bench) -> None:
    c, watch = b.channel(), b.channel()
    q = c.queue(b.q(), durable=True)
    c.do("tx.select")
    for n in range(3):
        c.publish("", q, str(n).encode(), delivery_mode=2)
    c.sync()
    watch.get(q)
    c.call("tx.commit")
    watch.bodies(q)


@case("13 publishes vanish at rollback")
def rollback(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q())
    c.do("tx.select")
    c.publish("", q, b"lost")
    c.call("tx.rollback")
    c.publish("", q, b"kept")
    c.call("tx.commit")
    c.bodies(q)


@case("13 an empty commit and an empty rollback")
def empty(b: Bench) -> None:
    c = b.channel()
    c.do("tx.select")
    c.call("tx.commit")
    c.call("tx.rollback")
    c.call("tx.commit")


@case("13 acks count at commit")
def acks(b: Bench) -> None:
    c, watch = b.channel(), b.channel()
    q = c.queue(b.q(), durable=True)
    c.publish("", q, b"1")
    c.do("tx.select")
    c.get(q, no_ack=False)
    c.send("basic.ack", delivery_tag=1)
    c.call("tx.commit")
    c.close()
    watch.get(q)


@case("13 acks not committed are undone when the channel closes")
def acks_uncommitted(b: Bench) -> None:
    c, watch = b.channel(), b.channel()
    q = c.queue(b.q(), durable=True)
    c.publish("", q, b"1")
    c.do("tx.select")
    c.get(q, no_ack=False)
    c.send("basic.ack", delivery_tag=1)
    c.close()
    watch.get(q)


@case("13 acks rolled back can be made again")
def acks_rolled_back(b: Bench) -> None:
    c = b.channel()
    q = c.queue(b.q())
    c.publish("", q, b"1")
    c.do("tx.select")
    c.get(q, no_ack=False)
    c.send("basic.ack", delivery_tag=1)
    c.call("tx.rollback")
    c.get(q)
    c.send("basic.ack", delivery_tag=1)
    c.call("tx.commit")


@rows("13 {0} counts at commit", [("basic.reject", {"requeue": True}), ("basic.nack", {"requeue": True})])
def rejects(b: Bench, method: str, options: dict[str, Any]) -> None:
    c = b.channel()
    q = c.queue(b.q())
    c.publish("", q, b"1")
    c.do("tx.select")
    c.get(q, no_ack=False)
    c.send(method, delivery_tag=1, **options)
    c.get(q)
    c.call("tx.commit")
    c.get(q)


@case("13 an unknown delivery tag is refused at once")
def unknown_tag(b: Bench) -> None:
    c = b.channel()
    c.do("tx.select")
    c.send("basic.ack", delivery_tag=9)
    c.refused(406, "PRECONDITION_FAILED - unknown delivery tag 9")


@case("13 a publish to a missing exchange fails at once")
def missing_exchange(b: Bench) -> None:
    c = b.channel()
    x = b.x()
    c.do("tx.select")
    c.publish(x, "k", b"1")
    c.refused(404, f"NOT_FOUND - no {exchange_text(x)}")


@case("13 mandatory returns come before commit-ok")
def mandatory(b: Bench) -> None:
    c = b.channel()
    c.do("tx.select")
    c.publish("", b.name("nobody"), b"1", mandatory=True)
    c.publish("", b.name("nobody"), b"2", mandatory=True)
    c.sync()
    c.call("tx.commit")


@case("13 mandatory publishes rolled back do not come back")
def mandatory_rollback(b: Bench) -> None:
    c = b.channel()
    c.do("tx.select")
    c.publish("", b.name("nobody"), b"1", mandatory=True)
    c.call("tx.rollback")
    c.settle()


@case("13 routing happens at publish: a queue bound before commit gets nothing")
def routed_early(b: Bench) -> None:
    c = b.channel()
    x, q = c.exchange(b.x(), "fanout"), c.queue(b.q())
    c.do("tx.select")
    c.publish(x, "k", b"1")
    c.bind(q, x)
    c.call("tx.commit")
    c.bodies(q)


@case("13 a queue deleted before commit")
def deleted(b: Bench) -> None:
    c = b.channel()
    q, r = c.queue(b.q("q")), c.queue(b.q("r"))
    c.do("tx.select")
    c.publish("", q, b"1", mandatory=True)
    c.publish("", r, b"2")
    c.do("queue.delete", queue=q)
    c.send("tx.commit")
    c.until("tx.commit-ok", "connection.close")


@case("1.1 commit where a queue refuses")
def partial(b: Bench) -> None:
    c, watch = b.channel(), b.channel()
    q = c.queue(b.q(), durable=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    c.do("tx.select")
    c.publish("", q, b"1")
    c.publish("", q, b"2")
    c.send("tx.commit")
    c.refused(406, "PRECONDITION_FAILED - partial tx completion")
    watch.bodies(q)


@case("13 deliveries go on inside a transaction")
def deliveries(b: Bench) -> None:
    c = b.connect().open(1, 2)
    q = c.queue(b.q())
    c.do("tx.select")
    c.do("basic.consume", queue=q, consumer_tag="t")
    c.publish("", q, b"1", channel=2)
    c.deliveries(1)
    c.send("basic.ack", delivery_tag=1)
    c.call("tx.commit")


@case("13 the transaction is the channel's own")
def per_channel(b: Bench) -> None:
    c = b.connect().open(1, 2)
    q = c.queue(b.q())
    c.do("tx.select", 2)
    c.publish("", q, b"1")
    c.bodies(q)


@case("13 closing the channel is a rollback")
def close(b: Bench) -> None:
    c = b.connect().open(1, 2)
    q = c.queue(b.q())
    c.do("tx.select", 2)
    c.publish("", q, b"1", channel=2)
    c.do("channel.close", 2, reply_code=200)
    c.bodies(q)
