"""Patterns of operators: PCRE's dialect, found anywhere in a name, and never expensive."""

import logging
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amqpd.broker.patterns import LENGTH_MAX, Pattern, escape, problem
from amqpd.errors import DefinitionError


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("b", "abc", True),
        ("^b", "abc", False),
        ("^amq\\.", "amq.topic", True),
        ("^(?!amq\\.).*", "amq.topic", False),
        ("^(?!amq\\.).*", "orders", True),
        ("(?<=eu\\.)orders$", "eu.orders", True),
        ("(?<=eu\\.)orders$", "us.orders", False),
        ("^(two|three)-messages", "three-messages", True),
        ("^[[:alpha:]]+$", "abc", True),
        ("^[[:alpha:]]+$", "a1", False),
        ("^(?>a+)b", "aab", True),
        ("^(?<letter>a)(?&letter)$", "aa", True),
        ("^.{3}$", "äöü", True),
        ("^\\w+$", "äöü", False),
        ("(?i)ORDERS", "orders", True),
        ("^a{2}$", "aa", True),
        ("^a{e}$", "a{e}", True),  # approximate matching to the library, plain characters to PCRE
        ("^a{e}$", "b", False),
        ("^a{,$", "a{,", True),
        ("^\\p{L}+\\d$", "q2", True),
        ("^\\p{^L}$", "2", True),
        ("^\\P{Lu}{2}$", "qq", True),
        ("^[\\p{L}\\d]+$", "q2", True),
        ("", "anything", True),
        (".*", "", True),
        ("^.*", "a\nb", True),
        ("^.*$", "a\nb", False),
    ],
)
def test_what_is_found(pattern: str, name: str, expected: bool) -> None:
    assert Pattern(pattern).matches(name) is expected


@pytest.mark.parametrize(
    ("pattern", "wrong"),
    [
        ("(", "missing )"),
        ("a)", "unbalanced parenthesis"),
        ("*a", "nothing to repeat"),
        ("[a", "unterminated character set"),
        ("a\\", "bad escape"),
        ("a{3,2}", "min repeat greater than max repeat"),
        ("(?V1)[[a]]", "unknown flag V"),
        ("(?iV1:[[a]])", "unknown flag V"),
        ("(?P<n", "missing >"),
        ("(a)\\g{1}", "bad escape \\g"),
        ("^\\N$", "bad escape \\N"),
    ],
)
def test_what_is_no_pattern(pattern: str, wrong: str) -> None:
    assert wrong in problem(pattern)
    with pytest.raises(DefinitionError, match=r"."):
        Pattern(pattern)


@pytest.mark.parametrize("pattern", ["", ".*", "^amq\\.", "a" * LENGTH_MAX, "(" * 100 + ")" * 100, "a{10000}"])
def test_what_is_one(pattern: str) -> None:
    assert problem(pattern) == ""


@pytest.mark.parametrize(
    "pattern",
    [
        "((a{1000}){1000}){1000}",
        "(a|b|c{9999}){9999}",
        "(a{1000,}){1000,}",
        "(a{1000,1001}){1000,1001}",
        "(((((a{100}){100}){100}){100}){100})",
        "a{99999999999999999999}",
        "(?:a{1000})(?i){1000}",
        "(?:a{1000})(?#comment){1000}",
        "(?x)(a{1000}) {1000}",
        "(?x)(a{1000})#comment\n{1000}",
        "[]{2}](a{1000}){1000}",
        "[^]](a{1000}){1000}",
        "[[:alpha:]](a{1000}){1000}",
        "\\[(a{1000}){1000}]",
    ],
)
def test_repetitions_that_explode_are_refused(pattern: str) -> None:
    assert "repetitions" in problem(pattern)


@pytest.mark.parametrize("pattern", ["[(a{1000}){1000}]", "\\((a\\){1000}){9}", "a{1,1000}", "(a{0,60000}){0,60000}"])
def test_repetitions_that_do_not_are_not(pattern: str) -> None:
    assert "repetitions" not in problem(pattern)


def test_lengths_are_limited() -> None:
    assert problem("ä" * 513) == "longer than 1024 bytes"
    assert "nested" in problem("(" * 101 + ")" * 101)


@pytest.mark.parametrize("pattern", ["(a|aa)+$", "(a+)\\1+\\1+b", "(?R)?a(?R)?b"])
def test_a_pattern_that_takes_too_long_is_given_up(pattern: str, caplog: pytest.LogCaptureFixture) -> None:
    hostile = Pattern(pattern)
    with caplog.at_level(logging.ERROR, "amqpd.patterns"):
        for _ in range(1000):
            assert not hostile.matches("a" * 254 + "!")
    assert not hostile.matches("ab")
    assert [record.getMessage().split("'")[1] for record in caplog.records] == [pattern]


@pytest.mark.parametrize(
    ("pattern", "watched"),
    [
        ("^orders\\.", False),
        ("^(?!amq\\.).*", False),
        ("^(eu|us|asia)\\.orders", False),
        ("\\.dlq$", False),
        ("^[0-9]{4}-", False),
        ("^service-[0-9]+\\.(a|b)$", False),
        ("^a.*b.*c", True),
        ("(a+)+$", True),
        ("(a|aa)+$", True),
        ("(a|aa)(?i)+$", True),
        ("(a|aa)(?#comment)+$", True),
        ("(?x)(a|aa) +$", True),
        ("(?:a|aa){9}$", True),
        ("(a|aa){20}b", True),
        ("(a|a)" * 11, True),
        ("a?" * 11 + "b", True),
        ("\\X*b", True),
        ("(?R)?a", True),
        ("(a)\\1", True),
        ("(?<n>a)(?&n)", True),
    ],
)
def test_which_patterns_are_watched(pattern: str, watched: bool) -> None:
    class Search:
        def search(self, name: str, timeout: float | None = None) -> None:
            assert (timeout is not None) is watched

    probe = Pattern(pattern)
    probe._compiled = Search()
    assert not probe.matches("a")
    assert not probe.matches("")
    watched = True  # a name as long as no name is
    assert not probe.matches("a" * 257)


_PIECES = ["a", "(", ")", "[", "[^", "]", "{30}", "{30,}", "{,3}", "{", "}", "\\", "(?:", "(?#", "(?i)", "(?x)", "#"]
_PIECES += ["\n", "^", "|", "[:", "alpha", ":]", "-", "*", "?", "+", "(?=", "(?<=", "\\p{L}", "(?>", "(?|", "\\1", "&&"]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(_PIECES), max_size=30).map("".join))
def test_no_pattern_costs_much(pattern: str) -> None:
    begun_s = time.process_time()
    if problem(pattern) == "":
        Pattern(pattern).matches("a" * 255)
    assert time.process_time() - begun_s < 2  # those that explode take minutes, and all of the memory


@given(st.text(), st.text(max_size=5), st.text(max_size=5))
def test_an_escaped_text_matches_itself_alone(text: str, before: str, after: str) -> None:
    if len(escape(text).encode("utf-8", "surrogatepass")) > LENGTH_MAX:
        return
    assert Pattern(escape(text)).matches(before + text + after)
    assert Pattern(f"^{escape(text)}\\Z").matches(before + text) is (before == "" or (before + text) == text)
