"""What a publisher learns of its messages: confirms, nacks, returns, transactions."""

import pika
from pika.exceptions import NackError, UnroutableError

from suites.harness import wait_until
from suites.pika_blocking.client import connect, drain, publish, ready, refused, suite


@suite.scenario()
def publisher_confirms() -> None:
    """In confirm mode basic_publish returns when the broker has the message."""
    queue = suite.unique("confirmed")
    with connect() as connection, connect() as observer:
        channel = connection.channel()
        channel.queue_declare(queue, durable=True)
        channel.confirm_delivery()
        count = observer.channel()
        for number in range(20):
            channel.basic_publish(
                "", queue, str(number).encode(), pika.BasicProperties(delivery_mode=2), mandatory=True
            )
            suite.equal("it is there when it is confirmed", ready(count, queue), number + 1)
        channel.basic_publish("", "no such queue", b"confirmed all the same: nobody asked for it to be routed")
        suite.equal("in order", drain(channel, queue), [str(n) for n in range(20)])
        channel.queue_delete(queue)


@suite.scenario()
def refused_by_a_full_queue() -> None:
    """x-overflow=reject-publish: what does not fit is nacked, and is not there."""
    with connect() as connection:
        channel = connection.channel()
        arguments = {"x-max-length": 2, "x-overflow": "reject-publish"}
        queue = channel.queue_declare("", exclusive=True, arguments=arguments).method.queue
        channel.confirm_delivery()
        outcomes = []
        for number in range(4):
            try:
                channel.basic_publish("", queue, str(number).encode())
                outcomes.append("ack")
            except NackError as error:
                outcomes.append("nack")
                suite.equal("the nacked message", [message.body for message in error.messages], [])
        suite.equal("outcomes", outcomes, ["ack", "ack", "nack", "nack"])
        suite.equal("what stays", drain(channel, queue), ["0", "1"])
        channel.basic_publish("", queue, b"fits again")
        suite.equal("room again", drain(channel, queue), ["fits again"])


@suite.scenario()
def mandatory_returns() -> None:
    """Unroutable mandatory messages come back whole: through a callback, or in confirm mode as an exception."""
    with connect() as connection:
        channel = connection.channel()
        returned: list[tuple[int, str, str, str, bytes, str | None]] = []
        channel.add_on_return_callback(
            lambda ch, method, properties, body: returned.append(
                (method.reply_code, method.reply_text, method.exchange, method.routing_key, body, properties.message_id)
            )
        )
        properties = pika.BasicProperties(message_id="m1")
        channel.basic_publish("amq.direct", "nobody listens", b"come back", properties, mandatory=True)
        channel.basic_publish("amq.direct", "nobody listens", b"dropped")
        wait_until("a returned message", lambda: returned, lambda: connection.process_data_events(0.05))
        suite.equal("returned", returned, [(312, "NO_ROUTE", "amq.direct", "nobody listens", b"come back", "m1")])
        confirming = connection.channel()
        confirming.confirm_delivery()
        try:
            confirming.basic_publish("", "nobody", b"x" * 200_000, mandatory=True)
        except UnroutableError as error:
            suite.equal(
                "in the exception", [(m.method.reply_code, len(m.body)) for m in error.messages], [(312, 200_000)]
            )
        else:
            suite.check("UnroutableError", False)


@suite.scenario()
def transactions() -> None:
    """Nothing published is seen, nothing acknowledged is gone, before tx.commit; tx.rollback forgets both."""
    with connect() as connection:
        channel, observer = connection.channel(), connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.tx_select()
        publish(channel, queue, ["a", "b"])
        suite.equal("before the commit", ready(observer, queue), 0)
        channel.tx_commit()
        suite.equal("after it", ready(observer, queue), 2)
        publish(channel, queue, ["never"])
        channel.tx_rollback()
        channel.tx_commit()
        suite.equal("after a rollback", ready(observer, queue), 2)
        method, _, _ = channel.basic_get(queue)
        channel.basic_ack(method.delivery_tag)
        channel.tx_rollback()
        channel.basic_ack(method.delivery_tag)
        channel.tx_commit()
        method, _, body = channel.basic_get(queue)
        suite.equal("next message", body, b"b")
        channel.basic_ack(method.delivery_tag)
        channel.close()
        suite.equal("closing rolls back", drain(observer, queue), ["b"])


@suite.scenario()
def transactions_and_confirms() -> None:
    """They exclude each other on a channel, and commit needs a select."""
    with connect() as connection:

        def confirm_after_tx(channel: pika.adapters.blocking_connection.BlockingChannel) -> None:
            channel.tx_select()
            channel.confirm_delivery()

        refused(connection, 406, "PRECONDITION_FAILED - cannot switch from tx to confirm mode", confirm_after_tx)
        refused(connection, 406, "PRECONDITION_FAILED - channel is not transactional", lambda ch: ch.tx_commit())
