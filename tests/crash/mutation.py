"""Bugs put into amqpd on purpose: the source text of a module is changed while it is imported, never on the disk.

A mutant replaces lines that have to be there exactly once; if the code has changed and they are not, that is an error
and not a mutant that quietly does nothing. Whoever calls `install` does so in a process of its own, before anything of
amqpd was imported; from then on the process has the interpreted source tree, whatever is installed.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIST = Path(__file__).with_name("mutants.toml")


class Misfit(Exception):
    """A mutant's lines are not in its module, or more than once."""


@dataclass(frozen=True)
class Mutant:
    """`old` in `module` (a path below amqpd/) becomes `new`; `why` says what is wrong then."""

    name: str
    why: str
    module: str
    old: str
    new: str

    def applied(self, text: str) -> str:
        """`text` with the bug in it. Raises Misfit."""
        found = text.count(self.old.strip("\n"))
        if found != 1:
            raise Misfit(f"{self.name}: its lines are {found} times in {self.module}, not once")
        return text.replace(self.old.strip("\n"), self.new.strip("\n"))

    def check(self) -> None:
        """Raises Misfit where it does not fit the source."""
        self.applied((ROOT / "amqpd" / self.module).read_text())


def mutants() -> dict[str, Mutant]:
    """All of them, by name."""
    listed = tomllib.loads(LIST.read_text())["mutant"]
    return {each["name"]: Mutant(**each) for each in listed}


class Loader(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds amqpd in the source tree, and changes one of its modules."""

    def __init__(self, mutant: Mutant) -> None:
        self.mutant = mutant

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] != "amqpd":
            return None
        folder = ROOT.joinpath(*name.split("."))
        package = folder.is_dir()
        file = folder / "__init__.py" if package else folder.with_suffix(".py")
        if not file.exists():
            return None
        return importlib.util.spec_from_file_location(
            name, file, loader=self, submodule_search_locations=[str(folder)] if package else None
        )

    def create_module(self, spec):
        return None

    def exec_module(self, module) -> None:
        file = Path(module.__spec__.origin)
        text = file.read_text()
        if file == ROOT / "amqpd" / self.mutant.module:
            text = self.mutant.applied(text)
        exec(compile(text, str(file), "exec"), module.__dict__)


def install(mutant: Mutant) -> None:
    """From now on, imports of amqpd get its source, with `mutant` in it. Raises Misfit."""
    mutant.check()
    loaded = [name for name in sys.modules if name.split(".")[0] == "amqpd"]
    if loaded:
        raise RuntimeError(f"{loaded[0]} was imported before")
    sys.meta_path.insert(0, Loader(mutant))
