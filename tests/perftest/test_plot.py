"""Pictures: what is refused before the run, and files that come out the same each time."""

import sys

import pytest
from perftesting import MS, SECOND

from amqpd.perftest import plot
from amqpd.perftest.faults import OptionError, RunError
from amqpd.perftest.figures import Figures
from amqpd.perftest.report import Form

FORM = Form(id="me", publishes=True, consumes=True, confirms=True, mandatory=False)


@pytest.fixture(scope="module")
def intervals():
    figures = Figures()
    figures.begin(0)
    seen = []
    for second in range(1, 6):
        figures.sent += 1000 * second
        figures.received += 900 * second
        figures.consumer.record(second * MS)
        seen.append(figures.interval(second * SECOND))
    return seen


def test_what_cannot_be_drawn_is_known_before(tmp_path, monkeypatch):
    with pytest.raises(OptionError, match=r"--plot: x.gif must end in .png, .svg, .pdf"):
        plot.check(tmp_path / "x.gif")
    with pytest.raises(OptionError, match="--plot: there is no directory"):
        plot.check(tmp_path / "nowhere" / "x.png")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(OptionError, match="--plot: needs matplotlib"):
        plot.check(tmp_path / "x.png")


@pytest.mark.parametrize(("ending", "magic"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")])
def test_pictures_come_out_the_same(tmp_path, intervals, ending, magic):
    pytest.importorskip("matplotlib")
    for name in ("one", "two"):
        plot.check(tmp_path / (name + ending))
        plot.draw(tmp_path / (name + ending), FORM, intervals)
    one, two = ((tmp_path / (name + ending)).read_bytes() for name in ("one", "two"))
    assert one == two
    assert one.startswith(magic)


def test_a_run_without_anything_to_draw(tmp_path):
    pytest.importorskip("matplotlib")
    plot.draw(tmp_path / "x.svg", FORM, [])
    assert "me" in (tmp_path / "x.svg").read_text()


def test_a_picture_that_cannot_be_written(tmp_path, intervals):
    pytest.importorskip("matplotlib")
    with pytest.raises(RunError, match="Is a directory"):
        (tmp_path / "x.png").mkdir()
        plot.draw(tmp_path / "x.png", FORM, intervals)
