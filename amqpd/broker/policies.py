"""Policies: what operators say of queues and exchanges by their names, in force as soon as it is said.

One policy and one operator policy apply to a queue or an exchange: the one of the highest priority that is meant for
its kind, has only keys that its kind can have, and whose pattern is found in its name; among equals the first by name
(RabbitMQ leaves open which). Together they make its definition (`effective`), which it follows (`follow_policies`).
Knows nothing of what the keys do there.

Invariant: what applies to a queue or an exchange changes when it is created and when a policy is put or deleted, and
never else. A change looks at one pattern for each of them, and at others only for those that the policy applied to.

Source: RabbitMQ, rabbit_policy; its documentation, policies.md.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from amqpd.broker import patterns, policykeys
from amqpd.broker.commands import PutPolicy
from amqpd.broker.policykeys import Definition
from amqpd.broker.queues.contract import Queue
from amqpd.errors import DefinitionError
from amqpd.wire import tables
from amqpd.wire.tables import Field, Table

if TYPE_CHECKING:
    from amqpd.broker.routing import Destination
    from amqpd.broker.vhost import VHost

POLICIES_MAX: Final = 1000  # of one vhost, and as many operator policies
_QUEUES: Final = ("classic", "quorum", "stream")
# What apply-to can be, and the kinds that are meant: types of queues, and exchanges.
APPLY_TO: Final[dict[str, tuple[str, ...]]] = {
    "all": (*_QUEUES, "exchange"),
    "exchanges": ("exchange",),
    "queues": _QUEUES,
    "classic_queues": ("classic",),
    "quorum_queues": ("quorum",),
    "streams": ("stream",),
}
_ACTOR: Final = ("user_who_performed_action", tables.longstr("operator"))


class Policy:
    """A policy in force. `kinds` are those that it can apply to; the lesser `rank` wins."""

    def __init__(self, command: PutPolicy) -> None:
        self.command: Final = command
        self.name: Final = command.name
        self.rank: Final = (-command.priority, command.name)
        keys = frozenset(command.definition)
        self.kinds: Final = [kind for kind in APPLY_TO[command.apply_to] if not policykeys.UNSUPPORTED[kind] & keys]
        self._pattern: Final = patterns.Pattern(command.pattern)

    def fits(self, destination: Destination) -> bool:
        """Whether it would apply, if there were no other."""
        kind = destination.type_name if isinstance(destination, Queue) else "exchange"
        return kind in self.kinds and self._pattern.matches(destination.name)


class Ranking:
    """The policies, or the operator policies, of a vhost. `by_rank` has them in the order in which they win."""

    def __init__(self) -> None:
        self.by_name: Final[dict[str, Policy]] = {}
        self.by_rank: Final[list[Policy]] = []

    def replace(self, old: Policy | None, new: Policy | None) -> None:
        """`new` instead of `old`, which have the same name."""
        if old is not None:
            del self.by_name[old.name]
            self.by_rank.remove(old)
        if new is not None:
            self.by_name[new.name] = new
            self.by_rank.insert(bisect.bisect_left([policy.rank for policy in self.by_rank], new.rank), new)


class Policies:
    """The policies and operator policies of a vhost."""

    def __init__(self, vhost: VHost) -> None:
        self._vhost: Final = vhost
        self._regular: Final = Ranking()
        self._operator: Final = Ranking()

    def commands(self) -> Iterator[PutPolicy]:
        """The commands that make them."""
        for ranking in (self._regular, self._operator):
            for policy in ranking.by_name.values():
                yield policy.command

    def put(self, command: PutPolicy) -> None:
        """Put a policy, which was checked, in force. Raises DefinitionError where there are too many."""
        ranking = self._operator if command.operator else self._regular
        old = ranking.by_name.get(command.name)
        if old is None and len(ranking.by_name) >= POLICIES_MAX:
            component = "operator_policy" if command.operator else "policy"
            raise DefinitionError(f"component {component} is limited to {POLICIES_MAX}")
        if old is None or old.command != command:
            self._change(ranking, old, Policy(command))

    def delete(self, name: str, operator: bool) -> bool:
        """Delete a policy. False where there is none."""
        ranking = self._operator if operator else self._regular
        old = ranking.by_name.get(name)
        if old is None:
            return False
        self._change(ranking, old, None)
        return True

    def select(self, created: Destination) -> None:
        """Let a new queue or exchange follow what applies to it."""
        created.policy = _first(self._regular.by_rank, created)
        created.operator_policy = _first(self._operator.by_rank, created)
        if created.policy is not None or created.operator_policy is not None:
            created.follow_policies(effective(created))

    def _change(self, ranking: Ranking, old: Policy | None, new: Policy | None) -> None:
        ranking.replace(old, new)
        # Where `old` applied, none of those above it does.
        rest = [policy for policy in ranking.by_rank if policy is new or old is None or policy.rank > old.rank]
        changed: list[Destination] = []
        for destination in [*self._vhost.exchanges.values(), *self._vhost.queues.values()]:
            current = destination.operator_policy if ranking is self._operator else destination.policy
            if current is not None and current is old:
                chosen = _first(rest, destination)
            elif new is not None and (current is None or new.rank < current.rank) and new.fits(destination):
                chosen = new
            else:
                continue
            if ranking is self._operator:
                destination.operator_policy = chosen
            else:
                destination.policy = chosen
            changed.append(destination)
        for destination in changed:
            destination.follow_policies(effective(destination))
            self._tell(destination, new)
        self._vhost.clear_routes()

    def _tell(self, destination: Destination, new: Policy | None) -> None:
        """queue.policy.updated, queue.policy.cleared: of what was done, not of what applies now (RabbitMQ)."""
        events = self._vhost.broker.events
        if not events.enabled or not isinstance(destination, Queue):
            return
        attributes: Table = [
            ("name", tables.longstr(destination.name)),
            ("vhost", tables.longstr(self._vhost.name)),
            ("type", tables.longstr(f"rabbit_{destination.type_name}_queue")),
            _ACTOR,
        ]
        if new is None:
            events.emit("queue.policy.cleared", attributes)
            return
        command = new.command
        attributes += [
            ("pattern", tables.longstr(command.pattern)),
            ("apply-to", tables.longstr(command.apply_to)),
            ("priority", tables.long(command.priority)),
            ("definition", tables.subtable([(key, _field(value)) for key, value in command.definition.items()])),
        ]
        events.emit("queue.policy.updated", attributes)


def _first(ranked: list[Policy], destination: Destination) -> Policy | None:
    for policy in ranked:
        if policy.fits(destination):
            return policy
    return None


def _field(value: object) -> Field:
    return tables.long(value) if isinstance(value, int) else tables.longstr(str(value))


def effective(destination: Destination) -> Definition:
    """What the policy and the operator policy of a queue or an exchange say together; empty without any."""
    policy, operator = destination.policy, destination.operator_policy
    return policykeys.merged(
        policy.command.definition if policy is not None else {},
        operator.command.definition if operator is not None else {},
    )


# -- what can be a policy


def policy_from(
    vhost: str, name: str, pattern: object, definition: object, apply_to: object, priority: object, operator: bool
) -> PutPolicy:
    """The command of values that may be anything, as JSON has them. Raises DefinitionError with RabbitMQ's text."""
    problems = _problems(pattern, definition, apply_to, priority, operator)
    if problems:
        raise DefinitionError("Validation failed\n\n" + "\n".join(problems))
    assert isinstance(pattern, str) and isinstance(definition, dict) and isinstance(apply_to, str)
    assert isinstance(priority, int)
    return PutPolicy(vhost, name, pattern, definition, apply_to, priority, operator)


def check(command: PutPolicy) -> None:
    """Refuse what cannot be a policy. Raises DefinitionError with RabbitMQ's text (without the line's end)."""
    policy_from(
        command.vhost,
        command.name,
        command.pattern,
        command.definition,
        command.apply_to,
        command.priority,
        command.operator,
    )


def _problems(pattern: object, definition: object, apply_to: object, priority: object, operator: bool) -> list[str]:
    problems = [policykeys.problem(definition, operator)]
    if not isinstance(apply_to, str) or apply_to not in APPLY_TO:
        problems.append(
            f"apply-to '{policykeys.shown(apply_to) if not isinstance(apply_to, str) else apply_to}' unrecognised; "
            "should be one of: 'queues', 'classic_queues',  'quorum_queues', 'streams', 'exchanges', or 'all'"
        )
    if not isinstance(pattern, str):
        problems.append(f"pattern should be a binary but was {policykeys.shown(pattern)}")
    elif len(pattern.encode("utf-8", "replace")) > patterns.LENGTH_MAX:
        problems.append(f"pattern must not exceed {patterns.LENGTH_MAX} bytes")
    elif wrong := patterns.problem(pattern):
        problems.append(f"pattern should be regular expression but is invalid: {wrong}")
    if not isinstance(priority, int) or isinstance(priority, bool):
        problems.append(f"priority should be a number, actually was {policykeys.shown(priority)}")
    elif abs(priority) > policykeys.INTEGER_MAX:
        problems.append(f"priority should be a number of 64 bits, actually was {priority}")
    return [problem for problem in problems if problem]
