"""Answers wait for the disk; nothing else does."""

import pytest
import trio
from harness import SlowCatalogue, World

from amqpd.auth.accounts import Accounts
from amqpd.broker.commands import DeleteVHost, PutQueue, PutVHost
from amqpd.errors import DefinitionError
from amqpd.runtime.driver import Driver
from amqpd.server.changes import Changes
from amqpd.server.definitions import Definitions


class Play:
    """Changes in front of a disk that stores when it is told to."""

    def __init__(self, nursery):
        self.catalogue = SlowCatalogue()
        self.broker = World(self.catalogue).broker
        self.changes = Changes(Definitions(self.broker, Accounts(self.broker.vhosts)), Driver(self.broker))
        self.nursery = nursery
        self.answers = []

    async def begin(self, function, *arguments):
        """Have it carried out; its answer, or the error, will be among `answers`."""

        async def call():
            try:
                self.answers.append(await function(*arguments))
            except DefinitionError as error:
                self.answers.append(str(error))

        self.nursery.start_soon(call)
        await self.idle()

    async def store(self):
        self.catalogue.store()
        await self.idle()

    async def idle(self):
        await trio.testing.wait_all_tasks_blocked()


@pytest.fixture
async def play(nursery):
    return Play(nursery)


async def test_a_change_is_in_force_at_once_and_answered_when_it_is_stored(play):
    await play.begin(play.changes.make, PutVHost("v"))
    assert "v" in play.broker.vhosts
    assert play.answers == []
    await play.store()
    assert play.answers == [""]


async def test_what_changes_nothing_waits_for_nothing(play):
    await play.begin(play.changes.make, PutVHost("v"))
    await play.begin(play.changes.make, DeleteVHost("nope"))
    assert play.answers == ["vhost 'nope' does not exist"]
    await play.begin(play.changes.make, PutQueue("/", "transient", durable=False))
    assert play.answers == ["vhost 'nope' does not exist", ""]


async def test_each_waits_for_its_own(play):
    await play.begin(play.changes.make, PutVHost("one"))
    await play.begin(play.changes.make, PutVHost("two"))
    await play.store()
    assert play.answers == ["", ""]


async def test_many_are_carried_out_in_one_go_and_what_is_impossible_is_said(play):
    commands = [PutVHost("v"), PutQueue("v", "q"), PutQueue("nope", "q"), PutQueue("v", "q", auto_delete=True)]
    await play.begin(play.changes.make_all, commands)
    assert play.catalogue.commands == commands[:2]
    await play.store()
    ((first, why), (second, kept)), = play.answers
    assert (first, why) == (2, "not done: vhost 'nope' does not exist")
    assert second == 3
    assert kept.startswith("queue 'q' in vhost 'v' is kept as it is")


async def test_what_differs_is_an_error_for_one(play):
    await play.begin(play.changes.make, PutQueue("/", "q"))
    await play.begin(play.changes.make, PutQueue("/", "q", auto_delete=True))
    assert play.answers[0].startswith("inequivalent arg 'auto_delete'")


async def test_who_is_cancelled_has_changed_it_all_the_same(play):
    with trio.CancelScope() as scope:
        scope.cancel()
        await play.changes.make(PutVHost("v"))
    assert "v" in play.broker.vhosts
    assert play.catalogue.commands == [PutVHost("v")]
    await play.store()


async def test_adding_a_vhost_again_does_nothing(play):
    await play.begin(play.changes.add_vhost, PutVHost("v", "first"))
    await play.store()
    await play.begin(play.changes.add_vhost, PutVHost("v", "second"))
    assert play.answers == [True, False]
    assert play.broker.vhosts["v"].description == "first"


async def test_what_is_said_of_a_vhost_changes_one_by_one(play):
    play.catalogue.instant = True
    await play.changes.add_vhost(PutVHost("v", "d", ("a",), "quorum"))
    for change, expected in (
        (("e", None, None), PutVHost("v", "e", ("a",), "quorum")),
        ((None, [], None), PutVHost("v", "e", (), "quorum")),
        ((None, None, ""), PutVHost("v", "e", (), "")),
        ((None, None, None), PutVHost("v", "e", (), "")),
    ):
        await play.changes.set_vhost("v", *change)
        assert play.catalogue.commands[-1] == expected
    with pytest.raises(DefinitionError, match="vhost 'nope' does not exist"):
        await play.changes.set_vhost("nope", "d", None, None)
