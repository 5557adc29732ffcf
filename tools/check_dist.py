#!/usr/bin/env python3
"""Check what is published: build the sdist, and wheels out of it, compiled and pure, and look into all three.

    .venv/bin/python tools/check_dist.py

Fails where a file of the package is missing from one of them, where the wheel is not compiled although this machine has
a compiler, or where what was installed from a wheel does not start. Needs the package index, for the tools that build;
takes two minutes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import venv
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from compilation import why_not_compiled
from using import expect, report

ROOT: Final = Path(__file__).resolve().parents[1]


def package_files() -> set[str]:
    """Every file of the package, Python or not."""
    files = (path for path in (ROOT / "amqpd").rglob("*") if path.is_file())
    return {path.relative_to(ROOT).as_posix() for path in files if path.suffix not in (".pyc", ".so")}


def environment(folder: Path) -> Path:
    """A new virtual environment's Python."""
    venv.create(folder, with_pip=True, symlinks=True)
    return folder / "bin" / "python"


def pip(python: Path, *arguments: str, variables: Mapping[str, str] | None = None) -> None:
    """Run pip; ends the program, with what it said, if it fails."""
    command = [str(python), "-m", "pip", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **(variables or {})}, check=False)
    if done.returncode:
        raise SystemExit(f"pip {arguments[0]} failed:\n{done.stdout}{done.stderr}")


def build_sdist(python: Path, folder: Path) -> Path:
    """The sdist, built as a frontend would. The tree stays as it is, but for the metadata that setuptools leaves."""
    requires = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    pip(python, "install", "--quiet", *requires)
    code = f"from setuptools import build_meta; build_meta.build_sdist({str(folder)!r})"
    subprocess.run([python, "-c", code], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return next(folder.glob("*.tar.gz"))


def build_wheel(python: Path, sdist: Path, folder: Path, variables: Mapping[str, str]) -> Path:
    """A wheel out of the sdist, so that nothing of this tree can help."""
    pip(python, "wheel", "--no-deps", "--wheel-dir", str(folder), str(sdist), variables=variables)
    return next(folder.glob("*.whl"))


def check_wheel(wheel: Path, compiled: bool, folder: Path) -> None:
    print(wheel.name, flush=True)
    names = zipfile.ZipFile(wheel).namelist()
    missing = package_files() - set(names)
    expect(f"has every file of the package {sorted(missing) or ''}".strip(), not missing)
    expect("brings extension modules" if compiled else "brings none", compiled == any(".so" in name for name in names))
    top = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    # mypyc's shared library stands beside the package.
    expect("brings nothing else", {name for name in top if not (compiled and "__mypyc." in name)} == {"amqpd"})
    python = environment(folder)
    pip(python, "install", "--quiet", str(wheel))
    said = subprocess.run([folder / "bin" / "amqpd", "--version"], capture_output=True, text=True, check=True).stdout
    expect(f"runs: {said.strip()}", ("compiled" in said) == compiled)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="amqpd-dist-") as name:
        folder = Path(name)
        python = environment(folder / "building")
        sdist = build_sdist(python, folder)
        print(sdist.name, flush=True)
        with tarfile.open(sdist) as archive:
            inside = {member.partition("/")[2] for member in archive.getnames()}
        missing = package_files() - inside
        expect(f"has every file of the package {sorted(missing) or ''}".strip(), not missing)
        reason = why_not_compiled()
        if reason:
            print(f"*** SKIPPED the compiled wheel: {reason} ***", file=sys.stderr)
        else:
            wheel = build_wheel(python, sdist, folder / "compiled", {"AMQPD_REQUIRE_COMPILED": "1"})
            check_wheel(wheel, True, folder / "try-compiled")
        check_wheel(build_wheel(python, sdist, folder / "pure", {"AMQPD_PURE": "1"}), False, folder / "try-pure")
    report()


if __name__ == "__main__":
    main()
