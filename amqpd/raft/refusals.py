"""Why a proposal was refused: negative numbers, which `Group.propose` and its like return instead of an index."""

from __future__ import annotations

from typing import Final

NO_LEADER: Final = -1
TOO_MUCH: Final = -2
TRANSFERRING: Final = -3
REMOVED: Final = -4
DAMAGED: Final = -5
CHANGE_PENDING: Final = -6
CHANGE_INVALID: Final = -7
VERSION_TOO_NEW: Final = -8

REFUSALS: Final[dict[int, str]] = {
    NO_LEADER: "there is no leader, or it is not known here",
    TOO_MUCH: "too many bytes or reads wait for a majority: try again later",
    TRANSFERRING: "leadership is being handed over",
    REMOVED: "the leader is no longer a member",
    DAMAGED: "this replica is damaged",
    CHANGE_PENDING: "a change of members is not yet applied, or the leader has not yet committed an entry of its term",
    VERSION_TOO_NEW: "a member is not known to run that version of the machine",
    CHANGE_INVALID: "the change is not allowed from the present configuration",
}
"""For people."""
