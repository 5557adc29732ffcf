"""Kill rounds: the real server under load, ended at random moments, and looked at after each start.

A round: start, look at everything that is in all queues, hold it against what the clients know, have clients work for a
moment, then kill -9 (or, in some rounds, SIGTERM; or kill it while it starts). The same data directory all the time.
In half of the lives memory and files are as small as the settings allow, so that the journal rolls, messages move to
segments, wait there, and are compacted.
"""

from __future__ import annotations

import logging
import os
import random
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from crash.load import Load
from crash.process import NoStart, Server
from crash.topology import DYING, QUEUES, declare, seen
from crash.witness import DEAD, Seen, Witness

SMALL: dict[str, str | int] = {
    "journal__file_size": 1 << 20,
    "journal__size_max": 2 << 20,
    "segments__file_size": 1 << 20,
    "message_memory": 1 << 16,
}
ORDERLY = 0.15  # of the rounds end with SIGTERM
EARLY = 0.1  # of the starts are killed before they are through
HEAVY = 0.2  # of the rounds have amqpload as well, where it is
BACKLOG = 600  # a queue with more than that is trimmed by a look
LOOK_S = 30.0
HEAVY_OPTIONS = (
    *("--queue-name", "heavy", "--queue-arg", "x-max-length=20000", "--persistent", "--durable", "--keep", "--any-run"),
    *("--confirm", "1000", "--size", "500", "--duration", "30"),
)


def amqpload() -> str:
    """The load generator, or nothing where it is not installed."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "load" / "amqpload"
    return os.environ.get("AMQPLOAD") or shutil.which("amqpload") or (str(beside) if beside.exists() else "")


class Look:
    """Takes everything that is in all queues, without settling it. Closing gives it back."""

    def __init__(self, server: Server) -> None:
        self.connection = server.connect()
        self.found: dict[str, list[Seen]] = {}
        self.channels: dict[str, Any] = {}
        for name in QUEUES:
            if name != DEAD:
                self._consume(name)
        self._wait(list(self.channels))
        self._consume(DEAD)  # afterwards: nothing expires any more
        self._wait(list(self.channels))

    def _consume(self, name: str) -> None:
        channel = self.connection.channel()
        all_seen: list[Seen] = []
        channel.basic_consume(name, lambda _channel, *delivery: all_seen.append(seen(name, *delivery)))
        self.found[name], self.channels[name] = all_seen, channel

    def _wait(self, names: list[str]) -> None:
        """Until nothing is ready in any of them. What was delivered before the answer is here then."""
        end = time.monotonic() + LOOK_S
        for name in names:
            while self.channels[name].queue_declare(name, passive=True).method.message_count:
                assert time.monotonic() < end, f"{name} has messages that do not come"
                self.connection.process_data_events(0.01)
        self.connection.process_data_events(0)

    def trim(self, witness: Witness, rng: random.Random) -> None:
        """Settle the front of what has become too long."""
        for name, all_seen in self.found.items():
            if len(all_seen) > BACKLOG:
                count = rng.randrange(len(all_seen) // 2, len(all_seen))
                for each in all_seen[:count]:
                    copy = witness.copies.get(each.key)
                    if copy is not None:
                        witness.settle(copy, rejected=False)
                self.channels[name].basic_ack(count, multiple=True)

    def close(self) -> None:
        """Give everything back; dead letters first, so that what dies of that is not delivered here."""
        self.channels[DEAD].close()
        self.connection.close()


class Rounds:
    """Rounds on one data directory. `counts` says what was done, `witness.violations` what was found."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.rng = random.Random(seed)
        self.directory = directory
        self.witness = Witness(DYING)
        self.counts: Counter[str] = Counter()
        self.publishers = 0
        self.crashed: bool | None = False
        self.heavy = amqpload()
        self.server = Server(directory)

    def begin(self) -> None:
        self.server.start()
        declare(self.server)
        self.work()

    def round(self) -> None:
        """Start, look, work, end."""
        self.start()
        self.look(trim=True)
        self.work()

    def start(self) -> None:
        self.server.settings = {**Server(self.directory).settings, **(SMALL if self.rng.random() < 0.5 else {})}
        while self.rng.random() < EARLY:
            self.server.spawn()
            time.sleep(self.rng.random() * 0.6)
            self.server.kill()
            self.crashed = self.crashed or None
            self.counts["kills"] += 1
            self.counts["kills at a start"] += 1
        self.server.start()

    def look(self, trim: bool) -> None:
        look = Look(self.server)
        self.witness.look(look.found, self.crashed)
        if trim:
            look.trim(self.witness, self.rng)
        look.close()
        if self.rng.random() < 0.1:
            connection = self.server.connect()
            connection.channel().queue_purge("moved")
            self.witness.purged("moved")
            connection.close()

    def work(self) -> None:
        """Clients, for a moment, and the end of the server."""
        rng = self.rng
        orderly = rng.random() < ORDERLY
        burden = self._burden() if self.heavy and rng.random() < HEAVY else None
        load = Load(self.server.parameters(), self.witness, rng, self.publishers)
        try:
            load.run(rng.uniform(0.05, 0.5), self.server.terminate if orderly else self.server.kill)
        finally:
            if burden is not None:
                burden.kill()
                burden.wait()
        self.publishers = load.publishers
        self.crashed = not orderly
        if orderly:
            code = self.server.ended()
            assert code == 0, f"exit code {code} after SIGTERM: {self.server.last_line()}"
        self.counts["stops" if orderly else "kills"] += 1

    def _burden(self) -> subprocess.Popen[bytes]:
        """amqpload, as fast as it can."""
        self.counts["with amqpload"] += 1
        command = [self.heavy, "--port", str(self.server.port), *HEAVY_OPTIONS]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def end(self) -> None:
        """All is settled, and stays so."""
        self.start()
        look = Look(self.server)
        self.witness.look(look.found, self.crashed)
        for name, all_seen in look.found.items():
            if all_seen:
                look.channels[name].basic_ack(0, multiple=True)
        look.close()
        assert self.server.stop() == 0
        self.server.start()
        left = Look(self.server)
        for all_seen in left.found.values():
            for each in all_seen:
                self.witness.violations.append(f"settled: {each.key} is back after an orderly stop")
        left.close()
        assert self.server.stop() == 0


def kills(rounds: int, seconds: float, seed: int, told: Callable[[str], None]) -> tuple[Counter[str], list[str]]:
    """Rounds until so many kills are done, or time is over. Returns the figures, and what was found.

    Of a run that finds something the data directory and the log stay."""
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    directory = Path(tempfile.mkdtemp(prefix="amqpd-kills-"))
    run = Rounds(directory, seed)
    if not run.heavy:
        told("*** SKIPPED amqpload: it is not installed (AMQPLOAD=/path/to/amqpload)")
    end = time.monotonic() + seconds
    found = run.witness.violations
    try:
        run.begin()
        while run.counts["kills"] < rounds and time.monotonic() < end and not found:
            run.round()
        if not found:
            run.end()
    except (AssertionError, NoStart) as error:
        found.append(f"broken: {type(error).__name__} {error}")
    finally:
        run.server.kill()
    if found:
        told(f"what is left of it is in {directory}")
    else:
        shutil.rmtree(directory)
    return run.counts + run.witness.counts, found
