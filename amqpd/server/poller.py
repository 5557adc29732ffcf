"""Which sockets are ready: epoll (Linux) or kqueue (macOS, the BSDs), asked without waiting.

A poller has a descriptor of its own, which is readable as long as any of its sockets is ready. So one task of trio's
can wait for all of them: `trio.lowlevel.wait_readable(poller)`. Trio runs on no UNIX that has neither of the two.

A socket is reported each time until it has been read empty, or takes no more (level-triggered). Errors and hang-ups may
be reported whatever was asked for; so a socket from which nobody will read, and to which nobody will send, must not be
in here.

Invariant: a socket is in the kernel's table exactly while something is wanted of it. It must be taken out before it is
closed: the next socket may get its number.

Sources: epoll(7), epoll_ctl(2), kqueue(2).
"""

from __future__ import annotations

import select
from abc import ABC, abstractmethod
from types import ModuleType
from typing import Final

READ: Final = 1  # as EPOLLIN and EPOLLOUT
WRITE: Final = 4


class Poller(ABC):
    """`number` is a socket's descriptor; `wanted` is READ, WRITE, both or 0. None of these waits."""

    @abstractmethod
    def fileno(self) -> int:
        """The poller's own descriptor."""

    @abstractmethod
    def change(self, number: int, before: int, wanted: int) -> None:
        """Want something else of a socket, of which `before` was wanted so far. Raises OSError."""

    @abstractmethod
    def ready(self, most: int) -> list[tuple[int, int]]:
        """Descriptors, and what they are ready for: `most` of them, and another time the others.

        Bits besides READ and WRITE are errors and hang-ups: reading or sending tells which.
        """

    @abstractmethod
    def close(self) -> None:
        """Forget all of them."""


class Epoll(Poller):
    """Linux's. `kernel` is Python's module `select`."""

    def __init__(self, kernel: ModuleType = select) -> None:
        self._epoll: Final = kernel.epoll()

    def fileno(self) -> int:
        number: int = self._epoll.fileno()
        return number

    def change(self, number: int, before: int, wanted: int) -> None:
        if not before:
            self._epoll.register(number, wanted)
        elif wanted:
            self._epoll.modify(number, wanted)
        else:
            self._epoll.unregister(number)

    def ready(self, most: int) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = self._epoll.poll(0, most)
        return found

    def close(self) -> None:
        self._epoll.close()


class Kqueue(Poller):
    """That of macOS and the BSDs, which keeps reading and writing apart: one socket can be reported twice."""

    def __init__(self, kernel: ModuleType = select) -> None:
        self._kernel: Final = kernel
        self._kqueue: Final = kernel.kqueue()
        self._filters: Final = ((READ, kernel.KQ_FILTER_READ), (WRITE, kernel.KQ_FILTER_WRITE))
        self._meaning: Final = {kernel.KQ_FILTER_READ: READ, kernel.KQ_FILTER_WRITE: WRITE}

    def fileno(self) -> int:
        number: int = self._kqueue.fileno()
        return number

    def change(self, number: int, before: int, wanted: int) -> None:
        kernel = self._kernel
        changes = [
            kernel.kevent(number, kind, kernel.KQ_EV_ADD if wanted & bit else kernel.KQ_EV_DELETE)
            for bit, kind in self._filters
            if (before ^ wanted) & bit
        ]
        self._kqueue.control(changes, 0, 0)

    def ready(self, most: int) -> list[tuple[int, int]]:
        return [(event.ident, self._meaning[event.filter]) for event in self._kqueue.control(None, most, 0)]

    def close(self) -> None:
        self._kqueue.close()


def open_poller() -> Poller:
    """The one that this platform has."""
    return Epoll() if hasattr(select, "epoll") else Kqueue()
