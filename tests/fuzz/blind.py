"""The fuzz targets without a guide: for compiled code, which tells nobody how far an input got.

    tests/fuzz/run --compiled [--seconds N] [--seed N] [TARGET ...]      starts it, a process for each target

Inputs are random, or made of what atheris has learned with interpreted code (tests/fuzz/corpus) by a few changes. Each
is written to a file before it is tried: a crash of the process leaves it there. A seed gives the same inputs again, as
long as the corpus stays. An input that takes longer than HANG_S ends the process.
"""

import argparse
import faulthandler
import logging
import random
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from fuzz import targets

from amqpd.runtime import build

HANG_S = 60
KNOWN_MAX = 5000  # files of the corpus that are used
CHANGES_MAX = 4
FRESH = 0.2  # of the inputs are made of nothing
EDGES = (b"\x00", b"\xff", b"\x7f\xff", b"\x80\x00", b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\xce")


def inputs(known: list[bytes], size_max: int, chance: random.Random) -> Iterator[bytes]:
    """Inputs without end, each of `size_max` bytes at most."""
    while True:
        if not known or chance.random() < FRESH:
            yield chance.randbytes(chance.randint(0, size_max))
            continue
        data = chance.choice(known)
        for _ in range(chance.randint(1, CHANGES_MAX)):
            data = changed(data, known, chance)
        yield data[:size_max]


def changed(data: bytes, known: list[bytes], chance: random.Random) -> bytes:
    """One change: a bit, a piece that is lost, doubled, put in, or another input's end."""
    at = chance.randint(0, len(data))
    end = min(len(data), at + chance.randint(1, 16))
    kind = chance.randrange(5)
    if kind == 0 and at < len(data):
        return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]
    if kind == 1:
        return data[:at] + data[end:]
    if kind == 2:
        return data[:end] + data[at:end] + data[end:]
    if kind == 3:
        return data[:at] + chance.choice(known)[at:]
    return data[:at] + (chance.choice(EDGES) if chance.randrange(2) else chance.randbytes(4)) + data[at:]


def tried(target: Callable[[bytes], None], found: Iterator[bytes], current: Path, going: Callable[[int], bool]) -> int:
    """Try inputs while `going` says so of how many there were; returns how many. What a target raises is raised."""
    count = 0
    with current.open("r+b" if current.exists() else "w+b", buffering=0) as file:
        while going(count):
            data = next(found)
            file.seek(0)
            file.write(data)
            file.truncate(len(data))
            faulthandler.dump_traceback_later(HANG_S, exit=True)
            target(data)
            count += 1
    faulthandler.cancel_dump_traceback_later()
    return count


def main() -> int:
    parser = argparse.ArgumentParser(prog="blind.py", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("target", choices=tuple(targets.TARGETS))
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--current", type=Path, required=True, help="the file for the input that is being tried")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size-max", type=int, required=True)
    parser.add_argument("--again", type=Path, help="try this input and nothing else")
    options = parser.parse_args()
    if build.mode() != "compiled":
        parser.error("amqpd is interpreted here, and atheris is the better guide for that")
    logging.disable(logging.CRITICAL)
    target = targets.TARGETS[options.target]
    if options.again:
        target(options.again.read_bytes())
        return 0
    files = sorted(options.corpus.iterdir())[:KNOWN_MAX] if options.corpus.is_dir() else []
    known = [file.read_bytes() for file in files]
    end = time.monotonic() + options.seconds
    found = inputs(known, options.size_max, random.Random(f"{options.target} {options.seed}"))
    print(f"inputs: {tried(target, found, options.current, lambda count: time.monotonic() < end)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
