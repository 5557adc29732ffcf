"""The rules of CONTRIBUTING.md that can be checked from the source: sizes, docstrings, and what the cores may import.

Reads files only; nothing of amqpd is imported. Which room may import which is import-linter's to say (`make lint`).
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "amqpd").rglob("*.py"))
CORES = ("amqpd/wire/", "amqpd/protocol/", "amqpd/broker/", "amqpd/raft/")
MODULE_LINES_MAX = 600
FUNCTION_LINES_MAX = 70

# Bytes, time and randomness are arguments there, and every wait is somebody else's.
NOT_IN_CORES = {"asyncio", "datetime", "os", "random", "secrets", "select", "selectors", "socket", "ssl"}
NOT_IN_CORES |= {"subprocess", "threading", "time", "trio", "uuid"}
# `struct` gives Any, which costs a compiled module the factor ten that compiling is for.
NOT_COMPILED = {"struct"}
# Stand-in for librt, never compiled.
STRUCT_USERS = {"amqpd/wire/standin.py"}


def parse(module: str) -> ast.Module:
    return ast.parse((ROOT / module).read_text(), module)


def imported(tree: ast.Module) -> set[str]:
    """Top-level names of everything the module imports, wherever in it."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("module", MODULES)
def test_module_opens_with_a_docstring(module):
    assert ast.get_docstring(parse(module))


@pytest.mark.parametrize("module", MODULES)
def test_module_is_short_enough_to_read(module):
    assert len((ROOT / module).read_text().splitlines()) <= MODULE_LINES_MAX


@pytest.mark.parametrize("module", MODULES)
def test_functions_are_short_enough_to_read(module):
    functions = (node for node in ast.walk(parse(module)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    sizes = {node.name: (node.end_lineno or 0) - node.lineno + 1 for node in functions}
    assert {name: lines for name, lines in sizes.items() if lines > FUNCTION_LINES_MAX} == {}


@pytest.mark.parametrize("module", [module for module in MODULES if module.startswith(CORES)])
def test_cores_take_time_randomness_and_bytes_as_arguments(module):
    tree = parse(module)
    assert imported(tree) & NOT_IN_CORES == set()
    if module not in STRUCT_USERS:
        assert imported(tree) & NOT_COMPILED == set()
    assert [node for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef | ast.Await)] == []
