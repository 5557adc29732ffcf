"""One client's socket: reads for its connection, sends what the connection has written, and ends it.

It has no task: `turns` calls it when its socket is ready, or when it has asked for a turn. Nothing here waits.

Back-pressure, in the order in which it sets in:

- a flush sends straight to the socket. What that does not take waits in `_rest` until the socket takes more
- above `unsent_max` the core gives this client no more messages; once all is sent a turn is asked for, and refills
- above `unsent_stop` the core pauses: nothing is read any more, so that replies cannot pile up either
- above `unsent_hard_max` the connection is dropped

With TLS a read is decrypted and what is sent is encrypted, in the same place and by the same rules. Unsent bytes are
counted as they go to the socket, with what TLS adds. A client that goes without TLS's goodbye is one that closes its
socket like any other: whether the end was an orderly one is AMQP's to tell.

Invariants: whoever has asked for a turn is not read from before it. What the connection asks for within its own work
(to go on, to close, to abort) is done in a turn, never at once. However a session ends, `end` tells the connection
`lost` once, and the socket has left `turns` before it is closed.
"""

from __future__ import annotations

import errno
import logging
import socket
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from amqpd.broker.ports import Peer, Transport
from amqpd.broker.timers import Timer
from amqpd.errors import INTERNAL_ERROR, StorageError
from amqpd.protocol.connection import Connection
from amqpd.runtime.driver import now_ms
from amqpd.server.poller import READ, WRITE
from amqpd.server.tls import TlsError
from amqpd.server.turns import READ_SIZE
from amqpd.wire.methods import BASIC_ACK

if TYPE_CHECKING:
    from amqpd.server.hub import Hub
    from amqpd.server.tls import Tls

log = logging.getLogger("amqpd.connection")

SEND_SIZE: Final = 1_048_576  # bytes after which no more is offered to the socket at a time
PIECES_MAX: Final = 512  # offered at a time; kernels take 1024 (IOV_MAX)
CLOSE_TIMEOUT_MS: Final = 10_000  # to send what is left, and for the peer to close its side

_RETRY: Final = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EINTR)


class Patience(Timer):
    """Ends a session whose client does not close its side. After `end` it knows nothing of it any more."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session

    def fire(self, now_ms: int) -> None:
        self._session.abort()

    def end(self) -> None:
        """Must be called once."""
        self._session.hub.broker.timers.cancel(self)
        del self._session


class Session(Transport):
    """`sock` is non-blocking, and closed by this session. Once made it must be started, and ended.

    With `tls` the handshake is done. `wanted`, `greedy` and `slice` belong to `turns`.
    """

    def __init__(self, hub: Hub, sock: socket.socket, name: str, peer: Peer, tls: Tls | None = None) -> None:
        self.hub: Final = hub
        self.sock: Final = sock
        self.number: Final = sock.fileno()
        self.connection: Final = Connection(hub.broker, hub.authenticator, self, name, peer)
        self.wanted = 0  # of its socket: READ, WRITE, both or nothing
        self.greedy = False  # its last read was a large one
        self.slice = READ_SIZE  # bytes that it may read while others ask
        self.gone_since_ms = -1  # when the peer was first seen to have gone, while nothing is read
        self._tls: Final = tls
        self._rest: deque[bytes | memoryview] | None = None  # what the socket has not taken
        self._asked = False  # for a turn
        self._go_on = False  # the connection wants to look again at what it has received
        self._parked = False  # nothing is read, since the connection has paused
        self._closing = False
        self._patience: Patience | None = None  # while it hangs up
        self._shut = False  # all was sent, and the client knows that nothing more will come
        self._ended = False
        self._over = False

    def start(self, received: bytes) -> None:
        """Serve the client from now on. `received` was read before. Within a round."""
        if received:
            self._feed(received, now_ms())
        self._watch()
        self._look()

    # -- what the connection asks for

    def flush(self) -> None:
        chunks = self.connection.take_chunks()
        if self._ended:
            return
        if self._tls is not None and chunks:
            chunks = [self._encrypted(b"".join(chunks), self._tls)]
        if chunks or self.connection.congested:
            self._put(chunks)

    def resume(self) -> None:
        self._go_on = True
        self._ask()

    def close(self) -> None:
        self._closing = True
        self._ask()

    def abort(self) -> None:
        self._ended = True
        self._rest = None
        self._ask()

    def _ask(self) -> None:
        if not self._asked and not self._over:
            self._asked = True
            self.hub.turns.ask(self)

    @property
    def awaits_answer(self) -> bool:
        """Whether the client may wait for something: nothing answers an acknowledgement."""
        return self.connection.method != BASIC_ACK

    def log_fields(self) -> dict[str, object]:
        """What a log line about this session names."""
        return self.connection.log_fields(0)

    # -- what `turns` asks for

    def take_turn(self, now: int) -> None:
        """Do what it asked for."""
        self._asked = False
        if self._ended:
            self.end()
        elif self._closing:
            self._hang_up()
        elif self._go_on:
            self._go_on = False
            self._feed(b"", now)
            self._look()
        elif self._tls is not None and self._tls.ended and not self.connection.paused:
            self._put([self._tls.close()])
            self._client_has_gone()
        else:
            if self.connection.congested and self._rest is None:
                self._refill(now)
            self._look()

    def read(self, now: int, most: int) -> int:
        """The socket may have something: read once, `most` at most, and act on it. Returns how much came, or -1."""
        if self._asked:
            return 0
        if self._shut:
            return self._read_on()
        if self.connection.paused:  # by what others have sent to it
            self._look()
            return 0
        received = size = self._receive(most)
        if size > 0 and self._tls is not None:
            size = self._decrypt(size, self._tls)
        if size > 0:
            self._feed(bytes(self.hub.view[:size]), now)
        if size != 0:
            self._look()
        else:
            self._client_has_gone()
        return received

    def write(self) -> None:
        """The socket may take more: offer it what waits."""
        if self._rest is None:
            return
        offered: list[bytes | memoryview] = []
        size = 0
        for piece in self._rest:
            offered.append(piece if len(piece) <= SEND_SIZE else memoryview(piece)[:SEND_SIZE])
            size += len(piece)
            if size >= SEND_SIZE or len(offered) == PIECES_MAX:
                break
        sent = self._send(offered)
        if sent < 0:
            return
        self._drop(self._rest, sent)
        if self._rest:
            return
        self._rest = None
        if self._patience is not None:
            self._shut_down()
        else:
            self._watch()
            self._look()

    def _watch(self) -> None:
        """Have `turns` wait for what this session can go on with."""
        wanted = WRITE if self._rest is not None else 0
        if self._shut or not (self._parked or self._closing):
            wanted |= READ
        if wanted == self.wanted:
            return
        try:
            self.hub.turns.watch(self, wanted)
        except OSError as error:
            log.error("connection lost: its socket cannot be waited for: %s", error.strerror, extra=self.log_fields())
            self.abort()

    # -- reading

    def _look(self) -> None:
        """The connection has acted, or has been acted upon: whether more is read, and whether there is more to do."""
        if self._asked:
            return
        connection = self.connection
        if connection.paused != self._parked:
            self._park(connection.paused)
        refill = connection.congested and self._rest is None
        if refill or (self._tls is not None and self._tls.ended and not self._parked):
            self._ask()

    def _park(self, on: bool) -> None:
        """Read nothing until the connection goes on; or read again."""
        self._parked = on
        if on:
            self.hub.parked[self] = None
        else:
            self.hub.parked.pop(self, None)
            self.gone_since_ms = -1
        self._watch()

    def _client_has_gone(self) -> None:
        if self.connection.vhost is not None:
            log.warning("the client closed its socket without connection.close", extra=self.log_fields())
        self.end()

    def _receive(self, most: int) -> int:
        """Read once into the shared buffer. 0 at the stream's end or where it broke, -1 if there was nothing yet."""
        try:
            return self.sock.recv_into(self.hub.view, most)
        except OSError as error:
            if error.errno in _RETRY:
                return -1
            log.info("connection lost: %s", error.strerror, extra=self.log_fields())
            return 0

    def _feed(self, data: bytes, now: int) -> None:
        try:
            self.connection.feed(data, now)
        except StorageError as error:
            self.hub.driver.fail(error)
        except Exception:
            self.crashed()

    def crashed(self) -> None:
        """The core raised what it never should: log it, tell the client 541, and end this connection alone."""
        log.exception("internal error", extra=self.log_fields())
        try:
            if self.connection.vhost is None:  # not open: there is nobody to tell
                self.abort()
            else:
                self.connection.close(INTERNAL_ERROR, "INTERNAL_ERROR", 0)
                self.close()
        except Exception:
            log.exception("internal error while closing", extra=self.log_fields())
            self.abort()

    # -- sending

    def _put(self, chunks: Sequence[bytes]) -> None:
        """Send bytes as they are; what the socket does not take waits."""
        if self._ended:
            return
        connection = self.connection
        size = sum(map(len, chunks))
        if self._rest is None:
            sent = self._send(chunks[:PIECES_MAX]) if size else 0
            if sent < 0:
                return
            if sent == size:
                if connection.congested:
                    self._ask()
                return
            self._rest = deque(chunks)
            connection.unsent += size
            self._drop(self._rest, sent)
            self._watch()
        elif size:
            self._rest += chunks
            connection.unsent += size
        if connection.unsent > self.hub.broker.limits.unsent_hard_max:
            log.error("connection dropped: %d bytes unsent", connection.unsent, extra=self.log_fields())
            self.abort()

    def _send(self, chunks: Sequence[bytes | memoryview]) -> int:
        """Offer bytes to the socket; returns how many it took, or -1 where it is broken: the session ends."""
        try:
            return self.sock.send(chunks[0]) if len(chunks) == 1 else self.sock.sendmsg(chunks)
        except OSError as error:
            if error.errno in _RETRY:
                return 0
            log.info("connection lost: %s", error.strerror, extra=self.log_fields())
            self.abort()
            return -1

    def _drop(self, rest: deque[bytes | memoryview], size: int) -> None:
        """The socket has taken that many bytes of what waits."""
        self.connection.unsent -= size
        while size:
            piece = rest.popleft()
            if len(piece) > size:
                rest.appendleft(memoryview(piece)[size:])
                return
            size -= len(piece)

    def _refill(self, now: int) -> None:
        try:
            self.connection.drained(now)
        except StorageError as error:
            self.hub.driver.fail(error)
        except Exception:
            self.crashed()

    # -- TLS

    def _decrypt(self, size: int, tls: Tls) -> int:
        """Decrypt what was read, where it stands. Returns as `_receive` does. TLS may have something to answer."""
        try:
            size = tls.decrypt(self.hub.view[:size], self.hub.view) or -1
        except TlsError as error:
            log.error("connection lost: TLS: %s", error, extra=self.log_fields())
            size = 0
        answer = tls.take_output()
        if answer:
            self._put([answer])
        return size

    def _encrypted(self, data: bytes, tls: Tls) -> bytes:
        try:
            return tls.encrypt(data)
        except TlsError as error:
            log.error("connection lost: TLS: %s", error, extra=self.log_fields())
            self.abort()
            return b""

    # -- the end

    def _hang_up(self) -> None:
        """Send what is left, then wait for the peer to close too: closing at once could cost it our last bytes."""
        if self._patience is not None:
            return
        if self._tls is not None:
            self._put([self._tls.close()])
            if self._ended:
                return
        self._patience = Patience(self)
        self.hub.broker.timers.schedule(self._patience, self.hub.broker.now_ms + CLOSE_TIMEOUT_MS)
        if self._rest is None:
            self._shut_down()
        else:
            self._watch()

    def _shut_down(self) -> None:
        """All is sent."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:  # it broke
            self.end()
        else:
            self._shut = True
            self._watch()

    def _read_on(self) -> int:
        """Read, until the peer closes, what nobody wants any more."""
        size = self._receive(READ_SIZE)
        if size == 0:
            self.end()
        return size

    def end(self) -> None:
        """Close the socket and release everything. More than once is nothing. Within a round."""
        if self._over:
            return
        self._over = self._ended = True
        self._rest = None
        if self.wanted:
            self.hub.turns.watch(self, 0)
        self.sock.close()
        self.hub.parked.pop(self, None)
        if self._patience is not None:
            self._patience.end()
            self._patience = None
        if self.connection.user is not None:
            log.info("connection ended", extra=self.log_fields())
        try:
            self.connection.lost(now_ms())
        except StorageError as error:
            self.hub.driver.fail(error)
        except Exception:
            log.exception("internal error in a connection's end", extra=self.log_fields())
        self.hub.forget(self)
