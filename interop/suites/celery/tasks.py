"""The application under test. The driver starts workers with `celery -A suites.celery.tasks worker`.

Results come back over the broker itself (`rpc://`). Names carry a prefix from the environment: runs do not meet.
"""

import os
import time
from pathlib import Path
from typing import Any

from celery import Celery, Task
from kombu import Exchange, Queue
from kombu.common import Broadcast

PREFIX = os.environ["INTEROP_PREFIX"]
DIRECTORY = Path(os.environ["INTEROP_DIRECTORY"])

MAIN, RANKED, CRASH, RECONNECT, NEWS = (f"{PREFIX}.{name}" for name in ("main", "ranked", "crash", "reconnect", "news"))
TOPIC = Exchange(f"{PREFIX}.topic", "topic", auto_delete=True)

app = Celery("interop", broker=os.environ["AMQP_URL"], backend="rpc://")
app.conf.update(
    task_default_queue=MAIN,
    task_default_exchange=f"{PREFIX}.direct",
    task_default_routing_key=MAIN,
    task_queues=[
        Queue(MAIN, Exchange(f"{PREFIX}.direct"), routing_key=MAIN),
        Queue(RANKED, Exchange(f"{PREFIX}.direct"), routing_key=RANKED, queue_arguments={"x-max-priority": 10}),
        Queue(CRASH, Exchange(f"{PREFIX}.direct"), routing_key=CRASH),
        Queue(RECONNECT, Exchange(f"{PREFIX}.direct"), routing_key=RECONNECT),
        Queue(f"{PREFIX}.reports", TOPIC, routing_key="report.#"),
        Broadcast(f"{PREFIX}.news", queue=None, unique=True),
    ],
    task_routes={"interop.report": {"exchange": TOPIC.name, "routing_key": "report.daily.pdf"}},
    control_exchange=PREFIX,
    event_exchange=f"{PREFIX}.ev",
    result_expires=60,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
    broker_transport_options={"confirm_publish": True},
    beat_schedule={"tick": {"task": "interop.tick", "schedule": 0.3, "options": {"expires": 10}}},
)


@app.task(name="interop.add")
def add(x: int, y: int) -> int:
    return x + y


@app.task(name="interop.echo")
def echo(*arguments: Any, **options: Any) -> Any:
    return [list(arguments), options]


@app.task(name="interop.fail")
def fail() -> None:
    raise ValueError("as planned")


@app.task(name="interop.flaky", bind=True, max_retries=3)
def flaky(self: Task, failures: int) -> int:
    """Fails that many times, asking for a retry in a fifth of a second; returns how often it was retried."""
    if self.request.retries < failures:
        raise self.retry(countdown=0.2, exc=RuntimeError("not yet"))
    return int(self.request.retries)


@app.task(name="interop.now")
def now() -> float:
    return time.time()


@app.task(name="interop.note", acks_late=True)
def note(file: str, line: str) -> None:
    """Append a line to a file, which shows the order in which tasks were run."""
    with (DIRECTORY / file).open("a") as notes:
        notes.write(f"{line}\n")


@app.task(name="interop.slow", bind=True, acks_late=True, reject_on_worker_lost=True)
def slow(self: Task, name: str, first_run_s: float) -> dict[str, Any]:
    """Takes `first_run_s` the first time, and is quick when it is run again."""
    started = DIRECTORY / f"{name}.started"
    again = started.exists()
    started.touch()
    if not again:
        time.sleep(first_run_s)
    return {"again": again, "redelivered": self.request.delivery_info["redelivered"]}


@app.task(name="interop.report")
def report(name: str) -> str:
    return f"report {name}"


@app.task(name="interop.tick")
def tick() -> None:
    with (DIRECTORY / "ticks").open("a") as ticks:
        ticks.write("tick\n")
