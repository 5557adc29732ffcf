"""What people read who did not choose the words: clients choose names, operators look at them."""

from __future__ import annotations


def one_line(text: str) -> str:
    """`text`, escaped so that it makes no line of its own and does not speak to a terminal."""
    if text.isprintable():
        return text
    return "".join(mark if mark.isprintable() else mark.encode("unicode_escape").decode() for mark in text)
