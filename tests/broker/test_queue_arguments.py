"""What queues can be declared with, and what a redeclaration must repeat (behaviour 1.1, 4, 4.1)."""

import pytest
from harness import Typed as T
from harness import World, m

SUBJECT = "queue 'q' in vhost '/'"
TEN_YEARS_MS = 315_360_000_000


def refusal(arguments, **flags):
    """The reply-text with which a declaration is refused."""
    client = World().client()
    client >> m("queue.declare", queue="q", arguments=arguments, **flags)
    close = client.expect("channel.close", reply_code=406, class_id=50, method_id=10)
    assert not client.exists("q")
    prefix = "PRECONDITION_FAILED - "
    assert close.reply_text.startswith(prefix)
    return close.reply_text.removeprefix(prefix)


INVALID = [
    # integers
    *[
        ({name: value}, f'"expected integer, got {kind}"')
        for name in ("x-message-ttl", "x-expires", "x-max-length", "x-max-length-bytes", "x-max-priority")
        for value, kind in [
            ("5", "longstr"),
            (5.0, "double"),
            (True, "bool"),
            (None, "void"),
            ([], "array"),
            ({}, "table"),
        ]
    ],
    ({"x-max-length": T("T", 5)}, '"expected integer, got timestamp"'),
    ({"x-max-length": T("D", (0, 5))}, '"expected integer, got decimal"'),
    ({"x-max-length": b"5"}, '"expected integer, got binary"'),
    *[
        ({name: -1}, "{value_negative,-1}")
        for name in ("x-message-ttl", "x-expires", "x-max-length", "x-max-length-bytes", "x-max-priority")
    ],
    ({"x-expires": 0}, "{value_zero,0}"),
    ({"x-expires": TEN_YEARS_MS + 1}, "{value_too_large,315360000001}"),
    ({"x-message-ttl": TEN_YEARS_MS + 1}, "{value_too_large,315360000001}"),
    ({"x-max-priority": 256}, "{max_value_exceeded,256}"),
    ({"x-queue-version": 3}, "\"unsupported queue version '3'\""),
    ({"x-queue-version": 1}, "\"unsupported queue version '1'\""),
    # strings
    *[
        ({name: value}, f"{{unacceptable_type,{kind}}}")
        for name in ("x-overflow", "x-queue-type", "x-queue-leader-locator")
        for value, kind in [(1, "signedint"), (True, "bool")]
    ],
    ({"x-dead-letter-exchange": "x", "x-dead-letter-routing-key": 1}, "{unacceptable_type,signedint}"),
    ({"x-dead-letter-routing-key": "k"}, "routing_key_but_no_dlx_defined"),
    ({"x-overflow": "drop-tail"}, "invalid_overflow"),
    ({"x-overflow": ""}, "invalid_overflow"),
    ({"x-queue-type": "foo"}, "\"unsupported queue type 'foo'\""),
    ({"x-queue-leader-locator": "x"}, "invalid_queue_locator_arg"),
    # bools
    ({"x-single-active-consumer": "true"}, "{unacceptable_type,longstr}"),
    ({"x-single-active-consumer": 1}, "{unacceptable_type,signedint}"),
]


@pytest.mark.parametrize(("arguments", "reason"), INVALID, ids=str)
def test_an_invalid_value_is_406_in_erlangs_terms(arguments, reason):
    """1.1"""
    name = list(arguments)[-1]
    assert refusal(arguments) == f"invalid arg '{name}' for {SUBJECT}: {reason}"


@pytest.mark.parametrize(
    "name",
    [
        "x-delivery-limit",
        "x-dead-letter-strategy",
        "x-max-in-memory-length",
        "x-max-in-memory-bytes",
        "x-quorum-initial-group-size",
        "x-max-age",
        "x-stream-max-segment-size-bytes",
        "x-stream-filter-size-bytes",
        "x-initial-cluster-size",
        "x-delayed-retry-type",
    ],
)
def test_an_argument_of_another_queue_type_is_406(name):
    """1.1, 4.1: the type is printed as its module."""
    assert refusal({name: 1}) == f"invalid arg '{name}' for {SUBJECT} of queue type rabbit_classic_queue"


@pytest.mark.parametrize(("value", "kind"), [(1, "signedint"), (T("b", 1), "byte"), (True, "bool"), (None, "void")])
def test_a_dead_letter_exchange_must_be_a_string(value, kind):
    """1.1"""
    text = f"invalid type '{kind}' for arg 'x-dead-letter-exchange' in {SUBJECT}"
    assert refusal({"x-dead-letter-exchange": value}) == text


def test_of_several_wrong_arguments_x_expires_is_reported_first():
    wrong = {"x-max-priority": -1, "x-max-length": -1, "x-message-ttl": -1, "x-expires": -1}
    assert "'x-expires'" in refusal(wrong)


VALID = [
    {"x-message-ttl": 0},
    {"x-message-ttl": TEN_YEARS_MS},
    {"x-expires": 1},
    {"x-expires": TEN_YEARS_MS},
    {"x-max-length": 0},
    {"x-max-length": 2**40},
    {"x-max-length-bytes": T("B", 255)},
    {"x-max-priority": 0},
    {"x-max-priority": 255},
    {"x-overflow": "drop-head"},
    {"x-overflow": "reject-publish"},
    {"x-overflow": "reject-publish-dlx"},
    {"x-single-active-consumer": False},
    {"x-queue-type": "classic"},
    {"x-queue-type": ""},
    {"x-queue-version": 2},
    {"x-queue-mode": "lazy"},
    {"x-queue-mode": 5},
    {"x-queue-leader-locator": "client-local"},
    {"x-queue-master-locator": "anything"},
    {"x-dead-letter-exchange": ""},
    {"x-dead-letter-exchange": "nowhere", "x-dead-letter-routing-key": ""},
    {"x-unknown": [1, {"a": None}]},
]


@pytest.mark.parametrize("arguments", VALID, ids=str)
def test_a_valid_value_is_accepted_and_may_be_repeated(arguments):
    """4.1"""
    client = World().client()
    client.declare("q", arguments)
    client.declare("q", arguments)


# -- redeclaring


@pytest.mark.parametrize(
    ("first", "second", "text"),
    [
        (
            {"x-message-ttl": 1000},
            {"x-message-ttl": 2000},
            "arg 'x-message-ttl' for {}: received '2000' but current is '1000'",
        ),
        (
            {},
            {"x-message-ttl": T("s", 1000)},
            "arg 'x-message-ttl' for {}: received the value '1000' of type 'short' but current is none",
        ),
        (
            {"x-message-ttl": T("s", 1000)},
            {},
            "arg 'x-message-ttl' for {}: received none but current is the value '1000' of type 'short'",
        ),
        (
            {},
            {"x-single-active-consumer": False},
            "arg 'x-single-active-consumer' for {}: received the value 'false' of type 'bool' but current is none",
        ),
        (
            {},
            {"x-queue-version": 2},
            "arg 'x-queue-version' for {}: received the value '2' of type 'signedint' but current is none",
        ),
        (
            {},
            {"x-queue-mode": "lazy"},
            "arg 'x-queue-mode' for {}: received the value 'lazy' of type 'longstr' but current is none",
        ),
        (
            {},
            {"x-queue-leader-locator": "balanced"},
            "arg 'x-queue-leader-locator' for {}: received the value 'balanced' of type 'longstr' but current is none",
        ),
        (
            {"x-dead-letter-exchange": "a"},
            {"x-dead-letter-exchange": "b"},
            "arg 'x-dead-letter-exchange' for {}: received 'b' but current is 'a'",
        ),
        (
            {"x-max-length": 1, "x-message-ttl": 1},
            {"x-max-length": 2, "x-message-ttl": 2},
            "arg 'x-message-ttl' for {}: received '2' but current is '1'",
        ),
        (
            {},
            {"x-message-ttl": "x"},
            "arg 'x-message-ttl' for {}: received the value 'x' of type 'longstr' but current is none",
        ),
        ({"x-max-length": 1}, {"x-max-length": 1.0}, "arg 'x-max-length' for {}: received '"),
    ],
    ids=range(11),
)
def test_a_redeclaration_that_differs_is_406(first, second, text):
    """1.1, 4: a value is not validated again, only compared."""
    client = World().client()
    client.declare("q", first)
    client >> m("queue.declare", queue="q", arguments=second)
    close = client.expect("channel.close", reply_code=406)
    assert close.reply_text.startswith("PRECONDITION_FAILED - inequivalent " + text.format(SUBJECT))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"x-message-ttl": T("s", 1000)}, {"x-message-ttl": T("l", 1000)}),
        ({}, {"x-queue-type": "classic"}),
        ({"x-queue-type": "classic"}, {}),
        ({}, {"foo": 1}),
        ({"foo": 1}, {"foo": 2}),
        ({"foo": 1}, {}),
    ],
    ids=str,
)
def test_a_redeclaration_that_means_the_same_is_accepted(first, second):
    """4: integers compare across widths, unknown arguments are not compared, the type is classic by default."""
    client = World().client()
    client.declare("q", first)
    client.declare("q", second)


def test_durable_is_checked_before_auto_delete_before_arguments():
    """4"""
    client = World().client()
    client.declare("q")
    for flags, name in [
        ({"durable": True, "auto_delete": True}, "durable"),
        ({"auto_delete": True}, "auto_delete"),
        ({}, "x-max-length"),
    ]:
        client >> m("queue.declare", queue="q", arguments={"x-max-length": 1}, **flags)
        assert f"arg '{name}'" in client.expect("channel.close").reply_text
        client >> m("channel.close-ok")
        client.reopen()


def test_an_exclusive_queue_is_not_durable_whatever_it_says():
    """4: both forms redeclare."""
    client = World().client()
    client.declare("q", durable=True, exclusive=True)
    client.declare("q", exclusive=True)
    assert client.world.vhost.queues["q"].durable is False


def test_a_passive_declaration_compares_nothing():
    """4"""
    client = World().client()
    client.declare("q", {"x-max-length": 1})
    client.declare("q", {"x-max-length": "no"}, passive=True, durable=True, auto_delete=True)


@pytest.mark.parametrize("kind", ["quorum", "stream"])
def test_queue_types_that_are_not_there_yet_are_540(kind):
    """A queue of another type than was asked for would be a lie."""
    client = World().client()
    client >> m("queue.declare", queue="q", durable=True, arguments={"x-queue-type": kind})
    client.expect("connection.close", reply_code=540, class_id=50, method_id=10)
    assert not client.exists("q")


def test_transient_shared_queues_are_accepted():
    """23: 4.3 refuses them by default; amqpd does not."""
    World().client().declare("q", durable=False)
