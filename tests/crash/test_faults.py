"""Real nodes whose disk, files or clock are not as they should be: each of these has one answer, and loses nothing.

tests/test_storing.py has those that need no process of their own, tests/crash/damage.py tries many more damages.
"""

import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager

import pika
import pytest
from crash.kills import SMALL
from crash.process import Server

BODY = bytes(range(256)) * 80
JOURNAL_FILES = 9


@contextmanager
def client(server):
    """A channel that confirms, and a queue. The connection ends with it, if it has not ended."""
    connection = server.connect()
    try:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare("q", durable=True)
        yield channel
    finally:
        try:
            connection.close()
        except pika.exceptions.AMQPError:
            pass


def keep(server, count, first=0, body=b""):
    """Publish and wait for the confirms. Returns how many were confirmed, also if that ends early."""
    number = first
    with client(server) as channel:
        try:
            while number < first + count:
                channel.basic_publish("", "q", b"%d|" % number + body, pika.BasicProperties(delivery_mode=2))
                number += 1
        except pika.exceptions.AMQPError:
            pass
    return number - first


def numbers(server, queue="q"):
    """What is in the queue, and is taken out of it, as far as the server comes."""
    found = []
    with client(server) as channel:
        try:
            while True:
                method, _properties, body = channel.basic_get(queue, auto_ack=True)
                if method is None:
                    return found
                found.append(int(body.partition(b"|")[0]))
        except pika.exceptions.AMQPError:
            return found


@pytest.fixture
def server(tmp_path):
    server = Server(tmp_path)
    yield server
    server.kill()


# -- the disk


def traced(directory, name, call):
    """strace that has `call` on files of the journal fail, but for the first ones."""
    if shutil.which("strace") is None:
        pytest.skip("*** SKIPPED injected errors: strace is not installed")
    tried = subprocess.run(["strace", "-D", "-qq", "-o", "/dev/null", "true"], check=False, capture_output=True)
    if tried.returncode:
        pytest.skip(f"*** SKIPPED injected errors: strace may not trace: {tried.stderr.decode().strip()}")
    paths = [f"{directory}/data/messages/journal/{number:020}.jrn" for number in range(1, JOURNAL_FILES)]
    only = [part for path in paths for part in ("-P", path)]
    inject = f"inject={call}:error={name}:when=6+"
    return ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", inject, *only]


@pytest.mark.parametrize(("call", "said"), [("fdatasync", "sync"), ("pwritev,pwritev2", "write")])
def test_an_error_of_the_disk_ends_the_node_and_loses_nothing(tmp_path, server, call, said):
    failing = Server(tmp_path, traced(tmp_path, "EIO", call))
    failing.start()
    try:
        confirmed = keep(failing, 50)
        assert failing.ended() == 1
    finally:
        failing.kill()
    assert 0 < confirmed < 50
    line = failing.last_line()
    assert str(tmp_path / "data" / "messages" / "journal") in line
    assert "EIO" in line
    assert said in line
    server.start()
    assert numbers(server)[:confirmed] == list(range(confirmed))
    assert server.stop() == 0


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own: mounts it where that is allowed."""
    directory = tmp_path / "disk"
    directory.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(directory)]
    done = subprocess.run(mount, check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"*** SKIPPED a disk of its own: {done.stderr.strip()}")
    yield directory
    subprocess.run(["umount", "-l", str(directory)], check=True)


def test_a_full_disk_blocks_publishers_until_somebody_consumes(small_disk):
    server = Server(small_disk, disk_free_limit=0, **{**SMALL, "journal__size_max": 4 << 20})
    server.start()
    try:
        confirmed = keep(server, 5000, body=BODY)
        assert 500 < confirmed < 5000
        server.kill()  # a full disk is no reason not to start, either
        server.start()
        assert numbers(server)[:confirmed] == list(range(confirmed))
        assert keep(server, 20, body=BODY) == 20
        server.kill()
        server.start()
        assert numbers(server)[-20:] == list(range(20))
        assert server.stop() == 0
    finally:
        server.kill()


def test_a_read_only_file_system(small_disk):
    server = Server(small_disk, disk_free_limit=0, **SMALL)
    server.start()
    try:
        assert keep(server, 3) == 3
        assert server.stop() == 0
    finally:
        server.kill()
    server.log = small_disk.parent / "log"
    remount = ["mount", "-o", "remount,{}", str(small_disk)]
    subprocess.run([part.format("ro") for part in remount], check=True)
    line = server.refused()
    assert str(server.data) in line
    assert "Read-only file system" in line or "EROFS" in line
    subprocess.run([part.format("rw") for part in remount], check=True)
    server.start()
    try:
        assert numbers(server) == [0, 1, 2]
    finally:
        server.kill()


# -- who else is there


def test_a_second_server_on_the_same_directory(tmp_path, server):
    server.start()
    assert keep(server, 3) == 3
    other = Server(tmp_path)
    other.log = tmp_path / "other"
    assert f"in use by another node (process {server.process.pid})" in other.refused()
    assert keep(server, 3, 3) == 3
    server.kill()
    server.start()
    assert numbers(server) == [0, 1, 2, 3, 4, 5]


# -- the clock

SHIFTED = (
    "import sys, time; real = time.time; shift = int(sys.argv.pop(1)); time.time = lambda: real() + shift; "
    "real_ns = time.time_ns; time.time_ns = lambda: real_ns() + shift * 10**9; "
    "from amqpd.cli.main import main; sys.exit(main())"
)


def shifted(seconds):
    """An amqpd whose wall clock is off by so much."""
    return [sys.executable, "-c", SHIFTED, str(seconds)]


@pytest.fixture
def expiring(tmp_path):
    """Messages in a queue, and in one whose messages live for ten minutes, and then die."""
    if os.environ.get("AMQPD"):
        pytest.skip("*** SKIPPED a clock that jumps: it needs the amqpd of this interpreter")
    server = Server(tmp_path)
    server.start()
    letter = {"x-message-ttl": 600_000, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
    persistent = pika.BasicProperties(delivery_mode=2)
    with client(server) as channel:
        channel.queue_declare("short", durable=True, arguments=letter)
        channel.queue_declare("dead", durable=True)
        for number in range(5):
            channel.basic_publish("", "q", b"%d" % number, persistent)
            channel.basic_publish("", "short", b"%d" % number, persistent)
    yield server
    server.kill()


@pytest.mark.parametrize("how", [Server.kill, Server.stop])
def test_a_clock_that_jumps_expires_what_is_due_and_nothing_else(expiring, how):
    """An hour back and on again: what has a time to live of ten minutes has expired, or not. The rest does not care."""
    alive, dead = {"q": 5, "short": 5, "dead": 0}, {"q": 5, "short": 0, "dead": 5}
    for seconds, expected in ((-3600, alive), (3600, dead), (-3600, dead)):
        how(expiring)
        expiring.command = shifted(seconds)
        expiring.start()
        with client(expiring) as channel:
            wait_for(channel, expected)
    assert numbers(expiring, "q") == numbers(expiring, "dead") == [0, 1, 2, 3, 4]


def wait_for(channel, counts):
    """Until so many messages are ready in these queues."""
    end = time.monotonic() + 10
    while (now := {name: channel.queue_declare(name, passive=True).method.message_count for name in counts}) != counts:
        assert time.monotonic() < end, now
        channel.connection.process_data_events(0.01)


# -- the files


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """What a node leaves that has used all kinds of files."""
    directory = tmp_path_factory.mktemp("stored")
    server = Server(directory, **SMALL)
    server.start()
    try:
        assert keep(server, 400, body=BODY) == 400
        assert server.stop() == 0
    finally:
        server.kill()
    assert list((directory / "data" / "messages" / "segments").glob("0*.seg"))
    return directory


def flip(path):
    data = bytearray(path.read_bytes())
    place = len(bytes(data).rstrip(b"\0")) // 2
    data[place] ^= 0x10
    path.write_bytes(data)


def cut(path):
    os.truncate(path, len(path.read_bytes().rstrip(b"\0")) // 2)


def lose(path):
    path.unlink()


KINDS = ("node", "journal/first", "journal/last", "journal/0*.jrn", "segments/inventory", "segments/0*.seg")


TWICE = {(kind, damage) for kind in ("journal/first", "journal/last") for damage in (flip, cut)}  # one of them may do
LATE = ("segments/0*.seg", flip)  # a start reads no bodies
EVERYTHING = list(range(400))


@pytest.mark.parametrize("damage", [flip, cut, lose])
@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_named_and_nothing_is_lost_silently(tmp_path, stored, kind, damage):
    shutil.copytree(stored / "data", tmp_path / "data")
    messages = tmp_path / "data" / "messages"
    path = sorted(messages.glob(kind))[0]
    damage(path)
    before = {each: each.read_bytes() for each in messages.rglob("*") if each.is_file()}
    server = Server(tmp_path)
    why = server.refusal()
    if why:
        assert (kind, damage) != LATE
        assert path.name in why
        assert {each: each.read_bytes() for each in messages.rglob("*") if each.is_file()} == before
        return
    try:
        found = numbers(server)
        if (kind, damage) == LATE:
            assert server.ended() == 1
            assert str(path) in server.last_line()
            assert found == EVERYTHING[: len(found)]
        else:
            assert (kind, damage) in TWICE
            assert found == EVERYTHING
    finally:
        server.kill()


@pytest.mark.parametrize("damage", [flip, cut, lose])
def test_damaged_definitions_are_named_and_no_message_is_dropped(tmp_path, stored, damage):
    shutil.copytree(stored / "data", tmp_path / "data")
    path = tmp_path / "data" / "definitions.sqlite"
    good = path.read_bytes()
    damage(path)
    line = Server(tmp_path).refused()
    assert "definitions" in line
    path.write_bytes(good)
    server = Server(tmp_path)
    server.start()
    try:
        assert numbers(server) == EVERYTHING
    finally:
        server.kill()
