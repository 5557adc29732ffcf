"""rabbitmqctl's names: what a script written for it asks of amqpd."""

import json
import shlex

import pytest
from click.testing import CliRunner

from amqpd.cli import ctlaliases, ctlbase
from amqpd.cli.ctl import main

LIMITS = [{"vhost": "/", "name": "max-queues", "value": 1}]


@pytest.fixture
def asked(monkeypatch):
    """What the node was asked; it says yes to everything, and has one row in each list."""
    requests = []

    def exchange(self, data, timeout_s):
        request = json.loads(data.split(b"\n")[0])
        requests.append(request["order"] if request["command"] == "apply" else request)
        if request["command"] == "list":
            rows = LIMITS if request["what"] == "vhost-limits" else []
            return {"ok": True, "result": rows}
        return {"ok": True, "result": {"added": True, "warnings": [], "skipped": False, "imported": {}}}

    monkeypatch.setattr(ctlbase.Node, "_exchange", exchange)
    return requests


def run(words):
    done = CliRunner().invoke(main, shlex.split(words), input='{"vhosts": []}')
    assert done.exit_code == 0, done.output


SCRIPT = [
    ("add_user u p", {"command": "user", "action": "add", "name": "u", "tags": [], "password": "p"}),
    ("delete_user u", {"order": "DeleteUser", "name": "u"}),
    ("change_password u p", {"command": "user", "action": "set-password", "name": "u", "password": "p"}),
    ("clear_password u", {"command": "user", "action": "clear-password", "name": "u"}),
    ("set_user_tags u a b", {"command": "user", "action": "set-tags", "name": "u", "tags": ["a", "b"]}),
    ("authenticate_user u p", {"command": "user", "action": "authenticate", "name": "u", "password": "p"}),
    (
        "set_permissions -p v u '.*' '' ^r",
        {"order": "PutPermission", "vhost": "v", "user": "u", "configure": ".*", "write": "", "read": "^r"},
    ),
    ("clear_permissions -p v u", {"order": "DeletePermission", "vhost": "v", "user": "u"}),
    (
        "set_topic_permissions --vhost v u amq.topic w r",
        {"order": "PutTopicPermission", "vhost": "v", "user": "u", "exchange": "amq.topic", "write": "w", "read": "r"},
    ),
    (
        "clear_topic_permissions u amq.topic",
        {"order": "DeleteTopicPermission", "vhost": "/", "user": "u", "exchange": "amq.topic"},
    ),
    ("clear_user_limits u max-channels", {"order": "DeleteUserLimit", "user": "u", "name": "max-channels"}),
    (
        "add_vhost v --description d --tags a,b",
        {"command": "vhost", "action": "add", "name": "v", "description": "d", "tags": ["a", "b"]},
    ),
    (
        "update_vhost_metadata v --default-queue-type quorum",
        {"command": "vhost", "action": "set", "name": "v", "default_queue_type": "quorum"},
    ),
    ("delete_vhost v", {"order": "DeleteVHost", "name": "v"}),
    (
        """set_policy -p v --apply-to queues --priority 3 ttl "^tmp" '{"message-ttl":1000}'""",
        {
            "order": "PutPolicy",
            "vhost": "v",
            "name": "ttl",
            "pattern": "^tmp",
            "definition": {"message-ttl": 1000},
            "priority": 3,
            "apply_to": "queues",
            "operator": False,
        },
    ),
    ("clear_policy -p v ttl", {"order": "DeletePolicy", "vhost": "v", "name": "ttl"}),
    (
        "set_operator_policy o . '{}'",
        {
            "order": "PutPolicy",
            "vhost": "/",
            "name": "o",
            "pattern": ".",
            "definition": {},
            "priority": 0,
            "apply_to": "all",
            "operator": True,
        },
    ),
    ("clear_operator_policy o", {"order": "DeletePolicy", "vhost": "/", "name": "o", "operator": True}),
    ("set_parameter c n '1'", {"order": "PutParameter", "vhost": "/", "component": "c", "name": "n", "value": 1}),
    ("clear_parameter c n", {"order": "DeleteParameter", "vhost": "/", "component": "c", "name": "n"}),
    ("set_global_parameter n null", {"order": "PutGlobalParameter", "name": "n", "value": None}),
    ("clear_global_parameter n", {"order": "DeleteGlobalParameter", "name": "n"}),
    (
        "delete_queue q --if-empty",
        {"command": "queue", "action": "delete", "vhost": "/", "name": "q", "if_unused": False, "if_empty": True},
    ),
    ("purge_queue -p v q", {"command": "queue", "action": "purge", "vhost": "v", "name": "q"}),
    ("export_definitions -", {"command": "export"}),
    ("import_definitions -", {"command": "import", "skip_if_unchanged": False, "size": 14}),
    ("shutdown", {"command": "stop"}),
    ("close_connection name reason", {"command": "close-connection", "name": "name", "reason": "reason"}),
    ("close_all_connections reason", {"command": "close-all-connections", "vhost": "/", "reason": "reason"}),
    ("close_all_connections --global reason", {"command": "close-all-connections", "reason": "reason"}),
    ("close_all_user_connections u reason", {"command": "close-all-connections", "user": "u", "reason": "reason"}),
    ("trace_on", {"command": "trace", "on": True, "vhost": "/"}),
    ("trace_off -p v", {"command": "trace", "on": False, "vhost": "v"}),
    ("list_users", {"command": "list", "what": "users"}),
    ("list_queues", {"command": "list", "what": "queues", "vhost": "/"}),
    ("list_queues -p v name messages consumers", {"command": "list", "what": "queues", "vhost": "v"}),
    ("list_connections name", {"command": "list", "what": "connections"}),
    ("list_user_permissions u", {"command": "list", "what": "permissions", "user": "u"}),
    ("list_user_topic_permissions u", {"command": "list", "what": "topic-permissions", "user": "u"}),
    ("list_user_limits --user u", {"command": "list", "what": "user-limits", "user": "u"}),
]


@pytest.mark.parametrize(("words", "request_"), SCRIPT)
def test_a_line_of_a_script(asked, words, request_):
    run(words)
    assert asked == [request_]


def test_limits_as_a_json_object(asked):
    run("""set_user_limits u '{"max-channels": 5, "max-connections": 1}'""")
    assert [(order["name"], order["value"]) for order in asked] == [("max-channels", 5), ("max-connections", 1)]
    asked.clear()
    run("""set_vhost_limits -p / '{"max-connections": 256}'""")
    put, listed, deleted = asked
    assert (put["order"], put["name"], put["value"]) == ("PutVHostLimit", "max-connections", 256)
    assert listed["what"] == "vhost-limits"
    assert deleted == {"order": "DeleteVHostLimit", "vhost": "/", "name": "max-queues"}  # it is not named
    asked.clear()
    run("clear_vhost_limits")
    assert asked[1] == {"order": "DeleteVHostLimit", "vhost": "/", "name": "max-queues"}


def test_all_names_are_tried_and_none_is_in_the_help(asked):
    tried = {words.split()[0] for words, _ in SCRIPT} | {"set_user_limits", "set_vhost_limits", "clear_vhost_limits"}
    names = {name for name in main.commands if "_" in name} | {"shutdown"}
    assert names - tried == set(ctlaliases.LISTED) - tried  # which are alike
    assert all(main.commands[name].hidden for name in names)
    assert "set_permissions" not in CliRunner().invoke(main, ["--help"]).output
