"""What can go wrong with a run. The text is one line, for the person who started it."""

from __future__ import annotations

from amqpd.errors import AmqpdError


class RunError(AmqpdError):
    """A run cannot start, or cannot go on: nobody answers, the broker refuses, or confirms do not come."""


class OptionError(RunError):
    """What was asked for makes no sense; names the option and what is allowed."""
