"""The data directory and its lock."""

import os
import stat

import pytest

from amqpd.errors import ConfigError
from amqpd.runtime.datadir import DataDir


def test_it_is_made_where_it_is_missing_and_private(tmp_path):
    directory = DataDir(tmp_path / "a" / "b")
    assert stat.S_IMODE(directory.path.stat().st_mode) == 0o700
    assert directory.control_path == tmp_path / "a" / "b" / "amqpd.sock"
    directory.close()


def test_it_is_new_until_a_node_has_left_something(tmp_path):
    for _ in range(2):
        directory = DataDir(tmp_path / "data")
        assert directory.new
        directory.close()
    (tmp_path / "data" / "definitions").touch()
    directory = DataDir(tmp_path / "data")
    assert not directory.new
    directory.close()


def test_a_second_node_is_refused_until_the_first_has_gone(tmp_path):
    first = DataDir(tmp_path)
    with pytest.raises(ConfigError, match=f"is in use by another node .process {os.getpid()}.*--data-dir"):
        DataDir(tmp_path)
    first.close()
    DataDir(tmp_path).close()


def test_a_directory_that_cannot_be_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"data_dir: .*file/x cannot be used: Not a directory"):
        DataDir(tmp_path / "file" / "x")
