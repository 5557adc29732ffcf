"""The README's five-minute tour works: its Python blocks are run, in order, against a broker.

Only the broker's address is replaced, because the test's broker listens on a port of its own.
"""

import re
from pathlib import Path

import pytest

README = Path(__file__).resolve().parents[2] / "README.md"
ADDRESS = "amqp://guest:guest@localhost:5672/"


def python_blocks() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)


def test_the_tour_delivers_what_it_says(amqpd_broker, capsys):
    blocks = python_blocks()
    assert len(blocks) == 2
    for block in blocks:
        assert ADDRESS in block
        exec(compile(block.replace(ADDRESS, amqpd_broker.url), str(README), "exec"), {})
    expected = re.search(r"The worker prints:\n\n```\n(.*?)```", README.read_text(), re.DOTALL)
    assert expected is not None
    assert capsys.readouterr().out == expected[1]


@pytest.mark.parametrize("command", ["make run", "make test"])
def test_commands_of_the_readme_exist(command):
    target = command.split()[1]
    assert command in README.read_text()
    assert re.search(rf"^{target}:", (README.parent / "Makefile").read_text(), re.MULTILINE)
