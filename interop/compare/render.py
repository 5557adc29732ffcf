"""A received frame as one line of text, with everything taken out that must differ from run to run, and nothing else.

Taken out: the run's name prefix, server-generated names, the time in `x-death` and in firehose headers, socket
addresses, the node's name, and those server properties that say which broker this is (`product` stays: clients switch
on it). The SASL mechanisms are sorted: two nodes of one RabbitMQ version offer them in different orders.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping
from typing import Any

from .codec import Tagged

_OWN_SERVER_PROPERTIES = ("version", "cluster_name", "platform", "copyright", "information")
_PATTERNS = (
    (re.compile(r"cmp-[0-9a-f]{8}-[0-9]{4}-"), ""),
    (re.compile(r"amq\.gen-[A-Za-z0-9_-]{22}(?![A-Za-z0-9_-])"), "amq.gen-*"),
    (re.compile(r"amq\.ctag-[A-Za-z0-9_-]{22}(?![A-Za-z0-9_-])"), "amq.ctag-*"),
    (re.compile(r"amq\.rabbitmq\.reply-to\.[^\s'\"]+"), "amq.rabbitmq.reply-to.*"),
    (re.compile(r"127\.0\.0\.1:\d+"), "ADDRESS"),
)
_LONGEST_BODY_SHOWN = 80


def normalise(text: str) -> str:
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def show_value(item: Tagged, key: str = "") -> str:
    """`l 1`, `S "text"`, `A [...]`, `F {...}`: the tag, then the value."""
    tag, value = item.tag, item.value
    if tag == "T" and key == "time":
        return "T TIME"
    if tag == "S" and key == "node":
        return "S NODE"
    if tag == "S":
        return f"S {quote(value)}"
    if tag == "F":
        return f"F {show_table(value)}"
    if tag == "A":
        return f"A [{', '.join(show_value(each) for each in value)}]"
    if tag == "t":
        return f"t {str(value).lower()}"
    if tag == "V":
        return "V"
    return f"{tag} {value!r}"


def show_table(values: Mapping[str, Tagged]) -> str:
    return "{" + ", ".join(f"{key}: {show_value(item, key)}" for key, item in values.items()) + "}"


def show_field(value: Any) -> str:
    if isinstance(value, dict):
        return show_table(value)
    if isinstance(value, bool):
        return str(value).lower()
    return quote(value) if isinstance(value, str) else str(value)


def show_fields(values: Mapping[str, Any]) -> str:
    """`name=value` for each field, without the server properties that are its own."""
    parts = []
    for name, value in values.items():
        if name == "server_properties":
            value = {k: v for k, v in value.items() if k not in _OWN_SERVER_PROPERTIES}
        elif name == "mechanisms":
            value = " ".join(sorted(value.split()))
        parts.append(f" {name}={show_field(value)}")
    return "".join(parts)


def show_content(properties: Mapping[str, Any], body: bytes, frames: list[int]) -> str:
    """Properties and body; the sizes of the body frames only where there is more than one."""
    shown = repr(body) if len(body) <= _LONGEST_BODY_SHOWN else f"<{len(body)} bytes, crc {zlib.crc32(body):08x}>"
    split = f" frames={frames}" if len(frames) > 1 else ""
    return f" |{show_fields(properties)} | {shown}{split}"
