"""Definitions files of RabbitMQ, loaded by nodes as they are: into one, out of it, into the next; and their users."""

import base64
import hashlib
import json
from pathlib import Path

import pytest
from operating import operator_of, running
from peer import admitted, log_in, refused

from amqpd.errors import ConfigError
from amqpd.server.importing import DIGEST_NAME

SAMPLES = Path(__file__).parent / "metadata" / "samples"
VHOST = {"name": "/", "metadata": {"description": "", "tags": []}}


def user(name, algorithm):
    """A user whose password is the name, as RabbitMQ exports it."""
    hashed = b"salt" + hashlib.new(algorithm, b"salt" + name.encode()).digest()
    return {
        "name": name,
        "password_hash": base64.b64encode(hashed).decode(),
        "hashing_algorithm": f"rabbit_password_hashing_{algorithm}",
        "tags": [],
    }


def write(path, **lists):
    path.write_text(json.dumps({"vhosts": [VHOST], **lists}))
    return str(path)


def state(broker):
    """What the node knows, but for what remembers which file it was."""
    commands = broker.node.definitions.snapshot()
    return [command for command in commands if getattr(command, "name", "") != DIGEST_NAME]


@pytest.mark.parametrize("name", ["rabbitmq-3.10.json", "rabbitmq-4.3.json", "rabbitmq-4.3-management.json"])
async def test_a_file_of_rabbitmqs_is_loaded_as_it_is_and_comes_back_from_an_export(tmp_path, name):
    exported = tmp_path / "exported.json"
    async with running(tmp_path / "first", load_definitions=str(SAMPLES / name)) as broker:
        before = state(broker)
        document = json.loads((SAMPLES / name).read_text())
        assert set(broker.node.broker.vhosts) == {vhost["name"] for vhost in document["vhosts"]}
        assert {queue.name for vhost in broker.node.broker.vhosts.values() for queue in vhost.queues.values()} == {
            queue["name"] for queue in document["queues"] if not queue["name"].startswith("amq.")
        }
        async with operator_of(broker) as operator:
            exported.write_text(json.dumps(await operator.ask("export")))
            again = await operator.ask("import", exported.read_bytes())
        assert (state(broker), again["warnings"]) == (before, [])
    async with running(tmp_path / "second", load_definitions=str(exported)) as broker:
        assert sorted(map(repr, state(broker))) == sorted(map(repr, before))


async def test_users_from_rabbitmq_log_in_with_the_passwords_they_had(tmp_path):
    async with running(tmp_path / "data", load_definitions=str(SAMPLES / "rabbitmq-3.10.json")) as broker:
        await admitted(await log_in(broker, "guest", "guest"))
    users = [user(algorithm, algorithm) for algorithm in ("md5", "sha256", "sha512")]
    everything = {"vhost": "/", "configure": "", "write": "", "read": ""}
    permissions = [{"user": each["name"], **everything} for each in users]
    file = write(tmp_path / "users.json", users=users, permissions=permissions)
    async with running(tmp_path / "others", load_definitions=file) as broker:
        for each in users:
            await admitted(await log_in(broker, each["name"], each["name"]))
            await refused(await log_in(broker, each["name"], "another"))


async def test_after_a_start_that_was_refused_the_settings_make_the_first_user(tmp_path):
    file = write(tmp_path / "file.json", queues=[{"name": "of no vhost"}])
    with pytest.RaisesGroup(pytest.RaisesExc(ConfigError, match='has no "vhost"'), flatten_subgroups=True):
        async with running(tmp_path / "data", load_definitions=file):
            pass
    async with running(tmp_path / "data") as broker:
        await admitted(await log_in(broker, "guest", "guest"))
