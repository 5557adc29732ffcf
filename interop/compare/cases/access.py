"""Section 19: who may do what, in which order it is asked, and what a change means for connections that are open.

Each case has users of its own. Permissions grow while a case goes on: RabbitMQ remembers what a channel was allowed,
and forgets it at a time of its own choosing.
"""

from __future__ import annotations

import re
from typing import Any

from ..bench import Bench, case, rows
from ..client import Client
from .people import EVERYTHING, PASSWORD, user, vhost

NOTHING = ("", "", "")


def exactly(*names: str) -> str:
    """A pattern for these names and no others."""
    return f"^({'|'.join(re.escape(name) for name in names)})$"


def attempt(c: Client, method: str, **fields: Any) -> None:
    """A method, and what comes of it; the channel is open again afterwards."""
    c.send(method, **fields)
    ok = ("basic.get-ok", "basic.get-empty") if method == "basic.get" else (method + "-ok",)
    if c.until(*ok, "channel.close").name == "channel.close":
        c.reopen()


# -- what each method asks for, and in which order --------------------------------------------------------------------
# The method, its fields, and the permissions as they grow: names to configure, to write and to read.
METHODS: list[tuple[str, str, dict[str, Any], str]] = [
    ("queue.declare, new", "queue.declare", {"queue": "new"}, "/new/new new//"),
    (
        "queue.declare, new, with a dead letter exchange",
        "queue.declare",
        {"queue": "new", "arguments": {"x-dead-letter-exchange": "x"}},
        "new// new/x/ new//new new/x/new",
    ),
    (
        "queue.declare, new, dead letters to the default exchange",
        "queue.declare",
        {"queue": "new", "arguments": {"x-dead-letter-exchange": ""}},
        "new//new new/amq.default/new",
    ),
    ("queue.declare, there", "queue.declare", {"queue": "q", "durable": True}, "/q/q q//"),
    ("queue.declare, passive", "queue.declare", {"queue": "q", "passive": True}, "// /q/"),
    ("queue.declare, passive, missing", "queue.declare", {"queue": "no", "passive": True}, "// //no"),
    ("queue.delete", "queue.delete", {"queue": "q"}, "/q/q q//"),
    ("queue.delete, missing", "queue.delete", {"queue": "no"}, "// no//"),
    ("queue.purge", "queue.purge", {"queue": "q"}, "q/q/ //q"),
    ("queue.purge, missing", "queue.purge", {"queue": "no"}, "// //no"),
    ("queue.bind", "queue.bind", {"queue": "q", "exchange": "x"}, "// //x /q/ /q/x"),
    ("queue.bind, queue missing", "queue.bind", {"queue": "no", "exchange": "x"}, "// /no/x"),
    ("queue.bind, exchange missing", "queue.bind", {"queue": "q", "exchange": "no"}, "/q/ /q/no"),
    ("queue.unbind", "queue.unbind", {"queue": "q", "exchange": "x"}, "//x /q/ /q/x"),
    ("queue.unbind, missing", "queue.unbind", {"queue": "no", "exchange": "no"}, "// /no/ /no/no"),
    ("basic.get", "basic.get", {"queue": "q"}, "q/q/ //q"),
    ("basic.get, missing", "basic.get", {"queue": "no"}, "// //no"),
    ("basic.consume", "basic.consume", {"queue": "q", "consumer_tag": "t"}, "q/q/ //q"),
    ("basic.consume, missing", "basic.consume", {"queue": "no"}, "// //no"),
    ("exchange.declare, new", "exchange.declare", {"exchange": "new", "type": "fanout"}, "/new/new new//"),
    (
        "exchange.declare, new, with an alternate",
        "exchange.declare",
        {"exchange": "new", "type": "fanout", "arguments": {"alternate-exchange": "y"}},
        "new// new/y/ new//new new/y/new",
    ),
    ("exchange.declare, of no type", "exchange.declare", {"exchange": "new", "type": "direct2"}, "//"),
    ("exchange.declare, there", "exchange.declare", {"exchange": "x", "type": "direct"}, "/x/x x//"),
    ("exchange.declare, there, of another type", "exchange.declare", {"exchange": "x", "type": "fanout"}, "/x/x"),
    ("exchange.declare, passive", "exchange.declare", {"exchange": "x", "passive": True}, "// //x"),
    ("exchange.declare, passive, missing", "exchange.declare", {"exchange": "no", "passive": True}, "// no//"),
    ("exchange.delete", "exchange.delete", {"exchange": "x"}, "/x/x x//"),
    ("exchange.delete, missing", "exchange.delete", {"exchange": "no"}, "// no//"),
    ("exchange.bind", "exchange.bind", {"destination": "y", "source": "x"}, "//x /y/ /y/x"),
    ("exchange.unbind", "exchange.unbind", {"destination": "y", "source": "x"}, "//x /y/ /y/x"),
]
NAMES = ("queue", "exchange", "destination", "source")


@rows("19 {0}: what it asks for", METHODS, operator=True)
def asked(b: Bench, _title: str, method: str, fields: dict[str, Any], grants: str) -> None:
    owner = b.channel()
    owner.queue(b.q(), durable=True)
    owner.exchange(b.x(), "direct")
    owner.exchange(b.x("y"), "direct")
    b.q("new")
    b.x("new")
    said = {key: b.name(value) if key in NAMES else value for key, value in fields.items()}
    if "arguments" in said:
        said["arguments"] = {key: value and b.name(value) for key, value in said["arguments"].items()}
    with user(b, *NOTHING) as name:
        c = b.connect(login=(name, PASSWORD)).open()
        for grant in grants.split():
            verbs = grant.split("/")
            configure, write, read = (
                exactly(each if each == "amq.default" else b.name(each)) if each else "" for each in verbs
            )
            b.operator.set_permissions("/", name, configure, write, read)
            b.note("may configure '{}', write '{}', read '{}'".format(*verbs))
            attempt(c, method, **said)
        c.drop()


@case("19 basic.publish: what it asks for", operator=True)
def publish(b: Bench) -> None:
    owner = b.channel()
    x = owner.exchange(b.x(), "fanout")
    internal = owner.exchange(b.x("i"), "fanout", internal=True)
    with user(b, ".*", "", ".*") as name:
        c = b.connect(login=(name, PASSWORD)).open()
        for exchange in (x, internal, b.name("missing"), "", "amq.topic"):
            c.publish(exchange, "k", b"1", mandatory=True)
            c.until("channel.close")
            c.reopen()
        b.operator.set_permissions("/", name, "", exactly(x, "amq.default"), "")
        for exchange in (x, ""):
            c.publish(exchange, "k", b"1", mandatory=True)
            c.until("basic.return")
        for exchange in ("amq.default", "amq.topic"):
            c.publish(exchange, "k", b"1")
            c.until("channel.close")
            c.reopen()
        c.drop()


@case("19 a publish in a transaction is refused when it comes", operator=True)
def publish_in_transaction(b: Bench) -> None:
    with user(b, ".*", "", ".*") as name:
        c = b.connect(login=(name, PASSWORD)).open()
        c.do("tx.select")
        c.publish("amq.topic", "k", b"1")
        c.until("channel.close")
        c.drop()


PATTERNS = [
    ("nothing", "", "abc"),
    ("a part of the name", "b", "abc"),
    ("the beginning", "^a", "abc"),
    ("the end", "c$", "abc"),
    ("another case", "ABC", "abc"),
    ("any case", "(?i)ABC", "abc"),
    ("one of two", "^(x|abc)$", "abc"),
    ("a class", "^[a-c]+$", "abc"),
    ("a class of words", "^\\w{3}$", "abc"),
    ("a reference back", "^(a)bc\\1$", "abca"),
    ("what does not follow", "^a(?!b)", "abc"),
    ("what follows", "^a(?=b)", "abc"),
    ("letters beyond ASCII", "^ü", "übung"),
    ("a dot for a letter beyond ASCII", "^.bung$", "übung"),
    ("a name with a line break", "^a$", "a"),
    ("possessive", "^a++b", "aab"),
    ("atomic", "^(?>a|ab)c$", "abc"),
]


@rows("19 a pattern that means {0}", PATTERNS, operator=True)
def pattern(b: Bench, _title: str, text: str, name: str) -> None:
    """In a vhost, where names need no prefix."""
    with vhost(b) as where, user(b, text, "", "", where) as who:
        c = b.connect(vhost=where, login=(who, PASSWORD)).open()
        attempt(c, "queue.declare", queue=name, exclusive=True)
        c.drop()


# -- names ------------------------------------------------------------------------------------------------------------
@case("19 an exclusive queue of somebody else: permission first", operator=True)
def exclusive(b: Bench) -> None:
    q = b.channel().queue(b.q(), exclusive=True)
    with user(b, *NOTHING) as name:
        c = b.connect(login=(name, PASSWORD)).open()
        attempts: list[tuple[str, dict[str, Any]]] = [
            ("queue.declare", {"queue": q, "exclusive": True}),
            ("queue.delete", {"queue": q}),
            ("basic.get", {"queue": q}),
        ]
        for method, fields in attempts:
            attempt(c, method, **fields)
        b.operator.set_permissions("/", name, *EVERYTHING)
        for method, fields in attempts:
            attempt(c, method, **fields)
        c.drop()


@case("19 reserved names: permission first", operator=True)
def reserved(b: Bench) -> None:
    with user(b, *NOTHING) as name:
        c = b.connect(login=(name, PASSWORD)).open()
        attempts: list[tuple[str, dict[str, Any]]] = [
            ("queue.declare", {"queue": "amq.mine"}),
            ("exchange.declare", {"exchange": "amq.mine", "type": "direct"}),
            ("exchange.declare", {"exchange": "", "type": "direct"}),
            ("exchange.delete", {"exchange": "amq.topic"}),
            ("exchange.delete", {"exchange": ""}),
            ("queue.bind", {"queue": "no", "exchange": ""}),
            ("exchange.bind", {"destination": "amq.topic", "source": ""}),
        ]
        for method, fields in attempts:
            attempt(c, method, **fields)
        b.operator.set_permissions("/", name, *EVERYTHING)
        for method, fields in attempts:
            attempt(c, method, **fields)
        c.drop()


@case("19 a server-named queue, used by its name", operator=True)
def server_named_use(b: Bench) -> None:
    with user(b, "^amq\\.gen", "", "") as name:
        c = b.connect(login=(name, PASSWORD)).open()
        c.do("queue.declare", exclusive=True)
        for method in ("basic.get", "queue.purge"):
            c.send(method)
            c.until("channel.close")
            c.reopen()
            c.do("queue.declare", exclusive=True)
        c.call("queue.delete")
        c.drop()


@case("19 direct reply-to needs no permission on the reply queue", operator=True)
def reply_to(b: Bench) -> None:
    server = b.channel()
    q = server.queue(b.q(), durable=True)
    with user(b, "", exactly("amq.default"), "") as name:
        c = b.connect(login=(name, PASSWORD)).open()
        c.call("basic.consume", queue="amq.rabbitmq.reply-to", no_ack=True, consumer_tag="t")
        c.publish("", q, b"question", reply_to="amq.rabbitmq.reply-to")
        request = server.await_get_unacked(q)
        server.publish("", request.properties["reply_to"], b"answer")
        c.until("basic.deliver")
        c.drop()


# -- topics -----------------------------------------------------------------------------------------------------------
@case("19 topic permissions: every CC and BCC key", operator=True)
def topic_copies(b: Bench) -> None:
    x = b.channel().exchange(b.x(), "topic")
    with user(b, *EVERYTHING) as name:
        b.operator.set_topic_permissions("/", name, x, "^a\\.", ".*")
        c = b.connect(login=(name, PASSWORD)).open()
        c.publish(x, "a.1", b"1", headers={"CC": ["a.2", "a.3"], "BCC": ["a.4"]})
        c.sync()
        for headers in ({"BCC": ["b.1"]}, {"CC": ["a.2", "b.1"]}, {"CC": ["b.1"], "BCC": ["b.2"]}):
            c.publish(x, "a.1", b"1", headers=headers)
            c.until("channel.close")
            c.reopen()
        c.drop()


@case("19 topic permissions: variables stand for the names", operator=True)
def topic_variables(b: Bench) -> None:
    with vhost(b) as where, user(b, *EVERYTHING, where) as name:
        b.operator.set_topic_permissions(where, name, "amq.topic", "^{vhost}\\.{username}$", "^{username}-{client_id}$")
        c = b.connect(vhost=where, login=(name, PASSWORD)).open()
        c.publish("amq.topic", f"{where}.{name}", b"1")
        c.sync()
        c.publish("amq.topic", f"{where}.other", b"1")
        c.until("channel.close")
        c.reopen()
        q = c.queue("q")
        for key in (name, f"{name}-{{client_id}}", f"{name}-"):
            attempt(c, "queue.bind", queue=q, exchange="amq.topic", routing_key=key)
        c.drop()


@case("19 topic permissions: for that exchange, and for topic exchanges only", operator=True)
def topic_elsewhere(b: Bench) -> None:
    owner = b.channel()
    x, d = owner.exchange(b.x(), "topic"), owner.exchange(b.x("d"), "direct")
    with user(b, *EVERYTHING) as name:
        for exchange in (d, "amq.topic"):
            b.operator.set_topic_permissions("/", name, exchange, "^a$", "^a$")
        c = b.connect(login=(name, PASSWORD)).open()
        q = c.queue(b.q())
        for exchange in (x, d):
            c.publish(exchange, "b", b"1")
            c.call("queue.bind", queue=q, exchange=exchange, routing_key="b")
            c.call("queue.unbind", queue=q, exchange=exchange, routing_key="b")
        attempt(c, "queue.bind", queue=q, exchange="amq.topic", routing_key="b")
        c.queue(q)
        attempt(c, "queue.unbind", queue=q, exchange="amq.topic", routing_key="b")
        attempt(c, "exchange.bind", destination=x, source="amq.topic", routing_key="b")
        attempt(c, "exchange.unbind", destination=x, source="amq.topic", routing_key="b")
        attempt(c, "exchange.bind", destination="amq.topic", source=x, routing_key="b")
        attempt(c, "exchange.unbind", destination="amq.topic", source=x, routing_key="b")
        c.drop()


@case("19 topic permissions: after the permissions for exchange and queue", operator=True)
def topic_order(b: Bench) -> None:
    x = b.channel().exchange(b.x(), "topic")
    with user(b, ".*", ".*", "") as name:
        b.operator.set_topic_permissions("/", name, x, "^a$", "^a$")
        c = b.connect(login=(name, PASSWORD)).open()
        q = c.queue(b.q())
        attempt(c, "queue.bind", queue=q, exchange=x, routing_key="b")
        b.operator.set_permissions("/", name, *EVERYTHING)
        attempt(c, "queue.bind", queue=b.name("missing"), exchange=x, routing_key="b")
        c.publish(x, "b", b"1", expiration="wrong")
        c.until("channel.close")
        c.reopen()
        c.publish(x, "b", b"1", user_id="wrong")
        c.until("channel.close")
        c.drop()


@case("19 topic permissions cleared", operator=True)
def topic_cleared(b: Bench) -> None:
    x = b.channel().exchange(b.x(), "topic")
    with user(b, *EVERYTHING) as name:
        b.operator.set_topic_permissions("/", name, x, "", "")
        c = b.connect(login=(name, PASSWORD)).open()
        c.publish(x, "", b"1")
        c.sync()
        c.publish(x, "k", b"1")
        c.until("channel.close")
        c.reopen()
        b.operator.clear_topic_permissions("/", name, x)
        c.publish(x, "k", b"1")
        c.sync()
        c.drop()


# -- user-id ----------------------------------------------------------------------------------------------------------
@case("19 user-id: one's own, another's, and an impersonator's", operator=True)
def user_id(b: Bench) -> None:
    q = b.channel().queue(b.q(), durable=True)
    with user(b, *EVERYTHING) as name:
        c = b.connect(login=(name, PASSWORD)).open()
        c.publish("", q, b"1", user_id=name)
        c.await_get(q)
        c.publish("", q, b"2", user_id="guest")
        c.until("channel.close")
        b.operator.set_tags(name, "management", "impersonator")
        b.connect(login=(name, PASSWORD)).open().publish("", q, b"3", user_id="guest")
        guest = b.channel()
        guest.await_get(q)
        guest.publish("", q, b"4", user_id=name)
        guest.until("channel.close")


# -- while a connection is open ---------------------------------------------------------------------------------------
@case("19 permissions given and taken while a connection is open", operator=True)
def changed(b: Bench) -> None:
    owner = b.channel()
    for each in "abc":
        owner.queue(b.q(each), durable=True)
    with user(b, *NOTHING) as name:
        c = b.connect(login=(name, PASSWORD)).open()
        attempt(c, "basic.get", queue=b.name("a"))
        b.operator.set_permissions("/", name, "", "", ".*")
        attempt(c, "basic.get", queue=b.name("a"))
        b.operator.set_permissions("/", name, "", "", "")
        attempt(c, "basic.get", queue=b.name("b"))
        b.operator.set_permissions("/", name, "", "", exactly(b.name("c")))
        attempt(c, "basic.get", queue=b.name("c"))
        b.operator.clear_permissions("/", name)
        attempt(c, "basic.get", queue=b.name("b"))
        b.connect(login=(name, PASSWORD))


@case("19 a consumer stays when its permission is taken", operator=True)
def consumer_stays(b: Bench) -> None:
    owner = b.channel()
    q = owner.queue(b.q(), durable=True)
    with user(b, *EVERYTHING) as name:
        c = b.connect(login=(name, PASSWORD)).open()
        c.call("basic.consume", queue=q, consumer_tag="t", no_ack=True)
        b.operator.set_permissions("/", name, "", "", "")
        owner.publish("", q, b"still")
        c.until("basic.deliver")
        attempt(c, "basic.consume", queue=b.name("other"))
        c.drop()


@case("19 the user is deleted while connected", operator=True)
def deleted(b: Bench) -> None:
    with user(b, *EVERYTHING) as name:
        c = b.connect(login=(name, PASSWORD)).open()
        b.operator.delete_user(name)
        c.until("connection.close")
        b.connect(login=(name, PASSWORD))


@case("19 the vhost is deleted while connected, with what is in it", operator=True)
def vhost_deleted(b: Bench) -> None:
    with vhost(b) as where:
        c = b.connect(vhost=where).open()
        c.do("queue.declare", queue="q", durable=True)
        b.operator.delete_vhost(where)
        b.connect(vhost=where)


@case("19 a vhost deleted and made again is empty, and nobody may enter it", operator=True)
def vhost_again(b: Bench) -> None:
    with vhost(b) as where, user(b, *EVERYTHING, where) as name:
        c = b.connect(vhost=where, login=(name, PASSWORD)).open()
        c.do("queue.declare", queue="q", durable=True)
        c.drop()
        b.operator.delete_vhost(where)
        b.operator.add_vhost(where)
        guest = b.connect(vhost=where).open()
        attempt(guest, "queue.declare", queue="q", passive=True)
        b.connect(vhost=where, login=(name, PASSWORD))
