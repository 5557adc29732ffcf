"""`amqpd` as a process of its own: options, signals, the log, and mistakes."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from click.testing import CliRunner
from harness import PROTOCOL_HEADER
from secure import Pki

from amqpd import __version__
from amqpd.cli.main import main
from amqpd.runtime import build

COMMAND = [sys.executable, "-P", "-m", "amqpd"]
LISTEN = ["--listen", "127.0.0.1:0"]
QUICK = {"AMQPD_PASSWORD_HASHING": "sha256"}  # the first user costs nothing


def amqpd(*arguments, **environment):
    """Run to the end."""
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=60, env={**os.environ, **environment}
    )


@contextmanager
def running(*arguments, cwd=None, **environment):
    """A node that has said that it listens. Its `lines` are what it has logged so far."""
    process = subprocess.Popen(
        [*COMMAND, *arguments], stderr=subprocess.PIPE, text=True, cwd=cwd, env={**os.environ, **QUICK, **environment}
    )
    process.lines = []
    try:
        while " listens on " not in (line := process.stderr.readline()):
            assert line, process.lines
            process.lines.append(line)
        process.lines.append(line)
        yield process
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def address_in(line):
    host, port = re.search(r"listens on ([\d.]+):(\d+)", line).groups()
    return host, int(port)


def says_hello(address):
    with socket.create_connection(address) as sock:
        sock.sendall(PROTOCOL_HEADER)
        return sock.recv(8)[:1] == b"\x01"


def end(process, number=signal.SIGTERM):
    process.send_signal(number)
    process.lines += process.stderr.readlines()
    return process.wait(timeout=30)


def test_version_says_what_runs_and_is_quick():
    done = amqpd("--version")
    assert done.stdout == f"amqpd {__version__} ({build.mode()})\n"
    loaded = subprocess.run(
        [sys.executable, "-X", "importtime", *COMMAND[1:], "--version"], capture_output=True, text=True, check=True
    )
    assert "trio" not in loaded.stderr


def test_help_lists_commands_and_the_options_of_serve():
    text = amqpd("--help").stdout
    for word in ("serve", "config", "--version", "--listen", "--data-dir", "--config", "--set"):
        assert word in text


def test_a_node_outlives_its_terminal(tmp_path):
    with running(*LISTEN, "--data-dir", str(tmp_path)) as process:
        process.send_signal(signal.SIGHUP)
        assert end(process) == 0
    assert any("SIGHUP" in line for line in process.lines)


def test_a_hangup_has_the_configuration_read_again(tmp_path):
    file = tmp_path / "amqpd.toml"
    file.write_text("heartbeat = 7\n")
    arguments = [*LISTEN, "--data-dir", str(tmp_path / "data"), "--config", str(file), "--set", "config_watch=0"]
    with running(*arguments) as process:
        for text, said in [
            ("heartbeat = 8\n", f"configuration: heartbeat is now 8 ({file}, line 1)"),
            ('heartbeat = "x"\n', f"configuration: {file}, line 1: heartbeat: 'x' is not allowed"),
            ('node_name = "a"\n', f"configuration: node_name has changed ({file}, line 1): that needs a restart"),
        ]:
            file.write_text(text)
            process.send_signal(signal.SIGHUP)
            while said not in (line := process.stderr.readline()):
                assert line, said
        assert end(process) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_node_serves_until_a_signal(tmp_path, number):
    with running(*LISTEN, "--data-dir", str(tmp_path / "data")) as process:
        address = address_in(process.lines[-1])
        assert says_hello(address)
        assert end(process, number) == 0
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)
    assert "stopped" in process.lines[-1]
    assert not (tmp_path / "data" / "amqpd.sock").exists()


def test_the_first_line_says_what_runs_and_where(tmp_path):
    with running("serve", *LISTEN, "--data-dir", str(tmp_path / "data")) as process:
        python = ".".join(map(str, sys.version_info[:3]))
        assert f"amqpd {__version__} ({build.mode()}) on Python {python} listens on 127.0.0.1:" in process.lines[-1]
        assert process.lines[-1].endswith(f", data in {tmp_path / 'data'}\n")


def test_a_second_signal_ends_a_node_that_waits_for_its_clients(tmp_path):
    node = running(*LISTEN, "--data-dir", str(tmp_path), "--set", "shutdown_timeout=1h")
    with node as process, socket.create_connection(address_in(process.lines[-1])) as client:
        handshake(client)
        process.send_signal(signal.SIGTERM)
        assert client.recv(100)[7:11] == b"\x00\x0a\x00\x32"  # connection.close
        assert end(process) == 0
    assert any("second signal" in line for line in process.lines)


def handshake(sock):
    """Open a connection without waiting for more than each answer."""
    import harness

    sock.sendall(PROTOCOL_HEADER)
    sock.recv(65_536)
    start_ok = harness.m("connection.start-ok", mechanism="PLAIN", response=b"\0guest\0guest", locale="en_US")
    sock.sendall(start_ok.frames(0))
    sock.recv(65_536)
    tune_ok = harness.m("connection.tune-ok", channel_max=10, frame_max=131_072)
    sock.sendall(tune_ok.frames(0) + harness.m("connection.open", virtual_host="/").frames(0))
    sock.recv(65_536)


def test_settings_come_from_file_environment_and_options(tmp_path):
    file = tmp_path / "amqpd.toml"
    lines = [f'listeners = ["unix:{tmp_path}/file.sock"]', "[log]", 'format = "json"', f'file = "{tmp_path}/from-file"']
    file.write_text("\n".join(lines))
    log = tmp_path / "log"
    process = subprocess.Popen(
        [*COMMAND, *LISTEN, "--config", str(file), "--set", f"log.file={log}"],
        env={**os.environ, "AMQPD_DATA_DIR": str(tmp_path / "data"), "AMQPD_LOG_LEVEL": "debug"},
    )
    try:
        deadline = time.monotonic() + 30
        while not (log.exists() and "listens on" in log.read_text()):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)  # there is no event for a line in a file
        last = json.loads(log.read_text().splitlines()[-1])
        assert last["level"] == "info"
        assert "127.0.0.1" in last["message"]
        assert (tmp_path / "data" / "amqpd.sock").is_socket()
        assert not (tmp_path / "from-file").exists()
    finally:
        process.terminate()
        assert process.wait(timeout=30) == 0


def test_a_node_may_use_all_descriptors_there_are(tmp_path):
    if not os.path.exists("/proc/self/limits"):
        pytest.skip("this system does not tell another process's limits")
    with running(*LISTEN, "--data-dir", str(tmp_path)) as process, open(f"/proc/{process.pid}/limits") as limits:
        soft, hard = re.search(r"Max open files +(\w+) +(\w+)", limits.read()).groups()
        assert soft == hard


def test_two_nodes_cannot_share_a_data_directory(tmp_path):
    with running(*LISTEN, "--data-dir", str(tmp_path)) as process:
        second = amqpd(*LISTEN, "--data-dir", str(tmp_path))
        assert second.returncode == 1
        assert f"is in use by another node (process {process.pid})" in second.stderr
        assert "Traceback" not in second.stderr
        assert says_hello(address_in(process.lines[-1]))


def test_a_node_that_was_killed_leaves_nothing_in_the_way(tmp_path):
    with running(*LISTEN, "--data-dir", str(tmp_path)) as process:
        process.kill()
        process.wait()
    with running(*LISTEN, "--data-dir", str(tmp_path)) as process:
        assert end(process) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "heartbeet=1"], "amqpd: --set heartbeet: there is no setting heartbeet; did you mean heartbeat?"),
        (["--listen", "nonsense"], "amqpd: command line: listeners: 'nonsense' is not allowed; allowed: a list of"),
        (["--config", "/nonexistent.toml"], "amqpd: /nonexistent.toml: cannot be read"),
        (["--set", "plugins=no_such_module"], "amqpd: plugin no_such_module (setting plugins) cannot be loaded"),
        (["--set", "heartbeat="], "amqpd: --set heartbeat: heartbeat: '' is not allowed"),
        (["--set", "log.file=/nonexistent/log"], "amqpd: log.file: /nonexistent/log cannot be opened"),
        (["--data-dir", "/dev/null/x"], "amqpd: data_dir: /dev/null/x cannot be used"),
    ],
)
def test_a_mistake_ends_with_one_line_and_code_1(tmp_path, arguments, message):
    if "--data-dir" not in arguments:
        arguments = ["--data-dir", str(tmp_path), *arguments]
    if "--listen" not in arguments:
        arguments = [*LISTEN, *arguments]
    done = amqpd(*arguments)
    assert done.returncode == 1
    assert done.stderr.startswith(message)
    assert "Traceback" not in done.stderr


def test_wrong_usage_has_code_2():
    assert amqpd("--no-such-option").returncode == 2
    assert amqpd("config", "paint").returncode == 2


def test_a_misspelt_variable_is_mentioned():
    done = amqpd("config", "check", AMQPD_HEARTBEET="5")
    assert done.returncode == 0
    assert "AMQPD_HEARTBEET is no setting; did you mean AMQPD_HEARTBEAT?" in done.stderr


def test_config_check():
    run = CliRunner().invoke
    assert run(main, ["config", "check", "--set", "heartbeat=5"]).output == "the configuration is fine\n"
    wrong = run(main, ["config", "check", "--set", "heartbeat=x"])
    assert wrong.exit_code == 1
    assert "heartbeat: 'x' is not allowed" in wrong.output


def test_config_check_names_all_mistakes_and_warnings(tmp_path):
    file = tmp_path / "rabbitmq.conf"
    file.write_text("heartbeat = 5\nmanagement.tcp.port = 15672\n")
    fine = CliRunner().invoke(main, ["config", "check", "--config", str(file)])
    assert (fine.exit_code, fine.stdout) == (0, "the configuration is fine\n")
    assert fine.stderr.startswith(f"amqpd: warning: {file}, line 2: management.tcp.port: amqpd has nothing like")
    file.write_text("heartbeet = 5\nframe_max = x\n")
    wrong = CliRunner().invoke(main, ["config", "check", "--config", str(file)])
    assert (wrong.exit_code, wrong.stdout) == (1, "")
    assert [line.split(":")[1] for line in wrong.stderr.splitlines()] == [f" {file}, line 1", f" {file}, line 2"]


def test_config_check_looks_at_certificates(tmp_path):
    pki = Pki(tmp_path)
    arguments = ["config", "check", "--set", "tls_listeners=127.0.0.1:5671", "--set"]
    fine = CliRunner().invoke(main, [*arguments, f"ssl_options.certfile={pki.server_file}"])
    assert (fine.exit_code, fine.stdout) == (0, "the configuration is fine\n")
    wrong = CliRunner().invoke(main, [*arguments, f"ssl_options.certfile={pki.ca_file}"])
    assert wrong.exit_code == 1
    assert wrong.stderr.startswith(f"amqpd: ssl_options.certfile: {pki.ca_file}")


def test_config_show(tmp_path):
    file = tmp_path / "amqpd.toml"
    file.write_text("heartbeat = 5\n")
    run = CliRunner(env={"AMQPD_CONFIG": str(file), "RABBITMQ_DEFAULT_PASS": "hunter2"}).invoke
    shown = run(main, ["config", "show", "--set", "channel_max=7", "--listen", "a:1", "--listen", "b:2"])
    assert f"\nheartbeat = 5  # {file}, line 1\n" in shown.output
    assert "\nchannel_max = 7  # --set channel_max\n" in shown.output
    assert 'listeners = ["a:1", "b:2"]  # command line\n' in shown.output
    assert "\n# frame_max = 131072  # default\n" in shown.output
    assert '\n# default_pass = "..."  # environment variable RABBITMQ_DEFAULT_PASS\n' in shown.output
    assert "hunter2" not in shown.output


def test_a_node_logs_what_of_its_configuration_is_not_in_force(tmp_path):
    file = tmp_path / "rabbitmq.conf"
    file.write_text("mqtt.vhost = /\n")
    with running(*LISTEN, "--data-dir", str(tmp_path / "data"), "--config", str(file)) as process:
        assert f" WARNING amqpd.node: {file}, line 1: mqtt.vhost: amqpd has nothing like" in process.lines[0]
