"""The topic exchange against a naive matcher (behaviour 5.1)."""

import itertools
import sys

import pytest
from harness import World, m, publish
from hypothesis import given
from hypothesis import strategies as st

import amqpd.broker.exchanges.topic as topic_module
from amqpd.broker.exchanges.topic import Topic
from amqpd.broker.ports import Owner
from amqpd.broker.routing import Binding

INTERPRETED = topic_module.__file__.endswith(".py")


def naive(pattern, words):
    """The rule as the specification says it, on lists of words."""
    if not pattern:
        return not words
    if pattern[0] == "#":
        return any(naive(pattern[1:], words[skip:]) for skip in range(len(words) + 1))
    return bool(words) and pattern[0] in ("*", words[0]) and naive(pattern[1:], words[1:])


def split(key):
    return key.split(".") if key else []


class Bindings:
    """A topic index of its own, with one queue for each name."""

    def __init__(self):
        self.vhost = World().vhost
        self.source = self.vhost.exchange("amq.topic")
        self.index = Topic([])
        self.bound = {}

    def queue(self, name):
        found = self.vhost.queues.get(name)
        return found or self.vhost.declare_queue(name, False, False, False, [], Owner())

    def add(self, queue, key):
        if (queue, key) not in self.bound:
            self.bound[queue, key] = Binding(self.source, self.queue(queue), key, [])
            self.index.add(self.bound[queue, key])

    def remove(self, queue, key):
        binding = self.bound.pop((queue, key), None)
        if binding is not None:
            self.index.remove(binding)

    def match(self, key):
        found = {}
        self.index.match(key, None, found)
        return {destination.name for destination in found}


@pytest.mark.parametrize(
    ("pattern", "key", "matches"),
    [
        ("#", "", True),
        ("", "", True),
        ("*", "", False),
        ("*.#", "", False),
        ("a.#", "a", True),
        ("a.#", "a.", True),
        ("a.*", "a.", True),
        ("a.*", "a", False),
        ("a.*.b", "a..b", True),
        ("#.#", "a", True),
        ("*.*", ".", True),
        (".", ".", True),
        ("a*", "ab", False),
        ("a#", "ab", False),
        ("a*", "a*", True),
        ("a#", "a#", True),
        ("**", "a", False),
        ("##", "a.b", False),
        ("**", "**", True),
        ("#", "a.b.c", True),
        ("*", "*", True),
        ("*", "#", True),
        ("#.b", "a.b", True),
        ("#.b", "b", True),
        ("#.b", "b.a", False),
        ("a.#.b", "a.b", True),
        ("a.#.b", "a.x.y.b", True),
        ("a", "A", False),
        ("a", "a.", False),
        ("", "a", False),
        ("*.#.*", "a", False),
        ("*.#.*", "a.b", True),
        ("é.*", "é.ü", True),
    ],
)
def test_the_table(pattern, key, matches):
    """5.1, through the protocol."""
    client = World().client()
    client.declare("q")
    client.bind("q", "amq.topic", pattern)
    client >> publish(b"1", exchange="amq.topic", routing_key=key)
    assert client.drain("q") == [b"1"] * matches
    assert naive(split(pattern), split(key)) is matches


WORDS = st.sampled_from(["a", "b", "", "*", "#"])
KEYS = st.lists(WORDS, max_size=5).map(".".join)
PATTERNS = KEYS.filter(lambda key: split(key).count("#") <= 2)
LITERAL_KEYS = st.lists(st.sampled_from(["a", "b", "", "c"]), max_size=6).map(".".join)


@given(st.lists(st.tuples(st.sampled_from("pqr"), PATTERNS), max_size=12), st.lists(LITERAL_KEYS | KEYS, max_size=8))
def test_any_set_of_bindings_matches_as_each_alone(bindings, keys):
    """5.1: adding in any order, then removing one after the other."""
    index = Bindings()
    for queue, pattern in bindings:
        index.add(queue, pattern)
    while True:
        for key in keys:
            expected = {queue for queue, pattern in index.bound if naive(split(pattern), split(key))}
            assert index.match(key) == expected
        if not index.bound:
            break
        index.remove(*next(iter(index.bound)))


def test_two_bindings_of_one_queue_are_removed_one_by_one():
    index = Bindings()
    index.add("q", "a.*")
    index.add("q", "a.#")
    index.remove("q", "a.*")
    assert index.match("a.b") == {"q"}
    index.remove("q", "a.#")
    assert index.match("a.b") == set()


@pytest.mark.parametrize(
    ("key", "refused"), [("#.#", False), ("#.a.#.b.#", True), ("#.#.#.#", True), ("a#.b#.c#", False)]
)
def test_at_most_two_hashes_may_be_in_a_pattern(key, refused):
    """5.1, 1.1"""
    client = World().client()
    client.declare("q")
    client >> m("queue.bind", queue="q", exchange="amq.topic", routing_key=key)
    answer = client.next()
    assert (answer.name == "channel.close") is refused
    if refused:
        hashes = split(key).count("#")
        assert answer.reply_text == (
            f"PRECONDITION_FAILED - Topic binding key '{key}' uses {hashes} '#' wildcards, at most 2 are allowed"
        )


def steps(index, key):
    """How many lines of the topic index a match runs through: operations, not time."""
    count = 0

    def trace(frame, event, _arg):
        nonlocal count
        if frame.f_code.co_filename != topic_module.__file__:
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        index.match(key)
    finally:
        sys.settrace(before)
    return count


@pytest.mark.skipif(not INTERPRETED, reason="compiled code has no lines to count")
def test_a_match_does_not_cost_more_for_bindings_that_have_nothing_to_do_with_it():
    index = Bindings()
    index.add("q", "a.b.c")
    index.add("q", "*.b.#")
    few = steps(index, "a.b.c")
    for number in range(500):
        index.add("q", f"a.{number}.c")
        index.add("q", f"x{number}.#")
        index.add("q", f"a.b.{number}.#")
    assert steps(index, "a.b.c") == few


@pytest.mark.skipif(not INTERPRETED, reason="compiled code has no lines to count")
@pytest.mark.parametrize("pattern", ["#.#", "#.a.#", "#.a.a.#.a", "a.#.a.#.b"])
def test_two_hashes_cost_at_most_the_square_of_the_words(pattern):
    """Not a power that grows with the pattern: the longest key has 128 words."""
    index = Bindings()
    index.add("q", pattern)
    costs = [steps(index, ".".join(["a"] * words)) for words in (16, 32, 64, 128)]
    assert all(longer < 4.5 * shorter for shorter, longer in itertools.pairwise(costs))
