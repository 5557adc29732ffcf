"""Several members of one group, and what can happen to them: every event is a method of `World`, named in `do`.

A run is nothing but the sequence of these events, so a recorded trace can be replayed, and shortened (`minimise.py`).
An event that is impossible (a tick of a node that is down) does nothing. Messages that are sent and writes that are
submitted are told to whoever drives the world, by `on_send`, `on_write` and `on_apply`: it decides what comes when.

Not here: any choice.
"""

from collections.abc import Callable

from simulation.checker import Checker, Violation
from simulation.conduct import StrictChecker
from simulation.disk import Disk, DiskError, Image
from simulation.host import Node, Outdated

from amqpd.raft.faults import InvariantError
from amqpd.raft.messages import NORMAL, SNAPSHOT, Append, Change, HardState, Members, Message

FOREVER = 1 << 60


class Operation:
    """What a client asked for; `returned` is FOREVER while the outcome is not known."""

    __slots__ = ("argument", "expected", "invoked", "kind", "name", "place", "register", "result", "returned")

    def __init__(self, name: str, register: str, kind: str, argument: str, expected: str, invoked: int) -> None:
        self.name = name
        self.register = register
        self.kind = kind  # w write, r read through the log, i read by read index, c compare and set
        self.argument = argument
        self.expected = expected
        self.invoked = invoked
        self.returned = FOREVER
        self.result = ""
        self.place: float = FOREVER  # where the log has it

    def __repr__(self) -> str:
        return f"<{self.payload().decode()}>"

    def payload(self) -> bytes:
        """As the machine reads it."""
        words = [self.name, self.register, self.kind]
        if self.kind == "c":
            words.append(self.expected)
        if self.kind != "r":
            words.append(self.argument)
        return " ".join(words).encode()


class World:
    """One group. `trace` is None, or the list that events are recorded in. `strict`: also what a group must not do
    though no harm has come of it yet is a violation; not for scenarios, whose forged messages are no group's."""

    def __init__(
        self, members: Members, knobs: dict, seed: int = 0, lazy_apply: bool = False, strict: bool = False
    ) -> None:
        self.founding = members
        self.knobs = knobs
        self.seed = seed
        self.lazy_apply = lazy_apply
        self.identity_checked = True
        self.rng: Callable[[int], int] | None = None  # for all members, in place of one for each incarnation
        self.nodes: dict[int, Node] = {}
        self.positions: dict[int, int] = {}
        self.builds: dict[int, int] = {}  # by member: the newest version of the machine that its program can run
        self.checker = (StrictChecker if strict else Checker)({}, members)
        self.history: list[Operation] = []
        self.places: dict[str, int] = {}  # by operation: the first index at which it was applied
        self.events = 0
        self.messages = 0
        self.snapshots = 0
        self.changes = 0
        self.overwritten = 0
        self.unflushed = 0
        self.raised = 0
        self.refused = 0
        self.crashes = 0
        self.trace: list[tuple] | None = None
        self.on_send: Callable[[Message], None] = lambda message: None
        self.on_write: Callable[[Node, Append], None] = lambda node, append: None
        self.on_apply: Callable[[Node], None] = lambda node: None
        self.actions: dict[str, Callable[..., None]] = {
            name: getattr(self, name)
            for name in (
                "apply", "campaign", "change", "complete", "crash", "create", "damage", "deliver", "forget", "operate",
                "propose", "raises", "rebuild", "report", "restart", "rot", "save", "snapshot", "swap", "tick",
                "transfer", "unreachable",
            )
        }  # fmt: skip

    def do(self, name: str, member: int, *arguments) -> None:
        """Let one event happen. Raises Violation."""
        self.events += 1
        if self.trace is not None:
            self.trace.append((name, member, *arguments))
        try:
            self.actions[name](member, *arguments)
        except Outdated:
            self.crash(member, 0)
        except InvariantError as error:
            raise Violation("C", f"{member} stopped itself: {error}") from error
        except DiskError as error:
            raise Violation("D", f"{member}: {error}") from error

    def live(self, member: int) -> Node | None:
        """The node, if it is up."""
        node = self.nodes.get(member)
        return node if node is not None and node.group is not None else None

    def answer(self, operation: Operation, result: str) -> None:
        """A client gets its answer."""
        operation.returned = self.events
        operation.result = result

    def operation(self, register: str, kind: str, argument: str = "", expected: str = "") -> Operation:
        """A new operation of a client, invoked now."""
        operation = Operation(f"o{len(self.history)}", register, kind, argument, expected, self.events)
        self.history.append(operation)
        return operation

    # Events of one node.

    def create(self, member: int) -> None:
        """A new member starts on an empty disk."""
        if member not in self.nodes:
            node = Node(self, member, self.knobs, self.founding, self.seed)
            self.nodes[member] = node
            node.start()
            node.pump()

    def tick(self, member: int) -> None:
        node = self.nodes[member]
        if node.group is not None:
            node.group.tick()
            self.checker.ticked(node)
            node.pump()

    def deliver(self, member: int, message: Message) -> None:
        node = self.nodes.get(member)
        if node is not None and node.group is not None:
            self.messages += 1
            before = self.checker.takes(node, message)
            node.group.step(message)
            self.checker.took(node, message, before)
            node.pump()
        if message.kind == SNAPSHOT:
            sender = self.live(message.sender)
            if sender is not None:
                sender.group.report_snapshot(message.to, node is not None and node.group is not None)
                sender.pump()

    def complete(self, member: int, count: int) -> None:
        """The oldest `count` writes become complete."""
        node = self.nodes[member]
        if node.group is not None and node.disk.pending:
            node.complete(count)
            node.pump()

    def apply(self, member: int) -> None:
        node = self.nodes[member]
        if node.group is not None:
            node.apply()
            node.pump()

    def campaign(self, member: int) -> None:
        node = self.nodes[member]
        if node.group is not None:
            node.group.campaign()
            node.pump()

    def forget(self, member: int) -> None:
        node = self.nodes[member]
        if node.group is not None:
            node.group.forget_leader()
            node.pump()

    def operate(self, member: int, operation: Operation) -> None:
        """A client asks here; for a refusal it knows at once that nothing happened."""
        node = self.nodes[member]
        if node.group is None:
            self._never(operation)
        elif operation.kind == "i":
            context = operation.name.encode()
            node.reading[context] = operation
            if node.group.read_index(context) < 0:
                del node.reading[context]
                self._never(operation)
            node.pump()
        else:
            node.waiting[operation.name] = operation
            if self._propose(node, [operation.payload()]) < 0:
                del node.waiting[operation.name]
                self._never(operation)
            node.pump()

    def _never(self, operation: Operation) -> None:
        operation.returned = -1

    def propose(self, member: int, payloads: list[bytes]) -> None:
        node = self.nodes[member]
        if node.group is not None:
            self._propose(node, payloads)
            node.pump()

    def _propose(self, node: Node, payloads: list[bytes]) -> int:
        waiting = node.group.uncommitted_bytes
        answer = node.group.propose(payloads)
        self.checker.proposed(node, payloads, waiting, answer)
        return answer

    def raises(self, member: int, version: int) -> None:
        """Somebody asks for a version of the machine; 0: for the newest that all can run, if that is news."""
        node = self.nodes[member]
        if node.group is not None:
            wanted = version or node.group.common_version()
            if version or wanted > node.machine.version:
                node.group.propose_version(wanted)
                node.pump()

    def change(self, member: int, change: Change) -> None:
        node = self.nodes[member]
        if node.group is not None:
            node.group.propose_change(change)
            node.pump()

    def transfer(self, member: int, to: int) -> None:
        node = self.nodes[member]
        if node.group is not None:
            node.group.transfer(to)
            node.pump()

    def unreachable(self, member: int, peer: int) -> None:
        node = self.nodes[member]
        if node.group is not None:
            node.group.report_unreachable(peer)
            node.pump()

    def report(self, member: int, peer: int, ok: bool) -> None:
        node = self.nodes[member]
        if node.group is not None:
            node.group.report_snapshot(peer, ok)
            node.pump()

    def snapshot(self, member: int, keep: int) -> None:
        node = self.nodes[member]
        if node.group is not None:
            node.take_snapshot(keep)
            node.pump()

    # Faults.

    def crash(self, member: int, survivors: int) -> None:
        node = self.nodes[member]
        if node.group is not None:
            self.crashes += 1
            node.stop(survivors)

    def restart(self, member: int) -> None:
        node = self.nodes[member]
        if node.group is None and not node.refused:
            if node.start():
                node.pump()
            elif node.refused:
                self.refused += 1

    def rebuild(self, member: int, build: int) -> None:
        """A node that is down gets another program."""
        if member not in self.nodes or self.nodes[member].group is None:
            self.builds[member] = build

    def rot(self, member: int, index: int) -> None:
        """While the node is down, an entry goes bad: it comes back as a damaged replica (H3)."""
        node = self.nodes[member]
        if node.group is None and not node.refused:
            self._keep_evidence(node)
            node.disk.synced.rot(index)
            node.disk.written = node.disk.synced.copy()
            node.damaged = True

    def damage(self, member: int) -> None:
        """A running node finds a bad checksum."""
        node = self.nodes[member]
        if node.group is not None:
            self._keep_evidence(node)
            node.damage()
            node.pump()

    def _keep_evidence(self, node: Node) -> None:
        """What was acknowledged and counted, was on that disk then: R7 goes by it."""
        evidence = node.disk.synced.copy()
        self.checker.disks[node.member] = evidence

    def save(self, member: int) -> None:
        """Somebody makes a backup of a disk."""
        node = self.nodes[member]
        node.backup = node.disk.backup()

    def swap(self, member: int, stale: bool) -> None:
        """A node that is down finds an older disk, or an empty one, in the place of its own."""
        node = self.nodes[member]
        if node.group is None and not node.refused and not (stale and node.backup is None):
            self._keep_evidence(node)
            node.disk = node.backup if stale and node.backup is not None else Disk()

    # Starting points for directed scenarios.

    def furnish(self, member: int, hard: HardState, log: list) -> None:
        """Start `member` on a disk with this hard state and these entries; the machine has applied nothing."""
        node = Node(self, member, self.knobs, self.founding, self.seed)
        self.nodes[member] = node
        image = Image()
        image.hard = hard
        image.log = log
        before = 0
        for entry in log:
            self.checker.entries.setdefault((entry.index, entry.term), (before, NORMAL, entry.payload))
            before = entry.term
        node.disk.synced = image
        node.disk.written = image.copy()
        node.start()
        node.pump()
