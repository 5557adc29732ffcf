"""Which amqpd this is: its version, and whether its message path is compiled. Imports nothing that is slow."""

from __future__ import annotations

from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec

from amqpd import __version__


def mode() -> str:
    """`compiled` or `interpreted`: what importing the middle of the message path would give."""
    spec = find_spec("amqpd.protocol.connection")
    origin = spec.origin if spec is not None and spec.origin else ""
    return "compiled" if origin.endswith(tuple(EXTENSION_SUFFIXES)) else "interpreted"


def described() -> str:
    """`amqpd VERSION (compiled)`, or interpreted."""
    return f"amqpd {__version__} ({mode()})"
