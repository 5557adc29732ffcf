"""RabbitMQ's configuration files: syntax, what their keys become, and what is said of those that become nothing."""

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amqpd.config import SETTINGS, Sources, load
from amqpd.config.rabbitmq_conf import _SETTING
from amqpd.config.rabbitmq_keys import ITEMS, KNOWN, LOG_LEVELS, LOG_PLACES, MEANINGS, REFUSED, keys_of
from amqpd.errors import ConfigError

LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency", "none")


@pytest.fixture
def conf(tmp_path):
    def read(text, name="rabbitmq.conf"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return load(Sources(file=path))

    return read


@pytest.fixture
def failure(conf):
    def read(text):
        with pytest.raises(ConfigError) as error:
            conf(text)
        return [line.partition("rabbitmq.conf, ")[2] for line in str(error.value).splitlines()]

    return read


def said(settings):
    return [line.partition("rabbitmq.conf, ")[2] for line in settings.warnings]


# The syntax


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("cluster_name = here", "here"),
        ("cluster_name=here", "here"),
        ("\t cluster_name \t = \t here  \t", "here"),
        ("cluster_name = a b # not c", "a b"),
        ("cluster_name = a#b", "a"),
        ("cluster_name = here\r\n# next\r\n", "here"),
        ("cluster_name = 'a # b ' # c", "a # b "),
        ("cluster_name = '''a'b'''", "a'b"),
        ("cluster_name = '''\na\nb\n'''\n", "a\nb"),
        ("# cluster_name = there\n\n   # x\ncluster_name = here", "here"),
        ("cluster_name = a = b", "a = b"),
        ('cluster_name = "here"', '"here"'),
        ("cluster_name = é", "é"),
    ],
)
def test_values(conf, text, value):
    assert conf(text).text("node_name") == value


@pytest.mark.parametrize("line", ["a", "a =", "a b = x", "= x", "a = 'x", "é = 1", "a..b = 1"])
def test_lines_that_are_none(failure, line):
    assert failure(f"# first\n{line}\nheartbeat = 5\n") == [
        "line 2: is not of the form KEY = VALUE, which RabbitMQ's files have"
    ]


def test_lines_are_counted_over_long_values(conf):
    settings = conf("cluster_name = '''a\nb'''\nheartbeat = 5")
    assert settings.place("heartbeat").endswith("rabbitmq.conf, line 3")


def test_a_dot_within_a_word(conf):
    assert conf("loopback_users.a\\.b = true").names("loopback_users") == ["a.b"]


def test_the_later_line_of_a_key_counts_and_the_earlier_is_mentioned(conf):
    settings = conf("heartbeat = 5\nchannel_max = 1\nheartbeat = 6\n")
    assert settings.number("heartbeat") == 6
    assert said(settings) == ["line 3: heartbeat: replaces what line 1 says"]


def test_a_value_from_a_file_of_its_own(conf, tmp_path):
    (tmp_path / "secret").write_text("hunter2\n")
    settings = conf("default_pass = $(<secret)")
    assert settings.text("default_pass") == "hunter2"
    assert tmp_path / "secret" in settings.files


def test_a_value_from_a_file_that_is_not_there(failure):
    assert failure("default_pass = $(< /nowhere/x )") == [
        "line 1: default_pass: /nowhere/x: cannot be read: No such file or directory"
    ]


def test_included_files_stand_where_they_are_included(conf, tmp_path):
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "b.conf").write_text("heartbeat = 2\nchannel_max = 2\n")
    (tmp_path / "conf.d" / "a.conf").write_text("heartbeat = 1\n")
    settings = conf("heartbeat = 0\ninclude conf.d/*.conf # all\nchannel_max = 3\n")
    assert settings.number("heartbeat") == 2
    assert settings.number("channel_max") == 3
    assert settings.place("heartbeat") == f"{tmp_path}/conf.d/b.conf, line 1"
    assert conf(f"include {tmp_path}/conf.d/a.conf").number("heartbeat") == 1
    assert conf("include none/*.conf").number("heartbeat") == 60


def test_an_included_file_that_is_not_there(failure):
    assert failure("include x.conf\nheartbeat = 5") == ["line 1: there is no file x.conf to include"]


@pytest.mark.parametrize("pattern", ["/", "conf.d/**.conf"])
def test_an_include_that_names_no_files(failure, pattern):
    assert failure(f"include {pattern}") == [f"line 1: {pattern} is no name of files to include"]


def test_files_that_include_each_other_end(failure):
    lines = failure("include rabbitmq.conf\n")
    assert lines == ["line 1: more than 100 files are included"]


@given(st.text())
def test_no_text_makes_the_parser_fail(text):
    found = _SETTING.match(text)
    assert found is None or found.end() <= len(text)


# Directories


def test_the_files_of_a_directory_are_read_in_order(conf, tmp_path):
    conf("heartbeat = 1\nchannel_max = 1\n", "conf.d/10-a.conf")
    conf("heartbeat = 2\n", "conf.d/20-b.conf")
    (tmp_path / "conf.d" / "30-c.conf.off").write_text("heartbeat = 3\n")
    settings = load(Sources(file=tmp_path / "conf.d"))
    assert settings.number("heartbeat") == 2
    assert settings.number("channel_max") == 1
    assert settings.warnings == (), "to replace a value is what a directory is for"
    assert settings.files == tuple(tmp_path / "conf.d" / name for name in ("", "10-a.conf", "20-b.conf"))


def test_a_directory_without_files(tmp_path):
    with pytest.raises(ConfigError, match=r": has no files \*.conf in it"):
        load(Sources(file=tmp_path))


# What keys become


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("listeners.tcp.default = 5673", "listeners", ["0.0.0.0:5673"]),
        ("listeners.tcp.1 = 127.0.0.1:5673\nlisteners.tcp.2 = ::1:5674", "listeners", ["127.0.0.1:5673", "[::1]:5674"]),
        ("listeners.tcp.1 = [::1]:5674", "listeners", ["[::1]:5674"]),
        (
            "listeners.tcp.10 = 3\nlisteners.tcp.2 = 2\nlisteners.tcp.x = 4",
            "listeners",
            ["0.0.0.0:2", "0.0.0.0:3", "0.0.0.0:4"],
        ),
        ("listeners.tcp.local = local:/run/a.sock:0", "listeners", ["unix:/run/a.sock"]),
        ("loopback_users = none", "loopback_users", []),
        ("loopback_users.guest = false", "loopback_users", []),
        ("loopback_users.guest = true\nloopback_users.me = true", "loopback_users", ["guest", "me"]),
        ("loopback_users = none\nloopback_users.guest = true", "loopback_users", []),
        ("default_user_tags.management = true\ndefault_user_tags.x = false", "default_user_tags", ["management"]),
        ("auth_mechanisms.2 = PLAIN\nauth_mechanisms.1 = EXTERNAL", "auth_mechanisms", ["EXTERNAL", "PLAIN"]),
        ("auth_backends.1 = rabbit_auth_backend_internal", "auth_backends", ["internal"]),
        ("auth_backends.1 = ldap\nauth_backends.2 = oauth", "auth_backends", ["ldap", "oauth2"]),
        ("auth_backends.1.authn = ldap\nauth_backends.1.authz = internal", "auth_backends", ["ldap+internal"]),
        ("auth_backends.1.authn = rabbit_auth_backend_http", "auth_backends", ["http"]),
        ("auth_backends.3.authz = oauth", "auth_backends", ["oauth2"]),
        ("ssl_options.versions.1 = tlsv1.3", "ssl_options.versions", ["tlsv1.3"]),
        ("heartbeat = 30", "heartbeat", 30),
        ("frame_max = 64KB", "frame_max", 65_536),
        ("frame_max = 0", "frame_max", 2**31 - 1),
        ("channel_max = 100", "channel_max", 100),
        ("max_channels_per_connection = 0", "channel_max", 65_535),
        ("channel_max_per_node = infinity", "channel_max_per_node", 0),
        ("connection_max = 10", "connection_max", 10),
        ("max_connections = infinity", "connection_max", 0),
        ("max_message_size = 1000", "max_message_size", 1000),
        ("handshake_timeout = 20000", "handshake_timeout", 20_000),
        ("consumer_max_per_channel = 5", "consumer_max_per_channel", 5),
        ("vhost_max = 5", "vhost_max", 5),
        ("cluster_queue_limit = 5", "cluster_queue_limit", 5),
        ("cluster_exchange_limit = 5", "cluster_exchange_limit", 5),
        ("vm_memory_high_watermark.relative = 0.4", "vm_memory_high_watermark", 0.4),
        ("disk_free_limit.relative = 1.5", "disk_free_limit", 1.5),
        ("disk_free_limit.relative = 10.0", "disk_free_limit", 10.0),
        ("disk_free_limit.absolute = 50MB", "disk_free_limit", 50_000_000),
        ("disk_free_limit.absolute = 2GiB", "disk_free_limit", 2**31),
        ("disk_free_limit.absolute = 50000", "disk_free_limit", 50_000),
        ("vm_memory_high_watermark.absolute = 2000000000", "vm_memory_high_watermark", 2_000_000_000),
        ("vm_memory_high_watermark.absolute = 2GB", "vm_memory_high_watermark", 2_000_000_000),
        ("vm_memory_high_watermark.absolute = 2G", "vm_memory_high_watermark", 2_000_000_000),
        ("vm_memory_high_watermark.absolute = 2Gi", "vm_memory_high_watermark", 2**31),
        ("vm_memory_high_watermark.absolute = 64kiB", "vm_memory_high_watermark", 65_536),
        ("load_definitions = /a.json", "load_definitions", "/a.json"),
        ("definitions.local.path = /a\ndefinitions.import_backend = local_filesystem", "load_definitions", "/a"),
        ("definitions.skip_if_unchanged = false", "definitions.skip_if_unchanged", False),
        ("default_user = me", "default_user", "me"),
        ("default_pass = 'a#b'", "default_pass", "a#b"),
        ("default_vhost = mine", "default_vhost", "mine"),
        ("default_permissions.write = ^$", "default_permissions.write", "^$"),
        ("default_queue_type = quorum", "default_queue_type", "quorum"),
        ("default_queue_type = rabbit_quorum_queue", "default_queue_type", "quorum"),
        ("proxy_protocol = true", "trusted_proxies", ["0.0.0.0/0", "::/0"]),
        ("proxy_protocol = false", "trusted_proxies", []),
        ("ssl_cert_login_from = subject_alt_name", "ssl_cert_login_from", "subject_alternative_name"),
        ("ssl_cert_login_san_type = email", "ssl_cert_login_san_type", "email"),
        ("password_hashing_module = rabbit_password_hashing_sha512", "password_hashing", "sha512"),
        (
            "credential_validator.validation_backend = rabbit_credential_validator_min_password_length",
            "credential_validator.validation_backend",
            "min_password_length",
        ),
        ("anonymous_login_user = none", "anonymous_login_user", ""),
        ("log.console.level = debug", "log.level", "debug"),
        ("log.file.level = notice", "log.level", "info"),
        ("log.default.level = none", "log.level", "critical"),
        ("log.exchange = true", "log_exchange", True),
        ("log.console.formatter = json", "log.format", "json"),
        ("log.file.formatter = plaintext", "log.format", "text"),
        ("log.file = false", "log.file", ""),
        ("log.console = true", "log.file", ""),
        ("log.file = /var/log/x.log", "log.file", "/var/log/x.log"),
        ("log.file = x.log\nlog.dir = /var/log/", "log.file", "/var/log/x.log"),
        ("log.dir = /var/log", "log.file", "/var/log/amqpd.log"),
        ("cluster_name = here", "node_name", "here"),
    ],
)
def test_a_key_fills_its_setting(conf, text, name, value):
    settings = conf(text)
    assert settings.value(name) == value
    assert settings.place(name).partition("rabbitmq.conf, ")[2].startswith("line ")
    assert settings.warnings == ()


def test_a_node_with_tls_alone(conf):
    settings = conf(
        "listeners.tcp = none\nlisteners.ssl.default = 5671\nssl_options.certfile = /cert.pem\n"
        "ssl_options.ciphers.2 = B\nssl_options.ciphers.1 = A\n"
    )
    assert settings.names("listeners") == []
    assert settings.names("tls_listeners") == ["0.0.0.0:5671"]
    assert settings.text("ssl_options.ciphers") == "A:B"


def test_the_place_of_a_list_counts_its_lines(conf):
    assert conf("auth_mechanisms.1 = PLAIN\nauth_mechanisms.2 = AMQPLAIN").place("auth_mechanisms").endswith(
        "rabbitmq.conf, line 1 and 1 more"
    )


def test_who_names_the_anonymous_user_wants_the_mechanism(conf):
    settings = conf("anonymous_login_user = visitor")
    assert settings.names("auth_mechanisms") == ["PLAIN", "AMQPLAIN", "ANONYMOUS"]
    assert settings.text("anonymous_login_user") == "visitor"


def test_the_anonymous_user_is_nobody_where_the_mechanism_is_not_listed(conf):
    settings = conf("anonymous_login_user = visitor\nauth_mechanisms.1 = PLAIN")
    assert settings.text("anonymous_login_user") == ""
    assert said(settings) == ["line 1: anonymous_login_user: changes nothing: ANONYMOUS is not listed"]


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (
            "vm_memory_high_watermark.relative = 0.4\nvm_memory_high_watermark.absolute = 2GB",
            "line 1: vm_memory_high_watermark.relative: changes nothing: vm_memory_high_watermark.absolute comes first",
        ),
        (
            "disk_free_limit.absolute = 2GB\ndisk_free_limit.relative = 1.5",
            "line 2: disk_free_limit.relative: changes nothing: disk_free_limit.absolute comes first",
        ),
        ("ssl_options.versions.1 = tlsv1.1", "line 1: ssl_options.versions.1: tlsv1.1 is not safe and is left out"),
        (
            "ssl_options.ciphers.1 = TLS_AES_256_GCM_SHA384",
            "line 1: ssl_options.ciphers.1: the ciphers of TLS 1.3 cannot be chosen; it is left out",
        ),
        (
            "log.console.level = warning\nlog.file.level = debug",
            "line 1: log.console.level: changes nothing: amqpd has one log, and log.file.level wants more of it",
        ),
        (
            "log.console = true\nlog.file = /a",
            "line 1: log.console: changes nothing: amqpd logs to one place, and log.file names a file",
        ),
        ("log.dir = /a\nlog.console = true", "line 1: log.dir: changes nothing: amqpd logs to standard error"),
        (
            "definitions.import_backend = https",
            "line 1: definitions.import_backend: amqpd has nothing like this key of RabbitMQ's; it changes nothing",
        ),
        (
            "management.tcp.port = 15672",
            "line 1: management.tcp.port: amqpd has nothing like this key of RabbitMQ's; it changes nothing",
        ),
    ],
)
def test_what_is_not_in_force_is_mentioned(conf, text, warning):
    assert said(conf(text)) == [warning]


PASSWORD = "the password itself, or $(<FILE) where it stands in a file"


@pytest.mark.parametrize(
    ("line", "shown", "allowed"),
    [
        ("heartbeat = often", "'often'", '0 to 65535 s; 0 is off, also as "10s" or "2m"'),
        ("cluster_name = " + "x" * 256, f"'{'x' * 99}...", "a name, at most 255 characters, or nothing"),
        ("frame_max = 64KiB", "'64KiB'", "a number of bytes, also as 64KB or 2MB"),
        ("vm_memory_high_watermark.relative = 1", "'1'", "a share, as 0.6"),
        ("disk_free_limit.relative = 2", "'2'", "a share of memory, as 1.5"),
        ("disk_free_limit.absolute = much", "'much'", "a number of bytes, also as 512MiB, 2GiB or 2GB"),
        ("vm_memory_high_watermark.absolute = x", "'x'", "a number of bytes, also as 512MiB, 2GiB or 2GB"),
        ("proxy_protocol = yes", "'yes'", "true or false"),
        ("listeners.tcp = 5672", "'5672'", "none; the items have keys of their own, listeners.tcp.NAME"),
        ("listeners.tcp.1 = x:y", "'x:y'", "a port, HOST:PORT or local:PATH:0"),
        ("loopback_users.guest = no", "'no'", "true or false"),
        ("auth_mechanisms.1 = X", "'X'", "PLAIN, AMQPLAIN, EXTERNAL or ANONYMOUS"),
        ("log.console.level = loud", "'loud'", f"one of {', '.join(LEVELS)}"),
        ("log.console = perhaps", "'perhaps'", "true or false"),
        ("password_hashing_module = rabbit_password_hashing_md5", "'md5'", "one of argon2, sha256, sha512"),
        ("default_pass = encrypted:hunter2", "that value", PASSWORD),
        ("ssl_options.password = encrypted:hunter2", "that value", PASSWORD),
    ],
)
def test_wrong_values(failure, line, shown, allowed):
    key = line.partition(" =")[0]
    assert failure(line) == [f"line 1: {key}: {shown} is not allowed; allowed: {allowed}"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("heartbeet = 5", "there is no key heartbeet; did you mean heartbeat?"),
        ("zzzzzzzz = 5", "there is no key zzzzzzzz; docs/configuration.md lists the keys"),
        ("listener.tcp.default = 1", "there is no key listener.tcp.default; did you mean listeners.tcp?"),
        (
            "ssl_options.crl_check = peer",
            "ssl_options.crl_check: amqpd does not check lists of revoked certificates",
        ),
        (
            "auth_backends.1.authn = ldap\nauth_backends.1 = internal",
            "auth_backends.1.authn: auth_backends.1 is there as well",
        ),
    ],
)
def test_wrong_keys(failure, line, said):
    assert failure(line) == [f"line 1: {said}"]


def test_all_mistakes_of_a_file_are_named_in_the_order_of_its_lines(failure):
    text = "".join(f"# {number}\nzzzzz{number} = 1\n" for number in range(1, 8)) + "heartbeat = x\nnonsense\n"
    assert [line.split(":")[0] for line in failure(text)] == [f"line {n}" for n in (2, 4, 6, 8, 10, 12, 14, 15, 16)]


# The table of keys


def test_every_key_fills_a_setting_that_there_is():
    named = {meaning.setting for meaning in MEANINGS.values()} | {items.setting for items in ITEMS.values()}
    assert named <= set(SETTINGS)
    assert {name for name in SETTINGS if keys_of(name)} == named | {"log.level", "log.file"}


def test_no_key_is_obeyed_and_left_out():
    for key in (*MEANINGS, *LOG_LEVELS, *LOG_PLACES):
        assert not any(fnmatch.fnmatchcase(key, pattern) for pattern in REFUSED)
        # RabbitMQ's schema has log.console.level and log.console.use_colors: the first is taken before the rest is.
        assert not any(fnmatch.fnmatchcase(key, pattern) for pattern in KNOWN if not pattern.startswith("log."))
