"""Definitions files: all of them or nothing, with every problem; exports that come back the same; loading at start."""

import json
import logging
import sqlite3
import threading
import time

import pytest
import trio
from harness import m, publish
from operating import operator_of, running
from peer import Peer, until

from amqpd.auth import passwords
from amqpd.errors import ConfigError
from amqpd.metadata.store import NAME
from amqpd.server import changes, control, importing


@pytest.fixture
async def broker(tmp_path):
    async with running(tmp_path / "data") as broker:
        yield broker


@pytest.fixture
async def operator(broker):
    async with operator_of(broker) as operator:
        yield operator


def everything(broker):
    return list(broker.node.definitions.snapshot())


WHOLE = {
    "rabbitmq_version": "4.3.0",
    "vhosts": [{"name": "v", "metadata": {"description": "d", "tags": ["t"], "default_queue_type": "classic"}}],
    "users": [
        {"name": "hashed", "password_hash": "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR", "tags": ["monitoring"]},
        {"name": "clear", "password": "in clear", "tags": "", "limits": {"max-channels": 5}},
    ],
    "permissions": [{"user": "clear", "vhost": "v", "configure": ".*", "write": ".*", "read": ".*"}],
    "topic_permissions": [{"user": "clear", "vhost": "v", "exchange": "x", "write": "^a", "read": ""}],
    "global_parameters": [{"name": "cluster_name", "value": "here"}],
    "parameters": [
        {"vhost": "v", "component": "vhost-limits", "name": "limits", "value": {"max-queues": 9}},
        {
            "vhost": "v",
            "component": "operator_policy",
            "name": "o",
            "value": {"pattern": "^q", "definition": {"expires": 900_000}},
        },
        {"vhost": "v", "component": "shovel", "name": "s", "value": {"src-uri": "amqp://"}},
    ],
    "policies": [{"vhost": "v", "name": "p", "pattern": "^q", "definition": {"max-length": 7}}],
    "exchanges": [{"vhost": "v", "name": "x", "type": "topic", "durable": True, "auto_delete": False, "arguments": {}}],
    "queues": [{"vhost": "v", "name": "q", "durable": True, "auto_delete": False, "arguments": {"x-max-length": 10}}],
    "bindings": [
        {
            "vhost": "v",
            "source": "x",
            "destination": "q",
            "destination_type": "queue",
            "routing_key": "a.#",
            "arguments": {},
        }
    ],
}


async def test_a_file_with_everything_in_it(broker, operator):
    answer = await operator.import_(WHOLE)
    assert answer["ok"], answer
    assert answer["result"] == {
        "imported": {
            "vhosts": 1,
            "users": 2,
            "user limits": 1,
            "permissions": 1,
            "exchanges": 1,
            "topic permissions": 1,
            "global parameters": 1,
            "policies": 2,
            "parameters": 1,
            "queues": 1,
            "bindings": 1,
            "vhost limits": 1,
        },
        "skipped": False,
        "warnings": [],
    }
    queue = broker.node.broker.vhosts["v"].queues["q"]
    assert (queue.policy.name, queue.operator_policy.name) == ("p", "o")
    await operator.ask("user", action="authenticate", name="clear", password="in clear")
    await operator.ask("user", action="authenticate", name="hashed", password="test12")
    clear = broker.node.accounts.find("clear")
    assert passwords.verify_password(b"in clear", clear.password_hash, clear.algorithm)


async def test_what_was_imported_is_there_after_a_restart(tmp_path):
    async with running(tmp_path / "data") as broker, operator_of(broker) as operator:
        assert (await operator.import_(WHOLE))["ok"]
        before = everything(broker)
    async with running(tmp_path / "data") as broker:
        assert set(map(repr, everything(broker))) == set(map(repr, before))


async def test_an_import_is_on_disk_when_it_is_answered(broker, operator, tmp_path):
    await operator.import_({"vhosts": [{"name": "stored"}]})
    with sqlite3.connect(f"file:{tmp_path / 'data' / NAME}?mode=ro", uri=True) as database:
        names = [name for (name,) in database.execute("select name from vhosts")]
    database.close()
    assert "stored" in names


async def test_an_export_comes_back_as_what_it_was(broker, operator, tmp_path):
    await operator.import_(WHOLE)
    exported = await operator.ask("export")
    assert "in clear" not in json.dumps(exported)
    before = everything(broker)
    answer = await operator.import_(exported)
    assert answer["ok"], answer
    assert answer["result"]["warnings"] == []
    assert everything(broker) == before  # into the node that it is of: nothing changes
    async with running(tmp_path / "other") as other, operator_of(other) as there:
        assert (await there.import_(exported))["ok"]
        again = await there.ask("export")
    differing = ("original_cluster_name", "explanation")
    assert {**again, **dict.fromkeys(differing)} == {**exported, **dict.fromkeys(differing)}


async def test_a_vhost_goes_out_and_into_another(broker, operator):
    await operator.import_(WHOLE)
    exported = await operator.ask("export", vhost="v")
    assert "users" not in exported
    await operator.ask("vhost", action="add", name="w")
    answer = await operator.import_(exported, vhost="w")
    assert answer["ok"], answer
    v, w = [await operator.ask("export", vhost=name) for name in ("v", "w")]
    for name in ("queues", "exchanges", "bindings", "policies", "parameters"):
        assert v[name] == w[name]
    assert await operator.refused("import", b"{}", vhost="missing") == "vhost 'missing' does not exist"
    assert await operator.refused("export", vhost="missing") == "there is no vhost 'missing'"


# -- all or nothing

WRONG = [
    ({"queues": [{"name": "q", "vhost": "nope"}]}, ["queues[0].vhost: there is no vhost 'nope' "]),
    ({"exchanges": [{"name": "x", "vhost": "/", "type": "square"}]}, ["exchanges[0]: unknown exchange type 'square'"]),
    (
        {"queues": [{"name": "q", "vhost": "/", "arguments": {"x-message-ttl": -1}}]},
        ["queues[0]: invalid arg 'x-message-ttl' for queue 'q' in vhost '/': {value_negative,-1}"],
    ),
    (
        {
            "policies": [
                {"name": "p", "vhost": "/", "pattern": "(", "definition": {"max-length": 1}},
                {"name": "o", "vhost": "/", "pattern": "", "definition": {"colour": "red"}},
            ]
        },
        [
            "policies[0]: Validation failed: pattern should be regular expression but is ",
            "policies[1]: Validation failed: [{<<",
        ],
    ),
    (
        {"permissions": [{"user": "guest", "vhost": "/", "configure": "[", "write": "", "read": ""}]},
        ["permissions[0]: permissions of user 'guest' in vhost '/': the pattern '[' for configure is not valid"],
    ),
    (
        {
            "bindings": [
                {"vhost": "/", "source": "x", "destination": "q", "destination_type": "queue", "routing_key": ""}
            ]
        },
        ["bindings[0]: no exchange 'x' in vhost '/'"],
    ),
    (
        {
            "queues": [{"name": "q", "vhost": "/"}],
            "bindings": [
                {
                    "vhost": "/",
                    "source": "amq.headers",
                    "destination": "q",
                    "destination_type": "queue",
                    "routing_key": "",
                    "arguments": {"x-match": "zip"},
                }
            ],
        },
        ["bindings[0]: Invalid x-match field value"],
    ),
    ({"users": [{"name": "u" * 256, "password": "p", "tags": ""}]}, ["users[0].name: "]),
    (
        {"parameters": [{"vhost": "/", "component": "vhost-limits", "name": "limits", "value": {"max-cows": 1}}]},
        ["parameters[0].value.max-cows: "],
    ),
]


@pytest.mark.parametrize(("document", "problems"), WRONG)
async def test_one_bad_object_and_nothing_is_done(broker, operator, document, problems):
    before = everything(broker)
    recorded = broker.node.catalogue.recorded
    document.setdefault("vhosts", []).append({"name": "good"})
    answer = await operator.import_(document)
    assert (answer["ok"], answer["error"]) == (False, "nothing was imported")
    assert len(answer["details"]) == len(problems), answer
    for found, expected in zip(answer["details"], problems, strict=True):
        assert found.startswith(expected)
        assert "\n" not in found
    assert everything(broker) == before
    assert broker.node.catalogue.recorded == recorded


async def test_problems_of_reading_and_of_trying_are_all_listed(broker, operator):
    """Those of reading come alone: what cannot be read cannot be tried."""
    queues = [{"name": f"q{n}", "vhost": "/", "arguments": {"x-max-length": -n}} for n in range(1, 6)]
    answer = await operator.import_({"queues": queues})
    assert [problem.split(":")[0] for problem in answer["details"]] == [f"queues[{n}]" for n in range(5)]
    answer = await operator.import_({"queues": [*queues, {"name": 5, "vhost": "/"}]})
    assert [problem.split(":")[0] for problem in answer["details"]] == ["queues[5].name"]


async def test_there_may_be_very_many_problems(operator):
    answer = await operator.import_({"queues": [{"name": n, "vhost": "/"} for n in range(1500)]})
    assert len(answer["details"]) == 1001
    assert answer["details"][-1] == "and 500 more"


HOSTILE = [
    b"not JSON",
    b"\xff\xfe",
    b"[]",
    b"5",
    b'"text"',
    b"null",
    b"{" * 100_000,
    b"[" * 100_000,
    b'{"queues": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    b'{"queues": {}}',
    b'{"queues": [[]]}',
    b'{"queues": [null]}',
    b'{"queues": [{"name": "q", "vhost": "/", "arguments": {"x": NaN}}]}',
    b'{"queues": [{"name": "q", "vhost": "/", "arguments": {"x": ' + b"9" * 100_000 + b"}}]}",
    b'{"vhosts": [{"name": "\\ud800"}]}',
    b'{"vhosts": [{"name": "a"}], "vhosts": []}',
]


@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
async def test_hostile_files(broker, operator, body):
    before = everything(broker)
    answer = await operator.request("import", body)
    assert (answer["ok"], answer["error"]) == (False, "nothing was imported")
    assert answer["details"]
    assert everything(broker) == before
    await operator.ask("status")


@pytest.mark.parametrize("size", [0, -1, True, 1.5, "5", None, control.BODY_MAX + 1, 10**30])
async def test_sizes_that_are_none(operator, size):
    answer = await operator.raw(json.dumps({"command": "import", "size": size}).encode() + b"\n")
    assert answer["ok"] is False
    if size is not None:  # what follows cannot be told from the next request
        with pytest.raises(trio.EndOfChannel):
            await operator.answer()


async def test_only_an_import_has_a_body(operator):
    assert "follows the request of an import" in await operator.refused("status", b"body")
    assert "follows the request of an import" in await operator.refused("import")


# -- passwords


async def test_passwords_must_obey_the_rules(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    rules = {
        "credential_validator__validation_backend": "min_password_length",
        "credential_validator__min_length": 8,
    }
    async with running(tmp_path / "data", **rules) as broker, operator_of(broker) as operator:
        names = ("long enough", "s3cret", "shrt")
        users = [{"name": name, "password": name, "tags": ""} for name in names]
        answer = await operator.import_({"users": users})
        assert answer["details"] == [f"users[{n}].password: minimum required password length is 8" for n in (1, 2)]
        assert broker.node.accounts.find("long enough") is None
        error = await operator.refused("user", action="add", name="u", password="s3cret", tags=[])
        assert error == "minimum required password length is 8"
    assert "s3cret" not in caplog.text


async def test_passwords_are_hashed_as_the_node_hashes(tmp_path):
    async with running(tmp_path / "data", password_hashing="argon2") as broker, operator_of(broker) as operator:
        assert (await operator.import_({"users": [{"name": "u", "password": "p", "tags": ""}]}))["ok"]
        assert broker.node.accounts.find("u").password_hash.startswith("$argon2id$")
        await operator.ask("user", action="authenticate", name="u", password="p")


async def test_a_node_that_stops_does_not_hash_on(tmp_path, monkeypatch):
    hashed, begun = [], threading.Event()

    async with running(tmp_path / "data") as broker, operator_of(broker) as operator:
        put_user = broker.node.rules.put_user

        def slow(name, password, tags):
            hashed.append(name)
            begun.set()
            time.sleep(0.05)
            return put_user(name, password, tags)

        monkeypatch.setattr(broker.node.rules, "put_user", slow)
        users = [{"name": f"u{n}", "password": "p", "tags": ""} for n in range(1000)]
        body = json.dumps({"users": users}).encode()
        await operator.stream.send_all(json.dumps({"command": "import", "size": len(body)}).encode() + b"\n" + body)
        await trio.to_thread.run_sync(begun.wait)
    assert len(hashed) < 100


# -- what is there


async def test_what_is_there_and_differs_is_kept_and_said(broker, operator):
    peer = await Peer.connect(broker)
    await peer.call(m("queue.declare", queue="q", durable=True, arguments={"x-max-length": 1}))
    await peer.call(m("exchange.declare", exchange="x", type="fanout", durable=True))
    document = {
        "exchanges": [{"name": "x", "vhost": "/", "type": "topic"}],
        "queues": [{"name": "q", "vhost": "/"}, {"name": "new", "vhost": "/"}],
    }
    answer = await operator.import_(document)
    assert answer["ok"]
    assert [warning.split(": ")[:2] for warning in answer["result"]["warnings"]] == [
        ["exchanges[0]", "exchange 'x' in vhost '/' is kept as it is"],
        ["queues[0]", "queue 'q' in vhost '/' is kept as it is"],
    ]
    assert broker.node.broker.vhosts["/"].exchanges["x"].type_name == "fanout"
    assert "new" in broker.node.broker.vhosts["/"].queues
    await peer.close()


async def test_bindings_from_the_event_exchange(tmp_path):
    """It is there in a node that has it; without it the binding has no source."""
    document = {
        "queues": [{"name": "events", "vhost": "/"}],
        "bindings": [
            {
                "vhost": "/",
                "source": "amq.rabbitmq.event",
                "destination": "events",
                "destination_type": "queue",
                "routing_key": "#",
            }
        ],
    }
    async with running(tmp_path / "with", event_exchange=True) as broker, operator_of(broker) as operator:
        assert (await operator.import_(document))["ok"]
        assert (await operator.import_(document))["ok"]
    async with running(tmp_path / "with", event_exchange=False) as broker:  # it survives that it is turned off
        assert "events" in broker.node.broker.vhosts["/"].queues
    async with running(tmp_path / "without") as broker, operator_of(broker) as operator:
        answer = await operator.import_(document)
        assert answer["details"] == ["bindings[0]: no exchange 'amq.rabbitmq.event' in vhost '/'"]


async def test_what_clients_change_meanwhile_is_a_warning(broker, operator, monkeypatch):
    """Between the trial and the last step."""
    importer = importing.Importer
    try_all = importer._try

    def try_and_lose(self, plan, present):
        try_all(self, plan, present)
        trio.from_thread.run_sync(broker.node.broker.remove_vhost, "lost")

    monkeypatch.setattr(importer, "_try", try_and_lose)
    broker.add_vhost("lost")
    answer = await operator.import_({"queues": [{"name": "q", "vhost": "lost"}, {"name": "q", "vhost": "/"}]})
    assert answer["ok"]
    assert answer["result"]["warnings"] == ["queues[0]: not done: vhost 'lost' does not exist"]
    assert "q" in broker.node.broker.vhosts["/"].queues


# -- operators and clients meanwhile


async def test_two_operators_import_one_after_the_other(broker):
    documents = [{"vhosts": [{"name": f"{letter}{n}"} for n in range(50)]} for letter in "abcd"]
    answers = []

    async def import_one(document):
        async with operator_of(broker) as operator:
            answers.append(await operator.import_(document))

    async with trio.open_nursery() as nursery:
        for document in documents:
            nursery.start_soon(import_one, document)
    assert [answer["ok"] for answer in answers] == [True] * 4
    assert len(broker.node.broker.vhosts) == 201


async def test_others_go_on_while_a_file_is_tried(broker, operator, monkeypatch):
    begun, go_on = threading.Event(), threading.Event()
    read = importing.Importer._plan

    def wait(self, *arguments):
        begun.set()
        assert go_on.wait(20)
        return read(self, *arguments)

    monkeypatch.setattr(importing.Importer, "_plan", wait)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(operator.import_, WHOLE)
        await trio.to_thread.run_sync(begun.wait)
        peer = await Peer.connect(broker)
        await peer.call(m("queue.declare", queue="meanwhile", durable=True))
        async with operator_of(broker) as other:
            await other.ask("vhost", action="add", name="meanwhile")
        await peer.close()
        go_on.set()
    assert {"meanwhile", "v"} <= set(broker.node.broker.vhosts)


async def test_an_operator_who_leaves_before_the_end_of_the_file_has_done_nothing(broker):
    async with operator_of(broker) as operator:
        await operator.stream.send_all(b'{"command": "import", "size": 1000}\n{"vhosts": [{"name": "half')
    async with operator_of(broker) as operator:  # and is in nobody's way
        assert (await operator.import_({"vhosts": [{"name": "whole"}]}))["ok"]
    assert list(broker.node.broker.vhosts) == ["/", "whole"]


async def test_an_operator_who_leaves_before_the_answer_has_done_all(broker):
    body = json.dumps(WHOLE).encode()
    async with operator_of(broker) as operator:
        await operator.stream.send_all(json.dumps({"command": "import", "size": len(body)}).encode() + b"\n" + body)
    await until(lambda: "v" in broker.node.broker.vhosts)


async def test_an_operator_who_sends_nothing_more_is_cut_off(broker, monkeypatch):
    monkeypatch.setattr(control, "BODY_PAUSE_S", 0.05)
    async with operator_of(broker) as operator:
        await operator.stream.send_all(b'{"command": "import", "size": 1000}\n{')
        with pytest.raises((trio.EndOfChannel, trio.BrokenResourceError)):
            await operator.answer()


async def test_a_client_that_publishes_meanwhile_notices_nothing(broker, operator):
    queues = [{"name": f"q{n}", "vhost": "/"} for n in range(300)]
    peer = await Peer.connect(broker)
    await peer.call(m("queue.declare", queue="mine"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(operator.import_, {"queues": queues})
        for _ in range(50):
            await peer.send(publish(b"x", "mine"))
            await trio.lowlevel.checkpoint()
    await until(lambda: broker.message_count("mine") == 50)
    await peer.close()


async def test_a_long_import_gives_others_their_turns_and_is_stored_as_one(broker, operator, monkeypatch):
    monkeypatch.setattr(changes, "PIECE", 10)
    batches, sizes = [], set()
    store = broker.node._store
    apply = store.apply

    def noted(commands, sequence):
        batches.append(len(commands))
        apply(commands, sequence)

    monkeypatch.setattr(store, "apply", noted)
    queues = [{"name": f"q{n}", "vhost": "/", "durable": True} for n in range(300)]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(operator.import_, {"queues": queues})
        while len(broker.node.broker.vhosts["/"].queues) < 300:
            sizes.add(len(broker.node.broker.vhosts["/"].queues))
            await trio.lowlevel.checkpoint()
    assert len(sizes) > 10
    assert batches == [300]


# -- when a node starts


def vhosts(*names):
    return json.dumps({"vhosts": [{"name": name} for name in names]})


async def test_a_new_node_has_what_it_loads_and_nothing_else(tmp_path):
    file = tmp_path / "definitions.json"
    file.write_text(json.dumps(WHOLE))
    async with running(tmp_path / "data", load_definitions=str(file)) as broker:
        assert list(broker.node.broker.vhosts) == ["v"]
        assert broker.node.accounts.find("guest") is None
        assert broker.node.accounts.find("hashed") is not None


async def test_a_directory_is_loaded_in_the_order_of_its_names_as_one(tmp_path):
    directory = tmp_path / "definitions"
    directory.mkdir()
    (directory / "20.json").write_text('{"queues": [{"name": "q", "vhost": "first"}]}')
    (directory / "10.json").write_text(vhosts("first"))
    (directory / "readme.txt").write_text("not JSON")
    async with running(tmp_path / "data", load_definitions=str(directory)) as broker:
        assert list(broker.node.broker.vhosts["first"].queues) == ["q"]
    (directory / "30.json").write_text('{"queues": [{"name": "q", "vhost": "third"}]}')
    (directory / "05.json").write_text(vhosts("zeroth"))
    with pytest.RaisesGroup(ConfigError, allow_unwrapped=True, flatten_subgroups=True) as failure:
        async with running(tmp_path / "data", load_definitions=str(directory)):
            pass
    assert "30.json: queues[0].vhost: there is no vhost 'third'" in str(failure.value.exceptions)
    async with running(tmp_path / "data") as broker:
        assert list(broker.node.broker.vhosts) == ["first"]  # nothing of the others


async def test_unchanged_definitions_are_left_out(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    file = tmp_path / "definitions.json"
    file.write_text(vhosts("a", "b"))
    load = {"load_definitions": str(file)}
    async with running(tmp_path / "data", **load) as broker, operator_of(broker) as operator:
        await operator.order("DeleteVHost", name="a")
        assert "internal" not in json.dumps((await operator.ask("export"))["global_parameters"])
    async with running(tmp_path / "data", **load) as broker:
        assert list(broker.node.broker.vhosts) == ["b"]
        assert "left out" in caplog.text
    file.write_text(vhosts("a", "c"))
    async with running(tmp_path / "data", **load) as broker:
        assert sorted(broker.node.broker.vhosts) == ["a", "b", "c"]
    async with running(tmp_path / "data", **load) as broker, operator_of(broker) as operator:
        await operator.order("DeleteVHost", name="a")
    async with running(tmp_path / "data", **load, definitions__skip_if_unchanged=False) as broker:
        assert "a" in broker.node.broker.vhosts


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{", "is not JSON"),
        ('{"queues": [{"name": "q", "vhost": "nope"}]}', "queues[0].vhost: there is no vhost 'nope'"),
        (None, "cannot be read: No such file or directory"),
    ],
)
async def test_a_node_whose_definitions_are_wrong_does_not_start(tmp_path, text, error):
    file = tmp_path / "definitions.json"
    if text is not None:
        file.write_text(text)
    with pytest.RaisesGroup(ConfigError, allow_unwrapped=True, flatten_subgroups=True) as failure:
        async with running(tmp_path / "data", load_definitions=str(file)):
            pass
    assert error in str(failure.value.exceptions)
    assert str(file) in str(failure.value.exceptions)
    async with running(tmp_path / "data") as broker:  # nothing is there that was not wanted
        assert list(broker.node.broker.vhosts) == ["/"]
