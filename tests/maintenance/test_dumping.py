"""Dumping: everything in order, of one queue, also around damage."""

import json

from maintenance.building import flip, journal_files, segment_files

from amqpd.maintenance.directory import NodeDirectory
from amqpd.maintenance.dumping import Dump, as_json, as_text


def dump(path, queue=None, body_bytes=10, key_file=""):
    directory = NodeDirectory(path, str(key_file))
    try:
        return list(Dump(directory, queue, body_bytes).lines())
    finally:
        directory.close()


def messages(lines):
    return [line for line in lines if line["kind"] == "message"]


def test_messages_are_shown_with_what_they_are(data_dir):
    (shown,) = [line for line in messages(dump(data_dir)) if line["body"] == "one"]
    assert [log["queue"] for log in shown["logs"]] == ["//q", "//small"]
    assert (shown["exchange"], shown["routing_key"], shown["size"], shown["persistent"]) == ("both", "q", 3, True)
    assert shown["properties"] == {"headers": {"n": 1}, "delivery_mode": 2, "message_id": "m-1"}
    assert shown["file"] in {file.name for file in journal_files(data_dir)}


def test_a_queue_is_dumped_in_the_order_of_journal_and_segments(data_dir):
    lines = dump(data_dir, "//small")
    assert [line["body"] for line in messages(lines)] == ["one", "two"]
    stored = [line for line in messages(dump(data_dir, "//q")) if line["file"].endswith(".seg")]
    indexes = [log["index"] for line in stored for log in line["logs"]]
    assert indexes == sorted(indexes)
    assert len(indexes) > 200
    assert dump(data_dir, "//none") == []


def test_records_that_are_no_messages_are_shown(data_dir):
    kinds = {line["kind"] for line in dump(data_dir)}
    assert {"group", "message", "settled", "stop", "page"} <= kinds


def test_a_body_is_shown_as_far_as_it_is_wanted(data_dir):
    assert {len(line["body"]) for line in messages(dump(data_dir, "//q", 0))} == {0}
    assert max(len(line["body"]) for line in messages(dump(data_dir, "//q", 20))) == 20


def test_damage_is_a_line_and_the_rest_is_shown(data_dir):
    whole = messages(dump(data_dir))
    flip(journal_files(data_dir)[0], 512 + 40 + 26 + 5000)
    flip(segment_files(data_dir)[0], 9000)
    lines = dump(data_dir)
    assert [line["file"].rsplit("/", 1)[-1] for line in lines if line["kind"] == "damaged"] == [
        journal_files(data_dir)[0].name,
        segment_files(data_dir)[0].name,
    ]
    assert len(whole) - 40 < len(messages(lines)) < len(whole)


def test_encrypted_messages_are_shown_with_the_key(encrypted, key_file):
    lines = messages(dump(encrypted, "//small", key_file=key_file))
    assert [line["body"] for line in lines] == ["one", "two"]
    assert len(messages(dump(encrypted, "//q", key_file=key_file))) > 300


def test_a_line_is_one_line(data_dir):
    for line in dump(data_dir, "//small"):
        assert json.loads(as_json(line)) == line
        assert "\n" not in as_text(line)
    text = [as_text(line) for line in dump(data_dir, "//small")]
    assert any('//q[400], //small[0] exchange="both" routing_key="q"' in line for line in text)
