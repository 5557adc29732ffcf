"""etcd's published scenarios (Apache License 2.0), replayed on our core: are the facts the same?

The files are read from where AMQPD_ETCD_SCENARIOS points to, by default `../shared/reference/etcd-raft` beside the
repository; they are no part of it.

Compared, line by line and field by field, in the order in which they are printed:

  quorum/      the committed index and its table; the result of a vote; that neither depends on what it must not
  confchange/  the configuration; match, next, state and role of each member in it; which rule refuses a change
  testdata/    Ready      must-sync; leader and role; hard state; read states; entries to be written (term, index, kind,
                          payload or steps of the change); snapshot (index, term, configuration); entries to be applied
               messages   kind, sender, receiver, term, log term and index, rejection and hint, commit, entries,
                          snapshot: when they are sent, delivered, dropped
               threads    each write and each batch to be applied, with the hard state, entries and snapshot in it, the
                          answers that wait for it (own ones too), and the guard against overtaken writes (rule C4)
               members    log as written; role, voter or not, term, leader; progress (state, match, next, learner,
                          paused, pending snapshot, inactive, inflight, full)
               refusals   a proposal that is dropped; an answer of a member that is not known (which may change nothing)
               log lines  what they say of roles, terms, votes, configurations, progress, logs: `claims.py`
               order      what a step prints stands where the file has it; nothing more, nothing less

Left out:

  * the wording of log lines
  * EntryConfChange against EntryConfChangeV2: two encodings of a change, of which we have one. The steps are compared
  * must-sync of a write with a snapshot, as far as the snapshot goes: etcd leaves its sync to the host without the
    flag; ours has to be set then
  * content of snapshots, and how a change gets to its configuration (`transition`): etcd does not print them. The
    configurations that come of it are compared
  * when the answers of a member to itself take effect: with the first of the letters that etcd sends for one write

Blocks whose facts cannot agree, because raft.md chooses otherwise, stand in DIFFERENT with the reason. They are played
nevertheless, and have to differ in exactly that way.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from raft.etcd import claims
from raft.etcd.arithmetic import Configurations, Quorums
from raft.etcd.cluster import Cluster
from raft.etcd.datadriven import Block, read
from raft.etcd.traffic import Line

VARIABLE = "AMQPD_ETCD_SCENARIOS"
REPOSITORY = Path(__file__).resolve().parents[3]
ROOT = Path(os.environ.get(VARIABLE) or REPOSITORY.parent / "shared/reference/etcd-raft")
FILES = 41
BLOCKS = 743

EARLY_VOTE = "rule C1: a vote request leaves when the candidate's own vote is durable, not before"
NO_LEASE = "reads go by read index only, so nothing hangs on a leader's lease, and it can be forgotten"

NO_LEASE_LINES = [
    "not so: ignoring MsgForgetLeader due to ReadOnlyLeaseBased",
    "expected '2: StateFollower (Voter) Term:1 Lead:1', got '2: StateFollower (Voter) Term:1 Lead:0'",
]

DIFFERENT = {
    "testdata/async_storage_writes.txt:23": (EARLY_VOTE, EARLY_VOTE),
    "testdata/async_storage_writes_append_aba_race.txt:19": (EARLY_VOTE, EARLY_VOTE),
    "testdata/async_storage_writes_append_aba_race.txt:85": (EARLY_VOTE, EARLY_VOTE),
    "testdata/async_storage_writes_append_aba_race.txt:249": (EARLY_VOTE, EARLY_VOTE),
    "testdata/forget_leader_read_only_lease_based.txt:22": (NO_LEASE, NO_LEASE_LINES[0]),
    "testdata/forget_leader_read_only_lease_based.txt:26": (NO_LEASE, NO_LEASE_LINES[1]),
}
"""By block: the reason why it cannot agree, and what exactly does not."""


class Outcome:
    """One block, what our core did, and what does not agree."""

    def __init__(self, block: Block, actual: list[Line], level: int, problems: list[str]) -> None:
        self.block = block
        self.actual = actual
        self.level = level
        self.problems = problems

    @property
    def agrees(self) -> bool:
        """Whether all facts are the same."""
        return not self.problems

    @property
    def as_listed(self) -> bool:
        """Whether the block agrees, or differs exactly as DIFFERENT has it."""
        listed = DIFFERENT.get(self.block.place)
        return self.problems == ([] if listed is None else [listed[1]])


def files(root: Path = ROOT) -> list[str]:
    """The scenario files, by their place below `root`; empty where there are none."""
    return sorted(path.relative_to(root).as_posix() for path in root.glob("**/testdata/*.txt"))


def player(file: str) -> Quorums | Configurations | Cluster:
    """Who plays the blocks of `file`."""
    if file.startswith("quorum/"):
        return Quorums()
    if file.startswith("confchange/"):
        return Configurations()
    return Cluster()


def replay(blocks: list[Block]) -> list[Outcome]:
    """Play the blocks of one file, one after the other. A block that our core cannot play at all ends the file: all
    that follow do not agree either."""
    by = player(blocks[0].file)
    outcomes: list[Outcome] = []
    broken = ""
    for block in blocks:
        if broken:
            outcomes.append(Outcome(block, [], 0, [broken]))
            continue
        try:
            outcomes.append(play(by, block))
        except Exception as error:
            broken = f"broke at {block.place}: {type(error).__name__}: {error}"
            outcomes.append(Outcome(block, [], 0, [broken]))
    return outcomes


def play(by: Quorums | Configurations | Cluster, block: Block) -> Outcome:
    """Play one block."""
    if isinstance(by, Cluster):
        actual, level, early = by.play(block), by.level, by.released_votes
    else:
        actual, level, early = [Line(None), *map(Line, by.play(block))], 0, False
    problems = compare(block.expected, actual, level)
    return Outcome(block, actual, level, [*problems, EARLY_VOTE] if early else problems)


def compare(expected: list[str], actual: list[Line], level: int) -> list[str]:
    """What does not agree between a block's output and what our core did."""
    facts: list[tuple[str | None, list[str]]] = [(None, [])]
    for text in [] if expected == ["ok"] else expected:
        logged = claims.LINE.fullmatch(text)
        if logged:
            facts[-1][1].append(logged[2])
        else:
            facts.append((text.replace("EntryConfChange ", "EntryConfChangeV2 "), []))
    problems = []
    for (text, logs), line in zip(facts, actual, strict=False):
        if text != line.text:
            return [*problems, f"expected {text!r}, got {line.text!r}"]
        problems += [f"said twice: {log}" for log in set(logs) if logs.count(log) > 1]
        problems += [problem for log in logs if (problem := claims.check(log, line.changes))]
        if level <= claims.INFO:
            problems += [problem for change in line.changes for problem in claims.unsaid(logs, change)]
    missing = [text for text, _ in facts[len(actual) :]]
    more = [line.text for line in actual[len(facts) :]]
    if missing or more:
        problems.append(f"missing {missing}, too much {more}")
    return problems


@cache
def outcome(file: str) -> tuple[Outcome, ...]:
    """The outcome of one file below ROOT."""
    return tuple(replay(read(ROOT / file, ROOT)))


def totals() -> tuple[int, int]:
    """How many files and how many blocks agree in all their facts."""
    outcomes = [outcome(file) for file in files()]
    agreeing_files = sum(all(one.agrees for one in file) for file in outcomes)
    return agreeing_files, sum(one.agrees for file in outcomes for one in file)


def summary() -> str:
    """The line that a test run prints."""
    agreeing_files, agreeing_blocks = totals()
    return f"etcd: {agreeing_files} of {FILES} files, {agreeing_blocks} of {BLOCKS} blocks agree"
