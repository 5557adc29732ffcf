"""All sessions of a node: lets them in, tells them of alarms, finds those whose peers have gone, and ends them.

Does not listen (`listeners`) and does not read or write (`arrival`, then `session`). Who is served when is `turns`'.
"""

from __future__ import annotations

import logging
import select
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import trio

from amqpd.broker.node import Broker
from amqpd.broker.ports import Authenticator, Peer
from amqpd.protocol.states import REFUSED
from amqpd.runtime.driver import Driver, now_ms
from amqpd.server.arrival import STEPS_AT_ONCE, Arrival
from amqpd.server.endpoints import Networks
from amqpd.server.session import Session
from amqpd.server.tls import RECORD_MAX
from amqpd.server.turns import READ_SIZE, Turns

if TYPE_CHECKING:
    from amqpd.server.contexts import TlsContexts
    from amqpd.server.tls import Tls

log = logging.getLogger("amqpd.server")

SHUTDOWN_REASON: Final = "broker forced connection closure with reason 'shutdown'"
SWEEP_INTERVAL_S: Final = 10.0
GONE_TIMEOUT_MS: Final = 30_000  # about when RabbitMQ's heartbeat would fail on such a socket


class Hub:
    """`nursery` holds the task of all sessions, and those of arrivals. `handshake_max` is the limit on what is not yet
    open; 0 is none. `view` is what everybody reads into: nobody waits between a read and the copy.

    `trusted_proxies` are addresses and networks, as in the setting. Raises ValueError where they are not.
    """

    def __init__(
        self,
        broker: Broker,
        authenticator: Authenticator,
        driver: Driver,
        nursery: trio.Nursery,
        handshake_max: int,
        trusted_proxies: Sequence[str] = (),
    ) -> None:
        self.broker: Final = broker
        self.authenticator: Final = authenticator
        self.driver: Final = driver
        self.nursery: Final = nursery
        self.turns: Final = Turns(driver)
        self.view: Final = memoryview(bytearray(READ_SIZE + RECORD_MAX))
        self.arrivals: Final[dict[Arrival, None]] = {}  # those that have no session yet
        self.handshake_steps: Final = trio.Semaphore(STEPS_AT_ONCE)
        self.sessions: Final[dict[Session, None]] = {}
        self.parked: Final[dict[Session, None]] = {}  # those that do not read now
        self._handshake_max = handshake_max
        self._trusted_proxies = Networks(trusted_proxies)
        self._empty: trio.Event | None = None
        broker.alarms.subscribe(self._alarms_changed)
        driver.recover = self._recover
        nursery.start_soon(self._serve)

    async def _serve(self) -> None:
        """The task of all sessions. On its way out, whatever happened, they end."""
        try:
            await self.turns.run()
        finally:
            for session in list(self.sessions):
                session.end()
            self.turns.close()
            self.driver.end_round()

    def configure(self, handshake_max: int, trusted_proxies: Sequence[str]) -> None:
        """Obey these from now on. Raises ValueError as when made."""
        self._trusted_proxies = Networks(trusted_proxies)
        self._handshake_max = handshake_max

    # -- coming and going

    def admit(self, sock: socket.socket, name: str, peer: Peer, contexts: TlsContexts | None = None) -> None:
        """Serve a socket that was just accepted, and close it at the end. `contexts` are there on a TLS listener."""
        waiting = len(self.arrivals) + len(self.sessions) - self.broker.connection_count()
        if 0 < self._handshake_max <= waiting:
            log.warning("refused %s: handshake_max (%d) is reached", name, self._handshake_max)
            sock.close()
            return
        proxied = peer.address in self._trusted_proxies
        if contexts is None and not proxied:
            self.begin(sock, name, peer)
            return
        arrival = Arrival(self, sock, name, peer, proxied, contexts.open() if contexts is not None else None)
        self.arrivals[arrival] = None
        self.nursery.start_soon(arrival.run)

    def begin(
        self, sock: socket.socket, name: str, peer: Peer, tls: Tls | None = None, received: bytes = b""
    ) -> None:
        """AMQP begins. `received` was read before."""
        with self.driver.round():
            session = Session(self, sock, name, peer, tls)
            self.sessions[session] = None
            if self.turns.over:
                session.end()
            else:
                session.start(received)

    def forget_arrival(self, arrival: Arrival) -> None:
        """A session has begun in its place, or its socket is closed."""
        self.arrivals.pop(arrival, None)
        self._tell_if_empty()

    def forget(self, session: Session) -> None:
        """A session has ended."""
        self.sessions.pop(session, None)
        self._tell_if_empty()

    def _tell_if_empty(self) -> None:
        if not self.sessions and not self.arrivals and self._empty is not None:
            self._empty.set()

    def close(self, session: Session, reason: str) -> None:
        """Close a connection on somebody's order (320), within a `Driver.round`."""
        if session.connection.state == REFUSED:
            session.abort()
        else:
            session.connection.force_close(reason)

    def close_vhost(self, name: str) -> None:
        """Close the connections to a vhost that is about to be deleted (RabbitMQ: rabbit_connection_tracking)."""
        for session in list(self.sessions):
            vhost = session.connection.vhost
            if vhost is not None and vhost.name == name:
                self.close(session, f"vhost '{name}' is deleted")

    def close_user(self, name: str) -> None:
        """Close the connections of a user who is about to be deleted."""
        for session in list(self.sessions):
            user = session.connection.user
            if user is not None and user.name == name:
                self.close(session, f"user '{name}' is deleted")

    async def stop(self, timeout_s: float) -> None:
        """Close all connections and wait, for a limited time, until all sessions have ended."""
        for arrival in list(self.arrivals):
            arrival.abort()
        with self.driver.round():
            for session in list(self.sessions):
                self.close(session, SHUTDOWN_REASON)
        if self.sessions or self.arrivals:
            self._empty = trio.Event()
            with trio.move_on_after(timeout_s):
                await self._empty.wait()

    # -- what concerns all

    def _alarms_changed(self) -> None:
        """Called by whoever raised or cleared an alarm, who then ends the round."""
        log.warning("alarm: %s", self.broker.alarms.reason() if self.broker.alarms.active else "none any more")
        for session in list(self.sessions):
            session.connection.alarms_changed()

    def _recover(self) -> None:
        """A flush failed half-way: flush those whose turn was lost, and end the connection that it failed for."""
        for session in list(self.sessions):
            if session.connection.dirty:
                try:
                    session.connection.flush()
                except Exception:
                    session.crashed()
        try:
            self.broker.flush()
        except Exception:
            log.exception("internal error after an internal error")

    async def sweep(self) -> None:
        """The task that finds sessions which do not read, because of an alarm, and whose peer has gone meanwhile.

        Where the socket is broken it ends at once. Where the peer has only closed its side, what it sent before is
        still wanted: the session gets as long as a heartbeat would have given it. Where the platform does not tell (no
        POLLRDHUP), heartbeats and TCP's keepalive do.
        """
        while True:
            await trio.sleep(SWEEP_INTERVAL_S)
            for session in list(self.parked):
                if self._has_gone(session):
                    log.warning("the client has gone while it was blocked", extra=session.log_fields())
                    session.abort()

    def _has_gone(self, session: Session) -> bool:
        closed_side = getattr(select, "POLLRDHUP", 0)
        poll = select.poll()
        poll.register(session.sock, closed_side)  # errors and hang-ups are always reported
        events = poll.poll(0)
        if not events:
            return False
        if events[0][1] & ~closed_side:
            return True
        if session.gone_since_ms < 0:
            session.gone_since_ms = now_ms()
        return now_ms() - session.gone_since_ms >= GONE_TIMEOUT_MS
