"""What stands in certificates: whom a client's names, and until when the node's own are valid.

Knows neither files nor sockets, and does not verify: that is OpenSSL's work, done before. Imports `cryptography`, so
nothing imports this module on a node without TLS.

A name is printed as RabbitMQ's `rabbit_cert_info` prints it, because it can be a user's name there (`EXTERNAL`): RFC
4514, the last part first, with a few short names of RabbitMQ's own, and everything that is not printable ASCII escaped.
One difference is meant: where Erlang does not know an attribute (UID is one) RabbitMQ prints an Erlang term instead of
its text.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509

from amqpd.broker.ports import Certificate

_SHORT_NAMES: Final = {
    "2.5.4.3": "CN",
    "2.5.4.4": "SN",
    "2.5.4.5": "SERIALNUMBER",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "2.5.4.12": "TITLE",
    "2.5.4.42": "GIVENNAME",
    "2.5.4.43": "INITIALS",
    "2.5.4.44": "GENERATIONQUALIFIER",
    "2.5.4.65": "PSEUDONYM",
    "0.9.2342.19200300.100.1.1": "UID",
    "0.9.2342.19200300.100.1.25": "DC",
    "1.2.840.113549.1.9.1": "EMAILADDRESS",
}
_SPECIAL: Final = frozenset(b'"+,;<>\\')


@dataclass(frozen=True, slots=True)
class Dated:
    """A certificate of the node's own, or of an authority, with the place where it stands."""

    setting: str
    file: str
    subject: str
    valid_from: datetime
    valid_until: datetime


def client_certificate(der: bytes) -> Certificate:
    """What a client's certificate says. Raises ValueError where it cannot be read."""
    certificate = x509.load_der_x509_certificate(der)
    subject = certificate.subject
    common_names = [_text(item) for item in subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)]
    try:
        alternative_names = list(_alternative_names(certificate))
    except (x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise ValueError(str(error)) from None
    return Certificate(distinguished_name(subject), ",".join(common_names), alternative_names)


def distinguished_name(name: x509.Name) -> str:
    """A name as RabbitMQ prints it: `CN=client,O=org`."""
    return ",".join("+".join(_part(item) for item in rdn) for rdn in reversed(name.rdns))


def _part(item: x509.NameAttribute[str | bytes]) -> str:
    oid = item.oid.dotted_string
    return f"{_SHORT_NAMES.get(oid, oid)}={_escaped(_text(item))}"


def _text(item: x509.NameAttribute[str | bytes]) -> str:
    return item.value if isinstance(item.value, str) else item.value.hex()


def _escaped(text: str) -> str:
    """RFC 4514 2.4, and every byte of UTF-8 that is not printable ASCII as a backslash and two hexadecimal digits."""
    raw = text.encode()
    escaped = []
    for place, byte in enumerate(raw):
        at_start, at_end = place == 0, place == len(raw) - 1
        if byte in _SPECIAL or (at_start and byte in b" #") or (at_end and byte == 0x20):
            escaped.append("\\" + chr(byte))
        elif 32 <= byte < 126:
            escaped.append(chr(byte))
        else:
            escaped.append(f"\\{byte:02X}")
    return "".join(escaped)


def _alternative_names(certificate: x509.Certificate) -> Iterator[tuple[str, str]]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return
    for name in names:
        if isinstance(name, x509.DNSName):
            yield "dns", name.value
        elif isinstance(name, x509.RFC822Name):
            yield "email", name.value
        elif isinstance(name, x509.UniformResourceIdentifier):
            yield "uri", name.value
        elif isinstance(name, x509.IPAddress):
            yield "ip", str(name.value)


def dated(setting: str, file: str, pem: bytes) -> list[Dated]:
    """The dates of all certificates in a file of the form PEM. Raises ValueError where one of them cannot be read."""
    return [
        Dated(
            setting,
            file,
            distinguished_name(certificate.subject),
            certificate.not_valid_before_utc,
            certificate.not_valid_after_utc,
        )
        for certificate in x509.load_pem_x509_certificates(pem)
    ]


def notices(certificates: Iterable[Dated], now: datetime, warning_days: int) -> Iterator[tuple[int, str]]:
    """What the log must say of them, as level and text. `warning_days` is 0 where only what has ended counts."""
    for item in certificates:
        what = f"{item.setting}: the certificate {item.subject} in {item.file}"
        left = item.valid_until - now
        if left <= timedelta(0):
            yield logging.ERROR, f"{what} expired on {_shown(item.valid_until)}"
        elif item.valid_from > now:
            yield logging.ERROR, f"{what} is not valid before {_shown(item.valid_from)}"
        elif left <= timedelta(days=warning_days):
            yield logging.WARNING, f"{what} expires on {_shown(item.valid_until)}, {_days(left)}"


def _shown(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M} UTC"


def _days(left: timedelta) -> str:
    days = left.days
    return "within a day" if days == 0 else f"in {days} day{'s' if days > 1 else ''}"
