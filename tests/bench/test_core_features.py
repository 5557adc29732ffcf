"""The table of features: each of them plays, and the table says what was measured."""

import json

import pytest
from benching import bench

features = bench("features")

FOUND = {
    "": {"auto-ack plain": 2.0, "ack plain": 4.0},
    "one": {"auto-ack unused": 2.1, "ack unused": 4.0, "ack used": 8.0},
    "two": {"auto-ack plain": 1.0, "auto-ack used": 1.5},
}


@pytest.mark.parametrize("name", features.variants(""))
def test_each_feature_plays(name):
    features.variants("")[name]().run(200)


def test_each_feature_has_something_to_measure_and_a_name_of_its_own():
    assert len({feature.name for feature in features.FEATURES}) == len(features.FEATURES)
    for feature in features.FEATURES:
        assert feature.unused is not None or feature.used is not None, feature.name
        assert set(feature.modes) <= set(features.PLAIN), feature.name


def test_a_feature_is_compared_with_its_own_base_where_it_has_one():
    assert features.dearer(FOUND, "one", "auto-ack", "unused") == pytest.approx(5.0)
    assert features.dearer(FOUND, "one", "ack", "used") == pytest.approx(100.0)
    assert features.dearer(FOUND, "one", "auto-ack", "used") is None
    assert features.dearer(FOUND, "two", "auto-ack", "used") == pytest.approx(50.0)


def test_the_table_has_both_builds_side_by_side():
    lines = features.table({"compiled": FOUND, "interpreted": FOUND})
    assert lines[3].split() == ["plain", "case,", "us/message", "2.000", "4.000", "2.000", "4.000"]
    assert lines[4].split() == ["one", "+5", "+0", "+100", "+5", "+0", "+100"]
    assert lines[5].split() == ["two", "+50", "+50"]


def test_a_run_prints_what_it_measured_as_json(monkeypatch, capsys):
    monkeypatch.setattr(features, "measure", lambda only, passes, pass_s: {only: {"passes": passes, "s": pass_s}})
    monkeypatch.setattr(features, "expect", lambda parser, kind: kind)
    assert features.main(["--measure", "compiled", "--only", "x", "--passes", "3", "--pass-ms", "2"]) == 0
    assert json.loads(capsys.readouterr().out) == {"x": {"passes": 3, "s": 0.002}}
