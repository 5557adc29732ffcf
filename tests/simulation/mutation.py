"""Bugs put into amqpd.raft on purpose: the source text is changed while it is imported, never on the disk.

A mutant replaces lines that have to be there exactly once; if the core has changed and they are not, that is an error
and not a mutant that quietly does nothing. With no mutant, the same loader gives the interpreted core, whatever is
installed (`exploration.py` needs that).

Who calls `install` in a process uses only what is imported after it: command.py does so in a process of its own.
"""

import importlib.abc
import importlib.util
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "amqpd" / "raft"
LIST = ROOT / "tests" / "raft" / "mutants" / "mutants.toml"
PACKAGE = "amqpd.raft"


class Misfit(Exception):
    """A mutant's lines are not in the core, or more than once."""


@dataclass(frozen=True)
class Mutant:
    """`old` in `module` becomes `new`; `rule` is the one of C1 to C13 that it breaks (or another name). `random` is
    false where random simulation is not expected to find it."""

    name: str
    rule: str
    module: str
    old: str
    new: str
    random: bool = True

    def applied(self, text: str) -> str:
        """`text` with the bug in it. Raises Misfit."""
        found = text.count(self.old)
        if found != 1:
            raise Misfit(f"{self.name}: its lines are {found} times in {self.module}, not once")
        return text.replace(self.old, self.new)


def mutants() -> dict[str, Mutant]:
    """All of them, by name."""
    listed = tomllib.loads(LIST.read_text())["mutant"]
    found = {each["name"]: Mutant(**each) for each in listed}
    if len(found) != len(listed):
        raise Misfit("two mutants have the same name")
    return found


class Loader(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds amqpd.raft and its modules in the source tree, and changes one of them."""

    def __init__(self, mutant: Mutant | None) -> None:
        self.mutant = mutant

    def find_spec(self, name, path=None, target=None):
        if name != PACKAGE and not name.startswith(PACKAGE + "."):
            return None
        package = name == PACKAGE
        file = SOURCE / ("__init__.py" if package else name.removeprefix(PACKAGE + ".") + ".py")
        if not file.exists():
            return None
        return importlib.util.spec_from_file_location(
            name, file, loader=self, submodule_search_locations=[str(SOURCE)] if package else None
        )

    def create_module(self, spec):
        return None

    def exec_module(self, module) -> None:
        file = Path(module.__spec__.origin)
        text = file.read_text()
        if self.mutant is not None and file.name == self.mutant.module:
            text = self.mutant.applied(text)
        exec(compile(text, str(file), "exec"), module.__dict__)


def install(mutant: Mutant | None) -> None:
    """From now on, imports of amqpd.raft get the interpreted source, with `mutant` in it. Raises Misfit.

    What was imported of it before, and the simulation that uses it, is forgotten: they have to be imported anew.
    """
    if mutant is not None:
        mutant.applied((SOURCE / mutant.module).read_text())
    for name in list(sys.modules):
        used = name.startswith("simulation.") and name not in ("simulation.mutation", "simulation.command")
        if used or name == PACKAGE or name.startswith(PACKAGE + "."):
            del sys.modules[name]
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, Loader)]
    sys.meta_path.insert(0, Loader(mutant))
