"""`amqpd store`: what it prints, its exit codes, and that it minds its own business."""

import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner
from maintenance import building
from maintenance.building import WAITING, flip, journal_files, segment_files, tree

from amqpd.cli.main import main

COMMAND = [sys.executable, "-P", "-m", "amqpd", "store"]


@pytest.fixture(scope="module")
def _sound(tmp_path_factory):
    return building.build(tmp_path_factory.mktemp("sound") / "data")


@pytest.fixture
def data_dir(_sound, tmp_path):
    return building.copied(_sound, tmp_path / "data")


def store(*arguments):
    return CliRunner().invoke(main, ["store", *map(str, arguments)])


def done(*arguments, code=0):
    result = store(*arguments)
    assert result.exit_code == code, result.output
    return result.output


def test_check_says_what_is_there(data_dir):
    lines = done("check", data_dir).splitlines()
    assert lines[-1] == "sound"
    assert "  //q: 381 messages, 3800003 bytes" in lines
    assert "definitions: schema 0002, 2 durable queues" in lines
    files = len(journal_files(data_dir)) + len(segment_files(data_dir))
    assert f"encryption: {files} not encrypted" in lines


def test_check_as_json(data_dir):
    found = json.loads(done("check", data_dir, "--format", "json"))
    assert found["sound"] is True
    assert {each["queue"]: each["messages"] for each in found["queues"]} == WAITING
    flip(segment_files(data_dir)[0], 9000)
    found = json.loads(done("check", data_dir, "--format", "json", code=1))
    assert (found["sound"], found["damaged"][0]["offset"]) == (False, 512)
    assert list(found["damaged"][0]["messages"]) == ["//q"]


def test_check_names_damage(data_dir):
    flip(segment_files(data_dir)[0], 9000)
    lines = done("check", data_dir, code=1).splitlines()
    assert lines[-1] == "damaged in 1 place"
    assert lines[-2].startswith(f"damaged: {segment_files(data_dir)[0]}, byte 512: ")
    assert "concerned: //q (messages " in lines[-2]


def test_what_cannot_be_read_has_another_exit_code(tmp_path):
    assert done("check", tmp_path / "none", code=2) == f"amqpd: {tmp_path}/none: there is no such directory\n"
    assert "is no data directory" in done("dump", tmp_path, code=2)
    (tmp_path / "messages").mkdir()
    assert "key file" in done("check", tmp_path, "--key-file", tmp_path / "keys", code=2)


def test_dump_as_text_and_json(data_dir):
    assert '//q[400], //small[0] exchange="both"' in done("dump", data_dir, "--queue", "//small")
    lines = [json.loads(line) for line in done("dump", data_dir, "--queue", "//small", "--format", "json").splitlines()]
    assert [line["body"] for line in lines if line["kind"] == "message"] == ["one", "two"]
    shown = done("dump", data_dir, "--queue", "//small", "--body-bytes", "1")
    assert 'body="o"' in shown


def test_a_reader_of_a_dump_may_have_seen_enough(data_dir):
    dump = subprocess.Popen([*COMMAND, "dump", str(data_dir)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    dump.stdout.readline()
    dump.stdout.close()
    assert (dump.wait(timeout=60), dump.stderr.read()) == (0, b"")
    dump.stderr.close()


def test_repair_says_what_would_be_lost_and_then_does_it(data_dir):
    assert "nothing to repair" in done("repair", data_dir)
    flip(segment_files(data_dir)[0], 9000)
    before = tree(data_dir)
    said = done("repair", data_dir, code=1)
    assert "would be given up: " in said
    assert "--accept-loss" in said
    assert tree(data_dir) == before
    assert "given up: " in done("repair", data_dir, "--accept-loss")
    assert done("check", data_dir).endswith("sound\n")


def test_repair_does_not_touch_the_definitions(data_dir):
    (data_dir / "definitions.sqlite").unlink()
    said = done("repair", data_dir)
    assert "warning: not repaired, put back a copy" in said


def test_backup_and_restore(data_dir, tmp_path):
    assert "files, " in done("backup", data_dir, tmp_path / "backup")
    assert "is not empty" in done("backup", data_dir, tmp_path / "backup", code=1)
    assert "are restored to" in done("restore", tmp_path / "backup", tmp_path / "new")
    assert "is not empty" in done("restore", tmp_path / "backup", tmp_path / "new", code=1)
    assert done("check", tmp_path / "new").endswith("sound\n")


def test_a_read_only_data_directory_can_be_checked(data_dir):
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    for folder, _folders, files in os.walk(data_dir):
        os.chmod(folder, 0o500)
        for name in files:
            os.chmod(os.path.join(folder, name), 0o400)
    assert done("check", data_dir).endswith("sound\n")


@pytest.mark.parametrize("words", [["--version"], ["store", "--help"]])
def test_nothing_of_the_store_is_imported_for_a_word_about_it(words):
    command = [sys.executable, "-X", "importtime", *COMMAND[1:-1], *words]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stderr
    for module in ("amqpd.store.", "amqpd.maintenance", "sqlalchemy", "trio"):
        assert module not in loaded
