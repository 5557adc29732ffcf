"""The page that is made of results: medians, ratios, goals, and the same bytes for the same results."""

import pytest
from benching import bench

cases = bench("cases")
curves = bench("curves")
report = bench("report")
results = bench("results")
run = bench("run")
CASE = next(case for case in cases.CASES if run.case_id(case) == "a 16 B")
CPU, RATE = CASE.rows


@pytest.fixture
def measured(tmp_path):
    """Three runs of a case on two kinds of brokers, and its latencies."""
    found = results.Results("load", tmp_path)
    found.add("machine", "", {"cores": 2, "cpu": "X", "memory_gib": 8, "system": "Linux 6", "python": "CPython 3.11"})
    for cpu in (0.4, 0.2, 0.3):
        found.add("a 16 B", "compiled", {"broker_cpu_us_per_published": cpu, "consumed_per_s": 3e6, "ok": 1})
        found.add("a 16 B", "rabbitmq", {"broker_cpu_us_per_published": cpu * 40, "consumed_per_s": 1e5, "ok": 1})
    latency = {"p50": 70.0, "p95": 90.0, "p99": 700.0, "p99.9": 900.0}
    found.add("g transient, 1000/s", "compiled", {"latency_us": latency, "ok": 1})
    return found


def test_a_figure_is_the_median_of_its_runs(measured):
    assert report.Measured(measured).value(CASE, CPU, "compiled") == 0.3
    assert report.Measured(measured).value(CASE, CPU, "interpreted") is None


def test_goals_are_reached_from_the_right_side():
    assert (report.reached(CPU, 0.44), report.reached(CPU, 0.46)) == ("yes", "no")
    assert (report.reached(RATE, 2.6e6), report.reached(RATE, 2.4e6)) == ("yes", "no")
    assert report.reached(cases.cpu(), 1.0) == ""


def test_a_ratio_says_how_many_times_better_ours_is():
    assert report.ratio(CPU, 0.3, 12.0) == "40x"
    assert report.ratio(RATE, 3e6, 1e5) == "30x"
    assert report.ratio(RATE, None, 1e5) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0.2345, "0.234"), (12.34, "12.3"), (1234.5, "1234"), (45_600, "45.6 k"), (2.5e6, "2.5 M")],
)
def test_numbers_are_short(value, text):
    assert report.number(value) == text


def test_the_page_has_what_was_measured_and_nothing_else(measured):
    page = report.markdown(report.Measured(measured), [], [])
    assert "| a: 16 B | us/message | 0.3 | 12 | 40x | 0.45 | yes |" in page
    assert "2 cores (X)" in page
    assert "a: 1 KiB" not in page
    assert "## Soak" not in page
    assert "Nothing was lost" in page


def test_the_page_says_where_messages_went_wrong(measured):
    measured.add("a 1 KiB", "compiled", {"ok": 0})
    assert "**Messages went wrong in:** a 1 KiB (compiled)" in report.markdown(report.Measured(measured), [], [])


def test_an_empty_page_can_be_made(tmp_path):
    page = report.markdown(report.Measured(results.Results("load", tmp_path)), [], [])
    assert page.startswith("# Benchmarks\n")


def test_the_page_and_its_pictures_are_written(measured, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    plots = bench("plots")
    drawn = []
    monkeypatch.setattr(plots, "save", lambda figure, to, name: drawn.append(name))
    results.Results("scaling", tmp_path).add("queues", "compiled", {"size": 1, "cpu_us": 0.3, "per_s": 1e6})
    report.write(tmp_path, tmp_path)
    assert drawn == ["cpu", "rate", "latency", "scaling-queues"]
    assert "benchmarks/scaling-queues.svg" in (tmp_path / "benchmarks.md").read_text()


def test_the_same_results_give_the_same_picture(tmp_path):
    pytest.importorskip("matplotlib")
    plots = bench("plots")
    made = []
    for _ in range(2):
        plots.soak([[0.0, 60.0], [1.0, 80.0], [2.0, 80.0]], tmp_path)
        made.append((tmp_path / "soak.svg").read_bytes())
    assert made[0] == made[1]


def test_measuring_a_case_again_replaces_it_for_all_kinds(measured):
    measured.forget("a 16 B")
    assert measured.of("a 16 B", "rabbitmq") == []
    assert len(measured.of("g transient, 1000/s", "compiled")) == 1
    measured.add("a 16 B", "compiled", {"ok": 1})
    assert len(measured.of("a 16 B", "compiled")) == 1
