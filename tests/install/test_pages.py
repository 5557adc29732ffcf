"""The pages about installing and migrating name settings and files that are there."""

import re
from pathlib import Path

import pytest

from amqpd.config import SETTINGS

ROOT = Path(__file__).resolve().parents[2]
PAGES = {name: (ROOT / "docs" / f"{name}.md").read_text() for name in ("install", "migrating")}


@pytest.mark.parametrize("page", PAGES)
def test_variables_in_the_pages_are_there(page):
    known = {"AMQPD_CONFIG", "AMQPD_PURE", "AMQPD_REQUIRE_COMPILED"}
    known |= {setting.variable for setting in SETTINGS.values()}
    assert set(re.findall(r"AMQPD_[A-Z_]+", PAGES[page])) <= known


@pytest.mark.parametrize("page", PAGES)
def test_files_in_the_pages_are_there(page):
    named = set(re.findall(r"(?<![\w/.])(?:etc|tools)/[\w.-]+", PAGES[page]))
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []
