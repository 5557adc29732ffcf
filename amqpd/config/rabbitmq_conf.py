"""The files of RabbitMQ's configuration: their syntax, and which of them are read in what order.

A line is `KEY = VALUE`, where a KEY has words with dots between them (`\\.` for a dot within a word). A VALUE ends at a
`#` or at the end of the line; within quotes ('...' or, over several lines, '''...''') it ends at the next quote;
`$(<FILE)` stands for what is in FILE. `include FILE` reads another file, whose name may have `*` in it. Of a key that
stands twice, the later line counts. That is the grammar of Cuttlefish, RabbitMQ's reader, which says more of it.

What the lines mean is in `rabbitmq_translate`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from amqpd.config.rabbitmq_translate import Entry, Translator
from amqpd.config.reading import Reading, is_directory
from amqpd.errors import ConfigError

_INCLUDES_MAX: Final = 100  # files that a file may bring with it, which ends a circle too
_END: Final = r"[ \t]*(?:#[^\n]*)?(?:\r?\n|\Z)"
_NOTHING: Final = re.compile(_END)
_INCLUDE: Final = re.compile(r"[ \t]*include[ \t]+([^\s#]+)" + _END)
_SETTING: Final = re.compile(
    r"[ \t]*(?P<key>(?:\\\.|[\w-])+(?:\.(?:\\\.|[\w-])+)*)[ \t]*=[ \t]*"
    r"(?:'''(?P<long>.*?)'''|'(?P<quoted>[^']*)'|(?P<plain>[^\s#'][^#\r\n]*))" + _END,
    re.ASCII | re.DOTALL,
)
_LINE: Final = re.compile(r"[^\n]*(?:\n|\Z)")
_CONTENT_OF: Final = re.compile(r"\$\(<(.+)\)")


@dataclass(slots=True)
class _Files:
    """What was read so far: entries by key, later ones in the place of earlier ones."""

    reading: Reading
    entries: dict[tuple[str, ...], Entry]
    included: int = 0


def read(path: Path, reading: Reading) -> None:
    """Hand over what a file says, or the `.conf` files of a directory in the order of their names.

    Blocks. Raises ConfigError where the first file cannot be read; other mistakes are collected.
    """
    files = _Files(reading, {})
    if is_directory(path):
        reading.files.append(path)  # a file that comes or goes is a change as well
        listed = sorted(path.glob("*.conf"))
        if not listed:
            raise ConfigError(f"{path}: has no files *.conf in it")
        for named in listed:
            _read_file(named, files)
    else:
        _read_file(path, files)
    Translator(files.entries, reading).translate()
    for found in (reading.mistakes, reading.warnings):
        found.sort(key=_by_line)


def _by_line(text: str) -> list[tuple[int, str]]:
    """What is said begins with a file and line; numbers are put in order as numbers."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d{1,9})", text)]


def _read_file(path: Path, files: _Files) -> None:
    text = files.reading.text_of(path)
    lines_before: dict[tuple[str, ...], int] = {}
    position, line = 0, 1
    while position < len(text):
        place = f"{path}, line {line}"
        if found := _SETTING.match(text, position):
            _take(found, place, line, lines_before, path, files)
        elif found := _INCLUDE.match(text, position):
            _include(path, found[1], place, files)
        elif not (found := _NOTHING.match(text, position)):
            found = _LINE.match(text, position)
            assert found is not None
            files.reading.mistakes.append(f"{place}: is not of the form KEY = VALUE, which RabbitMQ's files have")
        line += text.count("\n", position, found.end())
        position = found.end()


def _take(
    found: re.Match[str], place: str, line: int, lines_before: dict[tuple[str, ...], int], path: Path, files: _Files
) -> None:
    key = tuple(word.replace("\\.", ".") for word in re.split(r"(?<!\\)\.", found["key"]))
    value = _value(found)
    if key in lines_before:
        files.reading.warnings.append(f"{place}: {found['key']}: replaces what line {lines_before[key]} says")
    lines_before[key] = line
    if content_of := _CONTENT_OF.fullmatch(value):
        named = path.parent / content_of[1].strip()
        try:
            value = files.reading.text_of(named).rstrip("\r\n")
        except ConfigError as error:
            files.reading.mistakes.append(f"{place}: {found['key']}: {error}")
            return
    files.entries.pop(key, None)  # so that the order is that of the lines that count
    files.entries[key] = Entry(found["key"], value, place)


def _value(found: re.Match[str]) -> str:
    if found["plain"] is not None:
        return found["plain"].rstrip()
    return found["quoted"] if found["long"] is None else found["long"].strip("\r\n")


def _include(path: Path, pattern: str, place: str, files: _Files) -> None:
    start = Path("/") if pattern.startswith("/") else path.parent
    try:
        found = sorted(start.glob(pattern.lstrip("/")))
    except (OSError, ValueError, NotImplementedError):  # what pathlib takes for no pattern
        files.reading.mistakes.append(f"{place}: {pattern} is no name of files to include")
        return
    if not found and "*" not in pattern:
        files.reading.mistakes.append(f"{place}: there is no file {pattern} to include")
    for file in found:
        files.included += 1
        if files.included > _INCLUDES_MAX:
            files.reading.mistakes.append(f"{place}: more than {_INCLUDES_MAX} files are included")
            return
        try:
            _read_file(file, files)
        except ConfigError as error:
            files.reading.mistakes.append(str(error))
