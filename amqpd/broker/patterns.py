"""Regular expressions of operators, matched against names that clients choose: permissions, policies, limits.

The dialect is PCRE as far as the `regex` library goes with it; `\\w`, `\\d` and letters without case are ASCII's, as in
RabbitMQ. Does not know what an empty pattern means to its callers, nor replace variables in it.

Invariant: neither compiling nor matching takes longer than some ten milliseconds of CPU, whatever the pattern and the
name. `regex` writes `x{1000}` out a thousand times, so what a pattern would become is counted before; a match that
takes MATCH_MS is the last one of its pattern, because ten thousand queues would each wait for it. Patterns of which one
can tell that they never take long are not watched: the watch alone takes five times as long as an ordinary match.

Source: RabbitMQ, rabbit_re (limits of its own for both).
"""

from __future__ import annotations

import importlib
import logging
import re
from typing import Any, Final

from amqpd.errors import DefinitionError

LENGTH_MAX: Final = 1024  # bytes
MATCH_MS: Final = 50
_DEPTH_MAX: Final = 100  # the parser of `regex` recurses
_WRITTEN_OUT_MAX: Final = 10_000  # characters
_NAME: Final = 256  # characters of a name: how often a repetition can repeat
_QUICK: Final = 4 * _NAME * _NAME  # steps that are not worth watching, which costs as much as they do
_MATCHING_ANY: Final = ("", ".*", "^.*")  # searched for, these are found in every name

# One element of a pattern, as far as the size of the whole depends on it.
_ELEMENT: Final = re.compile(
    r"""(?P<silent>\(\?(?:\#[^)]*|[a-z^-]*)\))    # a comment or flags: what repeats after it is what stood before it
      | (?P<escape>\\[pP]\{[^{}]*\}|\\.)
      | (?P<set>\[\^?\]?(?:\\.|\[:\w+:\]|[^]\\])*\])
      | (?P<open>\((?:\?(?:[:=!>]|<[=!]))?)
      | (?P<close>\))
      | \{(?P<least>\d*)(?:,\d*)?\}
      | (?P<brace>\{)
      | (?P<other>.)""",
    re.DOTALL | re.VERBOSE,
)
_EXTENDED: Final = re.compile(r"\(\?\^?[a-z]*x")
_FOREIGN: Final = re.compile(r"\(\?\^?[a-z]*([A-Z])[a-zA-Z0-9-]*[:)]")  # V1, with which sets have another syntax
_OTHERWISE: Final = ("\\g", "\\N")  # PCRE's reference and any character, plain letters to `regex`

log = logging.getLogger("amqpd.patterns")


class Pattern:
    """A pattern that was compiled. Raises DefinitionError with `problem(text)`."""

    def __init__(self, text: str) -> None:
        self.text: Final = text
        self._any: Final = text in _MATCHING_ANY
        dialect = _Dialect(text)
        self._quick: Final = dialect.steps <= _QUICK
        self._compiled: Any = None if self._any else _compile(dialect)

    def matches(self, name: str) -> bool:
        """Whether the pattern is found anywhere in `name`. False, and so ever after, where that takes too long."""
        if self._any:
            return True
        if self._compiled is None:
            return False
        try:
            if self._quick and len(name) <= _NAME:
                return self._compiled.search(name) is not None
            return self._compiled.search(name, timeout=MATCH_MS / 1000) is not None
        except (TimeoutError, MemoryError):
            self._compiled = None
            log.error(
                "pattern '%s' took more than %d ms for a name of %d characters: it matches nothing from now on. "
                "Set one without nested repetitions",
                self.text,
                MATCH_MS,
                len(name),
            )
            return False


def problem(text: str) -> str:
    """What is wrong with a pattern, for who wrote it, or "". """
    try:
        Pattern(text)
    except DefinitionError as error:
        return str(error)
    return ""


def escape(text: str) -> str:
    """`text` as a pattern that matches it literally."""
    return re.escape(text)


def _compile(dialect: _Dialect) -> Any:
    if dialect.depth > _DEPTH_MAX:
        raise DefinitionError(f"parentheses are nested more than {_DEPTH_MAX} deep")
    if dialect.size > _WRITTEN_OUT_MAX:
        raise DefinitionError(f"its repetitions, written out, make more than {_WRITTEN_OUT_MAX} characters")
    # Not at the top: its import takes longer than that of this whole room, and many a node never needs it. By name: it
    # brings no types, and is not there where mypyc compiles.
    regex: Any = importlib.import_module("regex")
    try:
        return regex.compile(dialect.text, regex.ASCII, cache_pattern=False)
    except (regex.error, RecursionError, OverflowError) as error:
        raise DefinitionError(str(error)) from None


class _Dialect:
    """A PCRE pattern as `text` for `regex`, and what it costs.

    `size` is its length with repetitions written out, `depth` how deep its groups are nested, `steps` a number that a
    search in a name never exceeds: a repetition may go on for all of the name, an alternative doubles the ways, and
    there is no limit to what repetitions of groups, or references to other parts of the pattern, can do.

    `{` that begins no repetition is a character to PCRE, and to `regex` the beginning of approximate matching.
    """

    def __init__(self, text: str) -> None:
        if len(text.encode("utf-8", "surrogatepass")) > LENGTH_MAX:
            raise DefinitionError(f"longer than {LENGTH_MAX} bytes")
        if (foreign := _FOREIGN.search(text)) is not None and foreign.group(1) != "R":
            raise DefinitionError(f"unknown flag {foreign.group(1)}")
        self.depth = 0
        self.steps = _NAME
        parts: list[str] = []
        outer: list[int] = []  # sizes, so far, of the groups around this one
        size = 0  # of this group, without `last`
        last = 0  # size of what a repetition would repeat
        product = 1
        before = ""
        for element in _ELEMENT.finditer(text):
            kind = element.lastgroup
            part = element.group()
            if part in _OTHERWISE:
                raise DefinitionError(f"bad escape {part}")
            parts.append("\\{" if kind == "brace" else part)
            if self.steps <= _QUICK:
                self.steps *= _ways(part, before)
            if kind != "silent":
                before = part
            if kind == "least":
                times = int(element.group("least") or "0")
                last *= max(times, 1)
                product *= max(times, 1)
            elif kind == "open":
                outer.append(size + last)
                self.depth = max(self.depth, len(outer))
                size = last = 0
            elif kind == "close" and outer:
                last += size + 1
                size = outer.pop()
            elif kind != "silent":
                size += last
                last = 1
        # Where white space and comments count for nothing, it is not worth finding out what repeats what.
        extended = _EXTENDED.search(text) is not None
        if extended:
            self.steps = _QUICK + 1
        self.text: Final = "".join(parts)
        self.size: Final = product * len(text) if extended else size + last + sum(outer)


def _ways(part: str, before: str) -> int:
    """The factor by which one element of a pattern, after the one `before`, multiplies the steps of a search."""
    if part in ("*", "+") or (part[0] == "{" and part != "{"):
        return _NAME if before != ")" else _QUICK + 1
    if part == "?" and before == "(":
        return _QUICK + 1  # a named group, a condition, a recursion
    if part[0] == "\\" and (part[1:].isdigit() or part[1:] in ("g", "k", "X")):
        return _QUICK + 1  # a reference, or what is not one character
    return 2 if part in ("?", "|") else 1
