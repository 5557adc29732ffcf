"""A file of the journal is freed: only when nothing needs it, and without standing in anybody's way."""

import pytest
from harness import m, publish
from keeping import Kept, bodies, lasting


@pytest.fixture
def kept():
    kept = Kept()
    kept.journal.in_a_file, kept.journal.files_max = 1, 1
    kept.client = kept.world.client(channels=(1, 2))
    kept.client.declare("q", durable=True)
    return kept


def oldest(kept):
    return min(kept.journal.disk)


def next_file(kept):
    """Another batch, in another file."""
    kept.client >> lasting(queue="other")
    while kept.committer.jobs:
        kept.commit()


def begin(kept, *said):
    """Something is in the first file, and it is to be freed."""
    kept.client.declare("other", durable=True)
    kept.client.send(*said)
    kept.commit()
    next_file(kept)


def waiting(kept):
    return bodies(kept.world.client(), kept.queue().ready_count(), no_ack=True)


def test_what_waits_has_a_page_before_the_file_is_free(kept):
    begin(kept, *[lasting(b"%d" % number) for number in range(5)])
    assert oldest(kept) == 1
    kept.rest()
    assert oldest(kept) > 1
    assert kept.segments.disk[0].label == b"//q"
    assert waiting(kept.restart()) == [b"0", b"1", b"2", b"3", b"4"]


def test_what_is_lent_has_one_too(kept):
    begin(kept, *[lasting(b"%d" % number) for number in range(6)])
    assert bodies(kept.client, 4) == [b"0", b"1", b"2", b"3"]
    kept.client >> m("basic.ack", delivery_tag=2)
    kept.client >> m("basic.nack", delivery_tag=3, requeue=True)
    kept.rest()
    assert oldest(kept) > 1
    assert waiting(kept.restart()) == [b"0", b"2", b"3", b"4", b"5"]


def test_what_is_settled_before_its_neighbours_are_moved_takes_none_of_them_along(kept):
    """While a batch is written what is settled waits for the next one, and the move goes on."""
    kept.client.declare("other", durable=True)
    kept.client.send(*[lasting(b"%03d" % number + bytes(100_000)) for number in range(60)])
    while kept.committer.jobs:
        kept.commit()
    assert len(bodies(kept.client, 60)) == 60
    kept.client >> lasting(queue="other")
    kept.client >> lasting(queue="other")
    kept.commit()  # the next batch is under way, and the move has begun
    assert len(kept.committer.jobs) == 1
    assert not kept.keeper._move.done
    settled = range(30, 60, 3)
    kept.client.send(*[m("basic.ack", delivery_tag=tag) for tag in settled])  # and the move goes on
    assert len(kept.committer.jobs) == 1
    kept.rest()
    assert oldest(kept) > 1
    expected = [b"%03d" % (tag - 1) for tag in range(1, 61) if tag not in settled]
    assert [body[:3] for body in waiting(kept.restart())] == expected


def test_young_messages_are_not_moved(kept):
    """Nothing in the file is alive, so nothing is written for it."""
    begin(kept, lasting(b"1"), lasting(b"2"))
    assert bodies(kept.client, 2, no_ack=True) == [b"1", b"2"]
    kept.rest()
    assert oldest(kept) > 1
    assert all(copy.label != b"//q" for copy in kept.segments.disk)


def test_the_file_waits_for_pages_to_be_synced(kept):
    begin(kept, lasting(b"1"))
    while kept.committer.jobs:
        kept.commit()
    kept.world.pass_ms(0)
    assert oldest(kept) == 1
    assert waiting(kept.restart()) == [b"1"]
    while oldest(kept) == 1:
        assert kept.segments.disk == [] or waiting(kept.restart()) == [b"1"]
        kept.work()
    assert waiting(kept.restart()) == [b"1"]


def test_pages_are_told_what_the_file_settles_before_it_is_free(kept):
    """Else what it settled would be back when it is gone."""
    begin(kept, *[lasting(b"%d" % number) for number in range(4)])
    kept.rest()
    assert bodies(kept.client, 2, no_ack=True) == [b"0", b"1"]
    kept.commit()
    (settling,) = [file for file, batches in kept.journal.disk.items() if "settle" in [r.kind for r in batches[0]]]
    next_file(kept)
    kept.rest()
    assert oldest(kept) > settling
    assert waiting(kept.restart()) == [b"2", b"3"]


def test_a_file_that_is_still_written_is_not_looked_at(kept):
    """Two batches are under way, and the second is in the next file: the first file is too many, and not complete."""
    kept.client.declare("other", durable=True)
    kept.client >> lasting(b"1")
    kept.commit()
    kept.client >> lasting(bytes(5_000_000))
    kept.client >> lasting(bytes(5_000_000))
    assert len(kept.committer.jobs) == 2
    kept.world.pass_ms(0)
    for _ in range(3):
        kept.commit()
        kept.rest()
        after = kept.restart()
        assert after.queue().ready_count() == 3


def test_messages_come_and_go_while_a_large_queue_is_moved(kept):
    """The steps are small, and between them the queue is used."""
    begin(kept, *[lasting(b"%03d" % number + bytes(100_000)) for number in range(60)])
    bodies(kept.client, 20)
    taken = []
    for step in range(200):
        if kept.keeper._move is None and step > 5:
            break
        if step < 30:
            kept.client >> lasting(b"n%02d" % step)
            taken += [body[:3] for body in bodies(kept.client, 1, no_ack=True)]
        kept.world.pass_ms(0)
        kept.commit()
        kept.work()
    kept.client.send(*[m("basic.ack", delivery_tag=tag) for tag in range(1, 21, 2)])
    kept.rest()
    assert oldest(kept) > 1
    assert taken == [b"%03d" % number for number in range(20, 20 + len(taken))]
    after = kept.restart()
    expected = [b"%03d" % number for number in range(1, 20, 2)]
    expected += [b"%03d" % number for number in range(20 + len(taken), 60)]
    expected += [b"n%02d" % step for step in range(len(taken))]
    assert [body[:3] for body in waiting(after)] == expected


def test_a_queue_may_be_deleted_while_it_is_moved(kept):
    begin(kept, *[lasting(bytes(100_000)) for _ in range(60)])
    bodies(kept.client, 10)
    kept.world.pass_ms(0)
    kept.client.call("queue.delete", queue="q")
    kept.rest()
    next_file(kept)
    kept.rest()
    assert oldest(kept) > 1
    assert all(copy.label != b"//q" for copy in kept.segments.disk)
    assert kept.queue("other").ready_count() == 2


def test_what_was_restored_is_moved_with_the_oldest_file(kept):
    begin(kept, lasting(b"1"), lasting(b"2"))
    after = kept.restart()
    after.journal.in_a_file, after.journal.files_max = 1, 1
    after.client = after.world.client()
    next_file(after)
    next_file(after)
    after.rest()
    assert 1 not in after.journal.disk
    assert waiting(after.restart()) == [b"1", b"2"]


def test_many_logs_are_moved_in_few_rounds(kept):
    for number in range(300):
        kept.client.declare(f"q{number}", durable=True)
        kept.client.bind(f"q{number}", "amq.fanout")
    begin(kept, publish(b"x", "", "amq.fanout", delivery_mode=2))
    for _ in range(10):
        kept.world.pass_ms(0)
    assert len(kept.segments.table) >= 300
    kept.rest()
    assert oldest(kept) > 1
    after = kept.restart()
    assert all(after.queue(f"q{number}").ready_count() == 1 for number in range(300))
