"""Files that RabbitMQ 3.10 and 4.3 wrote: read whole, what is left out named, and written again in the same shapes."""

import json
from pathlib import Path

import pytest

from amqpd.broker.commands import (
    PutBinding,
    PutExchange,
    PutPermission,
    PutPolicy,
    PutQueue,
    PutUser,
    PutUserLimit,
    PutVHost,
    PutVHostLimit,
)
from amqpd.metadata.document import commands_from, document_from, read
from amqpd.wire import tables
from amqpd.wire.tables import Field, lookup

SAMPLES = Path(__file__).parent / "samples"
WHOLE = ["rabbitmq-3.10.json", "rabbitmq-4.3.json", "rabbitmq-4.3-management.json"]
LISTS = ["users", "permissions", "topic_permissions", "policies", "exchanges", "queues", "bindings", "parameters"]


def sample(name):
    return json.loads((SAMPLES / name).read_text())


def reading_of(name, vhost=None):
    reading = read((SAMPLES / name).read_bytes(), vhost)
    assert reading.problems == []
    return reading


def of(reading, kind):
    return [command for command in reading.commands if isinstance(command, kind)]


def only(reading, kind, **fields):
    [found] = [c for c in of(reading, kind) if all(getattr(c, name) == value for name, value in fields.items())]
    return found


@pytest.mark.parametrize("name", WHOLE)
def test_every_object_is_a_command_or_a_warning(name):
    document = sample(name)
    reading = reading_of(name)
    used = {path.split(".")[0] for path in reading.paths} | {problem.path.split(".")[0] for problem in reading.warnings}
    lists = [key for key, value in document.items() if isinstance(value, list)]
    objects = {f"{key}[{position}]" for key in lists for position in range(len(document[key]))}
    log_exchange = {f"exchanges[{i}]" for i, x in enumerate(document["exchanges"]) if x["name"] == "amq.rabbitmq.log"}
    assert objects - used == log_exchange


@pytest.mark.parametrize("name", WHOLE)
def test_what_is_written_again_is_what_was_read(name):
    reading = reading_of(name)
    again = commands_from(document_from(reading.commands))
    assert again.problems == []
    assert again.commands == reading.commands


@pytest.mark.parametrize("name", ["rabbitmq-4.3.json", "rabbitmq-4.3-management.json"])
def test_the_export_has_the_lists_of_4_3_up_to_order(name):
    reading = reading_of(name)
    left_out = {problem.path for problem in reading.warnings} | {"exchanges[amq.rabbitmq.log]"}
    document = sample(name)
    written = document_from(reading.commands)
    for key in LISTS:
        kept = [
            item
            for position, item in enumerate(document[key])
            if f"{key}[{position}]" not in left_out and item.get("name") != "amq.rabbitmq.log"
        ]
        assert sorted(written[key], key=str) == sorted(kept, key=str), key
    for vhost in document["vhosts"]:
        vhost["metadata"].pop("protected_from_deletion", None)
    assert sorted(written["vhosts"], key=str) == sorted(document["vhosts"], key=str)
    assert written["global_parameters"] == document["global_parameters"]


def test_the_export_of_one_vhost_has_the_shape_of_4_3():
    whole = reading_of("rabbitmq-4.3-management.json")
    written = document_from(whole.commands, "orders", product_name="RabbitMQ", product_version="4.3.6")
    document = sample("rabbitmq-4.3-vhost.json")
    assert set(written) == set(document)
    for key in ("metadata", "description", "limits", "explanation", "original_vhost_name"):
        assert written[key] == document[key]
    assert written["rabbitmq_definition_format"] == document["rabbitmq_definition_format"]
    assert sorted(written["parameters"], key=str) == sorted(document["parameters"], key=str)
    assert [list(queue) for queue in written["queues"]] == [list(queue) for queue in document["queues"]][:-1]


def test_the_whole_export_has_the_keys_of_4_3():
    written = document_from([], cluster_name="sample@example")
    document = sample("rabbitmq-4.3-management.json")
    assert set(written) == set(document)
    assert written["explanation"] == document["explanation"]


def test_3_10():
    reading = reading_of("rabbitmq-3.10.json")
    assert [str(warning) for warning in reading.warnings] == [
        "global_parameters[0]: is left out: it belongs to the cluster that wrote the file"
    ]
    assert only(reading, PutVHost) == PutVHost("/")
    assert only(reading, PutPermission, user="u1") == PutPermission("u1", "/", "^c-.*", "^w-.*", "^r-.*")
    assert only(reading, PutUser, name="guest").tags == ("administrator",)
    assert only(reading, PutExchange, name="xint").internal
    assert not only(reading, PutExchange, name="xint").durable
    assert only(reading, PutQueue, name="mgqq").type == "quorum"
    assert only(reading, PutQueue, name="f2").arguments[0] == ("x-message-ttl", Field(tables.LONG, 1000))


def test_3_10_of_one_vhost():
    reading = reading_of("rabbitmq-3.10-vhost.json", "new")
    assert reading.warnings == []
    assert len(reading.commands) == 14 + 8 + 5
    assert {command.vhost for command in reading.commands} == {"new"}


def test_4_3_access():
    reading = reading_of("rabbitmq-4.3.json")
    users = {user.name: user for user in of(reading, PutUser)}
    assert {name: user.hashing_algorithm.rpartition("_")[2] for name, user in users.items()} == {
        "ada": "sha256",
        "grace": "sha512",
        "edsger": "md5",
        "x509 only": "sha256",
    }
    assert users["x509 only"].password_hash == ""
    assert users["grace"].tags == ("monitoring", "management", "own tag")
    assert set(of(reading, PutUserLimit)) == {
        PutUserLimit("grace", "max-connections", 5),
        PutUserLimit("grace", "max-channels", -1),
        PutUserLimit("edsger", "max-channels", 100),
    }
    assert PutVHost("orders", "Orders, invoices", ("production", "eu"), "quorum") in reading.commands
    assert set(of(reading, PutVHostLimit)) == {
        PutVHostLimit("/", "max-queues", -1),
        PutVHostLimit("orders", "max-connections", 200),
        PutVHostLimit("orders", "max-queues", 1000),
    }


def test_4_3_policies():
    reading = reading_of("rabbitmq-4.3.json")
    cap = {"max-length-bytes": 1073741824, "message-ttl": 86400000}
    assert only(reading, PutPolicy, operator=True) == PutPolicy("orders", "cap", ".*", cap, "queues", 1, True)
    assert only(reading, PutPolicy, name="keep").apply_to == "quorum_queues"
    assert reading.paths[reading.commands.index(only(reading, PutPolicy, name="cap"))] == "parameters[1].value"


def test_4_3_arguments():
    """What pika made of Python's types, through RabbitMQ, and what of it RabbitMQ had changed by then."""
    arguments = only(reading_of("rabbitmq-4.3.json"), PutBinding, source="attributes").arguments
    assert lookup(arguments, "big") == Field(tables.LONG, 2**40)
    assert lookup(arguments, "float") == Field(tables.DOUBLE, 1.5)
    assert lookup(arguments, "decimal") == Field(tables.DOUBLE, 2.314)
    assert lookup(arguments, "when") == Field(tables.LONG, 1709208000)
    assert lookup(arguments, "raw") == Field(tables.LONGSTR, b"\xff\xfe" * 60)
    assert lookup(arguments, "bytes") == Field(tables.LONGSTR, b"plain")
    assert lookup(arguments, "void") == Field(tables.LONGSTR, b"undefined")
    assert lookup(arguments, "yes") == Field(tables.BOOL, True)
    assert lookup(arguments, "table") == tables.subtable(
        [("a", tables.subtable([("b", tables.array([]))]))]
    )


def test_4_3_leaves_out_internal_exchanges_and_so_what_binds_them():
    reading = reading_of("rabbitmq-4.3.json")
    texts = [warning.text for warning in reading.warnings]
    assert sum("'inner' is not in the file" in text for text in texts) == 2
    assert sum("was given by a server" in text for text in texts) == 1
    assert sum("is not kept" in text for text in texts) == 1
    assert len(texts) == 4
