"""The clients of a history: what they send, what they hear, and what they may conclude from it.

Three connections: on the first, channel 1 publishes with confirms and 2 has transactions; on the second, 3 consumes and
4 gets; the third declares and deletes, and waits when definitions are slow. What is concluded goes into the book: what
was promised, what was asked to be gone, which deliveries were made.
"""

from __future__ import annotations

from crash.book import Book, Group, Token
from crash.history import FANOUT, TRANSIENT
from crash.ledger import Violation
from crash.node import Node
from harness import Client, Event, m, publish

CONFIRMS, TX, CONSUMES, GETS = 1, 2, 3, 4
PREFETCH = 6

Held = tuple[bytes, Token]  # a delivery: identity of its queue (empty: not durable), token


class Clients:
    """`numbers` gives numbers to messages. `acked` and `rejected` are deliveries that were settled, in this life."""

    def __init__(self, node: Node, book: Book, first: int) -> None:
        self.node, self.book = node, book
        self.number = first
        self.acked: set[Held] = set()
        self.rejected: set[Held] = set()
        self.connect()

    def connect(self) -> None:
        """New connections; whatever the last ones had outstanding is over."""
        self.publisher = self.node.world.client(channels=(CONFIRMS, TX))
        self.publisher.on(CONFIRMS).call("confirm.select")
        self.publisher.on(TX).call("tx.select")
        self.client = self.node.world.client(channels=(CONSUMES, GETS))
        self.client.on(CONSUMES).qos(PREFETCH)
        self.definer = self.node.world.client(channels=(GETS,)).on(GETS)
        self.confirming: dict[int, list[Token]] = {}
        self.published = 0
        self.consumed: dict[int, Held] = {}
        self.got: dict[int, Held] = {}
        self.tx_got: dict[int, Held] = {}
        self.tx_publishes: list[int] = []
        self.tx_tokens: list[tuple[Token, bytes]] = []
        self.tx_acked: list[Held] = []
        self.tx_refused: list[Held] = []
        self.committing: list[tuple[Group, list[Held]]] = []
        self.getting: list[tuple[int, str, bool]] = []
        self.consumers: dict[str, bool] = {}  # queues that are consumed, and whether without acknowledging

    def lose(self) -> None:
        """The connections break."""
        self.publisher.lose()
        self.client.lose()
        self.definer.lose()
        self.listen()
        self.forget_transaction()

    def forget_transaction(self) -> None:
        """What was published in a transaction that is not committed was never published."""
        for number in self.tx_publishes:
            self.book.sent.pop(number, None)
        self.tx_publishes, self.tx_tokens, self.tx_acked, self.tx_refused = [], [], [], []

    def busy(self) -> bool:
        """Whether the node has not read all that they sent: what they think is there may be gone."""
        return behind(self.publisher) or behind(self.client)

    def queue(self, name: str):
        return self.node.world.vhost.queues.get(name)

    def there(self, identity: bytes) -> bool:
        """Whether a durable queue is there, and is not another of its name."""
        return self.identity(self.node.queues.get(identity, "")) == identity != b""

    def bound(self) -> list[str]:
        """The queues that take what is published to all."""
        return [binding.destination.name for binding in self.node.world.vhost.exchanges[FANOUT].outgoing]

    def identity(self, name: str) -> bytes:
        queue = self.queue(name)
        return queue.identity if queue is not None and queue.durable else b""

    def unacked(self) -> set[Held]:
        """Deliveries that are outstanding."""
        return {
            *self.consumed.values(), *self.got.values(), *self.tx_got.values(), *self.tx_acked, *self.tx_refused
        }  # fmt: skip

    # -- what they do

    def define(self) -> None:
        """Everything that a history uses, once."""
        self.definer >> m("exchange.declare", exchange=FANOUT, type="fanout", durable=True)
        self.definer >> m("queue.declare", queue=TRANSIENT)
        self.node.rest()
        for name in self.book.queues:
            self.declare(name)
            self.node.rest()
        self.listen()

    def declare(self, name: str) -> None:
        if self.queue(name) is not None or behind(self.definer):
            return
        facts = self.book.queues[name]
        arguments: dict[str, object] = {}
        if facts.max_length >= 0:
            arguments["x-max-length"] = facts.max_length
        if facts.ttl_ms >= 0:
            arguments["x-message-ttl"] = facts.ttl_ms
        if facts.target:
            arguments["x-dead-letter-exchange"] = ""
            arguments["x-dead-letter-routing-key"] = facts.target
        if facts.highest:
            arguments["x-max-priority"] = facts.highest
        self.definer >> m("queue.declare", queue=name, durable=True, arguments=arguments)
        self.definer >> m("queue.bind", queue=name, exchange=FANOUT)
        self.node.note_queues()

    def publish(self, target: str, message: tuple, transaction: bool) -> None:
        size, persistent, priority, ttl_ms = message
        self.number += 1
        number = self.number
        body = b"<%06d>" % number + bytes((number + place) & 0xFF for place in range(size))
        properties: dict[str, object] = {"delivery_mode": 2 if persistent else 1}
        if priority >= 0:
            properties["priority"] = priority
        if ttl_ms >= 0:
            properties["expiration"] = str(ttl_ms)
        self.book.publish(number, body, persistent, priority, ttl_ms)
        names = self.bound() if target == FANOUT else [target]
        tokens = [(number, name) for name in names if self.identity(name)] if persistent else []
        exchange = FANOUT if target == FANOUT else ""
        if transaction:
            self.tx_publishes.append(number)
            self.tx_tokens += [(token, self.identity(token[1])) for token in tokens]
        else:
            self.published += 1
            self.confirming[self.published] = tokens
        channel = TX if transaction else CONFIRMS
        self.publisher.on(channel) >> publish(body, "" if target == FANOUT else target, exchange, **properties)
        self.listen()

    def consume(self, name: str, no_ack: bool) -> None:
        if self.queue(name) is not None and name not in self.consumers and not self.busy():
            self.consumers[name] = no_ack
            self.client.on(CONSUMES) >> m("basic.consume", queue=name, consumer_tag=name, no_ack=no_ack)
            self.listen()

    def cancel(self, name: str) -> None:
        if not self.busy() and self.consumers.pop(name, None) is not None:
            self.client.on(CONSUMES) >> m("basic.cancel", consumer_tag=name)
            self.listen()

    def settle(self, channel: int, how: str, count: int, last: bool) -> None:
        """Settle some of what is outstanding on a channel, the oldest or the newest."""
        if self.busy():
            return
        held = self.consumed if channel == CONSUMES else self.got
        tags = sorted(held)
        tags = tags[-count:] if last else tags[:count]
        multiple = how in ("multiple", "refuse")
        if multiple and tags:
            tags = [tag for tag in sorted(held) if tag <= tags[-1]]
        if not tags:
            return
        for tag in tags:
            delivery = held.pop(tag)
            if how == "ack" or how == "multiple":
                self.acked.add(delivery)
            elif how in ("nack", "reject", "refuse"):
                self.rejected.add(delivery)
                if how == "reject":
                    self.book.marked.add(delivery[1])
        client = self.client.on(channel)
        if how == "multiple":
            client >> m("basic.ack", delivery_tag=tags[-1], multiple=True)
        elif how == "refuse":
            client >> m("basic.nack", delivery_tag=tags[-1], multiple=True, requeue=False)
        for tag in tags if not multiple else ():
            if how == "ack":
                client >> m("basic.ack", delivery_tag=tag)
            elif how == "reject":
                client >> m("basic.reject", delivery_tag=tag, requeue=False)
            else:
                client >> m("basic.nack", delivery_tag=tag, requeue=how == "requeue")
        self.listen()

    def get(self, channel: int, name: str, no_ack: bool) -> None:
        if self.queue(name) is not None and not self.busy():
            self.getting.append((channel, name, no_ack))
            client = self.publisher if channel == TX else self.client
            client.on(channel) >> m("basic.get", queue=name, no_ack=no_ack)
            self.listen()

    def tx_get(self, name: str, refuse: bool) -> None:
        """Get a message in the transaction, and acknowledge or refuse it there."""
        if self.committing or self.busy():
            return
        self.get(TX, name, False)
        for tag, held in list(self.tx_got.items()):
            if refuse:
                self.publisher.on(TX) >> m("basic.nack", delivery_tag=tag, requeue=False)
                self.tx_refused.append(held)
            else:
                self.publisher.on(TX) >> m("basic.ack", delivery_tag=tag)
                self.tx_acked.append(held)
            del self.tx_got[tag]
        self.listen()

    def tx_end(self, commit: bool) -> None:
        if self.committing or self.busy():
            return
        client = self.publisher.on(TX)
        if not commit:
            client >> m("tx.rollback")
            self.forget_transaction()
            client >> m("basic.recover", requeue=True)
        else:
            acks = [token for identity, token in self.tx_acked if self.there(identity)]
            # What goes to a queue that was deleted meanwhile is dropped.
            tokens = [token for token, identity in self.tx_tokens if self.identity(token[1]) == identity]
            refused = [held for held in self.tx_refused if self.there(held[0])]
            group = Group(tokens, acks, refused)
            self.committing.append((group, list(self.tx_acked)))
            self.book.groups.append(group)
            self.acked.update(held for held in self.tx_acked if self.there(held[0]))
            self.rejected.update(refused)
            self.tx_publishes, self.tx_tokens, self.tx_acked, self.tx_refused = [], [], [], []
            client >> m("tx.commit")
        self.listen()

    def purge(self, name: str) -> None:
        if self.queue(name) is not None and not self.busy():
            self.client.on(GETS) >> m("queue.purge", queue=name)
            self.listen()

    def delete(self, name: str) -> None:
        """Delete a queue; its deliveries are settled by that. What was refused before is a dead letter, and none of
        its messages any more."""
        if self.queue(name) is None or self.busy() or behind(self.definer):
            return
        self.listen()
        identity = self.identity(name)
        for held in (self.consumed, self.got, self.tx_got):
            for tag in [tag for tag, delivery in held.items() if delivery[0] == identity]:
                del held[tag]  # there is nothing left to acknowledge
        for copy in self.node.ledger.copies.values():
            if identity and copy.place[0] == identity and copy.settled > self.node.ledger.sealed:
                token = (copy.number, copy.root)
                if (identity, token) not in self.rejected:
                    self.book.asked(token, "deleted")
        for tokens in self.confirming.values():
            for token in tokens:
                if token[1] == name:
                    self.book.asked(token, "deleted")
        for group, _ in self.committing:
            for token in group.publishes:
                if token[1] == name:
                    self.book.asked(token, "deleted")
        self.consumers.pop(name, None)
        self.definer >> m("queue.delete", queue=name)
        self.listen()

    # -- what they hear

    def listen(self) -> None:
        """Take in what came."""
        for event in self.publisher.heard() + self.client.heard() + self.definer.heard():
            name = event.name
            if name == "basic.deliver":
                self._delivered(event, event.consumer_tag, self.consumers.get(event.consumer_tag, False))
            elif name == "basic.get-ok":
                _, queue, no_ack = self._answered(event.channel)
                self._delivered(event, queue, no_ack)
            elif name == "basic.get-empty":
                self._answered(event.channel)
            elif name == "basic.ack" or name == "basic.nack":
                self._confirmed(event, name == "basic.ack")
            elif name == "tx.commit-ok":
                self._committed()
            elif name in ("channel.close", "connection.close"):
                raise Violation("closed", f"{event}")

    def _answered(self, channel: int) -> tuple[int, str, bool]:
        for place, each in enumerate(self.getting):
            if each[0] == channel:
                return self.getting.pop(place)
        raise Violation("get", "an answer that nobody asked for")

    def _delivered(self, event: Event, queue: str, no_ack: bool) -> None:
        number = number_of_body(event.body or b"")
        token = (number, event.headers.get("x-first-death-queue", queue))
        identity = self.identity(queue)
        self.book.delivered(identity, token, queue, event)
        if identity and (identity, token) in self.acked | self.rejected:
            raise Violation("again", f"{token} is delivered from {queue}, where it was settled")
        held = self.consumed if event.channel == CONSUMES else self.tx_got if event.channel == TX else self.got
        if no_ack:
            self.book.asked(token, "taken")
            self.acked.add((identity, token))
        else:
            held[event.delivery_tag] = (identity, token)

    def _confirmed(self, event: Event, accepted: bool) -> None:
        tags = [tag for tag in self.confirming if tag <= event.delivery_tag] if event.multiple else [event.delivery_tag]
        for tag in tags:
            tokens = self.confirming.pop(tag)
            if accepted:
                self.book.promised.update(tokens)

    def _committed(self) -> None:
        group, acked = self.committing.pop(0)
        self.book.groups.remove(group)
        self.book.promised.update(group.publishes)
        for identity, token in acked:
            if identity:
                self.book.never.add(token)
                self.book.asked(token, "committed")


def behind(client: Client) -> bool:
    """Whether the node has not read all that came over a connection."""
    return bool(client.wire.incoming) or client.connection.paused


def number_of_body(body: bytes) -> int:
    """The number of a message that came."""
    if body[:1] != b"<" or body[7:8] != b">":
        raise Violation("content", f"a body that nobody published: {body[:40]!r}")
    return int(body[1:7])
