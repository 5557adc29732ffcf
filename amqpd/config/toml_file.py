"""Settings in a TOML file. `[log] level` and `log.level` are the same."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

from amqpd.config.reading import Reading
from amqpd.errors import ConfigError


def read(path: Path, reading: Reading) -> None:
    """Hand over what the file says. Blocks. Raises ConfigError where it cannot be read, or is not TOML."""
    text = reading.text_of(path)
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError alone: a number of too many digits
        raise ConfigError(f"{path}: is not TOML: {error}") from None
    for name, value in _flat("", document):
        line = _line_of(name, text)
        reading.give(f"{path}, line {line}" if line else str(path), name, value)


def _flat(prefix: str, document: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    for key, value in document.items():
        if isinstance(value, dict):
            yield from _flat(f"{prefix}{key}.", value)
        else:
            yield prefix + key, value


def _line_of(name: str, text: str) -> int:
    """The line where a setting stands, or 0 where it is written in a way that this simple search does not see."""
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[([^\[\]]+)\]", line)
        if header:
            section = header[1].strip() + "."
        assigned = re.match(r"\s*([\w.\"'-]+)\s*=", line)
        if assigned and section + re.sub("[\"']", "", assigned[1]) == name:
            return number
    return 0
