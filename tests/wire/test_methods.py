"""What a server says, read by pamqp; and the names that pamqp refuses, read by hand."""

import pytest
from pamqp import commands, frame

from amqpd.wire import methods, tables
from amqpd.wire.frames import METHOD, write_frame
from amqpd.wire.primitives import BytesWriter, Reader, as_bytes

# All are names in RabbitMQ; pamqp refuses to send most of them.
ODD_NAMES = ["", "my q/é", "my ex!", "a" * 255, "\udcff", "emoji 🐇", "tab\tnewline\n", "{json}", "a" * 128]


def as_read(payload: bytes):
    """A method's payload as pamqp reads it."""
    out = BytesWriter()
    write_frame(out, METHOD, 1, payload)
    size, channel, found = frame.unmarshal(out.getvalue())
    assert (size, channel) == (len(out), 1)
    return found


FIXED = {
    methods.CHANNEL_CLOSE_OK_PAYLOAD: commands.Channel.CloseOk(),
    methods.CHANNEL_FLOW_OK_PAYLOAD: commands.Channel.FlowOk(True),
    methods.CONNECTION_OPEN_OK_PAYLOAD: commands.Connection.OpenOk(),
    methods.CONNECTION_CLOSE_OK_PAYLOAD: commands.Connection.CloseOk(),
    methods.CONNECTION_UNBLOCKED_PAYLOAD: commands.Connection.Unblocked(),
    methods.EXCHANGE_DECLARE_OK_PAYLOAD: commands.Exchange.DeclareOk(),
    methods.EXCHANGE_DELETE_OK_PAYLOAD: commands.Exchange.DeleteOk(),
    methods.EXCHANGE_BIND_OK_PAYLOAD: commands.Exchange.BindOk(),
    methods.EXCHANGE_UNBIND_OK_PAYLOAD: commands.Exchange.UnbindOk(),
    methods.QUEUE_BIND_OK_PAYLOAD: commands.Queue.BindOk(),
    methods.QUEUE_UNBIND_OK_PAYLOAD: commands.Queue.UnbindOk(),
    methods.BASIC_QOS_OK_PAYLOAD: commands.Basic.QosOk(),
    methods.BASIC_GET_EMPTY_PAYLOAD: commands.Basic.GetEmpty(),
    methods.BASIC_RECOVER_OK_PAYLOAD: commands.Basic.RecoverOk(),
    methods.CONFIRM_SELECT_OK_PAYLOAD: commands.Confirm.SelectOk(),
    methods.TX_SELECT_OK_PAYLOAD: commands.Tx.SelectOk(),
    methods.TX_COMMIT_OK_PAYLOAD: commands.Tx.CommitOk(),
    methods.TX_ROLLBACK_OK_PAYLOAD: commands.Tx.RollbackOk(),
}
BUILT = [
    (methods.connection_tune(2047, 131_072, 60), commands.Connection.Tune(2047, 131_072, 60)),
    (methods.connection_tune(65_535, 2**31 - 1, 65_535), commands.Connection.Tune(65_535, 2**31 - 1, 65_535)),
    (methods.connection_blocked("low on memory"), commands.Connection.Blocked("low on memory")),
    (
        methods.close(methods.CHANNEL_CLOSE, 404, "NOT_FOUND - x", methods.QUEUE_BIND),
        commands.Channel.Close(404, "NOT_FOUND - x", 50, 20),
    ),
    (methods.close(methods.CONNECTION_CLOSE, 320, "bye", 0), commands.Connection.Close(320, "bye", 0, 0)),
    (methods.queue_declare_ok("q", 3, 4), commands.Queue.DeclareOk("q", 3, 4)),
    (methods.counted(methods.QUEUE_PURGE_OK, 5), commands.Queue.PurgeOk(5)),
    (methods.counted(methods.QUEUE_DELETE_OK, 6), commands.Queue.DeleteOk(6)),
    (methods.tagged(methods.BASIC_CONSUME_OK, "t"), commands.Basic.ConsumeOk("t")),
    (methods.tagged(methods.BASIC_CANCEL_OK, "t"), commands.Basic.CancelOk("t")),
    (methods.basic_cancel("t"), commands.Basic.Cancel("t", True)),
    (methods.basic_return(312, "NO_ROUTE", b"\1x\2kk"), commands.Basic.Return(312, "NO_ROUTE", "x", "kk")),
    (methods.basic_get_ok(9, True, b"\1x\2kk", 8), commands.Basic.GetOk(9, True, "x", "kk", 8)),
    (methods.basic_get_ok(2**63 - 1, False, b"\0\0", 0), commands.Basic.GetOk(2**63 - 1, False, "", "", 0)),
]


def same(found, expected) -> bool:
    """pamqp's methods compare by identity."""
    return found.name == expected.name and dict(found) == dict(expected)


@pytest.mark.parametrize("payload", FIXED, ids=[command.name for command in FIXED.values()])
def test_replies_without_arguments_of_ours(payload):
    assert same(as_read(payload), FIXED[payload])


@pytest.mark.parametrize(("payload", "expected"), BUILT, ids=[command.name for _payload, command in BUILT])
def test_pamqp_reads_the_method_that_was_meant(payload, expected):
    assert same(as_read(payload), expected)


def test_every_payload_constant_is_tested():
    names = {name for name in vars(methods) if name.endswith("_PAYLOAD")}
    by_hand = {"ACCESS_REQUEST_OK_PAYLOAD", "CONNECTION_UPDATE_SECRET_OK_PAYLOAD", "CHANNEL_OPEN_OK_PAYLOAD"}
    assert {getattr(methods, name) for name in names - by_hand} == set(FIXED)


def test_replies_that_pamqp_does_not_know():
    assert methods.ACCESS_REQUEST_OK_PAYLOAD == b"\0\x1e\0\x0b\0\1"
    assert methods.CONNECTION_UPDATE_SECRET_OK_PAYLOAD == b"\0\x0a\0\x47"


def test_the_channel_id_that_nobody_uses_is_empty():
    """As RabbitMQ sends it; pamqp would send "0"."""
    assert methods.CHANNEL_OPEN_OK_PAYLOAD == b"\0\x14\0\x0b\0\0\0\0"
    assert as_read(methods.CHANNEL_OPEN_OK_PAYLOAD).name == "Channel.OpenOk"


def test_connection_start():
    properties = [
        ("product", tables.longstr("RabbitMQ")),
        ("capabilities", tables.subtable([("a", tables.boolean(True))])),
    ]
    found = as_read(methods.connection_start(properties, "PLAIN AMQPLAIN", "en_US"))
    assert found.name == "Connection.Start"
    assert (found.version_major, found.version_minor) == (0, 9)
    assert found.server_properties == {"product": "RabbitMQ", "capabilities": {"a": True}}
    assert (found.mechanisms, found.locales) == ("PLAIN AMQPLAIN", "en_US")


@pytest.mark.parametrize("tag", [1, 2**31, 2**32, 2**63 - 1])
def test_delivery_tags_are_64_bits(tag):
    reader = Reader(payload := methods.basic_get_ok(tag, False, b"\0\0", 0), 4, len(payload))
    assert reader.longlong() == tag


# -- names that pamqp refuses


@pytest.mark.parametrize("name", ["my q/é", "my ex!", "\udcff", "{json}"])
def test_pamqp_refuses_names_that_rabbitmq_accepts(name):
    """Why these methods are built here; if this fails pamqp accepts more than it did."""
    with pytest.raises(ValueError):
        frame.marshal(commands.Queue.DeclareOk(name, 0, 0), 1)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_in_declare_ok(name):
    payload = methods.queue_declare_ok(name, 2**32 - 1, 2**31)
    reader = Reader(payload, 0, len(payload))
    assert reader.long() == methods.QUEUE_DECLARE_OK
    assert reader.shortstr() == as_bytes(name)
    assert (reader.long(), reader.long()) == (2**32 - 1, 2**31)
    reader.finish()


@pytest.mark.parametrize("method", [methods.BASIC_CONSUME_OK, methods.BASIC_CANCEL_OK])
@pytest.mark.parametrize("tag", ODD_NAMES)
def test_odd_consumer_tags(method, tag):
    payload = methods.tagged(method, tag)
    reader = Reader(payload, 0, len(payload))
    assert reader.long() == method
    assert reader.shortstr() == as_bytes(tag)
    reader.finish()


@pytest.mark.parametrize("tag", ODD_NAMES)
def test_odd_consumer_tags_in_cancel(tag):
    payload = methods.basic_cancel(tag)
    reader = Reader(payload, 4, len(payload))
    assert reader.shortstr() == as_bytes(tag)
    assert reader.octet() == 1  # no-wait: the server expects no answer
    reader.finish()


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_in_return_and_get_ok(name):
    raw = as_bytes(name)
    address = bytes([len(raw)]) + raw + b"\1k"
    payload = methods.basic_return(312, "NO_ROUTE", address)
    reader = Reader(payload, 4, len(payload))
    assert (reader.short(), reader.shortstr(), reader.shortstr(), reader.shortstr()) == (312, b"NO_ROUTE", raw, b"k")
    reader.finish()
    payload = methods.basic_get_ok(1, True, address, 7)
    reader = Reader(payload, 4, len(payload))
    assert (reader.longlong(), reader.octet(), reader.shortstr(), reader.shortstr(), reader.long()) == (
        1,
        1,
        raw,
        b"k",
        7,
    )
    reader.finish()


@pytest.mark.parametrize("text", ["x" * 255, "NOT_FOUND - no queue 'é' in vhost '/'", "\udcff"])
def test_odd_reply_texts(text):
    payload = methods.close(methods.CHANNEL_CLOSE, 404, text, methods.BASIC_GET)
    reader = Reader(payload, 4, len(payload))
    assert (reader.short(), reader.shortstr(), reader.short(), reader.short()) == (404, as_bytes(text), 60, 70)
    reader.finish()


# -- numbers and names


def test_every_method_has_a_name_as_the_specification_writes_it():
    numbers = {name: value for name, value in vars(methods).items() if isinstance(value, int) and value > 0xFFFF}
    assert len(numbers) == len(set(numbers.values()))
    for constant, number in numbers.items():
        head, _, tail = constant.lower().partition("_")
        assert methods.NAMES[number] == f"{head}.{tail.replace('_', '-')}"


def test_every_method_of_pamqps_catalogue_has_a_name():
    for number, command in commands.INDEX_MAPPING.items():
        assert methods.NAMES[number].replace(".", "").replace("-", "") == command.name.replace(".", "").lower()


def test_the_numbers_are_pamqps():
    for constant, value in vars(methods).items():
        if isinstance(value, int) and value > 0xFFFF and value in commands.INDEX_MAPPING:
            name = commands.INDEX_MAPPING[value].name.replace(".", "_")
            assert constant.replace("_", "") == name.replace("_", "").upper()
