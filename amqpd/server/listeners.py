"""Where clients come in: TCP and UNIX-domain sockets, and the accept loops.

A listener is given as `HOST:PORT`, `[IPV6]:PORT` or `unix:PATH`. `[::]:PORT` takes IPv4 as well, unless an IPv4
listener on the same port is configured too. What a listener with TLS lets in speaks TLS: that is not seen here.
"""

from __future__ import annotations

import errno
import itertools
import logging
import os
import re
import socket
import stat
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import trio

from amqpd.broker.ports import Peer
from amqpd.errors import ConfigError
from amqpd.server.endpoints import endpoint, is_loopback, plain

if TYPE_CHECKING:
    from amqpd.server.contexts import TlsContexts

log = logging.getLogger("amqpd.server")

BACKLOG: Final = 4096
ACCEPTS_MAX: Final = 64  # in one go, before other tasks have their turn
PAUSE_S: Final = 0.5  # when the machine has run out of something
UNIX_PREFIX: Final = "unix:"
TLS_PREFIX: Final = "tls:"

_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_FATAL: Final = (errno.EBADF, errno.EINVAL, errno.ENOTSOCK, errno.EOPNOTSUPP, errno.EFAULT)
_unix_numbers = itertools.count(1)

Admit = Callable[[socket.socket, str, Peer, "TlsContexts | None"], None]


class Listener:
    """A listening socket. `address` is what a client connects to, with the port that was really bound.

    It begins with `unix:` or, where clients need TLS, with `tls:`.
    """

    def __init__(self, sock: socket.socket, path: str = "", contexts: TlsContexts | None = None) -> None:
        self.sock: Final = sock
        self.path: Final = path
        self.contexts: Final = contexts
        self.address: Final = UNIX_PREFIX + path if path else self._tcp_address()
        self._closed = False

    def _tcp_address(self) -> str:
        host, port, *_rest = self.sock.getsockname()
        return (TLS_PREFIX if self.contexts is not None else "") + endpoint(host, port)

    def close(self) -> None:
        """Stop listening; a UNIX socket's file goes too. May be called more than once."""
        if self._closed:  # later on the file may be that of the next node
            return
        self._closed = True
        self.sock.close()
        if self.path:
            try:
                os.unlink(self.path)
            except FileNotFoundError:
                pass

    async def accept(self, admit: Admit) -> None:
        """Let clients in, until cancelled. Running out of descriptors or memory is logged and waited for."""
        exhausted = False
        while True:
            await trio.lowlevel.wait_readable(self.sock)
            try:
                self._accept_some(admit)
                exhausted = False
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                if not exhausted:
                    log.error("cannot accept on %s: %s; trying again", self.address, error.strerror)
                exhausted = True
                await trio.sleep(PAUSE_S)

    def _accept_some(self, admit: Admit) -> None:
        for _ in range(ACCEPTS_MAX):
            try:
                sock, peer = self.sock.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _EXHAUSTED or error.errno in _FATAL:
                    raise
                continue  # that client's network failed before we came to it (accept(2))
            self._let_in(sock, peer, admit)

    def _let_in(self, sock: socket.socket, peer: object, admit: Admit) -> None:
        sock.setblocking(False)
        if self.path:
            admit(sock, f"unix:{next(_unix_numbers)} -> {self.address}", Peer("", True), None)
            return
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            reached, reached_port, *_rest = sock.getsockname()
        except OSError:  # reset before we came to it (macOS)
            sock.close()
            return
        assert isinstance(peer, tuple)
        host, port, *_rest = peer
        name = f"{endpoint(host, port)} -> {endpoint(reached, reached_port)}"
        admit(sock, name, Peer(plain(host), is_loopback(host)), self.contexts)


def open_listeners(
    specs: Sequence[str], unix_mode: int, tls_specs: Sequence[str] = (), contexts: TlsContexts | None = None
) -> list[Listener]:
    """Listen everywhere in `specs`, and with TLS in `tls_specs`, or nowhere. Raises ConfigError."""
    listeners: list[Listener] = []
    everywhere = [*specs, *tls_specs]
    try:
        for spec in specs:
            if spec.startswith(UNIX_PREFIX):
                listeners.append(listen_unix(spec.removeprefix(UNIX_PREFIX), unix_mode))
            else:
                listeners.extend(_listen_tcp(spec, everywhere, None))
        for spec in tls_specs:
            listeners.extend(_listen_tcp(spec, everywhere, contexts))
    except BaseException:
        close_all(listeners)
        raise
    return listeners


def close_all(listeners: list[Listener]) -> None:
    """Stop listening."""
    for listener in listeners:
        listener.close()


def _listen_tcp(spec: str, specs: Sequence[str], contexts: TlsContexts | None) -> list[Listener]:
    found = re.fullmatch(r"(?:\[([0-9a-fA-F:.%\w]+)\]|([^:\[\]\s]+)):(\d{1,5})", spec)
    if found is None or int(found[3]) > 65_535:
        raise ConfigError(f"listeners: {spec!r} is not of the form HOST:PORT, [IPV6]:PORT or unix:PATH")
    host, port = found[1] or found[2], int(found[3])
    ipv4_too = not any(other != spec and other.endswith(f":{port}") and not other.startswith("[") for other in specs)
    try:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ConfigError(f"cannot listen on {spec}: {error.strerror or error}") from None
    listeners = []
    failure: OSError | None = None
    for family, _type, protocol, _name, address in infos:
        try:
            listeners.append(Listener(_bind(family, protocol, address, ipv4_too), contexts=contexts))
        except OSError as error:
            failure = error
            if error.errno == errno.EADDRINUSE:
                break
    if failure is not None and (not listeners or failure.errno == errno.EADDRINUSE):
        close_all(listeners)
        raise ConfigError(f"cannot listen on {spec}: {failure.strerror}")
    return listeners


def _bind(family: int, protocol: int, address: object, ipv4_too: bool) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM, protocol)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if ipv4_too else 1)
        sock.bind(address)  # type: ignore[arg-type]  # as getaddrinfo gave it
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def listen_unix(path: str, mode: int) -> Listener:
    """Listen on a UNIX-domain socket. A file left by a node that is no more is replaced. Raises ConfigError."""
    _remove_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.bind(path)
        os.chmod(path, mode)  # nobody can connect before listen
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise ConfigError(f"cannot listen on unix:{path}: {error.strerror or error}") from None
    return Listener(sock, path)


def _remove_stale(path: str) -> None:
    try:
        status = os.lstat(path)
    except OSError:
        return  # not there; or what is wrong will show when binding
    if not stat.S_ISSOCK(status.st_mode):
        raise ConfigError(f"cannot listen on unix:{path}: the file exists and is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except OSError as error:
            raise ConfigError(f"cannot listen on unix:{path}: it is there: {error.strerror}") from None
    raise ConfigError(f"cannot listen on unix:{path}: somebody else listens there")
