"""Read a Dockerfile and .dockerignore, as far as this repository's use of them goes; anything else is an error.

It runs nothing: `check_dockerfile.py` does.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Step:
    """One instruction: `name` in capitals, `text` as it stands after it, `line` for messages."""

    name: str
    text: str
    line: int


@dataclass
class Stage:
    """One FROM and its steps."""

    name: str
    image: str
    steps: list[Step] = field(default_factory=list)


def stages(text: str) -> list[Stage]:
    """The stages of a Dockerfile in their order. Raises ValueError where it is not understood."""
    found: list[Stage] = []
    arguments: dict[str, str] = {}
    for step in _steps(text):
        if step.name == "ARG" and not found:
            name, _, default = step.text.partition("=")
            arguments[name] = default
        elif step.name == "FROM":
            words = re.sub(r"\$\{(\w+)\}", lambda match: arguments[match[1]], step.text).split()
            if len(words) != 1 and not (len(words) == 3 and words[1].upper() == "AS"):
                raise ValueError(f"line {step.line}: FROM {step.text}")
            found.append(Stage(words[-1] if len(words) == 3 else "", words[0]))
        elif found:
            found[-1].steps.append(step)
        else:
            raise ValueError(f"line {step.line}: {step.name} before FROM")
    return found


def _steps(text: str) -> Iterator[Step]:
    whole, start = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#") or not (whole or line.strip()):
            continue
        start = start if whole else number
        whole += line.removesuffix("\\")
        if not line.endswith("\\"):
            name, _, rest = whole.strip().partition(" ")
            yield Step(name.upper(), rest.strip(), start)
            whole = ""
    if whole:
        raise ValueError(f"line {start}: it ends with a backslash")


def command(text: str) -> list[str]:
    """The command of RUN, CMD, ENTRYPOINT or HEALTHCHECK: a JSON array, or a line for the shell."""
    if not text.startswith("["):
        return ["/bin/sh", "-c", text]
    parsed = json.loads(text)
    if not isinstance(parsed, list) or not all(isinstance(word, str) for word in parsed):
        raise ValueError(f"{text} is no array of strings")
    return parsed


def flags(text: str) -> tuple[dict[str, str], str]:
    """The `--name=value` in front of an instruction's text, and the rest of it."""
    found = {}
    while match := re.match(r"--([a-z-]+)=(\S+)\s+", text):
        found[match[1]] = match[2]
        text = text[match.end() :]
    return found, text


def pairs(text: str) -> dict[str, str]:
    """The names and values of ENV and LABEL."""
    words = shlex.split(text)
    if not all("=" in word for word in words):
        raise ValueError(f"{text}: write NAME=VALUE")
    return dict(word.split("=", 1) for word in words)


class Ignored:
    """What a .dockerignore keeps from the builder: the last rule that fits a path or a folder it is in decides."""

    def __init__(self, text: str) -> None:
        self._rules: list[tuple[re.Pattern[str], bool]] = []
        for line in map(str.strip, text.splitlines()):
            if line and not line.startswith("#"):
                pattern = line.removeprefix("!").strip("/")
                self._rules.append((re.compile(_regular(pattern)), not line.startswith("!")))

    def __call__(self, path: Path) -> bool:
        """Whether `path`, relative to the context, is left out."""
        inside = [str(part) for part in (path, *path.parents) if str(part) != "."]
        ignored = False
        for pattern, ignores in self._rules:
            if any(pattern.fullmatch(name) for name in inside):
                ignored = ignores
        return ignored


def _regular(pattern: str) -> str:
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", pattern)
    wild = {"**/": r"(?:.*/)?", "**": r".*", "*": r"[^/]*", "?": r"[^/]"}
    return "".join(wild.get(part, re.escape(part)) for part in parts)
