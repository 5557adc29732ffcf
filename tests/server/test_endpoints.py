"""Hosts and ports as they are printed, this machine, and the networks of proxies."""

import pytest

from amqpd.server.endpoints import Networks, endpoint, is_loopback, plain


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("127.0.0.1", "127.0.0.1:5672"),
        ("::1", "[::1]:5672"),
        ("::ffff:10.0.0.1", "10.0.0.1:5672"),
        ("fe80::1%eth0", "[fe80::1]:5672"),
    ],
)
def test_endpoints_are_shown_as_rabbitmq_shows_them(host, shown):
    assert endpoint(host, 5672) == shown


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"])
def test_loopback(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["10.0.0.1", "0.0.0.0", "::", "::ffff:10.0.0.1", "fe80::1%eth0", "2001:db8::1"])
def test_not_loopback(host):
    assert not is_loopback(host)


def test_networks_hold_addresses_of_both_families():
    networks = Networks(["10.1.0.0/16", "192.0.2.7", "fd00::/8"])
    for host in ("10.1.255.255", "192.0.2.7", "fd00::1", plain("::ffff:10.1.2.3")):
        assert host in networks
    for host in ("10.2.0.0", "192.0.2.8", "fe80::1", ""):
        assert host not in networks
    assert "10.1.0.1" not in Networks([])


def test_what_is_no_network_is_refused():
    with pytest.raises(ValueError):
        Networks(["localhost"])
