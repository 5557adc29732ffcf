"""A durable queue is emptied: what of it the disk is told (queues.ready, persistence.log)."""

from harness import m, publish
from hypothesis import given, settings
from hypothesis import strategies as st
from keeping import Kept


@settings(max_examples=30, derandomize=True, deadline=None)
@given(modes=st.lists(st.sampled_from([1, 2]), min_size=1, max_size=12), taken=st.integers(0, 3))
def test_a_purge_settles_what_is_persistent_and_nothing_else(modes, taken):
    kept = Kept()
    client = kept.world.client()
    client >> m("queue.declare", queue="q", durable=True)
    kept.rest()
    client << m("queue.declare-ok")
    client.send(*[publish(bytes([number]), "q", delivery_mode=mode) for number, mode in enumerate(modes)])
    for _ in range(min(taken, len(modes))):
        client >> m("basic.get", queue="q")
        client << m("basic.get-ok")
    client >> m("queue.purge", queue="q")
    kept.rest()
    client << m("queue.purge-ok", message_count=len(modes) - min(taken, len(modes)))
    after = kept.restart()
    unacknowledged = [mode for mode in modes[:taken] if mode == 2]
    assert after.queue().ready_count() == len(unacknowledged)
