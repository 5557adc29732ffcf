"""Replays testdata/: members of one group, the messages between them, and the directives that move them.

The scenarios' host writes, applies and delivers exactly when a directive says so. A played block gives a list of
Lines: what our core did, in the notation of the scenarios, each with what it changed in the member that did it, for the
log lines that stand there (`claims.py`).

With `async-storage-writes`, work for the append and apply threads waits in each member, and their answers are messages
like all others. Our core has no answers to itself that travel: `storage_done` and `applied_to` are called when the
scenario delivers the first of them. Vote requests, which wait for the candidate's own write here (rule C1), are
released at once, to stay in step; `released_votes` tells, and the block then counts as one that differs (`replay.py`).
"""

from __future__ import annotations

import random
from collections.abc import Callable

from raft.etcd import notation
from raft.etcd.datadriven import Block
from raft.etcd.member import Change, Member, Write

from amqpd.raft import messages as m
from amqpd.raft.config import NO_LIMIT, Config
from amqpd.raft.messages import Append, Members, Message, Ready, Snapshot
from amqpd.raft.messages import Change as MemberChange
from amqpd.raft.refusals import CHANGE_INVALID, CHANGE_PENDING
from amqpd.raft.states import LEADER

GROUP = b"etcd's scenarios"
ELECTION_TICKS = 3
HEARTBEAT_TICKS = 1
LEVELS = ("debug", "info", "warn", "error", "fatal", "none")
QUIET = LEVELS.index("none")
PROPOSAL_DROPPED = "raft proposal dropped"
PEER_NOT_FOUND = "raft: cannot step as peer not found"
TRANSITIONS = {"auto": m.AUTO, "implicit": m.IMPLICIT, "explicit": m.EXPLICIT}
FLAGS = {
    "async-storage-writes": "async_storage",
    "prevote": "pre_vote",
    "checkquorum": "check_quorum",
    "step-down-on-removal": "step_down_on_removal",
}
OPTIONS = {*FLAGS, "voters", "learners", "index", "inflight", "content", "read-only"}
OPTIONS |= {"max-committed-size-per-ready", "disable-conf-change-validation"}


class Line:
    """A line of output, and what the member changed before the next one. The first line of a block's list has no text:
    it stands for what happens before anything is printed."""

    def __init__(self, text: str | None) -> None:
        self.text = text
        self.changes: list[Change] = []


class Letter:
    """Something on its way to a member: a message, or the answer of one of its threads."""

    def __init__(self, to: int, kind: str, lines: list[str], open_it: Callable[[], object], local: bool) -> None:
        self.to = to
        self.kind = kind
        self.lines = lines
        self.open = open_it
        self.local = local
        self.message: Message | None = None


class Cluster:
    """All members that the scenario has made. `play` is the way in."""

    def __init__(self) -> None:
        self.members: dict[int, Member] = {}
        self.letters: list[Letter] = []
        self.level = 0
        self.lines: list[Line] = []
        self.failure = ""
        self.indent = ""
        self.released_votes = False

    def play(self, block: Block) -> list[Line]:
        """What our core does at `block`. Raises ValueError for a directive or an argument that is not known."""
        if block.command not in DIRECTIVES:
            raise ValueError(f"{block.place}: unknown directive {block.command}")
        self.lines = [Line(None)]
        self.failure = ""
        self.released_votes = False
        DIRECTIVES[block.command](self, block)
        if self.level == QUIET:
            self.lines = [Line(None)]
        if self.failure:
            self.lines.append(Line(self.failure))
        return self.lines

    # Output.

    def say(self, *texts: str) -> None:
        """Print lines."""
        self.lines.extend(Line(self.indent + text) for text in texts)

    def note(self, change: Change) -> None:
        """Remember what was changed, at the line that stands last."""
        self.lines[-1].changes.append(change)

    def under(self, title: str, call: Callable[[], object]) -> None:
        """A title, and what `call` prints, indented."""
        self.say(title)
        self.indent = "  "
        call()
        self.indent = ""

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

    # Directives: messages.

    def post(self, message: Message) -> None:
        """Put a message on its way."""
        letter = Letter(message.to, notation.KINDS[message.kind], notation.message(message), lambda: None, False)
        letter.message = message
        self.letters.append(letter)

    def do_deliver_msgs(self, block: Block) -> None:
        kind = block.one("type")
        count = 0
        for member in self.named(block):
            count += self.deliver(member, kind)
        for word in block.many("drop"):
            count += self.drop(int(word), kind)
        if not count:
            self.say("no messages")

    def take(self, to: int, kind: str, local_too: bool) -> list[Letter]:
        """Letters to `to`, off the pile."""
        mine = [
            letter
            for letter in self.letters
            if letter.to == to and (not kind or letter.kind == kind) and (local_too or not letter.local)
        ]
        self.letters = [letter for letter in self.letters if letter not in mine]
        return mine

    def deliver(self, member: Member, kind: str = "") -> int:
        """Deliver all letters to `member`."""
        letters = self.take(member.id, kind, True)
        for letter in letters:
            self.say(*letter.lines)
            if letter.message is None:
                self.note(member.observed(letter.open))
            else:
                self.step(member, letter.message)
        return len(letters)

    def drop(self, to: int, kind: str) -> int:
        """Lose all messages to `to`; what a member says to itself cannot be lost."""
        letters = self.take(to, kind, False)
        for letter in letters:
            self.say("dropped: " + letter.lines[0], *letter.lines[1:])
        return len(letters)

    def step(self, member: Member, message: Message) -> None:
        """A message arrives. etcd's answers of members that it does not know of are errors; ours may do nothing."""
        stranger = message.kind in notation.REPLIES and message.sender not in member.group.tracker.progress
        change = member.observed(lambda: member.group.step(message), [message])
        self.note(change)
        if stranger:
            self.say(PEER_NOT_FOUND if change.after.same(change.before) else "a stranger's answer changed something")

    # Directives: work.

    def do_process_ready(self, block: Block) -> None:
        self.each(self.named(block), "handling Ready", self.handle_ready)

    def do_process_append_thread(self, block: Block) -> None:
        self.each(self.named(block), "processing append thread", self.append_thread)

    def do_process_apply_thread(self, block: Block) -> None:
        self.each(self.named(block), "processing apply thread", self.apply_thread)

    def handle_ready(self, member: Member) -> bool:
        """Take what is ready, show it, and do it, or hand it to the threads. Returns whether there was something."""
        ready = member.group.ready()
        if ready is None:
            self.say("<empty Ready>")
            return False
        if member.config.async_storage:
            self.hand_over(member, ready)
        else:
            later = ready.append.after_durable if ready.append is not None else []
            self.show_ready(member, ready, [*ready.messages, *later], [])
            self.note(member.observed(lambda: self.at_once(member, ready)))
        return True

    def show_ready(
        self, member: Member, ready: Ready, messages: list[Message], requests: list[list[str]]
    ) -> None:
        """All that is in a Ready: `messages` as they are sent, `requests` to the threads."""
        append = ready.append
        self.say(f"Ready MustSync={'false' if append is None else self.must_sync(member, append)}:")
        if ready.soft_state is not None:
            self.say(f"Lead:{ready.soft_state.lead} State:{notation.ROLES[ready.soft_state.role]}")
        if append is not None and append.hard_state is not None:
            self.say(f"HardState {notation.hard_state(append.hard_state)}")
        for read in ready.reads:
            self.say(f"ReadState {read.index} {read.context!r}")
        if append is not None and append.entries:
            self.say("Entries:", *notation.entries(append.entries))
        if append is not None and append.snapshot is not None:
            self.say(f"Snapshot {notation.snapshot(append.snapshot)}")
        if ready.committed:
            self.say("CommittedEntries:", *notation.entries(ready.committed))
        if messages or requests:
            self.say("Messages:")
        for message in messages:
            self.say(*notation.message(message))
        for request in requests:
            self.say(*request)

    def must_sync(self, member: Member, append: Append) -> str:
        """etcd's flag, which does not count snapshots: its hosts have to sync them anyway. Ours has to, always."""
        told = member.told
        if append.hard_state is not None:
            member.told = append.hard_state
        must = append.sync
        if append.snapshot is not None:
            if not append.sync:
                return "false, in spite of a snapshot"
            must = (told.term, told.vote) != (member.told.term, member.told.vote)
        return "true" if must else "false"

    def at_once(self, member: Member, ready: Ready) -> None:
        """Write, apply, send, and then tell that it is written."""
        if ready.append is not None:
            member.disk.write(ready.append)
        member.apply(ready.committed)
        for message in ready.messages:
            self.post(message)
        if ready.append is not None:
            for message in ready.append.after_durable:
                self.post(message)
            member.complete(Write(ready.append))

    def hand_over(self, member: Member, ready: Ready) -> None:
        """Queue the write and the entries to apply for the threads."""
        messages = list(ready.messages)
        requests = []
        if ready.append is not None:
            write = Write(ready.append)
            member.writes.append(write)
            votes = [message for message in write.others if message.kind == m.VOTE]
            if votes:
                self.released_votes = True
                write.others = [message for message in write.others if message.kind != m.VOTE]
                messages += votes
            requests.append(
                notation.with_responses(notation.storage_append(member.id, write.append), self.replies(member, write))
            )
        if ready.committed:
            member.applies.append(ready.committed)
            reply = notation.storage_apply_reply(member.id, ready.committed)
            requests.append(notation.with_responses(notation.storage_apply(member.id, ready.committed), [reply]))
        self.show_ready(member, ready, messages, requests)
        for message in messages:
            self.post(message)

    def replies(self, member: Member, write: Write) -> list[list[str]]:
        """The answers to a write, as they are shown."""
        lines = [notation.message(message) for message in [*write.append.own, *write.others]]
        if write.replies:
            lines.append(notation.storage_append_reply(member.id, write.append))
        return lines

    def append_thread(self, member: Member) -> None:
        """Make the oldest write durable, and send its answers."""
        if not member.writes:
            self.say("no append work to perform")
            return
        write = member.writes.pop(0)
        self.say("Processing:", *notation.storage_append(member.id, write.append))
        member.disk.write(write.append)
        self.say("Responses:")
        for lines in self.replies(member, write):
            self.say(*lines)
        self.note(member.observed(lambda: self.answer(member, write)))

    def answer(self, member: Member, write: Write) -> None:
        """Post the answers of a write. The first one to the member itself completes it; without one nothing hangs on
        it, and it completes together with the write before."""

        def arrive() -> None:
            if write in member.open:
                member.open.remove(write)
                member.complete(write)

        local = [(notation.KINDS[message.kind], notation.message(message)) for message in write.append.own]
        if write.replies:
            local.append((notation.STORAGE_APPEND_REPLY, notation.storage_append_reply(member.id, write.append)))
        # Where own answers stand between others does not matter: nobody receives both.
        self.letters += [Letter(member.id, kind, lines, arrive, True) for kind, lines in local[: len(write.append.own)]]
        for message in write.others:
            self.post(message)
        self.letters += [Letter(member.id, kind, lines, arrive, True) for kind, lines in local[len(write.append.own) :]]
        if local:
            member.open.append(write)
        elif member.open:
            member.open[-1].until = write.append.token
        else:
            member.complete(write)

    def apply_thread(self, member: Member) -> None:
        """Apply the oldest batch of entries."""
        if not member.applies:
            self.say("no apply work to perform")
            return
        entries = member.applies.pop(0)
        reply = notation.storage_apply_reply(member.id, entries)
        self.say("Processing:", *notation.storage_apply(member.id, entries), "Responses:", *reply)
        self.letters.append(
            Letter(member.id, notation.STORAGE_APPLY_REPLY, reply, lambda: member.apply(entries), True)
        )

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
