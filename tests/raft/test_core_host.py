"""Machines, and many groups in one host."""

import random

import pytest

from amqpd.errors import MalformedError
from amqpd.raft.config import Config
from amqpd.raft.faults import InvariantError, RaftError
from amqpd.raft.machine import Applier, Effect, Machine, Outcome
from amqpd.raft.memory import MemoryHost
from amqpd.raft.messages import ADD_LEARNER, CHANGE, SNAPSHOT, VERSION, Change, Entry, Members, Message, Snapshot
from amqpd.raft.refusals import VERSION_TOO_NEW
from amqpd.raft.states import LEADER


class Told(Effect):
    def __init__(self, what):
        self.what = what


class Register(Machine):
    """Remembers the last command; from version 2 on in capitals."""

    def __init__(self, newest=1):
        self.newest = newest
        self.value = b""

    def newest_version(self):
        return self.newest

    def apply(self, index, version, command):
        before = self.value
        self.value = command.upper() if version >= 2 else command
        return Outcome(before, [Told(self.value)])

    def upgrade(self, version):
        self.value += b" v%d" % version

    def leader_effects(self):
        return [Told(self.value)]

    def snapshot(self):
        return self.value

    def restore(self, version, image):
        if image == b"broken":
            raise MalformedError("an image of nothing")
        self.value = image


def group_id(number):
    return number.to_bytes(16, "big")


class Cluster:
    """Hosts 1 to 3, of which some can be cut off."""

    def __init__(self, groups=1, newest=(1, 1, 1), **knobs):
        self.knobs = knobs
        self.hosts = {member: MemoryHost() for member in (1, 2, 3)}
        self.machines = {}
        self.cut = set()
        for number in range(groups):
            for member in (1, 2, 3):
                self.start(member, number, newest[member - 1], None)

    def start(self, member, number, newest, log, members=(1, 2, 3)):
        machine = self.machines[member, number] = Register(newest)
        config = Config(group_id(number), member, machine_version=newest, **self.knobs)
        rng = random.Random(member * 1000 + number).randrange
        return self.hosts[member].add(config, Members(members), machine, rng, log)

    def run(self):
        busy = True
        while busy:
            busy = False
            for sender, host in self.hosts.items():
                out = host.work()
                busy = busy or bool(out) or not host.idle()
                for to, other in self.hosts.items():
                    if not self.cut & {sender, to}:
                        other.receive([each for each in out if each.to == to])

    def lead(self, member, number=0):
        group = self.hosts[member].order(group_id(number))
        group.campaign()
        self.run()
        assert group.role == LEADER
        return group


def told(host, number=0):
    return [effect.what for effect in host.take_effects(group_id(number))]


def test_commands_reach_all_machines_and_effects_the_leader_alone():
    cluster = Cluster()
    cluster.lead(1)
    first = cluster.hosts[1].propose(group_id(0), [b"a", b"b"])
    cluster.run()
    assert {machine.value for machine in cluster.machines.values()} == {b"b"}
    replies = cluster.hosts[1].take_applied(group_id(0))
    assert [(each.index, each.term, each.reply) for each in replies] == [(first, 1, b""), (first + 1, 1, b"a")]
    assert told(cluster.hosts[1]) == [b"", b"a", b"b"]
    assert told(cluster.hosts[2]) == []


def test_a_new_leader_repeats_what_may_be_undone():
    cluster = Cluster()
    leader = cluster.lead(1)
    cluster.hosts[1].propose(group_id(0), [b"a"])
    cluster.run()
    cluster.hosts[1].order(group_id(0))
    leader.transfer(2)
    cluster.run()
    assert told(cluster.hosts[2]) == [b"a"]


def test_a_read_is_confirmed():
    cluster = Cluster()
    cluster.lead(1)
    cluster.hosts[2].order(group_id(0)).read_index(b"r")
    cluster.run()
    assert [(read.index, read.context) for read in cluster.hosts[2].take_reads(group_id(0))] == [(1, b"r")]
    assert cluster.hosts[2].take_reads(group_id(0)) == []


def test_many_groups_share_a_host_and_idle_ones_are_not_looked_at():
    cluster = Cluster(groups=50)
    for number in range(50):
        cluster.lead(number % 3 + 1, number)
    cluster.hosts[1].propose(group_id(0), [b"a"])
    waiting = [name for name, replica in cluster.hosts[1].replicas.items() if replica.waiting]
    assert waiting == [group_id(0)]
    cluster.run()
    assert all(host.idle() for host in cluster.hosts.values())


def test_time_elects_leaders_in_all_groups():
    cluster = Cluster(groups=5)
    for _ in range(60):
        for host in cluster.hosts.values():
            host.tick()
        cluster.run()
    for number in range(5):
        roles = [host.replicas[group_id(number)].group.role for host in cluster.hosts.values()]
        assert roles.count(LEADER) == 1


def test_messages_for_groups_that_are_not_here_are_dropped():
    host = MemoryHost()
    host.receive([Message(1, group_id(7), 1, 2, 1)])
    assert host.dropped == 1
    assert host.idle()


def test_a_member_that_was_away_gets_a_snapshot():
    cluster = Cluster()
    leader = cluster.lead(1)
    cluster.cut.add(3)
    cluster.hosts[1].propose(group_id(0), [b"a", b"b"])
    cluster.run()
    snapshot = cluster.hosts[1].take_snapshot(group_id(0), 0)
    assert (snapshot.index, leader.first_index()) == (3, 4)
    cluster.cut.clear()
    for _ in range(3):
        cluster.hosts[1].tick()
        cluster.run()
    assert cluster.machines[3, 0].value == b"b"
    assert cluster.hosts[3].replicas[group_id(0)].group.applied == 3


def test_no_snapshot_is_taken_while_the_leaders_is_installed():
    """Configuration and machine are not of the same moment then."""
    cluster = Cluster()
    cluster.lead(1)
    host = cluster.hosts[3]
    message = Message(SNAPSHOT, group_id(0), 1, 3, 9)
    message.snapshot = Snapshot(9, 9, Members((1, 3)), bytes(4) + b"image")
    host.receive([message])
    group = host.order(group_id(0))
    assert (group.installing, group.applied, group.members().voters) == (True, 1, (1, 3))
    with pytest.raises(RaftError, match="is being installed"):
        host.take_snapshot(group_id(0), 0)
    host.work()
    assert (group.installing, group.applied) == (False, 9)
    assert host.take_snapshot(group_id(0), 0).data == message.snapshot.data


def test_a_member_comes_back_with_its_storage():
    cluster = Cluster()
    cluster.lead(1)
    cluster.hosts[1].propose(group_id(0), [b"a"])
    cluster.run()
    cluster.hosts[2].take_snapshot(group_id(0), 1)
    cluster.hosts[1].propose(group_id(0), [b"b"])
    cluster.run()
    cluster.hosts[2].order(group_id(0))
    log = cluster.hosts[2].remove(group_id(0))
    group = cluster.start(2, 0, 1, log)
    assert (group.applied, group.first_index(), group.last_index()) == (2, 2, 3)
    assert cluster.machines[2, 0].value == b"a"
    cluster.run()
    assert cluster.machines[2, 0].value == b"b"


def test_a_group_is_added_once():
    cluster = Cluster()
    with pytest.raises(RaftError, match="already"):
        cluster.start(1, 0, 1, None)


def test_the_machine_moves_to_a_version_that_all_can_run():
    cluster = Cluster(newest=(2, 2, 2))
    leader = cluster.lead(1)
    assert leader.propose_version(2) == VERSION_TOO_NEW
    cluster.hosts[1].tick()
    cluster.run()
    assert leader.common_version() == 2
    cluster.hosts[1].propose(group_id(0), [b"a"])
    cluster.hosts[1].order(group_id(0))
    assert leader.propose_version(2) > 0
    cluster.hosts[1].propose(group_id(0), [b"b"])
    cluster.run()
    assert {machine.value for machine in cluster.machines.values()} == {b"B"}
    assert cluster.hosts[3].replicas[group_id(0)].group.required_version == 2


def test_one_old_member_holds_the_version():
    cluster = Cluster(newest=(2, 1, 2))
    leader = cluster.lead(1)
    cluster.hosts[1].tick()
    cluster.run()
    assert leader.propose_version(2) == VERSION_TOO_NEW
    assert leader.propose_version(1) > 0


def test_entries_are_applied_in_order_and_changes_are_not_the_machines():
    applier = Applier(Register())
    assert applier.apply([Entry(1, 1, 0, b""), Entry(1, 2, CHANGE, b"x"), Entry(1, 3, 0, b"a")], False)[0].index == 3
    with pytest.raises(InvariantError, match="cannot follow 3"):
        applier.apply([Entry(1, 5, 0, b"b")], False)


def test_a_node_stops_at_a_version_that_it_cannot_run():
    applier = Applier(Register())
    with pytest.raises(InvariantError, match="version 2"):
        applier.apply([Entry(1, 1, VERSION, (2).to_bytes(4, "big"))], False)
    with pytest.raises(InvariantError, match="version 2"):
        applier.restore(Snapshot(1, 1, Members((1,)), (2).to_bytes(4, "big")))


def test_a_version_is_not_taken_back():
    applier = Applier(Register(newest=3))
    applier.apply([Entry(1, 1, VERSION, (3).to_bytes(4, "big")), Entry(1, 2, VERSION, (2).to_bytes(4, "big"))], False)
    assert applier.version == 3


def test_a_snapshot_carries_version_and_image():
    applier = Applier(Register(newest=3))
    applier.apply([Entry(1, 1, VERSION, (3).to_bytes(4, "big")), Entry(1, 2, 0, b"a")], False)
    other = Applier(Register(newest=3))
    other.restore(Snapshot(2, 1, Members((1,)), applier.snapshot()))
    assert (other.version, other.applied, other.machine.value) == (3, 2, b"A")
    with pytest.raises(MalformedError):
        other.restore(Snapshot(2, 1, Members((1,)), bytes(4) + b"broken"))


def test_a_learner_joins_in_a_host():
    cluster = Cluster()
    leader = cluster.lead(1)
    cluster.hosts[4] = MemoryHost()
    cluster.start(4, 0, 1, None)
    cluster.hosts[1].propose(group_id(0), [b"a"])
    cluster.hosts[1].order(group_id(0))
    assert leader.propose_change(Change([(ADD_LEARNER, 4)])) > 0
    cluster.run()
    assert cluster.machines[4, 0].value == b"a"
