"""One client's socket: reads for its connection, sends what the connection has written, and ends it.

Back-pressure, in the order in which it sets in:

- a flush sends straight to the socket. What that does not take waits in `_rest`, and a writer task sends it
- above `unsent_max` the core gives this client no more messages; once all is sent the writer asks for the refill
- above `unsent_stop` the core pauses: nothing is read any more, so that replies cannot pile up either
- above `unsent_hard_max` the connection is dropped

One read of at most READ_SIZE bytes, then every other task has its turn: who floods delays others by one batch only.

With TLS a read is decrypted and what is sent is encrypted, in the same place and by the same rules. Unsent bytes are
counted as they go to the socket, with what TLS adds. A client that goes without TLS's goodbye is one that closes its
socket like any other: whether the end was an orderly one is AMQP's to tell.

Invariants: `run` is the only task that reads, and on its way out, whatever happened, tells the connection `lost` once.
At most one task waits for the socket to become writable: the writer, or after `close` was called `run`.
"""

from __future__ import annotations

import errno
import logging
import socket
from typing import TYPE_CHECKING, Final

import trio

from amqpd.broker.ports import Peer, Transport
from amqpd.errors import INTERNAL_ERROR, StorageError
from amqpd.protocol.connection import Connection
from amqpd.runtime.driver import now_ms
from amqpd.server.tls import RECORD_MAX, TlsError

if TYPE_CHECKING:
    from amqpd.server.hub import Hub
    from amqpd.server.tls import Tls

log = logging.getLogger("amqpd.connection")

READ_SIZE: Final = 65_536  # more delays others and is slower besides: the allocator changes its ways above 128 KiB
SEND_SIZE: Final = 1_048_576  # bytes offered to the socket at a time from what waits
CLOSE_TIMEOUT_S: Final = 10.0  # to send what is left, and for the peer to close its side

_RETRY: Final = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EINTR)
_buffer = bytearray(READ_SIZE + RECORD_MAX)  # shared by all: nobody waits between the read and the copy
shared_view: Final = memoryview(_buffer)


class Session(Transport):
    """`sock` is non-blocking, and closed by this session. `run` must be started exactly once.

    With `tls` the handshake is done.
    """

    def __init__(self, hub: Hub, sock: socket.socket, name: str, peer: Peer, tls: Tls | None = None) -> None:
        self.hub: Final = hub
        self.sock: Final = sock
        self.connection: Final = Connection(hub.broker, hub.authenticator, self, name, peer)
        self._tls: Final = tls
        self.gone_since_ms = -1  # when the peer was first seen to have gone, while nothing is read
        self._rest: bytearray | None = None
        self._writing = False
        self._go_on = False  # the connection wants to look again at what it has received
        self._closing = False
        self._ended = False
        self._parked: trio.Event | None = None

    # -- what the connection asks for

    def flush(self) -> None:
        data = self.connection.take_output()
        if data and self._tls is not None and not self._ended:
            data = self._encrypted(data, self._tls)
        if data or self.connection.congested:
            self._put(data)

    def _put(self, data: bytes) -> None:
        """Send bytes as they are; what the socket does not take waits for the writer task."""
        if self._ended:
            return
        if self._rest is not None:
            self._rest += data
        elif data:
            sent = self._send(data)
            if sent < 0:
                return
            if sent < len(data):
                self._rest = bytearray(memoryview(data)[sent:])
        self.connection.unsent = len(self._rest or b"")
        if self.connection.unsent > self.hub.broker.limits.unsent_hard_max:
            log.error("connection dropped: %d bytes unsent", self.connection.unsent, extra=self.log_fields())
            self.abort()
        elif (self._rest is not None or self.connection.congested) and not self._writing and not self._closing:
            self._writing = True
            self.hub.nursery.start_soon(self._write)

    def resume(self) -> None:
        self._go_on = True
        self._unpark()

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._wake()

    def abort(self) -> None:
        self._ended = True
        self._rest = None
        self._wake()

    def _wake(self) -> None:
        """Have both tasks look at what changed."""
        if self.sock.fileno() >= 0:
            trio.lowlevel.notify_closing(self.sock)
        self._unpark()

    def _unpark(self) -> None:
        if self._parked is not None:
            self._parked.set()

    def log_fields(self) -> dict[str, object]:
        """What a log line about this session names."""
        return self.connection.log_fields(0)

    # -- reading

    async def run(self, received: bytes = b"") -> None:
        """Serve the client until its end. `received` was read before. Raises nothing but Cancelled."""
        try:
            if received:
                self._feed(received)
            while not self._ended and not self._closing:
                if self._go_on:
                    await trio.lowlevel.checkpoint()
                    self._go_on = False
                    self._feed(b"")
                elif self.connection.paused:
                    await self._park()
                else:
                    await self._read()
            if not self._ended:
                await self._hang_up()
        finally:
            self._end()

    async def _park(self) -> None:
        """Wait until reading may go on, or the end."""
        self._parked = trio.Event()
        self.hub.parked[self] = None
        try:
            await self._parked.wait()
        finally:
            self._parked = None
            self.hub.parked.pop(self, None)
            self.gone_since_ms = -1

    async def _read(self) -> None:
        if self._tls is not None and self._tls.ended:
            self._put(self._tls.close())
            self._client_has_gone()
            return
        try:
            await trio.lowlevel.wait_readable(self.sock)
        except trio.ClosedResourceError:
            return
        if self._ended or self._closing or self.connection.paused:
            return
        size = self._receive()
        if size > 0 and self._tls is not None:
            size = self._decrypt(size, self._tls)
        if size > 0:
            self._feed(bytes(shared_view[:size]))
        elif size == 0:
            self._client_has_gone()

    def _client_has_gone(self) -> None:
        self._ended = True
        if self.connection.vhost is not None:
            log.warning("the client closed its socket without connection.close", extra=self.log_fields())

    def _receive(self) -> int:
        """Read once into the shared buffer. 0 at the stream's end or where it broke, -1 if there was nothing yet."""
        try:
            return self.sock.recv_into(_buffer, READ_SIZE)
        except OSError as error:
            if error.errno in _RETRY:
                return -1
            log.info("connection lost: %s", error.strerror, extra=self.log_fields())
            return 0

    def _feed(self, data: bytes) -> None:
        try:
            self.connection.feed(data, now_ms())
        except StorageError as error:
            self.hub.driver.fail(error)
        except Exception:
            self.crashed()
        self.hub.driver.end_round()

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

    def _send(self, data: bytes | memoryview) -> int:
        """Offer bytes to the socket; returns how many it took, or -1 where it is broken: the session ends."""
        try:
            return self.sock.send(data)
        except OSError as error:
            if error.errno in _RETRY:
                return 0
            log.info("connection lost: %s", error.strerror, extra=self.log_fields())
            self.abort()
            return -1

    def _send_rest(self) -> None:
        """Offer what waits to the socket."""
        if self._rest is None:
            return
        with memoryview(self._rest) as view:
            sent = self._send(view[:SEND_SIZE])
        if sent < 0:
            return
        del self._rest[:sent]
        if not self._rest:
            self._rest = None
        self.connection.unsent = len(self._rest or b"")

    async def _write(self) -> None:
        """The writer task: send what waits, have consumers refilled when all is sent, end when neither is left to do.

        It waits at least once in each turn, so that a quick consumer of a long queue leaves others theirs.
        """
        try:
            while not self._ended and not self._closing:
                if self._rest is not None:
                    try:
                        await trio.lowlevel.wait_writable(self.sock)
                    except trio.ClosedResourceError:
                        continue
                    self._send_rest()
                elif self.connection.congested:
                    await trio.lowlevel.checkpoint()
                    self._refill()
                else:
                    return
        finally:
            self._writing = False

    def _refill(self) -> None:
        try:
            self.connection.drained(now_ms())
        except StorageError as error:
            self.hub.driver.fail(error)
        except Exception:
            self.crashed()
        self.hub.driver.end_round()

    # -- TLS

    def _decrypt(self, size: int, tls: Tls) -> int:
        """Decrypt what was read, where it stands. Returns as `_receive` does. TLS may have something to answer."""
        try:
            size = tls.decrypt(shared_view[:size], shared_view) or -1
        except TlsError as error:
            log.error("connection lost: TLS: %s", error, extra=self.log_fields())
            size = 0
        answer = tls.take_output()
        if answer:
            self._put(answer)
        return size

    def _encrypted(self, data: bytes, tls: Tls) -> bytes:
        try:
            return tls.encrypt(data)
        except TlsError as error:
            log.error("connection lost: TLS: %s", error, extra=self.log_fields())
            self.abort()
            return b""

    # -- the end

    async def _hang_up(self) -> None:
        """Send what is left, then wait for the peer to close too: closing at once could cost it our last bytes."""
        if self._tls is not None:
            self._put(self._tls.close())
            if self._ended:
                return
        with trio.move_on_after(CLOSE_TIMEOUT_S):
            try:
                while self._rest is not None:
                    await trio.lowlevel.wait_writable(self.sock)
                    self._send_rest()
                self.sock.shutdown(socket.SHUT_WR)
                while self._receive() != 0:
                    await trio.lowlevel.wait_readable(self.sock)
            except (OSError, trio.ClosedResourceError):  # it broke, or was aborted
                return

    def _end(self) -> None:
        self._ended = True
        self._rest = None
        self._wake()
        self.sock.close()
        if self.connection.user is not None:
            log.info("connection ended", extra=self.log_fields())
        try:
            self.connection.lost(now_ms())
        except StorageError as error:
            self.hub.driver.fail(error)
        except Exception:
            log.exception("internal error in a connection's end", extra=self.log_fields())
        self.hub.forget(self)
        self.hub.driver.end_round()
