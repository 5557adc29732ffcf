"""Names out of certificates as RabbitMQ prints them, and what the log says of dates."""

import datetime
import ipaddress
import logging

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID, ObjectIdentifier

from amqpd.server.certificates import client_certificate, dated, distinguished_name, notices

NOW = datetime.datetime(2026, 6, 1, 12, tzinfo=datetime.UTC)


def name(*parts):
    return x509.Name([x509.NameAttribute(oid, text) for oid, text in parts])


def made(subject, alternative_names=(), valid_from=NOW, valid_until=NOW):
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder(name((NameOID.COMMON_NAME, "ca")), subject, key.public_key(), 1)
    builder = builder.not_valid_before(valid_from).not_valid_after(valid_until)
    if alternative_names:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternative_names), critical=False)
    return builder.sign(key, hashes.SHA256())


@pytest.mark.parametrize(
    ("parts", "shown"),
    [
        ([(NameOID.ORGANIZATION_NAME, "org"), (NameOID.COMMON_NAME, "client")], "CN=client,O=org"),
        (
            [(NameOID.COUNTRY_NAME, "DE"), (NameOID.STATE_OR_PROVINCE_NAME, "B"), (NameOID.LOCALITY_NAME, "M")],
            "L=M,ST=B,C=DE",
        ),
        ([(NameOID.EMAIL_ADDRESS, "a@b.org"), (NameOID.USER_ID, "u1")], "UID=u1,EMAILADDRESS=a@b.org"),
        ([(NameOID.DOMAIN_COMPONENT, "org"), (NameOID.DOMAIN_COMPONENT, "b")], "DC=b,DC=org"),
        (
            [(NameOID.SURNAME, "s"), (NameOID.GIVEN_NAME, "g"), (NameOID.SERIAL_NUMBER, "7"), (NameOID.TITLE, "t")],
            "TITLE=t,SERIALNUMBER=7,GIVENNAME=g,SN=s",
        ),
        ([(NameOID.STREET_ADDRESS, "Main Street 1")], "2.5.4.9=Main Street 1"),
        ([(ObjectIdentifier("1.2.3.4"), "odd")], "1.2.3.4=odd"),
        ([(NameOID.COMMON_NAME, ' #a,b+"c"<d>;e\\ ')], 'CN=\\ #a\\,b\\+\\"c\\"\\<d\\>\\;e\\\\\\ '),
        ([(NameOID.COMMON_NAME, "#x # y")], "CN=\\#x # y"),
        ([(NameOID.COMMON_NAME, " ")], "CN=\\ "),
        ([(NameOID.COMMON_NAME, "Žófia~\t")], "CN=\\C5\\BD\\C3\\B3fia\\7E\\09"),
        ([(NameOID.COMMON_NAME, "a\0b")], "CN=a\\00b"),
        ([], ""),
    ],
)
def test_names_are_printed_as_rabbitmq_prints_them(parts, shown):
    assert distinguished_name(name(*parts)) == shown
    assert client_certificate(made(name(*parts)).public_bytes(Encoding.DER)).distinguished_name == shown


def test_a_part_of_several_values():
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, "a"), x509.NameAttribute(NameOID.USER_ID, "b")]
    several = x509.RelativeDistinguishedName(attributes)
    org = x509.RelativeDistinguishedName([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "o")])
    assert distinguished_name(x509.Name([org, several])) == "CN=a+UID=b,O=o"


def test_common_names_and_alternative_names_in_order():
    subject = name((NameOID.COMMON_NAME, "first"), (NameOID.ORGANIZATION_NAME, "o"), (NameOID.COMMON_NAME, "second"))
    names = [
        x509.RFC822Name("a@b.org"),
        x509.DNSName("one.example"),
        x509.DirectoryName(subject),
        x509.UniformResourceIdentifier("spiffe://x/y"),
        x509.IPAddress(ipaddress.ip_address("192.0.2.1")),
        x509.DNSName("two.example"),
    ]
    certificate = client_certificate(made(subject, names).public_bytes(Encoding.DER))
    assert certificate.common_name == "first,second"
    assert certificate.alternative_names == [
        ("email", "a@b.org"),
        ("dns", "one.example"),
        ("uri", "spiffe://x/y"),
        ("ip", "192.0.2.1"),
        ("dns", "two.example"),
    ]


def test_a_certificate_without_names():
    certificate = client_certificate(made(name()).public_bytes(Encoding.DER))
    assert (certificate.distinguished_name, certificate.common_name, certificate.alternative_names) == ("", "", [])


def test_what_cannot_be_read_raises():
    with pytest.raises(ValueError):
        client_certificate(b"junk")
    with pytest.raises(ValueError):
        dated("s", "f", b"junk")
    twice = made(name(), [x509.DNSName("a")]).public_bytes(Encoding.DER)
    with pytest.raises(ValueError):
        client_certificate(twice.replace(b"\x82\x01a", b"\x83\x01a"))  # an X.400 address, which nobody can read


def day(number):
    return NOW + datetime.timedelta(days=number)


@pytest.mark.parametrize(
    ("valid_from", "valid_until", "level", "end"),
    [
        (-10, 31, None, ""),
        (-10, 30, logging.WARNING, "expires on 2026-07-01 12:00 UTC, in 30 days"),
        (-10, 1.5, logging.WARNING, "expires on 2026-06-03 00:00 UTC, in 1 day"),
        (-10, 0.5, logging.WARNING, "expires on 2026-06-02 00:00 UTC, within a day"),
        (-10, 0, logging.ERROR, "expired on 2026-06-01 12:00 UTC"),
        (-10, -5, logging.ERROR, "expired on 2026-05-27 12:00 UTC"),
        (1, 400, logging.ERROR, "is not valid before 2026-06-02 12:00 UTC"),
    ],
)
def test_what_the_log_says_of_dates(valid_from, valid_until, level, end):
    pem = made(name((NameOID.COMMON_NAME, "me")), (), day(valid_from), day(valid_until)).public_bytes(Encoding.PEM)
    found = list(notices(dated("ssl_options.certfile", "/etc/x.pem", pem), NOW, 30))
    expected = (level, f"ssl_options.certfile: the certificate CN=me in /etc/x.pem {end}")
    assert found == ([expected] if level is not None else [])


def test_a_warning_of_no_days_leaves_what_has_ended():
    soon = made(name(), (), day(-10), day(0.001)).public_bytes(Encoding.PEM)
    late = made(name(), (), day(-10), day(-1)).public_bytes(Encoding.PEM)
    found = list(notices(dated("s", "f", soon + late), NOW, 0))
    assert [level for level, _text in found] == [logging.ERROR]
