"""Replays testdata/: the members of one group, and the directives that move them.

The scenarios' host writes, applies and delivers exactly when a directive says so. A played block gives a list of
Lines: what our core did, in the notation of the scenarios, each with what it changed in the member that did it, for the
log lines that stand there (`claims.py`).
"""

from __future__ import annotations

import random
from collections.abc import Callable

from raft.etcd import notation
from raft.etcd.datadriven import Block
from raft.etcd.member import Change, Member
from raft.etcd.traffic import Line, Traffic

from amqpd.raft import messages as m
from amqpd.raft.config import NO_LIMIT, Config
from amqpd.raft.messages import Change as MemberChange
from amqpd.raft.messages import Members, Snapshot
from amqpd.raft.refusals import CHANGE_INVALID, CHANGE_PENDING
from amqpd.raft.states import LEADER

GROUP = b"etcd's scenarios"
ELECTION_TICKS = 3
HEARTBEAT_TICKS = 1
LEVELS = ("debug", "info", "warn", "error", "fatal", "none")
QUIET = LEVELS.index("none")
PROPOSAL_DROPPED = "raft proposal dropped"
TRANSITIONS = {"auto": m.AUTO, "implicit": m.IMPLICIT, "explicit": m.EXPLICIT}
FLAGS = {
    "async-storage-writes": "async_storage",
    "prevote": "pre_vote",
    "checkquorum": "check_quorum",
    "step-down-on-removal": "step_down_on_removal",
}
# `read-only` chooses between read index and leases: there is only the one here.
OPTIONS = {*FLAGS, "voters", "learners", "index", "inflight", "content", "read-only"}
OPTIONS |= {"max-committed-size-per-ready", "disable-conf-change-validation"}


class Cluster(Traffic):
    """All members that the scenario has made. `play` is the way in."""

    def __init__(self) -> None:
        super().__init__()
        self.members: dict[int, Member] = {}
        self.level = 0
        self.failure = ""

    def play(self, block: Block) -> list[Line]:
        """What our core does at `block`. Raises ValueError for a directive or an argument that is not known."""
        if block.command not in DIRECTIVES:
            raise ValueError(f"{block.place}: unknown directive {block.command}")
        self.clear()
        self.failure = ""
        DIRECTIVES[block.command](self, block)
        if self.level == QUIET:
            self.lines = [Line(None)]
        if self.failure:
            self.lines.append(Line(self.failure))
        return self.lines

    def each(self, members: list[Member], title: str, call: Callable[[Member], object]) -> None:
        """`call` for each member, with a title if there are several."""
        for member in members:
            if len(members) == 1:
                call(member)
            else:
                self.under(f"> {member.id} {title}", lambda one=member: call(one))

    def named(self, block: Block) -> list[Member]:
        """The members whose ids stand in the directive."""
        return [self.members[int(word)] for word in block.words]

    def first(self, block: Block) -> Member:
        """The first of them."""
        return self.members[int(block.words[0])]

    # Directives: making members, and looking at them.

    def do_log_level(self, block: Block) -> None:
        self.level = LEVELS.index(block.words[0].lower())

    def do_add_nodes(self, block: Block) -> None:
        unknown = set(block.arguments) - OPTIONS - {block.words[0]}
        if unknown:
            raise ValueError(f"{block.place}: unknown options {unknown}")
        index = int(block.one("index", "0"))
        who = Members(tuple(map(int, block.many("voters"))), learners=tuple(map(int, block.many("learners"))))
        content = block.one("content").encode()
        for _ in range(int(block.words[0])):
            member = Member(
                self.config(len(self.members) + 1, block),
                Snapshot(index, 1 if index else 0, who, content),
                random.Random(len(self.members)).randrange,
            )
            self.members[member.id] = member
            self.note(Change(member, None))

    def config(self, member: int, block: Block) -> Config:
        """The knobs: etcd's harness has no limits, and everything off."""
        flags = {ours: block.one(theirs) == "true" for theirs, ours in FLAGS.items()}
        return Config(
            GROUP,
            member,
            election_ticks=ELECTION_TICKS,
            heartbeat_ticks=HEARTBEAT_TICKS,
            max_message_bytes=NO_LIMIT,
            max_inflight_messages=int(block.one("inflight", str(NO_LIMIT))),
            max_inflight_bytes=NO_LIMIT,
            max_committed_bytes=int(block.one("max-committed-size-per-ready", str(NO_LIMIT))),
            max_uncommitted_bytes=NO_LIMIT,
            strict_changes=False,
            validate_changes=block.one("disable-conf-change-validation") != "true",
            **flags,
        )

    def do_raft_log(self, block: Block) -> None:
        self.show_log(self.first(block))

    def show_log(self, member: Member) -> None:
        """What is written."""
        disk = member.disk
        if not disk.log:
            self.say(f"log is empty: first index={disk.first_index()}, last index={disk.last_index()}")
        self.say(*notation.entries(disk.log))

    def do_raft_state(self, block: Block) -> None:
        for member in self.members.values():
            group = member.group
            voter = "Voter" if group.tracker.is_voter(member.id) else "Non-Voter"
            self.say(f"{member.id}: {notation.ROLES[group.role]} ({voter}) Term:{group.term} Lead:{group.lead}")

    def do_status(self, block: Block) -> None:
        group = self.first(block).group
        if group.role == LEADER:
            for member in sorted(group.tracker.progress):
                self.say(f"{member}: {notation.progress(group.tracker.progress[member])}")

    # Directives: orders to one member.

    def order(self, member: Member, call: Callable[[], object]) -> None:
        """An order that prints nothing itself."""
        self.note(member.observed(call))

    def do_campaign(self, block: Block) -> None:
        member = self.first(block)
        self.order(member, member.group.campaign)

    def do_compact(self, block: Block) -> None:
        member = self.first(block)
        member.disk.compact(int(block.words[1]))
        self.show_log(member)

    def do_set_randomized_election_timeout(self, block: Block) -> None:
        self.first(block).group.randomized_election_ticks = int(block.one("timeout"))

    def do_tick_election(self, block: Block) -> None:
        self.tick(self.first(block), ELECTION_TICKS)

    def do_tick_heartbeat(self, block: Block) -> None:
        self.tick(self.first(block), HEARTBEAT_TICKS)

    def tick(self, member: Member, times: int) -> None:
        """Let time pass."""

        def ticks() -> None:
            for _ in range(times):
                member.group.tick()
                member.look()

        self.order(member, ticks)

    def do_transfer_leadership(self, block: Block) -> None:
        member = self.members[int(block.one("from"))]
        self.order(member, lambda: member.group.transfer(int(block.one("to"))))

    def do_forget_leader(self, block: Block) -> None:
        member = self.first(block)
        self.order(member, member.group.forget_leader)

    def do_report_unreachable(self, block: Block) -> None:
        member = self.first(block)
        self.order(member, lambda: member.group.report_unreachable(int(block.words[1])))

    def do_send_snapshot(self, block: Block) -> None:
        sender, receiver = self.named(block)
        message = sender.group.message(m.SNAPSHOT, receiver.id)
        message.snapshot = sender.disk.snapshot()
        self.post(message)
        self.say(*notation.message(message))

    def do_propose(self, block: Block) -> None:
        member, payload = self.first(block), notation.unquoted(block.words[1])
        self.propose(member, payload, lambda: member.group.propose([payload]))

    def propose(self, member: Member, what: bytes | MemberChange, call: Callable[[], int]) -> None:
        """A proposal, and whether it was refused."""

        def proposal() -> None:
            answer = call()
            member.refused = what if answer < 0 else None
            if answer in (CHANGE_PENDING, CHANGE_INVALID):
                # etcd appends an empty entry in the place of a change that is refused.
                answer = member.group.propose([b""])
            if answer < 0:
                self.failure = PROPOSAL_DROPPED

        self.order(member, proposal)

    def do_propose_conf_change(self, block: Block) -> None:
        member = self.first(block)
        steps = notation.parse_steps(" ".join(block.input))
        change = MemberChange(steps, TRANSITIONS[block.one("transition", "auto")])
        if block.one("v1") == "true" and (len(steps) != 1 or change.transition != m.AUTO):
            raise ValueError(f"{block.place}: v1 has one step and no transition")
        self.propose(member, change, lambda: member.group.propose_change(change))

    # Directives: messages and work.

    def do_deliver_msgs(self, block: Block) -> None:
        kind = block.one("type")
        count = 0
        for member in self.named(block):
            count += self.deliver(member, kind)
        for word in block.many("drop"):
            count += self.drop(int(word), kind)
        if not count:
            self.say("no messages")

    def do_process_ready(self, block: Block) -> None:
        self.each(self.named(block), "handling Ready", self.handle_ready)

    def do_process_append_thread(self, block: Block) -> None:
        self.each(self.named(block), "processing append thread", self.append_thread)

    def do_process_apply_thread(self, block: Block) -> None:
        self.each(self.named(block), "processing apply thread", self.apply_thread)

    def do_stabilize(self, block: Block) -> None:
        before = self.level
        if "log-level" in block.arguments:
            self.level = LEVELS.index(block.one("log-level").lower())
        members = self.named(block) or list(self.members.values())
        while self.stabilize_once(members):
            pass
        if self.level == QUIET:
            self.lines = [Line(None)]
        self.level = before

    def stabilize_once(self, members: list[Member]) -> bool:
        """One round: what is ready, messages, writes, applies. Returns whether there was any of it."""
        busy = False
        for member in members:
            busy |= self.handle_if_ready(member)
        for member in members:
            if any(letter.to == member.id for letter in self.letters):
                self.under(f"> {member.id} receiving messages", lambda one=member: self.deliver(one))
                busy = True
        for title, queue, thread in (
            ("append", "writes", self.append_thread),
            ("apply", "applies", self.apply_thread),
        ):
            for member in members:
                if getattr(member, queue):
                    self.say(f"> {member.id} processing {title} thread")
                    self.indent = "  "
                    while getattr(member, queue):
                        thread(member)
                    self.indent = ""
                    busy = True
        return busy

    def handle_if_ready(self, member: Member) -> bool:
        """Handle what is ready, with a title, if something is."""
        place = len(self.lines)
        self.under(f"> {member.id} handling Ready", lambda: self.handle_ready(member))
        if self.lines[-1].text == "  <empty Ready>":
            del self.lines[place:]
            return False
        return True


DIRECTIVES = {name[3:].replace("_", "-"): call for name, call in vars(Cluster).items() if name.startswith("do_")}
