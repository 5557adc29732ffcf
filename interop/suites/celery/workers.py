"""Worker processes: started by the `celery` command in process groups of their own, stopped or killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from celery import Celery

from suites.harness import CheckFailed

START_S = 40.0
STOP_S = 60.0  # an idle worker sees a signal when its event loop wakes: after half a heartbeat interval at the latest


class Worker:
    """One `celery worker`, for `with`; at the end it is asked for a warm shutdown, unless it is gone already."""

    def __init__(self, app: Celery, module: str, name: str, *options: str, url: str | None = None) -> None:
        self.name = f"{name}@interop"
        self._app = app
        self._log = Path(os.environ["INTEROP_DIRECTORY"], f"{name}.log")
        command = ["worker", "-n", self.name, "--loglevel", "INFO", "--without-gossip", "--without-mingle", *options]
        environment = {**os.environ, "AMQP_URL": url or os.environ["AMQP_URL"], "C_FORCE_ROOT": "1"}
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", f"suites.celery.{module}", *command],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        deadline = time.monotonic() + START_S
        while f"{self.name} ready." not in self.log():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise CheckFailed(f"worker {self.name} did not start:\n{self.log()[-3000:]}")
            time.sleep(0.05)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        finally:
            self.kill()
            if error is not None:
                print(f"--- end of the log of {self.name}\n{self.log()[-1500:]}\n---")

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def stop(self) -> int:
        """Ask for a warm shutdown and wait for it; returns the exit code. Raises TimeoutExpired."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_S)

    def kill(self) -> None:
        """SIGKILL to the worker and its pool processes."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait(STOP_S)
