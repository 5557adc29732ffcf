"""Key files, and what is sealed with their keys."""

import os
import subprocess
import sys

import pytest

from amqpd.errors import ConfigError, KeyMissingError
from amqpd.store.cipher import TAG_SIZE, Cipher, missing

ONE = "11" * 32
TWO = "22" * 32
SALT = b"s" * 16


@pytest.fixture
def key_file(tmp_path):
    path = tmp_path / "keys"

    def write(text: str, mode: int = 0o600) -> str:
        path.write_text(text)
        path.chmod(mode)
        return str(path)

    return write


def test_the_first_key_is_the_current_one(key_file):
    cipher = Cipher(key_file(f"# rotated\n\nab01 {ONE}\n  02 {TWO}\n"))
    assert cipher.current == bytes.fromhex("ab01").ljust(16, b"\0")
    cipher.lock(bytes.fromhex("02").ljust(16, b"\0"), SALT, "f")


def test_what_is_sealed_can_be_opened_with_the_same_key_salt_number_and_association(key_file):
    cipher = Cipher(key_file(f"01 {ONE}\n02 {TWO}\n"))
    sealed = cipher.lock(cipher.current, SALT, "f").seal(7, b"secret", b"head")
    assert len(sealed) == 6 + TAG_SIZE
    assert b"secret" not in sealed
    assert cipher.lock(cipher.current, SALT, "f").open(7, sealed, b"head") == b"secret"
    assert cipher.lock(cipher.current, SALT, "f").open(8, sealed, b"head") is None
    assert cipher.lock(cipher.current, SALT, "f").open(7, sealed, b"hEad") is None
    assert cipher.lock(cipher.current, b"t" * 16, "f").open(7, sealed, b"head") is None
    other = bytes.fromhex("02").ljust(16, b"\0")
    assert cipher.lock(other, SALT, "f").open(7, sealed, b"head") is None


def test_another_salt_gives_another_text(key_file):
    cipher = Cipher(key_file(f"01 {ONE}\n"))
    texts = {cipher.lock(cipher.current, bytes([salt]) * 16, "f").seal(1, b"x" * 16, b"") for salt in range(5)}
    assert len(texts) == 5


def test_reload_changes_the_key_for_new_files(key_file):
    cipher = Cipher(key_file(f"01 {ONE}\n"))
    lock = cipher.lock(cipher.current, SALT, "f")
    old = cipher.current
    key_file(f"02 {TWO}\n01 {ONE}\n")
    cipher.reload()
    assert cipher.current != old
    assert cipher.lock(old, SALT, "f").open(1, lock.seal(1, b"x", b""), b"") == b"x"


def test_a_reload_that_fails_changes_nothing(key_file):
    cipher = Cipher(key_file(f"01 {ONE}\n"))
    before = cipher.current
    key_file("nonsense\n")
    with pytest.raises(ConfigError):
        cipher.reload()
    assert cipher.current == before
    cipher.lock(before, SALT, "f")


def test_a_key_that_is_not_there_is_named(key_file):
    cipher = Cipher(key_file(f"01 {ONE}\n"))
    with pytest.raises(KeyMissingError, match=r"^/f is encrypted with key ab10, which is not in .*keys: add its line"):
        cipher.lock(bytes.fromhex("ab10").ljust(16, b"\0"), SALT, "/f")


def test_no_key_file_at_all():
    text = str(missing(bytes.fromhex("ab").ljust(16, b"\0"), "/f"))
    assert text.startswith("/f is encrypted with key ab, and no key file is configured")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no key"),
        ("# only this\n", "has no key"),
        (f"{ONE}\n", "line 1: 1 words"),
        (f"01 {ONE} more\n", "line 1: 3 words"),
        (f"\nxy {ONE}\n", "line 2: id and key are hexadecimal"),
        ("01 zz\n", "line 1: id and key are hexadecimal"),
        (f"00 {ONE}\n", "line 1: the id has"),
        (f"{'01' * 17} {ONE}\n", "line 1: the id has"),
        ("01 abcd\n", "line 1: the key has 4 digits"),
        (f"01 {ONE}\n0100 {TWO}\n", "line 2: this id is there already"),
        ("#" * 70000, "at most 65536 bytes"),
    ],
)
def test_a_key_file_that_is_wrong(key_file, text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        Cipher(key_file(text))
    assert ONE not in str(caught.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o660])
def test_a_key_file_that_others_can_read_is_refused(key_file, mode):
    path = key_file(f"01 {ONE}\n", mode)
    with pytest.raises(ConfigError, match=r"open to others \(mode 06\d\d\): `chmod 600"):
        Cipher(path)


def test_a_key_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        Cipher(str(tmp_path / "nothing"))


def test_a_directory_is_no_key_file(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        Cipher(str(tmp_path))
    with pytest.raises(ConfigError, match="is not a file"):
        Cipher(os.devnull)


def test_cryptography_is_imported_for_a_key_only():
    code = "import sys, amqpd.store.opening; sys.exit('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
