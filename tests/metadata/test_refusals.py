"""Whatever is found where the database should be: a refusal says so and what to do, and nothing is changed."""

import os
import random
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from metadata.samples import EVERY_KIND

from amqpd.broker import commands as c
from amqpd.errors import ConfigError
from amqpd.metadata import database, faults, schema
from amqpd.metadata.store import NAME, Store

MANY = [*EVERY_KIND, *(c.PutQueue("/", f"many-{number}", arguments=[]) for number in range(500))]

READ_ONLY = (
    "{path} cannot be written to ({detail}); give it and its folder to the user who runs the node, on a file system "
    "that can be written to"
)
UNREADABLE = r" is (damaged \(.*\)|not a SQLite database); " + re.escape(faults.RESTORE)


@pytest.fixture
def path(tmp_path):
    return tmp_path / NAME


@pytest.fixture
def made(path):
    """The path of a database with something in it."""
    with closing(Store(path)) as store:
        store.apply(MANY, 1)
    return path


def contents(path: Path) -> dict[str, bytes]:
    """Every file of the folder but the lock, and what is in it."""
    files = (file for file in path.parent.iterdir() if file.is_file() and not file.name.endswith(".lock"))
    return {file.name: file.read_bytes() for file in files}


def refused(path: Path, text: str) -> None:
    """Opening fails with exactly `text` (in which {path} and {restore} stand for theirs) and changes nothing."""
    before = contents(path)
    with pytest.raises(ConfigError) as caught:
        Store(path)
    assert str(caught.value) == text.format(path=path, restore=faults.RESTORE)
    assert contents(path) == before


def tell(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


# -- not a database


def test_a_text_file(path):
    path.write_text("these are not the definitions that you are looking for\n" * 100)
    refused(path, "{path} is not a SQLite database; {restore}")


def test_a_few_bytes(path):
    path.write_bytes(b"SQLite format 3\0")
    refused(path, "{path} is not a SQLite database; {restore}")


def test_an_empty_file(path):
    path.touch()
    refused(path, "{path} is empty, which a database never is; {restore}")


def test_a_directory(path):
    path.mkdir()
    refused(path, "{path} is not a file, but a database should be there; move it away")


def test_a_pipe(path):
    os.mkfifo(path)
    refused(path, "{path} is not a file, but a database should be there; move it away")


def test_a_link_to_nowhere(path):
    path.symlink_to(path.with_name("nowhere"))
    refused(
        path,
        READ_ONLY.replace("{detail}", "No such file or directory"),
    )


@pytest.mark.parametrize("suffix", ["-wal", "-journal"])
def test_a_log_whose_database_is_gone(path, suffix):
    path.with_name(f"{NAME}{suffix}").write_bytes(b"the last transactions")
    refused(
        path,
        "{path}" + suffix + f" is there without {NAME}, which it is a part of; put that back, or move {NAME}{suffix} "
        "away as well",
    )


# -- somebody else's


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_a_database_of_another_program(path, journal):
    tell(path, f"PRAGMA journal_mode = {journal}", "CREATE TABLE notes (text)", "INSERT INTO notes VALUES ('mine')")
    refused(
        path, "{path} is a SQLite database, but not one of amqpd's; move it away, or name another data directory"
    )


def test_another_program_that_migrates_with_alembic_too(path):
    tell(path, "CREATE TABLE alembic_version (version_num)", "INSERT INTO alembic_version VALUES ('0001')")
    refused(
        path, "{path} is a SQLite database, but not one of amqpd's; move it away, or name another data directory"
    )


# -- damaged


@pytest.mark.parametrize("size", [1, 99, 512, 4096, 10_000, 0.5, -4096, -1])
def test_the_end_is_missing(made, size):
    length = made.stat().st_size
    os.truncate(made, int(length * size) if isinstance(size, float) else size % length)
    with pytest.raises(ConfigError, match=re.escape(str(made)) + UNREADABLE):
        Store(made)


def test_garbage_in_any_page(made):
    whole = made.read_bytes()
    noise = random.Random(1)
    for page in range(len(whole) // 4096):
        garbage = whole[: page * 4096] + noise.randbytes(4096) + whole[(page + 1) * 4096 :]
        made.write_bytes(garbage)
        with pytest.raises(ConfigError, match=re.escape(str(made)) + UNREADABLE):
            Store(made)
        assert made.read_bytes() == garbage


def test_damage_is_described(made):
    page = made.read_bytes().rindex(b"many-") // 4096
    with made.open("r+b") as file:
        file.seek(page * 4096)
        file.write(bytes(4096))
    with pytest.raises(ConfigError) as caught:
        Store(made)
    assert str(caught.value).startswith(f"{made} is damaged (Page {page + 1}: ")
    assert str(caught.value).endswith(f"); {faults.RESTORE}")


# -- ours, but not as we left it


@pytest.mark.parametrize("newer", ["0003", "0010", "9999"])
def test_a_newer_schema(made, newer):
    tell(made, f"UPDATE alembic_version SET version_num = '{newer}'")
    refused(
        made,
        f"{{path}} has the schema {newer}, and this version of amqpd knows those up to 0002; run the newer version "
        "that it was used with, or {restore}",
    )


@pytest.mark.parametrize("unknown", ["", "0000", "1", "00001", "ae10f2", "0001 "])
def test_a_schema_that_nobody_knows(made, unknown):
    tell(made, f"UPDATE alembic_version SET version_num = '{unknown}'")
    refused(
        made,
        f"{{path}} was changed by something else than amqpd (its schema is of no known revision: {unknown!r}); "
        "{restore}",
    )


@pytest.mark.parametrize(
    ("statement", "detail"),
    [
        ("DELETE FROM alembic_version", "its schema is of no known revision: ''"),
        ("INSERT INTO alembic_version VALUES ('0003')", "its schema is of no known revision: ''"),
        ("DROP TABLE alembic_version", "no such table: alembic_version"),
        ("DROP TABLE topic_permissions", "its table topic_permissions lacks user, vhost, exchange, write, read"),
        ("ALTER TABLE queues RENAME COLUMN type TO kind", "its table queues lacks type"),
        ("DELETE FROM state", "its table state has no row"),
    ],
)
def test_what_somebody_did_to_it(made, statement, detail):
    tell(made, statement)
    refused(made, f"{{path}} was changed by something else than amqpd ({detail}); {{restore}}")


@pytest.mark.parametrize(
    ("statement", "detail"),
    [
        ("UPDATE queues SET arguments = 'x'", "in its table queues: Expecting value: line 1 column 1 (char 0)"),
        ("UPDATE bindings SET arguments = '[[1]]'", "in its table bindings: not enough values to unpack"),
        ("UPDATE vhosts SET tags = '{}'", "in its table vhosts: no list of names: {}"),
        ("UPDATE users SET tags = '[1]'", "in its table users: no list of names: [1]"),
        ("UPDATE policies SET definition = '['", "in its table policies: Expecting value: line 1 column 2 (char 1)"),
        ("UPDATE policies SET definition = '1'", "in its table policies: no object: 1"),
    ],
)
def test_a_row_that_is_no_definition_is_refused_when_it_is_read(made, statement, detail):
    tell(made, statement)
    with closing(Store(made)) as store, pytest.raises(ConfigError) as caught:
        store.load()
    assert str(caught.value).startswith(f"{made} was changed by something else than amqpd ({detail}")
    assert str(caught.value).endswith(faults.RESTORE)


# -- in use


def test_a_second_store(made):
    with closing(Store(made)):
        refused(made, f"{{path}} is in use by another node (process {os.getpid()}); stop that one first")
    Store(made).close()


@pytest.mark.parametrize("code", [sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE])
def test_a_full_disk_is_no_reason_to_move_the_database_away(made, monkeypatch, code):
    def full(*_args):
        error = sqlite3.OperationalError("as SQLite says it")
        error.sqlite_errorcode = code
        raise error

    monkeypatch.setattr(database.inspection, "check_columns", full)
    refused(made, "{path} cannot be used: no space is left on its file system (as SQLite says it); free some")


def test_a_refusal_leaves_the_database_to_others(made):
    tell(made, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigError):
        Store(made)
    tell(made, f"UPDATE alembic_version SET version_num = '{schema.REVISION}'")
    Store(made).close()


LOCKER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute(sys.argv[2])
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("mode", ["normal", "exclusive"])
def test_another_program_that_writes(made, mode, monkeypatch):
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.001)
    order = [sys.executable, "-c", LOCKER, str(made), f"PRAGMA locking_mode = {mode}"]
    with subprocess.Popen(order, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(ConfigError) as caught:
            Store(made)
        other.stdin.close()
    assert str(caught.value) == f"{made} is locked by another process; end that one (`fuser {made}` names it)"
    with closing(Store(made)) as store:
        assert len(store.load()) == len(MANY)


# -- read-only


@contextmanager
def unprivileged():
    """As a user whom file modes stop, also where the tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def shared():
    """A folder that everybody can get at, as pytest's own are not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder / NAME
    folder.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_that_is_read_only(shared, there):
    if there:
        with closing(Store(shared)) as store:
            store.apply(EVERY_KIND, 1)
        shared.with_name(f"{NAME}.lock").unlink()
    shared.parent.chmod(0o555)
    with unprivileged(), pytest.raises(ConfigError) as caught:
        Store(shared)
    assert str(caught.value) == (
        f"{shared}: the folder cannot be written to ({NAME}.lock: Permission denied); give it, with all that is in it, "
        "to the user who runs the node"
    )


def test_a_database_that_is_read_only(shared):
    with closing(Store(shared)) as store:
        store.apply(EVERY_KIND, 1)
    shared.chmod(0o444)
    shared.with_name(f"{NAME}.lock").chmod(0o666)
    shared.parent.chmod(0o777)
    before = contents(shared)
    with unprivileged(), pytest.raises(ConfigError) as caught:
        Store(shared)
    assert str(caught.value) == READ_ONLY.format(path=shared, detail="Permission denied")
    assert contents(shared) == before


def test_a_folder_that_became_read_only_with_a_database_that_did_not(shared):
    Store(shared).close()
    shared.with_name(f"{NAME}.lock").chmod(0o666)
    if os.geteuid() == 0:
        os.chown(shared, 65534, 65534)
    shared.parent.chmod(0o555)
    before = contents(shared)
    with unprivileged(), pytest.raises(ConfigError) as caught:
        Store(shared)
    assert str(caught.value) == READ_ONLY.format(path=shared, detail="attempt to write a readonly database")
    assert contents(shared) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
def test_a_database_of_somebody_else_that_is_open_to_others(shared):
    Store(shared).close()
    shared.chmod(0o666)
    shared.with_name(f"{NAME}.lock").chmod(0o666)
    shared.parent.chmod(0o777)
    with unprivileged(), pytest.raises(ConfigError) as caught:
        Store(shared)
    assert str(caught.value) == (
        f"{shared} holds password hashes, is open to others, and cannot be closed to them (Operation not permitted); "
        "give it to the user who runs the node"
    )


def _error(code):
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = code
    return error


def test_nor_is_a_disk_that_fails():
    text = str(faults.refusal(_error(sqlite3.SQLITE_IOERR_READ), Path("there.sqlite")))
    assert text == "there.sqlite cannot be used: disk I/O error; look after the disk"
