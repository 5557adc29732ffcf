"""Environment variables: ours, RabbitMQ's, and those that only look alike."""

from pathlib import Path

import pytest

from amqpd.config import SETTINGS, Sources, load
from amqpd.config.environment import variables_of
from amqpd.errors import ConfigError


def settings_from(**environment):
    return load(Sources(environment=environment))


def test_the_variables_that_images_set():
    settings = settings_from(
        RABBITMQ_DEFAULT_USER="me",
        RABBITMQ_DEFAULT_PASS="hunter2",
        RABBITMQ_DEFAULT_VHOST="mine",
        RABBITMQ_NODENAME="rabbit@here",
        RABBITMQ_NODE_PORT="5673",
    )
    assert settings.text("default_user") == "me"
    assert settings.text("default_pass") == "hunter2"
    assert settings.text("default_vhost") == "mine"
    assert settings.text("node_name") == "rabbit@here"
    assert settings.names("listeners") == ["0.0.0.0:5673"]
    assert settings.place("default_user") == "environment variable RABBITMQ_DEFAULT_USER"
    assert settings.warnings == ()


@pytest.mark.parametrize(
    ("environment", "listeners"),
    [
        ({"RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1"}, ["127.0.0.1:5672"]),
        ({"RABBITMQ_NODE_IP_ADDRESS": "::1", "RABBITMQ_NODE_PORT": "5673"}, ["[::1]:5673"]),
    ],
)
def test_the_address_to_listen_on(environment, listeners):
    assert settings_from(**environment).names("listeners") == listeners


def test_ours_win_over_rabbitmqs_and_both_over_the_file(tmp_path):
    path = tmp_path / "amqpd.toml"
    path.write_text('default_user = "file"\ndefault_vhost = "file"\nlisteners = ["127.0.0.1:1"]\n')
    environment = {
        "RABBITMQ_DEFAULT_USER": "theirs",
        "RABBITMQ_DEFAULT_VHOST": "theirs",
        "RABBITMQ_NODE_PORT": "2",
        "AMQPD_DEFAULT_USER": "ours",
        "AMQPD_LISTENERS": "127.0.0.1:3",
    }
    settings = load(Sources(path, environment))
    assert settings.text("default_user") == "ours"
    assert settings.text("default_vhost") == "theirs"
    assert settings.names("listeners") == ["127.0.0.1:3"]


def test_empty_variables_of_rabbitmqs_are_unset_and_empty_ones_of_ours_are_empty():
    settings = settings_from(RABBITMQ_DEFAULT_USER="", RABBITMQ_NODE_PORT="", AMQPD_DEFAULT_PASS="")
    assert settings.text("default_user") == "guest"
    assert settings.names("listeners") == ["0.0.0.0:5672"]
    assert settings.text("default_pass") == ""


def test_a_wrong_value_names_the_variable():
    with pytest.raises(ConfigError, match=r"environment variable RABBITMQ_NODE_PORT: listeners: '0.0.0.0:many' is not"):
        settings_from(RABBITMQ_NODE_PORT="many")


@pytest.mark.parametrize("variable", ["AMQPD_CONFIG", "RABBITMQ_CONFIG_FILE"])
def test_the_environment_may_name_the_file(tmp_path, variable):
    path = tmp_path / "amqpd.toml"
    path.write_text("heartbeat = 7\n")
    assert settings_from(**{variable: str(path)}).number("heartbeat") == 7
    other = tmp_path / "other.toml"
    other.write_text("heartbeat = 8\n")
    assert load(Sources(other, {variable: str(path)})).number("heartbeat") == 8, "the command line comes first"


def test_rabbitmq_leaves_the_end_of_its_files_name_out(tmp_path):
    (tmp_path / "rabbitmq.conf").write_text("heartbeat = 9\n")
    assert settings_from(RABBITMQ_CONFIG_FILE=str(tmp_path / "rabbitmq")).number("heartbeat") == 9


def test_ours_names_the_file_before_rabbitmqs(tmp_path):
    (tmp_path / "amqpd.toml").write_text("heartbeat = 7\n")
    settings = settings_from(AMQPD_CONFIG=str(tmp_path / "amqpd.toml"), RABBITMQ_CONFIG_FILE="/nowhere.conf")
    assert settings.number("heartbeat") == 7
    assert settings.warnings == ("environment variable RABBITMQ_CONFIG_FILE changes nothing: AMQPD_CONFIG comes first",)


def test_a_named_file_must_be_there():
    with pytest.raises(ConfigError, match=r"/nowhere/amqpd.toml: cannot be read: No such file or directory"):
        settings_from(AMQPD_CONFIG="/nowhere/amqpd.toml")


def test_variables_that_only_begin_alike_are_no_mistake():
    environment = {"AMQPD_SERVICE_HOST": "10.0.0.1", "AMQPD_PORT_5672_TCP": "tcp://10.0.0.1:5672", "HOME": "/"}
    assert load(Sources(environment=environment)).warnings == ()


def test_variables_that_look_misspelt_are_mentioned():
    assert settings_from(AMQPD_HEARTBEET="1", AMQPD_HEARTBEAT="1").warnings == (
        "environment variable AMQPD_HEARTBEET is no setting; did you mean AMQPD_HEARTBEAT?",
    )


def test_variables_of_rabbitmqs_without_a_counterpart_are_mentioned():
    assert settings_from(RABBITMQ_ADVANCED_CONFIG_FILE="/x").warnings == (
        "environment variable RABBITMQ_ADVANCED_CONFIG_FILE changes nothing: amqpd does not read advanced.config",
    )


def test_each_of_rabbitmqs_variables_is_in_the_manual():
    named = {variable for name in SETTINGS for variable in variables_of(name)}
    page = (Path(__file__).resolve().parents[2] / "docs" / "configuration.md").read_text()
    assert len(named) == 6
    assert all(f"`{variable}`" in page for variable in named)
