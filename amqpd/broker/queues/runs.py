"""The middle of a long queue: its waiting messages in runs, each on a page or good for one, and what is behind them.

Knows nothing of positions that come back, of logs or of when to page out: `ready` does.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from amqpd.broker.message import Message
from amqpd.broker.persistence.paging import fills_page

if TYPE_CHECKING:
    from amqpd.broker.ports import Page


class Run:
    """Messages in the middle: `messages` at `positions`, or those of `page` from position `start` on.

    `count` of them, `persistent` ones among them, `size` bytes of bodies (estimated where some of the page is gone).
    """

    __slots__ = ("count", "messages", "page", "persistent", "positions", "size", "start")

    def __init__(
        self,
        page: Page | None,
        start: int,
        positions: list[int],
        messages: list[Message],
        count: int,
        persistent: int,
        size: int,
    ) -> None:
        self.page: Final = page
        self.start: Final = start
        self.positions: Final = positions
        self.messages: Final = messages
        self.count: Final = count
        self.persistent: Final = persistent
        self.size: Final = size


def run_of_page(page: Page) -> Run:
    """All of a page that is not gone."""
    count = page.live if page.earlier else page.count
    size = page.size * count // page.count
    return Run(page, page.first, [], [], count, page.live, size)


def run_of_messages(positions: list[int], messages: list[Message]) -> Run:
    """Messages that are in memory."""
    return Run(None, positions[0], positions, messages, len(messages), 0, sum([message.size for message in messages]))


def runs_of_messages(positions: list[int], messages: list[Message], below: int) -> list[Run]:
    """The same, each of them good for a page, and none on both sides of position `below`."""
    runs: list[Run] = []
    start = 0
    size = 0
    for at in range(len(messages)):
        if at > start and (fills_page(at - start, size) or positions[at - 1] < below <= positions[at]):
            runs.append(run_of_messages(positions[start:at], messages[start:at]))
            start = at
            size = 0
        size += len(messages[at].content)
    if start < len(messages):
        runs.append(run_of_messages(positions[start:], messages[start:]))
    return runs


class Back:
    """What stands behind a head list that is not all there is: `runs`, then the `tail`, which begins at `tail_base`.

    `in_memory` is how many of the runs are. Only a queue of which something is, or may soon be, on pages has one.
    """

    def __init__(self, tail: list[Message | None], tail_base: int) -> None:
        self.runs: Final[deque[Run]] = deque()
        self.in_memory = 0
        self.tail: Final = tail
        self.tail_base = tail_base

    def first_is_on(self, page: Page) -> bool:
        """Whether the first run is the rest of `page`."""
        return len(self.runs) > 0 and self.runs[0].page is page

    def put_first(self, runs: list[Run]) -> None:
        """Put runs before the others."""
        runs.reverse()
        self.runs.extendleft(runs)
