"""The real server as a process of its own: started on a data directory, killed, stopped, started again.

`AMQPD` in the environment names another amqpd than the one of this interpreter: a compiled one, for example. Everything
that a server logs goes to `log`, over all its lives, for whoever looks into a failure.
"""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pika

START_S = 30.0  # how long a start may take: a hundred times what it needs
END_S = 30.0
BLOCKED_S = 3.0  # who may not publish for so long hangs up
SETTINGS = {"password_hashing": "sha256", "shutdown_timeout": "5s", "heartbeat": "60s"}
LISTENING = re.compile(rb"listens on 127\.0\.0\.1:(\d+)")


class NoStart(Exception):
    """It ended before it listened: `code`, and the last lines in `text`."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"exit code {code}: {text}")
        self.code, self.text = code, text


def program() -> list[str]:
    """How amqpd is called."""
    named = os.environ.get("AMQPD", "")
    return [named] if named else [sys.executable, "-m", "amqpd"]


class Server:
    """`directory` is where its data and its log are. `prefix` is a command that runs it: strace, for example."""

    def __init__(self, directory: Path, prefix: list[str] | None = None, **settings: str | int) -> None:
        self.data = directory / "data"
        self.log = directory / "log"
        self.prefix = prefix or []
        self.command = program()
        self.settings: dict[str, str | int] = {**SETTINGS, **settings}
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def _arguments(self) -> list[str]:
        arguments = [*self.prefix, *self.command, "--listen", "127.0.0.1:0", "--data-dir", str(self.data)]
        for name, value in self.settings.items():
            arguments += ["--set", f"{name.replace('__', '.')}={value}"]
        return arguments

    def spawn(self) -> None:
        """Start, and do not wait."""
        with self.log.open("ab") as log:
            self.begun = log.tell()
            environment = {**os.environ, "PYTHONSAFEPATH": "1"}
            self.process = subprocess.Popen(self._arguments(), stdout=log, stderr=log, env=environment)

    def wait(self) -> int:
        """Until it listens. Returns the port. Raises NoStart."""
        assert self.process is not None
        end = time.monotonic() + START_S
        while True:
            found = LISTENING.search(self.said())
            if found:
                self.port = int(found[1])
                return self.port
            code = self.process.poll()
            if code is not None:
                self.process = None
                raise NoStart(code, self.said().decode(errors="replace").strip()[-1500:])
            if time.monotonic() > end:
                self.kill()
                raise NoStart(-1, f"it does not listen after {START_S:.0f} s")
            select.select([], [], [], 0.005)

    def start(self) -> int:
        self.spawn()
        return self.wait()

    def refusal(self) -> str:
        """Start. Returns nothing, or the one line that says why it ended, which has to be with exit code 1."""
        code, text = 0, ""
        try:
            self.start()
        except NoStart as error:
            code, text = error.code, error.text
        if not code:
            return ""
        assert code == 1, f"exit code {code}: {text}"
        assert "Traceback" not in text, text
        return text.splitlines()[-1]

    def refused(self) -> str:
        """Start, which has to fail. Returns why."""
        why = self.refusal()
        self.kill()
        assert why, "it has started"
        return why

    def said(self) -> bytes:
        """What it has logged since it was started last."""
        with self.log.open("rb") as log:
            log.seek(self.begun)
            return log.read()

    def last_line(self) -> str:
        return self.said().decode(errors="replace").strip().splitlines()[-1]

    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        if self.process is not None:
            self.process.kill()
            self.ended()

    def terminate(self) -> None:
        """SIGTERM, and do not wait."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)

    def ended(self) -> int:
        """Wait for its end. Returns the exit code."""
        assert self.process is not None
        process, self.process = self.process, None
        try:
            return process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"it does not end within {END_S:.0f} s") from None

    def stop(self) -> int:
        """SIGTERM, and wait. Returns the exit code."""
        self.terminate()
        return self.ended()

    def parameters(self) -> pika.ConnectionParameters:
        return pika.ConnectionParameters("127.0.0.1", self.port, heartbeat=0, blocked_connection_timeout=BLOCKED_S)

    def connect(self) -> pika.BlockingConnection:
        return pika.BlockingConnection(self.parameters())
