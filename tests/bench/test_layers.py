"""The layers of a message's CPU time: what is taken from where."""

import os
import sys

import pytest
from benching import bench

layers = bench("layers")
load = bench("load")
CASES = {(case.section, case.name): case for case in bench("cases").CASES}
CASE = CASES["a", "16 B"]


class Node:
    pid = os.getpid()


@pytest.fixture
def core(tmp_path):
    results = bench("results").Results("core", tmp_path)
    results.add("auto-ack, 16 B", "interpreted", {"us": 9.0})
    results.add("auto-ack, 16 B", "compiled", {"us": 0.5})
    results.add("auto-ack, 16 B", "compiled", {"us": 0.2})
    return results


def test_every_case_that_is_split_is_one_of_both_tables():
    assert set(layers.CORE) <= set(CASES)
    recorded = (layers.load.DIRECTORY.parent / "core.toml").read_text()
    for name, _units in layers.CORE.values():
        assert f'"{name}"' in recorded


def test_the_newest_figure_of_the_compiled_core_counts(core):
    assert layers.core_us(CASE, core) == 0.2


def test_a_core_that_was_not_measured_is_named(tmp_path):
    with pytest.raises(load.LoadError, match=r"no figure of the core for 'auto-ack, 16 B': run bench/core\.py"):
        layers.core_us(CASE, bench("results").Results("core", tmp_path))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_kernels_share_is_of_the_same_messages(core, monkeypatch):
    kernel = iter([1.0, 1.3])
    monkeypatch.setattr(layers, "kernel_s", lambda pid: next(kernel))
    monkeypatch.setattr(
        load, "run", lambda node, options: {"broker_cpu_s": 0.5, "broker_cpu_us_per_published": 0.5, "asked": options}
    )
    shares = layers.split(CASE, Node, core, 4)
    assert shares.total == 0.5
    assert shares.kernel == pytest.approx(0.3)
    assert shares.core == 0.2
    assert shares.around == pytest.approx(0)


def test_the_rest_is_never_negative():
    assert layers.Split(1.0, 0.9, 0.3).around == 0
    assert layers.Split(1.0, 0.5, 0.3).around == pytest.approx(0.2)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_kernels_time_grows():
    before = layers.kernel_s(os.getpid())
    for _ in range(20_000):
        os.stat("/")
    assert layers.kernel_s(os.getpid()) >= before
