"""docs/policies.md names every key of a policy, under what it takes and where it applies."""

import re
from pathlib import Path

from amqpd.broker import policykeys
from amqpd.broker.arguments import OVERFLOW_MODES

PAGE = (Path(__file__).resolve().parents[2] / "docs/policies.md").read_text()


def section(title):
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def first_cells(text):
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("|")]
    return {name for cell in rows for name in re.findall(r"`([^`]+)`", cell)}


def test_every_key_is_there_and_no_other():
    assert first_cells(section("Keys")) == policykeys._KEYS.keys()


def test_the_keys_of_operator_policies():
    assert first_cells(section("Operator policies")) == {
        name for name, key in policykeys._KEYS.items() if key.merge is not None
    }


def test_which_keys_keep_a_policy_from_which_queues():
    titles = {"classic": "classic", "quorum": "quorum queues", "stream": "streams"}
    without_effect = section("Keys").split("**no effect**")[1]
    for line in without_effect.splitlines():
        names = re.findall(r"`([^`]+)`", line.split("|")[1]) if line.startswith("| `") else []
        for name in names:
            for kind, title in titles.items():
                assert (title in line.split("|")[-2]) is (name in policykeys.UNSUPPORTED[kind]), (name, kind)


def test_the_modes_of_overflow():
    assert all(f"`{mode}`" in section("Keys") for mode in OVERFLOW_MODES)
