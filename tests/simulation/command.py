"""What tools/raft does: everything that is to prove the Raft core, or a part of it.

    tools/raft [--seeds N] [--seconds S]     all of it; prints one line of figures last
    tools/raft simulate [--seeds N] [--first N] [--seconds S]
    tools/raft seed N                        one seed; if it fails, the shortest trace that fails in the same way
    tools/raft explore [--seconds S]         all orders of events of a small group, as far as time allows
    tools/raft scenarios                     the directed ones
    tools/raft mutants [--by WAY] [--budget S] [NAME ...]   who finds each of the bugs put in, and how soon

Exit code 1 if anything is wrong.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from simulation import mutation

TESTS = Path(__file__).resolve().parents[1]
WAYS = ("scenarios", "exploration", "simulation")
# Directives of etcd's published scenarios; replayed where reference/etcd-raft is.
ETCD_FILES = 41
ETCD_BLOCKS = 743
MUTANT_BUDGET_S = 60.0
# A mutant that fails in these is not a bug in the core but one in the list of mutants, or here.
BROKEN = (NameError, ImportError, SyntaxError, mutation.Misfit)


def simulate(first: int, seeds: int, seconds: float, shown: bool = True) -> tuple[int, list[str]]:
    """Run seeds until there are enough or time is over. Returns how many ran, and the violations."""
    from simulation import swarm

    coverage = swarm.Coverage()
    begun = time.process_time()
    found = []
    seed = first
    while seed < first + seeds and time.process_time() - begun < seconds:
        try:
            if seed not in swarm.OPEN:
                swarm.run(seed, coverage)
        except Exception as error:  # whatever the core raises is a finding
            found.append(f"seed {seed}: {type(error).__name__} {error}")
            if shown:
                print(found[-1], flush=True)
        seed += 1
    spent = max(time.process_time() - begun, 0.001)
    if shown:
        print(coverage)
        print(f"{(seed - first) / spent:.0f} seeds and {coverage.events / spent:.0f} events a second of CPU")
    return seed - first, found


def find(way: str, seconds: float) -> str:
    """Look for anything wrong in one way; what it is, or "". Stops at the first finding."""
    if way == "scenarios":
        from simulation.scenarios import OPEN, SCENARIOS, play

        for name, text in SCENARIOS.items():
            try:
                if name not in OPEN:
                    play(text)
            except BROKEN:
                raise
            except Exception as error:
                return f"scenario {name}: {type(error).__name__} {error}"
        return ""
    if way == "exploration":
        from simulation import exploration

        try:
            exploration.explore(exploration.SMALL, seconds)
        except BROKEN:
            raise
        except Exception as error:
            return f"exploration: {type(error).__name__} {error}"
        return ""
    from simulation import swarm

    begun = time.process_time()
    seed = 0
    while time.process_time() - begun < seconds:
        try:
            if seed not in swarm.OPEN:
                swarm.run(seed)
        except BROKEN:
            raise
        except Exception as error:
            return f"seed {seed}: {type(error).__name__} {error}"
        seed += 1
    return ""


def hunt(names: list[str], ways: list[str], budget: float) -> int:
    """In a process of its own: put in each bug and see who finds it. Prints one line of JSON for each."""
    listed = mutation.mutants()
    for name in names:
        mutation.install(listed[name])
        simulation = sys.modules["simulation"]
        for module in [each for each in vars(simulation) if each not in ("mutation", "command")]:
            if not module.startswith("__"):
                delattr(simulation, module)
        begun = time.process_time()
        found = ""
        by = ""
        for way in ways:
            found = find(way, budget if way == "simulation" else budget / 4)
            if found:
                by = way
                break
        spent = round(time.process_time() - begun, 2)
        print(json.dumps({"name": name, "by": by, "seconds": spent, "found": found[:200]}), flush=True)
    return 0


def hunted(names: list[str], ways: list[str], budget: float) -> Iterator[dict]:
    """`hunt` in a child, one result after the other. Raises CalledProcessError if it breaks down, as with a mutant that
    no longer fits."""
    start = "import sys; sys.path.insert(0, sys.argv.pop(1)); from simulation import command; sys.exit(command.main())"
    options = ["--budget", str(budget), "--by", ",".join(ways)]
    arguments = [sys.executable, "-c", start, str(TESTS), "hunt", *names, *options]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, cwd=TESTS.parent) as child:
        for line in child.stdout or ():
            yield json.loads(line)
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, arguments)


def hunt_all(names: list[str], ways: list[str], budget: float) -> tuple[int, int]:
    """Every mutant; prints a table. Returns how many were found, of how many."""
    killed = 0
    listed = mutation.mutants()
    for result in hunted(names, ways, budget):
        killed += bool(result["by"])
        by = result["by"] or "NOBODY"
        rule = listed[result["name"]].rule
        print(f"{rule:5} {result['name']:45} {by:12} {result['seconds']:6.2f} s  {result['found'][:90]}", flush=True)
    return killed, len(names)


def etcd_agrees() -> tuple[int, int]:
    """How many of etcd's files and blocks agree; says so loudly where they are not there."""
    from raft.etcd import replay

    if not replay.files():
        print("*** etcd's scenarios are MISSING (see tests/raft/etcd/replay.py for where they have to be): 0 agree ***")
        return 0, 0
    return replay.totals()


def everything(seeds: int, seconds: float) -> int:
    """All of it. Returns the exit code."""
    from simulation import exploration
    from simulation.scenarios import SCENARIOS

    wrong = find("scenarios", seconds)
    print(wrong or f"{len(SCENARIOS)} directed scenarios hold")
    violations = [wrong] if wrong else []
    for bounds in (exploration.SMALL, exploration.FULL):
        try:
            print(exploration.explore(bounds, seconds))
        except Exception as error:
            violations.append(f"exploration: {error}")
            print(violations[-1])
    ran, found = simulate(0, seeds, seconds)
    violations += found
    killed, mutants = hunt_all(list(mutation.mutants()), list(WAYS), MUTANT_BUDGET_S)
    mutation.install(None)
    files, blocks = etcd_agrees()
    print(
        f"raft: {files} of {ETCD_FILES} files, {blocks} of {ETCD_BLOCKS} blocks, {killed} of {mutants} mutants, "
        f"{ran} seeds, {len(violations)} violations"
    )
    return 1 if violations or killed < mutants else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="tools/raft", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", nargs="?", default="all",
                        choices=("all", "simulate", "seed", "explore", "scenarios", "mutants", "hunt"))  # fmt: skip
    parser.add_argument("names", nargs="*", help="mutants, or a seed")
    parser.add_argument("--seeds", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--budget", type=float, default=MUTANT_BUDGET_S)
    parser.add_argument("--by", default=",".join(WAYS))
    options = parser.parse_args()
    ways = options.by.split(",")
    if options.what == "hunt":
        return hunt(options.names, ways, options.budget)
    if options.what == "mutants":
        killed, mutants = hunt_all(options.names or list(mutation.mutants()), ways, options.budget)
        print(f"{killed} of {mutants} mutants")
        return 0 if killed == mutants else 1
    if options.what == "simulate":
        _, found = simulate(options.first, options.seeds, options.seconds)
        return 1 if found else 0
    if options.what == "seed":
        from simulation import minimise

        return minimise.show(int(options.names[0]))
    if options.what == "scenarios":
        wrong = find("scenarios", options.seconds)
        print(wrong or "all directed scenarios hold")
        return 1 if wrong else 0
    if options.what == "explore":
        from simulation import exploration

        for bounds in (exploration.SMALL, exploration.FULL):
            print(exploration.explore(bounds, options.seconds))
        return 0
    return everything(options.seeds, options.seconds)
