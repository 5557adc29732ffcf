"""TLS without a socket, against OpenSSL's client in memory."""

import ssl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from secure import MemoryClient, Pki, shake_hands

from amqpd.server.tls import RECORD_MAX, NotTlsError, Tls, TlsError
from amqpd.server.turns import READ_SIZE

BOTH = pytest.mark.parametrize("version", ["tlsv1.2", "tlsv1.3"])
VERSIONS = {"tlsv1.2": ssl.TLSVersion.TLSv1_2, "tlsv1.3": ssl.TLSVersion.TLSv1_3}


def pair(pki, version="tlsv1.3", **options):
    context = pki.client()
    context.maximum_version = VERSIONS[version]
    client, server = MemoryClient(context), pki.contexts(**options).open()
    shake_hands(client, server)
    return client, server


def decrypt(server, data):
    view = memoryview(bytearray(READ_SIZE + RECORD_MAX))
    return bytes(view[: server.decrypt(data, view)])


@BOTH
def test_both_versions_with_forward_secrecy_and_authenticated_encryption(pki, version):
    client, server = pair(pki, version)
    assert server.version == version.replace("tls", "TLS")
    cipher = client.ssl.cipher()[0]
    assert cipher.startswith("TLS_" if version == "tlsv1.3" else "ECDHE-")
    assert "GCM" in cipher or "POLY1305" in cipher
    assert client.ssl.compression() is None
    assert server.certificate is None


@BOTH
@settings(max_examples=30)
@given(data=st.data())
def test_bytes_come_out_as_they_went_in_whatever_the_pieces(pki, version, data):
    client, server = pair(pki, version)
    sent = [data.draw(st.binary(min_size=1, max_size=40_000)) for _ in range(data.draw(st.integers(1, 4)))]
    for piece in sent:
        client.ssl.write(piece)
    wire, plain = client.output.read(), b""
    while wire:
        size = data.draw(st.integers(1, min(len(wire), READ_SIZE)))
        plain += decrypt(server, wire[:size])
        wire = wire[size:]
    assert plain == b"".join(sent)
    for piece in sent:
        client.received.write(server.encrypt(piece))
    assert client.read() == plain
    assert server.take_output() == b""


@BOTH
def test_a_handshake_byte_by_byte(pki, version):
    context = pki.client()
    context.maximum_version = VERSIONS[version]
    client, server = MemoryClient(context), pki.contexts().open()
    done = False
    while not done:
        client.handshake()
        for byte in client.output.read():
            assert not done
            done = server.handshake(bytes([byte]))
        client.received.write(server.take_output())
    client.handshake()
    client.ssl.write(b"x")
    assert decrypt(server, client.output.read()) == b"x"


def test_a_full_read_after_an_unfinished_record_fits(pki):
    """The most that can come out of one read: it completes a record of which all but a byte came before."""
    client, server = pair(pki)
    client.ssl.write(bytes(16_384))
    first = client.output.read()
    for _ in range(5):
        client.ssl.write(bytes(16_384))
    following = first[-1:] + client.output.read()
    assert decrypt(server, first[:-1]) == b""
    plain = decrypt(server, following[:READ_SIZE])
    assert len(plain) == 4 * 16_384
    assert len(decrypt(server, following[READ_SIZE:])) == 2 * 16_384


def test_a_large_write_is_encrypted_whole(pki):
    client, server = pair(pki)
    data = bytes(5_000_000)
    wire = server.encrypt(data)
    assert len(data) < len(wire) < len(data) * 1.01
    client.received.write(wire)
    assert client.read() == data


@BOTH
def test_the_clients_goodbye(pki, version):
    client, server = pair(pki, version)
    client.ssl.write(b"last")
    with pytest.raises(ssl.SSLWantReadError):
        client.ssl.unwrap()
    assert decrypt(server, client.output.read() + b"whatever follows") == b"last"
    assert server.ended
    assert decrypt(server, b"more") == b""
    client.received.write(server.encrypt(b"answer") + server.close())  # the other direction is still open
    assert client.ssl.read(10) == b"answer"


@BOTH
def test_our_goodbye(pki, version):
    client, server = pair(pki, version)
    client.received.write(server.encrypt(b"last") + server.close())
    assert client.ssl.read(10) == b"last"
    assert client.ssl.read(10) == b""
    with pytest.raises(TlsError):
        server.encrypt(b"more")
    assert not server.ended


@BOTH
def test_a_damaged_record_is_an_error_and_an_alert(pki, version):
    client, server = pair(pki, version)
    client.ssl.write(b"data")
    wire = bytearray(client.output.read())
    wire[-1] ^= 1
    with pytest.raises(TlsError, match="decryption failed or bad record mac"):
        decrypt(server, bytes(wire))
    client.received.write(server.take_output())
    with pytest.raises(ssl.SSLError, match="BAD_RECORD_MAC"):
        client.ssl.read(10)


@pytest.mark.parametrize("said", [b"AMQP\0\0\x09\x01", b"GET / HTTP/1.1\r\n\r\n", b"\0"])
def test_who_does_not_speak_tls_is_told_apart(pki, said):
    with pytest.raises(NotTlsError):
        pki.contexts().open().handshake(said)


def test_garbage_that_begins_like_tls(pki):
    server = pki.contexts().open()
    assert not server.handshake(b"\x16")
    with pytest.raises(TlsError) as caught:
        server.handshake(b"\x07" * 100)
    assert not isinstance(caught.value, NotTlsError)


@given(st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=5), st.booleans())
def test_no_garbage_does_more_than_fail(pki, pieces, begun):
    server = pki.contexts().open()
    try:
        for piece in [b"\x16\x03\x01", *pieces] if begun else pieces:
            assert not server.handshake(piece)
    except TlsError:
        pass


@given(st.integers(0, 10_000), st.integers(1, 255), st.integers(1, 3))
def test_one_wrong_byte_in_a_handshake_or_after_it_does_no_more_than_fail(pki, place, change, flight):
    client, server = MemoryClient(pki.client()), pki.contexts().open()
    try:
        for number in range(1, 4):
            client.handshake() if number < 3 else client.ssl.write(b"AMQP")
            wire = bytearray(client.output.read())
            if number == flight:
                wire[place % len(wire)] ^= change
            if number < 3:
                server.handshake(bytes(wire))
                client.received.write(server.take_output())
            else:
                decrypt(server, bytes(wire))
    except (TlsError, ssl.SSLError):
        server.take_output()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_host_name_that_is_not_ascii(pki):
    rules = pki.contexts(sni=[f"a.example={pki.server_file}:{pki.server_file}"])
    client = MemoryClient(pki.client())
    client.handshake()
    hello = client.output.read().replace(Pki.host.encode(), b"\xff" * len(Pki.host))
    with pytest.raises(TlsError, match="whose name is not ASCII"):
        rules.open().handshake(hello)


def test_a_handshake_that_is_longer_than_any_client_needs(pki):
    """A hello may claim 16 MB. OpenSSL refuses it by its length, so nothing is gathered."""
    server = pki.contexts().open()
    with pytest.raises(TlsError, match="excessive message size"):
        server.handshake(b"\x16\x03\x01\x40\x00" + b"\x01\xff\xff\xff" + bytes(16_380))


def test_there_is_no_renegotiation(pki):
    context = pki.contexts()._now.default
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert context.options & ssl.OP_NO_COMPRESSION


def failure(pki, context, **options):
    client, server = MemoryClient(context), pki.contexts(**options).open()
    with pytest.raises(TlsError) as caught:
        shake_hands(client, server)
    client.received.write(server.take_output())
    with pytest.raises(ssl.SSLError, match="ALERT"):
        client.read() if client.handshake() else None
    return str(caught.value)


REQUIRED = {"verify": "verify_peer", "fail_if_no_peer_cert": True}


def test_a_client_without_the_certificate_it_needs(pki):
    assert failure(pki, pki.client(), **REQUIRED) == "the client shows no certificate"


def test_a_client_with_a_strangers_certificate(pki, tmp_path):
    stranger = Pki(tmp_path)
    context = pki.client(stranger.issue("client.pem", "client"))
    text = "the client's certificate is refused: unable to get local issuer certificate"
    assert failure(pki, context, **REQUIRED) == text
    assert failure(pki, context, verify="verify_peer") == text


def test_versions_that_do_not_meet(pki):
    context = pki.client()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    text = "the client speaks no version of TLS in ssl_options.versions"
    assert failure(pki, context, versions=["tlsv1.3"]) == text


def test_ciphers_that_do_not_meet(pki):
    context = pki.client()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE+AES256")
    text = "the client has no cipher in common with this node"
    assert failure(pki, context, ciphers="ECDHE+AES128") == text


@BOTH
def test_a_client_that_does_not_believe_us(pki, tmp_path, version):
    context = Pki(tmp_path).client()
    context.maximum_version = VERSIONS[version]
    client, server = MemoryClient(context), pki.contexts().open()
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(client, server)
    with pytest.raises(TlsError, match=r"the client gave up: .*alert unknown ca"):
        server.handshake(client.output.read())


@BOTH
def test_a_clients_certificate_is_there_also_when_its_session_is_resumed(pki, version):
    context = pki.client(pki.issue("client.pem", "client"))
    context.maximum_version = VERSIONS[version]
    rules = pki.contexts(**REQUIRED)
    client, server = MemoryClient(context), rules.open()
    shake_hands(client, server)
    first = server.certificate
    client.received.write(server.encrypt(b"x"))
    client.read()
    again, other = MemoryClient(context, session=client.ssl.session), rules.open()
    shake_hands(again, other)
    assert again.ssl.session_reused
    assert other.certificate == first
    assert isinstance(other, Tls)
