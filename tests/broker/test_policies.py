"""Policies: what can be one, which one applies, and how two of them merge.

`rabbitmq_policies.jsonl` is what a RabbitMQ 4.3.6 with the federation plugin answered: "" or the text of its error.
Where amqpd says something else, `here` has it: it words what is wrong with a pattern itself, does not break long values
into lines, takes only whole priorities of 64 bits, and no routing key that is none.
"""

import json
import random
from pathlib import Path

import pytest
from harness import World
from hypothesis import given, settings
from hypothesis import strategies as st

from amqpd.broker import patterns
from amqpd.broker.commands import PutPolicy
from amqpd.broker.policies import APPLY_TO, POLICIES_MAX, check, effective, policy_from
from amqpd.broker.policykeys import UNSUPPORTED, merged, problem
from amqpd.errors import DefinitionError

ANSWERS = [json.loads(line) for line in Path(__file__).with_name("rabbitmq_policies.jsonl").read_text().splitlines()]


def answer(case):
    try:
        policy_from(
            "/",
            "p",
            case.get("pattern", "^a"),
            case["definition"],
            case.get("apply-to", "all"),
            case.get("priority", 0),
            case.get("operator", False),
        )
    except DefinitionError as error:
        return str(error)
    return ""


# -- what can be a policy


@pytest.mark.parametrize("case", ANSWERS, ids=lambda case: json.dumps(case["definition"])[:60])
def test_it_answers_as_rabbitmq(case):
    assert answer(case) == case.get("here", case["answer"])


def test_where_it_differs_it_differs_in_those_ways_only():
    stem = "pattern should be regular expression but is invalid: "
    for case in ANSWERS:
        here, there = case.get("here", ""), case["answer"]
        if stem in there:
            assert here.startswith(there[: there.index(stem) + len(stem)])
        elif there and here:
            assert "".join(here.split()) == "".join(there.split())
        else:
            assert not here or "priority" in here or "dead letter routing key" in here


@pytest.mark.parametrize(
    ("definition", "text"),
    [
        ([], "definition must be a dictionary: []"),
        ("x", 'definition must be a dictionary: <<"x">>'),
        (None, "definition must be a dictionary: null"),
        ({"expires": 2**63}, "9223372036854775808 is not a valid queue expiry"),
        ({"max-age": 5}, "5 is not a valid max age"),
        ({"dead-letter-routing-key": "\ud800"}, '<<"?">> is not a valid dead letter routing key'),
        (
            {"federation-upstream-pattern": "("},
            "could not compile pattern ( to a regular expression. Error: missing ) at position 1",
        ),
    ],
)
def test_what_rabbitmq_accepts_or_fails_at(definition, text):
    assert problem(definition, False) == text


def test_errors_have_an_end():
    long = problem({"x": "a" * 1_000_000}, False)
    assert long.endswith("aaa...}] are not recognised policy settings")
    assert len(long) < 3000
    deep: object = 1
    for _ in range(500):
        deep = [deep]
    assert problem({"message-ttl": deep}, False) == "[" * 101 + "..." + "]" * 101 + " is not a valid message TTL"


def test_a_command_is_checked_in_the_same_way():
    check(PutPolicy("/", "p", "^a", {"max-length": 1}))
    with pytest.raises(DefinitionError, match=r'^Validation failed\n\n<<"x">> is not a valid maximum length\napply-to'):
        check(PutPolicy("/", "p", "^a", {"max-length": "x"}, apply_to="x"))


def test_there_is_a_limit_to_their_number():
    vhost = World().vhost
    for number in range(POLICIES_MAX):
        vhost.policies.put(PutPolicy("/", f"p{number}", "^a", {"max-length": 1}))
    with pytest.raises(DefinitionError, match="component policy is limited to 1000"):
        vhost.policies.put(PutPolicy("/", "one more", "^a", {"max-length": 1}))
    vhost.policies.put(PutPolicy("/", "p0", "^b", {"max-length": 1}))
    vhost.policies.put(PutPolicy("/", "p0", "^b", {"max-length": 1}, operator=True))
    assert vhost.policies.delete("p0", False)
    vhost.policies.put(PutPolicy("/", "one more", "^a", {"max-length": 1}))


# -- which one applies


def world_with(*names, kind="direct"):
    client = World().client()
    for name in names:
        client.declare(name)
        client.exchange(name, kind)
    return client


def put(client, name, pattern, definition, **more):
    command = PutPolicy("/", name, pattern, definition, **more)
    check(command)
    client.world.vhost.policies.put(command)
    client.world.settle()


def delete(client, name, operator=False):
    assert client.world.vhost.policies.delete(name, operator)
    client.world.settle()


def applied(destination):
    return tuple(
        policy.name if policy is not None else None for policy in (destination.policy, destination.operator_policy)
    )


def names_of(client):
    vhost = client.world.vhost
    return {
        "queue": {name: applied(queue)[0] for name, queue in vhost.queues.items()},
        "exchange": {name: applied(exchange)[0] for name, exchange in vhost.exchanges.items()},
    }


@pytest.mark.parametrize(
    ("apply_to", "queue", "exchange"),
    [
        ("all", "p", "p"),
        ("queues", "p", None),
        ("exchanges", None, "p"),
        ("classic_queues", "p", None),
        ("quorum_queues", None, None),
        ("streams", None, None),
    ],
)
def test_what_it_is_meant_for(apply_to, queue, exchange):
    client = world_with("a")
    put(client, "p", "^a$", {"max-length": 1}, apply_to=apply_to)
    assert (names_of(client)["queue"]["a"], names_of(client)["exchange"]["a"]) == (queue, exchange)
    client.declare("b")
    client.exchange("b")
    put(client, "p", "^[ab]$", {"max-length": 1}, apply_to=apply_to)
    assert (names_of(client)["queue"]["b"], names_of(client)["exchange"]["b"]) == (queue, exchange)


@pytest.mark.parametrize(
    "key", ["max-age", "delivery-limit", "dead-letter-strategy", "initial-cluster-size", "target-group-size"]
)
def test_a_policy_with_a_key_that_a_classic_queue_cannot_have_does_not_apply_to_it_at_all(key):
    """20: as observed of RabbitMQ."""
    value = {"max-age": "5s", "dead-letter-strategy": "at-most-once"}.get(key, 5)
    client = world_with("a")
    put(client, "low", "a", {"max-length": 7}, priority=1)
    put(client, "high", "a", {"max-length": 1, key: value}, priority=9)
    assert (names_of(client)["queue"]["a"], names_of(client)["exchange"]["a"]) == ("low", "high")


def test_queues_of_types_that_are_only_kept_have_policies_too():
    vhost = World().vhost
    for kind in ("quorum", "stream"):
        vhost.restore_queue(kind, kind, True, False, [])
    vhost.policies.put(PutPolicy("/", "limit", "", {"delivery-limit": 5}))
    vhost.policies.put(PutPolicy("/", "age", "", {"max-age": "5s"}, priority=-1))
    assert {name: applied(queue)[0] for name, queue in vhost.queues.items()} == {"quorum": "limit", "stream": "age"}


def test_exclusive_and_server_named_queues_and_predeclared_exchanges_have_policies():
    """As observed of RabbitMQ."""
    client = World().client()
    client.declare("mine", exclusive=True)
    name = client.declare("").queue
    put(client, "p", ".*", {"message-ttl": 60_000})
    assert names_of(client)["queue"] == {"mine": "p", name: "p"}
    assert set(names_of(client)["exchange"].values()) == {"p"}


def test_the_highest_priority_wins_and_among_equals_the_first_name():
    client = world_with("a")
    for name, priority in [("z", 0), ("m", 0), ("b", 0), ("low", -1), ("high", 5), ("higher", 6)]:
        put(client, name, "a", {"max-length": 1}, priority=priority)
    won = []
    while (name := names_of(client)["queue"]["a"]) is not None:
        won.append(name)
        delete(client, name)
    assert won == ["higher", "high", "b", "m", "z", "low"]


def test_a_vhosts_policies_are_its_own():
    world = World()
    world.broker.add_vhost("other")
    client, other = world.client(), world.client(vhost="other")
    client.declare("a")
    other.declare("a")
    put(client, "p", "a", {"max-length": 1})
    assert applied(world.vhost.queues["a"]) == ("p", None)
    assert applied(world.broker.vhosts["other"].queues["a"]) == (None, None)


def test_commands_make_them_again():
    client = world_with("a")
    put(client, "p", "a", {"max-length": 1, "overflow": "drop-head"}, priority=3, apply_to="queues")
    put(client, "p", "b", {"max-length": 2}, operator=True)
    put(client, "q", "c", {"alternate-exchange": "x"})
    delete(client, "q")
    assert list(client.world.vhost.policies.commands()) == [
        PutPolicy("/", "p", "a", {"max-length": 1, "overflow": "drop-head"}, "queues", 3),
        PutPolicy("/", "p", "b", {"max-length": 2}, operator=True),
    ]
    assert not client.world.vhost.policies.delete("q", False)
    assert not client.world.vhost.policies.delete("p2", True)


def test_only_what_a_change_concerns_is_touched():
    client = world_with("a", "b", "c")
    put(client, "pa", "^a", {"max-length": 5})
    put(client, "pb", "^b", {"max-length": 5}, priority=2)
    before = {name: queue.settings for name, queue in client.world.vhost.queues.items()}
    put(client, "pc", "^c", {"max-length": 5}, priority=1)
    put(client, "pb2", "^b", {"max-length": 5}, priority=1)  # below what applies
    put(client, "pa", "^a", {"max-length": 5})  # the same again
    after = {name: queue.settings for name, queue in client.world.vhost.queues.items()}
    assert [name for name in before if before[name] is not after[name]] == ["c"]


# -- merging


@pytest.mark.parametrize(
    ("key", "policy", "operator", "result"),
    [
        ("message-ttl", 5, 3, 3),
        ("message-ttl", 3, 5, 3),
        ("expires", 5, 3, 3),
        ("max-length", 0, 3, 0),
        ("max-length-bytes", 5, 3, 3),
        ("max-in-memory-length", 5, 3, 3),
        ("max-in-memory-bytes", 5, 3, 3),
        ("delivery-limit", 5, 3, 3),
        ("delivery-limit", -1, 3, 3),
        ("delivery-limit", 3, -1, 3),
        ("delivery-limit", -2, -1, -1),
        ("overflow", "drop-head", "reject-publish", "reject-publish"),
        ("queue-version", 1, 2, 2),
        ("queue-version", 2, 1, 1),
        ("target-group-size", 3, 5, 5),
        ("target-group-size", 5, 3, 5),
        ("delayed-retry-type", "all", "failed", "failed"),
        ("delayed-retry-min", 3, 5, 5),
        ("delayed-retry-max", 3, 5, 3),
    ],
)
def test_where_both_say_something(key, policy, operator, result):
    assert merged({key: policy}, {key: operator}) == {key: result}
    assert merged({key: policy}, {}) == {key: policy}
    assert merged({}, {key: operator}) == {key: operator}


def test_the_effective_definition():
    """As observed of RabbitMQ: all keys of both, sorted."""
    client = world_with("t1")
    policy = {"max-length": 7, "message-ttl": 100, "overflow": "drop-head", "dead-letter-exchange": "x"}
    put(client, "p", "^t", {**policy, "queue-mode": "lazy"})
    operator = {"max-length": 9, "message-ttl": 50, "overflow": "reject-publish", "expires": 100_000}
    put(client, "o", "^t", {**operator, "queue-version": 2}, operator=True)
    queue = client.world.vhost.queues["t1"]
    assert applied(queue) == ("p", "o")
    assert list(effective(queue).items()) == [
        ("dead-letter-exchange", "x"),
        ("expires", 100_000),
        ("max-length", 7),
        ("message-ttl", 50),
        ("overflow", "reject-publish"),
        ("queue-mode", "lazy"),
        ("queue-version", 2),
    ]
    delete(client, "p")
    delete(client, "o", True)
    assert effective(queue) == {}


# -- against a naive model

_KEYS = [
    {"max-length": 1},
    {"max-length": 2, "message-ttl": 1000},
    {"max-age": "5s"},
    {"delivery-limit": 3},
    {"overflow": "reject-publish"},
]
_PUT = st.builds(
    PutPolicy,
    st.just("/"),
    st.sampled_from("pqrs"),
    st.sampled_from(["", "a", "^a", "b$", "^(?!a)", "c"]),
    st.sampled_from(_KEYS),
    st.sampled_from(sorted(APPLY_TO)),
    st.integers(-1, 2),
    st.booleans(),
).filter(lambda command: not problem(command.definition, command.operator))
_STEPS = st.lists(
    st.one_of(
        _PUT,
        st.tuples(st.sampled_from("pqrs"), st.booleans()),
        st.tuples(st.sampled_from(["declare", "delete"]), st.sampled_from(["a", "b", "ab", "ba", "c"])),
    ),
    max_size=25,
)


def naive(command_list, kind, name, operator):
    fitting = [
        command
        for command in command_list
        if command.operator is operator
        and kind in APPLY_TO[command.apply_to]
        and not UNSUPPORTED[kind] & command.definition.keys()
        and patterns.Pattern(command.pattern).matches(name)
    ]
    return min(fitting, key=lambda command: (-command.priority, command.name), default=None)


@settings(max_examples=200, deadline=None)
@given(_STEPS)
def test_what_applies_is_what_a_naive_model_says(steps):
    vhost = World().vhost
    model: dict[tuple[str, bool], PutPolicy] = {}
    for step in steps:
        if isinstance(step, PutPolicy):
            vhost.policies.put(step)
            model[step.name, step.operator] = step
        elif isinstance(step[1], bool):
            assert vhost.policies.delete(*step) is (model.pop(step, None) is not None)
        elif step[0] == "declare":
            kind = random.Random(step[1]).choice(["classic", "quorum", "stream"])
            if step[1] not in vhost.queues:
                vhost.restore_queue(step[1], kind, True, False, [])
                vhost.declare_exchange(step[1], "fanout", True, False, False, [])
        elif step[1] in vhost.queues:
            vhost.remove_queue(vhost.queues[step[1]])
            vhost.delete_exchange(step[1], False)
    assert sorted(vhost.policies.commands(), key=str) == sorted(model.values(), key=str)
    kinds = [(queue, queue.type_name) for queue in vhost.queues.values()]
    kinds += [(exchange, "exchange") for exchange in vhost.exchanges.values()]
    for destination, kind in kinds:
        expected = [naive(model.values(), kind, destination.name, operator) for operator in (False, True)]
        found = [policy and policy.command for policy in (destination.policy, destination.operator_policy)]
        assert found == expected
        definitions = [command.definition if command is not None else {} for command in expected]
        assert effective(destination) == merged(*definitions)


class Searches:
    """In the place of a compiled pattern: counts."""

    count = 0

    def __init__(self, compiled):
        self.compiled = compiled

    def search(self, name, **limits):
        Searches.count += 1
        return self.compiled.search(name, **limits)


def test_a_change_looks_at_the_patterns_of_others_only_where_it_applied():
    vhost = World().vhost
    for number in range(50):
        vhost.policies.put(PutPolicy("/", f"p{number}", f"^nothing{number}", {"max-length": 5}, "queues"))
    for number in range(100):
        vhost.restore_queue(f"q{number}", "classic", True, False, [])
    for policy in vhost.policies._regular.by_rank:
        policy._pattern._compiled = Searches(policy._pattern._compiled)
    Searches.count = 0
    vhost.policies.put(PutPolicy("/", "new", "^q1", {"max-length": 5}, "queues", 1))
    vhost.policies.put(PutPolicy("/", "new", "^q1", {"max-length": 6}, "queues", 1))
    vhost.policies.put(PutPolicy("/", "low", "^q2", {"max-length": 6}, "queues", -1))
    vhost.policies.delete("p7", False)
    vhost.policies.delete("low", False)
    assert Searches.count == 0
    vhost.policies.delete("new", False)
    assert Searches.count == 11 * 49  # q1 and q10 to q19
