"""Lines, tables and JSON of figures."""

import io
import json

import pytest
from perftesting import MS, SECOND

from amqpd.perftest import report
from amqpd.perftest.figures import Figures

BOTH = report.Form(id="me", publishes=True, consumes=True, confirms=True, mandatory=True)
SENT = report.Form(id="me", publishes=True, consumes=False, confirms=False, mandatory=False)
RECEIVED = report.Form(id="me", publishes=False, consumes=True, confirms=False, mandatory=False)


@pytest.fixture
def figures():
    figures = Figures()
    figures.begin(SECOND)
    figures.sent, figures.received, figures.confirmed, figures.nacked, figures.returned = 3000, 200, 30, 5, 1
    figures.last_sent, figures.last_received = 3 * SECOND, 5 * SECOND
    for milliseconds in range(1, 101):
        figures.consumer.record(milliseconds * MS)
    figures.confirm.record(7_654_321)
    return figures


def test_a_line_is_as_perftest_writes_it(figures):
    seen = figures.interval(3 * SECOND)
    assert report.line(BOTH, seen) == (
        "id: me, time 2.000 s, sent: 1500 msg/s, returned: 0.50 msg/s, confirmed: 15 msg/s, nacked: 2.5 msg/s, "
        "received: 100 msg/s, min/median/75th/95th/99th/max consumer latency: 1000/49807/74973/94896/98566/100000 µs, "
        "confirm latency: 7654/7654/7654/7654/7654/7654 µs"
    )
    assert report.line(SENT, seen) == "id: me, time 2.000 s, sent: 1500 msg/s"


def test_a_line_tells_of_its_own_interval_only(figures):
    figures.interval(3 * SECOND)
    figures.sent += 10
    again = report.line(BOTH, figures.interval(5 * SECOND))
    assert "time 4.000 s, sent: 5.0 msg/s, returned: 0 msg/s" in again
    assert again.endswith("consumer latency: 0/0/0/0/0/0 µs, confirm latency: 0/0/0/0/0/0 µs")


def test_other_forms(figures):
    seen = figures.interval(3 * SECOND)
    legacy = report.Form("me", False, True, False, False, legacy=True)
    assert report.line(legacy, seen).endswith("min/avg/max consumer latency: 1000/50500/100000 µs")
    millis = report.Form("me", False, True, False, False, millis=True)
    assert report.line(millis, seen).endswith("consumer latency: 1/49/74/94/98/100 ms")
    assert report.heading(BOTH) == ""
    compact = report.Form("me", True, True, False, False, compact=True)
    assert report.heading(compact).split() == ["time", "sent", "received", "consumer", "latency"]
    line = report.line(compact, seen)
    assert line.split() == ["2.000", "s", "1500", "msg/s", "100", "msg/s", "1000/49807/74973/94896/98566/100000", "µs"]
    assert len(line) == len(report.heading(compact))


def test_the_summary_knows_when_sending_and_receiving_ended(figures):
    figures.interval(2 * SECOND)
    assert report.summary_lines(BOTH, figures.summary()) == [
        "id: me, sending rate avg: 1500 msg/s",
        "id: me, receiving rate avg: 50 msg/s",
        "id: me, consumer latency min/median/75th/95th/99th/max 1000/49807/74973/94896/98566/100000 µs",
        "id: me, confirm latency min/median/75th/95th/99th/max 7654/7654/7654/7654/7654/7654 µs",
    ]
    assert report.summary_lines(SENT, figures.summary()) == ["id: me, sending rate avg: 1500 msg/s"]


def test_a_run_in_which_nothing_happened():
    figures = Figures()
    figures.begin(SECOND)
    assert report.summary_lines(RECEIVED, figures.summary())[0] == "id: me, receiving rate avg: 0 msg/s"


def test_the_table_has_perftests_columns(figures):
    file = io.StringIO()
    report.Csv(file, BOTH).add(seen := figures.interval(3 * SECOND))
    head, row = file.getvalue().splitlines()
    assert head.split(",")[:7] == [
        "id",
        "time (s)",
        "published (msg/s)",
        "returned (msg/s)",
        "confirmed (msg/s)",
        "nacked (msg/s)",
        "received (msg/s)",
    ]
    assert head.split(",")[7] == "min consumer latency (µs)"
    assert head.split(",")[16] == "99th p. confirm latency (µs)"
    assert row == "me,2.000,1500,0.50,15,2.5,100,1000,49807,74973,94896,98566,7654,7654,7654,7654,7654"
    file = io.StringIO()
    report.Csv(file, SENT).add(seen)
    assert file.getvalue().splitlines()[1] == "me,2.000,1500" + "," * 14


def test_json_says_null_of_what_was_not_measured(figures):
    seen = figures.interval(3 * SECOND)
    document = json.loads(report.as_json(RECEIVED, "interrupted", figures.summary(), [seen], 2))
    assert (document["id"], document["stopped"], document["intervals_left_out"]) == ("me", "interrupted", 2)
    summary, (interval,) = document["summary"], document["intervals"]
    assert (summary["received"], summary["receiving_rate"], summary["elapsed_s"]) == (200, 50, 4)
    assert summary["consumer_latency_ns"]["maximum"] == 100 * MS
    assert (interval["received"], interval["time_s"]) == (100, 2)
    for part in (summary, interval):
        assert {part[name] for name in ("sent", "returned", "confirmed", "nacked", "confirm_latency_ns")} == {None}
    everything = json.loads(report.as_json(BOTH, "", figures.summary(), [], 0))["summary"]
    assert None not in everything.values()


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.123, "0.12"), (9.87, "9.9"), (12.5, "12"), (1e6, "1000000")]
)
def test_rates_have_decimals_where_they_are_few(value, text):
    assert report.rate(value) == text
