"""`amqpd bench` from end to end: what it prints and writes, its exit codes, and what becomes of each option."""

import csv
import json
import shlex
import signal
import subprocess
import sys
from datetime import datetime

import pytest
from click.testing import CliRunner

from amqpd.cli import benchoptions, benchrun
from amqpd.cli.bench import bench
from amqpd.cli.main import main
from amqpd.perftest.faults import OptionError
from amqpd.testing import run_broker
from amqpd.wire import content
from amqpd.wire.tables import boolean, long, longstr

NOW = datetime(2026, 1, 2, 10, 15, 0, 123_000)


@pytest.fixture(scope="module")
def broker():
    with run_broker() as broker:
        yield broker


def run(broker, *arguments, code=0):
    result = CliRunner().invoke(main, ["bench", "--uri", broker.url, "--id", "me", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result


def values(*arguments):
    """What click makes of a command line."""
    return bench.make_context("bench", [str(argument) for argument in arguments]).params


def options(*arguments):
    return benchoptions.options(values(*arguments), NOW)


# -- what it prints


def test_lines_and_a_summary(broker):
    lines = run(broker, "--pmessages", 200, "--confirm", 50).output.splitlines()
    assert lines[0].startswith("id: me, time ")
    assert "confirmed: " in lines[0]
    assert "test stopped (message limit reached)" in lines
    summary = lines[lines.index("test stopped (message limit reached)") + 1 :]
    starts = ["sending rate avg: ", "receiving rate avg: ", "consumer latency min/", "confirm latency min/"]
    assert [line.removeprefix("id: me, ").startswith(start) for line, start in zip(summary, starts, strict=True)]
    assert all(line.startswith("id: me, ") for line in summary)


def test_a_run_without_consumers_says_nothing_of_them(broker):
    output = run(broker, "-C", 10, "-y", 0).output
    assert "sent: " in output
    assert "received" not in output
    assert "latency" not in output


def test_a_compact_report_has_a_heading(broker):
    lines = run(broker, "-C", 10, "-mf", "compact").output.splitlines()
    assert lines[0].split() == ["time", "sent", "received", "consumer", "latency"]


def test_files(broker, tmp_path):
    table, document, picture = tmp_path / "o.csv", tmp_path / "o.json", tmp_path / "o.svg"
    pytest.importorskip("matplotlib")
    run(broker, "-C", 50, "-o", table, "--json", document, "--plot", picture)
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert {row["id"] for row in rows} == {"me"}
    found = json.loads(document.read_text())
    assert (found["summary"]["sent"], found["summary"]["received"]) == (50, 50)
    assert found["stopped"] == "message limit reached"
    assert len(found["intervals"]) == len(rows) >= 1
    assert picture.read_text().count("<svg") == 1


def test_json_on_standard_output_stands_there_alone(broker):
    found = json.loads(run(broker, "-C", 5, "--json", "-").stdout)
    assert found["summary"]["sent"] == 5


def test_bodies_from_files(broker, tmp_path):
    (tmp_path / "body").write_bytes(b"hello")
    queue = ["-u", "bodies", "-ad", "false"]
    run(broker, "-C", 1, "-y", 0, *queue, "-B", tmp_path / "body", "-T", "text/plain", "-mp", "priority=3,x-a=b")
    assert broker.message_count("bodies") == 1
    run(broker, "-x", 0, "-D", 1, *queue, "-p")
    assert broker.message_count("bodies") == 0


# -- how it ends


def test_an_interrupted_run_shows_its_summary(broker):
    command = [sys.executable, "-P", "-m", "amqpd", "bench", "-h", broker.url, "-d", "me", "-i", "0.1", "-r", "50"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert first.startswith("id: me, time ")
    assert "test stopped (interrupted)\nid: me, sending rate avg: " in output
    assert (process.returncode, errors) == (0, "")


def test_what_the_broker_refuses_is_one_line_and_code_1(broker):
    result = run(broker, "-u", "nix", "-p", code=1)
    assert result.stdout == ""
    assert result.stderr == (
        f"amqpd bench: {broker.host}:{broker.port} refused: 404 NOT_FOUND - no queue 'nix' in vhost '/'\n"
    )


def test_nobody_there_is_code_1(tmp_path):
    result = CliRunner().invoke(main, ["bench", "-h", "amqp://127.0.0.1:1"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "amqpd bench: cannot connect to 127.0.0.1:1: Connection refused\n"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["-f", "lazy"], "'lazy' is not one of 'persistent', 'mandatory'"),
        (["--nix"], "--nix"),
        (["-x", "many"], "'many'"),
        (["-x", 0, "-y", 0], "--producers and --consumers are both 0"),
        (["-c", 0], "--confirm: at least 1"),
        (["-r", 0], "--rate: above 0"),
        (["-r", 1, "-P", 1], "--rate and --publishing-interval: one of them"),
        (["-vr", "1"], "--variable-rate: '1' is not VALUE:SECONDS"),
        (["-qq", "-sq"], "--quorum-queue and --stream-queue: one of them"),
        (["-B", "/nowhere/at/all"], "--body: /nowhere/at/all: No such file"),
        (["-smssb", "4gb"], "--stream-max-segment-size-bytes: at most 3gb"),
        (["--insecure"], "--insecure: only with --uri amqps://"),
        (["-se"], "--sasl-external: needs --cert"),
        (["-o", "/nowhere/o.csv"], "--output-file: /nowhere/o.csv: No such file"),
        (["--json", "/nowhere/o.json"], "--json: /nowhere/o.json: No such file"),
        (["--plot", "o.gif"], "--plot: o.gif must end in"),
    ],
)
def test_wrong_usage_is_code_2(broker, arguments, named):
    result = run(broker, *arguments, code=2)
    assert named in result.stderr
    assert result.stdout == ""


def test_as_many_files_as_there_are_connections(monkeypatch):
    limits = {"now": (1024, 4096)}
    monkeypatch.setattr(benchrun.resource, "getrlimit", lambda _what: limits["now"])

    def set_limits(_what, new):
        if new[0] > new[1]:
            raise ValueError("current limit exceeds maximum limit")
        limits["now"] = new

    monkeypatch.setattr(benchrun.resource, "setrlimit", set_limits)
    benchrun._allow_connections(900)
    assert limits["now"] == (1024, 4096)
    benchrun._allow_connections(2000)
    assert limits["now"] == (2064, 4096)
    with pytest.raises(OptionError, match="5000 connections need 5064 open files, and the system allows 4096"):
        benchrun._allow_connections(5000)


# -- options


class Watched(dict):
    """The values of a command line, and which of them were looked at."""

    def __init__(self, given):
        super().__init__(given)
        self.seen = set()

    def __getitem__(self, key):
        self.seen.add(key)
        return super().__getitem__(key)


def test_no_option_is_ignored(broker, tmp_path):
    """Every value is looked at. What each does is below, and in tests/perftest."""
    watched = Watched(values("-h", broker.url, "-C", 1, "-H", broker.url, "--json", tmp_path / "j"))
    benchrun.run(watched)
    assert benchoptions.options(watched, NOW)
    # --uri counts where there is no --uris.
    assert set(watched) - watched.seen == {"uri"}
    watched["uris"] = None
    benchoptions.options(watched, NOW)
    assert set(watched) == watched.seen


def test_perftests_defaults():
    found = options()
    assert (found.id, found.addresses[0].place) == ("test-101500-123", "localhost:5672")
    assert (found.producers, found.consumers, found.sizes.at(0)[0], found.confirm) == (1, 1, 12, 0)
    assert (found.exchange, found.exchange_type, found.queues, found.routing_key) == ("direct", "direct", [], None)
    assert (found.auto_delete, found.durable, found.exclusive, found.rates) == (True, True, False, None)


def test_quorum_queues_and_streams():
    found = options("-qq")
    assert found.queue_arguments == [("x-queue-type", longstr("quorum"))]
    assert (found.auto_delete, found.durable, found.properties[content.DELIVERY_MODE]) == (False, True, b"\2")
    found = options("-sq", "-ma", "PT1M", "-smssb", "1mb", "-sco", "first", "-ll", "balanced", "-qa", "x-a=true")
    assert found.prefetch == 200
    assert dict(found.queue_arguments) == {
        "x-a": boolean(True),
        "x-queue-type": longstr("stream"),
        "x-max-length-bytes": long(20 * 10**9),
        "x-stream-max-segment-size-bytes": long(10**6),
        "x-max-age": longstr("60s"),
        "x-queue-leader-locator": longstr("balanced"),
    }
    assert found.consumer_arguments == [("x-stream-offset", longstr("first"))]
    found = options("-sq", "-q", 5, "-mlb", 0)
    assert found.prefetch == 5
    assert "x-max-length-bytes" not in dict(found.queue_arguments)


def test_exclusive_queues_are_durable_only_for_persistent_messages():
    assert not options("-E").durable
    assert options("-E", "-f", "persistent").durable


def test_rates():
    assert options("-r", "2.5").rates.at(0)[0] == 2.5
    assert options("-r", "-1").rates is None
    assert options("-P", "4").rates.at(0)[0] == 0.25
    assert [options("-vr", "5:1", "-vr", "0:2").rates.at(second * 10**9)[0] for second in range(4)] == [5, 0, 0, 5]
    assert options("-R", "10").consumer_rate == 10


def test_flags_queues_and_exchanges():
    found = options("-f", "mandatory", "-f", "persistent", "-e", "amq.default", "-u", "a,b", "-K")
    assert (found.mandatory, found.properties) == (True, {content.DELIVERY_MODE: b"\2"})
    assert (found.exchange, found.exchange_named, found.queues, found.random_keys) == ("", True, ["a", "b"], -1)
    assert options("-t", "topic").exchange == "topic"
    assert options("-rkcs", 7).random_keys == 7
    assert options("-f", "persistent", "-mp", "deliveryMode=1").properties == {content.DELIVERY_MODE: b"\1"}


def test_a_file_of_queues(tmp_path):
    (tmp_path / "queues").write_text("a\nb\n\n")
    found = options("-qf", tmp_path / "queues")
    assert (found.queues, found.in_sequence) == (["a", "b"], True)
    (tmp_path / "queues").write_bytes(b"\xff")
    with pytest.raises(OptionError, match="--queue-file: "):
        options("-qf", tmp_path / "queues")


def test_several_brokers_are_used_in_turn():
    assert [each.place for each in options("-H", "amqp://a, amqp://b:1").addresses] == ["a:5672", "b:1"]


def test_short_and_long_names_are_perftests():
    line = "-x 2 -y 3 -X 4 -Y 5 -q 6 -Q 7 -A 8 -n 10 -m 11 -M 5000 -b 9 -z 1.5 -st 2 -ct 3"
    found = options(*shlex.split(line))
    assert (found.producers, found.consumers, found.producer_channels, found.consumer_channels) == (2, 3, 4, 5)
    assert (found.prefetch, found.channel_prefetch, found.multi_ack_every) == (6, 7, 8)
    assert (found.consumer_tx, found.producer_tx, found.frame_max, found.heartbeat_s) == (10, 11, 5000, 9)
    assert (found.time_s, found.shutdown_timeout_s, found.confirm_timeout_s) == (1.5, 2, 3)
    assert options("-x10", "--confirm=7").producers == 10
