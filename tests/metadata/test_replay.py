"""What is stored is what the commands say, whatever their order and batches, and the moment at which a node dies."""

import os
import subprocess
import sys
from contextlib import closing
from itertools import islice
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metadata.histories import BEGINNING, NAMES, POOL, USERS, VHOSTS, Model, batches, checked, identity

from amqpd.broker import commands as c
from amqpd.metadata.store import NAME, Store

TESTS = Path(__file__).parents[1]
history = st.lists(st.lists(st.sampled_from(POOL), min_size=5, max_size=30), min_size=2, max_size=8)


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Two stores for all examples: a new one for each would cost more than what it is for."""
    folders = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("other")
    with closing(Store(folders[0] / NAME)) as one, closing(Store(folders[1] / NAME)) as other:
        yield one, other


def emptied(store: Store) -> Store:
    vhosts, users = (c.DeleteVHost(name) for name in VHOSTS), (c.DeleteUser(name) for name in USERS)
    put(store, [*vhosts, *users, *(c.DeleteGlobalParameter(name) for name in NAMES)])
    assert store.load() == []
    return store


def put(store: Store, commands: list[c.Command]) -> None:
    store.apply(commands, store.sequence + 1)


def shown(commands: list[c.Command]) -> list[str]:
    return sorted(map(repr, commands))


@settings(max_examples=50)
@given(history)
def test_the_state_is_that_of_a_dict_after_the_same_commands(stores, history):
    store, model = emptied(stores[0]), Model()
    for batch in [BEGINNING, *history]:
        put(store, checked(batch, model))
        assert shown(store.load()) == model.shown()


@settings(max_examples=30)
@given(st.lists(st.sampled_from(POOL), max_size=60), st.integers(1, 10))
def test_batches_make_no_difference(stores, commands, size):
    one, other = map(emptied, stores)
    commands = checked([*BEGINNING, *commands], Model())
    put(one, commands)
    for start in range(0, len(commands), size):
        put(other, commands[start : start + size])
    assert one.load() == other.load()


@settings(max_examples=30)
@given(st.lists(st.sampled_from(POOL), max_size=100))
def test_what_is_read_can_be_carried_out_in_its_order_and_gives_the_same(stores, commands):
    one, copy = map(emptied, stores)
    put(one, checked([*BEGINNING, *commands], Model()))
    read = one.load()
    assert checked(read, Model()) == read
    put(copy, read)
    assert copy.load() == read


def test_the_pool_has_every_command():
    kinds = {kind for name, kind in vars(c).items() if name.startswith(("Put", "Delete"))}
    assert {type(command) for command in POOL} == kinds


def test_the_model_knows_a_binding_in_any_order_of_its_arguments():
    bindings = [command for command in POOL if isinstance(command, c.PutBinding)]
    assert len({identity(command) for command in bindings}) == len(bindings) * 4 // 5


CHILD = """
import sys
from itertools import islice
from pathlib import Path
from metadata.histories import batches
from amqpd.metadata.store import Store
store = Store(Path(sys.argv[1]))
done = store.sequence
for number, batch in enumerate(islice(batches(int(sys.argv[2])), done, None), done + 1):
    store.apply(batch, number)
    print(number, flush=True)
"""


def test_a_node_that_is_killed_has_stored_all_of_a_batch_or_nothing(tmp_path):
    path, seed, random = tmp_path / NAME, 7, Random(3)
    environment = os.environ | {"PYTHONPATH": str(TESTS)}
    stored = 0
    for _ in range(3):
        order = [sys.executable, "-c", CHILD, str(path), str(seed)]
        with subprocess.Popen(order, stdout=subprocess.PIPE, text=True, env=environment) as child:
            for _ in range(random.randrange(1, 60)):
                answered = int(child.stdout.readline())
            child.kill()
        with closing(Store(path)) as store:
            assert store.sequence >= answered > stored
            stored = store.sequence
            model = Model()
            for batch in islice(batches(seed), stored):
                checked(batch, model)
            assert shown(store.load()) == model.shown()
