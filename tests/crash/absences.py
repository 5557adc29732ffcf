"""When a queue was not there, counted in batches of the journal: a dead letter that finds no queue is let go.

A batch is told what became of a letter at some moment while it was gathered. So what matters is whether the queue may
have been away at any time of that: from the batch that was gathered when somebody asked for its deletion, to the one
that was gathered when it was first seen again.
"""

from __future__ import annotations

from collections.abc import Iterable


class Absences:
    """`missing` are the names that are not there at the beginning."""

    def __init__(self, missing: Iterable[str]) -> None:
        self._since = dict.fromkeys(missing, -1)
        self._over: dict[str, list[tuple[int, int]]] = {}  # by name: from which batch to which

    def deleting(self, name: str, batch: int) -> None:
        """From now on it may be away; `batch` is gathered."""
        self._since.setdefault(name, batch)

    def seen(self, name: str, batch: int) -> None:
        """It is there, and nobody has asked for its deletion."""
        since = self._since.pop(name, None)
        if since is not None:
            self._over.setdefault(name, []).append((since, batch))

    def during(self, name: str, batch: int) -> bool:
        """Whether it may have been away while `batch` was gathered."""
        if name in self._since and self._since[name] <= batch:
            return True
        return any(first <= batch <= last for first, last in self._over.get(name, []))
