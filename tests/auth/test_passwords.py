"""Password hashes: the forms that are made, those that are taken over, and what is refused."""

import base64
import hashlib
import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amqpd.auth import passwords
from amqpd.broker.commands import ARGON2, HASHING_ALGORITHMS, MD5, SHA256, SHA512

QUICK = [SHA256, SHA512, MD5]
ENCODED = passwords.nobodys(ARGON2)


@pytest.fixture
def cheap(monkeypatch):
    """argon2 at the lowest cost: its form is the same."""
    monkeypatch.setattr(passwords, "TIME_COST", 1)
    monkeypatch.setattr(passwords, "MEMORY_KIB", 8)


@pytest.mark.parametrize("algorithm", HASHING_ALGORITHMS)
def test_a_password_has_its_hash_and_others_have_not(algorithm, cheap):
    hashed = passwords.hash_password("pässword".encode(), algorithm, os.urandom)
    assert passwords.problem(hashed, algorithm) == ""
    assert passwords.verify_password("pässword".encode(), hashed, algorithm)
    for other in (b"", b"password", "pässword ".encode(), hashed.encode()):
        assert not passwords.verify_password(other, hashed, algorithm)


@pytest.mark.parametrize("algorithm", HASHING_ALGORITHMS)
def test_two_hashes_of_one_password_differ(algorithm, cheap):
    first, second = (passwords.hash_password(b"same", algorithm, os.urandom) for _ in range(2))
    assert first != second


def test_a_new_hash_has_the_cost_that_the_module_says():
    hashed = passwords.hash_password(b"x", ARGON2, os.urandom)
    assert hashed.startswith("$argon2id$v=19$m=65536,t=3,p=1$")
    assert passwords.verify_password(b"x", hashed, ARGON2)
    assert passwords.is_slow(ARGON2)
    assert not any(passwords.is_slow(algorithm) for algorithm in QUICK)


@pytest.mark.parametrize(("algorithm", "digest"), [(SHA256, "sha256"), (SHA512, "sha512"), (MD5, "md5")])
def test_the_quick_forms_are_rabbitmqs(algorithm, digest):
    """passwords.md: base64 of the salt, then the digest of salt and password."""
    salt = bytes.fromhex("908DC60A")
    hashed = passwords.hash_password(b"test12", algorithm, lambda size: salt[:size])
    assert base64.b64decode(hashed) == salt + hashlib.new(digest, salt + b"test12").digest()


def test_the_worked_example_of_rabbitmqs_page():
    hashed = "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"
    assert passwords.verify_password(b"test12", hashed, SHA256)
    assert not passwords.verify_password(b"test13", hashed, SHA256)


def test_a_hash_of_another_algorithm_does_not_verify():
    hashed = passwords.hash_password(b"x", SHA256, os.urandom)
    assert not passwords.verify_password(b"x", hashed, SHA512)
    assert not passwords.verify_password(b"x", hashed, MD5)
    assert not passwords.verify_password(b"x", hashed, ARGON2)
    assert not passwords.verify_password(b"x", hashed, "rabbit_password_hashing_rot13")


@pytest.mark.parametrize("algorithm", HASHING_ALGORITHMS)
def test_nobodys_hash_is_one_that_no_password_has(algorithm, cheap):
    hashed = passwords.nobodys(algorithm)
    assert passwords.problem(hashed, algorithm) == ""
    real = passwords.hash_password(b"x", algorithm, os.urandom)
    assert len(hashed) == len(real)
    assert hashed.split("$")[:4] == real.split("$")[:4] or algorithm != ARGON2  # the same cost
    assert not passwords.verify_password(b"", hashed, algorithm)


@pytest.mark.parametrize("algorithm", HASHING_ALGORITHMS)
def test_an_empty_hash_is_right_and_verifies_nothing(algorithm):
    assert passwords.problem("", algorithm) == ""
    assert not passwords.verify_password(b"", "", algorithm)


@pytest.mark.parametrize(
    ("hashed", "algorithm", "problem"),
    [
        ("x", "plain", "the hashing algorithm 'plain' is unknown: it can be argon2, rabbit_password_hashing_sha256"),
        ("x", "", "the hashing algorithm '' is unknown"),
        ("secret", SHA256, "not base64 of 36 bytes"),
        (base64.b64encode(bytes(35)).decode(), SHA256, "not base64 of 36 bytes, a salt of 4"),
        (base64.b64encode(bytes(36)).decode() + "\n", SHA256, "not base64 of 36 bytes"),
        (base64.b64encode(bytes(36)).decode(), SHA512, "not base64 of 68 bytes"),
        (base64.b64encode(bytes(36)).decode(), MD5, "not base64 of 20 bytes"),
        ("päss", MD5, "not base64 of 20 bytes"),
        ("secret", ARGON2, "not argon2's form"),
        (ENCODED.replace("argon2id", "argon2i"), ARGON2, "not argon2's form"),
        (ENCODED.replace("v=19", "v=16"), ARGON2, "not argon2's form"),
        (ENCODED + "\n", ARGON2, "not argon2's form"),
        (ENCODED.replace("m=65536", "m=262145"), ARGON2, "asks for 262145 KiB of memory: 262144 is the most"),
        (ENCODED.replace("t=3", "t=17"), ARGON2, "has t=17, p=1"),
        (ENCODED.replace("t=3", "t=0"), ARGON2, "has t=0, p=1"),
        (ENCODED.replace("p=1", "p=17"), ARGON2, "has t=3, p=17"),
        (ENCODED.replace("m=65536", "m=7"), ARGON2, "m 8\\*p or more"),
        (ENCODED + "AA", ARGON2, "not base64 in its salt or hash"),
        (ENCODED[:-1] + "B", ARGON2, "not base64 in its salt or hash"),  # bits that are left over
    ],
)
def test_what_is_no_hash_is_refused_and_not_shown(hashed, algorithm, problem):
    found = passwords.problem(hashed, algorithm)
    assert re.search(problem, found)
    assert "secret" not in found
    assert not passwords.verify_password(b"x", hashed, algorithm)


@given(st.text(max_size=80), st.sampled_from(QUICK))
def test_no_text_at_all_makes_verifying_fail_in_another_way(text, algorithm):
    assert passwords.verify_password(b"x", text, algorithm) is False


@given(st.text(alphabet="$argon2id=v19m,t3p18AB+/ ", max_size=100))
def test_nor_does_one_that_looks_like_argon2s(text):
    assert passwords.verify_password(b"x", "$argon2id$v=19$m=8,t=1,p=1$" + text, ARGON2) is False
