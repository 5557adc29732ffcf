"""The PROXY protocol, versions 1 and 2: what a load balancer says of its client before the client's first byte.

Knows bytes only. Who may send a header, and what follows from it, is `arrival`'s to say.

Additions to the addresses (TLVs) are skipped: a header can say that its client used TLS and showed a certificate, and
nothing here takes a proxy's word for that. A version 2 header names its own length in 16 bits, a version 1 header has
107 bytes at most, so a header that never ends is refused in time.

Source: "The PROXY protocol", haproxy.org/download/1.8/doc/proxy-protocol.txt.
"""

from __future__ import annotations

import ipaddress
import re
import struct
from dataclasses import dataclass
from typing import Final

from amqpd.server.endpoints import endpoint

SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
V1_MAX: Final = 107

_V1_START: Final = b"PROXY "
_V2_START: Final = struct.Struct(">12sBBH")
_V1_ENDS: Final = re.compile(r"([0-9a-fA-F:.]+) ([0-9a-fA-F:.]+) (0|[1-9]\d{0,4}) (0|[1-9]\d{0,4})", re.ASCII)
_ENDS: Final = {0x11: struct.Struct(">4s4sHH"), 0x21: struct.Struct(">16s16sHH")}
_UNIX: Final = 0x31
_UNIX_ENDS: Final = struct.Struct("108s108s")
_NOT_SAID: Final = (0x00, 0x12, 0x22, 0x32)  # unspecified, or datagrams
_LOCAL: Final = 0x20
_PROXY: Final = 0x21


class ProxyError(Exception):
    """This is no PROXY header."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a header says.

    `client` and `destination` are the ends of the client's own connection, as they are shown, and `address` is the
    client's IP address. All three are empty where the header does not say, `address` also where the client used a UNIX
    socket. `local` is a connection of the proxy's own, as for a health check. The header takes `size` bytes.
    """

    size: int
    local: bool = False
    client: str = ""
    destination: str = ""
    address: str = ""


def parse(data: bytes) -> Header | None:
    """The header at the start of `data`, or None where more bytes are needed to see its end. Raises ProxyError."""
    if data.startswith(_V1_START[: len(data)]):
        return _parse_v1(data)
    if data.startswith(SIGNATURE[: len(data)]):
        return _parse_v2(data)
    raise ProxyError("it is neither version 1 nor 2")


def _parse_v1(data: bytes) -> Header | None:
    end = data.find(b"\r\n", 0, V1_MAX)
    if end < 0:
        if len(data) >= V1_MAX:
            raise ProxyError(f"no line end within {V1_MAX} bytes")
        return None
    family, _space, ends = data[len(_V1_START) : end].decode("latin-1").partition(" ")
    if family == "UNKNOWN":
        return Header(end + 2)
    found = _V1_ENDS.fullmatch(ends)
    if family not in ("TCP4", "TCP6") or found is None:
        raise ProxyError("version 1, and not of the form PROXY TCP4|TCP6 CLIENT DESTINATION PORT PORT")
    version = ipaddress.IPv4Address if family == "TCP4" else ipaddress.IPv6Address
    try:
        client, destination = version(found[1]), version(found[2])
    except ValueError as error:
        raise ProxyError(f"version 1: {error}") from None
    ports = int(found[3]), int(found[4])
    if max(ports) > 65_535:
        raise ProxyError("version 1: a port beyond 65535")
    return _relayed(end + 2, client, destination, ports)


def _parse_v2(data: bytes) -> Header | None:
    if len(data) < _V2_START.size:
        return None
    _signature, command, family, length = _V2_START.unpack_from(data)
    if command not in (_LOCAL, _PROXY):
        raise ProxyError(f"version 2 with version and command {command:#04x}")
    size = _V2_START.size + length
    if len(data) < size:
        return None
    if command == _LOCAL:
        return Header(size, local=True)
    if family in _NOT_SAID:
        return Header(size)
    needed = _ENDS.get(family, _UNIX_ENDS if family == _UNIX else None)
    if needed is None:
        raise ProxyError(f"version 2 with the unknown family {family:#04x}")
    if length < needed.size:
        raise ProxyError(f"version 2 with {length} bytes for addresses that need {needed.size}")
    if family == _UNIX:
        paths = [_path(raw) for raw in _UNIX_ENDS.unpack_from(data, _V2_START.size)]
        return Header(size, client=paths[0], destination=paths[1])
    client, destination, *ports = needed.unpack_from(data, _V2_START.size)
    return _relayed(size, ipaddress.ip_address(client), ipaddress.ip_address(destination), (ports[0], ports[1]))


def _relayed(
    size: int,
    client: ipaddress.IPv4Address | ipaddress.IPv6Address,
    destination: ipaddress.IPv4Address | ipaddress.IPv6Address,
    ports: tuple[int, int],
) -> Header:
    address, reached = _unmapped(client), _unmapped(destination)
    return Header(size, False, endpoint(address, ports[0]), endpoint(reached, ports[1]), address)


def _unmapped(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """As text; IPv4 in IPv6 as IPv4, whatever the form it was written in."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def _path(raw: bytes) -> str:
    """The path of a UNIX socket, which is not always there. It goes into names and logs: nothing but printable text."""
    path = raw.partition(b"\0")[0].decode(errors="replace")
    return "unix:" + "".join(char if char.isprintable() else "?" for char in path)
