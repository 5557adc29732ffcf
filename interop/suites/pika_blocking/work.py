"""Work queues: who gets which message, and what happens to messages that are not acknowledged."""

from suites.harness import wait_until
from suites.pika_blocking.client import Inbox, connect, drain, expect_ready, publish, refused, suite


@suite.scenario()
def fair_dispatch() -> None:
    """A worker that is busy gets no second task: with prefetch 1 the quick one does the rest."""
    queue = suite.unique("tasks")
    with connect() as producer, connect() as one, connect() as two:
        channel = producer.channel()
        channel.queue_declare(queue, durable=True)
        slow_channel, quick_channel = one.channel(), two.channel()
        for worker in (slow_channel, quick_channel):
            worker.basic_qos(prefetch_count=1)
        slow = Inbox(slow_channel, queue, auto_ack=False)
        publish(channel, queue, ["long task"], delivery_mode=2)
        slow.wait(1)
        quick = Inbox(quick_channel, queue, auto_ack=False)
        publish(channel, queue, range(9), delivery_mode=2)
        for done in range(1, 10):
            quick.wait(done)
            quick_channel.basic_ack(quick.deliveries[-1].method.delivery_tag)
        one.process_data_events(0)
        suite.equal("the slow worker's share", slow.bodies, ["long task"])
        suite.equal("the quick worker's share", quick.bodies, [str(n) for n in range(9)])
        slow.ack_all()
        one.channel()  # a round trip: the ack is in
        expect_ready("nothing is left", channel, queue, 0)
        channel.queue_delete(queue)


@suite.scenario()
def round_robin() -> None:
    """Consumers with nothing to set them apart take turns."""
    with connect() as connection:
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        inboxes = [Inbox(channel, queue) for _ in range(3)]
        publish(channel, queue, range(9))
        wait_until(
            "nine messages",
            lambda: sum(len(i.bodies) for i in inboxes) == 9,
            lambda: connection.process_data_events(0.05),
        )
        suite.equal(
            "turns", sorted(inbox.bodies for inbox in inboxes), [["0", "3", "6"], ["1", "4", "7"], ["2", "5", "8"]]
        )


@suite.scenario()
def prefetch_limits() -> None:
    """Prefetch counts per consumer; with global=true it counts per channel. Acknowledging makes room."""
    with connect() as connection:
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        publish(channel, queue, range(10))
        channel.basic_qos(prefetch_count=3)
        inbox = Inbox(channel, queue, auto_ack=False)
        suite.equal("first three", inbox.wait(3), ["0", "1", "2"])
        expect_ready("the others wait", channel, queue, 7)
        channel.basic_ack(inbox.deliveries[0].method.delivery_tag)
        suite.equal("one more for one ack", inbox.wait(4), ["0", "1", "2", "3"])
        inbox.ack_all()
        suite.equal("three more", inbox.wait(7)[4:], ["4", "5", "6"])
        whole = connection.channel()
        other = whole.queue_declare("", exclusive=True).method.queue
        publish(whole, other, range(10))
        whole.basic_qos(prefetch_count=4, global_qos=True)
        limited = Inbox(whole, other, auto_ack=False)
        suite.equal("four for the channel", limited.wait(4), ["0", "1", "2", "3"])
        expect_ready("six wait", whole, other, 6)


@suite.scenario()
def requeue_order() -> None:
    """Returned messages go back to where they were, marked as redelivered."""
    with connect() as connection:
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        publish(channel, queue, range(5))
        tags = [channel.basic_get(queue)[0].delivery_tag for _ in range(4)]
        channel.basic_nack(tags[1], requeue=True)
        method, _, body = channel.basic_get(queue)
        suite.equal("the returned one is next", (body, method.redelivered, method.message_count), (b"1", True, 1))
        for tag in (method.delivery_tag, tags[3], tags[0], tags[2]):
            channel.basic_reject(tag, requeue=True)
        got = [channel.basic_get(queue) for _ in range(5)]
        suite.equal("original order", [body for _, _, body in got], [b"0", b"1", b"2", b"3", b"4"])
        suite.equal("redelivered", [method.redelivered for method, _, _ in got], [True, True, True, True, False])
        channel.basic_nack(got[2][0].delivery_tag, multiple=True, requeue=True)
        expect_ready("nack multiple", channel, queue, 3)
        channel.basic_recover(requeue=True)
        expect_ready("recover", channel, queue, 5)
        suite.equal("once more in order", drain(channel, queue), ["0", "1", "2", "3", "4"])


@suite.scenario()
def crashed_worker() -> None:
    """The messages of a consumer that went away without acknowledging come to the next one, in order."""
    queue = suite.unique("crash")
    with connect() as connection:
        channel = connection.channel()
        channel.queue_declare(queue, durable=True)
        publish(channel, queue, range(3), delivery_mode=2)
        doomed = connect()
        Inbox(doomed.channel(), queue, auto_ack=False).wait(3)
        doomed.close()
        heir = Inbox(channel, queue, auto_ack=False)
        suite.equal("all again", heir.wait(3), ["0", "1", "2"])
        suite.check("marked", all(delivery.method.redelivered for delivery in heir.deliveries))
        heir.ack_all()
        suite.equal("acknowledged", channel.queue_delete(queue).method.message_count, 0)


@suite.scenario()
def consumer_priority() -> None:
    """The consumer of the highest x-priority is served while it has room; then the next."""
    with connect() as connection:
        low_channel, high_channel = connection.channel(), connection.channel()
        queue = low_channel.queue_declare("", exclusive=True).method.queue
        high_channel.basic_qos(prefetch_count=2)
        low = Inbox(low_channel, queue, auto_ack=False)
        high = Inbox(high_channel, queue, auto_ack=False, arguments={"x-priority": 10})
        publish(low_channel, queue, range(4))
        suite.equal("high first", high.wait(2), ["0", "1"])
        suite.equal("low the rest", low.wait(2), ["2", "3"])


@suite.scenario()
def single_active_consumer() -> None:
    """Only one of two consumers is served; when it goes, the other gets what it left unacknowledged, and the rest."""
    queue = suite.unique("single")
    with connect() as first, connect() as second:
        channel = second.channel()
        channel.queue_declare(queue, durable=True, arguments={"x-single-active-consumer": True})
        active = Inbox(first.channel(), queue, auto_ack=False)
        waiting = Inbox(channel, queue, auto_ack=False)
        publish(channel, queue, range(4))
        suite.equal("the first gets all", active.wait(4), ["0", "1", "2", "3"])
        second.process_data_events(0.1)
        suite.equal("the second none", waiting.bodies, [])
        active.ack_all()
        publish(channel, queue, ["4", "5"])
        active.wait(6)
        first.close()
        suite.equal("the second takes over", waiting.wait(2), ["4", "5"])
        suite.check("redelivered", all(delivery.method.redelivered for delivery in waiting.deliveries))
        refused(second, 403, "in exclusive use", lambda ch: ch.basic_consume(queue, print, exclusive=True))
        channel.queue_delete(queue)


@suite.scenario()
def exclusive_consumer() -> None:
    """An exclusive consumer tolerates no other, before or after it."""
    with connect() as connection:
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        text = f"ACCESS_REFUSED - queue '{queue}' in vhost '/' in exclusive use"
        tag = channel.basic_consume(queue, print, exclusive=True)
        refused(connection, 403, text, lambda ch: ch.basic_consume(queue, print))
        channel.basic_cancel(tag)
        channel.basic_consume(queue, print)
        refused(connection, 403, text, lambda ch: ch.basic_consume(queue, print, exclusive=True))


@suite.scenario()
def consumer_cancel_notification() -> None:
    """A consumer hears that its queue was deleted; `start_consuming` and the `consume` generator come to an end."""
    with connect() as connection, connect() as other:
        channel = connection.channel()
        queue = suite.unique("doomed")
        channel.queue_declare(queue, durable=True)
        cancelled: list[str] = []
        channel.add_on_cancel_callback(lambda frame: cancelled.append(frame.method.consumer_tag))
        inbox = Inbox(channel, queue)
        other.channel().queue_delete(queue)
        channel.start_consuming()
        suite.equal("the tag that was cancelled", cancelled, [inbox.tag])
        suite.equal("no consumer is left", channel.consumer_tags, [])
        channel.queue_declare(queue, durable=True)
        publish(channel, queue, range(2))
        bodies = []
        for method, _, body in channel.consume(queue, inactivity_timeout=10):
            if method is None:
                break
            bodies.append(body)
            channel.basic_ack(method.delivery_tag)
            if len(bodies) == 2:
                other.channel().queue_delete(queue)
        suite.equal("the generator's messages", bodies, [b"0", b"1"])


@suite.scenario()
def cancelled_consumer_keeps_its_messages() -> None:
    """After basic.cancel what was delivered may still be acknowledged."""
    with connect() as connection:
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        publish(channel, queue, range(3))
        inbox = Inbox(channel, queue, auto_ack=False)
        inbox.wait(3)
        channel.basic_cancel(inbox.tag)  # pika hands back what it has not dispatched, here nothing
        expect_ready("still outstanding", channel, queue, 0)
        channel.basic_ack(inbox.deliveries[0].method.delivery_tag)
        channel.basic_nack(inbox.deliveries[1].method.delivery_tag, requeue=True)
        suite.equal("one came back", drain(channel, queue), ["1"])
