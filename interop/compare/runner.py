"""Runs the cases against a broker and against what it is compared with, and prints every difference.

Compared with is either another broker, live (`--peer`), or what RabbitMQ answered when `golden.json` was recorded.
The last line printed is `compare: M of N`; the exit status is 0 when every difference is one that `accepted.toml`
gives a reason for.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import fnmatch
import importlib
import json
import os
import pkgutil
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import cases
from .bench import CASES, Bench, Case
from .client import Address, Client
from .operators import operator

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
GOLDEN = HERE / "golden.json"
ACCEPTED = HERE / "accepted.toml"
THREADS = 12
OPERATED_THREADS = 3
"""Operators start a heavy process for each request: few at a time, and not beside cases that watch the clock."""
START_TIMEOUT_S = 20.0

Transcripts = dict[str, list[str]]


def main(arguments: list[str] | None = None) -> int:
    options = _options(arguments)
    for module in pkgutil.iter_modules(cases.__path__):
        importlib.import_module(f"{cases.__name__}.{module.name}")
    chosen = [
        case for case in CASES.values() if options.only is None or fnmatch.fnmatchcase(case.name, f"*{options.only}*")
    ]
    if options.record:
        return _record(options, chosen)
    peer = (
        perform(options.peer, options.peer_ctl, chosen)
        if options.peer
        else json.loads(GOLDEN.read_text())["transcripts"]
    )
    with _target(options) as (url, control):
        target = perform(url, control, chosen)
    return report(chosen, target, peer, options.verbose)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="interop/compare/run", description="Compare a broker with RabbitMQ, frame by frame."
    )
    parser.add_argument("--target", metavar="URL", help="the broker to judge; without it amqpd is started and stopped")
    parser.add_argument(
        "--target-ctl",
        metavar="CMD",
        help="its operator's command: amqpctl or rabbitmqctl, with the options to reach it",
    )
    parser.add_argument("--peer", metavar="URL", help="RabbitMQ; without it golden.json is compared with")
    parser.add_argument("--peer-ctl", metavar="CMD", help="its operator's command")
    parser.add_argument("--only", metavar="PATTERN", help="cases whose name contains this (a glob)")
    parser.add_argument("--record", action="store_true", help="write golden.json from --peer")
    parser.add_argument("-v", "--verbose", action="store_true", help="print every transcript")
    options = parser.parse_args(arguments)
    if options.record and not options.peer:
        parser.error("--record needs --peer")
    return options


# -- running ----------------------------------------------------------------------------------------------------------
def perform(url: str, control: str | None, chosen: list[Case]) -> Transcripts:
    """Every transcript of one broker.

    Cases that need an operator are left out where there is none.
    """
    address = Address.parse(url)
    someone = operator(control) if control else None
    run = secrets.token_hex(4)
    possible = [case for case in chosen if someone or not case.operator]

    def play(numbered: tuple[int, Case]) -> list[str]:
        number, case = numbered
        return Bench(address, f"cmp-{run}-{number:04}-", someone).perform(case)

    numbered = list(enumerate(possible))
    batches = (
        (THREADS, [each for each in numbered if not each[1].operator]),
        (OPERATED_THREADS, [each for each in numbered if each[1].operator and not each[1].alone]),
        (1, [each for each in numbered if each[1].alone]),
    )
    transcripts: Transcripts = {}
    for threads, batch in batches:
        with ThreadPoolExecutor(threads) as pool:
            for (_, case), lines in zip(batch, pool.map(play, batch), strict=True):
                transcripts[case.name] = lines
    return transcripts


def _record(options: argparse.Namespace, chosen: list[Case]) -> int:
    """Write what the peer answers; a case whose own expectations RabbitMQ does not meet is a mistake in the case."""
    found = perform(options.peer, options.peer_ctl, chosen)
    kept: Transcripts = json.loads(GOLDEN.read_text())["transcripts"] if GOLDEN.exists() else {}
    transcripts = {name: found.get(name, kept.get(name)) for name in CASES if name in found or name in kept}
    GOLDEN.write_text(
        json.dumps({"broker": _broker(options.peer), "transcripts": transcripts}, indent=1, ensure_ascii=False) + "\n"
    )
    wrong = [name for name, lines in found.items() if any(line.startswith("!") for line in lines)]
    for name in wrong:
        print(f"\n== {name}: not as the case expects", *found[name], sep="\n  ")
    print(f"recorded: {len(found)} of {len(chosen)}, {len(wrong)} not as expected")
    return 1 if wrong else 0


def _broker(url: str) -> str:
    client = Client(Address.parse(url), "-", lambda line: None)
    client.raw(b"AMQP\0\0\x09\x01")
    properties = client.expect_quietly("connection.start").fields["server_properties"]
    client.drop()
    return f"{properties['product'].value} {properties['version'].value}"


# -- the broker of this repository ------------------------------------------------------------------------------------
@contextlib.contextmanager
def _target(options: argparse.Namespace) -> Iterator[tuple[str, str | None]]:
    """The URL and the operator's command of the broker to judge."""
    if options.target:
        yield options.target, options.target_ctl
        return
    program = os.environ.get("AMQPD", str(REPOSITORY / ".venv" / "bin" / "amqpd"))
    directory = tempfile.mkdtemp(prefix="compare-")
    port = _free_port()
    log = Path(directory) / "amqpd.log"
    with log.open("wb") as output:
        command = [program, "serve", "--listen", f"127.0.0.1:{port}", "--data-dir", f"{directory}/data"]
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        _wait_for(port, process, log)
        control = shlex.join([str(Path(program).with_name("amqpctl")), "--data-dir", f"{directory}/data"])
        yield f"amqp://guest:guest@127.0.0.1:{port}/", control
    finally:
        process.send_signal(signal.SIGTERM)
        status = process.wait(START_TIMEOUT_S)
        if status not in (0, -signal.SIGTERM):
            print(f"amqpd ended with status {status}:\n{log.read_text(errors='replace')[-4000:]}")
        shutil.rmtree(directory)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=START_TIMEOUT_S) as probe:
                probe.sendall(b"AMQP\0\0\x09\x01")
                probe.recv(1)  # it answers when all of it has started, not only listens
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"amqpd did not start:\n{log.read_text(errors='replace')[-4000:]}")
            time.sleep(0.05)


# -- reporting --------------------------------------------------------------------------------------------------------
def report(chosen: list[Case], target: Transcripts, peer: Transcripts, verbose: bool) -> int:
    accepted: dict[str, str] = tomllib.loads(ACCEPTED.read_text())
    same = differing = 0
    used: set[str] = set()
    missing: list[str] = []
    for case in chosen:
        if case.name not in target or case.name not in peer:
            missing.append(case.name)
            continue
        here, there = target[case.name], peer[case.name]
        if verbose:
            print(f"\n== {case.name}", *here, sep="\n  ")
        if here == there and not any(line.startswith("!") for line in here):
            same += 1
        elif case.name in accepted:
            used.add(case.name)
            print(f"\naccepted {case.name}: {accepted[case.name]}")
        else:
            differing += 1
            _print_difference(case.name, here, there)
    compared = len(chosen) - len(missing)
    for name in missing:
        print(f"\nnot compared {name}: {'it needs an operator' if name not in target else 'the peer has no answer'}")
    stale = [name for name in accepted if name in target and name in peer and name not in used]
    for name in stale:
        print(f"\naccepted without need {name}: no difference any more, take it out of accepted.toml")
    print(f"\nnot compared: {len(missing)}\naccepted differences: {len(used)}\ncompare: {same} of {compared}")
    return 1 if differing or stale else 0


def _print_difference(name: str, here: list[str], there: list[str]) -> None:
    print(f"\n== {name}")
    for line in difflib.unified_diff(there, here, "peer", "target", lineterm="", n=3):
        if not line.startswith(("---", "+++", "@@")):
            print(f"  {line}")
