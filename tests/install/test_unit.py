"""The systemd unit, as systemd-analyze reads it. tools/check_deb.py boots a system that runs it."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from amqpd.config import SETTINGS
from amqpd.config.environment import CONFIG

ETC = Path(__file__).resolve().parents[2] / "etc"
UNIT = (ETC / "amqpd.service").read_text()
EXPOSURE_MAX = 15  # in tenths, where 100 is a service without any sandbox
OFFLINE_SINCE = 250  # the version of systemd-analyze that can judge a file


def value(name):
    return re.search(rf"(?m)^{name}=(.*)$", UNIT)[1]


def analyze(*arguments):
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed: the unit is not judged")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    if int(re.search(r"\d+", version)[0]) < OFFLINE_SINCE:
        pytest.skip("systemd-analyze is too old to judge a file")
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)


def test_the_unit_has_no_mistakes(tmp_path):
    copy = tmp_path / "amqpd.service"
    copy.write_text(UNIT.replace("ExecStart=amqpd", "ExecStart=/bin/sh"))  # which need not be installed here
    done = analyze("verify", str(copy))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_sandbox_is_as_tight_as_a_broker_can_have_it():
    unit = str(ETC / "amqpd.service")
    done = analyze("security", "--offline=true", "--no-pager", f"--threshold={EXPOSURE_MAX}", unit)
    assert done.returncode == 0, done.stdout


def test_its_variables_are_amqpds():
    names = {pair.partition("=")[0] for pair in value("Environment").split()}
    assert names <= {CONFIG, *(setting.variable for setting in SETTINGS.values())}


def test_it_finds_its_data_and_its_configuration():
    assert f"AMQPD_DATA_DIR=%S/{value('StateDirectory')}" in value("Environment")
    assert f"{CONFIG}=/etc/amqpd/amqpd.toml" in value("Environment")


@pytest.mark.parametrize("script", sorted((ETC / "deb").iterdir()), ids=lambda path: path.name)
def test_the_packages_scripts_are_executable_posix_shell(script):
    assert script.stat().st_mode & 0o111 == 0o111
    assert script.read_text().startswith("#!/bin/sh\n")
    assert subprocess.run(["sh", "-n", script], check=False).returncode == 0
