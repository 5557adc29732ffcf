"""What is exported and imported again is what was there; what cannot be said in JSON becomes what `normal` says."""

import json

from hypothesis import given, settings
from metadata.definition_states import ARGON2, states

from amqpd.broker.commands import PutBinding, PutExchange, PutQueue, PutUser, PutVHost
from amqpd.metadata.document import commands_from, document_from, normal, read
from amqpd.metadata.document.gathering import identity_of
from amqpd.metadata.document.values import json_of_table
from amqpd.wire.tables import LONG, SIGNED_INT, Field, array, longstr, subtable


def by_identity(commands):
    return {identity_of(command): command for command in commands}


def written(document):
    """The document as it is in a file."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False).encode()


@settings(deadline=None, max_examples=50)
@given(states())
def test_a_state_comes_back(state):
    reading = read(written(document_from(state)))
    assert reading.problems == []
    assert reading.warnings == []
    assert by_identity(reading.commands) == by_identity(normal(command) for command in state)


@settings(deadline=None, max_examples=50)
@given(states())
def test_reading_ends_in_an_order_in_which_commands_can_be_applied(state):
    reading = commands_from(document_from(reversed_lists(state)))
    kinds = [type(command).__name__ for command in reading.commands]
    assert kinds == [type(command).__name__ for command in state]


def reversed_lists(state):
    """The state, with everything but vhosts and users the other way round."""
    first = [command for command in state if isinstance(command, PutVHost | PutUser)]
    return first + [command for command in reversed(state) if not isinstance(command, PutVHost | PutUser)]


@settings(deadline=None, max_examples=50)
@given(states())
def test_a_second_export_is_the_first(state):
    first = document_from(state, cluster_name="c", product_version="1")
    second = document_from(commands_from(first).commands, cluster_name="c", product_version="1")
    for section in ("parameters", "policies"):  # read in another order than written
        first[section].sort(key=str)
        second[section].sort(key=str)
    assert written(second) == written(first)


@settings(deadline=None, max_examples=50)
@given(states())
def test_on_the_node_that_exported_nothing_changes(state):
    """Topology with other types of arguments than JSON has is taken to be what is there."""
    reading = commands_from(document_from(state), present=state)
    assert reading.problems == []
    assert by_identity(reading.commands) == by_identity(
        command if isinstance(command, PutBinding | PutExchange | PutQueue) else normal(command) for command in state
    )


@settings(deadline=None, max_examples=50)
@given(states())
def test_one_vhost_comes_back_alone_and_under_another_name(state):
    name = state[0].name
    reading = read(written(document_from(state, name)), "elsewhere")
    assert reading.problems == []
    assert reading.warnings == []
    there = [command for command in state if getattr(command, "vhost", None) == name and not hasattr(command, "user")]
    assert len(reading.commands) == len(there)
    assert {command.vhost for command in reading.commands} <= {"elsewhere"}
    assert by_identity(commands_from(document_from([state[0], *there], name), name).commands) == by_identity(
        normal(command) for command in there
    )


def test_types_that_json_lacks_become_the_nearest():
    queue = PutQueue("/", "q", arguments=[("x-message-ttl", Field(SIGNED_INT, 5))])
    assert normal(queue).arguments == [("x-message-ttl", Field(LONG, 5)), ("x-queue-type", longstr("classic"))]


def test_a_binding_that_differs_by_a_type_is_no_second_one():
    live = PutBinding("/", "x", "queue", "q", "k", [("n", Field(SIGNED_INT, 5))])
    document = {"bindings": [{"vhost": "/", "source": "x", "destination_type": "queue", "destination": "q"}]}
    document["bindings"][0] |= {"routing_key": "k", "arguments": {"n": 5}}
    state = [PutVHost("/"), PutExchange("/", "x", "direct"), live]
    assert commands_from(document, present=state).commands == [live]
    document["bindings"][0]["arguments"]["n"] = 6
    assert commands_from(document, present=state).commands != [live]


def test_order_makes_no_difference_on_any_level():
    inner = [("b", longstr("1")), ("a", longstr("2"))]
    live = PutBinding("/", "x", "queue", "q", "", [("t", subtable(inner)), ("l", array([subtable(inner)]))])
    document = document_from([PutVHost("/"), live])
    assert list(document["bindings"][0]["arguments"]) == ["l", "t"]
    nested = subtable(inner[::-1])
    other = PutBinding("/", "x", "queue", "q", "", [("l", array([nested])), ("t", nested)])
    assert normal(live) == normal(other) == other
    assert commands_from(document, present=[PutVHost("/"), live]).commands == [PutVHost("/"), live]


def test_the_first_of_two_arguments_with_one_name_counts():
    assert json_of_table([("a", longstr("first")), ("a", longstr("second"))]) == {"a": "first"}


def test_an_argon2_hash_travels_as_base64():
    user = PutUser("u", ARGON2, "argon2", ("administrator",))
    document = document_from([user])
    assert "$" not in document["users"][0]["password_hash"]  # RabbitMQ refuses a file in which that is not base64
    assert commands_from(document).commands == [user]
