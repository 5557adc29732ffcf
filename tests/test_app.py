"""What a node's process asks of its system."""

import resource

import pytest

from amqpd import app


@pytest.mark.parametrize(
    ("most", "soft", "expected"),
    [
        (2**63 - 1, 256, 2**63 - 1),
        (app.OPEN_MAX, 256, app.OPEN_MAX),  # macOS
        (app.OPEN_MAX - 1, 256, 256),
        (20_000, 15_000, 15_000),
    ],
)
def test_a_node_takes_as_many_descriptors_as_it_gets(monkeypatch, most, soft, expected):
    limits = [soft, 2**63 - 1]

    def setrlimit(_which, wanted):
        if wanted[0] > most:
            raise ValueError("current limit exceeds maximum limit")
        limits[:] = wanted

    monkeypatch.setattr(resource, "getrlimit", lambda _which: tuple(limits))
    monkeypatch.setattr(resource, "setrlimit", setrlimit)
    app._allow_all_descriptors()
    assert limits == [expected, 2**63 - 1]
