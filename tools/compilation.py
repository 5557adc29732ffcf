"""What of amqpd is compiled with mypyc, and whether this machine can do it.

The single list of compiled modules: `setup.py` builds from it, `tools/check_build.py` and `tests/test_packaging.py`
check against it. Uses the standard library only, because it runs inside an isolated build as well as in a bare
environment. It builds nothing itself.
"""

import os
import shlex
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

ROOMS = ("amqpd/wire", "amqpd/protocol", "amqpd/broker", "amqpd/store", "amqpd/raft")
"""The message path, what keeps it, and the Raft core (docs/decisions/mypyc.md): synchronous, fully typed, no awaits."""

SHARED = ("amqpd/ranges.py", "amqpd/pageindex.py")
"""Modules below those rooms that several of them use."""

INTERPRETED = frozenset(
    {
        "amqpd/broker/commands.py",  # dataclasses of the control plane: mypyc fails on a field of type object
        "amqpd/store/cipher.py",  # calls of a library, one per batch or page; imports it only where there is a key
        "amqpd/store/files.py",  # system calls, and base classes that tests subclass
        "amqpd/wire/standin.py",  # used only where there is no librt, hence no mypyc either; and it needs struct
    }
)
"""Modules of those rooms that stay interpreted, as POSIX paths from the repository's root. Each needs a reason here."""


def compiled_modules(root: Path) -> list[str]:
    """Paths, relative to `root`, of every module that goes into the compiled group.

    `__init__.py` files are left out: they hold re-exports and docstrings, never anything that runs per message.
    """
    return sorted(
        path
        for room in (*ROOMS, *SHARED)
        for path in (file.relative_to(root).as_posix() for file in _modules(root / room))
        if not path.endswith("/__init__.py") and path not in INTERPRETED
    )


def _modules(place: Path) -> list[Path]:
    return [place] if place.suffix == ".py" else sorted(place.rglob("*.py"))


def why_not_compiled() -> str:
    """Empty if extension modules can be compiled here, otherwise the reason in a few words.

    Tries it out on a one-line program, because finding `cc` proves little: macOS has a stub of that name, and Debian
    has Python without its headers. Blocks for the fraction of a second that this takes.
    """
    if os.environ.get("AMQPD_PURE", "0") not in ("", "0"):
        return "AMQPD_PURE is set"
    if sys.implementation.name != "cpython" or sys.platform == "win32":
        return f"compiling is not supported on {sys.implementation.name}, {sys.platform}"
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    include = sysconfig.get_path("include")
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.c")
        source.write_text("#include <Python.h>\nint probe(void) { return PY_VERSION_HEX != 0; }\n")
        command = [*compiler, "-I", include, "-c", str(source), "-o", str(source.with_suffix(".o"))]
        try:
            probe = subprocess.run(command, capture_output=True, timeout=60, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return f"no C compiler: {compiler[0]} does not run"
    if probe.returncode == 0:
        return ""
    if b"Python.h" in probe.stderr:
        return f"no C compiler for Python extensions: Python.h is not in {include}"
    return f"no C compiler: {compiler[0]} fails"
