"""The programs of bench/ as modules: they are no part of the package, and found from a checkout alone."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

ROOT = str(Path(__file__).resolve().parents[1])


def bench(name: str) -> ModuleType:
    """bench/NAME.py. The checkout is looked at last, so that amqpd stays the one that is tested."""
    if ROOT not in sys.path:
        sys.path.append(ROOT)
    return importlib.import_module(f"bench.{name}")
