"""The messages of a queue that wait to be delivered, in order, each with its position.

A position is the number of the message in the order of its arrival. Messages leave only at the head, so the fresh ones
have consecutive positions and need not store them; those that come back (`put_back`) have smaller positions than any
fresh one and stand in a heap before them. So a requeued message returns to its place, in O(log n), and an ordinary one
costs a list slot.
"""

from __future__ import annotations

import heapq
from typing import Final

from amqpd.broker.message import Message

_COMPACT_AT: Final = 1024


class ReadyList:
    """One level of `priority`. After `pop`, `position` and `redelivered` tell of the message that was popped."""

    def __init__(self, priority: int = 0) -> None:
        self.priority: Final = priority
        self._fresh: list[Message | None] = []
        self._head = 0  # index in _fresh of the oldest fresh message
        self._base = 0  # position of _fresh[0]
        self._returned: list[tuple[int, Message]] = []
        self.position = -1
        self.redelivered = False

    def __len__(self) -> int:
        return len(self._fresh) - self._head + len(self._returned)

    def append(self, message: Message) -> None:
        """A new message, at the tail."""
        self._fresh.append(message)

    def pass_by(self) -> int:
        """The position of a message that is delivered without ever standing here. Only while the list is empty."""
        position = self._base + self._head
        self._base += 1
        return position

    def put_back(self, position: int, message: Message) -> None:
        """A message that was popped, back to its place."""
        heapq.heappush(self._returned, (position, message))

    def peek(self) -> Message:
        """The head. The list is not empty."""
        if self._returned:
            return self._returned[0][1]
        message = self._fresh[self._head]
        assert message is not None
        return message

    def pop(self) -> Message:
        """Remove and return the head. The list is not empty."""
        if self._returned:
            self.position, message = heapq.heappop(self._returned)
            self.redelivered = True
            return message
        head = self._head
        fresh = self._fresh[head]
        assert fresh is not None
        self._fresh[head] = None
        self.position = self._base + head
        self.redelivered = False
        head += 1
        if head == len(self._fresh):
            self._fresh.clear()
            self._base += head
            head = 0
        elif head >= _COMPACT_AT and head * 2 >= len(self._fresh):
            del self._fresh[:head]
            self._base += head
            head = 0
        self._head = head
        return fresh

    def messages(self) -> list[Message]:
        """All of them, in order; for inspection."""
        waiting = [message for _position, message in sorted(self._returned, key=lambda entry: entry[0])]
        for message in self._fresh[self._head :]:
            assert message is not None
            waiting.append(message)
        return waiting

    def clear(self) -> int:
        """Drop everything; returns how many there were."""
        count = len(self)
        self._base += len(self._fresh)
        self._fresh.clear()
        self._head = 0
        self._returned.clear()
        return count
