"""The control socket: `DATA_DIR/amqpd.sock`, for `amqpctl` and whoever may act as the node's owner (mode 0600).

The protocol: the client sends a line with a JSON object, the node answers with one, any number of times over.

    -> {"command": "list", "what": "queues"}
    <- {"ok": true, "result": [...]}
    -> {"command": "no such"}
    <- {"ok": false, "error": "why"}

A request with a "size" is followed by that many bytes, a definitions file. What can be asked stands in `operator`. Slow
or idle operators keep nothing but their own task waiting; a long list is sent as it is made, a piece at a time.

Limits: REQUEST_MAX for a line, BODY_MAX for what follows it. One such body is held at a time: others wait for their
turn, and who has it must send, or is cut off after BODY_PAUSE_S without a byte.
"""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NoReturn

import trio

from amqpd.broker.ports import Peer
from amqpd.server.listeners import listen_unix
from amqpd.server.operator import Json, Operator, Refused
from amqpd.server.reports import Rows

if TYPE_CHECKING:
    from amqpd.server.contexts import TlsContexts

log = logging.getLogger("amqpd.operator")

REQUEST_MAX: Final = 65_536  # bytes
BODY_MAX: Final = 67_108_864  # bytes
BODY_PAUSE_S: Final = 30.0
ROWS_AT_ONCE: Final = 500  # some milliseconds
MODE: Final = 0o600


class ControlServer:
    """Answers operators."""

    def __init__(self, operator: Operator) -> None:
        self._operator: Final = operator
        self._body_turn: Final = trio.Lock()

    async def serve(self, path: str, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen at `path` until cancelled. Raises ConfigError where that cannot be done."""
        listener = listen_unix(path, MODE)
        try:
            async with trio.open_nursery() as nursery:

                def admit(sock: socket.socket, _name: str, _peer: Peer, _contexts: TlsContexts | None) -> None:
                    nursery.start_soon(self._converse, sock)

                task_status.started()
                await listener.accept(admit)
        finally:
            listener.close()

    async def _converse(self, sock: socket.socket) -> None:
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
        conversation = Conversation(stream)
        try:
            while (line := await conversation.line()) is not None:
                if not await self._answer(conversation, line):
                    return
        except (trio.BrokenResourceError, trio.TooSlowError):
            pass  # who asked has gone; what was begun is done
        finally:
            await trio.aclose_forcefully(stream)

    async def _answer(self, conversation: Conversation, line: bytes) -> bool:
        """Answer one request. False when the conversation cannot go on."""
        try:
            request = _parsed(line)
            size = request.get("size") if isinstance(request, dict) else None
            if size is None:
                result = await self._operator.do(request)
            else:
                if isinstance(size, bool) or not isinstance(size, int) or not 0 < size <= BODY_MAX:
                    await conversation.send(_refusal(Refused(f"the request's 'size' is 1 to {BODY_MAX}, in bytes")))
                    return False
                async with self._body_turn:
                    result = await self._operator.do(request, await conversation.body(size))
        except Refused as refusal:
            await conversation.send(_refusal(refusal))
        except (trio.BrokenResourceError, trio.TooSlowError):
            raise
        except Exception:
            log.exception("internal error in a command")
            await conversation.send(_refusal(Refused("internal error; the node's log says more")))
        else:
            return await self._send(conversation, result)
        return True

    async def _send(self, conversation: Conversation, result: object) -> bool:
        """Send an answer; others have their turn after each piece. Where it fails, it just ends."""
        try:
            for piece in _pieces(result):
                await conversation.send(piece)
        except trio.BrokenResourceError:
            raise
        except Exception:
            log.exception("internal error in an answer")
            return False
        return True


class Conversation:
    """One operator's connection: what comes in, as lines and bodies."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream: Final = stream
        self._waiting = bytearray()

    async def line(self) -> bytes | None:
        """The next line, without its end; None when there is no more, or it is too long."""
        searched = 0
        while (end := self._waiting.find(b"\n", searched)) < 0:
            searched = len(self._waiting)
            if searched > REQUEST_MAX or not await self._more():
                return None
        line = bytes(self._waiting[:end])
        del self._waiting[: end + 1]
        return line

    async def body(self, size: int) -> bytes:
        """The next `size` bytes. Raises BrokenResourceError if they do not come, TooSlowError if too slowly."""
        while len(self._waiting) < size:
            with trio.fail_after(BODY_PAUSE_S):
                if not await self._more():
                    raise trio.BrokenResourceError
        body = bytes(self._waiting[:size])
        del self._waiting[:size]
        return body

    async def _more(self) -> bool:
        data = await self._stream.receive_some(REQUEST_MAX)
        self._waiting += data
        return bool(data)

    async def send(self, data: bytes) -> None:
        """Send; returns when it is taken. Raises BrokenResourceError."""
        await self._stream.send_all(data)


def _parsed(line: bytes) -> object:
    try:
        return json.loads(line, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise Refused("a request is one line of JSON") from None


def _no_number(_text: str) -> NoReturn:
    raise ValueError


def _refusal(refusal: Refused) -> bytes:
    answer: dict[str, object] = {"ok": False, "error": str(refusal)}
    if refusal.details:
        answer["details"] = refusal.details
    return json.dumps(answer).encode() + b"\n"


def _pieces(result: object) -> Iterator[bytes]:
    """An answer's line, in one piece unless it is long: a node that is told to stop may be gone before a second."""
    begin, end = b'{"ok": true, "result": ', b"}\n"
    if isinstance(result, Json):
        yield begin
        yield result.encoded
        yield end
    elif isinstance(result, Rows):
        before = begin + b"["
        for rows in result.pieces(ROWS_AT_ONCE):
            if rows:
                yield before + json.dumps(rows)[1:-1].encode()
                before = b", "
        yield (b"]" if before == b", " else before + b"]") + end
    else:
        yield begin + json.dumps(result).encode() + end
