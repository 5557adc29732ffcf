"""Exact reply-texts, codes, and the method they name (behaviour 1.1). Rows that need a story have one elsewhere."""

import pytest
from harness import Typed as T
from harness import World, longstr, m, publish, short

QUEUE_Q = "queue 'q' in vhost '/'"
EXCHANGE_X = "exchange 'x' in vhost '/'"


def declare(queue="q", **fields):
    return m("queue.declare", queue=queue, **fields)


def exchange(name="x", kind="direct", **fields):
    return m("exchange.declare", exchange=name, type=kind, **fields)


CHANNEL_ERRORS = {
    # what is missing
    "passive declare of a missing queue": (declare("nope", passive=True), 404, "no queue 'nope' in vhost '/'"),
    "passive declare of no name": (declare("", passive=True), 404, "no queue '' in vhost '/'"),
    "consume from a missing queue": (m("basic.consume", queue="nope"), 404, "no queue 'nope' in vhost '/'"),
    "get from a missing queue": (m("basic.get", queue="nope"), 404, "no queue 'nope' in vhost '/'"),
    "purge of a missing queue": (m("queue.purge", queue="nope"), 404, "no queue 'nope' in vhost '/'"),
    "line ends are part of the name in get": (m("basic.get", queue="n\r\n"), 404, "no queue 'n\r\n' in vhost '/'"),
    "passive declare of a missing exchange": (exchange(passive=True), 404, f"no {EXCHANGE_X}"),
    "publish to a missing exchange": (publish(b"", exchange="x"), 404, f"no {EXCHANGE_X}"),
    "publish to amq.default": (publish(b"", exchange="amq.default"), 404, "no exchange 'amq.default' in vhost '/'"),
    "bind, both missing": (m("queue.bind", queue="nope", exchange="x"), 404, f"no {EXCHANGE_X}"),
    "bind of a missing queue": (
        m("queue.bind", queue="nope", exchange="amq.direct"),
        404,
        "no queue 'nope' in vhost '/'",
    ),
    "exchange bind, both missing": (m("exchange.bind", destination="d", source="x"), 404, f"no {EXCHANGE_X}"),
    "exchange bind, destination missing": (
        m("exchange.bind", destination="x", source="amq.direct"),
        404,
        f"no {EXCHANGE_X}",
    ),
    "nothing was declared: bind": (m("queue.bind", exchange="amq.direct"), 404, "no previously declared queue"),
    "nothing was declared: unbind": (m("queue.unbind", exchange="amq.direct"), 404, "no previously declared queue"),
    "nothing was declared: consume": (m("basic.consume"), 404, "no previously declared queue"),
    "nothing was declared: get": (m("basic.get"), 404, "no previously declared queue"),
    "nothing was declared: purge": (m("queue.purge"), 404, "no previously declared queue"),
    "nothing was declared: delete": (m("queue.delete"), 404, "no previously declared queue"),
    "a name of line ends alone is not the last one declared": (
        m("queue.bind", queue="\r\n", exchange="amq.direct"),
        404,
        "no queue '' in vhost '/'",
    ),
    # reserved names
    "queue amq.": (declare("amq.foo"), 403, "queue name 'amq.foo' contains reserved prefix 'amq.*'"),
    "exchange amq.": (exchange("amq.foo"), 403, "exchange name 'amq.foo' contains reserved prefix 'amq.*'"),
    "declare the default exchange": (exchange(""), 403, "operation not permitted on the default exchange"),
    "passively too": (exchange("", passive=True), 403, "operation not permitted on the default exchange"),
    "delete the default exchange": (m("exchange.delete"), 403, "operation not permitted on the default exchange"),
    "bind to the default exchange": (
        m("queue.bind", queue="q"),
        403,
        "operation not permitted on the default exchange",
    ),
    "unbind from the default exchange": (
        m("queue.unbind", queue="q"),
        403,
        "operation not permitted on the default exchange",
    ),
    "bind the default exchange": (
        m("exchange.bind", source="amq.direct"),
        403,
        "operation not permitted on the default exchange",
    ),
    "bind to it": (
        m("exchange.bind", destination="amq.direct"),
        403,
        "operation not permitted on the default exchange",
    ),
    "unbind it": (
        m("exchange.unbind", source="amq.direct"),
        403,
        "operation not permitted on the default exchange",
    ),
    "delete amq.direct": (
        m("exchange.delete", exchange="amq.direct"),
        403,
        "deletion of system exchange 'amq.direct' in vhost '/' not allowed",
    ),
    "delete amq.nosuch": (
        m("exchange.delete", exchange="amq.nosuch"),
        403,
        "deletion of system exchange 'amq.nosuch' in vhost '/' not allowed",
    ),
    "bind a reply queue": (
        m("queue.bind", queue="amq.rabbitmq.reply-to.xyz", exchange="amq.direct"),
        403,
        "cannot bind or unbind to a volatile (direct reply-to) queue",
    ),
    "unbind a reply queue": (
        m("queue.unbind", queue="amq.rabbitmq.reply-to.xyz", exchange="amq.direct"),
        403,
        "cannot bind or unbind to a volatile (direct reply-to) queue",
    ),
    # exchange types
    "unknown type": (exchange(kind="zip"), 406, "unknown exchange type 'zip'"),
    "no type": (exchange(kind=""), 406, "unknown exchange type ''"),
    "unknown type of the default exchange": (exchange("", "zip"), 406, "unknown exchange type 'zip'"),
    "unknown type for an exchange that exists": (
        exchange("amq.direct", "zip", durable=True),
        406,
        "unknown exchange type 'zip'",
    ),
    "internal exchange": (
        publish(b"", exchange="amq.rabbitmq.trace"),
        403,
        "cannot publish to internal exchange 'amq.rabbitmq.trace' in vhost '/'",
    ),
    # properties
    "expiration abc": (publish(b"", expiration="abc"), 406, "invalid expiration 'abc': no_integer"),
    "expiration empty": (publish(b"", expiration=""), 406, "invalid expiration '': no_integer"),
    "expiration -1": (publish(b"", expiration="-1"), 406, "invalid expiration '-1': {value_negative,-1}"),
    "expiration 10s": (publish(b"", expiration="10s"), 406, "invalid expiration '10s': {leftover_string,\"s\"}"),
    "expiration 1.5": (publish(b"", expiration="1.5"), 406, "invalid expiration '1.5': {leftover_string,\".5\"}"),
    "expiration 1e3": (publish(b"", expiration="1e3"), 406, "invalid expiration '1e3': {leftover_string,\"e3\"}"),
    "expiration with a space": (publish(b"", expiration=" 10"), 406, "invalid expiration ' 10': no_integer"),
    "expiration of more than ten years": (
        publish(b"", expiration="315360000001"),
        406,
        "invalid expiration '315360000001': {value_too_large,315360000001}",
    ),
    "somebody else's user-id": (
        publish(b"", user_id="bob"),
        406,
        "user_id property set to 'bob' but authenticated user was 'guest'",
    ),
    "empty user-id": (
        publish(b"", user_id=""),
        406,
        "user_id property set to '' but authenticated user was 'guest'",
    ),
    "message too big": (
        publish(b"x" * 16777217),
        406,
        "message size 16777217 is larger than configured max size 16777216",
    ),
    # settling
    "ack of an unknown tag": (m("basic.ack", delivery_tag=99), 406, "unknown delivery tag 99"),
    "ack of 0": (m("basic.ack", delivery_tag=0), 406, "unknown delivery tag 0"),
    "ack of an unknown tag, multiple": (
        m("basic.ack", delivery_tag=99, multiple=True),
        406,
        "unknown delivery tag 99",
    ),
    "nack of an unknown tag": (m("basic.nack", delivery_tag=99), 406, "unknown delivery tag 99"),
    "reject of an unknown tag": (m("basic.reject", delivery_tag=99), 406, "unknown delivery tag 99"),
    "ack of the largest tag": (
        m("basic.ack", delivery_tag=2**64 - 1),
        406,
        "unknown delivery tag 18446744073709551615",
    ),
    # modes
    "commit": (m("tx.commit"), 406, "channel is not transactional"),
    "rollback": (m("tx.rollback"), 406, "channel is not transactional"),
    # direct reply-to
    "reply consumer that acknowledges": (
        m("basic.consume", queue="amq.rabbitmq.reply-to"),
        406,
        "reply consumer cannot acknowledge",
    ),
    "request without a reply consumer": (
        publish(b"", reply_to="amq.rabbitmq.reply-to"),
        406,
        "fast reply consumer does not exist",
    ),
    # bindings
    "topic with three #": (
        m("queue.bind", queue="q", exchange="amq.topic", routing_key="a.#.b.#.c.#"),
        406,
        "Topic binding key 'a.#.b.#.c.#' uses 3 '#' wildcards, at most 2 are allowed",
    ),
    **{
        f"x-match {value!r}": (
            m("queue.bind", queue="q", exchange="amq.headers", arguments={"x-match": value}),
            406,
            f"Invalid x-match field {text}; expected {expected}",
        )
        for value, text, expected in [
            ("zip", 'value <<"zip">>', "all, any, all-with-x, or any-with-x"),
            ("", "value <<>>", "all, any, all-with-x, or any-with-x"),
            (T("b", 1), "type byte (value 1)", "longstr"),
            (True, "type bool (value true)", "longstr"),
            (None, "type void (value undefined)", "longstr"),
        ]
    },
    **{
        f"{name} {value!r}": (
            publish(b"", headers={name: value}),
            406,
            f'invalid message: {{unacceptable_type_in_header,"{name}",{kind}}}',
        )
        for name in ("CC", "BCC")
        for value, kind in [
            ("q", "longstr"),
            (1, "signedint"),
            ({}, "table"),
            (None, "void"),
            (True, "bool"),
            (b"q", "binary"),
        ]
    },
}
NAMES = {403: "ACCESS_REFUSED", 404: "NOT_FOUND", 405: "RESOURCE_LOCKED", 406: "PRECONDITION_FAILED"}


@pytest.mark.parametrize("row", CHANNEL_ERRORS)
def test_an_error_of_the_channel(row):
    """1.1: the channel is closed, the connection goes on."""
    said, code, text = CHANNEL_ERRORS[row]
    world = World()
    client, other = world.client(), world.client()
    other.declare("q")
    client >> said
    client.channel_closed(code, f"{NAMES[code]} - {text}", said.name)
    client.reopen()
    assert other.drain("q") == []


CONNECTION_ERRORS = {
    "immediate": (m("basic.publish", immediate=True), 540, "NOT_IMPLEMENTED - immediate=true"),
    "immediate comes before a missing exchange": (
        m("basic.publish", immediate=True, exchange="nope"),
        540,
        "NOT_IMPLEMENTED - immediate=true",
    ),
    "prefetch_size": (m("basic.qos", prefetch_size=1), 540, "NOT_IMPLEMENTED - prefetch_size!=0 (1)"),
    "the largest prefetch_size": (
        m("basic.qos", prefetch_size=4294967295),
        540,
        "NOT_IMPLEMENTED - prefetch_size!=0 (4294967295)",
    ),
    "recover without requeue": (m("basic.recover"), 540, "NOT_IMPLEMENTED - requeue=false"),
    "recover-async without requeue": (m("basic.recover-async"), 540, "NOT_IMPLEMENTED - requeue=false"),
    "flow off": (m("channel.flow"), 540, "NOT_IMPLEMENTED - active=false"),
}


@pytest.mark.parametrize("row", CONNECTION_ERRORS)
def test_an_error_of_the_connection(row):
    """1.1"""
    said, code, text = CONNECTION_ERRORS[row]
    client = World().client()
    if said.name == "basic.publish":
        said.body = b""
    client >> said
    client.connection_closed(code, text, said.name)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("queue.delete", {"queue": "nope"}),
        ("queue.delete", {"queue": "\r\n"}),
        ("exchange.delete", {"exchange": "nope"}),
        ("queue.unbind", {"queue": "q", "exchange": "amq.direct", "routing_key": "none"}),
        ("queue.unbind", {"queue": "nope", "exchange": "amq.direct"}),
        ("queue.unbind", {"queue": "q", "exchange": "nope"}),
        ("exchange.unbind", {"destination": "nope", "source": "amq.direct"}),
        ("exchange.unbind", {"destination": "amq.direct", "source": "nope"}),
        ("exchange.unbind", {"destination": "amq.direct", "source": "amq.fanout"}),
        ("basic.cancel", {"consumer_tag": "nobody"}),
    ],
)
def test_what_is_not_there_need_not_be_removed(name, fields):
    """1.1: idempotent, never an error."""
    client = World().client()
    client.declare("q")
    answer = client.call(name, **fields)
    assert answer.fields.get("message_count", 0) == 0


@pytest.mark.parametrize(
    ("row", "name"),
    [
        (m("queue.purge", queue="nope", nowait=True), "queue.purge"),
        (declare("nope", passive=True, nowait=True), "queue.declare"),
        (m("basic.consume", queue="nope", nowait=True), "basic.consume"),
        (m("queue.bind", queue="nope", exchange="amq.direct", nowait=True), "queue.bind"),
    ],
)
def test_errors_come_even_with_nowait(row, name):
    """7"""
    client = World().client()
    client >> row
    client.channel_closed(404, "NOT_FOUND - no queue 'nope' in vhost '/'", name)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("queue.declare", {"queue": "new"}),
        ("queue.bind", {"queue": "q", "exchange": "amq.direct"}),
        ("queue.purge", {"queue": "q"}),
        ("queue.delete", {"queue": "q"}),
        ("exchange.declare", {"exchange": "x", "type": "direct"}),
        ("exchange.delete", {"exchange": "x"}),
        ("exchange.bind", {"destination": "amq.direct", "source": "amq.fanout"}),
        ("exchange.unbind", {"destination": "amq.direct", "source": "amq.fanout"}),
        ("basic.consume", {"queue": "q"}),
        ("basic.cancel", {"consumer_tag": "t"}),
        ("confirm.select", {}),
    ],
)
def test_nowait_has_no_answer(name, fields):
    """7"""
    client = World().client()
    client.declare("q")
    client >> m(name, nowait=True, **fields)
    client.quiet()


def test_long_texts_are_cut_with_dots():
    """1: a short string has 255 bytes."""
    client = World().client()
    client >> m("queue.purge", queue="n" * 255)
    close = client.expect("channel.close", reply_code=404)
    assert close.reply_text == "NOT_FOUND - no queue '" + "n" * 230 + "..."
    assert len(close.reply_text) == 255


def test_long_texts_are_not_cut_within_a_letter():
    client = World().client()
    client >> m("queue.purge", queue="é" * 127)
    text = client.expect("channel.close", reply_code=404).reply_text
    assert text.endswith("é...")
    assert 253 <= len(text.encode()) <= 255


def test_the_redeclaration_of_a_property_names_it():
    """1.1"""
    client = World().client()
    client.declare("q")
    client.exchange("x", "direct")
    rows = [
        (declare(durable=True), f"arg 'durable' for {QUEUE_Q}: received 'true' but current is 'false'"),
        (declare(auto_delete=True), f"arg 'auto_delete' for {QUEUE_Q}: received 'true' but current is 'false'"),
        (exchange(kind="topic"), f"arg 'type' for {EXCHANGE_X}: received 'topic' but current is 'direct'"),
        (exchange(durable=True), f"arg 'durable' for {EXCHANGE_X}: received 'true' but current is 'false'"),
        (exchange(auto_delete=True), f"arg 'auto_delete' for {EXCHANGE_X}: received 'true' but current is 'false'"),
        (exchange(internal=True), f"arg 'internal' for {EXCHANGE_X}: received 'true' but current is 'false'"),
        (
            exchange(arguments={"alternate-exchange": "y"}),
            f"arg 'alternate-exchange' for {EXCHANGE_X}: received the value 'y' of type 'longstr' but current is none",
        ),
        (
            exchange(kind="topic", durable=True, auto_delete=True, internal=True),
            f"arg 'type' for {EXCHANGE_X}: received 'topic' but current is 'direct'",
        ),
        (
            exchange(durable=True, auto_delete=True, internal=True),
            f"arg 'durable' for {EXCHANGE_X}: received 'true' but current is 'false'",
        ),
    ]
    for said, text in rows:
        client >> said
        client.channel_closed(406, f"PRECONDITION_FAILED - inequivalent {text}", said.name)
        client.reopen()


def test_if_unused_and_if_empty():
    """1.1: if-empty is checked first."""
    client = World().client(channels=(1, 2))
    client.declare("q")
    client.exchange("x")
    client.bind("q", "x")
    client >> m("exchange.delete", exchange="x", if_unused=True)
    client.channel_closed(406, f"PRECONDITION_FAILED - {EXCHANGE_X} in use", "exchange.delete")
    client.reopen().on(2).consume("q")
    client >> m("queue.delete", queue="q", if_unused=True)
    client.channel_closed(406, f"PRECONDITION_FAILED - {QUEUE_Q} in use", "queue.delete")
    client.reopen().on(2).call("basic.cancel", consumer_tag="t")
    client >> publish(b"1")
    client.on(2).consume("q", "u", no_ack=True)
    client.on(2) << m("basic.deliver")
    client.on(2).call("basic.cancel", consumer_tag="u")
    client >> publish(b"1")
    client >> m("queue.delete", queue="q", if_unused=True, if_empty=True)
    client.channel_closed(406, f"PRECONDITION_FAILED - {QUEUE_Q} not empty", "queue.delete")
    client.reopen().call("queue.purge", queue="q")
    client.call("queue.delete", queue="q", if_unused=True, if_empty=True)


def test_if_empty_counts_ready_messages_only():
    client = World().client()
    client.declare("q")
    client >> publish(b"1")
    client.get("q", no_ack=False)
    assert client.call("queue.delete", queue="q", if_empty=True).message_count == 0


@pytest.mark.parametrize(
    "said",
    [
        declare(),
        declare(exclusive=True),
        declare(passive=True),
        m("basic.consume", queue="q"),
        m("basic.get", queue="q"),
        m("queue.bind", queue="q", exchange="amq.direct"),
        m("queue.unbind", queue="q", exchange="amq.fanout", routing_key="bound"),
        m("queue.purge", queue="q"),
        m("queue.delete", queue="q"),
    ],
    ids=lambda said: said.name + (" exclusive" if said.fields.get("exclusive") else ""),
)
def test_another_connections_exclusive_queue_is_locked(said):
    """1.1, 4"""
    world = World()
    owner, client = world.client(), world.client()
    owner.declare("q", exclusive=True)
    owner.bind("q", "amq.fanout", "bound")
    client >> said
    text = (
        f"RESOURCE_LOCKED - cannot obtain exclusive access to locked {QUEUE_Q}. It could be originally declared on "
        "another connection or the exclusive property value does not match that of the original declaration."
    )
    client.channel_closed(405, text, said.name)


@pytest.mark.parametrize(("first", "second"), [(True, False), (False, True)])
def test_exclusive_must_be_repeated_even_on_the_same_connection(first, second):
    """4: checked before durable, auto_delete and arguments."""
    client = World().client()
    client.declare("q", exclusive=first)
    client >> declare(exclusive=second, durable=True, auto_delete=True, arguments={"x-max-length": 1})
    client.expect("channel.close", reply_code=405)


def test_impersonators_may_name_anybody():
    """19, 1.1"""
    client = World().client(user="boss")
    client.declare("q")
    client >> publish(b"1", user_id="bob")
    assert client.get("q").properties["user_id"] == "bob"


def test_ones_own_user_id_is_accepted():
    client = World().client(user="alice")
    client.declare("q")
    client >> publish(b"1", user_id="alice")
    assert client.get("q").properties["user_id"] == "alice"


@pytest.mark.parametrize(
    ("first", "second", "text"),
    [
        ("confirm.select", "tx.select", "cannot switch from confirm to tx mode"),
        ("tx.select", "confirm.select", "cannot switch from tx to confirm mode"),
    ],
)
def test_transactions_and_confirms_exclude_each_other(first, second, text):
    """1.1"""
    client = World().client()
    client.call(first)
    client.call(first)
    client >> m(second)
    client.channel_closed(406, f"PRECONDITION_FAILED - {text}", second)


def test_the_order_of_checks_on_a_publish():
    """6: exchange, internal, reply-to, expiration, CC and BCC, user-id."""
    client = World().client()
    wrong = {"reply_to": "amq.rabbitmq.reply-to", "expiration": "x", "headers": {"CC": 1}, "user_id": "bob"}
    steps = [
        ("reply_to", "fast reply"),
        ("expiration", "expiration"),
        ("headers", "unacceptable"),
        ("user_id", "user_id"),
    ]
    client >> publish(b"", exchange="nope", **wrong)
    client.channel_closed(404, "NOT_FOUND - no exchange 'nope' in vhost '/'", "basic.publish")
    client.reopen()
    client >> publish(b"", exchange="amq.rabbitmq.trace", **wrong)
    text = "ACCESS_REFUSED - cannot publish to internal exchange 'amq.rabbitmq.trace' in vhost '/'"
    client.channel_closed(403, text, "basic.publish")
    for name, words in steps:
        client.reopen() >> publish(b"", **wrong)
        assert words in client.expect("channel.close", reply_code=406).reply_text
        client >> m("channel.close-ok")
        del wrong[name]


def test_an_expiration_is_read_as_erlang_reads_integers():
    """10: a sign and leading zeros are accepted, and pass through as they came."""
    client = World().client()
    client.declare("q")
    for text in ("+5000", "0005000", "5000"):
        client >> publish(b"", expiration=text)
        assert client.get("q").properties["expiration"] == text
        client >> publish(b"", expiration=text)
        client.world.pass_ms(4999)
        assert client.counts() == (1, 0)
        client.world.pass_ms(1)
        assert client.counts() == (0, 0)
    client >> publish(b"", expiration="315360000000")
    client.quiet()


def test_the_tests_own_codec_agrees_with_itself():
    """A typo in the catalogue of methods would make every test above lie."""
    assert short("ab") == b"\x02ab"
    assert longstr("ab") == b"\0\0\0\x02ab"
    assert declare("q", durable=True, nowait=True).frames(1) == (
        b"\x01\0\x01\0\0\0\x0d\0\x32\0\x0a\0\0\x01q\x12\0\0\0\0\xce"
    )
