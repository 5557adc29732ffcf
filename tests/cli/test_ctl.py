"""`amqpctl` against a node: what it prints, and its exit codes."""

import json
import socket
import threading

import pytest
import trio
from click.testing import CliRunner

from amqpd.app import Node
from amqpd.cli import ctl
from amqpd.config import Settings
from amqpd.runtime.datadir import CONTROL_NAME, DataDir
from amqpd.server import reports


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """The data directory of a node that runs in a thread of its own."""
    directory = DataDir(tmp_path_factory.mktemp("data"))
    node = Node(Settings({"listeners": ["127.0.0.1:0"], "vm_memory_high_watermark": 2**62}))
    node.broker.add_vhost("with ümlaut")
    started, token = threading.Event(), []

    async def serve():
        async with trio.open_nursery() as nursery:
            await nursery.start(node.run, directory)
            token.append(trio.lowlevel.current_trio_token())
            started.set()

    thread = threading.Thread(target=trio.run, args=(serve,))
    thread.start()
    assert started.wait(30)
    yield directory.path
    trio.from_thread.run_sync(node.stop, trio_token=token[0])
    thread.join()
    directory.close()


@pytest.fixture
def amqpctl(data_dir):
    def run(*arguments):
        return CliRunner().invoke(ctl.main, [*arguments, "--data-dir", str(data_dir)])

    return run


def test_status_as_a_table_and_as_json(amqpctl):
    table = amqpctl("status")
    assert table.exit_code == 0
    assert "version         amqpd " in table.output
    answer = json.loads(amqpctl("status", "--format", "json").output)
    assert answer["vhosts"] >= 2
    assert f"vhosts          {answer['vhosts']}\n" in table.output


def test_a_list_as_a_table(amqpctl):
    lines = amqpctl("list", "vhosts").output.splitlines()
    assert lines[0].split() == ["name", "tracing", "queues", "exchanges"]
    assert lines[1].split() == ["/", "no", "0", "7"]
    assert lines[2].startswith("with ümlaut  no")


def test_a_list_as_json(amqpctl):
    names = [row["name"] for row in json.loads(amqpctl("list", "exchanges", "--format", "json").output)]
    assert "amq.topic" in names


def test_an_empty_list_prints_nothing_or_an_empty_array(amqpctl):
    assert amqpctl("list", "queues").output == ""
    assert json.loads(amqpctl("list", "queues", "--format", "json").output) == []


@pytest.mark.parametrize(
    ("arguments", "request_"),
    [
        (["status"], {"command": "status"}),
        (["list", "queues"], {"command": "list", "what": "queues"}),
        (["alarm", "set", "memory"], {"command": "alarm", "resource": "memory", "on": True}),
        (["alarm", "clear", "disk"], {"command": "alarm", "resource": "disk", "on": False}),
        (["trace", "on"], {"command": "trace", "on": True, "vhost": "/"}),
        (["trace", "off", "--vhost", "v"], {"command": "trace", "on": False, "vhost": "v"}),
        (["vhost", "add", "v"], {"command": "vhost", "action": "add", "name": "v"}),
        (["vhost", "delete", "v"], {"command": "vhost", "action": "delete", "name": "v"}),
        (
            ["close-connection", "a -> b", "--reason", "x"],
            {"command": "close-connection", "name": "a -> b", "reason": "x"},
        ),
        (["close-all-connections"], {"command": "close-all-connections", "reason": "closed by an operator"}),
        (["stop"], {"command": "stop"}),
    ],
)
def test_each_command_asks_for_what_it_says(monkeypatch, tmp_path, arguments, request_):
    asked = []
    monkeypatch.setattr(ctl.Node, "_exchange", lambda self, line: asked.append(json.loads(line)) or ANSWER)
    done = CliRunner().invoke(ctl.main, ["--data-dir", str(tmp_path), *arguments])
    assert done.exit_code == 0, done.output
    assert asked == [request_]


ANSWER = {"ok": True, "result": {}}


def test_alarms_and_vhosts_change_the_node(amqpctl):
    assert amqpctl("alarm", "set", "disk").exit_code == 0
    assert json.loads(amqpctl("status", "--format", "json").output)["alarms"] == {"disk": ["operator"]}
    amqpctl("alarm", "clear", "disk")
    assert json.loads(amqpctl("status", "--format", "json").output)["alarms"] == {}
    amqpctl("vhost", "add", "new")
    assert "new " in amqpctl("list", "vhosts").output
    amqpctl("vhost", "delete", "new")
    assert "new " not in amqpctl("list", "vhosts").output


def test_what_is_refused_has_code_1_and_the_reason(amqpctl):
    done = amqpctl("vhost", "delete", "nope")
    assert done.exit_code == 1
    assert done.output == "amqpctl: there is no vhost 'nope'\n"
    assert amqpctl("close-connection", "nobody").exit_code == 1


@pytest.mark.parametrize("arguments", [["list", "unicorns"], ["alarm", "set", "cpu"], ["dance"], ["trace"]])
def test_wrong_usage_has_code_2(amqpctl, arguments):
    assert amqpctl(*arguments).exit_code == 2


def test_no_node_has_code_3(tmp_path):
    done = CliRunner().invoke(ctl.main, ["status", "--data-dir", str(tmp_path)])
    assert done.exit_code == 3
    assert done.output == f"amqpctl: no node runs with the data directory {tmp_path} (see --data-dir)\n"


def test_a_socket_that_nobody_listens_to_has_code_3(tmp_path):
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(tmp_path / CONTROL_NAME))
    assert CliRunner().invoke(ctl.main, ["status", "--data-dir", str(tmp_path)]).exit_code == 3


def test_a_node_that_ends_in_the_middle_has_code_1(tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / CONTROL_NAME))
        listener.listen()
        thread = threading.Thread(target=lambda: listener.accept()[0].close())
        thread.start()
        done = CliRunner().invoke(ctl.main, ["status", "--data-dir", str(tmp_path)])
        thread.join()
    assert done.exit_code == 1
    assert str(tmp_path) in done.output


def test_the_environment_names_the_data_directory(data_dir, monkeypatch):
    monkeypatch.setenv("AMQPD_DATA_DIR", str(data_dir))
    assert CliRunner().invoke(ctl.main, ["status"]).exit_code == 0
    monkeypatch.delenv("AMQPD_DATA_DIR")
    monkeypatch.chdir(data_dir.parent)
    assert CliRunner().invoke(ctl.main, ["status"]).exit_code == 3


def test_both_ends_know_the_same_names():
    assert tuple(reports.LISTS) == ctl.LISTS
    assert ctl.SOCKET_NAME == CONTROL_NAME
    assert Settings().text("data_dir") == ctl.DEFAULT_DATA_DIR
