"""One broker process: started on a free port with an empty directory, watched, and stopped again.

The kinds are amqpd from the two environments of the Makefile, and RabbitMQ where bench/rabbitmq finds one. A node is
of the kind it was asked to be, or it does not start: amqpd's first log line says whether the message path is compiled.
This module does not talk AMQP beyond the first eight octets, which tell when a node takes connections.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from bench import figures

__all__ = ["AMQPD", "KINDS", "Node", "NodeError", "available", "rabbitmq_version", "raise_file_limit"]

ROOT = Path(__file__).resolve().parents[1]
AMQPD = {
    "compiled": ROOT / ".venv-compiled" / "bin" / "amqpd",
    "interpreted": ROOT / ".venv" / "bin" / "amqpd",
}
RABBITMQ = ROOT / "bench" / "rabbitmq"
KINDS = (*AMQPD, "rabbitmq")

START_S = 90.0  # RabbitMQ on a busy machine
STOP_S = 30.0
POLL_S = 0.004
LOG_SHOWN = 2000


class NodeError(Exception):
    """A node did not start, is not what it was asked to be, or did not stop."""


def available(kind: str) -> str | None:
    """Why no node of this kind can be started here, in a sentence; None if one can. Takes milliseconds."""
    if kind == "rabbitmq":
        done = subprocess.run([RABBITMQ, "installed"], capture_output=True, text=True, timeout=30)
        return (done.stderr.strip() or "no RabbitMQ") if done.returncode else None
    if kind not in AMQPD:
        return f"no such kind: {kind} (one of {', '.join(KINDS)})"
    if not AMQPD[kind].exists():
        return f"{AMQPD[kind].relative_to(ROOT)} is missing: make {'compiled' if kind == 'compiled' else 'venv'}"
    return None


def rabbitmq_version() -> str:
    """As "4.3.6"; "" if it does not tell. Takes a second where rabbitmqctl is asked."""
    done = subprocess.run([RABBITMQ, "version"], capture_output=True, text=True, timeout=60)
    return done.stdout.strip() if done.returncode == 0 else ""


def raise_file_limit() -> int:
    """Let this process and what it starts open as many files as the system allows; returns how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):  # macOS says "unlimited" and refuses it
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listened on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Node:
    """A broker that runs. Made by `Node.start`; stopped by `stop` or by leaving `with`.

    `pid` is the broker's own process, `start_s` the seconds from starting the program to the first answer to an AMQP
    header. `log` is what it printed.
    """

    def __init__(self, kind: str, port: int, directory: Path, process: subprocess.Popen[bytes]) -> None:
        self.kind = kind
        self.port = port
        self.pid = process.pid
        self.start_s = 0.0
        self.log = directory / "log"
        self._directory = directory
        self._process = process

    @classmethod
    def start(cls, kind: str, settings: Sequence[str] = (), extra: Mapping[str, str] | None = None) -> Node:
        """Start one, and wait until it takes connections (blocks: half a second; RabbitMQ, several).

        `settings` are KEY=VALUE, as `amqpd --set` takes them, or lines of rabbitmq.conf; `extra` is for its
        environment. Raises NodeError.
        """
        reason = available(kind)
        if reason:
            raise NodeError(reason)
        raise_file_limit()
        directory, port = Path(tempfile.mkdtemp(prefix=f"bench-{kind}-")), free_port()
        began = time.perf_counter()
        with open(directory / "log", "wb") as log:
            process = subprocess.Popen(
                _command(kind, port, directory, settings),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_environment() | dict(extra or {}),
                start_new_session=True,  # Ctrl-C ends the benchmark, which stops its nodes
            )
        node = cls(kind, port, directory, process)
        try:
            node._wait_until_ready(began)
        except BaseException:
            node.stop()
            raise
        return node

    def cpu_s(self) -> float:
        """User and system seconds of all threads since the start. Raises figures.Gone."""
        return figures.cpu_s(self.pid)

    def rss_bytes(self) -> int:
        """Resident memory now. Raises figures.Gone."""
        return figures.rss_bytes(self.pid)

    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def stop(self) -> None:
        """End it and remove its directory; at most half a minute, then it is killed. Does nothing the second time."""
        if self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait(STOP_S)
        shutil.rmtree(self._directory, ignore_errors=True)

    def __enter__(self) -> Node:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _wait_until_ready(self, began: float) -> None:
        while not _answers(self.port):
            if not self.alive():
                raise NodeError(f"{self.kind} ended with code {self._process.returncode}:\n{self._end_of_log()}")
            if time.perf_counter() - began > START_S:
                raise NodeError(f"{self.kind} took no connection within {START_S:.0f} s:\n{self._end_of_log()}")
            time.sleep(POLL_S)
        self.start_s = time.perf_counter() - began
        if self.kind == "rabbitmq":
            self.pid = _erlang_of(self._process.pid)
        else:
            self._check_mode()

    def _check_mode(self) -> None:
        """amqpd tells its mode when it listens; the line may come a moment after the first answer."""
        said = None
        for _ in range(250):
            said = re.search(r"\((compiled|interpreted)\)", self.log.read_text(errors="replace"))
            if said is not None:
                break
            time.sleep(POLL_S)
        if said is None or said[1] != self.kind:
            raise NodeError(f"this amqpd is not {self.kind}: build it again (make compiled, make venv)")

    def _end_of_log(self) -> str:
        return self.log.read_text(errors="replace")[-LOG_SHOWN:]


def _environment() -> dict[str, str]:
    """Without what would lead Python or amqpd to other code or other settings."""
    foreign = ("PYTHON", "AMQPD_", "RABBITMQ_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    root = os.environ.get("RABBITMQ_ROOT")
    return kept | {"PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"} | ({"RABBITMQ_ROOT": root} if root else {})


def _command(kind: str, port: int, directory: Path, settings: Sequence[str]) -> list[str]:
    if kind == "rabbitmq":
        return [str(RABBITMQ), "run", str(directory), str(port), str(free_port()), *settings]
    chosen = [f"--set={setting}" for setting in settings]
    return [str(AMQPD[kind]), f"--listen=127.0.0.1:{port}", f"--data-dir={directory / 'data'}", *chosen]


def _answers(port: int) -> bool:
    """Whether something on this port answers an AMQP header."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
            client.sendall(b"AMQP\x00\x00\x09\x01")
            return client.recv(1) == b"\x01"
    except OSError:
        return False


def _erlang_of(session: int) -> int:
    """The Erlang machine below RabbitMQ's shell scripts: they are one session, and it is the only one of its name."""
    done = subprocess.run(["ps", "-A", "-o", "pid=,sess=,comm="], capture_output=True, text=True, timeout=10)
    for line in done.stdout.splitlines():
        pid, owner, name = line.split(None, 2)
        if owner == str(session) and name.startswith("beam"):
            return int(pid)
    raise NodeError(f"RabbitMQ answers, but no Erlang machine is in session {session}")
