"""The rules of rabbit_definitions: what is read how, what is left out, what is a problem, and where."""

import base64
import re
from pathlib import Path

import pytest

from amqpd.broker.commands import (
    PutBinding,
    PutExchange,
    PutGlobalParameter,
    PutParameter,
    PutPermission,
    PutPolicy,
    PutQueue,
    PutTopicPermission,
    PutUser,
    PutUserLimit,
    PutVHost,
    PutVHostLimit,
)
from amqpd.errors import DefinitionError
from amqpd.metadata.document import commands_from, document_from
from amqpd.metadata.document import read as read_text
from amqpd.metadata.document.gathering import ORDER
from amqpd.wire.tables import longstr

SHA256 = "rabbit_password_hashing_sha256"
MD5 = "rabbit_password_hashing_md5"
VHOSTS = [{"name": "/"}]
USERS = [{"name": "ann", "tags": []}]
CLASSIC = [("x-queue-type", longstr("classic"))]


def read(**sections):
    return commands_from({"vhosts": VHOSTS, "users": USERS, **sections})


def good(**sections):
    """The commands of sections in which nothing is wrong or left out, without those for VHOSTS and USERS."""
    reading = read(**sections)
    assert reading.problems == []
    assert reading.warnings == []
    return [c for c in reading.commands if c not in (PutVHost("/"), PutUser("ann", "", SHA256))]


def problems(reading):
    return [str(problem) for problem in reading.problems]


def warnings(reading):
    assert reading.problems == []
    return [str(problem) for problem in reading.warnings]


def hash_of(size):
    return base64.b64encode(bytes(range(size))).decode()


# -- vhosts


@pytest.mark.parametrize(
    ("vhost", "command"),
    [
        ({}, PutVHost("v")),
        ({"description": "d", "tags": "a, b"}, PutVHost("v", "d", ("a", "b"))),
        ({"metadata": {"description": "d", "tags": ["a"]}}, PutVHost("v", "d", ("a",))),
        ({"description": "beside", "metadata": {"description": "within", "tags": []}}, PutVHost("v", "within")),
        ({"description": None, "tags": None, "metadata": []}, PutVHost("v")),
        ({"tags": "undefined"}, PutVHost("v")),
        ({"tags": "", "limits": []}, PutVHost("v")),
        ({"default_queue_type": "quorum"}, PutVHost("v", default_queue_type="quorum")),
        ({"metadata": {"default_queue_type": "rabbit_stream_queue"}}, PutVHost("v", default_queue_type="stream")),
        ({"metadata": {"default_queue_type": "undefined"}}, PutVHost("v")),
        ({"metadata": {"default_queue_type": None}}, PutVHost("v")),
        ({"tracing": False, "metadata": {"protected_from_deletion": False}}, PutVHost("v")),
    ],
)
def test_vhost(vhost, command):
    assert good(vhosts=[{"name": "v"} | vhost]) == [command]


def test_vhost_properties_that_are_not_kept_are_named():
    vhost = {"name": "v", "tracing": True, "metadata": {"protected_from_deletion": True, "new": 1}}
    assert [warning.split(":")[0] for warning in warnings(read(vhosts=[vhost]))] == [
        "vhosts[0].metadata.new",
        "vhosts[0].tracing",
        "vhosts[0].metadata.protected_from_deletion",
    ]


def test_limits_of_a_vhost_are_read_where_they_stand_if_no_parameter_has_them():
    vhost = {"name": "/", "limits": {"max-queues": 5}}
    assert good(vhosts=[vhost]) == [PutVHostLimit("/", "max-queues", 5)]
    parameter = {"vhost": "/", "component": "vhost-limits", "name": "limits", "value": {"max-connections": -1}}
    assert good(vhosts=[vhost], parameters=[parameter]) == [PutVHostLimit("/", "max-connections", -1)]


# -- users


@pytest.mark.parametrize(
    ("user", "command"),
    [
        ({"tags": "administrator, monitoring"}, PutUser("u", "", SHA256, ("administrator", "monitoring"))),
        ({"tags": [" a ", ""]}, PutUser("u", "", SHA256, ("a",))),
        ({"administrator": True}, PutUser("u", "", SHA256, ("administrator",))),
        ({"administrator": False}, PutUser("u", "", SHA256)),
        ({"tags": [], "password_hash": ""}, PutUser("u", "", SHA256)),
        ({"tags": [], "password_hash": hash_of(36)}, PutUser("u", hash_of(36), SHA256)),
        ({"tags": [], "password_hash": hash_of(20), "hashing_algorithm": MD5}, PutUser("u", hash_of(20), MD5)),
    ],
)
def test_user(user, command):
    assert good(users=[{"name": "u"} | user]) == [command]


@pytest.mark.parametrize(
    ("version", "size", "algorithm"),
    [("3.5.7", 20, MD5), ("3.0.0", 20, MD5), ("3.6.0", 36, SHA256), ("3.6.1", 36, SHA256), ("4.3.5", 36, SHA256)],
)
@pytest.mark.parametrize("key", ["rabbit_version", "rabbitmq_version"])
def test_a_hash_without_algorithm_is_of_its_version(version, size, algorithm, key):
    user = {"name": "u", "tags": "", "password_hash": hash_of(size)}
    assert good(users=[user], **{key: version}) == [PutUser("u", hash_of(size), algorithm)]


def test_a_password_in_clear_is_given_apart_and_never_shown():
    reading = read(users=[*USERS, {"name": "bob", "password": "secret", "tags": []}])
    assert reading.commands[-1] == PutUser("bob", "", SHA256)
    assert reading.passwords == {2: "secret"}
    assert "secret" not in repr(reading)


def test_an_empty_password_is_none():
    assert read(users=[{"name": "bob", "password": "", "tags": []}]).passwords == {}


@pytest.mark.parametrize(
    ("user", "problem"),
    [
        ({}, "users[0].tags: is missing; an empty list is for a user without tags"),
        ({"tags": None}, "users[0].tags: must be a list of texts, or a text with commas, not null"),
        ({"tags": ["a", 5]}, "users[0].tags[1]: must be a text, not a number"),
        ({"tags": [], "password": 5}, "users[0].password: must be a text, not a number"),
        (
            {"tags": [], "password": "secret", "password_hash": hash_of(36)},
            "users[0].password: is given as well as a password_hash: one of them is enough",
        ),
        ({"tags": [], "password_hash": "secret!"}, "users[0].password_hash: is not base64"),
        ({"tags": [], "password_hash": "ſecret"}, "users[0].password_hash: is not base64"),
        (
            {"tags": [], "password_hash": hash_of(20)},
            f"users[0].password_hash: is base64 of 20 bytes; {SHA256} makes 36",
        ),
        (
            {"tags": [], "password_hash": hash_of(36), "hashing_algorithm": "sha256"},
            f"users[0].hashing_algorithm: is none of {SHA256}, rabbit_password_hashing_sha512, {MD5} and argon2",
        ),
        (
            {"tags": [], "limits": {"max-queues": 5}},
            "users[0].limits.max-queues: is no limit; max-connections and max-channels are",
        ),
        (
            {"tags": [], "limits": {"max-channels": "5"}},
            "users[0].limits.max-channels: must be a whole number, not a text",
        ),
        (
            {"tags": [], "permissions": {"nope": {"configure": "", "write": "", "read": ""}}},
            "users[0].permissions.nope: there is no vhost 'nope' on the node, and none in the file",
        ),
        ({"tags": [], "permissions": {"/": 5}}, "users[0].permissions[\"/\"]: must be an object, not a number"),
    ],
)
def test_user_problems(user, problem):
    reading = read(users=[{"name": "u"} | user])
    assert problems(reading) == [problem]
    assert "secret" not in str(reading)


def test_limits_of_a_user():
    user = {"name": "ann", "tags": [], "limits": {"max-connections": 5, "max-channels": -1}}
    assert good(users=[user]) == [PutUserLimit("ann", "max-connections", 5), PutUserLimit("ann", "max-channels", -1)]


def test_permissions():
    rights = {"configure": "a", "write": "b", "read": "c"}
    topic = {"user": "ann", "vhost": "/", "exchange": "amq.topic", "write": "w", "read": "r"}
    assert good(permissions=[{"user": "ann", "vhost": "/"} | rights], topic_permissions=[topic]) == [
        PutPermission("ann", "/", "a", "b", "c"),
        PutTopicPermission("ann", "/", "amq.topic", "w", "r"),
    ]
    assert good(users=[USERS[0] | {"permissions": {"/": rights}}]) == [PutPermission("ann", "/", "a", "b", "c")]


def test_users_and_vhosts_may_be_on_the_node():
    present = [PutVHost("v"), PutUser("bob", "", SHA256)]
    permission = {"user": "bob", "vhost": "v", "configure": "", "write": "", "read": ""}
    document = {"permissions": [permission]}
    assert commands_from(document, present=present).commands == [PutPermission("bob", "v", "", "", "")]
    assert problems(commands_from(document)) == [
        "permissions[0].user: there is no user 'bob' on the node, and none in the file",
        "permissions[0].vhost: there is no vhost 'v' on the node, and none in the file",
    ]


# -- topology


def test_exchange_defaults():
    assert good(exchanges=[{"vhost": "/", "name": "x", "type": "direct"}]) == [PutExchange("/", "x", "direct")]


def test_exchanges_that_are_there_by_themselves_are_passed_over_and_others_with_such_names_left_out():
    names = ["", "amq.direct", "amq.rabbitmq.log", "amq.own"]
    reading = read(exchanges=[{"vhost": "/", "name": name, "type": "direct"} for name in names])
    assert warnings(reading) == ["exchanges[3]: is left out: the name 'amq.own' belongs to the broker"]


@pytest.mark.parametrize(
    ("queue", "kind", "arguments"),
    [
        ({}, "classic", CLASSIC),
        ({"arguments": []}, "classic", CLASSIC),
        ({"type": "quorum"}, "quorum", [("x-queue-type", longstr("quorum"))]),
        ({"type": "rabbit_classic_queue"}, "classic", CLASSIC),
        ({"arguments": {"x-queue-type": "stream"}, "type": "classic"}, "stream", [("x-queue-type", longstr("stream"))]),
        ({"vhost": "q"}, "quorum", [("x-queue-type", longstr("quorum"))]),
        ({"vhost": "q", "type": "classic"}, "classic", CLASSIC),
        ({"vhost": "q", "durable": False}, "classic", CLASSIC),
        ({"vhost": "q", "auto_delete": True}, "classic", CLASSIC),
    ],
)
def test_queue_type(queue, kind, arguments):
    vhosts = [*VHOSTS, {"name": "q", "metadata": {"default_queue_type": "quorum"}}]
    commands = good(vhosts=vhosts, queues=[{"vhost": "/", "name": "n"} | queue])
    [command] = [c for c in commands if isinstance(c, PutQueue)]
    assert (command.type, command.arguments) == (kind, arguments)


def test_queue_type_of_the_node():
    document = {"queues": [{"vhost": "/", "name": "q"}]}
    [command] = commands_from(document, present=[PutVHost("/")], default_queue_type="stream").commands
    assert command.type == "stream"
    [command] = commands_from(document, present=[PutVHost("/", default_queue_type="quorum")]).commands
    assert command.type == "quorum"


def test_binding():
    ends = {"vhost": "/", "source": "amq.topic", "destination": "q"}
    assert good(
        bindings=[
            ends | {"destination_type": "queue", "routing_key": "k", "arguments": {"a": "b"}},
            ends | {"destination_type": "exchange", "routing_key": ""},
        ]
    ) == [
        PutBinding("/", "amq.topic", "queue", "q", "k", [("a", longstr("b"))]),
        PutBinding("/", "amq.topic", "exchange", "q", ""),
    ]


def test_server_named_queues_and_what_binds_them_are_left_out_unless_they_are_there():
    queue = {"vhost": "/", "name": "amq.gen-1"}
    binding = {"vhost": "/", "source": "amq.topic", "destination_type": "queue", "destination": "amq.gen-1"}
    binding["routing_key"] = ""
    document = {"queues": [queue], "bindings": [binding, binding | {"source": ""}]}
    reading = commands_from(document, present=[PutVHost("/")])
    assert warnings(reading) == [
        "queues[0]: is left out: the name 'amq.gen-1' was given by a server",
        "bindings[0]: is left out: so is the queue 'amq.gen-1'",
        "bindings[1]: is left out: the default exchange has its bindings by itself",
    ]
    there = commands_from(document, present=[PutVHost("/"), PutQueue("/", "amq.gen-1")])
    assert there.commands == [PutBinding("/", "amq.topic", "queue", "amq.gen-1", "")]


def test_bindings_of_internal_exchanges_are_left_out_only_of_files_without_such():
    binding = {"vhost": "/", "source": "x", "destination_type": "queue", "destination": "q", "routing_key": ""}
    text = "bindings[0]: is left out: the exchange 'x' is not in the file, which has no internal exchanges in it"
    exported = {"rabbitmq_version": "4.3.5", "bindings": [binding]}
    assert warnings(read(**exported)) == [text]
    assert good(bindings=[binding])
    assert good(**exported, product_name="amqpd")
    exchange = {"vhost": "/", "name": "other", "type": "direct", "internal": False}
    assert good(**exported, exchanges=[exchange])
    assert good(**exported, exchanges=[{"vhost": "/", "name": "x", "type": "direct"}])
    present = [PutVHost("/"), PutExchange("/", "x", "direct")]
    assert warnings(commands_from(exported, present=present)) == []


@pytest.mark.parametrize(
    ("section", "values", "problem"),
    [
        ("exchanges", {"name": "x"}, "exchanges[0].type: is missing"),
        ("exchanges", {"name": "x", "type": ""}, "exchanges[0].type: must not be empty"),
        (
            "exchanges",
            {"name": "x", "type": "t", "durable": "true"},
            "exchanges[0].durable: must be true or false, not a text",
        ),
        ("queues", {"name": ""}, "queues[0].name: must not be empty"),
        ("queues", {"name": "ä" * 128}, "queues[0].name: has 256 bytes, and at most 255 are allowed"),
        ("queues", {"name": "q", "type": "own"}, "queues[0].type: is none of classic, quorum, stream"),
        (
            "queues",
            {"name": "q", "arguments": {"x-queue-type": "own"}},
            "queues[0].arguments.x-queue-type: is none of classic, quorum, stream",
        ),
        (
            "queues",
            {"name": "q", "arguments": {"x-queue-type": 5}},
            "queues[0].arguments.x-queue-type: is none of classic, quorum, stream",
        ),
        ("queues", {"name": "q", "arguments": "none"}, "queues[0].arguments: must be an object, not a text"),
        (
            "queues",
            {"name": "q", "arguments": {"x" * 256: 1}},
            f'queues[0].arguments["{"x" * 77}..."]: is a name of 256 bytes, and at most 255 are allowed',
        ),
        ("policies", {"name": "p", "pattern": ".*"}, "policies[0].definition: is missing"),
        ("policies", {"name": "p", "definition": {}}, "policies[0].pattern: is missing"),
        (
            "policies",
            {"name": "p", "definition": {}, "pattern": "", "priority": 1.5},
            "policies[0].priority: must be a whole number, not a number",
        ),
        ("parameters", {"component": "c", "name": "n"}, "parameters[0].value: is missing"),
        (
            "parameters",
            {"component": "vhost-limits", "name": "limits", "value": {"max-queues": True}},
            "parameters[0].value.max-queues: must be a whole number, not true",
        ),
        (
            "parameters",
            {"component": "operator_policy", "name": "p", "value": {"definition": {}}},
            "parameters[0].value.pattern: is missing",
        ),
        (
            "parameters",
            {"component": "operator_policy", "name": "p", "value": 5},
            "parameters[0].value: must be an object, not a number",
        ),
        (
            "bindings",
            {"source": "a", "destination_type": "topic", "destination": "b", "routing_key": ""},
            "bindings[0].destination_type: is neither queue nor exchange",
        ),
    ],
)
def test_problems(section, values, problem):
    assert problems(read(**{section: [{"vhost": "/"} | values]})) == [problem]


# -- policies and parameters


def test_policy_defaults():
    policy = {"vhost": "/", "name": "p", "pattern": ".*", "definition": {"expires": 5}}
    assert good(policies=[policy]) == [PutPolicy("/", "p", ".*", {"expires": 5})]


def test_policies_of_rabbitmq_3_lose_what_they_say_of_mirrors():
    both = {"ha-mode": "all", "ha-sync-mode": "automatic", "expires": 5}
    policy = {"vhost": "/", "pattern": ".*", "name": "both", "definition": both}
    only = policy | {"name": "only", "definition": {"ha-mode": "exactly", "ha-params": 2}}
    reading = read(policies=[policy, only])
    assert reading.commands[-1] == PutPolicy("/", "both", ".*", {"expires": 5})
    assert len(reading.commands) == 3
    text = "is left out: there are no mirrored classic queues any more"
    assert warnings(reading) == [
        f"policies[0].definition.ha-mode: {text}",
        f"policies[0].definition.ha-sync-mode: {text}",
        f"policies[1].definition.ha-mode: {text}",
        f"policies[1].definition.ha-params: {text}",
        "policies[1]: is left out: nothing is left in it",
    ]


def test_policies_travel_as_parameters_too():
    value = {"pattern": "^q", "definition": {"expires": 5}, "priority": 3, "apply-to": "queues"}
    policy = {"vhost": "/", "component": "policy", "name": "p", "value": value}
    assert good(parameters=[policy | {"component": "operator_policy"}, policy]) == [
        PutPolicy("/", "p", "^q", {"expires": 5}, "queues", 3, True),
        PutPolicy("/", "p", "^q", {"expires": 5}, "queues", 3, False),
    ]


def test_parameters():
    shovel = {"vhost": "/", "component": "shovel", "name": "s", "value": {"src-uri": "amqp://"}}
    cluster = {"name": "cluster_name", "value": "c"}
    assert good(parameters=[shovel], global_parameters=[cluster]) == [
        PutGlobalParameter("cluster_name", "c"),
        PutParameter("/", "shovel", "s", {"src-uri": "amqp://"}),
    ]


def test_what_belongs_to_one_node_is_neither_imported_nor_exported():
    own = {"vhost": "/", "component": "imported_definition_hash_value", "name": "n", "value": "h"}
    reading = read(parameters=[own], global_parameters=[{"name": "internal_cluster_id", "value": "c"}])
    assert len(warnings(reading)) == 2
    state = [PutVHost("/"), PutParameter("/", own["component"], "n", "h"), PutGlobalParameter("internal_id", 5)]
    document = document_from(state)
    assert document["parameters"] == []
    assert document["global_parameters"] == []


# -- whole documents


def test_into_a_vhost_everything_goes_that_a_vhost_has():
    queue = {"vhost": "elsewhere", "name": "q"}
    reading = commands_from({"vhosts": VHOSTS, "users": [], "permissions": [{}], "queues": [queue]}, "v")
    assert reading.commands == [PutQueue("v", "q", arguments=CLASSIC)]
    assert warnings(reading) == [
        "vhosts: is left out: it is no part of the definitions of one vhost",
        "permissions: is left out: it is no part of the definitions of one vhost",
    ]


def test_into_a_vhost_the_same_name_from_two_vhosts_is_a_problem_if_they_differ():
    queues = [{"vhost": "a", "name": "q"}, {"vhost": "b", "name": "q"}, {"vhost": "c", "name": "q", "durable": False}]
    reading = commands_from({"queues": queues}, "v")
    assert problems(reading) == ["queues[2]: is another definition of what queues[0] defines"]


def test_the_export_of_one_vhost_is_no_whole_nodes():
    document = {"queues": [{"name": "q"}, {"name": "r"}], "exchanges": [{"name": "x", "type": "direct"}]}
    [problem] = problems(commands_from(document))
    assert problem.startswith('exchanges[0]: has no "vhost", nor have 2 other objects')


def test_what_is_known_of_a_file_is_no_warning_and_what_is_not_is_one():
    assert warnings(read(product_name="RabbitMQ", exported_at="now", metadata={}, queeus=[{}])) == [
        "queeus: is not known and left out"
    ]
    assert warnings(read(queues=[{"vhost": "/", "name": "q", "auto-delete": True}])) == [
        "queues[0].auto-delete: is not known and left out"
    ]


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ([], "$: must be an object, not a list"),
        (None, "$: must be an object, not null"),
        ({"queues": {}}, "queues: must be a list, not an object"),
        ({"queues": None}, "queues: must be a list, not null"),
        ({"queues": ["q"]}, "queues[0]: must be an object, not a text"),
    ],
)
def test_shapes(document, problem):
    assert problems(commands_from(document)) == [problem]


def test_nothing_stops_at_the_first_problem():
    reading = read(
        users=[{"name": 5, "tags": 5, "limits": 5}],
        queues=[{"vhost": "no", "name": "q", "durable": 1, "auto_delete": 1, "arguments": 1}, {"vhost": "/"}],
    )
    assert [problem.path for problem in reading.problems] == [
        "users[0].name",
        "users[0].tags",
        "users[0].limits",
        "queues[0].vhost",
        "queues[0].durable",
        "queues[0].auto_delete",
        "queues[0].arguments",
        "queues[1].name",
    ]


@pytest.mark.parametrize(
    ("section", "one", "other"),
    [
        ("users", {"name": "n", "tags": []}, {"tags": ["t"]}),
        ("vhosts", {"name": "n"}, {"tags": ["t"]}),
        ("queues", {"vhost": "/", "name": "n"}, {"durable": False}),
        ("exchanges", {"vhost": "/", "name": "n", "type": "direct"}, {"durable": False}),
    ],
)
def test_the_same_twice_is_once_and_different_things_of_one_name_are_a_problem(section, one, other):
    document = {"vhosts": VHOSTS} | {section: [one, dict(one)]}
    reading = commands_from(document, present=[PutVHost("/")])
    assert warnings(reading) == []
    assert sum(command.name == "n" for command in reading.commands) == 1
    assert problems(read(**{section: [one, one, one | other]})) == [
        f"{section}[2]: is another definition of what {section}[0] defines"
    ]


def test_two_passwords_for_one_user_are_a_problem():
    users = [{"name": "u", "tags": [], "password": "one"}, {"name": "u", "tags": [], "password": "two"}]
    assert problems(read(users=users)) == ["users[1].password: is not what was said of this user before"]
    users[1]["password"] = "one"
    assert read(users=users).passwords == {1: "one"}


def test_paths_go_with_commands():
    reading = read(
        users=[{"name": "u", "tags": [], "limits": {"max-channels": 1}}],
        queues=[{"vhost": "/", "name": "amq.gen"}, {"vhost": "/", "name": "q"}],
    )
    assert reading.paths == ["vhosts[0]", "users[0]", "users[0].limits.max-channels", "queues[1]"]


def test_the_export_of_a_vhost_that_is_not_there():
    with pytest.raises(DefinitionError, match="there is no vhost 'v'"):
        document_from([PutVHost("/")], "v")


def test_the_example_of_the_manual():
    page = (Path(__file__).parents[2] / "docs" / "definitions.md").read_text()
    [example] = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    reading = read_text(example.encode())
    assert warnings(reading) == []
    assert {type(command) for command in reading.commands} == set(ORDER) - {PutParameter}
