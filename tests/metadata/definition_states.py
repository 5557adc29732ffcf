"""Hypothesis strategies for definitions: states as a node can have them, JSON values, and damaged documents."""

from hypothesis import strategies as st
from wire.strategies import any_table

from amqpd.broker.commands import (
    PutBinding,
    PutExchange,
    PutGlobalParameter,
    PutParameter,
    PutPermission,
    PutPolicy,
    PutQueue,
    PutTopicPermission,
    PutUser,
    PutUserLimit,
    PutVHost,
    PutVHostLimit,
)
from amqpd.metadata.document import normal
from amqpd.metadata.document.gathering import ORDER, identity_of
from amqpd.metadata.document.policies import MIRRORING
from amqpd.metadata.document.values import NOT_UTF8
from amqpd.wire.tables import longstr

unicode = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
names = unicode.filter(lambda text: text and len(text.encode()) <= 255 and not text.startswith("amq."))
keys = unicode.filter(lambda text: len(text.encode()) <= 255)
tags = st.lists(unicode.map(str.strip).filter(lambda tag: tag and tag != "undefined"), max_size=3).map(tuple)
integers = st.integers(-(2**63), 2**63 - 1)
queue_types = st.sampled_from(["classic", "quorum", "stream"])
json_values = st.recursive(
    st.none() | st.booleans() | integers | st.floats(allow_nan=False, allow_infinity=False) | unicode,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(unicode, children, max_size=3),
    max_leaves=8,
)
definitions = st.dictionaries(unicode.filter(lambda key: key not in MIRRORING), json_values, max_size=3)
ARGON2 = "$argon2id$v=19$m=65536,t=3,p=1$c29tZSBzYWx0IG9yIG8$" + "A" * 43
HASHES = [
    ("", "rabbit_password_hashing_sha256"),
    ("4AFcscKj6QE4y53T36S8sNZLj8zTSTIbNwqHwuqcC/AumC9P", "rabbit_password_hashing_sha256"),
    ("c2FsdB4PMSajNspu/57C/SAxl+E=", "rabbit_password_hashing_md5"),
    (ARGON2, "argon2"),
]


@st.composite
def states(draw):
    """A list of commands that make a state: unique, and what they refer to is there."""
    vhosts = draw(st.lists(names, min_size=1, max_size=3, unique=True))
    users = draw(st.lists(names, max_size=3, unique=True))
    vhost = st.sampled_from(vhosts)
    made = [PutVHost(name, draw(unicode), draw(tags), draw(st.just("") | queue_types)) for name in vhosts]
    made += [PutUser(name, *draw(st.sampled_from(HASHES)), draw(tags)) for name in users]
    limits = st.sampled_from(["max-connections", "max-queues"])
    texts = (unicode, unicode)
    kinds = [
        st.builds(PutExchange, vhost, names, names, *[st.booleans()] * 3, any_table),
        st.builds(PutQueue, vhost, names, queue_types, *[st.booleans()] * 2, any_table).map(with_type_sometimes),
        st.builds(PutBinding, vhost, names, st.sampled_from(["queue", "exchange"]), names, keys, any_table),
        st.builds(PutPolicy, vhost, names, unicode, definitions, unicode, integers, st.booleans()),
        st.builds(PutParameter, vhost, st.sampled_from(["shovel", "federation-upstream"]), keys, json_values),
        st.builds(PutGlobalParameter, names.filter(lambda name: not name.startswith("internal")), json_values),
        st.builds(PutVHostLimit, vhost, limits, integers),
    ]
    if users:
        user = st.sampled_from(users)
        user_limits = st.sampled_from(["max-connections", "max-channels"])
        kinds += [
            st.builds(PutPermission, user, vhost, *texts, unicode),
            st.builds(PutTopicPermission, user, vhost, keys, *texts),
            st.builds(PutUserLimit, user, user_limits, integers),
        ]
    made += draw(st.lists(st.one_of(kinds), max_size=12))
    return sorted(unique(made), key=lambda command: ORDER.index(type(command)))


def with_type_sometimes(queue):
    """A queue whose arguments name its type, where the routing of chance made its name short."""
    if len(queue.name) % 2:
        queue.arguments.append(("x-queue-type", longstr(queue.type)))
    return queue


def unique(commands):
    """What can be at the same time, also after an export, which knows fewer types of arguments."""
    found = {}
    for command in commands:
        found.setdefault(identity_of(normal(command)), command)
    return list(found.values())


junk = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=10),  # surrogates too
    st.text("\ud800a", min_size=1, max_size=3),
    st.just("x" * 300),
    st.just(NOT_UTF8 + "//79"),
    st.just([]),
    st.just({}),
    st.just({"x-queue-type": 5, "": {"a" * 256: [[], {}]}}),
    st.just((1, 2)),
    st.just({1: 2}),
    st.just(b"bytes"),
    json_values,
)


@st.composite
def damaged(draw, document):
    """A copy of `document` in which some values, deep in or near the top, are something else or gone."""
    copy = _copy(document)
    for _ in range(draw(st.integers(1, 4))):
        _damage(draw, copy)
    return copy


def _damage(draw, node):
    while True:
        steps = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not steps:
            return
        step = draw(st.sampled_from(steps))
        child = node[step]
        if not isinstance(child, dict | list) or draw(st.integers(0, 3)) == 0:
            if draw(st.booleans()):
                node[step] = _copy(draw(junk))  # damaged further, perhaps: never the strategy's own
            elif isinstance(node, dict):
                node[draw(st.text(max_size=5))] = node.pop(step)
            else:
                node.append(_copy(child))
            return
        node = child


def _copy(value):
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value
