"""The conduct of a group's members: what the rules C8 to C13 forbid, also where no harm has come of it yet.

A bug in one of these rules takes many coincidences before it loses data, so R1 to R10 rarely see it. Seen from here it
is wrong in the very event in which it shows. Needs honest messages: a scenario that forges some has no use for it.

    C1   a leader has the votes of a quorum of its configuration, in both halves
    C8   what is for another group or member changes nothing
    C9   a pre-vote changes nothing; neither does a request for a vote while a leader is heard of
    C10  nobody leads on who has heard nothing from a majority for long
    C11  only voters campaign, none with a committed change that it has not applied; changes come after a first entry of
         the own term; voters were learners; what follows a joint configuration is what was agreed; a removed leader
         steps down
    C13  windows and uncommitted bytes keep to their limits
    V    the machine's version is raised when all members can run it; no votes for who cannot
"""

from simulation.checker import Checker, Violation

from amqpd.raft import messages as m
from amqpd.raft.states import CANDIDATE, LEADER, PRE_CANDIDATE

SILENCE = 3  # election timeouts: the check may be half done when a member falls silent, and new members count as heard


class StrictChecker(Checker):
    """R1 to R10 and the conduct."""

    def __init__(self, disks: dict, founding: m.Members) -> None:
        super().__init__(disks, founding)
        self.ticks: dict[int, int] = {}  # by member
        self.heard: dict[tuple[int, int], int] = {}  # by member and sender: when, in ticks of the member
        self.leading: dict[int, tuple[int, m.Members, int]] = {}  # by leader: its term, whom it leads, and since when
        self.roles: dict[int, tuple[int, int]] = {}  # by member: its term and role
        self.builds: dict[int, int] = {}  # by member: the newest that it ever ran
        self.tails = 0

    # Elections.

    def observe(self, node) -> None:
        group = node.group
        state = (group.term, group.role)
        if state != self.roles.get(node.member):
            self.roles[node.member] = state
            if group.role == CANDIDATE or group.role == PRE_CANDIDATE:
                self._campaigns(node, group)
        super().observe(node)

    def _campaigns(self, node, group) -> None:
        members = group.members()
        if node.member not in members.voters + members.outgoing:
            raise Violation("C11", f"{node.member} campaigns and is no voter of {members!r}")
        if group.damaged:
            raise Violation("S", f"{node.member} campaigns and is damaged")
        for entry in group.entries_between(group.applied + 1, group.commit):
            if entry.kind == m.CHANGE:
                raise Violation("C11", f"{node.member} campaigns, and has not applied the change {entry!r}")

    def _elected(self, node, group, term: int) -> None:
        super()._elected(node, group, term)
        members = group.members()
        for half in (members.voters, members.outgoing):
            for_it = [one for one in half if one == node.member or self.votes.get((one, term)) == node.member]
            if half and len(for_it) <= len(half) // 2:
                raise Violation("C1", f"{node.member} leads in term {term} by the votes of {for_it} of {half}")
        self.tails += any(write.entries for other in node.world.nodes.values() for write in other.disk.pending)

    # Messages.

    def takes(self, node, message: m.Message) -> tuple | None:
        group = node.group
        strange = message.to != node.member or message.group != group.group_id
        asks = message.kind == m.VOTE or message.kind == m.PRE_VOTE
        return self._state(group) if strange or asks else None

    def _state(self, group) -> tuple:
        protected = (
            group.config.check_quorum and group.lead != m.NOBODY and group.elapsed_ticks < group.config.election_ticks
        )
        return (group.term, group.vote, protected, group.role, group.lead, group.commit, group.last_index())

    def took(self, node, message: m.Message, before: tuple | None) -> None:
        if before is None:
            self.heard[node.member, message.sender] = self.ticks.get(node.member, 0)
            return
        group = node.group
        after = self._state(group)
        if message.to != node.member or message.group != group.group_id:
            if after != before:
                raise Violation("C8", f"{message!r} of {message.group!r} moved {node.member} from {before} to {after}")
            return
        if message.kind == m.PRE_VOTE:
            if after[:2] != before[:2]:
                raise Violation("C9", f"{message!r} moved {node.member} from {before} to {after}")
        elif message.kind == m.VOTE and before[2] and not message.forced and after[:2] != before[:2]:
            raise Violation("C9", f"{node.member} hears {before[4]}, and {message!r} moved it from {before} to {after}")
        self._granted(node, message)
        self.heard[node.member, message.sender] = self.ticks.get(node.member, 0)

    def _granted(self, node, message: m.Message) -> None:
        for reply in node.group.after_durable:
            yes = reply.to == message.sender and not reply.rejected
            if yes and reply.kind in (m.VOTE_REPLY, m.PRE_VOTE_REPLY) and message.version < node.machine.version:
                raise Violation("V", f"{node.member} runs at {node.machine.version}, and agrees to {message!r}")

    def sends(self, node, message: m.Message, waited: bool) -> None:
        super().sends(node, message, waited)
        self.builds[node.member] = max(self.builds.get(node.member, 0), node.build)

    # Leaders.

    def ticked(self, node) -> None:
        group = node.group
        now = self.ticks[node.member] = self.ticks.get(node.member, 0) + 1
        if group.role != LEADER:
            return
        window = group.config.max_inflight_messages
        for member, progress in group.tracker.progress.items():
            if progress.inflights.count > window:
                raise Violation("C13", f"{node.member} has {progress.inflights.count} appends on their way to {member}")
        members = group.members()
        term, led, since = self.leading.get(node.member, (0, members, 0))
        if term != group.term or not led.same(members):
            self.leading[node.member] = (group.term, members, now)
            return
        silence = SILENCE * group.config.election_ticks
        if not group.config.check_quorum or now - since <= silence:
            return
        for half in (members.voters, members.outgoing):
            heard = [
                one for one in half
                if one == node.member or self.heard.get((node.member, one), now - silence - 1) >= now - silence
            ]  # fmt: skip
            if half and len(heard) <= len(half) // 2:
                raise Violation("C10", f"{node.member} leads {half} and heard in {silence} ticks only of {heard}")

    def proposed(self, node, payloads: list[bytes], waiting: int, answer: int) -> None:
        size = sum(map(len, payloads))
        limit = node.group.config.max_uncommitted_bytes
        if answer > 0 and size and waiting and waiting + size > limit:
            raise Violation("C13", f"{node.member} takes {size} bytes more when {waiting} of {limit} are uncommitted")

    def writes(self, node, append: m.Append) -> None:
        group = node.group
        if node.seen.leads and group.role == LEADER and group.term == node.seen.term:
            for entry in append.entries:
                if entry.kind == m.CHANGE and group.term_at(group.commit) != group.term:
                    raise Violation("C11", f"{node.member} proposes {entry!r} before it has committed anything itself")
                if entry.kind == m.VERSION:
                    self._raises(node, int.from_bytes(entry.payload, "big"))
        super().writes(node, append)

    def _raises(self, node, version: int) -> None:
        members = node.group.members()
        for member in {*members.voters, *members.outgoing, *members.learners}:
            if (node.build if member == node.member else self.builds.get(member, 0)) < version:
                raise Violation("V", f"{node.member} proposes version {version}, which {member} never knew")

    # Configurations.

    def reconfigures(self, node, index: int, members: m.Members) -> None:
        before = self.configurations[self.order[-1]]
        news = index not in self.configurations
        super().reconfigures(node, index, members)
        if news:
            self._follows(before, members)
        if node.group.role == LEADER and node.member not in members.voters + members.outgoing:
            raise Violation("C11", f"{node.member} leads on and is no voter of {members!r}")

    def _follows(self, before: m.Members, members: m.Members) -> None:
        """Whether `members` may come after `before`."""
        known = {*before.voters, *before.outgoing, *before.learners}
        if not known.issuperset(members.voters):
            raise Violation("C11", f"voters of {members!r} were not even learners in {before!r}")
        joint = bool(before.outgoing) != bool(members.outgoing)
        if not joint and before.voters != members.voters:
            raise Violation("C11", f"from {before!r} directly to {members!r}")
        if before.outgoing and not members.outgoing:
            agreed = m.Members(before.voters, (), before.learners + before.learners_next)
            if not agreed.same(members):
                raise Violation("C11", f"{before!r} is left for {members!r}")
