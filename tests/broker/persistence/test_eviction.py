"""Memory has a budget: what is beyond it waits on disk, and queues behave as if it did not."""

import pytest
from harness import deliver, m, publish
from keeping import Kept, bodies, lasting

from amqpd.broker.queues.ready import OVERHEAD

BUDGET = 1_000_000


@pytest.fixture(params=[True, False], ids=["durable", "transient"])
def kept(request):
    kept = Kept(message_memory=BUDGET)
    kept.client = kept.world.client(channels=(1, 2))
    kept.durable = request.param
    kept.declare = lambda name="q", arguments=None: kept.client.declare(name, arguments, durable=kept.durable)
    return kept


def fill(kept, count, size=20_000, queue="q", **properties):
    """Persistent and transient messages in turn."""
    for number in range(count):
        body = b"%06d" % number + bytes(size - 6)
        kept.client >> publish(body, queue, delivery_mode=1 + number % 2, **properties)
        kept.rest()


def numbers(found):
    return [int(body[:6]) for body in found]


def test_a_backlog_takes_no_more_memory_than_it_may(kept):
    kept.declare()
    fill(kept, 200)
    assert kept.broker.footprint.bytes <= BUDGET
    assert kept.queue().ready_count() == 200
    assert kept.queue().ready_bytes == 200 * 20_000
    assert numbers(bodies(kept.client, 200, no_ack=True)) == list(range(200))
    kept.rest()
    assert kept.broker.footprint.bytes == kept.queue().ready_bytes == 0
    assert (kept.segments.table, kept.pages.table) == ({}, {})


def test_pages_are_read_ahead(kept):
    kept.declare()
    fill(kept, 200)
    bodies(kept.client, 200, no_ack=True)
    assert kept.segments.reads + kept.pages.reads <= 2


def test_the_heads_of_queues_stay_as_long_as_others_have_more(kept):
    for name in ("short", "long"):
        kept.declare(name)
    fill(kept, 5, queue="short")
    fill(kept, 200, queue="long")
    assert len(kept.queue("short").ready.messages()) == 5
    assert kept.queue("long").ready.messages()[0].body()[:6] == b"000000"


def test_many_short_queues_give_up_their_heads(kept):
    for number in range(40):
        kept.declare(f"q{number}")
        fill(kept, 2, queue=f"q{number}")
    kept.world.pass_ms(1000)
    kept.rest()
    assert kept.broker.footprint.bytes <= BUDGET
    for number in range(40):
        assert numbers(bodies(kept.client, 2, f"q{number}", no_ack=True)) == [0, 1]


def test_what_is_not_on_disk_yet_stays_in_memory():
    """A page of it could outlive a crash that its batch does not."""
    kept = Kept(message_memory=BUDGET)
    client = kept.world.client()
    client.declare("q", durable=True)
    client >> lasting(b"writing")
    for _ in range(100):
        client >> lasting(bytes(20_000))
    kept.world.pass_ms(1000)
    assert not kept.segments.table
    kept.rest()
    kept.world.pass_ms(1000)
    kept.rest()
    assert kept.broker.footprint.bytes <= BUDGET


def test_what_was_requeued_stands_before_pages(kept):
    kept.declare()
    fill(kept, 100)
    bodies(kept.client, 3)
    kept.client >> m("basic.nack", delivery_tag=2, requeue=True)
    kept.queue().ready.page_out(0, 10_000_000)
    assert numbers(bodies(kept.client, 3)) == [1, 3, 4]


def test_consumers_get_what_is_paged_in_order(kept):
    kept.declare()
    fill(kept, 120)
    kept.client.on(2).call("basic.qos", prefetch_count=10)
    kept.client.on(2).consume("q", "c")
    for number in range(120):
        delivered = kept.client.on(2) << deliver(b"%06d" % number + bytes(19_994))
        kept.client.on(2) >> m("basic.ack", delivery_tag=delivered.delivery_tag)
    kept.rest()
    assert kept.broker.footprint.bytes == 0
    assert (kept.segments.table, kept.pages.table) == ({}, {})


@pytest.mark.parametrize("way", ["purge", "delete"])
def test_a_large_backlog_goes_at_once(kept, way):
    kept.declare()
    fill(kept, 150)
    bodies(kept.client, 2)
    kept.client >> m(f"queue.{way}", queue="q")
    kept.rest()
    assert kept.client.next().message_count == 148
    kept.client.on(1) >> m("basic.ack", delivery_tag=0, multiple=True)
    kept.rest()
    kept.client.quiet()
    assert kept.broker.footprint.bytes == 0
    assert (kept.segments.table, kept.pages.table) == ({}, {})
    if way == "purge" and kept.durable:
        assert kept.restart().queue().ready_count() == 0


@pytest.mark.parametrize("owner", ["exclusive", "auto_delete"])
def test_what_belongs_to_a_connection_goes_with_it(kept, owner):
    kept.client.declare("q", durable=kept.durable, **{owner: True})
    kept.client.on(2).call("basic.qos", prefetch_count=1)
    kept.client.on(2).consume("q", "c")
    fill(kept, 120)
    kept.client.lose()
    kept.rest()
    assert "q" not in kept.world.vhost.queues
    assert kept.broker.footprint.bytes == 0
    assert (kept.segments.table, kept.pages.table) == ({}, {})


def test_paged_messages_expire(kept):
    kept.declare("q", {"x-message-ttl": 5000, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"})
    kept.declare("dead")
    fill(kept, 100)
    kept.world.pass_ms(4000)
    kept.client >> lasting(b"999999")
    kept.world.pass_ms(2000)
    kept.rest()
    assert kept.queue().ready_count() == 1
    assert kept.queue().ready_bytes == 6
    assert numbers(bodies(kept.client, 100, "dead", no_ack=True)) == list(range(100))


@pytest.mark.parametrize("limit", [{"x-max-length": 60}, {"x-max-length-bytes": 60 * 20_000}])
def test_a_limit_drops_paged_messages(kept, limit):
    kept.declare("q", limit)
    fill(kept, 150)
    assert (kept.queue().ready_count(), kept.queue().ready_bytes) == (60, 60 * 20_000)
    assert numbers(bodies(kept.client, 60, no_ack=True)) == list(range(90, 150))


def test_priorities_are_paged_apart(kept):
    kept.declare("q", {"x-max-priority": 2})
    for priority in (0, 2, 1):
        fill(kept, 40, priority=priority)
        kept.world.pass_ms(1000)
        kept.rest()
    assert kept.broker.footprint.bytes <= BUDGET
    assert numbers(bodies(kept.client, 120, no_ack=True)) == [*range(40)] * 3


def test_compaction_takes_nothing_that_is_still_read(kept):
    kept.declare()
    fill(kept, 100)
    bodies(kept.client, 40, no_ack=True)
    kept.queue().ready.page_out(0, 10_000_000)
    kept.rest()
    kept.segments.compact()
    kept.pages.compact()
    assert numbers(bodies(kept.client, 60, no_ack=True)) == list(range(40, 100))


def test_a_very_small_message_counts_with_what_it_costs(kept):
    kept.declare()
    kept.client.send(*[publish(b"x", "q") for _ in range(6000)])
    assert 6000 * OVERHEAD > BUDGET
    kept.world.pass_ms(0)
    kept.rest()
    assert kept.broker.footprint.bytes <= BUDGET
    assert kept.queue().ready_count() == 6000
