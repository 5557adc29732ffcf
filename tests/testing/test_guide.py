"""The programs of docs/testing-your-app.md are run as they stand, each in a process of its own."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "testing-your-app.md"
PROGRAMS = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(), re.DOTALL | re.MULTILINE)
CLIENTS = ("aio_pika", "celery")


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_the_program_works(tmp_path, number):
    text = PROGRAMS[number]
    for client in CLIENTS:
        if re.search(rf"\b{client}\b", text) and importlib.util.find_spec(client) is None:
            pytest.skip(f"{client} is not installed")
    path = tmp_path / "test_program.py"
    path.write_text(text)
    arguments = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:trio"] if "def test_" in text else []
    command = [sys.executable, "-P", *arguments, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_there_is_a_program_for_each_kind_of_reader():
    text = "\n".join(PROGRAMS)
    for word in ("pika", *CLIENTS, "run_broker", "open_broker", "amqpd_vhost", "amqpd_broker"):
        assert word in text
