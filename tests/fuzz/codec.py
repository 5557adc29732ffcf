"""A client's view of the bytes: encodes any method, and decodes a server's output strictly.

Shares nothing with `amqpd.wire` but the numbers of the methods, so that a mistake there does not cancel out here.
Strict: every frame is whole, of a known type and within frame_max; every method is one that a server sends, with
exactly its arguments; a content follows its method at once, with exactly the body that its header announces.

Formats, one letter an argument: o octet (or bits), h short, l long, q longlong, s short string, S long string (also a
table: raw bytes, and returned as such).
"""

from dataclasses import dataclass

from amqpd.wire import methods as m

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"

FROM_CLIENT = {
    m.CONNECTION_START_OK: "SsSs",
    m.CONNECTION_TUNE_OK: "hlh",
    m.CONNECTION_OPEN: "sso",
    m.CONNECTION_CLOSE: "hsl",
    m.CONNECTION_CLOSE_OK: "",
    m.CONNECTION_UPDATE_SECRET: "Ss",
    m.CHANNEL_OPEN: "s",
    m.CHANNEL_FLOW: "o",
    m.CHANNEL_CLOSE: "hsl",
    m.CHANNEL_CLOSE_OK: "",
    m.ACCESS_REQUEST: "so",
    m.EXCHANGE_DECLARE: "hssoS",
    m.EXCHANGE_DELETE: "hso",
    m.EXCHANGE_BIND: "hsssoS",
    m.EXCHANGE_UNBIND: "hsssoS",
    m.QUEUE_DECLARE: "hsoS",
    m.QUEUE_BIND: "hsssoS",
    m.QUEUE_UNBIND: "hsssS",
    m.QUEUE_PURGE: "hso",
    m.QUEUE_DELETE: "hso",
    m.BASIC_QOS: "lho",
    m.BASIC_CONSUME: "hssoS",
    m.BASIC_CANCEL: "so",
    m.BASIC_PUBLISH: "hsso",
    m.BASIC_GET: "hso",
    m.BASIC_ACK: "qo",
    m.BASIC_REJECT: "qo",
    m.BASIC_RECOVER: "o",
    m.BASIC_RECOVER_ASYNC: "o",
    m.BASIC_NACK: "qo",
    m.CONFIRM_SELECT: "o",
    m.TX_SELECT: "",
    m.TX_COMMIT: "",
    m.TX_ROLLBACK: "",
}
FROM_SERVER = {
    m.CONNECTION_START: "ooSSS",
    m.CONNECTION_TUNE: "hlh",
    m.CONNECTION_OPEN_OK: "s",
    m.CONNECTION_CLOSE: "hsl",
    m.CONNECTION_CLOSE_OK: "",
    m.CONNECTION_BLOCKED: "s",
    m.CONNECTION_UNBLOCKED: "",
    m.CONNECTION_UPDATE_SECRET_OK: "",
    m.CHANNEL_OPEN_OK: "S",
    m.CHANNEL_FLOW_OK: "o",
    m.CHANNEL_CLOSE: "hsl",
    m.CHANNEL_CLOSE_OK: "",
    m.ACCESS_REQUEST_OK: "h",
    m.EXCHANGE_DECLARE_OK: "",
    m.EXCHANGE_DELETE_OK: "",
    m.EXCHANGE_BIND_OK: "",
    m.EXCHANGE_UNBIND_OK: "",
    m.QUEUE_DECLARE_OK: "sll",
    m.QUEUE_BIND_OK: "",
    m.QUEUE_UNBIND_OK: "",
    m.QUEUE_PURGE_OK: "l",
    m.QUEUE_DELETE_OK: "l",
    m.BASIC_QOS_OK: "",
    m.BASIC_CONSUME_OK: "s",
    m.BASIC_CANCEL: "so",
    m.BASIC_CANCEL_OK: "s",
    m.BASIC_RETURN: "hsss",
    m.BASIC_DELIVER: "sqoss",
    m.BASIC_GET_OK: "qossl",
    m.BASIC_GET_EMPTY: "s",
    m.BASIC_ACK: "qo",
    m.BASIC_NACK: "qo",
    m.BASIC_RECOVER_OK: "",
    m.CONFIRM_SELECT_OK: "",
    m.TX_SELECT_OK: "",
    m.TX_COMMIT_OK: "",
    m.TX_ROLLBACK_OK: "",
}
WITH_CONTENT = {m.BASIC_RETURN, m.BASIC_DELIVER, m.BASIC_GET_OK}
_SIZES = {"o": 1, "h": 2, "l": 4, "q": 8}


@dataclass(frozen=True)
class Method:
    """A method that the server sent; `header` is its content header's payload, None where it has no content."""

    channel: int
    method: int
    arguments: tuple
    header: bytes | None = None
    body: bytes | None = None

    @property
    def name(self) -> str:
        return m.NAMES[self.method]


def frame(kind: int, channel: int, payload: bytes) -> bytes:
    return bytes([kind]) + channel.to_bytes(2, "big") + len(payload).to_bytes(4, "big") + payload + b"\xce"


def method(channel: int, number: int, *arguments: int | bytes) -> bytes:
    """A client's method as a frame."""
    out = number.to_bytes(4, "big")
    for letter, value in zip(FROM_CLIENT[number], arguments, strict=True):
        if letter == "s":
            out += bytes([len(value)]) + value
        elif letter == "S":
            out += len(value).to_bytes(4, "big") + value
        else:
            out += value.to_bytes(_SIZES[letter], "big")
    return frame(METHOD, channel, out)


def content(channel: int, properties: bytes, body: bytes, step: int = 4088) -> bytes:
    """A content header frame and its body frames; `properties` begin with their flags."""
    header = b"\x00\x3c\x00\x00" + len(body).to_bytes(8, "big") + properties
    parts = [frame(BODY, channel, body[at : at + step]) for at in range(0, len(body), step)]
    return frame(HEADER, channel, header) + b"".join(parts)


def publish(channel: int, exchange: bytes, key: bytes, bits: int, properties: bytes, body: bytes) -> bytes:
    return method(channel, m.BASIC_PUBLISH, 0, exchange, key, bits) + content(channel, properties, body)


def handshake(user: bytes = b"guest", frame_max: int = 131_072, capabilities: bytes = b"", heartbeat: int = 0) -> bytes:
    """Everything from the protocol header to connection.open in one piece; `capabilities` are raw pairs of a table."""
    client = b"\x0ccapabilitiesF" + len(capabilities).to_bytes(4, "big") + capabilities
    return (
        PROTOCOL_HEADER
        + method(0, m.CONNECTION_START_OK, client, b"PLAIN", b"\0" + user + b"\0secret", b"en_US")
        + method(0, m.CONNECTION_TUNE_OK, 2047, frame_max, heartbeat)
        + method(0, m.CONNECTION_OPEN, b"/", b"", 0)
    )


class Decoder:
    """Takes a server's output in any pieces; `take` returns the methods that are complete, `rest` what is not."""

    def __init__(self) -> None:
        self.rest = b""
        self.frame_max = 131_072
        self.heartbeats = 0
        self.protocol_header = False

    def take(self, data: bytes) -> list[Method]:
        self.rest += data
        found: list[Method] = []
        if self.rest.startswith(b"AMQP"):
            assert self.rest[:8] == PROTOCOL_HEADER, self.rest[:8]
            self.protocol_header = True
            self.rest = self.rest[8:]
        pos = 0
        while True:
            taken = self._method(pos)
            if taken is None:
                break
            pos, method = taken
            if method is not None:
                found.append(method)
        self.rest = self.rest[pos:]
        return found

    def _frame(self, pos: int) -> tuple[int, int, int, bytes] | None:
        """Kind, channel, where the next begins, payload."""
        data = self.rest
        if len(data) < pos + 7:
            return None
        kind, channel = data[pos], int.from_bytes(data[pos + 1 : pos + 3], "big")
        size = int.from_bytes(data[pos + 3 : pos + 7], "big")
        assert kind in (METHOD, HEADER, BODY, HEARTBEAT), f"frame type {kind}"
        # A header larger than frame_max cannot be split: every broker sends it as it is.
        assert kind == HEADER or size + 8 <= self.frame_max, f"frame of {size + 8} bytes, frame_max {self.frame_max}"
        if len(data) < pos + size + 8:
            return None
        assert data[pos + 7 + size] == 0xCE, "no frame end"
        return kind, channel, pos + size + 8, data[pos + 7 : pos + 7 + size]

    def _method(self, pos: int) -> tuple[int, Method | None] | None:
        first = self._frame(pos)
        if first is None:
            return None
        kind, channel, pos, payload = first
        if kind == HEARTBEAT:
            assert channel == 0
            assert payload == b""
            self.heartbeats += 1
            return pos, None
        assert kind == METHOD, f"frame type {kind} where a method should be"
        number = int.from_bytes(payload[:4], "big")
        assert number in FROM_SERVER, f"a server does not send {m.NAMES.get(number, hex(number))}"
        assert (channel == 0) == (number >> 16 == m.CONNECTION), f"{m.NAMES[number]} on channel {channel}"
        arguments = _arguments(FROM_SERVER[number], payload[4:])
        if number not in WITH_CONTENT:
            return pos, Method(channel, number, arguments)
        return self._content(pos, channel, number, arguments)

    def _content(self, pos: int, channel: int, number: int, arguments: tuple) -> tuple[int, Method] | None:
        second = self._frame(pos)
        if second is None:
            return None
        kind, other, pos, header = second
        assert (kind, other) == (HEADER, channel), "no content header after its method"
        assert header[:4] == b"\x00\x3c\x00\x00"
        assert len(header) >= 14
        size = int.from_bytes(header[4:12], "big")
        body = b""
        while len(body) < size:
            part = self._frame(pos)
            if part is None:
                return None
            kind, other, pos, payload = part
            assert (kind, other) == (BODY, channel), "no body frame where one is due"
            body += payload
        assert len(body) == size, "more body than announced"
        return pos, Method(channel, number, arguments, header, body)


def _arguments(letters: str, data: bytes) -> tuple:
    found: list[int | bytes] = []
    pos = 0
    for letter in letters:
        if letter in "sS":
            width = 1 if letter == "s" else 4
            size = int.from_bytes(data[pos : pos + width], "big")
            pos += width
            found.append(data[pos : pos + size])
        else:
            size = _SIZES[letter]
            found.append(int.from_bytes(data[pos : pos + size], "big"))
        pos += size
        assert pos <= len(data), "arguments cut off"
    assert pos == len(data), "bytes after the arguments"
    return tuple(found)
