"""Files of the operating system, and what is said when it refuses."""

import errno
import os

import pytest

from amqpd.errors import StorageError, StorageFullError
from amqpd.store.files import ZEROS, DiskFile, DiskFiles, File, Files, failure


@pytest.fixture
def files(tmp_path) -> DiskFiles:
    return DiskFiles(tmp_path / "messages")


def test_parts_are_written_one_behind_the_other(files):
    file = files.create("a")
    file.write(3, [b"one", b"", b"two"])
    assert file.read(0, 100) == b"\0\0\0onetwo"
    assert file.read(4, 3) == b"net"
    assert file.size() == 9


def test_more_parts_than_a_system_call_takes(files):
    file = files.create("a")
    file.write(1, [b"%05d" % number for number in range(3000)])
    assert file.read(1, 20000) == b"".join(b"%05d" % number for number in range(3000))


def test_a_write_that_ends_early_is_gone_on_with(files, monkeypatch):
    file = files.create("a")
    monkeypatch.setattr(os, "pwritev", lambda fd, parts, offset: os.pwrite(fd, b"".join(parts)[:4], offset))
    file.write(0, [b"ab", b"cde", b"fg"])
    assert file.read(0, 10) == b"abcdefg"


def test_a_read_that_ends_early_is_gone_on_with(files, monkeypatch):
    file = files.create("a")
    file.write(0, [b"abcdefg"])
    real = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, size, offset: real(fd, min(size, 2), offset))
    assert file.read(1, 5) == b"bcdef"


def test_extend_writes_zeros(files):
    file = files.create("a")
    file.write(0, [b"x"])
    file.extend(len(ZEROS) + 10)
    assert file.size() == len(ZEROS) + 10
    assert file.read(0, file.size()) == b"x" + bytes(len(ZEROS) + 9)
    file.extend(5)  # it is longer already
    assert file.size() == len(ZEROS) + 10


def test_extend_without_space_leaves_the_file_as_it_was(files, monkeypatch):
    file = files.create("a")
    file.write(0, [b"x"])
    real = os.pwrite
    calls = []

    def full(fd, data, offset):
        calls.append(offset)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "full")
        return real(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(StorageFullError):
        file.extend(3 * len(ZEROS))
    assert file.size() == 1
    file.extend(2)
    assert file.size() == 2


def test_truncate_and_sync(files):
    file = files.create("a")
    file.write(0, [b"abc"])
    file.truncate(1)
    file.sync()
    assert file.read(0, 5) == b"a"


def test_names_and_directories(files):
    files.create("b").close()
    files.create("a").close()
    inner = files.directory("inner")
    assert files.names() == ["a", "b", "inner"]
    inner.create("c").close()
    assert files.directory("inner").names() == ["c"]
    files.rename("a", "b")
    files.remove("b")
    files.sync()
    assert files.names() == ["inner"]
    assert files.free_bytes() > 0


def test_what_is_made_is_for_the_user_of_the_node_alone(files):
    files.create("a").close()
    assert os.stat(files.path).st_mode & 0o077 == 0
    assert os.stat(f"{files.path}/a").st_mode & 0o077 == 0


def test_create_and_open_say_what_is_wrong(files):
    files.create("a").close()
    with pytest.raises(StorageError, match=r"/a: cannot create: EEXIST \(File exists\); .*move it away"):
        files.create("a")
    with pytest.raises(StorageError, match=r"/b: cannot open: ENOENT \(No such file or directory\); "):
        files.open("b")
    with pytest.raises(StorageError, match=r"/b: cannot remove: ENOENT"):
        files.remove("b")
    with pytest.raises(StorageError, match=r"/b: cannot rename to c: ENOENT"):
        files.rename("b", "c")
    with pytest.raises(StorageError, match=r"cannot make: ENOTDIR|cannot make: EEXIST"):
        files.directory("a")


def test_a_file_opened_for_reading_cannot_be_written(files):
    files.create("a").close()
    with pytest.raises(StorageError, match="cannot write: EBADF"):
        files.open("a", writable=False).write(0, [b"x"])


def test_close_twice_and_use_after(files):
    file = files.create("a")
    file.close()
    file.close()
    for use in (
        lambda: file.read(0, 1),
        lambda: file.write(0, [b"x"]),
        lambda: file.extend(1),
        file.size,
        lambda: file.truncate(0),
    ):
        with pytest.raises(StorageError, match="EBADF"):
            use()


def test_a_directory_that_is_gone(files):
    os.rmdir(files.path)
    for use in (files.names, files.sync, files.free_bytes):
        with pytest.raises(StorageError, match="ENOENT"):
            use()


@pytest.mark.parametrize(
    ("code", "full", "advice"),
    [
        (errno.ENOSPC, True, "free space"),
        (errno.EDQUOT, True, "quota"),
        (errno.EIO, False, "dmesg"),
        (errno.EROFS, False, "mount it writable"),
        (errno.EACCES, False, "user who runs the node"),
        (errno.EPERM, False, "user who runs the node"),
        (errno.EMFILE, False, "LimitNOFILE"),
        (errno.EFBIG, False, "LimitFSIZE"),
        (errno.ELOOP, False, "look after the disk"),
    ],
)
def test_each_errno_has_its_text(code, full, advice):
    error = failure(OSError(code, "x"), "write", "/data/a")
    assert isinstance(error, StorageFullError) == full
    text = str(error)
    assert text.startswith(f"/data/a: cannot write: {errno.errorcode[code]} ({os.strerror(code)}); ")
    assert advice in text


def test_a_failed_sync_is_never_tried_again(files, monkeypatch):
    file = files.create("a")
    monkeypatch.setattr("amqpd.store.files._sync_data", _full)
    with pytest.raises(StorageError, match="cannot sync: ENOSPC") as caught:
        file.sync()
    assert not isinstance(caught.value, StorageFullError)


def test_write_failures_are_reported(files, monkeypatch):
    file = files.create("a")
    monkeypatch.setattr(os, "pwritev", _full)
    with pytest.raises(StorageFullError, match="/a: cannot write: ENOSPC"):
        file.write(0, [b"x"])


def _full(*_):
    raise OSError(errno.ENOSPC, "full")


def test_the_base_classes_do_nothing():
    file, files = File("x"), Files("x")
    for use in (
        lambda: file.read(0, 1),
        lambda: file.write(0, []),
        lambda: file.extend(1),
        file.sync,
        file.size,
        lambda: file.truncate(0),
        file.close,
        files.names,
        lambda: files.create("x"),
        lambda: files.open("x"),
        lambda: files.rename("x", "y"),
        lambda: files.remove("x"),
        files.sync,
        lambda: files.directory("x"),
        files.free_bytes,
    ):
        with pytest.raises(NotImplementedError):
            use()
    assert DiskFile("p", -1).path == "p"
