"""How options are written: addresses, key=value pairs, VALUE:SECONDS, sizes and durations.

Every function raises OptionError with the option's name, what is wrong and what is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from urllib.parse import unquote, urlsplit

from amqpd.perftest.faults import OptionError
from amqpd.wire.tables import LONG, TIMESTAMP, Field, Table, boolean, long, longstr

_PORTS: Final = {"amqp": 5672, "amqps": 5671}
_UNITS: Final = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_UNITS_BINARY: Final = {"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}
_DURATION: Final = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?", re.IGNORECASE)


@dataclass(frozen=True)
class Address:
    """Where to connect, and as whom."""

    host: str
    port: int
    tls: bool
    user: str
    password: str = field(repr=False)
    vhost: str

    @property
    def place(self) -> str:
        """The address without the user, for messages."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def address(uri: str) -> Address:
    """amqp://USER:PASSWORD@HOST:PORT/VHOST, or amqps://. Left out: guest, guest, localhost, the usual port, /."""
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError as error:
        raise OptionError(f"--uri: {error}") from None
    if parts.scheme not in _PORTS:
        raise OptionError("--uri: it must begin with amqp:// or amqps://")
    if parts.path.count("/") > 1:
        raise OptionError("--uri: a / in the name of a virtual host is written %2F")
    return Address(
        parts.hostname or "localhost",
        _PORTS[parts.scheme] if port is None else port,
        parts.scheme == "amqps",
        unquote(parts.username) if parts.username is not None else "guest",
        unquote(parts.password) if parts.password is not None else "guest",
        unquote(parts.path[1:]) or "/",
    )


def pairs(option: str, texts: Iterable[str]) -> dict[str, str]:
    """KEY=VALUE,KEY=VALUE: a later one replaces an earlier one with the same key."""
    found: dict[str, str] = {}
    for text in texts:
        for pair in text.split(","):
            key, sign, value = pair.partition("=")
            key = key.strip()
            if not key or not sign:
                raise OptionError(f"{option}: {pair!r} is not KEY=VALUE")
            if len(key.encode()) > 255:
                raise OptionError(f"{option}: a key has at most 255 bytes")
            found[key] = value.strip()
    return found


def typed(value: str) -> Field:
    """true and false are booleans, whole numbers are numbers, the rest is text."""
    if value in ("true", "false"):
        return boolean(value == "true")
    try:
        number = int(value)
    except ValueError:
        return longstr(value)
    return long(number) if -(2**63) <= number < 2**63 else longstr(value)


def table(option: str, texts: Iterable[str]) -> Table:
    """KEY=VALUE,KEY=VALUE as a table."""
    return [(key, typed(value)) for key, value in pairs(option, texts).items()]


def steps(option: str, texts: Iterable[str], least: int) -> list[tuple[float, float]]:
    """VALUE:SECONDS, once or several times; values are whole numbers from `least` on."""
    found: list[tuple[float, float]] = []
    for text in texts:
        value, _colon, seconds = text.partition(":")
        if not (value.isdecimal() and seconds.isdecimal() and int(value) >= least and int(seconds) > 0):
            raise OptionError(f"{option}: {text!r} is not VALUE:SECONDS with VALUE >= {least} and SECONDS > 0")
        found.append((float(value), float(seconds)))
    return found


def capacity(option: str, text: str) -> int:
    """Bytes: 1000, 5kb, 20gb; kib, mib, gib are powers of 1024."""
    match = re.fullmatch(r"(\d+)\s*([a-z]*)", text.strip().lower())
    units = {**_UNITS, **_UNITS_BINARY}
    if match is None or match[2] not in units:
        raise OptionError(f"{option}: {text!r} is no size: a number and one of {', '.join(filter(None, units))}")
    return int(match[1]) * units[match[2]]


def age(option: str, text: str) -> str:
    """An ISO 8601 duration (PT10M30S, P5DT8H) as x-max-age wants it: seconds."""
    match = _DURATION.fullmatch(text)
    if match is None or not any(match.groups()):
        raise OptionError(f"{option}: {text!r} is no duration like PT10M30S or P5DT8H")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return f"{((days * 24 + hours) * 60 + minutes) * 60 + seconds}s"


def stream_offset(option: str, text: str) -> Field:
    """Where to begin in a stream: first, last, next, a number, or a time like 2022-06-03T07:45:54Z."""
    if text in ("first", "last", "next"):
        return longstr(text)
    if text.isdecimal() and int(text) < 2**63:
        return Field(LONG, int(text))
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise OptionError(
            f"{option}: {text!r} is neither first, last, next, a number, nor a time like 2022-06-03T07:45:54Z"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return Field(TIMESTAMP, int(moment.timestamp()))
