"""Plugins: how they are found, what they can add, and what happens where one is broken."""

import re
import sys
import textwrap
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from harness import PROTOCOL_HEADER, m, publish
from peer import Peer, until

from amqpd import hooks
from amqpd.errors import ConfigError
from amqpd.testing import open_broker

PAGE = Path(__file__).resolve().parents[1] / "docs" / "plugins.md"
MIRROR = '''
    """Routes to the queues whose binding key is the routing key backwards."""

    from amqpd.broker.exchanges.contract import ExchangeType

    class Mirror(ExchangeType):
        def __init__(self, arguments):
            super().__init__(arguments)
            self.bindings = {}

        def add(self, binding):
            self.bindings.setdefault(binding.key[::-1], []).append(binding.destination)

        def remove(self, binding):
            self.bindings[binding.key[::-1]].remove(binding.destination)

        def match(self, key, message, found):
            for destination in self.bindings.get(key, ()):
                found[destination] = None

    def register_exchange_types(registry):
        registry.register("x-mirror", Mirror)

    def on_start(broker):
        broker.vhosts["/"].declare_exchange("mirror", "x-mirror", True, False, False, [])
'''


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Write a module that can be imported; returns its name."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(text, name="a_plugin"):
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
        monkeypatch.delitem(sys.modules, name, raising=False)
        return name

    return write


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Have a package installed that names entry points."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(entry_points):
        folder = tmp_path / "some_package-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: some-package\nVersion: 1.0\n")
        lines = [f"{name} = {value}" for name, value in entry_points.items()]
        (folder / "entry_points.txt").write_text("\n".join(["[amqpd.plugins]", *lines]))

    return install


async def test_an_interpreted_exchange_type_routes(plugin):
    async with open_broker(plugins=[plugin(MIRROR)]) as broker:
        peer = await Peer.connect(broker)
        await peer.call(m("exchange.declare", exchange="mirror", passive=True))  # by on_start
        await peer.call(m("exchange.declare", exchange="mine", type="x-mirror"))
        await peer.call(m("queue.declare", queue="q"))
        await peer.call(m("queue.bind", queue="q", exchange="mine", routing_key="abc"))
        await peer.call(m("basic.consume", queue="q", no_ack=True))
        await peer.send(publish(b"no", "abc", "mine"))
        await peer.send(publish(b"yes", "cba", "mine"))
        assert (await peer.expect("basic.deliver")).body == b"yes"
        await peer.call(m("queue.unbind", queue="q", exchange="mine", routing_key="abc"))
        await peer.send(publish(b"again", "cba", "mine", mandatory=True))
        assert (await peer.expect("basic.return")).body == b"again"
        await peer.close()


async def test_without_the_plugin_there_is_no_such_type():
    async with open_broker() as broker:
        peer = await Peer.connect(broker)
        await peer.send(m("exchange.declare", exchange="mine", type="x-mirror"))
        assert (await peer.expect("channel.close")).reply_code == 406
        await peer.stream.aclose()


def test_an_installed_package_names_its_plugins(plugin, installed):
    installed({"mirror": plugin(MIRROR)})
    assert "some-package" in {point.dist.name for point in metadata.entry_points(group=hooks.GROUP)}
    (found,) = [plugin for plugin in hooks.load([]) if plugin.name == "a_plugin"]
    assert found.origin == "entry point mirror of some-package"


def test_a_plugin_that_is_named_twice_is_loaded_once(plugin, installed):
    name = plugin(MIRROR)
    installed({"mirror": name})
    assert [plugin.name for plugin in hooks.load([name, name])] == [name]


def test_a_plugin_may_define_nothing(plugin):
    for loaded in hooks.load([plugin("")]):
        for hook in hooks.HOOKS:
            loaded.call(hook, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import no_such_thing", "cannot be loaded: ModuleNotFoundError: No module named 'no_such_thing'"),
        ("1 / 0", "cannot be loaded: ZeroDivisionError: division by zero"),
        ("def register_exchange_types(registry): registry.no", "register_exchange_types failed: AttributeError"),
        (
            "def register_exchange_types(registry): registry.register('direct', None)",
            "register_exchange_types failed: ValueError: exchange type 'direct' is registered already",
        ),
        ("def on_start(broker): raise RuntimeError('no')", "on_start failed: RuntimeError: no"),
    ],
)
async def test_a_broken_plugin_is_named_and_nothing_starts(plugin, text, message):
    with pytest.raises((ConfigError, ExceptionGroup)) as failed:
        async with open_broker(plugins=[plugin(text)]):
            pass
    error = failed.value
    while isinstance(error, ExceptionGroup):
        (error,) = error.exceptions
    assert isinstance(error, ConfigError)
    assert str(error).startswith("plugin a_plugin (setting plugins)")
    assert message in str(error)


def test_an_entry_point_that_is_no_module_is_refused(plugin, installed):
    installed({"mirror": plugin(MIRROR) + ":on_start"})
    with pytest.raises(ConfigError, match=r"plugin a_plugin \(entry point mirror of some-package\) is no module"):
        hooks.load([])


def blocks(*hooks_wanted):
    """The code in the manual's sections about these hooks."""
    sections = PAGE.read_text().split("\n## ")
    wanted = [section for section in sections if section.startswith(tuple(f"`{hook}(" for hook in hooks_wanted))]
    assert len(wanted) == len(hooks_wanted)
    return "\n".join(re.findall(r"^```python\n(.*?)^```", "\n".join(wanted), re.DOTALL | re.MULTILINE))


async def test_the_plugin_of_the_manual_works(plugin):
    async with open_broker(plugins=[plugin(blocks("register_exchange_types", "on_start"))]) as broker:
        peer = await Peer.connect(broker)
        for queue in ("one", "two"):
            await peer.call(m("queue.declare", queue=queue))
            await peer.call(m("queue.bind", queue=queue, exchange="work", routing_key="k"))
        for _ in range(4):
            await peer.send(publish(b"task", "k", "work"))
        await peer.call(m("basic.qos"))
        assert [broker.message_count(queue) for queue in ("one", "two")] == [2, 2]
        await peer.close()


class Service:
    """It knows carol, who may enter `/` and use what begins with `shop`. It answers when `gate` is set."""

    def __init__(self):
        self.gate = threading.Event()
        self.asked = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                fields = dict(parse_qsl(body))
                service.asked.append((self.path, fields))
                service.gate.wait()
                answer = service.answer(self.path, fields).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/auth"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def answer(self, path, fields):
        if fields["username"] != "carol":
            return "deny"
        if path == "/auth/user":
            return "allow monitoring policymaker" if fields["password"] == "s3cret" else "deny"
        if path == "/auth/vhost":
            return "allow" if fields["vhost"] == "/" else "deny"
        return "allow" if fields["name"].startswith("shop") else "deny"

    def close(self):
        self.gate.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def service(monkeypatch):
    service = Service()
    monkeypatch.setenv("WEB_USERS_URL", service.url)
    yield service
    service.close()


async def log_in(broker, user, password):
    """A client that has said who it is, and waits for the answer."""
    peer = await Peer.dial(broker)
    await peer.stream.send_all(PROTOCOL_HEADER)
    await peer.expect("connection.start")
    capabilities = {"capabilities": {"authentication_failure_close": True}}
    response = f"\0{user}\0{password}".encode()
    start_ok = m("connection.start-ok", client_properties=capabilities, mechanism="PLAIN", response=response, locale="")
    await peer.send(start_ok, 0)
    return peer


async def test_the_backend_of_the_manual_works_and_nobody_waits_for_it(plugin, service):
    options = {"plugins": [plugin(blocks("register_auth_backends"))], "auth_backends": ["internal", "web"]}
    async with open_broker(**options) as broker:
        carol, guess = await log_in(broker, "carol", "s3cret"), await log_in(broker, "carol", "guess")
        await until(lambda: len(service.asked) == 2)
        guest = await Peer.connect(broker)  # the service has not answered yet
        await guest.call(m("queue.declare", queue="shop.orders"))
        service.gate.set()
        assert (await guess.expect("connection.close")).reply_code == 403
        await carol.expect("connection.tune")
        await carol.send(m("connection.tune-ok", channel_max=2047, frame_max=131_072, heartbeat=0), 0)
        await carol.call(m("connection.open", virtual_host="/"), channel=0)
        users = [session.connection.user for session in broker.node.hub.sessions if session.connection.user]
        assert {user.name: user.tags for user in users}["carol"] == {"monitoring", "policymaker"}
        await carol.call(m("channel.open"))
        service.gate.clear()
        await carol.send(m("queue.declare", queue="shop.orders", passive=True))
        await until(lambda: service.asked[-1][0] == "/auth/resource")
        await guest.call(m("queue.declare", queue="others"))  # again nobody waits but carol
        service.gate.set()
        await carol.expect("queue.declare-ok")
        await carol.send(m("queue.declare", queue="till"))
        closed = await carol.expect("channel.close")
        assert "configure access to queue 'till' in vhost '/' refused for user 'carol'" in closed.reply_text
        await guest.close()


def test_every_hook_is_documented_and_called():
    page = PAGE.read_text()
    for hook in hooks.HOOKS:
        assert re.search(rf"{hook}\(", page)
        assert f"{hook}(" in hooks.__doc__
        assert f'"{hook}"' in Path(hooks.__file__).with_name("app.py").read_text()
