"""Every command is in the manual: those of amqpd and amqpctl, and those of the control socket below it."""

import re
from pathlib import Path

import click
import pytest

from amqpd.cli import ctl
from amqpd.cli.main import main
from amqpd.server.operator import Operator, Refused

DOCS = Path(__file__).resolve().parents[2] / "docs"
AMQPCTL = (DOCS / "amqpctl.md").read_text()
MANUAL = "".join(path.read_text() for path in DOCS.glob("*.md"))


def commands(group, path):
    """Every command below `group`, as it is typed, with the names of its options."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", [text for parameter in command.params for text in parameter.opts if text[0] == "-"]


@pytest.mark.parametrize(("command", "options"), list(commands(ctl.main, "amqpctl")))
def test_every_command_of_amqpctl_is_documented_with_its_options(command, options):
    assert re.search(rf"`{command}[ `]", AMQPCTL)
    assert [option for option in options if f"`{option}" not in AMQPCTL] == []


@pytest.mark.parametrize(("command", "options"), list(commands(main, "amqpd")))
def test_every_command_of_amqpd_is_documented_with_its_options(command, options):
    assert re.search(rf"`{command}[ `]", MANUAL)
    assert [option for option in options if option not in MANUAL] == []


@pytest.mark.parametrize("what", ctl.LISTS)
def test_every_list_is_documented(what):
    assert f"`{what}`" in AMQPCTL


def test_every_command_of_the_control_socket_is_documented_and_no_other():
    table = AMQPCTL.split("| command | fields | result |")[1]
    documented = re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE)
    with pytest.raises(Refused) as refusal:  # it lists those that there are
        Operator(hub=None, addresses=[], stop=None).do({"command": "no such"})
    assert str(refusal.value) == "there is no such command; there are " + ", ".join(documented)
