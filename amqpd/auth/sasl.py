"""What the SASL mechanisms say: a user name and, for PLAIN and AMQPLAIN, a password.

Does not check them against anything. A response that has not the mechanism's form raises HandshakeFailure, as RabbitMQ
drops such a connection without a word; wrong credentials are another matter and answered with a close.

EXTERNAL is for who has shown a certificate, which was verified, and ANONYMOUS for nodes that name a user for it; the
response to either says nothing that matters.

Sources: RFC 4616; RFC 4422 appendix A; AMQP 0-9-1 specification 1.4.2 on the response's form; RabbitMQ,
rabbit_auth_mechanism_plain and rabbit_auth_mechanism_amqplain, which take PLAIN only without an authorization identity,
and rabbit_ssl.
"""

from __future__ import annotations

from typing import Final

from amqpd.broker.ports import Certificate
from amqpd.errors import HandshakeFailure, MalformedError
from amqpd.wire import tables
from amqpd.wire.primitives import as_text

PLAIN: Final = "PLAIN"
AMQPLAIN: Final = "AMQPLAIN"
EXTERNAL: Final = "EXTERNAL"
ANONYMOUS: Final = "ANONYMOUS"


def plain(response: bytes) -> tuple[str, bytes]:
    r"""User name and password in `\0user\0password`. Raises HandshakeFailure."""
    parts = response.split(b"\0")
    if len(parts) != 3 or parts[0]:
        raise HandshakeFailure("the PLAIN response has not the form \\0user\\0password")
    return as_text(parts[1]), parts[2]


def amqplain(response: bytes) -> tuple[str, bytes]:
    """A table's LOGIN and PASSWORD; `response` has no length before it. Raises HandshakeFailure."""
    try:
        table = tables.decode_table(response)
    except MalformedError:  # whose text may show a part of the password
        raise HandshakeFailure("the AMQPLAIN response is no table") from None
    return as_text(_string(table, "LOGIN")), _string(table, "PASSWORD")


def _string(table: tables.Table, name: str) -> bytes:
    field = tables.lookup(table, name)
    if field is None or field.kind != tables.LONGSTR:
        raise HandshakeFailure(f"the AMQPLAIN response has no {name}, or it is no long string")
    return field.raw()


def external(certificate: Certificate, source: str, san_type: str, san_index: int) -> str:
    """The user name in a certificate, "" if it has none there.

    `source` is distinguished_name, common_name or subject_alternative_name; of the latter, the one with `san_index`
    among those of `san_type` (dns, email, uri, ip).
    """
    if source == "distinguished_name":
        return certificate.distinguished_name
    if source == "common_name":
        return certificate.common_name
    names = [value for kind, value in certificate.alternative_names if kind == san_type]
    return names[san_index] if san_index < len(names) else ""
