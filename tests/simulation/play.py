"""A small language for scenarios: who does what, in which order messages and writes get through, and what is then so.

One statement a line; `#` begins a comment. A message is A>B and its kind; a kind is a name of MESSAGE_NAMES, or `ack`.
Invariants R1 to R10 are checked after each statement, and at the end that clients' answers are linearizable.

    group 1 2 3 [learners 4] [with key=value ...]   the founding members, and knobs of `Config`; apply=late
    disk N term T [vote V] [commit C] [log 1 1 2]   N starts with entries of these terms (before that, all start empty)
    committed 1 1 2                                 a leader that is not seen here has committed entries of these terms
    start N                                         a member that the founding configuration does not have
    settle                                          deliver messages and complete writes until nothing is left
    elect N                                         nobody hears of a leader any more; N campaigns; settle; N leads
    campaign N, tick N [times], propose N text, read N, transfer N to M, forget N, apply N, snapshot N [keep],
    unreachable N M, delivered N M (of a snapshot)
    change N auto|implicit|explicit [add-voter M] [add-learner M] [remove M]
    hold N, free N, complete N [count]              the disk of N stands still, or goes on; so many writes complete
    hold A>B kind, free A>B kind                    such messages stay on their way, or go on
    deliver A>B kind [number], drop A>B kind        the oldest such message (or a later one), on its own
    again A>B kind                                  the last such message that was delivered comes once more
    forge A>B kind [field=value ...] [entries i/t ...]
    cut N, cut A>B, heal                            messages that are sent from now on are lost
    build N version                                 the program of N can run the machine up to there; N is down
    raise N version                                 N is asked to raise the version of the machine
    crash N [survivors], restart N, damage N, rot N index, save N, swap N stale|empty
    mark                                            forget what was sent so far
    expect N fact=value ...                         role term vote lead commit applied last log voters outgoing learners
                                                    damaged up dropped version
    expect [no] sent A>B kind [field=value ...]     since the last mark
    expect sent N times A>B kind
    expect refused | accepted                       the last proposal, change or read
    expect answer text                              the last proposal was applied where it was made, with this result
"""

from simulation.checker import Violation
from simulation.host import GROUP, Node
from simulation.linearizability import linearizable
from simulation.world import Operation, World

from amqpd.raft import messages as m
from amqpd.raft.states import LEADER, ROLE_NAMES

KINDS = {name: kind for kind, name in m.MESSAGE_NAMES.items()} | {"ack": m.APPEND_REPLY}
STEPS = {"add-voter": m.ADD_VOTER, "add-learner": m.ADD_LEARNER, "remove": m.REMOVE, "update": m.UPDATE}
TRANSITIONS = {"auto": m.AUTO, "implicit": m.IMPLICIT, "explicit": m.EXPLICIT}
SETTLE_MAX = 20_000
KNOBS = {"election_ticks": 10, "heartbeat_ticks": 1}


class Unmet(AssertionError):
    """What a scenario expects is not so."""


def play(text: str) -> World:
    """Play a scenario. Raises Unmet or Violation, with the line."""
    stage = Stage()
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("#")[0].split()
        if not words:
            continue
        try:
            getattr(stage, "do_" + words[0])(*words[1:])
        except Violation as violation:
            raise Violation(violation.rule, f"line {number} ({line.strip()}): {violation}") from violation
        except Unmet as unmet:
            raise Unmet(f"line {number} ({line.strip()}): {unmet}") from unmet
    if not linearizable(stage.world.history):
        raise Unmet("the answers to clients do not fit into one order")
    return stage.world


def matches(message: m.Message, link: str, kind: str, fields: tuple[str, ...]) -> bool:
    """Whether `message` is one of those meant."""
    sender, to = link.split(">")
    if message.sender != int(sender) or message.to != int(to) or message.kind != KINDS[kind]:
        return False
    for field in fields:
        name, value = field.split("=")
        found = len(message.entries) if name == "entries" else int(getattr(message, name))
        if found != int(value):
            return False
    return True


class Stage:
    """A world, the messages on their way, and what is held."""

    def __init__(self) -> None:
        self.world = World(m.Members(), {})
        self.pool: list[m.Message] = []
        self.sent: list[m.Message] = []
        self.delivered: list[m.Message] = []
        self.held: set[tuple[str, str]] = set()
        self.held_disks: set[int] = set()
        self.cut: set[tuple[int, int]] = set()
        self.answer = 0
        self.operation: Operation | None = None

    def do_group(self, *words: str) -> None:
        knobs: dict = dict(KNOBS)
        voters: list[int] = []
        learners: list[int] = []
        here = voters
        lazy = False
        for word in words:
            if word == "learners":
                here = learners
            elif "=" in word:
                name, value = word.split("=")
                if name == "apply":
                    lazy = value == "late"
                else:
                    knobs[name] = {"on": True, "off": False}.get(value, value) if not value.isdigit() else int(value)
            elif word != "with":
                here.append(int(word))
        self.world = World(m.Members(tuple(voters), (), tuple(learners)), knobs, 0, lazy)
        self.world.on_send = self._send
        self.members = [*voters, *learners]

    def _send(self, message: m.Message) -> None:
        self.sent.append(message)
        if (message.sender, message.to) not in self.cut:
            self.pool.append(message)

    def _node(self, member: str) -> Node:
        """The member's node; all the founding ones start with the first statement that needs one."""
        for one in self.members:
            self.world.do("create", one)
        return self.world.nodes[int(member)]

    def do_disk(self, member: str, *words: str) -> None:
        facts = {"term": 0, "vote": 0, "commit": 0}
        terms: list[int] = []
        place = 0
        while place < len(words):
            if words[place] == "log":
                terms = [int(word) for word in words[place + 1 :]]
                break
            facts[words[place]] = int(words[place + 1])
            place += 2
        log = [m.Entry(term, index, m.NORMAL, f"{index} of {term}".encode()) for index, term in enumerate(terms, 1)]
        self.world.furnish(int(member), m.HardState(**facts), log)

    def do_committed(self, *terms: str) -> None:
        self.world.checker.committed = [(0, 0)] + [(int(term), int(term)) for term in terms]

    def do_start(self, member: str) -> None:
        self.world.do("create", int(member))

    # What goes on.

    def do_settle(self) -> None:
        turns = 0
        busy = True
        self._node(str(self.members[0]))
        while busy:
            busy = False
            for member, node in self.world.nodes.items():
                if node.group is not None and node.disk.pending and member not in self.held_disks:
                    self.world.do("complete", member, len(node.disk.pending))
                    busy = True
            for message in list(self.pool):
                if not any(matches(message, link, kind, ()) for link, kind in self.held):
                    self._deliver(message)
                    busy = True
            turns += 1
            if turns > SETTLE_MAX:
                raise Unmet("the group never comes to rest")

    def _deliver(self, message: m.Message) -> None:
        self.pool.remove(message)
        self.delivered.append(message)
        self.world.do("deliver", message.to, message)

    def _find(self, messages: list[m.Message], link: str, kind: str, number: int = 0) -> m.Message:
        found = [message for message in messages if matches(message, link, kind, ())]
        if not -len(found) <= number < len(found):
            raise Unmet(f"there is no such message, only {messages!r}")
        return found[number]

    def do_deliver(self, link: str, kind: str, number: str = "1") -> None:
        self._deliver(self._find(self.pool, link, kind, int(number) - 1))

    def do_drop(self, link: str, kind: str) -> None:
        self.pool.remove(self._find(self.pool, link, kind))

    def do_again(self, link: str, kind: str) -> None:
        message = self._find(self.delivered, link, kind, -1)
        self.world.do("deliver", message.to, message)

    def do_forge(self, link: str, kind: str, *words: str) -> None:
        sender, to = link.split(">")
        self._node(to)
        fields = dict(word.split("=") for word in words if "=" in word)
        group = fields.pop("group", "")
        target = int(fields.pop("to", to))
        uuid = group.encode().ljust(16, b".") if group else GROUP
        message = m.Message(KINDS[kind], uuid, int(sender), target, int(fields.pop("term")))
        for name, value in fields.items():
            setattr(message, name, bool(int(value)) if name in ("rejected", "forced") else int(value))
        if "entries" in words:
            pairs = [word.split("/") for word in words[words.index("entries") + 1 :]]
            message.entries = [
                m.Entry(int(term), int(index), m.NORMAL, f"{index} of {term}".encode()) for index, term in pairs
            ]
        self.world.do("deliver", int(to), message)

    def do_hold(self, what: str, kind: str = "") -> None:
        if kind:
            self.held.add((what, kind))
        else:
            self.held_disks.add(int(what))

    def do_free(self, what: str, kind: str = "") -> None:
        if kind:
            self.held.discard((what, kind))
        else:
            self.held_disks.discard(int(what))

    def do_complete(self, member: str, count: str = "1") -> None:
        self._node(member)
        self.world.do("complete", int(member), int(count))

    def do_cut(self, what: str) -> None:
        if ">" in what:
            sender, to = what.split(">")
            self.cut.add((int(sender), int(to)))
            return
        for other in range(20):
            self.cut.add((int(what), other))
            self.cut.add((other, int(what)))

    def do_heal(self) -> None:
        self.cut.clear()

    # What members are asked to do.

    def do_elect(self, member: str) -> None:
        self._node(member)
        for other, node in self.world.nodes.items():
            if node.group is not None and node.group.role != LEADER:
                node.group.randomized_election_ticks = 1000
                for _ in range(node.group.config.election_ticks):
                    self.world.do("tick", other)
        self.world.do("campaign", int(member))
        self.do_settle()
        self.do_expect(member, "role=leader")

    def do_campaign(self, member: str) -> None:
        self._node(member)
        self.world.do("campaign", int(member))

    def do_tick(self, member: str, times: str = "1") -> None:
        self._node(member)
        for _ in range(int(times)):
            self.world.do("tick", int(member))

    def do_propose(self, member: str, text: str, *more: str) -> None:
        node = self._node(member)
        words = " ".join((text, *more)).split(" ")
        name = f"p{len(self.world.history)}"
        self.operation = Operation(name, "x", "w", words[0], "", self.world.events)
        self.world.history.append(self.operation)
        node.waiting[name] = self.operation
        self.answer = node.group.propose([f"{name} x w {words[0]}".encode()])
        node.pump()

    def do_read(self, member: str) -> None:
        node = self._node(member)
        self.operation = self.world.operation("x", "i")
        context = self.operation.name.encode()
        node.reading[context] = self.operation
        self.answer = node.group.read_index(context)
        node.pump()

    def do_change(self, member: str, transition: str, *words: str) -> None:
        node = self._node(member)
        steps = [(STEPS[words[place]], int(words[place + 1])) for place in range(0, len(words), 2)]
        self.answer = node.group.propose_change(m.Change(steps, TRANSITIONS[transition]))
        node.pump()

    def do_raise(self, member: str, version: str) -> None:
        node = self._node(member)
        self.answer = node.group.propose_version(int(version))
        node.pump()

    def do_build(self, member: str, version: str) -> None:
        self.world.do("rebuild", int(member), int(version))

    def do_transfer(self, member: str, _: str, to: str) -> None:
        self.world.do("transfer", int(member), int(to))

    def do_forget(self, member: str) -> None:
        self.world.do("forget", int(member))

    def do_apply(self, member: str) -> None:
        self.world.do("apply", int(member))

    def do_snapshot(self, member: str, keep: str = "0") -> None:
        self.world.do("snapshot", int(member), int(keep))

    def do_unreachable(self, member: str, peer: str) -> None:
        self.world.do("unreachable", int(member), int(peer))

    def do_delivered(self, member: str, peer: str) -> None:
        self.world.do("report", int(member), int(peer), True)

    # Faults.

    def do_crash(self, member: str, survivors: str = "0") -> None:
        self._node(member)
        self.world.do("crash", int(member), int(survivors))

    def do_restart(self, member: str) -> None:
        self.world.do("restart", int(member))

    def do_damage(self, member: str) -> None:
        self._node(member)
        self.world.do("damage", int(member))

    def do_rot(self, member: str, index: str) -> None:
        self.world.do("rot", int(member), int(index))

    def do_save(self, member: str) -> None:
        self.world.do("save", int(member))

    def do_swap(self, member: str, which: str) -> None:
        self.world.do("swap", int(member), which == "stale")

    # What is so.

    def do_mark(self) -> None:
        self.sent.clear()

    def do_expect(self, what: str, *words: str) -> None:
        if what == "refused" or what == "accepted":
            if (self.answer < 0) != (what == "refused"):
                raise Unmet(f"the answer was {self.answer}")
        elif what == "answer":
            operation = self.operation
            if operation is None or not 0 < operation.returned < 1 << 60 or operation.result != words[0]:
                raise Unmet(f"the answer is {operation.result if operation else None!r}")
        elif what == "no":
            if any(matches(message, words[1], words[2], words[3:]) for message in self.sent):
                raise Unmet(f"sent {self.sent!r}")
        elif what == "sent" and len(words) > 1 and words[1] == "times":
            times = sum(matches(message, words[2], words[3], words[4:]) for message in self.sent)
            if times != int(words[0]):
                raise Unmet(f"sent {times} times")
        elif what == "sent":
            if not any(matches(message, words[0], words[1], words[2:]) for message in self.sent):
                raise Unmet(f"sent only {self.sent!r}")
        else:
            self._facts(self._node(what), words)

    def _facts(self, node: Node, words: tuple[str, ...]) -> None:
        for word in words:
            name, value = word.split("=")
            found = self._fact(node, name)
            if found != value:
                raise Unmet(f"{name} is {found}")

    def _fact(self, node: Node, name: str) -> str:
        group = node.group
        if name == "up":
            return "yes" if group is not None else "no"
        if group is None:
            raise Unmet(f"{node.member} is down")
        if name == "version":
            return str(node.machine.version)
        if name == "role":
            return ROLE_NAMES[group.role]
        if name == "last":
            return str(group.last_index())
        if name == "damaged":
            return "yes" if group.damaged else "no"
        if name == "log":
            return ",".join(str(entry.term) for entry in group.entries_between(1, group.last_index()))
        if name in ("voters", "outgoing", "learners"):
            return ",".join(str(member) for member in getattr(group.members(), name))
        return str(getattr(group, name))
