"""The fuzzing run without a guide: its inputs are what a seed says, and the one that raises is there afterwards."""

import itertools
import random
import sys

import pytest
from fuzz import blind, targets

from amqpd.runtime import build

KNOWN = [b"abcdefgh" * 10, b"0123456789" * 5]


def some(seed, count=300, known=KNOWN, size_max=90):
    return list(itertools.islice(blind.inputs(known, size_max, random.Random(seed)), count))


def test_a_seed_gives_the_same_inputs_again_and_another_seed_others():
    assert some("a") == some("a")
    assert some("a") != some("b")


def test_inputs_are_no_longer_than_they_may_be():
    assert max(len(data) for data in some("a", size_max=40)) == 40


def test_most_inputs_are_like_what_is_known_and_some_are_not():
    close = [data for data in some("a") if b"abcd" in data or b"0123" in data]
    assert 200 < len(close) < 300


def test_without_a_corpus_inputs_are_made_of_nothing():
    assert len(set(some("a", known=[]))) > 250


def test_each_input_is_tried(tmp_path):
    seen = []
    found = iter([b"long one", b"", b"short"])
    assert blind.tried(seen.append, found, tmp_path / "current", lambda count: count < 3) == 3
    assert seen == [b"long one", b"", b"short"]
    assert (tmp_path / "current").read_bytes() == b"short"


def test_the_input_that_raises_is_there_afterwards(tmp_path):
    def target(data):
        assert data != b"bad"

    with pytest.raises(AssertionError):
        blind.tried(target, iter([b"good and long", b"bad", b"good"]), tmp_path / "current", lambda count: True)
    assert (tmp_path / "current").read_bytes() == b"bad"


def test_a_run_of_no_time_tries_nothing_and_refuses_what_is_interpreted(tmp_path, monkeypatch, capsys):
    arguments = ["--corpus", str(tmp_path), "--current", str(tmp_path / "c"), "--size-max", "10", "--seconds", "0"]
    monkeypatch.setattr(sys, "argv", ["blind.py", next(iter(targets.TARGETS)), *arguments])
    monkeypatch.setattr(blind.logging, "disable", lambda level: None)
    monkeypatch.setattr(build, "mode", lambda: "compiled")
    assert blind.main() == 0
    assert capsys.readouterr().out == "inputs: 0\n"
    monkeypatch.setattr(build, "mode", lambda: "interpreted")
    with pytest.raises(SystemExit):
        blind.main()
    assert "amqpd is interpreted here" in capsys.readouterr().err
