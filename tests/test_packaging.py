"""What an installation brings along: metadata, entry points, the compiled group, and the pages that describe them."""

import importlib
import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from tooling import tool

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
compilation = tool("compilation")


def compiled_names() -> list[str]:
    return [path.removesuffix(".py").replace("/", ".") for path in compilation.compiled_modules(ROOT)]


def names(requirements: list[str]) -> set[str]:
    return {Requirement(line).name for line in requirements}


def test_version_is_the_installed_one():
    assert importlib.import_module("amqpd").__version__ == metadata.version("amqpd")


def test_the_compiled_group_covers_the_message_path_the_store_and_raft():
    rooms = {"wire", "protocol", "broker", "store", "raft", "ranges", "pageindex"}
    assert {name.split(".")[1] for name in compiled_names()} == rooms


def test_modules_left_interpreted_exist():
    assert [path for path in compilation.INTERPRETED if not (ROOT / path).is_file()] == []


@pytest.mark.parametrize("name", compiled_names())
def test_each_module_of_the_group_is_in_the_mode_of_this_run(name):
    expected = os.environ.get("AMQPD_EXPECT")
    if expected is None:
        pytest.skip("AMQPD_EXPECT is not set: this is not a `make test` run")
    file = importlib.import_module(name).__file__
    assert file.endswith(tuple(EXTENSION_SUFFIXES)) == (expected == "compiled")


@pytest.mark.parametrize("group", ["console_scripts", "pytest11"])
def test_entry_points_can_be_loaded(group):
    project = PROJECT["project"]
    declared = project["scripts"] if group == "console_scripts" else project["entry-points"][group]
    installed = {point.name: point for point in metadata.distribution("amqpd").entry_points if point.group == group}
    assert {name: point.value for name, point in installed.items()} == declared
    for point in installed.values():
        assert point.load() is not None


def test_the_version_command_says_what_runs():
    command = [sys.executable, "-P", "-m", "amqpd", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert metadata.version("amqpd") in done.stdout
    expected = os.environ.get("AMQPD_EXPECT")
    if expected is not None:
        assert expected in done.stdout


def test_every_dependency_is_explained():
    page = (ROOT / "docs" / "decisions" / "dependencies.md").read_text()
    explained = set(re.findall(r"^\| `([^`]+)`", page, re.MULTILINE))
    extras = PROJECT["project"]["optional-dependencies"]
    declared = names(PROJECT["project"]["dependencies"]) | names(PROJECT["build-system"]["requires"])
    declared |= set().union(*map(names, extras.values())) - {"amqpd"}
    assert explained == declared


def test_the_build_and_the_run_use_the_same_librt_and_pamqp():
    requires = {Requirement(line).name: Requirement(line) for line in PROJECT["build-system"]["requires"]}
    for line in PROJECT["project"]["dependencies"]:
        requirement = Requirement(line)
        if requirement.name in requires:
            assert requires[requirement.name].specifier == requirement.specifier


def test_the_build_and_the_checks_use_the_same_mypy():
    requires = {Requirement(line).name: Requirement(line) for line in PROJECT["build-system"]["requires"]}
    dev = {Requirement(line).name: Requirement(line) for line in PROJECT["project"]["optional-dependencies"]["dev"]}
    assert requires["mypy"].specifier == dev["mypy"].specifier


def test_what_is_not_python_is_declared_as_part_of_the_package():
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["amqpd"]
    data = {path for pattern in patterns for path in (ROOT / "amqpd").glob(pattern)}
    files = {path for path in (ROOT / "amqpd").rglob("*") if path.is_file()}
    others = {path for path in files if path.suffix not in (".py", ".pyc", ".so")}
    assert others == data


def test_every_folder_of_the_package_is_found_by_the_build():
    # find with namespaces, which is the default, takes a folder without __init__.py; a name with a dash it does not.
    assert PROJECT["tool"]["setuptools"]["packages"]["find"] == {"include": ["amqpd", "amqpd.*"]}
    folders = {path.parent.relative_to(ROOT) for path in (ROOT / "amqpd").rglob("*.py")}
    assert [folder for folder in folders if not all(part.isidentifier() for part in folder.parts)] == []


def test_a_machine_without_a_compiler_is_told_so(monkeypatch):
    monkeypatch.delenv("AMQPD_PURE", raising=False)
    monkeypatch.setenv("CC", "/nonexistent/cc")
    assert "no C compiler" in compilation.why_not_compiled()


def test_pure_is_honoured(monkeypatch):
    monkeypatch.setenv("AMQPD_PURE", "1")
    assert compilation.why_not_compiled() == "AMQPD_PURE is set"
