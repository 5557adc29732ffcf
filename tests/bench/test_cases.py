"""The tables of cases and curves: what they name exists, and the README describes all of it."""

import re
from pathlib import Path

import pytest
from benching import bench

cases = bench("cases")
curves = bench("curves")
load = bench("load")
run = bench("run")
soak = bench("soak")

BENCH = Path(load.DIRECTORY).parent
FLAGS = set(re.findall(r'\{"([a-z-]+)", [01], 0', (BENCH / "amqpload" / "options.c").read_text()))
README = (BENCH / "README.md").read_text()
OPTIONS = [case.options for case in cases.CASES]
OPTIONS += [text.format(n=1) for curve in curves.CURVES for text in (curve.options, curve.prepare)]
OPTIONS += [flow.options for flow in soak.flows(64)]


@pytest.mark.parametrize("options", sorted(set(OPTIONS)))
def test_every_flag_that_is_used_is_one_of_amqpload(options):
    assert set(re.findall(r"--([a-z-]+)", options)) <= FLAGS


def test_the_readme_describes_every_flag():
    described = set(re.findall(r"`--([a-z-]+)", README.split("### Flags")[1].split("### Figures")[0]))
    assert described == FLAGS - {"help"}


def test_the_readme_describes_every_figure():
    source = (BENCH / "amqpload" / "report.c").read_text()
    told = set(re.findall(r'(?:number|integer|string|distribution)\("([a-z0-9_]+)"', source))
    told |= set(re.findall(r'"([a-z]+_us)"', source))
    told.remove("latency")  # its name in text
    assert len(told) > 40
    assert {name for name in told if f"`{name}`" not in README} == set()


def test_cases_have_names_of_their_own_and_known_sections_and_groups():
    names = [run.case_id(case) for case in cases.CASES]
    assert len(set(names)) == len(names)
    assert {case.section for case in cases.CASES} == set(cases.SECTIONS)
    assert {row.group for case in cases.CASES for row in case.rows} == set(cases.GROUPS)


def test_without_sections_all_cases_are_run_that_need_nothing():
    assert run.chosen_cases("") == [case for case in cases.CASES if not case.needs]


def test_sections_are_chosen_by_their_letters():
    assert {case.section for case in run.chosen_cases("a,c")} == {"a", "c"}


def test_a_section_that_is_none_is_refused():
    with pytest.raises(ValueError, match="no such section: x"):
        run.chosen_cases("a,x")


@pytest.mark.parametrize("curve", curves.CURVES, ids=lambda curve: curve.name)
def test_points_of_a_curve_grow_and_each_thing_is_used(curve):
    assert sorted(set(curve.points)) == list(curve.points)
    assert all(curve.messages(size) >= 1 for size in curve.points)
    if "bindings" in curve.name or curve.name == "queues":
        assert all(curve.messages(size) > 2 * size for size in curve.points)


def test_large_bodies_are_few():
    body = curves.CURVES_BY_NAME["body"]
    assert body.messages(64 << 20) * (64 << 20) <= 1 << 30
