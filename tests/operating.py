"""A node with a data directory, and the other end of its control socket, in the test's own trio run."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager

import trio

from amqpd.app import Node
from amqpd.config import Settings
from amqpd.runtime.datadir import DataDir
from amqpd.testing import Broker

SETTINGS = {
    "listeners": ["127.0.0.1:0"],
    "vm_memory_high_watermark": 2**62,
    "shutdown_timeout": 100,
    "password_hashing": "sha256",
    "login_delay_after": 0,
}


@asynccontextmanager
async def running(path, **settings):
    """A node that keeps its definitions in `path`, as amqpd.testing's Broker; settings with `__` for the dot."""
    directory = DataDir(path)
    try:
        given = {name.replace("__", "."): value for name, value in settings.items()}
        node = Node(Settings({**SETTINGS, **given}), directory)
        async with trio.open_nursery() as nursery:
            await nursery.start(node.run)
            yield Broker(node)
            node.stop()
    finally:
        directory.close()


class Operator:
    """Whoever speaks to the control socket."""

    def __init__(self, stream):
        self.stream = stream
        self.rest = b""

    async def answer(self):
        while b"\n" not in self.rest:
            data = await self.stream.receive_some(65_536)
            if not data:
                raise trio.EndOfChannel
            self.rest += data
        line, self.rest = self.rest.split(b"\n", 1)
        return json.loads(line)

    async def raw(self, data):
        await self.stream.send_all(data)
        return await self.answer()

    async def request(self, command, body=b"", **details):
        line = json.dumps({"command": command, **details, **({"size": len(body)} if body else {})})
        return await self.raw(line.encode() + b"\n" + body)

    async def ask(self, command, body=b"", **details):
        """The result."""
        answer = await self.request(command, body, **details)
        assert answer["ok"], answer
        return answer["result"]

    async def refused(self, command, body=b"", **details):
        """Why it is refused."""
        answer = await self.request(command, body, **details)
        assert answer["ok"] is False, answer
        return answer["error"]

    async def order(self, order, **fields):
        """Have an order carried out."""
        return await self.ask("apply", order={"order": order, **fields})

    async def import_(self, document, **details):
        """The whole answer to an import."""
        return await self.request("import", json.dumps(document).encode(), **details)


@asynccontextmanager
async def operator_of(broker):
    """An operator of a node with a data directory."""
    path = str(broker.node.data_dir.control_path)
    async with await trio.open_unix_socket(path) as stream:
        yield Operator(stream)
