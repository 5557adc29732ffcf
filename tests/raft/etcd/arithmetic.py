"""Replays quorum/ and confchange/: majorities, and configurations that follow each other.

The printed output is made again from what our core computes and compared as a whole. As etcd's harness does, a result
that changes where it must not (halves exchanged, an empty half joined, a vote below the result lowered) adds a line to
the output, which then differs.
"""

from __future__ import annotations

from raft.etcd import notation
from raft.etcd.datadriven import Block

from amqpd.raft import membership, quorum
from amqpd.raft.config import NO_LIMIT, Config
from amqpd.raft.faults import ChangeError
from amqpd.raft.membership import Tracker
from amqpd.raft.messages import Members

VOTES = {quorum.PENDING: "VotePending", quorum.LOST: "VoteLost", quorum.WON: "VoteWon"}

REFUSALS = {
    membership.NOT_JOINT: "can't leave a non-joint config",
    membership.NO_VOTERS: "can't make a zero-voter config joint",
    membership.ALREADY_JOINT: "config is already joint",
    membership.SIMPLE_IN_JOINT: "can't apply simple config change in joint config",
    membership.MANY_VOTERS: "more than one voter changed without entering joint config",
    membership.LAST_VOTER: "removed all voters",
}
"""The same refusals in etcd's words."""


def assign(voters: list[int], values: list[str]) -> dict[int, str]:
    """`values` belong to `voters` in their order, those of both halves once; `_` is no value."""
    order = list(dict.fromkeys(voters))
    if len(order) != len(values):
        raise ValueError(f"{len(values)} values for the voters {order}")
    return {voter: value for voter, value in zip(order, values, strict=True) if value != "_"}


def index(value: int) -> str:
    """An index, or infinity."""
    return "∞" if value == NO_LIMIT else str(value)


def table(voters: list[int], match: dict[int, int]) -> list[str]:
    """Each voter with its index, and a bar as long as the number of voters that are behind it."""
    order = sorted(set(voters))
    lines = [" " * (len(order) + 4) + "idx"]
    for voter in order:
        behind = sum(match.get(other, 0) < match.get(voter, 0) for other in order)
        bar = "x" * behind + ">" if voter in match else "?"
        lines.append(f"{bar:<{len(order) + 1}} {match.get(voter, 0):>5}    (id={voter})")
    return lines


def committed(block: Block) -> list[str]:
    """`committed cfg=(...) [cfgj=(...)] idx=(...)`."""
    incoming, outgoing, joint = halves(block)
    voters = incoming + outgoing
    match = {voter: int(value) for voter, value in assign(voters, block.many("idx")).items()}
    lines = table(voters, match) if voters else []
    if joint:
        result = quorum.joint_committed(incoming, outgoing, match)
        others = {"symmetry": quorum.joint_committed(outgoing, incoming, match)}
    else:
        result = quorum.majority_committed(incoming, match)
        others = {
            "zero-joint quorum": quorum.joint_committed(incoming, [], match),
            "self-joint quorum": quorum.joint_committed(incoming, incoming, match),
        }
        for voter, has in match.items():
            if has < result:
                others[f"{voter} lowered"] = quorum.majority_committed(incoming, {**match, voter: has - 1})
                others[f"{voter} at 0"] = quorum.majority_committed(incoming, {**match, voter: 0})
    lines += [f"{index(other)} <-- via {name}" for name, other in others.items() if other != result]
    return [*lines, index(result)] if voters else [f"<empty majority quorum>{index(result)}"]


def vote(block: Block) -> list[str]:
    """`vote cfg=(...) [cfgj=(...)] votes=(...)`."""
    incoming, outgoing, joint = halves(block)
    words = assign(incoming + outgoing, block.many("votes"))
    votes = {voter: {"y": True, "n": False}[word] for voter, word in words.items()}
    if not joint:
        return [VOTES[quorum.majority_vote(incoming, votes)]]
    result = quorum.joint_vote(incoming, outgoing, votes)
    swapped = quorum.joint_vote(outgoing, incoming, votes)
    lines = [] if swapped == result else [f"{VOTES[swapped]} <-- via symmetry"]
    return [*lines, VOTES[result]]


def halves(block: Block) -> tuple[list[int], list[int], bool]:
    """The two sets of voters, and whether the second is given at all: `cfgj=zero` is an empty one."""
    outgoing = [] if block.many("cfgj") == ["zero"] else block.many("cfgj")
    return [int(v) for v in block.many("cfg")], [int(v) for v in outgoing], "cfgj" in block.arguments


class Quorums:
    """quorum/testdata: no state between blocks."""

    def play(self, block: Block) -> list[str]:
        """What our core makes of `block`. Raises KeyError for a directive that is not known."""
        return {"committed": committed, "vote": vote}[block.command](block)


class Configurations:
    """confchange/testdata: one configuration with its progress, and a log that grows by one entry with each block."""

    def __init__(self) -> None:
        config = Config(b"etcd's scenarios", 1)
        self.tracker = Tracker(config, Members(), 0)
        self.last_index = 0

    def play(self, block: Block) -> list[str]:
        """The configuration and progress after `block`, or why it was refused."""
        try:
            members = self.after(block)
        except ChangeError as error:
            return [REFUSALS[str(error)]]
        else:
            self.tracker.switch(members, self.last_index)
        finally:
            self.last_index += 1
        progress = self.tracker.progress
        lines = [f"{member}: {notation.progress(progress[member])}" for member in sorted(progress)]
        return [notation.configuration(members), *lines]

    def after(self, block: Block) -> Members:
        """The configuration that `block` leads to. Raises ChangeError."""
        steps = notation.parse_steps(" ".join(block.input))
        if block.command == "simple":
            return membership.simple(self.tracker.members, steps)
        if block.command == "enter-joint":
            return membership.enter_joint(self.tracker.members, steps, block.one("autoleave") == "true")
        if block.command == "leave-joint" and not steps:
            return membership.leave_joint(self.tracker.members)
        raise ValueError(f"{block.place}: unknown directive")
