"""Plugins: how they are found, what they can add, and what happens where one is broken."""

import re
import sys
import textwrap
from importlib import metadata
from pathlib import Path

import pytest
from harness import m, publish
from peer import Peer

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


async def test_the_plugin_of_the_manual_works(plugin):
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    async with open_broker(plugins=[plugin("\n".join(blocks))]) as broker:
        peer = await Peer.connect(broker)
        for queue in ("one", "two"):
            await peer.call(m("queue.declare", queue=queue))
            await peer.call(m("queue.bind", queue=queue, exchange="work", routing_key="k"))
        for _ in range(4):
            await peer.send(publish(b"task", "k", "work"))
        await peer.call(m("basic.qos"))
        assert [broker.message_count(queue) for queue in ("one", "two")] == [2, 2]
        await peer.close()


def test_every_hook_is_documented_and_called():
    page = PAGE.read_text()
    for hook in hooks.HOOKS:
        assert re.search(rf"{hook}\(", page)
        assert f"{hook}(" in hooks.__doc__
        assert f'"{hook}"' in Path(hooks.__file__).with_name("app.py").read_text()
