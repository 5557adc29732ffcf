"""Obeying a configuration that has changed while the node runs.

Reads all sources again when it is told to, compares, and hands the settings that can be obeyed at once to whoever
obeys them; of the others it is logged that they need a restart. Nobody's work is undone by a mistake: what is wrong is
logged, and everything stays as it was.

Invariant: each reloadable setting of the table has its applier here, and no other setting has (checked by a test).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import trio

from amqpd.auth.authenticator import ChainAuthenticator
from amqpd.auth.rules import PasswordRules
from amqpd.broker.limits import Limits
from amqpd.config import SETTINGS, Settings, Sources, load, together
from amqpd.config.access import FIRST_USER
from amqpd.config.reload import changes, mixed
from amqpd.errors import ConfigError
from amqpd.runtime import logs
from amqpd.runtime.disk import DiskWatch
from amqpd.runtime.memory import MemoryWatch
from amqpd.server.hub import Hub

if TYPE_CHECKING:
    from amqpd.server.contexts import TlsContexts
    from amqpd.storing import MessageStore

log = logging.getLogger("amqpd.node")


@dataclass(frozen=True, slots=True)
class Parts:
    """Those of a running node that obey settings. Without a TLS listener there is no `tls`, and without a data
    directory there are no `disk` and `messages`."""

    limits: Limits
    authenticator: ChainAuthenticator
    rules: PasswordRules
    hub: Hub
    memory: MemoryWatch
    tls: TlsContexts | None
    disk: DiskWatch | None
    messages: MessageStore | None


def fill(limits: Limits, settings: Settings) -> None:
    """Set the broker's limits."""
    for name, setting in SETTINGS.items():
        if setting.limit:  # the names are checked by a test
            setattr(limits, setting.limit, settings.value(name))


# Appliers. One that raises ConfigError has changed nothing.


def _passwords(parts: Parts, settings: Settings) -> None:
    parts.rules.configure(settings)


def _logins(parts: Parts, settings: Settings) -> None:
    parts.authenticator.configure(settings)


def _tls(parts: Parts, settings: Settings) -> None:
    if parts.tls is not None:
        parts.tls.reload(settings)


def _keys(parts: Parts, _settings: Settings) -> None:
    if parts.messages is not None:
        parts.messages.reload_keys()


def _limits(parts: Parts, settings: Settings) -> None:
    fill(parts.limits, settings)


def _hub(parts: Parts, settings: Settings) -> None:
    parts.hub.configure(settings.number("handshake_max"), settings.names("trusted_proxies"))


def _memory(parts: Parts, settings: Settings) -> None:
    parts.memory.configure(settings.share("vm_memory_high_watermark"))


def _disk(parts: Parts, settings: Settings) -> None:
    if parts.disk is not None:
        parts.disk.configure(settings.share("disk_free_limit"))


def _log_level(_parts: Parts, settings: Settings) -> None:
    logging.getLogger(logs.ROOT).setLevel(settings.text("log.level").upper())


def _asked_for(_parts: Parts, _settings: Settings) -> None:
    """Settings that are looked at whenever they matter."""


Applier = Callable[[Parts, Settings], None]

# Those that may raise come first.
APPLIERS: Final[dict[Applier, tuple[str, ...]]] = {
    _passwords: (
        "password_hashing",
        "credential_validator.validation_backend",
        "credential_validator.min_length",
        "credential_validator.regexp",
    ),
    _logins: (
        "loopback_users",
        "auth_mechanisms",
        "auth_backends",
        "anonymous_login_user",
        "ssl_cert_login_from",
        "ssl_cert_login_san_type",
        "ssl_cert_login_san_index",
        "password_hashing",
        "login_delay_after",
        "login_delay_max",
    ),
    _tls: (
        "ssl_options.certfile",
        "ssl_options.keyfile",
        "ssl_options.cacertfile",
        "ssl_options.password",
        "ssl_options.verify",
        "ssl_options.fail_if_no_peer_cert",
        "ssl_options.versions",
        "ssl_options.ciphers",
        "ssl_options.sni",
        "tls_expiry_warning_days",
    ),
    _keys: (),
    _limits: tuple(name for name, setting in SETTINGS.items() if setting.limit),
    _hub: ("handshake_max", "trusted_proxies"),
    _memory: ("vm_memory_high_watermark",),
    _disk: ("disk_free_limit",),
    _log_level: ("log.level",),
    _asked_for: ("config_watch", "shutdown_timeout"),
}
_ALWAYS: Final = (_tls, _keys)  # what is in their files may have changed where no setting has
_ONLY_AT_FIRST: Final = frozenset(setting.name for setting in FIRST_USER)


class Reloader:
    """Keeps `settings` true to `sources`. `ask` may be called at any time; `run` is the task that does the work."""

    def __init__(self, sources: Sources, settings: Settings, parts: Parts) -> None:
        self._sources: Final = sources
        self._settings: Final = settings
        self._parts: Final = parts
        self._asked = trio.Event()

    def ask(self) -> None:
        """Have the sources read again soon; once, however often it is asked for until then."""
        self._asked.set()

    async def run(self) -> None:
        """Do so whenever asked, until cancelled."""
        while True:
            await self._asked.wait()
            self._asked = trio.Event()
            try:
                new = await trio.to_thread.run_sync(load, self._sources, abandon_on_cancel=True)
                self._obey(new)
            except ConfigError as error:
                for line in str(error).splitlines():
                    log.error("configuration: %s", line)
                log.error("configuration: nothing of it was changed")
            except Exception:  # a node that runs must not end for a file that it need not have read
                log.exception("configuration: internal error while it was read again")

    def files(self) -> list[Path]:
        """Whose change means that `ask` should be called."""
        tls = self._parts.tls.files() if self._parts.tls is not None else []
        keys = self._parts.messages.key_files() if self._parts.messages is not None else []
        return [*self._settings.files, *map(Path, tls), *keys]

    def interval_s(self) -> float:
        """How often to look at them."""
        return self._settings.number("config_watch") / 1000

    def _obey(self, new: Settings) -> None:
        """Raises ConfigError if something cannot be had, and has then changed nothing."""
        for line in new.warnings:
            if line not in self._settings.warnings:
                log.warning("configuration: %s", line)
        found = changes(self._settings, new)
        wanted = mixed(self._settings, new)
        if wrong := together.mistakes(wanted):
            raise ConfigError("\n".join([*wrong, "that is how it would be until a restart: restart the node"]))
        done: list[Applier] = []
        for applier, names in APPLIERS.items():
            if applier in _ALWAYS or not set(names).isdisjoint(found.at_once):
                try:
                    applier(self._parts, wanted)
                except ConfigError:
                    for earlier in reversed(done):
                        earlier(self._parts, self._settings)
                    raise
                done.append(applier)
        self._settings.adopt(wanted)
        self._report(found.at_once, found.after_restart, new)

    def _report(self, at_once: list[str], after_restart: list[str], new: Settings) -> None:
        for name in at_once:
            setting = SETTINGS[name]
            value = "another value" if setting.secret else setting.kind.shown(new.value(name))
            log.info("configuration: %s is now %s (%s)", name, value, new.place(name) or "default")
        for name in after_restart:
            needs = "matters to a new database only" if name in _ONLY_AT_FIRST else "needs a restart"
            log.warning("configuration: %s has changed (%s): that %s", name, new.place(name) or "default", needs)
        if not at_once and not after_restart:
            log.info("configuration: read again; no setting has changed")
