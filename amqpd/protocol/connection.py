"""One connection: the walk over incoming frames, the channel table, and how it ends.

`feed` parses every complete frame it is given, without waiting, and leaves answers in `out`; `flush` hands them to the
transport, once at the end of a round. Its states stand in `states`, negotiation in `handshake`, what happens on a
channel in `channel`.

`paused` stops the walk between two frames: the connection publishes while an alarm is on (`blocked`), waits for a
definition to be stored (`_withheld`), for its login (`_attempt`) or for an answer about what it may do (`_asking`),
does not take the answers to what it asks (`throttled`), or has caused so much work that it is others' turn
(`yielding`). What was not parsed stays in `_rest`, which is less than a read and a content; a body frame that arrives
in many reads is in `_partial`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from amqpd.broker.ports import Owner, Transport
from amqpd.errors import (
    CONNECTION_FORCED,
    INTERNAL_ERROR,
    ChannelError,
    ConnectionFault,
    FrameFault,
    HandshakeFailure,
)
from amqpd.protocol import faults, handshake, notices
from amqpd.protocol.access import AnswerPending, Answers, Attempt, Expiry, recheck_consumers
from amqpd.protocol.channel import Channel
from amqpd.protocol.connectiontimer import ConnectionTimer
from amqpd.protocol.heartbeat import Heartbeat
from amqpd.protocol.passage import PartialBody
from amqpd.protocol.states import AWAIT_HEADER, AWAIT_OPEN, CLOSED, CLOSING, REFUSED, RUNNING
from amqpd.protocol.unopened import other_frame, strange_frame
from amqpd.wire import methods
from amqpd.wire.frames import BODY, END, HEADER, HEADER_SIZE, METHOD, OVERHEAD, write_frame
from amqpd.wire.primitives import BytesWriter, read_i16_be, read_i32_be
from amqpd.wire.tables import Table, decode_table

if TYPE_CHECKING:
    from amqpd.broker.node import Broker
    from amqpd.broker.persistence.keeper import Keeper
    from amqpd.broker.ports import Authenticator, LoginRefused, Peer, User
    from amqpd.broker.vhost import VHost

log = logging.getLogger("amqpd.connection")

_CLOSE_WAIT_MS: Final = 30_000
_TOLERANCE: Final = 8  # bytes by which a payload may exceed frame_max - 8, as in RabbitMQ


class Deadline(ConnectionTimer):
    """Ends the connection when a peer does not do what it must: finish the handshake, or close the socket."""

    def fire(self, now_ms: int) -> None:
        self.connection.give_up()


class Gone(Transport):
    """The transport of a connection whose socket is gone."""

    def flush(self) -> None:
        """There is nobody to send anything to."""

    def resume(self) -> None:
        """Nothing will come."""

    def close(self) -> None:
        """It is."""

    def abort(self) -> None:
        """It is."""


class Connection(Owner):
    """A client's connection. `name` is for people: `peer -> local`; `out` collects what is to be sent."""

    def __init__(
        self, broker: Broker, authenticator: Authenticator, transport: Transport, name: str, peer: Peer
    ) -> None:
        super().__init__()
        self.broker: Final = broker
        self.authenticator: Final = authenticator
        self.transport = transport
        self.name: Final = name
        self.peer: Final = peer
        self.out = BytesWriter()
        self.chunks: list[bytes] = []  # what was written before `out`, with large contents among it
        self.unsent = 0  # bytes in `chunks`, or taken by the transport and not yet sent
        self.congested = False  # some consumer was refused because too much is unsent
        self.dirty = False
        self.released = False
        self.state = AWAIT_HEADER
        self.paused = False
        self.blocked = False
        self._slowed = False  # because the disk cannot keep up
        self.throttled = False
        self.yielding = False
        self.user: User | None = None
        self.mechanism = ""
        self.answers: Final = Answers(self)
        self.vhost: VHost | None = None
        self.introduction = b""  # the client's properties, encoded: they are seldom looked at
        self.capabilities: frozenset[str] = frozenset()  # of the client, those that matter here
        self.channels: Final[dict[int, Channel]] = {}
        self.confirming: list[Channel] = []  # channels with confirms to write at the end of the round
        self.frame_max = broker.limits.initial_frame_max
        self.channel_max = broker.limits.channel_max
        self.bytes_received = 0
        self.bytes_sent = 0
        self.method = 0  # the method that is being acted on, for the close that it may cause
        self._rest = b""
        self._next = 0  # where the walk goes on after a fault
        self._partial: PartialBody | None = None
        self._feeding = False
        self._current: Channel | None = None
        self._withheld: bytes | None = None
        self._attempt: Attempt | None = None
        self._asking = False
        self._again = b""  # frames that are acted on anew once the answer is there
        self._expiry: Expiry | None = None  # of credentials that run out, which most never do
        self._heartbeat: Final = Heartbeat(self)
        self._deadline: Final = Deadline(self)
        broker.timers.schedule(self._deadline, broker.now_ms + broker.limits.handshake_timeout_ms)

    # -- bytes come in

    def feed(self, data: bytes, now_ms: int) -> None:
        """Act on every complete frame in what has arrived. `data` may be empty, after a pause."""
        self.broker.at(now_ms)
        self.bytes_received += len(data)
        if self._rest:
            data = self._rest + data
        pos = 0
        self._feeding = True
        self.broker.begin_turn(self)
        self.broker.catalogue.begin()
        if self.state == AWAIT_HEADER:
            pos = handshake.protocol_header(self, data)
        while self.state not in (AWAIT_HEADER, CLOSED) and not self.paused:
            try:
                pos = self._walk(data, pos)
                break
            except ChannelError as error:
                pos = self._next
                self._channel_fault(error)
            except ConnectionFault as error:
                pos = self._next
                if isinstance(error, FrameFault) and self.state < AWAIT_OPEN:
                    handshake.refuse(self, error.text)
                    break
                self.fail(error)
            except HandshakeFailure as error:
                handshake.refuse(self, str(error))
                break
        self._feeding = False
        self.broker.end_turn()
        self._rest = self._again + data[pos:] if self.state < CLOSED else b""
        self._again = b""
        self.answers.waiting = self._asking
        if self.confirming:
            self._flush_confirms()
        if self.yielding:
            self.yielding = False
            self._go_on()

    def yield_turn(self) -> None:
        self.yielding = True
        self.paused = True

    def _walk(self, data: bytes, pos: int) -> int:
        """Act on frames from `pos`; returns where the first incomplete one begins."""
        end = len(data)
        largest = self.frame_max
        if self._partial is not None:
            pos = self._go_on_with_body(self._partial, data)
        while end - pos >= HEADER_SIZE and not self.paused:
            size: int = read_i32_be(data, pos + 3)
            after = pos + size + OVERHEAD
            if size < 0 or size > largest:
                self._next = end
                raise faults.frame_too_large(data[pos], size & 0xFFFF_FFFF, largest - _TOLERANCE)
            if after > end:
                return end if data[pos] == BODY and self._began_body(data, pos, size) else pos
            self._next = after
            kind = data[pos]
            if data[after - 1] != END:
                raise faults.bad_end(kind, data[pos + 7 : after - 1], data[after - 1])
            number: int = read_i16_be(data, pos + 1)
            channel = self._current
            if channel is None or channel.number != number:
                number &= 0xFFFF
                channel = self.channels.get(number)
                if channel is None or self.state != RUNNING:
                    other_frame(self, kind, number, data[pos + 7 : after - 1])
                    largest = self.frame_max
                    pos = after
                    continue
                self._current = channel
            if kind == METHOD:
                pos = channel.on_method(data, pos, after, end)
            elif kind == BODY:
                channel.on_body([data[pos:after]], size)
                pos = after
            elif kind == HEADER:
                channel.on_header(data, pos, after)
                pos = after
            else:
                raise strange_frame(kind, data[pos + 7 : after - 1])
        return pos

    def _began_body(self, data: bytes, pos: int, size: int) -> bool:
        """Take what has arrived of a body frame, if the rest of it can be waited for in that way."""
        number: int = read_i16_be(data, pos + 1)
        channel = self.channels.get(number & 0xFFFF)
        if channel is None or self.state != RUNNING or not channel.expects_body(size):
            return False
        self._partial = PartialBody(channel, data[pos:], size + OVERHEAD)
        return True

    def _go_on_with_body(self, partial: PartialBody, data: bytes) -> int:
        """Returns where in `data` the next frame begins."""
        pos = partial.take(data)
        self._next = pos
        if partial.missing == 0:
            self._partial = None
            last = data[pos - 1]
            if last != END:
                raise faults.bad_end(BODY, b"".join(partial.pieces)[7:-1], last)
            if not partial.channel.closing:
                self._current = partial.channel
                partial.channel.on_body(partial.pieces, partial.size)
        return pos

    # -- channels

    def forget_channel(self, channel: Channel) -> None:
        """Its number is free again."""
        self.channels.pop(channel.number, None)
        if self._current is channel:
            self._current = None

    def resume_at(self, pos: int) -> None:
        """Where the walk goes on should the current frame's work raise."""
        self._next = pos

    def _channel_fault(self, error: ChannelError) -> None:
        """A soft error: it closes the channel on which the current frame arrived."""
        channel = self._current
        if channel is None:
            self.fail(ConnectionFault(INTERNAL_ERROR, error.text))
        else:
            channel.fail(error, self.method)

    def client_properties(self) -> Table:
        """What the client says of itself."""
        return decode_table(self.introduction)

    def log_fields(self, channel: int) -> dict[str, object]:
        """What a log line names: connection, channel, vhost and user."""
        return {
            "connection": self.name,
            "channel": channel,
            "vhost": self.vhost.name if self.vhost is not None else "",
            "user": self.user.name if self.user is not None else "",
        }

    # -- bytes go out

    def send(self, channel: int, payload: bytes) -> None:
        """Write a method frame. Where too much is unsent already nothing more is read until the client has taken it."""
        self.touch()
        write_frame(self.out, METHOD, channel, payload)
        if len(self.out) + self.unsent > self.broker.limits.unsent_stop:
            self.throttled = True
            self.congested = True
            self.paused = True

    def reply(self, channel: int, payload: bytes) -> None:
        """Write the answer of a method that changed definitions: once these are stored, and reading stops till then."""
        self._answer(self.broker.catalogue.settle(self._stored), channel, payload)

    def reply_after(self, changes: int, channel: int, payload: bytes) -> None:
        """Write an answer once all that came after `changes` (Broker.changes) is on disk; reading stops till then."""
        self._answer(self.broker.settle_since(changes, self._stored), channel, payload)

    def _answer(self, stored: bool, channel: int, payload: bytes) -> None:
        if stored:
            if payload:
                self.send(channel, payload)
            return
        out = BytesWriter()
        if payload:
            write_frame(out, METHOD, channel, payload)
        self._withheld = out.getvalue()
        self.paused = True

    def _stored(self) -> None:
        withheld = self._withheld
        self._withheld = None
        if withheld is None or self.state == CLOSED:
            return
        self.touch()
        self.out.write(withheld)
        self._go_on()

    def touch(self) -> None:
        """There is something to send at the end of the round."""
        if not self.dirty:
            self.dirty = True
            self.broker.touched.append(self)

    def flush(self) -> None:
        self.dirty = False
        if self.confirming:
            self._flush_confirms()
        self.transport.flush()

    def take_chunks(self) -> list[bytes]:
        """What is to be sent, large contents as elements of their own. The transport adds to `unsent`."""
        chunks = self.chunks
        self.chunks = []
        for chunk in chunks:
            self.bytes_sent += len(chunk)
            self.unsent -= len(chunk)
        if len(self.out):
            self.bytes_sent += len(self.out)
            chunks.append(self.out.getvalue())
            self.out = BytesWriter()
        return chunks

    def _flush_confirms(self) -> None:
        self.touch()
        for channel in self.confirming:
            channel.flush_confirms()
        self.confirming.clear()

    def drained(self, now_ms: int) -> None:
        """The transport has sent everything: consumers that were refused for that get their messages."""
        self.broker.at(now_ms)
        if not self.congested:
            return
        self.congested = False
        if self.throttled:
            self.throttled = False
            self._go_on()
        for channel in list(self.channels.values()):
            channel.wake_consumers()

    # -- alarms and pauses

    def published(self) -> None:
        """A message was published while an alarm is on: read nothing more until it is off."""
        if self.blocked or self.state != RUNNING:
            return
        self.blocked = True
        self.paused = True
        self._heartbeat.watch(False)
        if "connection.blocked" in self.capabilities:
            self.send(0, methods.connection_blocked(self.broker.alarms.reason()))
        log.warning("connection blocked: %s", self.broker.alarms.reason(), extra=self.log_fields(0))

    def alarms_changed(self) -> None:
        """Alarms were raised or cleared."""
        if not self.blocked:
            return
        capable = "connection.blocked" in self.capabilities
        if self.broker.alarms.active:
            if capable:
                self.send(0, methods.connection_blocked(self.broker.alarms.reason()))
            return
        self.blocked = False
        self._heartbeat.watch(True)
        if capable:
            self.send(0, methods.CONNECTION_UNBLOCKED_PAYLOAD)
        log.info("connection unblocked", extra=self.log_fields(0))
        self._go_on()

    def outran_disk(self, keeper: Keeper) -> None:
        """It publishes while too much waits for the disk: read nothing more until that is less (RabbitMQ: flow)."""
        if not self._slowed and self.state == RUNNING:
            self._slowed = True
            self.paused = True
            keeper.slow_down(self)

    def disk_caught_up(self) -> None:
        self._slowed = False
        if self.state != CLOSED:
            self._go_on()

    def _go_on(self) -> None:
        if self.blocked or self.throttled or self._asking or self._slowed:
            return
        if self._withheld is not None or self._attempt is not None:
            return
        self.paused = False
        if not self._feeding:
            self.transport.resume()

    # -- who it is, and what it may do

    def log_in(self, mechanism: str, response: bytes) -> None:
        """Have the authenticator decide; nothing is read until it has. Raises HandshakeFailure."""
        attempt = Attempt(self, mechanism, response)
        self._attempt = attempt
        self.paused = True
        self.authenticator.login(attempt)

    def logged_in(self, attempt: Attempt, user: User) -> None:
        """The login succeeded. Nothing happens if the connection waits no more."""
        if self._attempt is attempt:
            self._attempt = None
            self.user = user
            self.mechanism = attempt.mechanism
            handshake.logged_in(self)
            self._watch_expiry(user)
            self._go_on()

    def login_refused(self, attempt: Attempt, refusal: LoginRefused) -> None:
        """The login failed. Nothing happens if the connection waits no more."""
        if self._attempt is attempt:
            self._attempt = None
            handshake.login_refused(self, attempt.mechanism, refusal)
            self._go_on()

    def ask(self, pending: AnswerPending, frames: bytes) -> None:
        """Have the user's authority fetch an answer, and act on `frames` again then; nothing else is done till then."""
        assert self.user is not None
        self._asking = True
        self._again = frames
        self.paused = True
        self.user.authority.fetch(self.user, pending.question, self._answered)

    def _answered(self) -> None:
        if self._asking and self.state < CLOSING:
            self._asking = False
            self._go_on()

    def access_changed(self, user: str | None) -> None:
        if self.user is None or user not in (None, self.user.name):
            return
        self.answers.clear()
        for channel in list(self.channels.values()):
            recheck_consumers(channel)

    def forget_routes(self) -> None:
        """What was allowed holds no longer, and so do the routes that this user's publishes were found to take."""
        if self.vhost is not None and self.user is not None:
            self.vhost.member(self.user).routes.clear()

    def _watch_expiry(self, user: User) -> None:
        if self._expiry is not None:
            self.broker.timers.cancel(self._expiry)
            self._expiry = None
        if user.valid_until_ms >= 0:
            self._expiry = Expiry(self)
            self._expiry.start(user.valid_until_ms)

    def renewed(self) -> None:
        """The client has shown a new secret, and it was taken. Raises 530."""
        assert self.user is not None and self.vhost is not None
        self._watch_expiry(self.user)
        self.broker.access_changed(self.user.name)
        handshake.check_vhost_access(self.user, self.vhost.name)

    # -- the life of a connection

    def running(self, vhost: VHost) -> None:
        """The handshake is done."""
        self.vhost = vhost
        self.state = RUNNING
        assert self.user is not None
        self.broker.timers.cancel(self._deadline)
        self.broker.connection_opened(self)
        self.broker.usage(self.user.name).connections += 1
        vhost.member(self.user).connections += 1
        notices.connection_opened(self)

    def start_heartbeat(self, interval_s: int) -> None:
        """Send heartbeats and expect them; 0 is off."""
        self._heartbeat.start(interval_s)

    def fail(self, error: ConnectionFault) -> None:
        """Close the connection with an error: everything it held is released, then connection.close is sent."""
        if self.state >= CLOSING:
            return
        failed = 0 if isinstance(error, FrameFault) else self.method
        log.error("connection closed: %s", error.text, extra=self.log_fields(0))
        self.close(error.code, error.text, failed)

    def force_close(self, reason: str) -> None:
        """An operator, or the node's stop, ends the connection (320)."""
        if self.state == RUNNING:
            self.close(CONNECTION_FORCED, f"CONNECTION_FORCED - {reason}", 0)
        elif self.state < RUNNING:
            self.give_up()

    def close(self, code: int, text: str, failed: int) -> None:
        """Send connection.close and wait, for a limited time, until the peer agrees."""
        if self.state >= CLOSING:
            return
        self.release()
        self.state = CLOSING
        self.paused = False
        self.send(0, methods.close(methods.CONNECTION_CLOSE, code, faults.reply_text(text), failed))
        wait_ms = self._heartbeat.interval_ms or _CLOSE_WAIT_MS
        self.broker.timers.schedule(self._deadline, self.broker.now_ms + min(wait_ms, _CLOSE_WAIT_MS))
        self.transport.resume()

    def refused(self, pause_ms: int) -> None:
        """Say nothing more, and close after a pause."""
        self.release()
        self.state = REFUSED
        self.broker.timers.schedule(self._deadline, self.broker.now_ms + pause_ms)

    def closed_by_client(self) -> None:
        """connection.close arrived: everything is released before close-ok."""
        self.release()
        self.send(0, methods.CONNECTION_CLOSE_OK_PAYLOAD)
        self.finish()

    def finish(self) -> None:
        """Nothing more is to be said: close once the buffer is sent."""
        self.release()
        self.state = CLOSED
        self.transport.close()

    def give_up(self) -> None:
        """The peer did not do what it must: drop the socket."""
        self.release()
        self.state = CLOSED
        self.transport.abort()

    def lost(self, now_ms: int) -> None:
        """The socket is gone. Must be called for every connection, however it ended."""
        self.broker.at(now_ms)
        self.release()
        self.state = CLOSED
        self._rest = b""
        self.transport = Gone()
        self.answers.end()
        self._heartbeat.end()
        self._deadline.end()
        if self._expiry is not None:
            self._expiry.end()

    def release(self) -> None:
        """Give back everything: channels, heartbeats, exclusive queues. May be called more than once."""
        self.released = True
        self._heartbeat.stop()
        self.broker.timers.cancel(self._deadline)
        if self._expiry is not None:
            self.broker.timers.cancel(self._expiry)
        self.broker.timers.cancel(self.answers)
        self._withheld = None
        self._attempt = None
        self._asking = self.blocked = self._slowed = False
        for channel in list(self.channels.values()):
            channel.terminate()
        self.channels.clear()
        self.confirming.clear()
        self._current = None
        vhost = self.vhost
        if vhost is None:
            return
        notices.connection_closed(self)
        self.vhost = None
        for queue in list(self.owned.values()):
            vhost.remove_queue(queue)
        self.broker.connection_closed(self)
        assert self.user is not None
        self.broker.usage(self.user.name).connections -= 1
        self.broker.forget_usage(self.user.name)
        vhost.leave(self.user)
