"""What moves between the members of a scenario, and what is printed of it: letters, Readies, and the two threads.

With `async-storage-writes`, work for the append and apply threads waits in each member, and their answers are letters
like all others. Our core has no answers to itself that travel: `storage_done` and `applied_to` are called when the
scenario delivers the first of them. Vote requests, which wait for the candidate's own write here (rule C1), are
released at once, to stay in step; `released_votes` tells, and the block then counts as one that differs (`replay.py`).

When any of this happens is `cluster.py`'s to say.
"""

from __future__ import annotations

from collections.abc import Callable

from raft.etcd import notation
from raft.etcd.member import Change, Member, Write

from amqpd.raft import messages as m
from amqpd.raft.messages import Append, Message, Ready

PEER_NOT_FOUND = "raft: cannot step as peer not found"


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


class Traffic:
    """The letters on their way, and the lines printed since `clear`."""

    def __init__(self) -> None:
        self.letters: list[Letter] = []
        self.indent = ""
        self.clear()

    def clear(self) -> None:
        """Begin a block."""
        self.lines = [Line(None)]
        self.released_votes = False

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

    # Letters.

    def post(self, message: Message) -> None:
        """Put a message on its way."""
        letter = Letter(message.to, notation.KINDS[message.kind], notation.message(message), lambda: None, False)
        letter.message = message
        self.letters.append(letter)

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

    # What is ready, and the threads.

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
