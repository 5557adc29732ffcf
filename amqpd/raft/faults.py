"""What can be wrong with a Raft group, beyond expected refusals (which are return values).

    AmqpdError
      RaftError        what the caller asks for cannot be
        ChangeError      a change of members that breaks the rules of `membership.py`; the text says which
        InvariantError   the state contradicts itself: storage lost what was acknowledged, or amqpd has a bug. Whoever
                         drives the group stops the node: going on could lose messages
"""

from __future__ import annotations

from amqpd.errors import AmqpdError


class RaftError(AmqpdError):
    """A Raft group cannot do what is asked of it."""


class ChangeError(RaftError):
    """A change of members is not allowed from the present configuration."""


class InvariantError(RaftError):
    """A promise of Raft is broken: stop the node, and keep its disk for an analysis."""
