"""Majorities: of one set of voters, and of the two sets of a joint configuration.

Pure arithmetic on ids and indexes. A joint decision needs a majority of both sets. An empty set decides nothing: it
never holds a joint decision up.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from amqpd.raft.config import NO_LIMIT

PENDING: Final = 0
LOST: Final = 1
WON: Final = 2


def majority(voters: int) -> int:
    """How many of `voters` decide."""
    return voters // 2 + 1


def majority_committed(voters: Collection[int], match: dict[int, int]) -> int:
    """The highest index that a majority has; voters missing in `match` have nothing. NO_LIMIT without voters."""
    if not voters:
        return NO_LIMIT
    indexes = [match.get(voter, 0) for voter in voters]
    indexes.sort()
    return indexes[len(indexes) - majority(len(indexes))]


def joint_committed(incoming: Collection[int], outgoing: Collection[int], match: dict[int, int]) -> int:
    """The highest index that majorities of both sets have."""
    return min(majority_committed(incoming, match), majority_committed(outgoing, match))


def majority_vote(voters: Collection[int], votes: dict[int, bool]) -> int:
    """WON, LOST, or PENDING while missing votes can still decide. Without voters: WON."""
    if not voters:
        return WON
    granted = 0
    missing = 0
    for voter in voters:
        if voter not in votes:
            missing += 1
        elif votes[voter]:
            granted += 1
    needed = majority(len(voters))
    if granted >= needed:
        return WON
    return PENDING if granted + missing >= needed else LOST


def joint_vote(incoming: Collection[int], outgoing: Collection[int], votes: dict[int, bool]) -> int:
    """WON if both sets are won, LOST if either is lost, else PENDING."""
    first = majority_vote(incoming, votes)
    second = majority_vote(outgoing, votes)
    if first == second:
        return first
    return LOST if first == LOST or second == LOST else PENDING
