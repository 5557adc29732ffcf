"""Clients as people use them, over TLS: pika, and OpenSSL's own for what Python's cannot do."""

import shutil
import ssl
import subprocess

import pika
import pytest
import trio
from harness import PROTOCOL_HEADER
from peer import until
from pika.credentials import ExternalCredentials
from pika.exceptions import AMQPConnectionError, ProbableAuthenticationError
from secure import LOCALHOST, Pki, tls_port

from amqpd.testing import open_broker

openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")


def talk(port, context, host=Pki.host, more=None):
    """Publish and get with pika, in this thread; returns the sizes of what came."""
    security = pika.SSLOptions(context, host)
    parameters = pika.ConnectionParameters(LOCALHOST, port, ssl_options=security, heartbeat=0, **(more or {}))
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare("q")
        channel.basic_publish("", "q", b"x" * 500_000, mandatory=True)
        channel.basic_publish("", "q", b"last", mandatory=True)
        bodies = []
        for _method, _properties, body in channel.consume("q", auto_ack=True):
            bodies.append(body)
            if body == b"last":
                break
        channel.cancel()
        channel.queue_delete("q")
        return [len(body) for body in bodies]


@pytest.mark.parametrize("version", ["tlsv1.2", "tlsv1.3"])
async def test_pika(pki, version):
    async with open_broker(**pki.options(versions=[version])) as broker:
        assert await trio.to_thread.run_sync(talk, tls_port(broker), pki.client()) == [500_000, 4]


async def test_pika_with_a_certificate(pki):
    async with open_broker(**pki.options(verify="verify_peer", fail_if_no_peer_cert=True)) as broker:
        port = tls_port(broker)
        known = pki.client(pki.issue("client.pem", "client"))
        assert await trio.to_thread.run_sync(talk, port, known) == [500_000, 4]
        with pytest.raises(AMQPConnectionError):
            await trio.to_thread.run_sync(talk, port, pki.client())
        assert await trio.to_thread.run_sync(talk, port, known) == [500_000, 4]


@pytest.mark.parametrize(
    ("source", "user"),
    [
        ({"from": "common_name"}, "me"),
        ({"from": "distinguished_name"}, "CN=me,OU=people,O=org"),
        ({"from": "subject_alternative_name"}, "me.example"),
        ({"from": "subject_alternative_name", "san_type": "email", "san_index": 1}, "b@org.example"),
    ],
)
async def test_a_certificate_is_all_that_a_client_needs(pki, source, user):
    subject = {"common_name": "me", "organization_name": "org", "organization_unit_name": "people"}
    certificate = pki.issue("me.pem", "me.example", "a@org.example", "b@org.example", **subject)
    options = {f"ssl_cert_login_{name}": value for name, value in source.items()}
    settings = pki.options(verify="verify_peer", fail_if_no_peer_cert=True)
    async with open_broker(**settings, **options, auth_mechanisms=["EXTERNAL"]) as broker:
        login = {"credentials": ExternalCredentials()}
        port, context = tls_port(broker), pki.client(certificate)
        with pytest.raises(ProbableAuthenticationError):
            await trio.to_thread.run_sync(talk, port, context, Pki.host, login)
        broker.add_user(user, "")
        assert await trio.to_thread.run_sync(talk, port, context, Pki.host, login) == [500_000, 4]


async def test_pika_by_name_and_after_a_reload(pki):
    one, two = pki.issue("one.pem", "one.example"), pki.issue("two.pem", "two.example")
    async with open_broker(**pki.options(sni=[f"one.example={one}:{one}"])) as broker:
        port = tls_port(broker)
        await trio.to_thread.run_sync(talk, port, pki.client(), "one.example")
        with pytest.raises(ssl.SSLCertVerificationError):
            await trio.to_thread.run_sync(talk, port, pki.client(), "two.example")
        broker.node.tls.reload(pki.settings(certfile=two))
        await trio.to_thread.run_sync(talk, port, pki.client(), "two.example")


async def s_client(port, *options):
    command = ["openssl", "s_client", "-quiet", "-no_ign_eof", "-connect", f"{LOCALHOST}:{port}", *options]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return await trio.lowlevel.open_process(command, **pipes)


async def read_until(stream, what):
    said = b""
    while what not in said:
        data = await stream.receive_some()
        assert data, said
        said += data


@openssl
@pytest.mark.parametrize("command", [b"K\n", b"k\n"], ids=["both keys", "its own key"])
async def test_keys_are_updated_on_the_way(pki, command):
    """`k` and `K` have OpenSSL's client change its key; with `K` it asks for a new one of ours as well."""
    async with open_broker(**pki.options()) as broker:
        client = await s_client(tls_port(broker), "-tls1_3")
        await until(lambda: broker.node.hub.sessions)
        try:
            for _ in range(3):
                await client.stdin.send_all(command)
                await read_until(client.stderr, b"KEYUPDATE")
            await client.stdin.send_all(PROTOCOL_HEADER)
            await read_until(client.stdout, b"cluster_name")
        finally:
            client.kill()
            await client.wait()


@openssl
async def test_a_client_that_asks_for_a_renegotiation_is_refused_it(pki):
    async with open_broker(**pki.options()) as broker:
        client = await s_client(tls_port(broker), "-tls1_2")
        await until(lambda: broker.node.hub.sessions)
        try:
            await client.stdin.send_all(b"R\n")
            await read_until(client.stderr, b"no renegotiation")
            await until(lambda: not broker.node.hub.sessions)
        finally:
            client.kill()
            await client.wait()


@openssl
@pytest.mark.parametrize(
    ("cipher", "there"),
    [
        ("ECDHE-ECDSA-AES128-GCM-SHA256", True),
        ("ECDHE-ECDSA-AES128-SHA256", False),
        ("ECDHE-ECDSA-AES128-SHA", False),
    ],
)
async def test_ciphers_without_authenticated_encryption_are_not_there(pki, cipher, there):
    """The certificate is one for ECDSA: it is not for that reason that the others fail."""
    async with open_broker(**pki.options()) as broker:
        client = await s_client(tls_port(broker), "-tls1_2", "-cipher", f"{cipher}@SECLEVEL=0")
        if there:
            await until(lambda: broker.node.hub.sessions)
            client.kill()
        assert (await client.wait() > 0) != there
        await until(lambda: not broker.node.hub.sessions and not broker.node.hub.arrivals)
