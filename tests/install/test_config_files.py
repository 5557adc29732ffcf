"""The configuration files in etc/: the sample has every setting, and all of them are right."""

import tomllib
from pathlib import Path

from tooling import tool

from amqpd.config import SETTINGS, Settings, Sources, load

ETC = Path(__file__).resolve().parents[2] / "etc"
SAMPLE = (ETC / "amqpd.toml").read_text()


def values(settings: Settings) -> dict[str, object]:
    return {name: settings.value(name) for name in SETTINGS}


def test_the_sample_is_what_the_table_of_settings_makes_of_it():
    assert tool("sample_config").sample() == SAMPLE, "run tools/sample_config.py"


def test_the_sample_as_it_is_changes_nothing():
    assert tomllib.loads(SAMPLE) == {}


def test_the_sample_uncommented_is_valid_and_has_every_default(tmp_path):
    everything = tool("sample_config").uncommented(SAMPLE)
    file = tmp_path / "amqpd.toml"
    file.write_text(everything)
    assert values(load(Sources(file))) == values(Settings())
    for name in SETTINGS:
        assert f"\n#{name} = " in SAMPLE
        assert f"\n{name} = " in everything


def test_the_image_asks_for_a_password_that_is_made_up():
    settings = load(Sources(ETC / "container.toml"))
    assert settings.text("default_user") == "admin"
    assert settings.text("default_pass") == ""


def test_in_the_image_rabbitmqs_variables_win():
    environment = {"RABBITMQ_DEFAULT_USER": "shop", "RABBITMQ_DEFAULT_PASS": "s3cret", "RABBITMQ_NODE_PORT": "5699"}
    settings = load(Sources(ETC / "container.toml", environment))
    assert settings.text("default_user") == "shop"
    assert settings.text("default_pass") == "s3cret"
    assert settings.names("listeners") == ["0.0.0.0:5699"]
