#!/usr/bin/env python3
"""Draws the state tables of the Raft core as the text that stands in docs/raft.md.

    .venv/bin/python tools/raft_states.py

Columns are states, each row is one way from one to another, in the order of the tables. Reads `amqpd.raft.states` and
`amqpd.raft.progress`; tests/docs/test_raft_page.py compares page and drawing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from amqpd.raft import progress, states

GAP: Final = 4


def draw(names: Sequence[str], table: dict[int, dict[int, str]]) -> str:
    """The table as text: a line of names, then a line for each transition with its arrow and its reason."""
    centres: list[int] = []
    header = ""
    for name in names:
        header += " " * GAP if header else ""
        centres.append(len(header) + len(name) // 2)
        header += name
    lines = [header]
    for before, ways in table.items():
        for after, reason in ways.items():
            lines.append(f"{_row(centres, before, after, len(header))}  {reason}")
    return "\n".join(lines)


def _row(centres: list[int], before: int, after: int, width: int) -> str:
    """The lanes of all states, and an arrow from one to another; a state that begins anew has a ring."""
    row = [" "] * width
    for centre in centres:
        row[centre] = "│"
    if before == after:
        row[centres[before]] = "o"
        return "".join(row)
    left, right = sorted((centres[before], centres[after]))
    for place in range(left + 1, right):
        row[place] = "┼" if row[place] == "│" else "─"
    row[centres[before]] = "├" if before < after else "┤"
    row[centres[after] + (-1 if before < after else 1)] = ">" if before < after else "<"
    return "".join(row)


def roles() -> str:
    """How a member's role changes."""
    return draw(states.ROLE_NAMES, states.TRANSITIONS)


def streams() -> str:
    """How a leader's way of sending to one member changes."""
    return draw(progress.STATE_NAMES, progress.TRANSITIONS)


if __name__ == "__main__":
    print(f"{roles()}\n\n{streams()}")
