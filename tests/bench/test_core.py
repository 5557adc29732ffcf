"""The micro-benchmark of the core: every case plays, what is missing is noticed, and records are kept and compared."""

import pytest
from benching import bench

from amqpd.runtime import build

core = bench("core")
clocking = bench("clocking")
traffic = bench("traffic")
calibration = bench("calibration")
BenchError = bench("client").BenchError


class Steady:
    """A play that takes what the test says, microseconds of a message, one figure after the other."""

    def __init__(self, *figures):
        self.figures = list(figures)
        self.played = 0

    def run(self, messages):
        self.played += messages
        figure = self.figures.pop(0) if len(self.figures) > 1 else self.figures[0]
        return figure * messages / 1e6


@pytest.fixture
def unit(monkeypatch):
    """A calibration that takes a millisecond: relative figures are microseconds. The collector stays as it is."""
    monkeypatch.setattr(clocking, "calibrate", lambda: 0.001)
    monkeypatch.setattr(clocking, "tune_collector", lambda: None)


# -- cases


@pytest.mark.parametrize("name", core.cases())
def test_each_case_plays(name):
    play = core.cases()[name]()
    for messages in (1, 100, 2000):
        assert play.run(messages) >= 0


def test_what_is_not_delivered_is_noticed():
    flow = traffic.Flow(traffic.Traffic(keys=("nobody",)))
    with pytest.raises(BenchError, match=r"0 delivered and 0 returned, where \(10, 0\) were due"):
        flow.run(10)


def test_what_closes_a_channel_is_noticed():
    flow = traffic.Flow(traffic.Traffic(exchange="missing"))
    with pytest.raises(BenchError, match="NOT_FOUND - no exchange 'missing'"):
        flow.run(1)


def test_who_is_not_let_in_is_noticed():
    with pytest.raises(BenchError, match="there is no user nobody"):
        traffic.Flow(traffic.Traffic(user="nobody"))


def test_acknowledgements_need_one_queue():
    with pytest.raises(BenchError, match="has one queue"):
        traffic.Flow(traffic.Traffic(queues=("a", "b"), ack_every=1))


def test_files_on_paper_know_what_a_store_reads_and_nothing_else():
    paper = bench("paper")
    files = paper.PaperFiles("paper")
    file = files.directory("deep").create("one")
    file.write(0, [b"he", b"ad"])
    file.write(paper.KEPT - 2, [b"tail"])
    assert file.read(0, 6) == b"head\0\0"
    assert file.size() == paper.KEPT + 2
    with pytest.raises(BenchError, match="paper/deep/one: 4 bytes at 4094 were forgotten"):
        file.read(paper.KEPT - 2, 4)
    assert files.names() == ["deep"]


# -- figures


def test_the_calibration_never_changes():
    """Whoever makes this fail has to record all figures anew."""
    assert calibration.interpret() == 64_000
    assert calibration.copy() == calibration.COPIES * calibration.PIECE
    assert (calibration.STEPS, calibration.COPIES, calibration.PIECE) == (4000, 256, 65_536)
    assert calibration.relative(0.003, 0.001) == 3000


def test_the_least_of_the_passes_counts(unit):
    found = clocking.costs({"one": lambda: Steady(9.0, 9.0, 7.0, 5.0, 6.0)}, passes=3, pass_s=0.0001)
    assert found["one"].us == pytest.approx(5.0)
    assert found["one"].relative == pytest.approx(5.0)


def test_a_pass_has_as_many_messages_as_fit(unit):
    assert clocking.messages_of_a_pass(Steady(10.0), 0.01) == 1000
    assert clocking.messages_of_a_pass(Steady(0.0), 0.01) == clocking.MESSAGES_MAX
    assert clocking.messages_of_a_pass(Steady(1e6), 0.01) == clocking.MESSAGES_MIN


def test_an_error_names_its_case(unit):
    def broken():
        raise BenchError("what happened")

    with pytest.raises(BenchError, match="the case: what happened"):
        clocking.costs({"the case": broken})


# -- records


def test_records_of_one_build_leave_those_of_the_other(tmp_path):
    path = tmp_path / "core.toml"
    assert core.load_records(path, "compiled") == {}
    core.save_records(path, "interpreted", {"a, b": 2.5})
    core.save_records(path, "compiled", {"a, b": 0.25, "c": 1.0})
    core.save_records(path, "interpreted", {"a, b": 3.0})
    assert core.load_records(path, "interpreted") == {"a, b": 3.0}
    assert core.load_records(path, "compiled") == {"a, b": 0.25, "c": 1.0}


@pytest.mark.parametrize("kind", ["compiled", "interpreted"])
def test_every_case_has_its_records(kind):
    assert core.unmatched(dict.fromkeys(core.cases(), 0.0), core.load_records(core.RECORDS, kind)) == []


def test_twice_the_record_is_the_limit():
    assert core.worse({"a": 2.0, "b": 2.01, "new": 9.0}, {"a": 1.0, "b": 1.0}) == ["b"]


def test_what_looks_bad_is_measured_again(unit, capsys):
    figures = iter([9.0, 1.5])
    makers = {"one": lambda: Steady(next(figures)), "two": lambda: Steady(1.0)}
    found = core.measure(makers, {"one": 1.0, "two": 1.0}, 1, 0.0001)
    assert found["one"].relative == pytest.approx(1.5)
    assert capsys.readouterr().out == "measured again: one\n"


def test_what_stays_bad_is_given_up(unit):
    made = []

    def slow():
        made.append(Steady(9.0))
        return made[-1]

    assert core.measure({"one": slow}, {"one": 1.0}, 1, 0.0001)["one"].relative == pytest.approx(9.0)
    assert len(made) == 1 + core.AGAIN


def test_the_program_fails_where_a_case_is_worse(capsys):
    assert core.judge("compiled", {"a": 1.5}, {"a": 1.0}) == 0
    assert capsys.readouterr().out == "core compiled: 1 cases, 1.50 to 1.50 times their records\n"
    assert core.judge("compiled", {"a": 2.5}, {"a": 1.0}) == 1
    assert capsys.readouterr().err == "core compiled: more than 2 times the record: a\n"
    assert core.judge("compiled", {"new": 1.0}, {"old": 1.0}) == 1
    assert "cases and records differ (new, old): run it with --record" in capsys.readouterr().err


def test_the_table_shows_the_record_beside_the_figure():
    lines = core.table({"a": clocking.Cost(0.5, 2.0), "b": clocking.Cost(1.0, 4.0)}, {"a": 1.0})
    assert lines[1].split() == ["a", "0.500", "2.000", "1.000", "2.00"]
    assert lines[2].split() == ["b", "1.000", "4.000", "none"]


def test_the_other_build_is_refused(capsys):
    other = "interpreted" if build.mode() == "compiled" else "compiled"
    with pytest.raises(SystemExit):
        core.main(["--expect", other])
    assert f"and {other} was expected" in capsys.readouterr().err
