"""The facade of everything that a node knows: commands carried out, refused, recorded, told, copied."""

import dataclasses

import pytest
from harness import SlowCatalogue, World, publish
from hypothesis import given, settings
from hypothesis import strategies as st
from keeping import Kept, lasting

from amqpd.auth.accounts import Accounts
from amqpd.broker import commands as c
from amqpd.broker.events import EVENT_EXCHANGE
from amqpd.errors import DefinitionError
from amqpd.server.definitions import Definitions
from amqpd.wire import tables

HASH = "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"
SHA256 = "rabbit_password_hashing_sha256"


class Node:
    """The facade in front of a broker without sockets. `gone` are the vhosts and users whose connections must end."""

    def __init__(self, **limits):
        self.catalogue = SlowCatalogue()
        self.catalogue.instant = True
        self.world = World(self.catalogue, **limits)
        self.broker = self.world.broker
        self.accounts = Accounts(self.broker.vhosts)
        self.gone = []
        self.definitions = Definitions(
            self.broker,
            self.accounts,
            lambda name: self.gone.append(("vhost", name, name in self.broker.vhosts)),
            lambda name: self.gone.append(("user", name, self.accounts.find(name) is not None)),
        )
        self.apply(c.PutUser("guest", HASH, SHA256))
        self.catalogue.commands.clear()

    def apply(self, *commands):
        return [self.definitions.apply(command) for command in commands]

    def refused(self, command):
        """Why; and nothing has changed, and nothing is recorded."""
        before, recorded = self.snapshot(), list(self.catalogue.commands)
        with pytest.raises(DefinitionError) as refusal:
            self.definitions.apply(command)
        assert self.snapshot() == before
        assert self.catalogue.commands == recorded
        return str(refusal.value)

    def snapshot(self):
        return list(self.definitions.snapshot())


@pytest.fixture
def node():
    return Node()


# Each makes what those after it need.
STATE = [
    c.PutVHost("v", "what for", ("a", "b"), "quorum"),
    c.PutUser("u", HASH, SHA256, ("monitoring",)),
    c.PutUserLimit("u", "max-channels", 5),
    c.PutPermission("u", "v", "^c", "^w", "^r"),
    c.PutTopicPermission("u", "v", "amq.topic", "^w", "^r"),
    c.PutGlobalParameter("cluster_name", {"any": ["value", None]}),
    c.PutPolicy("v", "p", "^q", {"max-length": 5}, "queues", 3),
    c.PutPolicy("v", "p", "^q", {"max-length": 3}, "queues", 0, True),
    c.PutParameter("v", "shovel", "s", {"src-uri": "amqp://"}),
    c.PutExchange("v", "x", "topic", True, False, False, [("alternate-exchange", tables.longstr("y"))]),
    c.PutExchange("v", "transient", "fanout", False, True, True),
    c.PutQueue("v", "q", "classic", True, False, [("x-max-priority", tables.long(3))]),
    c.PutQueue("v", "transient", "classic", False, True),
    c.PutQueue("v", "quorum", "quorum"),
    c.PutBinding("v", "x", "queue", "q", "a.#", [("any", tables.boolean(True))]),
    c.PutBinding("v", "x", "exchange", "transient", "b"),
    c.PutVHostLimit("v", "max-queues", 100),
]
DELETED = [
    c.DeleteVHostLimit("v", "max-queues"),
    c.DeleteBinding("v", "x", "exchange", "transient", "b"),
    c.DeleteBinding("v", "x", "queue", "q", "a.#", [("any", tables.boolean(True))]),
    c.DeleteQueue("v", "quorum"),
    c.DeleteQueue("v", "transient"),
    c.DeleteQueue("v", "q"),
    c.DeleteExchange("v", "transient"),
    c.DeleteExchange("v", "x"),
    c.DeleteParameter("v", "shovel", "s"),
    c.DeletePolicy("v", "p", True),
    c.DeletePolicy("v", "p"),
    c.DeleteGlobalParameter("cluster_name"),
    c.DeleteTopicPermission("u", "v", "amq.topic"),
    c.DeletePermission("u", "v"),
    c.DeleteUserLimit("u", "max-channels"),
    c.DeleteUser("u"),
    c.DeleteVHost("v"),
]


def is_durable(command):
    """Whether the command is of something that a restart brings back."""
    return "transient" not in (getattr(command, "name", ""), getattr(command, "destination", ""))


def test_every_command_is_there():
    assert {type(command) for command in STATE + DELETED} == set(c.Command.__subclasses__())


def test_a_state_is_made_recorded_and_told_again(node):
    before = node.snapshot()
    assert [note for note in node.apply(*STATE) if note] == [
        "queue 'quorum' in vhost 'v' is defined, but quorum queues are not supported by this node"
    ]
    made = node.snapshot()
    assert [command for command in made if command not in before] == sorted(STATE, key=made.index)
    assert node.catalogue.commands == [command for command in STATE if is_durable(command)]
    durable = list(node.definitions.snapshot(durable_only=True))
    assert durable == [command for command in made if is_durable(command)]


def test_the_same_once_more_changes_nothing(node):
    node.apply(*STATE)
    before = node.snapshot()
    assert node.apply(*STATE) == [""] * len(STATE)
    assert node.snapshot() == before


def test_all_of_it_can_be_deleted_piece_by_piece(node):
    before = node.snapshot()
    node.apply(*STATE)
    node.catalogue.commands.clear()
    node.apply(*DELETED)
    assert node.snapshot() == before
    assert node.catalogue.commands == [command for command in DELETED if is_durable(command)]


def test_a_vhost_takes_everything_along_with_one_command(node):
    node.apply(*STATE)
    node.catalogue.commands.clear()
    node.apply(c.DeleteVHost("v"))
    assert node.catalogue.commands == [c.DeleteVHost("v")]
    assert node.gone == [("vhost", "v", True)]  # told while it is there
    assert [command for command in node.snapshot() if getattr(command, "vhost", "/") == "v"] == []
    assert node.accounts.permission("u", "v") is None


def test_the_messages_of_a_vhost_are_forgotten_when_its_deletion_is_stored():
    """Else a crash could bring its queues back without them; and it is not stored before they are on disk."""
    catalogue = SlowCatalogue()
    kept = Kept(catalogue=catalogue)
    definitions = Definitions(kept.broker, Accounts(kept.broker.vhosts), lambda name: None, lambda name: None)
    client = kept.world.client()
    catalogue.instant = True
    client.declare("q", durable=True)
    catalogue.instant = False
    client >> lasting()
    definitions.apply(c.DeleteVHost("/"))
    assert catalogue.storable() < catalogue.recorded
    kept.rest()
    kinds = [record.kind for record in kept.journal.written()]
    assert kinds == ["entry"]
    catalogue.store()
    assert catalogue.commands[-1] == c.DeleteVHost("/")
    assert catalogue.stored == catalogue.recorded
    kept.rest()
    kinds = [record.kind for record in kept.journal.written()]
    assert kinds == ["entry", "forget"]


def test_a_user_takes_permissions_and_limits_along(node):
    node.apply(*STATE, c.DeleteUser("u"))
    assert node.gone == [("user", "u", True)]
    assert [command for command in node.snapshot() if getattr(command, "user", "") == "u"] == []


@pytest.mark.parametrize("command", DELETED)
def test_deleting_what_is_not_there(node, command):
    if type(command) is c.DeleteBinding:  # unbinding is idempotent, but its ends must be there
        assert node.refused(command) == "vhost 'v' does not exist"
        node.apply(*(made for made in STATE if not isinstance(made, c.PutBinding)), command)
    elif type(command) in (c.DeletePermission, c.DeleteTopicPermission):  # as rabbitmqctl: only the names must be good
        assert "'u'" in node.refused(command)
        node.apply(c.PutVHost("v"), c.PutUser("u", HASH, SHA256), command)
    elif type(command) is c.DeleteUserLimit:
        assert "'u'" in node.refused(command)
    else:
        assert node.refused(command)
        if type(command) is not c.DeleteVHost and hasattr(command, "vhost"):
            node.apply(c.PutVHost("v"))
            assert node.refused(command)


WRONG = [
    (c.PutVHost(""), "the name of a vhost has 1 to 255 bytes"),
    (c.PutVHost("ü" * 128), "the name of a vhost has 1 to 255 bytes"),
    (c.PutVHost("w", default_queue_type="round"), "unsupported default queue type 'round' for vhost 'w'"),
    (c.PutExchange("nope", "x", "direct"), "vhost 'nope' does not exist"),
    (c.PutExchange("/", "x", "square"), "unknown exchange type 'square'"),
    (c.PutExchange("/", "", "direct"), "the name of an exchange has 1 to 255 bytes"),
    (c.PutExchange("/", "amq.mine", "direct"), "exchange name 'amq.mine' contains reserved prefix 'amq.*'"),
    (
        c.PutExchange("/", "x", "direct", arguments=[("alternate-exchange", tables.long(5))]),
        "invalid type 'long' for arg 'alternate-exchange' in exchange 'x' in vhost '/'",
    ),
    (c.DeleteExchange("/", "amq.topic"), "exchange 'amq.topic' in vhost '/' cannot be deleted"),
    (c.DeleteExchange("/", "x"), "no exchange 'x' in vhost '/'"),
    (c.PutQueue("nope", "q"), "vhost 'nope' does not exist"),
    (c.PutQueue("/", ""), "the name of a queue has 1 to 255 bytes"),
    (c.PutQueue("/", "amq.mine"), "queue name 'amq.mine' contains reserved prefix 'amq.*'"),
    (c.PutQueue("/", "q", "round"), "a queue is of type classic, quorum, stream, not 'round'"),
    (
        c.PutQueue("/", "q", "quorum", arguments=[("x-queue-type", tables.longstr("stream"))]),
        "the queue's type is quorum, and its argument x-queue-type says something else",
    ),
    (
        c.PutQueue("/", "q", arguments=[("x-max-length", tables.long(-1))]),
        "invalid arg 'x-max-length' for queue 'q' in vhost '/': {value_negative,-1}",
    ),
    (c.DeleteQueue("/", "q"), "no queue 'q' in vhost '/'"),
    (c.PutBinding("/", "", "queue", "q", ""), "operation not permitted on the default exchange"),
    (c.PutBinding("/", "x", "queue", "q", ""), "no exchange 'x' in vhost '/'"),
    (c.PutBinding("/", "amq.topic", "queue", "q", ""), "no queue 'q' in vhost '/'"),
    (c.PutBinding("/", "amq.topic", "exchange", "x", ""), "no exchange 'x' in vhost '/'"),
    (c.PutBinding("/", "amq.topic", "vase", "q", ""), "a binding leads to a queue or an exchange, not to 'vase'"),
    (c.PutBinding("/", "amq.topic", "exchange", "amq.topic", "k" * 256), "a routing key has at most 255 bytes"),
    (
        c.PutBinding("/", "amq.headers", "exchange", "amq.topic", "", [("x-match", tables.longstr("zip"))]),
        "Invalid x-match field value",
    ),
    (c.PutPolicy("nope", "p", "", {"max-length": 1}), "vhost 'nope' does not exist"),
    (c.PutPolicy("/", "", "", {"max-length": 1}), "the name of a policy has 1 to 255 bytes"),
    (c.PutPolicy("/", "p", "(", {"max-length": 1}), "Validation failed\n\npattern should be regular expression"),
    (c.PutPolicy("/", "p", "", {"colour": 1}), "Validation failed\n\n"),
    (c.PutPolicy("/", "p", "", {"max-length": 1}, "shelves"), "Validation failed\n\napply-to 'shelves' unrecognised"),
    (c.PutPolicy("/", "p", "", {"dead-letter-exchange": ""}, operator=True), "Validation failed\n\n"),
    (c.DeletePolicy("/", "p"), "policy 'p' does not exist in vhost '/'"),
    (c.DeletePolicy("/", "p", True), "operator policy 'p' does not exist in vhost '/'"),
    (c.PutParameter("nope", "shovel", "s", 1), "vhost 'nope' does not exist"),
    (c.PutParameter("/", "", "s", 1), "the name of a component has 1 to 255 bytes"),
    (c.PutGlobalParameter("", 1), "the name of a global parameter has 1 to 255 bytes"),
    (c.PutVHostLimit("/", "max-cows", 1), "there is no limit 'max-cows' of a vhost; there are "),
    (c.PutVHostLimit("nope", "max-queues", 1), "vhost 'nope' does not exist"),
    (c.DeleteVHostLimit("/", "max-queues"), "vhost '/' has no limit 'max-queues'"),
    (c.PutUser("", HASH, SHA256), "the name of a user has 1 to 255 bytes"),
    (c.PutUser("w", "no hash", SHA256), "user 'w': the password hash is not base64"),
    (c.PutPermission("guest", "/", "(", "", ""), "permissions of user 'guest' in vhost '/': the pattern '(' for "),
    (c.PutUserLimit("guest", "max-cows", 1), "users have no limit 'max-cows'"),
]


@pytest.mark.parametrize(("command", "text"), WRONG)
def test_what_cannot_be_is_refused_and_nothing_has_changed(node, command, text):
    assert node.refused(command).startswith(text)


def test_what_is_there_and_differs_is_kept(node):
    node.apply(c.PutExchange("/", "x", "fanout"), c.PutQueue("/", "q"))
    before = node.snapshot()
    recorded = len(node.catalogue.commands)
    exchange, queue = "exchange 'x' in vhost '/'", "queue 'q' in vhost '/'"
    for command, subject, why in (
        (c.PutExchange("/", "x", "topic"), exchange, "'type' for exchange 'x' in vhost '/': received 'topic' but"),
        (c.PutQueue("/", "q", auto_delete=True), queue, "'auto_delete' for queue 'q' in vhost '/': received 'true'"),
        (
            c.PutQueue("/", "q", arguments=[("x-max-length", tables.long(5))]),
            queue,
            "'x-max-length' for queue 'q' in vhost '/': received the value '5' of type 'long' but current is none",
        ),
    ):
        assert node.definitions.apply(command).startswith(f"{subject} is kept as it is: inequivalent arg {why}")
        with pytest.raises(DefinitionError, match=r"^inequivalent arg "):
            node.definitions.apply(command, keep=False)
    assert node.apply(c.PutExchange("/", "amq.topic", "fanout")) == [""]
    assert node.snapshot() == before
    assert len(node.catalogue.commands) == recorded


def test_an_exclusive_queue_is_nobody_elses(node):
    client = node.world.client()
    client.declare("mine", exclusive=True)
    assert "cannot obtain exclusive access" in node.apply(c.PutQueue("/", "mine"))[0]
    assert "cannot obtain exclusive access" in node.refused(c.PutBinding("/", "amq.topic", "queue", "mine", ""))
    assert not any(getattr(command, "name", "") == "mine" for command in node.snapshot())


def test_what_a_vhost_is_called_can_change_and_what_is_in_it_stays(node):
    node.apply(*STATE, c.PutVHost("v", "other", (), ""))
    assert node.snapshot()[1] == c.PutVHost("v", "other", (), "")
    assert "q" in node.broker.vhosts["v"].queues


def test_a_policy_is_in_force_at_once(node):
    client = node.world.client()
    client.declare("q", durable=True)
    for body in (b"1", b"2", b"3"):
        client >> publish(body, "q")
    node.apply(c.PutPolicy("/", "p", "^q", {"max-length": 2}))
    assert client.drain("q") == [b"2", b"3"]
    node.apply(c.DeletePolicy("/", "p"))
    for body in (b"1", b"2", b"3"):
        client >> publish(body, "q")
    assert client.drain("q") == [b"1", b"2", b"3"]


# -- limits of the node


def test_limits_of_the_node_hold_for_new_things():
    node = Node(vhost_max=2, cluster_queue_limit=1, cluster_exchange_limit=15, cluster_binding_limit=1)
    node.apply(c.PutVHost("v"), c.PutQueue("v", "q"), c.PutBinding("v", "amq.topic", "queue", "q", ""))
    assert node.refused(c.PutVHost("w")) == "cannot create vhost 'w': vhost limit of 2 is reached"
    node.apply(c.PutVHost("v", "can still be changed"))
    assert node.refused(c.PutQueue("v", "r")) == "cannot declare queue 'r': queue limit in cluster (1) is reached"
    node.apply(c.PutQueue("v", "q"))
    node.apply(c.PutExchange("v", "x", "direct"))
    assert "exchange limit of 15 is reached" in node.refused(c.PutExchange("v", "y", "direct"))
    assert "binding limit of 1 is reached" in node.refused(c.PutBinding("v", "x", "queue", "q", ""))


def test_a_vhosts_limit_of_queues_holds_for_operators_too(node):
    node.apply(c.PutQueue("/", "q"), c.PutVHostLimit("/", "max-queues", 1))
    text = "cannot declare queue 'r': queue limit in vhost '/' (1) is reached"
    assert node.refused(c.PutQueue("/", "r")) == text
    node.apply(c.PutVHostLimit("/", "max-queues", -1), c.PutQueue("/", "r"))


# -- restoring and copying


def test_what_is_restored_is_neither_recorded_nor_told(node):
    other = Node()
    other.broker.events.enable()
    other.definitions.restore(STATE)
    assert other.catalogue.commands == []
    assert other.broker.vhosts["v"].queues["q"].policy.name == "p"
    node.apply(*STATE)
    assert other.snapshot() == node.snapshot()
    other.apply(c.PutVHost("w"))  # and from then on it is
    assert other.catalogue.commands == [c.PutVHost("w")]


def test_restoring_is_over_when_it_fails(node):
    with pytest.raises(DefinitionError, match="vhost 'nope' does not exist"):
        node.definitions.restore([c.PutVHost("v"), c.PutQueue("nope", "q")])
    node.apply(c.PutVHost("w"))
    assert node.catalogue.commands == [c.PutVHost("w")]


def test_what_was_stored_is_restored_though_limits_are_lower_now():
    node = Node(vhost_max=1)
    queues = [c.PutQueue("/", f"q{number}") for number in range(3)]
    node.definitions.restore([c.PutVHost("v"), c.PutVHostLimit("/", "max-queues", 1), *queues])
    assert len(node.broker.vhosts["/"].queues) == 3


def test_a_binding_from_the_event_exchange_is_restored_with_and_without_it(node):
    binding = c.PutBinding("/", EVENT_EXCHANGE, "queue", "q", "#")
    assert "no exchange" in node.refused(binding)
    node.definitions.restore([c.PutQueue("/", "q"), binding])
    assert binding in node.snapshot()


def identities(commands):
    return {command.name: command.identity for command in commands if isinstance(command, c.PutQueue)}


def test_a_queue_has_an_identity_which_is_recorded_and_restored(node):
    node.apply(c.PutQueue("/", "a"), c.PutQueue("/", "b", "quorum"))
    made = identities(node.snapshot())
    assert {len(identity) for identity in made.values()} == {16}
    assert made["a"] != made["b"]
    assert identities(node.catalogue.commands) == made
    again = Node()
    again.definitions.restore(node.catalogue.commands)
    assert identities(again.snapshot()) == made


def test_a_queue_that_is_made_again_is_another(node):
    node.apply(c.PutQueue("/", "q"))
    before = identities(node.snapshot())
    node.apply(c.PutQueue("/", "q"))
    assert identities(node.snapshot()) == before
    node.apply(c.DeleteQueue("/", "q"), c.PutQueue("/", "q"))
    assert identities(node.snapshot()) != before


def test_a_copy_is_the_same_and_apart(node):
    node.apply(*STATE)
    before = node.snapshot()
    copy = node.definitions.scratch(before)
    assert list(copy.snapshot()) == before
    copy.apply(c.DeleteVHost("v"))
    copy.apply(c.DeleteUser("u"))
    copy.apply(c.PutQueue("/", "only there"))
    assert node.snapshot() == before
    assert node.gone == []
    assert node.catalogue.commands == [command for command in STATE if is_durable(command)]


def test_a_copy_has_what_the_node_has_by_itself(node):
    node.broker.events.enable()
    copy = node.definitions.scratch(node.snapshot())
    copy.apply(c.PutQueue("/", "q"))
    copy.apply(c.PutBinding("/", EVENT_EXCHANGE, "queue", "q", "#"))


ANY = st.permutations(STATE + DELETED).flatmap(
    lambda commands: st.integers(0, len(commands)).map(lambda size: commands[:size])
)


@settings(max_examples=200)
@given(ANY)
def test_any_commands_leave_a_state_that_can_be_made_again(commands):
    """Whatever is refused on the way: the snapshot makes the same node, and so does what was recorded."""
    node = Node()
    first = node.snapshot()
    for command in commands:
        try:
            node.definitions.apply(command)
        except DefinitionError:
            pass
    state = node.snapshot()
    assert list(node.definitions.scratch(state).snapshot()) == state
    replayed = Node().definitions
    replayed.restore(node.catalogue.commands)
    durable = set(map(repr, node.definitions.snapshot(durable_only=True)))
    assert set(map(repr, replayed.snapshot())) == durable
    assert dataclasses.is_dataclass(first[0])
