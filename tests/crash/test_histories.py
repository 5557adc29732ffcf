"""Nothing that was acknowledged is lost: random histories, recovered from what crashes could leave of their disks.

More of them: tools/crash images --seeds 100000 --seconds 3600. One of them, shortened if it fails: tools/crash seed N.
"""

import random
from dataclasses import replace

import pytest
from crash import command, mutation, shorten
from crash.disk import Disk
from crash.history import history
from crash.ledger import Violation
from crash.node import FIRST_WALL_MS, Node, Sizes
from crash.play import Looks, Play

CHUNK = 20
QUICK = (  # each is found by one of the first histories; all of them: tools/crash mutants
    "confirm-when-sealed",
    "no-sync-of-batches",
    "inventory-is-not-synced",
    "spare-before-the-directory",
    "a-crash-is-an-orderly-stop",
    "freed-before-pages-are-synced",
)


@pytest.mark.parametrize("first", range(0, 3 * CHUNK, CHUNK))
def test_whatever_a_crash_leaves_is_what_was_promised(first):
    figures, found = command.images(first, CHUNK, 600.0, shown=False)
    assert found == []
    assert figures.histories == CHUNK
    # A run that looks at little proves little.
    assert figures.images > 1000
    assert figures.lives > 2 * CHUNK
    assert figures.batches > 10 * CHUNK
    kinds = figures.kinds
    for kind in ("extend journal", "rename journal", "write segments", "rename segments", "remove segments"):
        assert kinds[kind] > 0, kind
    assert kinds["remove journal"] + kinds["rename journal"] > CHUNK


@pytest.mark.parametrize("seed", [8, 330, 355, 424, 484, 508, 533, 543, 682, 709, 715, 723, 925])
def test_what_was_found_once_stays_mended(seed):
    """A deletion ahead of its queue's dead letters; and what the checker did not know (docs/testing.md)."""
    _figures, found = command.images(seed, 1, 600.0, shown=False)
    assert found == []


def test_directed_histories_hold():
    assert command.directed() == []


def test_damage_is_noticed_or_does_no_harm():
    taken, found = command.damage(0, 40, 600.0, shown=False)
    assert found == []
    for kind in ("journal", "segments", "node"):
        for what in ("flip", "cut", "lose"):
            assert taken[f"{what} {kind}: noticed"] > 0


def test_a_node_that_crashes_while_it_is_made_is_made_again():
    disk = Disk()
    images = []
    rng = random.Random(1)
    disk.before = lambda kind, path: images.extend(disk.images(rng, 20))
    Node(disk, [], FIRST_WALL_MS, 1, Sizes())
    assert len(images) > 100
    for name, image in images:
        node = Node(image, [], FIRST_WALL_MS, 2, Sizes())
        assert node.found() == [], name


@pytest.fixture(scope="module")
def killed():
    return {result["name"]: result["found"] for result in command.hunted(list(QUICK), 30.0)}


@pytest.mark.parametrize("name", QUICK)
def test_bugs_are_found(killed, name):
    assert killed[name]


@pytest.mark.parametrize("name", mutation.mutants())
def test_bugs_fit_the_source(name):
    mutation.mutants()[name].check()


def test_a_bug_whose_lines_are_gone_is_an_error():
    mutant = mutation.Mutant("stale", "", "store/batch.py", "no such line", "another")
    with pytest.raises(mutation.Misfit, match="0 times in store/batch"):
        mutant.check()


def test_the_same_seed_is_the_same_history():
    first, second = Play(history(3)), Play(history(3))
    assert first.run() == second.run()
    assert first.disk.state() == second.disk.state()


def test_a_failing_history_is_shortened(monkeypatch):
    """A rule that a third message breaks needs no more than a few steps."""

    def one_more(self, *arguments):
        publish(self, *arguments)
        if self.number == 3:
            raise Violation("three", "messages")

    from crash.clients import Clients

    publish = Clients.publish
    monkeypatch.setattr(Clients, "publish", one_more)
    whole = history(1)
    short = shorten.shortened(whole, "three", 600.0)
    assert len(short.steps) <= 3
    assert {step[0] for step in short.steps} <= {"publish", "tx-publish"}
    assert shorten.failure(short) == "three"
    assert shorten.failure(replace(whole, steps=[]), Looks(probe=0.0)) == ""
    assert "publish" in shorten.told(short)
