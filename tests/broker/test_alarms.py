"""Resource alarms: who raised what, and who is told (behaviour 18)."""

from amqpd.broker.alarms import Alarms


def watched():
    alarms, heard = Alarms(), []
    alarms.subscribe(lambda: heard.append((alarms.active, alarms.reason() if alarms.active else "")))
    return alarms, heard


def test_listeners_hear_of_changes_only():
    alarms, heard = watched()
    alarms.raise_for("memory", "a")
    alarms.raise_for("memory", "a")
    alarms.raise_for("memory", "b")
    alarms.raise_for("disk", "a")
    alarms.clear_for("memory", "a")
    alarms.clear_for("memory", "b")
    alarms.clear_for("disk", "a")
    alarms.clear_for("disk", "a")
    assert heard == [
        (True, "low on memory"),
        (True, "low on memory & disk"),
        (True, "low on disk"),
        (False, ""),
    ]


def test_an_alarm_is_on_while_anybody_raises_it():
    alarms, _heard = watched()
    alarms.raise_for("disk", "b")
    alarms.raise_for("disk", "a")
    assert alarms.sources("disk") == ["a", "b"]
    alarms.clear_for("disk", "a")
    assert (alarms.active, alarms.is_raised("disk"), alarms.is_raised("memory")) == (True, True, False)
    alarms.clear_for("disk", "b")
    assert (alarms.active, alarms.sources("disk")) == (False, [])


def test_clearing_what_nobody_raised_changes_nothing():
    alarms, heard = watched()
    alarms.clear_for("memory", "a")
    assert (alarms.active, heard) == (False, [])


def test_observers_hear_of_every_source():
    alarms, heard = Alarms(), []
    alarms.observe(lambda resource, source, raised: heard.append((resource, source, raised)))
    alarms.raise_for("memory", "a")
    alarms.raise_for("memory", "b")
    alarms.raise_for("memory", "b")
    alarms.clear_for("memory", "a")
    assert heard == [("memory", "a", True), ("memory", "b", True), ("memory", "a", False)]
