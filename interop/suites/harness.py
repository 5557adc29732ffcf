"""What the suites share: scenarios, checks, waiting with an end, and a TCP proxy that can cut connections.

A suite is one process: it runs its scenarios one after the other (a failed one does not stop the rest), prints one
line for each, and ends with a line such as `pika-blocking: 14 checks passed` and exit code 0, or with the names of what
failed and exit code 1. Arguments name the scenarios to run; without any, all run.

The broker's address comes from the environment (AMQP_URL). This module knows no AMQP and needs the standard library.
Invariants: every scenario has a deadline; a scenario that checks nothing has failed; every name that a suite declares
holds the run's random id, so that suites meet neither each other nor the leftovers of an earlier run.
"""

import asyncio
import importlib
import inspect
import os
import pkgutil
import secrets
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from types import FrameType, ModuleType, TracebackType
from typing import Any, NoReturn, Self, TypeVar
from urllib.parse import urlsplit, urlunsplit

DEFAULT_URL = "amqp://guest:guest@127.0.0.1:5672/"
GRACE_S = 5.0  # the alarm comes this much later than an asynchronous scenario's own deadline

Scenario = TypeVar("Scenario", bound=Callable[[], Any])


class CheckFailed(AssertionError):
    """What arrived is not what RabbitMQ would have sent."""


class Suite:
    """A named collection of scenarios, and the count of what they checked."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.url = os.environ.get("AMQP_URL", DEFAULT_URL)
        self.passed = 0
        self._run_id = secrets.token_hex(3)
        self._scenarios: dict[str, tuple[Callable[[], Any], float]] = {}

    def unique(self, base: str) -> str:
        """A name for a queue or an exchange that nobody else uses."""
        return f"interop.{self.name}.{self._run_id}.{base}"

    def scenario(self, timeout_s: float = 30.0) -> Callable[[Scenario], Scenario]:
        """Register a function, plain or async, as a scenario that must end within `timeout_s`."""

        def register(function: Scenario) -> Scenario:
            self._scenarios[function.__name__] = (function, timeout_s)
            return function

        return register

    def check(self, what: str, condition: object, detail: object = "") -> None:
        """Count one check. Raises CheckFailed if `condition` is false."""
        if not condition:
            raise CheckFailed(f"{what}{f' ({detail})' if detail != '' else ''}")
        self.passed += 1

    def equal(self, what: str, got: object, expected: object) -> None:
        """Count one check. Raises CheckFailed if the two differ."""
        self.check(what, got == expected, f"expected {shorten(expected)}, got {shorten(got)}")

    def contains(self, what: str, text: object, part: str) -> None:
        """Count one check. Raises CheckFailed if str(text) lacks `part`."""
        self.check(what, part in str(text), f"expected {part!r} in {shorten(str(text))}")

    def main(self) -> NoReturn:
        """Run the scenarios named on the command line, or all; print the closing line; exit 0 or 1."""
        unknown = [name for name in sys.argv[1:] if name not in self._scenarios]
        if unknown:
            sys.exit(f"{self.name}: no scenario {', '.join(unknown)}; there are {', '.join(self._scenarios)}")
        failed = [name for name in sys.argv[1:] or self._scenarios if not self._run(name)]
        if failed:
            print(f"{self.name}: {self.passed} checks passed, {len(failed)} scenarios FAILED: {', '.join(failed)}")
        else:
            print(f"{self.name}: {self.passed} checks passed")
        sys.stdout.flush()
        os._exit(1 if failed else 0)  # a failed scenario may leave a thread behind that waits for ever

    def _run(self, name: str) -> bool:
        function, timeout_s = self._scenarios[name]
        before, started = self.passed, time.monotonic()
        try:
            with Alarm(timeout_s + GRACE_S if inspect.iscoroutinefunction(function) else timeout_s):
                if inspect.iscoroutinefunction(function):
                    asyncio.run(asyncio.wait_for(function(), timeout_s))
                else:
                    function()
            if self.passed == before:
                raise CheckFailed("the scenario checked nothing")
        except CheckFailed as failure:
            place = next(f for f in reversed(traceback.extract_tb(failure.__traceback__)) if f.filename != __file__)
            print(f"FAIL {name}: {failure} [{os.path.basename(place.filename)}:{place.lineno}]", flush=True)
            return False
        except Exception as error:
            traceback.print_exc(limit=-4, file=sys.stdout)
            print(f"FAIL {name}: {type(error).__name__}: {error}", flush=True)
            return False
        print(f"ok   {name} ({self.passed - before} checks, {time.monotonic() - started:.1f} s)", flush=True)
        return True


def load_scenarios(package: ModuleType) -> None:
    """Import every module of a suite's folder, which registers its scenarios: none can be forgotten."""
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        if not module.name.endswith(".__main__"):
            importlib.import_module(module.name)


class Alarm:
    """Raise TimeoutError in the main thread if the block takes longer than `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> Self:
        signal.signal(signal.SIGALRM, self._ring)
        signal.setitimer(signal.ITIMER_REAL, self._seconds)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _ring(self, _signal: int, _frame: FrameType | None) -> NoReturn:
        raise TimeoutError(f"not done within {self._seconds:g} s")


def shorten(value: object, limit: int = 400) -> str:
    """repr(value), its middle left out if it is long."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit // 2]} ... {text[-limit // 2 :]}"


def wait_until(
    what: str, condition: Callable[[], object], pump: Callable[[], object] | None = None, timeout_s: float = 10.0
) -> None:
    """Call `pump` (or sleep a little) until `condition()` is true. Raises CheckFailed after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise CheckFailed(f"{what}: not within {timeout_s:g} s")
        if pump is None:
            time.sleep(0.02)
        else:
            pump()


async def wait_until_async(what: str, condition: Callable[[], object], timeout_s: float = 10.0) -> None:
    """The same for coroutines."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise CheckFailed(f"{what}: not within {timeout_s:g} s")
        await asyncio.sleep(0.02)


class Proxy:
    """A TCP relay in front of the broker, in threads of its own, whose `cut()` does what a bad network does.

    Use it as a context manager; `url` is AMQP_URL by way of the proxy.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._broker = (parts.hostname or "127.0.0.1", parts.port or 5672)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self.accepted = 0
        host = f"127.0.0.1:{self._listener.getsockname()[1]}"
        user, at, _ = parts.netloc.rpartition("@")
        self.url = urlunsplit(parts._replace(netloc=f"{user}{at}{host}"))

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # closing alone would not wake the thread in accept()
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """Shut down both sides of all connections relayed at present; new ones are accepted."""
        sockets, self._sockets = self._sockets, []
        for each in sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                broker = socket.create_connection(self._broker)
                self.accepted += 1
                self._sockets += [client, broker]
                for source, target in ((client, broker), (broker, client)):
                    threading.Thread(target=self._relay, args=(source, target), daemon=True).start()

    @staticmethod
    def _relay(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)
