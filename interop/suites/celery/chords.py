"""A second application, for chords: the rpc:// backend refuses them, so results are kept in files here.

The messages of a chord (its parts, the polling unlock task with its countdown, the body) all go through the broker.
"""

import os

from celery import Celery
from kombu import Exchange, Queue

PREFIX = os.environ["INTEROP_PREFIX"]
CHORDS = f"{PREFIX}.chords"

app = Celery("interop-chords", broker=os.environ["AMQP_URL"], backend=f"file://{os.environ['INTEROP_DIRECTORY']}")
app.conf.update(
    task_default_queue=CHORDS,
    task_default_exchange=f"{PREFIX}.direct",
    task_default_routing_key=CHORDS,
    task_queues=[Queue(CHORDS, Exchange(f"{PREFIX}.direct"), routing_key=CHORDS)],
    control_exchange=PREFIX,
    event_exchange=f"{PREFIX}.ev",
    result_chord_retry_interval=0.2,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
)


@app.task(name="interop.square")
def square(x: int) -> int:
    return x * x


@app.task(name="interop.total")
def total(numbers: list[int]) -> int:
    return sum(numbers)


@app.task(name="interop.halve_or_fail")
def halve(x: int) -> int:
    if x % 2:
        raise ValueError(f"{x} is odd")
    return x // 2
