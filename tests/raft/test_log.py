"""The log: what is unstable above what is stored, and when which is believed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rafting import SlowLog, entries

from amqpd.raft.config import NO_LIMIT
from amqpd.raft.faults import InvariantError
from amqpd.raft.log import UNKNOWN, Log
from amqpd.raft.memory import MemoryLog
from amqpd.raft.messages import ENTRY_OVERHEAD_BYTES, Append, Entry, Members, Snapshot

MEMBERS = Members((1, 2, 3))


def stored(*terms: int, compacted: int = 0) -> MemoryLog:
    """Storage with entries of these terms, of which the first are compacted."""
    view = MemoryLog()
    if terms:
        write(view, entries(*terms))
    if compacted:
        view.compact(Snapshot(compacted, view.term(compacted), MEMBERS), 0)
    return view


def write(view: MemoryLog, what: list[Entry]) -> None:
    view.write(Append(1, None, what, True))


def log_of(*terms: int, applied: int = 0, room: int = NO_LIMIT) -> Log:
    return Log(stored(*terms), applied, room)


def terms_of(log: Log) -> list[int]:
    return [log.term_at(index) for index in range(1, log.last_index() + 1)]


def test_the_end_of_the_log_is_where_the_unstable_entries_end():
    log = log_of(1, 1)
    log.append(entries(1, 2, start=3))
    assert (log.first_index(), log.last_index(), log.last_term(), log.durable_index()) == (1, 4, 2, 2)
    assert [log.term_at(index) for index in (0, 2, 3, 4, 5, -1)] == [0, 1, 1, 2, UNKNOWN, UNKNOWN]


def test_an_empty_log_ends_before_its_first_entry():
    log = log_of()
    assert (log.first_index(), log.last_index(), log.last_term()) == (1, 0, 0)
    assert log.entries(1, 1, NO_LIMIT) == []


def test_the_term_right_before_a_compacted_log_is_known():
    log = Log(stored(1, 2, 3, compacted=2), 2, NO_LIMIT)
    assert [log.term_at(index) for index in (1, 2, 3)] == [UNKNOWN, 2, 3]


def test_appending_replaces_what_conflicts_and_all_behind_it():
    log = log_of(1, 1, 1)
    log.append(entries(1, 1, start=4))
    log.append(entries(2, start=5))
    assert terms_of(log) == [1, 1, 1, 1, 2]
    log.append(entries(3, start=2))
    assert terms_of(log) == [1, 3]
    assert log.durable_index() == 1


def test_nothing_committed_is_ever_replaced():
    log = log_of(1, 1, 1)
    log.commit_to(2)
    with pytest.raises(InvariantError, match="committed up to 2"):
        log.append(entries(2, start=2))
    log.append(entries(2, start=3))


def test_a_log_has_no_gaps():
    with pytest.raises(InvariantError, match="gap"):
        log_of(1, 1).append(entries(1, start=4))


def test_storage_must_have_what_was_applied():
    with pytest.raises(InvariantError, match="applied up to 3"):
        log_of(1, 1, applied=3)
    with pytest.raises(InvariantError, match="applied up to 1"):
        Log(stored(1, 1, 1, compacted=2), 1, NO_LIMIT)


def test_the_commit_index_stays_within_the_log_and_never_goes_back():
    log = log_of(1, 1)
    assert log.commit_to(2)
    assert not log.commit_to(1)
    assert log.committed == 2
    with pytest.raises(InvariantError, match="beyond the log's end"):
        log.commit_to(3)


@pytest.mark.parametrize(("index", "term", "yes"), [(3, 2, True), (2, 2, False), (9, 1, False), (1, 3, True)])
def test_a_later_term_or_a_longer_log_is_up_to_date(index, term, yes):
    assert log_of(1, 1, 2).up_to_date(index, term) is yes


def test_the_first_conflict_is_where_entries_differ_or_are_new():
    log = log_of(1, 1, 2)
    assert log.conflict(entries(1, 1, 2)) == 3
    assert log.conflict(entries(1, 2, 2)) == 1
    assert log.conflict(entries(2, 3, 3, start=3)) == 1


def test_the_hint_skips_a_whole_term():
    log = log_of(1, 1, 3, 3, 3)
    assert log.agreement_hint(5, 2) == 2
    assert log.agreement_hint(5, 3) == 5
    assert log.agreement_hint(5, 0) == 0


def test_entries_come_from_both_parts_within_the_limit():
    log = log_of(1, 1, 1)
    log.append(entries(1, 1, start=4))
    size = ENTRY_OVERHEAD_BYTES + 3

    def indexes(low, high, limit):
        return [entry.index for entry in log.entries(low, high, limit)]

    assert indexes(1, 6, NO_LIMIT) == [1, 2, 3, 4, 5]
    assert indexes(2, 4, NO_LIMIT) == [2, 3]
    assert indexes(3, 6, 0) == [3]
    assert indexes(3, 6, 2 * size) == [3, 4]
    assert indexes(3, 6, 2 * size - 1) == [3]
    assert indexes(1, 6, 3 * size) == [1, 2, 3]
    assert indexes(4, 6, 0) == [4]


def test_what_storage_has_to_read_first_is_not_skipped():
    view = SlowLog()
    write(view, entries(1, 1, 1))
    log = Log(view, 0, NO_LIMIT)
    log.append(entries(1, start=4))
    assert log.entries(2, 5, NO_LIMIT) == []
    log.commit_to(3)
    assert log.take_appliable(False) == []
    view.loaded = True
    assert len(log.take_appliable(False)) == 3


def test_entries_are_handed_out_once_and_again_when_they_were_replaced():
    log = log_of(1)
    log.append(entries(1, 1, start=2))
    assert [entry.index for entry in log.hand_out()] == [2, 3]
    assert not log.has_unhanded()
    log.append(entries(2, start=3))
    assert [entry.term for entry in log.hand_out()] == [2]


def test_a_finished_write_is_believed_only_for_the_entry_that_is_there():
    view = MemoryLog()
    log = Log(view, 0, NO_LIMIT)
    log.append(entries(1, 1))
    log.hand_out()
    log.append(entries(2, start=2))
    log.stable_to(2, 1)
    assert log.durable_index() == 0
    log.stable_to(3, 1)
    assert log.durable_index() == 0
    log.hand_out()
    write(view, entries(1, 2))
    log.stable_to(2, 2)
    assert log.durable_index() == 2
    assert log.unstable == []
    log.stable_to(1, 1)
    assert log.durable_index() == 2


def test_a_snapshot_replaces_the_log_and_pauses_applying():
    log = log_of(1, 1)
    log.append(entries(1, start=3))
    log.commit_to(3)
    assert log.take_appliable(True)
    log.restore(Snapshot(9, 4, MEMBERS))
    assert (log.first_index(), log.last_index(), log.last_term(), log.committed) == (10, 9, 4, 9)
    assert (log.term_at(8), log.term_at(9)) == (UNKNOWN, 4)
    assert log.has_unhanded()
    log.hand_out()
    assert not log.has_unhanded()
    log.append(entries(4, start=10))
    log.commit_to(10)
    assert not log.has_appliable(True)
    assert log.durable_index() == 0
    log.stable_snapshot(9)
    assert (log.applied, log.durable_index()) == (9, 9)
    assert log.has_appliable(True)


def test_the_completion_of_an_older_snapshot_changes_nothing():
    log = log_of(1)
    log.restore(Snapshot(5, 1, MEMBERS))
    log.restore(Snapshot(9, 1, MEMBERS))
    log.stable_snapshot(5)
    assert log.applied == 0
    assert log.snapshot is not None


def test_only_durable_entries_are_applied_unless_the_host_writes_first():
    log = log_of(1)
    log.append(entries(1, start=2))
    log.commit_to(2)
    assert [entry.index for entry in log.take_appliable(False)] == [1]
    assert [entry.index for entry in log.take_appliable(True)] == [2]


def test_applying_stops_at_the_limit_until_something_was_applied():
    size = ENTRY_OVERHEAD_BYTES + 3
    log = log_of(1, 1, 1, room=size)
    log.commit_to(3)
    assert [entry.index for entry in log.take_appliable(False)] == [1]
    assert not log.has_appliable(False)
    log.applied_to(1, size)
    assert [entry.index for entry in log.take_appliable(False)] == [2]
    with pytest.raises(InvariantError, match="handed out up to 2"):
        log.applied_to(3, size)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(1, 3)), max_size=12), st.data())
def test_the_log_is_what_a_plain_list_would_be(appends, data):
    """Entries are appended anywhere, writes finish in order but late: what can be read is always the latest."""
    view = MemoryLog()
    log = Log(view, 0, NO_LIMIT)
    model: list[int] = []
    writes: list[list[Entry]] = []
    for term, (back, count) in enumerate(appends, 1):
        start = max(len(model) - back, 0)
        model[start:] = [term] * count
        log.append(entries(*[term] * count, start=start + 1))
        writes.append(log.hand_out())
        while writes and data.draw(st.booleans()):
            done = writes.pop(0)
            write(view, done)
            if not writes:
                log.stable_to(done[-1].index, done[-1].term)
        assert terms_of(log) == model
        assert [entry.term for entry in log.entries(1, len(model) + 1, NO_LIMIT)] == model
