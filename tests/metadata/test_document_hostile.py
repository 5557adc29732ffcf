"""What is no definitions document, or a damaged one: problems with paths that are there, and never an exception."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metadata.definition_states import damaged, junk, states

from amqpd.metadata.document import commands_from, document_from, read
from amqpd.metadata.document.checks import DEPTH_MAX, PROBLEMS_MAX, Findings, path_of, sound
from amqpd.metadata.document.gathering import identity_of
from amqpd.metadata.document.reader import DOCUMENT_BYTES_MAX
from amqpd.wire.tables import MAX_DEPTH, decode_table, encode_table

SAMPLE = json.loads((Path(__file__).parent / "samples" / "rabbitmq-4.3.json").read_text())
QUEUE = '{"vhosts": [{"name": "/"}], "queues": [{"vhost": "/", "name": "q", "arguments": %s}]}'


def problems(data):
    return [str(problem) for problem in read(data if isinstance(data, bytes) else data.encode()).problems]


# -- any document


def consistent(reading):
    """What must be true of every reading, and what can be asked of its commands."""
    assert len(reading.paths) == len(reading.commands)
    assert len({identity_of(command) for command in reading.commands}) == len(reading.commands)
    assert all(reading.passwords[position] for position in reading.passwords)
    return reading


def exportable(reading):
    """Of a whole document that refers to nothing outside, what was read can be written and read again."""
    if not reading.problems:
        again = commands_from(document_from(reading.commands))
        assert again.problems == []
        assert again.commands == reading.commands


def stands_in(path, document):
    """Whether what a path names is in the document, or is missing in something that is."""
    node = document
    steps = re.findall(r'\[(\d+)\]|\["((?:[^"\\]|\\.)*)"\]|\.?([^.\[\]]+)', path)
    if path == "$":
        return True
    for position, (index, quoted, plain) in enumerate(steps):
        last = position == len(steps) - 1
        if index:
            if not isinstance(node, list) or int(index) >= len(node):
                return False
            node = node[int(index)]
            continue
        name = json.loads(f'"{quoted}"') if quoted else plain
        if not isinstance(node, dict) or (name not in node and not last and not quoted):
            return False
        node = next((node[key] for key in node if isinstance(key, str) and matches(key, name)), None)
    return True


def matches(key, name):
    return key == name or (name.endswith("...") and key.startswith(name[:-3]))


@settings(deadline=None, max_examples=200)
@given(damaged(SAMPLE))
def test_damaged_samples(document):
    reading = consistent(commands_from(document))
    for problem in reading.problems + reading.warnings:
        assert stands_in(problem.path, document), problem
    exportable(reading)
    consistent(commands_from(document, "v"))


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_damaged_states(data):
    state = data.draw(states())
    consistent(commands_from(data.draw(damaged(document_from(state))), present=state))


@given(junk)
def test_junk_at_the_top_and_in_every_section(value):
    consistent(commands_from(value))
    consistent(commands_from(dict.fromkeys(SAMPLE, value)))
    consistent(commands_from({section: [value] for section in SAMPLE}))


@given(st.binary(max_size=50) | st.text('{}[]":,0eEN-\\u', max_size=30).map(str.encode))
def test_any_bytes(data):
    consistent(read(data))


# -- text


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "$: is not JSON: Expecting value in line 1, column 1"),
        (b'{"queues": [}', "$: is not JSON: Expecting value in line 1, column 13"),
        (b'{"queues": \xff}', "$: is not UTF-8 at byte 11"),
        ("{}".encode("utf-16"), "$: is not UTF-8 at byte 0"),
        (b"[" * 100_000, "$: is nested too deep"),
        (b'{"a":' * 100_000, "$: is nested too deep"),
        (b'{"queues": [], "queues": []}', "queues: is given more than once in its object"),
    ],
)
def test_text_that_is_no_document(data, problem):
    assert problems(data) == [problem]


def test_a_byte_order_mark_is_no_part_of_it():
    assert problems(b"\xef\xbb\xbf{}") == []


def test_a_file_has_a_limit(monkeypatch):
    monkeypatch.setattr("amqpd.metadata.document.reader.DOCUMENT_BYTES_MAX", 10)
    assert problems(b"{}" + b" " * 9) == ["$: has 11 bytes, and at most 10 are allowed"]
    assert DOCUMENT_BYTES_MAX >= 100_000_000


# -- values


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ('{"n": NaN}', ".n: is a number that is infinite, or none, or too large"),
        ('{"n": -Infinity}', ".n: is a number that is infinite, or none, or too large"),
        ('{"n": 1e999}', ".n: is a number that is infinite, or none, or too large"),
        ('{"n": %s}' % ("9" * 100_000), ".n: is a number that is infinite, or none, or too large"),
        ('{"n": 18446744073709551616}', ".n: is a number beyond 64 bits"),
        ('{"n": -9223372036854775809}', ".n: is a number beyond 64 bits"),
        ('{"n": {"a b": [1, "\\ud800"]}}', '.n["a b"][1]: is no Unicode text: it has half of a surrogate pair in it'),
        ('{"\\udfff": 1}', ": has a name in it that is no Unicode text"),
        ('{"n": 1, "n": 2}', ".n: is given more than once in its object"),
    ],
)
def test_values_that_cannot_be_carried(arguments, problem):
    assert problems(QUEUE % arguments) == [f"queues[0].arguments{problem}"]


def test_names_that_were_given_twice_are_found_everywhere():
    assert problems('{"metadata": {"a": 1, "a": 2}, "users": [{"name": "u", "name": "v", "tags": []}]}') == [
        "metadata.a: is given more than once in its object",
        "users[0].name: is given more than once in its object",
    ]


def test_depth_of_arguments():
    assert problems(QUEUE % ('{"a":' * MAX_DEPTH + "{}" + "}" * MAX_DEPTH)) == []
    assert problems(QUEUE % ('{"a":' * (MAX_DEPTH + 1) + "{}" + "}" * (MAX_DEPTH + 1))) == [
        f"queues[0].arguments{'.a' * (MAX_DEPTH + 1)}: is nested deeper than 32 levels, the limit for AMQP tables"
    ]
    reading = read((QUEUE % ('{"a":' + "[" * MAX_DEPTH + "]" * MAX_DEPTH + "}")).encode())
    assert reading.problems == []
    assert decode_table(encode_table(reading.commands[1].arguments)[4:]) == reading.commands[1].arguments
    assert problems(QUEUE % ('{"a":' + "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1) + "}")) == [
        f"queues[0].arguments.a{'[0]' * MAX_DEPTH}: is nested deeper than 32 levels, the limit for AMQP tables"
    ]


def test_depth_of_the_document():
    value = []
    for _ in range(DEPTH_MAX):
        value = [value]
    reading = commands_from({"anything": value, "queues": [value]})
    assert [problem.text for problem in reading.problems] == [
        f"is nested deeper than {DEPTH_MAX} levels",
        "must be an object, not a list",
    ]


def test_a_list_that_holds_itself_ends():
    endless = []
    endless.append(endless)
    findings = Findings()
    assert not sound(endless, ("x",), findings)
    assert findings.count == 1


def test_problems_and_warnings_have_a_limit():
    reading = commands_from({"queues": [5] * (PROBLEMS_MAX + 7)} | {f"key{n}": 0 for n in range(PROBLEMS_MAX + 3)})
    assert len(reading.problems) == len(reading.warnings) == PROBLEMS_MAX
    assert (reading.more_problems, reading.more_warnings) == (7, 3)


def test_problems_beyond_the_limit_still_keep_commands_from_being_made():
    """An argument's name that is too long cannot be encoded; that it was not listed makes no difference."""
    binding = {"vhost": "/", "source": "x", "destination_type": "queue", "destination": "q", "routing_key": ""}
    long = binding | {"arguments": {"x" * 300: 1}}
    reading = commands_from({"vhosts": [{"name": "/"}], "bindings": [5] * PROBLEMS_MAX + [long]})
    assert reading.more_problems == 1
    assert len(reading.commands) == 1


@pytest.mark.parametrize(
    ("trail", "path"),
    [
        ((), "$"),
        (("queues", 3, "arguments", "x-message-ttl"), "queues[3].arguments.x-message-ttl"),
        (("a.b",), '["a.b"]'),
        (("a", ""), 'a[""]'),
        (("a", 'b"\n'), 'a["b\\"\\n"]'),
        (("a", "x" * 100), f'a["{"x" * 77}..."]'),
    ],
)
def test_path(trail, path):
    assert path_of(trail) == path
