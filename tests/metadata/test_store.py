"""The store: what is put stays, is replaced and deleted as commands say, in one transaction with its number.

Refusals at opening are in test_refusals.py, migrations in test_migrations.py.
"""

import dataclasses
import os
import resource
import signal
import sqlite3
import stat
import threading
from contextlib import closing, contextmanager

import pytest
from metadata.samples import EVERY_KIND

from amqpd.broker import commands as c
from amqpd.metadata.faults import MetadataBroken, MetadataBusy
from amqpd.metadata.store import NAME, Store
from amqpd.wire.tables import longstr


@pytest.fixture
def path(tmp_path):
    return tmp_path / NAME


@pytest.fixture
def store(path):
    with closing(Store(path)) as opened:
        yield opened


@pytest.fixture
def full(store):
    """A store with something of every kind, of which the last command had the number 10."""
    store.apply(EVERY_KIND, 10)
    return store


def ask(store: Store, sql: str) -> int:
    """Ask the database, or tell it, on the store's own connection."""
    (value,) = store._database._connection.connection.driver_connection.execute(sql).fetchone() or (None,)
    return value


def reopened(store: Store) -> Store:
    store.close()
    return Store(store.path)


# -- a database


def test_a_new_database_is_empty_and_fresh_until_something_is_stored(path):
    for _ in range(2):
        with closing(Store(path)) as store:
            assert (store.fresh, store.sequence, store.load()) == (True, 0, [])
    with closing(Store(path)) as store:
        store.apply([c.PutVHost("/"), c.DeleteVHost("/")], 2)
    with closing(Store(path)) as store:
        assert (store.fresh, store.sequence, store.load()) == (False, 2, [])


def test_only_the_owner_can_read_it_even_while_it_is_written(store, path, tmp_path):
    store.apply([c.PutUser("ann", "secret", "argon2")], 1)
    assert {file.name for file in tmp_path.iterdir()} == {NAME, f"{NAME}.lock", f"{NAME}-wal", f"{NAME}-shm"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {0o600}


def test_a_database_that_was_opened_to_others_is_closed_to_them(store, path):
    store.close()
    path.chmod(0o644)
    with closing(Store(path)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_after_close_one_file_holds_all(full, path, tmp_path):
    full.close()
    assert {file.name for file in tmp_path.iterdir()} == {NAME, f"{NAME}.lock"}
    copy = tmp_path / "elsewhere" / NAME
    copy.parent.mkdir()
    copy.write_bytes(path.read_bytes())
    with closing(Store(copy)) as moved:
        assert moved.load() == EVERY_KIND


def test_what_a_broken_start_left_half_made_is_made_anew(path):
    path.with_name(f"{NAME}.new").write_text("half")
    with closing(Store(path)) as store:
        assert store.fresh
        assert not path.with_name(f"{NAME}.new").exists()


def test_a_path_may_hold_anything(tmp_path):
    folder = tmp_path / "50% ?x=1#y ü"
    folder.mkdir()
    with closing(Store(folder / NAME)) as store:
        store.apply(EVERY_KIND, 1)
        with closing(reopened(store)) as again:
            assert again.load() == EVERY_KIND


def test_a_commit_is_on_disk_when_it_returns(store):
    assert (ask(store, "PRAGMA synchronous"), ask(store, "PRAGMA journal_mode")) == (2, "wal")


def test_others_can_read_while_the_node_writes(full, path):
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM queues").fetchone() == (3,)
        full.apply([c.PutQueue("/", "one more")], 11)
        assert reader.execute("SELECT count(*) FROM queues").fetchone() == (3,)
        reader.execute("COMMIT")
        assert reader.execute("SELECT count(*) FROM queues").fetchone() == (4,)


# -- put


def test_every_kind_is_there_after_reopening(full):
    with closing(reopened(full)) as store:
        assert store.load() == EVERY_KIND
        assert store.sequence == 10


def test_there_is_a_sample_of_every_kind():
    puts = {kind for name, kind in vars(c).items() if name.startswith("Put")}
    assert {type(command) for command in EVERY_KIND} == puts


def test_commands_of_one_kind_after_another_and_in_turns_are_stored_alike(store):
    vhosts = [command for command in EVERY_KIND if isinstance(command, c.PutVHost)]
    users = [command for command in EVERY_KIND if isinstance(command, c.PutUser)]
    rest = [command for command in EVERY_KIND if not isinstance(command, c.PutVHost | c.PutUser)]
    store.apply([*users, *vhosts, *reversed(rest), *rest[::2], *rest[1::2]], 1)
    assert store.load() == EVERY_KIND


def test_putting_again_changes_nothing(full):
    full.apply(EVERY_KIND, 11)
    assert full.load() == EVERY_KIND


CHANGES = {
    c.PutVHost: {"description": "other", "tags": ("t",), "default_queue_type": "stream"},
    c.PutUser: {"password_hash": "other", "hashing_algorithm": "md5", "tags": ("t",)},
    c.PutPermission: {"configure": "c", "write": "w", "read": "r"},
    c.PutTopicPermission: {"write": "w", "read": "r"},
    c.PutExchange: {
        "type": "x-random",
        "durable": False,
        "auto_delete": False,
        "internal": False,
        "arguments": [("x", longstr("y"))],
    },
    c.PutQueue: {"type": "other", "durable": False, "auto_delete": False, "arguments": [("x", longstr("y"))]},
    c.PutPolicy: {"pattern": "p", "definition": {"d": 1}, "apply_to": "exchanges", "priority": -5},
    c.PutParameter: {"value": [1, "2"]},
    c.PutGlobalParameter: {"value": {"a": None}},
    c.PutVHostLimit: {"value": 5},
    c.PutUserLimit: {"value": 5},
}


@pytest.mark.parametrize("kind", CHANGES, ids=lambda kind: kind.__name__)
def test_putting_what_is_there_replaces_it_and_nothing_else(full, kind):
    number, old = next((number, command) for number, command in enumerate(EVERY_KIND) if type(command) is kind)
    new = dataclasses.replace(old, **CHANGES[kind])
    full.apply([new], 11)
    assert full.load() == [*EVERY_KIND[:number], new, *EVERY_KIND[number + 1 :]]


def test_a_queue_keeps_its_identity_until_another_takes_its_name(full):
    def identities():
        return [queue.identity for queue in full.load() if isinstance(queue, c.PutQueue)]

    stored = [queue.identity for queue in EVERY_KIND if isinstance(queue, c.PutQueue)]
    assert identities() == stored
    full.apply([c.DeleteQueue("/", "orders"), c.PutQueue("/", "orders", identity=b"i" * 16)], 11)
    assert identities() == [b"i" * 16, *stored[1:]]


def test_a_binding_is_the_same_with_its_arguments_in_another_order(store):
    one, other = ("a", longstr("1")), ("b", longstr("2"))
    store.apply([c.PutVHost("/"), c.PutBinding("/", "e", "queue", "q", "k", [other, one])], 1)
    store.apply([c.PutBinding("/", "e", "queue", "q", "k", [one, other])], 2)
    assert store.load()[1:] == [c.PutBinding("/", "e", "queue", "q", "k", [one, other])]
    store.apply([c.DeleteBinding("/", "e", "queue", "q", "k", [other, one])], 3)
    assert store.load()[1:] == []


def test_bindings_that_differ_in_anything_are_different(store):
    first = c.PutBinding("/", "e", "queue", "n", "k", [("a", longstr("1"))])
    others = [
        dataclasses.replace(first, source="f"),
        dataclasses.replace(first, destination_type="exchange"),
        dataclasses.replace(first, destination="m"),
        dataclasses.replace(first, routing_key="l"),
        dataclasses.replace(first, arguments=[("a", longstr("2"))]),
        dataclasses.replace(first, arguments=[]),
        dataclasses.replace(first, vhost="v"),
    ]
    store.apply([c.PutVHost("/"), c.PutVHost("v"), first, *others], 1)
    assert len(store.load()) == 2 + 8
    store.apply([c.DeleteBinding(*(getattr(first, field.name) for field in dataclasses.fields(first)))], 2)
    assert sorted(map(repr, store.load()[2:])) == sorted(map(repr, others))


@pytest.mark.parametrize("name", ["", " ", "'; DROP TABLE queues; --", '"', "%_*?", "a\x00b", "😀", "x" * 255])
def test_a_name_may_hold_anything(store, name):
    commands = [
        c.PutVHost(name, name, (name,)),
        c.PutUser(name, name, name, (name,)),
        c.PutPermission(name, name, name, name, name),
        c.PutQueue(name, name, arguments=[(name, longstr(name))]),
        c.PutBinding(name, name, "queue", name, name, [(name, longstr(name))]),
        c.PutPolicy(name, name, name, {name: name}),
        c.PutGlobalParameter(name, name),
    ]
    store.apply(commands, 1)
    with closing(reopened(store)) as again:
        assert again.load() == commands
        again.apply([c.DeleteVHost(name), c.DeleteUser(name), c.DeleteGlobalParameter(name)], 2)
        assert again.load() == []


@pytest.mark.parametrize("value", [None, 0, -1.5, "", "ü", "\ud800", [], {}, {"a": [{"b": None}]}, 10**30, True])
def test_a_value_may_be_all_that_json_can_say(store, value):
    store.apply([c.PutGlobalParameter("p", value)], 1)
    assert store.load() == [c.PutGlobalParameter("p", value)]


# -- delete


def removed(command: c.Command) -> c.Command:
    """The command that deletes what `command` puts."""
    kind = getattr(c, type(command).__name__.replace("Put", "Delete"))
    return kind(*(getattr(command, field.name) for field in dataclasses.fields(kind)))


@pytest.mark.parametrize("number", range(len(EVERY_KIND)))
def test_deleting_takes_along_what_cannot_be_without_it_and_nothing_else(full, number):
    target = EVERY_KIND[number]
    full.apply([removed(target)], 11)
    assert full.load() == [command for command in EVERY_KIND if not gone(command, target)]


def gone(command: c.Command, target: c.Command) -> bool:
    """Whether `command` is to go when `target` is deleted (the docstring of broker.commands)."""
    if command is target:
        return True
    if isinstance(target, c.PutVHost):
        return getattr(command, "vhost", None) == target.name
    if isinstance(target, c.PutUser):
        return getattr(command, "user", None) == target.name
    if isinstance(command, c.PutBinding) and isinstance(target, c.PutExchange | c.PutQueue):
        kind = "queue" if isinstance(target, c.PutQueue) else "exchange"
        to = (command.destination_type, command.destination) == (kind, target.name)
        return command.vhost == target.vhost and (to or (kind == "exchange" and command.source == target.name))
    return False


@pytest.mark.parametrize("command", EVERY_KIND, ids=lambda command: type(command).__name__)
def test_deleting_what_is_not_there_is_nothing(store, command):
    store.apply([removed(command)], 1)
    assert store.load() == []
    assert store.sequence == 1


def test_all_topic_permissions_of_a_user_in_a_vhost_go_together(full):
    full.apply([c.PutTopicPermission("ann", "/", "events", "", "")], 11)
    full.apply([c.DeleteTopicPermission("ann", "/", "other"), c.DeleteTopicPermission("bob", "/", None)], 12)
    kept = [command for command in full.load() if isinstance(command, c.PutTopicPermission)]
    assert kept == [c.PutTopicPermission("ann", "/", "events", "", "")]


def test_a_policy_and_the_operator_policy_of_its_name_are_two(full):
    full.apply([c.DeletePolicy("/", "ttl", operator=True)], 11)
    assert [command.operator for command in full.load() if isinstance(command, c.PutPolicy)] == [False]
    full.apply([c.DeletePolicy("/", "ttl")], 12)
    assert [command for command in full.load() if isinstance(command, c.PutPolicy)] == []


def test_commands_of_a_batch_are_carried_out_in_their_order(store):
    queue = c.PutQueue("/", "q")
    store.apply([c.PutVHost("/"), queue, c.DeleteQueue("/", "q"), queue, c.DeleteVHost("/"), c.PutVHost("/")], 1)
    assert store.load() == [c.PutVHost("/")]


# -- the number


def test_the_number_is_stored_with_the_commands(full):
    full.apply([], 99)
    assert full.sequence == 99
    with closing(reopened(full)) as store:
        assert store.sequence == 99


@pytest.mark.parametrize("number", [-1, 0, 9, 10])
def test_a_number_that_was_there_is_the_callers_error(full, number):
    with pytest.raises(ValueError, match=rf"commands up to {number}, after those up to 10"):
        full.apply([c.DeleteVHost("/")], number)
    assert full.load() == EVERY_KIND


def test_another_thread_may_call(full):
    thread = threading.Thread(target=full.apply, args=([c.PutVHost("thread")], 11))
    thread.start()
    thread.join()
    assert full.sequence == 11
    assert c.PutVHost("thread") in full.load()


# -- failures: nothing of the commands stays, and the error says what to do


def unchanged(store: Store) -> None:
    """Nothing of a failed batch is there, and the next one can be stored."""
    assert (store.load(), store.sequence) == (EVERY_KIND, 10)
    store.apply([c.PutVHost("next")], 11)
    with closing(reopened(store)) as again:
        assert again.sequence == 11
        assert [command for command in again.load() if command != c.PutVHost("next")] == EVERY_KIND


def test_a_command_for_a_vhost_that_is_not_there_is_the_callers_error(full):
    with pytest.raises(ValueError, match=rf"{NAME}: a command for what is not there"):
        full.apply([c.PutQueue("/", "good"), c.PutQueue("nowhere", "bad")], 11)
    unchanged(full)


def test_a_name_that_is_no_text_is_the_callers_error(full):
    with pytest.raises(ValueError):
        full.apply([c.PutQueue("/", "good"), c.PutQueue("/", "\udcff")], 11)
    unchanged(full)


def test_a_database_without_space_can_be_tried_again(full):
    ask(full, f"PRAGMA max_page_count = {ask(full, 'PRAGMA page_count') + 1}")
    with pytest.raises(MetadataBusy, match=rf"{NAME}: no space is left to store definitions .database or disk is full"):
        full.apply([c.PutVHost(f"v{number}", "x" * 1000) for number in range(100)], 11)
    ask(full, "PRAGMA max_page_count = 1000000")
    unchanged(full)


def test_somebody_who_writes_makes_it_busy_until_he_is_done(full, path):
    ask(full, "PRAGMA busy_timeout = 1")
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(MetadataBusy, match=rf"{NAME}: another process is writing to the definitions"):
            full.apply([c.DeleteVHost("/")], 11)
        writer.execute("ROLLBACK")
    unchanged(full)


@contextmanager
def files_no_larger_than(size: int):
    """What writing beyond does then is EFBIG, which SQLite takes for a failing disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def test_a_disk_that_fails_ends_it(full, path):
    log = path.with_name(f"{NAME}-wal")
    text = rf"{NAME}: definitions can no longer be stored .disk I/O error"
    with files_no_larger_than(log.stat().st_size + 8192), pytest.raises(MetadataBroken, match=text):
        full.apply([c.PutVHost(f"v{number}", "x" * 1000) for number in range(100)], 11)
    unchanged(full)


def test_a_database_that_became_read_only_ends_it(full):
    ask(full, "PRAGMA query_only = ON")
    with pytest.raises(MetadataBroken, match=r"can no longer be stored .attempt to write a readonly database"):
        full.apply([c.DeleteVHost("/")], 11)
    ask(full, "PRAGMA query_only = OFF")
    unchanged(full)


@pytest.mark.parametrize("away", [lambda path: path.unlink(), lambda path: path.rename(f"{path}.old")])
def test_a_database_that_is_taken_away_ends_it(full, path, away):
    away(path)
    with pytest.raises(MetadataBroken, match=rf"{NAME} was moved or removed while the node runs; stop it, put it back"):
        full.apply([c.DeleteVHost("/")], 11)


def test_another_file_in_its_place_ends_it(full, path):
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes())
    os.replace(copy, path)
    with pytest.raises(MetadataBroken, match=r"was moved or removed"):
        full.apply([c.DeleteVHost("/")], 11)


def test_an_error_says_nothing_of_what_was_to_be_stored(full):
    with pytest.raises(ValueError) as caught:
        full.apply([c.PutUser("eve", "hash-of-eve", "argon2"), c.PutPermission("eve", "nowhere", "", "", "")], 11)
    error = caught.value
    while error is not None:
        assert "hash-of-eve" not in str(error)
        assert "nowhere" not in str(error)
        error = error.__cause__ or error.__context__
