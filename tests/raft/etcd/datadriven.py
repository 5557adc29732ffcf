"""The form of the scenario files: directives with arguments and input, and what was printed for them.

A block is a directive's line, lines of input, a line `----`, and the expected output up to an empty line. Output that
has empty lines itself stands between doubled `----` lines. Lines that start with # are comments.

Only the form: what directives mean is `cluster.py`'s and `arithmetic.py`'s to know. Text that does not have this form
raises ValueError with file and line.
"""

from __future__ import annotations

import re
from pathlib import Path

SEPARATOR = "----"
ARGUMENT = re.compile(r"([^\s=()]+)(?:=(?:\(([^()]*)\)|([^\s()]*)))?(?:\s+|$)")


class Block:
    """One directive. `arguments` maps names to values: (a, b) and single values are lists, bare words have None."""

    def __init__(self, file: str, line: int, command: str, arguments: dict[str, list[str] | None]) -> None:
        self.file = file
        self.line = line
        self.command = command
        self.arguments = arguments
        self.input: list[str] = []
        self.expected: list[str] = []

    @property
    def place(self) -> str:
        """Where it stands, for people and as a name."""
        return f"{self.file}:{self.line}"

    @property
    def words(self) -> list[str]:
        """The bare words, in order."""
        return [name for name, values in self.arguments.items() if values is None]

    def one(self, name: str, default: str = "") -> str:
        """The only value of an argument."""
        values = self.arguments.get(name)
        if values is None:
            return default
        if len(values) != 1:
            raise ValueError(f"{self.place}: {name} has {len(values)} values, one is expected")
        return values[0]

    def many(self, name: str) -> list[str]:
        """The values of an argument; none if it is not given."""
        return self.arguments.get(name) or []


def parse_directive(file: str, number: int, text: str) -> Block:
    """A directive's line."""
    command, _, rest = text.partition(" ")
    rest = rest.strip()
    arguments: dict[str, list[str] | None] = {}
    at = 0
    while at < len(rest):
        found = ARGUMENT.match(rest, at)
        if found is None:
            raise ValueError(f"{file}:{number}: an argument is expected at {rest[at:]!r}")
        name, several, single = found.groups()
        if name in arguments:
            raise ValueError(f"{file}:{number}: {name} is given twice")
        if several is not None:
            arguments[name] = [value.strip() for value in several.split(",")] if several.strip() else []
        else:
            arguments[name] = None if single is None else [single]
        at = found.end()
    return Block(file, number, command, arguments)


def parse(file: str, text: str) -> list[Block]:
    """All blocks of a file; `file` is what it is called in messages."""
    lines = text.splitlines()
    blocks = []
    at = 0
    while at < len(lines):
        line = lines[at].strip()
        if not line or line.startswith("#"):
            at += 1
            continue
        block = parse_directive(file, at + 1, line)
        at += 1
        while at < len(lines) and lines[at] != SEPARATOR:
            block.input.append(lines[at])
            at += 1
        if at == len(lines):
            raise ValueError(f"{block.place}: no {SEPARATOR} follows")
        at = _read_expected(lines, at + 1, block)
        blocks.append(block)
    return blocks


def _read_expected(lines: list[str], at: int, block: Block) -> int:
    doubled = lines[at : at + 1] == [SEPARATOR]
    if not doubled:
        while at < len(lines) and lines[at].strip():
            block.expected.append(lines[at])
            at += 1
        return at
    at += 1
    while at < len(lines):
        if lines[at : at + 2] == [SEPARATOR, SEPARATOR]:
            return at + 2
        block.expected.append(lines[at])
        at += 1
    raise ValueError(f"{block.place}: the output does not end with two lines {SEPARATOR}")


def read(path: Path, root: Path) -> list[Block]:
    """All blocks of the file at `path`, which is called by its place below `root`."""
    return parse(path.relative_to(root).as_posix(), path.read_text("utf-8"))
