"""Every test of the shell closes its sockets, also the one that fails. One authority serves the whole test run."""

import pytest
from peer import Peer
from secure import Pki, TlsPeer


@pytest.fixture(autouse=True)
def _no_sockets_left():
    yield
    Peer.hang_up_all()


@pytest.fixture(scope="session")
def pki(tmp_path_factory):
    pki = Pki(tmp_path_factory.mktemp("pki"))
    TlsPeer.context = pki.client()
    return pki
