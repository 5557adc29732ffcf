"""Phases in which leaders change faster than what they append gets around, and nodes get other programs.

Uniform faults rarely replace an entry, and hardly ever one whose write is still under way, or one that was acknowledged
to a leader who comes back. These phases do little else. They draw from the swarm's later source of chance.
"""

from simulation.phases import cut, leader_of

from amqpd.raft.messages import ADD_LEARNER, ADD_VOTER, AUTO, EXPLICIT, IMPLICIT, REMOVE, Change
from amqpd.raft.states import CANDIDATE, LEADER

OPERATIONS_MAX = 150  # of clients; more would be hard to find an order for
SHARE = 0.55  # of all phases
LONGER = 200  # time that usurpers get besides
PAYLOADS = ([b"u"], [b"u", b"v"], [b"u", b"v", b"w", b"x"])


def pick(swarm):
    """One of the phases here."""
    if swarm.faults["upgrade"] and swarm.later() < 0.4:
        return upgrade
    if swarm.faults["member"] and swarm.later() < 0.3:
        return schism
    return usurpers


# Usurpers.


def usurpers(swarm, end: int) -> None:
    """Each leader is elected by a few and heard by fewer, and then another one is elected (the paper's Figure 8). Two
    of the members are it again and again. Some disks are slow, and some messages come when their sender has led and
    fallen and led again."""
    random = swarm.later
    members = list(swarm.world.nodes)
    swarm.pretenders = [members[int(random() * len(members))] for _ in range(2)]
    if random() < 0.6:
        swarm.stash = random() * 0.3
    if random() < 0.7:
        for _ in range((len(members) - 1) // 2):
            swarm.disk_delay[members[int(random() * len(members))]] = 20 + int(random() * 120)
    swarm.at(1, "usurp", 1, end)


def log_of(node) -> tuple[int, int]:
    """What decides who gets whose vote."""
    return node.group.term_at(node.group.last_index()), node.group.last_index()


def usurp(swarm, member: int, end: int) -> None:
    """A member becomes leader by the votes of some of the others, who alone hear it and each other."""
    world = swarm.world
    random = swarm.later
    if swarm.healing:
        return
    swarm.blocked.clear()
    if swarm.now + 20 > end:
        return
    for node in list(world.nodes.values()):
        if node.damaged and random() < 0.3:
            world.do("campaign", node.member)  # it must not
    up = [node for node in world.nodes.values() if node.group is not None and not node.damaged]
    quorum = len(world.nodes) // 2
    able = [
        node for node in up
        if node.group.role != LEADER and sum(log_of(other) <= log_of(node) for other in up) > quorum
    ]  # fmt: skip
    if not able:
        swarm.at(6, "usurp", member, end)
        return
    chosen = [node for node in able if node.member in swarm.pretenders]
    candidate = (chosen or able)[int(random() * len(chosen or able))]
    # Who leads would protect itself, and who is slow would answer too late: they come last.
    others = [other for other in up if other is not candidate and log_of(other) <= log_of(candidate)]
    others.sort(key=lambda one: (one.seen.leads, swarm.disk_delay[one.member] > 5, random()))
    more = [other for other in others[quorum:] if not other.seen.leads and random() < 0.5]
    friends = [node.member for node in [*others[:quorum], *more]]
    listeners = [other.member for other in up if swarm.disk_delay[other.member] > 5 and random() < 0.6]
    cut(swarm, {candidate.member, *friends, *listeners})
    for one in (candidate.member, *friends):
        world.do("forget", one)
    world.do("campaign", candidate.member)
    swarm.at(3, "watch", candidate.member, friends, end, 12)


def watch(swarm, member: int, friends: list[int], end: int, times: int) -> None:
    """Wait until the member leads; then it is heard by fewer after a moment, and then comes the next one."""
    node = swarm.world.live(member)
    random = swarm.later
    if node is None or not times or swarm.healing:
        usurp(swarm, member, end)
        return
    if node.group.role == CANDIDATE and not node.disk.pending and random() < 0.3:
        # The requests are on their way. Hardly anybody will hear the leader that comes of them.
        for other in swarm.world.nodes:
            if swarm.disk_delay[other] <= 5 or random() < 0.3:
                swarm.blocked.add((member, other))
    if node.group.role != LEADER:
        swarm.at(3, "watch", member, friends, end, times - 1)
        return
    query(swarm, member)
    query(swarm, member, "w")
    if swarm.faults["member"] and random() < 0.5:
        # The leader before may have left a change that is not applied yet; and this one may not last, either.
        for _ in range(3):
            swarm.at(int(random() * 12), "reform", member)
    swarm.at(int(random() * 16), "sever", member, friends)
    swarm.at(4 + int(random() * 30), "usurp", member, end)


def sever(swarm, member: int, friends: list[int]) -> None:
    """Fewer than a majority hear the leader on; all who believe that they lead append something."""
    random = swarm.later
    world = swarm.world
    if swarm.healing:
        return
    keep = [friend for friend in friends if random() < 0.4][: max(len(world.nodes) // 2 - 1, 0)]
    keep += [other for other in world.nodes if swarm.disk_delay[other] > 5 and random() < 0.6]
    both = random() < 0.7
    for other in world.nodes:
        if other != member and other not in keep:
            swarm.blocked.add((member, other))
            if both:
                swarm.blocked.add((other, member))
    for node in list(world.nodes.values()):
        if node.group is not None and node.group.role == LEADER:
            query(swarm, node.member)
            world.do("propose", node.member, PAYLOADS[int(random() * len(PAYLOADS))])


def query(swarm, member: int, kind: str = "i") -> None:
    """A client reads from a leader, which may have just begun, or be one no more without knowing it; or it writes."""
    world = swarm.world
    number = len(world.history)
    if world.live(member) is not None and number < OPERATIONS_MAX:
        world.do("operate", member, world.operation("xyz"[int(swarm.later() * 3)], kind, f"v{number}"))


# Halves.


def schism(swarm, end: int) -> None:
    """Some voters are to go, and while the configuration is joint, those who are to stay part from them and want a
    leader of their own."""
    span = max(end - swarm.now, 30)
    swarm.at(1, "dismiss", 1)
    for _ in range(4):
        swarm.at(8 + int(swarm.later() * span), "secede", 1, end)
    swarm.at(span + 20, "reform", 1)


def dismiss(swarm, member: int) -> None:
    leader = leader_of(swarm.world)
    if leader is None or swarm.healing:
        return
    members = leader.group.members()
    going = [one for one in members.voters if swarm.later() < 0.6][: len(members.voters) - 1]
    if going and not members.outgoing:
        kind = REMOVE if swarm.later() < 0.5 else ADD_LEARNER
        swarm.world.do("change", leader.member, Change([(kind, one) for one in going], EXPLICIT))


def secede(swarm, member: int, end: int) -> None:
    if swarm.healing or swarm.now > end:
        return
    swarm.blocked.clear()
    joint = [node for node in swarm.world.nodes.values() if node.group is not None and node.group.members().outgoing]
    if joint:
        members = joint[int(swarm.later() * len(joint))].group.members()
        half = set(members.voters if swarm.later() < 0.7 else members.outgoing)
        cut(swarm, half)
        for one in half:
            swarm.world.do("forget", one)
        able = [one for one in joint if one.member in half and one.group.role != LEADER]
        if able:
            swarm.world.do("campaign", able[int(swarm.later() * len(able))].member)


# Programs.


def upgrade(swarm, end: int) -> None:
    """Nodes get a newer program, one after the other; somebody may be set back; a leader raises the version when it
    may, and is asked to when it may not."""
    random = swarm.later
    swarm.newest_build += 1
    span = max(end - swarm.now - 30, 1)
    for place, member in enumerate(list(swarm.world.nodes)):
        swarm.at(5 + place * span // 10, "install", member, swarm.newest_build)
        if swarm.faults["downgrade"] and random() < 0.3 * swarm.faults["downgrade"]:
            back = swarm.newest_build - 1
            swarm.at(5 + int(random() * span), "install", member, back)
            swarm.at(span, "install", member, swarm.newest_build)
    for _ in range(6):
        swarm.at(int(random() * span), "raise", 1, 0 if random() < 0.7 else swarm.newest_build)
    swarm.at(span + 29, "raise", 1, 0)
    if swarm.faults["improper"]:
        swarm.at(int(random() * span), "intrude", 1)


def install(swarm, member: int, build: int) -> None:
    """A node goes down, and comes back with another program."""
    if swarm.healing:
        return
    if swarm.world.live(member) is not None:
        swarm.crash(member, 1 + int(swarm.later() * 12))
    swarm.world.do("rebuild", member, build)


def replace(swarm, member: int, build: int) -> None:
    """The same at once, at the end."""
    swarm.world.do("crash", member, 0)
    swarm.world.do("rebuild", member, build)
    swarm.world.do("restart", member)


def raise_version(swarm, member: int, version: int) -> None:
    leader = leader_of(swarm.world)
    if leader is not None:
        swarm.world.do("raises", leader.member, version)


def intrude(swarm, member: int) -> None:
    """Somebody asks for changes that are not allowed: a voter that was no learner, a direct one."""
    leader = leader_of(swarm.world)
    if leader is not None:
        change = Change([(ADD_VOTER, swarm.next_member)], IMPLICIT if swarm.later() < 0.5 else AUTO)
        swarm.world.do("change", leader.member, change)


OWN = {
    "dismiss": dismiss, "secede": secede,
    "install": install, "intrude": intrude, "raise": raise_version, "sever": sever, "usurp": usurp,
    "watch": watch,
}  # fmt: skip
