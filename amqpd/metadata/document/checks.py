"""What is wrong with a definitions document, and where: problems with their paths, and objects read with checks.

A check never raises: it notes a problem and goes on with something harmless, so that one reading names everything that
is wrong. Texts never repeat a value of the document, which may be a password: they say what kind of value it is.

`sound` is asked once for each object, before anything in it is read: what passes it holds JSON values only, to a
limited depth, with text that is Unicode and numbers that AMQP can carry. The rest of the reader relies on that.

Does not know what definitions mean.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from amqpd.broker.limits import NAME_BYTES_MAX

PROBLEMS_MAX: Final = 1000  # of each kind that are listed; the others are counted
DEPTH_MAX: Final = 64  # of lists and objects, from the top of the document
INTEGER_MIN: Final = -(2**63)
INTEGER_MAX: Final = 2**64 - 1

# Where something stands in the document: names of objects' members, and positions in lists.
Trail = tuple[str | int, ...]

_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_SHOWN_MAX: Final = 80


class Repeated(dict[str, object]):
    """An object of a JSON text that gave some names twice; the last value counts, as in every parser."""

    def __init__(self, pairs: Iterable[tuple[str, object]]) -> None:
        super().__init__()
        self.names: list[str] = []
        for name, value in pairs:
            if name in self:
                self.names.append(name)
            self[name] = value


def given_twice(value: object) -> list[str]:
    """The names that an object of a JSON text gave more than once."""
    return value.names if isinstance(value, Repeated) else []


@dataclass(frozen=True)
class Problem:
    """What is wrong (or was left out) and where: `queues[3].arguments.x-message-ttl`, `$` for the whole document."""

    path: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}: {self.text}"


@dataclass
class Findings:
    """The problems and warnings of one reading, the first PROBLEMS_MAX of each, and how many more there were."""

    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    more_problems: int = 0
    more_warnings: int = 0

    @property
    def count(self) -> int:
        """How many problems there are."""
        return len(self.problems) + self.more_problems

    def problem(self, trail: Trail, text: str) -> None:
        """Nothing of the document can be applied."""
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(Problem(path_of(trail), text))
        else:
            self.more_problems += 1

    def warn(self, trail: Trail, text: str) -> None:
        """Something of the document is left out."""
        if len(self.warnings) < PROBLEMS_MAX:
            self.warnings.append(Problem(path_of(trail), text))
        else:
            self.more_warnings += 1


def path_of(trail: Trail) -> str:
    """The trail as people write it. Names that are no identifiers are quoted: `arguments["a.b"]`."""
    path = ""
    for step in trail:
        if isinstance(step, int):
            path += f"[{step}]"
        elif _PLAIN.fullmatch(step) and len(step) <= _SHOWN_MAX:
            path += f".{step}" if path else step
        else:
            path += f"[{json.dumps(shown(step))}]"
    return path or "$"


def shown(name: str) -> str:
    """A name for a text about it: the beginning, where it is long."""
    return name if len(name) <= _SHOWN_MAX else name[: _SHOWN_MAX - 3] + "..."


def kind_of(value: object) -> str:
    """What kind of JSON value that is, in words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a text"
    return "a list" if isinstance(value, list) else "an object"


# -- soundness


def sound(value: object, trail: Trail, findings: Findings) -> bool:
    """Whether everything in `value` can be carried; what cannot is noted. Linear in its size."""
    before = findings.count
    _walk(value, list(trail), findings)
    return findings.count == before


def _walk(value: object, trail: list[str | int], findings: Findings) -> None:
    if isinstance(value, dict | list):
        if len(trail) >= DEPTH_MAX:
            findings.problem(tuple(trail), f"is nested deeper than {DEPTH_MAX} levels")
        elif isinstance(value, dict):
            _walk_object(value, trail, findings)
        else:
            for position, item in enumerate(value):
                trail.append(position)
                _walk(item, trail, findings)
                trail.pop()
        return
    wrong = _scalar_problem(value)
    if wrong:
        findings.problem(tuple(trail), wrong)


def _walk_object(value: Mapping[object, object], trail: list[str | int], findings: Findings) -> None:
    for twice in given_twice(value):
        findings.problem((*trail, twice), "is given more than once in its object")
    for name, item in value.items():
        if not isinstance(name, str) or not is_unicode(name):
            findings.problem(tuple(trail), "has a name in it that is no Unicode text")
            continue
        trail.append(name)
        _walk(item, trail, findings)
        trail.pop()


def _scalar_problem(value: object) -> str:
    if isinstance(value, str):
        return "" if is_unicode(value) else "is no Unicode text: it has half of a surrogate pair in it"
    if value is None or isinstance(value, bool):
        return ""
    if isinstance(value, int):
        return "" if INTEGER_MIN <= value <= INTEGER_MAX else "is a number beyond 64 bits"
    if isinstance(value, float):
        return "" if math.isfinite(value) else "is a number that is infinite, or none, or too large"
    return "is no JSON value"


def is_unicode(text: str) -> bool:
    """Whether the text can be written as UTF-8."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# -- objects


class Item:
    """One object of the document, which is sound. Its getters note what is wrong, and then `bad` is True."""

    __slots__ = ("bad", "findings", "trail", "values")

    def __init__(self, values: dict[str, object], trail: Trail, findings: Findings) -> None:
        self.values: Final = values
        self.trail: Final = trail
        self.findings: Final = findings
        self.bad = False

    def wrong(self, key: str, text: str) -> None:
        """Note a problem with the member `key`."""
        self.findings.problem((*self.trail, key), text)
        self.bad = True

    def warn(self, key: str, text: str) -> None:
        """Note that the member `key` is left out."""
        self.findings.warn((*self.trail, key), text)

    def mistyped(self, key: str, wanted: str) -> None:
        """Note that the member `key` is of the wrong type."""
        self.wrong(key, f"must be {wanted}, not {kind_of(self.values[key])}")

    def has(self, key: str) -> bool:
        """Whether the member is there and not null."""
        return self.values.get(key) is not None

    def text(self, key: str, default: str | None = None) -> str:
        """A text of any length. Without a default it must be there."""
        if key not in self.values:
            if default is None:
                self.wrong(key, "is missing")
            return default or ""
        value = self.values[key]
        if isinstance(value, str):
            return value
        self.mistyped(key, "a text")
        return ""

    def name(self, key: str, empty: bool = False, default: str | None = None) -> str:
        """A text of at most NAME_BYTES_MAX bytes; `empty`: also of none."""
        value = self.text(key, default)
        size = len(value.encode())
        if size > NAME_BYTES_MAX:
            self.wrong(key, f"has {size} bytes, and at most {NAME_BYTES_MAX} are allowed")
        elif self.values.get(key) == "" and not empty:
            self.wrong(key, "must not be empty")
        return value

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self.values.get(key, default)
        if isinstance(value, bool):
            return value
        self.mistyped(key, "true or false")
        return default

    def integer(self, key: str, default: int | None = None) -> int:
        """A whole number of signed 64 bits. Without a default it must be there."""
        if key not in self.values and default is not None:
            return default
        value = self.values.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            if value < 2**63:
                return value
            self.wrong(key, "is a number beyond 64 bits")
        elif key in self.values:
            self.mistyped(key, "a whole number")
        else:
            self.wrong(key, "is missing")
        return 0

    def item(self, key: str) -> Item:
        """The object in the member `key`, empty where it is not there. RabbitMQ 3 writes an empty one as a list."""
        value = self.values.get(key, {})
        if isinstance(value, dict):
            return Item(value, (*self.trail, key), self.findings)
        if value == []:
            return Item({}, (*self.trail, key), self.findings)
        self.mistyped(key, "an object")
        nothing = Item({}, (*self.trail, key), Findings())  # what is missing in it is no second mistake
        nothing.bad = True
        return nothing

    def tags(self, key: str) -> tuple[str, ...]:
        """A list of texts, or a text with commas. Without blanks around them; empty ones are none."""
        value = self.values.get(key)
        if isinstance(value, str):
            items: list[object] = list(value.split(","))
        elif isinstance(value, list):
            items = value
        else:
            if value is not None:
                self.mistyped(key, "a list of texts, or a text with commas")
            return ()
        for position, item in enumerate(items):
            if not isinstance(item, str):
                self.findings.problem((*self.trail, key, position), f"must be a text, not {kind_of(item)}")
                self.bad = True
        return tuple(tag for tag in (item.strip() for item in items if isinstance(item, str)) if tag)

    def warn_of_unknown(self, known: frozenset[str]) -> None:
        """Note the members that nobody reads."""
        for key in self.values:
            if key not in known:
                self.warn(key, "is not known and left out")
