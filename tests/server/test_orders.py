"""Orders: commands as JSON objects."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amqpd.broker import commands as c
from amqpd.errors import DefinitionError
from amqpd.server.orders import INTEGER_MAX, ORDERS, command_from
from amqpd.wire import tables

# One good value for each field that a command has.
VALUES = {
    "arguments": {"x-max-length": 5, "x-overflow": "drop-head"},
    "auto_delete": True,
    "component": "shovel",
    "default_queue_type": "quorum",
    "definition": {"max-length": 5},
    "destination_type": "exchange",
    "durable": False,
    "exchange": "amq.topic",
    "hashing_algorithm": "argon2",
    "internal": True,
    "operator": True,
    "password_hash": "",
    "priority": -7,
    "tags": ["a", "b"],
    "value": 5,
}


def fields_of(kind):
    """What an operator can say: a queue's identity is the node's to choose."""
    return [field for field in dataclasses.fields(kind) if field.name != "identity"]


def order_of(kind, **more):
    fields = {field.name: VALUES.get(field.name, f"a {field.name}") for field in fields_of(kind)}
    return {"order": kind.__name__, **fields, **more}


def refused(order):
    with pytest.raises(DefinitionError) as refusal:
        command_from(order)
    return str(refusal.value)


@pytest.mark.parametrize("kind", c.Command.__subclasses__())
def test_every_command_can_be_ordered(kind):
    order = order_of(kind)
    made = command_from(order)
    assert type(made) is kind
    for name, value in order.items():
        if name == "arguments":
            assert made.arguments == [("x-max-length", tables.long(5)), ("x-overflow", tables.longstr("drop-head"))]
        elif name == "tags":
            assert made.tags == ("a", "b")
        elif name != "order":
            assert getattr(made, name) == value


@pytest.mark.parametrize("kind", c.Command.__subclasses__())
def test_what_has_a_default_may_be_left_out_and_nothing_else(kind):
    order = order_of(kind)
    for field in fields_of(kind):
        less = {name: value for name, value in order.items() if name != field.name}
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            assert refused(less) == f"{kind.__name__} needs the field {field.name}"
        else:
            default = field.default if field.default is not dataclasses.MISSING else []
            assert getattr(command_from(less), field.name) == default


@pytest.mark.parametrize("kind", c.Command.__subclasses__())
@pytest.mark.parametrize("wrong", [None, 5, 5.5, True, "text", [], [1], {}, {"a": 1}])
def test_a_field_of_another_type_is_named(kind, wrong):
    for field in fields_of(kind):
        value = VALUES.get(field.name, "text")
        free = field.name == "value" and kind not in (c.PutVHostLimit, c.PutUserLimit)
        all_exchanges = (kind, field.name, wrong) == (c.DeleteTopicPermission, "exchange", None)
        if (type(wrong) is type(value) and wrong != [1]) or free or all_exchanges:
            command_from(order_of(kind, **{field.name: wrong}))
        else:
            assert refused(order_of(kind, **{field.name: wrong})).startswith(f"{kind.__name__}: {field.name}: must be ")


@pytest.mark.parametrize("order", [{}, {"order": "Dance"}, {"order": 5}, {"order": None}, {"order": ["PutVHost"]}])
def test_an_unknown_order_is_answered_with_those_that_there_are(order):
    assert refused(order) == "there is no such order; there are " + ", ".join(ORDERS)


def test_an_unknown_field_is_named_with_those_that_there_are():
    assert refused({"order": "DeleteUser", "name": "u", "colour": 5}) == "DeleteUser has no field 'colour'; it has name"


@pytest.mark.parametrize("number", [2**63, -(2**63), 2**64, 10**30])
def test_a_number_that_the_database_cannot_hold(number):
    for kind, name in ((c.PutVHostLimit, "value"), (c.PutUserLimit, "value"), (c.PutPolicy, "priority")):
        assert f"{kind.__name__}: {name}" in refused(order_of(kind, **{name: number}))
        command_from(order_of(kind, **{name: INTEGER_MAX}))


def test_text_that_is_no_unicode():
    assert "is no Unicode text" in refused(order_of(c.DeleteUser, name="\ud800"))
    assert "no Unicode text" in refused(order_of(c.PutParameter, value={"\udfff": 1}))


def test_values_that_are_nested_deep():
    value = []
    for _ in range(200):
        value = [value]
    assert "is nested deeper than" in refused(order_of(c.PutParameter, value=value))
    arguments = {}
    for _ in range(40):
        arguments = {"a": arguments}
    assert "is nested deeper than" in refused(order_of(c.PutQueue, arguments=arguments))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(list(ORDERS)), st.data())
def test_anything_at_all_is_a_command_or_a_definition_error(name, data):
    kind = ORDERS[name]
    order = order_of(kind)
    for field in data.draw(st.sets(st.sampled_from(list(order)))):
        order[field] = data.draw(JSON)
    try:
        made = command_from(order)
    except DefinitionError:
        return
    assert isinstance(made, c.Command)
