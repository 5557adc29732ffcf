"""The table of settings is whole: every row is documented, obeyed, and true to its defaults."""

import re
import tomllib
from contextlib import closing
from pathlib import Path

import pytest
import trio
from secure import Pki

from amqpd.app import Node, limits_from
from amqpd.broker.limits import Limits
from amqpd.config import SETTINGS, Settings, Sources, load
from amqpd.config.environment import CONFIG
from amqpd.config.rabbitmq_keys import keys_of
from amqpd.config.reference import as_toml, page
from amqpd.runtime import logs
from amqpd.runtime.datadir import DataDir
from amqpd.testing import open_broker
from amqpd.testing.broker import settings_for

PAGE = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"
# Read by `app.serve` alone, which is a process of its own: tests/cli starts one with each of these.
READ_BY_SERVE = {"data_dir", "log.level", "log.file"}


class Recording(Settings):
    """Settings that know which of them were asked for."""

    def __init__(self, settings):
        super().__init__({name: settings.value(name) for name in SETTINGS})
        self.read = set()
        self.watched = trio.Event()

    def value(self, name):
        self.read.add(name)
        if name == "config_watch":
            self.watched.set()
        return super().value(name)


def test_the_page_of_the_manual_is_current():
    assert PAGE.read_text() == page(), "run python -m amqpd.config.reference"


def test_all_settings_are_documented():
    documented = re.findall(r"^### `(.+)`$", PAGE.read_text(), re.MULTILINE)
    assert len(documented) == len(set(documented)) == len(SETTINGS)
    assert set(documented) == set(SETTINGS)


def test_no_two_settings_have_the_same_variable():
    variables = [setting.variable for setting in SETTINGS.values()]
    assert len(set(variables)) == len(variables)
    assert CONFIG not in variables


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=lambda setting: setting.name)
def test_every_setting_is_documented_and_its_default_allowed(setting):
    entry = page().split(f"### `{setting.name}`\n", 1)[1].split("\n#", 1)[0]
    assert setting.doc in entry
    assert setting.kind.allowed in entry
    assert f"`{setting.variable}`" in entry
    assert f"a change is obeyed: {'at once' if setting.reloadable else 'after a restart'}\n" in entry
    assert all(f"`{key}`" in entry for key in keys_of(setting.name))
    assert setting.doc.endswith(".")
    assert setting.kind.parse(setting.default) == setting.default


def test_every_limit_of_the_broker_has_a_setting_with_the_same_default():
    names = [name for name in dir(Limits()) if not name.startswith("_")]  # a compiled class has no __dict__
    limits = {name: getattr(Limits(), name) for name in names}
    assert {setting.limit: setting.default for setting in SETTINGS.values() if setting.limit} == limits


def test_a_limits_setting_reaches_the_limit():
    limits = limits_from(Settings({"heartbeat": 7, "unsent_bytes_max": 5000}))
    assert (limits.heartbeat_s, limits.unsent_max) == (7, 5000)


async def read_by_a_node(data_dir=None, **given):
    """The settings that a node asks for: when made, started, watching its files, and stopped."""
    settings = Recording(settings_for({"log_exchange": True, "event_exchange": True, **given}))
    node = Node(settings, data_dir, Sources())
    async with trio.open_nursery() as nursery:
        await nursery.start(node.run)
        with trio.fail_after(60):
            await settings.watched.wait()
        node.stop()
    return settings.read


async def test_every_setting_is_read_by_a_node_that_runs(tmp_path):
    rule = "credential_validator__validation_backend"
    definitions = tmp_path / "definitions.json"
    definitions.write_text('{"vhosts": [{"name": "/"}]}')
    read = await read_by_a_node(**{rule: "min_password_length"}, load_definitions=str(definitions))
    strict = {rule: "password_regexp", "credential_validator__regexp": "g", "ssl_options__verify": "verify_peer"}
    with closing(DataDir(tmp_path / "data")) as data_dir:
        read |= await read_by_a_node(data_dir, **strict, **Pki(tmp_path).options())
    assert read | READ_BY_SERVE == set(SETTINGS)
    assert not read & READ_BY_SERVE


async def test_settings_for_the_node_work(autojump_clock):
    options = {"node_name": "rabbit@here", "log_exchange": True, "event_exchange": True, "default_user": "me"}
    async with open_broker(**options) as broker:
        assert broker.node.broker.name == "rabbit@here"
        exchanges = broker.node.broker.vhosts["/"].exchanges
        assert {"amq.rabbitmq.log", "amq.rabbitmq.event"} <= set(exchanges)
        assert broker.node.accounts.find("me") is not None
        assert broker.node.accounts.find("guest") is None
    assert not any(isinstance(handler, logs.ExchangeHandler) for handler in logs.logging.getLogger("amqpd").handlers)


def test_what_is_shown_can_be_read_again(tmp_path):
    given = ["heartbeat=5", "log.level=debug", "listeners=a:1,unix:/b", "default_pass=hunter2", "node_name=a\"b\\"]
    settings = load(Sources(assignments=given))
    text = as_toml(settings)
    assert "hunter2" not in text
    assert tomllib.loads(text) == {
        "heartbeat": 5,
        "log": {"level": "debug"},
        "listeners": ["a:1", "unix:/b"],
        "node_name": 'a"b\\',
    }
    path = tmp_path / "shown.toml"
    path.write_text(text)
    again = load(Sources(file=path))
    assert {name: again.value(name) for name in SETTINGS if name != "default_pass"} == {
        name: settings.value(name) for name in SETTINGS if name != "default_pass"
    }


def test_what_is_shown_says_where_it_comes_from():
    settings = load(Sources(None, {"AMQPD_HEARTBEAT": "60", "RABBITMQ_DEFAULT_PASS": "hunter2"}))
    lines = as_toml(settings).splitlines()
    assert "heartbeat = 60  # environment variable AMQPD_HEARTBEAT" in lines, "though it is the default's value"
    assert '# default_pass = "..."  # environment variable RABBITMQ_DEFAULT_PASS' in lines
    assert '# ssl_options.password = ""  # default' in lines
    assert "# frame_max = 131072  # default" in lines
    assert sum(not line.startswith("# ") or " = " in line for line in lines if line) == len(SETTINGS)
