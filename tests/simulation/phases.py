"""What may go on in a group for a while: each phase is a function that sets a swarm's weather and plans its events.

A phase does only what the seed's faults allow. `calm` is what comes after each of them.
"""

from simulation.host import Node
from simulation.world import World

from amqpd.raft.messages import ADD_LEARNER, ADD_VOTER, AUTO, EXPLICIT, IMPLICIT, REMOVE, Change
from amqpd.raft.states import LEADER

MEMBERS_MAX = 7
MEMBER_ID_MAX = 19


def leader_of(world: World) -> Node | None:
    """The node that leads in the highest term."""
    best = None
    for node in world.nodes.values():
        group = node.group
        if group is not None and group.role == LEADER and (best is None or group.term > best.group.term):
            best = node
    return best


def calm(swarm) -> None:
    """All hear each other, disks are quick."""
    swarm.blocked.clear()
    swarm.clogged.clear()
    swarm.paused.clear()
    swarm.stash = 0.0
    swarm.drop = 0.1 * swarm.faults["drop"] if swarm.random() < 0.5 else 0.0
    swarm.delay = 3
    for member in swarm.disk_delay:
        swarm.disk_delay[member] = 3


def quiet(swarm, end: int) -> None:
    """Nothing but what the operators do."""
    operate(swarm, end)


def cut(swarm, left: set[int], both: bool = True) -> None:
    """Nothing gets out of `left`; nor into it, if `both`."""
    for one in range(1, MEMBER_ID_MAX + 1):
        for other in range(1, MEMBER_ID_MAX + 1):
            if one in left and other not in left:
                swarm.blocked.add((one, other))
                if both:
                    swarm.blocked.add((other, one))


def isolate_leader(swarm, end: int) -> None:
    leader = leader_of(swarm.world)
    if leader is not None:
        cut(swarm, {leader.member})
    operate(swarm, end)


def split(swarm, end: int) -> None:
    members = list(swarm.world.nodes)
    swarm.rng.shuffle(members)
    cut(swarm, set(members[: swarm.rng.randint(1, max(len(members) // 2, 1))]))
    operate(swarm, end)


def flapping(swarm, end: int) -> None:
    """The leader is cut off again and again, each time with entries that nobody else has."""
    swarm.at(1, "flap", 1, end)


def flap(swarm, member: int, end: int) -> None:
    swarm.blocked.clear()
    leader = leader_of(swarm.world)
    if swarm.now + 60 > end:
        return
    if leader is not None and swarm.random() < 0.8:
        cut(swarm, {leader.member}, swarm.random() < 0.7)
        for other in list(swarm.world.nodes):
            if other != leader.member and swarm.random() < 0.3:
                swarm.at(5 + int(swarm.random() * 20), "campaign", other)
        swarm.world.do("propose", leader.member, [b"lost?"])
    swarm.at(20 + int(swarm.random() * 60), "flap", member, end)


def one_way(swarm, end: int) -> None:
    """A node is heard and does not hear, or the reverse."""
    victim = swarm.rng.choice(list(swarm.world.nodes))
    everybody = set(range(1, MEMBER_ID_MAX + 1))
    cut(swarm, {victim} if swarm.random() < 0.5 else everybody - {victim}, False)


def ring(swarm, end: int) -> None:
    """Each node hears its neighbours only."""
    members = list(swarm.world.nodes)
    for place, one in enumerate(members):
        for distance in range(2, len(members) - 1):
            swarm.blocked.add((one, members[(place + distance) % len(members)]))


def lagging(swarm, end: int) -> None:
    """One node hears nothing while the others go on and throw their logs away: it will need a snapshot."""
    victim = swarm.rng.choice(list(swarm.world.nodes))
    cut(swarm, {victim})
    for member in swarm.world.nodes:
        if member != victim:
            for _ in range(3):
                swarm.at(int(swarm.random() * (end - swarm.now)), "snapshot", member, swarm.rng.randrange(3))


def clogged(swarm, end: int) -> None:
    """Some links hold everything back, and bring it all at once."""
    if swarm.faults["clog"]:
        members = list(swarm.world.nodes)
        for one in members:
            for other in members:
                if swarm.random() < swarm.faults["clog"]:
                    swarm.clogged[(one, other)] = end
    operate(swarm, end)


def slow_disks(swarm, end: int) -> None:
    for member in swarm.world.nodes:
        if swarm.random() < 0.5:
            swarm.disk_delay[member] = 10 + int(swarm.random() * 150)
    if swarm.faults["crash"]:
        for member in swarm.world.nodes:
            if swarm.random() < 0.5:
                swarm.at(int(swarm.random() * (end - swarm.now)), "storm", member)


def storm(swarm, end: int) -> None:
    """Nodes crash and come back, some with another disk."""
    if not swarm.faults["crash"]:
        return
    world = swarm.world
    for _ in range(1 + int(swarm.faults["crash"] * 8)):
        member = swarm.rng.choice(list(world.nodes))
        when = int(swarm.random() * (end - swarm.now))
        swarm.at(when, "storm", member, 1 + int(swarm.random() * 60))
    # Only one disk in a group goes bad at a time: two are more than three members can bear.
    if any(node.damaged or node.refused for node in world.nodes.values()):
        return
    member = swarm.rng.choice(list(world.nodes))
    fault = swarm.rng.choice(("rot", "damage", "stale", "empty"))
    if not swarm.faults[fault] or swarm.random() > 0.6:
        return
    if fault == "damage":
        swarm.at(10, "damage", member)
        return
    if fault == "stale":
        swarm.at(5, "save", member)
    swarm.at(60, "exchange", member, fault)


def exchange(swarm, member: int, fault: str) -> None:
    """A node goes down, and something happens to its disk."""
    node = swarm.world.live(member)
    if node is None:
        return
    swarm.crash(member, 20)
    if fault == "rot":
        swarm.world.do("rot", member, node.disk.synced.start + 1 + int(swarm.random() * len(node.disk.synced.log)))
    else:
        swarm.world.do("swap", member, fault == "stale")


def paused(swarm, end: int) -> None:
    """Nodes stand still, and get everything at once when they go on."""
    if swarm.faults["pause"]:
        for member in swarm.world.nodes:
            if swarm.random() < 0.4:
                swarm.paused[member] = swarm.now + int(swarm.random() * (end - swarm.now))
    operate(swarm, end)


def duel(swarm, end: int) -> None:
    """Several nodes want to lead at the same time."""
    swarm.delay = 15
    for _ in range(6):
        when = int(swarm.random() * (end - swarm.now))
        for member in swarm.world.nodes:
            if swarm.random() < 0.4:
                swarm.at(when + int(swarm.random() * 6), "campaign", member)


def membership(swarm, end: int) -> None:
    """Members come and go, one change after the other."""
    if not swarm.faults["member"]:
        return
    for _ in range(8):
        swarm.at(int(swarm.random() * (end - swarm.now)), "reform", 1)


def reform(swarm, member: int) -> None:
    """Ask the leader for the next change: a learner, a promotion, a removal, a replacement, the end of a joint one."""
    leader = leader_of(swarm.world)
    if leader is None:
        return
    members = leader.group.members()
    rng = swarm.rng
    everybody = [*members.voters, *members.learners]
    if members.outgoing:
        steps: list[tuple[int, int]] = []
    elif members.learners and swarm.random() < 0.6:
        learner = rng.choice(members.learners)
        steps = [(ADD_VOTER, learner)]
        bad = [one for one in members.voters if swarm.world.nodes[one].refused or swarm.world.nodes[one].damaged]
        if bad or (len(members.voters) > 1 and swarm.random() < 0.5):
            steps.append((REMOVE if swarm.random() < 0.7 else ADD_LEARNER, rng.choice(bad or members.voters)))
    elif len(everybody) < MEMBERS_MAX and swarm.next_member <= MEMBER_ID_MAX and swarm.random() < 0.7:
        newcomer = swarm.next_member
        swarm.next_member += 1
        swarm.join(newcomer)
        steps = [(ADD_LEARNER, newcomer)]
    elif len(members.voters) > 1:
        steps = [(rng.choice((REMOVE, ADD_LEARNER)), rng.choice(members.voters))]
    else:
        return
    transition = AUTO if steps and steps[0][0] == ADD_LEARNER and steps[0][1] not in members.voters else IMPLICIT
    if transition == IMPLICIT and swarm.random() < 0.4:
        transition = EXPLICIT
    swarm.world.do("change", leader.member, Change(steps, transition))
    if transition == EXPLICIT:
        swarm.at(20 + int(swarm.random() * 60), "reform", member)


def operate(swarm, end: int) -> None:
    """What operators do now and then, in any weather: transfers, snapshots, elections, changes."""
    span = end - swarm.now
    faults = swarm.faults
    members = list(swarm.world.nodes)
    rng = swarm.rng
    if faults["transfer"]:
        for _ in range(2):
            swarm.at(int(swarm.random() * span), "transfer", rng.choice(members), rng.choice(members))
    if faults["snapshot"]:
        for _ in range(4):
            swarm.at(int(swarm.random() * span), "snapshot", rng.choice(members), rng.randrange(4))
    if faults["campaign"]:
        swarm.at(int(swarm.random() * span), "campaign", rng.choice(members))
    if faults["forget"]:
        swarm.at(int(swarm.random() * span), "forget", rng.choice(members))
    if faults["member"] and swarm.random() < 0.5:
        swarm.at(int(swarm.random() * span), "reform", 1)


PHASES = (
    quiet, isolate_leader, split, flapping, flapping, one_way, ring, lagging, clogged, slow_disks, storm, storm, paused,
    duel, membership, membership,
)  # fmt: skip

OWN = {"flap": flap, "exchange": exchange, "reform": reform}
