"""How log records look, where they go, and the exchange that repeats them as messages.

A record may carry `connection`, `channel`, `vhost` and `user` (in logging's `extra`); both formats show those that are
there. Nothing here sees a password.
"""

from __future__ import annotations

import functools
import json
import logging
import logging.handlers
import queue
import sys
import threading
import time
from collections import deque
from typing import Final, TextIO

import trio

from amqpd.broker import events
from amqpd.broker.vhost import DEFAULT_VHOST
from amqpd.runtime.driver import Driver
from amqpd.text import one_line
from amqpd.wire import tables

FIELDS: Final = ("connection", "channel", "vhost", "user")
WAITING_MAX: Final = 1000  # records waiting to be published to the log exchange; more are dropped
LINES_MAX: Final = 10_000  # lines waiting to be written to standard error
GATHER_S: Final = 0.02  # by which a line on standard error may be late
CLOSE_TIMEOUT_S: Final = 2.0

ROOT: Final = "amqpd"


def _timestamp(record: logging.LogRecord) -> str:
    return f"{_second(int(record.created))}.{int(record.msecs):03d}Z"


@functools.lru_cache(maxsize=2)
def _second(moment: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment))


def _fields(record: logging.LogRecord) -> dict[str, object]:
    """The fields of `extra` that say something. Channel 0 is the connection itself."""
    found = {name: getattr(record, name, None) for name in FIELDS}
    return {name: value for name, value in found.items() if value not in (None, "", 0)}


class TextFormatter(logging.Formatter):
    """`TIME LEVEL logger: message connection=... channel=... vhost=... user=...`; a traceback follows."""

    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {name}={_quoted(value)}" for name, value in _fields(record).items())
        line = f"{_timestamp(record)} {record.levelname} {record.name}: {one_line(record.getMessage())}{fields}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _quoted(value: object) -> str:
    text = one_line(str(value))
    return json.dumps(text, ensure_ascii=False) if not text or any(mark in text for mark in ' "=') else text


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, the fields that are there, and exception."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "time": _timestamp(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


def formatter(form: str) -> logging.Formatter:
    """The formatter of the setting `log.format`."""
    return JsonFormatter() if form == "json" else TextFormatter()


class StreamThread(logging.Handler):
    """Writes lines to a stream in a thread of its own: whoever reads the stream and stops must not stop the node.

    To wake a thread costs more than to format a line, so it writes what gathers within GATHER_S. LINES_MAX lines wait;
    more are dropped, and their number is written once there is room again.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream: Final = stream
        self._lines: Final[deque[str]] = deque()
        self._dropped = 0
        self._bell: Final[queue.SimpleQueue[None]] = queue.SimpleQueue()
        self._rung = False
        self._ending: Final = threading.Event()
        self._thread: Final = threading.Thread(target=self._run, name="amqpd log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        if len(self._lines) >= LINES_MAX:
            self._dropped += 1
            return
        if self._dropped:
            self._lines.append(f"{self._dropped} log lines were dropped: nobody read them in time\n")
            self._dropped = 0
        self._lines.append(self.format(record) + "\n")
        if not self._rung:
            self._rung = True
            self._bell.put(None)

    def _run(self) -> None:
        closed = False
        while not closed:
            self._bell.get()
            closed = self._ending.wait(GATHER_S)
            self._rung = False  # what comes from here on rings again
            self._write()

    def _write(self) -> None:
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        try:
            self._stream.write("".join(lines))
            self._stream.flush()
        except (OSError, ValueError):  # nobody is there to read, or the stream is closed
            pass

    def close(self) -> None:
        """Wait until what was logged is written, but no longer than CLOSE_TIMEOUT_S."""
        self._ending.set()
        self._bell.put(None)
        self._thread.join(CLOSE_TIMEOUT_S)
        super().close()


def configure(level: str, form: str, file: str) -> logging.Handler:
    """Send amqpd's records to `file`, or to standard error; returns the handler, to be closed. Raises OSError."""
    handler = logging.handlers.WatchedFileHandler(file) if file else StreamThread(sys.stderr)
    handler.setFormatter(formatter(form))
    root = logging.getLogger(ROOT)
    root.setLevel(level.upper())
    root.addHandler(handler)
    root.propagate = False
    return handler


class ExchangeHandler(logging.Handler):
    """Publishes records to the log exchange: the level is the routing key, the body the formatted line.

    Records may come from any thread and in the middle of a round, so they wait until trio's thread is free. What is
    logged while publishing is not published again. Must be made within a trio run; what comes after its end is dropped.
    """

    def __init__(self, driver: Driver, form: str) -> None:
        super().__init__()
        self.setFormatter(formatter(form))
        self.dropped = 0
        self._driver: Final = driver
        self._token: Final = trio.lowlevel.current_trio_token()
        self._waiting: Final[deque[logging.LogRecord]] = deque()
        self._publishing = False
        driver.broker.add_vhost(DEFAULT_VHOST).declare_system_exchange(events.LOG_EXCHANGE)

    def emit(self, record: logging.LogRecord) -> None:
        if self._publishing:
            return
        if len(self._waiting) >= WAITING_MAX:
            self.dropped += 1
            return
        self._waiting.append(record)
        try:
            self._token.run_sync_soon(self._publish_all, idempotent=True)
        except trio.RunFinishedError:
            self._waiting.clear()

    def _publish_all(self) -> None:
        self._publishing = True
        try:
            with self._driver.round():
                while self._waiting:
                    self._publish(self._waiting.popleft())
        finally:
            self._publishing = False

    def _publish(self, record: logging.LogRecord) -> None:
        broker = self._driver.broker
        body = self.format(record).encode("utf-8", "backslashreplace")
        headers = [("node", tables.longstr(broker.name)), ("logger", tables.longstr(record.name))]
        level = record.levelname.lower()
        events.publish_system(broker, events.LOG_EXCHANGE, level, headers, body, int(record.created))
