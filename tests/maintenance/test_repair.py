"""Repairing: nothing without consent; then a node that starts with everything that was whole."""

import logging
import random
import shutil

import pytest
from maintenance.building import (
    WAITING,
    body,
    cut,
    drained,
    flip,
    journal_files,
    segment_files,
    tree,
)
from operating import running

from amqpd.errors import ConfigError, DamagedError, StorageFullError
from amqpd.maintenance import checking, repairs
from amqpd.maintenance.directory import NodeDirectory
from amqpd.maintenance.repair import REWRITTEN, Repair
from amqpd.store.files import DiskFile

WHEN = "2026-01-01T00:00:00Z"
WHOLE = {"q": [body(number) for number in range(20, 400)] + [b"one"], "small": [b"one", b"two"]}
EVER = {"q": [body(number) for number in range(400)] + [b"one"], "small": [b"one", b"two"]}
"""What was settled can come back where the record of that is lost."""


def repaired(path, key_file=""):
    """Repair it; what was recorded."""
    directory = NodeDirectory(path, str(key_file))
    try:
        lines = Repair(directory).run(WHEN)
        assert [damage for damage in checking.check(directory).damages if "sqlite" not in damage.path] == []
        return lines
    finally:
        directory.close()


def planned(path):
    directory = NodeDirectory(path)
    try:
        return Repair(directory)
    finally:
        directory.close()


def is_subsequence(some, whole):
    rest = iter(whole)
    return all(each in rest for each in some)


HARMS = {
    "a bit in a batch": lambda path: flip(journal_files(path)[0], 512 + 40 + 26 + 5000),
    "a header of the journal": lambda path: flip(journal_files(path)[0], 20),
    "a file of the journal": lambda path: journal_files(path)[0].unlink(),
    "the journal cut": lambda path: cut(journal_files(path)[0], 300_000),
    "the whole journal": lambda path: shutil.rmtree(path / "messages/journal"),
    "which file is first": lambda path: (path / "messages/journal/first").unlink(),
    "which file is last": lambda path: (path / "messages/journal/last").unlink(),
    "the newest file of the journal": lambda path: journal_files(path)[-1].unlink(),
    "messages in a segment": lambda path: flip(segment_files(path)[0], 9000),
    "the head of a page": lambda path: flip(segment_files(path)[0], 520),
    "a header of a segment": lambda path: flip(segment_files(path)[0], 20),
    "a segment": lambda path: segment_files(path)[0].unlink(),
    "a segment cut": lambda path: cut(segment_files(path)[0], segment_files(path)[0].stat().st_size - 1000),
    "a segment cut to nothing": lambda path: cut(segment_files(path)[0], 0),
    "the inventory": lambda path: flip(path / "messages/segments/inventory", 520),
    "all segments": lambda path: shutil.rmtree(path / "messages/segments"),
    "whose it is": lambda path: flip(path / "messages/node", 20),
}
NOTHING_LOST = {"which file is first", "which file is last", "the inventory", "whose it is"}


@pytest.mark.parametrize("harm", HARMS)
def test_without_consent_nothing_is_changed(data_dir, harm):
    HARMS[harm](data_dir)
    before = tree(data_dir)
    assert planned(data_dir).damages
    assert tree(data_dir) == before


@pytest.mark.parametrize("harm", HARMS)
def test_a_repaired_node_starts_with_all_that_was_whole(data_dir, harm):
    HARMS[harm](data_dir)
    lines = repaired(data_dir)
    assert "with the loss accepted" in lines[0]
    assert len(lines) > 2
    assert lines[-1] == "repair: done"
    found = drained(data_dir)
    for name, bodies in found.items():
        assert is_subsequence(bodies, EVER[name]), name
    if harm in NOTHING_LOST:
        assert found == WHOLE
    elif "segment" not in harm and "journal" not in harm:
        assert sum(map(len, found.values())) > 300
    assert drained(data_dir) == {"q": [], "small": []}


@pytest.mark.parametrize("harm", ["a bit in a batch", "messages in a segment"])
def test_only_what_is_damaged_is_lost_and_a_copy_is_kept(data_dir, harm):
    HARMS[harm](data_dir)
    directory = NodeDirectory(data_dir)
    (damage,) = checking.check(directory).damages
    directory.close()
    harmed = tree(data_dir / "messages")
    repaired(data_dir)
    kept = tree(data_dir / "messages" / "damaged-1")
    assert kept
    assert kept.items() <= harmed.items()
    assert len(drained(data_dir)["q"]) == WAITING["//q"] - damage.messages["//q"].count()


def test_encrypted_messages_stay_encrypted(encrypted, key_file):
    flip(journal_files(encrypted)[0], 512 + 40 + 26 + 5000)
    flip(segment_files(encrypted)[0], 9000)
    repaired(encrypted, key_file)
    directory = NodeDirectory(encrypted, str(key_file))
    assert set(checking.check(directory).keys()) == {b"\xa1" + bytes(15)}
    directory.close()
    found = drained(encrypted, encryption__key_file=str(key_file))
    assert is_subsequence(found["q"], WHOLE["q"])
    assert found["small"] == WHOLE["small"]


def test_what_is_lost_is_recorded_and_the_node_says_it_once(data_dir, caplog):
    HARMS["messages in a segment"](data_dir)
    lines = repaired(data_dir)
    assert (data_dir / repairs.LOG).read_text() == "".join(f"{WHEN} {line}\n" for line in lines)
    assert "//q (messages " in lines[1]
    caplog.set_level(logging.WARNING, "amqpd.store")
    drained(data_dir)
    assert f"message store: {WHEN} {lines[1]}" in caplog.messages
    caplog.clear()
    drained(data_dir)
    assert not [message for message in caplog.messages if "given up" in message]
    assert (data_dir / repairs.LOG).exists()


def test_a_record_is_found_by_its_queue_where_the_one_that_names_it_is_damaged(data_dir):
    """The first batch of a file says what refs mean in it."""
    flip(journal_files(data_dir)[-1], 512 + 40 + 26 + 3)
    repaired(data_dir)
    assert drained(data_dir)["small"] == WHOLE["small"]


def test_a_second_repair_has_its_own_copies(data_dir):
    HARMS["a bit in a batch"](data_dir)
    repaired(data_dir)
    assert planned(data_dir).damages == []
    HARMS["messages in a segment"](data_dir)
    assert "damaged-2" in repaired(data_dir)[0]


def test_a_repair_that_was_interrupted_is_finished_by_the_next(data_dir, monkeypatch):
    HARMS["a bit in a batch"](data_dir)
    monkeypatch.setattr(Repair, "_rename", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        repaired(data_dir)
    monkeypatch.undo()
    assert (data_dir / "messages" / REWRITTEN).is_dir()
    with pytest.raises(DamagedError):
        drained(data_dir)
    again = planned(data_dir)
    assert (again.interrupted, again.damages) == (True, [])
    repaired(data_dir)
    assert len(drained(data_dir)["q"]) == WAITING["//q"] - 1


def test_a_repair_without_room_says_so_and_can_be_done_again(data_dir, monkeypatch):
    HARMS["a bit in a batch"](data_dir)

    def full(*_arguments):
        raise StorageFullError("no room")

    monkeypatch.setattr(DiskFile, "extend", full)
    with pytest.raises(StorageFullError):
        repaired(data_dir)
    monkeypatch.undo()
    assert "done" not in (data_dir / repairs.LOG).read_text()
    repaired(data_dir)
    assert len(drained(data_dir)["q"]) == WAITING["//q"] - 1


def test_a_repair_that_was_interrupted_before_is_begun_anew(data_dir):
    HARMS["a bit in a batch"](data_dir)
    left = data_dir / "messages" / REWRITTEN
    left.mkdir()
    (left / "00000000000000000001.jrn").write_bytes(b"half of it")
    repaired(data_dir)
    assert len(drained(data_dir)["q"]) == WAITING["//q"] - 1


def test_where_no_file_says_whose_it_is_the_node_begins_with_nothing(data_dir):
    for file in (data_dir / "messages").rglob("*"):
        if file.is_file():
            file.write_bytes(bytes(4096))
    assert "everything" in repaired(data_dir)[-2]
    assert drained(data_dir) == {"q": [], "small": []}


def test_the_definitions_are_not_repaired(data_dir):
    (data_dir / "definitions.sqlite").unlink()
    plan = planned(data_dir)
    assert plan.damages == []
    assert len(plan.definitions) == 1


async def test_a_running_node_is_not_repaired(tmp_path):
    async with running(tmp_path):
        with pytest.raises(ConfigError, match="stop it first"):
            planned(tmp_path)


@pytest.mark.parametrize("seed", range(12))
def test_whatever_is_flipped_nothing_is_invented(data_dir, seed):
    chance = random.Random(seed)
    files = sorted(file for file in (data_dir / "messages").rglob("*") if file.is_file() and "spare" not in file.name)
    for _ in range(chance.randint(1, 6)):
        file = chance.choice(files)
        flip(file, chance.randrange(file.stat().st_size), 1 << chance.randrange(8))
    if planned(data_dir).damages:
        repaired(data_dir)
    found = drained(data_dir)
    assert is_subsequence(found["q"], EVER["q"])
    assert is_subsequence(found["small"], EVER["small"])
