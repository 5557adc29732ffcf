"""The topic exchange: binding keys are patterns of words between dots (specification 3.1.3.3).

`*` stands for exactly one word, which may be empty; `#` for any number of words, none included. An empty routing key
has no words at all (RabbitMQ; `behaviour.md` 5.1).

Patterns form a tree of words, so the cost of a match follows the words of the key and the patterns that match its
beginning, not the number of bindings. `#` can stand for each of the remaining suffixes; at most two are allowed in a
pattern (RabbitMQ 4.3.5), and each (node, position) is visited once, so a match takes at most nodes x words steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from amqpd.broker.exchanges.contract import ExchangeType
from amqpd.broker.exchanges.direct import Bound
from amqpd.errors import precondition_failed
from amqpd.wire.tables import Table

if TYPE_CHECKING:
    from amqpd.broker.message import Message
    from amqpd.broker.routing import Binding, Destination

MAX_HASHES: Final = 2


def words_of(key: str) -> list[str]:
    """The words of a key or a pattern."""
    return key.split(".") if key else []


class Node:
    """What patterns can go on with after some words, and the destinations of the pattern that ends here.

    Neither is there without need: of long patterns, most nodes have one, and the last ones have no children.
    """

    def __init__(self) -> None:
        self.children: dict[str, Node] | None = None
        self.bound: Bound | None = None

    def child(self, word: str) -> Node:
        """The node after `word`, made where there is none."""
        children = self.children
        if children is None:
            children = self.children = {}
        found = children.get(word)
        if found is None:
            found = children[word] = Node()
        return found


class Topic(ExchangeType):
    """Bindings in a tree of words. `*` and `#` are children like any other word, tried besides the literal one."""

    def __init__(self, arguments: Table) -> None:
        super().__init__(arguments)
        self._root: Final = Node()

    def validate_binding(self, binding: Binding) -> None:
        hashes = words_of(binding.key).count("#")
        if hashes > MAX_HASHES:
            raise precondition_failed(
                f"Topic binding key '{binding.key}' uses {hashes} '#' wildcards, at most {MAX_HASHES} are allowed"
            )

    def add(self, binding: Binding) -> None:
        node = self._root
        for word in words_of(binding.key):
            node = node.child(word)
        if node.bound is None:
            node.bound = Bound()
        node.bound.add(binding.destination)

    def remove(self, binding: Binding) -> None:
        path: list[tuple[Node, str]] = []
        node = self._root
        for word in words_of(binding.key):
            path.append((node, word))
            node = node.child(word)
        assert node.bound is not None
        node.bound.remove(binding.destination)
        if not node.bound:
            node.bound = None
        for parent, word in reversed(path):
            children = parent.children
            assert children is not None
            child = children[word]
            if child.children or child.bound is not None:
                break
            del children[word]

    def match(self, key: str, message: Message | None, found: dict[Destination, None]) -> None:
        words = words_of(key)
        count = len(words)
        seen: set[tuple[int, int]] = set()
        todo: list[tuple[Node, int]] = [(self._root, 0)]
        self.steps = 0
        while todo:
            self.steps += 1
            node, at = todo.pop()
            if at == count and node.bound is not None:
                node.bound.collect(found)
            children = node.children
            if not children:
                continue
            if at < count:
                child = children.get(words[at])
                if child is not None and words[at] != "*" and words[at] != "#":
                    todo.append((child, at + 1))
                child = children.get("*")
                if child is not None:
                    todo.append((child, at + 1))
            child = children.get("#")
            if child is not None:
                for rest in range(at, count + 1):
                    state = (id(child), rest)
                    if state not in seen:
                        seen.add(state)
                        todo.append((child, rest))
