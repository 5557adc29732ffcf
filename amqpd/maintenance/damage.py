"""A place that is damaged: in which file, where, and whose messages that concerns."""

from __future__ import annotations

from typing import Final

from amqpd.ranges import Ranges
from amqpd.store.survey import messages_named
from amqpd.text import one_line


class Damage:
    """`messages` by the name of a queue: the indexes that are concerned, as far as one can tell; none: any of them.

    `offset` is -1 where all of the file is meant.
    """

    def __init__(self, path: str, offset: int, problem: str, messages: dict[str, Ranges] | None = None) -> None:
        self.path: Final = path
        self.offset: Final = offset
        self.problem: Final = problem
        self.messages: Final = messages if messages is not None else {}

    def merge(self, found: dict[str, Ranges]) -> None:
        """These are concerned, too."""
        for name, indexes in found.items():
            self.messages.setdefault(name, Ranges()).update(indexes)

    def concerned(self) -> str:
        """The messages, for people."""
        if not self.messages:
            return ""
        return ", ".join(one_line(f"{name}{messages_named(self.messages[name])}") for name in sorted(self.messages))

    def __str__(self) -> str:
        place = self.path if self.offset < 0 else f"{self.path}, byte {self.offset}"
        concerned = self.concerned()
        return f"{one_line(place)}: {one_line(self.problem)}{f'; concerned: {concerned}' if concerned else ''}"

    def as_json(self) -> dict[str, object]:
        """The same for programs."""
        messages = {name: [list(span) for span in ranges.spans()] for name, ranges in sorted(self.messages.items())}
        return {
            "file": self.path,
            "offset": None if self.offset < 0 else self.offset,
            "problem": self.problem,
            "messages": messages,
        }
