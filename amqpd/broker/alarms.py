"""Resource alarms: while one is raised, connections that publish are blocked (RabbitMQ: alarms.md).

Does not measure anything: whoever watches a resource raises and clears. Several may raise the same alarm; it is off
when all have cleared it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

MEMORY: Final = "memory"
DISK: Final = "disk"
RESOURCES: Final = (MEMORY, DISK)


class Alarms:
    """Which resources are low, and who is to be told when that changes."""

    def __init__(self) -> None:
        self._raised: Final[set[tuple[str, str]]] = set()
        self._listeners: Final[list[Callable[[], None]]] = []
        self._observers: Final[list[Callable[[str, str, bool], None]]] = []
        self.active = False

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every change of `active` or `reason`."""
        self._listeners.append(listener)

    def observe(self, observer: Callable[[str, str, bool], None]) -> None:
        """Call `observer` (resource, source, raised) whenever a source raises or clears."""
        self._observers.append(observer)

    def raise_for(self, resource: str, source: str) -> None:
        """`source` finds `resource` low."""
        self._change((resource, source), True)

    def clear_for(self, resource: str, source: str) -> None:
        """`source` no longer finds it low."""
        self._change((resource, source), False)

    def is_raised(self, resource: str) -> bool:
        """Whether anybody finds `resource` low."""
        return any(name == resource for name, _source in self._raised)

    def sources(self, resource: str) -> list[str]:
        """Who finds `resource` low, sorted."""
        return sorted(source for name, source in self._raised if name == resource)

    def reason(self) -> str:
        """The reason that connection.blocked gives."""
        names = [resource for resource in RESOURCES if self.is_raised(resource)]
        return "low on " + " & ".join(names)

    def _change(self, entry: tuple[str, str], raised: bool) -> None:
        if raised == (entry in self._raised):
            return
        before = (self.active, self.reason())
        if raised:
            self._raised.add(entry)
        else:
            self._raised.discard(entry)
        self.active = bool(self._raised)
        for observer in self._observers:
            observer(entry[0], entry[1], raised)
        if (self.active, self.reason()) != before:
            for listener in self._listeners:
                listener()
