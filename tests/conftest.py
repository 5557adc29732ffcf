"""Shared by every test: make sure that what is tested is what was meant to be tested.

`make test` runs the suite twice and says by AMQPD_EXPECT which amqpd it means: the source tree (`interpreted`) or the
installed package whose message path is compiled (`compiled`). An import that quietly finds the other one would make a
green run worthless, so the run stops at once. Without AMQPD_EXPECT (a bare `pytest`) anything goes.
"""

import importlib
import os
from importlib.machinery import EXTENSION_SUFFIXES

import pytest
from hypothesis import settings

# The same examples in every run, and no deadline: a slow machine is not a bug. To look for new examples:
# make test-interpreted T="--hypothesis-profile=explore"
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None, max_examples=2000)
settings.load_profile("repeatable")

WITNESS = "amqpd.protocol.connection"


def found_mode() -> str:
    """`compiled` or `interpreted`: what importing the middle of the message path gives."""
    file = importlib.import_module(WITNESS).__file__ or ""
    return "compiled" if file.endswith(tuple(EXTENSION_SUFFIXES)) else "interpreted"


def pytest_configure(config: pytest.Config) -> None:
    expected = os.environ.get("AMQPD_EXPECT")
    if expected not in (None, "compiled", "interpreted"):
        raise pytest.UsageError(f"AMQPD_EXPECT is {expected!r}; it can be 'compiled' or 'interpreted'")
    if expected is not None and found_mode() != expected:
        where = importlib.import_module(WITNESS).__file__
        raise pytest.UsageError(f"these tests were to run {expected}, but {WITNESS} is {where}")


def pytest_report_header(config: pytest.Config) -> str:
    return f"amqpd: {os.environ.get('AMQPD_EXPECT', 'either mode')}, {importlib.import_module('amqpd').__file__}"
