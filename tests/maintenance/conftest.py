import pytest
from maintenance import building


@pytest.fixture(scope="session")
def _sound(tmp_path_factory):
    return building.build(tmp_path_factory.mktemp("sound") / "data")


@pytest.fixture(scope="session")
def key_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("keys") / "keys"
    path.touch(0o600)
    path.write_text(building.KEYS)
    return path


@pytest.fixture(scope="session")
def _encrypted(tmp_path_factory, key_file):
    return building.build(tmp_path_factory.mktemp("encrypted") / "data", encryption__key_file=str(key_file))


@pytest.fixture
def data_dir(_sound, tmp_path):
    """The data directory of a node that was stopped."""
    return building.copied(_sound, tmp_path / "data")


@pytest.fixture
def encrypted(_encrypted, tmp_path):
    """The same, encrypted."""
    return building.copied(_encrypted, tmp_path / "encrypted")


@pytest.fixture(autouse=True)
def _hang_up():
    yield
    building.Peer.hang_up_all()
