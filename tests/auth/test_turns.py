"""Whose password is hashed next, and who waits for whom."""

from amqpd.auth import turns
from amqpd.auth.turns import Turns


def add(queues, source, number, made):
    return queues.add(source, lambda: True, lambda result: made.append((source, number, result)))


def test_places_take_turns(offload):
    queues, made = Turns(offload), []
    for number in range(4):
        assert add(queues, "192.0.2.1", number, made)
    assert add(queues, "192.0.2.2", 0, made)
    assert add(queues, "192.0.2.3", 0, made)
    assert len(offload.jobs) == turns.AT_ONCE
    assert made == []
    assert offload.run() == 6
    assert [(source[-1], number) for source, number, _ in made] == [
        ("1", 0),
        ("1", 1),
        ("1", 2),
        ("2", 0),
        ("3", 0),
        ("1", 3),
    ]
    assert offload.jobs == []


def test_a_place_that_fills_its_queue_leaves_the_others_theirs(offload):
    queues, made = Turns(offload), []
    taken = sum(add(queues, "192.0.2.1", number, made) for number in range(1000))
    assert taken == turns.AT_ONCE + turns.WAITING_MAX
    assert add(queues, "192.0.2.2", 0, made)
    offload.run()
    assert [source for source, _, _ in made].index("192.0.2.2") <= turns.AT_ONCE + 1
    assert len(made) == taken + 1
    assert add(queues, "192.0.2.1", 0, made)


def test_what_goes_wrong_is_told_and_the_next_has_its_turn(offload):
    queues, made = Turns(offload), []
    error = MemoryError()
    for number in range(3):
        add(queues, "192.0.2.1", number, made)
    offload.jobs.pop(0).finish(error)
    offload.run()
    assert made == [("192.0.2.1", 0, error), ("192.0.2.1", 1, True), ("192.0.2.1", 2, True)]
