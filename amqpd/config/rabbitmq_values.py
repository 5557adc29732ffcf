"""How values are written in RabbitMQ's configuration: each function makes of such a text what our setting takes.

They raise ValueError where RabbitMQ would not take the text either. What a setting takes as it is, is left to the
setting to refuse.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

_BYTES: Final = {"": 1, "kb": 1024, "mb": 1024**2, "gb": 1024**3}
_UINT31: Final = 2**31 - 1


def same(value: str) -> str:
    """As it is."""
    return value


def flag(value: str) -> bool:
    """true or false, and nothing else."""
    if value not in ("true", "false"):
        raise ValueError
    return value == "true"


def count(value: str) -> str:
    """A limit, where `infinity` is none."""
    return "0" if value == "infinity" else value


def channels(value: str) -> str:
    """The channels of a connection, where 0 is no limit."""
    return "65535" if value == "0" else value


def size(value: str) -> int:
    """A number of bytes in Cuttlefish's form, where KB are 1024 bytes; 0 is no limit."""
    found = re.fullmatch(r"(\d{1,15})(kb|mb|gb|)", value, re.ASCII | re.IGNORECASE)
    if found is None:
        raise ValueError
    return int(found[1]) * _BYTES[found[2].lower()] or _UINT31


def memory(value: str) -> int:
    """An amount of memory, where k and kB are 1000 bytes, and Ki and KiB are 1024, as in Kubernetes."""
    found = re.fullmatch(r"(\d{1,15})(?:([kmgtp])(i?)b?)?", value, re.ASCII | re.IGNORECASE)
    if found is None:
        raise ValueError
    power = " kmgtp".index(found[2].lower()) if found[2] else 0
    return int(found[1]) * int((1024 if found[3] else 1000) ** power)


def share(value: str) -> str:
    """A share of memory. It has a point: to us, 1 without one could be a byte."""
    if re.fullmatch(r"[01]\.\d+", value, re.ASCII) is None:
        raise ValueError
    return value


def ratio(value: str) -> str:
    """The same, where it can be more than all of it."""
    if re.fullmatch(r"\d{1,3}\.\d+", value, re.ASCII) is None:
        raise ValueError
    return value


def without(prefix: str, suffix: str = "") -> Callable[[str], str]:
    """The name of an Erlang module without what all modules of its sort have in their names."""
    return lambda value: value.removeprefix(prefix).removesuffix(suffix)


def name(value: str) -> str:
    """A name, or `none`."""
    return "" if value == "none" else value


def password(value: str) -> str:
    """A password as it is: RabbitMQ's encrypted form can be read with RabbitMQ's key only."""
    if value.startswith("encrypted:"):
        raise ValueError
    return value


def everywhere(value: str) -> list[str]:
    """All networks, or none."""
    return ["0.0.0.0/0", "::/0"] if flag(value) else []


def log_format(value: str) -> str:
    """A formatter's name."""
    return "text" if value == "plaintext" else value


def certificate_part(value: str) -> str:
    """What of a certificate is the user's name."""
    return "subject_alternative_name" if value == "subject_alt_name" else value


def backend(value: str) -> str:
    """An authentication backend, by its short name or its module's; two of them with a plus."""
    names = [name.removeprefix("rabbit_auth_backend_") for name in value.split("+")]
    return "+".join("oauth2" if name == "oauth" else name for name in names)


def listener(value: str) -> str:
    """A port, HOST:PORT (IPv6 also without brackets), or a UNIX socket as Cuttlefish writes it, local:PATH:0."""
    if re.fullmatch(r"\d{1,5}", value, re.ASCII):
        return f"0.0.0.0:{value}"
    if unix := re.fullmatch(r"(?:local|unix):(.+):\d+", value):
        return f"unix:{unix[1]}"
    host, _colon, port = value.rpartition(":")
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else value
