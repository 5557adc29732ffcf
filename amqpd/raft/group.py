"""One member of one group, as its host drives it.

A host calls `tick` as time passes, `step` for each message that arrives, and the `propose` family for its clients.
After any of them it asks `ready()` and does what that says, in this order:

1. hand `append` to storage (batched with other groups', in the order of tokens) and `messages` to the transport;
2. apply `committed` to the machine, then call `applied_to(index of the last)`;
3. when a write is durable, send its `after_durable` and call `storage_done(token)`.

Nothing blocks, and no method raises for what a peer or a client does; InvariantError means that this node must stop.
`ready()` may be asked again before earlier writes are durable or earlier entries are applied. All methods are for one
thread.

Not here: what entries mean (`machine.py`), their storage, the transport of messages, and any clock.
"""

from __future__ import annotations

from collections.abc import Callable

from amqpd.raft.config import Config
from amqpd.raft.messages import Change, HardState, Members, Message, Ready
from amqpd.raft.view import LogView


class Group:
    """A member of a group; what can be looked at is listed in /docs/raft.md."""

    def __init__(
        self,
        config: Config,
        hard_state: HardState,
        members: Members,
        view: LogView,
        applied: int,
        rng: Callable[[int], int],
    ) -> None:
        """`members` is the configuration at `applied`, up to where the machine has already applied the log; `rng(n)`
        returns an integer from 0 to n - 1. Raises InvariantError if storage contradicts itself."""
        raise NotImplementedError

    def tick(self) -> None:
        """Let one tick pass."""
        raise NotImplementedError

    def step(self, message: Message) -> None:
        """Take in a message. One that is not for this group and member is dropped and counted in `dropped`."""
        raise NotImplementedError

    def propose(self, payloads: list[bytes]) -> int:
        """Append an entry for each payload: the index of the first one (they are consecutive, of the present term), or
        0 if they were sent on to the leader, or a refusal (negative, `refusals.py`)."""
        raise NotImplementedError

    def propose_change(self, change: Change) -> int:
        """Propose a change of members; answers as `propose`. It takes effect when its entry is applied."""
        raise NotImplementedError

    def transfer(self, to: int) -> None:
        """Ask the leader (this member, or by a message) to hand over to `to` within an election timeout."""
        raise NotImplementedError

    def read_index(self, context: bytes) -> int:
        """Ask for an index that a linearizable read has to wait for; `Ready.reads` answers with `context`, or nothing
        does, if the leader changes: ask again after a while. Returns 0, or a refusal (negative)."""
        raise NotImplementedError

    def report_unreachable(self, peer: int) -> None:
        """Tell a leader that messages to `peer` were lost on the way: it probes instead of streaming."""
        raise NotImplementedError

    def report_snapshot(self, peer: int, ok: bool) -> None:
        """Tell a leader that a snapshot was handed to `peer` in full (its answer is still to come), or was not."""
        raise NotImplementedError

    def entries_loaded(self) -> None:
        """Tell that entries that the view could not give are there now."""
        raise NotImplementedError

    def campaign(self) -> None:
        """Start an election now (with pre-vote, if configured)."""
        raise NotImplementedError

    def forget_leader(self) -> None:
        """Stop protecting the present leader: a follower will vote at once. Only followers can."""
        raise NotImplementedError

    def damage(self) -> None:
        """Tell that storage lost or falsified what this member acknowledged: from now on it takes no part."""
        raise NotImplementedError

    def require_version(self, version: int) -> None:
        """Tell that the machine runs at `version` from now on: no vote for candidates that cannot run it."""
        raise NotImplementedError

    def ready(self) -> Ready | None:
        """What is to be done, or None. Costs next to nothing if nothing happened."""
        raise NotImplementedError

    def storage_done(self, token: int) -> None:
        """The write with this token, and all before it, are durable. If it had a snapshot, the machine is restored."""
        raise NotImplementedError

    def applied_to(self, index: int) -> None:
        """All entries up to `index` are applied. Configurations in them take effect now."""
        raise NotImplementedError
