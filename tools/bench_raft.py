#!/usr/bin/env python3
"""What the Raft core costs: CPU per replicated message, and CPU of groups that have nothing to do.

    .venv-compiled/bin/python tools/bench_raft.py [--seconds S] [--size BYTES] [--profile CASE]

Three nodes in memory (`amqpd/raft/memory.py`), one process, no disk, no socket. A batch is proposed to the leader and
driven until every node has applied it; printed is the CPU of all three nodes together, for one message. So it is once
more with every message between nodes encoded and decoded, as a transport would have it. Then groups without work: what
it costs to ask one, and what a tick costs with a thousand of them on each node.

Only the processor's time is counted, so other programs disturb little. The best of a few runs is printed: the core is
deterministic, and whatever is added comes from outside. `--profile` runs one case, by its number, under cProfile
instead: interpreted only, compiled functions are not seen.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import pstats
import random
import sys
import time
from collections.abc import Callable
from importlib.machinery import EXTENSION_SUFFIXES
from typing import Final

from amqpd.raft import group as group_module
from amqpd.raft.codec import decode_message, encode_message
from amqpd.raft.config import Config
from amqpd.raft.group import Group
from amqpd.raft.machine import Effect, Machine, Outcome
from amqpd.raft.memory import MemoryHost
from amqpd.raft.messages import Members, Message
from amqpd.raft.states import LEADER

NODES: Final = (1, 2, 3)
BATCH: Final = 100
IDLE_GROUPS: Final = 1000
RUNS: Final = 5
BATCHES_PER_STEP: Final = 20

GOOD_US_PER_MESSAGE: Final = 5.0
"""What a message of 1 KiB in a batch of 100 may cost, compiled."""

NO_EFFECTS: Final[list[Effect]] = []


class Counter(Machine):
    """The cheapest machine there is: what is measured is the core."""

    def __init__(self) -> None:
        self.commands = 0
        self.outcome: Final = Outcome(b"", NO_EFFECTS)

    def newest_version(self) -> int:
        return 0

    def apply(self, index: int, version: int, command: bytes) -> Outcome:
        self.commands += 1
        return self.outcome

    def upgrade(self, version: int) -> None:
        """There is one version only."""

    def leader_effects(self) -> list[Effect]:
        return NO_EFFECTS

    def snapshot(self) -> bytes:
        return self.commands.to_bytes(8, "big")

    def restore(self, version: int, image: bytes) -> None:
        self.commands = int.from_bytes(image, "big")


class Cluster:
    """Three nodes with the same groups, all led by node 1."""

    def __init__(self, groups: int, encoded: bool) -> None:
        self.encoded: Final = encoded
        self.hosts: Final = {member: MemoryHost() for member in NODES}
        self.ids: Final = [number.to_bytes(16, "big") for number in range(1, groups + 1)]
        self.groups: Final[list[Group]] = []
        for group_id in self.ids:
            for member, host in self.hosts.items():
                rng = random.Random(member).randrange
                group = host.add(Config(group_id, member), Members(NODES), Counter(), rng)
                if member == 1:
                    group.campaign()
                self.groups.append(group)
        self.settle()
        if any((group.role == LEADER) != (group.member == 1) for group in self.groups):
            raise SystemExit("node 1 does not lead: there is nothing to measure")

    def settle(self) -> None:
        """Let all nodes work and carry their messages until nothing is left to do."""
        busy = True
        while busy:
            busy = False
            for host in self.hosts.values():
                outgoing = host.work()
                if outgoing:
                    self._carry(outgoing)
                busy = busy or bool(outgoing) or not host.idle()

    def _carry(self, outgoing: list[Message]) -> None:
        by_node: dict[int, list[Message]] = {}
        for message in outgoing:
            received = decode_message(encode_message(message)) if self.encoded else message
            by_node.setdefault(message.to, []).append(received)
        for member, messages in by_node.items():
            self.hosts[member].receive(messages)

    def forget(self) -> None:
        """Drop replies and the log, as a host does now and then."""
        for host in self.hosts.values():
            for group_id in self.ids:
                host.take_applied(group_id)
                host.take_snapshot(group_id, 0)


def cpu_us(work: Callable[[], None], seconds: float, between: Callable[[], None]) -> float:
    """CPU of one call of `work` in us: the best of a few runs. `between` tidies up, uncounted."""
    best = float("inf")
    for _ in range(RUNS):
        spent = 0.0
        calls = 0
        while calls == 0 or spent < seconds / RUNS:
            began = time.process_time()
            for _ in range(BATCHES_PER_STEP):
                work()
            spent += time.process_time() - began
            calls += BATCHES_PER_STEP
            between()
        best = min(best, spent / calls * 1e6)
    return best


def replication(size: int, entries: int, joined: bool, encoded: bool) -> tuple[Callable[[], None], Callable[[], None]]:
    """A case: `entries` entries of one message each, or one entry that carries a batch. Returns what to measure and
    what to do in between."""
    cluster = Cluster(1, encoded)
    group_id = cluster.ids[0]
    leader = cluster.hosts[1]
    message = bytes(size)

    def work() -> None:
        payloads = [b"".join([message] * BATCH)] if joined else [message] * entries
        if leader.propose(group_id, payloads) <= 0:
            raise SystemExit("a proposal was refused: there is nothing to measure")
        cluster.settle()
        if any(group.applied != group.last_index() for group in cluster.groups):
            raise SystemExit("a batch was not applied everywhere: there is nothing to measure")

    return work, cluster.forget


CASES: Final[dict[int, tuple[str, int, bool, int]]] = {
    1: ("1 message, alone", 1, False, 1),
    2: (f"{BATCH} messages, an entry each", BATCH, False, BATCH),
    3: (f"{BATCH} messages in one entry", 1, True, BATCH),
}
"""By number: what it is, how many entries, whether they are joined to one, how many messages that are."""


def replicate(seconds: float, size: int) -> None:
    """Print what a message costs."""
    print(f"messages of {size} bytes, us of CPU for each, 3 nodes together:")
    print(f"{'':34} {'as objects':>12} {'as bytes':>12}")
    for number, (name, entries, joined, messages) in CASES.items():
        costs = []
        for encoded in (False, True):
            work, between = replication(size, entries, joined, encoded)
            costs.append(cpu_us(work, seconds, between) / messages)
        print(f"{number}  {name:31} {costs[0]:12.2f} {costs[1]:12.2f}")
    print(f"the aim, compiled, for batches of {BATCH}: at most {GOOD_US_PER_MESSAGE:.0f} as objects")


def idle(seconds: float) -> None:
    """Print what groups cost that have nothing to do."""
    cluster = Cluster(IDLE_GROUPS, False)
    groups = cluster.groups
    per_pass = len(groups)

    def ask() -> None:
        for group in groups:
            group.ready()

    def tick() -> None:
        for host in cluster.hosts.values():
            host.tick()
        cluster.settle()

    def nothing() -> None:
        pass

    print(f"groups without work, us of CPU ({IDLE_GROUPS} on each of 3 nodes, node 1 leads all):")
    print(f"ready() of one{cpu_us(ask, seconds, nothing) / per_pass:33.3f}")
    print(f"one round of all{cpu_us(cluster.settle, seconds, nothing):31.3f}")
    followers = cluster.hosts[2]
    print(f"a tick of {IDLE_GROUPS} followers{cpu_us(quiet(followers), seconds, nothing):23.1f}")
    print(f"a tick everywhere, with heartbeats{cpu_us(tick, seconds, nothing):13.1f}")


def quiet(host: MemoryHost) -> Callable[[], None]:
    """A tick of all groups of `host`, whose leaders are heard of in between, without the cost of hearing them."""
    groups = [replica.group for replica in host.replicas.values()]

    def tick() -> None:
        host.tick()
        for group in groups:
            group.elapsed_ticks = 0

    return tick


def profile(number: int, seconds: float, size: int) -> None:
    """Print where the time of a case goes."""
    name, entries, joined, _ = CASES[number]
    work, between = replication(size, entries, joined, False)
    profiler = cProfile.Profile()
    until = time.process_time() + seconds
    while time.process_time() < until:
        profiler.enable()
        work()
        profiler.disable()
        between()
    print(name)
    pstats.Stats(profiler, stream=sys.stdout).strip_dirs().sort_stats("tottime").print_stats(25)


def compiled() -> bool:
    """Whether the core that is measured is compiled."""
    return (group_module.__file__ or "").endswith(tuple(EXTENSION_SUFFIXES))


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=1.0, metavar="S", help="of CPU for each figure")
    parser.add_argument("--size", type=int, default=1024, metavar="BYTES", help="of one message")
    parser.add_argument("--profile", type=int, choices=CASES, metavar="CASE")
    options = parser.parse_args()
    gc.freeze()
    print(f"amqpd.raft is {'compiled' if compiled() else 'interpreted'}, Python {sys.version.split()[0]}")
    if options.profile is not None:
        profile(options.profile, options.seconds, options.size)
        return
    replicate(options.seconds, options.size)
    idle(options.seconds)


if __name__ == "__main__":
    main()
