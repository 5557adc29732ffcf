"""The roles of a member, and the table of how one becomes another.

Every change of role goes through `Core._become` in `core.py`, which holds it to this table; the diagram in docs/raft.md
is made from it.
"""

from __future__ import annotations

from typing import Final

FOLLOWER: Final = 0
PRE_CANDIDATE: Final = 1
CANDIDATE: Final = 2
LEADER: Final = 3

ROLE_NAMES: Final[tuple[str, ...]] = ("follower", "pre-candidate", "candidate", "leader")

TRANSITIONS: Final[dict[int, dict[int, str]]] = {
    FOLLOWER: {
        FOLLOWER: "hears a leader, or a higher term",
        PRE_CANDIDATE: "election timeout, with pre-vote",
        CANDIDATE: "election timeout without pre-vote, or asked by the leader",
    },
    PRE_CANDIDATE: {
        FOLLOWER: "hears a leader, a higher term or of a change of members, or a majority refuses",
        PRE_CANDIDATE: "election timeout",
        CANDIDATE: "a majority would vote for it",
    },
    CANDIDATE: {
        FOLLOWER: "hears a leader, a higher term or of a change of members, or a majority refuses",
        PRE_CANDIDATE: "election timeout, with pre-vote",
        CANDIDATE: "election timeout, without pre-vote",
        LEADER: "a majority votes for it",
    },
    LEADER: {
        FOLLOWER: "hears a higher term, loses contact with a majority, or is removed",
    },
}
"""From role to role, and what makes it happen."""
