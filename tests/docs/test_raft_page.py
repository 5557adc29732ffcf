"""docs/raft.md says what the Raft core does: its drawings, tables and names are the code's, its program runs."""

import ast
import random
import re
import tomllib
from pathlib import Path

import pytest
from tooling import tool

from amqpd.raft import messages, refusals
from amqpd.raft.config import Config
from amqpd.raft.group import Group
from amqpd.raft.memory import MemoryLog
from amqpd.raft.messages import MESSAGE_NAMES, HardState, Members

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/raft.md").read_text()
RULES = [f"C{number}" for number in range(1, 14)]
LISTED = tomllib.loads((ROOT / "tests/raft/mutants/mutants.toml").read_text())["mutant"]
MUTANTS = {each["name"]: each["rule"] for each in LISTED}


def section(title, level=2):
    mark = "#" * level
    return re.split(rf"\n#{{1,{level}}} ", PAGE.split(f"\n{mark} {title}\n")[1])[0]


def rule(name):
    (title,) = re.findall(rf"^### ({name} .*)$", PAGE, re.MULTILINE)
    return section(title, 3)


def rows(text):
    """The cells of a table's rows, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def names(text):
    return re.findall(r"`([^`]+)`", text)


def test_the_drawings_are_those_of_the_tables():
    drawn = tool("raft_states")
    assert f"```text\n{drawn.roles()}\n```" in section("Roles")
    assert f"```text\n{drawn.streams()}\n```" in section("Replication")


def test_every_message_is_there_and_leaves_when_the_page_says():
    table = {names(row[0])[0]: row[3] for row in rows(section("Messages"))}
    assert set(table) == set(MESSAGE_NAMES.values())
    rng = random.Random(1).randrange
    for kind, name in MESSAGE_NAMES.items():
        group = Group(Config(b"a group of pages", 1), HardState(), Members((1, 2)), MemoryLog(), 0, rng)
        group.send(group.message(kind, 2))
        ready = group.ready()
        now = [message.kind for message in ready.messages]
        later = [] if ready.append is None else [message.kind for message in ready.append.after_durable]
        assert (now, later) == {"at once": ([kind], []), "behind the write": ([], [kind])}[table[name]], name


def test_every_module_is_there():
    files = {file.name for file in (ROOT / "amqpd/raft").glob("*.py")} - {"__init__.py"}
    assert {name for row in rows(section("The idea")) for name in names(row[0])} == files


def test_every_knob_is_there():
    """Read from the source: what is compiled has no signature to look at."""
    tree = ast.parse((ROOT / "amqpd/raft/config.py").read_text())
    (made,) = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "__init__"]
    knobs = {argument.arg for argument in [*made.args.args, *made.args.kwonlyargs]} - {"self", "group", "member"}
    assert {name for row in rows(section("Knobs", 3)) for name in names(row[0])} == knobs


def test_every_refusal_is_there():
    known = {name for name in vars(refusals) if name.isupper() and name != "REFUSALS"}
    assert {names(row[0])[0] for row in rows(section("Refusals", 3))} == known
    assert len(known) == len(refusals.REFUSALS)


@pytest.mark.parametrize("name", RULES)
def test_a_rule_names_a_test_and_mutants_that_there_are(name):
    known = {
        node.name
        for file in (ROOT / "tests/raft").glob("test_*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef)
    }
    named = names(rule(name))
    tests = [each for each in named if each.startswith("test_")]
    mutants = [each for each in named if "-" in each]
    assert tests
    assert set(tests) <= known
    assert mutants
    assert {MUTANTS.get(each) for each in mutants} == {name}


def test_there_are_no_other_rules():
    assert re.findall(r"^### (C\d+) ", PAGE, re.MULTILINE) == RULES
    assert {each for each in MUTANTS.values() if each.startswith("C")} == set(RULES)


def test_the_other_mutants_that_the_page_names_are_there():
    named = re.findall(r"mutants:? (`[^.;)]+`)", PAGE, re.IGNORECASE)
    assert named
    assert {name for each in named for name in names(each)} <= MUTANTS.keys()


def test_fields_and_calls_that_the_page_names_are_there():
    for owner, attribute in re.findall(r"`(Ready|Append|Snapshot)\.(\w+)`", PAGE):
        assert attribute in dir(getattr(messages, owner)), attribute
    for call in re.findall(r"`Group\.(\w+)", PAGE):
        assert hasattr(Group, call), call


def test_the_program_prints_what_the_page_says(capsys):
    driving = section("Driving a group")
    (program,) = re.findall(r"^```python\n(.*?)^```", driving, re.DOTALL | re.MULTILINE)
    (printed,) = re.findall(r"It prints:\n\n```text\n(.*?)```", driving, re.DOTALL)
    exec(compile(program, "docs/raft.md", "exec"), {})
    assert capsys.readouterr().out == printed


def test_the_programs_that_the_page_names_are_there():
    for program in re.findall(r"`(tools/[\w.]+)", PAGE):
        assert (ROOT / program).exists(), program
