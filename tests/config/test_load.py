"""The sources of settings, their order, and what is said of mistakes."""

import pytest

from amqpd.config import SETTINGS, Sources, load
from amqpd.config.reading import FILE_BYTES_MAX
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
        "--set log.format: log.format: 'xml' is not allowed; allowed: one of text, json"
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
    missing = tmp_path / "missing.toml"
    assert failure(file=missing) == f"{missing}: cannot be read: No such file or directory"
    long = tmp_path / ("x" * 300)
    assert failure(file=long) == f"{long}: cannot be read: File name too long"
    assert failure(file=tmp_path / "\0.conf").endswith("\\x00.conf': is no name of a file")
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b"heartbeat = 5\nnode_name = '\xe4'")
    assert failure(file=latin) == f"{latin}, line 2: is not UTF-8"


def test_a_file_that_is_no_configuration_is_not_read_to_its_end(tmp_path):
    path = tmp_path / "image.toml"
    path.write_bytes(b"#" * (FILE_BYTES_MAX + 1))
    assert failure(file=path) == f"{path}: is larger than {FILE_BYTES_MAX} bytes, which no configuration is"


def test_rabbitmqs_older_form_is_told_apart(tmp_path):
    assert "older form" in failure(file=tmp_path / "rabbitmq.config")


@pytest.mark.parametrize("text", ["a = 1\na = 2\n", "a = [" * 100_000, f"heartbeat = {'9' * 5000}\n"])
def test_files_that_the_parser_refuses_are_mistakes_like_others(file, text):
    assert "is not TOML: " in failure(file=file(text))


def test_a_byte_order_mark_is_no_part_of_the_file(tmp_path):
    path = tmp_path / "amqpd.toml"
    path.write_bytes(b"\xef\xbb\xbfheartbeat = 5\n")
    assert load(Sources(file=path)).number("heartbeat") == 5


def test_all_mistakes_are_named_at_once(file):
    path = file("heartbeet = 5\nchannel_max = 0\n")
    lines = failure(file=path, environment={"AMQPD_FRAME_MAX": "x"}, assignments=["log.level=loud", "nothing"])
    assert [line.split(":")[0] for line in lines.splitlines()] == [
        f"{path}, line 1",
        f"{path}, line 2",
        "environment variable AMQPD_FRAME_MAX",
        "--set log.level",
        "--set nothing",
    ]


def test_where_values_stand_is_known(file):
    path = file("heartbeat = 1\nchannel_max = 1\n")
    settings = load(
        Sources(path, {"AMQPD_CHANNEL_MAX": "2"}, assignments=["log.level=debug"], options={"listeners": ["a:1"]})
    )
    assert settings.place("heartbeat") == f"{path}, line 1"
    assert settings.place("channel_max") == "environment variable AMQPD_CHANNEL_MAX"
    assert settings.place("log.level") == "--set log.level"
    assert settings.place("listeners") == "command line"
    assert settings.place("frame_max") == ""
    assert settings.files == (path,)


def test_the_wrong_item_of_a_list_is_named():
    said = failure(assignments=["listeners=127.0.0.1:5672,nonsense"])
    assert said.startswith("--set listeners: listeners: 'nonsense' is not allowed; allowed: a list of")


def test_a_long_wrong_value_is_cut():
    assert len(failure(assignments=[f"log.level={'x' * 10_000}"])) < 300
    assert "that value" in failure(options={"heartbeat": 10**5000})


def test_an_assignment_without_a_value():
    assert failure(assignments=["heartbeat"]) == "--set heartbeat: it must have the form NAME=VALUE"


@pytest.mark.parametrize(
    ("low", "high"), [("frame_min", "frame_max"), ("unsent_bytes_max", "unsent_bytes_stop")]
)
def test_values_must_fit_together(low, high):
    assert f"{low} (9000) is greater than {high} (8000)" in failure(assignments=[f"{low}=9000", f"{high}=8000"])


SERVER = ["tls_listeners=127.0.0.1:5671"]
CERTIFICATE = ["ssl_options.certfile=/cert.pem"]


@pytest.mark.parametrize(
    ("assignments", "said"),
    [
        (["auth_mechanisms=PLAIN,ANONYMOUS"], "set anonymous_login_user"),
        (["anonymous_login_user=guest"], "add ANONYMOUS to auth_mechanisms"),
        (["credential_validator.validation_backend=password_regexp"], "set credential_validator.regexp"),
        (SERVER, "tls_listeners need a certificate: set ssl_options.certfile"),
        (["ssl_options.keyfile=/key.pem"], "set ssl_options.certfile"),
        (["ssl_options.sni=a.example=/cert.pem:/key.pem"], "set ssl_options.certfile"),
        ([*CERTIFICATE, "ssl_options.verify=verify_peer"], "set ssl_options.cacertfile"),
        ([*CERTIFICATE, "ssl_options.fail_if_no_peer_cert=true"], "set ssl_options.verify to verify_peer"),
        (["listeners="], "there is nothing to listen on"),
    ],
)
def test_what_must_stand_together(assignments, said):
    assert said in failure(assignments=assignments)


def test_a_journal_has_room_for_two_files():
    said = failure(assignments=["journal.size_max=100MiB"])
    assert said.endswith(f"journal.size_max ({100 * 2**20}) is less than twice journal.file_size ({64 * 2**20}): "
                         "one file is always in use")  # fmt: skip
    assert load(Sources(assignments=["journal.size_max=100MiB", "journal.file_size=50MiB"]))


def test_what_stands_together_well():
    load(Sources(assignments=["auth_mechanisms=ANONYMOUS", "anonymous_login_user=guest"]))
    load(Sources(assignments=[*SERVER, *CERTIFICATE, "listeners="]))
    verify = ["ssl_options.verify=verify_peer", "ssl_options.cacertfile=/ca.pem"]
    load(Sources(assignments=[*SERVER, *CERTIFICATE, *verify, "ssl_options.fail_if_no_peer_cert=true"]))


def test_secrets_are_in_no_message(file):
    """Neither where the value is wrong, nor where the name is."""
    long = "hunter2" * 100
    path = file(f'default_pass = "{long}"\ndefault_pas = "{long}"\n[ssl_options]\npassword = ["{long}"]\n')
    said = failure(
        file=path,
        environment={"AMQPD_DEFAULT_PASS": long, "RABBITMQ_DEFAULT_PASS": long},
        assignments=[f"default_pass={long}", f"default_pas={long}", f"ssl_options.password={long}"],
    )
    assert "hunter2" not in said
    assert len(said.splitlines()) == 8
