"""Build hook: compile the message path with mypyc where that is possible, install plain Python where it is not.

Everything declarative is in `pyproject.toml`. An installation never fails for want of a compiler: without one, with
`AMQPD_PURE=1`, or when mypy or the compiler reports an error, the same source is installed uncompiled and one loud line
says so. `AMQPD_REQUIRE_COMPILED=1` turns that line into a failure (for those who publish wheels).

Invariant: all modules of the group are compiled, or none. Optional extensions in setuptools' sense would give a mix of
both, whose halves cannot import each other, so falling back is done here for the group as a whole.
"""

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from setuptools import setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "tools"))

import compilation  # noqa: E402  (needs the path above: an isolated build does not have the source folder on it)

# Metadata hooks import this file as well; type-checking the whole path for each of them would cost minutes.
BUILDING = not {"bdist_wheel", "build", "build_ext", "editable_wheel", "install"}.isdisjoint(sys.argv)

# Never build inside the tree: setuptools reuses a stale build/ without a word.
BUILD_BASE = tempfile.mkdtemp(prefix="amqpd-build-")
atexit.register(shutil.rmtree, BUILD_BASE, ignore_errors=True)


def fall_back(reason: str) -> None:
    """Say that the package is installed uncompiled, or fail if that is not wanted."""
    if os.environ.get("AMQPD_REQUIRE_COMPILED", "0") not in ("", "0"):
        raise SystemExit(f"amqpd: NOT COMPILED: {reason}")
    print(f"*** amqpd: NOT COMPILED, installing plain Python (several times slower): {reason} ***", file=sys.stderr)


def compiled_group() -> list[Any]:
    """The compiled group as setuptools extensions, or nothing."""
    if not BUILDING:
        return []
    if reason := compilation.why_not_compiled():
        fall_back(reason)
        return []
    modules = compilation.compiled_modules(ROOT)
    if not modules:
        fall_back("the source has no modules to compile")
        return []
    try:
        from mypyc.build import mypycify

        # No configuration file: strictness is for `make lint`, and must not decide whether a user's build is fast.
        options = ["--config-file=", "--no-warn-unused-configs"]
        group = mypycify([*options, *modules], group_name="amqpd", debug_level="0", target_dir=BUILD_BASE)
    except (Exception, SystemExit) as error:  # mypyc leaves by sys.exit after printing type errors
        fall_back(f"mypyc failed ({error!r}); what it said is above")
        return []
    for extension in group:
        # mypyc asks for -Werror; a new compiler's new warning must not decide whether a user's build is fast.
        extension.extra_compile_args = [*extension.extra_compile_args, "-Wno-error"]  # theirs is one for all
    return group


class BuildAllOrNothing(build_ext):
    """Compile the whole group; if any part fails, remove what was built and go on without."""

    extensions: list[Any]

    def run(self) -> None:
        try:
            super().run()
        except Exception as error:
            for extension in self.extensions:
                Path(self.get_ext_fullpath(extension.name)).unlink(missing_ok=True)
            self.extensions = []
            self.distribution.ext_modules = []
            fall_back(f"the C compiler failed ({type(error).__name__}); what it said is above")


if __name__ == "__main__":
    setup(
        ext_modules=compiled_group(),
        cmdclass={"build_ext": BuildAllOrNothing},
        options={"build": {"build_base": BUILD_BASE}},
    )
