"""What tools/crash does: everything that is to prove the message store, or a part of it.

    tools/crash                         all of it within CI's budget; the figures in one line, which is the last
    tools/crash images [--seeds N] [--first N] [--seconds S]     histories, with crash images on the way, and faults
    tools/crash damage [--seeds N] [--first N] [--seconds S]     files that are not what they were
    tools/crash kills [--rounds N] [--first SEED] [--seconds S]  the real server, ended at random moments under load
    tools/crash faults                  a disk that is full or fails, files that are missing, a clock that jumps
    tools/crash seed N                  one history; if it fails, the shortest that fails in the same way
    tools/crash mutants [--seconds S] [NAME ...]                 who is found of the bugs put in, and how soon

With --as-built histories are played with the broker's own constants, which a compiled build has anyway.

Exit code 1 if anything is wrong. Nothing of amqpd is imported before a mutant was put in.
"""

from __future__ import annotations

import argparse
import json
import logging
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from crash import mutation

if TYPE_CHECKING:
    from crash.play import Figures

TESTS = Path(__file__).resolve().parents[1]
SHORTEN_S = 60.0
DAMAGES = 40  # for each history
MUTANT_S = 60.0
DAMAGE_SHARE = 0.2  # of the time in which a mutant is hunted
SEEDS, DAMAGE_SEEDS = 120, 60  # the same each time: others are for the long runs
ROUNDS = 50  # of kills in CI
IMAGES_S, DAMAGE_S, KILLS_S = 45.0, 20.0, 120.0
FAULTS = "tests/crash/test_faults.py"
FAULTS_S = 300.0


def prepare(as_built: bool = False) -> None:
    """No log lines; and everything small, or the broker's own constants `as_built`."""
    from crash.node import make_small

    logging.disable(logging.CRITICAL)
    if not as_built:
        make_small(setattr)


def told_failure(seed: int, error: BaseException) -> str:
    return f"seed {seed}: {type(error).__name__} {error}"


def images(first: int, seeds: int, seconds: float, shown: bool = True) -> tuple[Figures, list[str]]:
    """Play histories until there are enough, or time is over. Returns the figures and the violations."""
    from crash.history import history
    from crash.ledger import Violation
    from crash.play import Figures, Play

    figures = Figures()
    found = []
    end = time.monotonic() + seconds
    for seed in range(first, first + seeds):
        if time.monotonic() > end:
            break
        play = Play(history(seed))
        try:
            figures.add(play.run())
        except (Violation, Exception) as error:  # whatever the code under test raises is a finding
            figures.add(play.figures)
            found.append(told_failure(seed, error))
            if shown:
                print(found[-1], flush=True)
    return figures, found


def directed() -> list[str]:
    """Play the directed ones. Returns the violations."""
    from crash.ledger import Violation
    from crash.play import Play
    from crash.scenarios import CLOSELY, scenarios

    found = []
    for name, history in scenarios().items():
        try:
            Play(history, CLOSELY).run()
        except (Violation, Exception) as error:
            found.append(f"scenario {name}: {type(error).__name__} {error}")
    return found


def damage(first: int, seeds: int, seconds: float, shown: bool = True) -> tuple[Counter[str], list[str]]:
    """Damage what histories leave. Returns how that was taken, and the violations."""
    from crash.damage import damaged
    from crash.history import history
    from crash.ledger import Violation

    taken: Counter[str] = Counter()
    found = []
    end = time.monotonic() + seconds
    for seed in range(first, first + seeds):
        if time.monotonic() > end:
            break
        try:
            taken += damaged(history(seed), DAMAGES)
        except (Violation, Exception) as error:
            found.append(told_failure(seed, error))
            if shown:
                print(found[-1], flush=True)
    return taken, found


def kills(rounds: int, seed: int, seconds: float) -> tuple[Counter[str], list[str]]:
    """Kill rounds. Returns the figures and the violations."""
    from crash.kills import kills as played

    counts, found = played(rounds, seconds, seed, lambda line: print(line, flush=True))
    for name, count in sorted(counts.items()):
        print(f"{count:8} {name}")
    print(*found, sep="\n", end="\n" if found else "")
    return counts, found


def faults() -> tuple[int, list[str]]:
    """The tests of what the disk, the files and the clock can do to a node. Returns how many held, and what did not."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", FAULTS]
    run = subprocess.run(command, capture_output=True, text=True, cwd=TESTS.parent, timeout=FAULTS_S, check=False)
    lines = run.stdout.splitlines()
    for line in lines:
        if line.startswith("SKIPPED"):
            print(f"*** {line}", flush=True)
    held = re.search(r"(\d+) passed", lines[-1] if lines else "")
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    if run.returncode and not failed:
        failed = [f"pytest ended with exit code {run.returncode}: {(run.stdout + run.stderr)[-500:]}"]
    print(*failed, sep="\n", end="\n" if failed else "")
    return int(held[1]) if held else 0, failed


def everything() -> int:
    """All of it. Returns the exit code."""
    prepare()
    figures, found = images(0, SEEDS, IMAGES_S)
    found += directed()
    print(figures, flush=True)
    taken, others = damage(0, DAMAGE_SEEDS, DAMAGE_S)
    found += others
    print(f"damage: {dict(sorted(taken.items()))}", flush=True)
    counts, others = kills(ROUNDS, 0, KILLS_S)
    found += others
    held, others = faults()
    found += others
    damages = sum(taken.values())
    print(f"crash: {figures.images} images, {counts['kills']} kills, {damages + held} faults, {len(found)} lost")
    return 1 if found else 0


def seed_shown(seed: int) -> int:
    """Play one history; shorten it if it fails. Returns the exit code."""
    from crash.history import history
    from crash.shorten import failure, shortened, told

    whole = history(seed)
    rule = failure(whole)
    if not rule:
        print(f"seed {seed} holds: {len(whole.steps)} steps")
        return 0
    _, found = images(seed, 1, SHORTEN_S, False)
    print(*found, sep="\n")
    short = shortened(whole, rule, SHORTEN_S)
    print(f"{len(short.steps)} of {len(whole.steps)} steps break {rule!r} too:")
    print(told(short))
    return 1


def hunt(names: list[str], seconds: float) -> int:
    """In a process of its own, for one name: put in the bug and see whether it is found. Prints a line of JSON."""
    [name] = names
    mutation.install(mutation.mutants()[name])
    prepare()
    begun = time.monotonic()
    found: list[str] = directed()
    seed = 0
    while not found and time.monotonic() - begun < seconds:
        found = images(seed, 10, seconds - (time.monotonic() - begun), False)[1]
        if not found:
            found = damage(seed, 10, DAMAGE_SHARE * seconds, False)[1]
        seed += 10
    print(json.dumps({"name": name, "found": found[0] if found else "", "seconds": time.monotonic() - begun}))
    return 0


def hunted(names: list[str], seconds: float) -> Iterator[dict]:
    """`hunt` in children, two at a time. Raises CalledProcessError if one breaks down, as with a mutant that does not
    fit any more."""
    start = "import sys; sys.path.insert(0, sys.argv.pop(1)); from crash import command; sys.exit(command.main())"
    waiting = list(names)
    running: list[subprocess.Popen[str]] = []
    try:
        while waiting or running:
            while waiting and len(running) < 2:
                arguments = [sys.executable, "-c", start, str(TESTS), "hunt", waiting.pop(0), "--seconds", str(seconds)]
                running.append(subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, cwd=TESTS.parent))
            out, _ = running[0].communicate()
            child = running.pop(0)
            if child.returncode:
                raise subprocess.CalledProcessError(child.returncode, child.args)
            yield json.loads(out)
    finally:
        for child in running:
            child.kill()
            child.communicate()


def mutants(names: list[str], seconds: float) -> int:
    """Every mutant; prints a table. Returns the exit code."""
    listed = mutation.mutants()
    killed = 0
    for result in hunted(names or list(listed), seconds):
        killed += bool(result["found"])
        found = result["found"][:100] or "NOT FOUND"
        print(f"{result['name']:34} {result['seconds']:6.1f} s  {found}", flush=True)
    print(f"{killed} of {len(names or listed)} mutants")
    return 0 if killed == len(names or listed) else 1


def main() -> int:
    parser = argparse.ArgumentParser(prog="tools/crash", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", nargs="?", choices=("images", "damage", "kills", "faults", "seed", "mutants", "hunt"))
    parser.add_argument("names", nargs="*", help="mutants, or a seed")
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=MUTANT_S)
    parser.add_argument("--as-built", action="store_true", help="with the broker's own constants")
    options = parser.parse_intermixed_args()
    if options.what is None:
        return everything()
    if options.what == "kills":
        return 1 if kills(options.rounds, options.first, max(options.seconds, 10.0 * options.rounds))[1] else 0
    if options.what == "faults":
        held, failed = faults()
        print(f"{held} held, {len(failed)} did not")
        return 1 if failed else 0
    if options.what == "hunt":
        return hunt(options.names, options.seconds)
    if options.what == "mutants":
        return mutants(options.names, options.seconds)
    prepare(options.as_built)
    if options.what == "seed":
        return seed_shown(int(options.names[0]))
    if options.what == "images":
        figures, found = images(options.first, options.seeds, options.seconds)
        found += directed()
        print(figures)
    else:
        taken, found = damage(options.first, options.seeds, options.seconds)
        for name, count in sorted(taken.items()):
            print(f"{count:6} {name}")
    print(f"{len(found)} violations")
    return 1 if found else 0
