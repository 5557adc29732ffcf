"""`amqpctl` against a node: what it asks, what it prints, and its exit codes."""

import contextlib
import json
import os
import re
import socket
import stat
import subprocess
import sys
import threading

import pytest
import trio
from click.testing import CliRunner
from operating import running

from amqpd.cli import ctlbase, ctllists
from amqpd.cli.ctl import main
from amqpd.config import Settings
from amqpd.runtime.datadir import CONTROL_NAME
from amqpd.server import reports


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """The data directory of a node that runs in a thread of its own."""
    path = tmp_path_factory.mktemp("data")
    started, stop, token = threading.Event(), trio.Event(), []

    async def serve():
        async with running(path) as broker:
            broker.add_vhost("with ümlaut")
            token.append(trio.lowlevel.current_trio_token())
            started.set()
            await stop.wait()

    thread = threading.Thread(target=trio.run, args=(serve,))
    thread.start()
    assert started.wait(30)
    yield path
    trio.from_thread.run_sync(stop.set, trio_token=token[0])
    thread.join()


class Amqpctl:
    def __init__(self, data_dir):
        self.data_dir = data_dir

    def __call__(self, *arguments, **options):
        return CliRunner().invoke(main, [*arguments, "--data-dir", str(self.data_dir)], **options)

    def done(self, *arguments, **options):
        """What it prints, where all is well."""
        result = self(*arguments, **options)
        assert result.exit_code == 0, result.output
        return result.output

    def refused(self, *arguments):
        """Why not, without the program's name."""
        result = self(*arguments)
        assert result.exit_code == 1, result.output
        assert result.output.startswith("amqpctl: ")
        return result.output.removeprefix("amqpctl: ").rstrip("\n")

    def rows(self, *arguments):
        return json.loads(self.done(*arguments, "--format", "json"))


@pytest.fixture
def amqpctl(data_dir):
    return Amqpctl(data_dir)


# -- printing


def test_status_as_a_table_and_as_json(amqpctl):
    table = amqpctl.done("status")
    assert re.search(r"^version +amqpd ", table, re.MULTILINE)
    answer = json.loads(amqpctl.done("status", "--format", "json"))
    assert answer["vhosts"] >= 2
    assert re.search(rf"^vhosts +{answer['vhosts']}$", table, re.MULTILINE)


def test_a_list_as_a_table(amqpctl):
    lines = amqpctl.done("list", "vhosts", "name", "tracing", "exchanges").splitlines()
    assert lines[0].split() == ["name", "tracing", "exchanges"]
    assert lines[1].split() == ["/", "no", "7"]
    assert lines[2].startswith("with ümlaut  no")


def test_a_list_without_the_names_of_its_columns(amqpctl):
    with_headers = amqpctl.done("list", "exchanges").splitlines()
    assert [line.split() for line in amqpctl.done("list", "exchanges", "--no-table-headers").splitlines()] == [
        line.split() for line in with_headers[1:]
    ]


def test_a_name_can_not_speak_to_the_terminal(amqpctl):
    """Clients choose names, operators read them."""
    amqpctl.done("queue", "declare", "evil\x1b[2J\nname")
    assert "evil\\x1b[2J\\nname" in amqpctl.done("list", "queues", "name")
    assert {"name": "evil\x1b[2J\nname"} in amqpctl.rows("list", "queues", "name")
    assert "\x1b" not in amqpctl.done("list", "queues", "--format", "json")
    amqpctl.done("queue", "delete", "evil\x1b[2J\nname")


def test_a_list_as_json(amqpctl):
    for option in ("--format", "--formatter"):
        names = [row["name"] for row in json.loads(amqpctl.done("list", "exchanges", option, "json"))]
        assert "amq.topic" in names


def test_columns_are_shown_in_the_order_of_the_words(amqpctl):
    assert amqpctl.rows("list", "exchanges", "type", "name", "-p", "/")[1] == {"type": "direct", "name": "amq.direct"}
    wrong = amqpctl("list", "exchanges", "colour")
    assert wrong.exit_code == 2
    assert "exchanges have no column 'colour'; they have vhost, name, type, " in wrong.output


def test_an_empty_list_prints_nothing_or_an_empty_array(amqpctl):
    assert amqpctl.done("list", "queues") == ""
    assert amqpctl.rows("list", "queues") == []
    assert amqpctl.done("list", "queues", "name", "whatever") == ""


def test_quiet_prints_what_was_asked_for_and_not_what_was_done(amqpctl):
    assert amqpctl.done("alarm", "set", "disk", "--quiet") == ""
    assert amqpctl.done("-q", "list", "vhosts") == amqpctl.done("list", "vhosts")
    assert "disk" in amqpctl.done("-q", "status")
    assert amqpctl.done("alarm", "clear", "disk") == "alarms\n"


# -- what each command asks for

ASKED = [
    ("status", {"command": "status"}),
    ("list queues", {"command": "list", "what": "queues"}),
    ("list queues -p v", {"command": "list", "what": "queues", "vhost": "v"}),
    ("list connections --user u", {"command": "list", "what": "connections", "user": "u"}),
    ("alarm set memory", {"command": "alarm", "resource": "memory", "on": True}),
    ("alarm clear disk", {"command": "alarm", "resource": "disk", "on": False}),
    ("trace on", {"command": "trace", "on": True, "vhost": "/"}),
    ("trace off --vhost v", {"command": "trace", "on": False, "vhost": "v"}),
    ("vhost add v", {"command": "vhost", "action": "add", "name": "v"}),
    (
        "vhost add v --description d --tags a,b --default-queue-type quorum",
        {
            "command": "vhost",
            "action": "add",
            "name": "v",
            "description": "d",
            "tags": ["a", "b"],
            "default_queue_type": "quorum",
        },
    ),
    ("vhost set v --description d", {"command": "vhost", "action": "set", "name": "v", "description": "d"}),
    ("vhost set v --tags ", {"command": "vhost", "action": "set", "name": "v", "tags": []}),
    ("vhost delete v", {"order": "DeleteVHost", "name": "v"}),
    ("vhost-limit set max-queues 5", {"order": "PutVHostLimit", "vhost": "/", "name": "max-queues", "value": 5}),
    ("vhost-limit set max-queues -1", {"order": "PutVHostLimit", "vhost": "/", "name": "max-queues", "value": -1}),
    ("vhost-limit clear -p v max-queues", {"order": "DeleteVHostLimit", "vhost": "v", "name": "max-queues"}),
    ("user add u p", {"command": "user", "action": "add", "name": "u", "tags": [], "password": "p"}),
    ("user add u p --tags a,b", {"command": "user", "action": "add", "name": "u", "tags": ["a", "b"], "password": "p"}),
    (
        "user add u h --pre-hashed-password --hashing-algorithm argon2",
        {
            "command": "user",
            "action": "add",
            "name": "u",
            "tags": [],
            "password_hash": "h",
            "hashing_algorithm": "argon2",
        },
    ),
    ("user set-password u p", {"command": "user", "action": "set-password", "name": "u", "password": "p"}),
    ("user clear-password u", {"command": "user", "action": "clear-password", "name": "u"}),
    ("user set-tags u", {"command": "user", "action": "set-tags", "name": "u", "tags": []}),
    ("user set-tags u a b", {"command": "user", "action": "set-tags", "name": "u", "tags": ["a", "b"]}),
    ("user authenticate u p", {"command": "user", "action": "authenticate", "name": "u", "password": "p"}),
    ("user delete u", {"order": "DeleteUser", "name": "u"}),
    ("user list", {"command": "list", "what": "users"}),
    (
        "permission set -p v u c w r",
        {"order": "PutPermission", "user": "u", "vhost": "v", "configure": "c", "write": "w", "read": "r"},
    ),
    ("permission clear u", {"order": "DeletePermission", "user": "u", "vhost": "/"}),
    (
        "topic-permission set u x w r",
        {"order": "PutTopicPermission", "user": "u", "vhost": "/", "exchange": "x", "write": "w", "read": "r"},
    ),
    ("topic-permission clear u", {"order": "DeleteTopicPermission", "user": "u", "vhost": "/", "exchange": None}),
    ("topic-permission clear u x", {"order": "DeleteTopicPermission", "user": "u", "vhost": "/", "exchange": "x"}),
    (
        "user-limit set u max-channels -1",
        {"order": "PutUserLimit", "user": "u", "name": "max-channels", "value": -1},
    ),
    ("user-limit clear u max-channels", {"order": "DeleteUserLimit", "user": "u", "name": "max-channels"}),
    (
        'policy set p ^q {"expires":5} --priority -3 --apply-to queues',
        {
            "order": "PutPolicy",
            "vhost": "/",
            "name": "p",
            "pattern": "^q",
            "definition": {"expires": 5},
            "priority": -3,
            "apply_to": "queues",
            "operator": False,
        },
    ),
    ("policy clear p", {"order": "DeletePolicy", "vhost": "/", "name": "p"}),
    (
        'operator-policy set -p v p ^q {"expires":5}',
        {
            "order": "PutPolicy",
            "vhost": "v",
            "name": "p",
            "pattern": "^q",
            "definition": {"expires": 5},
            "priority": 0,
            "apply_to": "all",
            "operator": True,
        },
    ),
    ("operator-policy clear p", {"order": "DeletePolicy", "vhost": "/", "name": "p", "operator": True}),
    ("parameter set c n [1]", {"order": "PutParameter", "vhost": "/", "component": "c", "name": "n", "value": [1]}),
    ("parameter clear c n", {"order": "DeleteParameter", "vhost": "/", "component": "c", "name": "n"}),
    ('global-parameter set cluster_name "c"', {"order": "PutGlobalParameter", "name": "cluster_name", "value": "c"}),
    ("global-parameter clear n", {"order": "DeleteGlobalParameter", "name": "n"}),
    (
        'exchange declare x --type topic --transient --auto-delete --internal --arguments {"a":1}',
        {
            "order": "PutExchange",
            "vhost": "/",
            "name": "x",
            "type": "topic",
            "durable": False,
            "auto_delete": True,
            "internal": True,
            "arguments": {"a": 1},
        },
    ),
    ("exchange delete x", {"order": "DeleteExchange", "vhost": "/", "name": "x"}),
    (
        "queue declare q --type quorum",
        {
            "order": "PutQueue",
            "vhost": "/",
            "name": "q",
            "type": "quorum",
            "durable": True,
            "auto_delete": False,
            "arguments": {"x-queue-type": "quorum"},
        },
    ),
    (
        "queue delete q -u -e",
        {"command": "queue", "action": "delete", "vhost": "/", "name": "q", "if_unused": True, "if_empty": True},
    ),
    ("queue purge q -p v", {"command": "queue", "action": "purge", "vhost": "v", "name": "q"}),
    (
        "binding declare x q --routing-key k",
        {
            "order": "PutBinding",
            "vhost": "/",
            "source": "x",
            "destination": "q",
            "destination_type": "queue",
            "routing_key": "k",
            "arguments": {},
        },
    ),
    (
        'binding delete x y --destination-type exchange --arguments {"x-match":"any"}',
        {
            "order": "DeleteBinding",
            "vhost": "/",
            "source": "x",
            "destination": "y",
            "destination_type": "exchange",
            "routing_key": "",
            "arguments": {"x-match": "any"},
        },
    ),
    ("close-connection name --reason x", {"command": "close-connection", "name": "name", "reason": "x"}),
    ("close-all-connections", {"command": "close-all-connections", "reason": "closed by an operator"}),
    (
        "close-all-connections -p v --user u",
        {"command": "close-all-connections", "reason": "closed by an operator", "vhost": "v", "user": "u"},
    ),
    ("definitions export", {"command": "export"}),
    ("definitions export - -p v", {"command": "export", "vhost": "v"}),
    ("config reload", {"command": "reload"}),
    ("backup /b", {"command": "backup", "path": "/b"}),
    ("stop", {"command": "stop"}),
]


@pytest.mark.parametrize(("words", "request_"), ASKED)
def test_each_command_asks_for_what_it_says(monkeypatch, tmp_path, words, request_):
    asked = []

    def exchange(self, data, timeout_s):
        asked.append(json.loads(data))
        return {"ok": True, "result": {"added": True}}

    monkeypatch.setattr(ctlbase.Node, "_exchange", exchange)
    done = CliRunner().invoke(main, ["--data-dir", str(tmp_path), *words.split(" ")])
    assert done.exit_code == 0, done.output
    assert asked == [{"command": "apply", "order": request_} if "order" in request_ else request_]


def commands(group, path=()):
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        elif not command.hidden:
            yield " ".join((*path, name))


def test_every_command_is_tried_above():
    """Every `list` of a noun is the same; an import is tried below."""
    tried = [words for words, _ in ASKED]
    for command in commands(main):
        if not command.endswith(" list") and command != "definitions import":
            assert any(f"{words} ".startswith(f"{command} ") for words in tried), command


# -- users


def test_users_come_change_and_go(amqpctl):
    amqpctl.done("user", "add", "anna", "secret", "--tags", "monitoring, management")
    assert {"user": "anna", "tags": ["monitoring", "management"]} in amqpctl.rows("user", "list", "user", "tags")
    assert amqpctl.refused("user", "add", "anna", "other") == 'User "anna" already exists'
    amqpctl.done("user", "authenticate", "anna", "secret")
    amqpctl.done("user", "set-tags", "anna", "administrator")
    amqpctl.done("user", "authenticate", "anna", "secret")
    assert amqpctl.rows("list", "users", "tags", "--user", "anna") == [{"tags": ["administrator"]}]
    amqpctl.done("user", "set-password", "anna", "changed")
    assert "failed to authenticate user" in amqpctl.refused("user", "authenticate", "anna", "secret")
    amqpctl.done("user", "authenticate", "anna", "changed")
    assert amqpctl.rows("list", "users", "tags", "--user", "anna") == [{"tags": ["administrator"]}]
    amqpctl.done("user", "clear-password", "anna")
    assert "failed to authenticate user" in amqpctl.refused("user", "authenticate", "anna", "changed")
    amqpctl.done("user", "delete", "anna")
    assert "anna" not in amqpctl.done("user", "list")
    for words in (("delete", "anna"), ("clear-password", "anna"), ("set-tags", "anna"), ("set-password", "anna", "x")):
        assert "anna" in amqpctl.refused("user", *words)


def test_a_hash_from_elsewhere(amqpctl):
    wrong = amqpctl.refused("user", "add", "hashed", "AAAA", "--pre-hashed-password")
    assert "the password hash is not base64 of 36 bytes" in wrong
    right = "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"  # of "test12", from RabbitMQ's documentation
    amqpctl.done("user", "add", "hashed", right, "--pre-hashed-password")
    amqpctl.done("user", "authenticate", "hashed", "test12")
    amqpctl.done("user", "delete", "hashed")


@pytest.mark.parametrize("words", [(), ("-",), ("--password-stdin",)])
def test_a_password_from_standard_input(amqpctl, words):
    amqpctl.done("user", "add", "piped", *words, input="from a pipe\nnot this\n")
    amqpctl.done("user", "authenticate", "piped", *words, input="from a pipe\r\n")
    amqpctl.done("user", "delete", "piped")


def test_no_password_at_all(amqpctl):
    result = amqpctl("user", "add", "nobody", input="")
    assert (result.exit_code, result.output) == (2, "amqpctl: Password is not provided via argument or stdin\n")
    assert amqpctl("user", "add", "nobody", "x", "--password-stdin", input="y").exit_code == 2
    amqpctl.done("user", "add", "nobody", "")  # which nobody can log in with
    assert amqpctl("user", "authenticate", "nobody", "").exit_code == 1
    amqpctl.done("user", "delete", "nobody")


def test_a_password_is_asked_for_on_a_terminal(data_dir, amqpctl):
    leader, follower = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", "from amqpd.cli.ctl import main; main()", "user", "add", "typist"],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env={**os.environ, "AMQPD_DATA_DIR": str(data_dir)},
        start_new_session=True,
    )
    os.close(follower)
    shown = b""
    for prompt in (b"Password: ", b"confirmation: "):
        while not shown.endswith(prompt):
            shown += os.read(leader, 1000)
        os.write(leader, b"typed in\n")
    with contextlib.suppress(OSError):  # the end of a terminal
        while more := os.read(leader, 1000):
            shown += more
    os.close(leader)
    assert process.wait(30) == 0, shown
    assert b"typed in" not in shown
    amqpctl.done("user", "authenticate", "typist", "typed in")
    amqpctl.done("user", "delete", "typist")


# -- what changes the node


def test_alarms_and_vhosts_change_the_node(amqpctl):
    amqpctl.done("alarm", "set", "disk")
    assert json.loads(amqpctl.done("status", "--format", "json"))["alarms"] == {"disk": ["operator"]}
    amqpctl.done("alarm", "clear", "disk")
    assert json.loads(amqpctl.done("status", "--format", "json"))["alarms"] == {}
    amqpctl.done("vhost", "add", "new", "--description", "what for", "--tags", "a,b")
    columns = ("name", "description", "tags", "default_queue_type")
    row = {"name": "new", "description": "what for", "tags": ["a", "b"], "default_queue_type": ""}
    assert row in amqpctl.rows("vhost", "list", *columns)
    again = amqpctl.done("vhost", "add", "new", "--description", "other")
    assert again == (
        "amqpctl: warning: virtual host 'new' is there already, and stays as it is; `amqpctl vhost set` changes it\n"
    )
    assert row in amqpctl.rows("vhost", "list", *columns)
    amqpctl.done("vhost", "set", "new", "--default-queue-type", "quorum", "--tags", "")
    assert {**row, "tags": [], "default_queue_type": "quorum"} in amqpctl.rows("vhost", "list", *columns)
    amqpctl.done("vhost", "delete", "new")
    assert "new " not in amqpctl.done("list", "vhosts")


def test_a_day_in_the_life_of_a_vhost(amqpctl):
    amqpctl.done("vhost", "add", "day")
    amqpctl.done("user", "add", "dora", "x")
    here = ("-p", "day")
    amqpctl.done("permission", "set", *here, "dora", "", ".*", "^q")
    amqpctl.done("topic-permission", "set", *here, "dora", "amq.topic", "^{username}", "")
    amqpctl.done("vhost-limit", "set", *here, "max-queues", "2")
    amqpctl.done("user-limit", "set", "dora", "max-channels", "3")
    amqpctl.done("policy", "set", *here, "short", "^q", '{"max-length": 5}', "--apply-to", "queues")
    amqpctl.done("operator-policy", "set", *here, "shorter", "^q", '{"max-length": 3}')
    amqpctl.done("exchange", "declare", *here, "x", "--type", "topic")
    amqpctl.done("queue", "declare", *here, "q", "--arguments", '{"x-max-priority": 4}')
    amqpctl.done("binding", "declare", *here, "x", "q", "--routing-key", "a.*")

    (queue,) = amqpctl.rows("queue", "list", *here)
    assert (queue["policy"], queue["operator_policy"]) == ("short", "shorter")
    assert queue["effective_policy_definition"] == {"max-length": 3}
    assert queue["arguments"] == {"x-queue-type": "classic", "x-max-priority": 4}
    (binding,) = amqpctl.rows("binding", "list", *here)
    assert (binding["source_name"], binding["destination_name"], binding["routing_key"]) == ("x", "q", "a.*")
    assert amqpctl.rows("permission", "list", *here, "--user", "dora") == [
        {"vhost": "day", "user": "dora", "configure": "", "write": ".*", "read": "^q"}
    ]
    assert amqpctl.rows("topic-permission", "list", *here, "exchange", "write") == [
        {"exchange": "amq.topic", "write": "^{username}"}
    ]
    assert amqpctl.rows("vhost-limit", "list", *here) == [{"vhost": "day", "name": "max-queues", "value": 2}]
    assert amqpctl.rows("user-limit", "list", "--user", "dora") == [
        {"user": "dora", "name": "max-channels", "value": 3}
    ]

    assert "inequivalent arg 'x-max-priority'" in amqpctl.refused("queue", "declare", *here, "q")
    assert "inequivalent arg 'type'" in amqpctl.refused("exchange", "declare", *here, "x")
    assert amqpctl.done("queue", "purge", *here, "q") == "messages  0\n"
    amqpctl.done("binding", "delete", *here, "x", "q", "--routing-key", "a.*")
    assert amqpctl.rows("binding", "list", *here) == []
    assert amqpctl.done("queue", "delete", *here, "q", "--if-empty", "--if-unused") == "messages  0\n"
    amqpctl.done("exchange", "delete", *here, "x")
    amqpctl.done("policy", "clear", *here, "short")
    amqpctl.done("operator-policy", "clear", *here, "shorter")
    amqpctl.done("topic-permission", "clear", *here, "dora")
    amqpctl.done("permission", "clear", *here, "dora")
    amqpctl.done("vhost-limit", "clear", *here)
    amqpctl.done("user-limit", "clear", "dora")
    for what in ("policies", "operator-policies", "topic-permissions", "permissions", "vhost-limits"):
        assert amqpctl.rows("list", what, *here) == []
    assert amqpctl.rows("list", "user-limits") == []
    amqpctl.done("vhost", "delete", "day")
    amqpctl.done("user", "delete", "dora")


def test_a_policy_that_is_none_is_refused_with_rabbitmqs_text(amqpctl):
    error = amqpctl.refused("policy", "set", "p", "^q", '{"colour": "red"}')
    assert error.startswith("Validation failed\n\n")
    assert "colour" in error
    assert "not recognised" in error


def test_parameters(amqpctl):
    amqpctl.done("parameter", "set", "shovel", "s", '{"src-uri": "amqp://"}')
    assert amqpctl.rows("parameter", "list", "name", "value") == [{"name": "s", "value": {"src-uri": "amqp://"}}]
    amqpctl.done("parameter", "clear", "shovel", "s")
    assert "does not exist" in amqpctl.refused("parameter", "clear", "shovel", "s")
    amqpctl.done("global-parameter", "set", "cluster_name", '"here"')
    assert amqpctl.rows("global-parameter", "list") == [{"name": "cluster_name", "value": "here"}]
    amqpctl.done("global-parameter", "clear", "cluster_name")


# -- definitions


def test_definitions_go_out_and_come_back(amqpctl, tmp_path):
    file = tmp_path / "definitions.json"
    file.write_text("old")
    file.chmod(0o644)
    amqpctl.done("user", "add", "erin", "x")
    amqpctl.done("definitions", "export", str(file))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["definitions.json"]
    assert json.loads(amqpctl.done("definitions", "export")) == json.loads(file.read_text())
    amqpctl.done("user", "delete", "erin")
    assert "users" in amqpctl.done("definitions", "import", str(file))
    amqpctl.done("user", "authenticate", "erin", "x")
    amqpctl.done("user", "delete", "erin")


def test_definitions_of_one_vhost_and_by_standard_streams(amqpctl):
    amqpctl.done("vhost", "add", "from")
    amqpctl.done("vhost", "add", "to")
    amqpctl.done("queue", "declare", "-p", "from", "q")
    document = amqpctl.done("definitions", "export", "-p", "from")
    counts = json.loads(amqpctl.done("definitions", "import", "-", "-p", "to", "--format", "json", input=document))
    assert counts == {"queues": 1}
    assert amqpctl.rows("list", "queues", "vhost", "name", "-p", "to") == [{"vhost": "to", "name": "q"}]
    amqpctl.done("vhost", "delete", "from")
    amqpctl.done("vhost", "delete", "to")


def test_what_is_wrong_with_definitions_is_all_told(amqpctl, tmp_path):
    file = tmp_path / "wrong.json"
    file.write_text(
        json.dumps(
            {
                "vhosts": [{"name": "never"}],
                "queues": [
                    {"name": "q", "vhost": "/", "durable": True, "arguments": {"x-max-length": "ten"}},
                    {"name": "q", "vhost": "nowhere"},
                ],
            }
        )
    )
    lines = amqpctl.refused("definitions", "import", str(file)).split("\n")
    assert "queues[1].vhost: there is no vhost 'nowhere'" in lines[0]
    assert lines[-1] == "amqpctl: nothing was imported"
    assert "never" not in amqpctl.done("list", "vhosts")


def test_files_that_cannot_be_read_or_written(amqpctl, tmp_path):
    missing = tmp_path / "no" / "file.json"
    assert amqpctl.refused("definitions", "import", str(missing)) == f"{missing}: No such file or directory"
    assert amqpctl.refused("definitions", "export", str(missing)) == f"{missing}: No such file or directory"
    empty = tmp_path / "empty.json"
    empty.touch()
    assert amqpctl.refused("definitions", "import", str(empty)) == f"{empty}: it is empty"


def test_definitions_that_are_unchanged_can_be_left_out(amqpctl, tmp_path):
    file = tmp_path / "same.json"
    file.write_text('{"vhosts": [{"name": "same"}]}')
    amqpctl.done("definitions", "import", str(file), "--skip-if-unchanged")
    amqpctl.done("vhost", "delete", "same")
    assert "left out" in amqpctl.done("definitions", "import", str(file), "--skip-if-unchanged")
    assert "same" not in amqpctl.done("list", "vhosts")
    amqpctl.done("definitions", "import", str(file))
    amqpctl.done("vhost", "delete", "same")
    assert "same" not in amqpctl.done("definitions", "export")


# -- exit codes


def test_what_is_refused_has_code_1_and_the_reason(amqpctl):
    assert amqpctl.refused("vhost", "delete", "nope") == "vhost 'nope' does not exist"
    assert amqpctl("close-connection", "nobody").exit_code == 1


@pytest.mark.parametrize(
    "words",
    [
        "list unicorns",
        "alarm set cpu",
        "dance",
        "trace",
        "policy set p ^q {",
        "policy set p ^q [1]",
        "parameter set c n nope",
        "user-limit set u max-channels many",
        "queue declare q --type round",
    ],
)
def test_wrong_usage_has_code_2(amqpctl, words):
    assert amqpctl(*words.split(" ")).exit_code == 2


@pytest.mark.parametrize("value", ['{"src-uri": "amqp://u:secret@host"', '"secret', "secret"])
def test_what_is_no_json_is_not_repeated(amqpctl, value):
    done = amqpctl("parameter", "set", "shovel", "s", value)
    assert "it is not JSON: " in done.stderr
    assert "secret" not in done.output


def test_no_node_has_code_3(tmp_path):
    done = CliRunner().invoke(main, ["status", "--data-dir", str(tmp_path)])
    assert done.exit_code == 3
    assert done.output == f"amqpctl: no node runs with the data directory {tmp_path} (see --data-dir)\n"


def test_a_socket_that_nobody_listens_to_has_code_3(tmp_path):
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(tmp_path / CONTROL_NAME))
    assert CliRunner().invoke(main, ["status", "--data-dir", str(tmp_path)]).exit_code == 3


@pytest.mark.parametrize("said", [b"", b"not JSON\n"])
def test_a_node_that_ends_in_the_middle_has_code_1(tmp_path, said):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / CONTROL_NAME))
        listener.listen()

        def serve():
            with listener.accept()[0] as connection:
                connection.recv(1000)
                connection.sendall(said)

        thread = threading.Thread(target=serve)
        thread.start()
        done = CliRunner().invoke(main, ["status", "--data-dir", str(tmp_path)])
        thread.join()
    assert done.exit_code == 1
    assert str(tmp_path) in done.output


def test_a_file_that_is_too_large_is_refused_with_the_reason(amqpctl, tmp_path, monkeypatch):
    file = tmp_path / "large.json"
    with file.open("wb") as out:
        out.truncate(70_000_000)
    assert amqpctl.refused("definitions", "import", str(file)) == "the request's 'size' is 1 to 67108864, in bytes"


def test_the_environment_names_the_data_directory(data_dir, monkeypatch):
    monkeypatch.setenv("AMQPD_DATA_DIR", str(data_dir))
    assert CliRunner().invoke(main, ["status"]).exit_code == 0
    monkeypatch.delenv("AMQPD_DATA_DIR")
    monkeypatch.chdir(data_dir.parent)
    assert CliRunner().invoke(main, ["status"]).exit_code == 3


def test_both_ends_know_the_same_names():
    assert {name: listing.chosen_by for name, listing in reports.LISTS.items()} == ctllists.LISTS
    assert ctlbase.SOCKET_NAME == CONTROL_NAME
    assert Settings().text("data_dir") == ctlbase.DEFAULT_DATA_DIR


def test_it_starts_without_what_a_node_needs():
    heavy = {"trio", "sqlalchemy", "alembic", "argon2", "cryptography", "amqpd.broker", "amqpd.app"}
    code = f"import sys, amqpd.cli.ctl; print(sorted({heavy!r} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"[]\n"
