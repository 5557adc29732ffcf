"""Every test of the shell closes its sockets, also the one that fails."""

import pytest
from peer import Peer


@pytest.fixture(autouse=True)
def _no_sockets_left():
    yield
    Peer.hang_up_all()
