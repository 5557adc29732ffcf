"""Exchanges and bindings: every type, alternate exchanges, exchange-to-exchange bindings, CC and BCC."""

from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import UnroutableError

from suites.pika_blocking.client import Inbox, connect, drain, expect_ready, publish, refused, suite

TOPICS = (  # binding, key, does it match
    ("*.critical", "kern.critical", True),
    ("*.critical", "critical", False),
    ("kern.*", "kern.", True),
    ("kern.*", "kern", False),
    ("kern.#", "kern", True),
    ("#", "", True),
    ("*", "", False),
    ("a.#.z", "a.z", True),
    ("a.#.z", "a.b.c.z", True),
    ("a.*.z", "a..z", True),
    ("a.*.z", "a.b.c.z", False),
    ("#.z", "z", True),
    ("A.b", "a.b", False),
    ("a*", "ab", False),
)

HEADERS = (  # binding arguments, message headers, does it match
    ({"x-match": "all", "format": "pdf", "type": "report"}, {"format": "pdf", "type": "report", "more": 1}, True),
    ({"x-match": "all", "format": "pdf", "type": "report"}, {"format": "pdf"}, False),
    ({"format": "pdf"}, {"format": "pdf"}, True),
    ({"x-match": "any", "format": "pdf", "type": "report"}, {"type": "report"}, True),
    ({"x-match": "any", "format": "pdf"}, {"format": "zip"}, False),
    ({"x-match": "any", "format": None}, {"format": "zip"}, True),
    ({"x-match": "all"}, {}, True),
    ({"x-match": "any"}, {"format": "pdf"}, False),
    ({"x-match": "all", "x-tenant": "acme"}, {}, True),
    ({"x-match": "all-with-x", "x-tenant": "acme"}, {}, False),
    ({"x-match": "all-with-x", "x-tenant": "acme"}, {"x-tenant": "acme"}, True),
    ({"x-match": "any-with-x", "x-tenant": "acme", "format": "pdf"}, {"x-tenant": "acme"}, True),
    ({"x-match": "all", "number": 1}, {"number": 1}, True),
    ({"x-match": "all", "number": 1}, {"number": "1"}, False),
)


def exchange(channel: BlockingChannel, kind: str, base: str | None = None, **options: Any) -> str:
    """Declare an exchange that goes with its last binding."""
    name = suite.unique(base or kind)
    channel.exchange_declare(name, kind, **{"auto_delete": True, "durable": True, **options})
    return name


def bound_queue(channel: BlockingChannel, source: str, key: str = "", arguments: dict[str, Any] | None = None) -> str:
    queue: str = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(queue, source, key, arguments)
    return queue


@suite.scenario()
def publish_subscribe() -> None:
    """Every subscriber's queue gets its own copy, whatever the key; who comes later misses what was before."""
    with connect() as connection, connect() as publisher:
        channel = connection.channel()
        logs = exchange(channel, "fanout")
        inboxes = [Inbox(channel, bound_queue(channel, logs)) for _ in range(2)]
        out = publisher.channel()
        out.basic_publish(logs, "whatever", b"one")
        out.basic_publish(logs, "", b"two")
        for inbox in inboxes:
            suite.equal("both messages", inbox.wait(2), ["one", "two"])
        method = inboxes[0].deliveries[0].method
        suite.equal("exchange and key as published", (method.exchange, method.routing_key), (logs, "whatever"))
        late = Inbox(channel, bound_queue(channel, logs))
        out.basic_publish(logs, "", b"three")
        suite.equal("a late subscriber", late.wait(1), ["three"])


@suite.scenario()
def direct_routing() -> None:
    with connect() as connection:
        channel = connection.channel()
        logs = exchange(channel, "direct")
        errors = bound_queue(channel, logs, "error")
        everything = bound_queue(channel, logs, "error")
        for severity in ("info", "warning", "warning"):  # binding twice is no error and makes no second copy
            channel.queue_bind(everything, logs, severity)
        for severity in ("info", "error", "debug", "warning"):
            channel.basic_publish(logs, severity, severity.encode())
        suite.equal("errors", drain(channel, errors), ["error"])
        suite.equal("everything bound", drain(channel, everything), ["info", "error", "warning"])
        channel.queue_unbind(everything, logs, "warning")
        channel.queue_unbind(everything, logs, "never bound")
        channel.basic_publish(logs, "warning", b"unbound")
        suite.equal("unbound", drain(channel, everything), [])


@suite.scenario()
def default_and_predeclared() -> None:
    """The default exchange knows every queue by name and takes no bindings; the amq.* exchanges are there and stay."""
    with connect() as connection:
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        for name, key, arguments in (
            ("amq.direct", queue, None),
            ("amq.fanout", "", None),
            ("amq.topic", f"{queue}.#", None),
            ("amq.headers", "", {"only": queue}),
            ("amq.match", "", {"only": queue}),
        ):
            channel.queue_bind(queue, name, key, arguments)
            channel.basic_publish(name, queue, name.encode(), pika.BasicProperties(headers={"only": queue}))
            channel.queue_unbind(queue, name, key, arguments)
        suite.equal(
            "by each", drain(channel, queue), ["amq.direct", "amq.fanout", "amq.topic", "amq.headers", "amq.match"]
        )
        text = "ACCESS_REFUSED - operation not permitted on the default exchange"
        refused(connection, 403, text, lambda ch: ch.queue_bind(queue, "", "key"))
        refused(connection, 403, text, lambda ch: ch.exchange_delete(""))
        refused(
            connection,
            403,
            "ACCESS_REFUSED - deletion of system exchange 'amq.topic' in vhost '/' not allowed",
            lambda ch: ch.exchange_delete("amq.topic"),
        )
        refused(
            connection,
            404,
            "NOT_FOUND - no exchange 'nowhere' in vhost '/'",
            lambda ch: ch.basic_publish("nowhere", "", b""),
        )


@suite.scenario()
def topics() -> None:
    with connect() as connection:
        channel = connection.channel()
        name = exchange(channel, "topic")
        bound_queue(channel, name, "keeps.the.exchange")
        for binding, key, matches in TOPICS:
            queue = bound_queue(channel, name, binding)
            channel.basic_publish(name, key, b"x")
            suite.equal(f"binding {binding!r}, key {key!r}", len(drain(channel, queue)), int(matches))
            channel.queue_delete(queue)
        both = bound_queue(channel, name, "quick.#")
        channel.queue_bind(both, name, "*.orange.*")
        channel.basic_publish(name, "quick.orange.fox", b"once")
        suite.equal("two bindings match, one copy", drain(channel, both), ["once"])


@suite.scenario()
def headers() -> None:
    with connect() as connection:
        channel = connection.channel()
        name = exchange(channel, "headers")
        bound_queue(channel, name, "", {"keeps": "the exchange"})
        for arguments, carried, matches in HEADERS:
            queue = bound_queue(channel, name, "", arguments)
            channel.basic_publish(name, "ignored", b"x", pika.BasicProperties(headers=carried))
            suite.equal(f"{arguments} with {carried}", len(drain(channel, queue)), int(matches))
            channel.queue_delete(queue)


@suite.scenario()
def alternate_exchange() -> None:
    """What an exchange cannot route goes on to its alternate; only what that cannot route either comes back."""
    with connect() as connection:
        channel = connection.channel()
        spare = exchange(channel, "fanout", "spare")
        main = exchange(channel, "direct", "main", arguments={"alternate-exchange": spare})
        known, unknown = bound_queue(channel, main, "known"), bound_queue(channel, spare)
        channel.confirm_delivery()
        channel.basic_publish(main, "known", b"1", mandatory=True)
        channel.basic_publish(main, "strange", b"2", mandatory=True)
        suite.equal("routed", drain(channel, known), ["1"])
        method, _, body = channel.basic_get(unknown, auto_ack=True)
        suite.equal(
            "caught, under its first exchange's name",
            (method.exchange, method.routing_key, body),
            (main, "strange", b"2"),
        )
        channel.queue_delete(unknown)
        try:
            channel.basic_publish(main, "strange", b"3", mandatory=True)
        except UnroutableError as error:
            suite.equal("returned", [(m.method.exchange, m.body) for m in error.messages], [(main, b"3")])
        else:
            suite.check("an unroutable message comes back", False)


@suite.scenario()
def exchange_to_exchange() -> None:
    """A message passes from exchange to exchange by their bindings, once to each queue, and cycles do no harm."""
    with connect() as connection:
        channel = connection.channel()
        ingress, region, audit = (exchange(channel, kind, f"e2e-{kind}") for kind in ("topic", "direct", "fanout"))
        inner = exchange(channel, "fanout", "internal", internal=True)
        channel.exchange_bind(region, ingress, "order.*.eu")
        channel.exchange_bind(audit, ingress, "#")
        channel.exchange_bind(inner, audit)
        channel.exchange_bind(audit, inner)
        eu, all_of_it = bound_queue(channel, region, "order.new.eu"), bound_queue(channel, inner)
        channel.queue_bind(all_of_it, audit)
        for key in ("order.new.eu", "order.paid.eu", "order.new.us"):
            channel.basic_publish(ingress, key, key.encode())
        suite.equal("the region's", drain(channel, eu), ["order.new.eu"])
        suite.equal(
            "the audit's, one copy each", drain(channel, all_of_it), ["order.new.eu", "order.paid.eu", "order.new.us"]
        )
        refused(
            connection,
            403,
            f"ACCESS_REFUSED - cannot publish to internal exchange '{inner}' in vhost '/'",
            lambda ch: ch.basic_publish(inner, "", b""),
        )
        channel.exchange_unbind(audit, ingress, "#")
        channel.basic_publish(ingress, "order.new.eu", b"after")
        suite.equal("unbound", drain(channel, all_of_it), [])
        for name in (ingress, audit, inner):
            channel.exchange_delete(name)


@suite.scenario()
def carbon_copies() -> None:
    """CC and BCC headers add routing keys; BCC is taken out of what arrives."""
    with connect() as connection:
        channel = connection.channel()
        to, cc, bcc = (channel.queue_declare("", exclusive=True).method.queue for _ in range(3))
        channel.basic_publish("", to, b"memo", pika.BasicProperties(headers={"CC": [cc, to], "BCC": [bcc], "other": 1}))
        for queue in (to, cc, bcc):
            method, properties, body = channel.basic_get(queue, auto_ack=True)
            suite.equal(
                "headers and key",
                (body, method.routing_key, properties.headers),
                (b"memo", to, {"CC": [cc, to], "other": 1}),
            )
            expect_ready("one copy", channel, queue, 0)
        refused(
            connection,
            406,
            'PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,"CC",longstr}',
            lambda ch: publish(ch, to, ["x"], headers={"CC": cc}),
        )


@suite.scenario()
def exchange_lifetime() -> None:
    with connect() as connection:
        channel = connection.channel()
        name = exchange(channel, "direct", "lifetime")
        queue = bound_queue(channel, name, "key")
        of = f"for exchange '{name}' in vhost '/'"
        refused(
            connection,
            406,
            f"inequivalent arg 'type' {of}: received 'fanout' but current is 'direct'",
            lambda ch: ch.exchange_declare(name, "fanout", durable=True, auto_delete=True),
        )
        refused(
            connection,
            406,
            f"inequivalent arg 'durable' {of}: received 'false' but current is 'true'",
            lambda ch: ch.exchange_declare(name, "direct", auto_delete=True),
        )
        refused(
            connection,
            406,
            f"PRECONDITION_FAILED - exchange '{name}' in vhost '/' in use",
            lambda ch: ch.exchange_delete(name, if_unused=True),
        )
        refused(
            connection,
            406,
            "PRECONDITION_FAILED - unknown exchange type 'x-no-such-type'",
            lambda ch: ch.exchange_declare(suite.unique("odd"), "x-no-such-type"),
        )
        channel.exchange_declare(name, "direct", passive=True)
        channel.queue_unbind(queue, name, "key")
        refused(
            connection,
            404,
            f"NOT_FOUND - no exchange '{name}' in vhost '/'",
            lambda ch: ch.exchange_declare(name, passive=True),
        )
