"""Certificates from files: what is wrong with them, which one a client gets, a reload, and the dates in the log."""

import datetime
import logging
import shutil

import pytest
import trio
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from secure import MemoryClient, Pki, shake_hands

from amqpd.app import Node
from amqpd.errors import ConfigError
from amqpd.server.contexts import DAY_S
from amqpd.server.tls import TlsError

PASSWORD = "open sesame"


@pytest.fixture
def files(pki, tmp_path):
    """A directory of right and wrong files."""
    issued, other = pki.ca.issue_cert("a.example"), pki.ca.issue_cert("b.example")
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)

    def locked(form):
        return key.private_bytes(Encoding.PEM, form, BestAvailableEncryption(PASSWORD.encode()))

    contents = {
        "cert.pem": issued.cert_chain_pems[0].bytes(),
        "key.pem": issued.private_key_pem.bytes(),
        "other-key.pem": other.private_key_pem.bytes(),
        "locked.pem": locked(PrivateFormat.PKCS8),
        "locked-old.pem": locked(PrivateFormat.TraditionalOpenSSL),
        "junk.pem": b"junk\n",
        "bad-cert.pem": b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "bad-key.pem": b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    }
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    return tmp_path


@pytest.mark.parametrize(
    ("certfile", "keyfile", "error"),
    [
        ("none.pem", "", "ssl_options.certfile: {certfile} cannot be read: No such file or directory"),
        ("", "", "ssl_options.certfile: {certfile} cannot be read: Is a directory"),
        ("cert.pem\0", "", "ssl_options.certfile: {certfile!r} is no name of a file"),
        ("junk.pem", "", "ssl_options.certfile: {certfile} has no certificate in PEM in it"),
        ("key.pem", "key.pem", "ssl_options.certfile: {certfile} has no certificate in PEM in it"),
        ("cert.pem", "", "ssl_options.certfile: {certfile} has no private key in PEM in it; set ssl_options.keyfile"),
        ("cert.pem", "none.pem", "ssl_options.keyfile: {keyfile} cannot be read: No such file or directory"),
        ("cert.pem", "junk.pem", "ssl_options.keyfile: {keyfile} has no private key in PEM in it"),
        ("cert.pem", "cert.pem", "ssl_options.keyfile: {keyfile} has no private key in PEM in it"),
        ("cert.pem", "other-key.pem", "ssl_options.keyfile: {keyfile} is not the key of the certificate in {certfile}"),
        ("cert.pem", "locked.pem", "ssl_options.keyfile: {keyfile} has a key that ssl_options.password does not open"),
        (
            "cert.pem",
            "locked-old.pem",
            "ssl_options.keyfile: {keyfile} has a key that ssl_options.password does not open",
        ),
        ("cert.pem", "bad-key.pem", "ssl_options.certfile: {certfile} or its key is damaged"),
        ("bad-cert.pem", "key.pem", "ssl_options.certfile: {certfile} or its key is damaged"),
    ],
)
def test_a_wrong_file_is_named_with_setting_and_reason(pki, files, certfile, keyfile, error):
    certfile, keyfile = f"{files}/{certfile}", f"{files}/{keyfile}" if keyfile else ""
    with pytest.raises(ConfigError) as caught:
        pki.contexts(certfile=certfile, keyfile=keyfile, password="not " + PASSWORD)
    assert str(caught.value).startswith(error.format(certfile=certfile, keyfile=keyfile))
    assert PASSWORD not in str(caught.value)


def test_a_password_that_is_needed_is_asked_for(pki, files):
    with pytest.raises(ConfigError, match=r"locked.pem has a key with a password: set ssl_options\.password$"):
        pki.contexts(certfile=f"{files}/cert.pem", keyfile=f"{files}/locked.pem")


@pytest.mark.parametrize("keyfile", ["locked.pem", "locked-old.pem", "key.pem"])
def test_the_password_opens_the_key(pki, files, keyfile):
    rules = pki.contexts(certfile=f"{files}/cert.pem", keyfile=f"{files}/{keyfile}", password=PASSWORD)
    assert served(rules, pki, "a.example") == "a.example"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("none.pem", "cannot be read: No such file or directory"),
        ("junk.pem", "has no certificate in PEM in it"),
        ("key.pem", "has no certificate in PEM in it"),
        ("bad-cert.pem", "is damaged"),
    ],
)
def test_wrong_authorities(pki, files, name, reason):
    with pytest.raises(ConfigError, match=f"^ssl_options.cacertfile: {files}/{name} {reason}"):
        pki.contexts(cacertfile=f"{files}/{name}")


def test_authorities_with_remarks_in_any_language(pki, files):
    (files / "ca.pem").write_bytes("# Žófia's\n".encode() + pki.ca.cert_pem.bytes())
    rules = pki.contexts(cacertfile=f"{files}/ca.pem", verify="verify_peer")
    client, server = MemoryClient(pki.client(pki.issue("client.pem", "client"))), rules.open()
    shake_hands(client, server)
    assert server.certificate is not None


def test_an_authority_below_another_can_be_believed_alone(pki, tmp_path):
    below = pki.ca.create_child_ca()
    (tmp_path / "below.pem").write_bytes(below.cert_pem.bytes())
    rules = pki.contexts(cacertfile=f"{tmp_path}/below.pem", verify="verify_peer", fail_if_no_peer_cert=True)
    client, server = MemoryClient(pki.client(pki.issue("below-client.pem", "client", ca=below))), rules.open()
    shake_hands(client, server)
    assert server.certificate is not None


def test_ciphers_that_nobody_knows(pki):
    with pytest.raises(ConfigError, match=r"^ssl_options\.ciphers: OpenSSL knows none of them"):
        pki.contexts(ciphers="nonsense")


def test_a_node_does_not_start_with_wrong_files(pki, files):
    with pytest.raises(ConfigError, match=r"none\.pem cannot be read"):
        Node(pki.settings(certfile=f"{files}/none.pem"))


def test_without_a_listener_nobody_reads_the_files(pki, files):
    settings = pki.settings(certfile=f"{files}/none.pem")
    settings._values["tls_listeners"] = []
    assert Node(settings).tls is None


# -- by host name


def served(rules, pki, host, asked=...):
    """The first name in the certificate that a client gets who asks for `asked`."""
    context = pki.client()
    context.check_hostname = False
    client = MemoryClient(context, host if asked is ... else asked)
    shake_hands(client, rules.open())
    return client.ssl.getpeercert()["subjectAltName"][0][1]


@pytest.fixture
def by_name(pki, files):
    for name in ("one.example", "*.two.example"):
        issued = pki.ca.issue_cert(name)
        (files / f"{name}.cert").write_bytes(issued.cert_chain_pems[0].bytes())
        (files / f"{name}.key").write_bytes(issued.private_key_pem.bytes())
    return [
        f"One.Example={files}/one.example.cert:{files}/one.example.key",
        f"*.two.example={files}/*.two.example.cert:{files}/*.two.example.key",
    ]


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("one.example", "one.example"),
        ("ONE.example", "one.example"),
        ("a.two.example", "*.two.example"),
        ("two.example", Pki.host),
        ("a.b.two.example", Pki.host),
        ("sub.one.example", Pki.host),
        ("example", Pki.host),
        ("127.0.0.1", Pki.host),  # addresses are not sent
        (None, Pki.host),
    ],
)
def test_a_client_gets_the_certificate_of_the_host_it_asks_for(pki, by_name, asked, name):
    assert served(pki.contexts(sni=by_name), pki, name, asked) == name


def test_the_same_rules_hold_whatever_the_name(pki, by_name):
    rules = pki.contexts(sni=by_name, verify="verify_peer", fail_if_no_peer_cert=True, versions=["tlsv1.2"])
    client, server = MemoryClient(pki.client(pki.issue("client.pem", "client")), "one.example"), rules.open()
    shake_hands(client, server)
    assert server.version == "TLSv1.2"
    assert server.certificate is not None


@pytest.mark.parametrize(
    ("entry", "error"),
    [
        ("c.example={files}/none.pem:{files}/key.pem", "ssl_options.sni: c.example: {files}/none.pem cannot be read"),
        (
            "c.example={files}/cert.pem:{files}/other-key.pem",
            "ssl_options.sni: c.example: {files}/other-key.pem is not the key of the certificate in {files}/cert.pem",
        ),
        ("one.example={files}/cert.pem:{files}/key.pem", "ssl_options.sni: one.example is there twice"),
        ("žófia.example={files}/cert.pem:{files}/key.pem", "ssl_options.sni: žófia.example: write the name"),
    ],
)
def test_wrong_entries_by_name(pki, files, by_name, entry, error):
    with pytest.raises(ConfigError) as caught:
        pki.contexts(sni=[*by_name, entry.format(files=files)])
    assert str(caught.value).startswith(error.format(files=files))


# -- reload


def test_a_reload_is_for_those_who_come_later(pki, files, caplog):
    caplog.set_level(logging.INFO)
    rules = pki.contexts()
    context = pki.client()
    context.check_hostname = False
    client, before = MemoryClient(context), rules.open()
    assert not client.handshake()
    rules.reload(pki.settings(certfile=f"{files}/cert.pem", keyfile=f"{files}/key.pem"))
    shake_hands(client, before)
    assert client.ssl.getpeercert()["subjectAltName"][0][1] == Pki.host
    client.received.write(before.encrypt(b"still here"))
    assert client.read() == b"still here"
    assert served(rules, pki, "a.example") == "a.example"
    assert "new connections use" in caplog.text


def test_a_file_that_was_replaced_is_read_again(pki, tmp_path):
    shutil.copy(pki.server_file, tmp_path / "node.pem")
    settings = pki.settings(certfile=f"{tmp_path}/node.pem")
    rules = pki.contexts(certfile=f"{tmp_path}/node.pem")
    shutil.copy(pki.issue("new.pem", "new.example"), tmp_path / "node.pem")
    rules.reload(settings)
    assert served(rules, pki, "new.example") == "new.example"


def test_a_bad_reload_changes_nothing(pki, files, by_name):
    rules = pki.contexts(sni=by_name)
    read = rules.files()
    with pytest.raises(ConfigError, match=r"junk\.pem has no certificate"):
        rules.reload(pki.settings(sni=[f"one.example={files}/junk.pem:{files}/key.pem"]))
    assert served(rules, pki, "one.example") == "one.example"
    assert rules.files() == read


def test_a_reload_can_ask_for_certificates(pki):
    rules = pki.contexts()
    rules.reload(pki.settings(verify="verify_peer", fail_if_no_peer_cert=True))
    with pytest.raises(TlsError, match="shows no certificate"):
        shake_hands(MemoryClient(pki.client()), rules.open())
    client, server = MemoryClient(pki.client(pki.issue("client.pem", "client"))), rules.open()
    shake_hands(client, server)


def test_all_files_are_named_once(pki, files, by_name):
    rules = pki.contexts(certfile=f"{files}/cert.pem", keyfile=f"{files}/key.pem", sni=[by_name[0]])
    names = ["cert.pem", "key.pem", "one.example.cert", "one.example.key"]
    assert rules.files() == [pki.ca_file, *(f"{files}/{name}" for name in names)]


# -- dates


@pytest.fixture
def ending(pki):
    """A certificate that ends in ten days, and the time of day now."""
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    file = pki.issue("ending.pem", "ending", not_after=now + datetime.timedelta(days=10))
    return file, now.timestamp()


def lines(caplog):
    return [(record.levelname, record.getMessage()) for record in caplog.records if "CN=" in record.getMessage()]


def test_dates_of_all_kinds_of_certificates_are_watched(pki, files, by_name, ending, caplog):
    file, now_s = ending
    sni = f"ending.example={file}:{file}"
    rules = pki.contexts(certfile=file, cacertfile=file, sni=[*by_name, sni])
    rules.log_expiry(now_s)
    texts = [record.getMessage() for record in caplog.records]
    settings = ["ssl_options.cacertfile", "ssl_options.certfile", "ssl_options.sni: ending.example"]
    assert [text.partition(": the certificate ")[0] for text in texts] == settings
    assert all(f" in {file} expires on " in text and text.endswith(", in 10 days") for text in texts)


async def test_the_log_is_told_at_once_and_each_day(pki, ending, caplog, autojump_clock):
    file, now_s = ending
    rules = pki.contexts(certfile=file)
    with trio.move_on_after(11.5 * DAY_S):
        await rules.watch_expiry(lambda: now_s + trio.current_time())
    assert len(caplog.records) == 12
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 10 + ["ERROR"] * 2
    assert "in 1 day" in caplog.records[9].getMessage()
    assert " expired on " in caplog.records[10].getMessage()


def test_a_reload_looks_at_the_dates(pki, ending, caplog):
    rules = pki.contexts()
    rules.reload(pki.settings(certfile=ending[0]))
    assert f"in {ending[0]} expires on" in caplog.text


def test_a_date_that_cannot_be_read_is_said_and_nothing_worse(pki, monkeypatch, caplog):
    def unreadable(*_args):
        raise ValueError("negative serial number")

    monkeypatch.setattr("amqpd.server.certificates.dated", unreadable)
    rules = pki.contexts()
    assert f"ssl_options.certfile: when {pki.server_file} expires cannot be read: negative serial" in caplog.text
    rules.log_expiry(0)
