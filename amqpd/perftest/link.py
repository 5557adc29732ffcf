"""A connection on a socket: reads for its client, sends what it has written, and keeps it alive.

`run` is the only task that reads; another one sends. A send waits as long as the broker does not read, but reading
goes on meanwhile: a broker that waits for us to read must not wait for ever. Who publishes asks for `room` before.

Limits: what waits to be sent is ROOM bytes and one batch of each channel; acknowledgements come on top, and beyond
UNSENT_MAX the run ends. Connecting, logging in and every request have a time limit.
"""

from __future__ import annotations

import os
import ssl
from typing import Final

import trio

from amqpd.perftest import requests
from amqpd.perftest.client import Client
from amqpd.perftest.consumer import Consumer
from amqpd.perftest.faults import RunError
from amqpd.perftest.texts import Address
from amqpd.wire import frames, methods

READ_SIZE: Final = 131_072
ROOM: Final = 131_072
UNSENT_MAX: Final = 64 * 2**20
CONNECT_TIMEOUT_S: Final = 10.0
CALL_TIMEOUT_S: Final = 60.0  # a broker may have to ask others before it declares a queue


class Signal:
    """Something has happened. One task at a time waits for it; what happens before it waits is not lost."""

    def __init__(self) -> None:
        self._event = trio.Event()

    def set(self) -> None:
        """It has happened."""
        self._event.set()

    async def wait(self) -> None:
        """Wait until it has happened since the last wait."""
        await self._event.wait()
        self._event = trio.Event()


class Link:
    """`opened` is set when the login is done. What goes wrong ends `run`, and its nursery, with RunError."""

    def __init__(self, stream: trio.abc.Stream, client: Client, opened: trio.Event) -> None:
        self.client: Final = client
        self.opened: Final = opened
        self.waiting: Final[list[Consumer]] = []  # who may be full
        self._stream: Final = stream
        self._output: Final = Signal()
        self._room: Final = trio.lowlevel.ParkingLot()
        self._not_full: Final = trio.lowlevel.ParkingLot()
        self._sending = 0  # bytes
        self._received = False  # anything since the last look
        self._sent = False
        self._scope: Final = trio.CancelScope()

    # -- for those who use it

    def send(self, data: bytes | bytearray) -> None:
        """Have something sent. Does not wait."""
        self.client.send(data)
        self.flush()

    def flush(self) -> None:
        """Have sent what the client has written."""
        if self.client.unsent > UNSENT_MAX:
            raise RunError(f"{self.client.address.place} does not read: {UNSENT_MAX} bytes wait to be sent")
        if self.client.unsent:
            self._output.set()

    async def room(self) -> None:
        """Wait until more may be published."""
        while self.client.unsent + self._sending >= ROOM:
            await self._room.park()

    def emptied(self) -> None:
        """A consumer has worked: reading may go on."""
        if self._not_full:
            self._not_full.unpark_all()

    async def call(self, channel: int, request: bytes, answer: int) -> bytes:
        """Send a request and wait for its answer's arguments. Raises RunError when none comes."""
        done = trio.Event()
        call = self.client.call(channel, request, answer, done.set)
        self.flush()
        with trio.move_on_after(CALL_TIMEOUT_S):
            await done.wait()
        if call.arguments is None:
            name = methods.NAMES[answer]
            raise RunError(f"{self.client.address.place}: no {name} within {CALL_TIMEOUT_S:.0f} s")
        return call.arguments

    async def close(self) -> None:
        """End the connection in order. May wait for ever: the caller has a time limit."""
        await self.call(0, requests.close(methods.CONNECTION_CLOSE), methods.CONNECTION_CLOSE_OK)

    def cut(self) -> None:
        """End the connection without a word, if it is not ended."""
        self._scope.cancel()

    # -- tasks

    async def run(self) -> None:
        """Read and send until the connection is closed, or cut."""
        with self._scope:
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write)
                    nursery.start_soon(self._keep_alive)
                    await self._read()
                    nursery.cancel_scope.cancel()
            finally:
                await trio.aclose_forcefully(self._stream)

    async def _read(self) -> None:
        client = self.client
        while not client.closed:
            while any(consumer.full for consumer in self.waiting):
                self._received = True
                await self._not_full.park()
            try:
                data = await self._stream.receive_some(READ_SIZE)
            except trio.BrokenResourceError as error:
                raise self._lost(error) from None
            if not data:
                raise self._lost(None)
            self._received = True
            client.feed(bytes(data))
            self.flush()

    async def _write(self) -> None:
        client = self.client
        while True:
            await self._output.wait()
            while client.unsent:
                chunks = client.take()
                data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
                self._sending = len(data)
                try:
                    await self._stream.send_all(data)
                except trio.BrokenResourceError:
                    # Why it was ended is to be read yet: the task that reads says so.
                    await trio.sleep_forever()
                self._sending = 0
                self._sent = True
                self._room.unpark_all()

    async def _keep_alive(self) -> None:
        """Heartbeats, once it is known whether there are any: sent after half the time, missed after twice the time."""
        await self.opened.wait()
        half = self.client.heartbeat / 2
        silent = 0
        while half:
            await trio.sleep(half)
            if not self._sent:
                self.send(frames.HEARTBEAT_FRAME)
            silent = 0 if self._received else silent + 1
            self._sent = self._received = False
            if silent >= 4:
                raise RunError(f"{self.client.address.place} is silent for {2 * self.client.heartbeat} s")

    def _lost(self, error: trio.BrokenResourceError | None) -> RunError:
        place = self.client.address.place
        if not self.client.open:
            what = "ended the connection during the login: it may not speak AMQP 0-9-1"
        else:
            what = "ended the connection without a word"
        cause = error.__cause__ if error is not None else None
        return RunError(f"{place} {what}" + (f" ({described(cause)})" if cause is not None else ""))


async def open_link(nursery: trio.Nursery, client: Client, tls: ssl.SSLContext | None) -> Link:
    """Connect and log in; the link runs in the nursery then. `tls` is for addresses with amqps.

    Raises RunError where nobody answers; what the broker refuses ends the nursery with RunError.
    """
    stream = await _connect(client.address, tls)
    opened = trio.Event()
    client.when_open = opened.set
    link = Link(stream, client, opened)
    nursery.start_soon(link.run)
    client.start()
    link.flush()
    with trio.move_on_after(CALL_TIMEOUT_S):
        await opened.wait()
        return link
    raise RunError(f"{client.address.place} does not finish the login within {CALL_TIMEOUT_S:.0f} s")


async def _connect(address: Address, tls: ssl.SSLContext | None) -> trio.abc.Stream:
    try:
        with trio.fail_after(CONNECT_TIMEOUT_S):
            stream = await trio.open_tcp_stream(address.host, address.port)
            if tls is None or not address.tls:
                return stream
            secured = trio.SSLStream(stream, tls, server_hostname=address.host, https_compatible=True)
            try:
                await secured.do_handshake()
            except BaseException:
                await trio.aclose_forcefully(stream)
                raise
            return secured
    except trio.TooSlowError:
        raise RunError(f"cannot connect to {address.place}: no answer within {CONNECT_TIMEOUT_S:.0f} s") from None
    except trio.BrokenResourceError as error:
        cause = error.__cause__
        why = described(cause) if cause is not None else "the other side ended the connection"
        raise RunError(f"cannot connect to {address.place} with TLS: {why}") from None
    except OSError as error:
        raise RunError(f"cannot connect to {address.place}: {described(error)}") from None


def described(error: BaseException) -> str:
    """An error of the system in a few words. trio wraps those of several addresses."""
    cause = error.__cause__
    if isinstance(cause, BaseExceptionGroup):
        return described(cause.exceptions[0])
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return error.reason or str(error)
    if cause is not None and not isinstance(error, OSError):
        return described(cause)
    if isinstance(error, OSError) and error.errno and error.errno > 0:
        return os.strerror(error.errno)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror  # of getaddrinfo, which has numbers of its own
    return str(error)
