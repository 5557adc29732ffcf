"""The composition root: builds every part of a node from its settings, and knows the order of start and stop.

Start: plugins, broker, data directory, listeners, tasks. Stop: listeners, connections (told, and waited for), messages,
tasks, data directory. `serve` adds what a process of its own needs: signals, logs, garbage collection.
"""

from __future__ import annotations

import logging
import os
import platform
import resource
import signal
import socket
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import trio

from amqpd import hooks
from amqpd.auth.accounts import Accounts
from amqpd.auth.authenticator import ChainAuthenticator
from amqpd.auth.backends import Backends
from amqpd.auth.first_user import begin_first_user, first_user
from amqpd.auth.internal import InternalBackend
from amqpd.auth.rules import PasswordRules
from amqpd.broker.exchanges.types import built_in
from amqpd.broker.limits import Limits
from amqpd.broker.node import Broker
from amqpd.broker.ports import Catalogue
from amqpd.config import Settings, Sources
from amqpd.errors import ConfigError, DefinitionError, StorageError
from amqpd.reloading import Parts, Reloader, fill
from amqpd.runtime import build, garbage, logs
from amqpd.runtime.catalogue import Writer
from amqpd.runtime.datadir import DataDir
from amqpd.runtime.disk import DiskWatch
from amqpd.runtime.driver import Driver
from amqpd.runtime.memory import MemoryWatch
from amqpd.runtime.offload import Offload
from amqpd.runtime.watch import watch
from amqpd.server import listeners as listening
from amqpd.server.changes import Changes
from amqpd.server.control import ControlServer
from amqpd.server.definitions import Definitions
from amqpd.server.hub import Hub
from amqpd.server.importing import Importer, load_definitions
from amqpd.server.operator import Operator
from amqpd.server.users import UserOrders

if TYPE_CHECKING:
    from amqpd.metadata.store import Store
    from amqpd.server.contexts import TlsContexts
    from amqpd.storing import MessageStore

log = logging.getLogger("amqpd.node")

OPEN_MAX: Final = 10_240  # what macOS gives where its hard limit is "unlimited", which cannot be had (setrlimit(2))


def limits_from(settings: Settings) -> Limits:
    """The broker's limits."""
    limits = Limits()
    fill(limits, settings)
    return limits


class Node:
    """One node. Making it loads plugins and builds the broker; `run` does the rest, once. Both raise ConfigError.

    Without a data directory nothing is stored and there is no control socket. With one, the database of definitions and
    the messages are opened here, which blocks and raises StorageError, and closed at the end of `run`. With the
    `sources` of its settings they can be reloaded: `settings` are always those in force.
    """

    def __init__(self, settings: Settings, data_dir: DataDir | None = None, sources: Sources | None = None) -> None:
        self.settings: Final = settings
        self.data_dir: Final = data_dir
        self.plugins: Final = hooks.load(settings.names("plugins"))
        types = built_in(os.urandom)
        for plugin in self.plugins:
            plugin.call("register_exchange_types", types)
        name = settings.text("node_name") or f"amqpd@{socket.gethostname()}"
        self.tls: Final = _tls_contexts(settings)
        self.rules: Final = PasswordRules(os.urandom)
        self.rules.configure(settings)
        new = (data_dir is None or data_dir.new) and not settings.text("load_definitions")
        made_of = settings, self.rules, os.urandom
        self._first_user: Final = begin_first_user(*made_of) if new else partial(first_user, *made_of)
        self._store: Final = _open_store(data_dir)
        self.catalogue: Final = Catalogue() if self._store is None else Writer(self._store)
        self.broker: Final = Broker(limits_from(settings), self.catalogue, os.urandom, name, types)
        self.messages: Final = self._open_messages()
        self.disk: Final = self._disk_watch()
        self.offload: Final = Offload()
        self.accounts: Final = Accounts(self.broker.vhosts)
        self.authenticator: Final = self._authenticator()
        self.definitions: Final = Definitions(self.broker, self.accounts, self._close_vhost, self._close_user)
        self._sources: Final = sources
        self._reloader: Reloader | None = None
        self.stopping: Final = trio.Event()
        self.addresses: list[str] = []
        self._driver: Driver | None = None
        self._hub: Hub | None = None
        self._accepting: trio.CancelScope | None = None

    @property
    def driver(self) -> Driver:
        """Ends rounds. There while the node runs."""
        assert self._driver is not None
        return self._driver

    @property
    def hub(self) -> Hub:
        """All sessions. There while the node runs."""
        assert self._hub is not None
        return self._hub

    def _open_messages(self) -> MessageStore | None:
        if self.data_dir is None:
            return None
        from amqpd.storing import MessageStore  # a node in memory needs none

        try:
            return MessageStore(self.data_dir.path, self.settings, self.broker)
        except BaseException:
            self._close_definitions()
            raise

    def _disk_watch(self) -> DiskWatch | None:
        if self.messages is None:
            return None
        return DiskWatch(self.settings.share("disk_free_limit"), self.messages.free_bytes)

    def _close_definitions(self) -> None:
        if isinstance(self.catalogue, Writer):
            self.catalogue.close()

    def _authenticator(self) -> ChainAuthenticator:
        backends = Backends(self.broker, self.offload)
        internal = InternalBackend(self.accounts, os.urandom)
        backends.register("internal", internal)
        for plugin in self.plugins:
            plugin.call("register_auth_backends", backends)
        authenticator = ChainAuthenticator(self.accounts, backends, internal, self.broker)
        authenticator.configure(self.settings)
        return authenticator

    def _close_vhost(self, name: str) -> None:
        self.hub.close_vhost(name)

    def _close_user(self, name: str) -> None:
        self.hub.close_user(name)

    def storage(self) -> dict[str, int]:
        """How messages are kept on disk, in numbers; nothing where they are not."""
        if self.messages is None or self.disk is None:
            return {}
        free = {"disk_free_bytes": self.disk.free_bytes, "disk_free_limit_bytes": self.disk.limit_bytes}
        return free | self.messages.report()

    def stop(self) -> None:
        """Have `run` end. May be called more than once, from trio's thread."""
        self.stopping.set()

    def reload(self) -> None:
        """Have the configuration read again soon, and obeyed as far as it can be. From trio's thread."""
        if self._reloader is not None:
            self._reloader.ask()

    async def run(self, task_status: trio.TaskStatus[Node] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until `stop` was called and every connection has ended, or until cancelled. Fills `addresses`.

        Raises ConfigError at the start; StorageError when definitions or messages can no longer be stored.
        """
        try:
            await self._run(task_status)
        finally:
            try:
                if self.messages is not None:
                    self.messages.close()
            finally:
                self._close_definitions()

    async def _run(self, task_status: trio.TaskStatus[Node]) -> None:
        settings = self.settings
        mode = int(settings.text("unix_socket_mode"), 8)
        listeners = listening.open_listeners(
            settings.names("listeners"), mode, settings.names("tls_listeners"), self.tls
        )
        try:
            self.addresses = [listener.address for listener in listeners]
            async with trio.open_nursery() as nursery:
                await self._start(nursery, listeners)
                task_status.started(self)
                await self.stopping.wait()
                if self._accepting is not None:
                    self._accepting.cancel()
                listening.close_all(listeners)
                await self.hub.stop(settings.number("shutdown_timeout") / 1000)
                if self.messages is not None:
                    await self.messages.stop(self.driver)
                nursery.cancel_scope.cancel()
        finally:
            listening.close_all(listeners)

    async def _start(self, nursery: trio.Nursery, listeners: list[listening.Listener]) -> None:
        settings = self.settings
        self._driver = Driver(self.broker)
        nursery.start_soon(self._driver.run)
        if self.messages is not None:
            await nursery.start(self.messages.workers.run, self._driver)
        self._restore()
        self._hub = Hub(
            self.broker,
            self.authenticator,
            self._driver,
            nursery,
            settings.number("handshake_max"),
            settings.names("trusted_proxies"),
        )
        if settings.flag("event_exchange"):
            self.broker.events.enable()
        if settings.flag("log_exchange"):
            handler = logs.ExchangeHandler(self._driver, settings.text("log.format"))
            await nursery.start(_attached, handler)
        for plugin in self.plugins:
            plugin.call("on_start", self.broker)
        memory = MemoryWatch(settings.share("vm_memory_high_watermark"))
        nursery.start_soon(memory.run, self._driver)
        if self.disk is not None:
            nursery.start_soon(self.disk.run, self._driver)
        nursery.start_soon(self._hub.sweep)
        await nursery.start(self.offload.run, self._driver)
        if isinstance(self.catalogue, Writer):
            nursery.start_soon(self.catalogue.run, self._driver)
        if self.tls is not None:
            nursery.start_soon(self.tls.watch_expiry)
        if self._sources is not None:
            limits, hub = self.broker.limits, self._hub
            parts = Parts(limits, self.authenticator, self.rules, hub, memory, self.tls, self.disk, self.messages)
            self._reloader = Reloader(self._sources, settings, parts)
            nursery.start_soon(self._reloader.run)
            nursery.start_soon(watch, self._reloader.files, self._reloader.interval_s, self._reloader.ask)
        changes = Changes(self.definitions, self._driver)
        importer = Importer(changes, self.rules)
        if settings.text("load_definitions"):
            path, skip = Path(settings.text("load_definitions")), settings.flag("definitions.skip_if_unchanged")
            await load_definitions(importer, path, skip)
        if self.data_dir is not None and self.messages is not None and isinstance(self.catalogue, Writer):
            users = UserOrders(changes, self.rules, self.authenticator)
            backups = self.messages.backups(self._driver, self.catalogue)
            control = ControlServer(Operator(self, self._hub, changes, users, importer, backups))
            await nursery.start(control.serve, str(self.data_dir.control_path))
        await nursery.start(self._accept, listeners)

    def _restore(self) -> None:
        """Make what was there when the node stopped, or a first user where there was nothing. Raises ConfigError."""
        with self.driver.round():
            try:
                if self._store is not None and not self._store.fresh:
                    self.definitions.restore(self._store.load())
                    if self.messages is not None:
                        self.messages.restore(self.driver)
                    return
                if self.messages is not None:
                    self.messages.check_new()
                if self.settings.text("load_definitions"):
                    return  # they say who can log in (RabbitMQ: rabbit:maybe_insert_default_data)
                first = self._first_user()
                for command in first.commands:
                    self.definitions.apply(command)
            except DefinitionError as error:
                raise ConfigError(f"the definitions of this node cannot be carried out: {error}") from None
        if isinstance(self.catalogue, Writer):
            self.catalogue.store_now()
        if first.made_up:
            log.warning(
                "first start: user '%s' can log in with the password %s ; it is shown this once, change it with "
                "`amqpctl user set-password`",
                first.name,
                first.made_up,
            )

    async def _accept(
        self, listeners: list[listening.Listener], task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        with trio.CancelScope() as self._accepting:
            async with trio.open_nursery() as nursery:
                for listener in listeners:
                    nursery.start_soon(listener.accept, self.hub.admit)
                task_status.started()


def _tls_contexts(settings: Settings) -> TlsContexts | None:
    """The node's certificates, where there is a listener with TLS. Raises ConfigError."""
    if not settings.names("tls_listeners"):
        return None
    from amqpd.server.contexts import TlsContexts  # it imports what takes long, and few need

    return TlsContexts(settings)


def _open_store(data_dir: DataDir | None) -> Store | None:
    """The node's definitions. Raises ConfigError."""
    if data_dir is None:
        return None
    from amqpd.metadata.store import NAME, Store  # SQLAlchemy takes long to import; a node in memory needs none

    return Store(data_dir.path / NAME)


async def _attached(
    handler: logging.Handler, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Keep a log handler in place as long as this task lives."""
    logging.getLogger(logs.ROOT).addHandler(handler)
    try:
        task_status.started()
        await trio.sleep_forever()
    finally:
        logging.getLogger(logs.ROOT).removeHandler(handler)


def serve(settings: Settings, sources: Sources) -> None:
    """Run a node as this process until SIGTERM or SIGINT; a second one ends it at once. Raises ConfigError, OSError.

    `sources` are where the settings came from; the node reads them again when told to.
    """
    try:
        handler = logs.configure(settings.text("log.level"), settings.text("log.format"), settings.text("log.file"))
    except OSError as error:
        raise ConfigError(f"log.file: {settings.text('log.file')} cannot be opened: {error.strerror}") from None
    for line in settings.warnings:
        log.warning("%s", line)
    try:
        _run(settings, sources)
        log.info("stopped")
    finally:
        handler.close()


def _run(settings: Settings, sources: Sources) -> None:
    data_dir = DataDir(Path(settings.text("data_dir")))
    try:
        node = Node(settings, data_dir, sources)
        _allow_all_descriptors()
        trio.run(_serve, node)
    except BaseExceptionGroup as group:
        raise error_in(group) or group from None
    finally:
        data_dir.close()


def error_in(group: BaseExceptionGroup[BaseException]) -> ConfigError | StorageError | None:
    """What stopped a node, at its start or because of its disk, out of the groups that trio's nurseries put it into."""
    found: BaseException | None = group.subgroup((ConfigError, StorageError))
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found if isinstance(found, (ConfigError, StorageError)) else None


def _allow_all_descriptors() -> None:
    """Every connection takes a descriptor, and the usual soft limit of 1024 is there for programs that use select()."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (hard, max(soft, OPEN_MAX)):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            return
        except (OSError, ValueError):
            pass
    log.info("at most %d file descriptors", soft)


async def _serve(node: Node) -> None:
    async with trio.open_nursery() as outer:
        await outer.start(_obey_signals, node, outer.cancel_scope)
        async with trio.open_nursery() as nursery:
            await nursery.start(node.run)
            garbage.tune()
            log.info(
                "%s on Python %s listens on %s, data in %s",
                build.described(),
                platform.python_version(),
                ", ".join(node.addresses),
                node.settings.text("data_dir"),
            )
        outer.cancel_scope.cancel()


async def _obey_signals(
    node: Node, everything: trio.CancelScope, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        task_status.started()
        async for number in signals:
            if number == signal.SIGHUP:
                log.info("SIGHUP: reading the configuration again; log files are reopened by themselves")
                node.reload()
            elif node.stopping.is_set():
                log.warning("second signal: ending at once")
                everything.cancel()
            else:
                log.info("%s: stopping", signal.Signals(number).name)
                node.stop()
