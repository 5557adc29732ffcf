"""The checker of histories, against histories that are known to be good or bad. Its use: tests/simulation/swarm.py."""

import pytest
from simulation.linearizability import TooHard, linearizable
from simulation.world import FOREVER, Operation


def history(text: str) -> list[Operation]:
    """One operation a line: call, answer (`?`: never), then `w 1`, `r 1` or `c 1 2 ok`; register x unless told."""
    operations = []
    for number, line in enumerate(text.strip().splitlines()):
        call, answer, kind, *words = line.split()
        register = "x"
        if words[-1].startswith("@"):
            register = words.pop()[1:]
        operation = Operation(f"o{number}", register, kind, "", "", int(call))
        operation.returned = FOREVER if answer == "?" else int(answer)
        if kind == "w":
            operation.argument = words[0]
        elif kind == "c":
            operation.expected, operation.argument, operation.result = words
        else:
            operation.result = words[0].replace("-", "")
        operations.append(operation)
    return operations


GOOD = {
    "nothing": "1 2 r -",
    "one after the other": "1 2 w a\n3 4 r a",
    "a read during a write sees the old value": "1 9 w a\n2 3 r -\n4 5 r a",
    "two writes at once, either may be last": "1 9 w a\n2 8 w b\n10 11 r a",
    "an unanswered write shows much later": "1 ? w a\n5 6 r -\n7 8 r a",
    "an unanswered write never shows": "1 ? w a\n5 6 w b\n7 8 r b\n9 10 r b",
    "compare and set": "1 2 w a\n3 4 c a b ok\n5 6 c a c no\n7 8 r b",
    "an unanswered compare and set may have failed": "1 2 w a\n3 ? c b c ok\n5 6 r a",
    "registers are independent": "1 2 w a @x\n3 4 r - @y\n5 6 r a @x",
}
BAD = {
    "a read from nowhere": "1 2 r a",
    "a stale read": "1 2 w a\n3 4 w b\n5 6 r a",
    "a lost write": "1 2 w a\n3 4 r -",
    "a read goes back": "1 9 w a\n2 3 r a\n4 5 r -",
    "two readers disagree on the order": "1 20 w a\n1 20 w b\n2 3 r a\n4 5 r b\n6 7 r a",
    "a write before its call": "1 2 r a\n3 4 w a",
    "compare and set twice from the same value": "1 2 w a\n3 9 c a b ok\n3 9 c a c ok\n10 11 r c",
    "compare and set fails for no reason": "1 2 w a\n3 4 c a b no",
    "a lost unanswered write came back after it was replaced": "1 ? w a\n2 3 r a\n4 5 w b\n6 7 r a",
}


@pytest.mark.parametrize("name", GOOD)
def test_good_history(name):
    assert linearizable(history(GOOD[name]))


@pytest.mark.parametrize("name", BAD)
def test_bad_history(name):
    assert not linearizable(history(BAD[name]))


def test_refused_operation_did_not_happen():
    operations = history("1 2 w a\n3 4 w b\n5 6 r a")
    operations[1].returned = -1
    assert linearizable(operations)


def test_a_known_order_is_only_a_hint():
    operations = history("1 2 w a\n3 4 w b\n5 6 r a")
    for place, operation in enumerate(operations):
        operation.place = -place
    assert not linearizable(operations)
    del operations[1]
    assert linearizable(operations)


def test_gives_up_on_what_is_too_hard(monkeypatch):
    monkeypatch.setattr("simulation.linearizability.STEPS_MAX", 1000)
    text = "\n".join(f"1 ? w v{number}" for number in range(40))
    with pytest.raises(TooHard):
        linearizable(history(text + "\n2 3 r nothing"))
