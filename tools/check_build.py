"""Check that the amqpd which this interpreter imports is compiled wherever it can be.

Prints `compiled` or `interpreted`. Fails (exit 1) on a mixture, and on a silent fallback: an uncompiled package on a
machine that has a working C compiler. Run it with the interpreter of the environment in question, and with
PYTHONSAFEPATH=1, so that the source tree in the current directory is not what is looked at.
"""

import importlib.util
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

TOOLS = str(Path(__file__).resolve().parent)
sys.path.insert(0, TOOLS)  # PYTHONSAFEPATH leaves a script's own folder out

from compilation import compiled_modules, why_not_compiled  # noqa: E402


def is_compiled(module: str) -> bool:
    """Whether importing `module` would load an extension module. Imports its parent packages only."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise SystemExit(f"{module} is not installed for {sys.executable}")
    return spec.origin.endswith(tuple(EXTENSION_SUFFIXES))


def main() -> None:
    paths = compiled_modules(Path(__file__).resolve().parents[1])
    modules = {path.removesuffix(".py").replace("/", ".") for path in paths}
    compiled = {module for module in modules if is_compiled(module)}
    if modules and compiled == modules:
        print("compiled")
        return
    if compiled:
        raise SystemExit("only partly compiled; interpreted are: " + ", ".join(sorted(modules - compiled)))
    reason = why_not_compiled()
    if not reason:
        raise SystemExit(
            "amqpd is interpreted although a C compiler works here: the build fell back. Its log says why "
            "(.venv-compiled/build.log); after an AMQPD_PURE=1 build, remove .venv-compiled and build again"
        )
    print("interpreted")
    print(reason, file=sys.stderr)


if __name__ == "__main__":
    main()
