"""Settings that change while a node runs: who obeys them, what is said of the others, and what a mistake changes."""

import logging
import shutil
from contextlib import asynccontextmanager, closing

import pytest
import trio
from harness import PROTOCOL_HEADER, m
from peer import Peer
from secure import Pki, TlsPeer

from amqpd import reloading
from amqpd.app import Node
from amqpd.config import SETTINGS, Sources, load
from amqpd.reloading import APPLIERS
from amqpd.runtime import watch
from amqpd.runtime.datadir import DataDir
from amqpd.testing.broker import DEFAULTS, Broker

BASE = {**DEFAULTS, "config_watch": 0}


@pytest.fixture
def scene(tmp_path, caplog):
    level = logging.getLogger("amqpd").level
    caplog.set_level("INFO", logger="amqpd")
    yield Scene(tmp_path / "amqpd.toml", caplog)
    logging.getLogger("amqpd").setLevel(level)
    Peer.hang_up_all()


class Scene:
    """A file, a node that has its settings from there, and what it logs of them."""

    def __init__(self, path, caplog):
        self.path = path
        self._caplog = caplog
        self.options = dict(BASE)

    def write(self, text):
        self.path.write_text(text)

    @asynccontextmanager
    async def node(self, data_dir=None):
        sources = Sources(self.path, options=self.options)
        node = Node(load(sources), data_dir, sources)
        async with trio.open_nursery() as nursery:
            await nursery.start(node.run)
            yield node
            node.stop()

    async def reload(self, node):
        """What is logged, until the reload is done."""
        self._caplog.clear()
        done = trio.Event()
        handler = Told(done)
        reloading.log.addHandler(handler)
        try:
            node.reload()
            with trio.fail_after(30):
                await done.wait()
        finally:
            reloading.log.removeHandler(handler)
        return [message for message in self._caplog.messages if message.startswith("configuration: ")]


class Told(logging.Handler):
    """Sets an event once the last of a reload's lines was logged: those come without a pause between them."""

    def __init__(self, event):
        super().__init__()
        self._event = event

    def emit(self, record):
        if record.getMessage().startswith("configuration: "):
            self._event.set()


def test_the_settings_that_can_be_reloaded_are_those_that_have_an_applier():
    applied = {name for names in APPLIERS.values() for name in names}
    assert applied == {name for name, setting in SETTINGS.items() if setting.reloadable}


# Whatever is not reloadable is not here; what is, has another value.
CHANGED = {
    "heartbeat": (7, lambda node: node.broker.limits.heartbeat_s),
    "connection_max": (7, lambda node: node.broker.limits.connection_max),
    "default_queue_type": ("quorum", lambda node: node.broker.limits.default_queue_type),
    "log.level": ("debug", lambda node: logging.getLevelName(logging.getLogger("amqpd").level).lower()),
    "shutdown_timeout": (7, lambda node: node.settings.number("shutdown_timeout")),
    "config_watch": (7000, lambda node: node.settings.number("config_watch")),
    "vm_memory_high_watermark": (2**61, lambda node: node._reloader._parts.memory.high_bytes),
    "handshake_max": (7, lambda node: node.hub._handshake_max),
    "loopback_users": (["me"], lambda node: sorted(node.authenticator._loopback_users)),
    "password_hashing": ("sha512", lambda node: node.rules._algorithm.removeprefix("rabbit_password_hashing_")),
    "trusted_proxies": (["10.0.0.0/8"], lambda node: ["10.0.0.0/8"] * ("10.1.2.3" in node.hub._trusted_proxies)),
}


@pytest.mark.parametrize("name", CHANGED)
async def test_a_changed_setting_is_obeyed(scene, name):
    value, now = CHANGED[name]
    scene.options.pop(name, None)
    scene.write("")
    if name in DEFAULTS:
        scene.write(f"{name} = {SETTINGS[name].kind.shown(DEFAULTS[name])}")
    async with scene.node() as node:
        assert now(node) != value
        scene.write(f"{name} = {SETTINGS[name].kind.shown(value)}\n")
        said = await scene.reload(node)
        assert now(node) == value
        assert node.settings.value(name) == value
        assert said == [f"configuration: {name} is now {SETTINGS[name].kind.shown(value)} ({scene.path}, line 1)"]


@pytest.fixture
def data_dir(tmp_path):
    with closing(DataDir(tmp_path / "data")) as data_dir:
        yield data_dir


async def test_a_changed_limit_of_free_space_is_obeyed(scene, data_dir):
    scene.write("disk_free_limit = 2")
    async with scene.node(data_dir) as node:
        assert (node.disk.limit_bytes, node.broker.alarms.active) == (2, False)
        scene.write(f"disk_free_limit = {2**62}")
        await scene.reload(node)
        assert node.disk.limit_bytes == 2**62
        await trio.testing.wait_all_tasks_blocked()
        assert node.broker.alarms.reason() == "low on disk"


async def test_the_key_file_is_watched_and_read_again(scene, data_dir, tmp_path, caplog):
    keys = tmp_path / "keys"
    keys.touch(0o600)
    first, second = "a1 " + "11" * 32, "b2 " + "22" * 32
    keys.write_text(first)
    scene.write(f'encryption.key_file = "{keys}"')
    async with scene.node(data_dir) as node:
        assert keys in node._reloader.files()
        keys.write_text(f"{second}\n{first}\n")
        assert await scene.reload(node) == ["configuration: read again; no setting has changed"]
        assert "new files are encrypted with key b2" in caplog.messages
        keys.write_text(f"{second} {first}")
        said = await scene.reload(node)
        assert said[0].startswith(f"configuration: key file {keys}, line 1: 4 words")
        assert said[-1] == "configuration: nothing of it was changed"
        assert second[3:] not in caplog.text


async def offered_heartbeat(node):
    peer = await Peer.dial(Broker(node))
    await peer.stream.send_all(PROTOCOL_HEADER)
    await peer.expect("connection.start")
    await peer.send(m("connection.start-ok", mechanism="PLAIN", response=b"\0guest\0guest", locale="en_US"), 0)
    return (await peer.expect("connection.tune")).heartbeat


async def test_a_client_that_comes_later_sees_it(scene):
    scene.write("heartbeat = 7")
    async with scene.node() as node:
        assert await offered_heartbeat(node) == 7
        scene.write("heartbeat = 8")
        await scene.reload(node)
        assert await offered_heartbeat(node) == 8


async def test_what_needs_a_restart_is_named_each_time(scene):
    scene.write("")
    async with scene.node() as node:
        scene.write('data_dir = "/elsewhere"\ndefault_user = "me"\n[log]\nformat = "json"\n')
        for _ in range(2):
            assert await scene.reload(node) == [
                f"configuration: data_dir has changed ({scene.path}, line 1): that needs a restart",
                f"configuration: log.format has changed ({scene.path}, line 4): that needs a restart",
                f"configuration: default_user has changed ({scene.path}, line 2): that matters to a new database only",
            ]
        assert node.settings.text("data_dir") == "amqpd-data"
        scene.write("")
        assert await scene.reload(node) == ["configuration: read again; no setting has changed"]


async def test_a_setting_that_is_gone_has_its_default_again(scene):
    scene.write("heartbeat = 7")
    async with scene.node() as node:
        scene.write("")
        assert await scene.reload(node) == ["configuration: heartbeat is now 60 (default)"]
        assert node.broker.limits.heartbeat_s == 60


async def test_a_mistake_changes_nothing_and_all_are_named(scene):
    scene.write("heartbeat = 7")
    async with scene.node() as node:
        scene.write("heartbeat = 8\nchannel_max = 0\nframe_mux = 1\n")
        assert await scene.reload(node) == [
            f"configuration: {scene.path}, line 2: channel_max: 0 is not allowed; allowed: 1 to 65535",
            f"configuration: {scene.path}, line 3: there is no setting frame_mux; did you mean frame_max?",
            "configuration: nothing of it was changed",
        ]
        assert (node.settings.number("heartbeat"), node.broker.limits.heartbeat_s) == (7, 7)
        scene.path.unlink()
        assert "cannot be read: No such file or directory" in (await scene.reload(node))[0]
        scene.write("heartbeat = 9")
        await scene.reload(node)
        assert node.broker.limits.heartbeat_s == 9


async def test_what_only_the_node_can_find_wrong_changes_nothing_either(scene):
    """The rule for passwords is obeyed before the chain of backends turns out to be wrong."""
    scene.write("")
    async with scene.node() as node:
        scene.write(
            'auth_backends = ["nobody"]\nloopback_users = []\nheartbeat = 8\n'
            '[credential_validator]\nvalidation_backend = "min_password_length"\nmin_length = 100\n'
        )
        said = await scene.reload(node)
        assert said[0].startswith("configuration: auth_backends: there is no backend 'nobody'")
        assert said[1:] == ["configuration: nothing of it was changed"]
        assert node.settings.names("auth_backends") == ["internal"]
        assert node.broker.limits.heartbeat_s == 60
        node.rules.put_user("me", "short")  # as before


async def test_an_internal_error_changes_nothing_either(scene, monkeypatch):
    scene.write("heartbeat = 7")
    async with scene.node() as node:
        with monkeypatch.context() as patched:
            patched.setattr(reloading, "load", lambda _sources: 1 / 0)
            assert await scene.reload(node) == ["configuration: internal error while it was read again"]
        scene.write("heartbeat = 8")
        await scene.reload(node)
        assert node.broker.limits.heartbeat_s == 8


async def test_a_secret_is_not_logged(scene, tmp_path):
    scene.write("")
    async with scene.node() as node:
        scene.write('ssl_options.password = "hunter2"\ndefault_pass = "hunter2"\n')
        assert await scene.reload(node) == [
            f"configuration: ssl_options.password is now another value ({scene.path}, line 1)",
            f"configuration: default_pass has changed ({scene.path}, line 2): that matters to a new database only",
        ]


async def test_a_warning_is_logged_when_it_is_new(scene, tmp_path):
    scene.path = tmp_path / "rabbitmq.conf"
    scene.write("mqtt.vhost = /\n")
    async with scene.node() as node:
        scene.write("mqtt.vhost = /\nstomp.login_timeout = 1\n")
        said = await scene.reload(node)
        assert len(said) == 2
        assert said[0].startswith(f"configuration: {scene.path}, line 2: stomp.login_timeout: amqpd has nothing")


@pytest.fixture
def tls(scene, tmp_path):
    """The scene with a TLS listener; its certificate may be replaced by `renewed`."""
    pki = Pki(tmp_path)
    TlsPeer.context = pki.client()
    scene.pki = pki
    scene.options |= {name.replace("__", "."): value for name, value in pki.options().items()}
    scene.write("")
    return scene


async def test_a_certificate_that_was_replaced_is_read_again(tls):
    async with tls.node() as node:
        before = node.tls._now
        shutil.copy(tls.pki.issue("renewed.pem", Pki.host), tls.pki.server_file)
        said = await tls.reload(node)
        assert said == ["configuration: read again; no setting has changed"]
        assert node.tls._now is not before


async def test_a_certificate_that_is_wrong_keeps_all_as_it_was(tls):
    async with tls.node() as node:
        before = node.tls._now
        tls.write("heartbeat = 7\nloopback_users = []\n")
        tls.pki.write("server.pem", b"nonsense")
        said = await tls.reload(node)
        assert said[0].startswith(f"configuration: ssl_options.certfile: {tls.pki.server_file}")
        assert said[1:] == ["configuration: nothing of it was changed"]
        assert node.tls._now is before
        assert node.broker.limits.heartbeat_s == 60
        assert node.authenticator._loopback_users == {"guest"}


async def test_what_fits_together_only_after_a_restart_changes_nothing(tls):
    """The listener would be there still, and its certificate no more."""
    async with tls.node() as node:
        tls.options.update({"tls_listeners": [], "ssl_options.certfile": "", "ssl_options.cacertfile": ""})
        assert await tls.reload(node) == [
            "configuration: tls_listeners need a certificate: set ssl_options.certfile",
            "configuration: that is how it would be until a restart: restart the node",
            "configuration: nothing of it was changed",
        ]
        assert node.settings.text("ssl_options.certfile") == tls.pki.server_file


async def test_the_files_to_watch_are_those_of_the_configuration_and_of_tls(tls):
    async with tls.node() as node:
        files = node._reloader.files()
        assert set(map(str, files)) == {str(tls.path), tls.pki.server_file, tls.pki.ca_file}


async def test_a_file_that_changes_is_obeyed(scene, monkeypatch):
    monkeypatch.setattr(watch, "SETTLE_S", 0.001)
    scene.options["config_watch"] = 1
    scene.write("heartbeat = 7")
    async with scene.node() as node:
        with trio.fail_after(30):
            while node.broker.limits.heartbeat_s != 8:  # nobody says when the first look was
                scene.write("heartbeat = 8")
                await trio.sleep(0.05)


async def test_a_node_without_sources_has_nothing_to_reload():
    node = Node(load(Sources(options=BASE)))
    async with trio.open_nursery() as nursery:
        await nursery.start(node.run)
        node.reload()
        node.stop()
