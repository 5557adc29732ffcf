"""What is fuzzed: each target takes bytes, and raises where something is wrong.

stream    any bytes, and damaged conversations, as a connection's input: the same result however they are split
session   several clients on one broker (module `session`)
tables    the decoder of field tables against the validator and the encoder
content   content headers: inspect, split and join
"""

from fuzz import codec, invariants
from fuzz.choices import CAPABILITIES, Choices
from fuzz.node import Node, Socket
from fuzz.operations import Operations
from fuzz.session import Session

from amqpd.errors import MalformedError
from amqpd.wire import content as headers
from amqpd.wire import methods as m
from amqpd.wire import tables

METHODS_MAX = 60


# -- stream


def stream(data: bytes) -> None:
    """A conversation, damaged or not, gives the same answers in one read, byte by byte, and in random pieces."""
    choices = Choices(data)
    sent = conversation(choices)
    whole = transcript([sent])
    assert transcript([sent[at : at + 1] for at in range(len(sent))]) == whole
    assert transcript(pieces(choices, sent)) == whole


def conversation(choices: Choices) -> bytes:
    """What a client sends from the first byte on, recorded against a broker; then perhaps damaged."""
    kind = choices.number(16)
    if kind == 15:
        return choices.raw(choices.number(200))
    if kind == 14:
        return codec.PROTOCOL_HEADER + choices.raw(choices.number(200))
    node = Node()
    frame_max = choices.of((131_072, 8192))
    sent = codec.handshake(frame_max=frame_max, capabilities=CAPABILITIES if choices.number(2) else b"")
    socket = node.connect()
    node.send(socket, sent)
    for _ in range(1 + choices.number(METHODS_MAX)):
        if not choices.more() or socket.gone:
            break
        piece = next_piece(choices, socket)
        sent += piece
        node.send(socket, piece)
        socket.taken()
    return sent if kind < 6 else damaged(choices, sent)


def next_piece(choices: Choices, socket: Socket) -> bytes:
    number = choices.of((1, 1, 1, 2, 40_000))
    core = socket.connection.channels.get(number)
    if core is None:
        return codec.method(number, m.CHANNEL_OPEN, b"")
    if core.closing:
        return codec.method(number, m.CHANNEL_CLOSE_OK)
    return Operations(choices, core).method()[0]


def damaged(choices: Choices, sent: bytes) -> bytes:
    """Bits flipped, pieces lost, doubled, put in or cut off."""
    for _ in range(1 + choices.number(3)):
        at = choices.number(max(1, len(sent)))
        kind = choices.number(6)
        if kind < 3:
            sent = sent[:at] + bytes([sent[at] ^ (1 << choices.number(8))]) + sent[at + 1 :] if sent else sent
        elif kind == 3:
            sent = sent[:at] + sent[at + choices.number(20) :]
        elif kind == 4:
            sent = sent[:at] + choices.raw(choices.number(20)) + sent[at:]
        else:
            sent = sent[:at] + sent[at : at + 30] + sent[at:]
    return sent


def pieces(choices: Choices, sent: bytes) -> list[bytes]:
    found = []
    while sent:
        size = 1 + choices.number(choices.of((20, 1000, 20_000)))
        found.append(sent[:size])
        sent = sent[size:]
    return found


def transcript(reads: list[bytes]) -> object:
    """What a client hears, when the round ends after its last byte; then the connection is lost and must leave nothing.

    Confirms are compared as sets: how they are gathered into frames depends on the reads, and is meant to.
    """
    node = Node()
    socket = node.connect()
    for piece in reads:
        socket.connection.feed(piece, node.now_ms)
    node.rest()
    heard: list[tuple] = []
    confirmed: dict[int, set[int]] = {}
    for method in socket.taken():
        if method.method in (m.BASIC_ACK, m.BASIC_NACK):
            answered = confirmed.setdefault(method.channel, set())
            tag, bits = method.arguments
            answered |= set(range(1 if bits & 1 else tag, tag + 1))
        else:
            heard.append((method.channel, method.name, method.arguments, method.header, method.body))
    assert socket.decoder.rest == b"", "output ends inside a frame"
    ended = socket.ended
    node.lose(socket)
    invariants.check_empty(node.broker)
    return heard, confirmed, ended, socket.decoder.protocol_header


# -- session


def session(data: bytes) -> None:
    """Several clients on one broker."""
    Session(Choices(data)).run()


# -- tables


def table(data: bytes) -> None:
    """Any bytes as a table: the decoder and the validator agree; what is decoded is encoded as it was, in value."""
    _table(data)
    _table(Choices(data).headers())


def _table(raw: bytes) -> None:
    try:
        decoded = tables.decode_table(raw)
    except MalformedError:
        decoded = None
    try:
        tables.validate(raw)
        valid = True
    except MalformedError:
        valid = False
    assert valid == (decoded is not None)
    assert tables.is_sound(raw, 0, len(raw)) == valid
    if decoded is None:
        return
    spans = tables.entries(raw)
    assert [(start, end) for _key, start, end in spans] == _chained(spans, len(raw))
    assert [key for key, _start, _end in spans] == [key.encode("utf-8", "surrogateescape") for key, _field in decoded]
    again = tables.encode_table(decoded)[4:]
    assert len(again) == len(raw)
    assert repr(tables.decode_table(again)) == repr(decoded)  # repr: a NaN is not equal to itself


def _chained(spans: list[tuple[bytes, int, int]], size: int) -> list[tuple[int, int]]:
    """The same spans, each from where the one before it ended, and the last to the end."""
    ends = [end for _key, _start, end in spans]
    assert ends[-1:] in ([], [size])
    return list(zip([0, *ends[:-1]], ends, strict=True)) if ends else []


# -- content headers


def content(data: bytes) -> None:
    """Any bytes as a content header: `inspect` and `split` agree, `join` is the inverse of `split`."""
    _content(b"\x00\x3c\x00\x00" + data)
    _content(b"\x00\x3c\x00\x00" + bytes(8) + Choices(data).properties())


def _content(payload: bytes) -> None:
    said = headers.glance(payload, 0, len(payload))
    try:
        seen = headers.inspect(payload, 0, len(payload))
    except MalformedError:
        assert said == -1
        return
    assert said == _asked(seen)
    found = headers.split(payload)
    size = int.from_bytes(payload[4:12], "big")
    joined = headers.join(size, found)
    assert headers.split(joined) == found
    assert joined[14:] == payload[14:]
    assert seen.persistent == (found.get(headers.DELIVERY_MODE) == b"\x02")
    assert seen.priority == (found[headers.PRIORITY][0] if headers.PRIORITY in found else -1)
    for bit, value, width in (
        (headers.EXPIRATION, seen.expiration, 1),
        (headers.REPLY_TO, seen.reply_to, 1),
        (headers.USER_ID, seen.user_id, 1),
        (headers.HEADERS, seen.headers, 4),
    ):
        assert value == (found[bit][width:] if bit in found else None)


def _asked(seen: headers.Inspection) -> int:
    """What a glance says of a header of which all is known."""
    if seen.expiration is not None or seen.reply_to is not None or seen.user_id is not None or seen.unused_flag:
        return -1
    if seen.headers is not None:
        try:
            tables.validate(seen.headers)
        except MalformedError:
            return -1
        if b"CC" in seen.headers:
            return -1
    return 2 * (seen.priority + 1) + seen.persistent


TARGETS = {"stream": stream, "session": session, "table": table, "content": content}
