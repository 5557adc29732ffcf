"""What a plugin can add to a node, and how plugins are found.

A plugin is a Python module. It is loaded when an installed package names it in the entry-point group `amqpd.plugins`,
or when the setting `plugins` does. It may define any of these functions; what it does not define is not asked for.

    register_exchange_types(registry)   before anything is declared: `registry.register(NAME, CLASS)` adds an exchange
                                        type, a subclass of `amqpd.broker.exchanges.contract.ExchangeType`
    register_auth_backends(registry)    before the first login: `registry.register(NAME, BACKEND)` adds who can be named
                                        in `auth_backends`, a `Backend` or `AsyncBackend` of `amqpd.auth.backends`
    on_start(broker)                    once, when the node's `amqpd.broker.node.Broker` is complete and before the
                                        first client: to declare what the plugin needs, or to subscribe to alarms

All are called on the node's own thread and must not block. Built-in exchange types and the backend `internal` are
registered in the same way. A plugin that cannot be loaded or whose function raises stops the start with ConfigError,
which names it: a node without what its definitions need would be worse than none.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from types import ModuleType
from typing import Final

from amqpd.errors import ConfigError

GROUP: Final = "amqpd.plugins"
HOOKS: Final = ("register_exchange_types", "register_auth_backends", "on_start")


@dataclass(frozen=True, slots=True)
class Plugin:
    """A loaded plugin. `origin` says who asked for it."""

    name: str
    origin: str
    module: ModuleType

    def call(self, hook: str, argument: object) -> None:
        """Call one of HOOKS, if the plugin defines it. Raises ConfigError."""
        function = getattr(self.module, hook, None)
        if function is None:
            return
        try:
            function(argument)
        except Exception as error:
            raise ConfigError(f"plugin {self.name} ({self.origin}): {hook} failed: {_described(error)}") from error


def load(modules: Iterable[str]) -> list[Plugin]:
    """Import the installed plugins, then `modules`; each once. Blocks. Raises ConfigError."""
    plugins: dict[str, Plugin] = {}
    for point in metadata.entry_points(group=GROUP):
        origin = f"entry point {point.name} of {point.dist.name if point.dist else 'an unknown package'}"
        if point.module not in plugins:
            plugins[point.module] = _load(point.module, origin, point.load)
    for name in modules:
        if name not in plugins:
            plugins[name] = _load(name, "setting plugins", partial(importlib.import_module, name))
    return list(plugins.values())


def _load(name: str, origin: str, importer: Callable[[], object]) -> Plugin:
    try:
        module = importer()
    except Exception as error:
        raise ConfigError(f"plugin {name} ({origin}) cannot be loaded: {_described(error)}") from error
    if not isinstance(module, ModuleType):
        raise ConfigError(f"plugin {name} ({origin}) is no module")
    return Plugin(name, origin, module)


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
