"""Copies of a member of a group, its form as a key, and the same member under other names.

Generic over what it is given: a field that the core gets tomorrow is copied and compared without a change here. What
is left out is named in SKIPPED.

Needs the interpreted core, whose objects can be made and filled from outside (`mutation.install(None)` gives it).
"""

from collections import deque
from types import MethodType

from amqpd.raft import messages as m
from amqpd.raft.config import Config

PLAIN = (int, str, bytes, float, bool, type(None))
SHARED = frozenset((*PLAIN, m.Entry, m.HardState, m.Members, m.Snapshot, m.Message, Config))
# What nothing depends on: names of writes, counters, and what is the same in all states.
SKIPPED = frozenset(("token", "last_token", "dropped", "config", "group_id", "rng", "view", "_view", "position"))
# Fields that hold a member, and those whose keys are members.
MEMBER_FIELDS = frozenset(("member", "vote", "lead", "told_lead", "transferring_to", "sender", "to"))
MEMBER_KEYS = frozenset(("progress", "votes", "acks"))
NAMES: dict[type, tuple[str, ...]] = {}


def names_of(kind: type, thing) -> tuple[str, ...]:
    """The attributes of objects of this kind."""
    names = NAMES.get(kind)
    if names is None:
        slots = [name for base in kind.__mro__ for name in getattr(base, "__slots__", ())]
        names = NAMES[kind] = tuple(slots) if slots else tuple(vars(thing))
    return names


def copy_of(thing, memo: dict):
    """A copy of everything that can change; what cannot is shared."""
    kind = type(thing)
    if kind in SHARED:
        return thing
    known = memo.get(id(thing))
    if known is not None:
        return known
    if kind is list:
        result = memo[id(thing)] = []
        result.extend([copy_of(each, memo) for each in thing])
    elif kind is dict:
        result = memo[id(thing)] = {}
        for key, value in thing.items():
            result[key] = copy_of(value, memo)
    elif kind is deque:
        result = memo[id(thing)] = deque(copy_of(each, memo) for each in thing)
    elif kind is tuple:
        result = tuple(copy_of(each, memo) for each in thing)
    elif kind is MethodType:
        result = MethodType(thing.__func__, copy_of(thing.__self__, memo))
    elif callable(thing):
        result = thing
    else:
        result = memo[id(thing)] = kind.__new__(kind)
        for name in names_of(kind, thing):
            setattr(result, name, copy_of(getattr(thing, name), memo))
    return result


def frozen(thing):
    """`thing` as something that can be compared and hashed."""
    kind = type(thing)
    if kind is int or kind is bytes or kind is bool or kind is str or thing is None:
        return thing
    if kind is list or kind is tuple or kind is deque:
        return tuple([frozen(each) for each in thing])
    if kind is dict:
        return tuple([(key, frozen(value)) for key, value in sorted(thing.items())])
    if callable(thing):
        return None
    return tuple([frozen(getattr(thing, name)) for name in names_of(kind, thing) if name not in SKIPPED])


def renamed(thing, names: dict[int, int], configs: dict[int, Config], memo: dict, field: str = ""):
    """A copy in which each member is called `names[member]`; `names` contains 0 (nobody). The members of a
    configuration have to be the same set under both names."""
    kind = type(thing)
    if kind is int:
        return names[thing] if field in MEMBER_FIELDS else thing
    if kind is Config:
        return configs[names[thing.member]]
    if kind in SHARED and kind is not m.Message and kind is not m.HardState:
        return thing
    known = memo.get(id(thing))
    if known is not None:
        return known
    if kind is list:
        result = memo[id(thing)] = []
        result.extend([renamed(each, names, configs, memo) for each in thing])
    elif kind is dict:
        result = memo[id(thing)] = {}
        keys = names if field in MEMBER_KEYS else {key: key for key in thing}
        result.update(sorted((keys[key], renamed(value, names, configs, memo)) for key, value in thing.items()))
    elif kind is deque:
        result = memo[id(thing)] = deque(renamed(each, names, configs, memo) for each in thing)
    elif kind is tuple:
        result = tuple(renamed(each, names, configs, memo) for each in thing)
    elif kind is MethodType:
        result = MethodType(thing.__func__, renamed(thing.__self__, names, configs, memo))
    elif callable(thing):
        result = thing
    else:
        result = memo[id(thing)] = kind.__new__(kind)
        for name in names_of(kind, thing):
            setattr(result, name, renamed(getattr(thing, name), names, configs, memo, name))
    return result
