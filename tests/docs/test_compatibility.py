"""docs/compatibility.md tells of every difference that the comparison with RabbitMQ accepts: reason and count."""

import tomllib
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def accepted_reasons() -> Counter[str]:
    return Counter(tomllib.loads((ROOT / "interop/compare/accepted.toml").read_text()).values())


def test_every_accepted_difference_is_documented_with_its_reason():
    page = (ROOT / "docs/compatibility.md").read_text()
    missing = [reason for reason, count in accepted_reasons().items() if f"| {reason} | {count} |" not in page]
    assert not missing


def test_the_page_counts_the_accepted_differences():
    total = accepted_reasons().total()
    assert f"The {total} exchanges that differ" in (ROOT / "docs/compatibility.md").read_text()
