"""The command lines in the manual and the README are such as the programs take."""

import re
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from amqpd.cli import ctl
from amqpd.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]
PROGRAMS = {"amqpd": main, "amqpctl": ctl.main}
BLOCK = re.compile(r"^ *```(?P<language>\w*)\n(?P<text>.*?)^ *```$", re.DOTALL | re.MULTILINE)
OURS = re.compile(r"(?:\$ )?(?:docker exec \S+ |docker run .* |\S*/bin/)?(amqpd|amqpctl)(?: .*)?")


def command_lines():
    """The words after `amqpd` or `amqpctl` of every line that runs one of them, up to where the shell takes over."""
    for page in PAGES:
        for block in BLOCK.finditer(page.read_text()):
            if block["language"] not in ("", "sh", "console"):
                continue
            for line in block["text"].replace("\\\n", " ").splitlines():
                found = OURS.fullmatch(line.strip())
                if found:
                    words = shlex.split(line.strip()[found.end(1) :], comments=True)
                    end = next((at for at, word in enumerate(words) if word in ("<", ">", "|")), len(words))
                    yield pytest.param(found[1], words[:end], id=f"{page.stem}: {line.strip()}")


def leaves(group):
    """The commands below a group that do something."""
    for command in group.commands.values():
        if isinstance(command, click.Group):
            yield from leaves(command)
        else:
            yield command


@pytest.mark.parametrize(("program", "words"), list(command_lines()))
def test_a_command_line_of_the_manual_has_the_form_of_its_command(program, words, monkeypatch):
    done = []
    for command in leaves(PROGRAMS[program]):
        monkeypatch.setattr(command, "callback", lambda *_args, **_kwargs: done.append(1))
    result = CliRunner().invoke(PROGRAMS[program], words)
    assert result.exit_code == 0, result.output
    assert done
