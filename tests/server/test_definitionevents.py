"""What the event exchange is told when an operator changes definitions: names, attributes, and no secret."""

import pytest
from harness import World

from amqpd.auth.accounts import Accounts
from amqpd.auth.passwords import nobodys
from amqpd.broker import commands as c
from amqpd.errors import DefinitionError
from amqpd.server.definitions import Definitions

HASH = "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"
MAY = {"configure": "^a", "write": "^b", "read": "^c"}
POLICY = {"name": "p", "vhost": "/", "pattern": "^q", "apply-to": "queues", "priority": 3}
LIMITS = {"name": "limits", "vhost": "/"}
OF_ANN = {"name": "limits", "username": "ann"}
PARAMETER = {"vhost": "/", "component": "shovel", "name": "s"}
# Each after those above it.
TOLD = [
    (c.PutUser("ann", HASH, c.SHA256), "user.created", {"name": "ann"}),
    (c.PutUser("ann", HASH, c.SHA256, ("one", "two")), "user.tags.set", {"name": "ann", "tags": ["one", "two"]}),
    (c.PutUser("ann", nobodys(c.MD5), c.MD5, ("one", "two")), "user.password.changed", {"name": "ann"}),
    (c.PutUser("ann", "", c.MD5, ("one", "two")), "user.password.cleared", {"name": "ann"}),
    (c.PutPermission("ann", "/", **MAY), "permission.created", {"user": "ann", "vhost": "/", **MAY}),
    (
        c.PutTopicPermission("ann", "/", "t", "^b", "^c"),
        "topic.permission.created",
        {"user": "ann", "vhost": "/", "exchange": "t", "write": "^b", "read": "^c"},
    ),
    (c.PutUserLimit("ann", "max-channels", 5), "user.limits.set", {**OF_ANN, "max-channels": 5}),
    (c.PutVHostLimit("/", "max-queues", 5), "vhost.limits.set", {**LIMITS, "max-queues": 5}),
    (
        c.PutPolicy("/", "p", "^q", {"max-length": 5}, "queues", 3),
        "policy.set",
        {**POLICY, "definition": {"max-length": 5}},
    ),
    (c.PutParameter("/", "shovel", "s", {"src-uri": "amqp://ann:secret@host"}), "parameter.set", PARAMETER),
    (c.PutGlobalParameter("g", "secret"), "parameter.set", {"component": "global", "name": "g"}),
    (c.DeleteGlobalParameter("g"), "parameter.cleared", {"component": "global", "name": "g"}),
    (c.DeleteParameter("/", "shovel", "s"), "parameter.cleared", PARAMETER),
    (c.DeletePolicy("/", "p"), "policy.cleared", {"name": "p", "vhost": "/"}),
    (c.DeleteVHostLimit("/", "max-queues"), "vhost.limits.cleared", LIMITS),
    (c.DeleteUserLimit("ann", "max-channels"), "user.limits.cleared", OF_ANN),
    (c.DeleteTopicPermission("ann", "/", "t"), "topic.permission.deleted", {"user": "ann", "vhost": "/"}),
    (c.DeletePermission("ann", "/"), "permission.deleted", {"user": "ann", "vhost": "/"}),
    (c.DeleteUser("ann"), "user.deleted", {"name": "ann"}),
]


@pytest.fixture
def heard():
    """The definitions of a node, and what a client hears at its event exchange."""
    world = World()
    world.broker.events.enable()
    spy = world.client()
    spy.declare("events")
    spy.bind("events", "amq.rabbitmq.event", "#")
    spy.drain("events")
    definitions = Definitions(world.broker, Accounts(world.broker.vhosts))

    def apply(command):
        definitions.apply(command)
        world.settle()
        events = []
        while (event := spy.get("events")) is not None:
            events.append((event.routing_key, event.headers))
        return events

    return apply


def test_each_change_is_told_with_its_attributes_and_without_secrets(heard):
    for command, name, attributes in TOLD:
        [(key, headers)] = heard(command)
        told = {attribute: value for attribute, value in headers.items() if attribute != "timestamp_in_ms"}
        assert (key, told) == (name, {**attributes, "user_who_performed_action": "operator"})
        assert "secret" not in repr(headers)
        assert HASH not in repr(headers)


def test_every_command_is_told_of_here_or_by_what_comes_and_goes():
    by_themselves = {
        kind for kind in c.Command.__subclasses__() if kind.__name__.endswith(("Exchange", "Queue", "Binding", "VHost"))
    }
    assert {type(command) for command, _name, _attributes in TOLD} | by_themselves == set(c.Command.__subclasses__())


def test_what_is_refused_is_not_told(heard):
    heard(c.PutUser("ann", HASH, c.SHA256))
    with pytest.raises(DefinitionError):
        heard(c.PutPermission("ann", "nowhere", **MAY))
    assert [key for key, _headers in heard(c.DeleteUser("ann"))] == ["user.deleted"]


def test_a_new_user_with_tags_is_told_of_twice_and_one_put_again_not_at_all(heard):
    put = c.PutUser("ann", HASH, c.SHA256, ("one",))
    assert [key for key, _headers in heard(put)] == ["user.created", "user.tags.set"]
    assert heard(put) == []
