"""The pages about installing and migrating name commands, options, settings and files that are there."""

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from amqpd.cli import ctl
from amqpd.cli.main import main
from amqpd.config import SETTINGS

ROOT = Path(__file__).resolve().parents[2]
PAGES = {name: (ROOT / "docs" / f"{name}.md").read_text() for name in ("install", "migrating")}
PROGRAMS = {"amqpd": main, "amqpctl": ctl.main}


def shell_lines():
    """Every command line of the pages, joined where it ends with a backslash."""
    for page in PAGES.values():
        for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL):
            yield from block.replace("\\\n", " ").splitlines()


def our_commands():
    """The words after `amqpd` or `amqpctl`, where a line begins with one or runs it in a container."""
    for line in shell_lines():
        found = re.search(r"(?:^|/bin/|docker (?:exec|run) .*amqpd )(amqpd|amqpctl)( .*)?$", line.split(" #")[0])
        if found:
            yield pytest.param(found[1], shlex.split(found[2] or ""), id=found[0])


@pytest.mark.parametrize(("program", "words"), list(our_commands()))
def test_commands_in_the_pages_are_there_with_their_options(program, words):
    done = CliRunner().invoke(PROGRAMS[program], [*words, "--help"])  # an option that is not there comes before --help
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("page", PAGES)
def test_variables_in_the_pages_are_there(page):
    known = {"AMQPD_CONFIG", "AMQPD_PURE", "AMQPD_REQUIRE_COMPILED"}
    known |= {setting.variable for setting in SETTINGS.values()}
    assert set(re.findall(r"AMQPD_[A-Z_]+", PAGES[page])) <= known


@pytest.mark.parametrize("page", PAGES)
def test_files_in_the_pages_are_there(page):
    named = set(re.findall(r"(?<![\w/.])(?:etc|tools)/[\w.-]+", PAGES[page]))
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []
