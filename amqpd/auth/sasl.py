"""The responses of the SASL mechanisms PLAIN and AMQPLAIN, as user name and password.

Does not check them against anything. A response that has not the mechanism's form raises HandshakeFailure, as RabbitMQ
drops such a connection without a word; wrong credentials are another matter and answered with a close.

Sources: RFC 4616; AMQP 0-9-1 specification 1.4.2 on the response's form; rabbit_auth_mechanism_plain and
rabbit_auth_mechanism_amqplain, which take PLAIN only without an authorization identity.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from amqpd.errors import HandshakeFailure, MalformedError
from amqpd.wire import tables
from amqpd.wire.primitives import as_text

Credentials = tuple[str, bytes]


def plain(response: bytes) -> Credentials:
    r"""The credentials in `\0user\0password`. Raises HandshakeFailure."""
    parts = response.split(b"\0")
    if len(parts) != 3 or parts[0]:
        raise HandshakeFailure("the PLAIN response has not the form \\0user\\0password")
    return as_text(parts[1]), parts[2]


def amqplain(response: bytes) -> Credentials:
    """The credentials in a table's LOGIN and PASSWORD; `response` has no length before it. Raises HandshakeFailure."""
    try:
        table = tables.decode_table(response)
    except MalformedError as error:
        raise HandshakeFailure(f"the AMQPLAIN response is no table: {error}") from None
    return as_text(_string(table, "LOGIN")), _string(table, "PASSWORD")


def _string(table: tables.Table, name: str) -> bytes:
    field = tables.lookup(table, name)
    if field is None or field.kind != tables.LONGSTR:
        raise HandshakeFailure(f"the AMQPLAIN response has no {name}, or it is no long string")
    return field.raw()


# In the order of RabbitMQ's offer. Its third, ANONYMOUS, is not offered: nobody should get in without a password
# because a client library picked it.
MECHANISMS: Final[dict[str, Callable[[bytes], Credentials]]] = {"AMQPLAIN": amqplain, "PLAIN": plain}
