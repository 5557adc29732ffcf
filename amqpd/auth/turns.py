"""Whose password is hashed next: those who log in from one place stand in one queue, and the queues take turns.

In a single queue whoever guesses, on as many connections as the node takes, would have everybody else wait behind the
guesses. So it delays only those at the same address, and of these only who has not logged in since the node's start.

Limits: WAITING_MAX hashes wait for each place; AT_ONCE are being made.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from functools import partial
from typing import Final

from amqpd.auth.backends import Offload

AT_ONCE: Final = 2  # more would wait in the offload, where there are no turns
WAITING_MAX: Final = 100

Hash = Callable[[], bool]
Done = Callable[[bool | Exception], None]


class Turns:
    """The queues, by place, the next one's turn first."""

    def __init__(self, offload: Offload) -> None:
        self._offload: Final = offload
        self._queues: Final[OrderedDict[str, deque[tuple[Hash, Done]]]] = OrderedDict()
        self._running = 0

    def add(self, source: str, function: Hash, done: Done) -> bool:
        """Run `function` in a thread when it is its turn, then `done`. False if too many from there wait already."""
        queue = self._queues.setdefault(source, deque())
        if len(queue) >= WAITING_MAX:
            return False
        queue.append((function, done))
        self._go_on()
        return True

    def _go_on(self) -> None:
        while self._queues and self._running < AT_ONCE:
            source, queue = self._queues.popitem(last=False)
            function, done = queue.popleft()
            if queue:
                self._queues[source] = queue
            self._running += 1
            self._offload.thread(function, partial(self._done, done))

    def _done(self, done: Done, result: bool | Exception) -> None:
        self._running -= 1
        self._go_on()
        done(result)
