"""What is held against curves and soaks: growth beyond a logarithm, memory that is not bounded or not flat."""

import pytest
from benching import bench

curves = bench("curves")
figures = bench("figures")
node = bench("node")
soak = bench("soak")
QUEUES = curves.CURVES_BY_NAME["queues"]
BODY = curves.CURVES_BY_NAME["body"]


def points(costs):
    return [{"size": float(size), "cpu_us": cost, "per_s": 1.0} for size, cost in costs]


def within(curve, costs):
    grown, allowed = curves.growth(curve, points(costs))
    return grown <= allowed


def test_a_flat_curve_and_a_logarithm_are_within():
    assert within(QUEUES, [(1, 0.3), (1000, 0.3), (100_000, 0.3)])
    assert within(QUEUES, [(1, 0.3), (1000, 0.3 * 6.3), (100_000, 0.3 * 10.5)])


def test_a_linear_curve_is_not():
    assert not within(QUEUES, [(size, 0.3 + size * 0.01) for size in QUEUES.points])


def test_a_root_is_not():
    assert not within(QUEUES, [(size, 0.3 * size**0.5) for size in QUEUES.points])


def test_bodies_are_judged_by_the_byte():
    assert within(BODY, [(0, 0.2), (4096, 4.0), (1 << 20, 1000.0), (64 << 20, 64_000.0)])
    assert not within(BODY, [(0, 0.2), (4096, 4.0), (1 << 20, 4000.0), (64 << 20, 64_000_000.0)])


def test_one_point_grows_by_nothing():
    assert within(QUEUES, [(1, 0.3)])


def test_medians_are_taken_point_by_point():
    lines = [{"case": "queues", "figures": {"size": size, "cpu_us": cost, "per_s": 1}} for size, cost in
             ((10, 5.0), (1, 1.0), (10, 3.0), (10, 4.0))]  # fmt: skip
    told = curves.by_curve([*lines, {"case": "gone", "figures": {}}])["queues"]
    assert [(point["size"], point["cpu_us"]) for point in told] == [(1, 1.0), (10, 4.0)]


def test_memory_that_settles_is_flat():
    samples = [(t, 400.0 * min(1, t / 100)) for t in range(600)]
    found = soak.verdict(samples, bound=500)
    assert (found["bounded"], found["flat"]) == (1, 1)
    assert abs(found["slope_mb_per_minute"]) < 0.01


def test_memory_that_grows_is_not_flat():
    found = soak.verdict([(t, 400 + t) for t in range(600)], bound=5000)
    assert (found["bounded"], found["flat"]) == (1, 0)
    assert found["slope_mb_per_minute"] == pytest.approx(60)


def test_memory_beyond_the_limits_is_not_bounded():
    assert soak.verdict([(0, 1.0), (1, 600.0), (2, 1.0), (3, 1.0)], bound=500)["bounded"] == 0


def test_a_slope_needs_two_moments():
    assert soak.slope([]) == soak.slope([(1, 5)]) == soak.slope([(1, 5), (1, 7)]) == 0


def test_the_line_at_the_end_says_all():
    found = soak.verdict([(t, 100.0) for t in range(10)], 500) | {
        "ok": 1, "minutes": 10, "normal_messages": 5, "lost": 0, "duplicated": 0, "out_of_order": 0,
        "large_messages": 7, "headers_messages": 8, "connections": 9,
    }  # fmt: skip
    assert soak.sentence(found) == (
        "soak: ok: 10 min, RSS peak 100 MB (bound 500), second half 100 MB +0.00 MB/min; "
        "normal flow 5 messages, 0 lost, 0 duplicated, 0 out of order; 7 large, 8 with large headers, 9 connections"
    )


@pytest.mark.parametrize(
    ("text", "seconds"), [("0:01.50", 1.5), ("02:03", 123), ("1:00:00", 3600), ("2-00:00:01", 172_801)]
)
def test_cpu_times_of_ps_are_read(text, seconds):
    assert figures._clock(text) == seconds


def test_a_process_that_is_gone_is_said_to_be():
    with pytest.raises(figures.Gone):
        figures.rss_bytes(2**22 + 1)


def test_a_kind_that_is_none_is_not_available():
    assert node.available("zeromq") == "no such kind: zeromq (one of compiled, interpreted, rabbitmq)"


def test_a_program_that_is_not_built_is_named(monkeypatch):
    monkeypatch.setitem(node.AMQPD, "compiled", node.ROOT / "nowhere" / "amqpd")
    assert node.available("compiled") == "nowhere/amqpd is missing: make compiled"


@pytest.mark.parametrize("stuck", ["normal_messages", "normal_ok", "large_messages", "headers_messages", "connections"])
def test_a_soak_in_which_one_flow_stood_still_shows_nothing(stuck):
    found = dict.fromkeys(["normal_messages", "normal_ok", "large_messages", "headers_messages", "connections"], 5)
    assert soak.all_flowed(found)
    assert not soak.all_flowed(found | {stuck: 0})
