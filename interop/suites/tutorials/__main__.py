"""Starts the tutorials' programs as their reader would, in several terminals, and reads what they print."""

import os
import queue
import signal
import subprocess
import sys
import threading
from types import TracebackType
from typing import Self

from suites.harness import CheckFailed, Suite

HERE = os.path.dirname(os.path.abspath(__file__))
PATIENCE_S = 15.0

suite = Suite("tutorials")


class Terminal:
    """One running program whose lines are read one by one. Leaving the block presses Ctrl-C, unless it was killed."""

    def __init__(self, program: str, *arguments: str) -> None:
        self._program = program
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._killed = False
        environment = {**os.environ, "AMQP_URL": suite.url, "PYTHONUNBUFFERED": "1"}
        self._process = subprocess.Popen(
            [sys.executable, os.path.join(HERE, program), *arguments],
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.rstrip("\n"))

    def __enter__(self) -> Self:
        self.expect("ready")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._killed:
            return
        self._process.send_signal(signal.SIGINT)
        code = self._process.wait(PATIENCE_S)
        if error is None:
            suite.equal(f"{self._program} ends cleanly", code, 0)

    def line(self) -> str:
        """The next line it prints. Raises CheckFailed if none comes."""
        try:
            return self._lines.get(timeout=PATIENCE_S)
        except queue.Empty:
            raise CheckFailed(f"{self._program} prints nothing for {PATIENCE_S:g} s") from None

    def expect(self, *lines: str) -> None:
        """Check the next lines it prints."""
        for line in lines:
            suite.equal(f"{self._program} prints", self.line(), line)

    def is_silent(self) -> bool:
        return self._lines.empty()

    def kill(self) -> None:
        self._killed = True
        self._process.kill()
        self._process.wait(PATIENCE_S)


def run(program: str, *arguments: str) -> list[str]:
    """Run a program to its end; returns the lines it printed. Raises CheckFailed if it fails."""
    environment = {**os.environ, "AMQP_URL": suite.url}
    command = [sys.executable, os.path.join(HERE, program), *arguments]
    done = subprocess.run(
        command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE_S
    )
    if done.returncode:
        raise CheckFailed(f"{program} ended with {done.returncode}: {done.stdout[-500:]}")
    return done.stdout.splitlines()


@suite.scenario()
def one_hello_world() -> None:
    name = suite.unique("hello")
    suite.equal("sender", run("send.py", name, "Hello World!"), ["sent Hello World!"])
    with Terminal("receive.py", name) as receiver:
        run("send.py", name, "and again")
        receiver.expect("received Hello World!", "received and again")


@suite.scenario(60)
def two_work_queues() -> None:
    name = suite.unique("tasks")
    with Terminal("worker.py", name) as doomed:
        run("new_task.py", name, "never finished" + "." * 600)
        doomed.expect("received never finished" + "." * 600)
        with Terminal("worker.py", name) as worker:
            for number in range(3):
                run("new_task.py", name, f"task {number}.")
                worker.expect(f"received task {number}.", f"done task {number}.")
            suite.check("the busy worker got no second task", doomed.is_silent())
            doomed.kill()
            worker.expect("received never finished" + "." * 600 + " again")
            worker.kill()
    with Terminal("worker.py", name) as third:
        third.expect("received never finished" + "." * 600 + " again")
        third.kill()
    run("publisher_confirms.py", name, "0")  # which deletes the queue


@suite.scenario()
def three_publish_subscribe() -> None:
    name = suite.unique("logs")
    with Terminal("receive_logs.py", name, "fanout", "") as one, Terminal("receive_logs.py", name, "fanout", "") as two:
        run("emit_log.py", name, "fanout", "any", "to everybody")
        one.expect("any: to everybody")
        two.expect("any: to everybody")


@suite.scenario()
def four_routing() -> None:
    name = suite.unique("direct")
    with (
        Terminal("receive_logs.py", name, "direct", "error") as errors,
        Terminal("receive_logs.py", name, "direct", "info", "warning", "error") as everything,
    ):
        for severity in ("info", "error", "debug", "warning"):
            run("emit_log.py", name, "direct", severity, f"an {severity}")
        everything.expect("info: an info", "error: an error", "warning: an warning")
        errors.expect("error: an error")
        suite.check("nothing else", errors.is_silent() and everything.is_silent())


@suite.scenario()
def five_topics() -> None:
    name = suite.unique("topic")
    with (
        Terminal("receive_logs.py", name, "topic", "#") as everything,
        Terminal("receive_logs.py", name, "topic", "kern.*", "*.critical") as kernel,
    ):
        for key in ("kern.critical", "cron.critical", "kern.info", "cron.info", "kern.disk.info"):
            run("emit_log.py", name, "topic", key, "something")
        keys = ("kern.critical", "cron.critical", "kern.info", "cron.info", "kern.disk.info")
        everything.expect(*(f"{key}: something" for key in keys))
        kernel.expect(*(f"{key}: something" for key in keys[:3]))
        suite.check("nothing else", kernel.is_silent())


@suite.scenario()
def six_rpc() -> None:
    name = suite.unique("rpc")
    with Terminal("rpc_server.py", name):
        answers = run("rpc_client.py", name, "0", "1", "30", "90")
    expected = {0: 0, 1: 1, 30: 832040, 90: 2880067194370816120}
    suite.equal("answers", answers, [f"fibonacci({n}) = {value}" for n, value in expected.items()])


@suite.scenario()
def seven_publisher_confirms() -> None:
    lines = run("publisher_confirms.py", suite.unique("confirms"), "100")
    suite.equal("all of them", lines, ["100 confirmed, 100 in the queue"])


if __name__ == "__main__":
    suite.main()
