"""Drives the applications of this folder: sends tasks, starts, kills and stops workers, and checks what comes back."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from suites.harness import Proxy, Suite, wait_until

suite = Suite("celery")
DIRECTORY = Path(tempfile.mkdtemp(prefix="interop-celery-"))
os.environ.update(INTEROP_PREFIX=suite.unique("c"), INTEROP_DIRECTORY=str(DIRECTORY), AMQP_URL=suite.url)

from celery import chain, chord, group  # noqa: E402
from celery.exceptions import TaskRevokedError  # noqa: E402
from kombu.exceptions import OperationalError  # noqa: E402

from suites.celery import chords, tasks  # noqa: E402
from suites.celery.workers import Worker  # noqa: E402

PATIENCE_S = 15
app = tasks.app


def worker(name: str, *options: str, **more: Any) -> Worker:
    return Worker(app, "tasks", name, *options, **more)


def lines(file: str) -> list[str]:
    path = DIRECTORY / file
    return path.read_text().split() if path.exists() else []


@suite.scenario(90)
def results_over_the_broker() -> None:
    """Calls, groups, chains, errors, 1 MiB of arguments, with the rpc:// result backend and two pool processes."""
    with worker("results", "-c", "2", "-Q", tasks.MAIN):
        suite.equal("add", tasks.add.delay(2, 3).get(PATIENCE_S), 5)
        many = group(tasks.add.s(n, n) for n in range(30))()
        suite.equal("a group", many.get(PATIENCE_S), [2 * n for n in range(30)])
        pipeline = chain(tasks.add.s(1, 2), tasks.add.s(10), tasks.add.s(100))()
        suite.equal("a chain", pipeline.get(PATIENCE_S), 113)
        big = "ж" * (1 << 19)
        suite.check("1 MiB there and back", tasks.echo.delay(big, ключ=1).get(PATIENCE_S) == [[big], {"ключ": 1}])
        failed = tasks.fail.delay()
        try:
            failed.get(PATIENCE_S)
        except ValueError as error:
            suite.equal("the worker's exception", (str(error), failed.state), ("as planned", "FAILURE"))
        else:
            suite.check("ValueError", False)
        try:
            chord([tasks.add.s(1, 1)], tasks.echo.s()).delay()
        except NotImplementedError as error:
            suite.contains("rpc:// has no chords", error, "chords")
        else:
            suite.check("NotImplementedError", False)


@suite.scenario(90)
def retries_and_schedules() -> None:
    """Retries come back with a countdown; eta and countdown are held by the worker; expired tasks are not run."""
    with worker("schedules", "-c", "2", "-Q", tasks.MAIN):
        suite.equal("two retries", tasks.flaky.delay(2).get(PATIENCE_S), 2)
        try:
            tasks.flaky.delay(9).get(PATIENCE_S)
        except RuntimeError as error:
            suite.equal("after max_retries", str(error), "not yet")
        else:
            suite.check("RuntimeError", False)
        sent = time.time()
        later = tasks.now.apply_async(countdown=1.5)
        at = tasks.now.apply_async(eta=datetime.now(UTC) + timedelta(seconds=1))
        soon = tasks.now.delay().get(PATIENCE_S)
        suite.check("at once", soon - sent < 1.0, soon - sent)
        suite.check("eta", at.get(PATIENCE_S) - sent >= 0.9)
        suite.check("countdown", later.get(PATIENCE_S) - sent >= 1.4)
        expired = tasks.now.apply_async(expires=datetime.now(UTC) - timedelta(seconds=5))
        try:
            expired.get(PATIENCE_S)
        except TaskRevokedError as error:
            suite.contains("expired", error, "expired")
        else:
            suite.check("TaskRevokedError", False)


@suite.scenario(60)
def priorities() -> None:
    """Tasks that wait in a queue with x-max-priority are run highest first."""
    with worker("ranked-setup", "-c", "1", "-Q", tasks.RANKED):
        pass  # which declares the queue
    for number, priority in enumerate((0, 9, 4, 9, 1)):
        tasks.note.apply_async(("order", f"{priority}:{number}"), queue=tasks.RANKED, priority=priority)
    with worker("ranked", "-c", "1", "-Q", tasks.RANKED, "--prefetch-multiplier", "1"):
        wait_until("five tasks", lambda: len(lines("order")) == 5)
    suite.equal("order", lines("order"), ["9:1", "9:3", "4:2", "1:4", "0:0"])


@suite.scenario(90)
def worker_killed_in_mid_task() -> None:
    """SIGKILL to a worker and its pool: with acks_late the task comes to the next worker, marked as redelivered."""
    with worker("doomed", "-c", "1", "-Q", tasks.CRASH, "--prefetch-multiplier", "1") as doomed:
        result = tasks.slow.apply_async(("killed", 600), queue=tasks.CRASH)
        waiting = [tasks.slow.apply_async((f"waiting-{n}", 0), queue=tasks.CRASH) for n in range(3)]
        wait_until("the task runs", (DIRECTORY / "killed.started").exists)
        doomed.kill()
        suite.check("killed", doomed.process.returncode == -signal.SIGKILL, doomed.process.returncode)
    with worker("heir", "-c", "1", "-Q", tasks.CRASH):
        suite.equal("run again", result.get(PATIENCE_S), {"again": True, "redelivered": True})
        rest = [each.get(PATIENCE_S)["again"] for each in waiting]
        suite.equal("what waited behind it is run once", rest, [False] * 3)


@suite.scenario(90)
def pool_process_killed_in_mid_task() -> None:
    """Only the pool process dies: reject_on_worker_lost gives the task back to the queue; the worker lives on."""
    with worker("lost", "-c", "1", "-Q", tasks.CRASH, "--max-tasks-per-child", "100") as lossy:
        result = tasks.slow.apply_async(("pool", 600), queue=tasks.CRASH)
        wait_until("the task runs", (DIRECTORY / "pool.started").exists)
        children = Path(f"/proc/{lossy.process.pid}/task/{lossy.process.pid}/children").read_text().split()
        os.kill(int(children[-1]), signal.SIGKILL)
        suite.equal("run again", result.get(PATIENCE_S), {"again": True, "redelivered": True})


@suite.scenario(60)
def warm_shutdown() -> None:
    """SIGTERM: the task in hand is finished, the worker leaves with code 0, what waits stays in the queue."""
    with worker("leaving", "-c", "1", "-Q", tasks.CRASH) as leaving:
        result = tasks.slow.apply_async(("finished", 1.5), queue=tasks.CRASH)
        wait_until("the task runs", (DIRECTORY / "finished.started").exists)
        waiting = tasks.slow.apply_async(("left", 0), queue=tasks.CRASH)
        suite.equal("exit code", leaving.stop(), 0)
        suite.equal("finished", result.get(PATIENCE_S), {"again": False, "redelivered": False})
    with worker("next", "-c", "1", "-Q", tasks.CRASH):
        suite.equal("the one that waited", waiting.get(PATIENCE_S)["again"], False)


@suite.scenario(180)
def remote_control() -> None:
    """Two workers answer over the pidbox fanout exchange; queues are added, tasks revoked, a worker shut down."""
    with worker("one", "-c", "1", "-Q", tasks.MAIN) as one, worker("two", "-c", "1", "-Q", tasks.MAIN) as two:
        control = app.control
        pongs = {name: answer for reply in control.ping(timeout=3, limit=2) for name, answer in reply.items()}
        suite.equal("ping", pongs, {one.name: {"ok": "pong"}, two.name: {"ok": "pong"}})
        queues = control.inspect(timeout=2, destination=[one.name]).active_queues()
        suite.equal("active queues", [queue["name"] for queue in queues[one.name]], [tasks.MAIN])
        control.add_consumer(tasks.RECONNECT, destination=[two.name], reply=True, timeout=2)
        suite.equal("a new queue", tasks.add.apply_async((1, 1), queue=tasks.RECONNECT).get(PATIENCE_S), 2)
        control.cancel_consumer(tasks.RECONNECT, destination=[two.name], reply=True, timeout=2)
        doomed = tasks.now.apply_async(countdown=2)
        control.revoke(doomed.id, reply=True, timeout=2)
        try:
            doomed.get(PATIENCE_S)
        except TaskRevokedError:
            suite.check("revoked", True)
        else:
            suite.check("revoked", False)
        control.shutdown(destination=[one.name])
        suite.equal("shut down", one.process.wait(PATIENCE_S), 0)
        suite.equal("the other goes on", tasks.add.delay(2, 2).get(PATIENCE_S), 4)


@suite.scenario(90)
def events_topics_broadcast() -> None:
    """Worker events on a topic exchange, a task routed through a topic exchange, a task broadcast to both workers."""
    queues = f"{tasks.PREFIX}.reports,{tasks.PREFIX}.news"
    with (
        Listener() as listener,
        worker("left", "-c", "1", "-E", "-Q", queues) as left,
        worker("right", "-c", "1", "-E", "-Q", queues) as right,
    ):
        result = tasks.report.delay("daily")
        suite.equal("by topic", result.get(PATIENCE_S), "report daily")
        wait_until("its last event", lambda: "task-succeeded" in listener.of_task(result.id))
        suite.equal("its events", listener.of_task(result.id), ["task-received", "task-started", "task-succeeded"])
        online = {event["hostname"] for event in listener.events if event["type"] == "worker-online"}
        suite.equal("workers", online, {left.name, right.name})
        tasks.note.apply_async(("news", "headline"), queue=f"{tasks.PREFIX}.news")
        wait_until("both workers", lambda: len(lines("news")) == 2)
        suite.equal("broadcast", lines("news"), ["headline"] * 2)


class Listener:
    """Captures events in a thread, as monitors such as flower do."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self._connection = app.connection()
        self._receiver = app.events.Receiver(self._connection, handlers={"*": self.events.append})
        self._listening = threading.Event()
        self._receiver.on_consume_ready = lambda *_, **__: self._listening.set()
        self._thread = threading.Thread(target=self._receiver.capture, daemon=True)

    def __enter__(self) -> "Listener":
        self._thread.start()
        suite.check("the monitor listens", self._listening.wait(PATIENCE_S))
        return self

    def __exit__(self, *_: object) -> None:
        self._receiver.should_stop = True
        self._thread.join(PATIENCE_S)
        self._connection.release()

    def of_task(self, task_id: str) -> list[str]:
        return [event["type"] for event in self.events if event.get("uuid") == task_id]


@suite.scenario(60)
def broken_network() -> None:
    """The worker's connection breaks, twice; it connects again and goes on. The caller's is never touched."""
    with Proxy(suite.url) as proxy, worker("robust", "-c", "1", "-Q", tasks.RECONNECT, url=proxy.url):
        for cut in range(2):
            before = tasks.add.apply_async((cut, 1), queue=tasks.RECONNECT)
            suite.equal("before", before.get(PATIENCE_S), cut + 1)
            proxy.cut()
            after = tasks.add.apply_async((cut, 2), queue=tasks.RECONNECT)
            suite.equal("after", after.get(PATIENCE_S), cut + 2)


@suite.scenario(60)
def beat() -> None:
    """`celery beat` publishes by the clock, a worker runs what it sends."""
    schedule = str(DIRECTORY / "schedule")
    command = [sys.executable, "-m", "celery", "-A", "suites.celery.tasks", "beat", "-s", schedule, "--pidfile="]
    with worker("ticking", "-c", "1", "-Q", tasks.MAIN):
        clock = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            wait_until("three ticks", lambda: len(lines("ticks")) >= 3, timeout_s=20)
            suite.check("three ticks", True)
        finally:
            clock.terminate()
            clock.wait(PATIENCE_S)


@suite.scenario(90)
def chords_with_a_file_backend() -> None:
    """A chord's body runs once, after all its parts; a chain of a group becomes one; a failed part fails the body."""
    with Worker(chords.app, "chords", "chords", "-c", "2"):
        header = [chords.square.s(n) for n in range(10)]
        suite.equal("sum of squares", chord(header)(chords.total.s()).get(PATIENCE_S), 285)
        upgraded = chain(group(chords.square.s(n) for n in range(4)), chords.total.s(), chords.square.s())()
        suite.equal("a chain of a group", upgraded.get(PATIENCE_S), 196)
        broken = chord([chords.halve.s(2), chords.halve.s(3)])(chords.total.s())
        try:
            broken.get(PATIENCE_S)
        except Exception as error:  # ChordError or the part's own exception, by version
            suite.contains("the reason", error, "3 is odd")
        else:
            suite.check("ChordError", False)


@suite.scenario()
def no_broker() -> None:
    """A caller whose broker is away gets an error in time, not a hang."""
    with Proxy(suite.url) as proxy:
        url = proxy.url
    try:
        with app.connection_for_write(url) as away:
            tasks.add.apply_async((1, 1), connection=away, retry=False)
    except OperationalError as error:
        suite.check("OperationalError", error)
    else:
        suite.check("OperationalError", False)


@suite.scenario()
def leaves_nothing() -> None:
    """Removes the durable queues and exchanges of this run."""
    with app.connection_for_write() as connection:
        channel = connection.channel()
        for name in ("main", "ranked", "crash", "reconnect", "reports", "chords"):
            channel.queue_delete(f"{tasks.PREFIX}.{name}")
        for name in ("direct", "pidbox", "ev", "news", "topic"):
            channel.exchange_delete(f"{tasks.PREFIX}.{name}")
        channel.exchange_delete(f"reply.{tasks.PREFIX}.pidbox")
        suite.check("the channel is open", channel.is_open)
    shutil.rmtree(DIRECTORY)


if __name__ == "__main__":
    suite.main()
