"""The sources of settings, their order, and what is said of mistakes."""

import pytest

from amqpd.config import SETTINGS, Sources, load
from amqpd.config.load import suspicious
from amqpd.errors import ConfigError


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "amqpd.toml"
        path.write_text(text)
        return path

    return write


def failure(**sources):
    with pytest.raises(ConfigError) as error:
        load(Sources(**sources))
    return str(error.value)


def test_without_any_source_all_have_their_defaults():
    settings = load(Sources())
    assert {name: settings.value(name) for name in SETTINGS} == {
        name: setting.default for name, setting in SETTINGS.items()
    }


def test_a_later_source_wins(file):
    path = file('heartbeat = 1\nchannel_max = 1\nframe_max = 10000\nlisteners = ["[::1]:1"]\n')
    settings = load(
        Sources(
            file=path,
            environment={"AMQPD_CHANNEL_MAX": "2", "AMQPD_FRAME_MAX": "20000", "AMQPD_LISTENERS": "a:2,b:3"},
            assignments=["frame_max=30000", "listeners=c:4"],
            options={"listeners": ["d:5"]},
        )
    )
    assert settings.number("heartbeat") == 1
    assert settings.number("channel_max") == 2
    assert settings.number("frame_max") == 30_000
    assert settings.names("listeners") == ["d:5"]


def test_sections_and_dotted_names_are_the_same(file):
    for text in ('[log]\nlevel = "debug"\n', 'log.level = "debug"\n', 'log = {level = "debug"}\n'):
        assert load(Sources(file=file(text))).text("log.level") == "debug"
    assert load(Sources(environment={"AMQPD_LOG_LEVEL": "debug"})).text("log.level") == "debug"
    assert load(Sources(assignments=["log.level = debug"])).text("log.level") == "debug"


def test_a_wrong_name_in_the_file_is_named_with_its_line_and_the_nearest_name(file):
    path = file("# comment\n\nheartbeet = 5\n")
    assert failure(file=path) == f"{path}, line 3: there is no setting heartbeet; did you mean heartbeat?"


def test_the_line_is_found_in_sections(file):
    path = file('heartbeat = 5\n[log]\nformat = "text"\nlevl = "debug"\n')
    assert failure(file=path) == f"{path}, line 4: there is no setting log.levl; did you mean log.level?"


def test_a_wrong_value_is_named_with_what_is_allowed(file):
    path = file("channel_max = 0\n")
    assert failure(file=path) == f"{path}, line 1: channel_max: 0 is not allowed; allowed: 1 to 65535"
    assert failure(environment={"AMQPD_HEARTBEAT": "often"}) == (
        "environment variable AMQPD_HEARTBEAT: heartbeat: 'often' is not allowed; "
        'allowed: 0 to 65535 s; 0 is off, also as "10s" or "2m"'
    )
    assert failure(assignments=["log.format=xml"]) == (
        "--set log.format=xml: log.format: 'xml' is not allowed; allowed: one of text, json"
    )


def test_where_the_line_is_not_found_the_file_is_named(file):
    path = file("log = {levl = 1}\n")
    assert failure(file=path).startswith(f"{path}: there is no setting log.levl")


def test_a_name_near_to_nothing_is_told_where_to_look(file):
    assert "`amqpd config show`" in failure(assignments=["zzzzzzzzzzz=1"])


def test_a_secret_is_not_repeated(file):
    path = file("default_pass = 12345\n")
    assert "12345" not in failure(file=path)


def test_a_file_that_is_no_toml_is_named_with_the_place(file):
    path = file("heartbeat = \n")
    assert failure(file=path).startswith(f"{path}: is not TOML: Invalid value (at line 1, column 13)")


def test_a_file_that_cannot_be_read(tmp_path):
    assert "cannot be read" in failure(file=tmp_path / "missing.toml")
    (tmp_path / "latin.toml").write_bytes(b"node_name = '\xe4'")
    assert "cannot be read" in failure(file=tmp_path / "latin.toml")


def test_an_assignment_without_a_value():
    assert failure(assignments=["heartbeat"]) == "--set heartbeat: it must have the form NAME=VALUE"


@pytest.mark.parametrize(
    ("low", "high"), [("frame_min", "frame_max"), ("unsent_bytes_max", "unsent_bytes_stop")]
)
def test_values_must_fit_together(low, high):
    assert f"{low} (9000) is greater than {high} (8000)" in failure(assignments=[f"{low}=9000", f"{high}=8000"])


def test_variables_that_only_begin_alike_are_no_mistake():
    environment = {"AMQPD_SERVICE_HOST": "10.0.0.1", "AMQPD_PORT_5672_TCP": "tcp://10.0.0.1:5672", "HOME": "/"}
    load(Sources(environment=environment))
    assert suspicious(environment) == []


def test_variables_that_look_misspelt_are_mentioned():
    assert suspicious({"AMQPD_HEARTBEET": "1", "AMQPD_HEARTBEAT": "1"}) == [
        "environment variable AMQPD_HEARTBEET is no setting; did you mean AMQPD_HEARTBEAT?"
    ]
