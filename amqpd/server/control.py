"""The control socket: `DATA_DIR/amqpd.sock`, for `amqpctl` and whoever may act as the node's owner (mode 0600).

The protocol: the client sends a line with a JSON object, the node answers with one, any number of times over.

    -> {"command": "list", "what": "queues"}
    <- {"ok": true, "result": [...]}
    -> {"command": "no such"}
    <- {"ok": false, "error": "why"}

What can be asked stands in `operator`. Slow or idle operators keep nothing but their own task waiting.
"""

from __future__ import annotations

import json
import logging
from typing import Final

import trio

from amqpd.server.hub import Hub
from amqpd.server.listeners import listen_unix
from amqpd.server.operator import Operator, Refused

log = logging.getLogger("amqpd.operator")

REQUEST_MAX: Final = 65_536  # bytes
MODE: Final = 0o600


class ControlServer:
    """Answers operators. `path` is where the socket is."""

    def __init__(self, hub: Hub, operator: Operator) -> None:
        self._hub: Final = hub
        self._operator: Final = operator

    async def serve(self, path: str, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen at `path` until cancelled. Raises ConfigError where that cannot be done."""
        listener = listen_unix(path, MODE)
        try:
            stream = trio.SocketListener(trio.socket.from_stdlib_socket(listener.sock))
            task_status.started()
            await trio.serve_listeners(self._converse, [stream])
        finally:
            listener.close()

    async def _converse(self, stream: trio.SocketStream) -> None:
        try:
            waiting = b""
            while data := await stream.receive_some(REQUEST_MAX):
                *lines, waiting = (waiting + data).split(b"\n")
                for line in lines:
                    await stream.send_all(self.answer(line) + b"\n")
                if len(waiting) > REQUEST_MAX:
                    return
        except trio.BrokenResourceError:
            pass
        finally:
            await trio.aclose_forcefully(stream)

    def answer(self, line: bytes) -> bytes:
        """The answer to one request, without its line end. Never raises."""
        try:
            with self._hub.driver.round():
                result = self._operator.do(json.loads(line))
            return json.dumps({"ok": True, "result": result}).encode()
        except Refused as refusal:
            return json.dumps({"ok": False, "error": str(refusal)}).encode()
        except (ValueError, RecursionError):
            return json.dumps({"ok": False, "error": "a request is one line of JSON"}).encode()
        except Exception:
            log.exception("internal error in a command")
            return json.dumps({"ok": False, "error": "internal error; the node's log says more"}).encode()
