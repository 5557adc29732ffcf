"""etcd's scenarios on our core (`etcd/replay.py` tells what is compared), and whether the comparison would notice.

The scenarios lie beside the repository, or where AMQPD_ETCD_SCENARIOS points to; without them most of this is skipped.
"""

import re

import pytest
from raft.etcd import replay
from raft.etcd.cluster import Cluster
from raft.etcd.datadriven import parse, read
from raft.etcd.traffic import Line

from amqpd.raft.group import Group

ABSENT = f"NOT REPLAYED: there are no scenarios in {replay.ROOT}; {replay.VARIABLE} can name another place"
FILES = replay.files()
HAVE_THEM = pytest.mark.skipif(not FILES, reason=f"etcd: {ABSENT}")

# Words that stand for facts, and what a wrong fact could have there.
WRONG = {
    "StateFollower": "StateLeader",
    "StateLeader": "StateFollower",
    "StateCandidate": "StatePreCandidate",
    "StatePreCandidate": "StateCandidate",
    "StateProbe": "StateReplicate",
    "StateReplicate": "StateProbe",
    "StateSnapshot": "StateProbe",
    "follower": "candidate",
    "pre-candidate": "candidate",
    "candidate": "leader",
    "leader": "follower",
    "cast": "rejected",
    "rejected": "cast",
    "ignored": "cast",
    "rejection ": "",
    "true": "false",
    "false": "true",
    "(Voter)": "(Non-Voter)",
    "(Non-Voter)": "(Voter)",
    "MsgVote": "MsgPreVote",
    "MsgPreVote": "MsgVote",
    "MsgApp": "MsgHeartbeat",
    "MsgHeartbeat": "MsgApp",
    "MsgSnap": "MsgApp",
    "MsgStorageAppend": "MsgStorageApply",
    "AppendThread": "ApplyThread",
    "EntryNormal": "EntryConfChangeV2",
    "EntryConfChangeV2": "EntryNormal",
    "prop": "drop",
    " Rejected": "",
    " paused": "",
    " inactive": "",
    "[full]": "",
    " learner": "",
    " autoleave": "",
    "dropped: ": "",
    "voters=(": "voters=(9 ",
    "learners=(": "learners=(9 ",
    "Voters:[": "Voters:[9 ",
    "VotersOutgoing:[": "VotersOutgoing:[9 ",
    "Learners:[": "Learners:[9 ",
    "AddNode": "AddLearnerNode",
    "VoteWon": "VotePending",
    "VotePending": "VoteLost",
    "VoteLost": "VoteWon",
    "x>": ">",
    "∞": "0",
}


def agreeing_blocks():
    return [one for file in FILES for one in replay.outcome(file) if one.agrees]


def notices(outcome, expected):
    return replay.compare(expected, outcome.actual, outcome.level) != []


def with_line(outcome, place, *lines):
    expected = outcome.block.expected
    return [*expected[:place], *lines, *expected[place + 1 :]]


@pytest.mark.parametrize("file", FILES)
def test_file_agrees_or_differs_as_listed(file):
    assert {one.block.place: one.problems for one in replay.outcome(file) if not one.as_listed} == {}


def test_the_count(capsys):
    if not FILES:
        with capsys.disabled():
            print(f"\netcd: {ABSENT}")
        pytest.skip(f"etcd: {ABSENT}")
    with capsys.disabled():
        print(f"\n{replay.summary()}")
        for place, (reason, _) in replay.DIFFERENT.items():
            print(f"etcd: {place} differs: {reason}")
    blocks = [one for file in FILES for one in replay.outcome(file)]
    assert (len(FILES), len(blocks)) == (replay.FILES, replay.BLOCKS)
    assert {one.block.place for one in blocks} >= set(replay.DIFFERENT)
    assert sum(one.agrees for one in blocks) == replay.BLOCKS - len(replay.DIFFERENT)


# Would it be noticed?


@HAVE_THEM
def test_every_single_wrong_number_is_noticed():
    missed = []
    count = 0
    for outcome in agreeing_blocks():
        for place, line in enumerate(outcome.block.expected):
            for number in re.finditer(r"\d+", line):
                count += 1
                # The version of an encoding is no fact (ConfChangeV2).
                if line[: number.start()].endswith("EntryConfChangeV"):
                    continue
                wrong = line[: number.start()] + str(int(number[0]) + 1) + line[number.end() :]
                if not notices(outcome, with_line(outcome, place, wrong)):
                    missed.append((outcome.block.place, wrong))
    assert missed == []
    assert count > 10_000


@HAVE_THEM
@pytest.mark.parametrize("word", WRONG)
def test_every_wrong_word_is_noticed(word):
    missed = []
    count = 0
    for outcome in agreeing_blocks():
        for place, line in enumerate(outcome.block.expected):
            if word in line:
                count += 1
                wrong = line.replace(word, WRONG[word], 1)
                if not notices(outcome, with_line(outcome, place, wrong)):
                    missed.append((outcome.block.place, wrong))
    assert missed == []
    assert count > 0


@HAVE_THEM
def test_every_line_that_is_missing_or_too_much_is_noticed():
    """Of log lines, those that tell of a change may not be missing; the others only say more about one."""
    missed = []
    for outcome in agreeing_blocks():
        for place, line in enumerate(outcome.block.expected):
            if line == "ok":
                continue
            logged = replay.claims.LINE.fullmatch(line)
            telling = not logged or tells_of_change(outcome, logged[2])
            if telling and not notices(outcome, with_line(outcome, place)):
                missed.append((outcome.block.place, "without", line))
            if not notices(outcome, with_line(outcome, place, line, line)):
                missed.append((outcome.block.place, "twice", line))
    assert missed == []


def tells_of_change(outcome, text):
    """Whether `text` tells of a role or a configuration that was another one before."""
    changes = [change for line in outcome.actual for change in line.changes]
    return any(f"nothing says: {text}" in replay.claims.unsaid([], change) for change in changes)


@HAVE_THEM
def test_nothing_printed_is_not_the_same_as_something():
    silent = [one for one in agreeing_blocks() if one.block.expected == ["ok"] and one.level < 5]
    assert silent
    for outcome in silent:
        assert notices(outcome, ["1->2 MsgApp Term:1 Log:1/1"])
        assert notices(outcome, ["INFO 1 became leader at term 77"])
        assert notices(outcome, ["INFO something of no known kind"])


@HAVE_THEM
@pytest.mark.parametrize(
    ("file", "right", "wrong"),
    [
        ("testdata/campaign.txt", "Log:1/2 Commit:2", "Log:1/2 Commit:3"),
        ("testdata/checkquorum.txt", "campaign 2", "campaign 3"),
        ("testdata/replicate_pause.txt", "inflight=3\n", "inflight=4\n"),
        ("quorum/testdata/joint_vote.txt", "vote cfg=(1) cfgj=(1) votes=(y)", "vote cfg=(1) cfgj=(1) votes=(n)"),
        ("confchange/testdata/joint_safety.txt", "r1 v2 v3 l4", "r1 v2 v3 v4"),
    ],
)
def test_a_wrong_copy_of_a_file_disagrees(file, right, wrong, tmp_path):
    text = (replay.ROOT / file).read_text("utf-8")
    assert right in text
    copy = tmp_path / file
    copy.parent.mkdir(parents=True)
    copy.write_text(text.replace(right, wrong, 1), "utf-8")
    assert replay.files(tmp_path) == [file]
    assert not all(one.agrees for one in replay.replay(read(copy, tmp_path)))


@HAVE_THEM
def test_what_breaks_the_core_counts_for_the_rest_of_the_file(monkeypatch):
    def broken(self):
        raise RuntimeError("out of order")

    monkeypatch.setattr(Group, "campaign", broken)
    outcomes = replay.replay(read(replay.ROOT / "testdata/campaign.txt", replay.ROOT))
    assert [one.agrees for one in outcomes] == [True, True, False, False]
    assert "out of order" in outcomes[-1].problems[0]


# Without the files.


def play(text):
    cluster = Cluster()
    return [line for block in parse("here", text) for line in cluster.play(block)], cluster


def test_a_scenario_of_our_own():
    lines, cluster = play(
        "add-nodes 1 voters=(1) index=2\n----\n\ncampaign 1\n----\n\nstabilize\n----\n\nraft-state\n----\n"
    )
    assert lines[-1].text == "1: StateLeader (Voter) Term:1 Lead:1"
    assert [member.disk.hard_state.vote for member in cluster.members.values()] == [1]


def test_a_log_line_has_to_tell_of_a_change():
    lines, _ = play("add-nodes 1 voters=(1) index=2\n----\n")
    said = [
        "INFO 1 switched to configuration voters=(1)",
        "INFO 1 became follower at term 0",
        "INFO newRaft 1 [peers: [1], term: 0, commit: 2, applied: 2, lastindex: 2, lastterm: 1]",
    ]
    assert replay.compare(said, lines, 0) == []
    assert replay.compare(said[1:], lines, 0) == ["nothing says: 1 switched to configuration voters=(1)"]
    assert replay.compare([*said, "INFO 1 is asleep"], lines, 0) == ["a log line of no known kind: 1 is asleep"]
    assert replay.compare(said, [Line(None)], 0) != []


@pytest.mark.parametrize("text", ["dance 1\n----\n", "add-nodes 1 voters=(1) index=2 mood=good\n----\n"])
def test_unknown_directives_and_options_are_refused(text):
    with pytest.raises(ValueError, match="here:1: unknown"):
        play(text)


def test_form():
    text = "# a comment\n\nset 1 x a=(b, c) d=e f=()\nin 1\nin 2\n----\nout\n\n"
    text += "long\n----\n----\na\n\nb\n----\n----\nlast\n----\n"
    first, second, third = parse("here", text)
    assert (first.place, first.command, first.words) == ("here:3", "set", ["1", "x"])
    assert first.arguments == {"1": None, "x": None, "a": ["b", "c"], "d": ["e"], "f": []}
    assert (first.one("d"), first.one("z", "0"), first.many("a"), first.many("z")) == ("e", "0", ["b", "c"], [])
    assert (first.input, first.expected) == (["in 1", "in 2"], ["out"])
    assert (second.input, second.expected) == ([], ["a", "", "b"])
    assert (third.place, third.expected) == ("here:17", [])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a\n", "here:1: no ---- follows"),
        ("a\n----\n----\nb\n", "here:1: the output does not end"),
        ("a (b)\n----\n", "here:1: an argument is expected"),
        ("a b b\n----\n", "here:1: b is given twice"),
    ],
)
def test_malformed_text_is_refused(text, problem):
    with pytest.raises(ValueError, match=problem):
        parse("here", text)


def test_several_values_are_not_one():
    with pytest.raises(ValueError, match="a has 2 values"):
        parse("here", "x a=(1,2)\n----\n")[0].one("a")
