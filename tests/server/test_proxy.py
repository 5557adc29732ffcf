"""PROXY headers as the specification writes them, and against a reader that is as simple as it can be."""

import ipaddress
import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from amqpd.server.proxy import SIGNATURE, V1_MAX, Header, ProxyError, parse

TCP4, TCP6, UNIX = 0x11, 0x21, 0x31


def v2(family=TCP4, block=b"", command=0x21, length=None):
    return SIGNATURE + struct.pack(">BBH", command, family, len(block) if length is None else length) + block


def ends4(client="203.0.113.7", destination="192.0.2.1", ports=(40000, 5672)):
    packed = ipaddress.ip_address(client).packed + ipaddress.ip_address(destination).packed
    return packed + struct.pack(">HH", *ports)


@pytest.mark.parametrize(
    ("data", "client", "destination", "address"),
    [
        (b"PROXY TCP4 203.0.113.7 192.0.2.1 40000 5672\r\n", "203.0.113.7:40000", "192.0.2.1:5672", "203.0.113.7"),
        (b"PROXY TCP4 255.255.255.255 0.0.0.0 65535 0\r\n", "255.255.255.255:65535", "0.0.0.0:0", "255.255.255.255"),
        (b"PROXY TCP6 2001:db8::7 ::1 40000 5672\r\n", "[2001:db8::7]:40000", "[::1]:5672", "2001:db8::7"),
        (b"PROXY TCP6 ::ffff:10.0.0.1 ::1 1 2\r\n", "10.0.0.1:1", "[::1]:2", "10.0.0.1"),
        (b"PROXY TCP6 ::FFFF:a00:1 ::1 1 2\r\n", "10.0.0.1:1", "[::1]:2", "10.0.0.1"),
        (v2(TCP4, ends4()), "203.0.113.7:40000", "192.0.2.1:5672", "203.0.113.7"),
        (v2(TCP6, ends4("2001:db8::7", "::1")), "[2001:db8::7]:40000", "[::1]:5672", "2001:db8::7"),
        (v2(TCP6, ends4("::ffff:10.0.0.1", "::1")), "10.0.0.1:40000", "[::1]:5672", "10.0.0.1"),
        (v2(UNIX, b"/run/a".ljust(108, b"\0") + b"/b".ljust(108, b"\0")), "unix:/run/a", "unix:/b", ""),
        (v2(UNIX, b"\n\xff".ljust(108, b"\0") + bytes(108)), "unix:?\ufffd", "unix:", ""),
        (b"PROXY UNKNOWN\r\n", "", "", ""),
        (b"PROXY UNKNOWN whatever it says\r\n", "", "", ""),
        (v2(0x00), "", "", ""),
        (v2(0x12, ends4()), "", "", ""),
    ],
)
def test_what_a_header_says(data, client, destination, address):
    assert parse(data) == Header(len(data), False, client, destination, address)
    assert parse(data + b"AMQP\0\0\x09\x01") == parse(data)


def test_a_proxys_own_connection():
    assert parse(v2(0x00, command=0x20)) == Header(16, local=True)
    assert parse(v2(0xFF, b"anything", command=0x20)) == Header(24, local=True)


def test_additions_are_skipped_whatever_they_are():
    tlvs = b"\x03\x00\x04\xde\xad\xbe\xef" + b"\x20\xff\xff" + b"x" * 60_000
    header = parse(v2(TCP4, ends4() + tlvs) + b"AMQP")
    assert header is not None
    assert header.size == 16 + 12 + len(tlvs)
    assert header.address == "203.0.113.7"


@pytest.mark.parametrize(
    "data",
    [
        b"AMQP\0\0\x09\x01",
        b"\x16\x03\x01\x02\x00",
        b"PROXY\tTCP4",
        b"proxy TCP4",
        b"PROXY TCP4\r\n",
        b"PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n",
        b"PROXY UNKNOWNS\r\n",
        b"PROXY TCP4 1.2.3.4  1.2.3.4 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 \xb2 2\r\n",
        b"PROXY TCP4 1.2.3.04 1.2.3.4 1 2\r\n",
        b"PROXY TCP4 1.2.3.256 1.2.3.4 1 2\r\n",
        b"PROXY TCP4 ::1 ::1 1 2\r\n",
        b"PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
        b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
        b"PROXY UNKNOWN " + b"x" * V1_MAX,
        b"PROXY UNKNOWN".ljust(V1_MAX - 1) + b"\r\n",
        SIGNATURE + b"\x11\x11\x00\x0c",
        v2(TCP4, ends4(), command=0x22),
        v2(TCP4, ends4()[:-1]),
        v2(TCP6, ends4()),
        v2(UNIX, b"x" * 215),
        v2(0x13, ends4()),
        v2(0x41, ends4()),
    ],
)
def test_what_is_no_header_is_refused(data):
    with pytest.raises(ProxyError):
        parse(data)


def test_the_longest_line_is_taken():
    line = b"PROXY UNKNOWN".ljust(V1_MAX - 2) + b"\r\n"
    assert parse(line) == Header(V1_MAX)


@pytest.mark.parametrize("start", [b"A", b"PROXI", b"\r\n\r\n\1", b"\r\r"])
def test_garbage_is_refused_at_its_first_wrong_byte(start):
    with pytest.raises(ProxyError):
        parse(start)


def naive(data):
    """The header's meaning, or None for garbage, of `data` that holds all of it. After the specification, no more."""
    if data[:12] == SIGNATURE:
        version, command = data[12] >> 4, data[12] & 15
        length = data[14] * 256 + data[15]
        block = data[16 : 16 + length]
        if version != 2 or command > 1:
            return None
        if command == 0:
            return ("local", 16 + length)
        if data[13] in (0x00, 0x12, 0x22, 0x32):
            return ("unknown", 16 + length)
        width = {0x11: 4, 0x21: 16, 0x31: 108}.get(data[13])
        if width is None or length < 2 * width + (4 if width < 108 else 0):
            return None
        if width == 108:
            return ("unix", 16 + length)
        port = int.from_bytes(block[2 * width : 2 * width + 2], "big")
        return (ipaddress.ip_address(block[:width]), port, 16 + length)
    line, crlf, _rest = data[:V1_MAX].partition(b"\r\n")
    if not crlf or not line.startswith(b"PROXY "):
        return None
    words = line.split(b" ")
    if words[1] == b"UNKNOWN":
        return ("unknown", len(line) + 2)
    try:
        _proxy, family, client, destination, *ports = [word.decode("ascii") for word in words]
        made = ipaddress.ip_address(client), ipaddress.ip_address(destination)
    except ValueError:
        return None
    if any(address.version != {"TCP4": 4, "TCP6": 6}.get(family) for address in made) or "%" in client + destination:
        return None
    if len(ports) != 2 or not all(
        port.isascii() and port.isdigit() and str(int(port)) == port and int(port) < 65_536 for port in ports
    ):
        return None
    return (made[0], int(ports[0]), len(line) + 2)


def meaning(header):
    if header is None:
        return None
    if header.local:
        return ("local", header.size)
    if not header.client:
        return ("unknown", header.size)
    if not header.address:
        return ("unix", header.size)
    return (ipaddress.ip_address(header.address), int(header.client.rpartition(":")[2]), header.size)


def same(one, other):
    """IPv4 in IPv6 is IPv4 in names."""
    if isinstance(other, tuple) and isinstance(other[0], ipaddress.IPv6Address) and other[0].ipv4_mapped:
        other = (other[0].ipv4_mapped, *other[1:])
    return one == other


addresses = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6), st.sampled_from(["::ffff:1.2.3.4", "1.2.3.04", ""]))
ports = st.one_of(st.integers(0, 65_535), st.sampled_from([65_536, "007", "", "-1"]))
lines = st.builds(
    "PROXY {} {} {} {} {}{}".format,
    st.sampled_from(["TCP4", "TCP6", "UNKNOWN", "UDP4", ""]),
    addresses,
    addresses,
    ports,
    ports,
    st.sampled_from(["\r\n", "\r\n", "\n", " \r\n"]),
).map(str.encode)
blocks = st.builds(
    v2,
    st.one_of(st.sampled_from([0, TCP4, TCP6, UNIX, 0x12]), st.integers(0, 255)),
    st.binary(max_size=260),
    st.one_of(st.sampled_from([0x20, 0x21]), st.integers(0, 255)),
)
END = b"\r\n" + bytes(V1_MAX)  # so that an unfinished line is too long


@given(st.one_of(lines, blocks, st.binary(max_size=40)), st.data())
@example(b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n", None)
def test_against_the_naive_reader_in_any_pieces(data, choices):
    """However the bytes come, the answer is the naive reader's, and comes when the last byte of the header has come."""
    data += END
    expected = naive(data)
    cut = choices.draw(st.integers(0, len(data))) if choices is not None else 5
    found = None
    for size in sorted({0, cut, *range(min(len(data), 120)), len(data)}):
        try:
            found = parse(data[:size])
        except ProxyError:
            assert expected is None
            return
        if found is not None:
            assert size >= found.size
            break
        assert size < len(data), "no answer though all is there"
    assert same(meaning(found), expected)


@given(st.one_of(lines, blocks), st.integers(0, 300), st.integers(0, 255))
def test_one_wrong_byte_is_judged_as_the_naive_reader_does(data, place, byte):
    changed = bytearray(data + END)
    changed[place % len(data)] = byte
    try:
        found = parse(bytes(changed))
    except ProxyError:
        assert naive(changed) is None
    else:
        if found is not None:  # a length that was changed can ask for more than there is
            assert same(meaning(found), naive(changed))
