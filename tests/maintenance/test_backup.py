"""Backups of stopped nodes, and what can be restored from them."""

import errno
import json
import os

import pytest
from maintenance.building import KEYS, copied, cut, drained, flip, journal_files, segment_files, tree
from maintenance.test_checking import check, waiting
from maintenance.test_repair import WHOLE
from operating import running

from amqpd.errors import ConfigError, DamagedError, StorageError, VersionError
from amqpd.maintenance import copying, manifest
from amqpd.maintenance.backup import back_up
from amqpd.maintenance.directory import NodeDirectory
from amqpd.maintenance.restore import restore
from amqpd.runtime.datadir import RESTORING, DataDir

WHEN = "2026-01-01T00:00:00Z"


def backed_up(path, target):
    directory = NodeDirectory(path)
    try:
        return back_up(directory, target, WHEN)
    finally:
        directory.close()


@pytest.fixture
def backup(data_dir, tmp_path):
    backed_up(data_dir, tmp_path / "backup")
    return tmp_path / "backup"


def test_a_backup_is_restored_somewhere_else(data_dir, backup, tmp_path):
    before = tree(data_dir)
    manifest = restore(backup, tmp_path / "new" / "place")
    assert manifest.time == WHEN
    assert tree(data_dir) == before
    assert drained(tmp_path / "new" / "place") == WHOLE


def test_a_backup_has_what_its_manifest_says(data_dir, backup):
    files = tree(backup)
    entries = json.loads((backup / "manifest.json").read_text())["files"]
    assert {each["name"]: each["sha256"] for each in entries} == {
        name: digest for name, digest in files.items() if name != "manifest.json"
    }
    assert files["definitions.sqlite"]
    messages = {name: digest for name, digest in files.items() if name.startswith("messages/")}
    assert messages.items() <= tree(data_dir).items()


def test_a_backup_can_be_checked(backup):
    checked = check(backup)
    assert checked.damages == []
    assert waiting(checked)["//q"] == len(WHOLE["q"])


def test_a_copy_takes_no_space_for_zeros_unless_it_is_to(tmp_path):
    source = tmp_path / "source"
    source.write_bytes(b"begin".ljust(4 * copying.CHUNK, b"\0"))
    for dense in (False, True):
        copy = copying.FileCopy(copying.Source("a", source), tmp_path / f"{dense}", dense)
        while copy.step():
            pass
        assert copy.finish().digest == copying.digest_of(source)
        assert (tmp_path / f"{dense}").read_bytes() == source.read_bytes()
    assert (tmp_path / "False").stat().st_blocks < (tmp_path / "True").stat().st_blocks


def test_what_is_restored_has_its_space(data_dir, backup, tmp_path):
    restore(backup, tmp_path / "new")
    file = journal_files(tmp_path / "new")[-1]
    assert file.stat().st_blocks * 512 >= file.stat().st_size


def test_encrypted_messages_stay_so_and_no_key_is_in_a_backup(encrypted, key_file, tmp_path):
    backed_up(encrypted, tmp_path / "backup")
    for file in (tmp_path / "backup").rglob("*"):
        if file.is_file():
            data = file.read_bytes()
            assert bytes.fromhex(KEYS.split()[1]) not in data
            assert b"xxxxxxxxxxxxxxxx" not in data
    restore(tmp_path / "backup", tmp_path / "new")
    assert drained(tmp_path / "new", encryption__key_file=str(key_file)) == WHOLE


def test_a_directory_that_is_in_use_is_left_alone(data_dir, backup, tmp_path):
    before = tree(data_dir)
    with pytest.raises(StorageError, match="is not empty"):
        restore(backup, data_dir)
    assert tree(data_dir) == before
    with pytest.raises(StorageError, match="is not empty"):
        backed_up(data_dir, backup)


@pytest.mark.parametrize("inside", [".", "backup", "messages/segments/backup"])
def test_a_directory_does_not_become_a_backup_of_itself(data_dir, inside):
    before = tree(data_dir)
    with pytest.raises(StorageError, match="is no place for its own backup"):
        backed_up(data_dir, data_dir / inside)
    assert tree(data_dir) == before


async def test_a_running_node_is_backed_up_by_itself(tmp_path):
    async with running(tmp_path / "data"):
        with pytest.raises(ConfigError, match="stop it first"):
            backed_up(tmp_path / "data", tmp_path / "backup")
    assert not (tmp_path / "backup").exists()


def test_a_backup_that_was_interrupted_is_refused(backup, tmp_path):
    (backup / "manifest.json").unlink()
    with pytest.raises(StorageError, match="interrupted"):
        restore(backup, tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda path: flip(segment_files(path)[0], 5000), "SHA-256"),
        (lambda path: flip(journal_files(path)[0], 5000), "SHA-256"),
        (lambda path: flip(path / "definitions.sqlite", 5000), "SHA-256"),
        (lambda path: cut(journal_files(path)[0], 512), "512 bytes"),
        (lambda path: segment_files(path)[0].unlink(), "not complete"),
        (lambda path: (path / "manifest.json").write_text("{"), "damaged"),
        (lambda path: (path / "manifest.json").write_text("[]"), "damaged"),
    ],
)
def test_a_damaged_backup_is_refused_before_anything_is_written(backup, tmp_path, harm, says):
    harm(backup)
    with pytest.raises(StorageError, match=says):
        restore(backup, tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["../outside", "/etc/outside", "a/../../outside", "", "manifest.json"])
def test_nothing_is_written_outside(backup, tmp_path, name):
    found = json.loads((backup / "manifest.json").read_text())
    found["files"][0]["name"] = name
    (backup / "manifest.json").write_text(json.dumps(found))
    with pytest.raises(StorageError, match="damaged"):
        restore(backup, tmp_path / "new")


def test_a_backup_of_a_later_format_is_refused(backup, tmp_path):
    found = json.loads((backup / "manifest.json").read_text())
    (backup / "manifest.json").write_text(json.dumps({**found, "version": manifest.VERSION + 1}))
    with pytest.raises(VersionError, match="use a newer one"):
        restore(backup, tmp_path / "new")


def full(*_arguments):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_leaves_nothing_of_a_backup(data_dir, tmp_path, monkeypatch):
    before = tree(data_dir)
    monkeypatch.setattr(copying.os, "pwrite", full)
    with pytest.raises(StorageError, match="free space"):
        backed_up(data_dir, tmp_path / "backup")
    monkeypatch.undo()
    assert not (tmp_path / "backup").exists()
    assert tree(data_dir) == before


def test_no_node_starts_on_a_restore_that_did_not_come_to_its_end(backup, tmp_path, monkeypatch):
    monkeypatch.setattr(copying.os, "pwrite", full)
    with pytest.raises(StorageError, match="free space"):
        restore(backup, tmp_path / "new")
    monkeypatch.undo()
    with pytest.raises(ConfigError, match="restore again"):
        DataDir(tmp_path / "new")
    with pytest.raises(StorageError, match="empty it first"):
        restore(backup, tmp_path / "new")
    assert (tmp_path / "new" / RESTORING).exists()


def test_what_cannot_even_be_listed_is_not_backed_up(data_dir, tmp_path):
    (data_dir / "messages" / "node").unlink()
    with pytest.raises(DamagedError, match="amqpd store check"):
        backed_up(data_dir, tmp_path / "backup")
    assert not (tmp_path / "backup").exists()


def test_messages_without_definitions_are_not_backed_up(data_dir, tmp_path):
    (data_dir / "definitions.sqlite").unlink()
    with pytest.raises(DamagedError, match="without their queues"):
        backed_up(data_dir, tmp_path / "backup")
    assert not (tmp_path / "backup").exists()


def test_a_node_that_only_has_definitions(tmp_path, data_dir):
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / "definitions.sqlite").write_bytes((data_dir / "definitions.sqlite").read_bytes())
    backed_up(tmp_path / "only", tmp_path / "backup")
    restore(tmp_path / "backup", tmp_path / "new")
    assert drained(copied(tmp_path / "new", tmp_path / "started")) == {"q": [], "small": []}


def test_the_writer_of_a_backup_says_which_file_became_shorter(tmp_path):
    (tmp_path / "source").write_bytes(b"123")
    with pytest.raises(StorageError, match="was cut: it has 3 bytes, and had 4"):
        copying.FileCopy(copying.Source("a", tmp_path / "source", 4, cut=True), tmp_path / "copy")
