"""Running amqpload: what comes of its output, its complaints and its silence."""

import json

import pytest
from benching import bench

load = bench("load")
run = bench("run")


class Node:
    """What `load.run` asks a node for."""

    port = 5699
    pid = 1

    def cpu_s(self):
        return 1.0


@pytest.fixture
def amqpload(monkeypatch, tmp_path):
    """Make amqpload a script of these lines."""

    def make(*lines):
        program = tmp_path / "amqpload"
        program.write_text("\n".join(["#!/bin/sh", *lines]))
        program.chmod(0o755)
        monkeypatch.setattr(load, "AMQPLOAD", program)

    return make


def test_figures_are_what_it_printed(amqpload):
    amqpload("echo '{\"consumed\":3,\"ok\":1}'")
    assert load.run(Node(), "--size 16")["consumed"] == 3


def test_it_is_told_the_port_and_the_options(amqpload):
    amqpload('printf \'{"label":"%s"}\' "$*"')
    assert load.run(Node(), "--size 16")["label"].startswith("--port 5699 --size 16")


def test_a_bad_run_has_figures_and_a_complaint(amqpload):
    amqpload("echo 'amqpload: producer 0: end of stream' >&2", 'echo \'{"ok":0}\'', "exit 1")
    figures = load.run(Node(), "")
    assert figures["complaint"] == "amqpload: producer 0: end of stream"
    assert run.broken(figures) == ["amqpload: producer 0: end of stream"]


def test_a_run_without_figures_is_an_error(amqpload):
    amqpload("echo 'amqpload: login: refused' >&2", "exit 1")
    with pytest.raises(load.LoadError, match="login: refused"):
        load.run(Node(), "--size 16")


def test_a_run_without_end_is_an_error(amqpload):
    amqpload("exec sleep 60")
    with pytest.raises(load.LoadError, match="no end within"):
        load.run(Node(), "", timeout_s=0.05)


FLOOD_OR_PROBE = 'case "$*" in *--autoack*) '


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr(run, "FLOOD_RISES_S", 0)


def test_a_run_beside_a_flood_says_how_fast_that_was(amqpload, at_once):
    amqpload(
        FLOOD_OR_PROBE + "echo '{\"consumed_per_s\":5.0,\"ok\":1}' ;;",
        "*) echo '{\"confirm_us\":{\"p99\":3},\"ok\":1}' ;; esac",
    )
    figures = run.beside_flood(Node(), "--confirm 1")
    assert figures == {"confirm_us": {"p99": 3}, "ok": 1, "flood_per_s": 5.0}


def test_what_a_flood_lost_is_told(amqpload, at_once):
    amqpload(
        FLOOD_OR_PROBE + "echo '{\"consumed_per_s\":5.0,\"ok\":0,\"lost\":2}' ;;",
        "*) echo '{\"ok\":1}' ;; esac",
    )
    assert run.broken(run.beside_flood(Node(), "")) == ["of the flood 2 lost"]


def test_a_run_that_fails_beside_a_flood_waits_for_its_end(amqpload, at_once, tmp_path):
    ended = tmp_path / "ended"
    amqpload(
        FLOOD_OR_PROBE + f"sleep 0.1; touch {ended}; echo '{{\"consumed_per_s\":5.0}}' ;;",
        "*) echo 'refused' >&2; exit 1 ;; esac",
    )
    with pytest.raises(load.LoadError, match="refused"):
        run.beside_flood(Node(), "")
    assert ended.exists()


def test_figures_are_found_by_path():
    figures = {"cpu": 2, "latency_us": {"p99": 7.5}, "label": "x"}
    assert load.find(figures, "cpu") == 2.0
    assert load.find(figures, "latency_us/p99") == 7.5
    assert load.find(figures, "latency_us/p50") is None
    assert load.find(figures, "label") is None
    assert load.find(figures, "cpu/p50") is None


def test_what_went_wrong_is_said():
    assert run.broken({"ok": 1, "lost": 0, "duplicates": 2, "redelivered": 2}) == []
    wrong = run.broken({"ok": 0, "lost": 3, "duplicates": 5, "redelivered": 1, "out_of_order": 2})
    assert wrong == ["3 lost", "2 out_of_order", "4 duplicated"]


def test_a_missing_library_is_named(monkeypatch, tmp_path):
    (tmp_path / "Makefile").write_text("all:\n\t@echo 'apt-get install librabbitmq-dev' >&2; exit 1\n")
    monkeypatch.setattr(load, "DIRECTORY", tmp_path)
    with pytest.raises(load.LoadError, match="librabbitmq-dev"):
        load.build()


def test_figures_are_json():
    json.dumps(bench("results").machine())
