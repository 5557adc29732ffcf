"""The forms of PLAIN and AMQPLAIN responses, and the names in certificates."""

import pytest
from harness import encode_table

from amqpd.auth import sasl
from amqpd.broker.ports import Certificate
from amqpd.errors import HandshakeFailure


def table(pairs):
    return encode_table(pairs)[4:]


def test_plain_gives_user_and_password():
    assert sasl.plain(b"\0alice\0se cret") == ("alice", b"se cret")


def test_plain_takes_an_empty_password_and_any_bytes():
    assert sasl.plain(b"\0alice\0") == ("alice", b"")
    assert sasl.plain("\0ålice\0pässwörd".encode()) == ("ålice", "pässwörd".encode())
    assert sasl.plain(b"\0\xff\0\xfe") == ("\udcff", b"\xfe")


@pytest.mark.parametrize(
    "response", [b"", b"\0", b"\0alice", b"alice\0secret", b"someone\0alice\0secret", b"\0alice\0sec\0ret", b"\0\0\0\0"]
)
def test_plain_of_another_form_is_refused(response):
    with pytest.raises(HandshakeFailure, match="PLAIN response"):
        sasl.plain(response)


def test_amqplain_gives_user_and_password():
    assert sasl.amqplain(table({"LOGIN": "alice", "PASSWORD": "secret"})) == ("alice", b"secret")


def test_amqplain_ignores_other_pairs_and_their_order():
    response = table({"x": 1, "PASSWORD": "secret", "y": [1, 2], "LOGIN": "alice"})
    assert sasl.amqplain(response) == ("alice", b"secret")


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"\0alice\0secret",
        b"\x05LOGINS\xff\xff\xff\xff",
        table({"LOGIN": "alice"}),
        table({"PASSWORD": "secret"}),
        table({"LOGIN": "alice", "PASSWORD": 1}),
        table({"LOGIN": None, "PASSWORD": "secret"}),
        table({"login": "alice", "password": "secret"}),
        table({"LOGIN": "alice", "PASSWORD": "secret"})[:-1],
    ],
)
def test_amqplain_of_another_form_is_refused(response):
    with pytest.raises(HandshakeFailure, match="AMQPLAIN response"):
        sasl.amqplain(response)


def test_a_response_that_is_refused_is_not_shown():
    with pytest.raises(HandshakeFailure) as refused:
        sasl.amqplain(table({"LOGIN": "alice", "PASSWORD": "secret"})[:-1])
    assert "secret" not in str(refused.value)
    assert refused.value.__cause__ is None


NAMED = Certificate(
    "CN=alice,OU=sales,O=Example",
    "alice",
    [("dns", "a.example"), ("email", "a@example"), ("dns", "b.example"), ("ip", "192.0.2.7")],
)


@pytest.mark.parametrize(
    ("source", "san_type", "index", "name"),
    [
        ("distinguished_name", "dns", 0, "CN=alice,OU=sales,O=Example"),
        ("common_name", "dns", 0, "alice"),
        ("subject_alternative_name", "dns", 0, "a.example"),
        ("subject_alternative_name", "dns", 1, "b.example"),
        ("subject_alternative_name", "dns", 2, ""),
        ("subject_alternative_name", "email", 0, "a@example"),
        ("subject_alternative_name", "ip", 0, "192.0.2.7"),
        ("subject_alternative_name", "uri", 0, ""),
    ],
)
def test_the_name_in_a_certificate(source, san_type, index, name):
    assert sasl.external(NAMED, source, san_type, index) == name


@pytest.mark.parametrize("source", ["distinguished_name", "common_name", "subject_alternative_name"])
def test_a_certificate_may_name_nobody(source):
    assert sasl.external(Certificate("", "", []), source, "dns", 0) == ""
