"""The types a setting can have: what is accepted, from TOML or as text, and how that is described.

Every kind takes the text form of its values, because environment variables and `--set` have nothing else, and the TOML
form where that differs. `parse` raises ValueError; `allowed` says what it takes, for the error and for the manual.
"""

from __future__ import annotations

import importlib
import ipaddress
import re
from typing import Any, Final

Value = str | int | float | bool | list[str]

_SIZES: Final = {
    "": 1,
    "b": 1,
    "kb": 1000,
    "mb": 1000**2,
    "gb": 1000**3,
    "kib": 1024,
    "mib": 1024**2,
    "gib": 1024**3,
}
_TIMES_MS: Final = {"ms": 1, "s": 1000, "m": 60_000, "min": 60_000, "h": 3_600_000}
_QUANTITY: Final = re.compile(r"(\d+)\s*([a-zA-Z]*)")
_TRUE: Final = ("true", "yes", "on", "1")
_FALSE: Final = ("false", "no", "off", "0")
_ENDPOINT: Final = re.compile(r"(?:\[[0-9a-fA-F:.%\w]+\]|[^:\[\]\s]+):(\d{1,5})")


class ItemError(ValueError):
    """One `item` of a list is wrong."""

    def __init__(self, item: object) -> None:
        super().__init__(item)
        self.item: Final = item


class Kind:
    """A type of value."""

    name = ""
    unit = ""

    @property
    def allowed(self) -> str:
        """What may stand there, as the end of a sentence."""
        raise NotImplementedError

    def parse(self, raw: object) -> Value:
        """`raw`, from TOML or text, as this kind's value. Raises ValueError."""
        raise NotImplementedError

    def shown(self, value: Value) -> str:
        """A value as it can be written into a TOML file."""
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, list):
            return "[" + ", ".join(self.shown(item) for item in value) + "]"
        if isinstance(value, str):
            return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        return str(value)


_TEXT_MAX: Final = 255
LONG_TEXT: Final = 4096  # characters: the longest path of a file


class Text(Kind):
    """Any text; `meaning` describes it, `longest` is in characters."""

    name = "text"

    def __init__(self, meaning: str = "text", *, required: bool = True, longest: int = _TEXT_MAX) -> None:
        self._meaning: Final = meaning
        self._required: Final = required
        self._longest: Final = longest

    @property
    def allowed(self) -> str:
        meaning = f"{self._meaning}, at most {self._longest} characters"
        return meaning if self._required else f"{meaning}, or nothing"

    def parse(self, raw: object) -> Value:
        if not isinstance(raw, str) or (self._required and not raw) or len(raw) > self._longest:
            raise ValueError
        return raw


class Choice(Kind):
    """One of a few words."""

    name = "word"

    def __init__(self, *words: str) -> None:
        self._words: Final = words

    @property
    def allowed(self) -> str:
        return "one of " + ", ".join(self._words)

    def parse(self, raw: object) -> Value:
        if not isinstance(raw, str) or raw.lower() not in self._words:
            raise ValueError
        return raw.lower()


class Flag(Kind):
    """On or off."""

    name = "flag"

    @property
    def allowed(self) -> str:
        return "true or false"

    def parse(self, raw: object) -> Value:
        if isinstance(raw, bool):
            return raw
        if isinstance(raw, str) and raw.lower() in _TRUE + _FALSE:
            return raw.lower() in _TRUE
        raise ValueError


class Regexp(Text):
    """A regular expression, in the dialect of `amqpd.broker.patterns`, which limits its cost where it is used."""

    name = "regular expression"

    def __init__(self, *, required: bool = True) -> None:
        super().__init__("a regular expression", required=required)

    def parse(self, raw: object) -> Value:
        value = super().parse(raw)
        if value not in ("", ".*"):
            regex: Any = importlib.import_module("regex")  # slow to import, and most configurations have no other
            try:
                regex.compile(value, regex.ASCII, cache_pattern=False)
            except (regex.error, RecursionError, OverflowError):
                raise ValueError from None
        return value


class Names(Kind):
    """A list of texts; as text they stand between commas. `item` is a regular expression that each of them matches."""

    name = "list"

    def __init__(self, meaning: str, *, required: bool = False, item: str = ".+") -> None:
        self._meaning: Final = meaning
        self._required: Final = required
        self._item: Final = re.compile(item)

    @property
    def allowed(self) -> str:
        return f"a list of {self._meaning}" + (", one at least" if self._required else "")

    def parse(self, raw: object) -> Value:
        items = [item.strip() for item in raw.split(",")] if isinstance(raw, str) else raw
        if items == [""]:
            items = []
        if not isinstance(items, list) or (self._required and not items):
            raise ValueError
        values = []
        for item in items:
            try:
                values.append(self._checked(item))
            except ValueError:
                raise ItemError(item) from None
        return values

    def _checked(self, item: object) -> str:
        if not isinstance(item, str) or self._item.fullmatch(item) is None:
            raise ValueError
        return item


class Addresses(Names):
    """A list of places to listen on."""

    def __init__(self, *, unix: bool) -> None:
        super().__init__('"HOST:PORT", "[IPV6]:PORT" or "unix:PATH"' if unix else '"HOST:PORT" or "[IPV6]:PORT"')
        self._unix: Final = unix

    def _checked(self, item: object) -> str:
        text = super()._checked(item)
        if self._unix and re.fullmatch("unix:.+", text):
            return text
        found = _ENDPOINT.fullmatch(text)
        if found is None or int(found[1]) > 65_535:
            raise ValueError
        return text


class Words(Names):
    """A list of some of a few words, each once."""

    def __init__(self, *words: str) -> None:
        super().__init__("some of " + ", ".join(words) + ", each once", required=True)
        self._words: Final = words

    def parse(self, raw: object) -> Value:
        value = super().parse(raw)
        assert isinstance(value, list)
        if len(set(value)) < len(value):
            raise ValueError
        return value

    def _checked(self, item: object) -> str:
        for word in self._words:
            if isinstance(item, str) and item.lower() == word.lower():
                return word
        raise ValueError


class Networks(Names):
    """A list of networks; an address alone is a network of one."""

    def __init__(self) -> None:
        super().__init__('addresses and networks, as "192.0.2.7", "10.0.0.0/8" or "fd00::/8"')

    def _checked(self, item: object) -> str:
        return str(ipaddress.ip_network(super()._checked(item), strict=False))


class Number(Kind):
    """A whole number from `low` to `high`, both included."""

    name = "number"
    scales: dict[str, int] = {"": 1}

    def __init__(self, low: int, high: int, *, zero: str = "") -> None:
        self._low: Final = low
        self._high: Final = high
        self._zero: Final = zero  # what 0 means, where it is something special

    @property
    def allowed(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        special = f"; 0 is {self._zero}" if self._zero else ""
        return f"{self._low} to {self._high}{unit}{special}{self._forms()}"

    def _forms(self) -> str:
        return ""

    def parse(self, raw: object) -> Value:
        value = self._quantity(raw)
        if not self._low <= value <= self._high:
            raise ValueError
        return value

    def _quantity(self, raw: object) -> int:
        if isinstance(raw, int) and not isinstance(raw, bool):
            return raw
        found = _QUANTITY.fullmatch(raw.strip()) if isinstance(raw, str) else None
        if found is None:
            raise ValueError
        return self._scaled(int(found[1]), found[2].lower())

    def _scaled(self, number: int, unit: str) -> int:
        if unit not in self.scales:
            raise ValueError
        return number * self.scales[unit]


class Size(Number):
    """A number of bytes."""

    name = "size"
    unit = "bytes"
    scales = _SIZES

    def _forms(self) -> str:
        return ', also as "64KiB" or "2MB"'


class Duration(Number):
    """A time in `unit`, which is ms or s."""

    name = "time"

    def __init__(self, low: int, high: int, unit: str, *, zero: str = "") -> None:
        super().__init__(low, high, zero=zero)
        self.unit = unit

    def _forms(self) -> str:
        return ', also as "500ms", "10s" or "2m"' if self.unit == "ms" else ', also as "10s" or "2m"'

    def _scaled(self, number: int, unit: str) -> int:
        time_ms = number * _TIMES_MS.get(unit or self.unit, -1)
        value, rest = divmod(time_ms, _TIMES_MS[self.unit])
        if value < 0 or rest:
            raise ValueError
        return value


class Mode(Kind):
    """The permissions of a file, in octal."""

    name = "permissions"

    @property
    def allowed(self) -> str:
        return 'file permissions in octal, as "660"'

    def parse(self, raw: object) -> Value:
        if not isinstance(raw, str) or re.fullmatch(r"(0o?)?[0-7]{3}", raw) is None:
            raise ValueError
        return raw[-3:]


class Watermark(Kind):
    """A share of the memory there is, up to `most`, or a number of bytes."""

    name = "share or size"

    def __init__(self, most: float = 1.0) -> None:
        self._most: Final = most

    @property
    def allowed(self) -> str:
        return f'a share of memory from 0.0 to {self._most}, or a size such as 2000000000 or "2GiB"'

    def parse(self, raw: object) -> Value:
        text = str(raw).strip() if isinstance(raw, (str, int, float)) and not isinstance(raw, bool) else ""
        if re.fullmatch(r"0|1|\d{1,3}\.\d+", text):
            share = float(text)
            if share > self._most:
                raise ValueError
            return share
        return Size(2, 2**63 - 1).parse(raw)
