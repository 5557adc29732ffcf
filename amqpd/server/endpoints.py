"""The ends of a connection as they are printed and judged: host and port, this machine, a trusted proxy."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Sequence
from typing import Final


def endpoint(host: str, port: int) -> str:
    """`host:port` as RabbitMQ prints it: IPv6 in brackets, IPv4 in IPv6 as IPv4."""
    host = plain(host)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def plain(host: str) -> str:
    """An IP address as a socket gives it, without the zone of a link-local one, and IPv4 in IPv6 as IPv4."""
    host = host.partition("%")[0]
    return host.removeprefix("::ffff:") if "." in host else host


@functools.lru_cache(maxsize=1024)  # who comes will come again, and it is asked for each connection
def is_loopback(host: str) -> bool:
    """Whether an IP address is one of this machine's own."""
    return ipaddress.ip_address(plain(host)).is_loopback


class Networks:
    """The networks that proxies are in. `names` are addresses or networks. Raises ValueError for anything else."""

    def __init__(self, names: Sequence[str]) -> None:
        self._networks: Final = [ipaddress.ip_network(name) for name in names]

    def __contains__(self, host: str) -> bool:
        """Whether an IP address is in one of them; "", for a UNIX socket, is in none."""
        if not self._networks or not host:
            return False
        address = ipaddress.ip_address(host)
        return any(address in network for network in self._networks)
