"""What tools/raft does: everything that is to prove the Raft core, or a part of it.

    tools/raft [--seeds N] [--seconds S]     all of it; prints one line of figures last
    tools/raft simulate [--seeds N] [--first N] [--seconds S]
    tools/raft seed N                        one seed; if it fails, the shortest trace that fails in the same way
    tools/raft explore [NAME ...]            every state of three members within bounds; without names, the quick ones;
                                             "long": the greater ones (full: 3 terms, 3 entries, 1 crash), minutes
    tools/raft scenarios                     the directed ones
    tools/raft mutants [NAME ...] [--by WAY,...] [--budget S]   who finds each of the bugs put in, and how soon

All of it simulates a fixed block of seeds and one that the commit chooses, so that different ones are tried each time
and yet the same for the same commit. All mutants are shown to the scenarios, and to the other ways if those are blind;
a part of them, which the commit chooses, too, has to be found by random simulation alone.

Exit code 1 if anything is wrong, also if the simulation no longer covers enough.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

from simulation import mutation

TESTS = Path(__file__).resolve().parents[1]
WAYS = ("scenarios", "exploration", "simulation")
SEEDS = 600
COMMIT_SEEDS = 300
COVERED_SEEDS_MIN = SEEDS  # blocks of fewer differ too much from one another to be held to the floors of coverage
EXPLORATION_S = 120.0  # for each of the quick bounds, which take a few
MUTANT_BUDGET_S = 60.0
MUTANT_SEEDS = 600
ROTATING = 12
PROGRESS_SEEDS = 10_000
START = "import sys; sys.path.insert(0, sys.argv.pop(1)); from simulation.command import main; sys.exit(main())"
# A mutant that fails in these is not a bug in the core but one in the list of mutants, or here.
BROKEN = (NameError, ImportError, SyntaxError, mutation.Misfit)


def simulate(first: int, seeds: int, seconds: float) -> tuple[int, list[str]]:
    """Run seeds until there are enough or time is over. Returns how many ran, and what is wrong."""
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
            print(found[-1], flush=True)
        seed += 1
        if (seed - first) % PROGRESS_SEEDS == 0:
            print(f"{seed - first} seeds, {len(found)} violations", flush=True)
    spent = max(time.process_time() - begun, 0.001)
    print(f"seeds {first} to {seed - 1}: {coverage}")
    print(f"{(seed - first) / spent:.0f} seeds and {coverage.events / spent:.0f} events a second of CPU", flush=True)
    if coverage.seeds >= COVERED_SEEDS_MIN:
        found += [f"coverage fell: {low}" for low in coverage.low()]
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

        for bounds in exploration.QUICK:
            try:
                exploration.explore(bounds, seconds)
            except BROKEN:
                raise
            except Exception as error:
                return f"exploration ({bounds.name}): {type(error).__name__} {error}"
        return ""
    from simulation import swarm

    begun = time.process_time()
    seed = 0
    while seed < MUTANT_SEEDS and time.process_time() - begun < seconds:
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


class Hunt:
    """`hunt` in a child, which begins at once."""

    def __init__(self, names: list[str], ways: list[str], budget: float) -> None:
        options = ["--budget", str(budget), "--by", ",".join(ways)]
        self.arguments = [sys.executable, "-c", START, str(TESTS), "hunt", *names, *options]
        self.child = subprocess.Popen(self.arguments, stdout=subprocess.PIPE, text=True, cwd=TESTS.parent)

    def results(self) -> Iterator[dict]:
        """One result after the other. Raises CalledProcessError if the child breaks down, as with a mutant that no
        longer fits."""
        with self.child:
            for line in self.child.stdout or ():
                yield json.loads(line)
        if self.child.returncode:
            raise subprocess.CalledProcessError(self.child.returncode, self.arguments)

    def table(self) -> set[str]:
        """Print the results. Returns the names of those that were found."""
        listed = mutation.mutants()
        found = set()
        for result in self.results():
            name = result["name"]
            if result["by"]:
                found.add(name)
            by = f"{result['by'] or 'NOBODY':12} {result['seconds']:6.2f} s"
            print(f"{listed[name].rule:5} {name:45} {by}  {result['found'][:90]}", flush=True)
        return found


def commit_number() -> tuple[str, int]:
    """The commit that is checked out, and a number that follows from it; 0 where there is none."""
    command = ["git", "-C", str(TESTS), "rev-parse", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    commit = done.stdout.strip()
    return (commit[:12], 1 + int(commit[:8], 16) % 1_000_000) if done.returncode == 0 and commit else ("none", 0)


def etcd_agrees() -> tuple[str, list[str]]:
    """What to say of etcd's files and blocks, and what is wrong with them; says so loudly where they are not there."""
    from raft.etcd import replay

    missing = not replay.files()
    if missing:
        print(
            f"*** SKIPPED: etcd's scenarios are not in {replay.ROOT}, so none is replayed. "
            f"{replay.VARIABLE} can name another place ***"
        )
    files, blocks = (0, 0) if missing else replay.totals()
    wrong = [] if missing else [
        f"etcd: {one.block.place}: {one.problems[0]}"
        for file in replay.files() for one in replay.outcome(file) if not one.as_listed
    ]  # fmt: skip
    return f"{files} of {replay.FILES} files, {blocks} of {replay.BLOCKS} blocks", wrong


def everything(seeds: int, seconds: float) -> int:
    """All of it. Returns the exit code."""
    from simulation.scenarios import SCENARIOS

    commit, number = commit_number()
    names = list(mutation.mutants())
    able = [name for name, mutant in mutation.mutants().items() if mutant.random]
    rotating = sorted(Random(number).sample(able, min(ROTATING, len(able))))
    # On another processor, if there is one.
    hunts = (Hunt(names, list(WAYS), MUTANT_BUDGET_S), Hunt(rotating, ["simulation"], MUTANT_BUDGET_S))
    wrong = [one for one in (find("scenarios", seconds),) if one]
    print(wrong[0] if wrong else f"{len(SCENARIOS)} directed scenarios hold")
    wrong += explored(EXPLORATION_S)
    ran, found = simulate(0, seeds, seconds)
    wrong += found
    print(f"the block of seeds of commit {commit}:")
    more, found = simulate(number * 1000, COMMIT_SEEDS, seconds)
    wrong += found
    killed = hunts[0].table()
    print(f"the part of the mutants that commit {commit} shows to random simulation alone:")
    escaped = set(rotating) - hunts[1].table()
    figures, unlike = etcd_agrees()
    for one in [*wrong, *unlike, *(f"random simulation did not find {name}" for name in sorted(escaped))]:
        print(f"WRONG: {one}")
    print(
        f"raft: {figures}, {len(killed - escaped)} of {len(names)} mutants, {ran + more} seeds, {len(wrong)} violations"
    )
    return 1 if wrong or unlike or escaped or len(killed) < len(names) else 0


def explore(names: list[str], seconds: float) -> list[str]:
    """Explore within these bounds, with the interpreted core. What is wrong."""
    mutation.install(None)
    from simulation import exploration

    groups = {"long": list(exploration.LONG), "": list(exploration.QUICK)}
    wrong = []
    for name in names or [""]:
        for bounds in groups.get(name) or [exploration.BOUNDS[name]]:
            try:
                explored = exploration.explore(bounds, seconds)
                print(explored, flush=True)
                if not explored.complete:
                    wrong.append(f"exploration ({bounds.name}) was not finished in {seconds:.0f} s")
            except Exception as error:
                wrong.append(f"exploration ({bounds.name}): {type(error).__name__} {error}")
                print(wrong[-1], flush=True)
    return wrong


def explored(seconds: float) -> list[str]:
    """`explore` in a child, which can have another core than this process. What is wrong."""
    command = [sys.executable, "-c", START, str(TESTS), "explore", "--seconds", str(seconds)]
    done = subprocess.run(command, cwd=TESTS.parent, check=False)
    return [f"exploration ended with {done.returncode}"] if done.returncode else []


def main() -> int:
    parser = argparse.ArgumentParser(prog="tools/raft", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", nargs="?", default="all",
                        choices=("all", "simulate", "seed", "explore", "scenarios", "mutants", "hunt"))  # fmt: skip
    parser.add_argument("names", nargs="*", help="mutants, or a seed")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=None, help="default: 60, or none for explore")
    parser.add_argument("--budget", type=float, default=MUTANT_BUDGET_S)
    parser.add_argument("--by", default=",".join(WAYS))
    parser.add_argument("--early", action="store_true", help="a seed as it was before there were upheavals")
    options = parser.parse_args()
    ways = options.by.split(",")
    seconds = 60.0 if options.seconds is None else options.seconds
    if options.what == "hunt":
        return hunt(options.names, ways, options.budget)
    if options.what == "mutants":
        names = options.names or list(mutation.mutants())
        killed = len(Hunt(names, ways, options.budget).table())
        print(f"{killed} of {len(names)} mutants")
        return 0 if killed == len(names) else 1
    if options.what == "simulate":
        _, found = simulate(options.first, options.seeds, seconds)
        return 1 if found else 0
    if options.what == "seed":
        from simulation import minimise

        return minimise.show(int(options.names[0]), options.early)
    if options.what == "scenarios":
        wrong = find("scenarios", seconds)
        print(wrong or "all directed scenarios hold")
        return 1 if wrong else 0
    if options.what == "explore":
        return 1 if explore(options.names, float("inf") if options.seconds is None else seconds) else 0
    return everything(options.seeds, seconds)
