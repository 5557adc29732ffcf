"""A run of a group under faults, all of it drawn from one seed.

A swarm: each seed draws how many members there are, how large its limits, and which faults exist at all and how often,
so that some runs are rich in what others never see. A run is a sequence of phases; each sets the weather (who hears
whom, how slow the disks are) and may do something of its own. At the end everything is healed, and the group has to
elect a leader, take one more proposal and bring everybody up to it.

Messages travel as bytes. Some arrive garbled, which the checksum of a transport would show: nothing may come of them
but an error of the codec. Some stray to another member, or come from an earlier group of the same name.

Time is in units of a tenth of a tick. What a seed does is the same in every process and on every machine.
"""

from heapq import heappop, heappush
from random import Random

from simulation import phases, upheavals
from simulation.checker import Violation
from simulation.host import Node
from simulation.linearizability import linearizable
from simulation.world import World

from amqpd.errors import MalformedError
from amqpd.raft.codec import decode_message, encode_message
from amqpd.raft.messages import APPEND, APPEND_REPLY, SNAPSHOT, Append, Members, Message

TICK = 10
HEAL_TICKS = 160  # without any progress: three of four must agree on one of them, by chance, without pre-vote
SIZES = (1, 2, 3, 3, 3, 3, 3, 4, 5, 5, 5, 6, 7)
FAULTS = (
    "drop", "duplicate", "reorder", "clog", "crash", "torn", "enospc", "eio", "rot", "damage", "stale", "empty",
    "pause", "skew", "member", "transfer", "snapshot", "campaign", "forget", "unreachable",
)  # fmt: skip
# What came later: an `early` swarm has none of it, so that seeds that found something still do what they did then.
LATER_FAULTS = ("garble", "stray", "upgrade", "downgrade", "improper")
STASHED = (APPEND, APPEND_REPLY, SNAPSHOT)
FORMER_GROUP = b"a former group.."
# In a thousand events. Below that, the faults no longer meet anything worth testing.
FLOORS = {
    "changes": 0.8,
    "crashes": 0.8,
    "elections": 1.6,
    "messages": 400.0,
    "overwritten": 0.9,
    "raised": 0.3,
    "snapshots": 0.2,
    "strays": 2.0,
    "tails": 0.12,
    "unflushed": 0.003,
}
# Seeds that fail, by what the core does not do yet.
OPEN: dict[int, str] = {}


class Coverage:
    """What the runs so far had in them."""

    __slots__ = (
        "changes", "crashes", "elections", "events", "messages", "overwritten", "raised", "refused", "seeds",
        "snapshots", "strays", "tails", "unflushed",
    )  # fmt: skip

    def __init__(self) -> None:
        for name in self.__slots__:
            setattr(self, name, 0)

    def add(self, swarm: "Swarm") -> None:
        self.seeds += 1
        self.elections += swarm.world.checker.elections
        self.tails += swarm.world.checker.tails
        self.strays += swarm.strays
        for name in (
            "changes", "crashes", "events", "messages", "overwritten", "raised", "refused", "snapshots", "unflushed",
        ):  # fmt: skip
            setattr(self, name, getattr(self, name) + getattr(swarm.world, name))

    def per_thousand(self, name: str) -> float:
        """How often `name` happened in a thousand events."""
        return 1000 * getattr(self, name) / max(self.events, 1)

    def low(self) -> list[str]:
        """What happened less often than it should."""
        return [
            f"{self.per_thousand(name):.2f} {name} in a thousand events, not {floor}"
            for name, floor in FLOORS.items()
            if self.per_thousand(name) < floor
        ]

    def __str__(self) -> str:
        parts = [f"{self.per_thousand(name):.2f} {name}" for name in self.__slots__ if name not in ("events", "seeds")]
        return f"{self.seeds} seeds, {self.events} events; in a thousand: {', '.join(parts)}"


class Swarm:
    """One seed's run. `run()` raises Violation; `world` can be looked at afterwards."""

    def __init__(self, seed: int, record: bool = False, early: bool = False) -> None:
        self.seed = seed
        self.early = early
        self.rng = rng = Random(seed)
        self.random = rng.random
        self.faults = {fault: rng.random() if rng.random() < 0.5 else 0.0 for fault in FAULTS}
        later = Random(f"{seed} later")
        self.later = later.random
        for fault in LATER_FAULTS:
            self.faults[fault] = later.random() if not early and later.random() < 0.5 else 0.0
        size = rng.choice(SIZES)
        voters = tuple(range(1, size + 1))
        self.world = World(Members(voters), self._knobs(), seed, rng.random() < 0.3, strict=True)
        if record:
            self.world.trace = []
        self.world.on_send = self.send
        self.world.on_write = self.written
        self.world.on_apply = self.handed_out
        self.now = 0
        self.number = 0
        self.heap: list[tuple] = []
        self.strays = 0
        self.newest_build = 0
        # The weather.
        self.blocked: set[tuple[int, int]] = set()
        self.clogged: dict[tuple[int, int], int] = {}
        self.drop = 0.0
        self.delay = 3
        self.stash = 0.0
        self.disk_delay = dict.fromkeys(range(1, 20), 3)
        self.paused: dict[int, int] = {}
        self.tick_length: dict[int, int] = {}
        self.proposals = rng.choice((4, 8, 15, 30))  # time between two of a client's operations
        self.healing = False
        self.healed_from = 0  # in the trace
        self.next_member = size + 1
        for member in voters:
            self.join(member)

    def _knobs(self) -> dict:
        rng = self.rng
        heartbeat = rng.choice((1, 1, 1, 2))
        message_bytes = rng.choice((1, 60, 1000, 1 << 20))
        careful = rng.random() < 0.85
        return {
            "election_ticks": heartbeat * rng.choice((3, 4, 6)),
            "heartbeat_ticks": heartbeat,
            "max_inflight_messages": rng.choice((1, 2, 4, 64)),
            "max_message_bytes": message_bytes,
            "max_inflight_bytes": message_bytes * rng.choice((1, 4)),
            "max_committed_bytes": rng.choice((1, 200, 1 << 20)),
            "max_uncommitted_bytes": rng.choice((30, 300, 3000)),
            "pre_vote": careful or rng.random() < 0.5,
            "check_quorum": careful or rng.random() < 0.5,
            "forward_proposals": rng.random() < 0.7,
        }

    # The run.

    def run(self) -> World:
        """Everything, from the first tick to the healed end."""
        rng = self.rng
        for _ in range(rng.randint(2, 5)):
            phase = rng.choice(phases.PHASES)
            if not self.early and self.later() < upheavals.SHARE:
                phase = upheavals.pick(self)
            end = self.now + rng.randint(30, 220)
            if phase is upheavals.usurpers:
                end += upheavals.LONGER
            phase(self, end)
            self.until(end)
            phases.calm(self)
        self.heal()
        history = self.world.history
        for operation in history:
            operation.place = self.world.places.get(operation.name, operation.place)
        if not linearizable(history):
            raise Violation("X", f"{len(history)} operations have no order that explains their results")
        return self.world

    def at(self, delay: int, name: str, member: int, *arguments) -> None:
        """Let an event happen `delay` from now."""
        self.number += 1
        heappush(self.heap, (self.now + delay, self.number, name, member, arguments))

    def until(self, end: int) -> None:
        """Let time pass."""
        heap = self.heap
        do = self.world.do
        own = self.OWN
        while heap and heap[0][0] <= end:
            self.now, _, name, member, arguments = heappop(heap)
            if self.paused and self.paused.get(member, 0) > self.now and name != "restart":
                self.at(self.paused[member] - self.now, name, member, *arguments)
                continue
            if name in own:
                own[name](self, member, *arguments)
            else:
                do(name, member, *arguments)
        self.now = end

    def join(self, member: int) -> None:
        """A new member starts, and its clock."""
        skew = self.faults["skew"]
        self.tick_length[member] = self.rng.randint(5, 20) if skew and self.random() < skew else TICK
        if self.newest_build:
            self.world.do("rebuild", member, self.newest_build)
        self.world.do("create", member)
        self.at(self.rng.randrange(TICK), "clock", member)
        self.at(self.rng.randrange(30), "client", member)

    # What the world tells.

    def send(self, message: Message) -> None:
        """The network: it may lose a message, hold it back, or bring it twice."""
        link = (message.sender, message.to)
        random = self.random
        if link in self.blocked or (self.drop and random() < self.drop):
            if message.kind == SNAPSHOT:
                # Whoever sends so much knows whether it arrived.
                self.at(20, "report", message.sender, message.to, False)
            elif self.faults["unreachable"] and random() < 0.2:
                self.at(3, "unreachable", message.sender, message.to)
            return
        data = encode_message(message)
        if self.later() < 0.05 and not self.early:
            data = self._harm(message, data)
            if not data:
                return
        delay = 1 + int(random() * self.delay)
        if self.stash and message.kind in STASHED and random() < self.stash:
            delay += 20 + int(random() * 130)
        if self.faults["reorder"] and random() < 0.1 * self.faults["reorder"]:
            delay += int(random() * 60)
        if self.clogged and link in self.clogged:
            delay += max(self.clogged[link] - self.now, 0)
        self.number += 1
        heappush(self.heap, (self.now + delay, self.number, "arrive", message.to, (data,)))
        if self.faults["duplicate"] and random() < 0.1 * self.faults["duplicate"]:
            self.at(delay + int(random() * 80), "arrive", message.to, data)
        if message.kind == SNAPSHOT and not self.early and self.later() < 0.3:
            self.at(delay + int(self.later() * 400), "arrive", message.to, data)

    def _harm(self, message: Message, data: bytes) -> bytes:
        """Garble a message (then it is lost), or let a copy of it stray. What is left to be delivered."""
        random = self.later
        if self.faults["garble"] and random() < self.faults["garble"]:
            place = int(random() * len(data))
            flipped = data[:place] + bytes([data[place] ^ 1 << int(random() * 8)]) + data[place + 1 :]
            for bad in (flipped, data[:place]):
                try:
                    decode_message(bad)
                except MalformedError:
                    continue
                if bad is not flipped:
                    raise Violation("W", f"{place} of the {len(data)} bytes of {message!r} can be decoded")
            return b"" if message.kind != SNAPSHOT else data
        if self.faults["stray"] and random() < self.faults["stray"]:
            self.strays += 1
            delay = 1 + int(random() * 60)
            if random() < 0.5:
                others = list(self.world.nodes)
                self.at(delay, "arrive", others[int(random() * len(others))], data)
            else:
                # From an earlier group: other terms, other entries.
                old = Message(message.kind, FORMER_GROUP, message.sender, message.to, message.term + int(random() * 3))
                old.index, old.log_term, old.commit = message.index, message.log_term, message.commit
                old.rejected = message.rejected and random() < 0.5
                self.at(delay, "arrive", message.to, encode_message(old))
        return data

    def written(self, node: Node, append: Append) -> None:
        """The disk: each write completes some time after the one before."""
        if append.truncate_from:
            self.world.overwritten += 1
            for earlier in node.disk.pending:
                if earlier is not append and earlier.entries and earlier.entries[-1].index >= append.truncate_from:
                    self.world.unflushed += 1
                    break
        self.at(1 + int(self.random() * self.disk_delay[node.member]), "disk", node.member, node.incarnation)

    def handed_out(self, node: Node) -> None:
        self.at(1 + int(self.random() * 10), "apply", node.member)

    # Events of the swarm's own.

    def _arrive(self, member: int, data: bytes) -> None:
        self.world.do("deliver", member, decode_message(data))

    def _clock(self, member: int) -> None:
        self.at(self.tick_length[member], "clock", member)
        self.world.do("tick", member)

    def _disk(self, member: int, incarnation: int) -> None:
        node = self.world.nodes[member]
        if node.group is None or node.incarnation != incarnation or not node.disk.pending:
            return
        random = self.random
        if not self.healing:
            if self.faults["enospc"] and random() < 0.02 * self.faults["enospc"]:
                # No room: the host holds its writes back until there is.
                self.at(30 + int(random() * 100), "disk", member, incarnation)
                return
            if self.faults["eio"] and random() < 0.01 * self.faults["eio"]:
                self.crash(member)
                return
        # Group commit: what has queued up behind the oldest write may complete with it.
        count = 1 if random() < 0.5 else len(node.disk.pending)
        self.world.do("complete", member, count)
        if node.disk.pending and node.group is not None:
            self.at(1 + int(random() * self.disk_delay[member]), "disk", member, incarnation)

    def crash(self, member: int, after: int = 0) -> None:
        """Stop a node, and start it again later; its disk keeps what was synced, and some of the rest."""
        node = self.world.live(member)
        if node is None:
            return
        risk = node.disk.at_risk()
        survivors = self.rng.randint(0, risk) if self.faults["torn"] else 0
        self.world.do("crash", member, survivors)
        self.at(after or 10 + int(self.random() * 150), "restart", member)

    def _client(self, member: int) -> None:
        """One operation, at a random node; and one time in a while, something for the operators."""
        random = self.random
        self.at(1 + int(random() * 2 * self.proposals), "client", member)
        world = self.world
        if world.nodes[member].group is None or self.healing:
            return
        register = "xyz"[int(random() * 3)]
        choice = random()
        number = len(world.history)
        if number > 150:
            world.do("propose", member, [b"f" * int(random() * 40), b"g"][: 1 + int(random() * 2)])
            return
        if choice < 0.5:
            operation = world.operation(register, "w", f"v{number}")
        elif choice < 0.65:
            operation = world.operation(register, "r")
        elif choice < 0.85:
            operation = world.operation(register, "i")
        else:
            old = world.nodes[member].machine.registers.get(register, "")
            operation = world.operation(register, "c", f"v{number}", old)
        world.do("operate", member, operation)

    OWN = {
        "arrive": _arrive, "clock": _clock, "disk": _disk, "client": _client, "storm": crash,
        **phases.OWN, **upheavals.OWN,
    }  # fmt: skip

    # The end.

    def heal(self) -> None:
        """Everything works again: the group has to work, too, if a quorum of it is whole."""
        self.healing = True
        self.healed_from = len(self.world.trace or ())
        self.blocked = set()
        self.clogged = {}
        self.paused = {}
        self.drop = 0.0
        self.delay = 3
        self.stash = 0.0
        for fault in ("drop", "duplicate", "reorder", "enospc", "eio", "torn", "garble", "stray"):
            self.faults[fault] = 0.0
        world = self.world
        world.lazy_apply = False
        for member, node in world.nodes.items():
            if world.builds.get(member, 0) < self.newest_build:
                upheavals.replace(self, member, self.newest_build)
            world.do("apply", member)
            self.disk_delay[member] = 3
            self.tick_length[member] = TICK
            if node.group is None:
                world.do("restart", member)
            elif node.disk.pending:
                self.at(1, "disk", member, node.incarnation)
        marker = b"healed"
        moved = self.now
        progress = 0
        while self.now < moved + HEAL_TICKS * TICK * world.knobs["heartbeat_ticks"]:
            self.until(self.now + 2 * TICK)
            now = self._progress()
            if now > progress:
                progress = now
                moved = self.now
            leader = phases.leader_of(world)
            if leader is not None:
                # Whoever was added after the last snapshot cannot use it: a host makes a newer one.
                world.do("snapshot", leader.member, 2)
                if self.newest_build:
                    world.do("raises", leader.member, 0)
            if self._healed(marker):
                return
        if self._can_heal():
            state = [
                f"{node.member}: role {node.group.role} term {node.group.term} lead {node.group.lead} "
                f"commit {node.group.commit} of {node.group.last_index()} applied {node.group.applied}"
                for node in world.nodes.values()
                if node.group is not None
            ]
            raise Violation("L", f"no progress after everything was healed: {'; '.join(state)}")

    def _progress(self) -> int:
        """Grows while entries are applied, and while a leader's followers catch up, one entry a round as it may be."""
        leader = phases.leader_of(self.world)
        matched = sum(other.match for other in leader.group.tracker.progress.values()) if leader is not None else 0
        return matched + sum(node.machine.index for node in self.world.nodes.values())

    def _healed(self, marker: bytes) -> bool:
        """Whether there is a leader that commits, and all whole members have what it has."""
        leader = phases.leader_of(self.world)
        if leader is None:
            return False
        group = leader.group
        if group.term_at(group.commit) != group.term:
            return False
        if marker not in leader.waiting:
            leader.waiting[marker] = None  # said once for each leader
            self.world.do("propose", leader.member, [marker])
            return False
        members = group.members()
        if members.outgoing and members.auto_leave:
            return False
        end = group.last_index()
        everybody = {*members.voters, *members.outgoing, *members.learners}
        whole = not any(self.world.nodes[member].refused or self.world.nodes[member].damaged for member in everybody)
        if whole and leader.machine.version < self.newest_build:
            return False
        for member in everybody:
            node = self.world.nodes[member]
            if not node.refused and not node.damaged and (node.group is None or node.group.applied < end):
                return False
        return group.commit == end

    def _can_heal(self) -> bool:
        """Whether every configuration that may be in force has a quorum of members that are whole."""
        whole = {
            node.member for node in self.world.nodes.values() if node.group is not None and not node.group.damaged
        }
        if len(whole) == len(self.world.nodes):
            return True
        checker = self.world.checker
        recent = [checker.configurations[index] for index in checker.order[-3:]]
        if any(node.seen.changes for node in self.world.nodes.values()):
            return False
        for members in recent:
            for half in (members.voters, members.outgoing):
                if half and len(whole.intersection(half)) <= len(half) // 2:
                    return False
        return True


def run(seed: int, coverage: Coverage | None = None, early: bool = False) -> World:
    """One seed's run. Raises Violation."""
    swarm = Swarm(seed, early=early)
    world = swarm.run()
    if coverage is not None:
        coverage.add(swarm)
    return world
