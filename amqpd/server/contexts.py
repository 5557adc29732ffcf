"""The node's certificates and rules for TLS, made from the settings, and made anew while the node runs.

A host name that has no certificate of its own, or none at all, gets the one of `ssl_options.certfile`. Reading files is
the only thing here that blocks: at start and at a reload.

Invariant: new connections use what the last settings and files that were right have said, all of it or nothing. A
connection keeps what it has begun with.
"""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import trio

from amqpd.config import Settings
from amqpd.errors import ConfigError
from amqpd.server import certificates
from amqpd.server.certificates import Dated
from amqpd.server.tls import Tls, explained

log = logging.getLogger("amqpd.server")

# TLS 1.2 with forward secrecy and authenticated encryption. TLS 1.3 has nothing else.
CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
DAY_S: Final = 86_400.0
FILE_MAX: Final = 16 * 1024 * 1024  # bytes; all the world's authorities take a fiftieth of it

_VERSIONS: Final = {"tlsv1.2": ssl.TLSVersion.TLSv1_2, "tlsv1.3": ssl.TLSVersion.TLSv1_3}
_CERTFILE: Final = "ssl_options.certfile"
_KEYFILE: Final = "ssl_options.keyfile"
_CACERTFILE: Final = "ssl_options.cacertfile"
_SNI: Final = "ssl_options.sni"
_CERTIFICATE: Final = b"CERTIFICATE-----"  # how a line of PEM ends before one, and after it
_KEY: Final = b"PRIVATE KEY-----"


class TlsContexts:
    """The rules for new connections. Raises ConfigError where a file is wrong, with setting, file and reason."""

    def __init__(self, settings: Settings) -> None:
        self._now = _Generation(settings)

    def open(self) -> Tls:
        """TLS for a connection that has just come."""
        return Tls(self._now.default)

    def reload(self, settings: Settings) -> None:
        """Read all files again; what is wrong leaves everything as it was, and raises ConfigError. Blocks, and logs."""
        self._now = _Generation(settings)
        log.info("TLS: new connections use %s as it is now", settings.text(_CERTFILE))
        self.log_expiry(time.time())

    def files(self) -> list[str]:
        """The files that were read, each once: `reload` when one of them has changed."""
        return list(dict.fromkeys(self._now.files))

    def log_expiry(self, now_s: float) -> None:
        """Log which certificates are no longer valid at that time of day, or will not be for long."""
        now = datetime.fromtimestamp(now_s, UTC)
        for level, text in certificates.notices(self._now.dated, now, self._now.warning_days):
            log.log(level, "%s", text)

    async def watch_expiry(self, clock: Callable[[], float] = time.time) -> None:
        """The task that does so at once, and then each day."""
        while True:
            self.log_expiry(clock())
            await trio.sleep(DAY_S)


class _Generation:
    """What one reading of settings and files gave. Raises ConfigError."""

    def __init__(self, settings: Settings) -> None:
        self._settings: Final = settings
        self.files: Final[list[str]] = []
        self.dated: Final[list[Dated]] = []
        self.warning_days: Final = settings.number("tls_expiry_warning_days")
        self._authorities: Final = self._read_authorities()
        certfile, keyfile = settings.text(_CERTFILE), settings.text(_KEYFILE)
        self.default: Final = self._context(_CERTFILE, certfile, _KEYFILE if keyfile else _CERTFILE, keyfile)
        self._others: Final[dict[str, ssl.SSLContext]] = {}
        for entry in settings.names(_SNI):
            self._add_host(entry)
        if self._others:
            self.default.sni_callback = self._choose

    # -- by host name

    def _add_host(self, entry: str) -> None:
        host, _equals, files = entry.partition("=")
        certfile, _colon, keyfile = files.partition(":")
        host = host.lower()
        if not host.isascii():
            raise ConfigError(f"{_SNI}: {host}: write the name as it is sent, in ASCII (xn--...)")
        if host in self._others:
            raise ConfigError(f"{_SNI}: {host} is there twice")
        setting = f"{_SNI}: {host}"
        self._others[host] = self._context(setting, certfile, setting, keyfile)

    def _choose(self, connection: ssl.SSLSocket | ssl.SSLObject, host: str | None, _context: ssl.SSLContext) -> None:
        """OpenSSL asks which certificate a client gets that wants to talk to `host`.

        Python ends a handshake in which the name is not ASCII, and prints that to standard error besides.
        """
        if host is None:
            return
        host = host.lower()
        found = self._others.get(host) or self._others.get("*." + host.partition(".")[2])
        if found is not None:
            connection.context = found

    # -- files

    def _context(self, setting: str, certfile: str, key_setting: str, keyfile: str) -> ssl.SSLContext:
        """The rules of all, with one certificate. Without a `keyfile` the key stands with the certificate."""
        certificate = self._read(setting, certfile)
        key = self._read(key_setting, keyfile) if keyfile else certificate
        context = self._bare_context()
        password = self._settings.text("ssl_options.password")
        try:
            context.load_cert_chain(certfile, keyfile or None, password=lambda: password)  # never asks at the terminal
        except (ssl.SSLError, OSError, ValueError) as error:
            where = f"{setting}: {certfile}", f"{key_setting}: {keyfile or certfile}"
            raise ConfigError(_what_is_wrong(where, certificate, key, password != "", error)) from None
        self._note_dates(setting, certfile, certificate)
        return context

    def _bare_context(self) -> ssl.SSLContext:
        settings = self._settings
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        versions = [_VERSIONS[name] for name in settings.names("ssl_options.versions")]
        context.minimum_version, context.maximum_version = min(versions), max(versions)
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
        try:
            context.set_ciphers(settings.text("ssl_options.ciphers") or CIPHERS)
        except ssl.SSLError:
            raise ConfigError(
                "ssl_options.ciphers: OpenSSL knows none of them; give their names with a colon between them, "
                "as `openssl ciphers` prints them"
            ) from None
        if self._authorities:
            try:
                context.load_verify_locations(cadata=self._authorities)
            except ssl.SSLError as error:
                file = settings.text(_CACERTFILE)
                raise ConfigError(f"{_CACERTFILE}: {file} is damaged: {explained(error)}") from None
        if settings.text("ssl_options.verify") == "verify_peer":
            required = settings.flag("ssl_options.fail_if_no_peer_cert")
            context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
            # As in RabbitMQ every certificate in the file is believed, not those only that have signed themselves.
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return context

    def _read_authorities(self) -> str:
        """What stands in ssl_options.cacertfile. Empty where that is not set."""
        file = self._settings.text(_CACERTFILE)
        if not file:
            return ""
        pem = self._read(_CACERTFILE, file)
        if _CERTIFICATE not in pem:
            raise ConfigError(f"{_CACERTFILE}: {file} has no certificate in PEM in it")
        self._note_dates(_CACERTFILE, file, pem)
        return pem.decode("ascii", "ignore")

    def _read(self, setting: str, file: str) -> bytes:
        self.files.append(file)
        try:
            with open(file, "rb") as opened:
                return opened.read(FILE_MAX)
        except OSError as error:
            raise ConfigError(f"{setting}: {file} cannot be read: {error.strerror}") from None
        except ValueError:
            raise ConfigError(f"{setting}: {file!r} is no name of a file") from None

    def _note_dates(self, setting: str, file: str, pem: bytes) -> None:
        try:
            self.dated.extend(certificates.dated(setting, file, pem))
        except ValueError as error:
            log.warning("%s: when %s expires cannot be read: %s", setting, file, error)


def _what_is_wrong(where: tuple[str, str], certificate: bytes, key: bytes, password: bool, error: Exception) -> str:
    """Why OpenSSL takes no such pair, whose own words seldom say. `where` names setting and file of both."""
    reason = error.reason if isinstance(error, ssl.SSLError) else ""
    if _CERTIFICATE not in certificate:
        return f"{where[0]} has no certificate in PEM in it"
    if _KEY not in key:
        hint = "; set ssl_options.keyfile" if where[0] == where[1] else ""
        return f"{where[1]} has no private key in PEM in it{hint}"
    if reason in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"):
        return f"{where[1]} is not the key of the certificate in {where[0].rpartition(': ')[2]}"
    if b"ENCRYPTED" in key and not password:
        return f"{where[1]} has a key with a password: set ssl_options.password"
    if b"ENCRYPTED" in key:
        return f"{where[1]} has a key that ssl_options.password does not open"
    return f"{where[0]} or its key is damaged, or not accepted by OpenSSL: {reason or error}"
