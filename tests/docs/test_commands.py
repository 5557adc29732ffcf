"""Every command is in the manual: those of amqpd and amqpctl, and those of the control socket below it."""

import dataclasses
import re
from pathlib import Path

import click
import pytest

from amqpd.cli import ctl, ctlaliases, ctllists
from amqpd.cli.main import main
from amqpd.server import operator, orders

DOCS = Path(__file__).resolve().parents[2] / "docs"
AMQPCTL = (DOCS / "amqpctl.md").read_text()
MANUAL = "".join(path.read_text() for path in DOCS.glob("*.md"))


def commands(group, path):
    """Every command below `group` that is in its help, as it is typed, with the names of its options."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        elif not command.hidden:
            yield f"{path} {name}", [text for parameter in command.params for text in parameter.opts if text[0] == "-"]


@pytest.mark.parametrize(("command", "options"), list(commands(ctl.main, "amqpctl")))
def test_every_command_of_amqpctl_is_documented_with_its_options(command, options):
    assert re.search(rf"`{command}[ `]", AMQPCTL)
    assert [option for option in options if not re.search(rf"`{option}[ `]", AMQPCTL)] == []


@pytest.mark.parametrize(("command", "options"), list(commands(main, "amqpd")))
def test_every_command_of_amqpd_is_documented_with_its_options(command, options):
    assert re.search(rf"`{command}[ `]", MANUAL)
    assert [option for option in options if option not in MANUAL] == []


def test_rabbitmqctls_names_are_documented_and_no_others():
    section = AMQPCTL.split("## rabbitmqctl's names")[1].split("\n## ")[0]
    names = {name for name, command in ctl.main.commands.items() if command.hidden}
    assert set(ctlaliases.SAME) | set(ctlaliases.LISTED) <= names
    documented = set(re.findall(r"`([a-z]+_[a-z_]+|shutdown)[ `]", section))
    assert documented == names


def test_every_list_is_documented_and_no_other():
    rows = AMQPCTL.split("| list | what a row is |")[1].split("\n\n")[0].splitlines()
    documented = [name for row in rows for name in re.findall(r"`([a-z-]+)`", row.split("|")[1])]
    assert sorted(documented) == sorted(ctllists.LISTS)


def test_every_command_of_the_control_socket_is_documented_and_no_other():
    table = AMQPCTL.split("| command | fields | result |")[1].split("\n\n")[0]
    assert re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE) == list(operator.COMMANDS)


def test_every_order_is_documented_with_its_fields():
    table = AMQPCTL.split("| order | fields |")[1]
    documented = {}
    for name, fields in re.findall(r"^\| `(\w+)` \| (.*) \|$", table, re.MULTILINE):
        documented[name] = re.findall(r"\[?`\w+`\]?", fields)
    expected = {}
    for name, kind in orders.ORDERS.items():
        expected[name] = [
            f"`{field.name}`"
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
            else f"[`{field.name}`]"
            for field in dataclasses.fields(kind)
            if field.name != orders.NOT_FOR_OPERATORS
        ]
    assert documented == expected
